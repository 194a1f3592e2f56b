//! What a Python function is handed for one partition.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::errors::raised;
use crate::frames::{FrameParts, parts_of};

/// One partition to make.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Job(pub(crate) tickbarn::Job);

#[pymethods]
impl Job {
    #[getter]
    fn dataset(&self) -> &str {
        self.0.dataset()
    }

    #[getter]
    fn instrument(&self) -> String {
        self.0.instrument().to_string()
    }

    #[getter]
    fn start_ns(&self) -> i64 {
        self.0.start().ns()
    }

    #[getter]
    fn end_ns(&self) -> i64 {
        self.0.end().ns()
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.0.attempt()
    }

    /// Where an output is to be written.
    fn output(&self, name: &str) -> PyResult<PathBuf> {
        self.0.output(name).map(PathBuf::from).map_err(raised)
    }

    /// What an upstream has of the partition.
    fn upstream(&self, name: &str) -> PyResult<Upstream> {
        self.0.upstream(name).cloned().map(Upstream).map_err(raised)
    }

    /// Whether nobody waits for the result any more.
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// What one upstream dataset has of a job's instrument and interval.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Upstream(tickbarn::Upstream);

#[pymethods]
impl Upstream {
    #[getter]
    fn dataset(&self) -> &str {
        self.0.dataset()
    }

    /// What a frame of an output is made of; nothing where the upstream has no table at all.
    fn parts(&self, output: &str) -> PyResult<Option<FrameParts>> {
        match self.0.pieces(output) {
            Ok(pieces) => Ok(Some(parts_of(&pieces, false)?)),
            Err(tickbarn::Error::EmptyUpstream { .. }) => Ok(None),
            Err(error) => Err(raised(error)),
        }
    }
}
