//! Waiting for the library without holding the interpreter, and without being deaf to Ctrl-C.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use tickbarn::{CancellationToken, Result};

use crate::errors::{lost, raised};

/// How often Ctrl-C is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Does the library's work on a thread of its own, and waits for it. On Ctrl-C the token is cancelled and the work's end is awaited, so that nothing goes
/// on behind the user's back; work that knows no token is left to end by itself, since it only looks.
pub(crate) fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    what: &'static str,
    token: Option<&CancellationToken>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (send, receive) = mpsc::sync_channel(1);
    let worker = move || {
        // Nobody may wait any more.
        let _ = send.send(work());
    };
    thread::Builder::new().name("tickbarn".to_owned()).spawn(worker)?;
    // The receiver is no `Sync`; it goes back and forth with each look.
    let mut receive = receive;
    loop {
        let (answer, receiver) = py.detach(move || (receive.recv_timeout(LOOK_EVERY), receive));
        receive = receiver;
        match answer {
            Ok(done) => return done.map_err(raised),
            Err(RecvTimeoutError::Disconnected) => return Err(lost(what)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Err(signalled) = py.check_signals() {
            if let Some(token) = token {
                token.cancel();
                // What it comes to is not asked for any more.
                let _ = py.detach(move || receive.recv());
            }
            return Err(signalled);
        }
    }
}
