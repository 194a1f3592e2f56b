//! What collecting costs: a plan over a million entries, in time and memory, and a sweep against `rm` of the same files.
//!
//! `cargo bench --bench gc --no-default-features`. The million entries are a journal written here as `src/store/journal.rs` describes it, and for each
//! entry a name in `entries/` (links to a few files: a plan reads no manifest that the journal tells of). The sweep is over entries that were published.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use tickbarn::{Dataset, Instrument, Interval, Job, Retention, Split, Store, Time, gc};

#[path = "support/tables.rs"]
mod tables;

const MILLION: u64 = 1_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
/// How many names one file may have on ext4 is 65,000.
const NAMES_OF_A_FILE: u64 = 50_000;

fn main() {
    match std::env::var_os("GC_BENCH") {
        Some(store) if std::env::var_os("GC_BENCH_FILL").is_some() => fill(Path::new(&store)),
        Some(store) => plan_here(Path::new(&store)),
        None => {
            a_million_planned();
            a_sweep_against_rm();
        }
    }
}

/// This program again, in a process of its own.
fn again(store: &Path, fill: bool) {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.env("GC_BENCH", store);
    if fill {
        child.env("GC_BENCH_FILL", "1");
    }
    assert!(child.status().expect("a process").success());
}

fn a_million_planned() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("barn");
    drop(Store::open(&root).expect("a store"));
    let began = Instant::now();
    let bytes = write_a_million(&root);
    println!("{MILLION} entries of two outputs, journal of {} MB, made in {:.0} s", bytes / 1_000_000, began.elapsed().as_secs_f64());
    // Once for the page cache, then what counts.
    for _ in 0..4 {
        again(&root, false);
    }
}

fn plan_here(root: &Path) {
    let store = Store::open_existing(root).expect("the store");
    let mut retention = Retention::default();
    retention.max_bytes = Some(MILLION * 1_500_000);
    let began = Instant::now();
    let plan = gc::plan(&store, &retention).expect("a plan");
    let elapsed = began.elapsed();
    let price = plan.price();
    assert_eq!(plan.store_bytes(), MILLION * 2_000_000);
    assert!(price.entries > 300_000, "{price:?}");
    println!(
        "{:7.0} ms for a plan of {} entries that go ({:.0} hours to make again), {} MB of memory at the peak",
        elapsed.as_secs_f64() * 1e3,
        price.entries,
        price.seconds / 3600.0,
        peak_memory_bytes() / 1_000_000
    );
}

fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("a number") * 1024
}

// The records of the journal, field by field.
#[derive(Serialize)]
enum Record {
    Published(Published),
}
#[derive(Serialize)]
struct Published {
    generator: [u8; 32],
    market: &'static str,
    pair: String,
    start: i64,
    end: i64,
    address: [u8; 32],
    dataset: &'static str,
    outputs: Vec<Output>,
    empty: Option<u32>,
    started: i64,
    seconds: f32,
    upstream_seconds: f32,
    upstream: Vec<[u8; 32]>,
    log: Option<u32>,
}
#[derive(Serialize)]
struct Output {
    name: &'static str,
    digest: [u8; 32],
    schema: [u8; 32],
    bytes: u64,
    rows: u64,
    bounds: Vec<Bounds>,
}
#[derive(Serialize)]
struct Bounds {
    column: &'static str,
    time: bool,
    min: i64,
    max: i64,
    nulls: Option<u64>,
}

fn write_a_million(root: &Path) -> u64 {
    let mut journal = fs::read(root.join("journal/log")).expect("the journal of a new store");
    let schema = *blake3::hash(b"schema").as_bytes();
    let mut shared = (String::new(), 0);
    for nth in 0..MILLION {
        let (instrument, start) = (nth % 30, 1_500_000_000_000_000_000 + (nth / 30) as i64 * HOUR_NS);
        let hash = |what: &str| *blake3::hash(format!("{what} {nth}").as_bytes()).as_bytes();
        let address = hash("address");
        let output = |name| Output {
            name,
            digest: hash(name),
            schema,
            bytes: 1_000_000,
            rows: 10_000 + nth % 7_000,
            bounds: ["ts", "received", "sequence"]
                .map(|column| Bounds { column, time: column != "sequence", min: start + 1_000, max: start + HOUR_NS - 1_000, nulls: Some(0) })
                .into(),
        };
        let record = Record::Published(Published {
            generator: schema,
            market: "binance",
            pair: format!("COIN{instrument}-USDT"),
            start,
            end: start + HOUR_NS,
            address,
            dataset: "md",
            outputs: vec![output("orderbook"), output("trades")],
            empty: None,
            started: 1_750_000_000_000_000_000 + nth as i64 * 1_000_000_000,
            seconds: 60.0 + (nth % 100) as f32,
            upstream_seconds: 0.0,
            upstream: Vec::new(),
            log: None,
        });
        let payload = postcard::to_stdvec(&record).expect("a record");
        let checksum = twox_hash::XxHash64::oneshot(0, &payload);
        journal.extend_from_slice(b"\xf5tbj");
        journal.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        journal.extend_from_slice(&checksum.to_le_bytes());
        journal.extend_from_slice(&payload);

        let name: String = address.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = root.join("entries").join(&name[..2]).join(format!("{name}.json"));
        let path = path.to_str().expect("a UTF-8 path").to_owned();
        if nth % NAMES_OF_A_FILE == 0 {
            fs::write(&path, "").expect("a name");
            shared = (path, nth);
        } else {
            fs::hard_link(&shared.0, path).expect("a name");
        }
    }
    // How far it goes is written behind it, and may be missing.
    let _ = fs::remove_file(root.join("journal/end"));
    fs::write(root.join("journal/log"), &journal).expect("the journal");
    journal.len() as u64
}

const SWEPT: u32 = 6_000;
/// Of each of two outputs: about 100 KB.
const ROWS: i64 = 6_500;

fn fill(root: &Path) {
    let write = |job: &Job| -> Result<(), tickbarn::BoxError> {
        for output in ["orderbook", "trades"] {
            let price = (job.start().ns() / HOUR_NS) as f64 + if output == "trades" { 0.5 } else { 0.0 };
            tables::write(job.output(output)?, ROWS, price);
        }
        Ok(())
    };
    let dataset = Dataset::function("bench", "1", write).output("orderbook", "o.parquet").output("trades", "t.parquet");
    let dataset = dataset.split(Split::every("1h").expect("a length")).build().expect("a dataset");
    let store = Store::open(root).expect("a store");
    let instrument: Instrument = "binance/BTC-USDT".parse().expect("an instrument");
    let at = |hours: i64| Time::from_ns(1_600_000_000_000_000_000 / HOUR_NS * HOUR_NS + hours * HOUR_NS);
    let interval = Interval::new(at(0), at(i64::from(SWEPT))).expect("an interval");
    let loaded = store.load().request(&dataset, &instrument, interval).workers(2).blocking().expect("partitions");
    assert_eq!(loaded.summary().generated, SWEPT as usize);
}

fn a_sweep_against_rm() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut ratios = Vec::new();
    for round in 0..3 {
        let (root, copy) = (directory.path().join(format!("barn-{round}")), directory.path().join(format!("copy-{round}")));
        // In a process of its own: what a process has loaded stays while it lives.
        again(&root, true);
        fs::create_dir(&copy).expect("a directory");
        for part in ["entries", "artifacts"] {
            assert!(Command::new("cp").arg("-r").arg(root.join(part)).arg(&copy).status().expect("cp").success());
        }
        assert!(Command::new("sync").status().expect("sync").success());
        let files = files_of(&copy);

        let began = Instant::now();
        assert!(Command::new("rm").arg("-rf").arg(&copy).status().expect("rm").success());
        let rm = began.elapsed();

        let store = Store::open_existing(&root).expect("the store");
        let mut retention = Retention::default();
        retention.datasets.push("bench".to_owned());
        retention.grace = Duration::ZERO;
        let began = Instant::now();
        let plan = gc::plan(&store, &retention).expect("a plan");
        let planned = began.elapsed();
        let swept = gc::sweep(plan).expect("a sweep");
        assert_eq!(swept.price.entries, SWEPT as usize);
        assert_eq!(swept.price.bytes, files.1, "every byte of the artifacts is freed");
        ratios.push(swept.elapsed.as_secs_f64() / rm.as_secs_f64());
        println!(
            "{:7.0} ms for a sweep of {} entries, {} files, {} MB (planned in {:.0} ms; others waited {:.1} ms at most)",
            swept.elapsed.as_secs_f64() * 1e3,
            swept.price.entries,
            files.0,
            files.1 / 1_000_000,
            planned.as_secs_f64() * 1e3,
            swept.longest_hold.as_secs_f64() * 1e3
        );
        println!("{:7.0} ms for `rm -rf` of the same files: the sweep takes {:.2} times that", rm.as_secs_f64() * 1e3, ratios[round]);
    }
}

/// How many files there are, and how many bytes the artifacts have.
fn files_of(directory: &Path) -> (usize, u64) {
    let mut found: HashMap<bool, (usize, u64)> = HashMap::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let entry = entry.expect("an entry");
            let metadata = entry.metadata().expect("a status");
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                let of = found.entry(entry.path().extension().is_some_and(|extension| extension == "parquet")).or_default();
                *of = (of.0 + 1, of.1 + metadata.len());
            }
        }
    }
    (found.values().map(|(files, _)| files).sum(), found.get(&true).map_or(0, |(_, bytes)| *bytes))
}
