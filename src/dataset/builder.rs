//! Collecting a definition, until [`super::check`] judges it. What a field means and its default stand at its method.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Digest;
use crate::canonical::Value;
use crate::closed::ClosedTimes;
use crate::dataset::check::Invalid;
use crate::dataset::definition::{Dataset, Input, NamedFunction, Resources, Source, TIME_COLUMN};
use crate::dataset::function::Body;
use crate::error::{Error, Result, shortened};
use crate::interval::Split;

/// Collects a [`Dataset`]. Nothing is judged before [`DatasetBuilder::build`]; what is given twice under one name counts as given last.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct DatasetBuilder {
    pub(super) name: String,
    /// Empty where a function makes the partitions.
    pub(super) command: Vec<String>,
    pub(super) function: Option<NamedFunction>,
    pub(super) base_dir: Option<PathBuf>,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) inputs: BTreeMap<String, Input>,
    pub(super) upstream: BTreeMap<String, Source>,
    pub(super) config: BTreeMap<String, Value>,
    pub(super) unkeyed: BTreeMap<String, Value>,
    pub(super) files: BTreeMap<String, Value>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) version: Option<String>,
    pub(super) split: Split,
    pub(super) time_column: String,
    pub(super) closed: ClosedTimes,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) retry_delay: Duration,
    pub(super) empty_exit_codes: Vec<i64>,
    pub(super) snapshot_program: bool,
    pub(super) resources: Resources,
    pub(super) cluster_resources: BTreeMap<String, f64>,
}

impl DatasetBuilder {
    pub(super) fn new(name: String, command: Vec<String>, function: Option<NamedFunction>) -> Self {
        Self {
            name,
            command,
            function,
            base_dir: None,
            outputs: BTreeMap::new(),
            inputs: BTreeMap::new(),
            upstream: BTreeMap::new(),
            config: BTreeMap::new(),
            unkeyed: BTreeMap::new(),
            files: BTreeMap::new(),
            environment: BTreeMap::new(),
            version: None,
            split: Split::default(),
            time_column: TIME_COLUMN.to_owned(),
            closed: ClosedTimes::default(),
            timeout: None,
            retries: 0,
            retry_delay: Duration::from_secs(1),
            empty_exit_codes: Vec::new(),
            snapshot_program: false,
            resources: Resources::default(),
            cluster_resources: BTreeMap::new(),
        }
    }

    pub(super) fn of_function(name: String, known_as: String, version: String, body: Body) -> Self {
        Self::new(name, Vec::new(), Some(NamedFunction { name: known_as, source: None, body })).version(version)
    }

    /// The name under which the key knows the function of [`Dataset::function`]; the dataset's own by default. With a name of its own a function keeps
    /// what is cached when its dataset is renamed, and two datasets may share it.
    pub fn function_name(mut self, name: impl Into<String>) -> Self {
        if let Some(function) = &mut self.function {
            function.name = name.into();
        }
        self
    }

    /// A digest of the source of the function of [`Dataset::function`], where the language that it is written in can tell it. It is not in the key, which
    /// the declared version stands in; it is remembered beside each entry, as [`Provenance::program_digest`](crate::Provenance::program_digest), so that
    /// whoever defines the function can tell that what is cached was made by another source under the same version.
    pub fn function_source(mut self, source: Digest) -> Self {
        if let Some(function) = &mut self.function {
            function.source = Some(source);
        }
        self
    }

    /// Derives the dataset from another one, which it reads under that one's name: see [`DatasetBuilder::upstream_as`].
    pub fn upstream(self, dataset: &Dataset) -> Self {
        self.upstream_as(dataset.name(), dataset)
    }

    /// Derives the dataset from another one: every partition is made from that one's entries for the same instrument and interval. A function reads them
    /// by [`Job::upstream`](crate::Job::upstream), a command is told their files by `{upstream.NAME.OUTPUT}`.
    ///
    /// The name and the content of all outputs are in the key: an upstream that is made again with the same bytes changes nothing. One of the two splits
    /// must divide the other, with cuts in the same places.
    pub fn upstream_as(self, name: impl Into<String>, dataset: &Dataset) -> Self {
        self.upstream_outputs(name, dataset, dataset.outputs().map(|(output, _)| output))
    }

    /// As [`DatasetBuilder::upstream_as`], reading only some of that one's outputs: the others may change without a new address.
    pub fn upstream_outputs(mut self, name: impl Into<String>, dataset: &Dataset, outputs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let outputs = outputs.into_iter().map(Into::into).collect();
        self.upstream.insert(name.into(), Source { dataset: dataset.clone(), outputs });
        self
    }

    /// The column of its tables that holds a row's time: frames are trimmed by it where partitions reach beyond a request. Default: `ts`.
    pub fn time_column(mut self, name: impl Into<String>) -> Self {
        self.time_column = name.into();
        self
    }

    /// When it has no data by design: what of its coverage is then not missing. Loads do not ask. Not in the key.
    pub fn closed(mut self, closed: ClosedTimes) -> Self {
        self.closed = closed;
        self
    }

    /// The directory that relative programs and inputs are relative to. Default: the current directory when it is built.
    pub fn base_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.base_dir = Some(path.into());
        self
    }

    /// An output: the name that requests use, and the name of the file that the generator leaves in its work directory. `{output.NAME}` is its path.
    pub fn output(mut self, name: impl Into<String>, file_name: impl Into<String>) -> Self {
        self.outputs.insert(name.into(), file_name.into());
        self
    }

    /// How an interval is cut. Default: 12 hours on the UTC grid.
    pub fn split(mut self, split: Split) -> Self {
        self.split = split;
        self
    }

    /// How long one attempt may take, more than zero. Default: as long as it will.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often a failed attempt is repeated. Default: never.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The pause before the first repetition. Default: one second.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// Exit statuses, 1 to 255, that say "no data in this interval". Default: none.
    pub fn empty_exit_codes(mut self, codes: impl IntoIterator<Item = impl Into<i64>>) -> Self {
        self.empty_exit_codes = codes.into_iter().map(Into::into).collect();
        self
    }

    /// Whether to run a copy of the program that is kept by digest, so that a rebuild cannot disturb a running export. Default: no.
    pub fn snapshot_program(mut self, snapshot: bool) -> Self {
        self.snapshot_program = snapshot;
        self
    }

    /// A version that stands in the key, beside the program's file name, in place of the program's digest: the program may then be rebuilt without a
    /// new address, and whoever changes what it does must change the version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// A configuration value: in the key, and in templates as `{config.NAME}`.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }

    /// For a command: a file that is rendered to JSON in the work directory before each run: texts in it are templates, and one that is a single placeholder keeps
    /// the type of its value. `{file.NAME}` is its path.
    pub fn file(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.files.insert(name.into(), value.into());
        self
    }

    /// A file that the generator reads: in the key as its [`Fingerprint`](crate::Fingerprint) says. `{input.NAME}` is its path.
    pub fn input(mut self, name: impl Into<String>, input: impl Into<Input>) -> Self {
        self.inputs.insert(name.into(), input.into());
        self
    }

    /// For a command: an environment variable that is set for it, its value a template. In the key.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// A value that templates may use as `{unkeyed.NAME}`, functions by [`Job::unkeyed`](crate::Job::unkeyed), and that is not in the key, such as verbosity.
    pub fn unkeyed(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.unkeyed.insert(name.into(), value.into());
        self
    }

    /// What one run takes. Default: nothing that counts.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// How much one run takes of something that nodes of a cluster have by a name of their own, such as `gpu_node`: it runs only on nodes that have that
    /// much. More than zero. Counts for nothing on a single machine, and is not in the key.
    pub fn cluster_resource(mut self, name: impl Into<String>, amount: f64) -> Self {
        self.cluster_resources.insert(name.into(), amount);
        self
    }

    /// Checks everything that can be checked without looking at files.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`], naming what is wrong, where it stands and what would be right; [`Error::Io`] where the current directory is needed
    /// and gone.
    pub fn build(self) -> Result<Dataset> {
        let name = self.name.clone();
        let base_dir = self.base_dir.clone().unwrap_or_default();
        let base_dir = std::path::absolute(if base_dir.as_os_str().is_empty() { Path::new(".") } else { &base_dir })
            .map_err(Error::io("find the current directory for", &base_dir))?;
        self.check(base_dir).map_err(|Invalid { site, message }| Error::InvalidDataset {
            dataset: shortened(&name).escape_debug().to_string(),
            message: site.before(message),
        })
    }
}
