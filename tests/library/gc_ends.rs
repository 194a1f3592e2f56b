//! Collectors that meet each other, that are killed, or that cannot see what holds what.
//!
//! Invariants 13 and 14 of ARCHITECTURE.md.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tickbarn::{Error, FindingKind, Pin, Retention, Store, gc};

use crate::gc_beside::{all_is_hit_and_right, dataset, hours, instrument, small};
use crate::roles::{LONG, Numbers, Role, told, wait_for_file};

/// A directory with a store of some hours of both instruments, filled by a process that is gone.
fn filled(count: u64) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    Role::start("gc_beside::fills", directory.path(), &[&0, &count]).end();
    let store = Store::open_existing(directory.path().join("barn")).unwrap();
    (directory, store)
}

fn everything() -> Retention {
    let mut retention = Retention::default();
    retention.grace = Duration::ZERO;
    retention.datasets.push("beside".to_owned());
    retention
}

fn files(store: &Store) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![store.path().join("entries"), store.path().join("artifacts")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// A collector that has looked and then waits until it is told to go on.
#[test]
#[ignore = "run by other tests"]
fn collects_slowly() {
    let (directory, _) = told();
    let store = Store::open_existing(directory.join("barn")).unwrap();
    let wait = move |progress: &gc::GcProgress| {
        if progress.stage == "looking" && progress.done == progress.total {
            fs::write(directory.join("looked"), "").unwrap();
            wait_for_file(&directory.join("go"));
        }
    };
    let swept = gc::plan(&store, &everything()).unwrap().sweep().progress(wait).run().unwrap();
    assert!(swept.price.entries > 0);
}

/// Two are not at it at once: a cron job that is started again before the last one has ended says so and harms nothing.
#[test]
fn a_second_collector_says_who_is_at_it_and_the_next_one_works() {
    let (directory, store) = filled(6);
    let there = files(&store);
    let first = Role::start("gc_ends::collects_slowly", directory.path(), &[]);
    wait_for_file(&directory.path().join("looked"));
    let refused = gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap_err();
    let Error::Collecting { store: path, holders } = &refused else { panic!("{refused:?}") };
    assert_eq!((path.as_path(), holders.as_slice()), (store.path(), [first.id()].as_slice()), "{refused}");
    assert!(refused.to_string().contains(&first.id().to_string()), "{refused}");
    assert_eq!(files(&store), there, "the second has done nothing");
    fs::write(directory.path().join("go"), "").unwrap();
    first.end();
    assert_eq!(files(&store), [] as [PathBuf; 0]);

    Role::start("gc_beside::fills", directory.path(), &[&0, &2]).end();
    assert_eq!(gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap().price.entries, 4);
}

#[test]
fn a_killed_collector_is_in_nobodys_way() {
    let (directory, store) = filled(6);
    let plan = gc::plan(&store, &everything()).unwrap();
    let first = Role::start("gc_ends::collects_slowly", directory.path(), &[]);
    wait_for_file(&directory.path().join("looked"));
    assert!(first.kill());
    assert_eq!(gc::sweep(plan).unwrap().price.entries, 12);
    assert_eq!(files(&store), [] as [PathBuf; 0]);
}

/// Kills collectors at any moment, over and over, beside a process that publishes.
#[test]
fn collectors_that_are_killed_at_any_moment_lose_nothing_and_the_last_one_finishes() {
    const ROUNDS: u64 = 5;
    const ROUND_MS: u64 = 2_000;
    const PINNED_HOURS: u64 = 12;
    let (directory, store) = filled(150);
    let directory = directory.path();
    let range = hours(0, PINNED_HOURS);
    let instruments = [instrument(0), instrument(1)];
    store.pin(&Pin::range("kept", ["beside".to_owned()], instruments, Some(range.start()), Some(range.end())).unwrap()).unwrap();
    let seed = std::process::id().into();
    let mut numbers = Numbers::from(seed);
    let (mut killed, mut ended) = (0, 0);
    for round in 0..ROUNDS {
        let mut writer = Role::start("gc_beside::writes", directory, &[&ROUND_MS, &numbers.next(), &0]);
        while !writer.is_over() {
            let collector = Role::start("gc_beside::collects", directory, &[&300]);
            std::thread::sleep(Duration::from_millis(10 + numbers.below(300)));
            if collector.kill() {
                killed += 1;
            } else {
                ended += 1;
            }
        }
        let verified = store.verify().digests().run().unwrap();
        assert!(verified.is_clean(), "seed {seed}, round {round}: {:#?}", verified.findings);
    }
    println!("{killed} collectors were killed, and {ended} came to their end");
    assert!(killed > 10, "{killed} were killed");

    let mut retention = small();
    retention.leftovers = true;
    gc::sweep(gc::plan(&store, &retention).unwrap()).unwrap();
    let verified = store.verify().digests().run().unwrap();
    let orphans: Vec<_> = verified.findings.iter().filter(|finding| finding.kind == FindingKind::Orphan).collect();
    assert!(verified.is_clean() && orphans.is_empty(), "seed {seed}: {:#?}", verified.findings);
    let trash = fs::read_dir(store.path().join("trash")).unwrap().count();
    assert_eq!(trash, 0, "seed {seed}");
    assert!(gc::plan(&store, &small()).unwrap().is_empty(), "seed {seed}: nothing is left to do");
    all_is_hit_and_right(&store, range);
}

/// A process that has loaded some hours, and lives until it is told to go on.
#[test]
#[ignore = "run by other tests"]
fn holds() {
    let (directory, words) = told();
    let store = Store::open_existing(directory.join("barn")).unwrap();
    let loaded = store.load().request(&dataset(), &instrument(0), hours(0, words[0])).blocking().unwrap();
    assert_eq!(loaded.summary().hit as u64, words[0]);
    fs::write(directory.join("holds"), "").unwrap();
    wait_for_file(&directory.join("go"));
}

/// Tries to collect everything in two ways, by a plan from before something could no longer be read and by a new one: both must refuse, and take nothing.
#[track_caller]
fn nothing_is_collected(store: &Store, spoil: impl FnOnce() -> PathBuf, hint: &str) {
    let plan = gc::plan(store, &everything()).unwrap();
    assert!(plan.price().entries > 0);
    let there = files(store);
    let spoilt = spoil();
    for refused in [gc::sweep(plan).map(drop), gc::plan(store, &everything()).map(drop)] {
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, Error::Damaged { path, .. } if *path == spoilt), "{refused:?}");
        assert!(refused.to_string().contains(hint), "{refused}");
        assert_eq!(files(store), there, "{refused}");
    }
}

fn only_lease(store: &Store) -> PathBuf {
    let leases = fs::read_dir(store.path().join("leases")).unwrap().map(|entry| entry.unwrap().path());
    let mut leases = leases.filter(|path| path.extension().is_some_and(|is| is == "lease"));
    let lease = leases.next().unwrap();
    assert_eq!(leases.next(), None);
    lease
}

#[test]
fn a_lease_that_cannot_be_read_keeps_everything_until_its_process_is_gone() {
    let (directory, store) = filled(4);
    let holder = Role::start("gc_ends::holds", directory.path(), &[&2]);
    wait_for_file(&directory.path().join("holds"));
    let spoil = || {
        let lease = only_lease(&store);
        OpenOptions::new().append(true).open(&lease).unwrap().write_all(&[b'?'; 33]).unwrap();
        lease
    };
    nothing_is_collected(&store, spoil, "end the process");
    fs::write(directory.path().join("go"), "").unwrap();
    holder.end();
    assert_eq!(gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap().price.entries, 8);
}

#[test]
fn a_pin_that_cannot_be_read_keeps_everything() {
    let (_directory, store) = filled(4);
    let range = hours(0, 1);
    store.pin(&Pin::range("kept", ["beside".to_owned()], [instrument(0)], Some(range.start()), Some(range.end())).unwrap()).unwrap();
    let pin = fs::read_dir(store.path().join("pins")).unwrap().next().unwrap().unwrap().path();
    let spoil = || {
        fs::write(&pin, "{").unwrap();
        pin.clone()
    };
    nothing_is_collected(&store, spoil, "");
    store.unpin("kept").unwrap();
    assert_eq!(gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap().price.entries, 8);
}

#[test]
fn an_entry_that_cannot_be_read_and_that_no_journal_tells_keeps_everything() {
    let (_directory, store) = filled(4);
    let entry = files(&store).into_iter().find(|path| path.extension().is_some_and(|is| is == "json")).unwrap();
    let spoil = || {
        fs::write(&entry, "{").unwrap();
        fs::remove_dir_all(store.path().join("journal")).unwrap();
        fs::create_dir(store.path().join("journal")).unwrap();
        entry.clone()
    };
    nothing_is_collected(&store, spoil, "verify --repair");
    assert!(store.verify().digests().repair().run().unwrap().is_clean());
    assert_eq!(gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap().price.entries, 7);
}

/// What is held while the collector is already at it: a plan is only what was known then.
#[test]
fn what_is_loaded_or_pinned_after_a_plan_was_made_stays() {
    let (directory, store) = filled(4);
    let plan = gc::plan(&store, &everything()).unwrap();
    let holder = Role::start("gc_ends::holds", directory.path(), &[&2]);
    wait_for_file(&directory.path().join("holds"));
    let range = hours(2, 1);
    store.pin(&Pin::range("kept", ["beside".to_owned()], [instrument(1)], Some(range.start()), Some(range.end())).unwrap()).unwrap();
    let swept = gc::sweep(plan).unwrap();
    assert_eq!((swept.price.entries, swept.kept), (5, 3));
    fs::write(directory.path().join("go"), "").unwrap();
    holder.end();
    assert_eq!(gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap().price.entries, 2);
    assert_eq!(store.entries().unwrap().len(), 1);
}

/// A notebook that was stopped (Ctrl-Z) while it looked something up must not keep a cron job for ever, nor lose what it holds.
#[test]
fn a_stopped_process_that_holds_what_it_loaded_keeps_that_and_nothing_else() {
    let (directory, store) = filled(4);
    let holder = Role::start("gc_ends::holds", directory.path(), &[&1]);
    wait_for_file(&directory.path().join("holds"));
    signal("STOP", holder.id());
    let began = Instant::now();
    let swept = gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap();
    assert!(began.elapsed() < LONG / 4);
    assert_eq!(swept.price.entries, 7);
    signal("CONT", holder.id());
    fs::write(directory.path().join("go"), "").unwrap();
    holder.end();
    assert!(store.verify().digests().run().unwrap().is_clean());
}

fn signal(name: &str, process: u32) {
    let sent = std::process::Command::new("/bin/sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap();
    assert!(sent.success());
}
