//! What others do at the worst moment of a collection.
//!
//! Invariants 3, 5 and 19 of ARCHITECTURE.md.

use std::fs;
use std::time::Duration;

use super::*;
use crate::address::Address;
use crate::dataset::{BoxError, Dataset, Job};
use crate::gc;
use crate::interval::Split;
use crate::retention::Retention;
use crate::store::layout::Layout;
use crate::store::pins::Pin;
use crate::store::sweeps::{Calls, NEW, OLD, copy, dataset, hours, instrument, load};

/// A store that nobody has loaded from: an entry in its old bytes, and a twin that has those which the entry has after a refresh. Beside it the same
/// store after that refresh.
struct Stores {
    _directory: tempfile::TempDir,
    store: Store,
    refreshed: Layout,
    address: Address,
}

fn stores() -> Stores {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let spare = Store::open(at("spare")).unwrap();
    load(&spare, &dataset(NEW, &Calls::default()), 1).unwrap();
    let new = fs::read(&spare.entries().unwrap()[0].entry.outputs[0].path).unwrap();
    let base = Store::open(at("base")).unwrap();
    load(&base, &dataset(OLD, &Calls::default()), 1).unwrap();
    let address = base.entries().unwrap()[0].entry.address;
    let write = move |job: &Job| -> Result<(), BoxError> { Ok(fs::write(job.output("table")?, &new)?) };
    let twin = Dataset::function("twin", "1", write).split(Split::every("1h").unwrap()).build().unwrap();
    load(&base, &twin, 1).unwrap();
    // What this process has loaded stays while it lives, in the place where it lay.
    copy(&at("base"), &at("barn"));
    copy(&at("base"), &at("refreshed"));
    let refreshed = Store::open(at("refreshed")).unwrap();
    refreshed.load().request(&dataset(NEW, &Calls::default()), &instrument(), hours(1)).refresh().blocking().unwrap();
    Stores { store: Store::open(at("barn")).unwrap(), refreshed: refreshed.layout().clone(), address, _directory: directory }
}

fn the_twin() -> Retention {
    Retention { datasets: vec!["twin".to_owned()], grace: Duration::ZERO, ..Retention::default() }
}

#[track_caller]
fn is_clean(store: &Store) {
    let verified = store.verify().digests().run().unwrap();
    assert!(verified.is_clean(), "{:#?}", verified.findings);
}

#[test]
fn an_entry_that_is_just_being_replaced_is_not_told_as_it_was_by_a_journal_written_anew() {
    let Stores { store, refreshed, address, _directory } = stores();
    let old = Manifest::read_published(store.layout(), &address).unwrap().unwrap();
    // A refresh has told the journal of the removal, and is about to commit.
    store.journal().append(&[old.removed()]).unwrap();
    let collector = Collector::begin(&store, 1, &CancellationToken::new()).unwrap();
    // It commits, and is killed before the journal is told.
    fs::copy(refreshed.entry(&address), store.layout().entry(&address)).unwrap();
    collector.compact_journal().unwrap();
    drop(collector);
    is_clean(&store);
    // Its new bytes are those of the twin, too, which goes.
    let swept = gc::sweep(gc::plan(&store, &the_twin()).unwrap()).unwrap();
    assert_eq!(swept.price.entries, 1);
    is_clean(&store);
}

#[test]
fn what_is_replaced_is_promised_too_since_a_commit_may_be_taken_back() {
    let Stores { store, address, _directory, .. } = stores();
    let old = Manifest::read(store.layout(), &address).unwrap().unwrap();
    store.load().request(&dataset(NEW, &Calls::default()), &instrument(), hours(1)).refresh().blocking().unwrap();
    let mut collector = Collector::begin(&store, 1, &CancellationToken::new()).unwrap();
    assert_eq!(collector.remove_unnamed().unwrap(), 0);
    for artifact in old.artifacts() {
        assert!(store.layout().artifact(&artifact.digest, artifact.kind).exists(), "it may be named again");
    }
}

#[test]
fn pins_of_very_many_addresses_keep_nobody_waiting_and_nothing_from_going() {
    let Stores { store, _directory, .. } = stores();
    let pin = Pin::addresses("many", (0..60_000u32).map(|nth| Address::of_canonical(&nth.to_string()))).unwrap();
    store.pin(&pin).unwrap();
    let plan = gc::plan(&store, &the_twin()).unwrap();
    let token = CancellationToken::new();
    let stop = token.clone();
    // Where nothing can ever be taken, it would go on for ever.
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(60));
        stop.cancel();
    });
    let swept = plan.sweep().cancelled_by(&token).run().unwrap();
    assert_eq!((swept.price.entries, swept.cancelled), (1, false));
}

#[test]
fn what_is_collected_while_a_store_is_verified_is_not_missed() {
    let Stores { store, _directory, .. } = stores();
    let collecting = store.clone();
    let mut once = false;
    let collect = move |progress: &crate::VerifyProgress| {
        if progress.stage == "manifests" && progress.done == progress.total && !std::mem::replace(&mut once, true) {
            assert_eq!(gc::sweep(gc::plan(&collecting, &the_twin()).unwrap()).unwrap().price.entries, 1);
        }
    };
    let verified = store.verify().jobs(1).progress(collect).run().unwrap();
    assert!(verified.is_clean(), "{:#?}", verified.findings);
}

#[test]
fn a_journal_written_anew_amid_a_collection_does_not_tell_what_is_gone() {
    let Stores { store, _directory, .. } = stores();
    // Holds the collection up before it removes the first manifest.
    let share = Sweep::shared(store.layout()).unwrap();
    let collecting = store.clone();
    let before = store.journal().size().unwrap().unwrap();
    let collection = thread::spawn(move || gc::sweep(gc::plan(&collecting, &the_twin()).unwrap()).unwrap());
    while store.journal().size().unwrap().unwrap() == before {
        thread::sleep(Duration::from_millis(1));
    }
    fs::remove_file(store.layout().journal()).unwrap();
    drop(Store::open(store.path()).unwrap());
    drop(share);
    assert_eq!(collection.join().unwrap().price.entries, 1);
    is_clean(&store);
}

#[test]
fn a_record_that_is_too_long_does_not_make_the_journal_unreadable() {
    let Stores { store, address, _directory, .. } = stores();
    let mut published = Manifest::read_published(store.layout(), &address).unwrap().unwrap();
    let short = published.clone();
    published.entry.upstream = (0..40_000u32).map(|nth| Address::of_canonical(&nth.to_string())).collect();
    store.journal().append(&[JournalRecord::Published(published), JournalRecord::Published(short)]).unwrap();
    is_clean(&store);
}

#[test]
fn the_second_who_collects_by_itself_is_told_though_the_first_ends() {
    let Stores { store, _directory, .. } = stores();
    let retention = || Retention { max_bytes: Some(u64::MAX), grace: Duration::ZERO, ..Retention::default() };
    let first = gc::automatically(&store, retention()).unwrap();
    let second = gc::automatically(&store, retention()).unwrap();
    drop(first);
    assert!(store.tells_of_publications());
    second.finish();
    assert!(!store.tells_of_publications());
}
