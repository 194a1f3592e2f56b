//! Damage of every kind: found, set aside, made again once, and nothing whole is lost over it.
//!
//! Invariants 2, 12, 14 and 15 of ARCHITECTURE.md.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tickbarn::{Dataset, FindingKind, Job, OnMissing, Policy, Repair, Split, Store, StoreOptions, Verified, Verify};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes, write_table};

fn verified(store: &Store) -> Verified {
    store.verify().digests().run().unwrap()
}

fn kinds(verified: &Verified) -> Vec<FindingKind> {
    let mut kinds: Vec<FindingKind> = verified.problems().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    kinds
}

/// The store, whose loads read every byte.
fn reading_all(store: &Store) -> Store {
    store.clone().with_options(StoreOptions::default().verify(Verify::Digest))
}

/// Each hour's table holds its start.
fn starts() -> Dataset {
    let write = |job: &Job| -> Result<(), tickbarn::BoxError> {
        write_table(job.output("table")?, &[job.start().ns(), job.end().ns()]);
        Ok(())
    };
    Dataset::function("starts", "1", write).split(Split::every("1h").unwrap()).build().unwrap()
}

/// Changes a file that nobody may write to.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

type Damage = (&'static str, bool, fn(&Path));

/// What may happen to an artifact, and whether its size tells.
const DAMAGES: [Damage; 7] = [
    ("a flipped bit in the header", false, |path| change(path, |bytes| bytes[2] ^= 1)),
    ("a flipped bit in a page", false, |path| change(path, |bytes| bytes[25] ^= 0x10)),
    ("a flipped bit in the footer", false, |path| {
        change(path, |bytes| {
            let at = bytes.len() - 20;
            bytes[at] ^= 4;
        });
    }),
    ("a cut end", true, |path| change(path, |bytes| bytes.truncate(bytes.len() - 7))),
    ("bytes too many", true, |path| change(path, |bytes| bytes.extend_from_slice(b"more"))),
    ("no bytes at all", true, |path| change(path, Vec::clear)),
    ("no file", true, |path| fs::remove_file(path).unwrap()),
];

#[test]
fn whatever_happens_to_an_artifact_is_found_and_made_again_once() {
    for (damage, size_tells, spoil) in DAMAGES {
        let barn = Barn::new();
        let dataset = barn.dataset(COPY).build().unwrap();
        let other = starts();
        barn.load(&dataset, 1).blocking().unwrap();
        barn.load(&other, 3).blocking().unwrap();
        let whole = barn.load(&dataset, 1).blocking().unwrap().partitions[0].outcome.entry().unwrap().outputs[0].path.clone();
        let bytes = fs::read(&whole).unwrap();
        assert!(verified(&barn.store).findings.is_empty(), "{damage}");
        spoil(&whole);

        let found = verified(&barn.store);
        assert_eq!(kinds(&found), [FindingKind::Artifact, FindingKind::Entry], "{damage}");
        assert!(found.problems().any(|finding| finding.path == whole), "{damage}");
        assert_eq!(barn.store.verify().run().unwrap().is_clean(), !size_tells, "{damage}: by sizes alone");

        let store = reading_all(&barn.store);
        let load = |policy| store.load().request(&dataset, &instrument(), first_hours(1)).policy(policy).blocking().unwrap();
        let looks = load(Policy { missing: OnMissing::Skip, ..Policy::default() });
        assert_eq!(outcomes(&looks), ["missing"], "{damage}");
        assert_eq!(outcomes(&load(Policy::default())), ["generated"], "{damage}");
        assert_eq!(outcomes(&load(Policy::default())), ["hit"], "{damage}");
        assert_eq!(barn.runs(), 2, "{damage}");
        assert_eq!(fs::read(&whole).unwrap(), bytes, "{damage}");
        let kept = barn.files(&["quarantine"]).iter().any(|path| path.file_name() == whole.file_name());
        assert_eq!(kept, damage != "no file", "{damage}: what was damaged can be looked at");
        assert!(verified(&barn.store).findings.is_empty(), "{damage}");
        assert_eq!(outcomes(&barn.load(&other, 3).blocking().unwrap()), ["hit"; 3], "{damage}");
    }
}

#[test]
fn mending_drops_what_has_lost_something_and_nothing_else() {
    for (damage, _, spoil) in DAMAGES {
        let barn = Barn::new();
        let dataset = starts();
        let loaded = barn.load(&dataset, 4).blocking().unwrap();
        let entry = loaded.partitions[2].outcome.entry().unwrap();
        spoil(&entry.outputs[0].path);
        // Another process's, which knows of none of this.
        let store = Store::open(barn.store.path()).unwrap();
        let mended = store.verify().digests().repair().run().unwrap();
        assert!(mended.is_clean(), "{damage}: {:#?}", mended.findings);
        let [dropped] = mended.dropped()[..] else { panic!("{damage}: {:#?}", mended.findings) };
        assert_eq!(dropped.address, entry.address, "{damage}");
        assert_eq!(dropped.place.as_ref().unwrap().2, loaded.partitions[2].interval, "{damage}");
        assert!(verified(&store).findings.is_empty(), "{damage}");
        for store in [&store, &barn.store] {
            let looks = store.load().request(&dataset, &instrument(), first_hours(4)).on_missing(OnMissing::Skip).blocking().unwrap();
            assert_eq!(outcomes(&looks), ["hit", "hit", "missing", "hit"], "{damage}");
        }
        assert_eq!(outcomes(&barn.load(&dataset, 4).blocking().unwrap()), ["hit", "hit", "generated", "hit"], "{damage}");
    }
}

#[test]
fn an_artifact_that_two_entries_share_is_made_again_for_both() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 2).blocking().unwrap();
    let [artifact] = &barn.files(&["artifacts"])[..] else { panic!("two hours of the same bytes are one file") };
    change(artifact, |bytes| bytes[25] ^= 1);
    assert_eq!(kinds(&verified(&barn.store)), [FindingKind::Artifact, FindingKind::Entry, FindingKind::Entry]);
    let loaded = reading_all(&barn.store).load().request(&dataset, &instrument(), first_hours(2)).workers(1).blocking().unwrap();
    // The second finds what the first has made again.
    assert_eq!(outcomes(&loaded), ["generated", "hit"]);
    assert_eq!(barn.runs(), 3);
    assert!(verified(&barn.store).findings.is_empty());
}

/// Writes a manifest anew with other contents and a checksum that is right.
fn edit(manifest: &Path, edit: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(manifest).unwrap();
    let (_, body) = text.trim_end().split_once("\"body\":").unwrap();
    let body = edit(body.strip_suffix('}').unwrap());
    let checksum = tickbarn::Digest::of(body.as_bytes());
    fs::write(manifest, format!("{{\"checksum\":\"{checksum}\",\"body\":{body}}}\n")).unwrap();
}

/// A change to a manifest by hand, and what is found then.
type Edit = (&'static str, Vec<FindingKind>, Box<dyn Fn(&Path, &Path)>);

#[test]
fn a_manifest_that_was_edited_by_hand_is_found_and_made_again_once() {
    use FindingKind::{Artifact, Entry, Journal, Manifest};
    let digest_of = |text: &str| text.split("\"digest\":\"").nth(1).unwrap()[..64].to_owned();
    let edits: Vec<Edit> = vec![
        (
            "another digest",
            vec![Artifact, Entry, Journal],
            Box::new(move |path, _| edit(path, |body| body.replace(&digest_of(body), &"0".repeat(64)))),
        ),
        ("another size", vec![Artifact, Entry, Journal], Box::new(|path, _| edit(path, |body| body.replacen("\"bytes\":", "\"bytes\":1", 1)))),
        ("the file of another key", vec![Manifest], Box::new(|path, other| assert!(fs::copy(other, path).unwrap() > 0))),
        ("a digest that climbs", vec![Manifest], Box::new(|path, _| edit(path, |body| body.replacen("\"digest\":\"", "\"digest\":\"../../", 1)))),
        ("a checksum that does not match", vec![Manifest], Box::new(|path, _| change(path, |bytes| bytes[200] ^= 1))),
        ("nothing", vec![Manifest], Box::new(|path, _| fs::write(path, "").unwrap())),
        (
            "a gigabyte",
            vec![Manifest],
            Box::new(|path, _| {
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(1 << 30).unwrap();
                file.write_all_at(b"\"}", (1 << 30) - 2).unwrap();
            }),
        ),
        ("brackets without end", vec![Manifest], Box::new(|path, _| edit(path, |_| "[".repeat(10 << 20)))),
    ];
    for (what, found, spoil) in edits {
        let barn = Barn::new();
        let dataset = starts();
        let loaded = barn.load(&dataset, 2).blocking().unwrap();
        let at = |nth: usize| {
            let address = loaded.partitions[nth].address.unwrap().to_string();
            barn.store.path().join("entries").join(&address[..2]).join(format!("{address}.json"))
        };
        spoil(&at(0), &at(1));
        assert_eq!(kinds(&verified(&barn.store)), found, "{what}");
        let store = Store::open(barn.store.path()).unwrap();
        let load = || store.load().request(&dataset, &instrument(), first_hours(2)).blocking().unwrap();
        assert_eq!(outcomes(&load()), ["generated", "hit"], "{what}");
        assert_eq!(outcomes(&load()), ["hit", "hit"], "{what}");
        assert!(verified(&store).problems().next().is_none(), "{what}: {:#?}", verified(&store).findings);
        assert!(!barn.files(&["quarantine"]).is_empty(), "{what}");
    }
}

#[test]
fn a_manifest_that_is_wrong_about_an_artifact_costs_no_other_entry_anything() {
    for mends in [true, false] {
        let barn = Barn::new();
        let dataset = barn.dataset(COPY).build().unwrap();
        let loaded = barn.load(&dataset, 2).blocking().unwrap();
        let address = loaded.partitions[0].address.unwrap().to_string();
        edit(&barn.store.path().join("entries").join(&address[..2]).join(format!("{address}.json")), |body| {
            body.replacen("\"bytes\":", "\"bytes\":1", 1)
        });
        if mends {
            assert!(barn.store.verify().repair().run().unwrap().is_clean());
        }
        assert_eq!(barn.files(&["artifacts"]).len(), 1, "whole, and the other's");
        let store = Store::open(barn.store.path()).unwrap();
        let load = store.load().request(&dataset, &instrument(), first_hours(2)).workers(1);
        assert_eq!(outcomes(&load.blocking().unwrap()), ["generated", "hit"]);
        assert_eq!(barn.runs(), 3);
        assert!(verified(&barn.store).problems().next().is_none());
    }
}

/// Derived from the starts: as many rows, read from the upstream file's bytes themselves.
fn derived(script: fn(&Path)) -> Dataset {
    let copy = move |job: &Job| -> Result<(), tickbarn::BoxError> {
        let upstream = job.upstream("starts")?.paths("table")?[0].to_path_buf();
        script(&upstream);
        Ok(fs::write(job.output("table")?, fs::read(upstream)?)?)
    };
    Dataset::function("copies", "1", copy).upstream(&starts()).split(Split::every("1h").unwrap()).build().unwrap()
}

/// What is made of damaged bytes would stand for ever under the address of whole ones.
#[test]
fn nothing_is_derived_from_damaged_bytes() {
    let barn = Barn::new();
    let artifact = barn.load(&starts(), 1).blocking().unwrap().partitions[0].outcome.entry().unwrap().outputs[0].clone();
    let whole = fs::read(&artifact.path).unwrap();
    change(&artifact.path, |bytes| bytes[25] ^= 1);
    let dataset = derived(|_| ());
    let error = barn.load(&dataset, 1).blocking().unwrap_err();
    assert!(error.to_string().contains("holds other bytes") && error.to_string().contains("load again"), "{error}");
    assert!(!artifact.path.exists(), "set aside");
    let loaded = barn.load(&dataset, 1).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["generated"]);
    let output = &loaded.partitions[0].outcome.entry().unwrap().outputs[0];
    assert_eq!((output.digest, fs::read(&artifact.path).unwrap()), (artifact.digest, whole));
    assert!(verified(&barn.store).is_clean());
}

#[test]
fn what_changes_its_upstream_while_it_runs_is_not_taken() {
    let barn = Barn::new();
    barn.load(&starts(), 1).blocking().unwrap();
    let dataset = derived(|upstream| change(upstream, |bytes| bytes[25] ^= 1));
    let error = barn.load(&dataset, 1).blocking().unwrap_err();
    assert!(error.to_string().contains("changed-while-running"), "{error}");
    // What it did to its upstream is found by the next one, and made again for the one after that.
    barn.load(&derived(|_| ()), 1).blocking().unwrap_err();
    assert_eq!(outcomes(&barn.load(&derived(|_| ()), 1).blocking().unwrap()), ["generated"]);
    assert!(verified(&barn.store).is_clean());
}

#[test]
fn what_stands_in_the_place_of_a_lock_is_found_and_moved_away() {
    for place in ["leases/sweep.lock", "leases/gate.lock", "journal/lock"] {
        let barn = Barn::new();
        let dataset = barn.dataset(COPY).build().unwrap();
        barn.load(&dataset, 1).blocking().unwrap();
        let lock = barn.store.path().join(place);
        fs::write(&lock, "x").unwrap();
        assert_eq!(kinds(&verified(&barn.store)), [FindingKind::Misplaced], "{place}");
        assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["hit"], "{place}");
        assert!(barn.store.verify().repair().run().unwrap().is_clean(), "{place}");
        assert!(verified(&barn.store).is_clean(), "{place}");
        let store = Store::open(barn.store.path()).unwrap();
        assert_eq!(outcomes(&store.load().request(&dataset, &instrument(), first_hours(2)).blocking().unwrap()), ["hit", "generated"], "{place}");
    }
}

/// A process that was stopped in the middle of publishing must not stop those that only read.
#[test]
fn hits_are_served_beside_a_stopped_process() {
    let barn = Barn::new();
    barn.load(&starts(), 2).blocking().unwrap();
    // As it would hold it.
    let stopped = fs::File::open(barn.store.path().join("leases/sweep.lock")).unwrap();
    stopped.lock_shared().unwrap();
    fs::write(barn.store.path().join("artifacts/00").join(format!("{}.parquet", "0".repeat(64))), "nobody's").unwrap();
    let store = Store::open(barn.store.path()).unwrap();
    let mending = std::thread::spawn(move || store.verify().repair().run().unwrap());
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    // Another store's handle on the same place is promised anew, so that it has to ask for its share.
    let aside = barn.path("aside");
    std::os::unix::fs::symlink(barn.store.path(), &aside).unwrap();
    let loaded =
        Store::open(&aside).unwrap().load().request(&starts(), &instrument(), first_hours(3)).on_missing(OnMissing::Skip).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["hit", "hit", "missing"]);
    assert!(began.elapsed() < Duration::from_secs(60));
    drop(stopped);
    assert!(mending.join().unwrap().is_clean());
}

#[test]
fn a_store_may_lie_behind_a_link() {
    let barn = Barn::new();
    let real = barn.path("real");
    fs::create_dir(&real).unwrap();
    for (link, store) in [("whole", "whole"), ("parent", "parent/barn")] {
        std::os::unix::fs::symlink(&real, barn.path(link)).unwrap();
        if link == "whole" {
            fs::remove_dir_all(&real).unwrap();
            fs::create_dir(&real).unwrap();
        }
        let store = Store::open(barn.path(store)).unwrap();
        store.load().request(&starts(), &instrument(), first_hours(1)).blocking().unwrap();
        assert!(verified(&store).is_clean());
        fs::remove_dir_all(&real).unwrap();
        fs::create_dir(&real).unwrap();
    }
}

#[test]
fn a_lost_log_costs_the_log_and_not_the_entry() {
    let barn = Barn::new();
    let dataset = barn.dataset(&format!("yes a long story | head -c 20000\n{COPY}")).build().unwrap();
    let address = barn.load(&dataset, 1).blocking().unwrap().partitions[0].address.unwrap();
    let log = barn.files(&["artifacts"]).into_iter().find(|path| path.extension().is_some_and(|extension| extension == "log")).unwrap();
    change(&log, |bytes| bytes[0] ^= 1);
    assert_eq!(kinds(&verified(&barn.store)), [FindingKind::Log, FindingKind::Log]);
    assert!(barn.store.verify().digests().repair().run().unwrap().is_clean());
    assert!(verified(&barn.store).findings.is_empty());
    assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["hit"]);
    let manifest = barn.store.manifest(&address).unwrap().unwrap();
    assert!(barn.store.log(&manifest).unwrap().stderr.text.contains("is lost"));
}

#[test]
fn what_lies_about_is_told_and_cleared_and_is_no_problem() {
    let barn = Barn::new();
    let loaded = barn.load(&starts(), 2).blocking().unwrap();
    let store = barn.store.path();
    let address = loaded.partitions[0].address.unwrap().to_string();
    fs::create_dir_all(store.join("work").join(&address).join("attempt-1-x")).unwrap();
    fs::write(store.join("claims").join(&address), "").unwrap();
    fs::write(store.join("artifacts/00").join(format!("{}.parquet", "0".repeat(64))), "nobody's").unwrap();
    fs::write(store.join("notes.txt"), "a user's").unwrap();
    let found = verified(&barn.store);
    assert!(found.is_clean() && found.problems().next().is_none());
    let mut kinds: Vec<FindingKind> = found.findings.iter().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [FindingKind::Orphan, FindingKind::Leftover, FindingKind::Leftover, FindingKind::Foreign]);
    let mended = barn.store.verify().repair().run().unwrap();
    assert!(mended.findings.iter().all(|finding| (finding.kind == FindingKind::Foreign) == (finding.repair == Repair::Nothing)));
    assert!(barn.is_tidy());
    assert_eq!(verified(&barn.store).findings.len(), 1, "the user's file stays");
    assert!(store.join("quarantine").join(format!("{}.parquet", "0".repeat(64))).exists());
}

/// A repair that took a moment of somebody's work for damage would lose it.
#[test]
fn mending_beside_running_loads_loses_nothing() {
    const LONG_ENOUGH: Duration = Duration::from_secs(3);
    let barn = Barn::new();
    let turn = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let turns = std::sync::Arc::clone(&turn);
    // Other bytes every time, so that a refresh leaves the old ones to nobody.
    let write = move |job: &Job| -> Result<(), tickbarn::BoxError> {
        write_table(job.output("table")?, &[job.start().ns(), turns.fetch_add(1, Ordering::SeqCst)]);
        Ok(())
    };
    let dataset = Dataset::function("turns", "1", write).split(Split::every("1h").unwrap()).build().unwrap();
    barn.load(&dataset, 6).blocking().unwrap();
    let over = AtomicBool::new(false);
    let mended = std::thread::scope(|scope| {
        for refreshes in [true, true, false, false] {
            let (dataset, over) = (dataset.clone(), &over);
            let store = Store::open(barn.store.path()).unwrap();
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let load = store.load().request(&dataset, &instrument(), first_hours(6)).workers(2);
                    if refreshes {
                        load.refresh().blocking().unwrap();
                        continue;
                    }
                    let loaded = load.on_missing(OnMissing::Fail).blocking().expect("what was committed is there");
                    for partition in &loaded.partitions {
                        let output = &partition.outcome.entry().unwrap().outputs[0];
                        // Replaced meanwhile, perhaps; but promised to this process.
                        let bytes = fs::read(&output.path).expect("what was handed out can be read");
                        assert_eq!(tickbarn::Digest::of(&bytes), output.digest);
                    }
                }
            });
        }
        let began = Instant::now();
        let mut mended = 0;
        while began.elapsed() < LONG_ENOUGH {
            let verified = barn.store.verify().digests().repair().run().unwrap();
            let problems: Vec<_> = verified.problems().collect();
            assert!(problems.is_empty(), "{problems:#?}");
            mended += 1;
        }
        over.store(true, Ordering::SeqCst);
        mended
    });
    assert!(mended > 3 && turn.load(Ordering::SeqCst) > 20, "{mended} repairs beside {} publications", turn.load(Ordering::SeqCst));
    assert_eq!(outcomes(&barn.load(&dataset, 6).blocking().unwrap()), ["hit"; 6]);
}

/// One hour's table has this many rows. However many, it is the same key.
fn rows(rows: i64) -> Dataset {
    let write = move |job: &Job| -> Result<(), tickbarn::BoxError> {
        write_table(job.output("table")?, &(0..rows).collect::<Vec<_>>());
        Ok(())
    };
    Dataset::function("rows", "1", write).split(Split::every("1h").unwrap()).build().unwrap()
}

/// Runs one test of this binary as a process of its own.
#[track_caller]
fn goes_through(process: &mut std::process::Command) {
    let output = process.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Names the store to the process that refreshes it, and the number of rows.
const REFRESH: &str = "TICKBARN_REFRESH";

/// Not a test: the process that refreshes, and is gone with its lease, in the test below.
#[test]
#[ignore = "run by the test below"]
fn refreshes() {
    let Ok(what) = std::env::var(REFRESH) else { return };
    let (count, store) = what.split_once(' ').unwrap();
    let store = Store::open_existing(store).unwrap();
    let load = store.load().request(&rows(count.parse().unwrap()), &instrument(), first_hours(1));
    assert_eq!(outcomes(&load.refresh().blocking().unwrap()), ["generated"]);
}

/// A file system gives the number of a file that is gone to the next one: two refreshes, and a manifest has the number that it had.
#[test]
fn what_was_replaced_twice_meanwhile_is_not_taken_for_what_was_there() {
    let barn = Barn::new();
    barn.load(&rows(3), 1).blocking().unwrap();
    let store = Store::open(barn.store.path()).unwrap();
    let path = barn.store.path().to_path_buf();
    let refreshed = AtomicBool::new(false);
    // When this is called, the manifest is read, and no artifact is listed.
    let verification = store.verify().digests().repair().progress(move |progress| {
        if progress.stage == "manifests" && !refreshed.swap(true, Ordering::SeqCst) {
            for count in [4, 5] {
                let mut process = std::process::Command::new(std::env::current_exe().unwrap());
                process.args(["--exact", "damage::refreshes", "--ignored"]).env(REFRESH, format!("{count} {}", path.display()));
                goes_through(&mut process);
            }
        }
    });
    let mended = verification.run().unwrap();
    assert!(mended.is_clean(), "{:#?}", mended.findings);
    assert!(verified(&barn.store).problems().next().is_none(), "{:#?}", verified(&barn.store).findings);
    let loaded = barn.load(&rows(3), 1).blocking().unwrap();
    assert_eq!((outcomes(&loaded), loaded.partitions[0].outcome.entry().unwrap().outputs[0].rows), (vec!["hit"], 5));
}

#[test]
fn a_store_that_was_removed_and_made_again_is_leased_anew() {
    let barn = Barn::new();
    let leases = || {
        let names = fs::read_dir(barn.store.path().join("leases")).unwrap();
        names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().ends_with(".lease")).count()
    };
    for _ in 0..2 {
        let store = Store::open(barn.store.path()).unwrap();
        store.load().request(&starts(), &instrument(), first_hours(2)).blocking().unwrap();
        assert_eq!(leases(), 1);
        fs::remove_dir_all(barn.store.path()).unwrap();
    }
}

/// What cannot be read is not therefore damaged.
#[test]
fn a_manifest_that_may_not_be_read_is_left_where_it_is() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped a_manifest_that_may_not_be_read_is_left_where_it_is: becoming another user takes root");
        return;
    }
    let barn = Barn::new();
    barn.load(&starts(), 1).blocking().unwrap();
    let manifest = barn.files(&["entries"]).remove(0);
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "damage::mends_as_another_user", "--ignored", "--nocapture"]).env(REFRESH, barn.store.path());
    let shared = |path: &Path, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    shared(&barn.path("."), 0o755);
    for directory in fs::read_dir(barn.store.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        shared(&directory, 0o777);
    }
    shared(manifest.parent().unwrap(), 0o777);
    shared(&manifest, 0o600);
    goes_through(&mut process);
    assert!(manifest.exists());
    assert_eq!(outcomes(&barn.load(&starts(), 1).blocking().unwrap()), ["hit"]);
}

/// Not a test: the other user in the test above.
#[test]
#[ignore = "run by the test above"]
fn mends_as_another_user() {
    let Ok(store) = std::env::var(REFRESH) else { return };
    // SAFETY: changes who this process is, which has nothing else to do.
    assert_eq!(unsafe { libc::setuid(1001) }, 0);
    let store = Store::open_existing(store).unwrap();
    let mended = store.verify().jobs(1).repair().run().unwrap();
    assert!(!mended.is_clean());
    assert!(mended.problems().any(|finding| matches!(&finding.repair, Repair::Failed(why) if why.contains("ermission"))), "{:#?}", mended.findings);
}
