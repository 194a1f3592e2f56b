//! Locks between processes: `flock` on files whose names say what is locked. The kernel releases what a dead process held.
//!
//! Descriptors are close-on-exec, so a generator never inherits a lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::store::disk;

/// A lock that is held until it is dropped. Its file stays.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub(crate) struct Lock {
    file: File,
    holder: Holder,
}

/// The process that took something. A forked child has copies of all that its parent holds, and must give none of it back.
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
    /// Waits for the lock, shared with others who take it so.
    pub(crate) fn shared(path: &Path) -> Result<Self> {
        let file = open(path)?;
        file.lock_shared().map_err(Error::io("lock", path))?;
        Ok(Self { file, holder: Holder::this_process() })
    }

    /// Waits for the lock, alone.
    pub(crate) fn exclusive(path: &Path) -> Result<Self> {
        let file = open(path)?;
        file.lock().map_err(Error::io("lock", path))?;
        Ok(Self { file, holder: Holder::this_process() })
    }

    /// Takes the lock alone, or nothing where another has it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        Ok(try_lock(path)?.map(|file| Self { file, holder: Holder::this_process() }))
    }
}

impl Lock {
    /// Whether this very process took it, rather than one that it was forked from.
    pub(crate) fn is_held_here(&self) -> bool {
        self.holder.is_this_process()
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
    path: PathBuf,
    file: File,
    holder: Holder,
}

impl PassingLock {
    /// Takes the lock alone, or nothing where another has it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        loop {
            let Some(file) = try_lock(path)? else { return Ok(None) };
            // A holder removes the file before it releases the lock: who opened it just before now holds a lock on a file without a name.
            let held = file.metadata().map_err(Error::io("read the status of", path))?;
            let same = std::fs::symlink_metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino()));
            if same {
                return Ok(Some(Self { path: path.to_path_buf(), file, holder: Holder::this_process() }));
            }
        }
    }
}

impl Drop for PassingLock {
    fn drop(&mut self) {
        if !self.holder.is_this_process() {
            return;
        }
        if let Err(error) = disk::remove(&self.path) {
            tracing::warn!(%error, "a lock's file stays behind; it is taken again when needed");
        }
        unlock(&self.file);
    }
}

/// Releases explicitly: a child that another thread has just forked holds a copy of the descriptor until it executes its program, and with it, were
/// it only closed here, the lock.
fn unlock(file: &File) {
    if let Err(error) = file.unlock() {
        tracing::debug!(%error, "a lock is released when its file is closed");
    }
}

fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(Error::io("open the lock", path))
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
