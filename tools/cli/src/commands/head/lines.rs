//! What `tickbarn head --json` prints, a line each.

use serde::Serialize;
use serde_json::value::RawValue;
use tickbarn::Address;

/// A table with its columns.
#[derive(Serialize)]
#[serde(tag = "type", rename = "table")]
pub(crate) struct TableLine<'a> {
    pub(crate) address: Address,
    pub(crate) output: &'a str,
    /// All that it has.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) columns: Vec<ColumnFields<'a>>,
}

#[derive(Serialize)]
pub(crate) struct ColumnFields<'a> {
    pub(crate) name: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) nullable: bool,
}

/// A row. What Arrow writes of it: binary in hexadecimal digits, and null for what JSON has no number for.
#[derive(Serialize)]
pub(crate) struct RowLine<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) output: &'a str,
    pub(crate) row: &'a RawValue,
}
