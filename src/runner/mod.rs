//! WHERE commands run: on this machine or on a cluster; and how much runs at once.
//!
//! A [`Runner`] takes a [`Run`] in which everything is decided (a path, arguments, a whole environment, a directory, a timeout) and says how it
//! ended. It knows nothing of datasets, addresses or the store: what the command wrote is the caller's to check, and whether exit status 3
//! means "no data" is the caller's to know. Outputs never travel through a runner; they appear in the run's directory, which a runner for
//! several machines finds on a file system that all of them mount.
//!
//! Invariants that every runner keeps:
//! - Dropping the future of [`Runner::run`] ends the command. When the drop returns, its leader is dead and reaped (within [`STOP_WAIT_MAX`];
//!   a process that the kernel itself cannot end in that time is left behind with a warning), so what the caller drops next, its work directory
//!   and its claim, is dropped after the generator.
//! - A run that is answered left nothing of its process group running.
//! - The command sees `Run::environment` and nothing else of this process.

mod capture;
mod limits;
mod local;
mod memory;
mod ray;
mod spawn;

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub(crate) use limits::{Limits, Permit, Share, machine_cpus, machine_memory_bytes, workers_by_descriptors};
pub(crate) use local::Local;
pub(crate) use ray::OnRay;
pub use ray::Ray;

use crate::cluster::OnCluster;
use crate::error::Error;
use crate::failure::{Failure, FailureClass, Log};
use crate::interval::Time;

/// How long dropping a run may wait for its leader to be dead and reaped.
pub(crate) const STOP_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a command that ran into its timeout has between SIGTERM and SIGKILL.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(2);

/// How much of the beginning of each output stream is kept.
pub(crate) const LOG_HEAD_BYTES_MAX: usize = 64 * 1024;

/// How much of the end of each output stream is kept, where it is longer than head and tail together.
pub(crate) const LOG_TAIL_BYTES_MAX: usize = 192 * 1024;

/// A future that can be sent between threads, as a trait object.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One command to run, in which everything is decided.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The program, as an absolute path. `PATH` is not searched, and no shell is involved.
    pub(crate) program: PathBuf,
    /// What follows the program's own name.
    pub(crate) arguments: Vec<String>,
    /// The whole environment: begin with [`base_environment`], add `TMPDIR` and what the dataset declares.
    pub(crate) environment: BTreeMap<String, String>,
    /// The working directory, an absolute path.
    pub(crate) directory: PathBuf,
    /// How long it may run, counted from its start.
    pub(crate) timeout: Option<Duration>,
    /// What a runner on other machines needs beside. Made where [`Runner::is_elsewhere`] says so.
    pub(crate) elsewhere: Option<Elsewhere>,
}

/// What a run on another machine is given.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere {
    /// What the cluster's own tools show it as.
    pub(crate) label: String,
    /// What it takes of a node: `CPU`, `memory` in bytes, and what else the dataset names.
    pub(crate) wants: BTreeMap<String, f64>,
    /// A directory beside the run's own that the generator is not told of.
    pub(crate) marks: PathBuf,
    /// Files that must be the same there as here: size in bytes, modification time in nanoseconds since the epoch.
    pub(crate) files: Vec<(PathBuf, u64, i64)>,
}

/// A command that was started and has ended.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) ended: Ended,
    /// When it was started.
    pub(crate) started: Time,
    /// From just before its start until its end was seen.
    pub(crate) duration: Duration,
    /// The most memory that one process of the command held at a time: the largest single process, not the sum. Nothing where it cannot be
    /// told apart from what this process held itself (see `runner/memory.rs`).
    pub(crate) memory_bytes_peak: Option<u64>,
    /// What it wrote, the middle cut out of what is longer than [`LOG_HEAD_BYTES_MAX`] and [`LOG_TAIL_BYTES_MAX`].
    pub(crate) log: Log,
    /// The machine's name, where it was another one than this.
    pub(crate) host: Option<String>,
    /// Where on a cluster it ran. Nobody vouches for who still has its files open there.
    pub(crate) on_cluster: Option<OnCluster>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal, which the runner did not send.
    Signalled(i32),
    /// The runner ended it because its time was up, whatever status it then left.
    TimedOut,
}

/// The command was not started, or the runner lost sight of it and cannot say how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpawnFailure {
    /// Names the program, says what is wrong and what to do.
    pub(crate) message: String,
}

impl From<SpawnFailure> for Failure {
    fn from(failure: SpawnFailure) -> Self {
        Failure::new(FailureClass::Spawn, failure.message)
    }
}

/// A command did not come to an end that says anything of it.
#[derive(Debug)]
pub(crate) enum RunError {
    /// It could not be started, or was lost.
    Failed(Failure),
    /// The whole place cannot run anything: no partition is at fault.
    Cluster(Error),
}

impl From<SpawnFailure> for RunError {
    fn from(failure: SpawnFailure) -> Self {
        RunError::Failed(failure.into())
    }
}

/// A place where commands run.
pub(crate) trait Runner: Send + Sync {
    /// Runs a command to its end. Nothing starts before the future is polled; dropping it ends the command (see the module's invariants).
    /// A status other than 0, a signal and a timeout are answers, not errors.
    ///
    /// # Errors
    /// [`RunError`] where the command could not be started, or is lost.
    fn run(&self, run: Run) -> BoxFuture<'_, Result<Finished, RunError>>;

    /// Whether commands run on other machines than this.
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// Begins to end all that runs, whose futures are about to be dropped one after the other: so they need not be waited for in turn.
    fn stop_all(&self) {}
}

/// What a generator's environment begins with: `PATH`, `HOME`, `USER` and `LOGNAME` as this process has them, `LANG=C.UTF-8` and `TZ=UTC`.
///
/// Locale and zone are fixed so that what a generator prints and parses is the same on every host that shares a store. Everything else stays
/// behind unless the dataset declares it, `LD_PRELOAD`, `LD_LIBRARY_PATH` and `PYTHONPATH` among it: they change what a program does without
/// changing its digest. A value that is not UTF-8 is left out.
pub(crate) fn base_environment() -> BTreeMap<String, String> {
    const INHERITED: [&str; 4] = ["PATH", "HOME", "USER", "LOGNAME"];
    const FIXED: [(&str, &str); 2] = [("LANG", "C.UTF-8"), ("TZ", "UTC")];

    let inherited = INHERITED.iter().filter_map(|&name| Some((name.to_owned(), env::var(name).ok()?)));
    let fixed = FIXED.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    inherited.chain(fixed).collect()
}
