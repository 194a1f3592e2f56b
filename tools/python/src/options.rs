//! What a load may be told beside its requests, word by word.

use std::path::PathBuf;
use std::str::FromStr;

use pyo3::prelude::*;
use tickbarn::{ByteSize, Error, Load, Mode, OnMissing, Policy, RunSettings, UnknownWord, parse_grace};

use crate::errors::{raised, refused};
use crate::moment::Named;
use crate::ray::Ray;

/// The options of a load: what is `None` is left to the dataset file and the library.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct LoadOptions {
    mode: Option<String>,
    on_missing: Option<String>,
    on_missing_upstream: Option<String>,
    on_failure: Option<String>,
    refresh: bool,
    retry_failed: Option<String>,
    wait: Option<String>,
    allow_future: bool,
    workers: Option<usize>,
    cpus: Option<f64>,
    memory: Option<String>,
    ray: Option<Py<Ray>>,
}

fn word<T: FromStr<Err = UnknownWord>>(what: &str, text: Option<&String>) -> PyResult<Option<T>> {
    text.map(|text| text.parse::<T>().map_err(|unknown| refused(format!("{what}: {unknown}")))).transpose()
}

impl LoadOptions {
    /// The mode sets the policies, what is said beside it beats it.
    pub(crate) fn policy(&self) -> PyResult<Policy> {
        let mut policy = word::<Mode>("mode", self.mode.as_ref())?.map_or_else(Policy::default, Mode::policy);
        policy.missing = word("on_missing", self.on_missing.as_ref())?.unwrap_or(policy.missing);
        policy.upstream = word("on_missing_upstream", self.on_missing_upstream.as_ref())?.unwrap_or(policy.upstream);
        policy.failure = word("on_failure", self.on_failure.as_ref())?.unwrap_or(policy.failure);
        if self.refresh && policy.missing != OnMissing::Generate {
            return Err(refused("refresh generates everything anew, which this on_missing or mode forbids; leave one of them out"));
        }
        policy.refresh |= self.refresh;
        policy.retry_failed = word("retry_failed", self.retry_failed.as_ref())?.unwrap_or(policy.retry_failed);
        let wait = self.wait.as_ref().map(|text| parse_grace(text).map_err(|unknown| refused(format!("wait: {unknown}"))));
        policy.wait_max = wait.transpose()?;
        policy.allow_future = self.allow_future;
        Ok(policy)
    }

    /// Lays all of it over a load.
    pub(crate) fn lay_over(&self, load: Load, run: RunSettings, ray: Option<&tickbarn::Ray>) -> PyResult<Load> {
        let memory = self.memory.as_ref().map(|text| text.parse::<ByteSize>().map_err(|unknown| refused(format!("memory: {unknown}"))));
        let run = RunSettings {
            workers: self.workers.or(run.workers),
            cpus: self.cpus.or(run.cpus),
            memory_bytes: memory.transpose()?.map(|size| size.0).or(run.memory_bytes),
        };
        let load = load.policy(self.policy()?).run_settings(run);
        Ok(match self.ray.as_ref().map(|ray| &ray.get().0).or(ray) {
            Some(ray) => load.runner(ray.clone()),
            None => load,
        })
    }
}

/// The records of an intervals file: the two parts of an instrument, and both ends in nanoseconds.
#[pyfunction]
pub(crate) fn read_intervals(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(String, i64, i64)>> {
    let read = py.detach(|| tickbarn::read_intervals(path)).map_err(raised)?;
    Ok(read.iter().map(|(instrument, interval)| (instrument.to_string(), interval.start().ns(), interval.end().ns())).collect())
}

/// Instruments that were named.
pub(crate) fn instruments(named: &[Named]) -> Result<Vec<tickbarn::Instrument>, Error> {
    named.iter().map(Named::instrument).collect()
}
