//! What a frame is made of, for the user's own Polars: runs of files that one scan can read, with all that is known of them.

use std::collections::BTreeMap;
use std::ffi::OsString;

use pyo3::prelude::*;
use tickbarn::{Piece, Pieces};

/// Statistics of a column in each file of a scan, `None` where they are not known.
#[derive(IntoPyObject)]
pub(crate) struct ColumnBounds {
    /// Whether the bounds are nanoseconds since the epoch.
    time: bool,
    min: Vec<Option<i64>>,
    max: Vec<Option<i64>>,
    nulls: Vec<Option<u64>>,
}

/// Files that stand together and have one schema, one cut and, where that matters, one instrument.
#[derive(IntoPyObject)]
pub(crate) struct Scan {
    /// The digest of their schema.
    schema: String,
    paths: Vec<OsString>,
    rows: Vec<u64>,
    bounds: BTreeMap<String, ColumnBounds>,
    start_ns: Option<i64>,
    end_ns: Option<i64>,
    market: String,
    pair: String,
    /// The first partition, in words.
    place: String,
}

/// What a frame is made of.
#[derive(IntoPyObject)]
pub(crate) struct FrameParts {
    scans: Vec<Scan>,
    /// The file and the digest of the schema to take the columns from where there are no scans.
    model: (OsString, String),
    model_instrument: Option<(String, String)>,
    time_column: String,
}

/// `apart` keeps instruments apart.
pub(crate) fn parts_of(pieces: &Pieces<'_>, apart: bool) -> PyResult<FrameParts> {
    let together = |one: &Piece<'_>, next: &Piece<'_>| {
        one.artifact().schema == next.artifact().schema
            && (one.start(), one.end()) == (next.start(), next.end())
            && (!apart || one.instrument() == next.instrument())
    };
    let scans = pieces.pieces.chunk_by(together).map(scan_of).collect();
    let model = (pieces.model.path.clone().into_os_string(), pieces.model.schema.to_string());
    Ok(FrameParts { scans, model, model_instrument: None, time_column: pieces.time_column.clone() })
}

impl FrameParts {
    /// Tells the instrument of the model, which no scan tells where there is none.
    pub(crate) fn of_instrument(mut self, market: &str, pair: &str) -> Self {
        self.model_instrument = Some((market.to_owned(), pair.to_owned()));
        self
    }
}

fn scan_of(run: &[Piece<'_>]) -> Scan {
    let first = &run[0];
    Scan {
        schema: first.artifact().schema.to_string(),
        paths: run.iter().map(|piece| piece.artifact().path.clone().into_os_string()).collect(),
        rows: run.iter().map(|piece| piece.artifact().rows).collect(),
        bounds: bounds_of(run),
        start_ns: first.start().map(|time| time.ns()),
        end_ns: first.end().map(|time| time.ns()),
        market: first.instrument().market().to_owned(),
        pair: first.instrument().pair().to_owned(),
        place: first.place(),
    }
}

fn bounds_of(run: &[Piece<'_>]) -> BTreeMap<String, ColumnBounds> {
    let mut known: BTreeMap<String, ColumnBounds> = BTreeMap::new();
    for (nth, piece) in run.iter().enumerate() {
        for bounds in piece.artifact().bounds.iter() {
            if !known.contains_key(&*bounds.column) {
                let nothing = || vec![None; run.len()];
                let column = ColumnBounds { time: bounds.time, min: nothing(), max: nothing(), nulls: vec![None; run.len()] };
                known.insert(bounds.column.to_string(), column);
            }
            // Of one schema, a column means the same in each file.
            if let Some(column) = known.get_mut(&*bounds.column).filter(|column| column.time == bounds.time) {
                column.min[nth] = Some(bounds.min);
                column.max[nth] = Some(bounds.max);
                column.nulls[nth] = bounds.nulls;
            }
        }
    }
    known
}
