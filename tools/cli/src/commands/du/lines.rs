//! What `tickbarn du --json` prints, a line each.

use serde::Serialize;
use tickbarn::Instrument;
use tickbarn::inspect::Extent;
use tickbarn_terminal::records::as_text;

/// A size.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    /// A part of the store: the name of its directory, or `other`.
    Part {
        part: &'a str,
        #[serde(flatten)]
        extent: ExtentFields,
    },
    /// Manifests and artifacts of one instrument of a dataset alone.
    Instrument {
        dataset: &'a str,
        #[serde(serialize_with = "as_text")]
        instrument: &'a Instrument,
        entries: u64,
        #[serde(flatten)]
        extent: ExtentFields,
    },
    /// Artifacts of several of them.
    Shared {
        #[serde(flatten)]
        extent: ExtentFields,
    },
    /// Manifests and artifacts of none.
    Unnamed {
        #[serde(flatten)]
        extent: ExtentFields,
    },
    /// Everything.
    Total {
        #[serde(flatten)]
        extent: ExtentFields,
        /// How many directories could not be looked into.
        closed: usize,
    },
}

#[derive(Serialize)]
pub(crate) struct ExtentFields {
    files: u64,
    bytes: u64,
    disk_bytes: u64,
}

impl From<Extent> for ExtentFields {
    fn from(extent: Extent) -> Self {
        let Extent { files, bytes, disk_bytes, .. } = extent;
        Self { files, bytes, disk_bytes }
    }
}
