//! JSON lines, as every command writes them. What is in a line is the command's own.

use std::io::{self, Write};

use serde::{Serialize, Serializer};
use tickbarn::{Instrument, Interval, Time};

/// Writes a value as one line, in one piece.
///
/// # Errors
///
/// Where the value cannot be written as JSON, or the line cannot be written.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// What tells a partition from any other of its store, in the lines of every command.
#[derive(Debug, Serialize)]
pub struct PlaceFields<'a> {
    dataset: &'a str,
    #[serde(serialize_with = "as_text")]
    instrument: &'a Instrument,
    start: Time,
    end: Time,
}

impl<'a> PlaceFields<'a> {
    /// Those of a partition.
    pub fn new(dataset: &'a str, instrument: &'a Instrument, interval: Interval) -> Self {
        Self { dataset, instrument, start: interval.start(), end: interval.end() }
    }
}

/// Writes an instrument as it is written everywhere: `market/pair`.
///
/// # Errors
///
/// Those of the serializer.
pub fn as_text<S: Serializer>(instrument: &Instrument, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instrument)
}
