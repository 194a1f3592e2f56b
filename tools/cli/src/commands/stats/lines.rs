//! What `tickbarn stats --json` prints, a line each.

use serde::Serialize;
use tickbarn::inspect::Holding;
use tickbarn::{Instrument, Time};
use tickbarn_terminal::records::as_text;

use super::Loads;

/// What is held of an instrument of a dataset.
#[derive(Serialize)]
#[serde(tag = "type", rename = "instrument")]
pub(crate) struct InstrumentLine<'a> {
    pub(crate) dataset: &'a str,
    #[serde(serialize_with = "as_text")]
    pub(crate) instrument: &'a Instrument,
    #[serde(flatten)]
    pub(crate) holding: HoldingFields,
}

/// What is held of a dataset.
#[derive(Serialize)]
#[serde(tag = "type", rename = "dataset")]
pub(crate) struct DatasetLine<'a> {
    pub(crate) dataset: &'a str,
    #[serde(flatten)]
    pub(crate) holding: HoldingFields,
}

/// What is held of everything.
#[derive(Serialize)]
#[serde(tag = "type", rename = "total")]
pub(crate) struct TotalLine {
    #[serde(flatten)]
    pub(crate) holding: HoldingFields,
}

/// The sums of a holding.
#[derive(Serialize)]
pub(crate) struct HoldingFields {
    entries: u64,
    empty: u64,
    artifacts: u64,
    bytes: u64,
    bytes_named: u64,
    bytes_saved: u64,
    seconds: f64,
}

impl HoldingFields {
    pub(crate) fn of(holding: &Holding) -> Self {
        let Holding { entries, empty, artifacts, bytes, bytes_named, seconds, .. } = *holding;
        Self { entries, empty, artifacts, bytes, bytes_named, bytes_saved: holding.bytes_saved(), seconds }
    }
}

/// Recent loads.
#[derive(Serialize)]
#[serde(tag = "type", rename = "loads")]
pub(crate) struct LoadsLine {
    loads: usize,
    /// When the first of them ended; null where there is none.
    since: Option<Time>,
    hits: u64,
    misses: u64,
    generated: u64,
    missing: u64,
    failed: u64,
    unfinished: u64,
}

impl LoadsLine {
    pub(crate) fn of(loads: &Loads) -> Self {
        let Loads { count, since, hits, generated, missing, failed, unfinished } = *loads;
        Self { loads: count, since, hits, misses: loads.misses(), generated, missing, failed, unfinished }
    }
}
