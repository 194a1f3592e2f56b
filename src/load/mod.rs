//! The one verb: loading. Looks up, generates what is missing under the chosen policy, and reports.

mod memoize;
mod order;
mod plan;
mod policy;
mod progress;
mod report;
mod run;
mod schedule;
mod shares;
mod stream;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use memoize::Memoized;
pub use policy::{Mode, OnFailure, OnMissing, Policy, RetryFailed};
pub use progress::{Absent, Place, Progress};
pub use report::{Loaded, Outcome, Partition, Summary};
pub use stream::Outcomes;

use crate::dataset::{Dataset, RunSettings};
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::options::IndexMode;
use crate::runner::{Ray, STOP_WAIT_MAX};
use crate::store::Store;
pub(crate) use plan::{Node, Plan, Request, Stage, State, made_too_early, unusable};
use progress::Watch;
use shares::Wanted;

/// A load in the making: what is asked for, and how. Await it, [`Load::blocking`] it, or take its outcomes as they come with [`Load::stream`].
///
/// Awaiting needs a tokio runtime with time enabled. Dropping the future ends the commands that run, asks functions to stop, releases their claims and
/// leaves nothing half-published; what finished before is durable.
#[must_use = "a load does nothing until it is awaited"]
pub struct Load {
    store: Store,
    requests: Vec<Request>,
    policy: Policy,
    limits: Wanted,
    ray: Option<Ray>,
    watch: Watch,
    cancellation: CancellationToken,
}

impl Store {
    /// Begins a load from this store.
    ///
    /// ```no_run
    /// # use tickbarn::{Dataset, Interval, OnFailure, OnMissing, Store};
    /// # fn main() -> tickbarn::Result<()> {
    /// let trades = Dataset::command("trades", ["./export", "--pair", "{instrument.pair}", "--from", "{start}", "--to", "{end}", "--out", "{output.trades}"])
    ///     .output("trades", "trades.parquet")
    ///     .build()?;
    /// let january = Interval::parse("2024-01-01", "2024-02-01")?;
    /// let loaded = Store::open("barn")?
    ///     .load()
    ///     .request(&trades, &"binance/BTC-USDT".parse()?, january)
    ///     .request(&trades, &"binance/ETH-USDT".parse()?, january)
    ///     .on_missing(OnMissing::Generate)
    ///     .on_failure(OnFailure::Skip)
    ///     .workers(4)
    ///     .blocking()?;
    /// println!("{}", loaded.summary());
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(&self) -> Load {
        Load {
            store: self.clone(),
            requests: Vec::new(),
            policy: Policy::default(),
            limits: Wanted::default(),
            ray: None,
            watch: Watch::default(),
            cancellation: CancellationToken::new(),
        }
    }
}

impl Load {
    /// Asks for one instrument over one interval of one dataset. May be called any number of times; what is asked for twice is generated once.
    pub fn request(mut self, dataset: &Dataset, instrument: &Instrument, interval: Interval) -> Self {
        self.requests.push(Request { dataset: dataset.clone(), instrument: instrument.clone(), interval });
        self
    }

    /// Asks for many instruments and intervals of one dataset, such as [`read_intervals`](crate::read_intervals) gives.
    pub fn requests<'a>(self, dataset: &Dataset, wanted: impl IntoIterator<Item = &'a (Instrument, Interval)>) -> Self {
        wanted.into_iter().fold(self, |load, (instrument, interval)| load.request(dataset, instrument, *interval))
    }

    /// How to deal with what is missing and what fails. By default what is missing is generated, and a failure stops the load.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What to do about partitions that are not in the store: one part of the [`Policy`].
    pub fn on_missing(mut self, missing: OnMissing) -> Self {
        self.policy.missing = missing;
        self
    }

    /// What to do about partitions that are not in the store and that only derived ones need: one part of the [`Policy`].
    pub fn on_missing_upstream(mut self, upstream: OnMissing) -> Self {
        self.policy.upstream = upstream;
        self
    }

    /// What to do about generators that fail: one part of the [`Policy`].
    pub fn on_failure(mut self, failure: OnFailure) -> Self {
        self.policy.failure = failure;
        self
    }

    /// Generates even what is there: one part of the [`Policy`]. What was not requested is not generated anew.
    pub fn refresh(mut self) -> Self {
        self.policy.refresh = true;
        self
    }

    /// How long a partition is waited for that another load or process generates: one part of the [`Policy`]. After that it counts as failed, with
    /// [`FailureClass::Timeout`](crate::FailureClass::Timeout).
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.policy.wait_max = Some(wait);
        self
    }

    /// How many generators run at once. By default, and where it is 0, as many as the machine has processors, or as the resources of the cluster
    /// allow that commands run on.
    pub fn workers(mut self, workers: usize) -> Self {
        self.limits.workers = workers;
        self
    }

    /// How many processors the generators that run may take in all, by what their datasets declare. By default all of the machine's or the cluster's.
    pub fn cpus(mut self, cpus: f64) -> Self {
        self.limits.cpus = Some(cpus);
        self
    }

    /// How much memory the generators that run may take in all, by what their datasets declare. By default all of the machine's or the cluster's.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.limits.memory_bytes = Some(bytes);
        self
    }

    /// Runs commands on a [`Ray`] cluster rather than on this machine. Rust functions still run in this process. Outputs are checked and published
    /// by this process in either case.
    pub fn runner(mut self, ray: Ray) -> Self {
        self.ray = Some(ray);
        self
    }

    /// All limits that a dataset file's `[run]` states.
    pub fn run_settings(mut self, run: RunSettings) -> Self {
        let RunSettings { workers, cpus, memory_bytes } = run;
        self = workers.into_iter().fold(self, Load::workers);
        self = cpus.into_iter().fold(self, Load::cpus);
        memory_bytes.into_iter().fold(self, Load::memory_bytes)
    }

    /// Calls back with every partition as its outcome is known: first what is in the store, in request order, then the rest as it completes. A
    /// partition reported as generated is durable. May be given several times.
    pub fn each(mut self, callback: impl FnMut(&Partition) + Send + 'static) -> Self {
        self.watch.add_each(Box::new(callback));
        self
    }

    /// Calls back with everything that happens: what is planned, started and tried again, and every outcome. It should return soon: the load waits for
    /// it. May be given several times.
    pub fn progress(mut self, callback: impl FnMut(&Progress<'_>) + Send + 'static) -> Self {
        self.watch.add_progress(Box::new(callback));
        self
    }

    /// Ends the load with [`Error::Cancelled`] when the token is cancelled, from wherever that is: commands are ended, functions asked to stop, what
    /// finished is kept. A load that has all it needs by then still succeeds.
    pub fn cancelled_by(mut self, token: &CancellationToken) -> Self {
        self.cancellation = token.clone();
        self
    }

    /// Runs the load to its end, on this thread. May be called inside and outside of a tokio runtime; inside, it blocks the calling thread. Where nothing
    /// has to be generated no runtime is made.
    ///
    /// Functions that were asked to stop because the load fails or is cancelled have up to two seconds to return before this does.
    ///
    /// # Errors
    /// As awaiting the load.
    pub fn blocking(self) -> Result<Loaded> {
        let running = self.begin()?;
        if running.is_over() {
            return Ok(running.into_loaded());
        }
        let run = move || {
            // All that is compiled in: async functions may need it.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::io("start a runtime for", "a load"))?;
            let loaded = runtime.block_on(running.finish());
            runtime.shutdown_timeout(STOP_WAIT_MAX);
            loaded
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

    /// The outcomes of the load as they become known, as a stream: what is in the store first, in request order. The load goes on only while the stream
    /// is polled; dropping it is dropping the load. An error is the last item.
    ///
    /// ```no_run
    /// # async fn all(load: tickbarn::Load) -> tickbarn::Result<()> {
    /// use futures_util::TryStreamExt;
    ///
    /// let mut outcomes = load.stream();
    /// while let Some(partition) = outcomes.try_next().await? {
    ///     println!("{} {}: {}", partition.instrument, partition.interval, partition.outcome.as_str());
    /// }
    /// let loaded = outcomes.into_loaded();
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(self) -> Outcomes {
        Outcomes::of(self)
    }

    /// What the load would do, and by how many runs at once, as far as that is known before it does anything. Writes nothing.
    pub(crate) fn foresee(self) -> Result<Foreseen> {
        let Load { store, requests, policy, limits, ray, .. } = self;
        // The files of an index are written to.
        let store = store.clone().with_options(store.options().index(IndexMode::Off));
        let plan = Plan::make(&store, &requests, policy, Store::peek)?;
        let (workers, cpus, memory_bytes) = shares::foreseen(&plan, limits, ray.is_some())?;
        Ok(Foreseen { store, plan, policy, workers, cpus, memory_bytes })
    }

    /// Runs the load to its end.
    async fn run(self) -> Result<Loaded> {
        let store = self.store.clone();
        let running = store.blocking("planning a load", |_| self.begin()).await??;
        if running.is_over() { Ok(running.into_loaded()) } else { running.finish().await }
    }
}

/// A load that was only planned.
pub(crate) struct Foreseen {
    pub(crate) store: Store,
    pub(crate) plan: Plan,
    pub(crate) policy: Policy,
    pub(crate) workers: usize,
    pub(crate) cpus: f64,
    pub(crate) memory_bytes: u64,
}

/// # Errors
/// [`Error::Missing`] and [`Error::Generation`] where the policy says so, [`Error::Cancelled`] where it was, [`Error::Cluster`] where the cluster is
/// lost; what finished before is kept.
/// [`Error::Future`], [`Error::Resources`], [`Error::InvalidDataset`] and the like before anything is generated.
impl IntoFuture for Load {
    type Output = Result<Loaded>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Loaded>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
