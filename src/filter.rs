//! Which of a store's entries are asked for.

use crate::instrument::Instrument;
use crate::interval::{Interval, Time};

/// Which entries of a store are wanted. All, as it begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EntryFilter {
    /// Only entries of datasets of these names, as they were called when the entries were generated; of all, where none is named.
    pub datasets: Vec<String>,
    /// Only entries of these instruments; of all, where none is named.
    pub instruments: Vec<Instrument>,
    /// Only entries that end after this time.
    pub start: Option<Time>,
    /// Only entries that start before this time.
    pub end: Option<Time>,
}

impl EntryFilter {
    /// Whether it takes an entry, or a recorded failure, of this place.
    pub fn takes(&self, dataset: &str, instrument: &Instrument, interval: Interval) -> bool {
        self.takes_dataset(dataset)
            && self.takes_instrument(instrument)
            && self.start.is_none_or(|start| interval.end() > start)
            && self.end.is_none_or(|end| interval.start() < end)
    }

    pub(crate) fn takes_dataset(&self, dataset: &str) -> bool {
        self.datasets.is_empty() || self.datasets.iter().any(|name| name == dataset)
    }

    pub(crate) fn takes_instrument(&self, instrument: &Instrument) -> bool {
        self.instruments.is_empty() || self.instruments.contains(instrument)
    }
}
