//! The sweep lock: shared by all that publish and hand out, alone for whoever takes something away.
//!
//! The kernel lets new shared holders past one that waits to be alone, so that in a busy store that one would wait for ever. Therefore a gate: whoever
//! wants to be alone holds it while waiting, and everybody passes through it.
//!
//! Nobody reads a file's bytes while holding the lock alone. Nobody waits for ever: a holder may be stopped.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::lock::{self, Lock};

/// How long whoever publishes, or takes something away, waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long whoever only reads waits before it goes on without.
const READERS_PATIENCE: Duration = Duration::from_secs(5);
/// How long the gate is kept shut for one who waits to be alone, and how long it is open then: a stopped holder is not to stop everybody.
const SHUT_AND_OPEN: (Duration, Duration) = (Duration::from_secs(3), Duration::from_millis(500));

/// The same for who takes things away a few at a time.
const MOMENT: Duration = Duration::from_millis(15);

/// The lock, held until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when it is dropped"]
pub(crate) struct Sweep {
    _lock: Lock,
}

impl Sweep {
    /// Waits for a share, to publish.
    ///
    /// # Errors
    /// [`Error::Busy`] where somebody is alone for longer than anything takes.
    pub(crate) fn shared(layout: &Layout) -> Result<Self> {
        Self::shared_within(layout, PATIENCE)
    }

    /// Waits for a share, to read: not long, since hits must be served whoever has stopped.
    pub(crate) fn shared_to_read(layout: &Layout) -> Result<Self> {
        Self::shared_within(layout, READERS_PATIENCE)
    }

    fn shared_within(layout: &Layout, patience: Duration) -> Result<Self> {
        let (gate, sweep) = (layout.sweep_gate(), layout.sweep_lock());
        let _gate = Lock::shared(&gate, patience)?;
        Ok(Self { _lock: Lock::shared(&sweep, patience)? })
    }

    /// Waits to be alone for some milliseconds, such that nobody waits for it much longer: the gate is shut for moments only. Says also since when it is,
    /// and for how long it was at most before that, in vain. Nothing where it is to stop before it gets there.
    ///
    /// # Errors
    /// [`Error::Busy`] where others do not come to an end.
    pub(crate) fn alone_for_a_moment(layout: &Layout, stop: impl Fn() -> bool) -> Result<Option<(Self, Instant, Duration)>> {
        let (gate, sweep) = (layout.sweep_gate(), layout.sweep_lock());
        let began = Instant::now();
        let mut in_vain = Duration::ZERO;
        loop {
            if stop() {
                return Ok(None);
            }
            if began.elapsed() >= PATIENCE {
                return Err(busy(sweep));
            }
            let Some(shut) = Lock::exclusive_within(&gate, MOMENT)? else { continue };
            let since = Instant::now();
            if let Some(lock) = Lock::exclusive_within(&sweep, MOMENT)? {
                return Ok(Some((Self { _lock: lock }, since, in_vain)));
            }
            drop(shut);
            in_vain = in_vain.max(since.elapsed());
            thread::sleep(MOMENT);
        }
    }

    /// Waits to be alone.
    ///
    /// # Errors
    /// [`Error::Busy`] where others do not come to an end.
    pub(crate) fn alone(layout: &Layout) -> Result<Self> {
        let (gate, sweep) = (layout.sweep_gate(), layout.sweep_lock());
        let began = Instant::now();
        loop {
            let shut = Lock::exclusive(&gate, PATIENCE)?;
            if let Some(lock) = Lock::exclusive_within(&sweep, SHUT_AND_OPEN.0)? {
                return Ok(Self { _lock: lock });
            }
            drop(shut);
            if began.elapsed() >= PATIENCE {
                return Err(busy(sweep));
            }
            thread::sleep(SHUT_AND_OPEN.1);
        }
    }
}

fn busy(path: PathBuf) -> Error {
    Error::Busy { seconds: PATIENCE.as_secs(), holders: lock::holders(&path), path }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn who_waits_to_be_alone_is_not_passed_by_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        std::fs::create_dir(layout.leases()).unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Of so many, some hold it at any moment.
            for nth in 0..16 {
                let (layout, over) = (&layout, &over);
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(nth));
                    while !over.load(Ordering::SeqCst) {
                        let held = Sweep::shared(layout).unwrap();
                        thread::sleep(Duration::from_millis(20));
                        drop(held);
                    }
                });
            }
            thread::sleep(Duration::from_millis(50));
            for _ in 0..5 {
                drop(Sweep::alone(&layout).unwrap());
            }
            over.store(true, Ordering::SeqCst);
        });
    }
}
