//! What the index tells of many places at once: listings and coverage.

use std::sync::Arc;

use super::fold::Change;
use super::run::{Noted, Place, Row};
use super::{Broken, ENTRIES, Index, START_BYTES, Waiting, guarded, key_of, parse_place, place_prefix};
use crate::dataset::GeneratorId;
use crate::instrument::Instrument;
use crate::interval::Time;
use crate::parallel;
use crate::store::journal::{RecordAt, Records};
use crate::store::layout::Layout;
use crate::store::record::{Published, Span};

/// What of a place is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look<'a> {
    /// Nothing.
    Away,
    /// Every entry.
    AtAll,
    /// Those of a dataset's name.
    Named(&'a str),
    /// The same, but nothing where the first run of the place has none of that name: a quick look that is right unless a dataset was renamed.
    IfNamed(&'a str),
}

/// Which times are asked for: what ends behind the first and starts before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Window {
    pub(crate) start: Option<Time>,
    pub(crate) end: Option<Time>,
}

impl Window {
    pub(crate) fn takes(self, start: Time, end: Time) -> bool {
        self.start.is_none_or(|from| end > from) && self.end.is_none_or(|to| start < to)
    }
}

/// The spans of one generator, instrument and dataset name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) generator: GeneratorId,
    pub(crate) instrument: Instrument,
    pub(crate) dataset: Arc<str>,
    /// In order of their starts, but where the dataset's partitions overlap and were told apart by hand.
    pub(crate) spans: Vec<Span>,
}

/// Where the records of all entries are.
pub(crate) struct Told<'a> {
    pub(crate) records: &'a Records,
    /// In the order in which they stand.
    pub(crate) at: Vec<RecordAt>,
    /// The records that the journal does not hold, packed.
    pub(crate) untold: Vec<(Instrument, Box<[u8]>)>,
}

/// The same of some rows.
#[derive(Default)]
struct Share {
    at: Vec<RecordAt>,
    untold: Vec<(Instrument, Box<[u8]>)>,
}

impl Share {
    fn of(rows: &[(sled::IVec, sled::IVec)]) -> Result<Self, Broken> {
        let mut share = Self::default();
        for (key, row) in rows {
            let mut untold = Vec::new();
            Row::of(row)?.each_place(|place| match place {
                Place::Journal(at) => share.at.push(at),
                Place::Row(record) => untold.push(record),
            })?;
            if !untold.is_empty() {
                let (_, instrument) = parse_place(key).ok_or_else(|| Broken("a row has no place".to_owned()))?;
                share.untold.extend(untold.into_iter().map(|record| (instrument.clone(), record)));
            }
        }
        // Those of a place are nearly always in order: a sort that finds what is sorted is quicker here.
        share.at.sort_by_key(|at| at.offset());
        Ok(share)
    }
}

impl Index {
    /// Whether the index holds just the entries whose manifests are there. `None` where that cannot be found out.
    pub(crate) fn is_complete(&mut self, layout: &Layout) -> Option<bool> {
        self.tallies.agree_with(layout).inspect_err(|error| tracing::debug!(%error, "the index cannot be compared with the manifests")).ok()
    }

    /// Takes out what the journal told and no manifest shows.
    pub(crate) fn forget(&mut self, gone: &[Published]) {
        if !self.healthy {
            return;
        }
        let outcome = guarded(|| {
            let mut waiting = Waiting::default();
            for Published { generator, instrument, entry } in gone {
                waiting.push(place_prefix(generator, instrument), entry.start, Change::Drop(entry.address));
            }
            self.fold(waiting)
        });
        self.settle(outcome, "forgetting entries");
    }

    /// Every generator and instrument that entries are of, in order: a seek for each. `None` where the index is broken.
    pub(crate) fn places(&mut self) -> Option<Vec<(GeneratorId, Instrument)>> {
        let outcome =
            guarded(|| self.all_places().map(|places| places.into_iter().map(|(_, generator, instrument)| (generator, instrument)).collect()));
        self.settle(outcome, "scanning places")
    }

    /// The spans in a window, of the places that are asked for. `None` where the index is broken.
    pub(crate) fn held<'a>(&mut self, window: Window, look: impl Fn(&GeneratorId, &Instrument) -> Look<'a>) -> Option<Vec<Held>> {
        let outcome = guarded(|| {
            let mut held = Vec::new();
            for (prefix, generator, instrument) in self.all_places()? {
                let (only, only_if_first) = match look(&generator, &instrument) {
                    Look::Away => continue,
                    Look::AtAll => (None, false),
                    Look::Named(name) => (Some(name), false),
                    Look::IfNamed(name) => (Some(name), true),
                };
                // Neighbours were nearly always made under one name.
                let mut here: Vec<Held> = Vec::new();
                for (nth, row) in self.rows(&prefix, window)?.enumerate() {
                    let (_, row) = row?;
                    let row = Row::of(&row)?;
                    if let Some(only) = only
                        && !row.names.contains(&only)
                    {
                        if only_if_first && nth == 0 {
                            break;
                        }
                        continue;
                    }
                    let of_names: Vec<Option<usize>> = row
                        .names
                        .iter()
                        .map(|name| {
                            let known = here.iter().position(|held| *held.dataset == **name);
                            (only.is_none() || only == Some(name)).then(|| {
                                known.unwrap_or_else(|| {
                                    let (instrument, dataset) = (instrument.clone(), Arc::from(*name));
                                    here.push(Held { generator, instrument, dataset, spans: Vec::new() });
                                    here.len() - 1
                                })
                            })
                        })
                        .collect();
                    row.each_span(|name, span| {
                        if let Some(held) = of_names.get(name).copied().flatten().and_then(|nth| here.get_mut(nth))
                            && window.takes(span.start, span.end)
                        {
                            held.spans.push(span);
                        }
                    })?;
                }
                held.extend(here.into_iter().filter(|held| !held.spans.is_empty()));
            }
            Ok(held)
        });
        self.settle(outcome, "scanning spans")
    }

    /// The entries in a window, of the places and dataset names that are asked for. `None` where the index is broken.
    pub(crate) fn entries(
        &mut self,
        window: Window,
        of_place: impl Fn(&Instrument) -> bool,
        of_dataset: impl Fn(&str) -> bool,
    ) -> Option<Vec<Published>> {
        if !self.has_records() {
            return None;
        }
        let outcome = guarded(|| {
            let (mut places, mut found) = (Vec::new(), Vec::new());
            for (prefix, generator, instrument) in self.all_places()?.into_iter().filter(|(_, _, instrument)| of_place(instrument)) {
                for row in self.rows(&prefix, window)? {
                    let (_, row) = row?;
                    let row = Row::of(&row)?;
                    let of_names: Vec<bool> = row.names.iter().map(|name| of_dataset(name)).collect();
                    let mut wanted = false;
                    row.each_span(|name, span| wanted |= of_names.get(name) == Some(&true) && window.takes(span.start, span.end))?;
                    if !wanted {
                        continue;
                    }
                    let wanted = |noted: &Noted| of_dataset(&noted.dataset) && window.takes(noted.span.start, noted.span.end);
                    found.extend(row.entries()?.into_iter().filter(wanted));
                }
                places.resize(found.len(), (generator, instrument));
            }
            Ok(self.published_of(places, &found)?.collect())
        });
        self.settle(outcome, "scanning a part")
    }

    /// Where the records of all entries are, by so many threads, for who decodes of a million of them only what is needed. `None` where the index is broken
    /// or the journal is gone.
    pub(crate) fn told(&mut self, threads: usize) -> Option<Told<'_>> {
        let outcome = guarded(|| {
            let rows = self.database()?.scan_prefix([ENTRIES]).collect::<Result<Vec<_>, _>>()?;
            let shares: Vec<_> = rows.chunks(rows.len().div_ceil(threads).max(1)).collect();
            let (mut at, mut untold) = (Vec::new(), Vec::new());
            for share in parallel::map(threads, &shares, |rows| Share::of(rows)) {
                let share = share?;
                at.extend(share.at);
                untold.extend(share.untold);
            }
            at.sort_by_key(|at| at.offset());
            Ok((at, untold))
        });
        let (at, untold) = self.settle(outcome, "scanning all rows")?;
        Some(Told { records: self.records.as_ref()?, at, untold })
    }

    /// Every place with the beginning of its rows' keys, found by seeking behind the last row of the one before.
    fn all_places(&self) -> Result<Vec<(Vec<u8>, GeneratorId, Instrument)>, Broken> {
        let mut places = Vec::new();
        let mut from = vec![ENTRIES];
        while let Some(row) = self.database()?.range(from..vec![ENTRIES + 1]).next() {
            let (key, _) = row?;
            let (generator, instrument) = parse_place(&key).ok_or_else(|| Broken("a row has no place".to_owned()))?;
            let prefix = key[..key.len() - START_BYTES].to_vec();
            from = behind(&prefix);
            places.push((prefix, generator, instrument));
        }
        Ok(places)
    }

    /// The rows of a place that may have some in a window. Where one ends is not in its key, so nothing is left out that starts early.
    fn rows(&self, prefix: &[u8], window: Window) -> Result<impl Iterator<Item = Result<(Vec<u8>, sled::IVec), Broken>> + use<>, Broken> {
        let end = window.end.map_or_else(|| behind(prefix), |end| key_of(prefix, end));
        let rows = self.database()?.range(prefix.to_vec()..end.max(prefix.to_vec()));
        Ok(rows.map(|row| row.map(|(key, row)| (key.to_vec(), row)).map_err(Broken::from)))
    }
}

/// Behind every key of a place.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut behind = prefix.to_vec();
    behind.extend_from_slice(&[0xff; START_BYTES + 1]);
    behind
}
