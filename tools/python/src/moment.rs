//! Times and instruments as Python hands them over.

use pyo3::prelude::*;
use tickbarn::{Instrument, Interval, Result, Time, parse_grace};

use crate::errors::{raised, refused};

/// A time: nanoseconds since the epoch, or a text as the library reads it.
#[derive(FromPyObject)]
pub(crate) enum Moment {
    Ns(i64),
    Text(String),
}

impl Moment {
    pub(crate) fn time(&self) -> Result<Time> {
        match self {
            Moment::Ns(ns) => Ok(Time::from_ns(*ns)),
            Moment::Text(text) => text.parse(),
        }
    }
}

/// An instrument: `market/PAIR`, or its two parts.
#[derive(FromPyObject)]
pub(crate) enum Named {
    Text(String),
    Parts(String, String),
}

impl Named {
    pub(crate) fn instrument(&self) -> Result<Instrument> {
        match self {
            Named::Text(text) => text.parse(),
            Named::Parts(market, pair) => Instrument::new(market, pair),
        }
    }
}

/// An instrument over an interval.
pub(crate) type Asked = (Named, Moment, Moment);

/// What was asked for, as the library has it.
pub(crate) fn wanted(asked: &[Asked]) -> Result<Vec<(Instrument, Interval)>> {
    asked.iter().map(|(named, start, end)| Ok((named.instrument()?, Interval::new(start.time()?, end.time()?)?))).collect()
}

/// Nanoseconds since the epoch of a text.
#[pyfunction]
pub(crate) fn parse_time(text: &str) -> PyResult<i64> {
    text.parse::<Time>().map(Time::ns).map_err(raised)
}

/// The seconds of a length of time that was written as text.
#[pyfunction]
pub(crate) fn parse_length(text: &str) -> PyResult<f64> {
    parse_grace(text).map(|length| length.as_secs_f64()).map_err(refused)
}

/// A time as the library writes it: RFC 3339, with as many digits as it has.
#[pyfunction]
pub(crate) fn time_text(ns: i64) -> String {
    Time::from_ns(ns).to_string()
}
