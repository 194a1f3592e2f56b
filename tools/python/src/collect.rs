//! Collecting: a plan that can be looked at, and carried out once.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tickbarn::gc::{self, Swept};
use tickbarn::{ByteSize, CancellationToken, Free, Order, Retention, parse_grace, parse_low_water};

use crate::errors::{raised, refused};
use crate::interrupt::interruptible;
use crate::moment::Named;
use crate::options::instruments;
use crate::store::Store;

/// What may go, word by word: what is `None` is not said.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct RetentionWords {
    datasets: Vec<String>,
    instruments: Vec<Named>,
    max_bytes: Option<String>,
    low_water: Option<String>,
    min_free: Option<String>,
    max_age: Option<String>,
    superseded: bool,
    failures: bool,
    leftovers: bool,
    keep_last: Option<usize>,
    grace: Option<String>,
    order: Option<String>,
}

impl RetentionWords {
    /// A rule or scope that is said leaves those of the file aside, what protects counts all the same: as on the command line.
    fn retention(self, settings: Option<&Retention>) -> PyResult<Retention> {
        let length = |what: &str, text: Option<String>| -> PyResult<Option<Duration>> {
            text.map(|text| parse_grace(&text).map_err(|unknown| refused(format!("{what}: {unknown}")))).transpose()
        };
        let mut retention = Retention::default();
        retention.datasets = self.datasets;
        retention.instruments = instruments(&self.instruments).map_err(raised)?;
        let bytes = self.max_bytes.map(|text| text.parse::<ByteSize>().map_err(|unknown| refused(format!("max_bytes: {unknown}"))));
        retention.max_bytes = bytes.transpose()?.map(|size| size.0);
        let free = self.min_free.map(|text| text.parse::<Free>().map_err(|unknown| refused(format!("min_free: {unknown}"))));
        retention.min_free = free.transpose()?;
        retention.max_age = length("max_age", self.max_age)?;
        (retention.superseded, retention.failures, retention.leftovers) = (self.superseded, self.failures, self.leftovers);
        retention.keep_last = self.keep_last;
        if let Some(settings) = settings {
            if retention.says_anything() {
                retention.keep_last = retention.keep_last.or(settings.keep_last);
                (retention.grace, retention.order, retention.low_water) = (settings.grace, settings.order, settings.low_water);
            } else {
                retention = settings.clone();
            }
        }
        if let Some(low) = self.low_water {
            retention.low_water = parse_low_water(&low).map_err(|unknown| refused(format!("low_water: {unknown}")))?;
        }
        retention.grace = length("grace", self.grace)?.unwrap_or(retention.grace);
        if let Some(order) = self.order {
            retention.order = order.parse::<Order>().map_err(|unknown| refused(format!("order: {unknown}")))?;
        }
        if !retention.says_anything() {
            return Err(refused("nothing says what may go; say it (max_bytes=\"500GiB\", superseded=True, …) or write a [gc] into the dataset file"));
        }
        Ok(retention)
    }
}

/// What would go.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct GcPlan(Mutex<Option<gc::GcPlan>>);

#[pyfunction]
pub(crate) fn plan_gc(py: Python<'_>, store: &Store, words: RetentionWords) -> PyResult<GcPlan> {
    let settings = store.file.as_ref().and_then(|file| file.gc()).map(|settings| &settings.retention);
    let retention = words.retention(settings)?;
    let store = store.store.clone();
    let plan = interruptible(py, "planning a collection", None, move || gc::plan(&store, &retention))?;
    Ok(GcPlan(Mutex::new(Some(plan))))
}

#[pymethods]
impl GcPlan {
    /// What it comes to; nothing once it was carried out.
    fn told(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plan) = plan.as_ref() else { return Ok(None) };
        let (price, kept) = (plan.price(), plan.kept());
        let fields = PyDict::new(py);
        fields.set_item("entries", price.entries)?;
        fields.set_item("bytes", price.bytes)?;
        fields.set_item("seconds", price.seconds)?;
        fields.set_item("store_bytes", plan.store_bytes())?;
        fields.set_item("shortfall_bytes", plan.shortfall_bytes())?;
        fields.set_item("kept", kept.total())?;
        fields.set_item("kept_leased", kept.leased)?;
        fields.set_item("kept_pinned", kept.pinned)?;
        fields.set_item("kept_recent", kept.recent)?;
        fields.set_item("failures", plan.failures().len())?;
        fields.set_item("leftovers", plan.leftovers().len())?;
        let by_dataset: Vec<(String, usize, u64, f64)> =
            plan.by_dataset().iter().map(|one| (one.dataset.to_string(), one.price.entries, one.price.bytes, one.price.seconds)).collect();
        fields.set_item("by_dataset", by_dataset)?;
        Ok(Some(fields.unbind()))
    }

    /// The entries that go, in order: address, dataset, instrument, both ends, bytes freed, seconds to make again, why.
    #[expect(clippy::type_complexity, reason = "a row, named where Python takes it apart")]
    fn entries(&self) -> Vec<(String, String, String, i64, i64, u64, f64, &'static str)> {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |entry: gc::GcEntry| {
            let (start, end) = (entry.interval.start().ns(), entry.interval.end().ns());
            let (address, instrument) = (entry.address.to_string(), entry.instrument.to_string());
            (address, entry.dataset.to_string(), instrument, start, end, entry.bytes_freed, entry.seconds, entry.reason.as_str())
        };
        plan.iter().flat_map(|plan| plan.entries()).map(row).collect()
    }

    /// What lies about and would go.
    fn leftovers(&self) -> Vec<(PathBuf, u64)> {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plan.iter().flat_map(|plan| plan.leftovers()).map(|one| (one.path.clone(), one.bytes)).collect()
    }

    /// Carries it out, once. Ctrl-C ends it between two steps.
    fn sweep(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let plan = plan.ok_or_else(|| refused("this plan was carried out before; make another with store.gc(dry_run=True)"))?;
        let token = CancellationToken::new();
        let sweeping = plan.sweep().cancelled_by(&token);
        let Swept { price, failures, leftovers, leftover_bytes, kept, elapsed, .. } =
            interruptible(py, "collecting", Some(&token), move || sweeping.run())?;
        let fields = PyDict::new(py);
        fields.set_item("entries", price.entries)?;
        fields.set_item("bytes", price.bytes)?;
        fields.set_item("seconds", price.seconds)?;
        fields.set_item("failures", failures)?;
        fields.set_item("leftovers", leftovers)?;
        fields.set_item("leftover_bytes", leftover_bytes)?;
        fields.set_item("kept", kept)?;
        fields.set_item("elapsed", elapsed.as_secs_f64())?;
        Ok(fields.unbind())
    }
}
