//! `tickbarn load`: asks for partitions, watches them come, and ends in order when a signal says so.

mod args;
mod dry_run;
mod lines;
mod report;

use std::future::IntoFuture;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tickbarn::{
    Dataset, DatasetFile, Error, Instrument, Interval, Load, Loaded, Mode, OnMissing, Policy, Progress, Ray, RayOptions, Retention, RunSettings,
    RunnerKind, Store, StoreOptions, Time,
};
use tickbarn::{gc, inspect};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::signals::{Signal, Signals};

pub(crate) use args::LoadArgs;
use report::Report;
pub(crate) use report::Tell;

/// How long work that cannot be stopped half-way, such as publishing an entry, may take when a signal ends a load.
const FINISH_MAX: Duration = Duration::from_secs(1);

pub(crate) fn run(place: &Place, args: &LoadArgs) -> Result<()> {
    let policy = policy_of(args)?;
    let file = place.datasets(&args.settings)?;
    let datasets = args.datasets.iter().map(|name| file.dataset(name)).collect::<Result<Vec<_>, _>>()?;
    let wanted = wanted(args)?;
    // Each dataset for one instrument and interval before the next: what belongs together comes together.
    let requests = wanted.iter().flat_map(|(instrument, interval)| datasets.iter().map(move |dataset| (*dataset, instrument, *interval)));
    let options = file.store_options();
    let options = args.verify.map_or(options, |verify| options.verify(verify));
    let tell = if args.json { Tell::Json } else { Tell::Text };
    let automatic = file.gc().filter(|gc| gc.automatic && place.is_meant(&file)).map(|gc| gc.retention.clone());
    let settings = args.settings.clone();
    let ray = cluster(&file, args)?;
    let job = Job { requests: requests.collect(), policy, run: limits(&file, args.jobs), ray, options, tell, automatic, settings };
    if args.dry_run {
        return job.foresee(&place.store_of(&file)?, file.datasets());
    }
    job.carry_out(&place.store_of(&file)?).map(drop)
}

/// The mode sets the policies, the flags of their own beat it.
fn policy_of(args: &LoadArgs) -> Result<Policy> {
    let mut policy = args.mode.map_or_else(Policy::default, Mode::policy);
    policy.missing = args.on_missing.unwrap_or(policy.missing);
    policy.failure = args.on_failure.unwrap_or(policy.failure);
    policy.upstream = args.on_missing_upstream.unwrap_or(policy.upstream);
    if args.refresh && policy.missing != OnMissing::Generate {
        return Err(Failure::Usage(
            "--refresh generates everything anew, which this --on-missing or --mode forbids\n  leave one of them out".to_owned(),
        ));
    }
    // A mode that refreshes, told not to generate, does not.
    policy.refresh |= args.refresh;
    policy.retry_failed = args.retry_failed;
    policy.wait_max = args.wait;
    policy.allow_future = args.allow_future;
    Ok(policy)
}

/// What the dataset file says, but for what was said here.
pub(crate) fn limits(file: &DatasetFile, jobs: Option<u16>) -> RunSettings {
    let run = file.run();
    RunSettings { workers: jobs.map(usize::from).or(run.workers), ..run }
}

/// The cluster that commands run on, if they do: by the dataset file, but for what was said here.
fn cluster(file: &DatasetFile, args: &LoadArgs) -> Result<Option<Ray>> {
    let options = args.ray_address.iter().cloned().fold(file.ray().clone(), RayOptions::at);
    let options = args.ray_python.iter().cloned().fold(options, RayOptions::python);
    match args.runner.unwrap_or(file.runner()) {
        RunnerKind::Ray => Ok(Some(Ray::on_demand(options))),
        _ if args.ray_address.is_some() || args.ray_python.is_some() => {
            Err(Failure::Usage("--ray-address and --ray-python say which Ray cluster is used, and none is\n  add --runner ray".to_owned()))
        }
        _ => Ok(None),
    }
}

/// The same, by the dataset file alone.
pub(crate) fn cluster_of(file: &DatasetFile) -> Option<Ray> {
    (file.runner() == RunnerKind::Ray).then(|| Ray::on_demand(file.ray().clone()))
}

fn wanted(args: &LoadArgs) -> Result<Vec<(Instrument, Interval)>> {
    if let Some(path) = &args.intervals {
        return Ok(tickbarn::read_intervals(path)?);
    }
    let (Some(start), Some(end)) = (&args.start, &args.end) else {
        return Err(Failure::Usage("give --start and --end, or --intervals FILE".to_owned()));
    };
    let interval = Interval::parse(start, end)?;
    args.instruments.iter().map(|text| Ok((text.parse()?, interval))).collect()
}

/// A load that is fully said.
pub(crate) struct Job<'a> {
    /// Datasets, instruments and intervals in the order in which outcomes are wanted.
    pub(crate) requests: Vec<(&'a Dataset, &'a Instrument, Interval)>,
    pub(crate) policy: Policy,
    pub(crate) run: RunSettings,
    /// Where commands run, if not here.
    pub(crate) ray: Option<Ray>,
    pub(crate) options: StoreOptions,
    pub(crate) tell: Tell,
    /// What goes once publishing passes a mark, if anything does.
    pub(crate) automatic: Option<Retention>,
    /// What was laid over the dataset file: whoever asks why needs it, too.
    pub(crate) settings: Vec<String>,
}

/// How a load ended.
enum End {
    Done(Result<Loaded, Error>),
    Signalled(Signal),
}

impl Job<'_> {
    /// Loads to the end, or to the first signal. Makes the store where there is none, unless the request is at fault.
    pub(crate) fn carry_out(&self, store: &Path) -> Result<Loaded> {
        let total = self.count()?;
        let store = self.open(store)?.with_options(self.options);
        let collecting = self.automatic.clone().map(|retention| gc::automatically(&store, retention)).transpose()?;
        let report = Arc::new(Mutex::new(Report::new(self.tell, total)));
        let (watching, progressing) = (Arc::clone(&report), Arc::clone(&report));
        let load = self.load(&store, self.policy).each(move |partition| locked(&watching).partition(partition));
        let load = load.progress(move |progress| locked(&progressing).progress(progress));
        let load = if self.tell == Tell::Text { self.telling_again(&store, load) } else { load };
        let end = drive(load)?;

        let mut report = locked(&report);
        let result = match end {
            End::Done(Ok(loaded)) => {
                report.end(&loaded.summary());
                Ok(loaded)
            }
            End::Done(Err(error)) => {
                match &error {
                    Error::Generation { .. } => {
                        report.stopped_by(&error);
                        report.end_early("failed");
                    }
                    Error::Missing { .. } => {
                        if self.tell == Tell::Json {
                            self.report_missing(&store, &mut report);
                        }
                        report.end_early("missing");
                    }
                    _ => report.end_silently(),
                }
                Err(with_way_out(error))
            }
            End::Signalled(signal) => {
                report.end_early("interrupted");
                Err(Failure::Interrupted { signal, left: kept(report.made()) })
            }
        };
        if let Some(error) = report.output_error() {
            return Err(error.into());
        }
        match collecting {
            Some(collecting) if result.is_ok() => tickbarn_gc::finish(collecting).and(result),
            _ => result,
        }
    }

    /// Says what the load would do, and does nothing of it.
    fn foresee(&self, store: &Path, known: &[Dataset]) -> Result<()> {
        self.count()?;
        // As a load: where it would only read, a mistyped place is to be said.
        let store = if self.policy.missing == OnMissing::Generate { Store::open_or_imagine(store)? } else { Store::open_existing(store)? };
        let store = store.with_options(self.options);
        let foreseen = inspect::dry_run(self.load(&store, self.policy), known).map_err(with_way_out)?;
        Ok(dry_run::write(&foreseen, &self.policy, &self.settings, self.tell == Tell::Json)?)
    }

    /// The load, which says why it generates what was there under other keys.
    fn telling_again(&self, store: &Store, load: Load) -> Load {
        let (store, settings) = (store.clone(), self.settings.clone());
        load.progress(move |progress| {
            if let Progress::Planned { absent, .. } = progress
                && !absent.is_empty()
            {
                dry_run::say_again(&store, absent, &settings);
            }
        })
    }

    fn load(&self, store: &Store, policy: Policy) -> Load {
        let mut load = store.load().policy(policy);
        for (dataset, instrument, interval) in &self.requests {
            load = load.request(dataset, instrument, *interval);
        }
        load = load.run_settings(self.run);
        self.ray.iter().cloned().fold(load, Load::runner)
    }

    /// How many partitions are asked for. Refuses those that end in the future where the policy would.
    fn count(&self) -> Result<usize> {
        let now = Time::now();
        let mut total = 0;
        for (dataset, instrument, interval) in &self.requests {
            let partitions = dataset.split().partitions(*interval)?;
            if let Some(late) = partitions.iter().find(|partition| self.policy.refuses(**partition, now)) {
                let error = Error::Future { dataset: dataset.name().to_owned(), instrument: (*instrument).clone(), interval: *late, now };
                return Err(with_way_out(error));
            }
            total += partitions.len();
        }
        Ok(total)
    }

    /// Opens the store, and makes it where there is none. A dataset that is at fault must leave no new store behind.
    fn open(&self, path: &Path) -> Result<Store> {
        if path.join("STORE").exists() || path.is_file() {
            return Ok(Store::open(path)?);
        }
        if self.policy.missing != OnMissing::Generate {
            // Only reading: a mistyped place is to be said, not made.
            return Ok(Store::open_existing(path)?);
        }
        for (dataset, ..) in &self.requests {
            dataset.check()?;
        }
        let store = Store::open(path)?;
        if self.tell != Tell::Trouble {
            say(&format!("made a new store: {}", store.path().display()));
        }
        Ok(store)
    }

    /// The library names the first missing partition only; programs are told of each.
    fn report_missing(&self, store: &Store, report: &mut Report) {
        let look = Policy { missing: OnMissing::Skip, ..self.policy };
        if let Ok(loaded) = self.load(store, look).blocking() {
            loaded.partitions.iter().for_each(|partition| report.partition(partition));
        }
    }
}

/// What is said of the partitions that an interrupted load brought into the store before.
fn kept(made: usize) -> String {
    match made {
        0 => "nothing was finished yet, and nothing half-made is kept".to_owned(),
        1 => "1 partition finished and is kept".to_owned(),
        made => format!("{made} partitions finished and are kept"),
    }
}

/// An error with the flag that helps, where the library can only name the policy.
fn with_way_out(error: Error) -> Failure {
    let way_out = match error {
        Error::Future { .. } => Some("--allow-future loads it all the same"),
        Error::Missing { .. } => Some("--on-missing generate makes what is missing; --on-missing skip goes on without"),
        Error::Generation { .. } => Some("--on-failure skip goes on with the rest"),
        _ => None,
    };
    Failure::Library { error: Box::new(error), way_out }
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a load until it is over or a signal comes. Then its future is dropped, which ends the generators.
fn drive(load: Load) -> Result<End> {
    let broken = |error: io::Error| Failure::World(format!("a load cannot be started: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let end = runtime.block_on(async {
        let signals = Signals::listen()?;
        Ok(tokio::select! {
            biased;
            signal = signals.first() => End::Signalled(signal),
            loaded = load.into_future() => End::Done(loaded),
        })
    });
    runtime.shutdown_timeout(FINISH_MAX);
    end.map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_load_says_what_is_kept() {
        let told = |made| Failure::Interrupted { signal: Signal::Interrupt, left: kept(made) }.to_string();
        assert_eq!(told(12), "interrupted; 12 partitions finished and are kept");
        assert_eq!(told(1), "interrupted; 1 partition finished and is kept");
    }
}
