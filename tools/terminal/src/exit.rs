//! How a command can end without its result, and the exit status of each end. The only file that knows a status.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::process::ExitCode;

use tickbarn::Error;

use crate::output::{Paint, painted};
use crate::progress::say;
use crate::signals::Signal;

/// Something went wrong, or a policy made it stop.
const STOPPED: u8 = 1;
/// The command or the configuration is at fault.
const USAGE: u8 = 2;
/// What was compared differs; and what it is where nothing was compared. As diff(1) has it.
const DIFFERENT: u8 = 1;
const NOT_COMPARED: u8 = 2;
/// What shells add to a signal's number.
const SIGNALLED: u8 = 128;

/// Why a command ended without its result.
#[derive(Debug)]
pub enum Failure {
    /// The command or the configuration is at fault.
    Usage(String),
    /// The world is.
    World(String),
    /// The library refused or failed.
    Library {
        /// What it says; boxed, since every result has room for it.
        error: Box<Error>,
        /// The flag that helps, where the library can only name what it stands for.
        way_out: Option<&'static str>,
    },
    /// Standard output cannot be written. A reader that has seen enough is none of our trouble.
    Output(io::Error),
    /// What was compared differs, which standard output tells. No error: nothing is said.
    Different,
    /// A comparison could not be made, whatever the reason: its status is none that says what comparing came to.
    NotCompared(Box<Failure>),
    /// A signal ended the work.
    Interrupted {
        /// Which.
        signal: Signal,
        /// What has become of the work, in words.
        left: String,
    },
}

/// A command's end: nothing more to say, or why there is.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Library { error: Box::new(error), way_out: None }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Says what went wrong, if anything did, and gives the process its exit status.
pub fn code_of(result: Result<()>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let (failure, not_compared) = match failure {
        Failure::NotCompared(failure) => (*failure, true),
        failure => (failure, false),
    };
    let status = match &failure {
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Failure::Different => return ExitCode::from(DIFFERENT),
        Failure::Interrupted { signal, .. } => SIGNALLED + signal.number(),
        _ if not_compared => NOT_COMPARED,
        Failure::Usage(_) => USAGE,
        Failure::Library { error, .. } if error.is_usage() || is_place_at_fault(error) => USAGE,
        Failure::Library { .. } | Failure::Output(_) | Failure::World(_) | Failure::NotCompared(_) => STOPPED,
    };
    match failure {
        Failure::Interrupted { .. } => say(&failure.to_string()),
        _ => say(&format!("{} {failure}", painted("error:", Paint::Error))),
    }
    ExitCode::from(status)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) | Failure::World(message) => f.write_str(message),
            Failure::Library { error, way_out } => {
                f.write_str(&with_causes(error))?;
                way_out.map_or(Ok(()), |way_out| write!(f, "\n  {way_out}"))
            }
            Failure::Different => f.write_str("what was compared differs"),
            Failure::NotCompared(failure) => failure.fmt(f),
            Failure::Output(error) => write!(f, "standard output cannot be written: {error}"),
            Failure::Interrupted { left, .. } => write!(f, "interrupted; {left}"),
        }
    }
}

/// Whether a place that was named, such as the store, cannot be used as it is: it stands in a configuration, and that is to be corrected.
fn is_place_at_fault(error: &Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error, Error::Io { source, .. } if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem | NotADirectory | NotFound))
}

/// The message with those causes that it does not tell itself.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let told = Failure::from(Error::Io { action: "open", path: "/barn".into(), source }).to_string();
        assert_eq!(told.matches("permission denied").count(), 1, "{told}");
    }
}
