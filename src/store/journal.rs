//! The journal: the sequence in which entries were published and removed, which every index follows.
//!
//! One append-only file. It begins with a header that names this very journal, so that an index which followed another one starts again. Each record
//! is framed as `mark (4) · payload length (4) · checksum of the payload (8) · payload`, integers little-endian, the payload in postcard's encoding.
//!
//! # Invariants
//! * A record is appended by one write under an exclusive lock, and is durable when [`Journal::append`] returns.
//! * Nothing damaged is read past. A header that is not ours, a gap with whole records behind it, a part of a record at the end while nobody holds the
//!   lock, or a file that does not hold what a reader has read before: the journal is then written anew from the manifests, under a name of its own.

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

const MAGIC: &[u8; 16] = b"tickbarn-jrnl-2\n";
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
    /// The size of the frame that ends there, none at the beginning, and the checksum of its payload: a file that does not hold it was cut or changed.
    last_bytes: u32,
    last_checksum: u64,
}

/// What reading came to.
#[derive(Debug)]
pub(crate) enum Read {
    /// Everything up to here.
    To(Cursor),
    /// Up to here; behind it stands a part of a record: one in the making, while its writer holds the lock, or what a crash left of one.
    Torn(Cursor),
    /// There is no journal.
    Absent,
    /// It cannot be believed; why.
    Damaged(&'static str),
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

    /// Writes the journal anew from the manifests where there is none, or none that can be read.
    pub(crate) fn ensure(&self) -> Result<()> {
        if self.has_header()? {
            return Ok(());
        }
        let _lock = Lock::exclusive(&self.layout.journal_lock())?;
        if self.has_header()? { Ok(()) } else { self.rebuild() }
    }

    /// Writes the journal anew from the manifests where it is still found to be damaged, or torn, behind a cursor now that nobody writes to it.
    pub(crate) fn replace_damaged(&self, cursor: Option<Cursor>) -> Result<()> {
        let _lock = Lock::exclusive(&self.layout.journal_lock())?;
        match self.read(cursor, |_| Ok(()))? {
            Read::To(_) => Ok(()),
            Read::Torn(_) | Read::Absent | Read::Damaged(_) => self.rebuild(),
        }
    }

    fn has_header(&self) -> Result<bool> {
        let path = self.layout.journal();
        let Some(file) = disk::open_existing(&path)? else { return Ok(false) };
        let length = file.metadata().map_err(Error::io("read the status of", &path))?.len();
        Ok(read_id(&file, length, &path)?.is_some())
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
            let start = current.file.metadata().map_err(Error::io("read the status of", &path))?.len();
            if let Err(error) = (&current.file).write_all(&bytes) {
                // A full disk may have taken a part of it.
                current.file.set_len(start).map_err(Error::io("cut what was half-written from", &path))?;
                return Err(Error::io("append to", &path)(error));
            }
            let end = start + bytes.len() as u64;
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
        let named = std::fs::symlink_metadata(&path).ok().map(|metadata| metadata.ino());
        if appender.as_ref().is_none_or(|open| Some(open.inode) != named) {
            if !self.has_header()? {
                self.rebuild()?;
            }
            let file = std::fs::OpenOptions::new().append(true).read(true).open(&path).map_err(Error::io("open", &path))?;
            let inode = file.metadata().map_err(Error::io("read the status of", &path))?.ino();
            *appender = Some(Appender { file, inode });
        }
        Ok(appender.as_ref().expect("it was just opened"))
    }

    /// Writes a new journal of all manifests in the place of what is there. Called under the journal's lock.
    fn rebuild(&self) -> Result<()> {
        let path = self.layout.journal();
        let next = self.layout.next_journal();
        disk::remove(&next)?;
        let mut file = io::BufWriter::new(disk::create_new(&next)?);
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&new_id(&next)?);
        file.write_all(&header).map_err(Error::io("write", &next))?;
        let mut entries = 0u64;
        let mut bytes = Vec::new();
        for published in walk::published(&self.layout, walk::addresses(&self.layout, None)?) {
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
            tracing::info!(entries, "the journal was gone or damaged and was written anew from the manifests");
        }
        Ok(())
    }

    /// Hands the records behind `cursor` to `sink`, and says how far it came. Where there is no cursor, or it is into another journal, it starts at the
    /// beginning; `sink` is told so beforehand by a call without a record.
    pub(crate) fn read(&self, cursor: Option<Cursor>, mut sink: impl FnMut(Option<JournalRecord>) -> Result<()>) -> Result<Read> {
        let path = self.layout.journal();
        let Some(file) = disk::open_existing(&path)? else { return Ok(Read::Absent) };
        let length = file.metadata().map_err(Error::io("read the status of", &path))?.len();
        let Some(journal) = read_id(&file, length, &path)? else { return Ok(Read::Damaged("it has no header of ours")) };
        let mut cursor = match cursor {
            Some(cursor) if cursor.journal == journal => {
                if cursor.offset > length || !cursor.holds(&file, &path)? {
                    return Ok(Read::Damaged("it does not hold what was read before"));
                }
                cursor
            }
            _ => {
                sink(None)?;
                Cursor { journal, offset: HEADER_BYTES, last_bytes: 0, last_checksum: 0 }
            }
        };
        let mut buffer = Vec::new();
        while cursor.offset < length {
            let wanted = usize::try_from(length - cursor.offset).unwrap_or(usize::MAX).min(READ_BYTES);
            buffer.resize(wanted, 0);
            file.read_exact_at(&mut buffer, cursor.offset).map_err(Error::io("read", &path))?;
            let mut at = 0;
            while let Some((payload, checksum)) = frame_at(&buffer, at) {
                let Ok(record) = postcard::from_bytes(payload) else { return Ok(Read::Damaged("a record does not decode")) };
                sink(Some(record))?;
                let bytes = FRAME_HEAD_BYTES + payload.len();
                at += bytes;
                cursor.offset += bytes as u64;
                (cursor.last_bytes, cursor.last_checksum) = (bytes as u32, checksum);
            }
            if at == 0 {
                // Where something whole stands behind it, or there is too much of it, it is no record that was cut off.
                let behind = (1..buffer.len()).any(|at| buffer[at..].starts_with(MARK) && frame_at(&buffer, at).is_some());
                return Ok(if behind || wanted == READ_BYTES { Read::Damaged("it has a gap") } else { Read::Torn(cursor) });
            }
        }
        Ok(Read::To(cursor))
    }
}

impl Cursor {
    /// Whether the file holds the frame that this cursor came past last.
    fn holds(&self, file: &File, path: &Path) -> Result<bool> {
        if self.last_bytes == 0 {
            return Ok(true);
        }
        let mut frame = vec![0; self.last_bytes as usize];
        let Some(start) = self.offset.checked_sub(u64::from(self.last_bytes)) else { return Ok(false) };
        file.read_exact_at(&mut frame, start).map_err(Error::io("read", path))?;
        Ok(frame_at(&frame, 0).is_some_and(|(_, checksum)| checksum == self.last_checksum))
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

/// The payload of the frame that begins at `at`, with its checksum, if a whole and undamaged one does.
fn frame_at(bytes: &[u8], at: usize) -> Option<(&[u8], u64)> {
    let (head, rest) = bytes.get(at..)?.split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let (mark, sizes) = head.split_first_chunk::<4>()?;
    let (length, checksum) = sizes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if mark != MARK || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..length)?;
    let computed = Digest::checksum(payload);
    (computed.to_le_bytes() == *checksum).then_some((payload, computed))
}
