//! HOW a missing partition is made: by a command or by a Rust function.
//!
//! A generator gets a claim and leaves an entry or a [`Failure`]. It never decides whether it should run: that is the load's. `command` and `function`
//! each bring outputs into the claim's work directory; `take` checks and publishes what either left.

mod check;
mod command;
mod function;
mod take;

use std::sync::Arc;

use crate::artifact::Artifact;
use crate::dataset::{Dataset, FileStat, Identified, Key, Look, Upstreams};
use crate::error::Error;
use crate::failure::{Failure, FailureClass, Log};
use crate::runner::{Runner, Share};
use crate::store::{Claim, Entry, Store};

/// What every attempt of a load at a dataset's partitions shares. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Generator {
    store: Store,
    dataset: Dataset,
    identified: Arc<Identified>,
    runner: Arc<dyn Runner>,
}

/// One attempt at one partition.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) key: Key,
    /// What the partition is derived from: what its key was made of.
    pub(crate) upstream: Arc<Upstreams>,
    /// Counted from one.
    pub(crate) nth: u32,
    /// What it holds of the load's limits.
    pub(crate) share: Share,
}

/// What was looked at before an attempt began.
struct Before {
    look: Look,
    /// The files of what it is derived from, each read through and found to be what its digest says.
    upstream: Vec<(Artifact, FileStat)>,
}

/// An attempt that did not end in an entry.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// The generator, or what it left, is at fault.
    Failed(Failure),
    /// Our side is. What the generator said until then is kept.
    Store(Box<Error>, Box<Log>),
    /// The place where commands run cannot run any.
    Cluster(Box<Error>),
}

impl From<Error> for AttemptError {
    fn from(error: Error) -> Self {
        match error {
            Error::NoUpstreamData { .. } => failed(FailureClass::Upstream, error.to_string()),
            error => AttemptError::Store(Box::new(error), Box::default()),
        }
    }
}

/// A failure before anything was said.
fn failed(class: FailureClass, message: impl Into<String>) -> AttemptError {
    AttemptError::Failed(Failure::new(class, message))
}

/// A failure of something that was run.
fn failed_with(class: FailureClass, message: String, log: &Log) -> AttemptError {
    AttemptError::Failed(Failure { class, message, log: log.clone() })
}

impl Generator {
    pub(crate) fn new(store: Store, dataset: Dataset, identified: Arc<Identified>, runner: Arc<dyn Runner>) -> Self {
        Self { store, dataset, identified, runner }
    }

    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    pub(crate) fn identified(&self) -> &Identified {
        &self.identified
    }

    /// Makes a partition whose claim is held, once, and publishes it.
    ///
    /// Dropping the future ends a command, and asks a function to stop; the claim is given back with its work directory when that has ended. It comes
    /// back by value where another attempt may follow.
    pub(crate) async fn attempt(&self, attempt: Attempt, claim: Claim) -> (Option<Claim>, Result<Entry, AttemptError>) {
        match self.dataset.body() {
            None => self.run_command(attempt, claim).await,
            Some((_, body)) => self.call_function(attempt, claim, body.clone()).await,
        }
    }

    /// Looks whether program, inputs and upstream are what the key says, before an attempt begins.
    fn look(&self, upstream: &Upstreams) -> Result<Before, AttemptError> {
        let changed =
            |what| failed(FailureClass::ChangedWhileRunning, format!("{what} since the load began, so its key no longer holds; load again"));
        let look = self.identified.recheck().map_err(changed)?;
        let mut read = Vec::new();
        for (name, upstream) in upstream {
            for output in upstream.partitions().iter().flat_map(|partition| &partition.outputs) {
                // However closely loads look: what is derived from other bytes would stand for ever under the address of these.
                let stat = self.store.read_whole(output)?.map_err(|problem| {
                    let message = format!("of its upstream {name}, {problem}; what is damaged is set aside: load again, which makes it anew");
                    failed(FailureClass::Upstream, message)
                })?;
                read.push((output.clone(), stat));
            }
        }
        Ok(Before { look, upstream: read })
    }

    /// Says what is no longer as it was before the attempt.
    fn recheck_since(&self, before: &Before) -> Result<(), String> {
        self.identified.recheck_since(&before.look)?;
        let changed = before.upstream.iter().find(|(output, stat)| !self.is_as_before(output, stat));
        changed.map_or(Ok(()), |(output, _)| Err(format!("the upstream file {} changed or was taken away", output.path.display())))
    }

    /// Whether an upstream's file was neither written to nor replaced. One that was given another name, as a view does, or has lost one, has another
    /// time of change and nothing else: then its bytes tell.
    fn is_as_before(&self, output: &Artifact, before: &FileStat) -> bool {
        let Ok(now) = output.path.symlink_metadata().map(|now| FileStat::of(&now)) else { return false };
        now == *before || FileStat { ctime_ns: before.ctime_ns, ..now } == *before && matches!(self.store.read_whole(output), Ok(Ok(_)))
    }
}

/// How a failure of our own side is recorded.
pub(crate) fn store_failure(error: &Error, log: Log) -> Failure {
    Failure { class: FailureClass::Store, message: error.to_string(), log }
}

/// A length of time in a message.
fn seconds(duration: std::time::Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
