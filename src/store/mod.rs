//! WHERE entries lie: one directory, three layers, each rebuilt from the one above it.
//!
//! Manifests are the durable truth, the journal is their sequence, the index is the journal in order. `open` opens a store or makes one, `lookup` finds
//! entries, `publish` is the only way in, `pins` names what is to be kept, `verify` compares all of it.

mod artifact;
mod bounds;
mod checksum;
mod claim;
mod collect;
pub(crate) mod disk;
pub(crate) mod envelope;
mod extent;
mod failures;
mod index;
mod inventory;
mod journal;
mod layout;
mod lease;
mod listing;
mod loads;
mod lock;
mod lookup;
mod manifest;
mod neighbours;
mod open;
mod packed;
mod pins;
mod process;
mod publish;
mod record;
mod roots;
mod shard;
mod stock;
mod sums;
mod sweep;
#[cfg(test)]
mod sweeps;
mod usage;
mod verify;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use artifact::{StageError, adopt, can_be_leased, stage};
pub(crate) use claim::Claim;
pub(crate) use collect::Collector;
pub(crate) use disk::{open_existing, write_new};
pub use extent::Extent;
pub(crate) use extent::OwnedBy;
pub use failures::FailureRecord;
pub(crate) use index::{Held, Look, Window};
pub(crate) use inventory::{Inventory, Item, JournalUse, OnDamaged};
pub(crate) use layout::{INDEX_SLOTS, Layout};
pub use loads::RecentLoad;
pub(crate) use lock::{Holder, Lock, holders as lock_holders, is_held};
pub(crate) use lookup::{Found, Wanted};
pub use manifest::{Column, Empty, Manifest, OutputManifest, Provenance, Table};
pub(crate) use neighbours::{Neighbour, Site, neighbours_in};
pub(crate) use open::{format_at, resolved};
pub use pins::{Pin, PinCover};
pub(crate) use publish::{Publication, StagedOutput};
pub(crate) use record::Published;
pub(crate) use roots::Roots;
pub(crate) use sums::{Named, Summed, Sums};
#[cfg(test)]
pub(crate) use sweeps::table_of;
pub(crate) use usage::Seconds;
pub use verify::{Finding, FindingKind, FoundEntry, Repair, Verification, Verified, VerifyProgress};
pub(crate) use verify::{clear_leftover, lying_about};

use crate::address::{Address, AddressPrefix, Digest};
use crate::artifact::Artifact;
use crate::dataset::{FileStat, Fingerprints};
use crate::error::{Error, Result};
use crate::failure::Log;
use crate::filter::EntryFilter;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::options::{StoreOptions, Verify};
use artifact::{Expected, Presence};
use journal::Journal;
use layout::ArtifactKind;
use lease::{Lease, Leased};
use lookup::IndexState;
use manifest::StoredLog;
use process::PerProcess;
use record::EntryRecord;
pub(crate) use record::Span;
use shard::Shards;
use sweep::Sweep;

/// The names of a store's directories.
pub(crate) const PARTS: [&str; 12] = Layout::PARTS;

/// The formats of what lies in a store, as this library writes them.
pub(crate) fn formats() -> [(&'static str, u64); 6] {
    [
        ("store", open::STORE_FORMAT),
        ("manifest", manifest::FORMAT.into()),
        ("journal", version_in(journal::MAGIC)),
        ("lease", version_in(lease::MAGIC)),
        ("index", index::ROWS_VERSION.into()),
        ("uses", version_in(usage::MAGIC)),
    ]
}

/// The digit before the end of what a file begins with.
fn version_in(magic: &[u8]) -> u64 {
    magic.iter().rev().find(|byte| byte.is_ascii_digit()).map_or(0, |digit| u64::from(digit - b'0'))
}

/// What tests of other modules make inventories and roots of.
#[cfg(test)]
pub(crate) mod parts {
    pub(crate) use super::lease::{Leased, USE_SECONDS};
    pub(crate) use super::record::{EntryRecord, LogRecord, OutputRecord, Published};
}

const FINGERPRINTS_BYTES_MAX: u64 = 16 << 20;
/// No log is longer: both streams are capped while they are captured, and JSON writes a byte as at most six.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// A directory of entries and artifacts. Cheap to clone; clones share everything, each with options of its own.
///
/// Any number of processes may use one store at once. In a process that was forked from one which has it open, a store goes on to work: what belongs to
/// the parent, locks and the index among it, is neither used nor given back there.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    options: StoreOptions,
}

struct Inner {
    layout: Layout,
    id: String,
    /// Whether there is no store at the path, and nothing may be written there.
    imagined: bool,
    presence: Presence,
    entry_shards: Shards,
    own: PerProcess<Own>,
}

/// What no two processes share, not even a parent and its forked child.
struct Own {
    journal: Journal,
    index: Mutex<IndexState>,
    fingerprints: Fingerprints,
    /// The digests of artifacts that were read through. Never written down.
    read: Fingerprints,
    lease: Arc<Lease>,
    on_published: Mutex<Option<OnPublished>>,
}

/// Told of each publication, with its bytes.
pub(crate) type OnPublished = Arc<dyn Fn(u64) + Send + Sync>;

impl Own {
    fn new(layout: &Layout, id: &str) -> Self {
        let fingerprints = match disk::read_at_most(&layout.fingerprints(), FINGERPRINTS_BYTES_MAX) {
            Ok(Some(bytes)) => Fingerprints::from_bytes(&bytes),
            Ok(None) => Fingerprints::default(),
            Err(error) => {
                tracing::debug!(%error, "remembered digests are left aside");
                Fingerprints::default()
            }
        };
        let journal = Journal::new(layout.clone());
        Self {
            journal,
            index: Mutex::default(),
            fingerprints,
            read: Fingerprints::default(),
            lease: Lease::of(layout.root(), id),
            on_published: Mutex::default(),
        }
    }
}

/// An entry as a load hands it out.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Where it was found.
    pub address: Address,
    /// Its outputs in order of their names. None where the generator said by its exit code that the interval has no data.
    pub outputs: Vec<Artifact>,
    /// Whether the generator said that the interval has no data.
    pub empty: Option<Empty>,
    /// When its generator was started.
    pub started: Time,
    /// How long its generator ran, in seconds.
    pub seconds: f32,
    /// The same of everything that it was derived from, together.
    pub upstream_seconds: f32,
}

impl Entry {
    /// Whether it is the work of the same run: nothing was generated anew between the two looks.
    pub(crate) fn is_of_the_same_run(&self, other: &Entry) -> bool {
        (self.address, self.started) == (other.address, other.started)
    }

    /// The output of a name.
    pub fn output(&self, name: &str) -> Option<&Artifact> {
        self.outputs.iter().find(|output| &*output.name == name)
    }
}

/// An entry in a listing: with its place, and without being looked at on disk.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// The dataset's name when it was generated.
    pub dataset: Arc<str>,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// The entry.
    pub entry: Entry,
}

impl Store {
    /// The same store, used with these options by what this handle begins.
    pub fn with_options(self, options: StoreOptions) -> Self {
        Self { options, ..self }
    }

    /// How this handle uses the store.
    pub fn options(&self) -> StoreOptions {
        self.options
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.inner.layout.root()
    }

    /// Whether there is no store, and this one only stands for it: [`Store::open_or_imagine`].
    pub fn is_imagined(&self) -> bool {
        self.inner.imagined
    }

    /// The store's own name, the same as long as it exists and in every place it is moved to.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Every entry, in order of dataset, instrument and time.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be read. A damaged manifest is traced and left out.
    pub fn entries(&self) -> Result<Vec<Listed>> {
        self.entries_in(&EntryFilter::default())
    }

    /// The one entry whose address begins with a prefix.
    ///
    /// # Errors
    /// [`Error::UnknownAddress`] and [`Error::AmbiguousAddress`].
    pub fn resolve(&self, prefix: &AddressPrefix) -> Result<Address> {
        self.only_one(prefix, walk::addresses(self.layout(), Some(prefix))?)
    }

    /// The one entry or recorded failure whose address begins with a prefix.
    ///
    /// # Errors
    /// [`Error::UnknownAddress`] and [`Error::AmbiguousAddress`].
    pub fn resolve_any(&self, prefix: &AddressPrefix) -> Result<Address> {
        let mut addresses = walk::addresses(self.layout(), Some(prefix))?;
        addresses.extend(walk::failures(self.layout(), Some(prefix))?);
        addresses.sort_unstable();
        addresses.dedup();
        self.only_one(prefix, addresses)
    }

    fn only_one(&self, prefix: &AddressPrefix, matches: Vec<Address>) -> Result<Address> {
        match matches[..] {
            [address] => Ok(address),
            [] => Err(Error::UnknownAddress { prefix: prefix.as_str().to_owned(), store: self.path().to_path_buf() }),
            _ => Err(Error::AmbiguousAddress { prefix: prefix.as_str().to_owned(), matches }),
        }
    }

    /// Everything that is known of an entry; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] where its manifest fails its check.
    pub fn manifest(&self, address: &Address) -> Result<Option<Manifest>> {
        self.entry_shards()
            .problem(address.as_bytes()[0])
            .map_or(Ok(()), |reason| Err(Error::Damaged { path: self.layout().entry(address), reason }))?;
        Manifest::read(self.layout(), address)
    }

    /// The file of an output, whether or not it is there.
    pub fn artifact_path(&self, digest: &Digest) -> PathBuf {
        self.layout().artifact(digest, ArtifactKind::Parquet)
    }

    /// What is wrong with the file of an output, as far as that is seen without reading it; `None` where it is there with the recorded size.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be looked at.
    pub fn artifact_problem(&self, output: &OutputManifest) -> Result<Option<String>> {
        self.presence().problem(&output.digest, output.bytes)
    }

    /// What the generator of an entry wrote to its output streams, as far as it was kept.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a log of its own is gone or does not parse.
    pub fn log(&self, manifest: &Manifest) -> Result<Log> {
        match &manifest.log {
            StoredLog::Inline(log) => Ok(log.clone()),
            StoredLog::Artifact { digest, .. } => {
                let path = self.layout().artifact(digest, ArtifactKind::Log);
                let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
                let bytes = disk::read_at_most(&path, LOG_BYTES_MAX)?.ok_or_else(|| damaged("it is gone".to_owned()))?;
                serde_json::from_slice(&bytes).map_err(|error| damaged(format!("it does not parse: {error}")))
            }
        }
    }

    /// What is recorded of an address's failures since it was last generated.
    ///
    /// # Errors
    /// [`Error::Io`] where the record cannot be read.
    pub fn failure(&self, address: &Address) -> Result<Option<FailureRecord>> {
        failures::read(self.layout(), address)
    }

    /// Records a failure, adding to the count of those before.
    pub(crate) fn record_failure(&self, record: FailureRecord) -> Result<()> {
        failures::write(self.layout(), record)
    }

    /// Every recorded failure, in order of address.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be read.
    pub fn failures(&self) -> Result<Vec<FailureRecord>> {
        walk::failures(self.layout(), None)?.iter().filter_map(|address| self.failure(address).transpose()).collect()
    }

    /// Does blocking work with the store off the async threads. `what` names it, should it panic.
    pub(crate) async fn blocking<T: Send + 'static>(&self, what: &'static str, work: impl FnOnce(&Store) -> T + Send + 'static) -> Result<T> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|error| Error::Internal { what: format!("{what} ({error})") })
    }

    /// Takes the claim of an address, or nothing where another load or process holds it.
    pub(crate) fn try_claim(&self, address: Address) -> Result<Option<Claim>> {
        let claim = Claim::try_take(self.layout(), address)?;
        if claim.is_some() {
            // What could not be published in the end is not worth generating.
            drop(Sweep::shared(self.layout())?);
        }
        Ok(claim)
    }

    /// Whether some load or process holds the claim of an address at this moment.
    pub(crate) fn is_claimed(&self, address: &Address) -> Result<bool> {
        is_held(&self.layout().claim(address))
    }

    /// The digests of programs and inputs, remembered by their file status.
    pub(crate) fn fingerprints(&self) -> &Fingerprints {
        &self.own().fingerprints
    }

    /// Writes the remembered digests down for the next process. A store that cannot be written goes without.
    pub(crate) fn save_fingerprints(&self) {
        let Some(bytes) = self.fingerprints().learned() else { return };
        if let Err(error) = disk::replace_disposable(&self.layout().fingerprints(), &bytes) {
            tracing::debug!(%error, "digests are not remembered");
        }
    }

    /// Reads an artifact through, unless this process has and its file's status is the same, and gives that status. Where it is not what its digest says,
    /// it is set aside, and what is wrong is told.
    pub(crate) fn read_whole(&self, artifact: &Artifact) -> Result<Result<FileStat, String>> {
        match self.own().read.digest(&artifact.path) {
            Ok((digest, stat)) if digest == artifact.digest => return Ok(Ok(stat)),
            Err(error) if !matches!(&error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound) => return Err(error),
            _ => {}
        }
        let expected = Expected { digest: artifact.digest, bytes: artifact.bytes, kind: ArtifactKind::Parquet };
        let Some(wrong) = artifact::wrong(self.layout(), &expected, Verify::Digest)? else {
            return Ok(Err(format!("{} changed while it was read", artifact.path.display())));
        };
        let reason = wrong.reason.clone();
        artifact::set_wrong_aside(self.layout(), &[wrong])?;
        Ok(Err(reason))
    }

    /// A copy of a program, kept by digest for as long as this process lives at least. `digest` must be that of the file at `program`.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the file's bytes are others by now.
    pub(crate) fn snapshot(&self, program: &Path, digest: &Digest) -> Result<PathBuf> {
        const TRIES: usize = 3;
        let program = &program.canonicalize().map_err(Error::io("find", program))?;
        let kept = self.layout().program(digest);
        for _ in 0..TRIES {
            self.keep_program(program, digest, &kept)?;
            let _sweep = Sweep::shared(self.layout())?;
            if kept.symlink_metadata().is_ok() {
                self.lease().add(self.layout(), [Leased::Program(*digest)]);
                return Ok(kept);
            }
        }
        Err(Error::Damaged { path: kept, reason: "it goes as often as it is put there; look for what removes it".to_owned() })
    }

    fn keep_program(&self, program: &Path, digest: &Digest, kept: &Path) -> Result<()> {
        if let Ok(metadata) = kept.symlink_metadata() {
            if metadata.is_file() && self.fingerprints().digest(kept)?.0 == *digest {
                return Ok(());
            }
            artifact::set_damaged_aside(self.layout(), kept, "a kept program that is not what its name says")?;
        }
        let draft = disk::draft_directory(disk::parent(kept))?;
        let staged = match stage(program, draft.path().join("program")) {
            Ok(staged) => staged,
            Err(StageError::Store(error)) => return Err(error),
            Err(StageError::Absent) => return Err(Error::Damaged { path: program.to_path_buf(), reason: "it is gone".to_owned() }),
            Err(StageError::Unfit(what)) => return Err(Error::Damaged { path: program.to_path_buf(), reason: format!("it is {what}") }),
        };
        if staged.digest != *digest {
            // What was remembered of it may be what is wrong: it is read again next time.
            self.fingerprints().forget(program);
            return Err(Error::Damaged { path: program.to_path_buf(), reason: "it changed while it was copied".to_owned() });
        }
        disk::set_mode(&staged.file, &staged.path, 0o555)?;
        disk::sync(&staged.file, &staged.path)?;
        disk::rename_new_durably(&staged.path, kept).map(drop)
    }

    /// What to say beside a generator's own words where the disk that it works on is full; nothing otherwise.
    pub(crate) fn full_disk_hint(&self) -> String {
        const FULL_BYTES: u64 = 64 << 10;
        let work = self.layout().work();
        match rustix::fs::statvfs(&work) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BYTES => {
                format!("; the disk of {} is full, free some space", work.display())
            }
            _ => String::new(),
        }
    }

    /// The directory in which generators work.
    pub(crate) fn work_directory(&self) -> PathBuf {
        self.layout().work()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    fn own(&self) -> &Own {
        self.inner.own.get_or_make(|| Own::new(&self.inner.layout, &self.inner.id))
    }

    fn lease(&self) -> &Lease {
        &self.own().lease
    }

    /// Lets one thing be told of each publication from now on, by this process and through whatever handle.
    pub(crate) fn tell_of_publications(&self, told: &OnPublished) {
        *self.own().on_published.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(told));
    }

    /// Ends that, unless something else is told by now.
    pub(crate) fn tell_no_more_of_publications(&self, told: &OnPublished) {
        let mut current = self.own().on_published.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, told)) {
            *current = None;
        }
    }

    #[cfg(test)]
    pub(crate) fn tells_of_publications(&self) -> bool {
        self.own().on_published.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn tell_published(&self, entry: &Entry) {
        let told = self.own().on_published.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(told) = told {
            told(entry.outputs.iter().map(|output| output.bytes).sum());
        }
    }

    fn entry_shards(&self) -> &Shards {
        &self.inner.entry_shards
    }

    fn journal(&self) -> &Journal {
        &self.own().journal
    }

    fn presence(&self) -> &Presence {
        &self.inner.presence
    }

    fn index(&self) -> MutexGuard<'_, IndexState> {
        self.own().index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry as its record tells it.
    pub(crate) fn entry_of(&self, record: &EntryRecord) -> Entry {
        let outputs = record.outputs.iter().map(|output| Artifact {
            name: Arc::clone(&output.name),
            path: self.artifact_path(&output.digest),
            digest: output.digest,
            schema: output.schema,
            bytes: output.bytes,
            rows: output.rows,
            bounds: Arc::clone(&output.bounds),
        });
        Entry {
            address: record.address,
            outputs: outputs.collect(),
            empty: record.empty,
            started: record.started,
            seconds: record.seconds,
            upstream_seconds: record.upstream_seconds,
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
