//! What a hit costs: a warm load of 10,000 cached partitions with two outputs each, existence and size of both artifacts checked.
//!
//! `cargo bench --bench warm_load --no-default-features` prints the time a partition, and as ratios of it, in the same run, two plain ways: only the
//! `stat` calls that the check cannot do without, and reading every manifest's bytes. The store is made once by publishing through the library with a
//! generator that copies two small tables, which takes about a minute.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tickbarn::{Dataset, IndexMode, Instrument, Interval, Load, Split, Store, StoreOptions, Verify};

#[path = "support/tables.rs"]
mod tables;

const PARTITIONS: usize = 10_000;
const ROUNDS: usize = 20;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Every artifact is a file of its own, as in a real store: shared ones would all be the same hot directory entry.
    let maker = directory.path().join("maker");
    fs::create_dir(&maker).expect("a directory");
    for nth in 0..PARTITIONS {
        tables::write(&maker.join(format!("{nth}-orderbook")), 20 + 2 * nth as i64 % 1000, nth as f64);
        tables::write(&maker.join(format!("{nth}-trades")), 10, -1.0 - nth as f64);
    }
    let script = r#"nth=$(( $2 / 3600 - 473000 )); cp "$1/$nth-orderbook" "$3"; cp "$1/$nth-trades" "$4""#;
    let command = ["/bin/sh", "-c", script, "sh", "{unkeyed.maker}", "{start.unix}", "{output.orderbook}", "{output.trades}"];
    let dataset = Dataset::command("bench", command)
        .unkeyed("maker", maker.to_str().expect("a UTF-8 path"))
        .output("orderbook", "orderbook.parquet")
        .output("trades", "trades.parquet")
        .config("orderbook_levels", 40)
        .split(Split::every("1h").expect("a length"))
        .build()
        .expect("a dataset");
    let store = Store::open(directory.path().join("barn")).expect("a store");
    let instrument: Instrument = "binance/BTC-USDT".parse().expect("an instrument");
    let hour = |nth: i64| tickbarn::Time::from_ns((473_000 + nth) * 3_600_000_000_000);
    let interval = Interval::new(hour(0), hour(PARTITIONS as i64)).expect("an interval");
    let load = |store: &Store| -> Load { store.load().request(&dataset, &instrument, interval) };

    let began = Instant::now();
    let made = load(&store).workers(4).blocking().expect("partitions");
    println!("made {} partitions in {:.1} s", made.summary().generated, began.elapsed().as_secs_f64());

    let fresh = Store::open(store.path()).expect("the store");
    let began = Instant::now();
    assert_eq!(load(&fresh).blocking().expect("hits").summary().hit, PARTITIONS);
    report("first load of a process (opens the index, follows the journal)", began.elapsed(), None);

    let warm = best(|| assert_eq!(load(&fresh).blocking().expect("hits").summary().hit, PARTITIONS));
    report("warm load", warm, None);

    // A load notes what it found, which a load of one partition feels most. A directory in the place of that file keeps it from doing so.
    let one = Interval::new(hour(0), hour(1)).expect("an interval");
    let load_one = || assert_eq!(fresh.load().request(&dataset, &instrument, one).blocking().expect("a hit").summary().hit, 1);
    let noted = median(load_one);
    let notes = store.path().join("leases").join("loads");
    fs::remove_file(&notes).expect("the notes of loads");
    fs::create_dir(&notes).expect("a directory");
    let not_noted = median(load_one);
    fs::remove_dir(&notes).expect("the directory");
    println!("{:8.2} µs a load of one partition, {:.2} µs where it cannot be noted", micros(noted), micros(not_noted));

    let artifacts: Vec<PathBuf> =
        made.partitions.iter().flat_map(|one| one.outcome.entry().expect("an entry").outputs.iter().map(|output| output.path.clone())).collect();
    let stat = best(|| artifacts.iter().for_each(|path| assert!(fs::symlink_metadata(path).expect("an artifact").is_file())));
    report("two stat calls by path alone", stat, Some(warm));

    let manifests: Vec<PathBuf> = walk(&store.path().join("entries"));
    assert_eq!(manifests.len(), PARTITIONS);
    let read = best(|| {
        for path in &manifests {
            black_box(fs::read(path).expect("a manifest"));
        }
    });
    report("reading each manifest's bytes, neither parsed nor checked", read, Some(warm));

    let off = fresh.clone().with_options(StoreOptions::default().index(IndexMode::Off));
    let without = best(|| assert_eq!(load(&off).blocking().expect("hits").summary().hit, PARTITIONS));
    report("warm load without an index, from manifests", without, Some(warm));
    let reading = fresh.clone().with_options(StoreOptions::default().verify(Verify::Digest));
    let every_byte = best(|| assert_eq!(load(&reading).blocking().expect("hits").summary().hit, PARTITIONS));
    report("warm load that reads every byte (small files: the cost is opening them)", every_byte, Some(warm));
    let verify = best(|| assert!(fresh.verify().run().expect("a verification").is_clean()));
    report("verify, by sizes", verify, Some(warm));
}

/// The best of some rounds: the machine's noise only ever adds.
fn best(mut round: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        round();
        began.elapsed()
    });
    times.min().expect("at least one round")
}

/// The median of many rounds of something short.
fn median(mut round: impl FnMut()) -> Duration {
    const SHORT_ROUNDS: usize = 4_000;
    let mut times: Vec<Duration> = (0..SHORT_ROUNDS)
        .map(|_| {
            let began = Instant::now();
            round();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[SHORT_ROUNDS / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn report(what: &str, time: Duration, against: Option<Duration>) {
    let each = time.as_secs_f64() * 1e6 / PARTITIONS as f64;
    let ratio = against.map(|against| format!(" (the warm load takes {:.2} times that)", against.as_secs_f64() / time.as_secs_f64()));
    println!("{each:8.2} µs a partition: {what}{}", ratio.unwrap_or_default());
}

fn walk(directory: &std::path::Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for shard in fs::read_dir(directory).expect("entries") {
        for entry in fs::read_dir(shard.expect("a shard").path()).expect("a shard") {
            paths.push(entry.expect("a manifest").path());
        }
    }
    paths
}
