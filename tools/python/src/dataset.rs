//! Datasets: handles on those of a file, and those that Python defines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tickbarn::{Align, BoxError, ByteSize, ClosedTimes, DatasetBuilder, Digest, Input, Job as NativeJob, Outputs, Resources, Split, parse_grace};

use crate::errors::{Raised, raised, refused};
use crate::job::Job;
use crate::value::value_of;

/// What is cached under one name.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Dataset(pub(crate) tickbarn::Dataset);

#[pymethods]
impl Dataset {
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The names of its outputs, in order.
    fn outputs(&self) -> Vec<String> {
        self.0.outputs().map(|(name, _)| name.to_owned()).collect()
    }

    #[getter]
    fn time_column(&self) -> &str {
        self.0.time_column()
    }

    #[getter]
    fn version(&self) -> Option<&str> {
        self.0.version()
    }

    /// The digest of its function's source, where it has one.
    #[getter]
    fn source(&self) -> Option<String> {
        self.0.function_source().map(|digest| digest.to_string())
    }

    /// How long the pieces are that an interval is cut into, in nanoseconds.
    #[getter]
    fn split_ns(&self) -> i64 {
        self.0.split().every_ns()
    }
}

/// What both kinds of definition may say.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Definition {
    outputs: BTreeMap<String, String>,
    split: Option<String>,
    align: Option<String>,
    time_column: Option<String>,
    closed: Vec<String>,
    timeout: Option<String>,
    retries: u32,
    cpus: Option<f64>,
    memory: Option<String>,
    inputs: BTreeMap<String, PathBuf>,
    upstream: Vec<(String, Py<Dataset>, Option<Vec<String>>)>,
    base_dir: Option<PathBuf>,
}

impl Definition {
    fn lay_over(self, mut builder: DatasetBuilder, config: &Bound<'_, PyDict>) -> PyResult<tickbarn::Dataset> {
        for (name, value) in config {
            let name: String = name.extract()?;
            let value = value_of(&value, &format!("config.{name}"))?;
            builder = builder.config(name, value);
        }
        for (name, file) in self.outputs {
            builder = builder.output(name, file);
        }
        for (name, path) in self.inputs {
            builder = builder.input(name, Input::new(path));
        }
        for (name, dataset, outputs) in self.upstream {
            let dataset = &dataset.get().0;
            builder = match outputs {
                Some(outputs) => builder.upstream_outputs(name, dataset, outputs),
                None => builder.upstream_as(name, dataset),
            };
        }
        if self.split.is_some() || self.align.is_some() {
            let split = self.split.as_deref().map_or(Ok(Split::default()), Split::every).map_err(raised)?;
            let align = self.align.as_deref().map(align_of);
            builder = builder.split(align.transpose()?.map_or(split, |align| split.aligned(align)));
        }
        if let Some(column) = self.time_column {
            builder = builder.time_column(column);
        }
        builder = builder.closed(ClosedTimes::of(&self.closed).map_err(raised)?).retries(self.retries);
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(parse_grace(&timeout).map_err(|unknown| refused(format!("timeout: {unknown}")))?);
        }
        if let Some(base_dir) = self.base_dir {
            builder = builder.base_dir(base_dir);
        }
        let memory = self.memory.map(|text| text.parse::<ByteSize>().map_err(|unknown| refused(format!("memory: {unknown}"))));
        let memory_bytes = memory.transpose()?.map_or(0, |size| size.0);
        builder.resources(Resources { cpus: self.cpus.unwrap_or(0.0), memory_bytes }).build().map_err(raised)
    }
}

/// A dataset that a command generates: what `[dataset.NAME]` of a file says, with the same addresses.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "what a file's table may hold")]
pub(crate) fn command_dataset(
    name: String,
    command: Vec<String>,
    definition: Definition,
    config: &Bound<'_, PyDict>,
    files: &Bound<'_, PyDict>,
    environment: BTreeMap<String, String>,
    unkeyed: &Bound<'_, PyDict>,
    empty_exit_codes: Vec<i64>,
    version: Option<String>,
    snapshot_program: bool,
) -> PyResult<Dataset> {
    let mut builder = tickbarn::Dataset::command(name, command).empty_exit_codes(empty_exit_codes).snapshot_program(snapshot_program);
    for (name, value) in files {
        let name: String = name.extract()?;
        let value = value_of(&value, &format!("file.{name}"))?;
        builder = builder.file(name, value);
    }
    for (name, value) in unkeyed {
        let name: String = name.extract()?;
        let value = value_of(&value, &format!("unkeyed.{name}"))?;
        builder = builder.unkeyed(name, value);
    }
    for (name, value) in environment {
        builder = builder.env(name, value);
    }
    if let Some(version) = version {
        builder = builder.version(version);
    }
    definition.lay_over(builder, config).map(Dataset)
}

/// A dataset that a Python function makes: `call` is given a job, writes its outputs, and says whether there was any data.
#[pyfunction]
pub(crate) fn function_dataset(
    name: String,
    version: String,
    call: Py<PyAny>,
    definition: Definition,
    config: &Bound<'_, PyDict>,
    source: Option<&[u8]>,
) -> PyResult<Dataset> {
    let made = move |job: &NativeJob| -> Result<Outputs, BoxError> {
        let called = Python::try_attach(|py| {
            let made = call.bind(py).call1((Job(job.clone()),)).and_then(|made| made.extract::<bool>());
            made.map_err(|error| Raised::of(py, &error))
        });
        let called = called.unwrap_or_else(|| Err(Raised::told("the interpreter is ending, and calls nothing any more")));
        Ok(if called? { Outputs::files() } else { Outputs::no_data() })
    };
    let mut builder = tickbarn::Dataset::function(name, version, made);
    if let Some(source) = source {
        builder = builder.function_source(Digest::of(source));
    }
    definition.lay_over(builder, config).map(Dataset)
}

fn align_of(word: &str) -> PyResult<Align> {
    match word {
        "grid" => Ok(Align::Grid),
        "start" => Ok(Align::Start),
        "cover" => Ok(Align::Cover),
        _ => Err(refused(format!("align: {word:?} is none of grid, start, cover"))),
    }
}
