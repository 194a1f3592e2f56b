//! What a function is handed for one partition: what it is about, where to write, and what it may read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::address::Address;
use crate::artifact::Artifact;
use crate::canonical::Value;
use crate::dataset::definition::Dataset;
use crate::dataset::function::BoxError;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};

/// One partition to make. Cheap to clone.
#[derive(Clone)]
pub struct Job {
    inner: Arc<Inner>,
}

struct Inner {
    dataset: Dataset,
    instrument: Instrument,
    interval: Interval,
    work: PathBuf,
    outputs: BTreeMap<String, PathBuf>,
    inputs: BTreeMap<String, PathBuf>,
    upstream: Arc<Upstreams>,
    cancellation: CancellationToken,
    attempt: u32,
}

/// What a partition is derived from, by the name that its dataset gives it.
pub(crate) type Upstreams = BTreeMap<String, Upstream>;

/// A partition's place and directory: what a job is made of besides its dataset.
pub(crate) struct JobParts {
    pub(crate) instrument: Instrument,
    pub(crate) interval: Interval,
    pub(crate) work: PathBuf,
    pub(crate) inputs: BTreeMap<String, PathBuf>,
    pub(crate) upstream: Arc<Upstreams>,
    pub(crate) cancellation: CancellationToken,
    pub(crate) attempt: u32,
}

impl Job {
    pub(crate) fn new(dataset: &Dataset, parts: JobParts) -> Self {
        let JobParts { instrument, interval, work, inputs, upstream, cancellation, attempt } = parts;
        let outputs = dataset.outputs().map(|(name, file)| (name.to_owned(), work.join(file))).collect();
        let dataset = dataset.clone();
        Self { inner: Arc::new(Inner { dataset, instrument, interval, work, outputs, inputs, upstream, cancellation, attempt }) }
    }

    /// The name of the dataset that the partition belongs to.
    pub fn dataset(&self) -> &str {
        self.inner.dataset.name()
    }

    /// What the partition is about.
    pub fn instrument(&self) -> &Instrument {
        &self.inner.instrument
    }

    /// The partition, half-open.
    pub fn interval(&self) -> Interval {
        self.inner.interval
    }

    /// The first moment of the partition.
    pub fn start(&self) -> Time {
        self.inner.interval.start()
    }

    /// The first moment after the partition.
    pub fn end(&self) -> Time {
        self.inner.interval.end()
    }

    /// The dataset's configuration, an object: what is in the key.
    pub fn config(&self) -> &Value {
        self.inner.dataset.config()
    }

    /// The dataset's configuration as a type of one's own.
    ///
    /// # Errors
    /// What does not fit the type.
    pub fn config_as<T: DeserializeOwned>(&self) -> Result<T, BoxError> {
        Ok(serde_json::from_str(&self.config().canonical()?)?)
    }

    /// The values that are not in the key, an object: nothing of what the function gives back may depend on them.
    pub fn unkeyed(&self) -> &Value {
        self.inner.dataset.unkeyed()
    }

    /// An empty directory of the job's own. It goes when the job is over.
    pub fn work(&self) -> &Path {
        &self.inner.work
    }

    /// Where an output is to be written, by a function that writes files itself.
    ///
    /// # Errors
    /// [`Error::NotDeclared`].
    pub fn output(&self, name: &str) -> Result<&Path> {
        self.declared("output", name, &self.inner.outputs).map(PathBuf::as_path)
    }

    /// A file that the dataset declares as an input.
    ///
    /// # Errors
    /// [`Error::NotDeclared`].
    pub fn input(&self, name: &str) -> Result<&Path> {
        self.declared("input", name, &self.inner.inputs).map(PathBuf::as_path)
    }

    /// What an upstream dataset has of the partition's instrument and interval.
    ///
    /// # Errors
    /// [`Error::NotDeclared`].
    pub fn upstream(&self, name: &str) -> Result<&Upstream> {
        self.declared("upstream", name, &self.inner.upstream)
    }

    /// Which attempt this is, counted from one.
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// Whether nobody waits for the result any more: the load was dropped or cancelled, or the time is up. Then the function should return, with whatever.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancellation.is_cancelled()
    }

    /// The same as something to wait for, or to hand on.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.inner.cancellation
    }

    fn declared<'a, T>(&self, kind: &'static str, name: &str, all: &'a BTreeMap<String, T>) -> Result<&'a T> {
        all.get(name).ok_or_else(|| Error::NotDeclared {
            dataset: self.dataset().to_owned(),
            kind,
            name: name.to_owned(),
            known: all.keys().cloned().collect(),
        })
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { instrument, interval, attempt, .. } = &*self.inner;
        f.debug_struct("Job")
            .field("dataset", &self.dataset())
            .field("instrument", instrument)
            .field("interval", interval)
            .field("attempt", attempt)
            .finish_non_exhaustive()
    }
}

/// What one upstream dataset has of a job's instrument and interval.
#[derive(Debug, Clone)]
pub struct Upstream {
    dataset: Dataset,
    instrument: Instrument,
    /// The outputs that the derived dataset declares to read: those in its key.
    outputs: BTreeSet<String>,
    partitions: Vec<UpstreamPartition>,
}

/// One partition of an upstream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UpstreamPartition {
    /// The partition, which may reach beyond the job's.
    pub interval: Interval,
    /// The part of it that lies in the job's.
    pub requested: Interval,
    /// Its entry.
    pub address: Address,
    /// Its outputs, those that the derived dataset reads: none where its generator said that there is no data.
    pub outputs: Vec<Artifact>,
    /// How long it took to make it, and what it was derived from itself.
    pub(crate) seconds: f32,
}

impl Upstream {
    pub(crate) fn new(dataset: Dataset, instrument: Instrument, outputs: BTreeSet<String>, partitions: Vec<UpstreamPartition>) -> Self {
        Self { dataset, instrument, outputs, partitions }
    }

    /// The upstream dataset's name.
    pub fn dataset(&self) -> &str {
        self.dataset.name()
    }

    /// The instrument, which is the job's.
    pub fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// The column of its tables that holds a row's time, as the dataset declares it.
    pub fn time_column(&self) -> &str {
        self.dataset.time_column()
    }

    /// Its partitions in time order, at least one.
    pub fn partitions(&self) -> &[UpstreamPartition] {
        &self.partitions
    }

    /// The files of an output in time order, whole partitions each: none where there is no data. Read them in place.
    ///
    /// # Errors
    /// [`Error::NotDeclared`] for an output that the derived dataset does not declare to read.
    pub fn paths(&self, output: &str) -> Result<Vec<&Path>> {
        Ok(self.tables(output)?.into_iter().map(|table| table.path.as_path()).collect())
    }

    /// The tables of an output in time order.
    ///
    /// # Errors
    /// As [`Upstream::paths`].
    pub fn tables(&self, output: &str) -> Result<Vec<&Artifact>> {
        self.declared(output)?;
        Ok(self.partitions.iter().filter_map(|partition| partition.outputs.iter().find(|table| &*table.name == output)).collect())
    }

    /// A name that is not read is a mistake, never an upstream without data.
    pub(crate) fn declared(&self, output: &str) -> Result<()> {
        if self.outputs.contains(output) {
            return Ok(());
        }
        Err(Error::NotDeclared {
            dataset: self.dataset().to_owned(),
            kind: "output that is read here",
            name: output.to_owned(),
            known: self.outputs.iter().cloned().collect(),
        })
    }

    /// Whether no output of it has any row.
    pub fn is_empty(&self) -> bool {
        self.partitions.iter().flat_map(|partition| &partition.outputs).all(|table| table.rows == 0)
    }
}
