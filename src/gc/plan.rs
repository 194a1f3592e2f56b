//! A plan: what would go, what that frees, and what it would take to make it again.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::address::Address;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::retention::Retention;
use crate::store::{Inventory, Seconds, Store};

use super::decide::{seconds_again, value};

/// What is to be collected from a store: a value that can be looked at, priced and printed. [`sweep`](super::sweep) carries it out.
///
/// A plan may be as old as it likes: what was used, pinned or made anew since is left alone when it is carried out.
#[derive(Debug)]
pub struct GcPlan {
    pub(super) store: Store,
    pub(super) retention: Retention,
    pub(super) at: Time,
    pub(super) inventory: Inventory,
    /// In the order in which they go.
    pub(super) victims: Vec<Victim>,
    pub(super) datasets: Vec<DatasetPrice>,
    pub(super) failures: Vec<GcFailure>,
    pub(super) leftovers: Vec<GcLeftover>,
    pub(super) kept: Kept,
    pub(super) held_by: usize,
    pub(super) store_bytes: u64,
    pub(super) shortfall_bytes: u64,
    pub(super) over_a_mark: bool,
}

/// An entry that goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Victim {
    /// Its place in the inventory.
    pub(super) nth: u32,
    pub(super) reason: Reason,
    pub(super) bytes_freed: u64,
}

/// What something costs: what it frees, and what making it again would take.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Price {
    /// How many entries.
    pub entries: usize,
    /// How many bytes are really freed: an artifact that entries share frees nothing until the last of them goes.
    pub bytes: u64,
    /// How long generating them again would take one worker, in seconds, with the upstream of those that have lost it.
    pub seconds: f64,
}

/// The price of what goes of one dataset.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DatasetPrice {
    /// The dataset's name when its entries were generated.
    pub dataset: Arc<str>,
    /// What goes of it.
    pub price: Price,
}

/// Why an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is in the scope, and no rule was given.
    Scope,
    /// A later one has superseded it.
    Superseded,
    /// It was not used for too long.
    MaxAge,
    /// It is among the least valuable, and the store is too large.
    MaxBytes,
    /// It is among the least valuable, and the disk is too full.
    MinFree,
}

impl Reason {
    /// The reason as one word, as flags spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Scope => "scope",
            Reason::Superseded => "superseded",
            Reason::MaxAge => "max-age",
            Reason::MaxBytes => "max-bytes",
            Reason::MinFree => "min-free",
        }
    }
}

/// An entry that goes, in full.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GcEntry {
    /// Its address.
    pub address: Address,
    /// The dataset's name when it was generated.
    pub dataset: Arc<str>,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// How many bytes its artifacts have.
    pub bytes: u64,
    /// How many of them its going frees, after all that goes before it.
    pub bytes_freed: u64,
    /// How long its generator ran, in seconds, with its upstream where that is gone.
    pub seconds: f64,
    /// When it was last used, as far as is known: to ten minutes, and not before it was made.
    pub last_used: Time,
    /// What it is worth: seconds to generate it again × recency of use ÷ bytes freed, where what went before it in the plan is gone. Infinite where it
    /// frees nothing.
    pub value: f64,
    /// Why it goes.
    pub reason: Reason,
}

/// A record of a failure that goes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GcFailure {
    /// The address that failed.
    pub address: Address,
    /// The dataset.
    pub dataset: String,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// When it last failed.
    pub last: Time,
    /// How large its record is.
    pub bytes: u64,
}

/// Something that lies about, and goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcLeftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// The file or directory.
    pub path: PathBuf,
    /// How many bytes it frees.
    pub bytes: u64,
}

/// What lies about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LeftoverKind {
    /// An artifact that no entry names.
    Orphan,
    /// The work directory of a process that is gone.
    Work,
    /// The claim of a process that is gone.
    Claim,
    /// What a process that is gone was writing.
    Draft,
    /// A kept program that no running process uses.
    Program,
    /// An artifact that entries named which were replaced or removed since.
    Replaced,
    /// What a collector was removing when it ended.
    Trash,
    /// What the journal says of entries that are no more.
    Journal,
}

impl LeftoverKind {
    /// The kind as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            LeftoverKind::Orphan => "orphan",
            LeftoverKind::Work => "work",
            LeftoverKind::Claim => "claim",
            LeftoverKind::Draft => "draft",
            LeftoverKind::Program => "program",
            LeftoverKind::Replaced => "replaced",
            LeftoverKind::Trash => "trash",
            LeftoverKind::Journal => "journal",
        }
    }
}

/// How many entries a rule would have taken, and what kept them. Each counts once, by the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Kept {
    /// A running program has loaded them.
    pub leased: usize,
    /// A pin covers them, or what is derived from them.
    pub pinned: usize,
    /// They were made or used within the grace period.
    pub recent: usize,
    /// They are among the last of their instrument.
    pub last: usize,
}

impl Kept {
    /// All of them.
    pub fn total(&self) -> usize {
        self.leased + self.pinned + self.recent + self.last
    }
}

impl GcPlan {
    /// Whether nothing goes.
    pub fn is_empty(&self) -> bool {
        self.victims.is_empty() && self.failures.is_empty() && self.leftovers.is_empty()
    }

    /// What it was made for.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// When it was made.
    pub fn at(&self) -> Time {
        self.at
    }

    /// The price of all entries that go.
    pub fn price(&self) -> Price {
        self.datasets.iter().fold(Price::default(), |sum, DatasetPrice { price, .. }| Price {
            entries: sum.entries + price.entries,
            bytes: sum.bytes + price.bytes,
            seconds: sum.seconds + price.seconds,
        })
    }

    /// The same by dataset, in order of their names.
    pub fn by_dataset(&self) -> &[DatasetPrice] {
        &self.datasets
    }

    /// The records of failures that go, in order of dataset, instrument and time.
    pub fn failures(&self) -> &[GcFailure] {
        &self.failures
    }

    /// What lies about and goes, in order of its paths.
    pub fn leftovers(&self) -> &[GcLeftover] {
        &self.leftovers
    }

    /// What rules would have taken, and something keeps.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// The entries that go, in that order: by rule, then, where space is wanted, the least valuable first.
    pub fn entries(&self) -> impl Iterator<Item = GcEntry> + '_ {
        let inventory = &self.inventory;
        let mut before = HashSet::new();
        self.victims.iter().filter_map(move |victim| {
            let item = inventory.item(victim.nth);
            let place = inventory.place(item);
            let is_gone = |address: &Address| inventory.find(address).is_none();
            // Of what went before it in this plan, too.
            let value = value(inventory, victim.nth, Seconds::of(self.at), &|address| inventory.find(address).is_none_or(|of| before.contains(&of)));
            before.insert(victim.nth);
            Some(GcEntry {
                address: item.address,
                dataset: Arc::clone(&place.dataset),
                instrument: place.instrument.clone(),
                interval: item.interval()?,
                bytes: inventory.named_by(item).iter().map(|artifact| inventory.artifact(*artifact).bytes).sum(),
                bytes_freed: victim.bytes_freed,
                seconds: seconds_again(inventory, victim.nth, &is_gone),
                last_used: item.used.time(),
                value,
                reason: victim.reason,
            })
        })
    }

    /// Whether the store takes more than `max_bytes`, or less is free than `min_free`, before anything goes.
    pub fn is_over_a_mark(&self) -> bool {
        self.over_a_mark
    }

    /// How many running processes hold entries that they have loaded.
    pub fn held_by(&self) -> usize {
        self.held_by
    }

    /// How many bytes the artifacts of all entries in the store have, each artifact counted once.
    pub fn store_bytes(&self) -> u64 {
        self.store_bytes
    }

    /// How many bytes short of `max_bytes`' low-water mark, or of `min_free`, the plan remains, since nothing more may go. Zero where it gets there.
    pub fn shortfall_bytes(&self) -> u64 {
        self.shortfall_bytes
    }
}
