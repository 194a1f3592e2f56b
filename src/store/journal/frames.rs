//! Frames: how records stand in the file, and reading them, some megabytes at a time and several threads at once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Cursor, Read};
use crate::error::{Error, Result};
use crate::parallel;
use crate::store::checksum;
use crate::store::record::JournalRecord;

const MARK: &[u8; 4] = b"\xf5tbj";
pub(super) const FRAME_HEAD_BYTES: usize = 16;
/// A record longer than this is damage.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// How much of the journal is read at a time.
pub(super) const READ_BYTES: usize = 2 << 20;
/// How many records are decoded together.
const PIECE_RECORDS: usize = 1024;

/// Where a record stands in its journal, with its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordAt {
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

impl RecordAt {
    /// Before any record.
    pub(crate) const START: RecordAt = RecordAt { offset: 0, bytes: 0 };

    /// Where it begins.
    pub(crate) fn offset(self) -> u64 {
        self.offset
    }

    /// How long it is.
    pub(crate) fn bytes(self) -> u32 {
        self.bytes
    }

    /// How far it begins behind the end of another one, wrapping, as [`RecordAt::behind`] undoes it.
    pub(crate) fn distance_from(self, other: RecordAt) -> i64 {
        self.offset.wrapping_sub(other.end()).cast_signed()
    }

    /// The one that begins so far behind the end of this one.
    pub(crate) fn behind(self, distance: i64, bytes: u32) -> RecordAt {
        RecordAt { offset: self.end().wrapping_add_signed(distance), bytes }
    }

    /// The first byte behind it.
    pub(super) fn end(self) -> u64 {
        self.offset.saturating_add(u64::from(self.bytes))
    }

    /// Whether a record may be so long.
    pub(super) fn may_be(self) -> bool {
        self.bytes as usize <= FRAME_HEAD_BYTES + PAYLOAD_BYTES_MAX
    }
}

/// A whole record's payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload<'a> {
    pub(crate) at: RecordAt,
    pub(crate) bytes: &'a [u8],
}

#[cfg(test)]
impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { at: RecordAt { offset: 0, bytes: 0 }, bytes }
    }
}

/// A journal that is being read, some megabytes at a time.
pub(super) struct Reading<'a, D> {
    pub(super) file: File,
    pub(super) path: &'a Path,
    pub(super) length: u64,
    pub(super) cursor: Cursor,
    pub(super) threads: usize,
    pub(super) decode: &'a D,
    pub(super) buffer: Vec<u8>,
}

/// What some megabytes came to.
pub(super) enum Step<T> {
    Pieces(Vec<T>),
    End(Read),
}

impl<D> Reading<'_, D> {
    pub(super) fn step<T: Send>(&mut self) -> Result<Step<T>>
    where
        D: Fn(&[Payload<'_>]) -> Option<T> + Sync,
    {
        if self.cursor.offset >= self.length {
            return Ok(Step::End(Read::To(self.cursor)));
        }
        let wanted = usize::try_from(self.length - self.cursor.offset).unwrap_or(usize::MAX).min(READ_BYTES);
        self.buffer.resize(wanted, 0);
        self.file.read_exact_at(&mut self.buffer, self.cursor.offset).map_err(Error::io("read", self.path))?;
        let buffer = &self.buffer;
        let frames = frames_in(buffer, self.cursor.offset);
        let pieces: Vec<&[Frame<'_>]> = frames.chunks(PIECE_RECORDS).collect();
        let mut whole = 0;
        let mut decoded = Vec::with_capacity(pieces.len());
        for (piece, (taken, of_piece)) in pieces.iter().zip(parallel::map(self.threads, &pieces, |piece| decode_whole(piece, self.decode))) {
            let Some(of_piece) = of_piece else { return Ok(Step::End(Read::Damaged("a record does not decode"))) };
            decoded.push(of_piece);
            whole += taken;
            if taken < piece.len() {
                break;
            }
        }
        if let Some(Frame { payload, checksum }) = frames[..whole].last() {
            self.cursor.offset = payload.at.end();
            (self.cursor.last_bytes, self.cursor.last_checksum) = (payload.at.bytes, *checksum);
        }
        if whole == 0 {
            // Where something whole stands behind it, or there is too much of it, it is no record that was cut off.
            let behind = (1..buffer.len()).any(|at| buffer[at..].starts_with(MARK) && frame_at(buffer, at).is_some());
            let torn = !behind && wanted < READ_BYTES;
            return Ok(Step::End(if torn { Read::Torn(self.cursor) } else { Read::Damaged("it has a gap") }));
        }
        Ok(Step::Pieces(decoded))
    }
}

/// A frame by what its head says: whether its payload has that checksum is still to be seen.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    payload: Payload<'a>,
    checksum: u64,
}

/// The frames at the beginning of a buffer that was read at an offset, up to the first that is not all there.
fn frames_in(buffer: &[u8], offset: u64) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while let Some(frame) = head_of(&buffer[at..], offset + at as u64) {
        at += frame.payload.at.bytes as usize;
        frames.push(frame);
    }
    frames
}

/// Decodes the payloads of a piece up to the first that is damaged, and says how many those are.
fn decode_whole<T>(piece: &[Frame<'_>], decode: impl Fn(&[Payload<'_>]) -> Option<T>) -> (usize, Option<T>) {
    let is_whole = |frame: &&Frame<'_>| checksum::of(frame.payload.bytes) == frame.checksum;
    let payloads: Vec<Payload<'_>> = piece.iter().take_while(is_whole).map(|frame| frame.payload).collect();
    (payloads.len(), decode(&payloads))
}

/// Appends a record. One that is too long is left out (an entry that was derived from tens of thousands of others): its manifest tells it.
pub(super) fn frame(record: &JournalRecord, out: &mut Vec<u8>) {
    let payload = postcard::to_stdvec(record).expect("a record of plain data has an encoding");
    if payload.len() <= PAYLOAD_BYTES_MAX {
        frame_payload(&payload, out);
    } else {
        tracing::debug!(bytes = payload.len(), "a record is too long for the journal; its manifest tells the entry");
    }
}

pub(super) fn frame_payload(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(MARK);
    out.extend_from_slice(&u32::try_from(payload.len()).expect("a record is far below four gigabytes").to_le_bytes());
    out.extend_from_slice(&checksum::of(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The payload of the frame that begins at `at`, with its checksum, if a whole and undamaged one does.
pub(super) fn frame_at(bytes: &[u8], at: usize) -> Option<(&[u8], u64)> {
    let Frame { payload, checksum } = head_of(bytes.get(at..)?, at as u64)?;
    (checksum::of(payload.bytes) == checksum).then_some((payload.bytes, checksum))
}

/// The frame that begins here, at an offset, by what its head says, if all of it is there.
fn head_of(bytes: &[u8], offset: u64) -> Option<Frame<'_>> {
    let (head, rest) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let (mark, sizes) = head.split_first_chunk::<4>()?;
    let (length, checksum) = sizes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if mark != MARK || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let at = RecordAt { offset, bytes: (FRAME_HEAD_BYTES + length) as u32 };
    Some(Frame { payload: Payload { at, bytes: rest.get(..length)? }, checksum: u64::from_le_bytes(*checksum.first_chunk()?) })
}
