//! One place a command, with its flags (`args`) and its JSON lines (`lines`). A command finds its store, asks the library, and prints.

pub(crate) mod coverage;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod du;
pub(crate) mod exporter;
pub(crate) mod head;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod man;
mod outputs;
pub(crate) mod path;
pub(crate) mod pin;
pub(crate) mod report;
pub(crate) mod show;
pub(crate) mod stats;
mod table;
pub(crate) mod verify;
pub(crate) mod view;
pub(crate) mod why;

use tickbarn::{Address, AddressPrefix, FailureRecord, Instrument, Interval, Manifest, Store, Time};
use tickbarn_terminal::exit::{Failure, Result};

/// What the store has of an address: an entry, a failure since then, or both.
struct Found {
    address: Address,
    entry: Option<Manifest>,
    failure: Option<FailureRecord>,
}

/// Finds the one address that begins with these digits.
fn find(store: &Store, digits: &str) -> Result<Found> {
    let prefix: AddressPrefix = digits.parse()?;
    let address = store.resolve_any(&prefix)?;
    let found = Found { address, entry: store.manifest(&address)?, failure: store.failure(&address)? };
    if found.entry.is_none() && found.failure.is_none() {
        return Err(Failure::World(format!("what the store has of {} cannot be read; load it again", address.short())));
    }
    Ok(found)
}

/// The instruments that a command line names.
fn instruments_of(texts: &[String]) -> Result<Vec<Instrument>> {
    Ok(texts.iter().map(|text| text.parse()).collect::<Result<_, tickbarn::Error>>()?)
}

/// The ends that a command line names, of which either may be open. Where none is, they are in order.
fn ends_of(start: Option<&str>, end: Option<&str>) -> Result<(Option<Time>, Option<Time>)> {
    let time = |text: Option<&str>| text.map(str::parse::<Time>).transpose();
    let (start, end) = (time(start)?, time(end)?);
    if let (Some(start), Some(end)) = (start, end) {
        Interval::new(start, end)?;
    }
    Ok((start, end))
}
