//! Reading single records again, by where they stand.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::frames::{FRAME_HEAD_BYTES, RecordAt, frame_at};
use super::{Cursor, ID_BYTES, Journal, read_id};
use crate::error::{Error, Result};
use crate::store::disk;

/// Records that stand no farther apart are read by one call: reading so much costs less than another call.
const GAP_BYTES: u64 = 4 << 10;
/// And no more than so much at a time, which a processor's cache holds until it is taken.
const TOGETHER_BYTES: u64 = 256 << 10;

/// An open journal: the very file, whatever has taken its name since.
#[derive(Debug)]
pub(crate) struct Records {
    file: File,
    path: PathBuf,
    journal: [u8; ID_BYTES],
    /// Its device and inode.
    identity: (u64, u64),
}

impl Journal {
    /// Whether the file has the journal's name.
    pub(crate) fn is_named(&self, records: &Records) -> bool {
        self.layout.journal().symlink_metadata().is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == records.identity)
    }

    /// Opens the journal that a cursor is into; `None` where that is gone, or another one has its name.
    pub(crate) fn records(&self, cursor: &Cursor) -> Result<Option<Records>> {
        let path = self.layout.journal();
        let Some(file) = disk::open_existing(&path)? else { return Ok(None) };
        let metadata = file.metadata().map_err(Error::io("read the status of", &path))?;
        let journal = if metadata.is_file() { read_id(&file, metadata.len(), &path)? } else { None };
        let identity = (metadata.dev(), metadata.ino());
        Ok(journal.filter(|journal| *journal == cursor.journal).map(|journal| Records { file, path, journal, identity }))
    }
}

impl Records {
    /// Whether it is the journal that a cursor is into.
    pub(crate) fn are_of(&self, cursor: &Cursor) -> bool {
        self.journal == cursor.journal
    }

    /// Hands on the payload of each wanted record with its place among them, in the order in which they stand. Says whether every one is there, whole, and
    /// was taken.
    pub(crate) fn each(&self, wanted: &[RecordAt], mut take: impl FnMut(usize, &[u8]) -> Option<()>) -> Result<bool> {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        if !wanted.is_sorted_by_key(|at| at.offset) {
            order.sort_unstable_by_key(|nth| wanted[*nth].offset);
        }
        let mut buffer = Vec::new();
        let mut rest = order.as_slice();
        while let Some(first) = rest.first() {
            let start = wanted[*first].offset;
            let goes_on = |pair: &&[usize]| {
                let (before, next) = (wanted[pair[0]], wanted[pair[1]]);
                next.offset.saturating_sub(before.end()) <= GAP_BYTES && next.end() - start <= TOGETHER_BYTES
            };
            let (together, behind) = rest.split_at(1 + rest.windows(2).take_while(goes_on).count());
            rest = behind;
            let end = together.iter().map(|nth| wanted[*nth].end()).max().unwrap_or(start);
            if !together.iter().all(|nth| wanted[*nth].may_be()) {
                return Ok(false);
            }
            buffer.resize((end - start) as usize, 0);
            self.file.read_exact_at(&mut buffer, start).map_err(Error::io("read", &self.path))?;
            for nth in together {
                let record = wanted[*nth];
                let frame = &buffer[(record.offset - start) as usize..(record.end() - start) as usize];
                let payload = frame_at(frame, 0).map(|(payload, _)| payload).filter(|payload| FRAME_HEAD_BYTES + payload.len() == frame.len());
                if payload.and_then(|payload| take(*nth, payload)).is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::store::journal::Payload;
    use crate::store::layout::Layout;
    use crate::store::record::JournalRecord;

    /// A journal of some records, with where each stands and what it says.
    fn journal(count: u32) -> (tempfile::TempDir, Records, Vec<(RecordAt, Vec<u8>)>) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        layout.directories().for_each(|path| fs::create_dir(path).unwrap());
        let journal = Journal::new(layout);
        journal.ensure().unwrap();
        let record = |nth: u32| JournalRecord::Removed {
            generator: crate::dataset::GeneratorId::from_bytes([1; 32]),
            instrument: crate::Instrument::new("binance", &"A".repeat(1 + nth as usize % 50)).unwrap(),
            start: crate::Time::from_ns(nth.into()),
            address: crate::Address::of_canonical(&nth.to_string()),
        };
        journal.append(&(0..count).map(record).collect::<Vec<_>>()).unwrap();
        let mut told = Vec::new();
        let decode = |payloads: &[Payload<'_>]| Some(payloads.iter().map(|payload| (payload.at, payload.bytes.to_vec())).collect::<Vec<_>>());
        let read = journal.read_pieces(None, 1, decode, |piece| {
            told.extend(piece.unwrap_or_default());
            Ok(())
        });
        let read = read.unwrap();
        let crate::store::journal::Read::To(cursor) = read else { panic!("{read:?}") };
        (directory, journal.records(&cursor).unwrap().unwrap(), told)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// In whatever order, and however far apart.
        #[test]
        fn each_record_is_handed_on_once_for_each_time_that_it_is_wanted(wanted in prop::collection::vec(0usize..2_000, 0..300)) {
            let (_directory, records, told) = journal(2_000);
            let at: Vec<RecordAt> = wanted.iter().map(|nth| told[*nth].0).collect();
            let mut got = vec![None; wanted.len()];
            let whole = records.each(&at, |nth, payload| {
                assert!(got[nth].replace(payload.to_vec()).is_none());
                Some(())
            });
            prop_assert!(whole.unwrap());
            for (nth, got) in wanted.iter().zip(got) {
                prop_assert_eq!(got.as_ref(), Some(&told[*nth].1));
            }
        }

        /// Places that no record has are refused, wherever they lie.
        #[test]
        fn what_is_no_record_is_not_handed_on(wanted in prop::collection::vec((any::<u64>(), any::<u32>(), any::<bool>()), 1..20)) {
            let (_directory, records, told) = journal(20);
            let known: Vec<RecordAt> = told.iter().map(|(at, _)| *at).collect();
            let at = |(offset, bytes, near): &(u64, u32, bool)| match near {
                true => RecordAt { offset: offset % 3_000, bytes: bytes % 400 },
                false => RecordAt { offset: *offset, bytes: *bytes },
            };
            let wanted: Vec<RecordAt> = wanted.iter().map(at).filter(|at| !known.contains(at)).collect();
            let whole = records.each(&wanted, |_, _| panic!("there is none"));
            prop_assert!(wanted.is_empty() || !whole.unwrap_or(false));
        }
    }
}
