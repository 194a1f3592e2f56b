//! Every path inside a store. Nothing else in the library joins one.
//!
//! Names of datasets, instruments, outputs and pins never become paths here: files are named by addresses and digests alone.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::address::{Address, Digest};

/// The places of one store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// What an artifact's file is, which its extension tells other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ArtifactKind {
    /// A table.
    Parquet,
    /// A generator's log that is too long to stand in a manifest.
    Log,
}

impl ArtifactKind {
    /// What a file below `artifacts/` is called by its name; `None` where that is no name of ours.
    pub(crate) fn parse(name: &str) -> Option<(Digest, ArtifactKind)> {
        let (digest, extension) = name.split_once('.')?;
        let kind = [ArtifactKind::Parquet, ArtifactKind::Log].into_iter().find(|kind| kind.extension() == extension)?;
        Some((digest.parse().ok()?, kind))
    }

    fn extension(self) -> &'static str {
        match self {
            ArtifactKind::Parquet => "parquet",
            ArtifactKind::Log => "log",
        }
    }
}

/// The most processes that may have an index of their own on one store; further ones read manifests.
pub(crate) const INDEX_SLOTS: usize = 16;

/// How the names of leases end.
const LEASE_SUFFIX: &str = ".lease";

/// How the names of pins end.
const PIN_SUFFIX: &str = ".json";

impl Layout {
    /// The layout of the store at an absolute path.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directories of a new store.
    pub(crate) fn directories(&self) -> impl Iterator<Item = PathBuf> {
        Self::PARTS.into_iter().map(|name| self.root.join(name))
    }

    /// What they are called.
    pub(crate) const PARTS: [&str; 12] =
        ["entries", "artifacts", "failures", "journal", "index", "claims", "leases", "pins", "work", "programs", "quarantine", "trash"];

    /// Says what this directory is. Written last when a store is made.
    pub(crate) fn format_file(&self) -> PathBuf {
        self.root.join("STORE")
    }

    pub(crate) fn entries(&self) -> PathBuf {
        self.root.join("entries")
    }

    /// The directory of the records below `parent` whose names begin with these two digits.
    pub(crate) fn shard(parent: &Path, digits: &str) -> PathBuf {
        parent.join(digits)
    }

    /// The directories of entries by the first two digits of their addresses.
    pub(crate) fn shards_of_entries(&self) -> impl Iterator<Item = PathBuf> {
        shards(self.entries())
    }

    /// The directories of artifacts by the first two digits of their digests.
    pub(crate) fn shards_of_artifacts(&self) -> impl Iterator<Item = PathBuf> {
        shards(self.artifacts())
    }

    pub(crate) fn entry(&self, address: &Address) -> PathBuf {
        sharded(self.entries(), &address.to_string(), "json")
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(crate) fn artifact(&self, digest: &Digest, kind: ArtifactKind) -> PathBuf {
        sharded(self.artifacts(), &digest.to_string(), kind.extension())
    }

    /// An artifact's path below [`Layout::artifacts`].
    pub(crate) fn artifact_below(digest: &Digest, kind: ArtifactKind) -> PathBuf {
        sharded(PathBuf::new(), &digest.to_string(), kind.extension())
    }

    pub(crate) fn failures(&self) -> PathBuf {
        self.root.join("failures")
    }

    pub(crate) fn failure(&self, address: &Address) -> PathBuf {
        sharded(self.failures(), &address.to_string(), "json")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal").join("log")
    }

    /// Says how far the journal goes, so that one that was cut is known for it.
    pub(crate) fn journal_end(&self) -> PathBuf {
        self.root.join("journal").join("end")
    }

    /// Held while the journal is appended to or replaced.
    pub(crate) fn journal_lock(&self) -> PathBuf {
        self.root.join("journal").join("lock")
    }

    pub(crate) fn index_slot(&self, slot: usize) -> PathBuf {
        self.root.join("index").join(slot.to_string())
    }

    /// Held by the process whose index lies in the slot.
    pub(crate) fn index_slot_lock(&self, slot: usize) -> PathBuf {
        self.root.join("index").join(format!("{slot}.lock"))
    }

    /// Says what the files of a slot were when it was closed in order; absent while it is open.
    pub(crate) fn index_slot_seal(&self, slot: usize) -> PathBuf {
        self.root.join("index").join(format!("{slot}.seal"))
    }

    pub(crate) fn indexes(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Digests of programs and inputs by their file status: disposable.
    pub(crate) fn fingerprints(&self) -> PathBuf {
        self.root.join("index").join("fingerprints.json")
    }

    pub(crate) fn claims(&self) -> PathBuf {
        self.root.join("claims")
    }

    pub(crate) fn claim(&self, address: &Address) -> PathBuf {
        self.root.join("claims").join(address.to_string())
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// The promises of one process, by a name that no other process gives its own.
    pub(crate) fn lease(&self, name: &str) -> PathBuf {
        self.leases().join(format!("{name}{LEASE_SUFFIX}"))
    }

    /// Whether a name below [`Layout::leases`] is that of a lease.
    pub(crate) fn is_lease(name: &str) -> bool {
        name.ends_with(LEASE_SUFFIX)
    }

    /// Held shared by every process that could not write its lease: while it is, nothing may be collected.
    pub(crate) fn unlisted_lock(&self) -> PathBuf {
        self.leases().join("unlisted.lock")
    }

    /// Held by whoever lets the leases of dead processes go.
    pub(crate) fn dead_leases_lock(&self) -> PathBuf {
        self.leases().join("dead.lock")
    }

    /// Held by whoever collects, from the first look to the last removal.
    pub(crate) fn collector_lock(&self) -> PathBuf {
        self.leases().join("collector.lock")
    }

    /// When entries were last used.
    pub(crate) fn usage(&self) -> PathBuf {
        self.leases().join("used")
    }

    /// What the last loads found and made.
    pub(crate) fn loads(&self) -> PathBuf {
        self.leases().join("loads")
    }

    /// Says by its time when a process that collects automatically last looked.
    pub(crate) fn looked(&self) -> PathBuf {
        self.leases().join("looked")
    }

    /// Held by whoever waits to hold the sweep lock alone; passed through by everybody.
    pub(crate) fn sweep_gate(&self) -> PathBuf {
        self.leases().join("gate.lock")
    }

    /// The locks that a store is made with: who may only read it can take them, but not make them.
    pub(crate) fn lasting_locks(&self) -> [PathBuf; 5] {
        [self.sweep_lock(), self.sweep_gate(), self.unlisted_lock(), self.dead_leases_lock(), self.collector_lock()]
    }

    /// Held shared while an entry is published or handed out, exclusively while entries are collected.
    pub(crate) fn sweep_lock(&self) -> PathBuf {
        self.leases().join("sweep.lock")
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.root.join("pins")
    }

    /// The file of the pin of a name: half of the name's digest says which it is.
    pub(crate) fn pin(&self, name: &str) -> PathBuf {
        const DIGITS: usize = 32;
        self.pins().join(format!("{}{PIN_SUFFIX}", &Digest::of(name.as_bytes()).to_string()[..DIGITS]))
    }

    /// Whether what has this name below [`Layout::pins`] claims to be a pin.
    pub(crate) fn is_pin(name: &OsStr) -> bool {
        name.as_encoded_bytes().ends_with(PIN_SUFFIX.as_bytes())
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Where the holder of a claim works.
    pub(crate) fn work_of(&self, address: &Address) -> PathBuf {
        self.work().join(address.to_string())
    }

    /// Where the nth directory is put that stood in the place of [`Layout::work_of`] and could not be removed.
    pub(crate) fn work_left(&self, address: &Address, nth: usize) -> PathBuf {
        self.work().join(format!("{address}.left-{nth}"))
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    /// A copy of a program, kept by digest so that a rebuild cannot disturb a running generator.
    pub(crate) fn program(&self, digest: &Digest) -> PathBuf {
        self.root.join("programs").join(digest.to_string())
    }

    /// Where the nth damaged file of a name is set aside.
    pub(crate) fn quarantined(&self, name: &str, nth: usize) -> PathBuf {
        self.quarantine().join(if nth == 0 { name.to_owned() } else { format!("{name}.{nth}") })
    }

    /// Where a journal is written before it takes the place of another.
    pub(crate) fn next_journal(&self) -> PathBuf {
        self.root.join("journal").join("log.new")
    }

    /// Where large files go that are being removed.
    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Where a journal is copied that takes the place of another without what that says in vain.
    pub(crate) fn compacted_journal(&self) -> PathBuf {
        self.root.join("journal").join("log.compact")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }
}

fn shards(parent: PathBuf) -> impl Iterator<Item = PathBuf> {
    (0..=u8::MAX).map(move |shard| parent.join(format!("{shard:02x}")))
}

fn sharded(mut path: PathBuf, name: &str, extension: &str) -> PathBuf {
    path.reserve(name.len() + extension.len() + 5);
    path.push(&name[..2]);
    path.push(name);
    path.as_mut_os_string().push(".");
    path.as_mut_os_string().push(extension);
    path
}
