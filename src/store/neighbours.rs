//! What a store knows at one place in time: the entries of a dataset and instrument there, under whatever key.
//!
//! The index is in order of generator first: one seek for each generator finds its entries at a place. Where there is no index, or so small a journal
//! that none is worth opening, the [`Inventory`] is gone through once. Both are what journal and manifests last told: whoever hands something out by it
//! reads its manifest.

use std::collections::HashMap;
use std::sync::Arc;

use crate::address::Address;
use crate::dataset::GeneratorId;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::parallel::machine_parallelism;
use crate::store::inventory::Inventory;
use crate::store::lookup::INDEX_WORTH_JOURNAL_BYTES;
use crate::store::{Found, Store, Wanted};

/// Where to look: at the entries of a dataset, by the name under which they were generated, and an instrument that start within an interval.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) dataset: Arc<str>,
    pub(crate) instrument: Instrument,
    pub(crate) starts: Interval,
}

/// An entry at a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) address: Address,
    pub(crate) generator: GeneratorId,
    pub(crate) interval: Interval,
    /// When its generator was started.
    pub(crate) started: Time,
}

impl Store {
    /// What there is at each of these sites, in no order.
    ///
    /// # Errors
    /// [`Error::Io`] where the store cannot be read. What is damaged is left out.
    pub(crate) fn neighbours(&self, sites: &[Site]) -> Result<Vec<Vec<Neighbour>>> {
        if sites.is_empty() || self.is_imagined() {
            return Ok(vec![Vec::new(); sites.len()]);
        }
        match self.neighbours_by_index(sites)? {
            Some(found) => Ok(found),
            None => Ok(neighbours_in(&self.survey()?, sites)),
        }
    }

    /// Everything that is there, in short, without writing anything. A damaged manifest is traced and left out.
    ///
    /// # Errors
    /// [`Error::Io`] where the store cannot be read.
    pub(crate) fn survey(&self) -> Result<Inventory> {
        if self.is_imagined() {
            return Ok(Inventory::default());
        }
        match Inventory::take(self, machine_parallelism()) {
            Err(Error::Damaged { .. }) => Ok(Inventory::of(self.published()?)),
            taken => taken,
        }
    }

    /// As [`Store::lookup`], for who only asks: nothing is leased, so that it may be collected at once.
    pub(crate) fn peek(&self, wanted: &[Wanted]) -> Result<Vec<Found>> {
        let mut found = self.find(wanted)?;
        self.verify_if_asked(&mut found)?;
        Ok(found)
    }

    fn neighbours_by_index(&self, sites: &[Site]) -> Result<Option<Vec<Vec<Neighbour>>>> {
        if self.journal().size()?.is_none_or(|bytes| bytes <= INDEX_WORTH_JOURNAL_BYTES) {
            return Ok(None);
        }
        let mut state = self.index();
        let Some(index) = state.following(self, u64::MAX) else { return Ok(None) };
        let mut all = Vec::with_capacity(sites.len());
        for Site { dataset, instrument, starts } in sites {
            let Some(found) = index.of_any_generator(instrument, *starts) else { return Ok(None) };
            let of_dataset = found.into_iter().filter(|(_, entry)| entry.dataset == *dataset);
            let neighbour = |(generator, entry): (GeneratorId, crate::store::record::EntryRecord)| {
                let interval = Interval::new(entry.start, entry.end).ok()?;
                Some(Neighbour { address: entry.address, generator, interval, started: entry.started })
            };
            all.push(of_dataset.filter_map(neighbour).collect());
        }
        Ok(Some(all))
    }
}

/// The same by an inventory.
pub(crate) fn neighbours_in(inventory: &Inventory, sites: &[Site]) -> Vec<Vec<Neighbour>> {
    let mut by_place: HashMap<(&str, &Instrument), Vec<usize>> = HashMap::new();
    for (nth, Site { dataset, instrument, .. }) in sites.iter().enumerate() {
        by_place.entry((dataset, instrument)).or_default().push(nth);
    }
    let wanted: Vec<Option<&Vec<usize>>> = inventory.places().iter().map(|place| by_place.get(&(&*place.dataset, &place.instrument))).collect();
    let mut all = vec![Vec::new(); sites.len()];
    for nth in inventory.there() {
        let item = inventory.item(nth);
        let Some(at) = wanted[inventory.place_number(item) as usize] else { continue };
        let Some(interval) = item.interval() else { continue };
        let neighbour = Neighbour { address: item.address, generator: inventory.place(item).generator, interval, started: item.started };
        for site in at.iter().filter(|site| sites[**site].starts.holds(item.start)) {
            all[*site].push(neighbour);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::{EntryRecord, OutputRecord, Published};

    fn published(nth: u8, dataset: &str, pair: &str, start: i64) -> Published {
        let digest = crate::address::Digest::of(&[nth]);
        Published {
            generator: GeneratorId::from_bytes([nth; 32]),
            instrument: Instrument::new("binance", pair).unwrap(),
            entry: EntryRecord {
                start: Time::from_ns(start),
                end: Time::from_ns(start + 10),
                address: Address::of_canonical(&format!("{nth} {dataset} {pair} {start}")),
                dataset: dataset.into(),
                outputs: vec![OutputRecord { name: "trades".into(), digest, schema: digest, bytes: 1, rows: 1, bounds: [].into() }],
                empty: None,
                started: Time::from_ns(start + 20),
                seconds: 1.5,
                upstream_seconds: 0.0,
                upstream: Vec::new(),
                log: None,
            },
        }
    }

    fn site(dataset: &str, pair: &str, from: i64, until: i64) -> Site {
        let starts = Interval::new(Time::from_ns(from), Time::from_ns(until)).unwrap();
        Site { dataset: dataset.into(), instrument: Instrument::new("binance", pair).unwrap(), starts }
    }

    /// Both ways tell the same, whichever a store takes: generators at both ends of their order, pairs of which one begins as the other.
    #[test]
    fn an_index_and_an_inventory_tell_the_same() {
        let mut all = Vec::new();
        for nth in [0, 1, 99, 100, 255] {
            for pair in ["BTC", "BTC-USDT"] {
                let dataset = if nth == 100 { "features" } else { "md" };
                all.extend((0..200).map(|hour| published(nth, dataset, pair, hour * 10)));
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("barn")).unwrap();
        let records: Vec<_> = all.iter().cloned().map(crate::store::record::JournalRecord::Published).collect();
        store.journal().append(&records).unwrap();
        let sites = [site("md", "BTC", 500, 520), site("md", "BTC-USDT", 0, 10), site("features", "BTC", 1990, 9000), site("md", "ETH", 0, 5000)];
        let sorted = |mut all: Vec<Vec<Neighbour>>| {
            all.iter_mut().for_each(|found| found.sort_by_key(|neighbour| (neighbour.generator, neighbour.interval)));
            all
        };
        let by_index = sorted(store.neighbours_by_index(&sites).unwrap().unwrap());
        assert_eq!(by_index, sorted(neighbours_in(&Inventory::of(all), &sites)));
        assert_eq!(by_index.iter().map(Vec::len).collect::<Vec<_>>(), [8, 4, 1, 0]);
    }
}
