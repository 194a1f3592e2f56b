//! Where tests make a file operation fail, or the process die: any one of them, counted from when the plan is laid.
//!
//! A plan counts the operations below one directory only, whichever thread does them, so that tests which run side by side do not meet.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Operation;

/// What happens at the operation that a plan names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It fails with this error number.
    Fails(i32),
    /// The process is gone, as by SIGKILL; a write has got half-way.
    Dies,
}

#[derive(Debug)]
struct Plan {
    below: PathBuf,
    fate: Fate,
    /// The operation it happens to, counted from one.
    nth: usize,
    seen: Vec<(Operation, PathBuf)>,
}

static PLANS: Mutex<Vec<Plan>> = Mutex::new(Vec::new());

fn plans() -> MutexGuard<'static, Vec<Plan>> {
    PLANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plan, until it is dropped.
pub(crate) struct Laid {
    below: PathBuf,
}

/// Lays a plan: the `nth` operation below a directory, counted from one, meets its fate.
pub(crate) fn lay(below: &Path, nth: usize, fate: Fate) -> Laid {
    plans().push(Plan { below: below.to_path_buf(), fate, nth, seen: Vec::new() });
    Laid { below: below.to_path_buf() }
}

impl Laid {
    /// What was done since it was laid.
    pub(crate) fn seen(&self) -> Vec<(Operation, PathBuf)> {
        plans().iter().find(|plan| plan.below == self.below).expect("it is laid").seen.clone()
    }

    /// The operation that met its fate; `None` where there were fewer.
    pub(crate) fn struck(&self) -> Option<(Operation, PathBuf)> {
        let plans = plans();
        let plan = plans.iter().find(|plan| plan.below == self.below).expect("it is laid");
        plan.seen.get(plan.nth - 1).cloned()
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        plans().retain(|plan| plan.below != self.below);
    }
}

/// Asked before every operation.
pub(super) fn ask(operation: Operation, path: &Path) -> io::Result<()> {
    let mut plans = plans();
    let Some(plan) = plans.iter_mut().find(|plan| path.starts_with(&plan.below)) else { return Ok(()) };
    plan.seen.push((operation, path.to_path_buf()));
    if plan.seen.len() != plan.nth {
        return Ok(());
    }
    match plan.fate {
        Fate::Fails(number) => Err(io::Error::from_raw_os_error(number)),
        // A write is torn first: see `disk::write_all`.
        Fate::Dies if operation == Operation::Write => Err(io::Error::other(DEATH)),
        Fate::Dies => die(),
    }
}

/// What a write fails with that is to be torn before the process dies.
const DEATH: &str = "the process dies here";

/// Dies where an operation was refused for that.
pub(super) fn die_if_meant(error: &io::Error) {
    if error.to_string() == DEATH {
        die();
    }
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}
