//! Work that goes on until it is over or a signal asks it to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tickbarn::CancellationToken;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::signals::{Signal, Signals};

/// How long removing may take to come to an orderly end after a signal. Where that is not enough, the next collection finishes what this one began.
const STOP_MAX: Duration = Duration::from_secs(10);

/// How work and signals meet.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    removing: AtomicBool,
}

impl Stop {
    /// Whether removing may begin. From here on a signal lets the work come to its own end; before, it ends at once.
    pub(crate) fn may_remove(&self) -> bool {
        // Written before it is read, and the other way round where a signal comes: at least one of the two sees the other.
        self.removing.store(true, Ordering::SeqCst);
        !self.token.is_cancelled()
    }

    /// What a signal cancels.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// How work ended.
#[derive(Debug)]
pub(crate) enum End<T> {
    /// By itself.
    Done(T),
    /// A signal came before anything was removed.
    Before(Signal),
    /// A signal came while something was removed, and this came of it; nothing where it did not end in time.
    Amid(Signal, Option<T>),
}

/// Does blocking work to its end or to the first signal.
pub(crate) fn until_a_signal<T: Send + 'static>(work: impl FnOnce(&Stop) -> T + Send + 'static) -> Result<End<T>> {
    let broken = |error: io::Error| Failure::World(format!("collecting cannot be started: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let end = runtime.block_on(async {
        let signals = Signals::listen().map_err(broken)?;
        let stop = Arc::new(Stop::default());
        let working = Arc::clone(&stop);
        let mut work = tokio::task::spawn_blocking(move || work(&working));
        let signal = tokio::select! {
            biased;
            signal = signals.first() => signal,
            done = &mut work => return of_task(done).map(End::Done),
        };
        stop.token.cancel();
        if !stop.removing.load(Ordering::SeqCst) {
            return Ok(End::Before(signal));
        }
        let again = Signals::listen().map_err(broken)?;
        tokio::select! {
            done = work => Ok(End::Amid(signal, Some(of_task(done)?))),
            () = tokio::time::sleep(STOP_MAX) => Ok(End::Amid(signal, None)),
            _ = again.first() => Ok(End::Amid(signal, None)),
        }
    });
    // What is still at work ends with the process.
    runtime.shutdown_background();
    end
}

fn of_task<T>(done: Result<T, tokio::task::JoinError>) -> Result<T> {
    done.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Failure::World(format!("collecting stopped without an answer: {error}")),
    })
}
