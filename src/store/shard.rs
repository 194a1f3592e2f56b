//! Whether a directory of records is one: a symbolic link in its place would lead reads, and what is set aside, out of the store.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::store::layout::Layout;

/// The directories by the first two digits of a name below one parent. Each is looked at once in the life of a process; what writes looks every time.
#[derive(Debug)]
pub(crate) struct Shards {
    parent: PathBuf,
    known: Box<[AtomicBool; 256]>,
}

impl Shards {
    pub(crate) fn new(parent: PathBuf) -> Self {
        Self { parent, known: Box::new([const { AtomicBool::new(false) }; 256]) }
    }

    /// What is wrong with the directory of names that begin with this byte.
    pub(crate) fn problem(&self, first: u8) -> Option<String> {
        let known = &self.known[usize::from(first)];
        if known.load(Ordering::Relaxed) {
            return None;
        }
        let path = Layout::shard(&self.parent, &format!("{first:02x}"));
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {
                known.store(true, Ordering::Relaxed);
                None
            }
            Ok(_) => Some(linked(path).to_string()),
            // Whatever keeps it from being looked at, reading in it will say.
            Err(_) => None,
        }
    }
}

/// The refusal of what stands in the place of one of the store's directories.
pub(crate) fn linked(path: PathBuf) -> Error {
    let reason = "a link or another file stands in the place of a directory of the store, and none is followed here; move it away".to_owned();
    Error::Damaged { path, reason }
}
