//! From requests to partitions with their addresses, and what the store has of them. Decides nothing that costs more than a look.
//!
//! A plan is a graph: a partition that is derived from others has them as nodes before it, requested or not. The address of a derived partition holds
//! the content of what it reads, so it is known only once all of that is there; where something of it is still to be generated, its node waits.

use std::collections::HashMap;
use std::sync::Arc;

use crate::address::Address;
use crate::dataset::{Dataset, GeneratorId, Key, Upstream, UpstreamPartition, Upstreams};
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::load::policy::{OnMissing, Policy};
use crate::load::progress::{Absent, Place};
use crate::runner::{self, Runner};
use crate::store::{Empty, Entry, Found, Store, Wanted};

/// One instrument over one interval of one dataset.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) dataset: Dataset,
    pub(crate) instrument: Instrument,
    pub(crate) interval: Interval,
}

/// Everything a load knows before it generates anything.
pub(crate) struct Plan {
    /// The generators of the datasets that were asked for, and of those they are derived from.
    pub(crate) generators: Vec<Generator>,
    /// Their datasets' names.
    pub(crate) names: Vec<Arc<str>>,
    /// What they are, together with all that they are derived from.
    pub(crate) lineages: Vec<GeneratorId>,
    /// Every partition that matters, each once, behind all that it is derived from.
    pub(crate) nodes: Vec<Node>,
    /// What was asked for, in request order.
    pub(crate) requested: Vec<Requested>,
    policy: Policy,
}

/// One partition that was asked for.
pub(crate) struct Requested {
    /// Its place in [`Plan::nodes`].
    pub(crate) node: usize,
    /// The part of it that was asked for.
    pub(crate) interval: Interval,
}

/// One partition of a plan.
pub(crate) struct Node {
    /// Its place in [`Plan::generators`].
    pub(crate) generator: usize,
    pub(crate) instrument: Instrument,
    pub(crate) interval: Interval,
    /// For each upstream of its dataset, in order of their names, the nodes that it is derived from, in time order.
    pub(crate) upstream: Vec<Vec<usize>>,
    /// Whether it was asked for, not only needed by others.
    pub(crate) requested: bool,
    pub(crate) stage: Stage,
}

/// What is known of a partition.
pub(crate) enum Stage {
    /// Its address, and what the store has there.
    Known(Arc<Target>),
    /// Something upstream is to be generated first.
    Waiting,
    /// Something upstream is missing and is not to be generated: what.
    Blocked(String),
}

/// A partition whose address is known.
pub(crate) struct Target {
    pub(crate) key: Key,
    pub(crate) address: Address,
    pub(crate) state: State,
    /// What it is derived from.
    pub(crate) upstream: Arc<Upstreams>,
}

/// What the store has of a partition.
#[derive(Clone)]
pub(crate) enum State {
    /// An entry that answers this load.
    Usable(Entry),
    /// None, and why where there is more to say.
    Missing(Option<String>),
}

impl Plan {
    /// Cuts, identifies, addresses and looks up. Blocks on the disk.
    pub(crate) fn make(store: &Store, requests: &[Request], policy: Policy, look_up: LookUp) -> Result<Self> {
        Self::make_for(store, requests, policy, look_up, &(Arc::new(runner::Local) as _))
    }

    /// The same, for commands that run there.
    pub(crate) fn make_for(store: &Store, requests: &[Request], policy: Policy, look_up: LookUp, runner: &Arc<dyn Runner>) -> Result<Self> {
        let now = Time::now();
        let mut planner =
            Planner { store, look_up, runner, by_dataset: HashMap::new(), places: HashMap::new(), levels: Vec::new(), plan: Plan::empty(policy) };
        for request in requests {
            let generator = planner.generator(&request.dataset)?;
            let intervals = request.dataset.split().partitions(request.interval)?;
            if let Some(late) = intervals.iter().find(|interval| policy.refuses(**interval, now)) {
                return Err(future(&request.dataset, &request.instrument, *late, now));
            }
            for interval in intervals {
                let node = planner.node(generator, &request.instrument, interval)?;
                planner.plan.nodes[node].requested = true;
                planner.plan.requested.push(Requested { node, interval: clipped(interval, request.interval) });
            }
        }
        planner.look_up()?;
        let plan = planner.plan;
        let refused = |node: &&Node| !node.requested && policy.refuses(node.interval, now) && plan.is_in_motion(node);
        if let Some(node) = plan.nodes.iter().find(refused) {
            return Err(future(plan.dataset(node), &node.instrument, node.interval, now));
        }
        Ok(plan)
    }

    fn empty(policy: Policy) -> Self {
        Self { generators: Vec::new(), names: Vec::new(), lineages: Vec::new(), nodes: Vec::new(), requested: Vec::new(), policy }
    }

    pub(crate) fn dataset(&self, node: &Node) -> &Dataset {
        self.generators[node.generator].dataset()
    }

    /// Whether the load generates a partition, or may have to once what it is derived from is there.
    pub(crate) fn is_in_motion(&self, node: &Node) -> bool {
        match &node.stage {
            Stage::Known(target) => match target.state {
                State::Usable(_) => self.may_generate(node) && self.refreshes(node),
                State::Missing(_) => self.may_generate(node),
            },
            Stage::Waiting => true,
            Stage::Blocked(_) => false,
        }
    }

    /// Whether the policy allows a partition to be generated.
    pub(crate) fn may_generate(&self, node: &Node) -> bool {
        self.policy.missing == OnMissing::Generate && (node.requested || self.policy.upstream == OnMissing::Generate)
    }

    /// Whether a partition is generated although it is there.
    pub(crate) fn refreshes(&self, node: &Node) -> bool {
        self.policy.refresh && node.requested
    }

    /// What is to be generated because the store has no entry of its key, as far as its address is known.
    pub(crate) fn absent(&self) -> impl Iterator<Item = (usize, Absent<'_>)> {
        self.nodes.iter().enumerate().filter(|(_, node)| self.is_in_motion(node)).filter_map(|(nth, node)| match &node.stage {
            Stage::Known(target) if matches!(target.state, State::Missing(None)) => Some((nth, self.absent_at(node, target))),
            _ => None,
        })
    }

    fn absent_at<'a>(&'a self, node: &'a Node, target: &'a Target) -> Absent<'a> {
        let generator = &self.generators[node.generator];
        let place = Place { dataset: &self.names[node.generator], instrument: &node.instrument, interval: node.interval };
        let (dataset, identified) = (generator.dataset(), generator.identified());
        Absent { place, address: target.address, dataset, identified, key: &target.key, upstream: &target.upstream }
    }

    /// The place of a partition in words.
    pub(crate) fn place(&self, node: &Node) -> String {
        format!("{} {} {}", self.names[node.generator], node.instrument, node.interval)
    }

    /// The entry of a partition that is there and stays as it is.
    pub(crate) fn entry(&self, node: usize) -> Option<&Entry> {
        match &self.nodes[node].stage {
            Stage::Known(target) if !self.is_in_motion(&self.nodes[node]) => match &target.state {
                State::Usable(entry) => Some(entry),
                State::Missing(_) => None,
            },
            _ => None,
        }
    }

    /// What a partition is derived from, once all of it is there. `entry` knows what has come since the plan was made.
    pub(crate) fn upstreams<'a>(&'a self, node: &Node, entry: impl Fn(usize) -> Option<&'a Entry>) -> Option<Upstreams> {
        let mut upstreams = Upstreams::new();
        for ((name, source), nodes) in self.dataset(node).sources().iter().zip(&node.upstream) {
            let mut partitions = Vec::with_capacity(nodes.len());
            for &upstream in nodes {
                let entry = entry(upstream)?;
                let interval = self.nodes[upstream].interval;
                let outputs = entry.outputs.iter().filter(|output| source.outputs.contains(&*output.name)).cloned().collect();
                let seconds = entry.seconds + entry.upstream_seconds;
                partitions.push(UpstreamPartition {
                    interval,
                    requested: clipped(interval, node.interval),
                    address: entry.address,
                    outputs,
                    seconds,
                });
            }
            upstreams.insert(name.clone(), Upstream::new(source.dataset.clone(), node.instrument.clone(), source.outputs.clone(), partitions));
        }
        Some(upstreams)
    }

    /// The key of a partition that is derived from these.
    pub(crate) fn key(&self, node: &Node, upstream: &Upstreams) -> Result<Key> {
        let identity = Arc::clone(self.generators[node.generator].identified().identity());
        Key::new(identity, node.instrument.clone(), node.interval, upstream)
    }
}

/// How a plan looks things up: [`Store::lookup`], or [`Store::peek`] where nothing is to be handed out.
pub(crate) type LookUp = fn(&Store, &[Wanted]) -> Result<Vec<Found>>;

/// A plan in the making.
struct Planner<'a> {
    store: &'a Store,
    look_up: LookUp,
    runner: &'a Arc<dyn Runner>,
    /// The generator of each definition: the same name may stand for two, which are kept apart.
    by_dataset: HashMap<usize, usize>,
    places: HashMap<(usize, Instrument), HashMap<Interval, usize>>,
    /// Of each node: one more than the highest of what it is derived from.
    levels: Vec<usize>,
    plan: Plan,
}

impl Planner<'_> {
    /// The place of a dataset's generator, which is made where there is none yet.
    fn generator(&mut self, dataset: &Dataset) -> Result<usize> {
        if let Some(nth) = self.by_dataset.get(&dataset.definition_id()) {
            return Ok(*nth);
        }
        let mut upstream = Vec::with_capacity(dataset.sources().len());
        for (name, source) in dataset.sources() {
            let nth = self.generator(&source.dataset)?;
            upstream.push((name.as_str(), self.plan.lineages[nth]));
        }
        let identified = dataset.identify(self.store.fingerprints())?;
        let plan = &mut self.plan;
        plan.lineages.push(identified.identity().id().with_upstream(upstream));
        plan.generators.push(Generator::new(self.store.clone(), dataset.clone(), identified, Arc::clone(self.runner)));
        plan.names.push(dataset.name().into());
        self.by_dataset.insert(dataset.definition_id(), plan.generators.len() - 1);
        Ok(plan.generators.len() - 1)
    }

    /// The place of a partition's node, which is made, behind all that it is derived from, where there is none yet.
    fn node(&mut self, generator: usize, instrument: &Instrument, interval: Interval) -> Result<usize> {
        let place = (generator, instrument.clone());
        if let Some(node) = self.places.get(&place).and_then(|nodes| nodes.get(&interval)) {
            return Ok(*node);
        }
        let dataset = self.plan.generators[generator].dataset().clone();
        let mut upstream = Vec::with_capacity(dataset.sources().len());
        let mut level = 0;
        for source in dataset.sources().values() {
            let generator = self.generator(&source.dataset)?;
            let intervals = dataset.upstream_partitions(&source.dataset, interval)?;
            let nodes: Vec<usize> = intervals.into_iter().map(|interval| self.node(generator, instrument, interval)).collect::<Result<_>>()?;
            level = nodes.iter().map(|node| self.levels[*node] + 1).max().unwrap_or(0).max(level);
            upstream.push(nodes);
        }
        let node = self.plan.nodes.len();
        let instrument = instrument.clone();
        self.plan.nodes.push(Node { generator, instrument, interval, upstream, requested: false, stage: Stage::Waiting });
        self.levels.push(level);
        self.places.entry(place).or_default().insert(interval, node);
        Ok(node)
    }

    /// Looks up what has an address: first what is derived from nothing, then what is derived from that, a batch a level.
    fn look_up(&mut self) -> Result<()> {
        let highest = self.levels.iter().max().map_or(0, |level| level + 1);
        let nothing = Arc::new(Upstreams::new());
        for level in 0..highest {
            let mut wanted = Vec::new();
            let mut keyed = Vec::new();
            let of_level: Vec<usize> = (0..self.levels.len()).filter(|node| self.levels[*node] == level).collect();
            for nth in of_level {
                let plan = &self.plan;
                let node = &plan.nodes[nth];
                let upstream = match self.upstream_of(node) {
                    _ if node.upstream.is_empty() => Arc::clone(&nothing),
                    Ok(upstream) => Arc::new(upstream),
                    Err(stage) => {
                        self.plan.nodes[nth].stage = stage;
                        continue;
                    }
                };
                let key = plan.key(node, &upstream)?;
                let address = key.address();
                wanted.push(Wanted { generator: key.generator(), instrument: node.instrument.clone(), interval: node.interval, address });
                keyed.push((nth, key, upstream));
            }
            let found = (self.look_up)(self.store, &wanted)?;
            for (((nth, key, upstream), found), wanted) in keyed.into_iter().zip(found).zip(wanted) {
                let node = &self.plan.nodes[nth];
                let state = judge(found, self.plan.dataset(node), node.interval, self.plan.policy);
                self.plan.nodes[nth].stage = Stage::Known(Arc::new(Target { key, address: wanted.address, state, upstream }));
            }
        }
        Ok(())
    }

    /// What a partition is derived from, where all of it is there and stays; otherwise what that makes of the partition.
    fn upstream_of(&self, node: &Node) -> Result<Upstreams, Stage> {
        let plan = &self.plan;
        let missing = |nth: &usize| !plan.is_in_motion(&plan.nodes[*nth]) && plan.entry(*nth).is_none();
        if let Some(missing) = node.upstream.iter().flatten().find(|nth| missing(nth)) {
            let missing = &plan.nodes[*missing];
            let reason = match &missing.stage {
                Stage::Blocked(reason) => reason.clone(),
                _ => format!("its upstream {} is missing", plan.place(missing)),
            };
            return Err(Stage::Blocked(reason));
        }
        if node.upstream.iter().flatten().any(|nth| plan.is_in_motion(&plan.nodes[*nth])) {
            return Err(Stage::Waiting);
        }
        plan.upstreams(node, |nth| plan.entry(nth)).ok_or(Stage::Waiting)
    }
}

fn future(dataset: &Dataset, instrument: &Instrument, interval: Interval, now: Time) -> Error {
    Error::Future { dataset: dataset.name().to_owned(), instrument: instrument.clone(), interval, now }
}

/// The part of a partition that a request asked for. They overlap, or the split would not have made it.
fn clipped(partition: Interval, request: Interval) -> Interval {
    Interval::new(partition.start().max(request.start()), partition.end().min(request.end())).unwrap_or(partition)
}

/// Whether what was found answers a load of this dataset under this policy.
pub(crate) fn judge(found: Found, dataset: &Dataset, interval: Interval, policy: Policy) -> State {
    match found {
        Found::Absent => State::Missing(None),
        Found::Damaged(problem) => State::Missing(Some(format!("damaged: {problem}"))),
        Found::Entry(entry) => match unusable(&entry, dataset, interval, policy) {
            None => State::Usable(entry),
            Some(reason) => State::Missing(Some(reason)),
        },
    }
}

/// Whether an entry's generator was started before its interval was over, and could not see all of it.
pub(crate) fn made_too_early(entry: &Entry, interval: Interval) -> Option<String> {
    (entry.started < interval.end()).then(|| format!("what is cached was generated at {}, before the interval was over", entry.started))
}

/// What the key does not say, and yet keeps an entry from being the answer.
pub(crate) fn unusable(entry: &Entry, dataset: &Dataset, interval: Interval, policy: Policy) -> Option<String> {
    if !policy.allow_future
        && let Some(reason) = made_too_early(entry, interval)
    {
        return Some(reason);
    }
    match entry.empty {
        Some(Empty::ExitCode(code)) if !dataset.empty_exit_codes().contains(&code) => {
            Some(format!("it was taken as empty by exit status {code}, which the dataset no longer declares as empty"))
        }
        _ => None,
    }
}
