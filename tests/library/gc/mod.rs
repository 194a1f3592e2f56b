//! Collecting: what goes, what stays, what it says, beside running work.
//!
//! What a process has loaded stays while it lives, so that stores here are filled by processes of their own.
//!
//! Invariant 18 of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tickbarn::gc::{self, GcLeftover, GcPlan, Kept, Price, Swept};
use tickbarn::{
    Address, BoxError, Dataset, Digest, Error, Finding, Instrument, Interval, Job, Listed, OnFailure, Policy, Retention, Split, Store, Time,
};

use crate::barn::{Barn, copy, instrument, write_table};

mod combinations;
mod later;
mod leftovers;
mod policies;
mod refusals;
mod roots;

const DAY: Duration = Duration::from_secs(86_400);

/// A dataset by a word: its name and version. Each run of its generator is written down.
fn dataset(directory: &Path, word: &str) -> Dataset {
    let (name, version) = word.split_once('@').unwrap();
    let (runs, again, number) = (directory.join("runs"), directory.join("again"), version.parse::<i64>().unwrap());
    let what = name.to_owned();
    let write = move |job: &Job| -> Result<(), BoxError> {
        let mut runs = File::options().create(true).append(true).open(&runs)?;
        runs.write_all(format!("{what}@{number} {}\n", job.start()).as_bytes())?;
        match &*what {
            "failing" => return Err("there is no such market".into()),
            "same" => write_table(job.output("table")?, &[1, 2, 3]),
            "turning" => write_table(job.output("table")?, &[job.start().ns(), i64::from(again.exists())]),
            "sums" => write_table(job.output("table")?, &[job.upstream("numbers")?.partitions()[0].interval.start().ns() + 7]),
            _ => write_table(job.output("table")?, &[job.start().ns(), number, job.instrument().market().len() as i64]),
        }
        Ok(())
    };
    let builder = match name {
        "command" => {
            let program = directory.join("generator.sh");
            let command = Dataset::command("command", [program.to_str().unwrap(), "{output.table}", "{start}"]);
            command.snapshot_program(true).output("table", "table.parquet").env("FIXTURES", directory.join("fixtures").to_str().unwrap())
        }
        "sums" => Dataset::function(name, version, write).upstream(&dataset(directory, &format!("numbers@{version}"))),
        _ => Dataset::function(name, version, write),
    };
    builder.split(Split::every("1h").unwrap()).build().unwrap()
}

/// How many times a generator of a dataset ran.
fn runs_of(barn: &Barn, name: &str) -> usize {
    fs::read_to_string(barn.path("runs")).unwrap_or_default().lines().filter(|line| line.starts_with(name)).count()
}

/// The hours of a day from the first to before the second.
fn hours(from: u32, to: u32) -> Interval {
    let hour = |hour: u32| Time::from_ns("2024-01-01".parse::<Time>().unwrap().ns() + i64::from(hour) * 3_600_000_000_000);
    Interval::new(hour(from), hour(to)).unwrap()
}

fn other_instrument() -> Instrument {
    "other/ONE".parse().unwrap()
}

/// What a process is to load: `WORD FROM TO`, then `refresh`, or `other` for the other instrument.
fn follow(store: &Store, directory: &Path, orders: &str) {
    for order in orders.lines() {
        let words: Vec<&str> = order.split(' ').collect();
        let [word, from, to, how @ ..] = &words[..] else { panic!("{order}") };
        let instrument = if how.contains(&"other") { other_instrument() } else { instrument() };
        let load = store.load().request(&dataset(directory, word), &instrument, hours(from.parse().unwrap(), to.parse().unwrap()));
        let load = load.policy(Policy { failure: OnFailure::Skip, refresh: how.contains(&"refresh"), ..Policy::default() });
        load.workers(4).blocking().unwrap();
    }
}

/// A process that has loaded what it was told to, and goes on to live.
struct Living {
    child: Child,
}

impl Living {
    fn that_loads(store: &Path, directory: &Path, orders: &str) -> Self {
        Self::by(&mut Command::new(std::env::current_exe().unwrap()), store, directory, orders)
    }

    /// The same of a process that may not write a byte to a file, as on a full disk.
    fn that_cannot_write(store: &Path, directory: &Path, orders: &str) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
        Self::by(&mut shell, store, directory, orders)
    }

    fn by(command: &mut Command, store: &Path, directory: &Path, orders: &str) -> Self {
        command.args(["--exact", "gc::a_process_that_loads", "--ignored", "--nocapture"]);
        command.env("GC_STORE", store).env("GC_DIRECTORY", directory).env("GC_ORDERS", orders);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        if !output.any(|line| line.contains("loaded everything")) {
            let output = child.wait_with_output().unwrap();
            panic!("{orders}: {}", String::from_utf8_lossy(&output.stderr));
        }
        // Whoever ends it wants it gone; until then its output goes nowhere.
        std::thread::spawn(move || output.for_each(drop));
        Self { child }
    }

    /// The lease that it holds.
    fn lease(&self, store: &Path) -> PathBuf {
        let of_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{}-", self.child.id()));
        leases(store).into_iter().find(of_it).unwrap()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Loads in a process that is gone afterwards.
fn elsewhere(barn: &Barn, orders: &str) {
    Living::that_loads(barn.store.path(), &barn.path(""), orders).end();
}

#[test]
#[ignore = "run by the tests here"]
fn a_process_that_loads() {
    let Some(store) = std::env::var_os("GC_STORE") else { return };
    let directory = PathBuf::from(std::env::var_os("GC_DIRECTORY").unwrap());
    let store = Store::open_existing(store).unwrap();
    follow(&store, &directory, &std::env::var("GC_ORDERS").unwrap());
    println!("loaded everything");
    // It lives until somebody closes its input.
    std::io::stdin().lines().for_each(drop);
}

fn leases(store: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(store.join("leases")).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "lease")).collect()
}

/// Forgets when anything was used that processes did which are gone.
fn forget_uses(store: &Path) {
    for lease in leases(store) {
        if File::open(&lease).unwrap().try_lock().is_ok() {
            fs::remove_file(lease).unwrap();
        }
    }
    let _ = fs::remove_file(store.join("leases").join("used"));
}

/// Makes entries as old as if they had been made that much earlier, and not used since: rewrites what their manifests say, and the journal with them.
/// Nobody may have the store in use.
fn age(store: &Path, by: Duration, is_meant: impl Fn(&Listed) -> bool) {
    let meant: Vec<Listed> = Store::open_existing(store).unwrap().entries().unwrap().into_iter().filter(is_meant).collect();
    for listed in meant {
        let address = listed.entry.address.to_string();
        let path = store.join("entries").join(&address[..2]).join(format!("{address}.json"));
        let text = fs::read_to_string(&path).unwrap();
        let (_, body) = text.trim_end().strip_suffix('}').unwrap().split_once("\"body\":").unwrap();
        let (before, rest) = body.split_once("\"started\":\"").unwrap();
        let (started, after) = rest.split_once('"').unwrap();
        let started = Time::from_ns(started.parse::<Time>().unwrap().ns() - i64::try_from(by.as_nanos()).unwrap());
        let body = format!("{before}\"started\":\"{started}\"{after}");
        fs::write(&path, format!("{{\"checksum\":\"{}\",\"body\":{body}}}\n", Digest::of(body.as_bytes()))).unwrap();
    }
    for name in ["log", "end"] {
        fs::remove_file(store.join("journal").join(name)).unwrap();
    }
    forget_uses(store);
    drop(Store::open_existing(store).unwrap());
}

/// Writes down that entries were used so long ago, as whoever finds the lease of a process that is gone does.
fn note_uses(store: &Path, uses: &[(Address, Duration)]) {
    let now = Time::now().ns() / 1_000_000_000;
    let mut bytes = b"tickbarn-used-1\n".to_vec();
    bytes.extend_from_slice(&0u64.to_le_bytes());
    for (address, ago) in uses {
        let at = u32::try_from(now - i64::try_from(ago.as_secs()).unwrap()).unwrap();
        let record = [&address.as_bytes()[..16], &at.to_le_bytes()].concat();
        bytes.extend_from_slice(&record);
        bytes.extend_from_slice(&twox_hash::XxHash64::oneshot(0, &record).to_le_bytes()[..4]);
    }
    fs::write(store.join("leases").join("used"), bytes).unwrap();
}

/// Everything below a directory with its bytes, but for what says who is using the store.
fn tree(store: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![store.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path == store.join("leases") {
                continue;
            }
            let is_directory = path.symlink_metadata().unwrap().is_dir();
            found.insert(path.clone(), if is_directory { None } else { fs::read(&path).ok() });
            if is_directory {
                waiting.push(path);
            }
        }
    }
    found
}

/// A retention without a grace period.
fn retention(change: impl FnOnce(&mut Retention)) -> Retention {
    let mut retention = Retention::default();
    retention.grace = Duration::ZERO;
    change(&mut retention);
    retention
}

fn of_dataset(name: &str) -> Retention {
    retention(|retention| retention.datasets = vec![name.to_owned()])
}

fn everything() -> Retention {
    retention(|retention| retention.max_bytes = Some(0))
}

/// Plans, carries the plan out, checks that it has done what the plan said, and that the store is whole.
fn collect(store: &Store, retention: &Retention) -> (GcPlanned, Swept) {
    let plan = gc::plan(store, retention).unwrap();
    let planned = GcPlanned::of(&plan);
    let before: BTreeSet<Address> = addresses(store);
    let swept = gc::sweep(plan).unwrap();
    assert_eq!(&before - &addresses(store), planned.entries, "what went is what the plan named");
    assert_eq!((swept.price.entries, swept.price.bytes), (planned.price.entries, planned.price.bytes));
    assert!((swept.price.seconds - planned.price.seconds).abs() < 1e-6, "{swept:?} {:?}", planned.price);
    assert_eq!((swept.failures, swept.kept, swept.cancelled), (planned.failures, 0, false));
    whole(store);
    (planned, swept)
}

/// What a plan says, without the plan.
#[derive(Debug)]
struct GcPlanned {
    entries: BTreeSet<Address>,
    price: Price,
    failures: usize,
    leftovers: Vec<GcLeftover>,
    kept: Kept,
    shortfall_bytes: u64,
    store_bytes: u64,
}

impl GcPlanned {
    fn of(plan: &GcPlan) -> Self {
        let planned = Self {
            entries: plan.entries().map(|entry| entry.address).collect(),
            price: plan.price(),
            failures: plan.failures().len(),
            leftovers: plan.leftovers().to_vec(),
            kept: plan.kept(),
            shortfall_bytes: plan.shortfall_bytes(),
            store_bytes: plan.store_bytes(),
        };
        assert_eq!(plan.entries().count(), planned.price.entries);
        assert_eq!(plan.entries().map(|entry| entry.bytes_freed).sum::<u64>(), planned.price.bytes);
        planned
    }
}

fn addresses(store: &Store) -> BTreeSet<Address> {
    store.entries().unwrap().iter().map(|listed| listed.entry.address).collect()
}

/// Nothing is wrong with any byte of it. Gives what lies about.
fn whole(store: &Store) -> Vec<Finding> {
    let verified = store.verify().digests().run().unwrap();
    assert_eq!(verified.problems().count(), 0, "{:#?}", verified.findings);
    verified.findings
}

#[test]
fn everything_in_a_scope_goes_and_the_store_is_whole() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 24\nsame@1 0 3");
    let store = Store::open_existing(barn.store.path()).unwrap();
    let bytes: u64 = store.entries().unwrap().iter().filter(|one| &*one.dataset == "numbers").map(|one| one.entry.outputs[0].bytes).sum();
    let (planned, swept) = collect(&store, &of_dataset("numbers"));
    assert_eq!((planned.price.entries, planned.price.bytes), (24, bytes));
    assert_eq!((swept.price.entries, swept.leftovers), (24, 0));
    assert_eq!(barn.files(&["entries"]).len(), 3);
    assert_eq!(barn.files(&["artifacts"]).len(), 1);
    assert_eq!(barn.files(&["trash"]).len(), 0);
    assert!(whole(&store).is_empty());
    // And it is generated again by whoever asks.
    let loaded = store.load().request(&dataset(&barn.path(""), "numbers@1"), &instrument(), hours(0, 24)).blocking().unwrap();
    assert_eq!((loaded.summary().generated, runs_of(&barn, "numbers")), (24, 48));
}

#[test]
fn a_retention_that_says_nothing_is_refused() {
    let barn = Barn::new();
    let error = gc::plan(&barn.store, &Retention::default()).unwrap_err();
    assert!(matches!(error, Error::NothingToCollect) && error.is_usage(), "{error:?}");
}

#[test]
fn planning_changes_nothing() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    let before = tree(barn.store.path());
    let leases_before = leases(barn.store.path());
    let mut retention = everything();
    (retention.failures, retention.leftovers, retention.superseded) = (true, true, true);
    assert_eq!(gc::plan(&barn.store, &retention).unwrap().price().entries, 3);
    assert_eq!((tree(barn.store.path()), leases(barn.store.path())), (before, leases_before));
}

#[test]
fn one_collector_at_a_time() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    let plan = gc::plan(&barn.store, &everything()).unwrap();
    let held = File::open(barn.store.path().join("leases").join("collector.lock")).unwrap();
    held.lock().unwrap();
    let error = gc::sweep(plan).unwrap_err();
    assert!(matches!(error, Error::Collecting { .. }), "{error:?}");
    assert_eq!(addresses(&barn.store).len(), 3);
    drop(held);
    collect(&barn.store, &everything());
}
