//! What `tickbarn ls --json` prints, a line each.

use serde::Serialize;
use tickbarn::{Address, Empty, FailureRecord, Listed, Time};
use tickbarn_terminal::records::PlaceFields;

use crate::records::{FailureText, Outputs};

/// An entry in a listing.
#[derive(Serialize)]
#[serde(tag = "type", rename = "entry")]
pub(crate) struct EntryLine<'a> {
    #[serde(flatten)]
    place: PlaceFields<'a>,
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
            place: PlaceFields::new(dataset, instrument, *interval),
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
    #[serde(flatten)]
    place: PlaceFields<'a>,
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
            place: PlaceFields::new(&record.dataset, &record.instrument, record.interval),
            address: record.address,
            count: record.count,
            first: record.first,
            last: record.last,
            attempts: record.attempts,
            failure: FailureText::of(&record.failure),
        }
    }
}
