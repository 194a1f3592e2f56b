//! The native part of the Python package `tickbarn`.
use pyo3::prelude::*;

#[pymodule]
mod _native {}
