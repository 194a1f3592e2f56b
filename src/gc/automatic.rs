//! Collecting by whoever publishes: once a mark is passed, in the background, never in the path of a load.
//!
//! After each publication a few numbers are compared. Looking at the store, which takes up to a second for a million entries, and carrying a plan out is
//! done by a thread of its own, and not often: when this process has published a thousandth of what the store may take, when the disk is too full, or
//! when no process has looked for ten minutes.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{GcPlan, disk_of, plan};
use crate::error::{Error, Result};
use crate::retention::Retention;
use crate::store::{Holder, OnPublished, Store};

/// How long nobody needs to look again.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How long a process that could not free enough waits before it looks again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Which part of what the store may take is published before it is looked at again.
const PART_OF_MARK: u64 = 1000;

/// Collects in the background of this process as long as it is kept.
///
/// It looks at nothing by itself, but when something is published through the store that it was begun for, or a clone of it. A process forked from this
/// one does not collect.
#[must_use = "it ends when it is dropped"]
pub struct Automatic {
    shared: Arc<Shared>,
    /// What the store calls.
    told: OnPublished,
}

struct Shared {
    store: Store,
    retention: Retention,
    cancellation: CancellationToken,
    state: Mutex<State>,
    ended: Condvar,
    holder: Holder,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// Whether the last look found that not enough may go, and when that was.
    short_since: Option<Instant>,
    published_bytes: u64,
    told: Option<String>,
}

/// Begins to collect whenever publishing passes a mark of the retention: `max_bytes` or `min_free`. Then all that the retention says goes.
///
/// Where a mark is passed and too little may go, that is told once, as a warning through `tracing`. Loads never wait for it but for the milliseconds in
/// which something is removed.
///
/// ```no_run
/// # fn main() -> tickbarn::Result<()> {
/// use tickbarn::{Retention, Store, gc};
/// let store = Store::open("barn")?;
/// let mut retention = Retention::default();
/// retention.max_bytes = Some(500 << 30);
/// let collecting = gc::automatically(&store, retention)?;
/// // … loads that publish …
/// collecting.finish();
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NothingToCollect`] where the retention has no mark.
pub fn automatically(store: &Store, retention: Retention) -> Result<Automatic> {
    if retention.max_bytes.is_none() && retention.min_free.is_none() {
        return Err(Error::NothingToCollect);
    }
    let shared = Arc::new(Shared {
        store: store.clone(),
        retention,
        cancellation: CancellationToken::new(),
        state: Mutex::default(),
        ended: Condvar::new(),
        holder: Holder::this_process(),
    });
    // Not to keep itself alive by the store that it holds.
    let weak = Arc::downgrade(&shared);
    let told: OnPublished = Arc::new(move |bytes| {
        if let Some(shared) = weak.upgrade() {
            shared.published(bytes, &weak);
        }
    });
    store.tell_of_publications(&told);
    Ok(Automatic { shared, told })
}

impl Automatic {
    /// Waits for the collection that is under way, if one is, and ends.
    pub fn finish(self) {
        self.finish_unless(&CancellationToken::new());
    }

    /// The same, where the collection that is under way stops between two steps once a token is cancelled.
    pub fn finish_unless(self, stop: &CancellationToken) {
        const LOOK_AGAIN: Duration = Duration::from_millis(50);
        if !self.shared.holder.is_this_process() {
            // Whoever forked this process collects.
            return;
        }
        let mut state = self.shared.state();
        while state.running {
            if stop.is_cancelled() {
                self.shared.cancellation.cancel();
            }
            state = self.shared.ended.wait_timeout(state, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether a collection is under way.
    pub fn is_running(&self) -> bool {
        self.shared.state().running
    }
}

impl Drop for Automatic {
    fn drop(&mut self) {
        self.shared.store.tell_no_more_of_publications(&self.told);
        self.shared.cancellation.cancel();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each field is valid by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called after each publication.
    fn published(&self, bytes: u64, weak: &Weak<Shared>) {
        let mut state = self.state();
        state.published_bytes += bytes;
        if state.running || !self.is_due(&state) {
            return;
        }
        let weak = Weak::clone(weak);
        let look = move || {
            if let Some(shared) = weak.upgrade() {
                shared.look();
            }
        };
        match thread::Builder::new().name("tickbarn-gc".to_owned()).spawn(look) {
            Ok(_) => {
                state.running = true;
                state.published_bytes = 0;
            }
            Err(error) => {
                drop(state);
                tracing::debug!(%error, "nothing is collected for want of a thread");
            }
        }
    }

    fn is_due(&self, state: &State) -> bool {
        if state.short_since.is_some_and(|since| since.elapsed() < TRY_AGAIN_AFTER) {
            return false;
        }
        let much = self.retention.max_bytes.is_some_and(|bytes| state.published_bytes >= bytes / PART_OF_MARK);
        much || self.is_disk_too_full() || self.store.looked_at().is_none_or(|ago| ago >= LOOK_EVERY)
    }

    fn is_disk_too_full(&self) -> bool {
        let disk = self.retention.min_free.and_then(|free| Some((free, disk_of(&self.store).ok()?)));
        disk.is_some_and(|(free, disk)| disk.free_bytes < free.of(disk.bytes))
    }

    /// Looks whether a mark is passed, and collects if it is. In a thread of its own.
    fn look(&self) {
        let mut ends = Ends { shared: self, told: false };
        loop {
            let short = self.collect().unwrap_or_else(|error| {
                match error {
                    Error::Collecting { .. } => tracing::debug!(%error, "another collector is at work"),
                    error => tracing::warn!(%error, "the store is not collected"),
                }
                true
            });
            let mut state = self.state();
            state.short_since = short.then(Instant::now);
            // What was published meanwhile may have passed it again.
            if state.published_bytes > 0 && self.is_due(&state) && !self.cancellation.is_cancelled() {
                state.published_bytes = 0;
                continue;
            }
            state.running = false;
            ends.told = true;
            self.ended.notify_all();
            return;
        }
    }

    /// Says whether too little could go.
    fn collect(&self) -> Result<bool> {
        self.store.note_look();
        let plan = plan(&self.store, &self.retention)?;
        if !plan.is_over_a_mark() {
            self.state().told = None;
            return Ok(false);
        }
        let short = plan.shortfall_bytes() > 0;
        if short {
            self.tell_once(&plan);
        }
        if plan.price().entries == 0 && plan.leftovers().is_empty() {
            return Ok(true);
        }
        let swept = plan.sweep().cancelled_by(&self.cancellation).run()?;
        tracing::info!(entries = swept.price.entries, bytes = swept.price.bytes, "collected in the background");
        // Where removing frees nothing (snapshots, links from elsewhere) it is not to go on until nothing is left.
        Ok(short || self.is_disk_too_full())
    }

    fn tell_once(&self, plan: &GcPlan) {
        let kept = plan.kept();
        let told = format!(
            "{} bytes more would have to go to bring the store below its mark, and nothing more may be collected: {} entries are in use by {} running processes, {} pinned, {} made or \
             used within the grace period, {} among the last that are kept; remove pins, lower what is kept, or raise the mark",
            plan.shortfall_bytes(),
            kept.leased,
            plan.held_by(),
            kept.pinned,
            kept.recent,
            kept.last
        );
        // Not while the state is locked: whoever listens may ask for it.
        if self.state().told.replace(told.clone()).is_none() {
            tracing::warn!("{told}");
        }
    }
}

/// Where a look ends by a panic, of somebody who listens to what is traced perhaps, nobody waits for it any more.
struct Ends<'a> {
    shared: &'a Shared,
    told: bool,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.shared.state().running = false;
            self.shared.ended.notify_all();
        }
    }
}

impl fmt::Debug for Automatic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automatic").field("store", &self.shared.store).finish_non_exhaustive()
    }
}
