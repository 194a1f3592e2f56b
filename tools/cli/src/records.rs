//! The JSON lines: what programs read. Fields are added, never renamed or taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tickbarn::{
    Address, Artifact, Digest, Empty, Entry, Failure, FailureClass, FailureRecord, Finding, Instrument, Interval, Listed, LogText, Outcome,
    Partition, Pin, PinCover, Repair, Summary, Time,
};

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

/// An entry in a listing.
#[derive(Serialize)]
#[serde(tag = "type", rename = "entry")]
pub(crate) struct EntryLine<'a> {
    dataset: &'a str,
    #[serde(serialize_with = "as_text")]
    instrument: &'a Instrument,
    start: Time,
    end: Time,
    address: Address,
    /// When its generator was started, and how long it ran.
    generated: Time,
    seconds: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Outputs<'a>>,
}

impl<'a> EntryLine<'a> {
    pub(crate) fn of(listed: &'a Listed) -> Self {
        let Listed { dataset, instrument, interval, entry, .. } = listed;
        Self {
            dataset,
            instrument,
            start: interval.start(),
            end: interval.end(),
            address: entry.address,
            generated: entry.started,
            seconds: entry.seconds,
            empty: entry.empty,
            outputs: Outputs::of(entry),
        }
    }
}

/// A recorded failure in a listing.
#[derive(Serialize)]
#[serde(tag = "type", rename = "failure")]
pub(crate) struct FailureLine<'a> {
    dataset: &'a str,
    #[serde(serialize_with = "as_text")]
    instrument: &'a Instrument,
    start: Time,
    end: Time,
    address: Address,
    count: u32,
    first: Time,
    last: Time,
    attempts: u32,
    failure: FailureText<'a>,
}

impl<'a> FailureLine<'a> {
    pub(crate) fn of(record: &'a FailureRecord) -> Self {
        Self {
            dataset: &record.dataset,
            instrument: &record.instrument,
            start: record.interval.start(),
            end: record.interval.end(),
            address: record.address,
            count: record.count,
            first: record.first,
            last: record.last,
            attempts: record.attempts,
            failure: FailureText::of(&record.failure),
        }
    }
}

/// What a generator wrote.
#[derive(Serialize)]
#[serde(tag = "type", rename = "log")]
pub(crate) struct LogLine<'a> {
    pub(crate) address: Address,
    /// `entry` or `failure`.
    pub(crate) of: &'static str,
    pub(crate) stdout: &'a LogText,
    pub(crate) stderr: &'a LogText,
}

/// One output's file.
#[derive(Serialize)]
#[serde(tag = "type", rename = "path")]
pub(crate) struct PathLine<'a> {
    pub(crate) address: Address,
    pub(crate) output: &'a str,
    #[serde(serialize_with = "as_lossy")]
    pub(crate) path: &'a Path,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

/// A pin, with what it covers at this moment.
#[derive(Serialize)]
#[serde(tag = "type", rename = "pin")]
pub(crate) struct PinLine<'a> {
    name: &'a str,
    created: Time,
    entries: usize,
    /// Of their tables; those that several entries share count once.
    bytes: u64,
    #[serde(flatten)]
    cover: PinCoverFields<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PinCoverFields<'a> {
    /// Empty lists stand for all, and null for no end.
    Range {
        datasets: &'a BTreeSet<String>,
        instruments: Vec<String>,
        start: Option<Time>,
        end: Option<Time>,
    },
    Addresses {
        addresses: &'a BTreeSet<Address>,
    },
    /// Of a later library than this knows.
    Unknown {},
}

impl<'a> PinLine<'a> {
    pub(crate) fn of(pin: &'a Pin, entries: usize, bytes: u64) -> Self {
        let cover = match &pin.cover {
            PinCover::Range { datasets, instruments, start, end } => {
                PinCoverFields::Range { datasets, instruments: instruments.iter().map(ToString::to_string).collect(), start: *start, end: *end }
            }
            PinCover::Addresses(addresses) => PinCoverFields::Addresses { addresses },
            _ => PinCoverFields::Unknown {},
        };
        Self { name: &pin.name, created: pin.created, entries, bytes, cover }
    }
}

/// Something that a verification found.
#[derive(Serialize)]
#[serde(tag = "type", rename = "finding")]
pub(crate) struct FindingLine<'a> {
    /// `problem`, or `leftover` for what merely lies about.
    severity: &'static str,
    kind: &'static str,
    #[serde(serialize_with = "as_lossy")]
    path: &'a Path,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Time>,
    /// `none`, `quarantined`, `dropped`, `rebuilt`, `removed`, `no-longer`, `in-use` or `failed`.
    repair: &'static str,
    /// Where it was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
    /// Why it could not be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair_failed: Option<&'a str>,
}

impl<'a> FindingLine<'a> {
    pub(crate) fn of(finding: &'a Finding) -> Self {
        let Finding { kind, path, reason, entry, repair, .. } = finding;
        let place = entry.as_ref().and_then(|entry| entry.place.as_ref());
        let (repair, moved_to, repair_failed) = match repair {
            Repair::Nothing => ("none", None, None),
            Repair::Quarantined(to) => ("quarantined", Some(to), None),
            Repair::Dropped(to) => ("dropped", Some(to).filter(|to| *to != path), None),
            Repair::Rebuilt => ("rebuilt", None, None),
            Repair::Removed => ("removed", None, None),
            Repair::NoLonger => ("no-longer", None, None),
            Repair::InUse => ("in-use", None, None),
            Repair::Failed(why) => ("failed", None, Some(why.as_str())),
            _ => ("other", None, None),
        };
        Self {
            severity: if kind.is_problem() { "problem" } else { "leftover" },
            kind: kind.as_str(),
            path,
            reason,
            address: entry.as_ref().map(|entry| entry.address),
            dataset: place.map(|(dataset, ..)| dataset.as_str()),
            instrument: place.map(|(_, instrument, _)| instrument.to_string()),
            start: place.map(|(.., interval)| interval.start()),
            end: place.map(|(.., interval)| interval.end()),
            repair,
            moved_to: moved_to.map(|to| to.display().to_string()),
            repair_failed,
        }
    }
}

/// The sums of a verification.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(crate) struct VerifiedLine {
    pub(crate) entries: usize,
    pub(crate) artifacts: usize,
    pub(crate) bytes: u64,
    /// Whether every byte was read.
    pub(crate) digests: bool,
    pub(crate) problems: usize,
    pub(crate) leftovers: usize,
    /// Files in quarantine before anything was moved there.
    pub(crate) quarantined: usize,
    /// Whether nothing is wrong, or nothing any more.
    pub(crate) clean: bool,
    pub(crate) seconds: f64,
    /// Of the entries that were dropped: those that were made again, and those that were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regenerated: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_regenerated: Option<usize>,
}

#[derive(Serialize)]
struct FailureText<'a> {
    class: FailureClass,
    message: &'a str,
}

impl<'a> FailureText<'a> {
    fn of(failure: &'a Failure) -> Self {
        Self { class: failure.class, message: &failure.message }
    }
}

/// Outputs by name, in order.
struct Outputs<'a>(&'a [Artifact]);

impl<'a> Outputs<'a> {
    fn of(entry: &'a Entry) -> Option<Self> {
        (!entry.outputs.is_empty()).then_some(Self(&entry.outputs))
    }
}

impl Serialize for Outputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Output<'a> {
            #[serde(serialize_with = "as_lossy")]
            path: &'a Path,
            digest: Digest,
            bytes: u64,
            rows: u64,
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for Artifact { name, path, digest, bytes, rows, .. } in self.0 {
            map.serialize_entry(&**name, &Output { path, digest: *digest, bytes: *bytes, rows: *rows })?;
        }
        map.end()
    }
}

fn as_text<S: Serializer>(instrument: &Instrument, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instrument)
}

fn as_lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// A manifest or failure record as `show --json` prints it: every field that it has, under the type.
pub(crate) fn whole(kind: &'static str, record: &impl Serialize) -> serde_json::Result<BTreeMap<String, serde_json::Value>> {
    let serde_json::Value::Object(fields) = serde_json::to_value(record)? else {
        return Ok(BTreeMap::new());
    };
    let mut whole: BTreeMap<String, serde_json::Value> = fields.into_iter().collect();
    whole.insert("type".to_owned(), kind.into());
    Ok(whole)
}
