//! What the journal holds of an entry, packed: enough to answer a load without opening its manifest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{Address, Digest};
use crate::artifact::Bounds;
use crate::dataset::GeneratorId;
use crate::instrument::Instrument;
use crate::interval::Time;
use crate::store::manifest::Empty;

/// An entry without the part of its place that it shares with its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    pub(crate) start: Time,
    pub(crate) end: Time,
    pub(crate) address: Address,
    pub(crate) dataset: Arc<str>,
    pub(crate) outputs: Vec<OutputRecord>,
    pub(crate) empty: Option<Empty>,
    /// When its generator was started.
    pub(crate) started: Time,
    /// How long its generator ran: what it would cost to make it again.
    pub(crate) seconds: f32,
    /// The same of everything that it was derived from.
    pub(crate) upstream_seconds: f32,
    /// The entries that it was derived from.
    pub(crate) upstream: Vec<Address>,
    /// Its log, where that is an artifact of its own: so that who collects knows every artifact that anything names.
    pub(crate) log: Option<LogRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutputRecord {
    pub(crate) name: Arc<str>,
    pub(crate) digest: Digest,
    pub(crate) schema: Digest,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) bounds: Arc<[Bounds]>,
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) generator: GeneratorId,
    pub(crate) instrument: Instrument,
    pub(crate) entry: EntryRecord,
}

impl Published {
    /// What takes it out of every index again.
    pub(crate) fn removed(&self) -> JournalRecord {
        JournalRecord::Removed {
            generator: self.generator,
            instrument: self.instrument.clone(),
            start: self.entry.start,
            address: self.entry.address,
        }
    }
}

/// An entry reduced to where it lies in time and whether it holds anything: all that coverage asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Time,
    pub(crate) end: Time,
    pub(crate) empty: Option<Empty>,
    /// Whether it was generated before its interval was over.
    pub(crate) early: bool,
}

impl Span {
    pub(crate) fn of(entry: &EntryRecord) -> Self {
        Self { start: entry.start, end: entry.end, empty: entry.empty, early: entry.started < entry.end }
    }
}

/// One record of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum JournalRecord {
    /// An entry was committed.
    Published(Published),
    /// An entry is no more, or is about to be replaced.
    Removed { generator: GeneratorId, instrument: Instrument, start: Time, address: Address },
}
