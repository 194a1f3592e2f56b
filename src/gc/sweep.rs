//! Carrying a plan out, beside running work.
//!
//! The store is looked at anew, under the collector's locks, and of what the plan named only that goes which is still what it was, still unused, and
//! still free. It may be stopped anywhere: what is done is done, and the next one goes on.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::decide::seconds_again;
use super::leftovers::{is_due, is_worth_compacting, leftover};
use super::plan::{GcFailure, GcPlan, LeftoverKind, Price};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::interval::Time;
use crate::parallel::machine_parallelism;
use crate::retention::Retention;
use crate::store::{Collector, Item, Seconds, Store, clear_leftover, lying_about};

/// How many entries go together: what has to be synced is shared by so many.
const ENTRIES_TOGETHER: usize = 2048;

type Callback = Box<dyn FnMut(&GcProgress) + Send>;

/// A plan that is about to be carried out.
#[must_use = "nothing goes until it is run"]
pub struct Sweeping {
    plan: GcPlan,
    progress: Option<Callback>,
    cancellation: CancellationToken,
}

/// How far a sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcProgress {
    /// What is being done: "looking", "entries", "leftovers".
    pub stage: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is in all.
    pub total: u64,
}

/// What a sweep has done. All of it is durable, or is done again by the next one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Swept {
    /// The entries that are gone, the bytes of artifacts that this freed, and what making them again would take.
    pub price: Price,
    /// How many records of failures are gone.
    pub failures: usize,
    /// How many other things that lay about are gone.
    pub leftovers: usize,
    /// How many bytes those had.
    pub leftover_bytes: u64,
    /// How many entries of the plan are still there: handed out, pinned, used or made anew since.
    pub kept: usize,
    /// Whether it was cancelled before it was done.
    pub cancelled: bool,
    /// For how long others were kept from loading and publishing at most, at a time.
    pub longest_hold: Duration,
    /// How long it took.
    pub elapsed: Duration,
}

/// Carries a plan out. Blocks on the disk; loads go on meanwhile, and wait for milliseconds at most.
///
/// # Errors
/// [`Error::Collecting`] where another collector is at work. Whatever keeps leases, pins or entries from being read comes before anything is removed;
/// an error later leaves the store whole, with what was removed until then gone.
pub fn sweep(plan: GcPlan) -> Result<Swept> {
    plan.sweep().run()
}

impl GcPlan {
    /// Carries it out, with a callback or a way to stop it. Nothing goes until it is run.
    pub fn sweep(self) -> Sweeping {
        Sweeping { plan: self, progress: None, cancellation: CancellationToken::new() }
    }
}

impl Sweeping {
    /// Calls back as it goes on.
    pub fn progress(self, callback: impl FnMut(&GcProgress) + Send + 'static) -> Self {
        Self { progress: Some(Box::new(callback)), ..self }
    }

    /// Stops between two steps once the token is cancelled.
    pub fn cancelled_by(self, cancellation: &CancellationToken) -> Self {
        Self { cancellation: cancellation.clone(), ..self }
    }

    /// Carries it out, as [`sweep`].
    ///
    /// # Errors
    /// As [`sweep`].
    pub fn run(self) -> Result<Swept> {
        let began = Instant::now();
        let Self { plan, progress, cancellation } = self;
        let wanted: Vec<Wanted> = plan.victims.iter().map(|victim| Wanted::of(plan.inventory.item(victim.nth))).collect();
        let GcPlan { store, retention, at, failures, leftovers, inventory, .. } = plan;
        // Another one is made below: two would not be needed at once.
        drop(inventory);
        let mut carrying = CarryingOut { store, retention, at, progress, cancellation, swept: Swept::default() };
        carrying.tell("looking", 0, 1);
        let mut collector = Collector::begin(&carrying.store, machine_parallelism(), &carrying.cancellation)?;
        carrying.tell("looking", 1, 1);
        let outcome = carrying.carry_out(&mut collector, wanted, &failures, leftovers.into_iter().map(|leftover| leftover.path).collect());
        collector.note_uses();
        outcome?;
        Ok(Swept { longest_hold: collector.longest_hold(), elapsed: began.elapsed(), ..carrying.swept })
    }
}

impl Default for Swept {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { price: Price::default(), failures: 0, leftovers: 0, leftover_bytes: 0, kept: 0, cancelled: false, longest_hold: none, elapsed: none }
    }
}

/// An entry of a plan, as it was then.
struct Wanted {
    address: Address,
    started: Time,
    /// Not the time of the plan: that may lie in the same second as a use after it.
    used: Seconds,
}

impl Wanted {
    fn of(item: &Item) -> Self {
        Self { address: item.address, started: item.started, used: item.used }
    }
}

struct CarryingOut {
    store: Store,
    retention: Retention,
    /// When the plan was made.
    at: Time,
    progress: Option<Callback>,
    cancellation: CancellationToken,
    swept: Swept,
}

impl CarryingOut {
    fn tell(&mut self, stage: &'static str, done: usize, total: usize) {
        if let Some(progress) = &mut self.progress {
            progress(&GcProgress { stage, done: done as u64, total: total as u64 });
        }
    }

    /// Whether it is to stop here.
    fn stops(&mut self) -> bool {
        self.swept.cancelled |= self.cancellation.is_cancelled();
        self.swept.cancelled
    }

    fn carry_out(&mut self, collector: &mut Collector, wanted: Vec<Wanted>, failures: &[GcFailure], leftovers: Vec<PathBuf>) -> Result<()> {
        // First what frees space without asking for any.
        let (emptied, emptied_bytes) = collector.emptied();
        self.swept.leftovers += emptied + collector.remove_unnamed()?;
        self.swept.leftover_bytes += emptied_bytes + collector.freed_bytes();
        self.entries(collector, &wanted)?;
        for failure in failures {
            if self.stops() {
                return Ok(());
            }
            if self.store.clear_failure_until(&failure.address, failure.last)? {
                self.swept.failures += 1;
            }
        }
        if self.retention.leftovers && !self.stops() {
            self.leftovers(collector, &leftovers)?;
        }
        let (_, bytes) = self.store.journal_file()?;
        if !self.stops() && is_worth_compacting(collector.journal_use(), bytes, self.retention.leftovers) {
            self.compact(collector, bytes)?;
        }
        Ok(())
    }

    fn entries(&mut self, collector: &mut Collector, wanted: &[Wanted]) -> Result<()> {
        let before = collector.freed_bytes();
        let mut still = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let found = collector.inventory().find(&wanted.address);
            let due = found.filter(|nth| self.is_still_due(collector.inventory().item(*nth), wanted));
            self.swept.kept += usize::from(found.is_some() && due.is_none());
            still.extend(due);
        }
        // As the plan counts them: before any of it is gone, which makes the upstream of others gone.
        let is_gone = |address: &Address| collector.inventory().find(address).is_none();
        let seconds: HashMap<u32, f64> = still.iter().map(|nth| (*nth, seconds_again(collector.inventory(), *nth, &is_gone))).collect();
        let mut done = 0;
        self.tell("entries", 0, still.len());
        for together in still.chunks(ENTRIES_TOGETHER) {
            if self.stops() {
                break;
            }
            let gone = collector.withdraw(together)?;
            self.swept.price.entries += gone.len();
            self.swept.price.seconds += gone.iter().map(|nth| seconds[nth]).sum::<f64>();
            self.swept.price.bytes = collector.freed_bytes() - before;
            self.swept.kept += together.len() - gone.len();
            done += together.len();
            self.tell("entries", done, still.len());
        }
        Ok(())
    }

    /// Whether an entry of the plan is the same still, and was not used since.
    fn is_still_due(&self, item: &Item, wanted: &Wanted) -> bool {
        let grace = self.retention.grace_seconds();
        item.started == wanted.started && (grace == 0 || item.idle_seconds_min(Seconds::now()) >= grace) && item.used <= wanted.used
    }

    /// What lies about, of what the plan named: it is looked for again, since what was published in between may name it.
    fn leftovers(&mut self, collector: &mut Collector, planned: &[PathBuf]) -> Result<()> {
        let planned: HashSet<&PathBuf> = planned.iter().collect();
        let mut orphans = Vec::new();
        let mut others = Vec::new();
        for finding in lying_about(&self.store, machine_parallelism())? {
            let leftover = leftover(&self.store, &finding);
            if !planned.contains(&leftover.path) || !is_due(&leftover, &self.retention, self.at) {
                continue;
            }
            match leftover.kind {
                LeftoverKind::Orphan => orphans.push(leftover.path),
                _ => others.push((finding, leftover.bytes)),
            }
        }
        let programs = self.store.programs()?.into_iter().filter(|(path, ..)| planned.contains(path));
        let programs: Vec<_> = programs.map(|(path, digest, _)| (path, digest)).collect();
        let total = orphans.len() + others.len() + programs.len();
        self.tell("leftovers", 0, total);
        let (removed, bytes) = collector.remove_orphans(&orphans)?;
        self.swept.leftovers += removed;
        self.swept.leftover_bytes += bytes;
        let (removed, bytes) = collector.remove_programs(&programs)?;
        self.swept.leftovers += removed;
        self.swept.leftover_bytes += bytes;
        for (nth, (finding, bytes)) in others.iter().enumerate() {
            if self.stops() {
                return Ok(());
            }
            if clear_leftover(&self.store, finding)? {
                self.swept.leftovers += 1;
                self.swept.leftover_bytes += bytes;
            }
            self.tell("leftovers", orphans.len() + programs.len() + nth + 1, total);
        }
        Ok(())
    }

    fn compact(&mut self, collector: &Collector, before: u64) -> Result<()> {
        match collector.compact_journal() {
            Ok(()) => {
                let (_, after) = self.store.journal_file()?;
                self.swept.leftovers += usize::from(after < before);
                self.swept.leftover_bytes += before.saturating_sub(after);
                Ok(())
            }
            // It needs space for another one; there may be none, and nothing is wrong with the one that is there.
            Err(error @ Error::Io { .. }) => {
                tracing::info!(%error, "the journal stays as long as it is");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
