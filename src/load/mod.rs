//! The one verb: loading. Looks up, generates what is missing under the chosen policy, and reports.

mod plan;
mod policy;
mod report;
mod schedule;

use std::collections::HashMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

pub use policy::{Mode, OnFailure, OnMissing, Policy, RetryFailed, UnknownWord};
pub use report::{Loaded, Outcome, Partition, Summary};

use crate::address::Address;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::runner::{self, Limits, Runner};
use crate::store::Store;
use plan::{Plan, Planned, Request, State};
use schedule::Schedule;

/// A load in the making: what is asked for, and how. Await it, [`Load::blocking`] it, or take its outcomes as they come with [`Load::each`].
///
/// Awaiting needs a tokio runtime with time enabled. Dropping the future ends the generators that run, releases their claims and leaves nothing
/// half-published; what finished before is durable.
#[must_use = "a load does nothing until it is awaited"]
pub struct Load {
    store: Store,
    requests: Vec<Request>,
    policy: Policy,
    workers: usize,
    cpus: f64,
    memory_bytes: u64,
    each: Option<Callback>,
}

type Callback = Box<dyn FnMut(&Partition) + Send>;

impl Store {
    /// Begins a load from this store.
    ///
    /// ```no_run
    /// # use tickbarn::{Dataset, Interval, Store};
    /// # fn main() -> tickbarn::Result<()> {
    /// let trades = Dataset::command("trades", ["./export", "--pair", "{instrument.pair}", "--from", "{start}", "--to", "{end}", "--out", "{output.trades}"])
    ///     .output("trades", "trades.parquet")
    ///     .build()?;
    /// let loaded = Store::open("barn")?.load().request(&trades, &"binance/BTC-USDT".parse()?, Interval::parse("2024-01-01", "2024-02-01")?).blocking()?;
    /// println!("{}", loaded.summary());
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(&self) -> Load {
        Load {
            store: self.clone(),
            requests: Vec::new(),
            policy: Policy::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            cpus: runner::machine_cpus(),
            memory_bytes: runner::machine_memory_bytes(),
            each: None,
        }
    }
}

impl Load {
    /// Asks for one instrument over one interval of one dataset. May be called any number of times; what is asked for twice is generated once.
    pub fn request(mut self, dataset: &Dataset, instrument: &Instrument, interval: Interval) -> Self {
        self.requests.push(Request { dataset: dataset.clone(), instrument: instrument.clone(), interval });
        self
    }

    /// How to deal with what is missing and what fails. By default what is missing is generated, and a failure stops the load.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How many generators run at once, at least one. By default as many as the machine has processors.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How many processors the generators that run may take in all, by what their datasets declare. By default all of the machine's.
    pub fn cpus(mut self, cpus: f64) -> Self {
        self.cpus = cpus;
        self
    }

    /// How much memory the generators that run may take in all, by what their datasets declare. By default all of the machine's.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Calls back with every partition as its outcome is known: first what is in the store, in request order, then the rest as it completes. A
    /// partition reported as generated is durable.
    pub fn each(mut self, callback: impl FnMut(&Partition) + Send + 'static) -> Self {
        self.each = Some(Box::new(callback));
        self
    }

    /// Runs the load to its end on a runtime of its own. May be called inside and outside of a tokio runtime; inside, it blocks the calling thread.
    ///
    /// # Errors
    /// As awaiting the load.
    pub fn blocking(self) -> Result<Loaded> {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::io("start a runtime for", "a load"))?;
            runtime.block_on(self.run())
        };
        if tokio::runtime::Handle::try_current().is_err() {
            return run();
        }
        // A runtime may not be started on a thread that drives another.
        std::thread::scope(|scope| match scope.spawn(run).join() {
            Ok(loaded) => loaded,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Runs the load to its end.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Generation`] where the policy says so; what finished before is kept. [`Error::Future`], [`Error::Resources`],
    /// [`Error::InvalidDataset`] and the like before anything is generated.
    async fn run(self) -> Result<Loaded> {
        let began = Instant::now();
        let Load { store, requests, policy, workers, cpus, memory_bytes, mut each } = self;
        let limits = Limits::new(workers, cpus, memory_bytes);
        check_resources(&requests, &limits, cpus, memory_bytes)?;

        let started = Time::now();
        let plan = store.blocking("planning a load", move |store| {
            let runner: Arc<dyn Runner> = Arc::new(runner::Local);
            let plan = Plan::make(store, requests, policy, &runner);
            store.save_fingerprints();
            plan
        });
        let plan = plan.await??;

        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(plan.partitions.len());
        outcomes.extend(plan.partitions.iter().map(|planned| answered(planned, policy)));
        refuse_missing(&store, &plan, &outcomes, policy)?;
        let report = |nth: usize, outcome: Outcome, each: &mut Option<Callback>| {
            let partition = partition_of(&plan, nth, outcome);
            if let Some(each) = each {
                each(&partition);
            }
            partition
        };
        let mut partitions: Vec<Option<Partition>> = Vec::with_capacity(outcomes.len());
        for (nth, outcome) in outcomes.into_iter().enumerate() {
            partitions.push(outcome.map(|outcome| report(nth, outcome, &mut each)));
        }

        // What is asked for twice is generated once. Two definitions of one address may still judge what is there differently.
        let mut same: HashMap<(usize, Address), Vec<usize>> = HashMap::new();
        let mut wanted = Vec::new();
        for (nth, planned) in plan.partitions.iter().enumerate().filter(|(nth, _)| partitions[*nth].is_none()) {
            let places = same.entry((planned.generator, planned.address)).or_default();
            if places.is_empty() {
                wanted.push((nth, planned));
            }
            places.push(nth);
        }
        let schedule = Schedule { store: &store, generators: &plan.generators, policy, limits: &limits, workers, began: started };
        schedule
            .generate(wanted, |nth, outcome| {
                let places = &same[&(plan.partitions[nth].generator, plan.partitions[nth].address)];
                for again in &places[1..] {
                    partitions[*again] = Some(report(*again, outcome.clone().again(), &mut each));
                }
                partitions[nth] = Some(report(nth, outcome, &mut each));
            })
            .await?;
        Ok(Loaded { partitions: partitions.into_iter().flatten().collect(), elapsed: began.elapsed() })
    }
}

impl IntoFuture for Load {
    type Output = Result<Loaded>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Loaded>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// The outcome of a partition that needs no generator under this policy.
fn answered(planned: &Planned, policy: Policy) -> Option<Outcome> {
    match &planned.state {
        State::Usable(_) if policy.refresh && policy.missing == OnMissing::Generate => None,
        State::Usable(entry) if entry.empty.is_some() => Some(Outcome::Empty { entry: entry.clone(), known: true, changed: Vec::new() }),
        State::Usable(entry) => Some(Outcome::Hit(entry.clone())),
        State::Missing(_) if policy.missing == OnMissing::Generate => None,
        State::Missing(reason) => Some(Outcome::Missing { reason: reason.clone() }),
    }
}

fn refuse_missing(store: &Store, plan: &Plan, outcomes: &[Option<Outcome>], policy: Policy) -> Result<()> {
    if policy.missing != OnMissing::Fail {
        return Ok(());
    }
    let mut missing = plan.partitions.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Some(Outcome::Missing { .. })));
    let Some((first, _)) = missing.next() else { return Ok(()) };
    let reason = match (&first.state, store.failure(&first.address)?) {
        (State::Missing(Some(reason)), _) => reason.clone(),
        (_, Some(record)) => format!("failed, last at {}: {}; `tickbarn logs {}`", record.last, record.failure, first.address.short()),
        _ => "never generated with this configuration".to_owned(),
    };
    Err(Error::Missing {
        missing: 1 + missing.count(),
        requested: plan.partitions.len(),
        dataset: plan.generators[first.generator].dataset().name().to_owned(),
        instrument: first.key.instrument().clone(),
        interval: first.key.interval(),
        reason,
    })
}

fn partition_of(plan: &Plan, nth: usize, outcome: Outcome) -> Partition {
    let planned = &plan.partitions[nth];
    Partition {
        dataset: Arc::clone(&plan.names[planned.generator]),
        generator: planned.key.generator(),
        instrument: planned.key.instrument().clone(),
        interval: planned.key.interval(),
        requested: planned.requested,
        address: planned.address,
        outcome,
    }
}

/// Refuses what could never start.
fn check_resources(requests: &[Request], limits: &Limits, cpus: f64, memory_bytes: u64) -> Result<()> {
    for Request { dataset, .. } in requests {
        let wanted = dataset.resources();
        let short =
            |resource, wanted: String, available: String| Err(Error::Resources { dataset: dataset.name().to_owned(), resource, wanted, available });
        if !limits.fits(wanted.cpus, 0) {
            return short("cpus", wanted.cpus.to_string(), cpus.to_string());
        }
        if !limits.fits(0.0, wanted.memory_bytes) {
            return short("memory", format!("{} bytes of", wanted.memory_bytes), format!("{memory_bytes} bytes"));
        }
    }
    Ok(())
}
