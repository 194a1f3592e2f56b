//! The library's errors as Python's: one class for each way in which a user can react, the fields of the error as attributes.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tickbarn::{Address, Error, Failure, Instrument, Interval, Log};

/// So much of a generator's log is carried by an exception.
const LOG_TAIL_BYTES_MAX: usize = 4096;

/// An error as the exception that stands for it.
pub(crate) fn raised(error: Error) -> PyErr {
    Python::attach(|py| exception(py, &error).unwrap_or_else(|problem| problem))
}

/// A word of an option that means nothing, as the exception that stands for it.
pub(crate) fn refused(problem: impl std::fmt::Display) -> PyErr {
    Python::attach(|py| made(py, "RequestError", &problem.to_string(), &PyDict::new(py)).unwrap_or_else(|problem| problem))
}

/// A definition that cannot be, as the exception that stands for it.
pub(crate) fn misdefined(problem: impl std::fmt::Display) -> PyErr {
    Python::attach(|py| made(py, "ConfigError", &problem.to_string(), &PyDict::new(py)).unwrap_or_else(|problem| problem))
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    let class = match error {
        Error::Missing { dataset, instrument, interval, reason, missing, requested } => {
            put_place(&fields, dataset, instrument, *interval)?;
            fields.set_item("reason", reason)?;
            fields.set_item("missing", missing)?;
            fields.set_item("requested", requested)?;
            "MissingError"
        }
        Error::Generation { dataset, instrument, interval, address, failure, .. } => {
            put_place(&fields, dataset, instrument, *interval)?;
            put_failure(&fields, Some(*address), failure)?;
            "GenerationError"
        }
        Error::Future { dataset, instrument, interval, .. } => {
            put_place(&fields, dataset, instrument, *interval)?;
            "RequestError"
        }
        Error::Cancelled { done, requested } => {
            fields.set_item("done", done)?;
            fields.set_item("requested", requested)?;
            "LoadCancelled"
        }
        Error::Cluster { address, fault, .. } => {
            fields.set_item("cluster", address)?;
            fields.set_item("fault", fault.as_str())?;
            "ClusterError"
        }
        Error::Config { origin, .. } => {
            fields.set_item("path", origin.path.as_ref().map(|path| path.display().to_string()))?;
            fields.set_item("line", origin.line)?;
            "ConfigError"
        }
        Error::InvalidDataset { dataset, .. } | Error::Resources { dataset, .. } | Error::NotDeclared { dataset, .. } => {
            fields.set_item("dataset", dataset)?;
            "ConfigError"
        }
        Error::Io { path, .. } | Error::NotAStore { path, .. } | Error::NewerFormat { path, .. } | Error::Damaged { path, .. } => {
            fields.set_item("path", path.display().to_string())?;
            "StoreError"
        }
        Error::Busy { .. } | Error::Collecting { .. } => "StoreError",
        Error::EmptyUpstream { dataset, .. } | Error::MixedDefinitions { dataset, .. } => {
            fields.set_item("dataset", dataset)?;
            "FrameError"
        }
        Error::NotLoaded { .. }
        | Error::UnknownOutput { .. }
        | Error::AmbiguousOutput { .. }
        | Error::NothingRead { .. }
        | Error::SchemasDiffer { .. }
        | Error::InstrumentColumns { .. }
        | Error::TimeColumn { .. }
        | Error::Frame { .. } => "FrameError",
        error if error.is_usage() => "RequestError",
        _ => "TickbarnError",
    };
    made(py, class, &error.to_string(), &fields)
}

fn made(py: Python<'_>, class: &str, message: &str, fields: &Bound<'_, PyDict>) -> PyResult<PyErr> {
    let exception = py.import("tickbarn.errors")?.getattr(class)?.call((message,), Some(fields))?;
    Ok(PyErr::from_value(exception))
}

fn put_place(fields: &Bound<'_, PyDict>, dataset: &str, instrument: &Instrument, interval: Interval) -> PyResult<()> {
    fields.set_item("dataset", dataset)?;
    fields.set_item("instrument", instrument.to_string())?;
    fields.set_item("start_ns", interval.start().ns())?;
    fields.set_item("end_ns", interval.end().ns())
}

/// Puts all that is known of a failure where exceptions and partitions carry it.
pub(crate) fn put_failure(fields: &Bound<'_, PyDict>, address: Option<Address>, failure: &Failure) -> PyResult<()> {
    fields.set_item("failure_class", failure.class.as_str())?;
    fields.set_item("failure_message", &failure.message)?;
    fields.set_item("log_tail", log_tail(&failure.log))?;
    fields.set_item("address", address.map(|address| address.to_string()))
}

/// The end of what a generator said: on its standard error, or, where that is silent, on its standard output.
pub(crate) fn log_tail(log: &Log) -> &str {
    let text = if log.stderr.text.trim().is_empty() { &log.stdout.text } else { &log.stderr.text };
    let text = text.trim_end();
    let mut from = text.len().saturating_sub(LOG_TAIL_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// A Python exception as a function's error: its kind and message, and behind it the traceback, so that the failure's log has it.
#[derive(Debug)]
pub(crate) struct Raised {
    message: String,
    traceback: Option<Traceback>,
}

impl Raised {
    pub(crate) fn of(py: Python<'_>, error: &PyErr) -> Self {
        let kind = error.get_type(py).name().map_or_else(|_| "exception".to_owned(), |name| name.to_string());
        let said = error.value(py).str().map_or_else(|_| String::new(), |text: Bound<'_, PyString>| text.to_string());
        let message = if said.is_empty() { kind } else { format!("{kind}: {said}") };
        let traceback = error.traceback(py).and_then(|traceback| traceback.format().ok()).map(Traceback);
        Self { message, traceback }
    }

    pub(crate) fn told(message: impl Into<String>) -> Self {
        Self { message: message.into(), traceback: None }
    }
}

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Raised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.traceback.as_ref().map(|traceback| traceback as _)
    }
}

/// Where an exception was raised, as Python writes it.
#[derive(Debug)]
struct Traceback(String);

impl std::fmt::Display for Traceback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl std::error::Error for Traceback {}

/// What stopped without an answer.
pub(crate) fn lost(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!("{what} stopped without an answer; this is a bug in tickbarn"))
}
