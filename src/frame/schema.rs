//! Schemas of tables: read from a footer once, then known by their digests in the whole process.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::{ParquetReader, Schema, SchemaExt, SchemaRef, SerReader};

use super::pieces::Piece;
use super::{Table, frame_error};
use crate::address::Digest;
use crate::artifact::Artifact;
use crate::error::{Error, Result};

/// More schemas than this are not remembered at a time.
const KNOWN_MAX: usize = 1024;
/// More columns than this are not listed one by one where schemas differ.
const DIFFERENCES_MAX: usize = 8;

/// The schemas of all footers that this process has read. A digest says everything that a schema is made of, so it holds for every store.
static KNOWN: Mutex<Option<HashMap<Digest, SchemaRef>>> = Mutex::new(None);

/// The schema of an artifact: known, or read from its footer.
pub(super) fn schema_of(output: &str, artifact: &Artifact) -> Result<SchemaRef> {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(schema) = known().as_ref().and_then(|known| known.get(&artifact.schema)) {
        return Ok(Arc::clone(schema));
    }
    let file = File::open(&artifact.path).map_err(Error::io("open", &artifact.path))?;
    let schema = ParquetReader::new(file).schema().map_err(frame_error(output))?;
    let schema: SchemaRef = Arc::new(Schema::from_arrow_schema(&schema));
    let mut known = known();
    let known = known.get_or_insert_default();
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    Ok(Arc::clone(known.entry(artifact.schema).or_insert(schema)))
}

/// Pieces that stand together and have one schema, in order. Digests may differ where Polars sees no difference: in what may be null, or in a
/// writer's notes.
pub(super) fn by_schema<'a, 'p>(output: &str, pieces: &'p [Piece<'a>]) -> Result<Vec<(SchemaRef, &'p [Piece<'a>])>> {
    let mut schemas: HashMap<Digest, SchemaRef> = HashMap::new();
    let mut distinct: Vec<SchemaRef> = Vec::new();
    let mut groups: Vec<(SchemaRef, &[Piece<'a>])> = Vec::new();
    let mut at = 0;
    for run in pieces.chunk_by(|one, next| one.table.artifact.schema == next.table.artifact.schema) {
        let digest = run[0].table.artifact.schema;
        let schema = match schemas.get(&digest) {
            Some(schema) => Arc::clone(schema),
            None => {
                let read = schema_of(output, run[0].table.artifact)?;
                let same = distinct.iter().find(|other| ***other == *read).cloned();
                let schema = same.unwrap_or_else(|| {
                    distinct.push(Arc::clone(&read));
                    read
                });
                schemas.insert(digest, Arc::clone(&schema));
                schema
            }
        };
        match groups.last_mut().filter(|(last, _)| Arc::ptr_eq(last, &schema)) {
            // Neighbours of the same schema are one slice of the pieces.
            Some((_, group)) => *group = &pieces[at - group.len()..at + run.len()],
            None => groups.push((schema, run)),
        }
        at += run.len();
    }
    Ok(groups)
}

/// Two partitions whose tables have other columns.
pub(super) fn schemas_differ(output: &str, first: (&Table<'_>, &Schema), second: (&Table<'_>, &Schema)) -> Error {
    Error::SchemasDiffer { output: output.to_owned(), first: first.0.place(), second: second.0.place(), differences: differences(first.1, second.1) }
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
