//! A load under way: what is known is answered first, on whatever thread asks; what is left is generated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::Load;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::interval::{Interval, Time};
use crate::load::plan::{Node, Plan, Stage, State};
use crate::load::policy::{Policy, RetryFailed};
use crate::load::progress::{Absent, Progress, Watch};
use crate::load::report::{Loaded, Outcome, Partition};
use crate::load::schedule::{Done, Schedule};
use crate::load::shares::{Place, Shares};
use crate::store::{RecentLoad, Store};

/// A load whose known partitions are answered.
pub(super) struct Running {
    store: Store,
    plan: Plan,
    policy: Policy,
    shares: Shares,
    watch: Watch,
    cancellation: CancellationToken,
    began: Instant,
    started: Time,
    answers: Answers,
}

/// What has become of the requested partitions so far, and of others on the way.
struct Answers {
    partitions: Vec<Option<Partition>>,
    upstream: Vec<Partition>,
    /// The places in a request's order of each node that has no answer yet: what is asked for twice is generated once.
    places: HashMap<usize, Vec<usize>>,
}

impl Load {
    /// Plans, and answers what the store answers. Blocks on the disk.
    pub(super) fn begin(self) -> Result<Running> {
        let began = Instant::now();
        let started = Time::now();
        let Load { store, requests, policy, limits, ray, watch, cancellation } = self;
        if store.is_imagined() {
            let reason = "it was only imagined, to ask what a load would do; open it with `Store::open`".to_owned();
            return Err(Error::NotAStore { path: store.path().to_path_buf(), reason });
        }
        let place = Place::of(ray);
        let plan = Plan::make_for(&store, &requests, policy, Store::lookup, &place.runner());
        store.save_fingerprints();
        let plan = plan?;
        let shares = Shares::of(&place, &store, &plan, limits)?;

        let answered: Vec<Option<Outcome>> = plan.requested.iter().map(|requested| answered(&plan, &plan.nodes[requested.node])).collect();
        refuse_missing(&store, &plan, &answered, policy).inspect_err(|_| store.note_load(&noted(answered.iter().map(Option::as_ref), began)))?;
        let known = answered.iter().flatten().count();
        let upstream = plan.nodes.iter().filter(|node| !node.requested && plan.is_in_motion(node)).count();
        let absent = absent(&store, &plan, policy, started)?;
        watch.progress(&Progress::Planned { requested: answered.len(), answered: known, upstream, absent: &absent });

        let mut answers = Answers { partitions: Vec::with_capacity(answered.len()), upstream: Vec::new(), places: HashMap::new() };
        for (nth, (outcome, requested)) in answered.into_iter().zip(&plan.requested).enumerate() {
            if outcome.is_none() {
                answers.places.entry(requested.node).or_default().push(nth);
            }
            let partition = outcome.map(|outcome| requested_partition(&plan, nth, known_address(&plan.nodes[requested.node]), outcome));
            partition.iter().for_each(|partition| watch.partition(partition));
            answers.partitions.push(partition);
        }
        let running = Running { store, plan, policy, shares, watch, cancellation, began, started, answers };
        if running.is_over() {
            running.store.note_load(&running.noted());
        }
        Ok(running)
    }
}

impl Running {
    /// Whether everything is answered.
    pub(super) fn is_over(&self) -> bool {
        self.answers.places.is_empty()
    }

    /// Generates what is left.
    pub(super) async fn finish(mut self) -> Result<Loaded> {
        let generated = self.generate().await;
        let load = self.noted();
        // Where that cannot be run any more, it is not noted.
        let _ = self.store.blocking("noting a load", move |store| store.note_load(&load)).await;
        generated.map(|()| self.into_loaded())
    }

    async fn generate(&mut self) -> Result<()> {
        let Self { store, plan, policy, shares, watch, cancellation, started, answers, .. } = self;
        let schedule = Schedule { store, plan, policy: *policy, shares, began: *started, watch };
        let generating = schedule.generate(|done| answers.note(plan, watch, done));
        // What runs is ended when this is over, whichever it is.
        tokio::select! {
            biased;
            () = cancellation.cancelled() => {}
            outcome = generating => outcome?,
        }
        if !self.is_over() {
            let done = self.answers.partitions.iter().flatten().count();
            return Err(Error::Cancelled { done, requested: self.answers.partitions.len() });
        }
        Ok(())
    }

    /// What it has found and made so far, to be remembered.
    fn noted(&self) -> RecentLoad {
        noted(self.answers.partitions.iter().map(|partition| partition.as_ref().map(|partition| &partition.outcome)), self.began)
    }

    /// What it came to.
    pub(super) fn into_loaded(self) -> Loaded {
        let Answers { partitions, upstream, .. } = self.answers;
        Loaded {
            partitions: partitions.into_iter().flatten().collect(),
            upstream,
            elapsed: self.began.elapsed(),
            store: self.store,
            datasets: self.plan.generators.iter().map(|generator| generator.dataset().clone()).collect(),
        }
    }
}

impl Answers {
    fn note(&mut self, plan: &Plan, watch: &Watch, done: Done) {
        let Done { nth, address, outcome } = done;
        let node = &plan.nodes[nth];
        if !node.requested {
            let partition = partition(plan, node, node.interval, address, outcome);
            watch.progress(&Progress::Upstream(&partition));
            self.upstream.push(partition);
            return;
        }
        let places = self.places.remove(&nth).unwrap_or_default();
        for (again, place) in places.into_iter().enumerate() {
            let outcome = if again == 0 { outcome.clone() } else { outcome.clone().again() };
            let partition = requested_partition(plan, place, address, outcome);
            watch.partition(&partition);
            self.partitions[place] = Some(partition);
        }
    }
}

fn requested_partition(plan: &Plan, nth: usize, address: Option<Address>, outcome: Outcome) -> Partition {
    let requested = &plan.requested[nth];
    partition(plan, &plan.nodes[requested.node], requested.interval, address, outcome)
}

fn partition(plan: &Plan, node: &Node, requested: Interval, address: Option<Address>, outcome: Outcome) -> Partition {
    Partition {
        dataset: Arc::clone(&plan.names[node.generator]),
        generator: plan.generators[node.generator].identified().identity().id(),
        instrument: node.instrument.clone(),
        interval: node.interval,
        requested,
        address,
        outcome,
        lineage: plan.lineages[node.generator],
    }
}

/// What a load has found and made so far of the partitions that were requested.
fn noted<'a>(outcomes: impl Iterator<Item = Option<&'a Outcome>>, began: Instant) -> RecentLoad {
    let mut load = RecentLoad::ending_now(began.elapsed());
    for outcome in outcomes {
        let count = match outcome {
            Some(Outcome::Hit(_) | Outcome::Empty { known: true, .. }) => &mut load.hits,
            Some(Outcome::Generated { .. } | Outcome::Empty { known: false, .. }) => &mut load.generated,
            Some(Outcome::Missing { .. }) => &mut load.missing,
            Some(Outcome::Failed { .. }) => &mut load.failed,
            None => &mut load.unfinished,
        };
        *count = count.saturating_add(1);
    }
    load
}

fn known_address(node: &Node) -> Option<Address> {
    match &node.stage {
        Stage::Known(target) => Some(target.address),
        Stage::Waiting | Stage::Blocked(_) => None,
    }
}

/// The outcome of a partition that needs no generator under the load's policy.
fn answered(plan: &Plan, node: &Node) -> Option<Outcome> {
    if plan.is_in_motion(node) {
        return None;
    }
    Some(match &node.stage {
        Stage::Known(target) => match &target.state {
            State::Usable(entry) => Outcome::of_known(entry.clone()),
            State::Missing(reason) => Outcome::Missing { reason: reason.clone() },
        },
        Stage::Waiting => return None,
        Stage::Blocked(reason) => Outcome::Missing { reason: Some(reason.clone()) },
    })
}

/// What is to be generated because the store has no entry of its key: without what failed before and is not tried again.
fn absent<'a>(store: &Store, plan: &'a Plan, policy: Policy, now: Time) -> Result<Vec<Absent<'a>>> {
    let mut absent = Vec::new();
    for (_, one) in plan.absent() {
        let asks = policy.retry_failed != RetryFailed::Always;
        if !asks || store.failure(&one.address)?.is_none_or(|record| policy.tries_again(&record, now)) {
            absent.push(one);
        }
    }
    Ok(absent)
}

fn refuse_missing(store: &Store, plan: &Plan, outcomes: &[Option<Outcome>], policy: Policy) -> Result<()> {
    if !policy.refuses_missing() {
        return Ok(());
    }
    let missing = plan.requested.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Some(Outcome::Missing { .. })));
    let mut missing = missing.map(|(requested, _)| &plan.nodes[requested.node]);
    let Some(first) = missing.next() else { return Ok(()) };
    let reason = match &first.stage {
        Stage::Blocked(reason) => reason.clone(),
        Stage::Waiting => "it waits for its upstream".to_owned(),
        Stage::Known(target) => match (&target.state, store.failure(&target.address)?) {
            (State::Missing(Some(reason)), _) => reason.clone(),
            (_, Some(record)) => format!("failed, last at {}: {}; `tickbarn logs {}`", record.last, record.failure, target.address.short()),
            _ => "never generated with this configuration".to_owned(),
        },
    };
    Err(Error::Missing {
        missing: 1 + missing.count(),
        requested: plan.requested.len(),
        dataset: plan.names[first.generator].to_string(),
        instrument: first.instrument.clone(),
        interval: first.interval,
        reason,
    })
}
