//! What each rule takes from a real store, and that it is generated again and not missing for ever.

use tickbarn::gc::Reason;
use tickbarn::{Free, Order, Pin};

use super::*;

fn whole_day(barn: &Barn) -> Vec<Listed> {
    elsewhere(barn, "numbers@1 0 24");
    barn.store.entries().unwrap()
}

/// The hours that are there of a dataset.
fn hours_of(store: &Store, dataset: &str) -> Vec<i64> {
    let listed = store.entries().unwrap().into_iter().filter(|listed| &*listed.dataset == dataset);
    listed.map(|listed| listed.interval.start().ns() / 3_600_000_000_000 % 24).collect()
}

#[test]
fn what_was_not_used_for_a_month_goes_and_what_was_used_since_stays() {
    let barn = Barn::new();
    let day = whole_day(&barn);
    age(barn.store.path(), 40 * DAY, |_| true);
    let store = Store::open_existing(barn.store.path()).unwrap();
    // By a process that loaded it, which is gone.
    elsewhere(&barn, "numbers@1 3 5");
    assert_eq!(runs_of(&barn, "numbers"), 24, "it was there");
    // By one whose lease somebody has found already.
    let before = leases(store.path()).len();
    elsewhere(&barn, "numbers@2 0 1");
    assert_eq!(leases(store.path()).len(), before, "a new lease lets the old one go, and notes what it says");
    let month = retention(|retention| retention.max_age = Some(30 * DAY));
    let (planned, _) = collect(&store, &month);
    assert_eq!(planned.price.entries, 22);
    assert_eq!(hours_of(&store, "numbers"), [0, 3, 4]);
    // What was noted survives that.
    assert_eq!(collect(&store, &month).0.price.entries, 0);
    let loaded = store.load().request(&dataset(&barn.path(""), "numbers@1"), &instrument(), hours(0, 24)).blocking().unwrap();
    let entries: Vec<Address> = loaded.partitions.iter().map(|one| one.address.unwrap()).collect();
    assert_eq!((loaded.summary().hit, loaded.summary().generated), (2, 22));
    assert_eq!(entries, day.iter().map(|listed| listed.entry.address).collect::<Vec<_>>());
}

/// Only what the file of last uses says: days ago, and not in a lease.
#[test]
fn age_counts_from_the_last_use_that_was_written_down() {
    let barn = Barn::new();
    let day = whole_day(&barn);
    age(barn.store.path(), 100 * DAY, |_| true);
    let uses: Vec<(Address, Duration)> = day.iter().zip(0u32..).map(|(listed, nth)| (listed.entry.address, DAY * (nth + 20))).collect();
    note_uses(barn.store.path(), &uses);
    let plan = gc::plan(&barn.store, &retention(|retention| retention.max_age = Some(30 * DAY))).unwrap();
    let going: BTreeSet<Time> = plan.entries().map(|entry| entry.interval.start()).collect();
    // The one of exactly thirty days may have been used in the ten minutes after.
    assert_eq!(going, day[11..].iter().map(|listed| listed.interval.start()).collect());
    assert!(plan.entries().all(|entry| entry.reason == Reason::MaxAge && Time::now().ns() - entry.last_used.ns() > 30 * 86_400_000_000_000));
}

/// What cannot be known must not look old.
#[test]
fn a_damaged_record_of_uses_makes_nothing_old() {
    let barn = Barn::new();
    let day = whole_day(&barn);
    age(barn.store.path(), 100 * DAY, |_| true);
    let used = barn.store.path().join("leases").join("used");
    let month = retention(|retention| retention.max_age = Some(30 * DAY));
    let kept = |case: &str, kept: usize| {
        assert_eq!(gc::plan(&barn.store, &month).unwrap().price().entries, 24 - kept, "{case}");
    };
    kept("none", 0);
    note_uses(barn.store.path(), &[(day[0].entry.address, DAY)]);
    kept("one", 1);
    let whole = fs::read(&used).unwrap();
    for at in [30, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&used, bytes).unwrap();
        kept("a flipped bit", 24);
    }
    fs::write(&used, "something else").unwrap();
    kept("something else", 24);
    fs::remove_file(&used).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &used).unwrap();
    kept("a link", 24);
}

#[test]
fn an_older_configuration_goes_unless_somebody_still_asks_for_it() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 6\nsame@1 0 2");
    age(barn.store.path(), 40 * DAY, |_| true);
    elsewhere(&barn, "numbers@2 0 4");
    // Later than the newer ones, which were just made.
    let asked_for = barn.store.entries().unwrap().iter().find(|one| &*one.dataset == "numbers").map(|one| one.entry.address).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    elsewhere(&barn, "numbers@1 0 1");
    let superseded = retention(|retention| retention.superseded = true);
    let plan = gc::plan(&barn.store, &superseded).unwrap();
    assert!(plan.entries().all(|entry| entry.reason == Reason::Superseded && entry.address != asked_for));
    drop(plan);
    let (planned, _) = collect(&barn.store, &superseded);
    assert_eq!(planned.price.entries, 3);
    assert_eq!(hours_of(&barn.store, "numbers"), [0, 0, 1, 2, 3, 4, 5]);
    assert_eq!(hours_of(&barn.store, "same"), [0, 1]);
    let load = |word: &str| {
        let loaded = barn.store.load().request(&dataset(&barn.path(""), word), &instrument(), hours(0, 6)).blocking().unwrap();
        (loaded.summary().hit, loaded.summary().generated)
    };
    assert_eq!((load("numbers@2"), load("numbers@1")), ((4, 2), (3, 3)));
}

#[test]
fn failures_of_the_scope_are_forgotten_and_nothing_else() {
    let barn = Barn::new();
    elsewhere(&barn, "failing@1 0 3\nfailing@1 0 2 other\nnumbers@1 0 2");
    assert_eq!(barn.store.failures().unwrap().len(), 5);
    let failures = retention(|retention| retention.failures = true);
    let mut with_grace = failures.clone();
    with_grace.grace = Duration::from_secs(3600);
    assert_eq!(gc::plan(&barn.store, &with_grace).unwrap().failures().len(), 0, "they are minutes old");
    let mut of_other = failures.clone();
    of_other.instruments = vec![other_instrument()];
    let (_, swept) = collect(&barn.store, &of_other);
    assert_eq!((swept.failures, barn.store.failures().unwrap().len()), (2, 3));
    let mut of_numbers = failures.clone();
    of_numbers.datasets = vec!["numbers".to_owned()];
    assert_eq!(collect(&barn.store, &of_numbers).1.failures, 0);
    let (_, swept) = collect(&barn.store, &failures);
    assert_eq!((swept.failures, barn.store.failures().unwrap().len(), addresses(&barn.store).len()), (3, 0, 2));
}

#[test]
fn the_last_of_each_instrument_are_kept() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 6\nnumbers@1 2 4 other\nsame@1 0 1");
    let (planned, _) = collect(&barn.store, &retention(|retention| retention.keep_last = Some(2)));
    assert_eq!((planned.price.entries, planned.kept.last), (4, 5));
    assert_eq!((hours_of(&barn.store, "numbers"), hours_of(&barn.store, "same")), (vec![4, 5, 2, 3], vec![0]));
}

#[test]
fn the_store_is_brought_below_its_size_and_not_much_further() {
    for order in [Order::Value, Order::Lru] {
        let barn = Barn::new();
        let day = whole_day(&barn);
        age(barn.store.path(), 10 * DAY, |_| true);
        let uses: Vec<(Address, Duration)> = day.iter().rev().zip(0u32..).map(|(listed, nth)| (listed.entry.address, DAY / 24 * (nth + 1))).collect();
        note_uses(barn.store.path(), &uses);
        let of_one = day[0].entry.outputs[0].bytes;
        assert!(day.iter().all(|listed| listed.entry.outputs[0].bytes == of_one));
        let by_size = |max_bytes| retention(|retention| (retention.max_bytes, retention.order) = (Some(max_bytes), order));
        assert_eq!(collect(&barn.store, &by_size(24 * of_one)).0.price.entries, 0);
        // Ten are left of which nine tenths are wanted.
        let (planned, swept) = collect(&barn.store, &by_size(10 * of_one));
        assert_eq!((planned.store_bytes, planned.shortfall_bytes, swept.price.bytes), (24 * of_one, 0, 15 * of_one));
        assert_eq!(collect(&barn.store, &by_size(10 * of_one)).0.price.entries, 0);
        if order == Order::Lru {
            assert_eq!(hours_of(&barn.store, "numbers"), (15..24).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_plan_that_cannot_make_the_space_says_how_much_is_missing() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    barn.store.pin(&Pin::range("two", [], [], Some(hours(0, 1).start()), Some(hours(1, 2).end())).unwrap()).unwrap();
    let of_one = barn.store.entries().unwrap()[0].entry.outputs[0].bytes;
    let (planned, _) = collect(&barn.store, &everything());
    assert_eq!((planned.price.entries, planned.shortfall_bytes, planned.kept.pinned), (1, 2 * of_one, 2));
    // More than a disk has.
    let (planned, _) = collect(&barn.store, &retention(|retention| retention.min_free = Some(Free::Bytes(u64::MAX))));
    assert!(planned.shortfall_bytes > u64::MAX / 2);
    assert_eq!(collect(&barn.store, &retention(|retention| retention.min_free = Some(Free::Bytes(1)))).0.shortfall_bytes, 0);
}

#[test]
fn a_shared_artifact_stays_until_its_last_entry_goes() {
    let barn = Barn::new();
    elsewhere(&barn, "same@1 0 3\nsame@1 0 1 other");
    assert_eq!(barn.files(&["artifacts"]).len(), 1);
    let mut of_other = retention(|retention| retention.instruments = vec![other_instrument()]);
    let (planned, swept) = collect(&barn.store, &of_other);
    assert_eq!((planned.price.entries, swept.price.bytes), (1, 0));
    assert_eq!(barn.files(&["artifacts"]).len(), 1);
    of_other.instruments = vec![instrument()];
    let (planned, _) = collect(&barn.store, &of_other);
    assert_eq!((planned.price.entries, planned.price.bytes), (3, planned.store_bytes));
    assert!(planned.price.bytes > 0 && barn.files(&["artifacts"]).is_empty());
}

#[test]
fn a_plan_is_priced_by_dataset_and_by_what_making_it_again_takes() {
    let barn = Barn::new();
    elsewhere(&barn, "sums@1 0 3\nsame@1 0 2");
    let entries = barn.store.entries().unwrap();
    let seconds = |dataset: &str| entries.iter().filter(|one| &*one.dataset == dataset).map(|one| f64::from(one.entry.seconds)).sum::<f64>();
    let upstream: f64 = entries.iter().map(|one| f64::from(one.entry.upstream_seconds)).sum();
    let plan = gc::plan(&barn.store, &everything()).unwrap();
    let by_dataset: Vec<(&str, usize)> = plan.by_dataset().iter().map(|of| (&*of.dataset, of.price.entries)).collect();
    assert_eq!(by_dataset, [("numbers", 3), ("same", 2), ("sums", 3)]);
    for of in plan.by_dataset() {
        assert!((of.price.seconds - seconds(&of.dataset)).abs() < 1e-6, "{of:?}");
    }
    // Where the upstream is gone, that is to be made again, too.
    collect(&barn.store, &of_dataset("numbers"));
    let (planned, _) = collect(&barn.store, &of_dataset("sums"));
    assert!((planned.price.seconds - seconds("sums") - upstream).abs() < 1e-6 && upstream > 0.0, "{planned:?} {upstream}");
}

/// The printed value is what the order goes by.
#[test]
fn what_goes_for_space_is_listed_by_its_value() {
    let barn = Barn::new();
    elsewhere(&barn, "sums@1 0 6\nsame@1 0 2");
    age(barn.store.path(), 10 * DAY, |listed| listed.interval.start().ns() % 7_200_000_000_000 == 0);
    let plan = gc::plan(&barn.store, &everything()).unwrap();
    let values: Vec<f64> = plan.entries().map(|entry| entry.value).collect();
    assert_eq!(values.len(), 14);
    assert!(values.is_sorted(), "{values:?}");
}
