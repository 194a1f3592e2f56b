//! Schemas of tables: read from a footer once, then known by their digests in the whole process.
//!
//! From the same footer follows whether Polars may filter while it decodes.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::{ArrowDataType, ArrowTimeUnit, ParquetReader, Schema, SchemaExt, SchemaRef, SerReader};

use super::frame_error;
use crate::address::Digest;
use crate::artifact::Artifact;
use crate::error::{Error, Result};
use crate::pieces::Piece;

/// More schemas than this are not remembered at a time.
const KNOWN_MAX: usize = 1024;
/// More columns than this are not listed one by one where schemas differ.
const DIFFERENCES_MAX: usize = 8;

/// What a footer says of a table, as far as a scan has to know it.
#[derive(Clone)]
struct Footer {
    schema: SchemaRef,
    /// Whether a filter may be evaluated while a column is decoded.
    filters_early: bool,
}

/// The footers that this process has read. A digest says everything that is kept of one, so it holds for every store.
static KNOWN: Mutex<Option<HashMap<Digest, Footer>>> = Mutex::new(None);

/// The schema of an artifact: known, or read from its footer.
pub(super) fn schema_of(output: &str, artifact: &Artifact) -> Result<SchemaRef> {
    footer_of(output, artifact).map(|footer| footer.schema)
}

fn footer_of(output: &str, artifact: &Artifact) -> Result<Footer> {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(footer) = known().as_ref().and_then(|known| known.get(&artifact.schema)) {
        return Ok(footer.clone());
    }
    let file = File::open(&artifact.path).map_err(Error::io("open", &artifact.path))?;
    let schema = ParquetReader::new(file).schema().map_err(frame_error(output))?;
    let filters_early = !schema.iter_values().any(|field| is_converted(field.dtype()));
    let footer = Footer { schema: Arc::new(Schema::from_arrow_schema(&schema)), filters_early };
    let mut known = known();
    let known = known.get_or_insert_default();
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    Ok(known.entry(artifact.schema).or_insert(footer).clone())
}

/// Whether Polars reads the type in another unit than it is stored in. Polars 0.55 compares such a column with a filter before it has converted it,
/// where it evaluates the filter while it decodes, and then finds other rows than it should.
fn is_converted(dtype: &ArrowDataType) -> bool {
    match dtype {
        ArrowDataType::Time32(_) | ArrowDataType::Date64 => true,
        ArrowDataType::Time64(unit) => *unit != ArrowTimeUnit::Nanosecond,
        ArrowDataType::Timestamp(unit, _) | ArrowDataType::Duration(unit) => *unit == ArrowTimeUnit::Second,
        _ => false,
    }
}

/// Pieces that stand together and have one schema.
pub(super) struct Group<'a, 'p> {
    pub(super) schema: SchemaRef,
    pub(super) filters_early: bool,
    pub(super) pieces: &'p [Piece<'a>],
}

/// Groups pieces by their schemas, in order. Digests may differ where Polars sees no difference: in what may be null, or in a writer's notes.
pub(super) fn by_schema<'a, 'p>(output: &str, pieces: &'p [Piece<'a>]) -> Result<Vec<Group<'a, 'p>>> {
    let mut footers: HashMap<Digest, Footer> = HashMap::new();
    let mut distinct: Vec<SchemaRef> = Vec::new();
    let mut groups: Vec<Group<'a, 'p>> = Vec::new();
    let mut at = 0;
    for run in pieces.chunk_by(|one, next| one.table.artifact.schema == next.table.artifact.schema) {
        let artifact = run[0].table.artifact;
        let footer = match footers.get(&artifact.schema) {
            Some(footer) => footer.clone(),
            None => {
                let mut footer = footer_of(output, artifact)?;
                match distinct.iter().find(|other| ***other == *footer.schema) {
                    Some(same) => footer.schema = Arc::clone(same),
                    None => distinct.push(Arc::clone(&footer.schema)),
                }
                footers.insert(artifact.schema, footer.clone());
                footer
            }
        };
        match groups.last_mut().filter(|group| Arc::ptr_eq(&group.schema, &footer.schema)) {
            // Neighbours of the same schema are one slice of the pieces.
            Some(group) => {
                group.pieces = &pieces[at - group.pieces.len()..at + run.len()];
                group.filters_early &= footer.filters_early;
            }
            None => groups.push(Group { schema: footer.schema, filters_early: footer.filters_early, pieces: run }),
        }
        at += run.len();
    }
    Ok(groups)
}

/// Two partitions whose tables have other columns.
pub(super) fn schemas_differ(output: &str, first: &Group<'_, '_>, second: &Group<'_, '_>) -> Error {
    let place = |group: &Group<'_, '_>| group.pieces[0].table.place();
    Error::SchemasDiffer {
        output: output.to_owned(),
        first: place(first),
        second: place(second),
        differences: differences(&first.schema, &second.schema),
    }
}

/// Says in which columns two schemas differ.
fn differences(first: &Schema, second: &Schema) -> String {
    let mut found: Vec<String> = Vec::new();
    for (name, dtype) in first.iter() {
        match second.get(name) {
            None => found.push(format!("{name} ({dtype}) is only in the first")),
            Some(other) if other != dtype => found.push(format!("{name} is {dtype} in the first and {other} in the second")),
            Some(_) => {}
        }
    }
    found.extend(second.iter().filter(|(name, _)| !first.contains(name)).map(|(name, dtype)| format!("{name} ({dtype}) is only in the second")));
    if found.is_empty() {
        return "they stand in another order".to_owned();
    }
    let more = found.len().saturating_sub(DIFFERENCES_MAX);
    found.truncate(DIFFERENCES_MAX);
    if more > 0 {
        found.push(format!("{more} more differ"));
    }
    found.join(", ")
}
