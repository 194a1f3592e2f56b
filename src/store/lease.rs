//! Leases: what a process has handed out, and nobody may collect while it lives.
//!
//! A lease is a file that its process holds locked, `tickbarn-lease-1` and a newline, then records of 33 bytes: `e` and an entry's address, or `a` and an
//! artifact's digest. Whoever collects reads all leases whose locks are held; one whose lock can be taken is a dead process's, and goes.
//!
//! # Invariants
//! * What a load finds is in the lease before the sweep lock is given back under which it was found. What was leased earlier needs no lock: nobody can
//!   have collected it.
//! * A lease lasts as long as its process: lazy frames read files long after the store that gave them was dropped.
//! * A process that cannot write its lease (a full disk, a store that is only read) holds the lock of the unlisted instead, which keeps everything.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::address::{Address, Digest};
use crate::error::{Error, Result};
use crate::store::Entry;
use crate::store::disk;
use crate::store::layout::Layout;
use crate::store::lock::{self, Lock, PassingLock};
use crate::store::process::PerProcess;

const MAGIC: &[u8] = b"tickbarn-lease-1\n";
const RECORD_BYTES: usize = 33;
/// How long the lock of the unlisted is waited for, which others hold alone only to look whether it is held.
const UNLISTED_PATIENCE: Duration = Duration::from_secs(5);

/// Something that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Leased {
    Entry(Address),
    Artifact(Digest),
}

impl Leased {
    fn of_record(record: &[u8]) -> Option<Self> {
        let record: &[u8; RECORD_BYTES] = record.try_into().ok()?;
        let (kind, bytes) = record.split_first_chunk::<1>()?;
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        match kind {
            b"e" => Some(Leased::Entry(Address::from_bytes(bytes))),
            b"a" => Some(Leased::Artifact(Digest::from_bytes(bytes))),
            _ => None,
        }
    }

    fn record(self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        let (kind, bytes) = match &self {
            Leased::Entry(address) => (b'e', address.as_bytes()),
            Leased::Artifact(digest) => (b'a', digest.as_bytes()),
        };
        record[0] = kind;
        record[1..].copy_from_slice(bytes);
        record
    }
}

/// All that handing an entry out promises.
pub(super) fn promised_by(entry: &Entry) -> impl Iterator<Item = Leased> {
    std::iter::once(Leased::Entry(entry.address)).chain(entry.outputs.iter().map(|output| Leased::Artifact(output.digest)))
}

/// This process's lease on one store, shared by everything that has the store open.
#[derive(Debug, Default)]
pub(super) struct Lease {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listed: HashSet<Leased>,
    file: Option<PassingLock>,
    /// Held where the file could not be written.
    unlisted: Option<Lock>,
}

impl Lease {
    /// The lease of this process on the store of an id at a resolved path. It outlives every handle to the store.
    pub(super) fn of(root: &Path, store: &str) -> Arc<Self> {
        type Leases = Mutex<HashMap<(PathBuf, String), Arc<Lease>>>;
        static LEASES: OnceLock<PerProcess<Leases>> = OnceLock::new();
        let leases = LEASES.get_or_init(|| PerProcess::new(Leases::default())).get_or_make(Leases::default);
        let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = leases.entry((root.to_path_buf(), store.to_owned())).or_default();
        if !lease.is_where_it_was_written() {
            *lease = Arc::default();
        }
        Arc::clone(lease)
    }

    /// Whether others can still read it: a store may have been removed and put back.
    fn is_where_it_was_written(&self) -> bool {
        let state = self.state();
        state.file.as_ref().is_none_or(PassingLock::has_its_name) && state.unlisted.as_ref().is_none_or(Lock::has_its_name)
    }

    /// Whether all of these were promised before.
    pub(super) fn covers(&self, promises: impl IntoIterator<Item = Leased>) -> bool {
        let state = self.state();
        promises.into_iter().all(|leased| state.listed.contains(&leased))
    }

    /// Promises these. To be called under the sweep lock. Never fails: where the promise cannot be written down, everything is promised.
    pub(super) fn add(&self, layout: &Layout, promises: impl IntoIterator<Item = Leased>) {
        let mut state = self.state();
        let State { listed, file, unlisted } = &mut *state;
        let mut records = Vec::new();
        let mut fresh = Vec::new();
        for leased in promises {
            if listed.insert(leased) {
                records.extend_from_slice(&leased.record());
                fresh.push(leased);
            }
        }
        if fresh.is_empty() || unlisted.is_some() {
            return;
        }
        let written = match file {
            Some(file) => Ok(file),
            None => create(layout).map(|created| file.insert(created)),
        };
        let written = written.and_then(|lease| append(lease, &records));
        let Err(error) = written else { return };
        tracing::debug!(%error, "a lease cannot be written: nothing is collected while this process lives");
        match Lock::shared(&layout.unlisted_lock(), UNLISTED_PATIENCE) {
            Ok(lock) => *unlisted = Some(lock),
            Err(error) => {
                tracing::warn!(%error, "what is handed out cannot be kept from being collected");
                listed.retain(|leased| !fresh.contains(leased));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A promise too many harms nobody, and each is listed before it is written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create(layout: &Layout) -> Result<PassingLock> {
    const TRIES: usize = 10;
    remove_dead(layout)?;
    for nth in 0..TRIES {
        let nonce = blake3::hash(format!("{nth} {:?} {:?}", std::time::Instant::now(), std::time::SystemTime::now()).as_bytes());
        let path = layout.lease(&format!("{}-{}", std::process::id(), &nonce.to_hex()[..16]));
        // Another process may be looking whether the file that was just made is a dead one's.
        if let Some(lease) = PassingLock::try_exclusive_of_records(&path)? {
            append(&lease, MAGIC)?;
            return Ok(lease);
        }
    }
    Err(Error::Internal { what: "locking a new lease".to_owned() })
}

/// Appends records, or nothing: a part of one would keep the others from being read.
fn append(lease: &PassingLock, records: &[u8]) -> Result<()> {
    let bytes = lease.file().metadata().map_err(Error::io("read the status of", lease.path()))?.len();
    disk::write_all(lease.file(), lease.path(), records).inspect_err(|_| drop(disk::cut(lease.file(), lease.path(), bytes)))
}

/// Removes the leases of processes that are no more. To be called under the sweep lock.
pub(crate) fn remove_dead(layout: &Layout) -> Result<usize> {
    let mut removed = 0;
    for name in disk::names_in(&layout.leases())? {
        let Some(name) = name.to_str().filter(|name| Layout::is_lease(name)) else { continue };
        // Dropping the lock removes its file.
        removed += usize::from(matches!(PassingLock::try_exclusive_of_records(&layout.leases().join(name)), Ok(Some(_))));
    }
    Ok(removed)
}

/// What processes that live have promised.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    listed: HashSet<Leased>,
    /// Whether some process holds things that it could not list.
    everything: bool,
}

impl Promises {
    pub(crate) fn hold(&self, leased: Leased) -> bool {
        self.everything || self.listed.contains(&leased)
    }
}

/// Reads the leases of all processes that live. To be called under the exclusive sweep lock: nobody promises anything meanwhile.
///
/// # Errors
/// [`Error::Io`] and [`Error::Damaged`] where a lease cannot be read: what is not known to be free is not.
pub(crate) fn promises(layout: &Layout) -> Result<Promises> {
    const LEASE_BYTES_MAX: u64 = 4 << 30;
    let mut promises = Promises { everything: lock::is_held(&layout.unlisted_lock())?, ..Promises::default() };
    if promises.everything {
        return Ok(promises);
    }
    for name in disk::names_in(&layout.leases())? {
        let Some(name) = name.to_str().filter(|name| Layout::is_lease(name)) else { continue };
        let path = layout.leases().join(name);
        if !lock::is_held(&path)? {
            continue;
        }
        let Some(bytes) = disk::read_at_most(&path, LEASE_BYTES_MAX)? else { continue };
        let damaged = || Error::Damaged { path: path.clone(), reason: "it is no lease that this tickbarn reads".to_owned() };
        for record in bytes.strip_prefix(MAGIC).ok_or_else(damaged)?.chunks(RECORD_BYTES) {
            promises.listed.insert(Leased::of_record(record).ok_or_else(damaged)?);
        }
    }
    Ok(promises)
}

#[cfg(test)]
mod tests {
    //! Invariant 14 of ARCHITECTURE.md.

    use super::*;

    #[test]
    fn what_is_promised_is_read_back_until_the_process_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        std::fs::create_dir(layout.leases()).unwrap();
        let promised = [Leased::Entry(Address::of_canonical("{}")), Leased::Artifact(Digest::of(b"bytes"))];
        let lease = Lease::default();
        lease.add(&layout, promised);
        assert!(lease.covers(promised));
        let other = Leased::Artifact(Digest::of(b"others"));
        let read = promises(&layout).unwrap();
        assert!(promised.into_iter().all(|leased| read.hold(leased)) && !read.hold(other));
        // What the kernel does when a process ends.
        drop(lease);
        assert!(!promised.into_iter().any(|leased| promises(&layout).unwrap().hold(leased)));
    }

    #[test]
    fn what_cannot_be_listed_keeps_everything() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        std::fs::create_dir(layout.leases()).unwrap();
        let full = disk::seam::lay(directory.path(), 3, disk::seam::Fate::Fails(libc::ENOSPC));
        let lease = Lease::default();
        let leased = Leased::Artifact(Digest::of(b"bytes"));
        lease.add(&layout, [leased]);
        assert_eq!(full.struck().map(|(operation, _)| operation), Some(disk::Operation::Write));
        drop(full);
        assert!(lease.covers([leased]));
        assert!(promises(&layout).unwrap().hold(Leased::Artifact(Digest::of(b"others"))));
    }

    #[test]
    fn dead_leases_go_with_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        std::fs::create_dir(layout.leases()).unwrap();
        std::fs::write(layout.lease("1-dead"), MAGIC).unwrap();
        let lease = Lease::default();
        lease.add(&layout, [Leased::Artifact(Digest::of(b"bytes"))]);
        assert!(!layout.lease("1-dead").exists());
        assert_eq!(disk::names_in(&layout.leases()).unwrap().len(), 1);
    }
}
