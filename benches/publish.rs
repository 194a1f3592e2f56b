//! What publishing costs beyond the generator's own process: two outputs of 1 MB each.
//!
//! `cargo bench --bench publish --no-default-features` prints the whole time of a load that generates one partition after another, less the time that
//! the same command takes when it is started plainly in the same environment, and as a ratio the syscalls that durable publishing cannot do without:
//! two files of 1 MB written and synced, two renames, two directories synced, a small file written, synced, renamed and its directory synced, and a
//! record appended and synced.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tickbarn::{Dataset, Instrument, Interval, Split, Store};

#[path = "support/tables.rs"]
mod tables;

/// Rounds in which the three take turns; the best of each counts, since the machine's noise only ever adds.
const ROUNDS: u32 = 8;
const PARTITIONS: u32 = 30;
const ROWS_OF_A_MEGABYTE: i64 = 65_500;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let fixture = directory.path().join("fixture.parquet");
    tables::write(&fixture, ROWS_OF_A_MEGABYTE, 0.0);
    println!("two outputs of {} bytes", fs::metadata(&fixture).expect("the fixture").len());
    let maker = directory.path().join("maker");
    fs::create_dir(&maker).expect("a directory");
    // Every partition gets tables of its own, made beforehand, so that each is stored.
    for nth in 0..ROUNDS * PARTITIONS {
        for output in ["a", "b"] {
            let price = f64::from(nth) + if output == "a" { 0.0 } else { 0.5 };
            tables::write(&maker.join(format!("{nth}-{output}")), ROWS_OF_A_MEGABYTE, price);
        }
    }
    let script = r#"nth=$(( $2 / 3600 % 1000 )); cp "$1/$nth-a" "$3"; cp "$1/$nth-b" "$4""#;
    let dataset = Dataset::command("bench", ["/bin/sh", "-c", script, "sh", "{unkeyed.maker}", "{start.unix}", "{output.a}", "{output.b}"])
        .unkeyed("maker", maker.to_str().expect("a UTF-8 path"))
        .output("a", "a.parquet")
        .output("b", "b.parquet")
        .split(Split::every("1h").expect("a length"))
        .build()
        .expect("a dataset");
    let store = Store::open(directory.path().join("barn")).expect("a store");
    let instrument: Instrument = "binance/BTC-USDT".parse().expect("an instrument");
    // The hour since the epoch is a multiple of a thousand at the start.
    let start_s = 1_699_200_000_i64;
    let at = |hours: u32| tickbarn::Time::from_ns((start_s + i64::from(hours) * 3600) * 1_000_000_000);

    let (mut whole, mut plain, mut floor) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        let first = round * PARTITIONS;
        let interval = Interval::new(at(first), at(first + PARTITIONS)).expect("an interval");
        let began = Instant::now();
        let loaded = store.load().request(&dataset, &instrument, interval).workers(1).blocking().expect("partitions");
        whole = whole.min(began.elapsed() / PARTITIONS);
        assert_eq!(loaded.summary().generated, PARTITIONS as usize);
        plain = plain.min(plain_process(directory.path(), &maker, script, start_s + i64::from(first) * 3600));
        floor = floor.min(durable_floor(directory.path(), &fixture));
    }
    let beyond = whole.saturating_sub(plain);
    println!("{:7.2} ms a partition: the load that generates", millis(whole));
    println!("{:7.2} ms a partition: the generator's own process, started plainly", millis(plain));
    println!("{:7.2} ms a partition: publishing beyond it", millis(beyond));
    println!(
        "{:7.2} ms a partition: the writes and syncs that it cannot do without ({:.2} times that)",
        millis(floor),
        beyond.as_secs_f64() / floor.as_secs_f64()
    );
}

fn plain_process(directory: &Path, maker: &Path, script: &str, start_s: i64) -> Duration {
    let began = Instant::now();
    for nth in 0..PARTITIONS {
        let unix = (start_s + i64::from(nth) * 3600).to_string();
        let outputs = ["plain-a", "plain-b"].map(|name| directory.join(format!("{name}-{nth}")));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(maker).arg(unix).args(&outputs);
        // The environment that a generator gets: a locale alone is worth a millisecond of opening its files.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8").env("TZ", "UTC");
        assert!(command.status().expect("a shell").success());
    }
    began.elapsed() / PARTITIONS
}

fn durable_floor(directory: &Path, fixture: &Path) -> Duration {
    let bytes = fs::read(fixture).expect("the fixture");
    let place = directory.join("floor");
    fs::create_dir_all(&place).expect("a directory");
    let mut journal = File::create(place.join("journal")).expect("a file");
    let sync_directory = || File::open(&place).and_then(|directory| directory.sync_all()).expect("a sync");
    let put = |name: String, bytes: &[u8]| {
        let draft = place.join(format!("{name}.draft"));
        let mut file = File::create(&draft).expect("a file");
        file.write_all(bytes).and_then(|()| file.sync_all()).expect("a write");
        fs::rename(&draft, place.join(name)).expect("a rename");
        sync_directory();
    };
    let began = Instant::now();
    for nth in 0..PARTITIONS {
        put(format!("{nth}-a"), &bytes);
        put(format!("{nth}-b"), &bytes);
        put(format!("{nth}.json"), &bytes[..2000]);
        journal.write_all(&bytes[..200]).and_then(|()| journal.sync_all()).expect("a write");
    }
    began.elapsed() / PARTITIONS
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
