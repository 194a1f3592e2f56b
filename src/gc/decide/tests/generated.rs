//! What holds of every plan, whatever is in the store and whatever was asked for: compared with the plainest way to say it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

/// Everything that a plan follows from.
#[derive(Debug, Clone)]
struct Case {
    ones: Vec<One>,
    leased: BTreeSet<u8>,
    leased_artifacts: BTreeSet<u8>,
    pinned: BTreeSet<u8>,
    disk: Disk,
    retention: Retention,
}

/// Sizes by number: none is nothing, and sums tell which are in them.
fn bytes_of(artifact: u8) -> u64 {
    10 + (1 << artifact)
}

fn one(nth: u8) -> impl Strategy<Value = One> {
    let place = (prop_oneof![Just("md"), Just("sums")], prop_oneof![Just("a/X"), Just("a/Y")], 0u8..3, 0i64..4, 1i64..3);
    let times = (0u32..20, 0u32..20, 0u8..120);
    let artifacts = (subsequence((0u8..8).collect::<Vec<_>>(), 0..4), prop::option::weighted(0.2, 0u8..8));
    // Also of what is not there.
    let upstream = (prop::collection::vec(0u8..16, 0..2), 0u16..500);
    (place, times, artifacts, upstream).prop_map(move |(place, (started, used, seconds), (outputs, log), (upstream, upstream_seconds))| {
        let (dataset, instrument, generator, start, length) = place;
        One {
            nth,
            dataset,
            instrument,
            generator,
            hours: (start, start + length),
            started_ago: started * 1000,
            used_ago: used * 1000,
            seconds: seconds.into(),
            outputs: outputs.into_iter().map(|of| (of, bytes_of(of))).collect(),
            log: log.map(|of| (of, bytes_of(of))),
            upstream,
            upstream_seconds: upstream_seconds.into(),
        }
    })
}

fn retentions() -> impl Strategy<Value = Retention> {
    let scope = (prop::option::weighted(0.3, Just("md".to_owned())), prop::option::weighted(0.3, Just("a/X")));
    let space = (prop::option::of(0u64..1200), prop_oneof![Just(0.9), Just(1.0), 0.01f64..1.0], prop::option::weighted(0.4, 0u64..1500));
    let rules = (prop::option::weighted(0.4, 0u64..20_000), any::<bool>(), prop::option::weighted(0.3, 0usize..3));
    let rest = (prop_oneof![2 => Just(0u64), 1 => 0u64..10_000], any::<bool>());
    (scope, space, rules, rest).prop_map(
        |((dataset, instrument), (max_bytes, low_water, min_free), (max_age, superseded, keep_last), (grace, lru))| Retention {
            datasets: dataset.into_iter().collect(),
            instruments: instrument.into_iter().map(|text| text.parse().unwrap()).collect(),
            max_bytes,
            low_water,
            min_free: min_free.map(Free::Bytes),
            max_age: max_age.map(Duration::from_secs),
            superseded,
            keep_last,
            grace: Duration::from_secs(grace),
            order: if lru { Order::Lru } else { Order::Value },
            ..Retention::default()
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let ones = (0usize..12).prop_flat_map(|count| (0..count as u8).map(one).collect::<Vec<_>>());
    let held = || prop::collection::btree_set(0u8..14, 0..3);
    (ones, held(), prop::collection::btree_set(0u8..8, 0..2), held(), 0u64..1500, retentions()).prop_map(
        |(ones, leased, leased_artifacts, pinned, free_bytes, retention)| {
            let disk = Disk { bytes: 10_000, free_bytes };
            Case { ones, leased, leased_artifacts, pinned, disk, retention }
        },
    )
}

impl Case {
    fn decided(&self) -> (Goes, Decision) {
        let leased: Vec<Leased> =
            self.leased.iter().map(|nth| leased(*nth)).chain(self.leased_artifacts.iter().map(|of| Leased::Artifact(digest(*of)))).collect();
        let pins =
            if self.pinned.is_empty() { Vec::new() } else { vec![Pin::addresses("some", self.pinned.iter().map(|nth| address(*nth))).unwrap()] };
        decided(&self.ones, &leased, pins, self.disk, &self.retention)
    }

    fn in_scope(&self, one: &One) -> bool {
        let Retention { datasets, instruments, .. } = &self.retention;
        (datasets.is_empty() || datasets.iter().any(|name| name == one.dataset))
            && (instruments.is_empty() || instruments.iter().any(|instrument| instrument.to_string() == one.instrument))
    }

    fn made(&self, one: &One) -> u32 {
        NOW - one.started_ago + one.seconds as u32
    }

    fn used(&self, one: &One) -> u32 {
        self.made(one).max(NOW - one.used_ago)
    }

    fn is_superseded(&self, one: &One) -> bool {
        let place = |one: &One| (one.dataset, one.instrument, one.hours);
        let supersedes = |other: &One| place(other) == place(one) && other.started_ago < one.started_ago && self.used(one) < self.made(other);
        self.retention.superseded && self.in_scope(one) && self.ones.iter().any(supersedes)
    }

    /// What keeps an entry.
    fn protection(&self, one: &One) -> Option<&'static str> {
        let mut pinned = self.pinned.clone();
        for _ in &self.ones {
            let upstream = self.ones.iter().filter(|one| pinned.contains(&one.nth)).flat_map(|one| one.upstream.clone()).collect::<Vec<_>>();
            pinned.extend(upstream);
        }
        let grace = self.retention.grace.as_secs();
        let idle = u64::from(NOW.saturating_sub(self.used(one)).saturating_sub(USE_SECONDS));
        let place = |one: &One| (one.dataset, one.instrument);
        let starts: BTreeSet<i64> = self.ones.iter().filter(|other| place(other) == place(one)).map(|other| other.hours.0).collect();
        let last: Vec<i64> = starts.into_iter().rev().take(self.retention.keep_last.unwrap_or(0)).collect();
        match () {
            () if self.leased.contains(&one.nth) => Some("leased"),
            () if pinned.contains(&one.nth) => Some("pinned"),
            () if grace > 0 && idle < grace => Some("recent"),
            () if last.contains(&one.hours.0) && !self.is_superseded(one) => Some("last"),
            () => None,
        }
    }

    /// Why a rule that concerns single entries would take one.
    fn reason(&self, one: &One) -> Option<Reason> {
        let Retention { max_bytes, min_free, max_age, superseded, datasets, instruments, keep_last, .. } = &self.retention;
        let no_rule = max_bytes.is_none() && min_free.is_none() && max_age.is_none() && !superseded;
        let idle = u64::from(NOW.saturating_sub(self.used(one)).saturating_sub(USE_SECONDS));
        match () {
            () if !self.in_scope(one) => None,
            () if no_rule => (!datasets.is_empty() || !instruments.is_empty() || keep_last.is_some()).then_some(Reason::Scope),
            () if self.is_superseded(one) => Some(Reason::Superseded),
            () if max_age.is_some_and(|age| idle > age.as_secs()) => Some(Reason::MaxAge),
            () => None,
        }
    }

    /// How many bytes go with some entries: of the artifacts that nothing else names and nobody was handed.
    fn recount(&self, gone: &BTreeSet<u8>) -> u64 {
        let mut names: BTreeMap<(u8, bool), (u64, bool)> = BTreeMap::new();
        for one in &self.ones {
            let outputs = one.outputs.iter().map(|output| (*output, false));
            for ((of, bytes), is_log) in outputs.chain(one.log.map(|log| (log, true))) {
                let (_, free) = names.entry((of, is_log)).or_insert((bytes, true));
                *free &= gone.contains(&one.nth) && !self.leased_artifacts.contains(&of);
            }
        }
        names.into_values().filter(|(_, free)| *free).map(|(bytes, _)| bytes).sum()
    }

    fn store_bytes(&self) -> u64 {
        let all = Case { leased_artifacts: BTreeSet::new(), ..self.clone() };
        all.recount(&self.ones.iter().map(|one| one.nth).collect())
    }

    fn of(&self, nth: u8) -> &One {
        self.ones.iter().find(|one| one.nth == nth).unwrap()
    }
}

/// Of what goes: all of it, and the part that goes by rules.
fn parts(goes: &Goes) -> (BTreeSet<u8>, BTreeSet<u8>) {
    let by_rule = goes.iter().filter(|(_, reason, _)| !matches!(reason, Reason::MaxBytes | Reason::MinFree));
    (goes.iter().map(|(nth, ..)| *nth).collect(), by_rule.map(|(nth, ..)| *nth).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn nothing_that_is_held_or_beside_the_scope_goes(case in cases()) {
        let (goes, _) = case.decided();
        for (nth, ..) in &goes {
            prop_assert!(case.in_scope(case.of(*nth)));
            prop_assert_eq!(case.protection(case.of(*nth)), None);
        }
        prop_assert_eq!(parts(&goes).0.len(), goes.len(), "each goes once");
    }

    #[test]
    fn every_rule_takes_what_it_says_and_nothing_else(case in cases()) {
        let (goes, _) = case.decided();
        let by_rule: BTreeMap<u8, Reason> = goes.iter().filter(|(_, reason, _)| !matches!(reason, Reason::MaxBytes | Reason::MinFree)).map(|(nth, reason, _)| (*nth, *reason)).collect();
        let expected: BTreeMap<u8, Reason> =
            case.ones.iter().filter(|one| case.protection(one).is_none()).filter_map(|one| Some((one.nth, case.reason(one)?))).collect();
        prop_assert_eq!(by_rule, expected);
    }

    #[test]
    fn the_bytes_of_a_plan_are_those_that_a_recount_finds(case in cases()) {
        let (goes, decision) = case.decided();
        let freed: u64 = goes.iter().map(|(.., bytes)| bytes).sum();
        prop_assert_eq!(freed, case.recount(&parts(&goes).0));
        prop_assert_eq!(decision.store_bytes, case.store_bytes());
        prop_assert_eq!(decision.datasets.iter().map(|of| of.price.bytes).sum::<u64>(), freed);
        for of in &decision.datasets {
            let victims: Vec<&One> = goes.iter().map(|(nth, ..)| case.of(*nth)).filter(|one| one.dataset == &*of.dataset).collect();
            prop_assert_eq!(of.price.entries, victims.len());
            let is_there = |nth: &u8| case.ones.iter().any(|one| one.nth == *nth);
            let again = |one: &&One| f64::from(one.seconds) + if one.upstream.iter().all(is_there) { 0.0 } else { f64::from(one.upstream_seconds) };
            prop_assert!((of.price.seconds - victims.iter().map(again).sum::<f64>()).abs() < 1e-6);
        }
        prop_assert_eq!(decision.datasets.iter().map(|of| of.price.entries).sum::<usize>(), goes.len());
    }

    /// After a plan there is as much space as was asked for, or it says how much is missing, and nothing more could be freed.
    #[test]
    fn a_plan_makes_the_space_it_was_asked_for_or_says_what_is_missing(case in cases()) {
        let (goes, decision) = case.decided();
        let (all, by_rule) = parts(&goes);
        let (freed_by_rules, freed) = (case.recount(&by_rule), case.recount(&all));
        let Retention { max_bytes, min_free, low_water, .. } = &case.retention;
        let too_large = max_bytes.filter(|max| case.store_bytes() - freed_by_rules > *max);
        let for_size = too_large.map_or(0, |max| (case.store_bytes() - freed).saturating_sub((max as f64 * low_water) as u64));
        let for_disk = min_free.map_or(0, |free| free.of(case.disk.bytes).saturating_sub(case.disk.free_bytes + freed));
        prop_assert_eq!(decision.shortfall_bytes, for_size.max(for_disk));
        if let (Some(max), 0) = (*max_bytes, decision.shortfall_bytes) {
            prop_assert!(case.store_bytes() - freed <= max);
        }
        if decision.shortfall_bytes > 0 {
            let rest = case.ones.iter().filter(|one| case.in_scope(one) && case.protection(one).is_none()).map(|one| one.nth);
            let everything: BTreeSet<u8> = all.iter().copied().chain(rest).collect();
            prop_assert_eq!(case.recount(&everything), freed, "more could have been freed");
        }
    }

    /// The last that goes for space was needed, and none goes for nothing.
    #[test]
    fn no_more_goes_for_space_than_has_to(case in cases()) {
        let (goes, _) = case.decided();
        let (all, by_rule) = parts(&goes);
        let Some((last, reason, bytes)) = goes.last().filter(|_| all.len() > by_rule.len()) else { return Ok(()) };
        prop_assert!(matches!(reason, Reason::MaxBytes | Reason::MinFree), "rules come first");
        prop_assert!(*bytes > 0);
        let without: BTreeSet<u8> = all.iter().copied().filter(|nth| nth != last).collect();
        let Retention { max_bytes, min_free, low_water, .. } = &case.retention;
        let too_large = max_bytes.is_some_and(|max| case.store_bytes() - case.recount(&by_rule) > max);
        let size_wants = too_large && case.store_bytes() - case.recount(&without) > (max_bytes.unwrap() as f64 * low_water) as u64;
        let disk_wants = min_free.is_some_and(|free| free.of(case.disk.bytes) > case.disk.free_bytes + case.recount(&without));
        prop_assert!(size_wants || disk_wants);
        for (nth, ..) in goes.iter().filter(|(nth, ..)| !by_rule.contains(nth)) {
            let one = case.of(*nth);
            let freed = |of: u8, is_log: bool| {
                let names = |other: &One| if is_log { other.log.is_some_and(|(log, _)| log == of) } else { other.outputs.iter().any(|(output, _)| *output == of) };
                !case.leased_artifacts.contains(&of) && case.ones.iter().filter(|other| names(other)).all(|other| all.contains(&other.nth))
            };
            prop_assert!(one.outputs.iter().any(|(of, _)| freed(*of, false)) || one.log.is_some_and(|(of, _)| freed(of, true)), "{} goes in vain", nth);
        }
    }

    #[test]
    fn what_keeps_entries_is_counted_once_an_entry(case in cases()) {
        let (_, decision) = case.decided();
        let mut expected = Kept::default();
        for one in case.ones.iter().filter(|one| case.in_scope(one)) {
            if case.reason(one).is_none() && decision.shortfall_bytes == 0 {
                continue;
            }
            match case.protection(one) {
                Some("leased") => expected.leased += 1,
                Some("pinned") => expected.pinned += 1,
                Some("recent") => expected.recent += 1,
                Some(_) => expected.last += 1,
                None => {}
            }
        }
        prop_assert_eq!(decision.kept, expected);
    }

    /// A journal that was written anew tells the same in another order.
    #[test]
    fn the_same_goes_in_whatever_order_entries_were_found(case in cases(), by in any::<u64>()) {
        let (goes, decision) = case.decided();
        let mut shuffled = case;
        shuffled.ones.sort_by_key(|one| u64::from(one.nth + 1).wrapping_mul(by | 1).rotate_left(17));
        let (goes_then, decision_then) = shuffled.decided();
        prop_assert_eq!(parts(&goes), parts(&goes_then));
        prop_assert_eq!((decision.kept, decision.shortfall_bytes, decision.store_bytes), (decision_then.kept, decision_then.shortfall_bytes, decision_then.store_bytes));
        let space = |goes: &Goes| goes.iter().filter(|(_, reason, _)| matches!(reason, Reason::MaxBytes | Reason::MinFree)).copied().collect::<Vec<_>>();
        prop_assert_eq!(space(&goes), space(&goes_then));
    }

    /// Where nothing is shared or derived, what goes for space is the beginning of a list in order of value.
    #[test]
    fn space_is_made_of_the_least_valuable(case in cases()) {
        let mut case = case;
        for one in &mut case.ones {
            (one.outputs, one.log, one.upstream) = (vec![(100 + one.nth, 10 + u64::from(one.nth % 5) * 10)], None, Vec::new());
        }
        let (goes, _) = case.decided();
        let (all, by_rule) = parts(&goes);
        let worth = |one: &One| match case.retention.order {
            Order::Value => f64::from(one.seconds) / (1.0 + f64::from(NOW.saturating_sub(case.used(one))) / 3600.0) / one.outputs[0].1 as f64,
            Order::Lru => f64::from(case.used(one)),
        };
        let in_order: Vec<f64> = goes.iter().filter(|(nth, ..)| !by_rule.contains(nth)).map(|(nth, ..)| worth(case.of(*nth))).collect();
        prop_assert!(in_order.is_sorted());
        let left = case.ones.iter().filter(|one| case.in_scope(one) && case.protection(one).is_none() && !all.contains(&one.nth));
        for one in left {
            prop_assert!(in_order.last().is_none_or(|last| *last <= worth(one)));
        }
    }
}
