//! Processes that were forked from one which has a store open, as Python's multiprocessing makes them.
//!
//! Invariant 6 of ARCHITECTURE.md.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tickbarn::{Dataset, Interval, Job, OnMissing, Policy, Split, Store};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes, write_table};

/// Enough partitions that a load opens the index.
const MANY_HOURS: u32 = 24 * 60;

/// Longer than anything takes on a slow machine.
const LONG: Duration = Duration::from_secs(120);

fn many() -> Interval {
    Interval::parse("2023-01-01", "2023-03-02").unwrap()
}

fn starts() -> Dataset {
    let write = |job: &Job| -> Result<(), tickbarn::BoxError> {
        write_table(job.output("table")?, &[job.start().ns()]);
        Ok(())
    };
    Dataset::function("starts", "1", write).split(Split::every("1h").unwrap()).build().unwrap()
}

/// In a process of its own, since a child of the test's process would have copies of other tests' locks.
#[test]
fn a_forked_child_works_and_gives_nothing_of_its_parent_s_back() {
    let test = "forked::the_parent";
    let mut parent = Command::new(std::env::current_exe().unwrap());
    parent.args(["--exact", test, "--ignored", "--nocapture"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let parent = parent.process_group(0).spawn().unwrap();
    let group = parent.id();
    // A child that waits for a thread which it has not would wait for ever.
    let (over, watched) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if watched.recv_timeout(LONG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            Command::new("/bin/sh").args(["-c", &format!("kill -KILL -{group}")]).status().unwrap();
        }
    });
    let output = parent.wait_with_output().unwrap();
    drop(over);
    watch.join().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{test} was run");
}

#[test]
#[ignore = "run by the test above"]
fn the_parent() {
    let barn = Barn::new();
    let store = &barn.store;
    let everything = |store: &Store| store.load().request(&starts(), &instrument(), many()).workers(2).blocking().unwrap();
    assert_eq!(everything(store).summary().generated, MANY_HOURS as usize);
    assert_eq!(everything(store).summary().hit, MANY_HOURS as usize, "with an index, which stays open");

    // A claim that is held while the process forks, and until it is told to go on.
    let slow = barn.dataset(&format!("while [ ! -e \"$FIXTURES/go\" ]; do sleep 0.01; done\n{COPY}")).build().unwrap();
    let holding = {
        let load = barn.load(&slow, 1);
        std::thread::spawn(move || load.blocking().unwrap())
    };
    while barn.runs() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }

    // SAFETY: the child runs only this closure's code and then leaves without unwinding into the test's harness. Locks that other threads may have held
    // at the fork are the harness's and the holding load's, which it does not touch.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let works = || {
            let hits = everything(store).summary().hit == MANY_HOURS as usize;
            let more = store.load().request(&starts(), &instrument(), first_hours(2)).blocking().is_ok_and(|loaded| loaded.summary().generated == 2);
            let clean = store.verify().run().is_ok_and(|verified| verified.is_clean());
            hits && more && clean
        };
        let status = if works() { 0 } else { 1 };
        // Everything that is dropped here is a copy of the parent's.
        drop(barn.store.clone());
        // SAFETY: ends the process at once, which is what it is for.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: waits for a child of ours into a valid integer.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    let status = ExitStatus::from_raw(status);
    assert!(status.success(), "the child works: {status}");

    // What the child has made is seen, through the index that was open all the while.
    let seen = store.load().request(&starts(), &instrument(), first_hours(2)).blocking().unwrap();
    assert_eq!(outcomes(&seen), ["hit"; 2]);
    // And the claim is still held.
    let other = Store::open(store.path()).unwrap();
    let looks = Policy { missing: OnMissing::Skip, ..Policy::default() };
    let looked = other.load().request(&slow, &instrument(), first_hours(1)).policy(looks).blocking().unwrap();
    assert_eq!((outcomes(&looked), barn.runs()), (vec!["missing"], 1));
    let address = looked.partitions[0].address.unwrap();
    assert!(store.path().join("claims").join(address.to_string()).exists());
    std::fs::write(barn.path("fixtures/go"), "").unwrap();
    assert_eq!(outcomes(&holding.join().unwrap()), ["generated"]);
    assert_eq!(barn.runs(), 1);
    assert!(barn.is_tidy());
}
