//! From artifacts to one lazy frame: the only file that names Polars.
//!
//! May use the load's report and what it refers to, and reads nothing of the store but the artifacts themselves. Invariants:
//! - Planning opens at most one footer for each distinct schema; the schemas' digests tell which are the same without opening anything.
//! - A frame holds each moment of an instrument once, however often and in whichever pieces it was requested.
//! - With nothing to trim a frame is a single scan over an explicit list of files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use polars::io::HiveOptions;
use polars::prelude::{
    CastColumnsPolicy, DataFrame, DataType, DslBuilder, Expr, IntoLazy, LazyFrame, ParquetOptions, ParquetReader, PlRefPath, PolarsError, Scalar,
    ScanSources, Schema, SchemaExt, SchemaRef, TimeUnit, UnifiedScanArgs, UnionArgs, col, concat, lit,
};

use crate::address::{Address, Digest};
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::load::{Loaded, Partition, Summary};
use crate::store::Artifact;

/// The time column of a table where none is named.
const TIME_COLUMN: &str = "ts";
/// More columns than this are not listed one by one where schemas differ.
const DIFFERENCES_MAX: usize = 8;

/// How a frame is made of what was loaded.
///
/// ```
/// # use tickbarn::FrameOptions;
/// let options = FrameOptions::default().dataset("features").time_column("bar_close");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "options do nothing until a frame is made with them"]
pub struct FrameOptions {
    dataset: Option<String>,
    time_column: String,
    trimmed: bool,
}

/// The one dataset that has the output, trimmed by the column `ts`.
impl Default for FrameOptions {
    fn default() -> Self {
        Self { dataset: None, time_column: TIME_COLUMN.to_owned(), trimmed: true }
    }
}

impl FrameOptions {
    /// Takes the output of this dataset, where a load holds several that have one of its name.
    pub fn dataset(mut self, name: impl Into<String>) -> Self {
        self.dataset = Some(name.into());
        self
    }

    /// The column that holds a row's time, `ts` by default. It is only looked at where partitions reach beyond what was requested, and is then a
    /// datetime of any unit (a zone changes nothing, without one it is UTC) or 64-bit integers of nanoseconds since the epoch.
    pub fn time_column(mut self, name: impl Into<String>) -> Self {
        self.time_column = name.into();
        self
    }

    /// Takes whole partitions, also where they reach beyond what was requested. A partition still counts once; partitions of two cuts that overlap
    /// both give all of their rows.
    pub fn untrimmed(mut self) -> Self {
        self.trimmed = false;
        self
    }
}

impl Loaded {
    /// One lazy frame of an output over every partition that was read, in the order of [`Loaded::partitions`].
    ///
    /// What is missing, failed or has no rows adds nothing. Rows outside of what was requested are left out, which matters where whole cells cover a
    /// request ([`Align::Cover`](crate::Align::Cover)): there the column `ts` decides, or what [`FrameOptions::time_column`] names. Only edges that
    /// were cut are looked at; rows whose time is null are left out of the partitions at them. What was requested twice is there once, in its first
    /// place. Where no partition has rows the frame is empty and has their columns.
    ///
    /// Nothing is read here but one footer for each distinct schema. The frame reads artifacts in place when it is collected.
    ///
    /// # Errors
    /// [`Error::UnknownOutput`], [`Error::AmbiguousOutput`] and [`Error::NothingRead`] where it is not clear which tables are meant or there are none,
    /// [`Error::SchemasDiffer`] where they do not fit together, [`Error::MixedDefinitions`] where they should not be put together,
    /// [`Error::TimeColumn`] where they cannot be trimmed, [`Error::Io`] and [`Error::Frame`] where a footer cannot be read.
    ///
    /// ```no_run
    /// # use tickbarn::{Dataset, Interval, Store};
    /// use polars::prelude::{col, lit};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let market_data = Dataset::command("md", ["./export", "{start}", "{end}", "{output.trades}"]).output("trades", "trades.parquet").build()?;
    /// let january = Interval::parse("2024-01-01", "2024-02-01")?;
    /// let loaded = Store::open("barn")?.load().request(&market_data, &"binance/BTC-USDT".parse()?, january).blocking()?;
    /// let large = loaded.frame("trades")?.filter(col("quantity").gt(lit(1.0))).collect()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn frame(&self, output: &str) -> Result<LazyFrame> {
        self.frame_with(output, &FrameOptions::default())
    }

    /// As [`Loaded::frame`], of one dataset of the load.
    ///
    /// # Errors
    /// As [`Loaded::frame`], and [`Error::NotLoaded`].
    pub fn frame_of(&self, dataset: &str, output: &str) -> Result<LazyFrame> {
        self.frame_with(output, &FrameOptions::default().dataset(dataset))
    }

    /// As [`Loaded::frame`], with options.
    ///
    /// # Errors
    /// As [`Loaded::frame`], and [`Error::NotLoaded`].
    pub fn frame_with(&self, output: &str, options: &FrameOptions) -> Result<LazyFrame> {
        let tables = self.tables(output, options.dataset.as_deref())?;
        let filled: Vec<Table<'_>> = tables.iter().copied().filter(|table| table.artifact.rows > 0).collect();
        if filled.is_empty() {
            let schema = read_schema(output, tables[0].artifact)?;
            return Ok(DataFrame::empty_with_schema(&schema).lazy());
        }
        let schema = common_schema(output, &filled)?;
        let pieces = if options.trimmed { requested_pieces(&filled) } else { whole_partitions(&filled) };
        let mut scans = Vec::new();
        for run in pieces.chunk_by(|one, next| one.cut == next.cut) {
            let cut = run[0].cut;
            let scanned = scan(run, &schema).map_err(frame_error(output))?;
            scans.push(match cut.is_none() {
                true => scanned,
                false => scanned.filter(within(cut, output, &options.time_column, &schema)?),
            });
        }
        match scans.len() {
            1 => Ok(scans.remove(0)),
            _ => concat(scans, UnionArgs::default()).map_err(frame_error(output)),
        }
    }

    /// The tables of an output: at least one, all of one dataset as one definition makes them.
    fn tables(&self, output: &str, dataset: Option<&str>) -> Result<Vec<Table<'_>>> {
        let of_dataset = |partition: &&Partition| dataset.is_none_or(|dataset| &*partition.dataset == dataset);
        if let Some(dataset) = dataset
            && !self.partitions.iter().any(|partition| of_dataset(&partition))
        {
            let held = names(self.partitions.iter().map(|partition| &partition.dataset));
            return Err(Error::NotLoaded { dataset: dataset.to_owned(), held });
        }
        let table = |partition| Table::of(partition, output);
        let tables: Vec<Table<'_>> = self.partitions.iter().filter(of_dataset).filter_map(table).collect();
        let Some(first) = tables.first() else {
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
        if tables.iter().any(|table| table.partition.dataset != first.partition.dataset) {
            let datasets = names(tables.iter().map(|table| &table.partition.dataset));
            return Err(Error::AmbiguousOutput { output: output.to_owned(), datasets });
        }
        if tables.iter().any(|table| table.partition.generator != first.partition.generator) {
            return Err(Error::MixedDefinitions { dataset: first.partition.dataset.to_string(), output: output.to_owned() });
        }
        Ok(tables)
    }
}

/// An output of a partition that was read.
#[derive(Clone, Copy)]
struct Table<'a> {
    partition: &'a Partition,
    artifact: &'a Artifact,
}

impl<'a> Table<'a> {
    fn of(partition: &'a Partition, output: &str) -> Option<Self> {
        Some(Self { partition, artifact: partition.outcome.entry()?.output(output)? })
    }

    /// The partition as messages name it.
    fn place(&self) -> String {
        let Partition { dataset, instrument, interval, .. } = self.partition;
        format!("{dataset} {instrument} {interval}")
    }
}

/// A table, or the part of it that remains.
struct Piece<'a> {
    artifact: &'a Artifact,
    cut: Cut,
}

/// Where a table is cut. Only an edge that lies inside its partition is one: a whole partition is never filtered, so that a row at its very edge
/// (a bar stamped with its end) is kept or left out wherever partitions meet alike.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// What is earlier is left out.
    start: Option<Time>,
    /// What is at this time or later is left out.
    end: Option<Time>,
}

impl Cut {
    const NONE: Cut = Cut { start: None, end: None };

    fn is_none(self) -> bool {
        self == Self::NONE
    }

    fn between(whole: Interval, kept: Interval) -> Self {
        let start = (kept.start() > whole.start()).then_some(kept.start());
        let end = (kept.end() < whole.end()).then_some(kept.end());
        Self { start, end }
    }
}

fn whole_partitions<'a>(tables: &[Table<'a>]) -> Vec<Piece<'a>> {
    let mut seen: HashSet<Address> = HashSet::new();
    let first = tables.iter().filter(|table| seen.insert(table.partition.address));
    first.map(|table| Piece { artifact: table.artifact, cut: Cut::NONE }).collect()
}

/// What was requested of each table, without what an earlier one of the same instrument gave.
fn requested_pieces<'a>(tables: &[Table<'a>]) -> Vec<Piece<'a>> {
    let mut covered: HashMap<&Instrument, Covered> = HashMap::new();
    let mut pieces = Vec::with_capacity(tables.len());
    for Table { partition, artifact } in tables {
        for kept in covered.entry(&partition.instrument).or_default().add(partition.requested) {
            pieces.push(Piece { artifact, cut: Cut::between(partition.interval, kept) });
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

/// The schema that all tables have. Reads one footer for each distinct digest.
fn common_schema(output: &str, tables: &[Table<'_>]) -> Result<SchemaRef> {
    let first = tables[0];
    let schema = read_schema(output, first.artifact)?;
    let mut same: HashSet<Digest> = HashSet::from([first.artifact.schema]);
    for table in tables {
        // Digests may differ where Polars sees no difference: in what may be null, or in a writer's notes.
        if same.insert(table.artifact.schema) {
            let other = read_schema(output, table.artifact)?;
            if other != schema {
                return Err(Error::SchemasDiffer {
                    output: output.to_owned(),
                    first: first.place(),
                    second: table.place(),
                    differences: differences(&schema, &other),
                });
            }
        }
    }
    Ok(schema)
}

fn read_schema(output: &str, artifact: &Artifact) -> Result<SchemaRef> {
    use polars::prelude::SerReader;
    let file = File::open(&artifact.path).map_err(Error::io("open", &artifact.path))?;
    let schema = ParquetReader::new(file).schema().map_err(frame_error(output))?;
    Ok(Arc::new(Schema::from_arrow_schema(&schema)))
}

/// Says in which columns two schemas differ.
fn differences(first: &Schema, second: &Schema) -> String {
    let mut found: Vec<String> = Vec::new();
    for (name, dtype) in first.iter() {
        match second.get(name) {
            None => found.push(format!("{name} ({dtype}) is only in the first")),
            Some(other) if other != dtype => found.push(format!("{name} is {dtype} in the first and {other} in the second")),
            Some(_) => {}
        }
    }
    found.extend(second.iter().filter(|(name, _)| !first.contains(name)).map(|(name, dtype)| format!("{name} ({dtype}) is only in the second")));
    if found.is_empty() {
        return "they stand in another order".to_owned();
    }
    let more = found.len().saturating_sub(DIFFERENCES_MAX);
    found.truncate(DIFFERENCES_MAX);
    if more > 0 {
        found.push(format!("{more} more differ"));
    }
    found.join(", ")
}

/// One scan over whole files, in order.
fn scan(pieces: &[Piece<'_>], schema: &SchemaRef) -> Result<LazyFrame, PolarsError> {
    let paths: Vec<PlRefPath> = pieces.iter().map(|piece| PlRefPath::try_from_path(&piece.artifact.path)).collect::<Result<_, _>>()?;
    let rows = pieces.iter().map(|piece| piece.artifact.rows).sum();
    let options = ParquetOptions { schema: Some(Arc::clone(schema)), ..ParquetOptions::default() };
    let arguments = UnifiedScanArgs {
        // A store may lie in a directory whose name looks like a pattern or a Hive partition.
        glob: false,
        hive_options: HiveOptions::new_disabled(),
        cast_columns_policy: CastColumnsPolicy::ERROR_ON_MISMATCH,
        cache: true,
        // None of them deleted: answers a count without opening a file.
        row_count: Some((rows, 0)),
        ..UnifiedScanArgs::default()
    };
    Ok(DslBuilder::scan_parquet(ScanSources::Paths(paths.into()), options, arguments)?.build().into())
}

/// The condition that a row's time is within what remains of its table.
fn within(cut: Cut, output: &str, column: &str, schema: &Schema) -> Result<Expr> {
    let unfit = |reason: String| Error::TimeColumn { output: output.to_owned(), column: column.to_owned(), reason };
    let dtype = schema.get(column).ok_or_else(|| unfit("there is no such column".to_owned()))?;
    let edge = |time: Time| match dtype {
        DataType::Datetime(unit, zone) => Ok(lit(Scalar::new_datetime(in_unit(time, *unit), *unit, zone.clone()))),
        DataType::Int64 => Ok(lit(time.ns())),
        other => Err(unfit(format!("its type is {other}, where a datetime or 64-bit integers of nanoseconds are needed"))),
    };
    let start = cut.start.map(|start| edge(start).map(|start| col(column).gt_eq(start))).transpose()?;
    let end = cut.end.map(|end| edge(end).map(|end| col(column).lt(end))).transpose()?;
    Ok(match (start, end) {
        (Some(start), Some(end)) => start.and(end),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => lit(true),
    })
}

/// The first moment of a unit that is not before a time. A moment of the unit is then before the time exactly when it is before this one.
fn in_unit(time: Time, unit: TimeUnit) -> i64 {
    let unit_ns = match unit {
        TimeUnit::Nanoseconds => 1,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Milliseconds => 1_000_000,
    };
    time.ns().div_euclid(unit_ns) + i64::from(time.ns().rem_euclid(unit_ns) != 0)
}

fn frame_error(output: &str) -> impl FnOnce(PolarsError) -> Error {
    let output = output.to_owned();
    move |error| Error::Frame { output, source: Box::new(error) }
}

/// Distinct names in order.
fn names<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<String> {
    names.map(|name| &**name).collect::<BTreeSet<&str>>().into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interval(start: i64, end: i64) -> Interval {
        Interval::new(Time::from_ns(start), Time::from_ns(end)).unwrap()
    }

    #[test]
    fn edges_are_rounded_up_to_the_unit_of_the_column() {
        for (ns, micros) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (-1, 0), (-999, 0), (-1_000, -1), (-1_001, -1)] {
            assert_eq!(in_unit(Time::from_ns(ns), TimeUnit::Microseconds), micros, "{ns}");
        }
        for ns in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(in_unit(Time::from_ns(ns), TimeUnit::Nanoseconds), ns);
        }
        assert_eq!(in_unit(Time::from_ns(i64::MAX), TimeUnit::Milliseconds), i64::MAX / 1_000_000 + 1);
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
