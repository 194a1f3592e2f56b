//! Leases: what a process has handed out and when, and nobody may collect while it lives.
//!
//! A lease is a file that its process holds locked, `tickbarn-lease-2` and a newline, then records of 33 bytes: `t` and the seconds since the epoch at
//! which what follows was handed out, `e` and an entry's address, `a` and an artifact's digest, `p` and the digest of a kept program. Whoever collects
//! reads all leases whose locks are held. One whose lock can be taken is a dead process's: what it says of when entries were used is noted in
//! [`usage`], and it goes.
//!
//! # Invariants
//! * What a load finds is in the lease before the sweep lock is given back under which it was found. What was leased earlier needs no lock: nobody can
//!   have collected it.
//! * Entries that are handed out again are written down again, but once in ten minutes: that is how their use is known without a write for a hit.
//! * A lease lasts as long as its process: lazy frames read files long after the store that gave them was dropped.
//! * A process that cannot write its lease (a full disk, a store that is only read) holds the lock of the unlisted instead, which keeps everything. It
//!   cannot publish.
//! * Dead leases go only under their lock, which whoever collects has from before it looks at the store until it is done: all that was published
//!   meanwhile stands in a lease that is still there.

use std::collections::{HashMap, HashSet};
use std::io::{Seek, SeekFrom};
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
use crate::store::usage::{self, Seconds};

pub(super) const MAGIC: &[u8] = b"tickbarn-lease-2\n";
const RECORD_BYTES: usize = 33;
const LEASE_BYTES_MAX: u64 = 4 << 30;
/// How coarsely it is known when something was used, in seconds.
pub(crate) const USE_SECONDS: u32 = 600;
/// How long the lock of the unlisted is waited for, which others hold alone only to look whether it is held.
const UNLISTED_PATIENCE: Duration = Duration::from_secs(5);

/// Something that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Leased {
    Entry(Address),
    Artifact(Digest),
    Program(Digest),
}

/// One record of a lease.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Record {
    Leased(Leased),
    At(Seconds),
}

impl Record {
    fn parse(record: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (kind, bytes) = record.split_first_chunk::<1>()?;
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        match kind {
            b"e" => Some(Record::Leased(Leased::Entry(Address::from_bytes(bytes)))),
            b"a" => Some(Record::Leased(Leased::Artifact(Digest::from_bytes(bytes)))),
            b"p" => Some(Record::Leased(Leased::Program(Digest::from_bytes(bytes)))),
            b"t" => Some(Record::At(Seconds(u32::from_le_bytes(*bytes.first_chunk()?)))),
            _ => None,
        }
    }

    fn bytes(self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        let mut put = |kind: u8, bytes: &[u8]| {
            record[0] = kind;
            record[1..=bytes.len()].copy_from_slice(bytes);
        };
        match self {
            Record::Leased(Leased::Entry(address)) => put(b'e', address.as_bytes()),
            Record::Leased(Leased::Artifact(digest)) => put(b'a', digest.as_bytes()),
            Record::Leased(Leased::Program(digest)) => put(b'p', digest.as_bytes()),
            Record::At(Seconds(seconds)) => put(b't', &seconds.to_le_bytes()),
        }
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
    /// What was promised, and the period of [`USE_SECONDS`] in which that was last written down.
    listed: HashMap<Leased, u32>,
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

    /// Whether all of these were promised before, and entries in this period.
    pub(super) fn covers(&self, promises: impl IntoIterator<Item = Leased>) -> bool {
        let period = period_of(Seconds::now());
        let state = self.state();
        promises.into_iter().all(|leased| state.listed.get(&leased).is_some_and(|listed| *listed == period || !matches!(leased, Leased::Entry(_))))
    }

    /// Promises these. To be called under the sweep lock. Never fails: where the promise cannot be written down, everything is promised.
    pub(super) fn add(&self, layout: &Layout, promises: impl IntoIterator<Item = Leased>) {
        let mut state = self.state();
        let now = Seconds::now();
        let (records, fresh) = state.list(now, promises, false);
        if records.is_empty() || state.unlisted.is_some() {
            return;
        }
        let Err(error) = state.write(layout, now, &records) else { return };
        tracing::debug!(%error, "a lease cannot be written: nothing is collected while this process lives");
        match Lock::shared(&layout.unlisted_lock(), UNLISTED_PATIENCE) {
            Ok(lock) => state.unlisted = Some(lock),
            Err(error) => {
                tracing::warn!(%error, "what is handed out cannot be kept from being collected");
                state.forget(&fresh);
            }
        }
    }

    /// The same where only a promise in writing will do. To be called under the sweep lock.
    pub(super) fn add_in_writing(&self, layout: &Layout, promises: impl IntoIterator<Item = Leased>) -> Result<()> {
        let mut state = self.state();
        let now = Seconds::now();
        let all = state.unlisted.is_some();
        let (records, fresh) = state.list(now, promises, all);
        if records.is_empty() {
            return Ok(());
        }
        state.write(layout, now, &records).inspect_err(|_| state.forget(&fresh))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A promise too many harms nobody, and each is listed before it is written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lists promises. Gives the records of those that are to be written down, and what was not listed before.
    fn list(&mut self, now: Seconds, promises: impl IntoIterator<Item = Leased>, all: bool) -> (Vec<u8>, Vec<Leased>) {
        let period = period_of(now);
        let (mut records, mut fresh) = (Vec::new(), Vec::new());
        for leased in promises {
            let listed = self.listed.insert(leased, period);
            if listed.is_none() {
                fresh.push(leased);
            }
            if all || listed.is_none_or(|listed| listed != period && matches!(leased, Leased::Entry(_))) {
                records.extend_from_slice(&Record::Leased(leased).bytes());
            }
        }
        (records, fresh)
    }

    fn forget(&mut self, promises: &[Leased]) {
        for leased in promises {
            self.listed.remove(leased);
        }
    }

    fn write(&mut self, layout: &Layout, now: Seconds, records: &[u8]) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(layout)?),
        };
        append(file, &[&Record::At(now).bytes(), records].concat())
    }
}

fn period_of(Seconds(seconds): Seconds) -> u32 {
    seconds / USE_SECONDS
}

fn create(layout: &Layout) -> Result<PassingLock> {
    const TRIES: usize = 10;
    if let Err(error) = remove_dead(layout) {
        tracing::debug!(%error, "dead leases stay for now");
    }
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
    // A write that failed has moved on before it was cut back.
    let bytes = lease.file().seek(SeekFrom::End(0)).map_err(Error::io("find the end of", lease.path()))?;
    disk::write_all(lease.file(), lease.path(), records).inspect_err(|_| drop(disk::cut(lease.file(), lease.path(), bytes)))
}

/// The right to let dead leases go, held by one process at a time.
#[derive(Debug)]
pub(crate) struct DeadLeases {
    _lock: Lock,
}

impl DeadLeases {
    /// Waits a little for it: others have it while they let a few leases go.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(crate) fn lock(layout: &Layout) -> Result<Self> {
        const PATIENCE: Duration = Duration::from_secs(10);
        Ok(Self { _lock: Lock::exclusive(&layout.dead_leases_lock(), PATIENCE)? })
    }

    fn try_lock(layout: &Layout) -> Result<Option<Self>> {
        Ok(Lock::try_exclusive(&layout.dead_leases_lock())?.map(|lock| Self { _lock: lock }))
    }

    /// Notes what the leases of processes that are no more say of when entries were used, and removes them. Gives back the names of those that had to
    /// stay, since that could not be noted (a full disk), and what they said.
    pub(crate) fn remove(&self, layout: &Layout) -> Result<Departed> {
        let mut departed = Departed::default();
        for name in names(layout)? {
            let path = layout.leases().join(&name);
            let Ok(Some(lease)) = PassingLock::try_exclusive_of_records(&path) else { continue };
            let mut uses = Vec::new();
            match read_records(&path, 0, |_, used| uses.extend(used)) {
                Ok(_) => {}
                // Nobody holds what it says; what was whole of it is noted.
                Err(error @ Error::Damaged { .. }) => tracing::debug!(%error, "a dead lease is damaged"),
                // What it says of when entries were used may be read the next time.
                Err(error) => {
                    tracing::debug!(%error, "a dead lease cannot be read, and stays for now");
                    lease.leave();
                    continue;
                }
            }
            match usage::note(layout, &uses) {
                // Dropping the lock removes its file.
                Ok(()) => departed.removed += 1,
                Err(error) => {
                    tracing::debug!(%error, "a dead lease stays for now");
                    lease.leave();
                    departed.left.insert(name);
                    departed.uses.extend(uses);
                }
            }
        }
        Ok(departed)
    }

    /// Notes what the leases that are there say, also of processes that live: they may go on for weeks with what they loaded once. Then keeps of all that
    /// was noted what is of these entries.
    pub(crate) fn note_uses(&self, layout: &Layout, uses: &[(Address, Seconds)], keep: impl Fn(&usage::Prefix) -> bool) -> Result<()> {
        usage::note(layout, uses)?;
        usage::rewrite(layout, keep)
    }
}

/// What became of dead leases.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    pub(crate) removed: usize,
    /// The names of those that stayed.
    pub(crate) left: HashSet<String>,
    pub(crate) uses: Vec<(Address, Seconds)>,
}

/// Removes the leases of processes that are no more, unless somebody else is at it or collects.
pub(crate) fn remove_dead(layout: &Layout) -> Result<usize> {
    let Some(dead) = DeadLeases::try_lock(layout)? else { return Ok(0) };
    Ok(dead.remove(layout)?.removed)
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
    let mut promises = Promises { everything: is_anyone_unlisted(layout)?, ..Promises::default() };
    if !promises.everything {
        let listed = &mut promises.listed;
        read_living(layout, |leased, _| listed.extend([leased]), |_| {})?;
    }
    Ok(promises)
}

/// Whether some process that lives holds things that it could not list.
pub(crate) fn is_anyone_unlisted(layout: &Layout) -> Result<bool> {
    const LOOKS: usize = 3;
    const PAUSE: Duration = Duration::from_millis(1);
    for _ in 0..LOOKS {
        if !lock::is_held(&layout.unlisted_lock())? {
            return Ok(false);
        }
        // Another one who looks holds it for a moment, too.
        std::thread::sleep(PAUSE);
    }
    Ok(true)
}

/// Hands on what the leases of processes that live say, with when entries were used; `used` what those of others say of that. Gives back how many live.
///
/// # Errors
/// [`Error::Io`] and [`Error::Damaged`] where a lease of one that lives cannot be read.
pub(crate) fn read_living(
    layout: &Layout,
    mut leased: impl FnMut(Leased, Option<(Address, Seconds)>),
    mut used: impl FnMut((Address, Seconds)),
) -> Result<usize> {
    let mut living = 0;
    for name in names(layout)? {
        let path = layout.leases().join(&name);
        if lock::is_held(&path)? {
            read_records(&path, 0, &mut leased)?;
            living += 1;
        } else {
            let _ = read_records(&path, 0, |_, at| at.into_iter().for_each(&mut used));
        }
    }
    Ok(living)
}

/// Reads leases as they grow.
#[derive(Debug)]
pub(crate) struct Follower {
    /// How far each was read.
    read: HashMap<String, u64>,
    /// Those that count for nothing: dead before anything was looked at.
    dead: HashSet<String>,
}

impl Follower {
    pub(crate) fn new(dead: HashSet<String>) -> Self {
        Self { read: HashMap::new(), dead }
    }

    /// Hands on what was added since the last time.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Damaged`] where a lease cannot be read.
    pub(crate) fn read_on(&mut self, layout: &Layout, mut sink: impl FnMut(Leased, Option<(Address, Seconds)>)) -> Result<()> {
        for name in names(layout)? {
            if self.dead.contains(&name) {
                continue;
            }
            let path = layout.leases().join(&name);
            let from = self.read.entry(name).or_insert(0);
            if *from > 0 && path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == *from) {
                continue;
            }
            *from = read_records(&path, *from, &mut sink)?;
        }
        Ok(())
    }

    /// How many processes it has read of.
    pub(crate) fn processes(&self) -> usize {
        self.read.len()
    }
}

fn names(layout: &Layout) -> Result<Vec<String>> {
    let names = disk::names_in(&layout.leases())?.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| Layout::is_lease(name)).collect())
}

/// Hands on the records of a lease from an offset on, with when each entry was used, and says where they end. A part of a record at the end was never
/// promised to anybody: its process ended while it wrote.
fn read_records(path: &Path, from: u64, mut sink: impl FnMut(Leased, Option<(Address, Seconds)>)) -> Result<u64> {
    let damaged = |reason: &str| Error::Damaged { path: path.to_path_buf(), reason: format!("{reason}; end the process that its name begins with") };
    let Some(bytes) = disk::read_from(path, from, LEASE_BYTES_MAX)? else { return Ok(from) };
    let (records, begin) = match from {
        // Made, and not yet begun.
        0 if MAGIC.starts_with(&bytes) && bytes.len() < MAGIC.len() => return Ok(0),
        0 => (bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no lease that this tickbarn reads"))?, MAGIC.len() as u64),
        _ => (&bytes[..], from),
    };
    let (whole, _) = records.as_chunks::<RECORD_BYTES>();
    // Each write begins with its time.
    let mut at = Seconds::default();
    for record in whole {
        match Record::parse(record).ok_or_else(|| damaged("it holds what is no record of a lease"))? {
            Record::At(seconds) => at = seconds,
            Record::Leased(leased) => sink(leased, if let Leased::Entry(address) = leased { Some((address, at)) } else { None }),
        }
    }
    Ok(begin + (whole.len() * RECORD_BYTES) as u64)
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
        let full = disk::seam::lay(directory.path(), 4, disk::seam::Fate::Fails(libc::ENOSPC));
        let lease = Lease::default();
        let leased = Leased::Artifact(Digest::of(b"bytes"));
        lease.add(&layout, [leased]);
        assert_eq!(full.struck().map(|(operation, _)| operation), Some(disk::Operation::Write), "{:?}", full.seen());
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
        assert_eq!(names(&layout).unwrap().len(), 1);
    }
}
