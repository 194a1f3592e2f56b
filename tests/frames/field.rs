//! A store whose partitions' tables a test writes one by one: the generator copies what was sown.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{DoubleType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use polars::prelude::{
    Column, DataFrame, IdxSize, Int64Chunked, IntoSeries, LazyFrame, NamedFrom, NewChunkedArray, ParquetWriter, Series, TimeUnit, TimeZone,
};
use tickbarn::{Align, Dataset, DatasetBuilder, Instrument, Interval, Loaded, OnFailure, OnMissing, Policy, Split, Store, Time};

pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;
pub(crate) const MINUTE_NS: i64 = HOUR_NS / 60;

pub(crate) struct Field {
    directory: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Field {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // A place that a scan could take for a pattern and a Hive partition, were it to look at names.
        let store = Store::open(directory.path().join("day=[1]*")).unwrap();
        fs::write(directory.path().join("copy.sh"), "#!/bin/sh\n[ -e \"$1\" ] || exit 4\ncp \"$1\" \"$2\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path().join("copy.sh"), mode).unwrap();
        Self { directory, store }
    }

    /// Writes the table of a partition of an hour. A partition without one fails.
    pub(crate) fn sow(&self, pair: &str, hour: u32, mut table: DataFrame) {
        ParquetWriter::new(fs::File::create(self.seed(pair, hour)).unwrap()).finish(&mut table).unwrap();
    }

    /// The same as a writer other than Arrow's has it: nothing may be null, and no notes on types.
    pub(crate) fn sow_required(&self, pair: &str, hour: u32, times: &[i64], utc: bool) {
        let schema = format!("message schema {{ REQUIRED INT64 ts (TIMESTAMP(NANOS,{utc})); REQUIRED DOUBLE price; }}");
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let file = fs::File::create(self.seed(pair, hour)).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(times, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&prices(times), None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    /// A file that another program wrote.
    pub(crate) fn sow_file(&self, pair: &str, hour: u32, file: &Path) {
        fs::copy(file, self.seed(pair, hour)).unwrap();
    }

    fn seed(&self, pair: &str, hour: u32) -> PathBuf {
        self.directory.path().join(format!("{pair} {}", self::hour(hour).start().ns()))
    }

    /// The dataset `seeds`, with one output `trades` in partitions of an hour.
    pub(crate) fn dataset(&self) -> DatasetBuilder {
        self.dataset_named("seeds")
    }

    pub(crate) fn dataset_named(&self, name: &str) -> DatasetBuilder {
        let program = self.directory.path().join("copy.sh");
        let seed = format!("{}/{{instrument.pair}} {{start.ns}}", self.directory.path().display());
        Dataset::command(name, [program.to_str().unwrap(), &seed, "{output.trades}"])
            .output("trades", "trades.parquet")
            .split(Split::every("1h").unwrap())
    }

    /// Loads, leaving out what fails.
    pub(crate) fn load(&self, dataset: &Dataset, requests: &[(&str, Interval)]) -> Loaded {
        let policy = Policy { missing: OnMissing::Generate, failure: OnFailure::Skip, ..Policy::default() };
        let load =
            requests.iter().fold(self.store.load().policy(policy), |load, (pair, interval)| load.request(dataset, &instrument(pair), *interval));
        load.blocking().unwrap()
    }

    /// The dataset in whole hours that cover a request.
    pub(crate) fn covering(&self) -> Dataset {
        self.dataset().split(Split::every("1h").unwrap().aligned(Align::Cover)).build().unwrap()
    }
}

pub(crate) fn instrument(pair: &str) -> Instrument {
    format!("binance/{pair}").parse().unwrap()
}

/// Nanoseconds since the epoch, so many minutes into the day that all tests are about.
pub(crate) fn at(minutes: i64) -> i64 {
    "2024-01-01".parse::<Time>().unwrap().ns() + minutes * MINUTE_NS
}

pub(crate) fn minutes(start: i64, end: i64) -> Interval {
    Interval::new(Time::from_ns(at(start)), Time::from_ns(at(end))).unwrap()
}

pub(crate) fn hour(hour: u32) -> Interval {
    hours(hour, hour + 1)
}

pub(crate) fn hours(start: u32, end: u32) -> Interval {
    minutes(i64::from(start) * 60, i64::from(end) * 60)
}

/// Rows at these nanoseconds since the epoch, each with a price that is told from every other.
pub(crate) fn trades(times: &[i64]) -> DataFrame {
    trades_in(times, TimeUnit::Nanoseconds, Some(TimeZone::UTC))
}

/// The same, with times of another type.
pub(crate) fn trades_in(times: &[i64], unit: TimeUnit, zone: Option<TimeZone>) -> DataFrame {
    let unit_ns = match unit {
        TimeUnit::Nanoseconds => 1,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Milliseconds => 1_000_000,
    };
    // Not by a cast, which without Polars' feature for zones drops them.
    let stamps = Int64Chunked::from_iter_values("ts".into(), times.iter().map(|time| time / unit_ns)).into_datetime(unit, zone);
    table([stamps.into_series().into(), Series::new("price".into(), prices(times)).into()])
}

pub(crate) fn table(columns: impl IntoIterator<Item = Column>) -> DataFrame {
    let columns: Vec<Column> = columns.into_iter().collect();
    DataFrame::new(columns[0].len(), columns).unwrap()
}

/// Every ten minutes of an hour.
pub(crate) fn every_ten_minutes(hour: u32) -> Vec<i64> {
    (0..6).map(|nth| at(i64::from(hour) * 60 + nth * 10)).collect()
}

/// Minutes into the day, which also tell the rows.
pub(crate) fn prices(times: &[i64]) -> Vec<f64> {
    times.iter().map(|time| (time - at(0)) as f64 / MINUTE_NS as f64).collect()
}

pub(crate) fn collected_prices(frame: LazyFrame) -> Vec<f64> {
    let collected = frame.collect().unwrap();
    collected.column("price").unwrap().f64().unwrap().into_no_null_iter().collect()
}

pub(crate) fn count(frame: LazyFrame) -> IdxSize {
    let counted = frame.select([polars::prelude::len()]).collect().unwrap();
    counted.columns()[0].idx().unwrap().get(0).unwrap()
}
