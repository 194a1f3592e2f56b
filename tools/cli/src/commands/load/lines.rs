//! What `tickbarn load --json` prints, a line each.

use serde::Serialize;
use tickbarn::{Address, Failure, Instrument, Interval, Outcome, Partition, Summary, Time};

use crate::records::{FailureText, Outputs, as_text};

/// One partition of a load.
#[derive(Serialize)]
#[serde(tag = "type", rename = "partition")]
pub(crate) struct PartitionLine<'a> {
    dataset: &'a str,
    #[serde(serialize_with = "as_text")]
    instrument: &'a Instrument,
    start: Time,
    end: Time,
    /// Null for a derived partition whose upstream is not there.
    address: Option<Address>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Outputs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureText<'a>>,
    /// Of an empty one: whether that was known before.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<bool>,
    /// Of a missing one: why, where there is more to say than that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Of a refreshed one: the outputs that were found otherwise before.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'a str>>,
    /// Of a failed one: whether that is an earlier failure, which was not tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<bool>,
    /// True for one that was not requested, and that requested ones are derived from: it is in no sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<bool>,
}

impl<'a> PartitionLine<'a> {
    pub(crate) fn of(partition: &'a Partition) -> Self {
        let Partition { dataset, instrument, interval, address, outcome, .. } = partition;
        let mut line = Self::bare(dataset, instrument, *interval, *address, outcome.as_str());
        line.outputs = outcome.entry().and_then(Outputs::of);
        if !outcome.changed().is_empty() {
            line.changed = Some(outcome.changed().iter().map(|name| &**name).collect());
        }
        match outcome {
            Outcome::Empty { known, .. } => line.known = Some(*known),
            Outcome::Missing { reason } => line.reason = reason.as_deref(),
            Outcome::Failed { failure, recorded } => {
                line.failure = Some(FailureText::of(failure));
                line.recorded = Some(*recorded);
            }
            _ => {}
        }
        line
    }

    /// One that was not requested, and that requested ones are derived from.
    pub(crate) fn upstream(partition: &'a Partition) -> Self {
        Self { upstream: Some(true), ..Self::of(partition) }
    }

    /// The failure that stopped a load.
    pub(crate) fn failed(dataset: &'a str, instrument: &'a Instrument, interval: Interval, address: Address, failure: &'a Failure) -> Self {
        Self { failure: Some(FailureText::of(failure)), ..Self::bare(dataset, instrument, interval, Some(address), "failed") }
    }

    fn bare(dataset: &'a str, instrument: &'a Instrument, interval: Interval, address: Option<Address>, outcome: &'static str) -> Self {
        let (start, end) = (interval.start(), interval.end());
        Self {
            dataset,
            instrument,
            start,
            end,
            address,
            outcome,
            outputs: None,
            failure: None,
            known: None,
            reason: None,
            changed: None,
            recorded: None,
            upstream: None,
        }
    }
}

/// The sums of a load.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(crate) struct SummaryLine {
    requested: usize,
    read: usize,
    hit: usize,
    generated: usize,
    empty: usize,
    missing: usize,
    failed: usize,
    seconds: f64,
    /// What ended the load before all that was requested was dealt with.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'static str>,
}

impl SummaryLine {
    pub(crate) fn of(summary: &Summary, stopped: Option<&'static str>) -> Self {
        let Summary { requested, read, hit, generated, empty, missing, failed, seconds, .. } = *summary;
        Self { requested, read, hit, generated, empty, missing, failed, seconds, stopped }
    }
}
