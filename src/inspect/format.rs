//! What a store says that it is, also where it cannot be opened.

use std::path::Path;

use crate::error::Result;
use crate::store;

/// What a store's file `STORE` says, without opening the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreFormat {
    /// The format of the directory.
    pub format: u64,
    /// The store's own name.
    pub id: String,
}

/// Reads what a store at a path says that it is; `None` where there is nothing, or a directory that is no store yet. Changes nothing.
///
/// # Errors
/// As [`Store::open_existing`](crate::Store::open_existing).
pub fn store_format(path: impl AsRef<Path>) -> Result<Option<StoreFormat>> {
    Ok(store::format_at(path.as_ref())?.map(|(format, id)| StoreFormat { format, id }))
}

/// The formats that this library writes, and the newest that it reads, by what they are of: `store`, `manifest`, `journal`, `lease`, `index`, `uses`.
pub fn formats() -> [(&'static str, u64); 6] {
    store::formats()
}
