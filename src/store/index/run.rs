//! How a run of entries is written in a row: some twenty bytes an entry, whatever its record holds.
//!
//! A row is the names of the datasets that the entries were made under, nearly always one; then each entry's span in their order: how far it starts behind
//! the end of the one before, how long it is, whether it is empty; then of each entry the beginning of its address, and where its record is. Written in
//! postcard's encoding (<https://postcard.jamesmunns.com/wire-format>), and read without it, as far as is needed: coverage reads the spans, sums the rest.

use std::sync::Arc;

use serde::Serialize;

use super::Broken;
use crate::address::Address;
use crate::interval::Time;
use crate::store::journal::RecordAt;
use crate::store::manifest::Empty;
use crate::store::packed::Bytes;
use crate::store::record::{EntryRecord, Span};

/// The beginning of an address: enough to tell the entries of one place and start apart, until a record is read. Were two alike, one of them would be missed
/// here, be found by its manifest, and keep the index from being complete.
pub(super) type Mark = [u8; 8];

/// About how many bytes of a row an entry takes that the journal tells.
pub(super) const ENTRY_BYTES: usize = 24;

pub(super) fn mark_of(address: &Address) -> Mark {
    *address.as_bytes().first_chunk().expect("an address has 32 bytes")
}

/// An entry as a run knows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Noted {
    pub(super) span: Span,
    pub(super) dataset: Arc<str>,
    pub(super) mark: Mark,
    pub(super) record: Place,
}

/// Where an entry's record is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    Journal(RecordAt),
    /// Here, packed: of an entry that the journal does not tell.
    Row(Box<[u8]>),
}

impl Noted {
    /// An entry that the journal does not tell.
    pub(super) fn untold(entry: &EntryRecord) -> Result<Self, Broken> {
        let record = Place::Row(postcard::to_stdvec(entry)?.into());
        Ok(Self { span: Span::of(entry), dataset: Arc::clone(&entry.dataset), mark: mark_of(&entry.address), record })
    }

    /// About how many bytes of a row it takes.
    pub(super) fn bytes(&self) -> usize {
        match &self.record {
            Place::Journal(_) => ENTRY_BYTES,
            Place::Row(record) => ENTRY_BYTES + record.len(),
        }
    }
}

const EARLY: u64 = 1;
const ZERO_ROWS: u64 = 1 << 1;
const NO_DATA: u64 = 2 << 1;
/// And the exit code behind it.
const EXIT_CODE: u64 = 3 << 1;

#[derive(Serialize)]
struct PackedSpan {
    after_ns: i64,
    length_ns: i64,
    state: u64,
    /// Which of the names.
    name: u16,
}

#[derive(Serialize)]
enum PackedPlace<'a> {
    /// How far behind the record before, and how long.
    Journal(i64, u32),
    Row(&'a [u8]),
}
const JOURNAL: u64 = 0;
const ROW: u64 = 1;

pub(super) fn pack(run: &[Noted]) -> Result<Vec<u8>, Broken> {
    let mut names: Vec<&str> = Vec::new();
    let mut end = 0i64;
    let (mut spans, mut records) = (Vec::with_capacity(run.len()), Vec::with_capacity(run.len()));
    let mut last = RecordAt::START;
    for Noted { span, dataset, mark, record } in run {
        let name = names.iter().position(|name| **name == **dataset).unwrap_or_else(|| {
            names.push(dataset);
            names.len() - 1
        });
        let name = u16::try_from(name).map_err(|_| Broken("a run has more names than entries".to_owned()))?;
        // Wrapping, as it is undone: any two times have a difference so.
        spans.push(PackedSpan {
            after_ns: span.start.ns().wrapping_sub(end),
            length_ns: span.end.ns().wrapping_sub(span.start.ns()),
            state: state_of(*span),
            name,
        });
        end = span.end.ns();
        records.push((
            mark,
            match record {
                Place::Journal(at) => {
                    let distance = at.distance_from(last);
                    last = *at;
                    PackedPlace::Journal(distance, at.bytes())
                }
                Place::Row(record) => PackedPlace::Row(record),
            },
        ));
    }
    // As many records as spans: they need no count of their own.
    let mut row = postcard::to_stdvec(&(names, spans))?;
    for record in records {
        row = postcard::to_extend(&record, row)?;
    }
    Ok(row)
}

/// A row, read as far as its names.
pub(super) struct Row<'a> {
    /// Of the datasets that its entries were made under.
    pub(super) names: Vec<&'a str>,
    /// How many entries.
    count: u64,
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn of(row: &'a [u8]) -> Result<Self, Broken> {
        let mut bytes = Bytes(row);
        let read = |bytes: &mut Bytes<'a>| {
            let names = (0..bytes.varint()?).map(|_| std::str::from_utf8(bytes.text()?).ok()).collect::<Option<_>>()?;
            Some((names, bytes.varint()?))
        };
        let (names, count) = read(&mut bytes).ok_or_else(undecodable)?;
        Ok(Self { names, count, rest: bytes.0 })
    }

    /// Hands on its entries' spans, each with the number of its name.
    pub(super) fn each_span(&self, sink: impl FnMut(usize, Span)) -> Result<(), Broken> {
        self.spans_and_rest(sink).map(drop)
    }

    /// Hands on where its entries' records are.
    pub(super) fn each_place(&self, mut sink: impl FnMut(Place)) -> Result<(), Broken> {
        let mut bytes = Bytes(self.rest);
        let skipped = (0..self.count).try_for_each(|_| (0..4).try_for_each(|_| bytes.skip_varint()));
        let mut records = Records::of(bytes);
        skipped.and_then(|()| (0..self.count).try_for_each(|_| records.next().map(|(_, place)| sink(place)))).ok_or_else(undecodable)
    }

    /// All of it.
    pub(super) fn entries(&self) -> Result<Vec<Noted>, Broken> {
        let names: Vec<Arc<str>> = self.names.iter().copied().map(Arc::from).collect();
        let mut spans = Vec::new();
        let rest = self.spans_and_rest(|name, span| spans.push((name, span)))?;
        let mut records = Records::of(rest);
        let mut noted = |(name, span)| {
            let (mark, record) = records.next()?;
            Some(Noted { span, dataset: Arc::clone(names.get::<usize>(name)?), mark, record })
        };
        spans.into_iter().map(&mut noted).collect::<Option<_>>().ok_or_else(undecodable)
    }

    fn spans_and_rest(&self, mut sink: impl FnMut(usize, Span)) -> Result<Bytes<'a>, Broken> {
        let mut bytes = Bytes(self.rest);
        let mut end = 0i64;
        let mut next = |bytes: &mut Bytes<'a>| {
            let start = end.wrapping_add(bytes.signed()?);
            end = start.wrapping_add(bytes.signed()?);
            let state = bytes.varint()?;
            let name = usize::try_from(bytes.varint()?).ok()?;
            let span = Span { start: Time::from_ns(start), end: Time::from_ns(end), empty: empty_of(state)?, early: state & EARLY != 0 };
            Some((name, span))
        };
        for _ in 0..self.count {
            let (name, span) = next(&mut bytes).ok_or_else(undecodable)?;
            sink(name, span);
        }
        Ok(bytes)
    }
}

/// What stands behind the spans, an entry at a time.
struct Records<'a> {
    bytes: Bytes<'a>,
    last: RecordAt,
}

impl<'a> Records<'a> {
    fn of(bytes: Bytes<'a>) -> Self {
        Self { bytes, last: RecordAt::START }
    }

    fn next(&mut self) -> Option<(Mark, Place)> {
        let mark = self.bytes.chunk()?;
        let place = match self.bytes.varint()? {
            JOURNAL => {
                self.last = self.last.behind(self.bytes.signed()?, u32::try_from(self.bytes.varint()?).ok()?);
                Place::Journal(self.last)
            }
            ROW => Place::Row(self.bytes.text()?.into()),
            _ => return None,
        };
        Some((mark, place))
    }
}

fn undecodable() -> Broken {
    Broken("a row does not decode".to_owned())
}

pub(super) fn unpack(row: &[u8]) -> Result<Vec<Noted>, Broken> {
    Row::of(row)?.entries()
}

fn state_of(span: Span) -> u64 {
    let empty = match span.empty {
        None => 0,
        Some(Empty::ZeroRows) => ZERO_ROWS,
        Some(Empty::NoData) => NO_DATA,
        Some(Empty::ExitCode(code)) => EXIT_CODE + (u64::from(code) << 1),
    };
    empty | u64::from(span.early)
}

fn empty_of(state: u64) -> Option<Option<Empty>> {
    Some(match state & !EARLY {
        0 => None,
        ZERO_ROWS => Some(Empty::ZeroRows),
        NO_DATA => Some(Empty::NoData),
        state => Some(Empty::ExitCode(u8::try_from((state - EXIT_CODE) >> 1).ok()?)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noted() -> impl Strategy<Value = Noted> {
        let time = || prop_oneof![any::<i64>(), -1_000i64..1_000];
        let empty = prop_oneof![
            Just(None),
            Just(Some(Empty::ZeroRows)),
            Just(Some(Empty::NoData)),
            any::<u8>().prop_map(|code| Some(Empty::ExitCode(code))),
        ];
        let journal = (prop_oneof![any::<u64>(), 0u64..100_000], any::<u32>())
            .prop_map(|(offset, bytes)| Place::Journal(RecordAt::START.behind(offset.cast_signed(), bytes)));
        let row = prop::collection::vec(any::<u8>(), 0..40).prop_map(|record| Place::Row(record.into()));
        let names = prop_oneof![Just("md"), Just("features"), Just("größer")];
        (time(), time(), empty, any::<bool>(), names, any::<Mark>(), prop_oneof![journal, row]).prop_map(
            |(start, end, empty, early, dataset, mark, record)| {
                let span = Span { start: Time::from_ns(start), end: Time::from_ns(end), empty, early };
                Noted { span, dataset: dataset.into(), mark, record }
            },
        )
    }

    proptest! {
        #[test]
        fn a_row_holds_what_was_packed_and_what_is_cut_off_is_none(run in prop::collection::vec(noted(), 0..40), cut in 0.0..1.0) {
            let row = pack(&run).ok().unwrap();
            prop_assert_eq!(&unpack(&row).ok().unwrap(), &run);
            let mut places = Vec::new();
            prop_assert!(Row::of(&row).ok().unwrap().each_place(|place| places.push(place)).is_ok());
            prop_assert_eq!(places, run.iter().map(|noted| noted.record.clone()).collect::<Vec<_>>());
            let mut spans = Vec::new();
            prop_assert!(Row::of(&row).ok().unwrap().each_span(|_, span| spans.push(span)).is_ok());
            prop_assert_eq!(spans, run.iter().map(|noted| noted.span).collect::<Vec<_>>());
            if !run.is_empty() {
                prop_assert!(unpack(&row[..(row.len() as f64 * cut) as usize]).is_err());
            }
        }

        #[test]
        fn whatever_stands_in_a_row_is_read_or_refused(row in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&row);
            if let Ok(row) = Row::of(&row) {
                let _ = row.each_span(|_, _| {});
                let _ = row.each_place(drop);
            }
        }
    }
}
