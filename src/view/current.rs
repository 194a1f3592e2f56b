//! What a load would hand out, of what a store holds: the addresses that datasets have as they are defined now.
//!
//! Nothing is looked up, and nothing is promised or counted as used: a view that is made every night keeps nothing from being collected.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::address::Address;
use crate::dataset::{Dataset, GeneratorId, Identified, Key, Upstream, UpstreamPartition, Upstreams};
use crate::error::Result;
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::load::{Policy, unusable};
use crate::store::{Entry, Published, Store};

/// Datasets as they are defined now, over what a store holds.
pub(super) struct Current<'a> {
    store: &'a Store,
    by_generator: HashMap<GeneratorId, Vec<&'a Dataset>>,
    identified: HashMap<usize, Arc<Identified>>,
    published: HashMap<Address, &'a Published>,
    /// The addresses that derived partitions have, by definition and place.
    derived: HashMap<(usize, Instrument, Interval), Option<Address>>,
}

impl<'a> Current<'a> {
    /// Identifies the datasets, which reads programs and inputs that are not known yet. `names` are those under which anything was made.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`](crate::Error::InvalidDataset) where a program or an input of a dataset cannot be found or read of which something was
    /// made.
    pub(super) fn new(
        store: &'a Store,
        definitions: impl IntoIterator<Item = &'a Dataset>,
        published: &'a [Published],
        names: &HashSet<&str>,
    ) -> Result<Self> {
        let published = published.iter().map(|published| (published.entry.address, published)).collect();
        let mut current = Self { store, by_generator: HashMap::new(), identified: HashMap::new(), published, derived: HashMap::new() };
        for dataset in definitions {
            let generator = match current.identify(dataset) {
                Ok(identified) => identified.identity().id(),
                // Nothing was ever made under its name.
                Err(error) if !names.contains(dataset.name()) => {
                    tracing::info!(%error, "nothing is shown of a dataset that cannot be identified");
                    continue;
                }
                Err(error) => return Err(error),
            };
            current.by_generator.entry(generator).or_default().push(dataset);
        }
        store.save_fingerprints();
        Ok(current)
    }

    /// The datasets whose partition an entry is, as they are defined now.
    pub(super) fn datasets_of(&mut self, published: &Published) -> Result<Vec<&'a Dataset>> {
        let mut datasets = Vec::new();
        for dataset in self.by_generator.get(&published.generator).cloned().unwrap_or_default() {
            if self.is_partition_of(dataset, published)? {
                datasets.push(dataset);
            }
        }
        Ok(datasets)
    }

    fn is_partition_of(&mut self, dataset: &'a Dataset, published: &Published) -> Result<bool> {
        let Ok(interval) = Interval::new(published.entry.start, published.entry.end) else { return Ok(false) };
        if !is_cell(dataset, interval) || !is_answer(&self.store.entry_of(&published.entry), dataset, interval) {
            return Ok(false);
        }
        Ok(self.address(dataset, &published.instrument, interval)? == Some(published.entry.address))
    }

    fn identify(&mut self, dataset: &Dataset) -> Result<Arc<Identified>> {
        if let Some(identified) = self.identified.get(&dataset.definition_id()) {
            return Ok(Arc::clone(identified));
        }
        let identified = dataset.identify(self.store.fingerprints())?;
        self.identified.insert(dataset.definition_id(), Arc::clone(&identified));
        Ok(identified)
    }

    /// The address that a partition has; `None` where something that it is derived from is not there.
    fn address(&mut self, dataset: &Dataset, instrument: &Instrument, interval: Interval) -> Result<Option<Address>> {
        let identity = Arc::clone(self.identify(dataset)?.identity());
        if dataset.sources().is_empty() {
            return Ok(Some(Key::new(identity, instrument.clone(), interval, &Upstreams::new())?.address()));
        }
        let place = (dataset.definition_id(), instrument.clone(), interval);
        if let Some(known) = self.derived.get(&place) {
            return Ok(*known);
        }
        let upstreams = self.upstreams(dataset, instrument, interval)?;
        let address = match upstreams {
            Some(upstreams) => Some(Key::new(identity, instrument.clone(), interval, &upstreams)?.address()),
            None => None,
        };
        self.derived.insert(place, address);
        Ok(address)
    }

    /// What a partition is derived from, where all of it is there.
    fn upstreams(&mut self, dataset: &Dataset, instrument: &Instrument, interval: Interval) -> Result<Option<Upstreams>> {
        let mut upstreams = Upstreams::new();
        for (name, source) in dataset.sources() {
            let mut partitions = Vec::new();
            for part in dataset.upstream_partitions(&source.dataset, interval)? {
                let address = self.address(&source.dataset, instrument, part)?;
                let Some(entry) = address.and_then(|address| self.entry(&address)) else { return Ok(None) };
                if !is_answer(&entry, &source.dataset, part) {
                    return Ok(None);
                }
                let (start, end) = (part.start().max(interval.start()), part.end().min(interval.end()));
                partitions.push(UpstreamPartition {
                    interval: part,
                    requested: Interval::new(start, end).unwrap_or(part),
                    address: entry.address,
                    outputs: entry.outputs.into_iter().filter(|output| source.outputs.contains(&*output.name)).collect(),
                    seconds: entry.seconds + entry.upstream_seconds,
                });
            }
            upstreams.insert(name.clone(), Upstream::new(source.dataset.clone(), instrument.clone(), source.outputs.clone(), partitions));
        }
        Ok(Some(upstreams))
    }

    fn entry(&self, address: &Address) -> Option<Entry> {
        self.published.get(address).map(|published| self.store.entry_of(&published.entry))
    }
}

/// Whether a load that allows no future takes an entry for the answer.
fn is_answer(entry: &Entry, dataset: &Dataset, interval: Interval) -> bool {
    unusable(entry, dataset, interval, Policy::default()).is_none()
}

/// Whether a load of a dataset may cut exactly this interval.
fn is_cell(dataset: &Dataset, interval: Interval) -> bool {
    dataset.split().partitions(interval).is_ok_and(|cells| cells == [interval])
}
