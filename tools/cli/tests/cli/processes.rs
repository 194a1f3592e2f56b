//! Many processes on one store: the work is shared, nothing is done twice, and no process's end hurts another.
//!
//! Invariants 6, 8 and 13 of ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tickbarn::{DatasetFile, Interval, OnMissing, Outcome, Store};

use crate::recovery::{
    EACH, Seeded, acknowledged, check_index, check_next_load, check_store, leave_the_sample_out_of_the_key, load, made, made_from_other, start,
};
use crate::support::{Barn, Ran, Samples, finished, is_alive, send, wait_for};

/// The first hour notes that it has begun and goes on when the file `go` is there; the others do not wait.
const HELD: &str = r#"case "$3" in *T00*) echo $$ > "$4/begun"; while ! test -e "$4/go"; do sleep 0.01; done;; esac; "#;

/// A process whose streams go into files, so that a test can read along.
struct Running {
    child: Child,
    stdout: std::path::PathBuf,
    stderr: std::path::PathBuf,
}

impl Running {
    fn start(barn: &Barn, name: &str, mut command: Command) -> Self {
        let (stdout, stderr) = (barn.at(&format!("{name}.stdout")), barn.at(&format!("{name}.stderr")));
        let child = command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap()).spawn().unwrap();
        Self { child, stdout, stderr }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Waits until it has found that another generates what it wants.
    fn wait_until_it_waits(&self) {
        wait_for("a process that waits for another", || self.stderr().contains("another generates it"));
    }

    /// Waits for its end, which must come.
    fn end(mut self) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        let mut status = None;
        wait_for("the end of a process", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap();
        Ran {
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap()),
            stdout: fs::read_to_string(&self.stdout).unwrap(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of a test that failed half-way; one that has ended is left alone.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The starts of the partitions for which a generator was started, in order of time.
fn calls(barn: &Barn) -> Vec<String> {
    let mut calls: Vec<String> = fs::read_to_string(barn.at("calls")).unwrap_or_default().lines().map(str::to_owned).collect();
    calls.sort_unstable();
    calls
}

/// The lines that a process wrote whole before it was ended.
fn whole_lines(stdout: &str) -> Vec<Value> {
    stdout.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn eight_processes_that_want_the_same_share_the_work() {
    const HOURS: usize = 200;
    let barn = Barn::new(EACH);
    let all: Vec<Running> = (0..8).map(|nth| Running::start(&barn, &nth.to_string(), load(&barn, 0, HOURS, &["--json", "--jobs", "2"]))).collect();
    let mut generated = 0;
    for one in all {
        let ran = one.end().ok();
        assert_eq!(ran.summary()["read"], HOURS, "{ran:#?}");
        generated += ran.summary()["generated"].as_u64().unwrap();
    }
    let each_once: Vec<String> = (0..HOURS).map(start).collect();
    assert_eq!(calls(&barn), each_once);
    assert_eq!(generated, HOURS as u64);
    let there = check_store(&barn, HOURS);
    assert!((0..HOURS).all(|hour| there[&hour] == made(hour)));
}

#[test]
fn who_waits_for_a_process_that_is_killed_takes_over() {
    let barn = Barn::new(&format!("{HELD}{EACH}"));
    let owner = Running::start(&barn, "owner", load(&barn, 0, 1, &["--json"]));
    wait_for("the owner's generator", || barn.at("begun").exists());
    let waiter = Running::start(&barn, "waiter", load(&barn, 0, 3, &["--json", "-vv"]));
    waiter.wait_until_it_waits();
    send("KILL", &owner.child);
    assert_eq!(owner.end().status, 137);
    barn.write("go", b"");
    assert_eq!(waiter.end().ok().outcomes(), ["generated"; 3]);
    assert_eq!(calls(&barn), [start(0), start(0), start(1), start(2)]);
    assert_eq!(check_store(&barn, 3).into_values().collect::<Vec<_>>(), [made(0), made(1), made(2)]);
}

#[test]
fn who_waits_and_is_interrupted_ends_and_disturbs_nobody() {
    let barn = Barn::new(&format!("{HELD}{EACH}"));
    let owner = Running::start(&barn, "owner", load(&barn, 0, 1, &["--json"]));
    wait_for("the owner's generator", || barn.at("begun").exists());
    let waiter = Running::start(&barn, "waiter", load(&barn, 0, 1, &["--json", "-vv"]));
    waiter.wait_until_it_waits();
    send("INT", &waiter.child);
    let waited = waiter.end();
    assert_eq!(waited.status, 130, "{waited:#?}");
    assert!(is_alive(&owner.child.id().to_string()));
    barn.write("go", b"");
    assert_eq!(owner.end().ok().outcomes(), ["generated"]);
    assert_eq!(calls(&barn), [start(0)]);
    assert_eq!(check_store(&barn, 1)[&0], made(0));
}

#[test]
fn who_waits_for_a_generator_that_fails_takes_that_as_the_answer() {
    let barn = Barn::new(&format!("{HELD}exit 7"));
    let owner = Running::start(&barn, "owner", load(&barn, 0, 1, &["--json"]));
    wait_for("the owner's generator", || barn.at("begun").exists());
    let waiter = Running::start(&barn, "waiter", load(&barn, 0, 1, &["--json", "-vv"]));
    waiter.wait_until_it_waits();
    barn.write("go", b"");
    owner.end().failed(1, &["exit status 7"]);
    waiter.end().failed(1, &["exit status 7"]);
    assert_eq!(calls(&barn), [start(0)]);
}

#[test]
fn a_long_lived_process_sees_what_others_commit() {
    /// More than make an index worth while.
    const HOURS: usize = 700;
    let barn = Barn::new(EACH);
    leave_the_sample_out_of_the_key(&barn);
    finished(&mut load(&barn, 0, 12, &[])).ok();

    let file = DatasetFile::read(barn.at("tickbarn.toml")).unwrap();
    let store = Store::open_existing(barn.at("barn")).unwrap();
    let interval = Interval::parse(&start(0), &start(HOURS)).unwrap();
    let hits = || -> Vec<(usize, Vec<u8>)> {
        let load = store.load().request(file.dataset("md").unwrap(), &"test/ONE".parse().unwrap(), interval);
        let loaded = load.on_missing(OnMissing::Skip).blocking().unwrap();
        let bytes_of = |outcome: &Outcome| match outcome {
            Outcome::Hit(entry) => Some(fs::read(&entry.output("trades").unwrap().path).unwrap()),
            Outcome::Missing { .. } => None,
            other => panic!("{other:#?}"),
        };
        loaded.partitions.iter().enumerate().filter_map(|(hour, partition)| Some((hour, bytes_of(&partition.outcome)?))).collect()
    };
    let committed = |hours: usize| -> Vec<(usize, Vec<u8>)> { (0..hours).map(|hour| (hour, made(hour))).collect() };
    assert!(hits() == committed(12));
    assert!(hits() == committed(12));
    assert!(barn.at("barn/index/0").exists(), "this many lookups open the index");

    finished(&mut load(&barn, 12, 24, &["--jobs", "2"])).ok();
    assert!(hits() == committed(24), "what another process committed is there");

    barn.write("sample.parquet", &fs::read(Samples::get().other()).unwrap());
    finished(&mut load(&barn, 6, 18, &["--refresh", "--jobs", "2"])).ok();
    let mut refreshed = committed(24);
    refreshed[6..18].iter_mut().for_each(|(hour, bytes)| *bytes = made_from_other(*hour));
    assert!(hits() == refreshed, "what another process replaced is replaced");
}

#[test]
fn kills_at_any_moment_lose_nothing_that_was_acknowledged() {
    const ROUNDS: usize = 30;
    const NEW_HOURS_A_ROUND: usize = 6;
    const HOURS: usize = (ROUNDS + 1) * NEW_HOURS_A_ROUND;
    let barn = Barn::new(&format!("sleep 0.03; {EACH}"));
    let mut random = Seeded(0x5eed_0001);
    let mut lasting = BTreeSet::new();
    let mut calls_before = 0;
    for round in 0..ROUNDS {
        let (from, to) = (round * NEW_HOURS_A_ROUND, (round + 2) * NEW_HOURS_A_ROUND);
        let mut command = load(&barn, from, to, &["--json", "--jobs", "4"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(random.below(300)));
        send("KILL", &child);
        child.wait().unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");

        let calls = fs::read_to_string(barn.at("calls")).unwrap_or_default();
        for call in calls.lines().skip(calls_before) {
            assert!(!lasting.contains(call), "round {round}: {call} was acknowledged before and is generated again");
        }
        calls_before = calls.lines().count();
        let lines = whole_lines(&String::from_utf8(output.stdout).unwrap());
        lasting.extend(acknowledged(&lines, HOURS).into_iter().map(start));
    }
    assert!(!lasting.is_empty(), "some rounds got as far as a partition");
    let there = check_store(&barn, HOURS);
    assert!(there.iter().all(|(hour, bytes)| *bytes == made(*hour)));
    assert!((0..HOURS).all(|hour| there.contains_key(&hour) || !lasting.contains(&start(hour))), "what was acknowledged is there");
    check_index(&barn, &there);
    check_next_load(&barn, HOURS, &there);
}
