//! Locks between processes: `flock` on files whose names say what is locked. The kernel releases what a dead process held.
//!
//! # Invariants
//! * A lock is held on the file that has its name: one whose file was removed or replaced meanwhile is taken again.
//! * Locks are empty regular files. Anything else in the place of one is refused, and never written to.
//! * Descriptors are close-on-exec, so a generator never inherits a lock. A forked child has copies of all that its parent holds, and gives none of it
//!   back.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::store::disk;

/// How a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With others who take it so.
    Shared,
    Alone,
    /// Alone, of a file that may hold records.
    AloneOfRecords,
}

/// A lock that is held until it is dropped. Its file stays.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
    holder: Holder,
}

/// The process that took something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder(u32);

impl Holder {
    pub(crate) fn this_process() -> Self {
        Self(std::process::id())
    }

    pub(crate) fn is_this_process(self) -> bool {
        self.0 == std::process::id()
    }
}

impl Lock {
    /// Waits for the lock, shared with others who take it so, but not for ever.
    ///
    /// # Errors
    /// [`Error::Busy`] where it is not to be had within `patience`.
    pub(crate) fn shared(path: &Path, patience: Duration) -> Result<Self> {
        wait_for(path, patience, || Self::try_shared(path))
    }

    /// Takes the lock with others, or nothing where another has it alone.
    pub(crate) fn try_shared(path: &Path) -> Result<Option<Self>> {
        Self::try_take(path, Kind::Shared)
    }

    /// Waits for the lock, alone, but not for ever.
    ///
    /// # Errors
    /// [`Error::Busy`] where it is not to be had within `patience`.
    pub(crate) fn exclusive(path: &Path, patience: Duration) -> Result<Self> {
        wait_for(path, patience, || Self::try_exclusive(path))
    }

    /// The same, or nothing: for who tries again. Nobody asks then who holds it, for which the kernel stops all locking on the machine for some
    /// milliseconds.
    pub(crate) fn exclusive_within(path: &Path, patience: Duration) -> Result<Option<Self>> {
        wait_within(path, patience, || Self::try_exclusive(path))
    }

    /// Takes the lock alone, or nothing where another has it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        Self::try_take(path, Kind::Alone)
    }

    fn try_take(path: &Path, kind: Kind) -> Result<Option<Self>> {
        let file = locked(path, kind)?;
        Ok(file.map(|file| Self { path: path.to_path_buf(), file, holder: Holder::this_process() }))
    }

    /// Whether this very process took it, rather than one that it was forked from.
    pub(crate) fn is_held_here(&self) -> bool {
        self.holder.is_this_process()
    }

    /// Whether its name still means the file that is locked. Where it was removed, another may hold a lock of the same name.
    pub(crate) fn has_its_name(&self) -> bool {
        is_named(&self.file, &self.path).unwrap_or(false)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.holder.is_this_process() {
            unlock(&self.file);
        }
    }
}

/// A lock whose file goes when it is released, for locks as many as there are addresses.
#[derive(Debug)]
pub(crate) struct PassingLock {
    lock: Lock,
    /// Whether its file stays all the same.
    stays: bool,
}

impl PassingLock {
    /// Takes the lock alone, or nothing where another has it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        Self::try_take(path, Kind::Alone)
    }

    /// The same of a file that may hold records, which go with it.
    pub(crate) fn try_exclusive_of_records(path: &Path) -> Result<Option<Self>> {
        Self::try_take(path, Kind::AloneOfRecords)
    }

    fn try_take(path: &Path, kind: Kind) -> Result<Option<Self>> {
        Ok(Lock::try_take(path, kind)?.map(|lock| Self { lock, stays: false }))
    }

    /// Gives it back, and leaves its file where it is.
    pub(crate) fn leave(mut self) {
        self.stays = true;
    }

    /// Whether its name still means the file that is locked.
    pub(crate) fn has_its_name(&self) -> bool {
        self.lock.has_its_name()
    }

    /// The file that is locked, open for writing.
    pub(crate) fn file(&self) -> &File {
        &self.lock.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.lock.path
    }
}

impl Drop for PassingLock {
    fn drop(&mut self) {
        // Before it is released, which its own drop does then.
        if !self.stays
            && self.lock.is_held_here()
            && let Err(error) = disk::remove(self.path())
        {
            tracing::warn!(%error, "a lock's file stays behind; it is taken again when needed");
        }
    }
}

/// Makes the file of a lock where there is none.
pub(crate) fn make(path: &Path) -> Result<()> {
    open(path, Kind::Shared).map(drop)
}

/// How long to wait before looking again: from the first to the second, doubling. Who collects holds the store for some milliseconds at a time, and leaves
/// it open for some more: that is not to be missed.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(2));
/// The same once it is known to take longer.
const LOOK_AGAIN_LATER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(5));
/// How long to wait before that is told.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// Tries for a lock until it is had, and gives up in the end: its holder may be stopped.
fn wait_for(path: &Path, patience: Duration, take: impl Fn() -> Result<Option<Lock>>) -> Result<Lock> {
    let busy = || Error::Busy { path: path.to_path_buf(), seconds: patience.as_secs(), holders: holders(path) };
    wait_within(path, patience, take)?.ok_or_else(busy)
}

/// Tries for a lock until it is had, or for so long. Tells after a while what is waited for.
fn wait_within(path: &Path, patience: Duration, take: impl Fn() -> Result<Option<Lock>>) -> Result<Option<Lock>> {
    let began = Instant::now();
    let mut pause = LOOK_AGAIN.0;
    let mut told = false;
    loop {
        if let Some(lock) = take()? {
            return Ok(Some(lock));
        }
        if began.elapsed() >= patience {
            return Ok(None);
        }
        if !told && began.elapsed() > TELL_AFTER {
            told = true;
            tracing::warn!(lock = %path.display(), processes = ?holders(path), "waiting for another process that holds a lock of the store; is it stopped?");
        }
        std::thread::sleep(pause.min(patience.saturating_sub(began.elapsed())));
        pause = (pause * 2).min(if began.elapsed() < LOOK_AGAIN_LATER.0 { LOOK_AGAIN.1 } else { LOOK_AGAIN_LATER.1 });
    }
}

/// The processes of this machine that hold a lock, as far as the system tells.
pub(crate) fn holders(path: &Path) -> Vec<u32> {
    let Ok(inode) = path.symlink_metadata().map(|metadata| metadata.ino()) else { return Vec::new() };
    let of_this = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
        let process = words.next()?.parse().ok()?;
        words.next()?.ends_with(&format!(":{inode}")).then_some(process)
    };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().filter(|line| !line.contains("->")).filter_map(of_this).collect()
}

/// Whether some process holds a lock, without making its file where there is none.
pub(crate) fn is_held(path: &Path) -> Result<bool> {
    let Some(file) = disk::open_existing(path)? else { return Ok(false) };
    match file.try_lock() {
        Ok(()) => {
            unlock(&file);
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

/// Releases explicitly: a child that another thread has just forked holds a copy of the descriptor until it executes its program, and with it, were
/// it only closed here, the lock.
fn unlock(file: &File) {
    if let Err(error) = file.unlock() {
        tracing::debug!(%error, "a lock is released when its file is closed");
    }
}

/// The file of a lock, locked, under its name.
fn locked(path: &Path, kind: Kind) -> Result<Option<File>> {
    loop {
        let (file, made) = open(path, kind)?;
        // A lock that could not be taken leaves no file behind that was not there before.
        let give_up = |error: io::Error| {
            if made {
                let _ = disk::remove(path);
            }
            Error::io("lock", path)(error)
        };
        let tried = if kind == Kind::Shared { file.try_lock_shared() } else { file.try_lock() };
        match tried {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(give_up(error)),
        }
        // A holder removes a passing lock's file before it releases it: who opened it just before now holds a lock on a file without a name.
        if is_named(&file, path).map_err(give_up)? {
            return Ok(Some(file));
        }
    }
}

fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open(path: &Path, kind: Kind) -> Result<(File, bool)> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let cannot_write = |error: &io::Error| matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
    let file = match disk::open_lock(path, flags) {
        // A lock is empty: being allowed to read it is enough to hold it.
        Err(error) if kind != Kind::AloneOfRecords && cannot_write(&error) => {
            // Where there is none to read, that none can be made is what is wrong.
            OpenOptions::new().read(true).custom_flags(flags).open(path).map(|file| (file, false)).map_err(|_| error)
        }
        opened => opened,
    };
    let (file, made) = file.map_err(Error::io("open the lock", path))?;
    let metadata = file.metadata().map_err(|error| {
        if made {
            let _ = disk::remove(path);
        }
        Error::io("read the status of", path)(error)
    })?;
    if !metadata.is_file() || (metadata.len() > 0 && kind != Kind::AloneOfRecords) {
        let reason = "something else stands in the place of a lock, which is an empty file: move it away".to_owned();
        return Err(Error::Damaged { path: path.to_path_buf(), reason });
    }
    Ok((file, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_lock_is_held_by_one_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("claim");
        let held = PassingLock::try_exclusive(&path).unwrap().unwrap();
        assert!(PassingLock::try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(!path.exists());
        assert!(PassingLock::try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_is_not_taken_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        let path = directory.path().join("claim");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(PassingLock::try_exclusive(&path).is_err());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    }
}
