//! What `tickbarn report --json` prints.

use std::path::Path;

use serde::Serialize;

use crate::records::as_lossy;

/// A page that was written.
#[derive(Serialize)]
#[serde(tag = "type", rename = "report")]
pub(crate) struct ReportLine<'a> {
    #[serde(serialize_with = "as_lossy")]
    pub(crate) path: &'a Path,
    pub(crate) bytes: usize,
}
