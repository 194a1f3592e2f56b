//! What `tickbarn pin --json` prints, a line each.

use std::collections::BTreeSet;

use serde::Serialize;
use tickbarn::{Address, Pin, PinCover, Time};

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
