//! Publishing an entry: the one sequence of steps by which anything gets into a store.
//!
//! Order, and why: artifacts are durable before the manifest that names them, the manifest's rename is the commit, and the journal follows it. A
//! crash before the commit leaves files that nobody reads; one between commit and journal leaves an entry that a lookup finds through its manifest.

use crate::dataset::{Key, StoredKey};
use crate::error::{Error, Result};
use crate::failure::Log;
use crate::store::artifact::{self, Staged};
use crate::store::claim::Claim;
use crate::store::disk;
use crate::store::failures;
use crate::store::layout::ArtifactKind;
use crate::store::lease::{Leased, promised_by};
use crate::store::manifest::{Empty, Manifest, OutputManifest, Provenance, StoredLog, Table};
use crate::store::record::JournalRecord;
use crate::store::sweep::Sweep;
use crate::store::{Entry, Store};

/// A log up to this size, as JSON, stands in its manifest: that keeps a manifest quick to read.
const INLINE_LOG_BYTES_MAX: usize = 4096;

/// What is to be published.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) dataset: String,
    pub(crate) key: Key,
    pub(crate) outputs: Vec<StagedOutput>,
    pub(crate) empty: Option<Empty>,
    pub(crate) provenance: Provenance,
    pub(crate) log: Log,
}

/// An output that was staged and found to be a whole table.
#[derive(Debug)]
pub(crate) struct StagedOutput {
    pub(crate) name: String,
    pub(crate) staged: Staged,
    pub(crate) table: Table,
}

impl StagedOutput {
    fn manifest(&self) -> (String, OutputManifest) {
        let Self { name, staged, table } = self;
        (name.clone(), OutputManifest { digest: staged.digest, bytes: staged.bytes, table: table.clone() })
    }
}

impl Store {
    /// Publishes an entry under its claim. On return it is durable, and every process's next load finds it.
    ///
    /// An entry of the same address is replaced at the commit; until then it stays.
    pub(crate) fn publish(&self, claim: &mut Claim, publication: Publication) -> Result<Entry> {
        let Publication { dataset, key, outputs, empty, provenance, log } = publication;
        let layout = self.layout();
        let address = key.address();
        let log_bytes = serde_json::to_vec(&log).expect("a log is plain text");
        let (log, staged_log) = if log_bytes.len() <= INLINE_LOG_BYTES_MAX {
            (StoredLog::Inline(log), None)
        } else {
            let staged = artifact::stage_bytes(&log_bytes, claim.file("log"), ArtifactKind::Log)?;
            (StoredLog::Artifact { digest: staged.digest, bytes: staged.bytes }, Some(staged))
        };
        let staged: Vec<&Staged> = outputs.iter().map(|output| &output.staged).chain(&staged_log).collect();
        let manifest = Manifest {
            format: Manifest::format(),
            address,
            dataset,
            key: StoredKey::from(&key),
            outputs: outputs.iter().map(StagedOutput::manifest).collect(),
            empty,
            provenance,
            log,
        };
        let published = manifest.published();
        let draft = claim.file("manifest");
        let draft_file = disk::write_new(&draft, &manifest.to_bytes())?;
        disk::sync_all(staged.iter().map(|staged| (&staged.file, staged.path.as_path())).chain([(&draft_file, draft.as_path())]))?;

        let sweep = self.store_artifacts(&staged)?;
        let path = layout.entry(&address);
        disk::ensure_directory(disk::parent(&path))?;
        let entry = self.entry_of(&published.entry);
        // In writing: whoever collects while this goes on knows by it what a commit names that its journal does not tell yet.
        let log = staged_log.as_ref().map(|log| Leased::Artifact(log.digest));
        // What is replaced is back in its place if the commit has to be taken back.
        let replaces = path.symlink_metadata().is_ok();
        let replaced = if replaces { Manifest::read(layout, &address).ok().flatten() } else { None };
        let kept = replaced.iter().flat_map(Manifest::artifacts).map(|artifact| Leased::Artifact(artifact.digest));
        self.lease().add_in_writing(layout, promised_by(&entry).chain(log).chain(kept))?;
        if replaces {
            // An index must not go on answering with what is replaced, should we be stopped between commit and journal.
            self.journal().append(&[published.removed()])?;
        }
        disk::commit(&draft, &path, &claim.file("replaced"))?;
        tracing::debug!(%address, outputs = entry.outputs.len(), "committed");
        if let Err(error) = self.journal().append(&[JournalRecord::Published(published)]) {
            // It is committed: lookups find it through its manifest.
            tracing::warn!(%error, "an entry is committed, and the journal could not be told");
        }
        // Not before: who holds it alone finds every commit in the journal.
        drop(sweep);
        if let Err(error) = failures::clear(layout, &address) {
            tracing::warn!(%error, "an old failure record stays behind");
        }
        self.tell_published(&entry);
        Ok(entry)
    }

    /// Brings staged files to their places. The lock that comes back is to be held until the manifest is committed: the collector must not see an
    /// artifact whose manifest is still on its way.
    fn store_artifacts(&self, staged: &[&Staged]) -> Result<Sweep> {
        const TRIES: usize = 3;
        let mut wrong = Vec::new();
        for _ in 0..TRIES {
            let same = artifact::compare(self.layout(), staged.iter().copied())?;
            let sweep = Sweep::shared(self.layout())?;
            wrong = artifact::store(self.layout(), staged.iter().copied(), &same)?;
            if wrong.is_empty() {
                return Ok(sweep);
            }
            drop(sweep);
            artifact::set_wrong_aside(self.layout(), &wrong)?;
        }
        let reason = "it holds other bytes than its name says, and comes back when it is set aside; look for what writes there".to_owned();
        Err(Error::Damaged { path: wrong[0].path(self.layout()), reason })
    }

    /// Sets an entry aside that fails its check, under its claim, so that nobody trips over it again.
    ///
    /// The artifacts that fail the check go too; whoever else names them finds them missing, and makes them again.
    pub(crate) fn quarantine(&self, key: &Key, reason: &str) -> Result<()> {
        let address = key.address();
        let layout = self.layout();
        self.journal().append(&[JournalRecord::Removed {
            generator: key.generator(),
            instrument: key.instrument().clone(),
            start: key.interval().start(),
            address,
        }])?;
        if let Ok(Some(manifest)) = Manifest::read(layout, &address) {
            // Looked for before the lock that everybody waits for.
            let verify = self.options().verify;
            let mut wrong = Vec::new();
            for expected in manifest.artifacts() {
                wrong.extend(artifact::wrong(layout, &expected, verify)?);
            }
            if !wrong.is_empty() {
                artifact::set_wrong_aside(layout, &wrong)?;
            }
        }
        artifact::set_damaged_aside(layout, &layout.entry(&address), &format!("the entry of {} {}, since {reason}", key.instrument(), key.interval()))
    }
}
