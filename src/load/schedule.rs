//! Generating what is missing: which partition runs when, who waits for whom, and what is tried again.
//!
//! A partition first gets its share of the limits and only then tries for the claim, so that no process sits on claims that it does not work on:
//! many processes that want the same partitions share the work among them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::error::{Error, Result};
use crate::failure::{Failure, FailureClass};
use crate::generator::{AttemptError, CommandGenerator, store_failure};
use crate::interval::Time;
use crate::load::plan::{Planned, State, judge};
use crate::load::policy::{OnFailure, Policy, RetryFailed};
use crate::load::report::Outcome;
use crate::runner::{Limits, Permit};
use crate::store::{Claim, Entry, FailureRecord, Found, Store};

/// How long a partition whose claim another holds waits before it looks again: from the first to the second, doubling.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// The longest pause before another attempt.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);
/// How many partitions try for their share of the limits at once, for each worker, so that there is always one that can go on.
const WINDOW_PER_WORKER: usize = 2;

/// What the partitions of one load share.
pub(crate) struct Schedule<'a> {
    pub(crate) store: &'a Store,
    pub(crate) generators: &'a [CommandGenerator],
    pub(crate) policy: Policy,
    pub(crate) limits: &'a Limits,
    pub(crate) workers: usize,
    /// When the load began.
    pub(crate) began: Time,
}

/// Where a partition has come to.
enum Step {
    Done(Outcome),
    /// Another load or process holds its claim.
    Busy(Waiting),
    /// Nobody does any more.
    Free(Waiting),
}

/// What was on record when a partition began to wait for another that generates it.
#[derive(Clone, Copy)]
struct Waiting {
    failed_last: Option<Time>,
}

impl Schedule<'_> {
    /// Generates partitions, each one once, and hands every outcome to `done` as it comes. Stops at the first failure where the policy says so: what
    /// runs is ended when this returns. That the store cannot take a partition (a full disk, a lost permission) is a failure of that partition.
    pub(crate) async fn generate<'p>(
        &self,
        wanted: impl IntoIterator<Item = (usize, &'p Planned)>,
        mut done: impl FnMut(usize, Outcome),
    ) -> Result<()> {
        let mut wanted = wanted.into_iter();
        let mut running = FuturesUnordered::new();
        // Apart from those that run: what others generate must not keep this load from what nobody does.
        let mut waiting = FuturesUnordered::new();
        loop {
            while running.len() < self.workers.saturating_mul(WINDOW_PER_WORKER) {
                let Some((nth, planned)) = wanted.next() else { break };
                running.push(self.go_on(nth, planned, None));
            }
            let (nth, planned, step) = tokio::select! {
                Some(came_to) = running.next() => came_to,
                Some(came_to) = waiting.next() => came_to,
                else => return Ok(()),
            };
            match (step, self.policy.failure) {
                (Ok(Step::Busy(since)), _) => waiting.push(self.wait(nth, planned, since)),
                (Ok(Step::Free(since)), _) => running.push(self.go_on(nth, planned, Some(since))),
                (Ok(Step::Done(Outcome::Failed { failure, .. })), OnFailure::Fail) => return Err(self.failed(planned, failure)),
                (Ok(Step::Done(outcome)), _) => done(nth, outcome),
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

    /// Gets a share of the limits, tries for the claim, and generates.
    async fn go_on<'p>(&self, nth: usize, planned: &'p Planned, waited: Option<Waiting>) -> (usize, &'p Planned, Result<Step>) {
        (nth, planned, self.try_to_generate(planned, waited).await)
    }

    async fn try_to_generate(&self, planned: &Planned, waited: Option<Waiting>) -> Result<Step> {
        if waited.is_none()
            && let Some(record) = self.recorded_failure(planned)?
        {
            return Ok(Step::Done(Outcome::Failed { failure: Box::new(record.failure), recorded: true }));
        }
        let permit = self.permit(planned).await;
        let Some((claim, found)) = self.claim(planned).await? else {
            tracing::debug!(address = %planned.address, "another generates it: waiting");
            let since = match waited {
                Some(since) => since,
                None => Waiting { failed_last: self.failed_last(planned)? },
            };
            return Ok(Step::Busy(since));
        };
        match self.made_by_another(planned, found, waited)? {
            Some(outcome) => Ok(Step::Done(outcome)),
            None => self.attempts(planned, claim, permit).await.map(Step::Done),
        }
    }

    /// Waits until what another generates is there, or nobody generates it any more. Takes nothing of the limits.
    async fn wait<'p>(&self, nth: usize, planned: &'p Planned, since: Waiting) -> (usize, &'p Planned, Result<Step>) {
        (nth, planned, self.wait_for_another(planned, since).await)
    }

    async fn wait_for_another(&self, planned: &Planned, since: Waiting) -> Result<Step> {
        let mut pause = LOOK_AGAIN.0;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN.1);
            let address = planned.address;
            let found = self.store.blocking("looking again", move |store| {
                // In this order: who holds no claim any more has finished.
                let claimed = store.is_claimed(&address)?;
                Ok::<_, Error>((claimed, store.lookup_one(&address)?))
            });
            let (claimed, found) = found.await??;
            if let Some(outcome) = self.made_by_another(planned, found, Some(since))? {
                return Ok(Step::Done(outcome));
            }
            if !claimed {
                return Ok(Step::Free(since));
            }
        }
    }

    /// Takes the claim, or nothing where another holds it; looks again under it, since another may have finished meanwhile, and sets aside what is
    /// damaged.
    async fn claim(&self, planned: &Planned) -> Result<Option<(Claim, Found)>> {
        let key = planned.key.clone();
        let address = planned.address;
        let claimed = self.store.blocking("claiming a partition", move |store| {
            let Some(claim) = store.try_claim(address)? else { return Ok(None) };
            let found = store.lookup_one(&address)?;
            if matches!(found, Found::Damaged(_)) {
                store.quarantine(&key)?;
            }
            Ok(Some((claim, found)))
        });
        claimed.await?
    }

    /// The outcome that another load or process has brought about since this one planned.
    fn made_by_another(&self, planned: &Planned, found: Found, waited: Option<Waiting>) -> Result<Option<Outcome>> {
        let dataset = self.generators[planned.generator].dataset();
        if let State::Usable(entry) = judge(found, dataset, planned.key.interval(), self.policy) {
            // A refresh wants another entry than the one it was planned with.
            let known = matches!(&planned.state, State::Usable(old) if *old == entry);
            if !(self.policy.refresh && known) {
                return Ok(Some(match entry.empty {
                    None => Outcome::Hit(entry),
                    Some(_) => Outcome::Empty { entry, known: true, changed: Vec::new() },
                }));
            }
        }
        // Whom we waited for has just failed on it: the same work is not done twice for one answer.
        let Some(Waiting { failed_last }) = waited else { return Ok(None) };
        let record = self.store.failure(&planned.address)?.filter(|record| Some(record.last) != failed_last);
        Ok(record.map(|record| Outcome::Failed { failure: Box::new(record.failure), recorded: true }))
    }

    fn failed_last(&self, planned: &Planned) -> Result<Option<Time>> {
        Ok(self.store.failure(&planned.address)?.map(|record| record.last))
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

    /// Attempts until one succeeds or no more are allowed.
    async fn attempts(&self, planned: &Planned, mut claim: Claim, mut permit: Permit) -> Result<Outcome> {
        let generator = &self.generators[planned.generator];
        let retries = generator.dataset().retries();
        for attempt in 1.. {
            tracing::info!(dataset = generator.dataset().name(), instrument = %planned.key.instrument(), interval = %planned.key.interval(), attempt, "generating");
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

/// What became of a partition that was generated, with the outputs that were found otherwise before.
fn generated(entry: Entry, planned: &Planned) -> Outcome {
    let changed = match &planned.state {
        State::Missing(_) => Vec::new(),
        State::Usable(old) => differing(old, &entry),
    };
    if !changed.is_empty() {
        tracing::info!(address = %entry.address, outputs = ?changed, "the same key gave other bytes: the generator is not deterministic");
    }
    match entry.empty {
        Some(_) => Outcome::Empty { entry, known: false, changed },
        None => Outcome::Generated { entry, changed },
    }
}

/// The names of the outputs that are not the same bytes in both.
fn differing(old: &Entry, new: &Entry) -> Vec<Arc<str>> {
    let digest_in = |entry: &Entry, name: &str| entry.output(name).map(|output| output.digest);
    let mut names: Vec<Arc<str>> = old.outputs.iter().chain(&new.outputs).map(|output| Arc::clone(&output.name)).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| digest_in(old, name) != digest_in(new, name));
    names
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
