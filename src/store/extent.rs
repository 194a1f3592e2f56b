//! What the files of a store take on its disk: every name is looked at once, none is followed, nothing is opened but directories.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use crate::address::Address;
use crate::error::{Error, Result};
use crate::parallel;
use crate::store::inventory::Inventory;
use crate::store::layout::{ArtifactKind, Layout};
use crate::store::{Store, disk};

/// How large something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Extent {
    /// How many files, directories not counted. A file with several names is one.
    pub files: u64,
    /// The lengths of those files.
    pub bytes: u64,
    /// What they and the directories take on the disk, in bytes: their blocks, as `du` counts them.
    pub disk_bytes: u64,
}

impl Extent {
    fn of(status: &Stat) -> Self {
        const BLOCK_BYTES: u64 = 512;
        let disk_bytes = u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        if is_directory(status) {
            return Self { disk_bytes, ..Self::default() };
        }
        Self { files: 1, bytes: u64::try_from(status.st_size).unwrap_or(0), disk_bytes }
    }

    pub(crate) fn add(&mut self, other: Extent) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.disk_bytes += other.disk_bytes;
    }
}

fn is_directory(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::Directory
}

/// Whose manifests and artifacts are, by numbers that the caller gives.
#[derive(Debug)]
pub(crate) struct OwnedBy<'a> {
    pub(crate) inventory: &'a Inventory,
    /// How many numbers there are.
    pub(crate) owners: usize,
    /// By the places of entries in the inventory.
    pub(crate) entries: Vec<u32>,
    /// By the places of artifacts in it.
    pub(crate) artifacts: Vec<u32>,
    /// Of manifests and artifacts that are not in it.
    pub(crate) nobody: u32,
}

impl OwnedBy<'_> {
    /// Whose a file is that is called so in this part of the store; nothing where files there are nobody's in particular.
    fn owner(&self, part: usize, name: &OsStr) -> Option<u32> {
        let name = || name.to_str().unwrap_or_default();
        match *Layout::PARTS.get(part)? {
            "entries" => {
                let name = name();
                let address = name.strip_suffix(".json").and_then(Address::of_digits);
                let entry = address.and_then(|address| self.inventory.find(&address));
                Some(entry.map_or(self.nobody, |nth| self.entries[nth as usize]))
            }
            "artifacts" => {
                let of_kind = |(digest, kind)| self.inventory.find_artifacts(&digest).find(|nth| self.inventory.artifact(*nth).kind == kind);
                Some(ArtifactKind::parse(name()).and_then(of_kind).map_or(self.nobody, |nth| self.artifacts[nth as usize]))
            }
            _ => None,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// In the order of [`Layout::PARTS`], and last what is in none of them.
    pub(crate) parts: Vec<Extent>,
    /// Manifests and artifacts, by whose they are.
    pub(crate) owned: Vec<Extent>,
    /// Directories that could not be looked into.
    pub(crate) closed: Vec<PathBuf>,
}

impl Measured {
    fn nothing(owners: usize) -> Self {
        Self { parts: vec![Extent::default(); Layout::PARTS.len() + 1], owned: vec![Extent::default(); owners], closed: Vec::new() }
    }

    fn add(&mut self, other: Measured) {
        self.parts.iter_mut().zip(other.parts).for_each(|(sum, extent)| sum.add(extent));
        self.owned.iter_mut().zip(other.owned).for_each(|(sum, extent)| sum.add(extent));
        self.closed.extend(other.closed);
    }
}

/// The part that everything else is in.
const OTHER: usize = Layout::PARTS.len();

impl Store {
    /// Measures everything below the store's directory, and that itself, by so many threads. What comes or goes meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`Error::Io`] where the store's directory cannot be listed, or a file not be looked at.
    pub(crate) fn measure(&self, threads: usize, owned: &OwnedBy<'_>) -> Result<Measured> {
        let root = self.layout().root();
        let looking = Looking { owned, linked: Mutex::default() };
        let mut sum = Measured::nothing(owned.owners);
        sum.parts[OTHER].add(Extent::of(&rustix::fs::stat(root).map_err(|errno| Error::io("look at", root)(errno.into()))?));
        let part_of = |name: &OsStr| Layout::PARTS.iter().position(|part| name == *part).unwrap_or(OTHER);
        let mut top = Vec::new();
        looking.at_names_in(root, part_of, &mut sum, &mut top)?;
        // The directories of entries and artifacts by their first digits are looked into by all threads.
        let mut begins = Vec::new();
        for (part, directory) in top {
            looking.at_names_in(&directory, |_| part, &mut sum, &mut begins)?;
        }
        let shares: Vec<Vec<&(usize, PathBuf)>> = (0..threads).map(|nth| begins.iter().skip(nth).step_by(threads).collect()).collect();
        let measured = parallel::map(threads, &shares, |share| {
            let mut sum = Measured::nothing(owned.owners);
            let mut waiting: Vec<(usize, PathBuf)> = share.iter().copied().cloned().collect();
            while let Some((part, directory)) = waiting.pop() {
                looking.at_names_in(&directory, |_| part, &mut sum, &mut waiting)?;
            }
            Ok(sum)
        });
        for measured in measured {
            sum.add(measured?);
        }
        Ok(sum)
    }
}

/// What all threads look with.
struct Looking<'a> {
    owned: &'a OwnedBy<'a>,
    /// The files with several names that were met: device and inode.
    linked: Mutex<HashSet<(u64, u64)>>,
}

impl Looking<'_> {
    fn is_met_first(&self, status: &Stat) -> bool {
        let is_new = || self.linked.lock().unwrap_or_else(PoisonError::into_inner).insert((status.st_dev, status.st_ino));
        is_directory(status) || status.st_nlink < 2 || is_new()
    }

    /// Measures what is in a directory, and adds the directories in it to `below`.
    fn at_names_in(&self, directory: &Path, part_of: impl Fn(&OsStr) -> usize, sum: &mut Measured, below: &mut Vec<(usize, PathBuf)>) -> Result<()> {
        let opened = match disk::open_directory(directory) {
            Ok(opened) => opened,
            Err(error) => match errno_of(&error) {
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                // Another user's, perhaps.
                Some(Errno::ACCESS) => {
                    sum.closed.push(directory.to_path_buf());
                    return Ok(());
                }
                _ => return Err(error),
            },
        };
        let mut failed = None;
        disk::for_each_name_in(directory, |name| {
            let name = OsStr::from_bytes(name);
            let status = match rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(status) => status,
                // Gone meanwhile.
                Err(Errno::NOENT) => return,
                Err(errno) => {
                    failed = Some(Error::io("look at", directory.join(name))(errno.into()));
                    return;
                }
            };
            let part = part_of(name);
            if is_directory(&status) {
                below.push((part, directory.join(name)));
            }
            if self.is_met_first(&status) {
                let extent = Extent::of(&status);
                sum.parts[part].add(extent);
                if !is_directory(&status)
                    && let Some(owner) = self.owned.owner(part, name)
                {
                    sum.owned[owner as usize].add(extent);
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }
}

fn errno_of(error: &Error) -> Option<Errno> {
    match error {
        Error::Io { source, .. } => Errno::from_io_error(source),
        _ => None,
    }
}
