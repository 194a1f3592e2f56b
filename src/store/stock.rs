//! What lies in a store besides entries, for who decides whether it may go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::{Address, Digest};
use crate::error::Result;
use crate::interval::Time;
use crate::store::inventory::Inventory;
use crate::store::roots::Roots;
use crate::store::{Store, disk, failures};

impl Store {
    /// Artifacts that nothing names any more and nobody holds, with their sizes: what was replaced, or what an earlier collector was stopped at.
    pub(crate) fn unnamed(&self, inventory: &Inventory, roots: &Roots) -> Vec<(PathBuf, u64)> {
        let path_of = |nth| inventory.artifact(nth).path(self.layout());
        let found = |path: PathBuf| path.symlink_metadata().ok().map(|metadata| (path, metadata.len()));
        inventory.unnamed().filter(|nth| !roots.is_artifact_leased(*nth)).map(path_of).filter_map(found).collect()
    }

    /// What lies in the trash, with sizes.
    pub(crate) fn trash(&self) -> Result<Vec<(PathBuf, u64)>> {
        let trash = self.layout().trash();
        Ok(disk::names_in(&trash)?.into_iter().map(|name| trash.join(name)).map(|path| (path.clone(), disk::size_of_tree(&path))).collect())
    }

    /// The kept programs, with their digests and sizes.
    pub(crate) fn programs(&self) -> Result<Vec<(PathBuf, Digest, u64)>> {
        let programs = self.layout().programs();
        let parsed = |name: std::ffi::OsString| Some((programs.join(&name), name.to_str()?.parse::<Digest>().ok()?));
        let names = disk::names_in(&programs)?.into_iter().filter_map(parsed);
        Ok(names.map(|(path, digest)| (path.clone(), digest, disk::size_of_tree(&path))).collect())
    }

    /// The journal's file and its size.
    pub(crate) fn journal_file(&self) -> Result<(PathBuf, u64)> {
        Ok((self.layout().journal(), self.journal().size()?.unwrap_or(0)))
    }

    /// Whether a path is that of a work directory.
    pub(crate) fn is_work(&self, path: &Path) -> bool {
        path.starts_with(self.layout().work())
    }

    /// Whether a path is that of a claim.
    pub(crate) fn is_claim(&self, path: &Path) -> bool {
        path.starts_with(self.layout().claims())
    }

    /// How many bytes something in the store takes, with all in it.
    pub(crate) fn bytes_of(&self, path: &Path) -> u64 {
        disk::size_of_tree(path)
    }

    /// How large the record of an address's failures is.
    pub(crate) fn failure_bytes(&self, address: &Address) -> u64 {
        disk::size_of_tree(&self.layout().failure(address))
    }

    /// How long ago a process that collects automatically last looked at the store; nothing where none has, or its clock is ahead.
    pub(crate) fn looked_at(&self) -> Option<Duration> {
        self.layout().looked().symlink_metadata().ok()?.modified().ok()?.elapsed().ok()
    }

    /// Says that it was looked at now.
    pub(crate) fn note_look(&self) {
        if let Err(error) = disk::replace_disposable(&self.layout().looked(), b"") {
            tracing::debug!(%error, "others may look at the store again sooner than needed");
        }
    }

    /// Forgets the failures of an address, unless it failed again after `last`. Says whether it did.
    pub(crate) fn clear_failure_until(&self, address: &Address, last: Time) -> Result<bool> {
        failures::clear_until(self.layout(), address, last)
    }
}
