//! Recorded failures: what failed, how, how often, and the end of its log. Shown to users, and asked by the retry policy.
//!
//! Records are replaced atomically but not synced: one that a crash loses costs an attempt, nothing else.

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::canonical::Value;
use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::store::disk;
use crate::store::layout::Layout;

/// A larger record is damage.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// The failures of one address since it was last generated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailureRecord {
    /// Where the entry would be found.
    pub address: Address,
    /// The dataset's name.
    pub dataset: String,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// The whole key in its canonical form.
    pub key: Value,
    /// How many loads have failed on it.
    pub count: u32,
    /// When it first failed.
    pub first: Time,
    /// When it last failed.
    pub last: Time,
    /// How many attempts the last load made.
    pub attempts: u32,
    /// How it last failed.
    pub failure: Failure,
}

/// The record of an address, if it failed since it was last generated. A record that cannot be read counts as none.
pub(crate) fn read(layout: &Layout, address: &Address) -> Result<Option<FailureRecord>> {
    Ok(read_checked(layout, address)?.unwrap_or_else(|reason| {
        tracing::warn!(path = %layout.failure(address).display(), reason, "a failure record cannot be read and counts as none");
        None
    }))
}

/// What keeps a record from being read.
pub(crate) fn check(layout: &Layout, address: &Address) -> Result<(), String> {
    read_checked(layout, address).unwrap_or_else(|error| Err(error.to_string())).map(drop)
}

fn read_checked(layout: &Layout, address: &Address) -> Result<Result<Option<FailureRecord>, String>> {
    let record = match disk::read_at_most(&layout.failure(address), RECORD_BYTES_MAX) {
        Ok(None) => return Ok(Ok(None)),
        Ok(Some(bytes)) => serde_json::from_slice::<FailureRecord>(&bytes).map_err(|error| error.to_string()),
        Err(Error::Damaged { reason, .. }) => Err(reason),
        Err(error) => return Err(error),
    };
    Ok(record.and_then(|record| if record.address == *address { Ok(Some(record)) } else { Err("it is the record of another address".to_owned()) }))
}

/// Records a failure, adding to the count of those before.
pub(crate) fn write(layout: &Layout, mut record: FailureRecord) -> Result<()> {
    if let Some(before) = read(layout, &record.address)? {
        record.count = before.count.saturating_add(1);
        record.first = before.first;
    }
    let path = layout.failure(&record.address);
    disk::ensure_directory(disk::parent(&path))?;
    let bytes = serde_json::to_vec(&record).expect("a failure record holds nothing that JSON cannot");
    disk::replace_disposable(&path, &bytes)
}

/// Forgets the failures of an address if it has not failed since `last`. Says whether it did.
pub(crate) fn clear_until(layout: &Layout, address: &Address, last: Time) -> Result<bool> {
    let stands = read_checked(layout, address)?.is_ok_and(|record| record.is_some_and(|record| record.last <= last));
    Ok(stands && disk::remove(&layout.failure(address))?)
}

/// Forgets the failures of an address: it has been generated.
pub(crate) fn clear(layout: &Layout, address: &Address) -> Result<()> {
    disk::remove(&layout.failure(address)).map(drop)
}
