//! A plan may be as old as it likes: what has become of the store since counts.

use tickbarn::{CancellationToken, Pin};

use super::*;

fn listed(store: &Store) -> Vec<Listed> {
    store.entries().unwrap()
}

#[test]
fn what_was_used_pinned_or_made_anew_since_stays() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 7\nnumbers@1 0 1 other");
    age(barn.store.path(), 2 * DAY, |_| true);
    let before = listed(&barn.store);
    let plan = gc::plan(&barn.store, &everything()).unwrap();
    assert_eq!(plan.price().entries, 8);

    // Used by a process that is gone, and by one that lives.
    elsewhere(&barn, "numbers@1 1 2");
    let living = Living::that_loads(barn.store.path(), &barn.path(""), "numbers@1 3 4");
    barn.store.pin(&Pin::addresses("one", [before[4].entry.address]).unwrap()).unwrap();
    elsewhere(&barn, "numbers@1 5 6 refresh");
    // Gone since, and nobody's loss.
    gc::sweep(gc::plan(&barn.store, &retention(|retention| retention.instruments = vec![other_instrument()])).unwrap()).unwrap();
    // And others that came.
    elsewhere(&barn, "numbers@2 0 2");

    let swept = gc::sweep(plan).unwrap();
    assert_eq!((swept.price.entries, swept.kept), (3, 4), "{swept:?}");
    let left: Vec<Address> = [1, 3, 4, 5].iter().map(|hour| before[*hour].entry.address).collect();
    let after: BTreeSet<Address> = addresses(&barn.store);
    assert!(left.iter().all(|address| after.contains(address)));
    assert_eq!(after.len(), 4 + 2);
    whole(&barn.store);
    living.end();
}

/// In ten minutes nobody writes down that it was used again, but whoever has it has it.
#[test]
fn what_is_within_the_grace_period_by_now_stays() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    age(barn.store.path(), 2 * DAY, |_| true);
    let mut with_grace = everything();
    with_grace.grace = Duration::from_secs(3600);
    let plan = gc::plan(&barn.store, &with_grace).unwrap();
    assert_eq!(plan.price().entries, 3);
    // As somebody notes who finds the lease of a process that is gone.
    note_uses(barn.store.path(), &[(listed(&barn.store)[1].entry.address, Duration::from_secs(300))]);
    let swept = gc::sweep(plan).unwrap();
    assert_eq!((swept.price.entries, swept.kept, addresses(&barn.store).len()), (2, 1, 1));
}

#[test]
fn a_failure_that_came_back_since_stays() {
    let barn = Barn::new();
    elsewhere(&barn, "failing@1 0 2");
    let plan = gc::plan(&barn.store, &retention(|retention| retention.failures = true)).unwrap();
    elsewhere(&barn, "failing@1 1 2");
    let swept = gc::sweep(plan).unwrap();
    assert_eq!(swept.failures, 1);
    let [left] = &barn.store.failures().unwrap()[..] else { panic!() };
    assert_eq!((left.interval, left.count), (hours(1, 2), 2));
}

#[test]
fn a_plan_that_was_carried_out_by_another_does_nothing_more() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    let plans = [gc::plan(&barn.store, &everything()).unwrap(), gc::plan(&barn.store, &everything()).unwrap()];
    let swept = plans.map(|plan| gc::sweep(plan).unwrap().price.entries);
    assert_eq!(swept, [3, 0]);
    whole(&barn.store);
}

#[test]
fn one_that_is_cancelled_leaves_a_whole_store_and_the_rest_for_the_next() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3\nfailing@1 0 2");
    let mut all = everything();
    all.failures = true;
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let swept = gc::plan(&barn.store, &all).unwrap().sweep().cancelled_by(&cancelled).run().unwrap();
    assert!(swept.cancelled && swept.price.entries == 0 && swept.failures == 0, "{swept:?}");
    assert_eq!(addresses(&barn.store).len(), 3);
    collect(&barn.store, &all);
}

#[test]
fn progress_comes_to_its_end() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    let (tell, told) = std::sync::mpsc::channel();
    let plan = gc::plan(&barn.store, &everything()).unwrap();
    plan.sweep().progress(move |progress| tell.send(*progress).unwrap()).run().unwrap();
    let told: Vec<_> = told.iter().collect();
    assert_eq!(told.first().map(|one| (one.stage, one.done)), Some(("looking", 0)));
    assert_eq!(told.last().map(|one| (one.stage, one.done, one.total)), Some(("entries", 3, 3)));
}

/// An index that a process has open answers with nothing that is gone.
#[test]
fn who_has_the_store_open_finds_what_is_left_and_makes_the_rest() {
    let barn = Barn::new();
    let numbers = dataset(&barn.path(""), "numbers@1");
    let other = Store::open_existing(barn.store.path()).unwrap();
    elsewhere(&barn, "numbers@1 0 8");
    collect(&barn.store, &retention(|retention| retention.keep_last = Some(3)));
    for store in [&barn.store, &other] {
        let loaded = store.load().request(&numbers, &instrument(), hours(5, 8)).blocking().unwrap();
        assert_eq!(loaded.summary().hit, 3);
    }
    let loaded = other.load().request(&numbers, &instrument(), hours(0, 8)).blocking().unwrap();
    assert_eq!((loaded.summary().hit, loaded.summary().generated), (3, 5));
}
