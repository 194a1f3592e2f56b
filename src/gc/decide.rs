//! Deciding what goes: a pure function of what there is, what holds it, the time, the disk and the retention.
//!
//! # The value of an entry
//! `value = seconds to generate it again × 1 / (1 + hours since its last use) ÷ bytes that its going frees`: how many seconds of work a byte saves, where
//! the longer something was not asked for, the longer it will not be (the chance of another use in the next hour falls about as the inverse of the time
//! since the last one). The least valuable go first. An artifact that n entries share counts as an n-th of its bytes for each. Of a derived entry whose
//! upstream is gone, in the store or by this very plan, making the upstream counts too.
//!
//! # Invariants
//! * Nothing goes that a root holds: not what is leased or pinned, was made or used within the grace period, or is among the last that are kept.
//! * Bytes count as freed when the last name of their artifact goes and nobody has been handed it.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::plan::{DatasetPrice, Kept, Price, Reason, Victim};
use crate::address::Address;
use crate::instrument::Instrument;
use crate::interval::Time;
use crate::parallel;
use crate::retention::{Order, Retention};
use crate::store::{Inventory, Item, Roots, Seconds};

/// How large the store's disk is, and how much of it is free for us, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) bytes: u64,
    pub(super) free_bytes: u64,
}

/// How many entries are put in order at a time, by several threads.
const SORTED_TOGETHER: usize = 1 << 16;

/// What was decided.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// In the order in which they go.
    pub(super) victims: Vec<Victim>,
    pub(super) datasets: Vec<DatasetPrice>,
    pub(super) kept: Kept,
    pub(super) store_bytes: u64,
    pub(super) shortfall_bytes: u64,
    pub(super) over_a_mark: bool,
}

/// Decides which entries go.
pub(super) fn decide(inventory: &Inventory, roots: &Roots, now: Time, disk: Disk, retention: &Retention) -> Decision {
    Deciding::new(inventory, roots, Seconds::of(now), retention).decide(disk)
}

/// What keeps an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    Leased,
    Pinned,
    Recent,
    Last,
}

impl Kept {
    fn count(&mut self, protection: Protection) {
        let count = match protection {
            Protection::Leased => &mut self.leased,
            Protection::Pinned => &mut self.pinned,
            Protection::Recent => &mut self.recent,
            Protection::Last => &mut self.last,
        };
        *count += 1;
    }

    fn add(&mut self, other: Kept) {
        self.leased += other.leased;
        self.pinned += other.pinned;
        self.recent += other.recent;
        self.last += other.last;
    }
}

struct Deciding<'a> {
    inventory: &'a Inventory,
    roots: &'a Roots,
    now: Seconds,
    retention: &'a Retention,
    /// Of each place: whether it is in the scope, and the number of its dataset and instrument.
    places: Vec<(bool, u32)>,
    /// The earliest start that is among the last of a dataset and instrument.
    last_from: HashMap<u32, Time>,
    superseded: HashSet<u32>,
    /// How many entries that stay name each artifact.
    names: Vec<u32>,
    /// The entries that go, by their places.
    goes: Vec<bool>,
    /// Those that stay, and are counted for it.
    counted: Vec<bool>,
    victims: Vec<Victim>,
    freed: u64,
    kept: Kept,
}

impl<'a> Deciding<'a> {
    fn new(inventory: &'a Inventory, roots: &'a Roots, now: Seconds, retention: &'a Retention) -> Self {
        let mut groups: HashMap<(&Arc<str>, &Instrument), u32> = HashMap::new();
        let places = inventory.places().iter().map(|place| {
            let next = groups.len() as u32;
            let group = *groups.entry((&place.dataset, &place.instrument)).or_insert(next);
            (retention.concerns(&place.dataset, &place.instrument), group)
        });
        let places = places.collect();
        Self {
            inventory,
            roots,
            now,
            retention,
            places,
            last_from: HashMap::new(),
            superseded: HashSet::new(),
            names: inventory.artifacts().iter().map(|artifact| artifact.names).collect(),
            goes: vec![false; inventory.items_len()],
            counted: vec![false; inventory.items_len()],
            victims: Vec::new(),
            freed: 0,
            kept: Kept::default(),
        }
    }

    fn decide(mut self, disk: Disk) -> Decision {
        let store_bytes = self.inventory.artifacts().iter().filter(|artifact| artifact.names > 0).map(|artifact| artifact.bytes).sum::<u64>();
        let too_full = self.retention.min_free.is_some_and(|free| disk.free_bytes < free.of(disk.bytes));
        let over_a_mark = too_full || self.retention.max_bytes.is_some_and(|max| store_bytes > max);
        if self.retention.superseded {
            self.find_superseded();
        }
        if let Some(count) = self.retention.keep_last {
            self.find_last(count);
        }
        self.follow_rules();
        let wanted = self.wanted_bytes(store_bytes, disk);
        let shortfall_bytes = self.make_room(wanted);
        let datasets = self.price();
        Decision { victims: self.victims, datasets, kept: self.kept, store_bytes, shortfall_bytes, over_a_mark }
    }

    fn group(&self, item: &Item) -> u32 {
        self.places[self.inventory.place_number(item) as usize].1
    }

    fn is_in_scope(&self, nth: u32) -> bool {
        let item = self.inventory.item(nth);
        item.is_there() && self.places[self.inventory.place_number(item) as usize].0
    }

    fn in_scope(&self) -> Vec<u32> {
        self.inventory.there().filter(|nth| self.is_in_scope(*nth)).collect()
    }

    /// Of each dataset, instrument and interval: those that were not used since a later one was made.
    fn find_superseded(&mut self) {
        let mut entries = self.in_scope();
        let place_of = |nth: u32| {
            let item = self.inventory.item(nth);
            (self.group(item), item.start, item.end)
        };
        entries.sort_unstable_by_key(|nth| (place_of(*nth), Reverse(self.inventory.item(*nth).started)));
        let mut superseded = HashSet::new();
        let started = |nth: u32| self.inventory.item(nth).started;
        for same in entries.chunk_by(|left, right| place_of(*left) == place_of(*right)) {
            // The newest come first; any before those that were started together may have superseded them.
            let mut newest_made = Seconds::default();
            for together in same.chunk_by(|left, right| started(*left) == started(*right)) {
                superseded.extend(together.iter().filter(|nth| self.inventory.item(**nth).used < newest_made));
                newest_made = together.iter().map(|nth| self.inventory.item(*nth).made()).fold(newest_made, Seconds::max);
            }
        }
        self.superseded = superseded;
    }

    /// Of each dataset and instrument: from when on its intervals are among the last so many.
    fn find_last(&mut self, count: usize) {
        let mut starts: HashMap<u32, Vec<Time>> = HashMap::new();
        for nth in self.in_scope() {
            let item = self.inventory.item(nth);
            starts.entry(self.group(item)).or_default().push(item.start);
        }
        for (group, mut starts) in starts {
            starts.sort_unstable_by_key(|start| Reverse(*start));
            starts.dedup();
            if let Some(from) = starts.get(..count).unwrap_or(&starts).last() {
                self.last_from.insert(group, *from);
            }
        }
    }

    fn protection(&self, nth: u32) -> Option<Protection> {
        let item = self.inventory.item(nth);
        let grace = self.retention.grace_seconds();
        if self.roots.is_leased(nth) {
            Some(Protection::Leased)
        } else if self.roots.is_pinned(nth) {
            Some(Protection::Pinned)
        } else if grace > 0 && item.idle_seconds_min(self.now) < grace {
            Some(Protection::Recent)
        } else if self.last_from.get(&self.group(item)).is_some_and(|from| item.start >= *from) && !self.superseded.contains(&nth) {
            Some(Protection::Last)
        } else {
            None
        }
    }

    /// Takes what rules name that concern single entries.
    fn follow_rules(&mut self) {
        let retention = self.retention;
        let all = retention.takes_all_in_scope();
        if !all && retention.max_age.is_none() && self.superseded.is_empty() {
            return;
        }
        for nth in self.in_scope() {
            let item = self.inventory.item(nth);
            let reason = match () {
                () if all => Reason::Scope,
                () if self.superseded.contains(&nth) => Reason::Superseded,
                () if retention.max_age.is_some_and(|age| item.idle_seconds_min(self.now) > age.as_secs()) => Reason::MaxAge,
                () => continue,
            };
            match self.protection(nth) {
                Some(protection) => {
                    self.kept.count(protection);
                    self.counted[nth as usize] = true;
                }
                None => self.take(nth, reason),
            }
        }
    }

    fn take(&mut self, nth: u32, reason: Reason) {
        let mut bytes_freed = 0;
        for artifact in self.inventory.named_by(self.inventory.item(nth)) {
            let names = &mut self.names[*artifact as usize];
            *names -= 1;
            if *names == 0 && !self.roots.is_artifact_leased(*artifact) {
                bytes_freed += self.inventory.artifact(*artifact).bytes;
            }
        }
        self.freed += bytes_freed;
        self.goes[nth as usize] = true;
        self.victims.push(Victim { nth, reason, bytes_freed });
    }

    /// How many bytes are to be freed beyond what rules take: for the size of the store, and for the disk.
    fn wanted_bytes(&self, store_bytes: u64, disk: Disk) -> (u64, u64) {
        let left = store_bytes - self.freed.min(store_bytes);
        let over = |max: u64| if left > max { left - self.retention.low_water_bytes().unwrap_or(max).min(left) } else { 0 };
        let for_size = self.retention.max_bytes.map_or(0, over);
        let for_disk = self.retention.min_free.map_or(0, |free| free.of(disk.bytes).saturating_sub(disk.free_bytes.saturating_add(self.freed)));
        (for_size, for_disk)
    }

    /// Takes the least valuable entries until so much is freed. Gives back how much is missing from it.
    fn make_room(&mut self, (for_size, for_disk): (u64, u64)) -> u64 {
        let wanted = for_size.max(for_disk);
        if wanted == 0 {
            return 0;
        }
        let length = u32::try_from(self.inventory.items_len()).expect("there are fewer than four billion entries");
        let ranges: Vec<Range<u32>> = (0..length).step_by(SORTED_TOGETHER).map(|from| from..length.min(from + SORTED_TOGETHER as u32)).collect();
        let (runs, kept): (Vec<_>, Vec<_>) =
            parallel::map(parallel::machine_parallelism(), &ranges, |range| self.candidates(range.clone())).into_iter().unzip();
        let mut runs: Vec<_> = runs.into_iter().map(Vec::into_iter).collect();
        // The least of each run, and those whose worth has risen.
        let mut least: BinaryHeap<Reverse<(Candidate, Option<usize>)>> = BinaryHeap::new();
        least.extend(runs.iter_mut().enumerate().filter_map(|(run, candidates)| Some(Reverse((candidates.next()?, Some(run))))));
        let (first, before) = (self.victims.len(), self.freed);
        while self.freed - before < wanted
            && let Some(Reverse((candidate, run))) = least.pop()
        {
            if let Some(run) = run
                && let Some(next) = runs[run].next()
            {
                least.push(Reverse((next, Some(run))));
            }
            let is_derived = self.inventory.upstream(candidate.nth).is_some();
            let now = if is_derived { self.candidate(candidate.nth) } else { candidate };
            if now.worth > candidate.worth {
                // Its upstream goes, too.
                least.push(Reverse((now, None)));
            } else if now.worth.is_finite() {
                let for_what = if self.freed - before < for_size { Reason::MaxBytes } else { Reason::MinFree };
                self.take(candidate.nth, for_what);
            }
        }
        self.spare_those_in_vain(first);
        let shortfall = wanted.saturating_sub(self.freed - before);
        if shortfall > 0 {
            kept.into_iter().for_each(|kept| self.kept.add(kept));
        }
        shortfall
    }

    /// Those of a range of entries that may go, in order, and what keeps the others in the scope.
    fn candidates(&self, range: Range<u32>) -> (Vec<Candidate>, Kept) {
        let mut candidates = Vec::new();
        let mut kept = Kept::default();
        for nth in range.filter(|nth| self.is_in_scope(*nth) && !self.goes[*nth as usize]) {
            match self.protection(nth) {
                // Once is enough, where another rule would have taken it.
                Some(protection) if !self.counted[nth as usize] => kept.count(protection),
                Some(_) => {}
                None => candidates.push(self.candidate(nth)),
            }
        }
        candidates.sort_unstable();
        (candidates, kept)
    }

    /// What shares all of its artifacts with entries that stay, or with who was handed them, would go for nothing.
    fn spare_those_in_vain(&mut self, first: usize) {
        for place in (first..self.victims.len()).rev() {
            let nth = self.victims[place].nth;
            let named = self.inventory.named_by(self.inventory.item(nth));
            let frees_nothing = |artifact: &u32| self.names[*artifact as usize] > 0 || self.roots.is_artifact_leased(*artifact);
            if named.iter().all(frees_nothing) {
                named.iter().for_each(|artifact| self.names[*artifact as usize] += 1);
                self.goes[nth as usize] = false;
            }
        }
        let goes = &self.goes;
        self.victims.retain(|victim| goes[victim.nth as usize]);
    }

    fn candidate(&self, nth: u32) -> Candidate {
        let item = self.inventory.item(nth);
        let worth = match self.retention.order {
            Order::Value => value(self.inventory, nth, self.now, &|address| self.inventory.find(address).is_none_or(|of| self.goes[of as usize])),
            Order::Lru => f64::from(item.used.0),
        };
        // Without anything to free it goes for nothing.
        let frees = self.inventory.named_by(item).iter().any(|artifact| !self.roots.is_artifact_leased(*artifact));
        Candidate { worth: if frees { worth } else { f64::INFINITY }, used: item.used, address: item.address, nth }
    }

    /// Sums up what goes by dataset.
    fn price(&self) -> Vec<DatasetPrice> {
        let mut prices: BTreeMap<&Arc<str>, Price> = BTreeMap::new();
        for victim in &self.victims {
            let item = self.inventory.item(victim.nth);
            let price = prices.entry(&self.inventory.place(item).dataset).or_default();
            price.entries += 1;
            price.bytes += victim.bytes_freed;
            price.seconds += seconds_again(self.inventory, victim.nth, &|address| self.inventory.find(address).is_none());
        }
        prices.into_iter().map(|(dataset, price)| DatasetPrice { dataset: Arc::clone(dataset), price }).collect()
    }
}

/// How long generating an entry again would take, with its upstream where any of that is gone.
pub(super) fn seconds_again(inventory: &Inventory, nth: u32, is_gone: &dyn Fn(&Address) -> bool) -> f64 {
    let own = f64::from(inventory.item(nth).seconds);
    let upstream = inventory.upstream(nth).filter(|upstream| upstream.addresses.iter().any(is_gone));
    own + upstream.map_or(0.0, |upstream| f64::from(upstream.seconds))
}

/// The value of an entry, see above.
pub(super) fn value(inventory: &Inventory, nth: u32, now: Seconds, is_gone: &dyn Fn(&Address) -> bool) -> f64 {
    let item = inventory.item(nth);
    let idle_hours = f64::from(now.0.saturating_sub(item.used.0)) / 3600.0;
    let share = |artifact: &u32| {
        let artifact = inventory.artifact(*artifact);
        artifact.bytes as f64 / f64::from(artifact.names.max(1))
    };
    let bytes: f64 = inventory.named_by(item).iter().map(share).sum();
    if bytes > 0.0 { seconds_again(inventory, nth, is_gone) / (1.0 + idle_hours) / bytes } else { f64::INFINITY }
}

/// An entry that may go, in the order in which that should be.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    worth: f64,
    used: Seconds,
    /// So that the order is the same however the inventory was made.
    address: Address,
    nth: u32,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.worth.total_cmp(&other.worth).then(self.used.cmp(&other.used)).then(self.address.cmp(&other.address))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests;
