//! Each call that changes a store fails once, or is the last that its process comes to: the load says so or goes on, and the next one is right.
//!
//! Invariants 3 and 13 of ARCHITECTURE.md.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::recovery::{
    EACH, acknowledged, check_index, check_next_load, check_store, half_made, leave_the_sample_out_of_the_key, load, made, made_from_other,
};
use crate::support::{Barn, Samples, finished};
use crate::tracer::{Call, Fault, Kind, Traced, can_trace, traced};

const EIO: Fault = Fault::Error(libc::EIO);
const ENOSPC: Fault = Fault::Error(libc::ENOSPC);

fn changes(call: &Call) -> bool {
    call.kind != Kind::Reading
}

fn writes(call: &Call) -> bool {
    call.name == "write"
}

fn is_of_the_index(call: &Call) -> bool {
    call.path.components().any(|part| part.as_os_str() == "index")
}

fn reads(call: &Call) -> bool {
    call.kind == Kind::Reading
}

/// What one run with a fault was, and all that it left wrong. A sweep goes on to its end and then tells of every fault that did harm.
struct Sweep {
    name: &'static str,
    hits: usize,
    /// Whether the rename of a manifest into its place was hit.
    commit: bool,
    wrong: Vec<String>,
}

impl Sweep {
    /// Far more calls than any load makes here.
    const FAULTS_MAX: usize = 400;

    fn new(name: &'static str) -> Option<Self> {
        match can_trace() {
            Ok(()) => Some(Self { name, hits: 0, commit: false, wrong: Vec::new() }),
            Err(reason) => {
                eprintln!("skipped {name}: {reason}");
                None
            }
        }
    }

    /// Judges a run that met a fault, by how it ended and by what `check` finds. Says whether there was a call left to fail.
    fn judge(&mut self, barn: &Barn, traced: &Traced, fault: Fault, check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        let Some(call) = &traced.hit else { return false };
        self.hits += 1;
        assert!(self.hits <= Self::FAULTS_MAX, "{}: the calls come to no end", self.name);
        self.commit |= call.name.starts_with("rename") && call.path.starts_with(barn.at("barn/entries"));
        let what = format!("{fault:?} at call {}, {} of {}", traced.calls.len(), call.name, shown(&barn.at("barn"), call));
        let mut wrong = how_it_ended(barn, traced, call, fault);
        if let Err(panic) = std::panic::catch_unwind(check) {
            let told = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|told| (*told).to_owned()));
            wrong.push(told.unwrap_or_default());
        }
        if !wrong.is_empty() {
            self.wrong.push(format!("{what}: {}\n  it said {:?}", wrong.join("; "), traced.ran.stderr));
        }
        true
    }

    /// Ends a sweep that was to come past a commit.
    #[track_caller]
    fn end_past_commit(self) {
        assert!(self.commit, "{}: of {} faults none hit the commit", self.name, self.hits);
        self.end();
    }

    #[track_caller]
    fn end(self) {
        let Self { name, hits, wrong, .. } = self;
        assert!(hits > 0, "{name}: no call at all was hit");
        assert!(wrong.is_empty(), "{name}: {} of {hits} faults did harm\n\n{}", wrong.len(), wrong.join("\n\n"));
    }
}

/// What is wrong with the end of a run that met a fault.
fn how_it_ended(barn: &Barn, traced: &Traced, call: &Call, fault: Fault) -> Vec<String> {
    let ran = &traced.ran;
    let mut wrong = Vec::new();
    if traced.hung {
        wrong.push("it did not end".to_owned());
    }
    if ran.stderr.contains("panicked") {
        wrong.push("it panicked".to_owned());
    }
    if let Fault::Kill | Fault::HalfThenKill = fault {
        return wrong;
    }
    let store = barn.at("barn").display().to_string();
    let class = ran.stdout.contains("\"class\":");
    match ran.status {
        0 => {}
        1 | 2 if ran.stderr.contains("error: ") && (ran.stderr.contains(&store) || class) => {}
        1 | 2 => wrong.push("its message names no path of the store".to_owned()),
        status => wrong.push(format!("it ended with status {status}")),
    }
    let left = half_made(barn);
    match call.kind {
        // What cannot be removed stays; the next faults are not to be blamed for it.
        Kind::Removal => left.iter().for_each(|left| remove(left)),
        _ if left.is_empty() => {}
        _ => wrong.push(format!("it left {left:#?}")),
    }
    wrong
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

/// The path of a call in the store, without most digits of addresses and digests.
fn shown(store: &Path, call: &Call) -> String {
    let path = call.path.strip_prefix(store).unwrap_or(&call.path).display().to_string();
    path.split('/').map(|part| if part.len() > 24 { shortened(part) } else { part.to_owned() }).collect::<Vec<_>>().join("/")
}

fn shortened(part: &str) -> String {
    let kept: String = part.chars().take(12).collect();
    format!("{kept}…")
}

/// Loads one hour after the other, each with one fault more than the last, into one store.
fn sweep_new_partitions(name: &'static str, counts: fn(&Call) -> bool, fault: Fault) {
    sweep_new_partitions_of(&Barn::new(EACH), name, counts, fault);
}

/// The same with all that a partition can bring along: a log too long for a manifest, and a copy of the program, which is made anew for each.
fn sweep_rich_partitions(name: &'static str, fault: Fault) {
    let barn = Barn::with(&format!("head -c 9000 /dev/zero | tr '\\0' x; {EACH}"), "snapshot_program = true");
    sweep_new_partitions_of(&barn, name, changes, fault);
}

fn sweep_new_partitions_of(barn: &Barn, name: &'static str, counts: fn(&Call) -> bool, fault: Fault) {
    let Some(mut sweep) = Sweep::new(name) else { return };
    finished(&mut load(barn, 0, 1, &[])).ok();
    let mut there = BTreeMap::from([(0, made(0))]);
    for hour in 1.. {
        barn.names_in("programs").iter().for_each(|program| remove(&barn.at("barn/programs").join(program)));
        let command = load(barn, hour, hour + 1, &["--json", "--jobs", "1"]);
        let traced = traced(command, &barn.at("barn"), counts, Some((hour - 1, fault))).unwrap();
        let before = there.clone();
        let going_on = sweep.judge(barn, &traced, fault, || {
            let mut found = check_store(barn, hour + 1);
            let new = found.remove(&hour);
            assert!(found == before, "what was there before has changed");
            assert!(new.as_ref().is_none_or(|new| *new == made(hour)), "it has other bytes than it should");
            let said = acknowledged(&whole_lines(&traced), hour + 1);
            assert!(said.is_empty() || new.is_some(), "it was called generated and is not there");
            found.extend(new.map(|new| (hour, new)));
            if !matches!(fault, Fault::Error(_)) {
                check_index(barn, &found);
            }
            check_next_load(barn, hour + 1, &found);
        });
        if !going_on {
            break;
        }
        there.insert(hour, made(hour));
    }
    sweep.end();
}

/// Refreshes one hour again and again, so that it alternates between two contents, each time with one fault more.
fn sweep_refreshes(name: &'static str, counts: fn(&Call) -> bool, fault: Fault) {
    let Some(mut sweep) = Sweep::new(name) else { return };
    let barn = Barn::new(EACH);
    let barn = &barn;
    leave_the_sample_out_of_the_key(barn);
    finished(&mut load(barn, 0, 2, &[])).ok();
    let contents = [(Samples::get().one(), made(0)), (Samples::get().other(), made_from_other(0))];
    for nth in 0.. {
        // Of either content that is not there now.
        let now = check_store(barn, 2).remove(&0).unwrap();
        let (sample, new) = contents.iter().find(|(_, bytes)| *bytes != now).unwrap();
        barn.write("sample.parquet", &fs::read(sample).unwrap());
        let command = load(barn, 0, 1, &["--json", "--jobs", "1", "--refresh"]);
        let traced = traced(command, &barn.at("barn"), counts, Some((nth, fault))).unwrap();
        let going_on = sweep.judge(barn, &traced, fault, || {
            let found = check_store(barn, 2);
            let said = !acknowledged(&whole_lines(&traced), 1).is_empty();
            let at = found.get(&0).expect("a refresh that fails leaves the old entry");
            assert!(
                at == new || (at == &now && !said),
                "it has neither its old bytes nor its new ones, or is acknowledged and still has the old ones"
            );
            assert!(found.get(&1) == Some(&made(1)), "what was there before has changed");
            check_index(barn, &found);
            check_next_load(barn, 2, &found);
        });
        if !going_on {
            break;
        }
    }
    sweep.end();
}

/// Cuts an artifact in half, over and over, and loads its partition with one fault more each time: nobody is handed the half.
fn sweep_damage(name: &'static str, fault: Fault) {
    let Some(mut sweep) = Sweep::new(name) else { return };
    let barn = Barn::new(EACH);
    let barn = &barn;
    finished(&mut load(barn, 0, 2, &[])).ok();
    let address = barn.address(0);
    let artifact = barn.run(&["path", &address]).ok().stdout.trim().to_owned();
    for nth in 0.. {
        // What is set aside under a name that is taken takes more calls each time.
        barn.names_in("quarantine").iter().for_each(|set_aside| remove(&barn.at("barn/quarantine").join(set_aside)));
        fs::remove_file(&artifact).unwrap();
        fs::write(&artifact, &made(0)[..1000]).unwrap();
        let command = load(barn, 0, 1, &["--json", "--jobs", "1"]);
        let traced = traced(command, &barn.at("barn"), changes, Some((nth, fault))).unwrap();
        let going_on = sweep.judge(barn, &traced, fault, || {
            for line in whole_lines(&traced).iter().filter(|line| line["outputs"]["trades"]["path"].is_string()) {
                let handed_out = fs::read(line["outputs"]["trades"]["path"].as_str().unwrap()).unwrap();
                assert!(handed_out == made(0), "it has handed something damaged out");
            }
            finished(&mut load(barn, 0, 2, &["--json"])).ok();
            let there = check_store(barn, 2);
            assert!(there == BTreeMap::from([(0, made(0)), (1, made(1))]), "the next load has not made good what was damaged");
            check_index(barn, &there);
        });
        if !going_on {
            break;
        }
    }
    sweep.end_past_commit();
}

/// Makes a new store, over and over, each time with another fault. Of what is done hundreds of times over, the first and the last fail.
fn sweep_new_stores(name: &'static str, fault: Fault) {
    let Some(mut sweep) = Sweep::new(name) else { return };
    let barn = Barn::new(EACH);
    let barn = &barn;
    let command = || -> Command { load(barn, 0, 1, &["--json", "--jobs", "1"]) };
    let whole = traced(command(), &barn.at("barn"), changes, None).unwrap();
    assert_eq!(whole.ran.status, 0, "{whole:#?}");
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    // What comes after the store is made is the same as in a store that was there.
    let making = whole.calls.iter().take_while(|call| !call.path.starts_with(barn.at("barn/claims")) || call.name == "mkdir");
    for (nth, call) in making.enumerate() {
        let of = if call.name == "mkdir" { call.path.parent().unwrap() } else { &call.path };
        alike.entry(format!("{} {}", call.name, of.display())).or_default().push(nth);
    }
    let chosen: BTreeSet<usize> = alike.values().flat_map(|alike| [alike[0], alike[alike.len() - 1]]).collect();
    for nth in chosen {
        fs::remove_dir_all(barn.at("barn")).unwrap();
        let traced = traced(command(), &barn.at("barn"), changes, Some((nth, fault))).unwrap();
        sweep.judge(barn, &traced, fault, || {
            // What is no store yet holds nothing that could be wrong.
            let found = if barn.at("barn/STORE").exists() { check_store(barn, 1) } else { BTreeMap::new() };
            assert!(found.get(&0).is_none_or(|bytes| *bytes == made(0)), "it has other bytes than it should");
            assert!(acknowledged(&whole_lines(&traced), 1).is_empty() || !found.is_empty(), "it was called generated and is not there");
            check_next_load(barn, 1, &found);
        });
        let _ = fs::create_dir(barn.at("barn"));
    }
    sweep.end();
}

/// Looks so many partitions up that an index is opened, each time anew and with another fault in it: manifests answer then.
fn sweep_an_index(name: &'static str, counts: fn(&Call) -> bool, fault: Fault) {
    const HOURS: usize = 12;
    /// For two instruments, more than make an index worth while.
    const LOOKUPS: usize = 24 * 30;
    let Some(mut sweep) = Sweep::new(name) else { return };
    let barn = Barn::new(EACH);
    let barn = &barn;
    finished(&mut load(barn, 0, HOURS, &[])).ok();
    let there: BTreeMap<usize, Vec<u8>> = (0..HOURS).map(|hour| (hour, made(hour))).collect();
    for nth in 0.. {
        for name in barn.names_in("index") {
            remove(&barn.at("barn/index").join(name));
        }
        let command = load(barn, 0, LOOKUPS, &["--json", "--on-missing", "skip", "--instrument", "test/TWO"]);
        let traced = traced(command, &barn.at("barn"), counts, Some((nth, fault))).unwrap();
        let going_on = sweep.judge(barn, &traced, fault, || {
            if matches!(fault, Fault::Error(_)) {
                assert_eq!(traced.ran.status, 0, "an index that fails makes a load slower, nothing else");
                assert_eq!((traced.ran.summary()["hit"].as_u64(), traced.ran.summary()["read"].as_u64()), (Some(12), Some(12)));
            }
            assert!(check_store(barn, HOURS) == there, "what was there before has changed");
            let again = finished(&mut load(barn, 0, LOOKUPS, &["--json", "--on-missing", "skip", "--instrument", "test/TWO"])).ok();
            assert_eq!(again.summary()["hit"], HOURS, "{again:#?}");
        });
        if !going_on {
            break;
        }
    }
    sweep.end();
}

/// The lines that a process wrote before it was ended.
fn whole_lines(traced: &Traced) -> Vec<serde_json::Value> {
    traced.ran.stdout.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_change_that_fails_while_a_partition_is_added() {
    sweep_new_partitions("a_change_that_fails_while_a_partition_is_added", changes, EIO);
}

#[test]
fn a_change_for_which_there_is_no_space_while_a_partition_is_added() {
    sweep_new_partitions("a_change_for_which_there_is_no_space_while_a_partition_is_added", changes, ENOSPC);
}

#[test]
fn a_kill_before_any_change_while_a_partition_is_added() {
    sweep_new_partitions("a_kill_before_any_change_while_a_partition_is_added", changes, Fault::Kill);
}

#[test]
fn a_disk_that_takes_half_of_what_is_written_while_a_partition_is_added() {
    sweep_new_partitions("a_disk_that_takes_half_of_what_is_written_while_a_partition_is_added", writes, Fault::HalfThenError(libc::ENOSPC));
}

#[test]
fn a_kill_in_the_middle_of_what_is_written_while_a_partition_is_added() {
    sweep_new_partitions("a_kill_in_the_middle_of_what_is_written_while_a_partition_is_added", writes, Fault::HalfThenKill);
}

#[test]
fn a_change_that_fails_while_a_partition_with_all_its_belongings_is_added() {
    sweep_rich_partitions("a_change_that_fails_while_a_partition_with_all_its_belongings_is_added", EIO);
}

#[test]
fn a_kill_before_any_change_while_a_partition_with_all_its_belongings_is_added() {
    sweep_rich_partitions("a_kill_before_any_change_while_a_partition_with_all_its_belongings_is_added", Fault::Kill);
}

#[test]
fn a_change_that_fails_while_what_is_damaged_is_made_again() {
    sweep_damage("a_change_that_fails_while_what_is_damaged_is_made_again", EIO);
}

#[test]
fn a_kill_before_any_change_while_what_is_damaged_is_made_again() {
    sweep_damage("a_kill_before_any_change_while_what_is_damaged_is_made_again", Fault::Kill);
}

#[test]
fn a_look_that_fails_while_a_partition_is_added() {
    sweep_new_partitions("a_look_that_fails_while_a_partition_is_added", reads, EIO);
}

#[test]
fn a_change_that_fails_in_a_refresh() {
    sweep_refreshes("a_change_that_fails_in_a_refresh", changes, EIO);
}

#[test]
fn a_disk_that_takes_half_of_what_a_refresh_writes() {
    sweep_refreshes("a_disk_that_takes_half_of_what_a_refresh_writes", writes, Fault::HalfThenError(libc::ENOSPC));
}

#[test]
fn a_kill_in_the_middle_of_what_a_refresh_writes() {
    sweep_refreshes("a_kill_in_the_middle_of_what_a_refresh_writes", writes, Fault::HalfThenKill);
}

#[test]
fn a_kill_before_any_change_of_a_refresh() {
    sweep_refreshes("a_kill_before_any_change_of_a_refresh", changes, Fault::Kill);
}

#[test]
fn a_change_that_fails_in_the_index() {
    sweep_an_index("a_change_that_fails_in_the_index", |call| changes(call) && is_of_the_index(call), EIO);
}

#[test]
fn a_change_for_which_there_is_no_space_in_the_index() {
    sweep_an_index("a_change_for_which_there_is_no_space_in_the_index", |call| changes(call) && is_of_the_index(call), ENOSPC);
}

#[test]
fn a_kill_before_any_change_in_the_index() {
    sweep_an_index("a_kill_before_any_change_in_the_index", |call| changes(call) && is_of_the_index(call), Fault::Kill);
}

#[test]
fn a_change_that_fails_while_a_store_is_made() {
    sweep_new_stores("a_change_that_fails_while_a_store_is_made", EIO);
}

#[test]
fn a_kill_before_any_change_while_a_store_is_made() {
    sweep_new_stores("a_kill_before_any_change_while_a_store_is_made", Fault::Kill);
}
