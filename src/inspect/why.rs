//! Why a partition is generated: what the store has at its place, and in what the keys there differ from its own.
//!
//! Everything is read from manifests and records of failures: nothing runs, and nothing had to be logged before. Nothing is written, and nothing of what
//! is looked at is leased.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::canonical::Value;
use crate::dataset::{Dataset, Key, Upstreams};
use crate::error::{Error, Result};
use crate::inspect::difference::{Difference, Side, differences};
use crate::inspect::nearest::{About, Sources, add_reasons, addresses_of, canonical_value, known_files, known_program, nearest, read_canonical};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::load::{OnMissing, Plan, Policy, Request, Stage, State, made_too_early};
use crate::store::{Empty, Entry, FailureRecord, Found, Manifest, Store, Wanted};

/// What the store knows of one partition, and why it is, or would be, generated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Why {
    /// The dataset's name; of an entry, the one under which it was generated.
    pub dataset: String,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// Where its entry is, or would be. `None` for a derived partition whose upstream is not there.
    pub address: Option<Address>,
    /// Whether it is there.
    pub standing: Standing,
    /// How it failed since it was last generated.
    pub failure: Option<FailureRecord>,
    /// Entries of the same dataset and instrument that overlap the partition under other keys, the nearest first, five at most: of the same interval
    /// before others, made before it before those made later, then by how little they differ and how young they are.
    pub nearest: Vec<Neighbour>,
    /// How many more of those there are.
    pub others: usize,
}

/// Whether a partition is in the store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Standing {
    /// It is, and would not be generated.
    Usable(Generated),
    /// There is an entry under its key, which counts as missing.
    Unusable {
        /// How it came to be, where that can still be read.
        generated: Option<Generated>,
        /// Why it counts as missing.
        reason: String,
    },
    /// It is not.
    Absent,
    /// It is derived from partitions that are not there, so that it has no address yet: the nearest are compared with it as far as its key is known.
    Blocked {
        /// What is missing, in the order in which it would be generated.
        missing: Vec<MissingUpstream>,
    },
}

/// How an entry came to be.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Generated {
    /// When its generator was started.
    pub started: Time,
    /// How long that ran, in seconds.
    pub seconds: f64,
    /// Whether it said that there is no data.
    pub empty: Option<Empty>,
}

impl Generated {
    fn of_entry(entry: &Entry) -> Self {
        Self { started: entry.started, seconds: entry.seconds.into(), empty: entry.empty }
    }

    pub(super) fn of_manifest(manifest: &Manifest) -> Self {
        let provenance = &manifest.provenance;
        Self { started: provenance.started, seconds: provenance.duration.as_secs_f64(), empty: manifest.empty }
    }

    /// When it was done.
    pub fn finished(&self) -> Time {
        let ran = Duration::try_from_secs_f64(self.seconds).unwrap_or_default();
        Time::from_ns(self.started.ns().saturating_add(i64::try_from(ran.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// A partition that another one is derived from, and that is not there.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MissingUpstream {
    /// The dataset's name.
    pub dataset: Arc<str>,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// Where its entry would be, where that is known.
    pub address: Option<Address>,
    /// Why it counts as missing, where there is more to say than that.
    pub reason: Option<String>,
}

/// An entry at the place of a partition, under another key.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Neighbour {
    /// Its address.
    pub address: Address,
    /// Its interval, which overlaps that of the partition.
    pub interval: Interval,
    /// How it came to be.
    pub generated: Generated,
    /// In what the keys differ: its own is the first.
    pub differences: Vec<Difference>,
}

/// Two entries, or failures, compared.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Compared {
    /// The first.
    pub before: ComparedAddress,
    /// The second.
    pub after: ComparedAddress,
    /// In what their keys differ. None where they are one.
    pub differences: Vec<Difference>,
}

/// What the store has under an address.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ComparedAddress {
    /// The address.
    pub address: Address,
    /// The dataset's name when it was generated, or failed.
    pub dataset: String,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// How its entry came to be, where there is one.
    pub generated: Option<Generated>,
    /// How it failed since then.
    pub failure: Option<FailureRecord>,
}

/// Why one partition of a dataset is, or would be, generated. Where the dataset cuts the interval into several, the first is meant.
///
/// ```no_run
/// # fn main() -> tickbarn::Result<()> {
/// let file = tickbarn::DatasetFile::read("tickbarn.toml")?;
/// let md = file.dataset("md")?;
/// let store = tickbarn::Store::open_existing("barn")?;
/// let why = tickbarn::inspect::why(&store, md, &"binance/BTC-USDT".parse()?, md.split().cell_at("2024-01-01".parse()?)?)?;
/// for difference in why.nearest.iter().flat_map(|nearest| &nearest.differences) {
///     println!("{difference}"); // config.orderbook_levels 40 → 20
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::InvalidDataset`] where the program or an input cannot be found, [`Error::Io`] where they or the store cannot be read.
pub fn why(store: &Store, dataset: &Dataset, instrument: &Instrument, interval: Interval) -> Result<Why> {
    let request = Request { dataset: dataset.clone(), instrument: instrument.clone(), interval };
    // Nothing is on its way: what is missing is missing, all the way up.
    let policy = Policy { missing: OnMissing::Skip, ..Policy::default() };
    let plan = Plan::make(store, &[request], policy, Store::peek)?;
    let nth = plan.requested.first().map(|requested| requested.node).ok_or_else(|| Error::Internal { what: "cutting an interval".to_owned() })?;
    let node = &plan.nodes[nth];
    let identified = plan.generators[node.generator].identified();
    let (program, inputs) = known_files(dataset, identified);
    let mut about = About {
        dataset: dataset.name(),
        instrument,
        interval: node.interval,
        address: None,
        made: None,
        key: Value::Null,
        partial: false,
        program,
        program_path: identified.program(),
        inputs,
        upstream: BTreeMap::new(),
    };
    let mut standing = Standing::Absent;
    match &node.stage {
        Stage::Known(target) => {
            about.address = Some(target.address);
            about.key = canonical_value(&target.key)?;
            about.upstream = addresses_of(&target.upstream);
            match &target.state {
                State::Usable(entry) => standing = Standing::Usable(Generated::of_entry(entry)),
                State::Missing(Some(reason)) => standing = unusable(store, &target.address, reason.clone()),
                State::Missing(None) => {}
            }
        }
        Stage::Waiting | Stage::Blocked(_) => {
            about.partial = true;
            about.key = canonical_value(&Key::new(Arc::clone(identified.identity()), instrument.clone(), node.interval, &Upstreams::new())?)?;
            standing = Standing::Blocked { missing: missing_upstream(&plan, nth) };
        }
    }
    let failure = about.address.map(|address| store.failure(&address)).transpose()?.flatten();
    let (nearest, others) = nearest(store, &about)?;
    Ok(Why {
        dataset: dataset.name().to_owned(),
        instrument: instrument.clone(),
        interval: node.interval,
        address: about.address,
        standing,
        failure,
        nearest,
        others,
    })
}

/// Why what the store has under an address was generated: an entry, or a record of a failure.
///
/// # Errors
/// [`Error::UnknownAddress`] where it has neither, [`Error::Damaged`] where the manifest fails its check, [`Error::Io`].
pub fn why_entry(store: &Store, address: &Address) -> Result<Why> {
    let Looked { subject: ComparedAddress { dataset, instrument, interval, generated, failure, .. }, key, manifest } = look(store, address)?;
    let standing = match (&manifest, generated) {
        (Some(manifest), Some(generated)) => {
            let wanted = Wanted { generator: manifest.key.generator(), instrument: instrument.clone(), interval, address: *address };
            match store.peek(&[wanted])?.pop() {
                Some(Found::Entry(entry)) => match made_too_early(&entry, interval) {
                    None => Standing::Usable(generated),
                    Some(reason) => Standing::Unusable { generated: Some(generated), reason },
                },
                Some(Found::Damaged(problem)) => Standing::Unusable { generated: Some(generated), reason: format!("damaged: {problem}") },
                Some(Found::Absent) | None => Standing::Absent,
            }
        }
        _ => Standing::Absent,
    };
    let (nearest, others) = nearest(
        store,
        &About {
            dataset: &dataset,
            instrument: &instrument,
            interval,
            address: Some(*address),
            made: generated.map(|generated| generated.started),
            key,
            partial: false,
            program: manifest.as_ref().and_then(|manifest| known_program(store, manifest, None)),
            program_path: None,
            inputs: BTreeMap::new(),
            upstream: manifest.map(|manifest| manifest.provenance.upstream).unwrap_or_default(),
        },
    )?;
    Ok(Why { dataset, instrument, interval, address: Some(*address), standing, failure, nearest, others })
}

/// In what the keys of two entries, or failures, differ, wherever they are.
///
/// # Errors
/// As [`why_entry`].
pub fn compare(store: &Store, before: &Address, after: &Address) -> Result<Compared> {
    let (before, after) = (look(store, before)?, look(store, after)?);
    let program = |looked: &Looked| looked.manifest.as_ref().and_then(|manifest| known_program(store, manifest, None));
    let (old_program, new_program) = (program(&before), program(&after));
    let mut differences = differences(
        Side { program: old_program.as_ref(), ..Side::bare(&before.key) },
        Side { program: new_program.as_ref(), ..Side::bare(&after.key) },
    );
    add_reasons(store, &mut differences, before.sources(), after.sources(), 0)?;
    Ok(Compared { before: before.subject, after: after.subject, differences })
}

/// What the store has under an address, with its key.
struct Looked {
    subject: ComparedAddress,
    key: Value,
    manifest: Option<Manifest>,
}

impl Looked {
    fn sources(&self) -> Sources<'_> {
        static NONE: BTreeMap<String, Vec<Address>> = BTreeMap::new();
        Sources { key: &self.key, addresses: self.manifest.as_ref().map_or(&NONE, |manifest| &manifest.provenance.upstream) }
    }
}

fn look(store: &Store, address: &Address) -> Result<Looked> {
    let failure = store.failure(address)?;
    match (store.manifest(address)?, failure) {
        (Some(manifest), failure) => Ok(Looked {
            subject: ComparedAddress {
                address: *address,
                dataset: manifest.dataset.clone(),
                instrument: manifest.instrument().clone(),
                interval: manifest.interval(),
                generated: Some(Generated::of_manifest(&manifest)),
                failure,
            },
            key: manifest.key().clone(),
            manifest: Some(manifest),
        }),
        (None, Some(record)) => Ok(Looked {
            subject: ComparedAddress {
                address: *address,
                dataset: record.dataset.clone(),
                instrument: record.instrument.clone(),
                interval: record.interval,
                generated: None,
                failure: Some(record.clone()),
            },
            key: record.key.canonical().and_then(|text| read_canonical(&text))?,
            manifest: None,
        }),
        (None, None) => Err(Error::UnknownAddress { prefix: address.to_string(), store: store.path().to_path_buf() }),
    }
}

/// What keeps an entry from answering, with how that came to be where it can still be read.
fn unusable(store: &Store, address: &Address, reason: String) -> Standing {
    let generated = store.manifest(address).ok().flatten().map(|manifest| Generated::of_manifest(&manifest));
    Standing::Unusable { generated, reason }
}

/// The partitions without which one has no address, in the order in which they would be generated.
fn missing_upstream(plan: &Plan, nth: usize) -> Vec<MissingUpstream> {
    let mut needed = vec![false; plan.nodes.len()];
    let mut waiting = vec![nth];
    while let Some(nth) = waiting.pop() {
        for upstream in plan.nodes[nth].upstream.iter().flatten() {
            if !std::mem::replace(&mut needed[*upstream], true) {
                waiting.push(*upstream);
            }
        }
    }
    let mut missing = Vec::new();
    for (_, node) in needed.iter().zip(&plan.nodes).filter(|(needed, _)| **needed) {
        let (address, reason) = match &node.stage {
            Stage::Known(target) => match &target.state {
                State::Usable(_) => continue,
                State::Missing(reason) => (Some(target.address), reason.clone()),
            },
            Stage::Waiting | Stage::Blocked(_) => (None, None),
        };
        let dataset = Arc::clone(&plan.names[node.generator]);
        missing.push(MissingUpstream { dataset, instrument: node.instrument.clone(), interval: node.interval, address, reason });
    }
    missing
}
