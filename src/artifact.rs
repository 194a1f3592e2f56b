//! A stored table as it is handed out: where it lies, and what is known of it without opening it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Digest;

/// One output of an entry: a Parquet file that never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Artifact {
    /// The output's name in its dataset.
    pub name: Arc<str>,
    /// Where the file is. Read it in place; never write to it.
    pub path: PathBuf,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// The same for two artifacts exactly when their columns are the same in name, type and order.
    pub schema: Digest,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The least and greatest values of its first columns of times and 64-bit integers, as far as its writer recorded them: what decides whether a
    /// filter on time has to open the file. The statistics of every column are in the manifest.
    pub bounds: Arc<[Bounds]>,
}

/// Between which values a column lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bounds {
    /// The column's name, of a column at the top of its table.
    pub column: Arc<str>,
    /// Whether both values are nanoseconds since the epoch rather than the integers of the column.
    pub time: bool,
    /// The least value that is not null.
    pub min: i64,
    /// The greatest value that is not null.
    pub max: i64,
    /// How many values are null, where the writer recorded it.
    pub nulls: Option<u64>,
}
