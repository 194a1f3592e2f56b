//! Collecting beside running work, as real processes: readers that hold what they have loaded and read it again and again, writers that publish and
//! refresh, and a collector that goes round and round. Nobody may lose what was handed out, what is pinned, or what is right.
//!
//! Invariants 3, 14, 18 and 19 of ARCHITECTURE.md.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parquet::column::reader::ColumnReader;
use parquet::data_type::Int64Type;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tickbarn::{BoxError, Dataset, FindingKind, Instrument, Interval, Job, OnMissing, Outcome, Pin, Retention, Split, Store, gc};

use crate::roles::{Numbers, Role, bytes_below, told};

const READERS: usize = 8;
const WRITERS: usize = 2;
/// For how long each phase goes on, in seconds, if nothing else is said.
const SECONDS: &str = "GC_BESIDE_SECONDS";
const SECONDS_DEFAULT: u64 = 10;

const PAIRS: [&str; 2] = ["binance/BTC-USDT", "binance/ETH-USDT"];
const HOURS: u64 = 1_200;
const PINNED_HOURS: u64 = 24;
const HOURS_OF_A_DAY: u64 = 24;
const HOUR_NS: i64 = 3_600_000_000_000;
/// The rows of a partition of its own, and of what all partitions of a day share.
const ROWS: usize = 4_000;
/// What the entries may take: a few hundred partitions.
const BYTES_MAX: u64 = 8 << 20;

/// `table` says which partition it is and is other whenever it is made; `day` is the same for all partitions of a day, of all instruments.
pub(crate) fn dataset() -> Dataset {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let write = |job: &Job| -> Result<(), BoxError> {
        let nonce = (u64::from(std::process::id()) << 32) | MADE.fetch_add(1, Ordering::Relaxed);
        let start = job.start().ns();
        write_column(job.output("table")?, &rows(start, nonce as i64));
        write_column(job.output("day")?, &rows(day_of(start), 0));
        Ok(())
    };
    Dataset::function("beside", "1", write)
        .output("table", "table.parquet")
        .output("day", "day.parquet")
        .split(Split::every("1h").unwrap())
        .build()
        .unwrap()
}

fn day_of(start: i64) -> i64 {
    start - start.rem_euclid(HOUR_NS * HOURS_OF_A_DAY as i64)
}

/// Which partition it is, which time it was made, and numbers that follow from both.
fn rows(start: i64, nonce: i64) -> Vec<i64> {
    let mut numbers = Numbers::from(start as u64 ^ (nonce as u64).rotate_left(17));
    let mut rows = vec![start, nonce];
    rows.resize_with(ROWS, || numbers.next() as i64);
    rows
}

fn write_column(path: &Path, values: &[i64]) {
    let schema = Arc::new(parse_message_type("message schema { REQUIRED INT64 value; }").unwrap());
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn read_column(path: &Path) -> Vec<i64> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let mut values = Vec::new();
    match reader.get_row_group(0).unwrap().get_column_reader(0).unwrap() {
        ColumnReader::Int64ColumnReader(mut column) => column.read_records(2 * ROWS, None, None, &mut values).unwrap(),
        _ => panic!("{} has another column", path.display()),
    };
    values
}

pub(crate) fn instrument(nth: u64) -> Instrument {
    PAIRS[nth as usize].parse().unwrap()
}

/// So many hours from the nth on.
pub(crate) fn hours(from: u64, count: u64) -> Interval {
    let first = Interval::parse("2023-01-01", "2023-01-02").unwrap().start().ns();
    let at = |hour: u64| tickbarn::Time::from_ns(first + hour as i64 * HOUR_NS);
    Interval::new(at(from), at(from + count)).unwrap()
}

/// Checks that what was handed out is what it should be.
#[track_caller]
pub(crate) fn check_rows(start: i64, output: &str, path: &Path) {
    let values = read_column(path);
    let expected = if output == "day" { rows(day_of(start), 0) } else { rows(start, values[1]) };
    assert!(values == expected, "{output} of {start} holds other rows: {}", path.display());
}

/// A process that loads a few partitions at a time, holds all that it was handed, and reads it again and again: for so many milliseconds, by a seed.
#[test]
#[ignore = "run by the test below"]
fn reads() {
    const HELD_MAX: usize = 600;
    const READ_AGAIN: usize = 40;
    let (directory, words) = told();
    let until = Instant::now() + Duration::from_millis(words[0]);
    let mut numbers = Numbers::from(words[1]);
    let store = Store::open_existing(directory.join("barn")).unwrap();
    let dataset = dataset();
    let mut held: HashMap<PathBuf, Vec<u8>> = HashMap::new();
    let mut order = Vec::new();
    let mut times = Times::default();
    while Instant::now() < until || held.is_empty() {
        if order.len() < HELD_MAX {
            let wanted = hours(numbers.below(HOURS - 12), 1 + numbers.below(12));
            let instrument = instrument(numbers.below(2));
            let load = || store.load().request(&dataset, &instrument, wanted).on_missing(OnMissing::Skip).blocking().unwrap();
            let began = Instant::now();
            let loaded = load();
            let looked = Instant::now();
            times.first_us.push((looked - began).as_micros() as u64);
            if loaded.summary().hit == loaded.partitions.len() {
                // All of it was promised a moment ago: no lock is taken. What this takes at times, the machine does.
                load();
                times.again_us.push(looked.elapsed().as_micros() as u64);
            }
            for partition in &loaded.partitions {
                let Outcome::Hit(entry) = &partition.outcome else { continue };
                for output in &entry.outputs {
                    if !held.contains_key(&output.path) {
                        check_rows(partition.interval.start().ns(), &output.name, &output.path);
                        held.insert(output.path.clone(), fs::read(&output.path).unwrap());
                        order.push(output.path.clone());
                    }
                }
            }
        }
        for _ in 0..READ_AGAIN.min(order.len()) {
            let path = &order[numbers.below(order.len() as u64) as usize];
            let read = fs::read(path).unwrap_or_else(|error| panic!("what was handed out cannot be read: {}: {error}", path.display()));
            assert!(read == held[path], "{} has other bytes", path.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // All of it to the last, also what was handed out first.
    for path in &order {
        assert!(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) == held[path], "{} has other bytes", path.display());
    }
    times.write(&directory, words[2]);
}

/// How long loads took in a process, in microseconds: such as may have to wait for a collector, and such as take no lock.
#[derive(Debug, Default)]
struct Times {
    first_us: Vec<u64>,
    again_us: Vec<u64>,
}

impl Times {
    fn write(&self, directory: &Path, phase: u64) {
        for (name, times) in [("first", &self.first_us), ("again", &self.again_us)] {
            let bytes: Vec<u8> = times.iter().flat_map(|time| time.to_le_bytes()).collect();
            fs::write(directory.join("times").join(format!("{phase}-{name}-{}", std::process::id())), bytes).unwrap();
        }
    }

    /// Of all readers in one phase.
    fn read(directory: &Path, phase: usize) -> Self {
        let mut all = Self::default();
        for (name, times) in [("first", &mut all.first_us), ("again", &mut all.again_us)] {
            for entry in fs::read_dir(directory.join("times")).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap().to_string_lossy().starts_with(&format!("{phase}-{name}-")) {
                    times.extend(fs::read(path).unwrap().as_chunks().0.iter().map(|time| u64::from_le_bytes(*time)));
                }
            }
            times.sort_unstable();
        }
        all
    }

    /// They are noise on a machine that does other things, and only shown.
    fn tell(&self, phase: &str) {
        for (name, times) in [("", &self.first_us), (" again, without a lock", &self.again_us)] {
            let of = |share: f64| times[((times.len() - 1) as f64 * share) as usize] as f64 / 1e3;
            let over = times.iter().filter(|time| **time > 50_000).count();
            println!(
                "{phase}, {} loads{name}: median {:.1} ms, 99 % {:.1} ms, 99.9 % {:.1} ms, longest {:.1} ms; {over} of more than 50 ms",
                times.len(),
                of(0.5),
                of(0.99),
                of(0.999),
                of(1.0)
            );
        }
    }
}

/// A process that publishes partitions, and refreshes those that are there: for so many milliseconds, by a seed.
#[test]
#[ignore = "run by the test below"]
fn writes() {
    let (directory, words) = told();
    let until = Instant::now() + Duration::from_millis(words[0]);
    let mut numbers = Numbers::from(words[1]);
    let store = Store::open_existing(directory.join("barn")).unwrap();
    let dataset = dataset();
    let mut published = 0;
    while Instant::now() < until {
        let wanted = hours(numbers.below(HOURS - 4), 1 + numbers.below(4));
        let load = store.load().request(&dataset, &instrument(numbers.below(2)), wanted).workers(2);
        let load = if numbers.below(3) == 0 { load.refresh() } else { load };
        let loaded = load.blocking().unwrap();
        for partition in &loaded.partitions {
            let (Outcome::Hit(entry) | Outcome::Generated { entry, .. }) = &partition.outcome else { panic!("{:?}", partition.outcome) };
            for output in &entry.outputs {
                check_rows(partition.interval.start().ns(), &output.name, &output.path);
            }
        }
        published += loaded.summary().generated;
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("published {published}");
}

/// A process that fills a range of both instruments and ends.
#[test]
#[ignore = "run by other tests"]
fn fills() {
    let (directory, words) = told();
    let store = Store::open(directory.join("barn")).unwrap();
    for nth in 0..PAIRS.len() as u64 {
        store.load().request(&dataset(), &instrument(nth), hours(words[0], words[1])).workers(4).blocking().unwrap();
    }
}

pub(crate) fn small() -> Retention {
    let mut retention = Retention::default();
    retention.max_bytes = Some(BYTES_MAX);
    retention.low_water = 0.5;
    retention.grace = Duration::ZERO;
    retention
}

/// A process that plans and sweeps over and over: for so many milliseconds.
#[test]
#[ignore = "run by the test below"]
fn collects() {
    const LEFTOVERS_EACH: u32 = 5;
    let (directory, words) = told();
    let until = Instant::now() + Duration::from_millis(words[0]);
    let store = Store::open_existing(directory.join("barn")).unwrap();
    let (mut sweeps, mut entries, mut bytes, mut leftover_bytes, mut longest) = (0, 0, 0, 0, Duration::ZERO);
    while Instant::now() < until {
        let mut retention = small();
        retention.leftovers = sweeps % LEFTOVERS_EACH == 0;
        let swept = gc::sweep(gc::plan(&store, &retention).unwrap()).unwrap();
        sweeps += 1;
        entries += swept.price.entries;
        bytes += swept.price.bytes;
        leftover_bytes += swept.leftover_bytes;
        longest = longest.max(swept.longest_hold);
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("{sweeps} sweeps took {entries} entries of {bytes} bytes, and {leftover_bytes} bytes that lay about; longest hold {longest:?}");
}

/// Lets readers and writers come and go for a while, with something beside them. Gives back how many bytes of artifacts there were from time to time.
fn come_and_go(directory: &Path, phase: usize, length: Duration, mut beside: Option<&mut Role>) -> (Vec<u64>, u64) {
    let mut numbers = Numbers::from(phase as u64 + 7);
    let until = Instant::now() + length;
    let mut start = |nth: usize| {
        let left = until.saturating_duration_since(Instant::now()).as_millis() as u64;
        let life = (1_000 + numbers.below(2_000)).min(left);
        let name = if nth < READERS { "gc_beside::reads" } else { "gc_beside::writes" };
        Role::start(name, directory, &[&life, &numbers.next(), &phase])
    };
    let mut roles: Vec<Option<Role>> = (0..READERS + WRITERS).map(|nth| Some(start(nth))).collect();
    let mut sizes = Vec::new();
    let mut published = 0;
    let mut looked = Instant::now();
    while roles.iter().any(Option::is_some) {
        for (nth, slot) in roles.iter_mut().enumerate() {
            if slot.as_mut().is_some_and(Role::is_over) {
                let said = slot.take().unwrap().end();
                let count = said.lines().find_map(|line| line.split_once("published ")?.1.trim().parse::<u64>().ok());
                published += count.unwrap_or(0);
                if Instant::now() < until {
                    *slot = Some(start(nth));
                }
            }
        }
        if let Some(role) = &mut beside {
            role.is_over();
        }
        if looked.elapsed() > Duration::from_millis(250) {
            looked = Instant::now();
            sizes.push(bytes_below(&directory.join("barn/artifacts")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    (sizes, published)
}

#[test]
fn a_collector_beside_readers_and_writers_takes_nothing_from_anybody() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let seconds = std::env::var(SECONDS).map_or(SECONDS_DEFAULT, |seconds| seconds.parse().unwrap());
    let length = Duration::from_secs(seconds);
    fs::create_dir(directory.join("times")).unwrap();
    for from in [0, 600] {
        Role::start("gc_beside::fills", directory, &[&from, &PINNED_HOURS]).end();
    }
    let store = Store::open_existing(directory.join("barn")).unwrap();
    let range = hours(0, PINNED_HOURS);
    store
        .pin(&Pin::range("kept", ["beside".to_owned()], PAIRS.map(|pair| pair.parse().unwrap()), Some(range.start()), Some(range.end())).unwrap())
        .unwrap();

    let (_, before) = come_and_go(directory, 0, length, None);
    let grown = bytes_below(&directory.join("barn/artifacts"));
    let mut collector = Role::start("gc_beside::collects", directory, &[&(length.as_millis() as u64 + 500)]);
    let (sizes, published) = come_and_go(directory, 1, length, Some(&mut collector));
    let said = collector.end();
    let collected = said.lines().find(|line| line.contains("longest hold")).unwrap();

    println!("{before} and {published} partitions were published; {collected}");
    Times::read(directory, 0).tell("without a collector");
    Times::read(directory, 1).tell("beside one");
    let most = sizes.iter().copied().max().unwrap();
    let least = sizes.iter().copied().min().unwrap();
    println!("artifacts: {grown} bytes before it; then between {least} and {most}");
    assert!(sizes.windows(2).any(|two| two[1] < two[0]), "what nobody names goes: {sizes:?}");
    // Beyond what may stay: what living processes hold, and what comes in while a plan is carried out.
    assert!(most < grown + 10 * BYTES_MAX, "it is bounded: {sizes:?}");

    // Now that everybody is gone, one more brings it down.
    gc::sweep(gc::plan(&store, &small()).unwrap()).unwrap();
    let left = bytes_below(&directory.join("barn/artifacts"));
    println!("and {left} in the end");
    assert!(left <= BYTES_MAX && left < grown, "{left} of at most {BYTES_MAX}");
    let verified = store.verify().digests().run().unwrap();
    assert!(verified.is_clean(), "{:#?}", verified.findings);
    let orphans: Vec<_> = verified.findings.iter().filter(|finding| finding.kind == FindingKind::Orphan).collect();
    assert!(orphans.is_empty(), "{orphans:#?}");
    all_is_hit_and_right(&store, range);
}

/// Whether all of a range of both instruments is there, without a generator's doing, and is what it should be.
#[track_caller]
pub(crate) fn all_is_hit_and_right(store: &Store, range: Interval) {
    for nth in 0..PAIRS.len() as u64 {
        let loaded = store.load().request(&dataset(), &instrument(nth), range).on_missing(OnMissing::Fail).blocking().unwrap();
        for partition in &loaded.partitions {
            let Outcome::Hit(entry) = &partition.outcome else { panic!("{:?}", partition.outcome) };
            entry.outputs.iter().for_each(|output| check_rows(partition.interval.start().ns(), &output.name, &output.path));
        }
    }
}
