//! What can go wrong, in words for whoever runs the exporter, and the exit status of each.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use parquet::errors::ParquetError;

use crate::{args::Interval, config::Instrument};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{flag} {time}: only times from 1970-01-01 to 2262-04-11 can be exported")]
    Time { flag: &'static str, time: Timestamp },

    #[error("--start {start} is not before --end {end}: the interval holds no moment")]
    EmptyInterval { start: Timestamp, end: Timestamp },

    #[error("cannot read the configuration {path:?}")]
    ReadConfig { path: PathBuf, source: io::Error },

    #[error("the configuration {path:?} is not what is expected here")]
    ParseConfig { path: PathBuf, source: serde_json::Error },

    #[error("{key:?} in the configuration {path:?} {reason}")]
    Setting { path: PathBuf, key: &'static str, reason: String },

    #[error("there is no feed {path:?}: correct \"path\" in the run's configuration")]
    MissingFeed { path: PathBuf },

    #[error("the feed {path:?} holds {holds}, not {wanted}: choose another feed or another \"instrument\"")]
    OtherFeed { path: PathBuf, holds: String, wanted: String },

    #[error("the feed {path:?} cannot be replayed: {reason}")]
    Unplayable { path: PathBuf, reason: String },

    #[error("the feed {path:?} cannot be read on")]
    Feed { path: PathBuf, source: dbn::Error },

    #[error("no data for {instrument} in {interval}: the feed holds no message with a time in it")]
    NoData { instrument: Instrument, interval: Interval },

    #[error("cannot create {path:?}")]
    Create { path: PathBuf, source: io::Error },

    #[error("cannot write {path:?}")]
    Write { path: PathBuf, source: ParquetError },
}

impl Error {
    pub(crate) fn create(path: &Path, source: io::Error) -> Self {
        Self::Create { path: path.to_owned(), source }
    }

    /// The exit status, as the crate's documentation lists them.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Time { .. }
            | Self::EmptyInterval { .. }
            | Self::ReadConfig { .. }
            | Self::ParseConfig { .. }
            | Self::Setting { .. }
            | Self::MissingFeed { .. }
            | Self::OtherFeed { .. } => 2,
            Self::NoData { .. } => 3,
            Self::Unplayable { .. } | Self::Feed { .. } | Self::Create { .. } | Self::Write { .. } => 1,
        }
    }

    /// The message with everything that caused it, on one line.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    }
}
