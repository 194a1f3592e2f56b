//! A load foreseen: what it would find, what it would generate and what that would take, without doing anything.
//!
//! A load is planned as it always is, but that nothing is leased and no index is opened, so that nothing is written. What is to be generated is
//! expected to take what [`history`](super::history) tells of it, and all of it together what [`timing`](super::timing) makes of that.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::address::Address;
use crate::dataset::{Dataset, GeneratorId};
use crate::error::Result;
use crate::failure::FailureClass;
use crate::inspect::again::{Again, again_at};
use crate::inspect::history::{History, HistoryOf};
use crate::inspect::timing::{Capacity, Run, together};
use crate::instrument::Instrument;
use crate::interval::{Align, Interval, Time};
use crate::load::{Absent, Foreseen, Load, Node, OnFailure, Plan, Stage, State};
use crate::store::{FailureRecord, Inventory, Site, neighbours_in};

/// What a load would do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DryRun {
    /// Every partition that was requested, in request order.
    pub partitions: Vec<Foreseeable>,
    /// Partitions that were not requested and that the load would have to do with because requested ones are derived from them: those that it would
    /// generate, and those whose failure is known and not tried again.
    pub upstream: Vec<Foreseeable>,
    /// How many generators would run at once.
    pub workers: usize,
    /// How long all that is generated would take those together, in seconds: the partitions without any history left out. `None` where none has any.
    pub seconds: Option<f64>,
    /// How many bytes that would bring into the store at most: what has the bytes of an artifact that is there takes none. `None` as above.
    pub bytes: Option<u64>,
    /// How much is free on the disk that the store lies on, or would lie on, in bytes.
    pub free_bytes: u64,
    /// What would end the load before its end, if anything that is known would.
    pub stop: Option<Stop>,
    /// Why partitions are generated that were there under other keys, one for each dataset.
    pub again: Vec<Again>,
    /// Datasets that the load does not ask for, and that are derived from what it would generate.
    pub followers: Vec<Follower>,
}

/// A partition, and what is expected to become of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Foreseeable {
    /// The dataset's name.
    pub dataset: Arc<str>,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// Where its entry is, or would be. `None` for a derived partition whose upstream is not there.
    pub address: Option<Address>,
    /// What becomes of it.
    pub expected: Expected,
    /// How it failed before, where it did since it was last generated.
    pub failed_before: Option<KnownFailure>,
    /// What generating it would take, where it is generated and there is any history.
    pub takes: Option<Takes>,
}

/// What is expected to become of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// It is in the store.
    Hit,
    /// It is in the store: its generator said that there is no data.
    Empty,
    /// It would be generated.
    Generate {
        /// Although it is there.
        refresh: bool,
    },
    /// It is derived from what would be generated, and would follow; unless all of that came out as it was before.
    Follow,
    /// It failed before, and would not be tried again.
    Failed,
    /// It is derived from what failed before and would not be tried again.
    Lost,
    /// It would be left out.
    Missing {
        /// Why, where there is more to say than that it is not there.
        reason: Option<String>,
    },
}

impl Expected {
    /// In a word: `hit`, `empty`, `generate`, `follow`, `failed` (for what is lost, too) or `missing`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Expected::Hit => "hit",
            Expected::Empty => "empty",
            Expected::Generate { .. } => "generate",
            Expected::Follow => "follow",
            Expected::Failed | Expected::Lost => "failed",
            Expected::Missing { .. } => "missing",
        }
    }

    fn runs(&self) -> bool {
        matches!(self, Expected::Generate { .. } | Expected::Follow)
    }
}

/// A failure on record, without its log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownFailure {
    /// How many loads failed on it.
    pub count: u32,
    /// When the last did.
    pub last: Time,
    /// What kind of failure the last one was.
    pub class: FailureClass,
    /// What happened then.
    pub message: String,
}

impl KnownFailure {
    fn of(record: FailureRecord) -> Self {
        Self { count: record.count, last: record.last, class: record.failure.class, message: record.failure.message }
    }
}

/// What a partition is expected to take.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Takes {
    /// How long its generator would run, in seconds.
    pub seconds: f64,
    /// How many bytes its outputs would have.
    pub bytes: u64,
    /// What that is taken from.
    pub history: HistoryOf,
}

/// What ends a load before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// Partitions are missing and the policy is to fail then: nothing would be generated.
    Missing,
    /// A failure is known and not tried again, and the policy is to fail then: what is generated before it would be kept.
    Failure,
}

/// A dataset that is derived from what a load would generate, and that the load does not ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Follower {
    /// Its name.
    pub dataset: String,
    /// What it is derived from that would be generated, or would follow, in order of the names.
    pub upstream: Vec<String>,
    /// How many of its partitions are derived from that.
    pub partitions: usize,
    /// How many of those are in the store at present, under whatever key.
    pub made: usize,
}

/// What becomes of one dataset's partitions.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DatasetForecast {
    /// Its name.
    pub dataset: Arc<str>,
    /// Whether these were not requested, and only others are derived from them.
    pub upstream: bool,
    /// In the store, with data.
    pub hit: usize,
    /// In the store, without data.
    pub empty: usize,
    /// To be generated.
    pub generate: usize,
    /// Of those: there already, and generated anew.
    pub refresh: usize,
    /// Of those: failed before.
    pub failed_before: usize,
    /// To be derived from what is generated.
    pub follow: usize,
    /// Failed before, or derived from what did, and not tried again.
    pub failed: usize,
    /// Left out.
    pub missing: usize,
    /// How long generating would take one worker, in seconds, where there is any history.
    pub seconds: Option<f64>,
    /// How many bytes it would bring, where there is any history.
    pub bytes: Option<u64>,
    /// Partitions to be generated of which there is no history.
    pub without_history: usize,
    /// What the rest is taken from: of all its partitions, what is least like them.
    pub history: Option<HistoryOf>,
}

impl DryRun {
    /// How much would be free on the disk afterwards, in bytes; negative where it would not be enough. `None` where nothing tells what comes.
    pub fn free_bytes_after(&self) -> Option<i128> {
        self.bytes.map(|bytes| i128::from(self.free_bytes) - i128::from(bytes))
    }

    /// All that would be generated: what was not there, what is refreshed, and what follows.
    pub fn generated(&self) -> usize {
        self.each_once().filter(|partition| partition.expected.runs()).count()
    }

    /// How many of those have no history.
    pub fn without_history(&self) -> usize {
        self.each_once().filter(|partition| partition.expected.runs() && partition.takes.is_none()).count()
    }

    /// The sums by dataset, in the order in which they come; what was not requested behind what was. What was requested twice counts as a load counts it:
    /// generated once, and a hit then.
    pub fn by_dataset(&self) -> Vec<DatasetForecast> {
        let mut sums: Vec<DatasetForecast> = Vec::new();
        let mut seen = HashSet::new();
        for (upstream, partition) in self.partitions.iter().map(|one| (false, one)).chain(self.upstream.iter().map(|one| (true, one))) {
            let nth = sums.iter().position(|sum| sum.dataset == partition.dataset && sum.upstream == upstream).unwrap_or_else(|| {
                sums.push(DatasetForecast { dataset: Arc::clone(&partition.dataset), upstream, ..DatasetForecast::default() });
                sums.len() - 1
            });
            sums[nth].count(partition, seen.insert(place(partition)));
        }
        sums
    }

    /// Everything that the load has to do with, without what was requested twice.
    fn each_once(&self) -> impl Iterator<Item = &Foreseeable> {
        let mut seen = HashSet::new();
        self.partitions.iter().chain(&self.upstream).filter(move |partition| seen.insert(place(partition)))
    }
}

fn place(partition: &Foreseeable) -> (&Arc<str>, &Instrument, Interval, Option<Address>) {
    (&partition.dataset, &partition.instrument, partition.interval, partition.address)
}

impl DatasetForecast {
    fn count(&mut self, partition: &Foreseeable, first: bool) {
        match &partition.expected {
            Expected::Hit => self.hit += 1,
            Expected::Empty => self.empty += 1,
            Expected::Generate { .. } | Expected::Follow if !first => self.hit += 1,
            Expected::Generate { refresh } => {
                self.generate += 1;
                self.refresh += usize::from(*refresh);
                self.failed_before += usize::from(partition.failed_before.is_some());
            }
            Expected::Follow => self.follow += 1,
            Expected::Failed | Expected::Lost => self.failed += 1,
            Expected::Missing { .. } => self.missing += 1,
        }
        match partition.takes {
            _ if !first || !partition.expected.runs() => {}
            Some(Takes { seconds, bytes, history }) => {
                *self.seconds.get_or_insert(0.0) += seconds;
                *self.bytes.get_or_insert(0) += bytes;
                self.history = self.history.max(Some(history));
            }
            None => self.without_history += 1,
        }
    }
}

/// Foresees a load: generates nothing, hands out nothing and writes nothing, not even where the store is only
/// [imagined](crate::Store::open_or_imagine). `known` are the datasets that may be derived from what would be generated, such as all of a dataset file.
///
/// ```no_run
/// # fn main() -> tickbarn::Result<()> {
/// use tickbarn::{DatasetFile, Interval, Store, inspect};
///
/// let file = DatasetFile::read("tickbarn.toml")?;
/// let store = Store::open_or_imagine("barn")?;
/// let load = store.load().request(file.dataset("md")?, &"binance/BTC-USDT".parse()?, Interval::parse("2024-01-01", "2024-02-01")?);
/// let foreseen = inspect::dry_run(load, file.datasets())?;
/// println!("{} partitions, {:?} s", foreseen.generated(), foreseen.seconds);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As awaiting the load, before it generates anything; but that what the policy would refuse or give up is a [`Stop`] here.
pub fn dry_run(load: Load, known: &[Dataset]) -> Result<DryRun> {
    let Foreseen { store, plan, policy, workers, cpus, memory_bytes } = load.foresee()?;
    let now = Time::now();
    let mut expected = Vec::with_capacity(plan.nodes.len());
    let mut failures = HashMap::new();
    for (nth, node) in plan.nodes.iter().enumerate() {
        let failure = match &node.stage {
            Stage::Known(target) if plan.is_in_motion(node) => store.failure(&target.address)?,
            _ => None,
        };
        let given_up = failure.as_ref().is_some_and(|record| !policy.tries_again(record, now));
        expected.push(if given_up { Expected::Failed } else { expect(&plan, node, &expected) });
        failures.extend(failure.map(|record| (nth, KnownFailure::of(record))));
    }

    let going: Vec<usize> = (0..plan.nodes.len()).filter(|nth| expected[*nth].runs()).collect();
    // Where nothing is generated, nobody asks what there is.
    let inventory = if going.is_empty() { Inventory::default() } else { store.survey()? };
    let takes = takes_of(&plan, &going, &inventory);
    let runs = runs_of(&plan, &going, &takes);
    let none = going.is_empty();
    let absent: Vec<Absent<'_>> = plan.absent().filter(|(nth, _)| expected[*nth].runs()).map(|(_, absent)| absent).collect();

    let foreseeable = |nth: usize| {
        let node = &plan.nodes[nth];
        Foreseeable {
            dataset: Arc::clone(&plan.names[node.generator]),
            instrument: node.instrument.clone(),
            interval: node.interval,
            address: match &node.stage {
                Stage::Known(target) => Some(target.address),
                Stage::Waiting | Stage::Blocked(_) => None,
            },
            expected: expected[nth].clone(),
            failed_before: failures.get(&nth).cloned(),
            takes: takes.get(&nth).copied(),
        }
    };
    let partitions: Vec<Foreseeable> = plan.requested.iter().map(|requested| foreseeable(requested.node)).collect();
    let moves = |nth: &usize| !plan.nodes[*nth].requested && plan.is_in_motion(&plan.nodes[*nth]);
    let missing = partitions.iter().any(|partition| matches!(partition.expected, Expected::Missing { .. }));
    let failed = expected.contains(&Expected::Failed);
    Ok(DryRun {
        upstream: (0..plan.nodes.len()).filter(moves).map(foreseeable).collect(),
        workers,
        seconds: (none || !takes.is_empty()).then(|| together(&runs, Capacity { workers, cpus, memory_bytes })),
        bytes: (none || !takes.is_empty()).then(|| takes.values().map(|takes| takes.bytes).sum()),
        free_bytes: free_bytes(store.path()),
        stop: match (missing && policy.refuses_missing(), failed && policy.failure == OnFailure::Fail) {
            (true, _) => Some(Stop::Missing),
            (_, true) => Some(Stop::Failure),
            _ => None,
        },
        again: again_at(&store, &absent, |sites| Ok(neighbours_in(&inventory, sites)))?,
        followers: followers(&plan, &going, known, &inventory)?,
        partitions,
    })
}

/// What becomes of a partition that no failure keeps from it; `expected` says it of all that it is derived from.
fn expect(plan: &Plan, node: &Node, expected: &[Expected]) -> Expected {
    let lacks = |upstream: &usize| matches!(expected[*upstream], Expected::Failed | Expected::Lost);
    match &node.stage {
        Stage::Known(target) => match &target.state {
            State::Usable(_) if plan.is_in_motion(node) => Expected::Generate { refresh: true },
            State::Usable(entry) if entry.empty.is_some() => Expected::Empty,
            State::Usable(_) => Expected::Hit,
            State::Missing(_) if plan.is_in_motion(node) => Expected::Generate { refresh: false },
            State::Missing(reason) => Expected::Missing { reason: reason.clone() },
        },
        Stage::Waiting if node.upstream.iter().flatten().any(lacks) => Expected::Lost,
        Stage::Waiting => Expected::Follow,
        Stage::Blocked(reason) => Expected::Missing { reason: Some(reason.clone()) },
    }
}

/// What each of these nodes takes, where there is any history.
fn takes_of(plan: &Plan, going: &[usize], inventory: &Inventory) -> HashMap<usize, Takes> {
    let generator = |nth: usize| plan.generators[plan.nodes[nth].generator].identified().identity().id();
    let generators: HashSet<GeneratorId> = going.iter().map(|nth| generator(*nth)).collect();
    let names: HashSet<Arc<str>> = going.iter().map(|nth| Arc::clone(&plan.names[plan.nodes[*nth].generator])).collect();
    let history = History::of(inventory, &generators, &names);
    let takes = |nth: &usize| {
        let Node { generator: place, instrument, interval, .. } = &plan.nodes[*nth];
        let expectation = history.expect(generator(*nth), &plan.names[*place], instrument, *interval)?;
        Some((*nth, Takes { seconds: expectation.seconds, bytes: expectation.bytes.round() as u64, history: expectation.of }))
    };
    going.iter().filter_map(takes).collect()
}

/// The same as runs that wait for each other. What has no history takes no time.
fn runs_of(plan: &Plan, going: &[usize], takes: &HashMap<usize, Takes>) -> Vec<Run> {
    let places: HashMap<usize, usize> = going.iter().copied().zip(0..).collect();
    let run = |nth: &usize| {
        let node = &plan.nodes[*nth];
        let resources = plan.generators[node.generator].dataset().resources();
        let after: BTreeSet<usize> = node.upstream.iter().flatten().filter_map(|upstream| places.get(upstream).copied()).collect();
        Run {
            seconds: takes.get(nth).map_or(0.0, |takes| takes.seconds),
            cpus: resources.cpus,
            memory_bytes: resources.memory_bytes,
            after: after.into_iter().collect(),
        }
    };
    going.iter().map(run).collect()
}

/// The datasets that are derived from what is generated, as far as they are known and the load does not ask for them.
fn followers(plan: &Plan, going: &[usize], known: &[Dataset], inventory: &Inventory) -> Result<Vec<Follower>> {
    type Places = BTreeSet<(Instrument, Interval)>;
    let mut moving: HashMap<usize, Places> = HashMap::new();
    for node in going.iter().map(|nth| &plan.nodes[*nth]) {
        let definition = plan.generators[node.generator].dataset().definition_id();
        moving.entry(definition).or_default().insert((node.instrument.clone(), node.interval));
    }
    let in_plan: HashSet<usize> = plan.generators.iter().map(|generator| generator.dataset().definition_id()).collect();
    let mut others: Vec<&Dataset> = known.iter().filter(|dataset| !in_plan.contains(&dataset.definition_id())).collect();
    // What others are derived from comes before them.
    others.sort_by_key(|dataset| dataset.depth());
    let mut followers = Vec::new();
    for dataset in others {
        let mut places = Places::new();
        let mut upstream = BTreeSet::new();
        for (_, source) in dataset.upstream() {
            for (instrument, interval) in moving.get(&source.definition_id()).into_iter().flatten() {
                upstream.insert(source.name().to_owned());
                for cell in dataset.split().aligned(Align::Cover).partitions(*interval)? {
                    places.insert((instrument.clone(), cell));
                }
            }
        }
        if places.is_empty() {
            continue;
        }
        followers.push(Follower {
            dataset: dataset.name().to_owned(),
            upstream: upstream.into_iter().collect(),
            partitions: places.len(),
            made: made(dataset, &places, inventory)?,
        });
        moving.insert(dataset.definition_id(), places);
    }
    Ok(followers)
}

/// How many of some partitions are in the store, under whatever key.
fn made(dataset: &Dataset, places: &BTreeSet<(Instrument, Interval)>, inventory: &Inventory) -> Result<usize> {
    let mut ends: BTreeMap<&Instrument, (Time, Time)> = BTreeMap::new();
    for (instrument, interval) in places {
        let (first, last) = ends.entry(instrument).or_insert((interval.start(), interval.end()));
        (*first, *last) = ((*first).min(interval.start()), (*last).max(interval.end()));
    }
    let site = |(instrument, (first, last)): (&&Instrument, &(Time, Time))| {
        Ok(Site { dataset: dataset.name().into(), instrument: (*instrument).clone(), starts: Interval::new(*first, *last)? })
    };
    let sites = ends.iter().map(site).collect::<Result<Vec<_>>>()?;
    let mut made = 0;
    for (instrument, found) in ends.keys().zip(neighbours_in(inventory, &sites)) {
        let intervals: BTreeSet<Interval> = found.into_iter().map(|neighbour| neighbour.interval).collect();
        made += intervals.into_iter().filter(|interval| places.contains(&((*instrument).clone(), *interval))).count();
    }
    Ok(made)
}

/// What is free on the disk that a path lies on, or would lie on, in bytes; zero where nobody knows.
fn free_bytes(path: &Path) -> u64 {
    let disk = path.ancestors().find_map(|path| rustix::fs::statvfs(path).ok());
    disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}
