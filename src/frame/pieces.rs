//! Which part of which table a frame holds: each moment of an instrument once, however often and in whichever pieces it was requested.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Table;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};

/// A table, or the part of it that remains.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) table: Table<'a>,
    pub(super) cut: Cut,
}

/// Where a table is cut. Only an edge that lies inside its partition is one: a whole partition is never filtered, so that a row at its very edge
/// (a bar stamped with its end) is kept or left out wherever partitions meet alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// What is earlier is left out.
    pub(super) start: Option<Time>,
    /// What is at this time or later is left out.
    pub(super) end: Option<Time>,
}

impl Cut {
    const NONE: Cut = Cut { start: None, end: None };

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    fn between(whole: Interval, kept: Interval) -> Self {
        let start = (kept.start() > whole.start()).then_some(kept.start());
        let end = (kept.end() < whole.end()).then_some(kept.end());
        Self { start, end }
    }
}

/// Each table once, whole, in its first place.
pub(super) fn whole_partitions<'a>(tables: &[Table<'a>]) -> Vec<Piece<'a>> {
    let mut seen: HashSet<(&Instrument, Interval)> = HashSet::new();
    let first = tables.iter().filter(|table| seen.insert((table.instrument, table.interval)));
    first.map(|table| Piece { table: *table, cut: Cut::NONE }).collect()
}

/// What was requested of each table, without what an earlier one of the same instrument gave.
pub(super) fn requested_pieces<'a>(tables: &[Table<'a>]) -> Vec<Piece<'a>> {
    let mut covered: HashMap<&Instrument, Covered> = HashMap::new();
    let mut pieces = Vec::with_capacity(tables.len());
    for same in tables.chunk_by(|one, next| one.instrument == next.instrument) {
        let covered = covered.entry(same[0].instrument).or_default();
        for table in same {
            for kept in covered.add(table.requested) {
                pieces.push(Piece { table: *table, cut: Cut::between(table.interval, kept) });
            }
        }
    }
    pieces
}

/// The times of an instrument that a frame already holds: disjoint spans, each by its start.
#[derive(Default)]
struct Covered(BTreeMap<Time, Time>);

impl Covered {
    /// Adds an interval and gives back, in order, the parts of it that were not covered before.
    fn add(&mut self, interval: Interval) -> Vec<Interval> {
        let (mut start, mut end) = (interval.start(), interval.end());
        let first = self.0.range(..=start).next_back().map_or(start, |(span, _)| *span);
        let touching: Vec<(Time, Time)> =
            self.0.range(first..=end).filter(|(_, span_end)| **span_end >= start).map(|(from, to)| (*from, *to)).collect();
        let mut free = Vec::new();
        let mut at = interval.start();
        for (span_start, span_end) in touching {
            free.extend(Interval::new(at, span_start));
            at = at.max(span_end);
            (start, end) = (start.min(span_start), end.max(span_end));
            self.0.remove(&span_start);
        }
        free.extend(Interval::new(at, interval.end()));
        self.0.insert(start, end);
        free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interval(start: i64, end: i64) -> Interval {
        Interval::new(Time::from_ns(start), Time::from_ns(end)).unwrap()
    }

    #[test]
    fn only_edges_inside_a_partition_are_cut() {
        assert!(Cut::between(interval(0, 10), interval(0, 10)).is_none());
        let cut = Cut::between(interval(0, 10), interval(3, 10));
        assert_eq!((cut.start, cut.end), (Some(Time::from_ns(3)), None));
        let cut = Cut::between(interval(0, 10), interval(0, 7));
        assert_eq!((cut.start, cut.end), (None, Some(Time::from_ns(7))));
    }

    proptest! {
        #[test]
        fn each_moment_is_handed_out_once(requests in proptest::collection::vec((0i64..60, 1i64..20), 1..20)) {
            let mut covered = Covered::default();
            let mut seen = [false; 80];
            for (start, length) in requests {
                let mut given = [false; 80];
                let mut last = i64::MIN;
                for part in covered.add(interval(start, start + length)) {
                    prop_assert!(part.start().ns() > last);
                    last = part.end().ns();
                    given[part.start().ns() as usize..part.end().ns() as usize].fill(true);
                }
                for at in 0..80 {
                    let asked = (start..start + length).contains(&(at as i64));
                    prop_assert_eq!(given[at], asked && !seen[at]);
                    seen[at] |= asked;
                }
            }
            let spans: Vec<_> = covered.0.into_iter().collect();
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
