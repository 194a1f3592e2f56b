//! A content-addressed cache for expensive market-data exports.
//!
//! With the feature `frames`, on by default, what a load read is handed out as lazy frames of Polars 0.55: depend on `polars = "0.55"` beside this
//! crate to go on with them. All else works without it, and builds in a fraction of the time.

mod address;
mod canonical;
mod dataset;
mod error;
#[cfg(feature = "frames")]
mod frame;
mod generator;
mod instrument;
mod interval;
mod load;
mod runner;
mod store;

pub use address::{Address, AddressPrefix, Digest};
pub use canonical::Value;
pub use dataset::{Dataset, DatasetBuilder, DatasetFile, Fingerprint, GeneratorId, Input, Resources, RunSettings};
pub use error::{ConfigOrigin, Error, Result};
#[cfg(feature = "frames")]
pub use frame::FrameOptions;
pub use generator::{Failure, FailureClass, Log, LogText};
pub use instrument::Instrument;
pub use interval::{Align, Interval, Split, Time};
pub use load::{Load, Loaded, Mode, OnFailure, OnMissing, Outcome, Partition, Policy, RetryFailed, Summary, UnknownWord};
pub use store::{Artifact, Column, Empty, Entry, FailureRecord, Listed, Manifest, OutputManifest, Provenance, Store, Table};
