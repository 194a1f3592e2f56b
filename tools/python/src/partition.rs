//! One partition of a load, as Python sees it. What of it is a sentence or a table is made when it is asked for.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tickbarn::{Empty, Outcome};

use crate::errors::put_failure;

/// One partition and what became of it.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Partition(pub(crate) tickbarn::Partition);

#[pymethods]
impl Partition {
    #[getter]
    fn dataset(&self) -> &str {
        &self.0.dataset
    }

    #[getter]
    fn instrument(&self) -> String {
        self.0.instrument.to_string()
    }

    #[getter]
    fn start_ns(&self) -> i64 {
        self.0.interval.start().ns()
    }

    #[getter]
    fn end_ns(&self) -> i64 {
        self.0.interval.end().ns()
    }

    /// The part of it that was asked for.
    #[getter]
    fn requested_ns(&self) -> (i64, i64) {
        (self.0.requested.start().ns(), self.0.requested.end().ns())
    }

    #[getter]
    fn outcome(&self) -> &'static str {
        self.0.outcome.as_str()
    }

    #[getter]
    fn address(&self) -> Option<String> {
        self.0.address.map(|address| address.to_string())
    }

    /// The file of each output.
    fn paths(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let paths = PyDict::new(py);
        for output in self.0.outcome.entry().iter().flat_map(|entry| &entry.outputs) {
            paths.set_item(&*output.name, PathBuf::from(&output.path))?;
        }
        Ok(paths.unbind())
    }

    /// The rows of each output.
    fn rows(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let rows = PyDict::new(py);
        for output in self.0.outcome.entry().iter().flat_map(|entry| &entry.outputs) {
            rows.set_item(&*output.name, output.rows)?;
        }
        Ok(rows.unbind())
    }

    /// Of what failed: its class, its message, the end of its log.
    fn failure(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        let Outcome::Failed { failure, recorded } = &self.0.outcome else { return Ok(None) };
        let fields = PyDict::new(py);
        put_failure(&fields, self.0.address, failure)?;
        fields.set_item("recorded", recorded)?;
        Ok(Some(fields.unbind()))
    }

    /// Why it is missing, or how it is known to be empty, where there is more to say.
    fn reason(&self) -> Option<String> {
        match &self.0.outcome {
            Outcome::Missing { reason } => reason.clone(),
            Outcome::Empty { entry, .. } => match entry.empty {
                Some(Empty::ExitCode(code)) => Some(format!("its generator said so by exit status {code}")),
                _ => None,
            },
            _ => None,
        }
    }

    /// The outputs that a refresh found otherwise.
    fn changed(&self) -> Vec<String> {
        self.0.outcome.changed().iter().map(ToString::to_string).collect()
    }

    /// How long its generator ran, in seconds.
    #[getter]
    fn seconds(&self) -> Option<f32> {
        self.0.outcome.entry().map(|entry| entry.seconds)
    }
}
