//! What `tickbarn diff --json` prints, a line each.

use serde::Serialize;
use tickbarn::Address;

use super::compare::{Difference, RowDifference, SchemaDifference, ValueDifference};

/// One output. Where there are two values in a list, the first is that of the first entry; null is what one of them does not have.
#[derive(Serialize)]
#[serde(tag = "type", rename = "output")]
pub(crate) struct OutputLine<'a> {
    pub(crate) output: &'a str,
    pub(crate) same: bool,
    /// Whether both are the same file.
    pub(crate) identical: bool,
    pub(crate) rows: [Option<u64>; 2],
    pub(crate) schema: Vec<SchemaFields<'a>>,
    /// Whether the columns stand in another order.
    pub(crate) order: bool,
    pub(crate) first: Option<FirstFields<'a>>,
    /// How many values were 0.0 in one and -0.0 in the other, before the first difference: they count as the same.
    pub(crate) zero_signs: u64,
}

#[derive(Serialize)]
pub(crate) struct SchemaFields<'a> {
    column: &'a str,
    types: [Option<&'a str>; 2],
}

/// The first row that differs, counted from 0.
#[derive(Serialize)]
pub(crate) struct FirstFields<'a> {
    row: u64,
    columns: Vec<ValueFields<'a>>,
}

#[derive(Serialize)]
pub(crate) struct ValueFields<'a> {
    column: &'a str,
    values: [&'a str; 2],
}

impl<'a> OutputLine<'a> {
    pub(crate) fn bare(output: &'a str, same: bool, identical: bool, rows: [Option<u64>; 2]) -> Self {
        Self { output, same, identical, rows, schema: Vec::new(), order: false, first: None, zero_signs: 0 }
    }

    pub(crate) fn compared(output: &'a str, same: bool, rows: [u64; 2], difference: &'a Difference) -> Self {
        let Difference { schema, order, first, zero_signs, .. } = difference;
        let schema =
            schema.iter().map(|SchemaDifference { column, left, right }| SchemaFields { column, types: [left.as_deref(), right.as_deref()] });
        let value = |ValueDifference { column, left, right }: &'a ValueDifference| ValueFields { column, values: [left, right] };
        let first = first.as_ref().map(|RowDifference { row, columns }| FirstFields { row: *row, columns: columns.iter().map(value).collect() });
        Self { schema: schema.collect(), order: *order, first, zero_signs: *zero_signs, ..Self::bare(output, same, false, rows.map(Some)) }
    }
}

/// Both entries.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(crate) struct SummaryLine {
    pub(crate) addresses: [Address; 2],
    pub(crate) same: bool,
}
