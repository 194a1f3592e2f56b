//! What collecting costs: a plan over a million entries, in time and memory, and a sweep against `rm` of the same files.
//!
//! `cargo bench --bench gc --no-default-features`. The million entries are those of `support/million.rs`, of which a plan reads no manifest. The sweep is over
//! entries that were published.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tickbarn::{Dataset, Instrument, Interval, Job, Retention, Split, Store, Time, gc};

#[path = "support/million.rs"]
mod million;
#[path = "support/tables.rs"]
mod tables;

use million::{HOUR_NS, MILLION, peak_memory_bytes};

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
    let bytes = million::write(&root, *blake3::hash(b"schema").as_bytes());
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
