//! The seal of an index slot: what `stat` said of its files when they were closed in order.
//!
//! sled panics on damaged files, and may open what a crash left of them as if they were empty. So a slot is opened only where every file is the very one
//! that was closed; anything else is emptied and filled again from the journal, which takes a second for a million partitions. The seal is
//! broken, durably, before the slot is opened: whatever ends the process or the machine meanwhile leaves none.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::FileStat;
use crate::error::{Error, Result};
use crate::store::disk;
use crate::store::layout::Layout;

const FORMAT: u32 = 1;
const BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seal {
    format: u32,
    files: Vec<(String, FileStat)>,
}

impl Seal {
    fn of(slot: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(slot, "", &mut files)?;
        files.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(Self { format: FORMAT, files })
    }
}

fn collect(directory: &Path, below: &str, files: &mut Vec<(String, FileStat)>) -> Result<()> {
    for name in disk::names_in(directory)? {
        let path = directory.join(&name);
        let name = format!("{below}{}", name.to_string_lossy());
        let metadata = fs::symlink_metadata(&path).map_err(Error::io("read the status of", &path))?;
        if metadata.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        }
        // Of a directory, too: a name that was put in and taken out again leaves its mark.
        files.push((name, FileStat::of(&metadata)));
    }
    Ok(())
}

/// Breaks the seal of a slot, and says whether it was whole.
pub(super) fn break_open(layout: &Layout, slot: usize) -> Result<bool> {
    let path = layout.index_slot_seal(slot);
    let sealed = match disk::read_at_most(&path, BYTES_MAX) {
        Ok(bytes) => bytes.and_then(|bytes| serde_json::from_slice::<Seal>(&bytes).ok()),
        Err(Error::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    let whole = sealed.is_some() && Seal::of(&layout.index_slot(slot)).ok() == sealed;
    if disk::remove(&path)? {
        disk::sync_directory(&layout.indexes())?;
    }
    Ok(whole)
}

/// Makes the files of a slot durable.
pub(super) fn sync(layout: &Layout, slot: usize) -> Result<()> {
    let slot = layout.index_slot(slot);
    for (name, _) in Seal::of(&slot)?.files {
        let path = slot.join(name);
        if let Some(file) = disk::open_existing(&path)? {
            disk::sync(&file, &path)?;
        }
    }
    Ok(())
}

/// Seals a slot that was just closed in order and synced.
pub(super) fn close(layout: &Layout, slot: usize) -> Result<()> {
    let seal = Seal::of(&layout.index_slot(slot))?;
    let bytes = serde_json::to_vec(&seal).expect("a seal is plain JSON");
    disk::replace_disposable(&layout.index_slot_seal(slot), &bytes)
}
