//! Looking at everything in a store, without changing anything.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::fold::{Fold, Said};
use super::{Finding, FindingKind, FoundEntry, Repair, Watch};
use crate::address::{Address, Digest};
use crate::dataset::FileStat;
use crate::error::{Error, Result};
use crate::options::Verify;
use crate::parallel;
use crate::store::Store;
use crate::store::artifact::{self, Expected};
use crate::store::disk::{self, DRAFT_PREFIX};
use crate::store::journal::{Cursor, Read};
use crate::store::layout::{ArtifactKind, Layout};
use crate::store::lock;
use crate::store::manifest::Manifest;
use crate::store::pins;
use crate::store::sweep::Sweep;

/// A draft further from now than this is nobody's.
const DRAFT_AGE_MAX: Duration = Duration::from_secs(60);

/// What lies in a store, and what is wrong with it.
pub(super) struct Look {
    pub(super) findings: Vec<Finding>,
    pub(super) entries: usize,
    pub(super) artifacts: usize,
    pub(super) bytes: u64,
    pub(super) quarantined: usize,
    /// The manifests that were read, as `stat` told them just before, and the artifacts that they name.
    pub(super) manifests: HashMap<Address, FileStat>,
    pub(super) named: HashMap<(Digest, ArtifactKind), u64>,
}

/// A look that goes on.
struct Looking<'a> {
    store: &'a Store,
    layout: &'a Layout,
    verify: Verify,
    jobs: usize,
    watch: &'a Watch,
    look: Look,
    /// What each manifest says of its entry, in short.
    said: HashMap<Address, u64>,
    /// Whether each manifest could be read, if only to find it damaged.
    all_read: bool,
}

impl Look {
    /// What lies about, and nothing that is wrong but with manifests.
    pub(super) fn at_leftovers(store: &Store, jobs: usize) -> Result<Self> {
        let watch = Watch::default();
        let mut looking = Looking::new(store, Verify::Size, jobs, &watch);
        looking.top()?;
        looking.manifests()?;
        looking.list_artifacts()?;
        looking.leftovers()?;
        Ok(looking.look)
    }

    pub(super) fn at(store: &Store, verify: Verify, jobs: usize, watch: &Watch) -> Result<Self> {
        let mut looking = Looking::new(store, verify, jobs, watch);
        looking.top()?;
        looking.manifests()?;
        looking.artifacts()?;
        looking.journal()?;
        looking.programs()?;
        looking.pins()?;
        looking.leftovers()?;
        looking.locks();
        Ok(looking.look)
    }
}

impl<'a> Looking<'a> {
    fn new(store: &'a Store, verify: Verify, jobs: usize, watch: &'a Watch) -> Self {
        let look =
            Look { findings: Vec::new(), entries: 0, artifacts: 0, bytes: 0, quarantined: 0, manifests: HashMap::new(), named: HashMap::new() };
        Self { store, layout: store.layout(), verify, jobs, watch, look, said: HashMap::new(), all_read: true }
    }

    fn found(&mut self, kind: FindingKind, path: PathBuf, reason: impl Into<String>) {
        self.look.findings.push(Finding { kind, path, reason: reason.into(), entry: None, repair: Repair::Nothing });
    }

    fn found_of(&mut self, kind: FindingKind, path: PathBuf, reason: impl Into<String>, entry: FoundEntry) {
        self.look.findings.push(Finding { kind, path, reason: reason.into(), entry: Some(entry), repair: Repair::Nothing });
    }

    fn foreign(&mut self, path: PathBuf) {
        self.found(FindingKind::Foreign, path, "tickbarn did not put it here, and leaves it alone");
    }

    /// What stands beside the store's directories.
    fn top(&mut self) -> Result<()> {
        let ours: HashSet<PathBuf> = self.layout.directories().chain([self.layout.format_file()]).collect();
        for path in paths_in(self.layout.root())? {
            match () {
                () if ours.contains(&path) => {}
                () if is_draft(&path) => self.draft(path),
                () => self.foreign(path),
            }
        }
        Ok(())
    }

    /// What stands in the places of locks, and would keep everybody from publishing.
    fn locks(&mut self) {
        for path in self.layout.lasting_locks().into_iter().chain([self.layout.journal_lock()]) {
            if let Ok(metadata) = path.symlink_metadata()
                && (!metadata.is_file() || metadata.len() > 0)
            {
                self.found(
                    FindingKind::Misplaced,
                    path,
                    "something else stands in the place of a lock, which is an empty file; nothing can be published",
                );
            }
        }
    }

    /// The shards of a directory of records, those that are links left out and found.
    fn shards(&mut self, parent: &Path) -> Result<Vec<(String, PathBuf)>> {
        let mut shards = Vec::new();
        for path in paths_in(parent)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_shard = name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            match path.symlink_metadata() {
                Ok(metadata) if is_shard && metadata.is_dir() => shards.push((name, path)),
                Ok(_) if is_shard => self.found(
                    FindingKind::Misplaced,
                    path,
                    "a link or another file stands in the place of a directory of the store, and none is followed here; move it away",
                ),
                _ => self.foreign(path),
            }
        }
        shards.sort();
        Ok(shards)
    }

    fn manifests(&mut self) -> Result<()> {
        let parent = self.layout.entries();
        let mut addresses = Vec::new();
        for (shard, directory) in self.shards(&parent)? {
            for name in disk::names_in(&directory)? {
                let path = directory.join(&name);
                let address = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|stem| stem.parse::<Address>().ok());
                match address.filter(|address| address.to_string().starts_with(&shard)) {
                    Some(address) => addresses.push(address),
                    None if is_draft(&path) => self.draft(path),
                    None => self.foreign(path),
                }
            }
        }
        addresses.sort_unstable();
        let total = addresses.len() as u64;
        let done = AtomicU64::new(0);
        // In pieces, so that no more manifests than these are in memory at once.
        const AT_ONCE: usize = 1024;
        for some in addresses.chunks(AT_ONCE) {
            let read = parallel::map(self.jobs, some, |address| {
                // Before it is read: one that is replaced meanwhile is read again where that matters.
                let stat = self.layout.entry(address).symlink_metadata().map(|metadata| FileStat::of(&metadata));
                let read = Manifest::read(self.layout, address).map(|manifest| manifest.as_ref().map(Said::of).zip(stat.ok()));
                self.watch.tell("manifests", done.fetch_add(1, Ordering::Relaxed) + 1, total);
                read
            });
            for (address, read) in some.iter().zip(read) {
                match read {
                    Ok(Some((said, stat))) => {
                        self.look.entries += 1;
                        self.look.manifests.insert(*address, stat);
                        self.said.insert(*address, said.essence);
                        self.look.named.extend(said.artifacts.into_iter().map(|Expected { digest, bytes, kind }| ((digest, kind), bytes)));
                    }
                    // Gone since it was listed: quarantined by a load.
                    Ok(None) => {}
                    Err(error) => {
                        let reason = match error {
                            Error::Damaged { reason, .. } => reason,
                            error => {
                                self.all_read = false;
                                error.to_string()
                            }
                        };
                        self.found_of(FindingKind::Manifest, self.layout.entry(address), reason, FoundEntry { address: *address, place: None });
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds the artifacts that no entry names.
    fn list_artifacts(&mut self) -> Result<()> {
        let parent = self.layout.artifacts();
        let mut there = HashSet::new();
        for (shard, directory) in self.shards(&parent)? {
            for name in disk::names_in(&directory)? {
                let path = directory.join(&name);
                let parsed = name.to_str().and_then(ArtifactKind::parse).filter(|(digest, _)| digest.to_string().starts_with(&shard));
                match parsed {
                    Some(place) if self.look.named.contains_key(&place) => drop(there.insert(place)),
                    // What could not be read may name it.
                    Some(_) if !self.all_read => {}
                    Some(_) => {
                        let bytes = path.symlink_metadata().map_or(0, |metadata| metadata.len());
                        self.found(FindingKind::Orphan, path, format!("no entry names it; it has {bytes} bytes"));
                    }
                    None if is_draft(&path) => self.draft(path),
                    None => self.foreign(path),
                }
            }
        }
        Ok(())
    }

    fn artifacts(&mut self) -> Result<()> {
        self.list_artifacts()?;
        let mut expected: Vec<Expected> =
            self.look.named.iter().map(|((digest, kind), bytes)| Expected { digest: *digest, bytes: *bytes, kind: *kind }).collect();
        expected.sort_unstable_by_key(|expected| expected.digest);
        self.look.artifacts = expected.len();
        self.look.bytes = expected.iter().map(|expected| expected.bytes).sum();
        let weight = |expected: &Expected| if self.verify == Verify::Digest { expected.bytes } else { 1 };
        let total = expected.iter().map(weight).sum();
        let done = AtomicU64::new(0);
        let problems = parallel::map(self.jobs, &expected, |expected| {
            let problem = match artifact::wrong(self.layout, expected, self.verify) {
                Ok(wrong) => wrong.map(|wrong| wrong.reason),
                Err(error) => Some(error.to_string()),
            };
            self.watch.tell("artifacts", done.fetch_add(weight(expected), Ordering::Relaxed) + weight(expected), total);
            problem
        });
        let mut wrong = HashMap::new();
        for (expected, problem) in expected.into_iter().zip(problems) {
            let Some(reason) = problem else { continue };
            let kind = if expected.kind == ArtifactKind::Log { FindingKind::Log } else { FindingKind::Artifact };
            self.found(kind, self.layout.artifact(&expected.digest, expected.kind), reason.clone());
            wrong.insert((expected.digest, expected.kind), reason);
        }
        self.entries_that_name(&wrong)
    }

    /// The entries that have lost something. A log that is lost concerns nobody but who asks for it.
    fn entries_that_name(&mut self, wrong: &HashMap<(Digest, ArtifactKind), String>) -> Result<()> {
        if wrong.is_empty() {
            return Ok(());
        }
        let mut addresses: Vec<Address> = self.said.keys().copied().collect();
        addresses.sort_unstable();
        let mut named = HashSet::new();
        for address in addresses {
            let Ok(Some(manifest)) = Manifest::read(self.layout, &address) else { continue };
            named.extend(manifest.artifacts().map(|expected| self.layout.artifact(&expected.digest, expected.kind)));
            for expected in manifest.artifacts() {
                let Some(reason) = wrong.get(&(expected.digest, expected.kind)) else { continue };
                let kind = if expected.kind == ArtifactKind::Log { FindingKind::Log } else { FindingKind::Entry };
                let entry = FoundEntry { address, place: Some((manifest.dataset.clone(), manifest.instrument().clone(), manifest.interval())) };
                self.found_of(kind, self.layout.entry(&address), reason.clone(), entry);
                break;
            }
        }
        // What was collected since its manifest was read is nothing that is missed.
        let is_missed = |finding: &Finding| finding.entry.is_some() || named.contains(&finding.path) || finding.path.symlink_metadata().is_ok();
        self.look.findings.retain(|finding| !matches!(finding.kind, FindingKind::Artifact | FindingKind::Log) || is_missed(finding));
        Ok(())
    }

    fn journal(&mut self) -> Result<()> {
        let mut fold = Fold::default();
        let path = self.layout.journal();
        let bytes = self.store.journal().size()?.unwrap_or(0);
        self.watch.tell("journal", 0, bytes);
        let Some(cursor) = self.fold(&mut fold, None)? else { return Ok(()) };
        self.watch.tell("journal", bytes, bytes);
        let damaged: HashSet<Address> = self.look.findings.iter().filter_map(|finding| finding.entry.as_ref()).map(|entry| entry.address).collect();
        if self.suspects(&fold, &damaged).next().is_none() {
            return Ok(());
        }

        // Once more while nobody publishes: what was committed or replaced meanwhile is told by the journal's tail and by the manifests themselves.
        let _sweep = match Sweep::alone(self.layout) {
            Ok(sweep) => Some(sweep),
            Err(error) => {
                tracing::debug!(%error, "the journal is compared without the sweep lock");
                None
            }
        };
        if self.fold(&mut fold, Some(cursor))?.is_none() {
            return Ok(());
        }
        let suspects: Vec<Address> = self.suspects(&fold, &damaged).collect();
        let (mut unknown, mut gone, mut other) = (0usize, 0usize, 0usize);
        for address in suspects {
            let now = Manifest::read(self.layout, &address).ok().flatten().map(|manifest| Said::of(&manifest).essence);
            match (now, fold.said.get(&address)) {
                (now, told) if now.as_ref() == told => {}
                (None, Some(_)) if damaged.contains(&address) => {}
                (None, _) => gone += 1,
                (Some(_), None) => unknown += 1,
                (Some(_), Some(_)) => other += 1,
            }
        }
        if gone + other > 0 {
            let reason = format!("it says otherwise than the manifests: of {gone} entries it tells that have none, and of {other} something else");
            self.found(FindingKind::Journal, path, reason);
        } else if unknown > 0 {
            self.found(
                FindingKind::JournalTail,
                path,
                format!("of so many entries it does not tell: {unknown}; lookups find them by their manifests"),
            );
        }
        Ok(())
    }

    /// Folds the journal in from a cursor. `None` where it cannot be read, which is found.
    fn fold(&mut self, fold: &mut Fold, from: Option<Cursor>) -> Result<Option<Cursor>> {
        let path = self.layout.journal();
        Ok(match fold.read(self.store, from)? {
            Read::To(cursor) => Some(cursor),
            Read::Torn(cursor) => {
                if from.is_none() {
                    self.found(FindingKind::JournalTail, path, "it ends in the middle of a record; the next index to follow it writes it anew");
                }
                Some(cursor)
            }
            Read::Absent => {
                self.found(FindingKind::Journal, path, "it is gone");
                None
            }
            Read::Damaged(reason) => {
                self.found(FindingKind::Journal, path, reason);
                None
            }
        })
    }

    /// The addresses of which journal and manifests do not say the same. What is damaged has been found already.
    fn suspects<'b>(&'b self, fold: &'b Fold, damaged: &'b HashSet<Address>) -> impl Iterator<Item = Address> + 'b {
        let told_otherwise = self.said.iter().filter(|(address, essence)| fold.said.get(*address) != Some(*essence)).map(|(address, _)| *address);
        let gone = fold.said.keys().filter(|address| !self.said.contains_key(*address) && !damaged.contains(*address)).copied();
        told_otherwise.chain(gone)
    }

    fn programs(&mut self) -> Result<()> {
        for path in paths_in(&self.layout.programs())? {
            let digest = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<Digest>().ok());
            match digest {
                None if is_draft(&path) => self.draft(path),
                None => self.foreign(path),
                Some(digest) if self.verify == Verify::Digest => {
                    let problem = artifact::digest_problem(&path, &digest).unwrap_or_else(|error| Some(error.to_string()));
                    if let Some(problem) = problem {
                        self.found(FindingKind::Program, path, problem.replacen("artifact", "program", 1));
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn pins(&mut self) -> Result<()> {
        for path in paths_in(&self.layout.pins())? {
            match () {
                () if path.file_name().is_some_and(Layout::is_pin) => {
                    if let Some(reason) = pins::problem(self.layout, &path) {
                        self.found(FindingKind::Pin, path, reason);
                    }
                }
                () if is_draft(&path) => self.draft(path),
                () => self.foreign(path),
            }
        }
        Ok(())
    }

    fn leftovers(&mut self) -> Result<()> {
        for (shard, directory) in self.shards(&self.layout.failures())? {
            for path in paths_in(&directory)? {
                let address = address_of(&path, ".json").filter(|address| address.to_string().starts_with(&shard));
                match address {
                    Some(address) => {
                        if let Err(reason) = crate::store::failures::check(self.layout, &address) {
                            self.found(FindingKind::Leftover, path, format!("a record of a failure that cannot be read: {reason}"));
                        }
                    }
                    None if is_draft(&path) => self.draft(path),
                    None => self.foreign(path),
                }
            }
        }
        for path in paths_in(&self.layout.claims())? {
            match address_of(&path, "") {
                None => self.foreign(path),
                Some(_) => match lock::is_held(&path) {
                    Ok(false) if path.symlink_metadata().is_ok() => self.found(FindingKind::Leftover, path, "the claim of a process that is gone"),
                    Ok(_) => {}
                    Err(error) => self.found(FindingKind::Misplaced, path, error.to_string()),
                },
            }
        }
        for path in paths_in(&self.layout.work())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let owner = name.split('.').next().and_then(|name| name.parse::<Address>().ok());
            match owner {
                None if is_draft(&path) => self.draft(path),
                None => self.foreign(path),
                Some(address) if name.contains('.') || !lock::is_held(&self.layout.claim(&address)).unwrap_or(true) => {
                    self.found_of(FindingKind::Leftover, path, "the work directory of a process that is gone", FoundEntry { address, place: None });
                }
                Some(_) => {}
            }
        }
        let next = [self.layout.next_journal(), self.layout.compacted_journal()];
        for directory in [disk::parent(&next[0]).to_path_buf(), self.layout.indexes(), self.layout.leases()] {
            for path in paths_in(&directory)? {
                if is_draft(&path) || next.contains(&path) {
                    self.draft(path);
                }
            }
        }
        self.look.quarantined = disk::names_in(&self.layout.quarantine())?.len();
        Ok(())
    }

    /// A draft is a leftover only once nobody can still be at it.
    fn draft(&mut self, path: PathBuf) {
        // A directory tells of its names only; what is written in it tells of itself.
        let inside = disk::names_in(&path).unwrap_or_default().into_iter().map(|name| path.join(name));
        let now = SystemTime::now();
        let is_recent = |path: &Path| {
            let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
            // From a little in the future, where clocks differ.
            modified.is_ok_and(|modified| now.duration_since(modified).unwrap_or_else(|ahead| ahead.duration()) < DRAFT_AGE_MAX)
        };
        if is_recent(&path) || inside.into_iter().any(|path| is_recent(&path)) || path.symlink_metadata().is_err() {
            return;
        }
        self.found(FindingKind::Leftover, path, "a draft of a process that is gone");
    }
}

fn paths_in(directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(disk::names_in(directory)?.into_iter().map(|name| directory.join(name)).collect())
}

fn is_draft(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DRAFT_PREFIX))
}

fn address_of(path: &Path, suffix: &str) -> Option<Address> {
    path.file_name()?.to_str()?.strip_suffix(suffix)?.parse().ok()
}
