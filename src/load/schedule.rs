//! Generating what is missing: which partition runs when, who waits for whom, and what is tried again.
//!
//! A partition first gets its share of the limits and only then tries for the claim, so that no process sits on claims that it does not work on:
//! many processes that want the same partitions share the work among them. A derived partition becomes ready with the last of what it is derived from,
//! and goes before what was requested later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::address::Address;
use crate::dataset::Upstreams;
use crate::error::{Error, Result};
use crate::failure::{Failure, FailureClass, Log};
use crate::generator::{Attempt, AttemptError, Generator, store_failure};
use crate::interval::Time;
use crate::load::order::Order;
use crate::load::plan::{Node, Plan, Stage, State, Target, judge};
use crate::load::policy::{OnFailure, OnMissing, Policy, RetryFailed};
use crate::load::progress::{Place, Progress, Watch};
use crate::load::report::Outcome;
use crate::load::shares::Shares;
use crate::runner::{Permit, Runner, Share};
use crate::store::{Claim, Entry, FailureRecord, Found, Store};

/// How long a partition whose claim another holds waits before it looks again: from the first to the second, doubling.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// How long a partition waits for another before that is told.
const TELL_AFTER: Duration = Duration::from_secs(30);
/// The longest pause before another attempt.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);
/// How many partitions try for their share of the limits at once, for each worker, so that there is always one that can go on.
const WINDOW_PER_WORKER: usize = 2;

/// What the partitions of one load share.
pub(crate) struct Schedule<'a> {
    pub(crate) store: &'a Store,
    pub(crate) plan: &'a Plan,
    pub(crate) policy: Policy,
    pub(crate) shares: &'a Shares,
    /// When the load began.
    pub(crate) began: Time,
    pub(crate) watch: &'a Watch,
}

/// A partition on its way.
struct Going {
    nth: usize,
    aim: Aim,
    /// Where another was waited for.
    waited: Option<Waiting>,
}

/// What is known of a partition on its way.
#[derive(Clone)]
enum Aim {
    Target(Arc<Target>),
    /// What it is derived from has just come; its address follows from that.
    Upstream(Arc<Upstreams>),
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
    began: Instant,
}

/// Gives a share back when the attempt that holds it is over or given up.
struct GiveBack<'a>(&'a Share);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Lets all commands begin to end before the first one's end is waited for.
struct StopAll<'a>(&'a dyn Runner);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.stop_all();
    }
}

/// A partition that was dealt with.
pub(crate) struct Done {
    /// Its place in the plan's nodes.
    pub(crate) nth: usize,
    /// Where its entry is, or would be, where that is known.
    pub(crate) address: Option<Address>,
    pub(crate) outcome: Outcome,
}

impl Schedule<'_> {
    /// Generates partitions, each one once, and hands every outcome to `done` as it comes. Stops at the first failure where the policy says so: what
    /// runs is ended when this returns. That the store cannot take a partition (a full disk, a lost permission) is a failure of that partition.
    pub(crate) async fn generate(&self, mut done: impl FnMut(Done)) -> Result<()> {
        let mut order = Order::of(self.plan);
        let mut running = FuturesUnordered::new();
        // Apart from those that run: what others generate must not keep this load from what nobody does.
        let mut waiting = FuturesUnordered::new();
        // Dropped before the two above.
        let _stop = StopAll(self.shares.runner.as_ref());
        loop {
            while running.len() < self.shares.workers().saturating_mul(WINDOW_PER_WORKER) {
                let Some(nth) = order.ready.pop_first() else { break };
                running.push(self.go_on(Going { nth, aim: self.aim(nth, &order)?, waited: None }));
            }
            let (nth, aim, step) = tokio::select! {
                Some(came_to) = running.next() => came_to,
                Some(came_to) = waiting.next() => came_to,
                else => return Ok(()),
            };
            let outcome = match (step, self.policy.failure, &aim) {
                (Ok(Step::Busy(since)), _, _) => {
                    waiting.push(self.wait(Going { nth, aim, waited: Some(since) }, since));
                    continue;
                }
                (Ok(Step::Free(since)), _, _) => {
                    running.push(self.go_on(Going { nth, aim, waited: Some(since) }));
                    continue;
                }
                (Ok(Step::Done(Outcome::Failed { failure, .. })), OnFailure::Fail, Aim::Target(target)) => {
                    return Err(self.failed(nth, target.address, failure));
                }
                (Ok(Step::Done(outcome)), _, _) => outcome,
                // What the policy refuses, what is a bug, and a lost cluster are no partition's failure.
                (Err(error @ (Error::Missing { .. } | Error::Internal { .. } | Error::Cluster { .. })), _, _) => return Err(error),
                (Err(error), OnFailure::Skip, _) if !error.is_usage() => {
                    Outcome::Failed { failure: Box::new(store_failure(&error, Log::default())), recorded: false }
                }
                (Err(error), _, _) => return Err(error),
            };
            let address = match &aim {
                Aim::Target(target) => Some(target.address),
                Aim::Upstream(_) => None,
            };
            match outcome.entry() {
                Some(entry) => order.has_come(nth, entry),
                None => {
                    for (dependant, lacking) in order.does_not_come(nth) {
                        let outcome = self.without(lacking, nth, &outcome);
                        done(Done { nth: dependant, address: None, outcome });
                    }
                }
            }
            done(Done { nth, address, outcome });
        }
    }

    fn node(&self, nth: usize) -> &Node {
        &self.plan.nodes[nth]
    }

    fn generator(&self, nth: usize) -> &Generator {
        &self.plan.generators[self.node(nth).generator]
    }

    /// What is known of a partition that is ready.
    fn aim(&self, nth: usize, order: &Order) -> Result<Aim> {
        let node = self.node(nth);
        match &node.stage {
            Stage::Known(target) => Ok(Aim::Target(Arc::clone(target))),
            Stage::Waiting | Stage::Blocked(_) => {
                let upstream = self.plan.upstreams(node, |nth| order.made.get(&nth).or_else(|| self.plan.entry(nth)));
                let upstream = upstream.ok_or_else(|| Error::Internal { what: "scheduling a derived partition".to_owned() })?;
                Ok(Aim::Upstream(Arc::new(upstream)))
            }
        }
    }

    /// The outcome of a partition whose upstream does not come: because of `cause`, which is `lacking` or what that is derived from.
    fn without(&self, lacking: usize, cause: usize, outcome: &Outcome) -> Outcome {
        let place = self.plan.place(self.node(lacking));
        match outcome {
            Outcome::Failed { failure, .. } => {
                let message = if lacking == cause {
                    format!("its upstream {place} failed: {failure}")
                } else {
                    format!("its upstream {place} was not made, since {} failed: {failure}", self.plan.place(self.node(cause)))
                };
                let failure = Failure { class: FailureClass::Upstream, message, log: failure.log.clone() };
                Outcome::Failed { failure: Box::new(failure), recorded: false }
            }
            _ => Outcome::Missing { reason: Some(format!("its upstream {place} is missing")) },
        }
    }

    /// The refusal of an upstream whose address came out only now, as one that is missing.
    fn missing(&self, nth: usize, reason: Option<&str>) -> Error {
        let node = self.node(nth);
        Error::Missing {
            missing: 1,
            requested: self.plan.requested.len(),
            dataset: self.generator(nth).dataset().name().to_owned(),
            instrument: node.instrument.clone(),
            interval: node.interval,
            reason: format!(
                "only derived partitions need it, and missing upstream is to fail{}",
                reason.map(|reason| format!("; {reason}")).unwrap_or_default()
            ),
        }
    }

    fn failed(&self, nth: usize, address: Address, failure: Box<Failure>) -> Error {
        let node = self.node(nth);
        Error::Generation {
            dataset: self.generator(nth).dataset().name().to_owned(),
            instrument: node.instrument.clone(),
            interval: node.interval,
            address,
            failure,
            recorded: matches!(self.store.failure(&address), Ok(Some(_))),
        }
    }

    /// Gets a share of the limits, tries for the claim, and generates.
    async fn go_on(&self, going: Going) -> (usize, Aim, Result<Step>) {
        let Going { nth, aim, waited } = going;
        let target = match &aim {
            Aim::Target(target) => Arc::clone(target),
            Aim::Upstream(upstream) => match self.find(nth, upstream).await {
                Ok(target) => target,
                Err(error) => return (nth, aim, Err(error)),
            },
        };
        let derived = matches!(aim, Aim::Upstream(_));
        let step = match &target.state {
            // What it is derived from came out as it was before: nothing changes here.
            State::Usable(entry) if derived && !self.plan.refreshes(self.node(nth)) => Ok(Step::Done(Outcome::of_known(entry.clone()))),
            State::Missing(reason) if derived && !self.plan.may_generate(self.node(nth)) && self.policy.upstream == OnMissing::Fail => {
                Err(self.missing(nth, reason.as_deref()))
            }
            State::Missing(reason) if derived && !self.plan.may_generate(self.node(nth)) => {
                Ok(Step::Done(Outcome::Missing { reason: reason.clone() }))
            }
            _ => self.try_to_generate(nth, &target, waited).await,
        };
        (nth, Aim::Target(target), step)
    }

    /// The address of a partition whose upstream has just come, and what the store has there.
    async fn find(&self, nth: usize, upstream: &Arc<Upstreams>) -> Result<Arc<Target>> {
        let key = self.plan.key(self.node(nth), upstream)?;
        let address = key.address();
        let found = self.store.blocking("looking a derived partition up", move |store| store.lookup_one(&address));
        let state = judge(found.await??, self.generator(nth).dataset(), self.node(nth).interval, self.policy);
        Ok(Arc::new(Target { key, address, state, upstream: Arc::clone(upstream) }))
    }

    async fn try_to_generate(&self, nth: usize, target: &Target, waited: Option<Waiting>) -> Result<Step> {
        if waited.is_none()
            && let Some(record) = self.recorded_failure(target)?
        {
            return Ok(Step::Done(Outcome::Failed { failure: Box::new(record.failure), recorded: true }));
        }
        let permit = self.permit(nth).await;
        let Some((claim, found)) = self.claim(target).await? else {
            tracing::debug!(address = %target.address, "another generates it: waiting");
            let since = match waited {
                Some(since) => since,
                None => Waiting { failed_last: self.failed_last(target)?, began: Instant::now() },
            };
            return Ok(Step::Busy(since));
        };
        match self.made_by_another(nth, target, found, waited)? {
            Some(outcome) => Ok(Step::Done(outcome)),
            None => self.attempts(nth, target, claim, permit).await.map(Step::Done),
        }
    }

    /// Waits until what another generates is there, or nobody generates it any more. Takes nothing of the limits.
    async fn wait(&self, going: Going, since: Waiting) -> (usize, Aim, Result<Step>) {
        let Going { nth, aim, .. } = going;
        let step = match &aim {
            Aim::Target(target) => self.wait_for_another(nth, target, since).await,
            Aim::Upstream(_) => Ok(Step::Free(since)),
        };
        (nth, aim, step)
    }

    async fn wait_for_another(&self, nth: usize, target: &Target, since: Waiting) -> Result<Step> {
        let mut pause = LOOK_AGAIN.0;
        let since_when = since.began;
        let mut told = false;
        loop {
            if !told && since_when.elapsed() > TELL_AFTER {
                told = true;
                let place = self.plan.place(self.node(nth));
                tracing::warn!(address = %target.address, "still waiting for {place}, which another load or a function that was given up holds; end that one, or cancel this load");
            }
            let left = match self.policy.wait_max {
                Some(wait_max) => wait_max.saturating_sub(since_when.elapsed()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                return Ok(Step::Done(waited_in_vain(since_when.elapsed())));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LOOK_AGAIN.1);
            let address = target.address;
            let found = self.store.blocking("looking again", move |store| {
                // In this order: who holds no claim any more has finished.
                let claimed = store.is_claimed(&address)?;
                Ok::<_, Error>((claimed, store.glance(&address)?))
            });
            let (claimed, found) = found.await??;
            if let Some(outcome) = self.made_by_another(nth, target, found, Some(since))? {
                // Only what is there at last is looked at as closely as is asked for.
                let whole = match outcome.entry() {
                    Some(_) => {
                        let found = self.store.blocking("looking again", move |store| store.lookup_one(&address)).await??;
                        self.made_by_another(nth, target, found, Some(since))?
                    }
                    None => Some(outcome),
                };
                if let Some(outcome) = whole {
                    return Ok(Step::Done(outcome));
                }
            }
            if !claimed {
                return Ok(Step::Free(since));
            }
        }
    }

    /// Takes the claim, or nothing where another holds it; looks again under it, since another may have finished meanwhile, and sets aside what is
    /// damaged.
    async fn claim(&self, target: &Target) -> Result<Option<(Claim, Found)>> {
        let key = target.key.clone();
        let address = target.address;
        let claimed = self.store.blocking("claiming a partition", move |store| {
            let Some(claim) = store.try_claim(address)? else { return Ok(None) };
            let found = store.lookup_one(&address)?;
            if let Found::Damaged(reason) = &found {
                store.quarantine(&key, reason)?;
            }
            Ok(Some((claim, found)))
        });
        claimed.await?
    }

    /// The outcome that another load or process has brought about since this one planned.
    fn made_by_another(&self, nth: usize, target: &Target, found: Found, waited: Option<Waiting>) -> Result<Option<Outcome>> {
        let node = self.node(nth);
        if let State::Usable(entry) = judge(found, self.plan.dataset(node), node.interval, self.policy) {
            // A refresh wants another entry than the one it was planned with.
            let known = matches!(&target.state, State::Usable(old) if old.is_of_the_same_run(&entry));
            if !(self.plan.refreshes(node) && known) {
                return Ok(Some(Outcome::of_known(entry)));
            }
        }
        // Whom we waited for has just failed on it: the same work is not done twice for one answer.
        let Some(Waiting { failed_last, .. }) = waited else { return Ok(None) };
        let record = self.store.failure(&target.address)?.filter(|record| Some(record.last) != failed_last);
        Ok(record.map(|record| Outcome::Failed { failure: Box::new(record.failure), recorded: true }))
    }

    fn failed_last(&self, target: &Target) -> Result<Option<Time>> {
        Ok(self.store.failure(&target.address)?.map(|record| record.last))
    }

    async fn permit(&self, nth: usize) -> Permit {
        self.shares.acquire(self.generator(nth).dataset()).await
    }

    /// The failure on record that the policy does not try again.
    fn recorded_failure(&self, target: &Target) -> Result<Option<FailureRecord>> {
        if self.policy.retry_failed == RetryFailed::Always {
            return Ok(None);
        }
        Ok(self.store.failure(&target.address)?.filter(|record| !self.policy.tries_again(record, self.began)))
    }

    /// Attempts until one succeeds or no more are allowed.
    async fn attempts(&self, nth: usize, target: &Target, mut claim: Claim, mut permit: Permit) -> Result<Outcome> {
        let (node, generator) = (self.node(nth), self.generator(nth));
        let dataset = generator.dataset();
        let place = Place { dataset: dataset.name(), instrument: &node.instrument, interval: node.interval };
        for attempt in 1.. {
            tracing::info!(dataset = dataset.name(), instrument = %node.instrument, interval = %node.interval, attempt, "generating");
            self.watch.progress(&Progress::Started { place, attempt });
            let share = Share::of(permit);
            let this = Attempt { key: target.key.clone(), upstream: Arc::clone(&target.upstream), nth: attempt, share: share.clone() };
            // A function that is not awaited any more keeps a copy, and no slot.
            let _given_back = GiveBack(&share);
            let (mut held, made) = generator.attempt(this, claim).await;
            if let (Some(held), Err(_)) = (&mut held, &made) {
                // Now, not with the claim: where it has filled the disk, the record of its failure needs the space.
                held.clear();
            }
            let failure = match made {
                Ok(entry) => return Ok(generated(entry, target)),
                Err(AttemptError::Failed(failure)) => failure,
                Err(AttemptError::Cluster(error)) => return Err(*error),
                Err(AttemptError::Store(error, log)) => {
                    self.record(nth, target, &store_failure(&error, *log), attempt);
                    return Err(*error);
                }
            };
            let again = attempt <= dataset.retries() && worth_another_attempt(failure.class);
            match held {
                Some(held) if again => claim = held,
                _ => {
                    self.record(nth, target, &failure, attempt);
                    return Ok(Outcome::Failed { failure: Box::new(failure), recorded: false });
                }
            }
            let pause = pause_after(attempt, dataset.retry_delay());
            tracing::info!(address = %target.address, attempt, %failure, "another attempt follows");
            self.watch.progress(&Progress::Retrying { place, attempt, failure: &failure, pause });
            // Others may use what this partition holds while it pauses.
            share.give_back();
            tokio::time::sleep(pause).await;
            permit = self.permit(nth).await;
        }
        unreachable!("attempts are counted until one returns")
    }

    fn record(&self, nth: usize, target: &Target, failure: &Failure, attempts: u32) {
        let now = Time::now();
        let node = self.node(nth);
        let record = FailureRecord {
            address: target.address,
            dataset: self.generator(nth).dataset().name().to_owned(),
            instrument: node.instrument.clone(),
            interval: node.interval,
            key: target.key.to_value(),
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

/// The outcome of a partition that another load has been generating for longer than this one waits.
fn waited_in_vain(waited: Duration) -> Outcome {
    let message = format!(
        "another load or process has been generating it for longer than the {:.1} s that this one waits; load again later, or wait longer",
        waited.as_secs_f64()
    );
    Outcome::Failed { failure: Box::new(Failure::new(FailureClass::Timeout, message)), recorded: false }
}

/// What became of a partition that was generated, with the outputs that were found otherwise before.
fn generated(entry: Entry, target: &Target) -> Outcome {
    let changed = match &target.state {
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
        FailureClass::Exit
        | FailureClass::Signal
        | FailureClass::Timeout
        | FailureClass::NoOutput
        | FailureClass::BadOutput
        | FailureClass::Error
        | FailureClass::Panic
        | FailureClass::Lost
        | FailureClass::Memory => true,
        // The key no longer says what would run, the program cannot run, the disk will not take it, or what it needs is not there.
        FailureClass::ChangedWhileRunning | FailureClass::Spawn | FailureClass::Store | FailureClass::Upstream | FailureClass::Queue => false,
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
