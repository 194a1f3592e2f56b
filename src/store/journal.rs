//! The journal: the sequence in which entries were published and removed, which every index follows.
//!
//! One append-only file. It begins with a header that names this very journal, so that an index which followed another one starts again. Each record
//! is framed as `mark (4) · payload length (4) · XXH64 of the payload (8) · payload`, integers little-endian, the payload in postcard's encoding.
//!
//! # Invariants
//! * A record is appended by one write under an exclusive lock, and is durable when [`Journal::append`] returns.
//! * Nothing damaged is read past. A header that is not ours, a gap with whole records behind it, a part of a record at the end while nobody holds the
//!   lock, a file that does not hold what a reader has read before, or that is shorter than was written down beside it: the journal is then written anew
//!   from the manifests, under an id of its own.
//! * The file beside it that says how far it goes is written behind it and never synced: it may be late or lost. But where the journal is shorter, it was
//!   cut, be it exactly between two records; and where it speaks of another journal, an old one was put back.
//! * Appended to is only a regular file with no other name: what was planted is replaced.

mod compact;
mod frames;
mod records;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use compact::Worth;
pub(crate) use frames::{Payload, RecordAt};
use frames::{READ_BYTES, Reading, Step, frame, frame_at};
pub(crate) use records::Records;

use crate::error::{Error, Result};
use crate::parallel;
use crate::store::disk;
use crate::store::layout::Layout;
use crate::store::lock::Lock;
use crate::store::record::JournalRecord;
use crate::store::walk;

pub(super) const MAGIC: &[u8; 16] = b"tickbarn-jrnl-3\n";
const ID_BYTES: usize = 16;
const HEADER_BYTES: u64 = (MAGIC.len() + ID_BYTES) as u64;

/// How much of a new one is written at a time.
const WRITE_BYTES: usize = 256 << 10;

/// How long its lock is waited for: writing a journal of millions of entries anew takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);

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
    id: [u8; ID_BYTES],
}

/// What becomes of entries that somebody has claimed when the journal is written anew. Whoever replaces one has told the old journal so, and may commit
/// what the new one does not know of: were the old entry told in it, an index could answer with that. Left out, it is found by its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    LeftOut,
    /// They are told: nobody is between the two records of a replacement.
    Told,
}

/// How far a journal goes, as it stands beside it.
#[derive(Debug, Clone, Copy)]
struct End {
    journal: [u8; ID_BYTES],
    bytes: u64,
}

impl End {
    const BYTES: usize = ID_BYTES + 8;

    fn read(layout: &Layout) -> Option<Self> {
        let bytes = disk::read_at_most(&layout.journal_end(), Self::BYTES as u64).ok().flatten()?;
        let (journal, bytes) = bytes.split_first_chunk::<ID_BYTES>()?;
        Some(Self { journal: *journal, bytes: u64::from_le_bytes(bytes.try_into().ok()?) })
    }

    /// Where it cannot be written down, a cut exactly between two records is not noticed. It is no reason to refuse what was appended.
    fn write(self, layout: &Layout) {
        let path = layout.journal_end();
        let mut bytes = self.journal.to_vec();
        bytes.extend_from_slice(&self.bytes.to_le_bytes());
        let written = match disk::open_to_overwrite(&path, Self::BYTES as u64) {
            Ok(Some(file)) => disk::overwrite(&file, &path, &bytes),
            Ok(None) => disk::replace_disposable(&path, &bytes),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::debug!(%error, "how far the journal goes is not written down");
        }
    }
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
        let _lock = Lock::exclusive(&self.layout.journal_lock(), PATIENCE)?;
        if self.has_header()? { Ok(()) } else { self.rebuild(Claimed::LeftOut) }
    }

    /// Writes the journal anew from the manifests where it is still found to be damaged, or torn, behind a cursor now that nobody writes to it.
    pub(crate) fn replace_damaged(&self, cursor: Option<Cursor>) -> Result<()> {
        let _lock = Lock::exclusive(&self.layout.journal_lock(), PATIENCE)?;
        match self.read(cursor, |_| Ok(()))? {
            Read::To(_) => Ok(()),
            Read::Torn(_) | Read::Absent | Read::Damaged(_) => self.rebuild(Claimed::LeftOut),
        }
    }

    /// Writes the journal anew from the manifests, whatever it says. To be called while nobody publishes.
    pub(crate) fn write_anew(&self) -> Result<()> {
        let _lock = Lock::exclusive(&self.layout.journal_lock(), PATIENCE)?;
        self.rebuild(Claimed::Told)
    }

    /// As [`Journal::read`] while nobody appends.
    pub(crate) fn read_alone(&self, cursor: Option<Cursor>, sink: impl FnMut(Option<JournalRecord>) -> Result<()>) -> Result<Read> {
        self.while_nobody_appends(|| self.read(cursor, sink))
    }

    pub(crate) fn while_nobody_appends<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _lock = Lock::exclusive(&self.layout.journal_lock(), PATIENCE)?;
        work()
    }

    /// Puts a synced journal in the place of the one that is there. Called under the journal's lock.
    fn replace_with(&self, file: &File, next: &Path, id: [u8; ID_BYTES]) -> Result<()> {
        let path = self.layout.journal();
        // It speaks of the journal that goes, and goes before it: the sync of their directory takes both.
        disk::remove(&self.layout.journal_end())?;
        disk::rename_durably(next, &path)?;
        let bytes = file.metadata().map_err(Error::io("read the status of", &path))?.len();
        End { journal: id, bytes }.write(&self.layout);
        Ok(())
    }

    fn has_header(&self) -> Result<bool> {
        Ok(self.id()?.is_some())
    }

    /// Which journal it is: another one once it was written anew. Nothing where there is none of ours.
    pub(crate) fn id(&self) -> Result<Option<[u8; ID_BYTES]>> {
        let path = self.layout.journal();
        let file = match disk::open_existing(&path) {
            Ok(Some(file)) => file,
            Ok(None) | Err(Error::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata().map_err(Error::io("read the status of", &path))?;
        if metadata.is_file() { read_id(&file, metadata.len(), &path) } else { Ok(None) }
    }

    /// Removes the journal, which needs no space. Manifests answer without one, and whoever opens the store next writes it anew.
    pub(crate) fn remove(&self) -> Result<()> {
        self.while_nobody_appends(|| {
            disk::remove(&self.layout.journal_end())?;
            disk::remove(&self.layout.journal())?;
            disk::sync_directory(disk::parent(&self.layout.journal()))
        })
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
            let _lock = Lock::exclusive(&self.layout.journal_lock(), PATIENCE)?;
            let current = self.current(&mut appender)?;
            let start = current.file.metadata().map_err(Error::io("read the status of", &path))?.len();
            if let Err(error) = disk::write_all(&current.file, &path, &bytes) {
                // A full disk may have taken a part of it.
                disk::cut(&current.file, &path, start)?;
                return Err(error);
            }
            let end = start + bytes.len() as u64;
            End { journal: current.id, bytes: end }.write(&self.layout);
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
            let opened = match self.open()? {
                Some(opened) => opened,
                None => {
                    self.rebuild(Claimed::LeftOut)?;
                    let reason = "it was just written anew and is gone or another; look for what writes there".to_owned();
                    self.open()?.ok_or(Error::Damaged { path, reason })?
                }
            };
            *appender = Some(opened);
        }
        Ok(appender.as_ref().expect("it was just opened"))
    }

    /// Opens the journal for appending; `None` where what has its name is no journal of ours.
    fn open(&self) -> Result<Option<Appender>> {
        let path = self.layout.journal();
        if !self.has_header()? {
            return Ok(None);
        }
        let Some(file) = disk::open_to_append(&path)? else { return Ok(None) };
        let metadata = file.metadata().map_err(Error::io("read the status of", &path))?;
        let id = read_id(&file, metadata.len(), &path)?;
        // An old one that was put back must not become the current one by what is appended to it.
        let fits = |id: &[u8; ID_BYTES]| End::read(&self.layout).is_none_or(|end| end.journal == *id && end.bytes <= metadata.len());
        Ok(id.filter(fits).map(|id| Appender { file, inode: metadata.ino(), id }))
    }

    /// Writes a new journal of all manifests in the place of what is there. Called under the journal's lock.
    fn rebuild(&self, claimed: Claimed) -> Result<()> {
        let next = self.layout.next_journal();
        // What a crash left of an earlier one.
        disk::remove(&next)?;
        self.write_next(&next, claimed).inspect_err(|_| drop(disk::remove(&next)))
    }

    fn write_next(&self, next: &Path, claimed: Claimed) -> Result<()> {
        let file = disk::create_new(next)?;
        let id = new_id(next)?;
        let mut bytes = [MAGIC.as_slice(), &id].concat();
        let mut entries = 0u64;
        let mut addresses = walk::addresses(&self.layout, None)?;
        if claimed == Claimed::LeftOut {
            let claimed = walk::claimed(&self.layout)?;
            addresses.retain(|address| !claimed.contains(address));
        }
        for published in walk::published(&self.layout, addresses) {
            match published {
                Ok(published) => {
                    frame(&JournalRecord::Published(published), &mut bytes);
                    entries += 1;
                }
                // One that cannot be read now does not keep the others from being found; a lookup of it says what is wrong.
                Err(error) => tracing::warn!(%error, "left out of the journal"),
            }
            if bytes.len() >= WRITE_BYTES {
                disk::write_all(&file, next, &bytes)?;
                bytes.clear();
            }
        }
        disk::write_all(&file, next, &bytes)?;
        disk::share(&file, next);
        disk::sync(&file, next)?;
        self.replace_with(&file, next, id)?;
        if entries > 0 {
            tracing::info!(entries, "the journal was gone or damaged and was written anew from the manifests");
        }
        Ok(())
    }

    /// Hands the records behind `cursor` to `sink`, and says how far it came. Where there is no cursor, or it is into another journal, it starts at the
    /// beginning; `sink` is told so beforehand by a call without a record.
    pub(crate) fn read(&self, cursor: Option<Cursor>, mut sink: impl FnMut(Option<JournalRecord>) -> Result<()>) -> Result<Read> {
        let decode = |payloads: &[Payload<'_>]| {
            payloads.iter().map(|payload| postcard::from_bytes(payload.bytes).ok()).collect::<Option<Vec<JournalRecord>>>()
        };
        self.read_pieces(cursor, parallel::machine_parallelism(), decode, |piece| match piece {
            None => sink(None),
            Some(records) => records.into_iter().try_for_each(|record| sink(Some(record))),
        })
    }

    /// The same a piece at a time: `decode` makes of some payloads, which are whole and in order, whatever `sink` wants, by so many threads at once. It gives
    /// nothing where one of them is no record.
    pub(crate) fn read_pieces<T: Send>(
        &self,
        cursor: Option<Cursor>,
        threads: usize,
        decode: impl Fn(&[Payload<'_>]) -> Option<T> + Sync,
        sink: impl FnMut(Option<T>) -> Result<()>,
    ) -> Result<Read> {
        self.read_up_to(None, cursor, threads, decode, sink)
    }

    /// The same up to an offset, which is the end of a record.
    fn read_up_to<T: Send>(
        &self,
        offset: Option<u64>,
        cursor: Option<Cursor>,
        threads: usize,
        decode: impl Fn(&[Payload<'_>]) -> Option<T> + Sync,
        mut sink: impl FnMut(Option<T>) -> Result<()>,
    ) -> Result<Read> {
        let path = self.layout.journal();
        // Read before the journal's length, which only grows.
        let end = End::read(&self.layout);
        let file = match disk::open_existing(&path) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Read::Absent),
            Err(Error::Damaged { .. }) => return Ok(Read::Damaged("a link stands in its place")),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata().map_err(Error::io("read the status of", &path))?;
        let length = metadata.len();
        let journal = if metadata.is_file() { read_id(&file, length, &path)? } else { None };
        let Some(journal) = journal else { return Ok(Read::Damaged("it has no header of ours")) };
        match end {
            Some(end) if end.journal != journal => return Ok(Read::Damaged("it is another one than was last written to")),
            Some(end) if end.bytes > length => return Ok(Read::Damaged("it is shorter than it was")),
            _ => {}
        }
        let cursor = match cursor {
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
        let length = offset.map_or(length, |offset| offset.min(length));
        let mut reading = Reading { file, path: &path, length, cursor, threads, decode: &decode, buffer: Vec::new() };
        if length - cursor.offset <= READ_BYTES as u64 {
            loop {
                match reading.step()? {
                    Step::Pieces(pieces) => pieces.into_iter().try_for_each(|piece| sink(Some(piece)))?,
                    Step::End(read) => return Ok(read),
                }
            }
        }
        // Decoded while what came before is taken.
        std::thread::scope(|scope| {
            let (sender, steps) = std::sync::mpsc::sync_channel(0);
            let spawned = std::thread::Builder::new().spawn_scoped(scope, move || {
                loop {
                    let step = reading.step();
                    let goes_on = matches!(step, Ok(Step::Pieces(_)));
                    // Nobody listens any more where the sink has failed.
                    if sender.send(step).is_err() || !goes_on {
                        return;
                    }
                }
            });
            spawned.map_err(Error::io("begin a thread to read", &path))?;
            for step in steps {
                match step? {
                    Step::Pieces(pieces) => pieces.into_iter().try_for_each(|piece| sink(Some(piece)))?,
                    Step::End(read) => return Ok(read),
                }
            }
            Err(Error::Internal { what: format!("reading {}", path.display()) })
        })
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
