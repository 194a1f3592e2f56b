//! The signals that ask work to end in order.

use std::fs;
use std::future::pending;
use std::io;

use tokio::signal::unix::{self, SignalKind};

/// A signal that asks to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The terminal is gone.
    Hangup,
    /// Ctrl-C.
    Interrupt,
    /// What `kill` and batch systems send.
    Terminate,
}

impl Signal {
    /// Its number, the same on every system that has it.
    pub fn number(self) -> u8 {
        match self {
            Signal::Hangup => 1,
            Signal::Interrupt => 2,
            Signal::Terminate => 15,
        }
    }
}

/// Listens. From then on these signals end nothing by themselves, also after this is dropped.
#[derive(Debug)]
pub struct Signals {
    hangup: Option<unix::Signal>,
    interrupt: Option<unix::Signal>,
    terminate: Option<unix::Signal>,
}

impl Signals {
    /// Begins to listen, but for what the process was told to ignore when it was started: `nohup` and shells in the background mean it.
    ///
    /// # Errors
    ///
    /// Where the system does not let it listen.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its input and output enabled.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let listen = |signal: Signal| {
            let number = signal.number();
            let heard = ignored >> (number - 1) & 1 == 0;
            heard.then(|| unix::signal(SignalKind::from_raw(number.into()))).transpose()
        };
        Ok(Self { hangup: listen(Signal::Hangup)?, interrupt: listen(Signal::Interrupt)?, terminate: listen(Signal::Terminate)? })
    }

    /// The first signal that comes.
    pub async fn first(mut self) -> Signal {
        async fn next(listener: &mut Option<unix::Signal>) {
            match listener {
                Some(listener) => drop(listener.recv().await),
                None => pending().await,
            }
        }
        tokio::select! {
            () = next(&mut self.interrupt) => Signal::Interrupt,
            () = next(&mut self.terminate) => Signal::Terminate,
            () = next(&mut self.hangup) => Signal::Hangup,
        }
    }
}

/// The signals that this process ignores, as bits from the first. None where the system does not tell, as on macOS.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0)
}
