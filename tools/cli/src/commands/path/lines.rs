//! What `tickbarn path --json` prints, a line each.

use std::path::Path;

use serde::Serialize;
use tickbarn::{Address, Digest};

use crate::records::as_lossy;

/// One output's file.
#[derive(Serialize)]
#[serde(tag = "type", rename = "path")]
pub(crate) struct PathLine<'a> {
    pub(crate) address: Address,
    pub(crate) output: &'a str,
    #[serde(serialize_with = "as_lossy")]
    pub(crate) path: &'a Path,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}
