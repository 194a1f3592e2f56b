//! What `tickbarn doctor --json` prints, a line each.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use tickbarn::Address;

use crate::records::as_lossy;

/// Which versions there are, and which formats this one writes.
#[derive(Serialize)]
#[serde(tag = "type", rename = "versions")]
pub(crate) struct VersionsLine {
    pub(crate) tickbarn: &'static str,
    pub(crate) formats: BTreeMap<&'static str, u64>,
}

/// The store, as far as it says what it is.
#[derive(Serialize)]
#[serde(tag = "type", rename = "store")]
pub(crate) struct StoreLine<'a> {
    #[serde(serialize_with = "as_lossy")]
    pub(crate) path: &'a Path,
    pub(crate) format: Option<u64>,
    pub(crate) id: Option<&'a str>,
    pub(crate) opens: bool,
}

/// The file system that it lies on.
#[derive(Serialize)]
#[serde(tag = "type", rename = "file-system")]
pub(crate) struct FileSystemLine<'a> {
    pub(crate) kind: &'a str,
    pub(crate) source: &'a str,
    #[serde(serialize_with = "as_lossy")]
    pub(crate) mounted_at: &'a Path,
    pub(crate) network: bool,
    pub(crate) read_only: bool,
    pub(crate) bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) inodes: u64,
    pub(crate) free_inodes: u64,
}

/// Something that the file system can do, or cannot.
#[derive(Serialize)]
#[serde(tag = "type", rename = "ability")]
pub(crate) struct AbilityLine<'a> {
    /// `write`, `fsync`, `hard-link`, `write-lease`, `rename`, `rename-new` or `flock`.
    pub(crate) name: &'static str,
    pub(crate) works: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
}

/// A lock that is held.
#[derive(Serialize)]
#[serde(tag = "type", rename = "lock")]
pub(crate) struct LockLine<'a> {
    pub(crate) name: &'static str,
    pub(crate) holders: &'a [u32],
}

/// A slot of an index.
#[derive(Serialize)]
#[serde(tag = "type", rename = "index-slot")]
pub(crate) struct SlotLine<'a> {
    pub(crate) slot: usize,
    pub(crate) in_use: bool,
    pub(crate) holders: &'a [u32],
    pub(crate) sealed: bool,
    pub(crate) bytes: u64,
}

/// The lease of a process that lives.
#[derive(Serialize)]
#[serde(tag = "type", rename = "lease")]
pub(crate) struct LeaseLine {
    pub(crate) process: Option<u32>,
    pub(crate) bytes: u64,
}

/// What is being done, and what lies about.
#[derive(Serialize)]
#[serde(tag = "type", rename = "unfinished")]
pub(crate) struct UnfinishedLine<'a> {
    /// The addresses that are being generated.
    pub(crate) claims: &'a [Address],
    pub(crate) abandoned: usize,
    pub(crate) dead_leases: usize,
    pub(crate) trash: usize,
    pub(crate) trash_bytes: u64,
    pub(crate) quarantine: usize,
    pub(crate) quarantine_bytes: u64,
    /// Whether somebody collects.
    pub(crate) collecting: bool,
}

/// A problem or a remark.
#[derive(Serialize)]
#[serde(tag = "type", rename = "finding")]
pub(crate) struct FindingLine<'a> {
    /// `problem` or `remark`.
    pub(crate) severity: &'static str,
    pub(crate) what: &'a str,
    pub(crate) way_out: &'a str,
}

/// The sums.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(crate) struct DoctorLine {
    pub(crate) problems: usize,
    pub(crate) remarks: usize,
}
