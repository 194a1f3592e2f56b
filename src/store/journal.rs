//! The journal: the sequence in which entries were published and removed, which every index follows.
//!
//! One append-only file. It begins with a header that names this very journal, so that an index which followed another one starts again. Each record
//! is framed as `mark (4) · payload length (4) · checksum of the payload (8) · payload`, integers little-endian, the payload in postcard's encoding.
//!
//! # Invariants
//! * A record is appended by one write under an exclusive lock. What a crash leaves of one at the end is never cut off: readers skip it when the
//!   next whole record stands behind it, and stop before it while nothing does.
//! * Skipping a damaged record is safe. Nobody believes a miss without the manifest, and a hit is checked against its artifacts.
//! * The journal is derived: where it is gone, it is written anew from the manifests under another name of its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::address::Digest;
use crate::error::{Error, Result};
use crate::store::disk;
use crate::store::layout::Layout;
use crate::store::lock::Lock;
use crate::store::record::JournalRecord;
use crate::store::walk;

const MAGIC: &[u8; 16] = b"tickbarn-jrnl-1\n";
const ID_BYTES: usize = 16;
const HEADER_BYTES: u64 = (MAGIC.len() + ID_BYTES) as u64;

const MARK: &[u8; 4] = b"\xf5tbj";
const FRAME_HEAD_BYTES: usize = 16;
/// A record longer than this is damage.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// How much of the journal is read at a time.
const READ_BYTES: usize = 4 << 20;

/// How far a reader has come, and in which journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    journal: [u8; ID_BYTES],
    offset: u64,
}

/// A store's journal.
#[derive(Debug)]
pub(crate) struct Journal {
    layout: Layout,
    appender: Mutex<Option<Appender>>,
    /// The inode and length up to which this process knows the file to be synced. Publishers that wait here together share one sync.
    synced: Mutex<(u64, u64)>,
}

#[derive(Debug)]
struct Appender {
    file: File,
    inode: u64,
}

impl Journal {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, appender: Mutex::new(None), synced: Mutex::new((0, 0)) }
    }

    /// Writes the journal anew from the manifests where there is none.
    pub(crate) fn ensure(&self) -> Result<()> {
        if self.size()?.is_some() {
            return Ok(());
        }
        let _lock = Lock::exclusive(&self.layout.journal_lock())?;
        if self.size()?.is_some() { Ok(()) } else { self.rebuild() }
    }

    /// The journal's size in bytes; `None` where there is none.
    pub(crate) fn size(&self) -> Result<Option<u64>> {
        let path = self.layout.journal();
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read the status of", path)(error)),
        }
    }

    /// Appends records; on return they are durable. Shares its sync with publishers that finish at the same time.
    pub(crate) fn append(&self, records: &[JournalRecord]) -> Result<()> {
        let mut bytes = Vec::with_capacity(records.len() * 192);
        for record in records {
            frame(record, &mut bytes);
        }
        let path = self.layout.journal();
        let mut appender = unpoisoned(&self.appender);
        let (file, inode, end) = {
            let _lock = Lock::exclusive(&self.layout.journal_lock())?;
            let current = self.current(&mut appender)?;
            (&current.file).write_all(&bytes).map_err(Error::io("append to", &path))?;
            let end = current.file.metadata().map_err(Error::io("read the status of", &path))?.len();
            let file = current.file.try_clone().map_err(Error::io("open", &path))?;
            (file, current.inode, end)
        };
        drop(appender);

        let mut synced = unpoisoned(&self.synced);
        if synced.0 == inode && synced.1 >= end {
            return Ok(());
        }
        let length = file.metadata().map_err(Error::io("read the status of", &path))?.len();
        disk::sync(&file, &path)?;
        *synced = (inode, length);
        Ok(())
    }

    /// The file that has the journal's name now, opened for appending. Called under the journal's lock.
    fn current<'a>(&self, appender: &'a mut Option<Appender>) -> Result<&'a Appender> {
        let path = self.layout.journal();
        let named = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => Some(metadata.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read the status of", path)(error)),
        };
        if named.is_none() {
            self.rebuild()?;
        }
        if appender.as_ref().is_none_or(|open| Some(open.inode) != named) {
            let file = std::fs::OpenOptions::new().append(true).read(true).open(&path).map_err(Error::io("open", &path))?;
            let inode = file.metadata().map_err(Error::io("read the status of", &path))?.ino();
            *appender = Some(Appender { file, inode });
        }
        Ok(appender.as_ref().expect("it was just opened"))
    }

    /// Writes a new journal of all manifests in the place of what is there. Called under the journal's lock.
    fn rebuild(&self) -> Result<()> {
        let path = self.layout.journal();
        let next = path.with_extension("new");
        disk::remove(&next)?;
        let mut file = io::BufWriter::new(disk::create_new(&next)?);
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&new_id(&next)?);
        file.write_all(&header).map_err(Error::io("write", &next))?;
        let mut entries = 0u64;
        let mut bytes = Vec::new();
        for published in walk::published(&self.layout)? {
            match published {
                Ok(published) => {
                    bytes.clear();
                    frame(&JournalRecord::Published(published), &mut bytes);
                    file.write_all(&bytes).map_err(Error::io("write", &next))?;
                    entries += 1;
                }
                Err(error @ Error::Damaged { .. }) => tracing::warn!(%error, "left out of the journal"),
                Err(error) => return Err(error),
            }
        }
        let file = file.into_inner().map_err(|error| Error::io("write", &next)(error.into_error()))?;
        disk::sync(&file, &next)?;
        disk::rename_durably(&next, &path)?;
        if entries > 0 {
            tracing::info!(entries, "the journal was gone and was written anew from the manifests");
        }
        Ok(())
    }

    /// Hands the records behind `cursor` to `sink`, and says how far it came. A cursor into another journal, or none, starts at the beginning; `sink`
    /// is told so beforehand by a call without a record.
    pub(crate) fn read(&self, cursor: Option<Cursor>, mut sink: impl FnMut(Option<JournalRecord>) -> Result<()>) -> Result<Option<Cursor>> {
        let path = self.layout.journal();
        let Some(file) = disk::open_existing(&path)? else { return Ok(None) };
        let length = file.metadata().map_err(Error::io("read the status of", &path))?.len();
        let Some(journal) = read_id(&file, length, &path)? else { return Ok(None) };
        let mut offset = match cursor {
            Some(cursor) if cursor.journal == journal && cursor.offset <= length => cursor.offset,
            _ => {
                sink(None)?;
                HEADER_BYTES
            }
        };
        let mut buffer = Vec::new();
        while offset < length {
            let wanted = usize::try_from(length - offset).unwrap_or(usize::MAX).min(READ_BYTES);
            buffer.resize(wanted, 0);
            file.read_exact_at(&mut buffer, offset).map_err(Error::io("read", &path))?;
            let consumed = parse(&buffer, &mut sink)?;
            if consumed == 0 {
                // What is left is a record in the making, or what a crash left of one.
                break;
            }
            offset += consumed as u64;
        }
        Ok(Some(Cursor { journal, offset }))
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each critical section leaves what it guards valid at every step, so that a panic elsewhere in it harms nobody.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sixteen bytes that no other journal has.
fn new_id(path: &Path) -> Result<[u8; ID_BYTES]> {
    let mut id = [0; ID_BYTES];
    let mut source = File::open("/dev/urandom").map_err(Error::io("open", "/dev/urandom"))?;
    io::Read::read_exact(&mut source, &mut id).map_err(Error::io("draw an id for", path))?;
    Ok(id)
}

fn read_id(file: &File, length: u64, path: &Path) -> Result<Option<[u8; ID_BYTES]>> {
    if length < HEADER_BYTES {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES as usize];
    file.read_exact_at(&mut header, 0).map_err(Error::io("read", path))?;
    let (magic, id) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Ok(None);
    }
    Ok(Some(id.try_into().expect("the header is the magic and the id")))
}

fn frame(record: &JournalRecord, out: &mut Vec<u8>) {
    let payload = postcard::to_stdvec(record).expect("a record of plain data has an encoding");
    out.extend_from_slice(MARK);
    out.extend_from_slice(&u32::try_from(payload.len()).expect("a record is far below four gigabytes").to_le_bytes());
    out.extend_from_slice(&Digest::checksum(&payload).to_le_bytes());
    out.extend_from_slice(&payload);
}

/// Parses whole records from the start of `bytes`; says how many bytes they, and the damage between them, take.
fn parse(bytes: &[u8], sink: &mut impl FnMut(Option<JournalRecord>) -> Result<()>) -> Result<usize> {
    let mut at = 0;
    let mut consumed = 0;
    while at + FRAME_HEAD_BYTES <= bytes.len() {
        match payload_at(bytes, at) {
            Some(payload) => {
                let end = at + FRAME_HEAD_BYTES + payload.len();
                if at > consumed {
                    tracing::warn!(bytes = at - consumed, "skipped damage in the journal");
                }
                match postcard::from_bytes(payload) {
                    Ok(record) => sink(Some(record))?,
                    Err(error) => tracing::warn!(%error, "skipped a journal record that does not decode"),
                }
                (at, consumed) = (end, end);
            }
            None => {
                at += 1 + bytes[at + 1..].windows(MARK.len()).position(|window| window == MARK).unwrap_or(bytes.len() - at - 1);
            }
        }
    }
    // A whole buffer without a record is damage, unless it is the file's end.
    if consumed == 0 && bytes.len() == READ_BYTES { Ok(READ_BYTES - FRAME_HEAD_BYTES - PAYLOAD_BYTES_MAX) } else { Ok(consumed) }
}

/// The payload of the frame that begins at `at`, if a whole and undamaged one does.
fn payload_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (head, rest) = bytes[at..].split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let (mark, sizes) = head.split_first_chunk::<4>()?;
    let (length, checksum) = sizes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if mark != MARK || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..length)?;
    (Digest::checksum(payload).to_le_bytes() == *checksum).then_some(payload)
}
