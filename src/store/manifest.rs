//! Manifests: one self-checking JSON file an entry, the durable truth of a store.
//!
//! The body of its [`envelope`] holds the whole key, so that "why did this miss" needs nothing else, and the address can be computed again from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::address::{Address, Digest};
use crate::canonical::Value;
use crate::cluster::OnCluster;
use crate::dataset::StoredKey;
use crate::error::{Error, Result};
use crate::failure::Log;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::store::artifact::Expected;
use crate::store::bounds::{self, BoundsGlance};
use crate::store::disk;
use crate::store::envelope;
use crate::store::layout::{ArtifactKind, Layout};
use crate::store::record::{EntryRecord, LogRecord, OutputRecord, Published};

/// The format this library writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;

/// A manifest larger than this is damage, whatever it says: keys and logs are far smaller.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Everything that is known of an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the manifest itself.
    pub(crate) format: u32,
    /// Where it is found.
    pub address: Address,
    /// The dataset's name when it was generated. A name is no part of the key.
    pub dataset: String,
    /// The whole key.
    pub(crate) key: StoredKey,
    /// The outputs by name. Without any where the generator said that the interval has no data.
    pub outputs: BTreeMap<String, OutputManifest>,
    /// Whether, and how, the generator said that the interval has no data.
    pub empty: Option<Empty>,
    /// How it came to be.
    pub provenance: Provenance,
    /// What the generator said.
    pub log: StoredLog,
}

/// One output of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputManifest {
    /// BLAKE3 of the file's bytes: its name below `artifacts/`.
    pub digest: Digest,
    /// The file's size.
    pub bytes: u64,
    /// The table in it.
    #[serde(flatten)]
    pub table: Table,
}

/// What a Parquet footer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Rows in all row groups.
    pub rows: u64,
    /// The same for two tables exactly when their columns are the same in name, type and order.
    pub schema: Digest,
    /// The columns in order; nested ones by the dotted path of each leaf.
    pub columns: Vec<Column>,
}

/// One column of a table with its statistics over all row groups, as far as the writer recorded them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, or the dotted path of a nested leaf.
    pub name: String,
    /// Physical and logical type as Parquet names them.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many values are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<u64>,
    /// The least value, in the column's physical type. Only where exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// The greatest value, in the column's physical type. Only where exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
}

impl Column {
    /// How many nanoseconds one of the column's values counts, where its values are times since the epoch.
    pub fn time_unit_ns(&self) -> Option<i64> {
        time_unit_ns(&self.kind)
    }
}

/// The same of a type as manifests write it. Older writers mark a time by its converted type alone.
pub(super) fn time_unit_ns(kind: &str) -> Option<i64> {
    let annotation = kind.strip_prefix("INT64")?.trim();
    match annotation {
        _ if annotation.starts_with("(TIMESTAMP(NANOS") => Some(1),
        _ if annotation.starts_with("(TIMESTAMP(MICROS") || annotation == "(TIMESTAMP_MICROS)" => Some(1_000),
        _ if annotation.starts_with("(TIMESTAMP(MILLIS") || annotation == "(TIMESTAMP_MILLIS)" => Some(1_000_000),
        _ => None,
    }
}

/// How a generator said that an interval has no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// By an exit code that its dataset declares as empty.
    ExitCode(u8),
    /// By outputs that have no rows.
    ZeroRows,
    /// By a function that gave back no data.
    NoData,
}

/// How an entry came to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Provenance {
    /// The program that ran, or `function` and its name.
    pub program: String,
    /// BLAKE3 of the program's bytes, also where a declared version stands for it in the key; of a function, the digest of its source, where its
    /// definition told that.
    pub program_digest: Option<Digest>,
    /// The arguments it ran with.
    pub arguments: Vec<String>,
    /// When it was started.
    pub started: Time,
    /// How long it ran.
    #[serde(with = "seconds")]
    pub duration: Duration,
    /// Its exit status.
    pub exit_code: i32,
    /// The peak resident memory of its largest process, where the system told.
    pub memory_bytes_peak: Option<u64>,
    /// The machine.
    pub host: String,
    /// Which attempt this was, counted from one.
    pub attempt: u32,
    /// Where on a cluster it ran; `None` where it ran on the machine that published it. `started` then says when it was handed to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_cluster: Option<OnCluster>,
    /// The entries that it was derived from, by the names under which it read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstream: BTreeMap<String, Vec<Address>>,
    /// How long making all of those took, with what they were derived from themselves, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upstream_seconds: f32,
    /// The tickbarn that published it.
    pub tickbarn: String,
}

fn is_zero(seconds: &f32) -> bool {
    *seconds == 0.0
}

mod seconds {
    //! A duration as seconds in a decimal.
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Where an entry's log is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredLog {
    /// Here, while it is small.
    Inline(Log),
    /// In an artifact of its own, as JSON.
    Artifact {
        /// Its digest.
        digest: Digest,
        /// Its size.
        bytes: u64,
    },
}

/// What a load needs of a manifest.
#[derive(Deserialize)]
struct Glance<'a> {
    /// As it stands in the file, which is in canonical form: its hash is the address.
    #[serde(borrow)]
    key: &'a RawValue,
    dataset: Arc<str>,
    outputs: BTreeMap<Arc<str>, OutputGlance>,
    empty: Option<Empty>,
    provenance: ProvenanceGlance,
    log: LogGlance,
}

/// Where the log is, without reading it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum LogGlance {
    Inline(IgnoredAny),
    Artifact(LogRecord),
}

#[derive(Deserialize)]
struct OutputGlance {
    digest: Digest,
    schema: Digest,
    bytes: u64,
    rows: u64,
    columns: BoundsGlance,
}

#[derive(Deserialize)]
struct ProvenanceGlance {
    started: Time,
    #[serde(with = "seconds")]
    duration: Duration,
    #[serde(default)]
    upstream: BTreeMap<String, Vec<Address>>,
    #[serde(default)]
    upstream_seconds: f32,
}

/// A duration as records hold it, by whichever way it came: an entry is the same entry whether it was found in the index or in its manifest.
fn recorded_seconds(duration: Duration) -> f32 {
    duration.as_secs_f64() as f32
}

impl Glance<'_> {
    fn published(self, address: Address) -> Result<Published, String> {
        let (generator, instrument, interval) = StoredKey::place_in(self.key.get())?;
        let outputs = self.outputs.into_iter().map(|(name, output)| {
            let OutputGlance { digest, schema, bytes, rows, columns: BoundsGlance(bounds) } = output;
            OutputRecord { name, digest, schema, bytes, rows, bounds }
        });
        let entry = EntryRecord {
            start: interval.start(),
            end: interval.end(),
            address,
            dataset: self.dataset,
            outputs: outputs.collect(),
            empty: self.empty,
            started: self.provenance.started,
            seconds: recorded_seconds(self.provenance.duration),
            upstream_seconds: self.provenance.upstream_seconds,
            upstream: self.provenance.upstream.into_values().flatten().collect(),
            log: match self.log {
                LogGlance::Inline(_) => None,
                LogGlance::Artifact(log) => Some(log),
            },
        };
        Ok(Published { generator, instrument, entry })
    }
}

/// Reads a manifest's file, checks it, and takes of its body what `take` does. That is given the body and the address, and says which address the key
/// hashes to.
fn read_body<T>(layout: &Layout, address: &Address, take: impl FnOnce(&str) -> Result<(T, Address), BodyProblem>) -> Result<Option<T>> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
        address: Address,
    }
    let path = layout.entry(address);
    let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
    let Some(bytes) = disk::read_at_most(&path, MANIFEST_BYTES_MAX)? else { return Ok(None) };
    let body = envelope::opened(&bytes).map_err(damaged)?;
    let unreadable = |BodyProblem(problem)| damaged(format!("its body does not parse: {problem}"));
    let Format { format, address: said } = serde_json::from_str(body).map_err(|error| unreadable(error.into()))?;
    envelope::check_format(&path, format, FORMAT)?;
    let (taken, found_under) = take(body).map_err(unreadable)?;
    if said != *address || found_under != *address {
        return Err(damaged("its key belongs to another address".to_owned()));
    }
    Ok(Some(taken))
}

/// What keeps a manifest's body from being read.
struct BodyProblem(String);

impl From<serde_json::Error> for BodyProblem {
    fn from(error: serde_json::Error) -> Self {
        BodyProblem(error.to_string())
    }
}

impl Manifest {
    /// A manifest in the format that this library writes.
    pub(crate) const fn format() -> u32 {
        FORMAT
    }

    /// The file's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        envelope::sealed(self)
    }

    /// Reads and checks the manifest of an address; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the file fails its checksum, its key does not hash to the address, or it is of another format.
    pub(crate) fn read(layout: &Layout, address: &Address) -> Result<Option<Self>> {
        read_body(layout, address, |body| {
            let manifest: Self = serde_json::from_str(body)?;
            let found_under = manifest.key.address();
            Ok((manifest, found_under))
        })
    }

    /// The same as [`Manifest::published`] of [`Manifest::read`], without the parts of the file that a load does not need: most of it, where tables
    /// have many columns.
    pub(crate) fn read_published(layout: &Layout, address: &Address) -> Result<Option<Published>> {
        read_body(layout, address, |body| {
            let glance: Glance<'_> = serde_json::from_str(body)?;
            let found_under = Address::of_canonical(glance.key.get());
            Ok((glance.published(found_under).map_err(BodyProblem)?, found_under))
        })
    }

    /// The whole key, as its canonical form has it.
    pub fn key(&self) -> &Value {
        self.key.value()
    }

    /// The instrument.
    pub fn instrument(&self) -> &Instrument {
        self.key.instrument()
    }

    /// The partition.
    pub fn interval(&self) -> Interval {
        self.key.interval()
    }

    /// Every artifact that it names, those of its tables and that of its log.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = Expected> {
        let tables = self.outputs.values().map(|output| Expected { digest: output.digest, bytes: output.bytes, kind: ArtifactKind::Parquet });
        let log = match &self.log {
            StoredLog::Inline(_) => None,
            StoredLog::Artifact { digest, bytes } => Some(Expected { digest: *digest, bytes: *bytes, kind: ArtifactKind::Log }),
        };
        tables.chain(log)
    }

    /// What the journal holds of this entry.
    pub(crate) fn published(&self) -> Published {
        let key = &self.key;
        let outputs = self
            .outputs
            .iter()
            .map(|(name, output)| OutputRecord {
                name: name.as_str().into(),
                digest: output.digest,
                schema: output.table.schema,
                bytes: output.bytes,
                rows: output.table.rows,
                bounds: bounds::of_columns(&output.table.columns),
            })
            .collect();
        Published {
            generator: key.generator(),
            instrument: key.instrument().clone(),
            entry: EntryRecord {
                start: key.interval().start(),
                end: key.interval().end(),
                address: self.address,
                dataset: self.dataset.as_str().into(),
                outputs,
                empty: self.empty,
                started: self.provenance.started,
                seconds: recorded_seconds(self.provenance.duration),
                upstream_seconds: self.provenance.upstream_seconds,
                upstream: self.provenance.upstream.values().flatten().copied().collect(),
                log: match &self.log {
                    StoredLog::Inline(_) => None,
                    StoredLog::Artifact { digest, bytes } => Some(LogRecord { digest: *digest, bytes: *bytes }),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Where the two ways differed in a last bit, a refresh took its own old entry for another's new one, and did nothing.
        #[test]
        fn both_ways_to_a_record_tell_the_same_duration(nanoseconds in 0u64..100_000_000_000) {
            let duration = Duration::from_nanos(nanoseconds);
            let provenance = Provenance {
                program: String::new(),
                program_digest: None,
                arguments: Vec::new(),
                started: Time::from_ns(1),
                duration,
                exit_code: 0,
                memory_bytes_peak: None,
                host: String::new(),
                attempt: 1,
                on_cluster: None,
                upstream: BTreeMap::new(),
                upstream_seconds: 0.0,
                tickbarn: String::new(),
            };
            let glance: ProvenanceGlance = serde_json::from_str(&serde_json::to_string(&provenance).unwrap()).unwrap();
            prop_assert_eq!(recorded_seconds(glance.duration), recorded_seconds(duration));
        }
    }
}
