//! Configuration values: what Python's own types mean in a key. They mean what TOML's and JSON's do, so that addresses are equal.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use tickbarn::Value;

use crate::errors::misdefined;

/// How deep values may lie in each other.
const DEPTH_MAX: usize = 64;

/// A value. `at` says where it stands, for messages.
pub(crate) fn value_of(any: &Bound<'_, PyAny>, at: &str) -> PyResult<Value> {
    value_in(any, at, 0)
}

fn value_in(any: &Bound<'_, PyAny>, at: &str, depth: usize) -> PyResult<Value> {
    if depth > DEPTH_MAX {
        return Err(misdefined(format!("{at} lies more than {DEPTH_MAX} deep; a configuration is not that deep, does it hold itself?")));
    }
    if any.is_none() {
        return Ok(Value::Null);
    }
    // Before integers, which truths are, too.
    if let Ok(truth) = any.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if any.is_instance_of::<PyInt>() {
        let integer = any.extract::<i128>().map_err(|_| misdefined(format!("{at}: an integer must fit 64 bits; write it as a text")))?;
        return Ok(Value::Integer(integer));
    }
    if let Ok(double) = any.cast::<PyFloat>() {
        return Ok(Value::Float(double.value()));
    }
    if let Ok(text) = any.cast::<PyString>() {
        return Ok(Value::String(text.to_cow()?.into_owned()));
    }
    if any.is_instance_of::<PyList>() || any.is_instance_of::<PyTuple>() {
        let items = any.try_iter()?.enumerate().map(|(nth, item)| value_in(&item?, &format!("{at}[{nth}]"), depth + 1));
        return Ok(Value::Array(items.collect::<PyResult<_>>()?));
    }
    if let Ok(fields) = any.cast::<PyDict>() {
        let field = |(name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
            let name: String = name.extract().map_err(|_| misdefined(format!("{at}: the names of a table must be texts, and {name} is none")))?;
            let value = value_in(&value, &format!("{at}.{name}"), depth + 1)?;
            Ok((name, value))
        };
        return Ok(Value::Object(fields.iter().map(field).collect::<PyResult<_>>()?));
    }
    // NumPy's scalars are numbers like any other, by their own word.
    if any.hasattr("dtype")? && any.hasattr("item")? {
        let plain = any.call_method0("item")?;
        if plain.is_instance_of::<PyInt>() || plain.is_instance_of::<PyFloat>() || plain.is_instance_of::<PyString>() {
            return value_in(&plain, at, depth + 1);
        }
    }
    let kind = any.get_type().name()?;
    Err(misdefined(format!(
        "{at} is of type {kind}, which has no one form in a key; use None, bool, int, float, str, list or dict, and write times as texts"
    )))
}
