//! Digests of files, remembered by what `stat` says of them.
//!
//! A 200 MB exporter is not read again for each load: its digest is remembered under (device, inode, size, modification time, change time). Rules:
//!
//! * A file is opened once; what is hashed and what is remembered come from that descriptor. A stat that differs after the reading voids it.
//! * A digest is remembered only where both times lie well before the moment of hashing (git's "racily clean" rule): a write within the same tick of
//!   the file system's clock would leave the same stat on other bytes.
//! * What is remembered is a convenience: it is bounded, and damaged bytes of it are an empty memory, never an error.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::address::Digest;
use crate::error::{Error, Result};

/// How many digests are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// File systems keep times as coarse as this (FAT); clocks of servers differ by less.
const RACY_NS: i64 = 2_000_000_000;
const ATTEMPTS_MAX: u32 = 4;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(20);
/// The version of what [`Fingerprints::to_bytes`] writes.
const FORMAT: u32 = 2;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileStat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Nanoseconds since the epoch.
    pub(crate) mtime_ns: i64,
    /// Nanoseconds since the epoch.
    pub(crate) ctime_ns: i64,
}

impl FileStat {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a write from now on is certain to change this stat.
    pub(crate) fn is_settled_now(&self) -> bool {
        self.is_settled(now_ns())
    }

    /// Whether a write after `now` is certain to change this stat.
    pub(super) fn is_settled(&self, now_ns: i64) -> bool {
        self.mtime_ns.max(self.ctime_ns) < now_ns.saturating_sub(RACY_NS)
    }
}

pub(super) fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

/// The digests of files as they were last read. Shared between threads.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    digests: HashMap<FileStat, Remembered>,
    /// Counts look-ups; what was looked up longest ago is forgotten first.
    clock: u64,
    /// Whether something was hashed since this memory was last written down.
    learned: bool,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    digest: Digest,
    used: u64,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    /// Of the digests' JSON: one that was changed would give every program another address.
    checksum: Digest,
    /// Least recently used first.
    digests: Vec<(FileStat, Digest)>,
}

impl Saved {
    fn new(digests: Vec<(FileStat, Digest)>) -> Self {
        Self { format: FORMAT, checksum: Self::checksum(&digests), digests }
    }

    fn checksum(digests: &[(FileStat, Digest)]) -> Digest {
        Digest::of(&serde_json::to_vec(digests).unwrap_or_default())
    }
}

impl Fingerprints {
    /// The digest of a regular file's bytes, and the stat that it had all the while it was read. Symbolic links are followed.
    ///
    /// # Errors
    /// [`Error::Io`]: the file is missing, not readable, no regular file, or keeps changing while it is read.
    pub(crate) fn digest(&self, path: &Path) -> Result<(Digest, FileStat)> {
        let file = open_regular(path)?;
        let stat = stat_of(&file, path)?;
        if let Some(digest) = self.recall(&stat) {
            return Ok((digest, stat));
        }
        let started_ns = now_ns();
        let (digest, stat) = hash(file, path)?;
        if stat.is_settled(started_ns) {
            self.remember(stat, digest);
            self.memory().learned = true;
        }
        Ok((digest, stat))
    }

    /// Forgets what is remembered of a file as it is now.
    pub(crate) fn forget(&self, path: &Path) {
        if let Ok(metadata) = std::fs::metadata(path) {
            let mut memory = self.memory();
            if memory.digests.remove(&FileStat::of(&metadata)).is_some() {
                memory.learned = true;
            }
        }
    }

    /// What is remembered, to be kept in a file, where something was learned since this was last asked.
    pub(crate) fn learned(&self) -> Option<Vec<u8>> {
        // In a statement of its own: the guard lives to the end of it.
        let learned = std::mem::take(&mut self.memory().learned);
        learned.then(|| self.to_bytes())
    }

    /// What is remembered, to be kept in a file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut digests: Vec<_> = self.memory().digests.iter().map(|(stat, remembered)| (remembered.used, *stat, remembered.digest)).collect();
        digests.sort_unstable_by_key(|(used, ..)| *used);
        let saved = Saved::new(digests.into_iter().map(|(_, stat, digest)| (stat, digest)).collect());
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// What [`Fingerprints::to_bytes`] wrote. Bytes that it did not write give an empty memory.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let fingerprints = Self::default();
        match serde_json::from_slice::<Saved>(bytes) {
            Ok(saved) if saved.format == FORMAT && saved.checksum == Saved::checksum(&saved.digests) => {
                for (stat, digest) in saved.digests {
                    fingerprints.remember(stat, digest);
                }
            }
            _ => tracing::debug!("no usable fingerprints; files are hashed again"),
        }
        fingerprints
    }

    fn recall(&self, stat: &FileStat) -> Option<Digest> {
        let mut memory = self.memory();
        memory.clock += 1;
        let clock = memory.clock;
        let remembered = memory.digests.get_mut(stat)?;
        remembered.used = clock;
        Some(remembered.digest)
    }

    fn remember(&self, stat: FileStat, digest: Digest) {
        let mut memory = self.memory();
        memory.clock += 1;
        let used = memory.clock;
        memory.digests.insert(stat, Remembered { digest, used });
        if memory.digests.len() > REMEMBERED_MAX {
            // A tenth at once, so that a full memory is not sorted at every insertion.
            let mut uses: Vec<u64> = memory.digests.values().map(|remembered| remembered.used).collect();
            let (_, &mut oldest_kept, _) = uses.select_nth_unstable(REMEMBERED_MAX / 10);
            memory.digests.retain(|_, remembered| remembered.used >= oldest_kept);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Every change is a single insertion or removal, so what a panicking thread left is whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of a regular file, without any memory.
pub(super) fn digest_now(path: &Path) -> Result<(Digest, FileStat)> {
    hash(open_regular(path)?, path)
}

fn hash(file: File, path: &Path) -> Result<(Digest, FileStat)> {
    hash_with(file, path, |file, hasher| hasher.update_reader(file).map(drop))
}

fn hash_with(mut file: File, path: &Path, mut read: impl FnMut(&File, &mut blake3::Hasher) -> io::Result<()>) -> Result<(Digest, FileStat)> {
    for attempt in 1.. {
        let before = stat_of(&file, path)?;
        let mut hasher = blake3::Hasher::new();
        read(&file, &mut hasher).map_err(Error::io("read", path))?;
        let after = stat_of(&file, path)?;
        if before == after {
            return Ok((Digest::of_hasher(&hasher), after));
        }
        if attempt == ATTEMPTS_MAX {
            break;
        }
        std::thread::sleep(ATTEMPT_PAUSE);
        file = open_regular(path)?;
    }
    Err(Error::io("read", path)(io::Error::other("it changes while it is read; wait until whoever writes it has finished")))
}

fn stat_of(file: &File, path: &Path) -> Result<FileStat> {
    file.metadata().map(|metadata| FileStat::of(&metadata)).map_err(Error::io("stat", path))
}

fn open_regular(path: &Path) -> Result<File> {
    // Without it, opening a named pipe waits for a writer.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(Error::io("open", path))?;
    let kind = file.metadata().map_err(Error::io("stat", path))?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let what = if kind.is_dir() { "it is a directory, not a regular file" } else { "it is not a regular file" };
    Err(Error::io("read", path)(io::Error::new(io::ErrorKind::InvalidInput, what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_old(path: &Path, seconds: u64) {
        let times = std::fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
        File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    }

    fn stat(inode: u64) -> FileStat {
        FileStat { device: 1, inode, size: 2, mtime_ns: 3, ctime_ns: 4 }
    }

    #[test]
    fn what_was_learned_is_written_down_once() {
        let fingerprints = Fingerprints::default();
        assert!(fingerprints.learned().is_none());
        // A file that has not changed for long.
        let (digest, _) = fingerprints.digest(Path::new("/bin/sh")).unwrap();
        let saved = fingerprints.learned().unwrap();
        assert!(fingerprints.learned().is_none());
        let next = Fingerprints::from_bytes(&saved);
        assert_eq!(next.digest(Path::new("/bin/sh")).unwrap().0, digest);
        assert!(next.learned().is_none(), "nothing had to be read again");
    }

    #[test]
    fn a_file_is_not_read_again_while_its_stat_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, "one").unwrap();
        let fingerprints = Fingerprints::default();
        let (digest, stat) = fingerprints.digest(&path).unwrap();
        assert_eq!((digest, stat.size), (Digest::of(b"one"), 3));

        // What is remembered is what is answered.
        fingerprints.remember(stat, Digest::of(b"remembered"));
        assert_eq!(fingerprints.digest(&path).unwrap().0, Digest::of(b"remembered"));
        std::fs::write(&path, "four").unwrap();
        assert_eq!(fingerprints.digest(&path).unwrap().0, Digest::of(b"four"));
    }

    #[test]
    fn a_file_that_was_just_written_is_not_trusted_to_keep_its_stat() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, "one").unwrap();
        // Whatever its modification time says: the change time tells.
        set_old(&path, 1_000_000_000);
        let fingerprints = Fingerprints::default();
        fingerprints.digest(&path).unwrap();
        assert!(fingerprints.memory().digests.is_empty());

        let now = now_ns();
        let settled = FileStat { mtime_ns: now - 3_000_000_000, ctime_ns: now - 3_000_000_000, ..stat(1) };
        assert!(settled.is_settled(now));
        assert!(!FileStat { ctime_ns: now - 1_000_000_000, ..settled }.is_settled(now));
        assert!(!FileStat { mtime_ns: now + 3_000_000_000, ..settled }.is_settled(now), "a time in the future proves nothing");
    }

    #[test]
    fn another_file_under_the_same_name_is_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("program"), directory.path().join("new"));
        std::fs::write(&path, "one").unwrap();
        std::fs::write(&other, "two").unwrap();
        let fingerprints = Fingerprints::default();
        let (_, before) = fingerprints.digest(&path).unwrap();
        fingerprints.remember(before, Digest::of(b"one"));
        set_old(&path, 1_000_000_000);
        set_old(&other, 1_000_000_000);
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(fingerprints.digest(&path).unwrap().0, Digest::of(b"two"));
    }

    #[test]
    fn what_is_remembered_survives_and_what_is_damaged_is_forgotten() {
        let fingerprints = Fingerprints::default();
        fingerprints.remember(stat(1), Digest::of(b"one"));
        let bytes = fingerprints.to_bytes();
        let back = Fingerprints::from_bytes(&bytes);
        assert_eq!(back.recall(&stat(1)), Some(Digest::of(b"one")));
        assert_eq!(back.recall(&stat(2)), None);
        for damaged in [&b""[..], b"{", b"\xff\xfe", b"[]", b"{\"format\":2,\"digests\":[]}", &bytes[..bytes.len() / 2]] {
            assert!(Fingerprints::from_bytes(damaged).memory().digests.is_empty());
        }
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_used() {
        let fingerprints = Fingerprints::default();
        for inode in 0..3 * REMEMBERED_MAX as u64 {
            fingerprints.remember(stat(inode), Digest::of(b""));
            fingerprints.recall(&stat(0));
        }
        assert!(fingerprints.memory().digests.len() <= REMEMBERED_MAX);
        assert!(fingerprints.memory().digests.len() >= REMEMBERED_MAX / 2);
        assert!(fingerprints.recall(&stat(0)).is_some(), "what is used at every load is not forgotten");
        assert!(Fingerprints::from_bytes(&fingerprints.to_bytes()).recall(&stat(0)).is_some());
    }

    #[test]
    fn what_has_no_digest_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        // Opening a pipe must not wait for a writer.
        rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink("nowhere", path.join("dangling")).unwrap();
        for (name, reason) in [("", "a directory"), ("missing", "No such file"), ("pipe", "not a regular file"), ("dangling", "No such file")] {
            let message = Fingerprints::default().digest(&path.join(name)).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains(name), "{name}: {message}");
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_has_no_digest_until_it_rests() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("growing");
        let read_while_written = |writes: u32| {
            std::fs::write(&path, "x").unwrap();
            let mut reads = 0;
            hash_with(open_regular(&path).unwrap(), &path, |file, hasher| {
                reads += 1;
                hasher.update_reader(file)?;
                if reads <= writes { std::fs::write(&path, "x".repeat(1 + reads as usize)) } else { Ok(()) }
            })
        };
        assert_eq!(read_while_written(2).unwrap().0, Digest::of(b"xxx"), "read again from the beginning");
        let message = read_while_written(u32::MAX).unwrap_err().to_string();
        assert!(message.contains("growing") && message.contains("wait until"), "{message}");
    }
}
