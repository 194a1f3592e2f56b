//! The sweep lock: shared by all that publish and hand out, alone for whoever takes something away.
//!
//! The kernel lets new shared holders past one that waits to be alone, so that in a busy store that one would wait for ever. Therefore a gate: whoever
//! wants to be alone holds it while waiting, and everybody passes through it.
//!
//! Nobody reads a file's bytes while holding the lock alone. Who waits long says for what.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::store::layout::Layout;
use crate::store::lock::Lock;

/// How long to wait before looking again: from the first to the second, doubling.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(20));
/// How long to wait before that is told.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// The lock, held until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when it is dropped"]
pub(crate) struct Sweep {
    _lock: Lock,
}

impl Sweep {
    /// Waits for a share.
    pub(crate) fn shared(layout: &Layout) -> Result<Self> {
        let sweep = layout.sweep_lock();
        let _gate = waited_for(layout, || Lock::try_shared(&layout.sweep_gate()))?;
        Ok(Self { _lock: waited_for(layout, || Lock::try_shared(&sweep))? })
    }

    /// Waits to be alone.
    pub(crate) fn alone(layout: &Layout) -> Result<Self> {
        let sweep = layout.sweep_lock();
        let _gate = waited_for(layout, || Lock::try_exclusive(&layout.sweep_gate()))?;
        Ok(Self { _lock: waited_for(layout, || Lock::try_exclusive(&sweep))? })
    }
}

fn waited_for(layout: &Layout, take: impl Fn() -> Result<Option<Lock>>) -> Result<Lock> {
    let began = Instant::now();
    let mut pause = LOOK_AGAIN.0;
    let mut told = false;
    loop {
        if let Some(lock) = take()? {
            return Ok(lock);
        }
        if !told && began.elapsed() > TELL_AFTER {
            told = true;
            let lock = layout.sweep_lock();
            tracing::warn!(lock = %lock.display(), "waiting for another process that publishes to the store or takes something out of it; is one stopped?");
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK_AGAIN.1);
    }
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
