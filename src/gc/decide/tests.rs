//! A victim too many is hours of work lost; a wrong price, or a plan that does not free what it says, is a disk that runs full.

use std::time::Duration;

use super::*;
use crate::address::Digest;
use crate::retention::Free;
use crate::store::Pin;
use crate::store::parts::{EntryRecord, Leased, LogRecord, OutputRecord, Published, USE_SECONDS};

mod generated;

/// The moment of all plans here, in seconds since the epoch.
const NOW: u32 = 2_000_000_000;
const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
const HOUR_NS: i64 = 3_600_000_000_000;

/// An entry as tests write it down.
#[derive(Debug, Clone)]
struct One {
    /// Its address.
    nth: u8,
    dataset: &'static str,
    instrument: &'static str,
    generator: u8,
    /// Its partition.
    hours: (i64, i64),
    /// For how many seconds before now it was started and last used. It is used at least when it is made.
    started_ago: u32,
    used_ago: u32,
    seconds: f32,
    /// Outputs by number, with their sizes.
    outputs: Vec<(u8, u64)>,
    log: Option<(u8, u64)>,
    upstream: Vec<u8>,
    upstream_seconds: f32,
}

impl One {
    /// An hour of its own with an output of its own of 100 bytes, made in a minute a hundred days ago.
    fn new(nth: u8) -> Self {
        Self {
            nth,
            dataset: "md",
            instrument: "a/X",
            generator: 0,
            hours: (i64::from(nth), i64::from(nth) + 1),
            started_ago: 100 * DAY + 60,
            used_ago: 100 * DAY,
            seconds: 60.0,
            outputs: vec![(nth, 100)],
            log: None,
            upstream: Vec::new(),
            upstream_seconds: 0.0,
        }
    }

    fn published(&self) -> Published {
        let output = |(of, bytes): &(u8, u64)| OutputRecord {
            name: format!("output-{of}").into(),
            digest: digest(*of),
            schema: digest(0),
            bytes: *bytes,
            rows: 1,
            bounds: [].into(),
        };
        let entry = EntryRecord {
            start: Time::from_ns(self.hours.0 * HOUR_NS),
            end: Time::from_ns(self.hours.1 * HOUR_NS),
            address: address(self.nth),
            dataset: self.dataset.into(),
            outputs: self.outputs.iter().map(output).collect(),
            empty: None,
            started: Time::from_ns(i64::from(NOW - self.started_ago) * 1_000_000_000),
            seconds: self.seconds,
            upstream_seconds: self.upstream_seconds,
            upstream: self.upstream.iter().map(|nth| address(*nth)).collect(),
            log: self.log.map(|(of, bytes)| LogRecord { digest: digest(of), bytes }),
        };
        let generator = serde_json::from_str(&format!("\"{}\"", digest(self.generator))).unwrap();
        Published { generator, instrument: self.instrument.parse().unwrap(), entry }
    }
}

fn address(nth: u8) -> Address {
    Address::of_canonical(&nth.to_string())
}

fn digest(of: u8) -> Digest {
    Digest::of(&[of])
}

fn inventory(ones: &[One]) -> Inventory {
    let inventory = Inventory::of(ones.iter().map(One::published));
    ones.iter().fold(inventory, |inventory, one| inventory.used_at(&address(one.nth), Seconds(NOW - one.used_ago)))
}

fn leased(nth: u8) -> Leased {
    Leased::Entry(address(nth))
}

/// A disk with nothing on it but what is to be freed.
const EMPTY: Disk = Disk { bytes: 1 << 40, free_bytes: 1 << 40 };

/// A retention without a grace period.
fn retention(change: impl FnOnce(&mut Retention)) -> Retention {
    let mut retention = Retention { grace: Duration::ZERO, ..Retention::default() };
    change(&mut retention);
    retention
}

/// Which entries go in order, why, and what each frees.
type Goes = Vec<(u8, Reason, u64)>;

fn goes_of(ones: &[One], decision: &Decision, inventory: &Inventory) -> Goes {
    let nth_of = |victim: &Victim| ones.iter().find(|one| address(one.nth) == inventory.item(victim.nth).address).unwrap().nth;
    decision.victims.iter().map(|victim| (nth_of(victim), victim.reason, victim.bytes_freed)).collect()
}

fn decided(ones: &[One], leased: &[Leased], pins: Vec<Pin>, disk: Disk, retention: &Retention) -> (Goes, Decision) {
    let inventory = inventory(ones);
    let roots = Roots::of(&inventory, leased.iter().copied(), pins);
    let decision = decide(&inventory, &roots, Seconds(NOW).time(), disk, retention);
    (goes_of(ones, &decision, &inventory), decision)
}

/// The same where nothing holds anything.
fn goes(ones: &[One], retention: &Retention) -> Goes {
    decided(ones, &[], Vec::new(), EMPTY, retention).0
}

fn numbers(goes: &Goes) -> Vec<u8> {
    let mut numbers: Vec<u8> = goes.iter().map(|(nth, ..)| *nth).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_scope_takes_all_of_itself_and_nothing_beside_it() {
    let ones = [
        One::new(1),
        One { instrument: "a/Y", ..One::new(2) },
        One { dataset: "features", ..One::new(3) },
        One { dataset: "features", instrument: "a/Y", ..One::new(4) },
        One { dataset: "md2", ..One::new(5) },
    ];
    let of_dataset = retention(|retention| retention.datasets = vec!["md".to_owned()]);
    assert_eq!(goes(&ones, &of_dataset), [(1, Reason::Scope, 100), (2, Reason::Scope, 100)]);
    let of_instrument = retention(|retention| retention.instruments = vec!["a/Y".parse().unwrap()]);
    assert_eq!(numbers(&goes(&ones, &of_instrument)), [2, 4]);
    let of_both = retention(|retention| {
        retention.datasets = vec!["features".to_owned(), "md2".to_owned()];
        retention.instruments = vec!["a/Y".parse().unwrap()];
    });
    assert_eq!(numbers(&goes(&ones, &of_both)), [4]);
    let of_nothing_there = retention(|retention| retention.datasets = vec!["m".to_owned()]);
    assert_eq!(numbers(&goes(&ones, &of_nothing_there)), [0; 0]);
    // Something else was asked for, not everything.
    for other in [retention(|retention| retention.failures = true), retention(|retention| retention.leftovers = true)] {
        assert_eq!(numbers(&goes(&ones, &Retention { datasets: vec!["md".to_owned()], ..other })), [0; 0]);
    }
}

#[test]
fn every_rule_keeps_to_the_scope() {
    let beside = One { dataset: "other", used_ago: 500 * DAY, started_ago: 500 * DAY, seconds: 0.0, outputs: vec![(2, 100_000)], ..One::new(2) };
    let superseding = One { started_ago: DAY, used_ago: DAY, generator: 1, hours: (2, 3), dataset: "other", ..One::new(3) };
    let ones = [One::new(1), beside, superseding];
    let rules: [fn(&mut Retention); 4] = [
        |retention| retention.max_age = Some(Duration::from_secs(u64::from(30 * DAY))),
        |retention| retention.max_bytes = Some(0),
        |retention| retention.min_free = Some(Free::Bytes(2 << 40)),
        |retention| retention.superseded = true,
    ];
    for (nth, rule) in rules.into_iter().enumerate() {
        let of_md = retention(|retention| {
            rule(retention);
            retention.datasets = vec!["md".to_owned()];
        });
        assert_eq!(numbers(&goes(&ones, &of_md)), if nth == 3 { vec![] } else { vec![1] });
    }
}

#[test]
fn only_what_was_not_used_for_longer_than_its_age_goes() {
    let age = 30 * DAY;
    // Use is known to ten minutes: what may have been used within its age stays.
    let ones: Vec<One> = [0, age - 1, age, age + USE_SECONDS, age + USE_SECONDS + 1, 90 * DAY]
        .into_iter()
        .zip(1..)
        .map(|(used_ago, nth)| One { used_ago, ..One::new(nth) })
        .collect();
    let of_age = retention(|retention| retention.max_age = Some(Duration::from_secs(age.into())));
    assert_eq!(goes(&ones, &of_age), [(5, Reason::MaxAge, 100), (6, Reason::MaxAge, 100)]);
}

#[test]
fn what_was_made_since_counts_as_used_then() {
    let new = One { started_ago: 2 * HOUR, used_ago: 100 * DAY, seconds: 60.0, ..One::new(1) };
    let of_age = retention(|retention| retention.max_age = Some(Duration::from_secs(DAY.into())));
    assert_eq!(goes(std::slice::from_ref(&new), &of_age), []);
    let ahead = One { started_ago: 0, seconds: 9e9, ..new };
    assert_eq!(goes(&[ahead], &of_age), [], "a clock that is ahead makes nothing old");
}

/// An older and a newer entry of the same partition.
fn generations() -> [One; 2] {
    let old = One { hours: (5, 6), ..One::new(1) };
    let new = One { generator: 1, started_ago: 50 * DAY, used_ago: 50 * DAY, outputs: vec![(2, 100)], nth: 2, ..old.clone() };
    [old, new]
}

#[test]
fn only_what_a_later_one_has_taken_the_place_of_is_superseded() {
    let superseded = retention(|retention| retention.superseded = true);
    let [old, new] = generations();
    let go = |old: &One| goes(&[old.clone(), new.clone()], &superseded);
    assert_eq!(go(&old), [(1, Reason::Superseded, 100)]);
    assert_eq!(goes(&[new.clone(), old.clone()], &superseded), [(1, Reason::Superseded, 100)]);
    assert_eq!(go(&One { dataset: "md2", ..old.clone() }), []);
    assert_eq!(go(&One { instrument: "a/Y", ..old.clone() }), []);
    assert_eq!(go(&One { hours: (4, 5), ..old.clone() }), []);
    assert_eq!(go(&One { hours: (5, 7), ..old.clone() }), [], "what is split otherwise answers another question");
    assert_eq!(go(&One { used_ago: 10 * DAY, ..old.clone() }), [], "somebody still asks for it");
    assert_eq!(go(&One { started_ago: new.started_ago, used_ago: new.used_ago, ..old.clone() }), [], "neither is later");
    // The same generator with another upstream.
    assert_eq!(go(&One { generator: 1, upstream: vec![9], ..old.clone() }), [(1, Reason::Superseded, 100)]);

    let oldest = One { started_ago: 300 * DAY, used_ago: 300 * DAY, generator: 2, outputs: vec![(3, 100)], nth: 3, ..old.clone() };
    assert_eq!(numbers(&goes(&[oldest.clone(), new.clone(), old.clone()], &superseded)), [1, 3]);
    // Who still asks for the oldest does not make the one between needed.
    let asked_for = One { used_ago: DAY, ..oldest };
    assert_eq!(numbers(&goes(&[asked_for, new.clone(), old.clone()], &superseded)), [1]);
    // Two that were started together, and a later one.
    let twin = One { outputs: vec![(3, 100)], nth: 3, ..old.clone() };
    for ones in [[old.clone(), twin.clone(), new.clone()], [new, twin, old]] {
        assert_eq!(numbers(&goes(&ones, &superseded)), [1, 3]);
    }
}

#[test]
fn nothing_goes_for_space_until_there_is_too_little_and_then_down_to_the_low_water_mark() {
    let ones: Vec<One> = (0..10).map(One::new).collect();
    let of_bytes = |max: u64, low_water: f64| {
        let retention = retention(|retention| (retention.max_bytes, retention.low_water) = (Some(max), low_water));
        decided(&ones, &[], Vec::new(), EMPTY, &retention)
    };
    for (max, low_water, count) in
        [(1000, 0.9, 0), (1000, 0.01, 0), (999, 1.0, 1), (999, 0.9, 2), (901, 0.9, 2), (500, 0.5, 8), (500, 1.0, 5), (0, 0.9, 10)]
    {
        let (goes, decision) = of_bytes(max, low_water);
        assert_eq!((goes.len(), decision.shortfall_bytes, decision.store_bytes), (count, 0, 1000), "{max} {low_water}");
        assert!(goes.iter().all(|(_, reason, bytes)| (*reason, *bytes) == (Reason::MaxBytes, 100)));
    }
}

#[test]
fn what_other_rules_free_counts_for_the_space() {
    let old = |nth| One { started_ago: 201 * DAY, used_ago: 200 * DAY, ..One::new(nth) };
    let ones: Vec<One> = (0..4).map(old).chain((4..10).map(One::new)).collect();
    let retention = |max_bytes| {
        retention(|retention| {
            retention.max_age = Some(Duration::from_secs(u64::from(150 * DAY)));
            retention.max_bytes = Some(max_bytes);
            retention.low_water = 0.5;
        })
    };
    let goes_600 = goes(&ones, &retention(600));
    assert_eq!(numbers(&goes_600), [0, 1, 2, 3], "they suffice");
    let goes_599 = goes(&ones, &retention(599));
    assert_eq!(goes_599.iter().filter(|(_, reason, _)| *reason == Reason::MaxAge).count(), 4);
    assert_eq!(goes_599.iter().filter(|(_, reason, _)| *reason == Reason::MaxBytes).count(), 4, "from 600 down to half of 599");
}

#[test]
fn a_disk_is_freed_until_enough_of_it_is_free() {
    let ones: Vec<One> = (0..10).map(One::new).collect();
    let disk = Disk { bytes: 10_000, free_bytes: 750 };
    let of = |free: Free| {
        let retention = retention(|retention| retention.min_free = Some(free));
        let (goes, decision) = decided(&ones, &[], Vec::new(), disk, &retention);
        assert!(goes.iter().all(|(_, reason, _)| *reason == Reason::MinFree));
        (goes.len(), decision.shortfall_bytes)
    };
    assert_eq!(of(Free::Bytes(750)), (0, 0));
    assert_eq!(of(Free::Bytes(751)), (1, 0));
    assert_eq!(of(Free::Share(0.1)), (3, 0));
    assert_eq!(of(Free::Bytes(2000)), (10, 250));
    // Both at once: whichever wants more.
    let both = retention(|retention| (retention.min_free, retention.max_bytes) = (Some(Free::Bytes(1250)), Some(899)));
    let (goes, _) = decided(&ones, &[], Vec::new(), disk, &both);
    let reasons: Vec<Reason> = goes.iter().map(|(_, reason, _)| *reason).collect();
    assert_eq!(reasons, [Reason::MaxBytes, Reason::MaxBytes, Reason::MinFree, Reason::MinFree, Reason::MinFree]);
}

/// Seconds to generate again × recency of use ÷ bytes freed, where recency is 1 / (1 + hours since the last use).
#[test]
fn the_least_valuable_go_first_by_the_formula_as_it_is_written() {
    let one = |nth, seconds, hours: u32, bytes| One { seconds, used_ago: hours * HOUR, outputs: vec![(nth, bytes)], ..One::new(nth) };
    let ones = [
        one(1, 600.0, 9, 1000),   // 600 / 10 / 1000 = 0.06
        one(2, 600.0, 99, 1000),  // 600 / 100 / 1000 = 0.006
        one(3, 60.0, 9, 1000),    // 60 / 10 / 1000 = 0.006, used later
        one(4, 600.0, 9, 10),     // 600 / 10 / 10 = 6
        one(5, 3600.0, 0, 1000),  // 3600 / 1 / 1000 = 3.6
        one(6, 0.0, 0, 1),        // nothing is lost
        one(7, 1000.0, 19, 8000), // 1000 / 20 / 8000 = 0.00625
    ];
    let inventory = inventory(&ones);
    let is_gone = |address: &Address| inventory.find(address).is_none();
    let values: Vec<f64> = inventory.there().map(|nth| value(&inventory, nth, Seconds(NOW), &is_gone)).collect();
    for (value, expected) in values.iter().zip([0.06, 0.006, 0.006, 6.0, 3.6, 0.0, 0.00625]) {
        assert!((value - expected).abs() < 1e-9, "{value} {expected}");
    }
    let order = [6, 2, 3, 7, 1, 5, 4];
    for count in 1..=7 {
        // Until one byte less is left than what the first so many leave.
        let left: u64 = order[count..].iter().map(|nth| ones[*nth as usize - 1].outputs[0].1).sum();
        let retention = retention(|retention| (retention.max_bytes, retention.low_water) = (Some(left), 1.0));
        assert_eq!(goes(&ones, &retention).iter().map(|(nth, ..)| *nth).collect::<Vec<_>>(), order[..count]);
    }
}

#[test]
fn lru_asks_for_nothing_but_the_last_use() {
    let one = |nth, seconds, hours: u32, bytes| One { seconds, used_ago: hours * HOUR, outputs: vec![(nth, bytes)], ..One::new(nth) };
    let ones = [one(1, 1.0, 10, 1_000_000), one(2, 1e6, 30, 1), one(3, 1.0, 20, 1000)];
    let retention = retention(|retention| (retention.max_bytes, retention.order) = (Some(0), Order::Lru));
    assert_eq!(goes(&ones, &retention).iter().map(|(nth, ..)| *nth).collect::<Vec<_>>(), [2, 3, 1]);
}

#[test]
fn a_shared_artifact_frees_nothing_until_its_last_entry_goes() {
    let shared = |nth| One { outputs: vec![(100, 1000)], ..One::new(nth) };
    let ones = [shared(1), shared(2), One { dataset: "features", outputs: vec![(100, 1000), (4, 10)], ..One::new(3) }];
    let of_md = retention(|retention| retention.datasets = vec!["md".to_owned()]);
    let (goes, decision) = decided(&ones, &[], Vec::new(), EMPTY, &of_md);
    assert_eq!((goes, decision.store_bytes), (vec![(1, Reason::Scope, 0), (2, Reason::Scope, 0)], 1010));
    let price = |entries, bytes, seconds| Price { entries, bytes, seconds };
    assert_eq!(decision.datasets, [DatasetPrice { dataset: "md".into(), price: price(2, 0, 120.0) }]);

    let of_both = retention(|retention| retention.datasets = vec!["md".to_owned(), "features".to_owned()]);
    let (goes, decision) = decided(&ones, &[], Vec::new(), EMPTY, &of_both);
    assert_eq!(goes.iter().map(|(.., bytes)| bytes).sum::<u64>(), 1010);
    let datasets: Vec<(&str, Price)> = decision.datasets.iter().map(|of| (&*of.dataset, of.price)).collect();
    assert_eq!(datasets, [("features", price(1, 1010, 60.0)), ("md", price(2, 0, 120.0))]);
}

/// An n-th of it for each of n entries.
#[test]
fn what_is_shared_counts_for_less_in_the_value() {
    let shared = |nth| One { outputs: vec![(100, 1000)], ..One::new(nth) };
    let ones = [shared(1), shared(2), shared(3), shared(4), One { outputs: vec![(5, 300)], ..One::new(5) }];
    // 250 bytes each of the shared, so the other is worth less.
    let retention = retention(|retention| (retention.max_bytes, retention.low_water) = (Some(1000), 1.0));
    assert_eq!(goes(&ones, &retention), [(5, Reason::MaxBytes, 300)]);
}

#[test]
fn nobody_goes_in_vain_for_an_artifact_that_stays() {
    let shared = |nth| One { outputs: vec![(100, 1000)], seconds: 1.0, ..One::new(nth) };
    let ones = [shared(1), shared(2), One { outputs: vec![(3, 50)], ..One::new(3) }];
    let all = retention(|retention| retention.max_bytes = Some(0));
    let (goes, decision) = decided(&ones, &[leased(2)], Vec::new(), EMPTY, &all);
    assert_eq!((goes, decision.shortfall_bytes), (vec![(3, Reason::MaxBytes, 50)], 1000));
    assert_eq!(decision.kept, Kept { leased: 1, ..Kept::default() });
    // Nor for one that somebody was handed and that others are named beside.
    let ones = [One { outputs: vec![(100, 1000), (101, 1000)], seconds: 1.0, ..One::new(1) }, One { outputs: vec![(101, 1000)], ..One::new(2) }];
    let (goes, _) = decided(&ones, &[leased(2), Leased::Artifact(digest(100))], Vec::new(), EMPTY, &all);
    assert_eq!(goes, []);
}

#[test]
fn what_somebody_reads_of_an_entry_that_was_replaced_frees_nothing() {
    let ones = [One::new(1), One::new(2)];
    let of_md = retention(|retention| retention.datasets = vec!["md".to_owned()]);
    let (goes, decision) = decided(&ones, &[Leased::Artifact(digest(1))], Vec::new(), EMPTY, &of_md);
    assert_eq!(goes, [(1, Reason::Scope, 0), (2, Reason::Scope, 100)]);
    assert_eq!(decision.datasets[0].price.bytes, 100);
    let all = retention(|retention| retention.max_bytes = Some(0));
    let (goes, decision) = decided(&ones, &[Leased::Artifact(digest(1))], Vec::new(), EMPTY, &all);
    assert_eq!((goes, decision.shortfall_bytes), (vec![(2, Reason::MaxBytes, 100)], 100));
    // A log of the same bytes is another file, and held as well.
    let ones = [One { outputs: vec![], log: Some((1, 100)), ..One::new(1) }, One { outputs: vec![(1, 100)], ..One::new(2) }];
    assert_eq!(decided(&ones, &[Leased::Artifact(digest(1))], Vec::new(), EMPTY, &all).0, []);
}

/// 10 seconds of its own, and 1000 of what it was derived from.
fn derived(nth: u8, upstream: u8) -> One {
    One { dataset: "sums", seconds: 10.0, upstream: vec![upstream], upstream_seconds: 1000.0, ..One::new(nth) }
}

#[test]
fn what_has_lost_its_upstream_is_worth_making_that_again_too() {
    let plain = One { seconds: 100.0, ..One::new(1) };
    let upstream = One { seconds: 1000.0, ..One::new(3) };
    let one = retention(|retention| (retention.max_bytes, retention.low_water) = (Some(150), 1.0));
    let two = retention(|retention| (retention.max_bytes, retention.low_water) = (Some(250), 1.0));
    assert_eq!(numbers(&goes(&[plain.clone(), derived(2, 3), upstream], &two)), [2]);
    let (goes_without, decision) = decided(&[plain.clone(), derived(2, 3)], &[], Vec::new(), EMPTY, &one);
    assert_eq!(numbers(&goes_without), [1]);
    assert_eq!(decision.datasets[0].price.seconds, 100.0);
    // And costs it.
    let of_sums = retention(|retention| retention.datasets = vec!["sums".to_owned()]);
    let (_, decision) = decided(&[plain, derived(2, 3)], &[], Vec::new(), EMPTY, &of_sums);
    assert_eq!(decision.datasets[0].price.seconds, 1010.0);
}

#[test]
fn what_loses_its_upstream_by_the_same_plan_is_worth_making_that_again_too() {
    let plain = One { seconds: 100.0, ..One::new(1) };
    let upstream = One { seconds: 1.0, ..One::new(3) };
    let ones = [plain, derived(2, 3), upstream];
    let of_bytes = |max| retention(|retention| (retention.max_bytes, retention.low_water) = (Some(max), 1.0));
    let order: Vec<u8> = goes(&ones, &of_bytes(0)).iter().map(|(nth, ..)| *nth).collect();
    assert_eq!(order, [3, 1, 2]);
    assert_eq!(numbers(&goes(&ones, &of_bytes(100))), [1, 3]);
    // Also where another rule takes it.
    let upstream = One { seconds: 1e6, used_ago: 300 * DAY, started_ago: 400 * DAY * 2, ..One::new(3) };
    let ones = [ones[0].clone(), ones[1].clone(), upstream];
    let both = Retention { max_age: Some(Duration::from_secs(u64::from(200 * DAY))), ..of_bytes(100) };
    assert_eq!(goes(&ones, &both), [(3, Reason::MaxAge, 100), (1, Reason::MaxBytes, 100)]);
    // Making it again is paid for once: by the upstream's own price.
    let all = retention(|retention| retention.datasets = vec!["md".to_owned(), "sums".to_owned()]);
    let (_, decision) = decided(&ones, &[], Vec::new(), EMPTY, &all);
    assert_eq!(decision.datasets.iter().map(|of| of.price.seconds).sum::<f64>(), 100.0 + 10.0 + 1e6);
}

#[test]
fn the_last_of_each_instrument_are_kept() {
    let one = |nth, instrument, hour| One { instrument, hours: (hour, hour + 1), ..One::new(nth) };
    let ones = [one(1, "a/X", 1), one(2, "a/X", 5), one(3, "a/X", 3), one(4, "a/Y", 0), one(5, "a/Y", 2), one(6, "a/Z", 9)];
    let keep = |count| retention(|retention| retention.keep_last = Some(count));
    assert_eq!(numbers(&goes(&ones, &keep(1))), [1, 3, 4]);
    assert_eq!(numbers(&goes(&ones, &keep(2))), [1]);
    assert_eq!(numbers(&goes(&ones, &keep(100))), [0; 0]);
    assert_eq!(numbers(&goes(&ones, &keep(0))), [1, 2, 3, 4, 5, 6], "none is none");
    let (_, decision) = decided(&ones, &[], Vec::new(), EMPTY, &keep(1));
    assert_eq!(decision.kept, Kept { last: 3, ..Kept::default() });
    // From every rule.
    for rule in [|retention: &mut Retention| retention.max_bytes = Some(0), |retention: &mut Retention| retention.max_age = Some(Duration::ZERO)] {
        let retention = retention(|retention| {
            rule(retention);
            retention.keep_last = Some(1);
        });
        assert_eq!(numbers(&goes(&ones, &retention)), [1, 3, 4]);
    }
    // Another dataset counts for itself.
    let other = One { dataset: "other", ..one(7, "a/X", 4) };
    assert_eq!(numbers(&goes(&[ones.to_vec(), vec![other]].concat(), &keep(1))), [1, 3, 4]);
}

#[test]
fn of_the_last_only_what_was_superseded_goes_and_only_where_that_was_asked_for() {
    let [old, new] = generations();
    let before = One { nth: 3, hours: (4, 5), outputs: vec![(3, 100)], ..old.clone() };
    let ones = [old, new, before];
    let keep = |superseded| retention(|retention| (retention.keep_last, retention.superseded, retention.max_bytes) = (Some(1), superseded, Some(0)));
    assert_eq!(numbers(&goes(&ones, &keep(false))), [3], "both of the last interval are kept");
    assert_eq!(numbers(&goes(&ones, &keep(true))), [1, 3]);
}

#[test]
fn whatever_holds_an_entry_keeps_it_from_every_rule_and_is_counted_once() {
    let [old, new] = generations();
    let rules: [fn(&mut Retention); 6] = [
        |retention| retention.datasets = vec!["md".to_owned()],
        |retention| retention.superseded = true,
        |retention| retention.max_age = Some(Duration::from_secs(DAY.into())),
        |retention| retention.max_bytes = Some(0),
        |retention| retention.min_free = Some(Free::Bytes(2 << 40)),
        // All at once.
        |retention| {
            retention.superseded = true;
            retention.max_age = Some(Duration::from_secs(DAY.into()));
            retention.max_bytes = Some(0);
            retention.min_free = Some(Free::Bytes(2 << 40));
        },
    ];
    let pin = |nth| Pin::addresses("one", [address(nth)]).unwrap();
    for rule in rules {
        let retention = retention(rule);
        let ones = [old.clone(), new.clone()];
        let all = goes(&ones, &retention).len();
        assert!(all > 0, "{retention:?}");
        let kept = |leases: &[Leased], pins: Vec<Pin>, retention: &Retention, ones: &[One]| {
            let (goes, decision) = decided(ones, leases, pins, EMPTY, retention);
            assert!(goes.iter().all(|(nth, ..)| *nth != 1), "{retention:?}: {goes:?}");
            assert_eq!(goes.len(), all - 1, "{retention:?}: {goes:?}");
            decision.kept
        };
        assert_eq!(kept(&[leased(1)], vec![], &retention, &ones), Kept { leased: 1, ..Kept::default() });
        assert_eq!(kept(&[], vec![pin(1)], &retention, &ones), Kept { pinned: 1, ..Kept::default() });
        assert_eq!(kept(&[leased(1)], vec![pin(1)], &retention, &ones), Kept { leased: 1, ..Kept::default() });
    }
}

#[test]
fn nothing_goes_that_was_made_or_used_within_the_grace_period() {
    let one = |nth, used_ago| One { used_ago, ..One::new(nth) };
    let hour = HOUR + USE_SECONDS;
    let ones = [one(1, 0), one(2, HOUR), one(3, hour - 1), one(4, hour), One { started_ago: 1800, seconds: 60.0, ..one(5, 90 * DAY) }];
    let with_grace = |grace| {
        let retention = Retention { grace, ..retention(|retention| retention.datasets = vec!["md".to_owned()]) };
        let (goes, decision) = decided(&ones, &[], Vec::new(), EMPTY, &retention);
        (numbers(&goes), decision.kept)
    };
    assert_eq!(with_grace(Duration::from_secs(HOUR.into())), (vec![4], Kept { recent: 4, ..Kept::default() }));
    assert_eq!(with_grace(Duration::ZERO).0, [1, 2, 3, 4, 5]);
    // Less than a second is not none.
    assert_eq!(with_grace(Duration::from_millis(1)).0, [2, 3, 4, 5]);
}

#[test]
fn a_pin_keeps_what_its_entries_were_derived_from() {
    let chain = [One::new(1), derived(2, 1), One { dataset: "second", ..derived(3, 2) }, One::new(4), derived(5, 4)];
    let all = retention(|retention| retention.max_bytes = Some(0));
    let pins = vec![Pin::range("second", ["second".to_owned()], [], None, None).unwrap()];
    let (goes, decision) = decided(&chain, &[], pins, EMPTY, &all);
    assert_eq!(numbers(&goes), [4, 5]);
    assert_eq!((decision.kept, decision.shortfall_bytes), (Kept { pinned: 3, ..Kept::default() }, 300));
    // A pin over a time covers what overlaps it.
    let pins = vec![Pin::range("time", [], [], Some(Time::from_ns(4 * HOUR_NS + 1)), Some(Time::from_ns(5 * HOUR_NS))).unwrap()];
    assert_eq!(numbers(&decided(&chain, &[], pins, EMPTY, &all).0), [1, 2, 3, 5]);
}

#[test]
fn entries_without_outputs_go_by_rules_and_never_for_space() {
    let empty = One { outputs: Vec::new(), ..One::new(1) };
    let ones = [empty, One::new(2)];
    for order in [Order::Value, Order::Lru] {
        let all = retention(|retention| (retention.max_bytes, retention.order) = (Some(0), order));
        assert_eq!(goes(&ones, &all), [(2, Reason::MaxBytes, 100)]);
    }
    let of_age = retention(|retention| retention.max_age = Some(Duration::from_secs(DAY.into())));
    assert_eq!(goes(&ones, &of_age), [(1, Reason::MaxAge, 0), (2, Reason::MaxAge, 100)]);
    assert_eq!(goes(&[], &of_age), []);
}

#[test]
fn a_log_of_its_own_is_freed_with_its_entry() {
    let ones = [One { log: Some((50, 70)), ..One::new(1) }, One { log: Some((50, 70)), ..One::new(2) }];
    let of_md = retention(|retention| retention.datasets = vec!["md".to_owned()]);
    let (goes, decision) = decided(&ones, &[], Vec::new(), EMPTY, &of_md);
    assert_eq!((goes, decision.store_bytes), (vec![(1, Reason::Scope, 100), (2, Reason::Scope, 170)], 270));
}
