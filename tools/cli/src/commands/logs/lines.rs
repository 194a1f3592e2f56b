//! What `tickbarn logs --json` prints, a line each.

use serde::Serialize;
use tickbarn::{Address, LogText};

/// What a generator wrote.
#[derive(Serialize)]
#[serde(tag = "type", rename = "log")]
pub(crate) struct LogLine<'a> {
    pub(crate) address: Address,
    /// `entry` or `failure`.
    pub(crate) of: &'static str,
    pub(crate) stdout: &'a LogText,
    pub(crate) stderr: &'a LogText,
}
