//! Which entries a view shows: of any dataset and instrument, each moment at most once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::current::Current;
use super::options::ViewOptions;
use crate::error::Result;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::store::{Entry, Published, Store};

/// What a view shows, and what it does not.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// In order of dataset, instrument and time.
    pub(super) shown: Vec<Shown>,
    pub(super) left_out: LeftOut,
}

/// An entry that is shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// The name that it is shown under.
    pub(super) dataset: Arc<str>,
    pub(super) instrument: Instrument,
    pub(super) interval: Interval,
    pub(super) entry: Entry,
}

/// How many entries a view leaves out that it was asked for, and why. Each counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LeftOut {
    /// Of a dataset that is defined, and not what a load of it would hand out: of another program, configuration, input, upstream or split, or made
    /// before their interval was over.
    pub other_definition: usize,
    /// Another entry that is shown tells of the same time, or of a part of it.
    pub same_time: usize,
    /// A file of theirs is not there as it should be.
    pub damaged: usize,
}

impl LeftOut {
    /// All of them.
    pub fn total(&self) -> usize {
        self.other_definition + self.same_time + self.damaged
    }
}

/// Entries of one dataset and instrument that may be shown.
#[derive(Default)]
struct Candidates<'a> {
    entries: Vec<(Interval, &'a Published)>,
    defined: bool,
}

impl Selection {
    /// Looks through all entries. Takes no lease: nothing that is shown is kept from being collected.
    pub(super) fn make(store: &Store, options: &ViewOptions) -> Result<Self> {
        let mut published = store.published()?;
        published.retain(|published| options.shows_instrument(&published.instrument));
        let names: HashSet<&str> = published.iter().map(|published| &*published.entry.dataset).collect();
        let definitions = options.definitions.iter().filter(|dataset| options.shows_dataset(dataset.name()));
        let mut current = Current::new(store, definitions, &published, &names)?;
        let defined: HashSet<&str> = options.definitions.iter().map(|dataset| dataset.name()).collect();

        let mut selection = Self::default();
        let mut places: BTreeMap<(Arc<str>, &Instrument), Candidates<'_>> = BTreeMap::new();
        for published in &published {
            let Ok(interval) = Interval::new(published.entry.start, published.entry.end) else { continue };
            let datasets = current.datasets_of(published)?;
            let name = &published.entry.dataset;
            let mut put = |name: Arc<str>, defined| {
                let candidates = places.entry((name, &published.instrument)).or_default();
                candidates.entries.push((interval, published));
                candidates.defined = defined;
            };
            if datasets.is_empty() {
                match () {
                    () if !options.shows_dataset(name) => {}
                    () if !defined.contains(&**name) => put(Arc::clone(name), false),
                    () if options.shows_interval(interval) => selection.left_out.other_definition += 1,
                    () => {}
                }
            }
            datasets.into_iter().for_each(|dataset| put(dataset.name().into(), true));
        }
        for ((dataset, instrument), candidates) in places {
            let (chosen, others) = choose(candidates);
            selection.left_out.same_time += others.into_iter().filter(|interval| options.shows_interval(*interval)).count();
            let shown = chosen.into_iter().filter(|(interval, _)| options.shows_interval(*interval));
            selection.shown.extend(shown.map(|(interval, published)| Shown {
                dataset: Arc::clone(&dataset),
                instrument: instrument.clone(),
                interval,
                entry: store.entry_of(&published.entry),
            }));
        }
        Ok(selection)
    }
}

/// Of entries that overlap, one: where a definition says what each is, the longest, since a request that was cut short made the others; elsewhere the one
/// that was made last. Gives those in time order, and the intervals of the others.
fn choose(candidates: Candidates<'_>) -> (Vec<(Interval, &Published)>, Vec<Interval>) {
    let Candidates { mut entries, defined } = candidates;
    let length = |interval: &Interval| if defined { interval.end().ns().abs_diff(interval.start().ns()) } else { 0 };
    entries.sort_by_key(|(interval, published)| {
        let made_last = std::cmp::Reverse((length(interval), published.entry.started));
        (made_last, interval.start(), published.entry.address)
    });
    let mut chosen: BTreeMap<Time, (Interval, &Published)> = BTreeMap::new();
    let mut others = Vec::new();
    for (interval, published) in entries {
        // Those chosen do not overlap, so the last that starts before this ends is the only one that may.
        let is_taken = chosen.range(..interval.end()).next_back().is_some_and(|(_, (other, _))| other.end() > interval.start());
        if is_taken {
            others.push(interval);
        } else {
            chosen.insert(interval.start(), (interval, published));
        }
    }
    (chosen.into_values().collect(), others)
}
