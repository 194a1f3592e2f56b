//! Loads under way. Each runs on a thread of its own, so that whoever waits for it can be interrupted, or need not wait at all.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use tickbarn::{CancellationToken, Instrument, Interval, Load, PieceOptions, Progress};

use crate::dataset::Dataset;
use crate::errors::{lost, raised};
use crate::frames::{FrameParts, parts_of};
use crate::moment::{Asked, wanted};
use crate::options::LoadOptions;
use crate::partition::Partition;
use crate::store::Store;

/// Datasets, each with what is asked of it.
pub(crate) type Requests = Vec<(Py<Dataset>, Vec<Asked>)>;

/// How far a load has come, and what it came to.
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    counts: Counts,
    token: CancellationToken,
}

#[derive(Default)]
struct State {
    is_over: bool,
    /// Whether nothing is called back any more, either.
    is_quiet: bool,
    outcome: Option<tickbarn::Result<tickbarn::Loaded>>,
}

#[derive(Default)]
struct Counts {
    requested: AtomicUsize,
    answered: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicUsize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is so, which the end of the load or of what it calls back brings. Says whether it is.
    fn wait_until(&self, until: Option<Instant>, is_so: impl Fn(&State) -> bool) -> bool {
        let mut state = self.state();
        while !is_so(&state) {
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return false,
                Some(left) => self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        true
    }
}

/// A load that was begun.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Running {
    shared: Arc<Shared>,
}

#[pymethods]
impl Running {
    /// Begins a load. `on_partition` is called with the place and each partition of it as it is known, `on_end` once it is over; both from another thread.
    #[new]
    #[pyo3(signature = (store, requests, options, on_partition=None, on_end=None))]
    fn new(
        py: Python<'_>,
        store: &Store,
        requests: Requests,
        options: LoadOptions,
        on_partition: Option<Py<PyAny>>,
        on_end: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        store.collect_automatically().map_err(raised)?;
        let token = CancellationToken::new();
        let load = load_of(store, &requests, &options)?.cancelled_by(&token);
        let shared = Arc::new(Shared { state: Mutex::default(), ended: Condvar::new(), counts: Counts::default(), token });
        let watched = Arc::clone(&shared);
        let load = load.progress(move |progress| watched.note(progress));
        let load = match on_partition {
            Some(callback) => {
                let mut places = Places::of(&requests)?;
                load.each(move |partition| {
                    let Some(nth) = places.take(partition) else { return };
                    told(|py| callback.bind(py).call1((nth, Partition(partition.clone()))).map(drop));
                })
            }
            None => load,
        };
        let works = Arc::clone(&shared);
        let work = move || {
            let outcome = load.blocking();
            let mut state = works.state();
            (state.is_over, state.outcome) = (true, Some(outcome));
            works.ended.notify_all();
            drop(state);
            if let Some(callback) = on_end {
                told(move |py| callback.into_bound(py).call0().map(drop));
            }
            works.state().is_quiet = true;
            works.ended.notify_all();
        };
        py.detach(|| thread::Builder::new().name("tickbarn-load".to_owned()).spawn(work))?;
        Ok(Self { shared })
    }

    /// Waits for its end, so many seconds at most. Says whether it has come.
    fn wait(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let length = crate::ray::seconds("wait", seconds)?;
        Ok(py.detach(|| self.shared.wait_until(Some(Instant::now() + length), |state| state.is_over)))
    }

    /// Waits, so many seconds at most, until it is over and calls nothing back any more. Says whether that is so. A thread that is in Python when the
    /// interpreter ends would take the process down.
    fn wait_quiet(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let length = crate::ray::seconds("wait_quiet", seconds)?;
        Ok(py.detach(|| self.shared.wait_until(Some(Instant::now() + length), |state| state.is_quiet)))
    }

    /// Asks it to end.
    fn cancel(&self) {
        self.shared.token.cancel();
    }

    /// How many partitions were requested, are answered without a generator, are done, and failed.
    fn counts(&self) -> (usize, usize, usize, usize) {
        let Counts { requested, answered, done, failed } = &self.shared.counts;
        let [requested, answered, done, failed] = [requested, answered, done, failed].map(|count| count.load(Ordering::Relaxed));
        (requested, answered, done, failed)
    }

    /// What it came to, once. Waits for its end.
    fn result(&self, py: Python<'_>) -> PyResult<Loaded> {
        py.detach(|| self.shared.wait_until(None, |state| state.is_over));
        let outcome = self.shared.state().outcome.take();
        outcome.ok_or_else(|| lost("a load whose result was taken before"))?.map(|loaded| Loaded(Arc::new(loaded))).map_err(raised)
    }
}

impl Shared {
    fn note(&self, progress: &Progress<'_>) {
        match progress {
            Progress::Planned { requested, answered, .. } => {
                self.counts.requested.store(*requested, Ordering::Relaxed);
                self.counts.answered.store(*answered, Ordering::Relaxed);
            }
            Progress::Partition(partition) => {
                self.counts.done.fetch_add(1, Ordering::Relaxed);
                if partition.outcome.entry().is_none() {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
    }
}

/// Calls back into Python, unless the interpreter is ending. What a callback raises is shown as what no caller is there for.
fn told(call: impl FnOnce(Python<'_>) -> PyResult<()>) {
    Python::try_attach(|py| {
        if let Err(error) = call(py) {
            error.write_unraisable(py, None);
        }
    });
}

/// The load that is asked for.
pub(crate) fn load_of(store: &Store, requests: &Requests, options: &LoadOptions) -> PyResult<Load> {
    let mut load = store.store.load();
    for (dataset, asked) in requests {
        load = load.requests(&dataset.get().0, &wanted(asked).map_err(raised)?);
    }
    options.lay_over(load, store.run_settings(), store.ray.as_ref())
}

/// Where in the order of a request each partition stands: outcomes come as they are known.
struct Places(HashMap<(String, Instrument, Interval), VecDeque<usize>>);

impl Places {
    fn of(requests: &Requests) -> PyResult<Self> {
        let mut places: HashMap<_, VecDeque<usize>> = HashMap::new();
        for (nth, partition) in partitions_of(requests)?.into_iter().enumerate() {
            places.entry(partition).or_default().push_back(nth);
        }
        Ok(Self(places))
    }

    /// What was asked for twice is answered in the order in which it was.
    fn take(&mut self, partition: &tickbarn::Partition) -> Option<usize> {
        self.0.get_mut(&(partition.dataset.to_string(), partition.instrument.clone(), partition.interval))?.pop_front()
    }
}

/// The partitions that requests ask for, in their order: dataset, instrument and both ends.
#[pyfunction]
pub(crate) fn partitions(requests: Requests) -> PyResult<Vec<(String, String, i64, i64)>> {
    let told = |(dataset, instrument, one): (String, Instrument, Interval)| (dataset, instrument.to_string(), one.start().ns(), one.end().ns());
    Ok(partitions_of(&requests)?.into_iter().map(told).collect())
}

fn partitions_of(requests: &Requests) -> PyResult<Vec<(String, Instrument, Interval)>> {
    let mut all = Vec::new();
    for (dataset, asked) in requests {
        let dataset = &dataset.get().0;
        for (instrument, interval) in wanted(asked).map_err(raised)? {
            let of_one = dataset.split().partitions(interval).map_err(raised)?;
            all.extend(of_one.into_iter().map(|one| (dataset.name().to_owned(), instrument.clone(), one)));
        }
    }
    Ok(all)
}

/// A load that is over.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Loaded(Arc<tickbarn::Loaded>);

#[pymethods]
impl Loaded {
    fn __len__(&self) -> usize {
        self.0.partitions.len()
    }

    /// A partition by its place in request order.
    fn partition(&self, nth: usize) -> PyResult<Partition> {
        self.0.partitions.get(nth).cloned().map(Partition).ok_or_else(|| PyIndexError::new_err("there is no such partition in this load"))
    }

    /// The partitions that were generated because others are derived from them.
    fn upstream(&self) -> Vec<Partition> {
        self.0.upstream.iter().cloned().map(Partition).collect()
    }

    /// Requested, read, hit, generated, empty, missing, failed.
    fn summary(&self) -> (usize, usize, usize, usize, usize, usize, usize) {
        let sums = self.0.summary();
        (sums.requested, sums.read, sums.hit, sums.generated, sums.empty, sums.missing, sums.failed)
    }

    /// The last line that scripts look for.
    fn summary_text(&self) -> String {
        self.0.summary().to_string()
    }

    #[getter]
    fn seconds(&self) -> f64 {
        self.0.elapsed.as_secs_f64()
    }

    /// The names of the datasets of its partitions, and of the outputs that were read, in order.
    fn names(&self) -> (Vec<String>, Vec<String>) {
        let distinct = |names: std::collections::BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
        let datasets = self.0.partitions.iter().map(|partition| &*partition.dataset).collect();
        let entries = self.0.partitions.iter().filter_map(|partition| partition.outcome.entry());
        let outputs = entries.flat_map(|entry| &entry.outputs).map(|output| &*output.name).collect();
        (distinct(datasets), distinct(outputs))
    }

    /// Of so many of the partitions that were found, spread over all of them: dataset and address.
    fn hits(&self, most: usize) -> Vec<(&str, String)> {
        let hits: Vec<&tickbarn::Partition> = self.0.partitions.iter().filter(|one| one.outcome.as_str() == "hit").collect();
        let step = hits.len().div_ceil(most.max(1)).max(1);
        hits.iter().step_by(step).filter_map(|one| Some((&*one.dataset, one.address?.to_string()))).collect()
    }

    /// What a frame of an output is made of. `apart` keeps instruments apart.
    #[pyo3(signature = (output, dataset=None, time_column=None, untrimmed=false, apart=false))]
    fn parts(
        &self,
        py: Python<'_>,
        output: &str,
        dataset: Option<&str>,
        time_column: Option<&str>,
        untrimmed: bool,
        apart: bool,
    ) -> PyResult<FrameParts> {
        let mut options = PieceOptions::default();
        if let Some(dataset) = dataset {
            options = options.dataset(dataset);
        }
        if let Some(column) = time_column {
            options = options.time_column(column);
        }
        if untrimmed {
            options = options.untrimmed();
        }
        let pieces = py.detach(|| self.0.pieces(output, &options)).map_err(raised)?;
        let parts = parts_of(&pieces, apart)?;
        let having = self.0.partitions.iter().find(|one| one.outcome.entry().is_some_and(|entry| entry.output(output).is_some()));
        Ok(match having {
            Some(one) => parts.of_instrument(one.instrument.market(), one.instrument.pair()),
            None => parts,
        })
    }
}
