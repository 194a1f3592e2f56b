//! When entries were last used: what the leases of processes that are gone said, kept for whoever collects.
//!
//! One file, `tickbarn-used-1` and a newline, its size after it was last written anew (8), then records of 24 bytes: the first 16 of an entry's
//! address, seconds since the epoch (4), a checksum (4), integers little-endian. The last record of an address counts that is the latest.
//!
//! # Invariants
//! * Nothing is written for a hit but its lease, once in ten minutes; here, once a process that is gone.
//! * It is never synced. What is lost of it makes entries look unused since they were generated, no more: nothing that is read depends on it.
//! * A record that fails its checksum may have been anybody's: everything then counts as used when the file was last written. Written anew, the file
//!   holds that as a record of the address of nothing but zeros, which is nobody's.
//! * Whoever writes holds the lock of dead leases.

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use crate::address::Address;
use crate::error::{Error, Result};
use crate::interval::Time;
use crate::store::checksum;
use crate::store::disk;
use crate::store::layout::Layout;

pub(super) const MAGIC: &[u8; 16] = b"tickbarn-used-1\n";
const HEADER_BYTES: usize = 24;
const RECORD_BYTES: usize = 24;
const PREFIX_BYTES: usize = 16;
const EVERYTHING: Prefix = [0; PREFIX_BYTES];
const FILE_BYTES_MAX: u64 = 4 << 30;
/// A file below this size is not written anew: that would cost more than it saves.
const REWRITE_BYTES_MIN: u64 = 16 << 20;

/// A moment as leases and this file have it: whole seconds since the epoch, up to the year 2106.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(crate) struct Seconds(pub(crate) u32);

impl Seconds {
    pub(crate) fn now() -> Self {
        Self::of(Time::now())
    }

    pub(crate) fn time(self) -> Time {
        Time::from_ns(i64::from(self.0) * 1_000_000_000)
    }

    pub(crate) fn of(time: Time) -> Self {
        Self(u32::try_from((time.ns() / 1_000_000_000).max(0)).unwrap_or(u32::MAX))
    }
}

/// What of an address stands in a record.
pub(crate) type Prefix = [u8; PREFIX_BYTES];

pub(crate) fn prefix_of(address: &Address) -> Prefix {
    *address.as_bytes().first_chunk().expect("an address has 32 bytes")
}

/// Appends what was used. A file that is none of ours is replaced.
pub(super) fn note(layout: &Layout, uses: &[(Address, Seconds)]) -> Result<()> {
    if uses.is_empty() {
        return Ok(());
    }
    let path = layout.usage();
    let mut bytes = Vec::with_capacity(uses.len() * RECORD_BYTES);
    uses.iter().for_each(|(address, at)| put(&mut bytes, prefix_of(address), *at));
    let file = if path.symlink_metadata().is_ok() { disk::open_to_append(&path)? } else { None };
    let Some(file) = file else {
        return disk::replace_disposable(&path, &[header(0), bytes].concat());
    };
    let length = file.metadata().map_err(Error::io("read the status of", &path))?.len();
    // A crash may have left a part of a record, behind which none would be read.
    let whole = length - length.saturating_sub(HEADER_BYTES as u64) % RECORD_BYTES as u64;
    if whole < HEADER_BYTES as u64 {
        return disk::replace_disposable(&path, &[header(0), bytes].concat());
    }
    if whole < length {
        disk::cut(&file, &path, whole)?;
    }
    disk::write_all(&file, &path, &bytes).inspect_err(|_| drop(disk::cut(&file, &path, whole)))?;
    let length = whole + bytes.len() as u64;
    if length >= REWRITE_BYTES_MIN && length / 2 >= size_when_rewritten(layout) {
        rewrite(layout, |_| true)?;
    }
    Ok(())
}

/// Hands on the records, in no order, each at least once.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read. What is damaged in it is no error: it makes everything count as used when the file was last written,
/// which comes back.
pub(crate) fn read(layout: &Layout, mut sink: impl FnMut(Prefix, Seconds)) -> Result<Seconds> {
    let path = layout.usage();
    let bytes = match disk::read_at_most(&path, FILE_BYTES_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Seconds::default()),
        Err(Error::Damaged { .. }) => return Ok(written(layout)),
        Err(error) => return Err(error),
    };
    let Some(records) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.get(HEADER_BYTES - MAGIC.len()..)) else { return Ok(written(layout)) };
    let mut everything = Seconds::default();
    for record in records.as_chunks::<RECORD_BYTES>().0 {
        let (prefix, rest) = record.split_first_chunk::<PREFIX_BYTES>().expect("a record has 24 bytes");
        let (at, checksum) = rest.split_first_chunk::<4>().expect("a record has 24 bytes");
        if checksum_of(&record[..RECORD_BYTES - 4]) != *checksum {
            everything = everything.max(written(layout));
            continue;
        }
        let at = Seconds(u32::from_le_bytes(*at));
        if *prefix == EVERYTHING {
            everything = everything.max(at);
        } else {
            sink(*prefix, at);
        }
    }
    Ok(everything)
}

/// Writes it anew with one record an address, those of which `keep` says so.
pub(super) fn rewrite(layout: &Layout, keep: impl Fn(&Prefix) -> bool) -> Result<()> {
    let mut latest: HashMap<Prefix, Seconds> = HashMap::new();
    let everything = read(layout, |prefix, at| {
        let noted = latest.entry(prefix).or_default();
        *noted = at.max(*noted);
    })?;
    latest.retain(|prefix, _| keep(prefix));
    if everything > Seconds::default() {
        latest.insert(EVERYTHING, everything);
    }
    let mut bytes = header((HEADER_BYTES + latest.len() * RECORD_BYTES) as u64);
    bytes.reserve(latest.len() * RECORD_BYTES);
    latest.into_iter().for_each(|(prefix, at)| put(&mut bytes, prefix, at));
    disk::replace_disposable(&layout.usage(), &bytes)
}

fn header(size: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&size.to_le_bytes());
    header
}

fn size_when_rewritten(layout: &Layout) -> u64 {
    let read = || {
        let file = disk::open_existing(&layout.usage()).ok().flatten()?;
        let mut header = [0; HEADER_BYTES];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut header, 0).ok()?;
        Some(u64::from_le_bytes(*header.last_chunk()?))
    };
    read().unwrap_or(0)
}

fn put(bytes: &mut Vec<u8>, prefix: Prefix, at: Seconds) {
    let begin = bytes.len();
    bytes.extend_from_slice(&prefix);
    bytes.extend_from_slice(&at.0.to_le_bytes());
    let checksum = checksum_of(&bytes[begin..]);
    bytes.extend_from_slice(&checksum);
}

fn checksum_of(record: &[u8]) -> [u8; 4] {
    *checksum::of(record).to_le_bytes().first_chunk().expect("eight bytes hold four")
}

/// When the file was last written: now, where nobody knows or its clock is ahead.
fn written(layout: &Layout) -> Seconds {
    let modified = layout.usage().symlink_metadata().and_then(|metadata| metadata.modified()).ok();
    let seconds = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok()).and_then(|since| u32::try_from(since.as_secs()).ok());
    seconds.map_or_else(Seconds::now, |seconds| Seconds(seconds).min(Seconds::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        std::fs::create_dir(layout.leases()).unwrap();
        (directory, layout)
    }

    fn noted(layout: &Layout) -> (HashMap<Prefix, Seconds>, Seconds) {
        let mut noted = HashMap::new();
        let everything = read(layout, |prefix, at| {
            let latest: &mut Seconds = noted.entry(prefix).or_default();
            *latest = at.max(*latest);
        });
        (noted, everything.unwrap())
    }

    fn address(nth: u32) -> Address {
        Address::of_canonical(&nth.to_string())
    }

    #[test]
    fn the_latest_use_counts_and_survives_being_written_anew() {
        let (_directory, layout) = layout();
        note(&layout, &[(address(1), Seconds(10)), (address(2), Seconds(20))]).unwrap();
        note(&layout, &[(address(1), Seconds(30)), (address(1), Seconds(5))]).unwrap();
        let expected = HashMap::from([(prefix_of(&address(1)), Seconds(30)), (prefix_of(&address(2)), Seconds(20))]);
        assert_eq!(noted(&layout), (expected, Seconds(0)));
        let before = layout.usage().metadata().unwrap().len();
        rewrite(&layout, |prefix| *prefix == prefix_of(&address(1))).unwrap();
        assert_eq!(noted(&layout).0, HashMap::from([(prefix_of(&address(1)), Seconds(30))]));
        assert!(layout.usage().metadata().unwrap().len() < before);
    }

    #[test]
    fn a_record_that_was_cut_does_not_keep_later_ones_from_being_read() {
        let (_directory, layout) = layout();
        note(&layout, &[(address(1), Seconds(10)), (address(2), Seconds(20))]).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(layout.usage()).unwrap();
        file.set_len(file.metadata().unwrap().len() - 7).unwrap();
        note(&layout, &[(address(3), Seconds(30))]).unwrap();
        let (noted, everything) = noted(&layout);
        assert_eq!(noted, HashMap::from([(prefix_of(&address(1)), Seconds(10)), (prefix_of(&address(3)), Seconds(30))]));
        assert_eq!(everything, Seconds(0));
    }

    #[test]
    fn a_damaged_record_may_be_anybodys() {
        let (_directory, layout) = layout();
        note(&layout, &[(address(1), Seconds(10)), (address(2), Seconds(20))]).unwrap();
        let mut bytes = std::fs::read(layout.usage()).unwrap();
        bytes[HEADER_BYTES + 3] ^= 1;
        std::fs::write(layout.usage(), &bytes).unwrap();
        let before = Seconds::now().0;
        let (noted, everything) = noted(&layout);
        assert_eq!(noted.len(), 1);
        assert!(everything.0.abs_diff(before) < 60);
        // Written anew, that is remembered.
        rewrite(&layout, |_| true).unwrap();
        assert!(read(&layout, |_, _| {}).unwrap().0.abs_diff(everything.0) < 60);
    }
}
