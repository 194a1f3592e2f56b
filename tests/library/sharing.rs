//! Many loads of the same partitions at once.
//!
//! Invariant 8 of ARCHITECTURE.md.

use tickbarn::{OnFailure, Policy, Store};

use crate::barn::{Barn, COPY, outcomes};

#[test]
fn loads_that_run_at_once_share_the_work() {
    let barn = Barn::new();
    let dataset = barn.dataset(&format!("sleep 0.02\n{COPY}")).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // Stores opened apart share nothing in memory, as processes do.
            let store = Store::open(barn.store.path()).unwrap();
            let dataset = dataset.clone();
            scope.spawn(move || {
                let load = store.load().request(&dataset, &crate::barn::instrument(), crate::barn::first_hours(20));
                let loaded = load.workers(3).blocking().unwrap();
                assert_eq!(loaded.summary().read, 20);
            });
        }
    });
    assert_eq!(barn.runs(), 20);
    assert!(barn.is_tidy());
}

#[test]
fn whoever_waits_for_a_generator_that_fails_does_not_repeat_it() {
    let barn = Barn::new();
    let dataset = barn.dataset("sleep 0.3; exit 1").build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let store = Store::open(barn.store.path()).unwrap();
            let dataset = dataset.clone();
            scope.spawn(move || {
                let policy = Policy { failure: OnFailure::Skip, ..Policy::default() };
                let load = store.load().request(&dataset, &crate::barn::instrument(), crate::barn::first_hours(1));
                assert_eq!(outcomes(&load.policy(policy).blocking().unwrap()), ["failed"]);
            });
        }
    });
    assert_eq!(barn.runs(), 1);
}
