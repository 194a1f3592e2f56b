//! What the JSON lines of several commands share. They are what programs read: fields are added, never renamed or taken away.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tickbarn::{Artifact, Digest, Entry, Failure, FailureClass};

#[derive(Serialize)]
pub(crate) struct FailureText<'a> {
    class: FailureClass,
    message: &'a str,
}

impl<'a> FailureText<'a> {
    pub(crate) fn of(failure: &'a Failure) -> Self {
        Self { class: failure.class, message: &failure.message }
    }
}

/// Outputs by name, in order.
pub(crate) struct Outputs<'a>(&'a [Artifact]);

impl<'a> Outputs<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Option<Self> {
        (!entry.outputs.is_empty()).then_some(Self(&entry.outputs))
    }
}

impl Serialize for Outputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Output<'a> {
            #[serde(serialize_with = "as_lossy")]
            path: &'a Path,
            digest: Digest,
            bytes: u64,
            rows: u64,
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for Artifact { name, path, digest, bytes, rows, .. } in self.0 {
            map.serialize_entry(&**name, &Output { path, digest: *digest, bytes: *bytes, rows: *rows })?;
        }
        map.end()
    }
}

pub(crate) fn as_lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// A manifest or failure record as `show --json` prints it: every field that it has, under the type.
pub(crate) fn whole(kind: &'static str, record: &impl Serialize) -> serde_json::Result<BTreeMap<String, serde_json::Value>> {
    let serde_json::Value::Object(fields) = serde_json::to_value(record)? else {
        return Ok(BTreeMap::new());
    };
    let mut whole: BTreeMap<String, serde_json::Value> = fields.into_iter().collect();
    whole.insert("type".to_owned(), kind.into());
    Ok(whole)
}
