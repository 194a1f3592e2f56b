//! What keeps an entry: processes that live, pins, and the grace period.

use tickbarn::Pin;
use tickbarn::gc::LeftoverKind;

use super::*;

/// Everything goes that nothing keeps.
fn all(store: &Store) -> (GcPlanned, Swept) {
    collect(store, &everything())
}

fn with_leftovers() -> Retention {
    retention(|retention| (retention.max_bytes, retention.leftovers) = (Some(0), true))
}

/// What is there, by its dataset and hour.
fn left(store: &Store) -> Vec<(String, i64)> {
    let hour = |listed: &Listed| listed.interval.start().ns() / 3_600_000_000_000 % 24;
    store.entries().unwrap().iter().map(|listed| (listed.dataset.to_string(), hour(listed))).collect()
}

fn numbers(hours: impl IntoIterator<Item = i64>) -> Vec<(String, i64)> {
    hours.into_iter().map(|hour| ("numbers".to_owned(), hour)).collect()
}

#[test]
fn what_a_process_has_loaded_stays_while_it_lives() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 6");
    // Hits, and one that it made itself.
    let living = Living::that_loads(barn.store.path(), &barn.path(""), "numbers@1 1 3\nnumbers@1 7 8");
    let (planned, _) = all(&barn.store);
    assert_eq!(
        (planned.price.entries, planned.kept),
        (4, {
            let mut kept = Kept::default();
            kept.leased = 3;
            kept
        })
    );
    assert_eq!(left(&barn.store), numbers([1, 2, 7]));
    assert!(planned.shortfall_bytes > 0);
    assert_eq!(gc::plan(&barn.store, &everything()).unwrap().held_by(), 1);
    living.end();
    assert_eq!(all(&barn.store).0.price.entries, 3);
    assert!(left(&barn.store).is_empty() && barn.files(&["artifacts"]).is_empty());
}

/// Frames go on to read the files of an entry that was replaced.
#[test]
fn the_old_bytes_of_a_replaced_entry_stay_for_who_was_handed_them() {
    let barn = Barn::new();
    elsewhere(&barn, "turning@1 0 1");
    let living = Living::that_loads(barn.store.path(), &barn.path(""), "turning@1 0 1");
    let old = barn.store.entries().unwrap()[0].entry.outputs[0].path.clone();
    fs::write(barn.path("again"), "").unwrap();
    elsewhere(&barn, "turning@1 0 1 refresh");
    let new = barn.store.entries().unwrap()[0].entry.outputs[0].path.clone();
    assert!(old != new && old.exists());
    let (_, swept) = all(&barn.store);
    assert!(old.exists() && new.exists(), "the entry, too: it is the same address");
    assert_eq!((swept.leftovers, swept.leftover_bytes, swept.price.bytes), (0, 0, 0), "nothing went, and nothing is said to have gone");
    collect(&barn.store, &with_leftovers());
    assert!(old.exists() && new.exists());
    living.end();
    let (planned, swept) = collect(&barn.store, &with_leftovers());
    assert!(!old.exists() && !new.exists());
    let replaced = planned.leftovers.iter().filter(|leftover| leftover.kind == LeftoverKind::Replaced).count();
    assert_eq!((planned.price.entries, replaced), (1, 1), "{:?}", planned.leftovers);
    assert!(swept.leftovers >= 1, "and what the journal said of them");
}

#[test]
fn a_process_that_cannot_write_its_lease_keeps_everything() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    elsewhere(&barn, "turning@1 0 1");
    fs::write(barn.path("again"), "").unwrap();
    elsewhere(&barn, "turning@1 0 1 refresh");
    let living = Living::that_cannot_write(barn.store.path(), &barn.path(""), "numbers@1 1 2");
    let before = barn.files(&["entries", "artifacts"]);
    let (planned, _) = collect(&barn.store, &with_leftovers());
    assert_eq!((planned.price.entries, planned.kept.leased), (0, 4));
    assert_eq!(barn.files(&["entries", "artifacts"]), before);
    living.end();
    collect(&barn.store, &with_leftovers());
    assert!(barn.files(&["entries", "artifacts"]).is_empty());
}

/// Neither what ended in order nor what was killed.
#[test]
fn a_process_that_was_killed_keeps_nothing() {
    let barn = Barn::new();
    let mut living = Living::that_loads(barn.store.path(), &barn.path(""), "numbers@1 0 2");
    living.child.kill().unwrap();
    living.child.wait().unwrap();
    assert_eq!(leases(barn.store.path()).len(), 1);
    all(&barn.store);
    assert!(left(&barn.store).is_empty() && leases(barn.store.path()).is_empty());
}

#[test]
fn a_pin_over_an_interval_keeps_what_is_there_and_what_is_generated_there_later() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 4\nnumbers@1 0 4 other");
    let pin = Pin::range("paper", ["numbers".to_owned()], [instrument()], Some(hours(2, 3).start()), Some(hours(5, 6).end())).unwrap();
    barn.store.pin(&pin).unwrap();
    let (planned, _) = all(&barn.store);
    assert_eq!((planned.price.entries, planned.kept.pinned), (6, 2));
    assert_eq!(left(&barn.store), numbers([2, 3]));
    // By another configuration, and of hours that were not there.
    elsewhere(&barn, "numbers@2 0 8\nsame@1 2 3");
    all(&barn.store);
    assert_eq!(left(&barn.store), numbers([2, 2, 3, 3, 4, 5]));
    barn.store.unpin("paper").unwrap();
    all(&barn.store);
    assert!(left(&barn.store).is_empty());
}

#[test]
fn a_pin_of_an_address_keeps_it_also_where_it_is_made_anew() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    let address = barn.store.entries().unwrap()[1].entry.address;
    barn.store.pin(&Pin::addresses("one", [address, "0".repeat(64).parse().unwrap()]).unwrap()).unwrap();
    all(&barn.store);
    assert_eq!(left(&barn.store), numbers([1]));
    elsewhere(&barn, "numbers@1 0 3 refresh");
    all(&barn.store);
    assert_eq!(left(&barn.store), numbers([1]));
}

/// Without its upstream it would have no address to be found under.
#[test]
fn a_pinned_derived_entry_keeps_its_upstream_and_is_found() {
    let barn = Barn::new();
    elsewhere(&barn, "sums@1 0 3");
    barn.store.pin(&Pin::range("sums", ["sums".to_owned()], [], None, Some(hours(0, 1).end())).unwrap()).unwrap();
    let (planned, _) = all(&barn.store);
    assert_eq!(planned.kept.pinned, 2);
    assert_eq!(left(&barn.store), [("numbers".to_owned(), 0), ("sums".to_owned(), 0)]);
    let runs = runs_of(&barn, "");
    let loaded = barn.store.load().request(&dataset(&barn.path(""), "sums@1"), &instrument(), hours(0, 1)).blocking().unwrap();
    assert_eq!((loaded.summary().hit, runs_of(&barn, "")), (1, runs));
}

#[test]
fn what_is_younger_than_the_grace_period_stays() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 6");
    age(barn.store.path(), 2 * DAY, |listed| listed.interval.start() < hours(3, 4).start());
    let used = barn.store.entries().unwrap()[1].entry.address;
    note_uses(barn.store.path(), &[(used, Duration::from_secs(1800))]);
    let mut with_grace = everything();
    with_grace.grace = Duration::from_secs(3600);
    let (planned, _) = collect(&barn.store, &with_grace);
    assert_eq!((planned.price.entries, planned.kept.recent), (2, 4));
    assert_eq!(left(&barn.store), numbers([1, 3, 4, 5]));
}

/// Loaded once, read for weeks: when it was last held counts as its last use.
#[test]
fn what_a_process_held_when_others_collected_was_used_then() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 2");
    let living = Living::that_loads(barn.store.path(), &barn.path(""), "numbers@1 0 1");
    let lease = living.lease(barn.store.path());
    // Its process has had it for forty days.
    let mut bytes = fs::read(&lease).unwrap();
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert_eq!(bytes[at], b't');
    let now = u32::from_le_bytes(bytes[at + 1..at + 5].try_into().unwrap());
    bytes[at + 1..at + 5].copy_from_slice(&(now - 40 * 86_400).to_le_bytes());
    fs::write(&lease, bytes).unwrap();
    age(barn.store.path(), 50 * DAY, |_| true);
    let month = retention(|retention| retention.max_age = Some(30 * DAY));
    assert_eq!(collect(&barn.store, &month).0.price.entries, 1);
    living.end();
    assert_eq!(collect(&barn.store, &month).0.price.entries, 0, "it was in use a moment ago");
}
