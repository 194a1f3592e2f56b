//! What generating a dataset took so far: seconds and bytes for each hour of interval, from the entries that a store has.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;
use std::sync::Arc;

use crate::dataset::GeneratorId;
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::store::Inventory;

/// What an expectation was taken from. All entries there count alike, those without data too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HistoryOf {
    /// Entries of the same generator and instrument.
    SameInstrument,
    /// Entries of the same generator and other instruments.
    SameGenerator,
    /// Entries of the same name and instrument that were generated under other keys: by another program, another configuration.
    OtherKeysSameInstrument,
    /// Entries of the same name, whatever their instrument and key.
    OtherKeys,
}

impl HistoryOf {
    /// In a word, as JSON lines have it: `instrument`, `generator`, `other-keys-instrument`, `other-keys`.
    pub fn as_str(self) -> &'static str {
        match self {
            HistoryOf::SameInstrument => "instrument",
            HistoryOf::SameGenerator => "generator",
            HistoryOf::OtherKeysSameInstrument => "other-keys-instrument",
            HistoryOf::OtherKeys => "other-keys",
        }
    }
}

/// What a partition is expected to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Expectation {
    pub(super) seconds: f64,
    pub(super) bytes: f64,
    pub(super) of: HistoryOf,
}

/// The sums over some entries.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    seconds: f64,
    bytes: f64,
    hours: f64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.bytes += other.bytes;
        self.hours += other.hours;
    }
}

/// What a store tells of some datasets.
#[derive(Debug, Default)]
pub(super) struct History {
    of_generator: HashMap<(GeneratorId, Option<Instrument>), Sums>,
    of_name: HashMap<(Arc<str>, Option<Instrument>), Sums>,
}

impl History {
    /// What an inventory tells of these datasets: by what their generators are, and by their names.
    pub(super) fn of(inventory: &Inventory, generators: &HashSet<GeneratorId>, names: &HashSet<Arc<str>>) -> Self {
        let concerns: Vec<bool> =
            inventory.places().iter().map(|place| generators.contains(&place.generator) || names.contains(&place.dataset)).collect();
        let mut sums = vec![Sums::default(); concerns.len()];
        for item in inventory.there().map(|nth| inventory.item(nth)) {
            let place = inventory.place_number(item) as usize;
            let Some(interval) = item.interval().filter(|_| concerns[place]) else { continue };
            let bytes: u64 = inventory.named_by(item).iter().map(|artifact| inventory.artifact(*artifact).bytes).sum();
            sums[place] += Sums { seconds: f64::from(item.seconds.max(0.0)), bytes: bytes as f64, hours: hours(interval) };
        }
        let mut history = Self::default();
        for (place, sums) in inventory.places().iter().zip(sums).filter(|(_, sums)| sums.hours > 0.0) {
            for instrument in [None, Some(&place.instrument)] {
                *history.of_generator.entry((place.generator, instrument.cloned())).or_default() += sums;
                *history.of_name.entry((Arc::clone(&place.dataset), instrument.cloned())).or_default() += sums;
            }
        }
        history
    }

    /// What a partition is expected to take, by the entries that are most like it. `None` where there are none.
    pub(super) fn expect(&self, generator: GeneratorId, name: &Arc<str>, instrument: &Instrument, interval: Interval) -> Option<Expectation> {
        let of_generator = |instrument: Option<&Instrument>| self.of_generator.get(&(generator, instrument.cloned()));
        let of_name = |instrument: Option<&Instrument>| self.of_name.get(&(Arc::clone(name), instrument.cloned()));
        let tries = [
            (of_generator(Some(instrument)), HistoryOf::SameInstrument),
            (of_generator(None), HistoryOf::SameGenerator),
            (of_name(Some(instrument)), HistoryOf::OtherKeysSameInstrument),
            (of_name(None), HistoryOf::OtherKeys),
        ];
        let (sums, of) = tries.into_iter().find_map(|(sums, of)| Some((sums?, of)))?;
        let share = hours(interval) / sums.hours;
        Some(Expectation { seconds: sums.seconds * share, bytes: sums.bytes * share, of })
    }
}

fn hours(interval: Interval) -> f64 {
    const HOUR_NS: f64 = 3.6e12;
    (interval.end().ns() as f64 - interval.start().ns() as f64) / HOUR_NS
}
