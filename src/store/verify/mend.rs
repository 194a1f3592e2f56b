//! Mending what a look has found: the steps of `verify --repair`, in an order that may be stopped anywhere.
//!
//! Each entry is dropped under its claim and looked at once more there, so that what somebody is just making again is left to them. Artifacts are moved
//! while nobody publishes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::fold::Fold;
use super::look::Look;
use super::{Finding, FindingKind, FoundEntry, Repair};
use crate::address::{Address, Digest};
use crate::dataset::FileStat;
use crate::error::{Error, Result};
use crate::failure::{Log, LogText};
use crate::options::Verify;
use crate::store::artifact::{self, Expected};
use crate::store::claim::Claim;
use crate::store::disk;
use crate::store::layout::{ArtifactKind, Layout};
use crate::store::lease::{self, Leased};
use crate::store::lock::{Lock, PassingLock};
use crate::store::manifest::{Manifest, StoredLog};
use crate::store::sweep::Sweep;
use crate::store::{Store, pins, walk};

/// Mends, and says of each finding what was done about it.
pub(super) fn mend(store: &Store, verify: Verify, looked: Look) -> Result<Vec<Finding>> {
    let mut findings = looked.findings.clone();
    let mut mending = Mending { store, layout: store.layout(), verify, rebuild: false };
    let named = |kind: FindingKind| move |finding: &&mut Finding| finding.kind == kind;

    // First what stands in the way of all else: a link or a file in the place of a lock is moved as itself, and what it leads to stays.
    for finding in findings.iter_mut().filter(named(FindingKind::Misplaced)) {
        finding.repair = mending.attempt(|mending| Ok(quarantined(artifact::set_aside(mending.layout, &finding.path)?)));
    }
    for finding in findings.iter_mut().filter(|finding| matches!(finding.kind, FindingKind::Artifact | FindingKind::Log) && finding.entry.is_none()) {
        finding.repair = mending.attempt(|mending| mending.set_artifact_aside(finding, &looked.named));
    }
    for finding in findings.iter_mut().filter(|finding| matches!(finding.kind, FindingKind::Manifest | FindingKind::Entry)) {
        finding.repair = mending.attempt(|mending| mending.drop_entry(finding));
    }
    for finding in findings.iter_mut().filter(named(FindingKind::Log)).filter(|finding| finding.entry.is_some()) {
        finding.repair = mending.attempt(|mending| mending.forget_log(finding));
    }
    for finding in findings.iter_mut().filter(named(FindingKind::Program)) {
        finding.repair = mending.attempt(|mending| mending.set_program_aside(finding));
    }
    for finding in findings.iter_mut().filter(named(FindingKind::Pin)) {
        finding.repair = mending.look_at_pin(finding);
    }
    let of_journal = |finding: &Finding| matches!(finding.kind, FindingKind::Journal | FindingKind::JournalTail);
    let journal = findings.iter().any(of_journal);
    if journal || mending.rebuild {
        let rebuilt = mending.attempt(|mending| {
            // No commit is between its two records.
            let _sweep = Sweep::alone(mending.layout)?;
            mending.store.journal().write_anew().map(|()| Repair::Rebuilt)
        });
        findings.iter_mut().filter(|finding| of_journal(finding)).for_each(|finding| finding.repair = rebuilt.clone());
    }
    if let Err(error) = mending.orphans(&mut findings, &looked) {
        // Not one is moved unless all that names any could be read.
        findings.iter_mut().filter(named(FindingKind::Orphan)).for_each(|finding| finding.repair = Repair::Failed(error.to_string()));
    }
    for finding in findings.iter_mut().filter(named(FindingKind::Leftover)) {
        finding.repair = mending.attempt(|mending| clear(mending.layout, finding));
    }
    if let Err(error) = lease::remove_dead(store.layout()) {
        tracing::debug!(%error, "dead leases stay");
    }
    Ok(findings)
}

/// Where damaged manifests do not say what they were of, the journal does.
pub(super) fn know_places(store: &Store, findings: &mut [Finding]) -> Result<()> {
    let entry_of = |finding: &Finding| finding.entry.as_ref().filter(|entry| entry.place.is_none()).map(|entry| entry.address);
    let wanted: HashSet<Address> = findings.iter().filter(|finding| finding.kind == FindingKind::Manifest).filter_map(entry_of).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut fold = Fold::places_of(store, wanted)?;
    for entry in findings.iter_mut().filter_map(|finding| finding.entry.as_mut()).filter(|entry| entry.place.is_none()) {
        entry.place = fold.places.remove(&entry.address);
    }
    Ok(())
}

struct Mending<'a> {
    store: &'a Store,
    layout: &'a Layout,
    verify: Verify,
    /// Whether the journal speaks of something that was dropped, and nobody knows where to take it out.
    rebuild: bool,
}

fn in_use() -> Repair {
    Repair::Failed("another load is generating it at this moment; verify again when that is over".to_owned())
}

fn quarantined(moved: Option<std::path::PathBuf>) -> Repair {
    moved.map_or(Repair::NoLonger, Repair::Quarantined)
}

impl Mending<'_> {
    /// One step. That it fails is a part of what is found; the others go on.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<Repair>) -> Repair {
        step(self).unwrap_or_else(|error| Repair::Failed(error.to_string()))
    }

    fn set_artifact_aside(&self, finding: &Finding, named: &HashMap<(Digest, ArtifactKind), u64>) -> Result<Repair> {
        let Some(place @ (digest, kind)) = finding.path.file_name().and_then(|name| name.to_str()).and_then(ArtifactKind::parse) else {
            return Ok(Repair::Nothing);
        };
        let Some(bytes) = named.get(&place).copied() else { return Ok(Repair::Nothing) };
        // Read once more before the lock is taken that everybody waits for.
        let Some(wrong) = artifact::wrong(self.layout, &Expected { digest, bytes, kind }, self.verify)? else { return Ok(Repair::NoLonger) };
        if wrong.is_whole(self.layout)? {
            // It is the manifest that is wrong; others may name it, too.
            return Ok(Repair::NoLonger);
        }
        let _sweep = Sweep::alone(self.layout)?;
        match finding.path.symlink_metadata() {
            Ok(_) if wrong.is_still_there(self.layout) => Ok(quarantined(artifact::set_aside(self.layout, &finding.path)?)),
            Ok(_) => Ok(Repair::NoLonger),
            // There is nothing to move; what names it is dropped.
            Err(_) => Ok(Repair::Dropped(finding.path.clone())),
        }
    }

    fn set_program_aside(&self, finding: &Finding) -> Result<Repair> {
        let digest = finding.path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<Digest>().ok());
        // A load may have put a good one there.
        let problem = digest.map(|digest| artifact::digest_problem(&finding.path, &digest)).transpose()?.flatten();
        if problem.is_none() { Ok(Repair::NoLonger) } else { Ok(quarantined(artifact::set_aside(self.layout, &finding.path)?)) }
    }

    /// Only its user knows whether a pin may go.
    fn look_at_pin(&self, finding: &Finding) -> Repair {
        match pins::problem(self.layout, &finding.path) {
            None => Repair::NoLonger,
            Some(_) => Repair::Failed("a pin is left to its user: what it keeps could be collected without it".to_owned()),
        }
    }

    /// Takes an entry out of the store: first out of the journal, so that no index goes on answering with it.
    fn drop_entry(&mut self, finding: &Finding) -> Result<Repair> {
        let Some(FoundEntry { address, .. }) = &finding.entry else { return Ok(Repair::Nothing) };
        let Some(_claim) = Claim::try_take(self.layout, *address)? else { return Ok(in_use()) };
        match Manifest::read(self.layout, address) {
            Ok(None) => return Ok(Repair::NoLonger),
            Ok(Some(manifest)) => {
                let mut lost = false;
                for expected in manifest.artifacts().filter(|expected| expected.kind == ArtifactKind::Parquet) {
                    lost |= artifact::wrong(self.layout, &expected, self.verify)?.is_some();
                }
                if !lost {
                    return Ok(Repair::NoLonger);
                }
                self.store.journal().append(&[manifest.published().removed()])?;
            }
            Err(Error::Damaged { .. }) => self.rebuild = true,
            // Not being able to read it is no damage.
            Err(error) => return Err(error),
        }
        Ok(artifact::set_aside(self.layout, &self.layout.entry(address))?.map_or(Repair::NoLonger, Repair::Dropped))
    }

    /// Commits the entry once more, with a log that says that the log is lost: its tables are whole.
    fn forget_log(&self, finding: &Finding) -> Result<Repair> {
        let Some(FoundEntry { address, .. }) = &finding.entry else { return Ok(Repair::Nothing) };
        let Some(mut claim) = Claim::try_take(self.layout, *address)? else { return Ok(in_use()) };
        let path = self.layout.entry(address);
        let stat = || path.symlink_metadata().ok().map(|metadata| FileStat::of(&metadata));
        let before = stat();
        let Some(mut manifest) = Manifest::read(self.layout, address)? else { return Ok(Repair::NoLonger) };
        // A refresh may have brought another one.
        let log = manifest.artifacts().find(|expected| expected.kind == ArtifactKind::Log);
        if log.map(|log| artifact::wrong(self.layout, &log, self.verify)).transpose()?.flatten().is_none() {
            return Ok(Repair::NoLonger);
        }
        let text = "(the log was damaged, and is lost)\n".to_owned();
        let stderr = LogText { bytes: text.len() as u64, text, truncated: false };
        manifest.log = StoredLog::Inline(Log { stderr, ..Log::default() });
        let draft = claim.file("manifest");
        let file = disk::write_new(&draft, &manifest.to_bytes())?;
        disk::sync(&file, &draft)?;
        let _sweep = Sweep::shared(self.layout)?;
        if before.is_none() || stat() != before {
            // Collected, or replaced.
            return Ok(Repair::NoLonger);
        }
        let promises = manifest.artifacts().map(|artifact| Leased::Artifact(artifact.digest));
        self.store.lease().add_in_writing(self.layout, promises.chain([Leased::Entry(*address)]))?;
        disk::commit(&draft, &self.layout.entry(address), &claim.file("replaced"))?;
        Ok(Repair::Rebuilt)
    }

    /// Moves artifacts that no entry names, and no running process has been handed, to quarantine.
    fn orphans(&mut self, findings: &mut [Finding], looked: &Look) -> Result<()> {
        let mut orphans: Vec<&mut Finding> = findings.iter_mut().filter(|finding| finding.kind == FindingKind::Orphan).collect();
        if orphans.is_empty() {
            return Ok(());
        }
        let _sweep = Sweep::alone(self.layout)?;
        let promises = lease::promises(self.layout)?;
        let since = self.named_since(looked)?;
        for finding in &mut orphans {
            finding.repair = self.attempt(|mending| {
                let parsed = finding.path.file_name().and_then(|name| name.to_str()).and_then(ArtifactKind::parse);
                let Some(place @ (digest, _)) = parsed else { return Ok(Repair::Nothing) };
                if since.contains(&place) {
                    return Ok(Repair::NoLonger);
                }
                if promises.hold(Leased::Artifact(digest)) {
                    return Ok(Repair::InUse);
                }
                Ok(quarantined(artifact::set_aside(mending.layout, &finding.path)?))
            });
        }
        Ok(())
    }

    /// The artifacts that manifests name which were committed since the look.
    fn named_since(&self, looked: &Look) -> Result<HashSet<(Digest, ArtifactKind)>> {
        let mut named = HashSet::new();
        for address in walk::addresses(self.layout, None)? {
            let path = self.layout.entry(&address);
            let stat = path.symlink_metadata().map(|metadata| FileStat::of(&metadata)).map_err(Error::io("look at", &path))?;
            if looked.manifests.get(&address) != Some(&stat)
                && let Some(manifest) = Manifest::read(self.layout, &address)?
            {
                named.extend(manifest.artifacts().map(|expected| (expected.digest, expected.kind)));
            }
        }
        Ok(named)
    }
}

/// Removes what an interrupted process left.
pub(super) fn clear(layout: &Layout, finding: &Finding) -> Result<Repair> {
    let path = &finding.path;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Not by a claim, which makes a work directory anew: there may be no space left.
    let owner = name.parse::<Address>().ok().filter(|_| path.starts_with(layout.claims()) || path.starts_with(layout.work()));
    if let Some(address) = owner {
        let Some(_claim) = PassingLock::try_exclusive(&layout.claim(&address))? else { return Ok(Repair::NoLonger) };
        let work = layout.work_of(&address);
        return disk::remove_tree(&work).map(|()| Repair::Removed).map_err(Error::io("remove", work));
    }
    // Whoever writes the journal anew holds its lock.
    let _lock = if *path == layout.next_journal() { Some(Lock::exclusive(&layout.journal_lock(), Duration::from_secs(60))?) } else { None };
    disk::remove_tree(path).map_err(Error::io("remove", path))?;
    Ok(Repair::Removed)
}
