//! What a view has made in its directory: a file there says it, and nothing else is ever removed or replaced.
//!
//! # Invariants
//! * A link is listed, durably, before it is made, and until it is durably gone. What is listed and was not made yet is told by its identity.
//! * A listed file is the view's only as long as it is the very file that was linked: whoever puts another one in its place owns that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::address::Digest;
use crate::dataset::FileStat;
use crate::error::{Error, Result};
use crate::store::{disk, envelope};

const FORMAT: u32 = 1;
const BYTES_MAX: u64 = 4 << 30;

/// What stands in a view's directory besides its files. Hidden, and so left aside by what reads the tables.
pub(super) const LIST: &str = ".tickbarn-view";
const LOCK: &str = ".tickbarn-view.lock";
const DRAFT: &str = ".tickbarn-view.new";
const LINK_DRAFT: &str = ".tickbarn-view.link";

/// What a view has made, by paths below its directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    format: u32,
    /// The id of the store that it shows.
    pub(super) store: String,
    /// Each with what it may be: two of them while one is being replaced.
    pub(super) links: BTreeMap<String, BTreeSet<Made>>,
    pub(super) directories: BTreeSet<String>,
}

/// A link that a view has made, hard or symbolic, and what tells it from any other file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    digest: Digest,
    inode: u64,
    bytes: u64,
    modified_ns: i64,
}

impl Made {
    /// A link to an artifact of which `stat` says this.
    pub(super) fn of(digest: Digest, metadata: &Metadata) -> Self {
        let FileStat { inode, size, mtime_ns, .. } = FileStat::of(metadata);
        Self { digest, inode, bytes: size, modified_ns: mtime_ns }
    }

    /// Whether what stands at a path is this link. (A device's number is not the same for ever, and a store may have moved.)
    pub(super) fn is(&self, path: &Path, found: &Metadata) -> bool {
        if found.is_symlink() {
            let target = std::fs::read_link(path).unwrap_or_default();
            return target.file_stem().is_some_and(|stem| *stem == *self.digest.to_string());
        }
        found.is_file() && found.ino() == self.inode && *self == Self::of(self.digest, found)
    }
}

impl List {
    pub(super) fn of_store(id: &str) -> Self {
        Self { format: FORMAT, store: id.to_owned(), links: BTreeMap::new(), directories: BTreeSet::new() }
    }

    /// Reads a view's list; `None` in a directory that may become a view: one that holds nothing.
    ///
    /// # Errors
    /// [`Error::NotAView`] where it is anything else.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>> {
        let not_a_view = |reason: String| Error::NotAView { path: directory.to_path_buf(), reason };
        let unreadable =
            |reason| not_a_view(format!("what it lists of itself cannot be read ({reason}); remove the directory, and make the view anew"));
        let path = directory.join(LIST);
        let Some(bytes) = disk::read_at_most(&path, BYTES_MAX)? else {
            let ours = [LOCK, DRAFT];
            let other = disk::names_in(directory)?.into_iter().find(|name| !ours.iter().any(|ours| name == ours));
            return match other {
                // Another update has made it a view meanwhile.
                Some(_) if path.symlink_metadata().is_ok() => Self::read(directory),
                Some(name) => Err(not_a_view(format!("it holds other files, such as {}; choose an empty directory", name.display()))),
                None => Ok(None),
            };
        };
        let body = envelope::opened(&bytes).map_err(unreadable)?;
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))?;
        envelope::check_format(&path, format, FORMAT)?;
        serde_json::from_str(body).map(Some).map_err(|error| unreadable(error.to_string()))
    }

    /// Writes it in the place of what was there, durably.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let draft = directory.join(DRAFT);
        disk::remove(&draft)?;
        disk::sync(&disk::write_new(&draft, &envelope::sealed(self))?, &draft)?;
        disk::rename_durably(&draft, &directory.join(LIST))
    }
}

/// Held by whoever changes a view.
pub(super) fn lock_of(directory: &Path) -> PathBuf {
    directory.join(LOCK)
}

/// Where a link is made that takes the place of another.
pub(super) fn link_draft_of(directory: &Path) -> PathBuf {
    directory.join(LINK_DRAFT)
}
