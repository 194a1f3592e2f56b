//! What the journal tells, as far as the index keeps it: where entries lie in time, and where their records stand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::place_prefix;
use super::run::{Mark, Noted, Place, mark_of};
use super::tally::Tallies;
use crate::address::Address;
use crate::interval::Time;
use crate::store::journal::Payload;
use crate::store::packed::{Bytes, PackedEntry, PackedPlace, PackedRecord};
use crate::store::record::Span;

/// Records that were decoded together.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The beginnings of keys.
    places: Vec<Vec<u8>>,
    /// In order, each with the number of its place.
    changes: Vec<(u32, Time, Change)>,
}

/// What a record does to a run.
#[derive(Debug)]
pub(super) enum Change {
    Put { noted: Noted, address: Address },
    Drop(Address),
}

/// Changes that wait to be folded in, by the beginnings of their keys. A later one of an address overrides an earlier one: those of a place stay in order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) places: BTreeMap<Vec<u8>, Vec<(Time, Change)>>,
    pub(super) count: usize,
}

impl Piece {
    /// Nothing where one of them is no record.
    pub(super) fn decode(payloads: &[Payload<'_>]) -> Option<Self> {
        let mut piece = Self { changes: Vec::with_capacity(payloads.len()), ..Self::default() };
        let mut known = Known::default();
        for payload in payloads {
            piece.take(payload, &mut known)?;
        }
        Some(piece)
    }

    fn take<'a>(&mut self, payload: &Payload<'a>, known: &mut Known<'a>) -> Option<()> {
        let mut bytes = Bytes(payload.bytes);
        let (place, start, change) = match bytes.record()? {
            PackedRecord::Removed { place, start, address } => (place, start, Change::Drop(address)),
            PackedRecord::Published(place) => {
                known.artifacts.clear();
                let PackedEntry { start, end, address, dataset, empty, started, .. } = bytes.entry(&mut known.artifacts)?;
                let span = Span { start, end, empty, early: started < end };
                let noted = Noted { span, dataset: known.name(dataset)?, mark: mark_of(&address), record: Place::Journal(payload.at) };
                (place, start, Change::Put { noted, address })
            }
        };
        let place = match known.places.get(&place) {
            Some(place) => *place,
            None => {
                let nth = u32::try_from(self.places.len()).ok()?;
                self.places.push(place_prefix(&place.generator, &place.instrument()?));
                known.places.insert(place, nth);
                nth
            }
        };
        self.changes.push((place, start, change));
        Some(())
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().map(|(_, _, change)| change)
    }
}

/// What was met in a piece.
#[derive(Default)]
struct Known<'a> {
    places: HashMap<PackedPlace<'a>, u32>,
    names: HashMap<&'a [u8], Arc<str>>,
    /// Of the entry that was read last, for nobody.
    artifacts: Vec<(crate::address::Digest, u64, crate::store::layout::ArtifactKind)>,
}

impl<'a> Known<'a> {
    fn name(&mut self, name: &'a [u8]) -> Option<Arc<str>> {
        if let Some(known) = self.names.get(name) {
            return Some(Arc::clone(known));
        }
        let kept: Arc<str> = std::str::from_utf8(name).ok()?.into();
        self.names.insert(name, Arc::clone(&kept));
        Some(kept)
    }
}

impl Waiting {
    pub(super) fn add(&mut self, piece: Piece) {
        self.count += piece.changes.len();
        let mut of_places: Vec<Vec<(Time, Change)>> = piece.places.iter().map(|_| Vec::new()).collect();
        for (place, start, change) in piece.changes {
            of_places[place as usize].push((start, change));
        }
        for (place, changes) in piece.places.into_iter().zip(of_places) {
            self.places.entry(place).or_default().extend(changes);
        }
    }

    pub(super) fn push(&mut self, place: Vec<u8>, start: Time, change: Change) {
        self.count += 1;
        self.places.entry(place).or_default().push((start, change));
    }
}

impl Change {
    /// Does it to a run, which is in order of start. Changes come in that order too: what is new is nearly always the last.
    pub(super) fn apply(self, start: Time, run: &mut Vec<Noted>, tallies: &mut Tallies) {
        let first = run.partition_point(|other| other.span.start < start);
        let together = run[first..].iter().take_while(|other| other.span.start == start).count();
        let find = |mark: Mark| run[first..first + together].iter().position(|other| other.mark == mark).map(|nth| first + nth);
        match self {
            Change::Put { noted, address } => match find(noted.mark) {
                Some(nth) => run[nth] = noted,
                None => {
                    tallies.add(&address);
                    run.insert(first + together, noted);
                }
            },
            Change::Drop(address) => {
                if let Some(nth) = find(mark_of(&address)) {
                    tallies.take(&address);
                    run.remove(nth);
                }
            }
        }
    }
}
