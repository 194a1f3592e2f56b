//! What `tickbarn load --json` prints, a line each.

use serde::Serialize;
use tickbarn::inspect::{Again, DatasetForecast, DryRun, Expected, Follower, Foreseeable, KnownFailure, Stop};
use tickbarn::{Address, Failure, FailureClass, Instrument, Interval, Outcome, Partition, Summary, Time};
use tickbarn_terminal::records::PlaceFields;

use crate::commands::why::DifferenceText;
use crate::records::{FailureText, Outputs};

/// One partition of a load.
#[derive(Serialize)]
#[serde(tag = "type", rename = "partition")]
pub(crate) struct PartitionLine<'a> {
    #[serde(flatten)]
    place: PlaceFields<'a>,
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
        Self {
            place: PlaceFields::new(dataset, instrument, interval),
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

/// One partition of a dry run.
#[derive(Serialize)]
#[serde(tag = "type", rename = "partition")]
pub(crate) struct ForeseenLine<'a> {
    #[serde(flatten)]
    place: PlaceFields<'a>,
    /// Null for a derived partition whose upstream is not there.
    address: Option<Address>,
    /// `hit`, `empty`, `generate`, `follow`, `failed` or `missing`.
    expected: &'static str,
    /// Of one to be generated: whether it is there, and generated anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<bool>,
    /// Of a missing one: why, where there is more to say than that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// How it failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_before: Option<FailedBefore<'a>>,
    /// How long generating it would take, how many bytes it would bring, and what that is taken from: `instrument`, `generator`,
    /// `other-keys-instrument` or `other-keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'static str>,
    /// True for one that was not requested, and that requested ones are derived from: it is in no sum but those of what is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<bool>,
}

#[derive(Serialize)]
struct FailedBefore<'a> {
    count: u32,
    last: Time,
    class: FailureClass,
    message: &'a str,
}

impl<'a> ForeseenLine<'a> {
    pub(crate) fn of(partition: &'a Foreseeable, upstream: bool) -> Self {
        let Foreseeable { dataset, instrument, interval, address, expected, failed_before, takes, .. } = partition;
        Self {
            place: PlaceFields::new(dataset, instrument, *interval),
            address: *address,
            expected: expected.as_str(),
            refresh: if let Expected::Generate { refresh: true } = expected { Some(true) } else { None },
            reason: if let Expected::Missing { reason } = expected { reason.as_deref() } else { None },
            failed_before: failed_before.as_ref().map(|failure| {
                let KnownFailure { count, last, class, message, .. } = failure;
                FailedBefore { count: *count, last: *last, class: *class, message }
            }),
            seconds: takes.map(|takes| takes.seconds),
            bytes: takes.map(|takes| takes.bytes),
            history: takes.map(|takes| takes.history.as_str()),
            upstream: upstream.then_some(true),
        }
    }
}

/// Why partitions of a dataset are generated that were there under another key.
#[derive(Serialize)]
#[serde(tag = "type", rename = "again")]
pub(crate) struct AgainLine<'a> {
    dataset: &'a str,
    partitions: usize,
    /// How many more were there under keys that differ otherwise.
    others: usize,
    /// In what the keys of those differ from what was there.
    differences: Vec<DifferenceText<'a>>,
}

impl<'a> AgainLine<'a> {
    pub(crate) fn of(again: &'a Again) -> Self {
        let Again { dataset, partitions, differences, others, .. } = again;
        Self { dataset, partitions: *partitions, others: *others, differences: differences.iter().map(DifferenceText::of).collect() }
    }
}

/// A dataset that is derived from what would be generated, and that is not asked for.
#[derive(Serialize)]
#[serde(tag = "type", rename = "follower")]
pub(crate) struct FollowerLine<'a> {
    dataset: &'a str,
    upstream: &'a [String],
    partitions: usize,
    /// How many of those are in the store now.
    made: usize,
}

impl<'a> FollowerLine<'a> {
    pub(crate) fn of(follower: &'a Follower) -> Self {
        let Follower { dataset, upstream, partitions, made, .. } = follower;
        Self { dataset, upstream, partitions: *partitions, made: *made }
    }
}

/// The sums of a dry run: of what was requested, and of all that would be generated.
#[derive(Serialize)]
#[serde(tag = "type", rename = "dry-run")]
pub(crate) struct ForeseenSums {
    requested: usize,
    hit: usize,
    empty: usize,
    generate: usize,
    follow: usize,
    failed: usize,
    missing: usize,
    /// Of those to be generated: there, and generated anew.
    refresh: usize,
    /// All that would be generated, upstream that was not requested too.
    generated: usize,
    workers: usize,
    /// Null where no history tells.
    seconds: Option<f64>,
    bytes: Option<u64>,
    /// How many of what would be generated have no history.
    without_history: usize,
    free_bytes: u64,
    free_bytes_after: Option<i128>,
    /// `missing` or `failed`: what would end the load before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'static str>,
}

impl ForeseenSums {
    pub(crate) fn of(foreseen: &DryRun) -> Self {
        let sums = foreseen.by_dataset();
        let sum = |count: fn(&DatasetForecast) -> usize| sums.iter().filter(|sum| !sum.upstream).map(count).sum();
        Self {
            requested: foreseen.partitions.len(),
            hit: sum(|sum| sum.hit),
            empty: sum(|sum| sum.empty),
            generate: sum(|sum| sum.generate),
            follow: sum(|sum| sum.follow),
            failed: sum(|sum| sum.failed),
            missing: sum(|sum| sum.missing),
            refresh: sum(|sum| sum.refresh),
            generated: foreseen.generated(),
            workers: foreseen.workers,
            seconds: foreseen.seconds,
            bytes: foreseen.bytes,
            without_history: foreseen.without_history(),
            free_bytes: foreseen.free_bytes,
            free_bytes_after: foreseen.free_bytes_after(),
            stopped: foreseen.stop.map(|stop| if stop == Stop::Missing { "missing" } else { "failed" }),
        }
    }
}
