//! The page as its template sees it: texts and maps, nothing of the library's. The template escapes every text.

use askama::Template;

use crate::drawing::{Fill, Map};

/// How many instruments of a dataset are seen at once; those behind them are folded.
pub(crate) const ROWS_SHOWN: usize = 50;

/// All that the page shows.
#[derive(Debug, Template)]
#[template(path = "report.html")]
pub(crate) struct Page {
    pub(crate) version: &'static str,
    pub(crate) store: String,
    /// When it was made, for people and for programs.
    pub(crate) at: String,
    pub(crate) at_iso: String,
    pub(crate) tiles: Vec<Tile>,
    /// What the looks of cells mean.
    pub(crate) legend: Vec<(Fill, &'static str)>,
    pub(crate) maps: Vec<DatasetMap>,
    pub(crate) maps_left_out: usize,
    pub(crate) sizes: Vec<Size>,
    pub(crate) all: Size,
    pub(crate) sharing: String,
    pub(crate) failures: Failures,
    pub(crate) collection: Collection,
}

/// A figure at the head of the page.
#[derive(Debug)]
pub(crate) struct Tile {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) is_bad: bool,
}

/// A dataset's coverage.
#[derive(Debug)]
pub(crate) struct DatasetMap {
    pub(crate) name: String,
    /// Its map, where there is anything to show.
    pub(crate) map: Option<Map>,
    pub(crate) notes: Vec<String>,
    /// The command that shows all of it.
    pub(crate) next: String,
}

/// What a dataset, or the whole store, holds.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) dataset: String,
    pub(crate) instruments: String,
    pub(crate) entries: String,
    pub(crate) bytes: String,
    /// Which part of all bytes that is, and the same as the length of a bar of 100.
    pub(crate) percent: String,
    pub(crate) bar: f64,
    pub(crate) time: String,
}

/// What failed.
#[derive(Debug)]
pub(crate) struct Failures {
    /// How many there are, and how many of them are shown.
    pub(crate) told: String,
    /// The last ones, the youngest first.
    pub(crate) shown: Vec<FailureShown>,
}

/// A failure.
#[derive(Debug)]
pub(crate) struct FailureShown {
    pub(crate) class: &'static str,
    pub(crate) dataset: String,
    pub(crate) instrument: String,
    pub(crate) span: String,
    pub(crate) when: String,
    pub(crate) times: String,
    pub(crate) message: String,
    pub(crate) logs: Vec<LogTail>,
    pub(crate) next: String,
}

/// The end of what a generator wrote.
#[derive(Debug)]
pub(crate) struct LogTail {
    /// Which stream, and how much of it is shown.
    pub(crate) told: String,
    pub(crate) text: String,
}

/// What a collection would free.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    /// By which rules.
    pub(crate) by: String,
    pub(crate) lines: Vec<String>,
    pub(crate) tables: Vec<Table>,
    pub(crate) next: &'static str,
}

/// A table whose first column has names, and whose others have numbers.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) heads: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}
