//! What frames cost: planning one over 2,000 artifacts of 41 columns; load, frame and count against the plain way of doing it; a memoized call.
//!
//! `cargo bench --bench frames` makes the store by publishing through the library (a minute or so), and prints for each what it takes and how often that
//! goes into the plain way, measured in the same run.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use polars::prelude::{
    Column, DataFrame, DataType, IntoLazy, LazyFrame, NamedFrom, PlRefPath, ScanArgsParquet, Series, TimeUnit, UnionArgs, col, concat, len, lit,
};
use tickbarn::{BoxError, Dataset, FrameOptions, Instrument, Interval, Job, Loaded, Split, Store, Time};

const PARTITIONS: i64 = 2_000;
const LEVELS: usize = 40;
const ROWS: i64 = 20;
const HOUR_NS: i64 = 3_600_000_000_000;
const ROUNDS: usize = 20;
const CALLS: usize = 2_000;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(directory.path().join("barn")).expect("a store");
    let instrument: Instrument = "binance/BTC-USDT".parse().expect("an instrument");
    let hours = |count: i64| Interval::new(Time::from_ns(473_000 * HOUR_NS), Time::from_ns((473_000 + count) * HOUR_NS)).expect("an interval");
    let split = Split::every("1h").expect("a length");
    let books =
        Dataset::function("books", "1", |job: &Job| book(job.start())).output("book", "book.parquet").split(split).build().expect("a dataset");

    let began = Instant::now();
    let made = store.load().request(&books, &instrument, hours(PARTITIONS)).workers(4).blocking().expect("partitions");
    println!("made {} partitions of {} columns in {:.1} s\n", made.summary().generated, LEVELS + 1, began.elapsed().as_secs_f64());
    let load = || store.load().request(&books, &instrument, hours(PARTITIONS)).blocking().expect("hits");
    let loaded = load();
    let paths: Vec<PathBuf> = paths_of(&loaded);

    // Planning.
    let plan = best(ROUNDS, || drop(black_box(loaded.frame("book").expect("a frame"))));
    println!("{:8.2} ms: a frame over {PARTITIONS} artifacts (asked for: at most 10 ms)", milliseconds(plan));
    let schema = best(ROUNDS, || drop(black_box(loaded.frame("book").expect("a frame").collect_schema().expect("a schema"))));
    println!("{:8.2} ms: the same, and its schema resolved by Polars", milliseconds(schema));
    let all = FrameOptions::default().all_statistics();
    let statistics = best(3, || drop(black_box(loaded.frame_with("book", &all).expect("a frame"))));
    println!("{:8.2} ms: the same with the statistics of all columns, from the manifests", milliseconds(statistics));
    let plainly = best(3, || drop(black_box(plain(&paths))));
    println!("{:8.2} ms: scanning and resolving the schema of each file, and concatenating\n", milliseconds(plainly));

    // Load, frame and count.
    let counted = best(ROUNDS, || assert_eq!(count(load().frame("book").expect("a frame")), PARTITIONS * ROWS));
    let plainly = best(3, || assert_eq!(count(plain(&paths)), PARTITIONS * ROWS));
    println!("{:8.2} ms: load, frame and count of {PARTITIONS} cached partitions", milliseconds(counted));
    println!(
        "{:8.2} ms: scanning and resolving the schema of each file, concatenating, and counting: {:.1} times that (asked for: at least 20)\n",
        milliseconds(plainly),
        ratio(plainly, counted)
    );

    // A filter that selects two partitions.
    let from = 473_000 * HOUR_NS + 1_000 * HOUR_NS + HOUR_NS / 2;
    let moment = |ns: i64| lit(ns).cast(DataType::Datetime(TimeUnit::Nanoseconds, None));
    let two = || col("ts").gt_eq(moment(from)).and(col("ts").lt(moment(from + HOUR_NS)));
    let filtered = best(ROUNDS, || assert_eq!(rows(load().frame("book").expect("a frame").filter(two())), ROWS as usize));
    let plainly = best(3, || assert_eq!(rows(plain(&paths).filter(two())), ROWS as usize));
    println!("{:8.2} ms: load, frame and a filter on time that selects two partitions", milliseconds(filtered));
    println!("{:8.2} ms: the plain way of it: {:.1} times that\n", milliseconds(plainly), ratio(plainly, filtered));

    // A memoized call.
    let spread = store.memoize(Dataset::function("spread", "1", |job: &Job| spread(job.start())).split(split)).expect("a function");
    let hour = hours(1);
    drop(spread.call(&instrument, hour).expect("made"));
    let lookup = each(CALLS, || drop(black_box(spread.load(&instrument, hour).blocking().expect("a hit"))));
    let call = each(CALLS, || drop(black_box(spread.call(&instrument, hour).expect("a hit"))));
    let read = each(CALLS, || drop(black_box(std::fs::read(&paths[0]).expect("an artifact"))));
    println!("{:8.2} µs: the lookup of one partition (a load that hits)", microseconds(lookup));
    println!("{:8.2} µs: a memoized call that hits", microseconds(call));
    println!("{:8.2} µs: the call over the lookup (asked for: at most 20 µs)", microseconds(call) - microseconds(lookup));
    println!("{:8.2} µs: only reading the bytes of a small artifact", microseconds(read));
}

/// The order book of an hour: a time, and a price or a quantity for each level.
fn book(start: Time) -> Result<DataFrame, BoxError> {
    let times: Vec<i64> = (0..ROWS).map(|nth| start.ns() + nth * (HOUR_NS / ROWS)).collect();
    let time = Series::new("ts".into(), times).cast(&DataType::Datetime(TimeUnit::Nanoseconds, None))?;
    let level = |level: usize| {
        let values: Vec<f64> = (0..ROWS).map(|nth| (start.ns() / HOUR_NS + nth) as f64 + level as f64 / 100.0).collect();
        Column::from(Series::new(format!("level_{level}").into(), values))
    };
    Ok(DataFrame::new(ROWS as usize, std::iter::once(time.into()).chain((0..LEVELS).map(level)).collect())?)
}

fn spread(start: Time) -> Result<LazyFrame, BoxError> {
    Ok(book(start)?.lazy().select([col("ts"), (col("level_1") - col("level_0")).alias("spread")]))
}

fn paths_of(loaded: &Loaded) -> Vec<PathBuf> {
    loaded.partitions.iter().map(|partition| partition.outcome.entry().expect("a hit").outputs[0].path.clone()).collect()
}

/// What notebooks did before: a scan of each file, its schema resolved so that a broken one is found, and all of them put together.
fn plain(paths: &[PathBuf]) -> LazyFrame {
    let scans: Vec<LazyFrame> = paths
        .iter()
        .map(|path| {
            let path = PlRefPath::try_from_path(path).expect("a path");
            let mut scan = LazyFrame::scan_parquet(path, ScanArgsParquet::default()).expect("a scan");
            scan.collect_schema().expect("a schema");
            scan
        })
        .collect();
    concat(scans, UnionArgs::default()).expect("a frame")
}

fn count(frame: LazyFrame) -> i64 {
    let counted = frame.select([len()]).collect().expect("a count");
    counted.columns()[0].idx().expect("a count").get(0).expect("a count").into()
}

fn rows(frame: LazyFrame) -> usize {
    frame.collect().expect("rows").height()
}

/// The best of some rounds: the machine's noise only ever adds.
fn best(rounds: usize, mut round: impl FnMut()) -> Duration {
    let times = (0..rounds).map(|_| {
        let began = Instant::now();
        round();
        began.elapsed()
    });
    times.min().expect("at least one round")
}

/// The median of many calls.
fn each(calls: usize, mut call: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..calls)
        .map(|_| {
            let began = Instant::now();
            call();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[calls / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ratio(slow: Duration, fast: Duration) -> f64 {
    slow.as_secs_f64() / fast.as_secs_f64()
}
