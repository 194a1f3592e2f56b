//! What the library says of a store without changing it, as dictionaries.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tickbarn::inspect::{self, CoverageOptions, Difference, Generated, Standing, Stop, Subject, Takes};
use tickbarn::{ClosedTimes, Instrument, Interval, IntervalSet};

use crate::dataset::Dataset;
use crate::errors::{log_tail, raised};
use crate::interrupt::interruptible;
use crate::load::{Requests, load_of};
use crate::moment::{Moment, Named};
use crate::options::{LoadOptions, instruments};
use crate::store::Store;

fn ends(interval: Interval) -> (i64, i64) {
    (interval.start().ns(), interval.end().ns())
}

fn spans(set: &IntervalSet) -> Vec<(i64, i64)> {
    set.intervals().iter().map(|interval| ends(*interval)).collect()
}

/// What of an interval is there. `subject` is a dataset, or the name of one that only the store knows.
#[pyfunction]
#[pyo3(signature = (store, dataset, name, named, start, end, closed))]
#[expect(clippy::too_many_arguments, reason = "what may be asked")]
pub(crate) fn coverage(
    py: Python<'_>,
    store: &Store,
    dataset: Option<&Dataset>,
    name: String,
    named: Vec<Named>,
    start: Option<Moment>,
    end: Option<Moment>,
    closed: Vec<String>,
) -> PyResult<Py<PyDict>> {
    let mut options = CoverageOptions::default();
    options.instruments = instruments(&named).map_err(raised)?;
    options.start = start.map(|start| start.time()).transpose().map_err(raised)?;
    options.end = end.map(|end| end.time()).transpose().map_err(raised)?;
    options.closed = ClosedTimes::of(&closed).map_err(raised)?;
    let (store, dataset) = (store.store.clone(), dataset.map(|dataset| dataset.0.clone()));
    let found = interruptible(py, "coverage", None, move || {
        let subject = dataset.as_ref().map_or(Subject::Named(&name), Subject::Defined);
        inspect::coverage(&store, subject, &options)
    })?;
    let fields = PyDict::new(py);
    fields.set_item("dataset", &found.dataset)?;
    fields.set_item("interval", ends(found.interval))?;
    fields.set_item("cut_at_present", found.cut_at_present)?;
    fields.set_item("closed", spans(&found.closed))?;
    fields.set_item("elsewhere", found.elsewhere)?;
    fields.set_item("share", found.totals().share_there())?;
    let covered = PyList::empty(py);
    for one in &found.instruments {
        let of_one = PyDict::new(py);
        of_one.set_item("instrument", one.instrument.to_string())?;
        of_one.set_item("have", spans(&one.have))?;
        of_one.set_item("empty", spans(&one.empty))?;
        of_one.set_item("failed", spans(&one.failed))?;
        of_one.set_item("missing", spans(&one.missing))?;
        of_one.set_item("entries", one.entries)?;
        of_one.set_item("share", one.totals(&found.closed).share_there())?;
        of_one.set_item("is_known", one.is_known)?;
        of_one.set_item("nearest", one.nearest.as_ref().map(Instrument::to_string))?;
        covered.append(of_one)?;
    }
    fields.set_item("instruments", covered)?;
    let gaps: Vec<(String, i64, i64)> =
        found.gaps().iter().map(|(instrument, gap)| (instrument.to_string(), gap.start().ns(), gap.end().ns())).collect();
    fields.set_item("gaps", gaps)?;
    Ok(fields.unbind())
}

/// Why a partition is, or would be, generated. Without an end, the one that holds the start.
#[pyfunction]
#[pyo3(signature = (store, dataset, named, start, end=None))]
pub(crate) fn why(py: Python<'_>, store: &Store, dataset: &Dataset, named: Named, start: Moment, end: Option<Moment>) -> PyResult<Py<PyDict>> {
    let instrument = named.instrument().map_err(raised)?;
    let start = start.time().map_err(raised)?;
    let interval = match end {
        Some(end) => end.time().and_then(|end| Interval::new(start, end)),
        None => dataset.0.split().cell_at(start),
    };
    let interval = interval.map_err(raised)?;
    let (store, dataset) = (store.store.clone(), dataset.0.clone());
    let why = interruptible(py, "why", None, move || inspect::why(&store, &dataset, &instrument, interval))?;
    let fields = PyDict::new(py);
    fields.set_item("dataset", &why.dataset)?;
    fields.set_item("instrument", why.instrument.to_string())?;
    fields.set_item("interval", ends(why.interval))?;
    fields.set_item("address", why.address.map(|address| address.to_string()))?;
    let (standing, generated, reason, missing) = match &why.standing {
        Standing::Usable(generated) => ("usable", Some(*generated), None, &[][..]),
        Standing::Unusable { generated, reason } => ("unusable", *generated, Some(reason.clone()), &[][..]),
        Standing::Blocked { missing } => ("blocked", None, None, &missing[..]),
        _ => ("absent", None, None, &[][..]),
    };
    fields.set_item("standing", standing)?;
    fields.set_item("generated", generated.map(told_of))?;
    fields.set_item("reason", reason)?;
    let missing: Vec<String> = missing.iter().map(|one| format!("{} {} {}", one.dataset, one.instrument, one.interval)).collect();
    fields.set_item("missing_upstream", missing)?;
    let failure = why.failure.as_ref().map(|record| {
        let failure = &record.failure;
        (record.count, record.last.ns(), failure.class.as_str(), failure.message.clone(), log_tail(&failure.log).to_owned())
    });
    fields.set_item("failure", failure)?;
    let nearest = PyList::empty(py);
    for neighbour in &why.nearest {
        let differences: Vec<String> = neighbour.differences.iter().map(Difference::to_string).collect();
        nearest.append((neighbour.address.to_string(), ends(neighbour.interval), told_of(neighbour.generated), differences))?;
    }
    fields.set_item("nearest", nearest)?;
    fields.set_item("others", why.others)?;
    Ok(fields.unbind())
}

/// When a generator was started, how many seconds it ran, and whether it said that there is no data.
fn told_of(generated: Generated) -> (i64, f64, bool) {
    (generated.started.ns(), generated.seconds, generated.empty.is_some())
}

/// What a load would do.
#[pyfunction]
pub(crate) fn foresee(py: Python<'_>, store: &Store, requests: Requests, options: LoadOptions) -> PyResult<Py<PyDict>> {
    let load = load_of(store, &requests, &options)?;
    let file = store.file.clone();
    let run = interruptible(py, "a dry run", None, move || inspect::dry_run(load, file.as_ref().map_or(&[], |file| file.datasets())))?;
    let fields = PyDict::new(py);
    fields.set_item("generated", run.generated())?;
    fields.set_item("workers", run.workers)?;
    fields.set_item("seconds", run.seconds)?;
    fields.set_item("bytes", run.bytes)?;
    fields.set_item("free_bytes", run.free_bytes)?;
    fields.set_item("without_history", run.without_history())?;
    let stop = run.stop.map(|stop| match stop {
        Stop::Missing => "missing",
        Stop::Failure => "failure",
        _ => "other",
    });
    fields.set_item("stop", stop)?;
    let again: Vec<String> = run.again.iter().map(|again| format!("{}: {again}", again.dataset)).collect();
    fields.set_item("again", again)?;
    let followers: Vec<(String, Vec<String>, usize)> =
        run.followers.iter().map(|one| (one.dataset.clone(), one.upstream.clone(), one.partitions)).collect();
    fields.set_item("followers", followers)?;
    for (name, all) in [("partitions", &run.partitions), ("upstream", &run.upstream)] {
        let listed = PyList::empty(py);
        for one in all {
            let takes = one.takes.map(|Takes { seconds, bytes, .. }| (seconds, bytes));
            let address = one.address.map(|address| address.to_string());
            listed.append((&*one.dataset, one.instrument.to_string(), ends(one.interval), one.expected.as_str(), address, takes))?;
        }
        fields.set_item(name, listed)?;
    }
    Ok(fields.unbind())
}
