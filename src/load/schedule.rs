//! Generating what is missing: which partition runs when, who waits for whom, and what is tried again.
//!
//! A partition first gets its share of the limits and only then tries for the claim, so that no process sits on claims that it does not work on:
//! many processes that want the same partitions share the work among them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::error::{Error, Result};
use crate::generator::{AttemptError, CommandGenerator, Failure, FailureClass, store_failure};
use crate::interval::Time;
use crate::load::plan::{Planned, State, judge};
use crate::load::policy::{OnFailure, Policy, RetryFailed};
use crate::load::report::Outcome;
use crate::runner::{Limits, Permit};
use crate::store::{Claim, Entry, FailureRecord, Found, Store};

/// How long a partition whose claim another holds waits before it looks again: from the first to the second, doubling.
const CLAIM_WAIT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// The longest pause before another attempt.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);
/// How many partitions are on their way at once, for each worker: enough to find work beside partitions that others generate.
const WINDOW_PER_WORKER: usize = 4;

/// What the partitions of one load share.
pub(crate) struct Schedule<'a> {
    pub(crate) store: &'a Store,
    pub(crate) generators: &'a [CommandGenerator],
    pub(crate) policy: Policy,
    pub(crate) limits: &'a Limits,
    pub(crate) workers: usize,
    /// When the load began: what another process did since then counts as done for this load.
    pub(crate) began: Time,
}

impl Schedule<'_> {
    /// Generates partitions, each one once, and hands every outcome to `done` as it comes. Stops at the first failure where the policy says so: what
    /// runs is ended when this returns. That the store cannot take a partition (a full disk, a lost permission) is a failure of that partition.
    pub(crate) async fn generate<'p>(
        &self,
        wanted: impl IntoIterator<Item = (usize, &'p Planned)>,
        mut done: impl FnMut(usize, Outcome),
    ) -> Result<()> {
        let mut waiting = wanted.into_iter();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.workers.saturating_mul(WINDOW_PER_WORKER) {
                let Some((nth, planned)) = waiting.next() else { break };
                running.push(async move { (nth, planned, self.one(planned).await) });
            }
            let Some((nth, planned, outcome)) = running.next().await else { return Ok(()) };
            match (outcome, self.policy.failure) {
                (Ok(Outcome::Failed { failure, .. }), OnFailure::Fail) => return Err(self.failed(planned, failure)),
                (Ok(outcome), _) => done(nth, outcome),
                (Err(error), OnFailure::Skip) if !error.is_usage() => {
                    done(nth, Outcome::Failed { failure: Box::new(store_failure(&error)), recorded: false });
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    fn failed(&self, planned: &Planned, failure: Box<Failure>) -> Error {
        Error::Generation {
            dataset: self.generators[planned.generator].dataset().name().to_owned(),
            instrument: planned.key.instrument().clone(),
            interval: planned.key.interval(),
            address: planned.address,
            failure,
        }
    }

    /// Brings one partition to its outcome.
    async fn one(&self, planned: &Planned) -> Result<Outcome> {
        if let Some(record) = self.recorded_failure(planned)? {
            return Ok(Outcome::Failed { failure: Box::new(record.failure), recorded: true });
        }
        let mut wait = CLAIM_WAIT.0;
        let mut waited = false;
        loop {
            let permit = self.permit(planned).await;
            if let Some(claim) = self.store.try_claim(planned.address)? {
                return self.claimed(planned, claim, permit, waited).await;
            }
            drop(permit);
            tracing::debug!(address = %planned.address, "another generates it: waiting");
            waited = true;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(CLAIM_WAIT.1);
        }
    }

    async fn permit(&self, planned: &Planned) -> Permit {
        let resources = self.generators[planned.generator].dataset().resources();
        self.limits.acquire(resources.cpus, resources.memory_bytes).await
    }

    /// The failure on record that the policy does not try again.
    fn recorded_failure(&self, planned: &Planned) -> Result<Option<FailureRecord>> {
        let after = match self.policy.retry_failed {
            RetryFailed::Always => return Ok(None),
            RetryFailed::Never => None,
            RetryFailed::After(pause) => Some(pause),
        };
        let record = self.store.failure(&planned.address)?;
        Ok(record.filter(|record| {
            let age_ns = u128::try_from(self.began.ns().saturating_sub(record.last.ns())).unwrap_or(0);
            after.is_none_or(|pause| age_ns < pause.as_nanos())
        }))
    }

    /// Looks again under the claim, since another may have finished meanwhile, and generates.
    async fn claimed(&self, planned: &Planned, claim: Claim, permit: Permit, waited: bool) -> Result<Outcome> {
        let dataset = self.generators[planned.generator].dataset();
        let found = self.store.lookup_one(&planned.address)?;
        if matches!(found, Found::Damaged(_)) {
            self.store.quarantine(&planned.key)?;
        }
        if let State::Usable(entry) = judge(found, dataset, planned.key.interval(), self.policy) {
            let fresh = entry.started >= self.began;
            if !self.policy.refresh || fresh {
                return Ok(match entry.empty {
                    None => Outcome::Hit(entry),
                    Some(_) => Outcome::Empty { entry, known: true },
                });
            }
        }
        if waited
            && let Some(record) = self.store.failure(&planned.address)?
            && record.last >= self.began
        {
            // Whom we waited for has just failed on it: the same work is not done twice for one answer.
            return Ok(Outcome::Failed { failure: Box::new(record.failure), recorded: true });
        }
        self.attempts(planned, claim, permit).await
    }

    /// Attempts until one succeeds or no more are allowed.
    async fn attempts(&self, planned: &Planned, mut claim: Claim, mut permit: Permit) -> Result<Outcome> {
        let generator = &self.generators[planned.generator];
        let retries = generator.dataset().retries();
        for attempt in 1.. {
            let (held, made) = generator.attempt(&planned.key, claim, attempt).await;
            let failure = match made {
                Ok(entry) => return Ok(generated(entry, planned)),
                Err(AttemptError::Failed(failure)) => failure,
                Err(AttemptError::Store(error)) => {
                    self.record(planned, &store_failure(&error), attempt);
                    return Err(error);
                }
            };
            let again = attempt <= retries && worth_another_attempt(failure.class);
            match held {
                Some(held) if again => claim = held,
                _ => {
                    self.record(planned, &failure, attempt);
                    return Ok(Outcome::Failed { failure: Box::new(failure), recorded: false });
                }
            }
            tracing::info!(address = %planned.address, attempt, %failure, "another attempt follows");
            // Others may use what this partition holds while it pauses.
            drop(permit);
            tokio::time::sleep(pause_after(attempt, generator.dataset().retry_delay())).await;
            permit = self.permit(planned).await;
        }
        unreachable!("attempts are counted until one returns")
    }

    fn record(&self, planned: &Planned, failure: &Failure, attempts: u32) {
        let now = Time::now();
        let record = FailureRecord {
            address: planned.address,
            dataset: self.generators[planned.generator].dataset().name().to_owned(),
            instrument: planned.key.instrument().clone(),
            interval: planned.key.interval(),
            key: planned.key.to_value(),
            count: 1,
            first: now,
            last: now,
            attempts,
            failure: failure.clone(),
        };
        if let Err(error) = self.store.record_failure(record) {
            tracing::warn!(%error, "a failure could not be recorded");
        }
    }
}

/// What became of a partition that was generated, with the outputs whose bytes are others than before.
fn generated(entry: Entry, planned: &Planned) -> Outcome {
    let changed: Vec<Arc<str>> = match &planned.state {
        State::Missing(_) => Vec::new(),
        State::Usable(old) => {
            let differs = |new: &&crate::store::Artifact| old.output(&new.name).is_some_and(|old| old.digest != new.digest);
            entry.outputs.iter().filter(differs).map(|output| Arc::clone(&output.name)).collect()
        }
    };
    if !changed.is_empty() {
        tracing::warn!(address = %entry.address, outputs = ?changed, "the same key gave other bytes: the generator is not deterministic");
    }
    match entry.empty {
        Some(_) => Outcome::Empty { entry, known: false },
        None => Outcome::Generated { entry, changed },
    }
}

/// Whether the same again may end differently.
fn worth_another_attempt(class: FailureClass) -> bool {
    match class {
        FailureClass::Exit | FailureClass::Signal | FailureClass::Timeout | FailureClass::NoOutput | FailureClass::BadOutput => true,
        // The key no longer says what would run, the program cannot run, or the disk will not take it.
        FailureClass::ChangedWhileRunning | FailureClass::Spawn | FailureClass::Store => false,
    }
}

/// Doubling pauses.
fn pause_after(attempt: u32, first: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(attempt - 1)).min(RETRY_DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<u64> = [1, 2, 3, 7, 100].into_iter().map(|attempt| pause_after(attempt, Duration::from_secs(1)).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 60, 60]);
    }
}
