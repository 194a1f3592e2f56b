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

use crate::address::{Address, Digest};
use crate::error::{Error, Result};
use crate::store::Entry;
use crate::store::disk;
use crate::store::layout::Layout;
use crate::store::lock::{Lock, PassingLock};
use crate::store::process::PerProcess;

const MAGIC: &[u8] = b"tickbarn-lease-1\n";

/// Something that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Leased {
    Entry(Address),
    Artifact(Digest),
}

impl Leased {
    fn record(self) -> [u8; 33] {
        let mut record = [0; 33];
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
    /// The lease of this process on the store at a path. It outlives every handle to the store.
    pub(super) fn of(root: &Path) -> Arc<Self> {
        type Leases = Mutex<HashMap<PathBuf, Arc<Lease>>>;
        static LEASES: OnceLock<PerProcess<Leases>> = OnceLock::new();
        let leases = LEASES.get_or_init(|| PerProcess::new(Leases::default())).get_or_make(Leases::default);
        // One place, one lease, by whichever path it was opened.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        Arc::clone(leases.lock().unwrap_or_else(PoisonError::into_inner).entry(root).or_default())
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
        let written = written.and_then(|lease| disk::write_all(lease.file(), lease.path(), &records));
        let Err(error) = written else { return };
        tracing::debug!(%error, "a lease cannot be written: nothing is collected while this process lives");
        match Lock::shared(&layout.unlisted_lock()) {
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
    remove_dead(layout)?;
    let nonce = blake3::hash(format!("{:?} {:?}", std::time::Instant::now(), std::time::SystemTime::now()).as_bytes());
    let path = layout.lease(&format!("{}-{}", std::process::id(), &nonce.to_hex()[..16]));
    let lease = PassingLock::try_exclusive_of_records(&path)?.ok_or_else(|| Error::Internal { what: "locking a new lease".to_owned() })?;
    disk::write_all(lease.file(), &path, MAGIC)?;
    Ok(lease)
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
