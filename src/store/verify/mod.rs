//! Verifying a store: whether everything that lies there agrees with everything else, and mending what does not.
//!
//! Looking takes no lock that anybody waits for, so a store may be in use meanwhile; what seems wrong is looked at once more while nobody publishes.
//! Mending moves what is damaged to `quarantine/`, drops the entries that have lost something, and writes the journal anew; whatever it does is done in
//! steps that may be stopped anywhere.

mod fold;
mod look;
mod mend;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::options::Verify;
use crate::parallel::machine_parallelism;
use crate::store::Store;

/// A verification in the making. See [`Store::verify`].
#[must_use = "nothing is verified until it is run"]
pub struct Verification {
    store: Store,
    verify: Verify,
    repair: bool,
    jobs: usize,
    progress: Watch,
}

type Callback = Box<dyn FnMut(&VerifyProgress) + Send>;

#[derive(Default)]
struct Watch(Mutex<Option<Callback>>);

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// What is being looked at: "manifests", "artifacts", "journal".
    pub stage: &'static str,
    /// How much of it is done: manifests or artifacts, bytes where digests are compared.
    pub done: u64,
    /// How much there is in all.
    pub total: u64,
}

/// What a verification found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// How many manifests were looked at.
    pub entries: usize,
    /// How many artifacts the manifests name.
    pub artifacts: usize,
    /// How many bytes those have in all.
    pub bytes: u64,
    /// Whether their bytes were read and compared with their digests.
    pub verify: Verify,
    /// What is wrong, and what lies about, in order of its paths.
    pub findings: Vec<Finding>,
    /// How many files lie in `quarantine/`.
    pub quarantined: usize,
    /// How long it took.
    pub elapsed: Duration,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// The entry that is concerned, where it is one.
    pub entry: Option<FoundEntry>,
    /// What was done about it.
    pub repair: Repair,
}

/// The entry that a finding is about, as far as anything still tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundEntry {
    /// Its address.
    pub address: Address,
    /// The dataset's name, the instrument and the partition.
    pub place: Option<(String, Instrument, Interval)>,
}

/// What kind of thing is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// A manifest that fails its check.
    Manifest,
    /// An artifact that is missing, of another size, or of other bytes than its name says.
    Artifact,
    /// An entry that names an artifact which is not as it should be.
    Entry,
    /// A generator's log that is missing or damaged. The entry's tables are whole.
    Log,
    /// The journal: damaged, or it says something else than the manifests.
    Journal,
    /// The journal's end: a crash kept records from it, or cut its last one. Lookups find those entries by their manifests.
    JournalTail,
    /// A kept copy of a program whose bytes are not those that its name says.
    Program,
    /// A pin that cannot be read. Nothing is collected while it is there, and mending leaves it alone.
    Pin,
    /// A link, or something else, in the place of one of the store's directories or files.
    Misplaced,
    /// A whole artifact that no entry names: of a publication that was cut short, or replaced. Nothing reads it; running programs may.
    Orphan,
    /// What an interrupted process left: a work directory, a claim, a draft.
    Leftover,
    /// A file that tickbarn did not put there. It is never touched.
    Foreign,
}

impl FindingKind {
    /// Whether it is a problem, rather than something that merely lies about.
    pub fn is_problem(self) -> bool {
        !matches!(self, FindingKind::JournalTail | FindingKind::Orphan | FindingKind::Leftover | FindingKind::Foreign)
    }

    /// The kind as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingKind::Manifest => "manifest",
            FindingKind::Artifact => "artifact",
            FindingKind::Entry => "entry",
            FindingKind::Log => "log",
            FindingKind::Journal => "journal",
            FindingKind::JournalTail => "journal-tail",
            FindingKind::Program => "program",
            FindingKind::Pin => "pin",
            FindingKind::Misplaced => "misplaced",
            FindingKind::Orphan => "orphan",
            FindingKind::Leftover => "leftover",
            FindingKind::Foreign => "foreign",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Nothing: it was not asked for, or there is nothing to do about it here.
    Nothing,
    /// It was moved here.
    Quarantined(PathBuf),
    /// It was removed from the index and the journal, and its manifest moved here: the next load makes it again.
    Dropped(PathBuf),
    /// It was written anew from the manifests.
    Rebuilt,
    /// It was removed.
    Removed,
    /// It was found as it should be on a second look.
    NoLonger,
    /// A running process was handed it, and may be reading it: it stays until that process ends.
    InUse,
    /// It could not be mended: why.
    Failed(String),
}

impl Verified {
    /// Whether nothing is wrong, or nothing is any more.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| match finding.repair {
            Repair::Nothing => !finding.kind.is_problem(),
            Repair::Failed(_) => false,
            _ => true,
        })
    }

    /// What is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.kind.is_problem())
    }

    /// The entries that were dropped, each once: what is to be made again.
    pub fn dropped(&self) -> Vec<&FoundEntry> {
        let mut seen = BTreeSet::new();
        let dropped =
            self.findings.iter().filter(|finding| matches!(finding.repair, Repair::Dropped(_))).filter_map(|finding| finding.entry.as_ref());
        dropped.filter(|entry| seen.insert(entry.address)).collect()
    }
}

impl Store {
    /// Verifies the store: manifests against artifacts and the other way round, keys against addresses, the journal against the manifests, and what lies
    /// about. A store may be in use meanwhile.
    ///
    /// Takes memory in proportion to the number of entries, a few hundred bytes each, whatever is in their files.
    ///
    /// ```no_run
    /// # fn main() -> tickbarn::Result<()> {
    /// let verified = tickbarn::Store::open_existing("barn")?.verify().digests().run()?;
    /// for finding in verified.problems() {
    ///     println!("{}: {}", finding.path.display(), finding.reason);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn verify(&self) -> Verification {
        let progress = Watch::default();
        Verification { store: self.clone(), verify: Verify::Size, repair: false, jobs: machine_parallelism(), progress }
    }
}

/// What lies about in a store and harms nobody: artifacts that no entry names, and what processes left that are gone. Every manifest is read.
///
/// # Errors
/// [`Error::Damaged`] where a manifest cannot be read: what it names is not known.
pub(crate) fn lying_about(store: &Store, jobs: usize) -> Result<Vec<Finding>> {
    let looked = look::Look::at_leftovers(store, jobs)?;
    if let Some(damaged) = looked.findings.iter().find(|finding| finding.kind == FindingKind::Manifest) {
        let reason =
            format!("{}; what it names is not known, so nothing that lies about is removed: `tickbarn verify --repair` first", damaged.reason);
        return Err(Error::Damaged { path: damaged.path.clone(), reason });
    }
    let lies_about = |finding: &Finding| matches!(finding.kind, FindingKind::Orphan | FindingKind::Leftover);
    Ok(looked.findings.into_iter().filter(lies_about).collect())
}

/// Removes what a process left that is gone. Says whether there was still something to remove.
pub(crate) fn clear_leftover(store: &Store, finding: &Finding) -> Result<bool> {
    Ok(mend::clear(store.layout(), finding)? == Repair::Removed)
}

impl Verification {
    /// Reads every artifact and compares its bytes with its digest. Without, sizes are compared.
    pub fn digests(self) -> Self {
        Self { verify: Verify::Digest, ..self }
    }

    /// Mends what is wrong: damaged files go to quarantine, entries that have lost something are dropped so that the next load makes them again, the
    /// journal is written anew, what an interrupted process left is removed. Nothing that is whole and named by an entry is touched. A damaged pin stays:
    /// without it, what it kept could be collected.
    pub fn repair(self) -> Self {
        Self { repair: true, ..self }
    }

    /// How many files are read at once, at least one. By default as many as the machine has processors.
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs: jobs.max(1), ..self }
    }

    /// Calls back as it goes on.
    pub fn progress(self, callback: impl FnMut(&VerifyProgress) + Send + 'static) -> Self {
        *self.progress.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(callback));
        self
    }

    /// Verifies. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where a directory cannot be listed. What is wrong with single files is a finding, not an error.
    pub fn run(self) -> Result<Verified> {
        let began = Instant::now();
        let Self { store, verify, repair, jobs, progress } = self;
        let mut looked = look::Look::at(&store, verify, jobs, &progress)?;
        // Before anything is mended: a journal that was written anew knows no more of what is damaged.
        mend::know_places(&store, &mut looked.findings)?;
        let look::Look { entries, artifacts, bytes, quarantined, .. } = looked;
        let mut findings = if repair { mend::mend(&store, verify, looked)? } else { looked.findings };
        findings.sort_by(|left, right| (&left.path, left.kind).cmp(&(&right.path, right.kind)));
        Ok(Verified { entries, artifacts, bytes, verify, findings, quarantined, elapsed: began.elapsed() })
    }
}

impl Watch {
    fn tell(&self, stage: &'static str, done: u64, total: u64) {
        if let Some(callback) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            callback(&VerifyProgress { stage, done, total });
        }
    }
}
