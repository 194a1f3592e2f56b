//! From requests to partitions with their addresses, and what the store has of them. Decides nothing that costs more than a look.

use std::collections::HashMap;
use std::sync::Arc;

use crate::address::Address;
use crate::dataset::{Dataset, Identified, Key};
use crate::error::{Error, Result};
use crate::generator::CommandGenerator;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::load::policy::Policy;
use crate::runner::Runner;
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
    /// The generators of the datasets that were asked for.
    pub(crate) generators: Vec<CommandGenerator>,
    /// Their datasets' names.
    pub(crate) names: Vec<Arc<str>>,
    /// Every partition, in request order.
    pub(crate) partitions: Vec<Planned>,
}

/// One partition of a plan.
pub(crate) struct Planned {
    /// Its place in [`Plan::generators`].
    pub(crate) generator: usize,
    pub(crate) key: Key,
    pub(crate) address: Address,
    /// The part of it that was asked for.
    pub(crate) requested: Interval,
    pub(crate) state: State,
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
    pub(crate) fn make(store: &Store, requests: Vec<Request>, policy: Policy, runner: &Arc<dyn Runner>) -> Result<Self> {
        let now = Time::now();
        let mut generators: Vec<CommandGenerator> = Vec::new();
        let mut identities: Vec<Arc<Identified>> = Vec::new();
        let mut by_name: HashMap<String, usize> = HashMap::new();
        let mut partitions = Vec::new();
        for request in requests {
            let name = request.dataset.name();
            // The same name twice in one load is the same definition, or the caller has two files: then they are kept apart.
            let nth = match by_name.get(name) {
                Some(nth) if generators[*nth].dataset().is(&request.dataset) => *nth,
                _ => {
                    let identified = Arc::new(request.dataset.identify(store.fingerprints())?);
                    identities.push(Arc::clone(&identified));
                    generators.push(CommandGenerator::new(store.clone(), request.dataset.clone(), identified, Arc::clone(runner)));
                    by_name.insert(name.to_owned(), generators.len() - 1);
                    generators.len() - 1
                }
            };
            for interval in request.dataset.split().partitions(request.interval)? {
                if policy.refuses(interval, now) {
                    return Err(Error::Future { dataset: name.to_owned(), instrument: request.instrument, interval, now });
                }
                let key = Key::new(Arc::clone(identities[nth].identity()), request.instrument.clone(), interval);
                let address = key.address();
                let requested = clipped(interval, request.interval);
                partitions.push(Planned { generator: nth, key, address, requested, state: State::Missing(None) });
            }
        }
        let wanted: Vec<Wanted> = partitions.iter().map(|partition| wanted(&partition.key, partition.address)).collect();
        for (partition, found) in partitions.iter_mut().zip(store.lookup(&wanted)?) {
            partition.state = judge(found, generators[partition.generator].dataset(), partition.key.interval(), policy);
        }
        let names = generators.iter().map(|generator| generator.dataset().name().into()).collect();
        Ok(Self { generators, names, partitions })
    }
}

fn wanted(key: &Key, address: Address) -> Wanted {
    Wanted { generator: key.generator(), instrument: key.instrument().clone(), interval: key.interval(), address }
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

/// What the key does not say, and yet keeps an entry from being the answer.
fn unusable(entry: &Entry, dataset: &Dataset, interval: Interval, policy: Policy) -> Option<String> {
    if entry.started < interval.end() && !policy.allow_future {
        return Some(format!("what is cached was generated at {}, before the interval was over", entry.started));
    }
    match entry.empty {
        Some(Empty::ExitCode(code)) if !dataset.empty_exit_codes().contains(&code) => {
            Some(format!("it was taken as empty by exit status {code}, which the dataset no longer declares as empty"))
        }
        _ => None,
    }
}
