//! Reading single records again, by where they stand.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::frames::{RecordAt, frame_at};
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
}

impl Journal {
    /// Opens the journal that a cursor is into; `None` where that is gone, or another one has its name.
    pub(crate) fn records(&self, cursor: &Cursor) -> Result<Option<Records>> {
        let path = self.layout.journal();
        let Some(file) = disk::open_existing(&path)? else { return Ok(None) };
        let metadata = file.metadata().map_err(Error::io("read the status of", &path))?;
        let journal = if metadata.is_file() { read_id(&file, metadata.len(), &path)? } else { None };
        Ok(journal.filter(|journal| *journal == cursor.journal).map(|journal| Records { file, path, journal }))
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
                if frame_at(frame, 0).and_then(|(payload, _)| take(*nth, payload)).is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
