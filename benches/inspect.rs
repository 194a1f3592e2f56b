//! What looking at a store of a million entries costs: opening its index, listing a month of one instrument, coverage of 119,000 partitions, sums over all.
//!
//! `cargo bench --bench inspect --no-default-features`. The store is that of `support/million.rs`. Each measure runs in processes of its own, as a command
//! would, and stands beside something plain that was measured in the same process. Another measure is a function in [`MEASURES`]. `INSPECT_BENCH_KEPT` names
//! a directory to make the store in, and to take it from the next time.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tickbarn::inspect::{CoverageOptions, Subject, coverage, survey};
use tickbarn::{BoxError, Dataset, EntryFilter, Instrument, Interval, Job, OnMissing, Split, Store, Time};

#[path = "support/million.rs"]
mod million;

use million::{BEGIN_NS, HOUR_NS, INSTRUMENTS, MILLION, peak_memory_bytes};

/// What is measured over the store, so many times, in a process of its own each time.
struct Measure {
    name: &'static str,
    times: u32,
    run: fn(&Path),
}

/// In the order in which they run.
const MEASURES: [Measure; 4] = [
    Measure { name: "replay", times: 2, run: replay },
    Measure { name: "list", times: 3, run: list },
    Measure { name: "cover", times: 3, run: cover },
    Measure { name: "sum up", times: 3, run: sum_up },
];

const ROUNDS: usize = 5;
const COVERED_INSTRUMENTS: u64 = 4;
const COVERED: i64 = 119_000;

fn main() {
    if let (Some(store), Ok(measure)) = (std::env::var_os("INSPECT_BENCH"), std::env::var("INSPECT_BENCH_MEASURE")) {
        let measure = MEASURES.iter().find(|known| known.name == measure).expect("a measure of that name");
        return (measure.run)(Path::new(&store));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = std::env::var_os("INSPECT_BENCH_KEPT").map_or_else(|| directory.path().join("barn"), PathBuf::from);
    if !root.exists() {
        let store = Store::open(&root).expect("a store");
        let began = Instant::now();
        let bytes = million::write(&root, generator_of(&store));
        drop(store);
        println!("{MILLION} entries of two outputs, journal of {} MB, made in {:.0} s", bytes / 1_000_000, began.elapsed().as_secs_f64());
    }
    for Measure { name, times, .. } in MEASURES {
        for _ in 0..times {
            let mut again = Command::new(std::env::current_exe().expect("this program"));
            let status = again.env("INSPECT_BENCH", &root).env("INSPECT_BENCH_MEASURE", name).status();
            assert!(status.expect("a process").success());
        }
    }
}

/// The dataset that the entries are of.
fn dataset() -> Dataset {
    let made = |_: &Job| -> Result<Option<()>, BoxError> { Ok(None) };
    let dataset = Dataset::function("md", "1", made).output("orderbook", "o.parquet").output("trades", "t.parquet");
    dataset.split(Split::every("1h").expect("a length")).build().expect("a dataset")
}

fn generator_of(store: &Store) -> [u8; 32] {
    let load = store.load().request(&dataset(), &instrument(0), hours(0, 1)).on_missing(OnMissing::Skip);
    *load.blocking().expect("nothing").partitions[0].generator.as_bytes()
}

fn instrument(nth: u64) -> Instrument {
    Instrument::new("binance", &format!("COIN{nth}-USDT")).expect("an instrument")
}

fn hours(from: i64, to: i64) -> Interval {
    let at = |hours: i64| Time::from_ns(BEGIN_NS + hours * HOUR_NS);
    Interval::new(at(from), at(to)).expect("an interval")
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let value = black_box(work());
    (value, began.elapsed())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The median of some rounds.
fn median(mut round: impl FnMut() -> Duration) -> Duration {
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

/// An index that is not there yet, against reading the journal and summing it up.
fn replay(root: &Path) {
    let indexes = root.join("index");
    for entry in fs::read_dir(&indexes).expect("the indexes").flatten() {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).expect("an old index");
        }
    }
    let (sum, plain) = timed(|| twox_hash::XxHash64::oneshot(0, &fs::read(root.join("journal/log")).expect("the journal")));
    black_box(sum);
    let store = Store::open_existing(root).expect("the store");
    let (listed, first) = timed(|| store.entries_in(&month(0)).expect("a month"));
    assert_eq!(listed.len(), 30 * 24);
    let (_, closed) = timed(|| drop(store));
    println!(
        "{:8.1} ms to open an index, replay the journal and compare it with all names, {:.1} times reading and summing up the journal's bytes ({:.0} ms to close it; {} MB at the peak)",
        ms(first),
        first.as_secs_f64() / plain.as_secs_f64(),
        ms(closed),
        peak_memory_bytes() / 1_000_000
    );
}

fn month(nth: u64) -> EntryFilter {
    let mut filter = EntryFilter::default();
    let month = hours(24 * 400, 24 * 430);
    filter.instruments.push(instrument(nth));
    (filter.start, filter.end) = (Some(month.start()), Some(month.end()));
    filter
}

/// A month of one instrument, against listing everything and keeping that month.
fn list(root: &Path) {
    let began = Instant::now();
    let store = Store::open_existing(root).expect("the store");
    let first = store.entries_in(&month(7)).expect("a month");
    let first_took = began.elapsed();
    assert_eq!(first.len(), 30 * 24);
    let others = median(|| timed(|| store.entries_in(&month(8)).expect("a month")).1);
    let filter = month(7);
    let (kept, plain) = timed(|| {
        let mut all = store.entries().expect("all");
        all.retain(|listed| filter.takes(&listed.dataset, &listed.instrument, listed.interval));
        all
    });
    assert_eq!(kept, first);
    println!(
        "{:8.1} ms to open the store and list one instrument's month, {:.1} ms for one more; listing everything and keeping the month takes {:.0} times that",
        ms(first_took),
        ms(others),
        plain.as_secs_f64() / others.as_secs_f64()
    );
}

/// Coverage of 119,000 partitions, against sorting and joining as many intervals that are in memory.
fn cover(root: &Path) {
    let dataset = dataset();
    let each = COVERED / COVERED_INSTRUMENTS as i64;
    let mut options = CoverageOptions::default();
    options.instruments = (0..COVERED_INSTRUMENTS).map(|nth| instrument(nth * INSTRUMENTS / COVERED_INSTRUMENTS)).collect();
    let interval = hours(1, 1 + each);
    (options.start, options.end) = (Some(interval.start()), Some(interval.end()));

    let began = Instant::now();
    let store = Store::open_existing(root).expect("the store");
    let first = coverage(&store, Subject::Defined(&dataset), &options).expect("coverage");
    let first_took = began.elapsed();
    assert_eq!(first.instruments.iter().map(|one| one.entries).sum::<usize>(), COVERED as usize);
    assert_eq!(first.totals().share_there(), Some(1.0));
    let others = median(|| timed(|| coverage(&store, Subject::Defined(&dataset), &options).expect("coverage")).1);
    let partitions: Vec<Interval> = (0..COVERED).map(|nth| hours(nth, nth + 1)).collect();
    let plain = median(|| timed(|| partitions.iter().copied().collect::<tickbarn::IntervalSet>()).1);
    println!(
        "{:8.1} ms to open the store and cover {COVERED} partitions, {:.1} ms once more, {:.0} times joining as many intervals in memory ({} MB at the peak)",
        ms(first_took),
        ms(others),
        others.as_secs_f64() / plain.as_secs_f64(),
        peak_memory_bytes() / 1_000_000
    );
}

/// Sums over all entries, against reading the journal and summing up its bytes.
fn sum_up(root: &Path) {
    let (sum, plain) = timed(|| twox_hash::XxHash64::oneshot(0, &fs::read(root.join("journal/log")).expect("the journal")));
    black_box(sum);
    let began = Instant::now();
    let store = Store::open_existing(root).expect("the store");
    let first = survey(&store).expect("sums");
    let first_took = began.elapsed();
    assert_eq!((first.total.entries, first.total.artifacts, first.total.bytes), (MILLION, 2 * MILLION, 2_000_000 * MILLION));
    assert_eq!(first.places.len(), INSTRUMENTS as usize);
    let others = median(|| timed(|| survey(&store).expect("sums")).1);
    println!(
        "{:8.1} ms to open the store and sum up {MILLION} entries, {:.1} ms once more, {:.2} times reading and summing up the journal's bytes ({} MB at the peak)",
        ms(first_took),
        ms(others),
        others.as_secs_f64() / plain.as_secs_f64(),
        peak_memory_bytes() / 1_000_000
    );
}
