//! Writing the journal anew without what it says in vain, while others append to it.

use std::collections::HashSet;
use std::path::Path;

use super::frames::{frame, frame_payload};
use super::{Cursor, Journal, MAGIC, PATIENCE, Payload, Read, new_id};
use crate::address::Address;
use crate::error::Result;
use crate::parallel;
use crate::store::disk;
use crate::store::lock::Lock;
use crate::store::record::{JournalRecord, Published};

/// What a record of an entry is worth when the journal is written anew without what it says in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// The entry is there.
    Live,
    /// It is not, but an artifact of it is, which the next collector finds by this.
    Remembered,
    Nothing,
}

impl Journal {
    /// Writes the journal anew without records that say nothing any more. `worth` is asked of what it tells up to a cursor, where somebody knows what is
    /// still true; what it was told later stays, but for removals of what `is_there` does not know and nobody has published since. Others append to it
    /// meanwhile, but for the last moment.
    ///
    /// # Errors
    /// [`Error::Io`] where the new one cannot be written (a full disk among others); the old one stays then. To be called by the one collector.
    pub(crate) fn compact(&self, known: Cursor, worth: impl Fn(&Published) -> Worth + Sync, is_there: impl Fn(&Address) -> bool) -> Result<()> {
        let next = self.layout.compacted_journal();
        let copied = self.copy_worthy(&next, known, worth, is_there);
        if !matches!(copied, Ok(true)) {
            disk::remove(&next)?;
        }
        copied.map(drop)
    }

    /// Says whether it took the old one's place.
    fn copy_worthy(
        &self,
        next: &Path,
        known: Cursor,
        worth: impl Fn(&Published) -> Worth + Sync,
        is_there: impl Fn(&Address) -> bool,
    ) -> Result<bool> {
        // What a collector left that was stopped at it.
        disk::remove(next)?;
        let file = disk::create_new(next)?;
        let id = new_id(next)?;
        disk::write_all(&file, next, &[MAGIC.as_slice(), &id].concat())?;
        let worthy = |payloads: &[Payload<'_>]| {
            let mut frames = Vec::new();
            for Payload { bytes: payload, .. } in payloads {
                let JournalRecord::Published(published) = postcard::from_bytes(payload).ok()? else { continue };
                match worth(&published) {
                    Worth::Live => frame_payload(payload, &mut frames),
                    Worth::Remembered => {
                        frame_payload(payload, &mut frames);
                        frame(&published.removed(), &mut frames);
                    }
                    Worth::Nothing => {}
                }
            }
            Some(frames)
        };
        let mut same = true;
        let write = |frames: Option<Vec<u8>>| frames.map_or(Ok(()), |frames| disk::write_all(&file, next, &frames));
        let read = self.read_up_to(Some(known.offset), None, parallel::machine_parallelism(), worthy, write)?;
        if !matches!(read, Read::To(cursor) if cursor == known) {
            return Ok(false);
        }

        let mut published_since = HashSet::new();
        let decode = |payloads: &[Payload<'_>]| {
            let record = |payload: &Payload<'_>| Some((postcard::from_bytes(payload.bytes).ok()?, payload.bytes.to_vec()));
            payloads.iter().map(record).collect::<Option<Vec<(JournalRecord, Vec<u8>)>>>()
        };
        let mut write_on = |records: Option<Vec<(JournalRecord, Vec<u8>)>>| {
            let mut frames = Vec::new();
            // Where there are none, another journal stands there by now.
            same &= records.is_some();
            for (record, payload) in records.unwrap_or_default() {
                let tells = match &record {
                    JournalRecord::Published(published) => {
                        published_since.insert(published.entry.address);
                        true
                    }
                    JournalRecord::Removed { address, .. } => is_there(address) || published_since.contains(address),
                };
                if tells {
                    frame_payload(&payload, &mut frames);
                }
            }
            disk::write_all(&file, next, &frames)
        };
        let read = self.read_pieces(Some(known), 1, decode, &mut write_on)?;
        let (Read::To(cursor) | Read::Torn(cursor)) = read else { return Ok(false) };
        disk::share(&file, next);
        disk::sync(&file, next)?;

        let _lock = Lock::exclusive(&self.layout.journal_lock(), PATIENCE)?;
        let read = self.read_pieces(Some(cursor), 1, decode, &mut write_on)?;
        if !same || !matches!(read, Read::To(_)) {
            return Ok(false);
        }
        disk::sync(&file, next)?;
        self.replace_with(&file, next, id)?;
        Ok(true)
    }
}
