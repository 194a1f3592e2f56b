//! The intervals file: which instruments over which intervals, as a JSON list.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};

/// Larger than any list that somebody means.
const FILE_BYTES_MAX: u64 = 64 << 20;

const FORM: &str = r#"[{"instrument": {"market": "binance", "pair": "BTC-USDT"}, "start": "2024-01-01", "end": "2024-02-01"}, …]"#;

/// Reads an intervals file: a JSON list of `{"instrument": {"market": …, "pair": …}, "start": …, "end": …}`, times as [`Time`] reads them or as numbers
/// of nanoseconds since the epoch. At most 64 MiB.
///
/// # Errors
/// [`Error::InvalidIntervals`], naming the record at fault by its position, counted from one.
pub fn read_intervals(path: impl AsRef<Path>) -> Result<Vec<(Instrument, Interval)>> {
    let path = path.as_ref();
    let invalid = |message: String| Error::InvalidIntervals { path: path.to_path_buf(), message };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| invalid(format!("the intervals file cannot be read: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(invalid(format!("it is larger than the {} MiB that an intervals file may have; is it the right file?", FILE_BYTES_MAX >> 20)));
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| invalid(format!("this is not JSON: {error}; write {FORM}")))?;
    let Value::Array(records) = value else {
        return Err(invalid(format!("it is {}, not a list; write {FORM}", kind_of(&value))));
    };
    if records.is_empty() {
        return Err(invalid(format!("the list is empty, so there is nothing to load; write {FORM}")));
    }
    let read = |(nth, record): (usize, &Value)| record_of(record).map_err(|problem| invalid(format!("record {}: {problem}", nth + 1)));
    records.iter().enumerate().map(read).collect()
}

fn record_of(record: &Value) -> Result<(Instrument, Interval), String> {
    let [instrument, start, end] = fields_of(record, "it", ["instrument", "start", "end"])?;
    let [market, pair] = fields_of(instrument, "its instrument", ["market", "pair"])?;
    let text = |value: &Value, what: &str| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("{what} is {}, not a text", kind_of(other))),
    };
    let time = |value: &Value, what: &str| {
        let text = match value {
            // Nanoseconds since the epoch.
            Value::Number(number) => number.to_string(),
            value => text(value, what)?,
        };
        text.parse::<Time>().map_err(|error| format!("{what}: {error}"))
    };
    let instrument = Instrument::new(&text(market, "its market")?, &text(pair, "its pair")?).map_err(|error| error.to_string())?;
    let interval = Interval::new(time(start, "its start")?, time(end, "its end")?).map_err(|error| error.to_string())?;
    Ok((instrument, interval))
}

/// The values of exactly these fields.
fn fields_of<'a, const N: usize>(value: &'a Value, what: &str, names: [&str; N]) -> Result<[&'a Value; N], String> {
    let Value::Object(fields) = value else {
        return Err(format!("{what} is {}, not an object of {}", kind_of(value), names.join(", ")));
    };
    if let Some(other) = fields.keys().find(|name| !names.contains(&name.as_str())) {
        let shown: String = other.chars().take(40).collect();
        return Err(format!("{what} has a field {shown:?}, which means nothing here; known are {}", names.join(", ")));
    }
    let mut found = [value; N];
    for (slot, name) in found.iter_mut().zip(names) {
        *slot = fields.get(name).ok_or_else(|| format!("{what} has no {name}"))?;
    }
    Ok(found)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_text(text: &str) -> Result<Vec<(Instrument, Interval)>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("intervals.json");
        fs::write(&path, text).unwrap();
        read_intervals(&path).map_err(|error| error.to_string())
    }

    const GOOD: &str = r#"{"instrument": {"market": "kraken", "pair": "BTC/USD"}, "start": "2024-01-01", "end": 1706745600000000000}"#;

    #[test]
    fn the_form_of_the_old_scripts_is_read() {
        let intervals = read_text(&format!("[{GOOD}]")).unwrap();
        assert_eq!(intervals[0].0.pair(), "BTC/USD");
        assert_eq!(intervals[0].1.to_string(), "2024-01-01T00:00:00Z/2024-02-01T00:00:00Z");
    }

    #[test]
    fn a_bad_record_is_named() {
        for (bad, said) in [
            (GOOD.replace("kraken", "../.."), "record 2: "),
            (GOOD.replace("2024-01-01", "2024-13-01"), "record 2: its start: "),
            (GOOD.replace("1706745600000000000", "17"), "record 2: its end: "),
            (GOOD.replace("2024-01-01", "2025-01-01"), "its start must be before its end"),
            (GOOD.replace("\"pair\"", "\"pear\""), "record 2: its instrument has a field \"pear\""),
            (GOOD.replace("\"start\": \"2024-01-01\", ", ""), "record 2: it has no start"),
            (GOOD.replace("\"kraken\"", "7"), "record 2: its market is a number"),
            ("null".to_owned(), "record 2: it is null"),
        ] {
            let error = read_text(&format!("[{GOOD}, {bad}]")).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_is_no_list_of_records_is_refused_with_the_form() {
        for text in ["", "[", "{}", "[]", "\"x\""] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains("\"instrument\""), "{error}");
        }
    }
}
