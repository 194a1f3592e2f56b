//! Whatever fails before the first removal: nothing is removed, or what may go goes and what is held stays.
//!
//! Invariant 13 of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::dataset::{BoxError, Dataset, Job};
use crate::gc;
use crate::interval::{Interval, Split};
use crate::retention::Retention;
use crate::store::Pin;
use crate::store::disk::Operation;
use crate::store::disk::seam::{Fate, lay};
use crate::store::sweeps::{copy, table_of};

fn hours(from: u32, to: u32) -> Interval {
    Interval::parse(&format!("2024-01-01T{from:02}:00"), &format!("2024-01-01T{to:02}:00")).unwrap()
}

fn load(store: &Store, rows_from: i64, interval: Interval, refresh: bool) {
    let write = move |job: &Job| -> Result<(), BoxError> {
        fs::write(job.output("table")?, table_of(&[rows_from, job.start().ns()]))?;
        Ok(())
    };
    let dataset = Dataset::function("numbers", "1", write).split(Split::every("1h").unwrap()).build().unwrap();
    let load = store.load().request(&dataset, &"a/X".parse().unwrap(), interval);
    let load = if refresh { load.refresh() } else { load };
    load.blocking().unwrap();
}

/// A store of six hours, the first of which is pinned, and one of which was replaced, with things that lie about.
fn prepare(root: &Path) {
    let store = Store::open(root).unwrap();
    load(&store, 0, hours(0, 6), false);
    load(&store, 1, hours(5, 6), true);
    store.pin(&Pin::range("first", ["numbers".to_owned()], [], None, Some(hours(0, 1).end())).unwrap()).unwrap();
    let orphan = Digest::of(b"nobody's");
    fs::write(store.layout().artifact(&orphan, ArtifactKind::Parquet), "nobody's").unwrap();
    fs::write(store.layout().trash().join("large"), "unlinked soon").unwrap();
    fs::create_dir(store.layout().work().join("1".repeat(64))).unwrap();
}

fn all() -> Retention {
    Retention { grace: Duration::ZERO, max_bytes: Some(0), failures: true, leftovers: true, ..Retention::default() }
}

/// What is there, but for what says who uses it and for the journal, which is told before anything goes.
fn published(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<PathBuf> = ["entries", "artifacts", "failures", "pins", "programs", "work", "claims", "quarantine", "trash"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(root).unwrap().to_path_buf(), if path.is_dir() { None } else { Some(fs::read(&path).unwrap()) });
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    found
}

/// A store of its own for each operation, with an hour that this process holds.
struct Case {
    store: Store,
    root: PathBuf,
}

impl Case {
    fn new(template: &Path, name: &str) -> Self {
        let root = template.with_file_name(name);
        copy(template, &root);
        let store = Store::open(&root).unwrap();
        load(&store, 0, hours(1, 2), false);
        Self { store, root }
    }

    /// The hour that is pinned, and the one that is held, can be read.
    fn keeps_what_is_held(&self, case: &str) {
        let verified = self.store.verify().digests().run().unwrap();
        assert!(verified.problems().all(|finding| finding.kind == crate::store::FindingKind::Journal), "{case}: {:#?}", verified.findings);
        let hours: BTreeSet<i64> = self.store.entries().unwrap().iter().map(|listed| listed.interval.start().ns() / 3_600_000_000_000 % 24).collect();
        assert!(hours.contains(&0) && hours.contains(&1), "{case}: {hours:?}");
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn directory() -> tempfile::TempDir {
    // In memory, where there is such a place: each operation has a store of its own.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Of many operations of a kind in one directory only some.
fn some_of(seen: &[(Operation, PathBuf)]) -> Vec<usize> {
    const OF_A_KIND_MAX: usize = 4;
    let mut kinds = HashMap::new();
    let of_a_kind = |(nth, (operation, path)): (usize, &(Operation, PathBuf))| {
        let kind = kinds.entry((format!("{operation:?}"), path.parent().unwrap().to_path_buf())).or_insert(0);
        *kind += 1;
        (*kind <= OF_A_KIND_MAX).then_some(nth + 1)
    };
    seen.iter().enumerate().filter_map(of_a_kind).collect()
}

#[test]
fn any_operation_may_fail_before_the_first_removal_and_nothing_is_removed() {
    let directory = directory();
    let template = directory.path().join("template");
    prepare(&template);
    let whole = Case::new(&template, "whole");
    let before = published(&whole.root);
    let plan = gc::plan(&whole.store, &all()).unwrap();
    let laid = lay(&whole.root, usize::MAX, Fate::Dies);
    gc::sweep(plan).unwrap();
    let mut seen = laid.seen();
    drop(laid);
    assert!(published(&whole.root).len() + 6 < before.len(), "much would go");
    whole.keeps_what_is_held("nothing fails");
    let leases = whole.store.layout().leases();
    let removes = |(operation, path): &(Operation, PathBuf)| *operation == Operation::Remove && !path.starts_with(&leases);
    seen.truncate(seen.iter().position(removes).unwrap());
    assert!(seen.iter().any(|(_, path)| path.starts_with(whole.store.layout().pins())) && seen.len() > 20, "{seen:#?}");

    let (mut refused, mut borne) = (0, BTreeSet::new());
    for nth in some_of(&seen) {
        let case = Case::new(&template, &nth.to_string());
        let before = published(&case.root);
        let plan = gc::plan(&case.store, &all()).unwrap();
        let laid = lay(&case.root, nth, Fate::Fails(libc::EIO));
        let outcome = gc::sweep(plan);
        let (operation, path) = laid.struck().unwrap();
        drop(laid);
        let path = path.strip_prefix(&case.root).unwrap().to_path_buf();
        let said = format!("operation {nth}, {operation:?} of {}", path.display());
        match outcome {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(case.root.to_str().unwrap()), "{said}: {error}");
                assert!(published(&case.root) == before, "{said}: {error}");
            }
            // What it was about is not a root.
            Ok(_) => drop(borne.insert(path)),
        }
        case.keeps_what_is_held(&said);
        // The next one does what is left.
        gc::sweep(gc::plan(&case.store, &all()).unwrap()).unwrap();
        case.keeps_what_is_held(&said);
        assert_eq!(case.store.entries().unwrap().len(), 2, "{said}");
    }
    assert!(refused > 10, "{refused} {borne:#?}");
    let is_no_root = |path: &PathBuf| path.starts_with("leases") || path.ends_with("journal/end");
    assert!(borne.iter().all(is_no_root), "{borne:#?}");
}

/// A plan changes nothing; what it could not look at is an error, or nothing that could hold anything.
#[test]
fn any_operation_may_fail_while_a_plan_is_made_and_none_names_what_is_held() {
    let directory = directory();
    let template = directory.path().join("template");
    prepare(&template);
    let case = Case::new(&template, "case");
    let names = |plan: &gc::GcPlan| plan.entries().map(|entry| entry.address).collect::<BTreeSet<_>>();
    let laid = lay(&case.root, usize::MAX, Fate::Dies);
    let expected = names(&gc::plan(&case.store, &all()).unwrap());
    let seen = laid.seen();
    drop(laid);
    assert_eq!(expected.len(), 4);
    let before = published(&case.root);
    let (mut refused, mut borne) = (0, BTreeSet::new());
    for nth in some_of(&seen) {
        let laid = lay(&case.root, nth, Fate::Fails(libc::EIO));
        let outcome = gc::plan(&case.store, &all());
        let (operation, path) = laid.struck().unwrap();
        drop(laid);
        let said = format!("{operation:?} {}", path.strip_prefix(&case.root).unwrap().display());
        match outcome {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(case.root.to_str().unwrap()), "{said}: {error}");
            }
            Ok(plan) => {
                assert_eq!(names(&plan), expected, "{said}");
                borne.insert(said);
            }
        }
        assert!(published(&case.root) == before, "{nth}");
    }
    assert!(refused > 20, "{refused} {borne:#?}");
}
