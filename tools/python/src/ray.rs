//! A Ray cluster that loads run their commands on.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use tickbarn::RayOptions;

/// A cluster by its address, reached when a load first needs it. Shared by the loads that it is given to.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Ray(pub(crate) tickbarn::Ray);

#[pymethods]
impl Ray {
    #[new]
    #[pyo3(signature = (address, python, queue_s=None, start_s=None))]
    fn new(address: &str, python: PathBuf, queue_s: Option<f64>, start_s: Option<f64>) -> PyResult<Self> {
        let mut options = RayOptions::new(address).python(python);
        if let Some(queue) = queue_s {
            options = options.queue_max(seconds("queue_timeout", queue)?);
        }
        if let Some(start) = start_s {
            options = options.start_max(seconds("start_timeout", start)?);
        }
        Ok(Self(tickbarn::Ray::on_demand(options)))
    }

    #[getter]
    fn address(&self) -> &str {
        self.0.options().address()
    }
}

/// A length of time in seconds.
pub(crate) fn seconds(what: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| crate::errors::refused(format!("{what}: {seconds} seconds: {error}")))
}
