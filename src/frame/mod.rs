//! From artifacts to lazy frames, and from frames to outputs: the only room that names Polars.
//!
//! May use the load's report and what it refers to, and reads nothing of the store but manifests and the artifacts themselves. Invariants:
//! - Planning opens at most one footer for each distinct schema, and none that this process has read before; the schemas' digests tell which are the
//!   same without opening anything.
//! - A frame holds each moment of an instrument once, however often and in whichever pieces it was requested.
//! - With nothing to trim, to add or to unite, a frame is a single scan over an explicit list of files.

mod scan;
mod schema;
mod statistics;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, PolarsError, SchemaRef, UnionArgs, concat, concat_lf_diagonal, lit};

use crate::address::Digest;
use crate::dataset::Upstream;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::load::{Loaded, Memoized, Partition};
use crate::pieces::{Cut, Piece, PieceOptions, Pieces, Table, pieces_of};
use crate::store::Column;
use schema::Group;
use statistics::Source;

/// The columns that say which instrument a row belongs to.
const INSTRUMENT_COLUMNS: [&str; 2] = ["market", "pair"];

/// How a frame is made of what was loaded.
///
/// ```
/// # use tickbarn::FrameOptions;
/// let options = FrameOptions::default().dataset("features").time_column("bar_close").instrument_columns();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "options do nothing until a frame is made with them"]
pub struct FrameOptions {
    pieces: PieceOptions,
    instrument_columns: bool,
    relaxed: bool,
    all_statistics: bool,
}

impl FrameOptions {
    /// Takes the output of this dataset, where a load holds several that have one of its name.
    pub fn dataset(mut self, name: impl Into<String>) -> Self {
        self.pieces = self.pieces.dataset(name);
        self
    }

    /// The column that holds a row's time; without it the one that the dataset declares, `ts` where it declares none. It is only looked at where
    /// partitions reach beyond what was requested, and is then a datetime of any unit (a zone changes nothing, without one it is UTC) or 64-bit
    /// integers of nanoseconds since the epoch.
    pub fn time_column(mut self, name: impl Into<String>) -> Self {
        self.pieces = self.pieces.time_column(name);
        self
    }

    /// Takes whole partitions, also where they reach beyond what was requested. A partition still counts once; partitions of two cuts that overlap
    /// both give all of their rows.
    pub fn untrimmed(mut self) -> Self {
        self.pieces = self.pieces.untrimmed();
        self
    }

    /// Adds the columns `market` and `pair`, texts, behind the table's own. The frame is then one scan for each run of an instrument.
    pub fn instrument_columns(mut self) -> Self {
        self.instrument_columns = true;
        self
    }

    /// Unites tables of different columns instead of refusing them: every column that any table has, in the order in which they first come, null where
    /// a table lacks it. A column that has different types becomes their common supertype as Polars defines it (integers of different widths the
    /// wider, integer and float a float, a number and a text a text); types without one are an error when the frame is collected. The frame is then
    /// one scan for each run of partitions with the same columns.
    pub fn relaxed(mut self) -> Self {
        self.relaxed = true;
        self
    }

    /// Takes the statistics of every column from the partitions' manifests, so that a filter on any column leaves files unopened (on floating point
    /// numbers one from above or for equality, since what is no number is in no statistics and greater than all). Without it, the journal gives those of
    /// the first four columns of times and 64-bit integers, which is what partitions are usually filtered by. Costs reading a manifest for each
    /// partition.
    pub fn all_statistics(mut self) -> Self {
        self.all_statistics = true;
        self
    }
}

impl Loaded {
    /// One lazy frame of an output over every partition that was read, in the order of [`Loaded::partitions`].
    ///
    /// What is missing, failed or has no rows adds nothing. Rows outside of what was requested are left out, which matters where whole cells cover a
    /// request ([`Align::Cover`](crate::Align::Cover)): there the dataset's time column decides, or what [`FrameOptions::time_column`] names. Only
    /// edges that were cut are looked at; rows whose time is null are left out of the partitions at them. What was requested twice is there once, in
    /// its first place. Where no partition has rows the frame is empty and has their columns.
    ///
    /// Nothing is read here but one footer for each distinct schema that this process has not seen yet. The frame reads artifacts in place when it is
    /// collected, and only those that a filter on time leaves: their bounds are known beforehand. A count opens none.
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
    /// As [`Loaded::frame`], and [`Error::NotLoaded`]; [`Error::InstrumentColumns`] where a table has a column of the name of one that is to be added.
    pub fn frame_with(&self, output: &str, options: &FrameOptions) -> Result<LazyFrame> {
        let tables = self.tables(output, options.pieces.dataset.as_deref())?;
        self.frame_over(&tables, output, options)
    }

    /// A lazy frame for each instrument, in the order in which they were first requested: what [`Loaded::frame_with`] gives of it. Instruments of which
    /// nothing was read are left out; two instruments may have different columns.
    ///
    /// # Errors
    /// As [`Loaded::frame_with`].
    pub fn frames_by_instrument(&self, output: &str, options: &FrameOptions) -> Result<Vec<(Instrument, LazyFrame)>> {
        let tables = self.tables(output, options.pieces.dataset.as_deref())?;
        let mut places: HashMap<&Instrument, usize> = HashMap::new();
        let mut groups: Vec<(&Instrument, Vec<Table<'_>>)> = Vec::new();
        for table in tables {
            let place = *places.entry(table.instrument).or_insert_with(|| {
                groups.push((table.instrument, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(table);
        }
        groups.into_iter().map(|(instrument, tables)| Ok((instrument.clone(), self.frame_over(&tables, output, options)?))).collect()
    }

    /// A lazy frame for each partition that was read and has the output, in the order of [`Loaded::partitions`], those without rows too. Each is trimmed
    /// to what was requested of it, and may have columns of its own. What was requested twice is there twice.
    ///
    /// # Errors
    /// As [`Loaded::frame_with`].
    pub fn frames_by_partition(&self, output: &str, options: &FrameOptions) -> Result<Vec<(&Partition, LazyFrame)>> {
        let tables = self.tables(output, options.pieces.dataset.as_deref())?;
        tables.iter().map(|table| Ok((&self.partitions[table.nth], self.frame_over(&[*table], output, options)?))).collect()
    }

    fn frame_over(&self, tables: &[Table<'_>], output: &str, options: &FrameOptions) -> Result<LazyFrame> {
        let time_column = options.pieces.time_column.as_deref().unwrap_or_else(|| self.time_column_of(tables));
        // Of fewer files nothing would be left out: no manifest is read in vain.
        let wanted = options.all_statistics && tables.len() >= statistics::FILES_MIN;
        let source = if wanted { Source::Manifests(self.statistics(tables)?) } else { Source::Index };
        assemble(tables, output, options, time_column, &source)
    }

    /// The columns of every table by its digest, from the partitions' manifests.
    fn statistics(&self, tables: &[Table<'_>]) -> Result<HashMap<Digest, Vec<Column>>> {
        let mut described = HashMap::new();
        for table in tables {
            let Some(address) = self.partitions[table.nth].address.filter(|_| !described.contains_key(&table.artifact.digest)) else { continue };
            // A manifest that was replaced or damaged meanwhile says nothing of this artifact; the scan then goes without.
            let manifest = match self.store.manifest(&address) {
                Err(error @ Error::Damaged { .. }) => {
                    tracing::warn!(%error, "a frame goes without the statistics of an artifact");
                    None
                }
                manifest => manifest?,
            };
            described.extend(manifest.into_iter().flat_map(|manifest| manifest.outputs).map(|(_, output)| (output.digest, output.table.columns)));
        }
        Ok(described)
    }
}

impl Upstream {
    /// One lazy frame of an output over what this upstream holds of the job's interval, in time order, without rows outside of the interval: there the
    /// upstream dataset's time column decides.
    ///
    /// # Errors
    /// [`Error::NotDeclared`] for an output that is not read here, [`Error::EmptyUpstream`] where there is no table at all ([`Upstream::is_empty`] tells
    /// beforehand), and as [`Loaded::frame`].
    pub fn frame(&self, output: &str) -> Result<LazyFrame> {
        self.frame_with(output, &FrameOptions::default())
    }

    /// As [`Upstream::frame`], with options; the option of a dataset means nothing here.
    ///
    /// # Errors
    /// As [`Upstream::frame`] and [`Loaded::frame_with`].
    pub fn frame_with(&self, output: &str, options: &FrameOptions) -> Result<LazyFrame> {
        let tables = self.tables_of(output)?;
        assemble(&tables, output, options, options.pieces.time_column.as_deref().unwrap_or(self.time_column()), &Source::Index)
    }
}

impl Memoized {
    /// Calls the function for an instrument over an interval, and gives back its one output as a lazy frame: what is in the store is read, and what is
    /// not is made and kept. May be called inside and outside of a tokio runtime.
    ///
    /// # Errors
    /// As awaiting a [`Load`](crate::Load), and as [`Loaded::frame`].
    pub fn call(&self, instrument: &Instrument, interval: Interval) -> Result<LazyFrame> {
        self.load(instrument, interval).blocking()?.frame(self.output())
    }

    /// As [`Memoized::call`], awaited.
    ///
    /// # Errors
    /// As [`Memoized::call`].
    pub async fn call_async(&self, instrument: &Instrument, interval: Interval) -> Result<LazyFrame> {
        self.load(instrument, interval).await?.frame(self.output())
    }
}

/// One frame of tables, at least one, of one output.
fn assemble(tables: &[Table<'_>], output: &str, options: &FrameOptions, time_column: &str, known: &Source) -> Result<LazyFrame> {
    let Pieces { pieces, .. } = pieces_of(tables, options.pieces.untrimmed, time_column);
    if pieces.is_empty() {
        let schema = schema::schema_of(output, tables[0].artifact)?;
        let empty = DataFrame::empty_with_schema(&schema).lazy();
        return if options.instrument_columns { with_instrument(empty, &tables[0], output, &schema) } else { Ok(empty) };
    }
    let groups = schema::by_schema(output, &pieces)?;
    if let [first, rest @ ..] = &groups[..]
        && let Some(other) = rest.iter().find(|group| !Arc::ptr_eq(&group.schema, &first.schema))
        && !options.relaxed
    {
        return Err(schema::schemas_differ(output, first, other));
    }
    let mut scans = Vec::new();
    for Group { schema, filters_early, pieces } in &groups {
        let together =
            |one: &Piece<'_>, next: &Piece<'_>| one.cut == next.cut && (!options.instrument_columns || one.table.instrument == next.table.instrument);
        for run in pieces.chunk_by(together) {
            let mut scanned = scan::scan(run, schema, *filters_early, known).map_err(frame_error(output))?;
            let cut = run[0].cut;
            if cut != Cut::NONE {
                scanned = scanned.filter(scan::within(cut, output, time_column, schema)?);
            }
            scans.push(if options.instrument_columns { with_instrument(scanned, &run[0].table, output, schema)? } else { scanned });
        }
    }
    match scans.len() {
        1 => Ok(scans.remove(0)),
        _ if options.relaxed => concat_lf_diagonal(scans, UnionArgs { to_supertypes: true, ..UnionArgs::default() }).map_err(frame_error(output)),
        _ => concat(scans, UnionArgs::default()).map_err(frame_error(output)),
    }
}

fn with_instrument(frame: LazyFrame, table: &Table<'_>, output: &str, schema: &SchemaRef) -> Result<LazyFrame> {
    if let Some(column) = INSTRUMENT_COLUMNS.into_iter().find(|column| schema.contains(column)) {
        return Err(Error::InstrumentColumns { output: output.to_owned(), column });
    }
    let [market, pair] = INSTRUMENT_COLUMNS;
    Ok(frame.with_columns([lit(table.instrument.market()).alias(market), lit(table.instrument.pair()).alias(pair)]))
}

fn frame_error(output: &str) -> impl FnOnce(PolarsError) -> Error {
    let output = output.to_owned();
    move |error| Error::Frame { output, source: Box::new(error) }
}
