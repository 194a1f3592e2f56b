//! Listing a part of a store: range scans over the index, where it is known to miss nothing.
//!
//! # Invariants
//! * A listing shows what a walk of all manifests would show: the index answers only where it holds just the entries whose manifests have names in
//!   `entries/`, which [`Index::is_complete`] finds out from the directories' times and, where those have changed, from the names. Otherwise all of it is
//!   compared, manifests are read of what the index does not tell, and the index is mended by that.
//! * What is not looked at: the artifacts, and what a manifest says whose entry the index tells.

use std::collections::BTreeMap;

use crate::dataset::GeneratorId;
use crate::error::Result;
use crate::filter::EntryFilter;
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::store::index::{Held, Index, Look, Window};
use crate::store::lookup::INDEX_WORTH_JOURNAL_BYTES;
use crate::store::record::{Published, Span};
use crate::store::{Listed, Store};

impl Store {
    /// The entries that a filter takes, in order of dataset, instrument and time. Of a large store, one instrument's month takes milliseconds.
    ///
    /// They are told as the store's index knows them, which is compared with the names of the manifests; neither the manifests' content nor the
    /// artifacts are looked at. Without an index, every manifest is read.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the directory cannot be read. A damaged manifest is traced and left out.
    pub fn entries_in(&self, filter: &EntryFilter) -> Result<Vec<Listed>> {
        let window = Window { start: filter.start, end: filter.end };
        let of_place = |instrument: &Instrument| filter.takes_instrument(instrument);
        let of_dataset = |dataset: &str| filter.takes_dataset(dataset);
        let published = match self.ask_index(|index| index.entries(window, of_place, of_dataset)) {
            Some(published) => published,
            None => self.published()?,
        };
        let mut listed: Vec<Listed> = published
            .into_iter()
            .filter(|Published { instrument, entry, .. }| of_place(instrument) && of_dataset(&entry.dataset) && window.takes(entry.start, entry.end))
            .filter_map(|published| self.listed(published))
            .collect();
        listed.sort_by(|left, right| {
            let place = |listed: &'_ Listed| (listed.dataset.clone(), listed.instrument.clone(), listed.interval, listed.entry.address);
            place(left).cmp(&place(right))
        });
        Ok(listed)
    }

    /// Where entries lie in time, of the places that are asked for.
    pub(crate) fn held<'a>(&self, window: Window, look: impl Fn(&GeneratorId, &Instrument) -> Look<'a>) -> Result<Vec<Held>> {
        if let Some(held) = self.ask_index(|index| index.held(window, &look)) {
            return Ok(held);
        }
        let mut held: BTreeMap<_, Held> = BTreeMap::new();
        for Published { generator, instrument, entry } in self.published()? {
            let wanted = match look(&generator, &instrument) {
                Look::Away => false,
                Look::AtAll => true,
                Look::Named(name) | Look::IfNamed(name) => *entry.dataset == *name,
            };
            if !wanted || !window.takes(entry.start, entry.end) {
                continue;
            }
            let place = (generator, instrument.clone(), entry.dataset.clone());
            let here = held.entry(place).or_insert_with(|| Held { generator, instrument, dataset: entry.dataset.clone(), spans: Vec::new() });
            here.spans.push(Span::of(&entry));
        }
        let order = |span: &Span| (span.start, span.end);
        Ok(held
            .into_values()
            .map(|mut held| {
                held.spans.sort_by_key(order);
                held
            })
            .collect())
    }

    /// Every generator and instrument that there are entries of.
    pub(crate) fn places(&self) -> Result<Vec<(GeneratorId, Instrument)>> {
        if let Some(places) = self.ask_index(Index::places) {
            return Ok(places);
        }
        let mut places: Vec<_> = self.published()?.into_iter().map(|published| (published.generator, published.instrument)).collect();
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    /// What the index answers, where there is one that misses nothing and is worth opening.
    fn ask_index<T>(&self, ask: impl FnOnce(&mut Index) -> Option<T>) -> Option<T> {
        if self.journal().size().ok().flatten().is_none_or(|bytes| bytes <= INDEX_WORTH_JOURNAL_BYTES) {
            return None;
        }
        let mut state = self.index();
        let index = state.following(self, u64::MAX)?;
        if index.is_complete(self.layout())? { ask(index) } else { None }
    }

    fn listed(&self, Published { instrument, entry, .. }: Published) -> Option<Listed> {
        let interval = Interval::new(entry.start, entry.end).ok()?;
        Some(Listed { dataset: entry.dataset.clone(), instrument, interval, entry: self.entry_of(&entry) })
    }
}
