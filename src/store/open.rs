//! Opening a store, and making one where there is none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Inner, Own, Store, disk, lock, shard};
use crate::address::Digest;
use crate::error::{Error, Result};
use crate::interval::Time;
use crate::options::StoreOptions;
use crate::store::artifact::Presence;
use crate::store::layout::Layout;
use crate::store::process::PerProcess;
use crate::store::shard::Shards;

/// The format of the directory that this library writes, and the newest it reads.
pub(super) const STORE_FORMAT: u64 = 1;
const FORMAT_FILE_BYTES_MAX: u64 = 64 << 10;

/// The file that says what the directory is.
#[derive(Serialize, Deserialize)]
struct Format {
    format: u64,
    id: String,
}

impl Store {
    /// Opens the store at a path, and makes one where there is nothing or an empty directory.
    ///
    /// # Errors
    /// [`Error::NotAStore`] where something else is there, [`Error::NewerFormat`] for a store of a newer tickbarn, [`Error::Io`] otherwise. Nothing is
    /// changed then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let root = resolved(path.as_ref())?;
        if read_format(&root)?.is_none() {
            create(&root)?;
        }
        Self::open_existing(&root)
    }

    /// Opens the store at a path, or imagines one where there is nothing or an empty directory: to ask what a load would do there
    /// ([`inspect::dry_run`](crate::inspect::dry_run)). It holds nothing, nothing is made, and loads from it fail.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_or_imagine(path: impl AsRef<Path>) -> Result<Self> {
        let root = resolved(path.as_ref())?;
        if read_format(&root)?.is_some() {
            return Self::open_existing(&root);
        }
        refuse_others(&root)?;
        let layout = Layout::new(root);
        let (presence, entry_shards) = (Presence::of_nothing(&layout), Shards::new(layout.entries()));
        let (id, own) = (String::new(), Own::new(&layout, ""));
        let inner = Inner { layout, id, imagined: true, presence, entry_shards, own: PerProcess::new(own) };
        Ok(Self { inner: Arc::new(inner), options: StoreOptions::default() })
    }

    /// Opens the store at a path, which must be there.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::NotAStore`] where there is none.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        let root = resolved(path.as_ref())?;
        let Some(format) = read_format(&root)? else {
            let reason = "there is no file STORE in it; name another with --store, or let `tickbarn load` make one";
            return Err(Error::NotAStore { path: root, reason: reason.to_owned() });
        };
        let layout = Layout::new(root);
        for directory in layout.directories() {
            match directory.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(shard::linked(directory)),
                // A copy or a backup may have left empty directories out.
                Err(_) => {
                    if let Err(error) = disk::ensure_directory(&directory) {
                        tracing::warn!(%error, "a directory of the store is gone and cannot be made again");
                    }
                }
            }
        }
        for lock in layout.lasting_locks().iter().filter(|lock| lock.symlink_metadata().is_err()) {
            // A store that can only be read goes without them.
            let _ = lock::make(lock).inspect_err(|error| tracing::debug!(%error, "a lock of the store cannot be made"));
        }
        let own = Own::new(&layout, &format.id);
        if let Err(error) = own.journal.ensure() {
            // Manifests answer without a journal: a store that cannot be written is still read.
            tracing::warn!(%error, "the store has no journal and none can be written");
        }
        let presence = Presence::open(&layout)?;
        let entry_shards = Shards::new(layout.entries());
        let inner = Inner { layout, id: format.id, imagined: false, presence, entry_shards, own: PerProcess::new(own) };
        Ok(Self { inner: Arc::new(inner), options: StoreOptions::default() })
    }
}

/// A path without links in what there is of it: a store may lie behind one. Below it none is followed.
pub(crate) fn resolved(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(Error::io("resolve", path))?;
    let there = absolute.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    Ok(match there {
        Some((ancestor, real)) => match absolute.strip_prefix(ancestor) {
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => absolute,
        },
        None => absolute,
    })
}

/// The format and the id of the store at a path; `None` where there is none. Changes nothing.
pub(crate) fn format_at(path: &Path) -> Result<Option<(u64, String)>> {
    Ok(read_format(&resolved(path)?)?.map(|Format { format, id }| (format, id)))
}

/// Reads what the directory says that it is; `None` where there is nothing, or a directory that may become a store.
fn read_format(root: &Path) -> Result<Option<Format>> {
    let not_a_store = |reason: &str| Error::NotAStore { path: root.to_path_buf(), reason: reason.to_owned() };
    match fs::metadata(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("look at the store", root)(error)),
        Ok(metadata) if !metadata.is_dir() => return Err(not_a_store("it is a file; name a directory with --store or in tickbarn.toml")),
        Ok(_) => {}
    }
    let path = Layout::new(root.to_path_buf()).format_file();
    let Some(bytes) = disk::read_at_most(&path, FORMAT_FILE_BYTES_MAX)? else { return Ok(None) };
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let unreadable = |_| {
        not_a_store(
            "its file STORE does not parse; if it was one, remove that file and load: a new one is written beside what is there, and nothing is lost",
        )
    };
    let Version { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if format > STORE_FORMAT {
        return Err(Error::NewerFormat { path: root.to_path_buf(), found: format, supported: STORE_FORMAT });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
}

/// Makes a store in a directory that is missing or empty, or that an earlier attempt left half-made.
fn create(root: &Path) -> Result<()> {
    let layout = Layout::new(root.to_path_buf());
    disk::ensure_ancestors(root)?;
    refuse_others(root)?;
    for directory in layout.directories() {
        disk::ensure_directory(&directory)?;
    }
    // Made at once and synced together here, instead of one by one when the first entries are published.
    disk::ensure_directories(&layout.entries(), layout.shards_of_entries())?;
    disk::ensure_directories(&layout.artifacts(), layout.shards_of_artifacts())?;
    let id = Digest::of(format!("{}{}{:?}", Time::now().ns(), std::process::id(), std::thread::current().id()).as_bytes());
    let format = Format { format: STORE_FORMAT, id: id.to_string()[..32].to_owned() };
    let mut bytes = serde_json::to_vec(&format).expect("a format is plain JSON");
    bytes.push(b'\n');
    let draft = disk::draft_directory(root)?;
    let path = draft.path().join("STORE");
    disk::sync(&disk::write_new(&path, &bytes)?, &path)?;
    disk::rename_new_durably(&path, &layout.format_file())?;
    disk::sync_directory(disk::parent(root))
}

/// Refuses a directory that holds anything but what an earlier attempt to make a store left. One that is not there holds nothing.
fn refuse_others(root: &Path) -> Result<()> {
    let layout = Layout::new(root.to_path_buf());
    let ours: Vec<PathBuf> = layout.directories().collect();
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("list", root))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::io("list", root))?.path();
        let draft = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(disk::DRAFT_PREFIX));
        if !ours.contains(&path) && !draft && path != layout.format_file() {
            let reason = format!("it holds other files, such as {}; choose an empty directory", path.file_name().unwrap_or_default().display());
            return Err(Error::NotAStore { path: root.to_path_buf(), reason });
        }
    }
    Ok(())
}
