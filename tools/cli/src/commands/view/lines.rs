//! What `tickbarn view --json` prints, a line each.

use std::path::Path;

use serde::Serialize;
use tickbarn::view::{View, ViewFile};
use tickbarn::{Address, Digest};
use tickbarn_terminal::records::PlaceFields;

use crate::records::as_lossy;

/// A file of the view.
#[derive(Serialize)]
#[serde(tag = "type", rename = "file")]
pub(crate) struct FileLine<'a> {
    #[serde(serialize_with = "as_lossy")]
    path: &'a Path,
    #[serde(flatten)]
    place: PlaceFields<'a>,
    address: Address,
    output: &'a str,
    digest: Digest,
    bytes: u64,
    rows: u64,
    /// `hard` or `symbolic`.
    link: &'static str,
    /// `kept`, `made` or `replaced`.
    change: &'static str,
}

impl<'a> FileLine<'a> {
    pub(crate) fn of(file: &'a ViewFile) -> Self {
        Self {
            path: &file.path,
            place: PlaceFields::new(&file.dataset, &file.instrument, file.interval),
            address: file.address,
            output: &file.output,
            digest: file.digest,
            bytes: file.bytes,
            rows: file.rows,
            link: if file.symbolic { "symbolic" } else { "hard" },
            change: file.change.as_str(),
        }
    }
}

/// A file that was removed.
#[derive(Serialize)]
#[serde(tag = "type", rename = "removed")]
pub(crate) struct RemovedLine<'a> {
    #[serde(serialize_with = "as_lossy")]
    pub(crate) path: &'a Path,
}

/// Something that stands where a file of the view should.
#[derive(Serialize)]
#[serde(tag = "type", rename = "in-the-way")]
pub(crate) struct InTheWayLine<'a> {
    #[serde(serialize_with = "as_lossy")]
    pub(crate) path: &'a Path,
}

/// The sums.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(crate) struct SumsLine<'a> {
    #[serde(serialize_with = "as_lossy")]
    directory: &'a Path,
    entries: usize,
    files: usize,
    bytes: u64,
    hard: usize,
    symbolic: usize,
    made: usize,
    replaced: usize,
    removed: usize,
    in_the_way: usize,
    /// Entries without a file, since there is no data.
    empty: usize,
    /// Entries that are not shown.
    left_out: LeftOutFields,
}

#[derive(Serialize)]
struct LeftOutFields {
    other_definition: usize,
    same_time: usize,
    damaged: usize,
}

impl<'a> SumsLine<'a> {
    pub(crate) fn of(view: &'a View, sums: &super::Sums) -> Self {
        let View { directory, files, entries, empty, left_out, removed, in_the_way, .. } = view;
        Self {
            directory,
            entries: *entries,
            files: files.len(),
            bytes: sums.bytes,
            hard: files.len() - sums.symbolic,
            symbolic: sums.symbolic,
            made: sums.made,
            replaced: sums.replaced,
            removed: removed.len(),
            in_the_way: in_the_way.len(),
            empty: *empty,
            left_out: LeftOutFields { other_definition: left_out.other_definition, same_time: left_out.same_time, damaged: left_out.damaged },
        }
    }
}
