//! Which part of which table an output of a load is made of: each moment of an instrument once, however often and in whichever pieces it was requested.
//!
//! This is what a frame is made of, without making one: it names no library of frames, so that any may be used. May use the load's report and what a job
//! is handed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::artifact::Artifact;
use crate::dataset::{TIME_COLUMN, Upstream, UpstreamPartition};
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::load::{Loaded, Partition, Summary};

/// Which tables [`Loaded::pieces`] takes, and how much of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "options do nothing until pieces are asked for with them"]
pub struct PieceOptions {
    pub(crate) dataset: Option<String>,
    pub(crate) time_column: Option<String>,
    pub(crate) untrimmed: bool,
}

impl PieceOptions {
    /// Takes the output of this dataset, where a load holds several that have one of its name.
    pub fn dataset(mut self, name: impl Into<String>) -> Self {
        self.dataset = Some(name.into());
        self
    }

    /// The column that holds a row's time; without it the one that the dataset declares.
    pub fn time_column(mut self, name: impl Into<String>) -> Self {
        self.time_column = Some(name.into());
        self
    }

    /// Takes whole partitions, also where they reach beyond what was requested.
    pub fn untrimmed(mut self) -> Self {
        self.untrimmed = true;
        self
    }
}

/// What an output of a load is made of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pieces<'a> {
    /// The pieces that have rows, in the order of their partitions. None where no partition has any.
    pub pieces: Vec<Piece<'a>>,
    /// A table of the output, to take the columns from where there are no pieces.
    pub model: &'a Artifact,
    /// The column that holds a row's time, by which pieces with a start or an end are cut.
    pub time_column: String,
}

/// An output of a partition that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    /// Its partition's place among those it was taken from.
    pub(crate) nth: usize,
    pub(crate) dataset: &'a str,
    pub(crate) instrument: &'a Instrument,
    pub(crate) interval: Interval,
    pub(crate) requested: Interval,
    pub(crate) artifact: &'a Artifact,
}

impl Table<'_> {
    /// The partition as messages name it.
    pub(crate) fn place(&self) -> String {
        format!("{} {} {}", self.dataset, self.instrument, self.interval)
    }
}

/// A table, or the part of it that remains.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    pub(crate) table: Table<'a>,
    pub(crate) cut: Cut,
}

impl<'a> Piece<'a> {
    /// The place of its partition among those of the load, or of the upstream.
    pub fn nth(&self) -> usize {
        self.table.nth
    }

    /// The instrument.
    pub fn instrument(&self) -> &'a Instrument {
        self.table.instrument
    }

    /// The table.
    pub fn artifact(&self) -> &'a Artifact {
        self.table.artifact
    }

    /// The partition in words, as messages name it: its dataset, instrument and interval.
    pub fn place(&self) -> String {
        self.table.place()
    }

    /// Rows of an earlier time are left out, where there is one.
    pub fn start(&self) -> Option<Time> {
        self.cut.start
    }

    /// Rows of this time or a later one are left out, where there is one.
    pub fn end(&self) -> Option<Time> {
        self.cut.end
    }
}

impl Loaded {
    /// What an output is made of: the files that hold it, in the order of [`Loaded::partitions`], and what of each counts. For whoever reads them by
    /// something else than `Loaded::frame`, and means the same rows.
    ///
    /// What is missing, failed or has no rows adds nothing. A piece has a start or an end only where its partition reaches beyond what was requested; what was
    /// requested twice is there once.
    ///
    /// ```no_run
    /// # use tickbarn::{Loaded, PieceOptions};
    /// # fn paths(loaded: &Loaded) -> tickbarn::Result<()> {
    /// for piece in loaded.pieces("trades", &PieceOptions::default())?.pieces {
    ///     println!("{} of {}", piece.artifact().path.display(), piece.place());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownOutput`], [`Error::AmbiguousOutput`], [`Error::NothingRead`] and [`Error::NotLoaded`] where it is not clear which tables are meant or
    /// there are none, [`Error::MixedDefinitions`] where they should not be put together.
    pub fn pieces(&self, output: &str, options: &PieceOptions) -> Result<Pieces<'_>> {
        let tables = self.tables(output, options.dataset.as_deref())?;
        let time_column = options.time_column.as_deref().unwrap_or_else(|| self.time_column_of(&tables));
        Ok(pieces_of(&tables, options.untrimmed, time_column))
    }

    /// The column that the dataset of these tables, at least one, declares to hold a row's time.
    pub(crate) fn time_column_of(&self, tables: &[Table<'_>]) -> &str {
        self.datasets.iter().find(|dataset| dataset.name() == tables[0].dataset).map_or(TIME_COLUMN, |dataset| dataset.time_column())
    }

    /// The tables of an output: at least one, all of one dataset as one definition makes them.
    pub(crate) fn tables(&self, output: &str, dataset: Option<&str>) -> Result<Vec<Table<'_>>> {
        let of_dataset = |partition: &&Partition| dataset.is_none_or(|dataset| &*partition.dataset == dataset);
        if let Some(dataset) = dataset
            && !self.partitions.iter().any(|partition| of_dataset(&partition))
        {
            let held = names(self.partitions.iter().map(|partition| &partition.dataset));
            return Err(Error::NotLoaded { dataset: dataset.to_owned(), held });
        }
        let mut found = self.partitions.iter().enumerate().filter(|(_, partition)| of_dataset(partition)).filter_map(|(nth, partition)| {
            let table = Table {
                nth,
                dataset: &partition.dataset,
                instrument: &partition.instrument,
                interval: partition.interval,
                requested: partition.requested,
                artifact: partition.outcome.entry()?.output(output)?,
            };
            Some((table, partition))
        });
        let Some((table, first)) = found.next() else {
            let mut summary = Summary::default();
            let asked = || self.partitions.iter().filter(of_dataset);
            asked().for_each(|partition| summary.count(&partition.outcome));
            let known = names(asked().filter_map(|partition| partition.outcome.entry()).flat_map(|entry| &entry.outputs).map(|output| &output.name));
            if !known.is_empty() {
                return Err(Error::UnknownOutput { output: output.to_owned(), known });
            }
            let Summary { requested, missing, failed, empty, .. } = summary;
            return Err(Error::NothingRead { output: output.to_owned(), requested, missing, failed, empty });
        };
        let mut tables = Vec::with_capacity(self.partitions.len());
        tables.push(table);
        let mut mixed = false;
        for (table, partition) in found {
            if partition.dataset != first.dataset {
                let having = |partition: &&Partition| partition.outcome.entry().is_some_and(|entry| entry.output(output).is_some());
                let datasets = names(self.partitions.iter().filter(having).map(|partition| &partition.dataset));
                return Err(Error::AmbiguousOutput { output: output.to_owned(), datasets });
            }
            mixed |= partition.lineage != first.lineage;
            tables.push(table);
        }
        if mixed {
            return Err(Error::MixedDefinitions { dataset: first.dataset.to_string(), output: output.to_owned() });
        }
        Ok(tables)
    }
}

impl Upstream {
    /// What an output of this upstream is made of within the job's interval, in time order: as [`Loaded::pieces`].
    ///
    /// # Errors
    /// [`Error::NotDeclared`] for an output that is not read here, [`Error::EmptyUpstream`] where there is no table at all.
    pub fn pieces(&self, output: &str) -> Result<Pieces<'_>> {
        Ok(pieces_of(&self.tables_of(output)?, false, self.time_column()))
    }

    /// The tables of an output, at least one, in time order.
    pub(crate) fn tables_of(&self, output: &str) -> Result<Vec<Table<'_>>> {
        self.declared(output)?;
        let tables: Vec<Table<'_>> = self
            .partitions()
            .iter()
            .enumerate()
            .filter_map(|(nth, UpstreamPartition { interval, requested, outputs, .. })| {
                let artifact = outputs.iter().find(|artifact| &*artifact.name == output)?;
                let (dataset, instrument) = (self.dataset(), self.instrument());
                Some(Table { nth, dataset, instrument, interval: *interval, requested: *requested, artifact })
            })
            .collect();
        if tables.is_empty() {
            return Err(Error::EmptyUpstream { dataset: self.dataset().to_owned(), output: output.to_owned() });
        }
        Ok(tables)
    }
}

pub(crate) fn pieces_of<'a>(tables: &[Table<'a>], untrimmed: bool, time_column: &str) -> Pieces<'a> {
    let filled = filled(tables);
    let pieces = if untrimmed { whole_partitions(&filled) } else { requested_pieces(&filled) };
    Pieces { pieces, model: tables[0].artifact, time_column: time_column.to_owned() }
}

/// The tables that have rows.
fn filled<'a>(tables: &[Table<'a>]) -> Vec<Table<'a>> {
    tables.iter().copied().filter(|table| table.artifact.rows > 0).collect()
}

/// Distinct names in order.
fn names<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<String> {
    names.map(|name| &**name).collect::<BTreeSet<&str>>().into_iter().map(str::to_owned).collect()
}

/// Where a table is cut. Only an edge that lies inside its partition is one: a whole partition is never filtered, so that a row at its very edge
/// (a bar stamped with its end) is kept or left out wherever partitions meet alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// What is earlier is left out.
    pub(crate) start: Option<Time>,
    /// What is at this time or later is left out.
    pub(crate) end: Option<Time>,
}

impl Cut {
    pub(crate) const NONE: Cut = Cut { start: None, end: None };

    fn between(whole: Interval, kept: Interval) -> Self {
        let start = (kept.start() > whole.start()).then_some(kept.start());
        let end = (kept.end() < whole.end()).then_some(kept.end());
        Self { start, end }
    }
}

/// Each table once, whole, in its first place.
fn whole_partitions<'a>(tables: &[Table<'a>]) -> Vec<Piece<'a>> {
    let mut seen: HashSet<(&Instrument, Interval)> = HashSet::new();
    let first = tables.iter().filter(|table| seen.insert((table.instrument, table.interval)));
    first.map(|table| Piece { table: *table, cut: Cut::NONE }).collect()
}

/// What was requested of each table, without what an earlier one of the same instrument gave.
fn requested_pieces<'a>(tables: &[Table<'a>]) -> Vec<Piece<'a>> {
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
        assert!(Cut::between(interval(0, 10), interval(0, 10)) == Cut::NONE);
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
