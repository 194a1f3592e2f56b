//! What `tickbarn verify --json` prints, a line each.

use std::path::Path;

use serde::Serialize;
use tickbarn::{Address, Finding, Repair, Time};

use crate::records::as_lossy;

/// Something that a verification found.
#[derive(Serialize)]
#[serde(tag = "type", rename = "finding")]
pub(crate) struct FindingLine<'a> {
    /// `problem`, or `leftover` for what merely lies about.
    severity: &'static str,
    kind: &'static str,
    #[serde(serialize_with = "as_lossy")]
    path: &'a Path,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Time>,
    /// `none`, `quarantined`, `dropped`, `rebuilt`, `removed`, `no-longer`, `in-use` or `failed`.
    repair: &'static str,
    /// Where it was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
    /// Why it could not be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair_failed: Option<&'a str>,
}

impl<'a> FindingLine<'a> {
    pub(crate) fn of(finding: &'a Finding) -> Self {
        let Finding { kind, path, reason, entry, repair, .. } = finding;
        let place = entry.as_ref().and_then(|entry| entry.place.as_ref());
        let (repair, moved_to, repair_failed) = match repair {
            Repair::Nothing => ("none", None, None),
            Repair::Quarantined(to) => ("quarantined", Some(to), None),
            Repair::Dropped(to) => ("dropped", Some(to).filter(|to| *to != path), None),
            Repair::Rebuilt => ("rebuilt", None, None),
            Repair::Removed => ("removed", None, None),
            Repair::NoLonger => ("no-longer", None, None),
            Repair::InUse => ("in-use", None, None),
            Repair::Failed(why) => ("failed", None, Some(why.as_str())),
            _ => ("other", None, None),
        };
        Self {
            severity: if kind.is_problem() { "problem" } else { "leftover" },
            kind: kind.as_str(),
            path,
            reason,
            address: entry.as_ref().map(|entry| entry.address),
            dataset: place.map(|(dataset, ..)| dataset.as_str()),
            instrument: place.map(|(_, instrument, _)| instrument.to_string()),
            start: place.map(|(.., interval)| interval.start()),
            end: place.map(|(.., interval)| interval.end()),
            repair,
            moved_to: moved_to.map(|to| to.display().to_string()),
            repair_failed,
        }
    }
}

/// The sums of a verification.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(crate) struct VerifiedLine {
    pub(crate) entries: usize,
    pub(crate) artifacts: usize,
    pub(crate) bytes: u64,
    /// Whether every byte was read.
    pub(crate) digests: bool,
    pub(crate) problems: usize,
    pub(crate) leftovers: usize,
    /// Files in quarantine before anything was moved there.
    pub(crate) quarantined: usize,
    /// Whether nothing is wrong, or nothing any more.
    pub(crate) clean: bool,
    pub(crate) seconds: f64,
    /// Of the entries that were dropped: those that were made again, and those that were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regenerated: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_regenerated: Option<usize>,
}
