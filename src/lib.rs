//! A content-addressed cache for expensive market-data exports.

mod address;
mod canonical;
mod dataset;
mod error;
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
pub use generator::{Failure, FailureClass, Log, LogText};
pub use instrument::Instrument;
pub use interval::{Align, Interval, Split, Time};
pub use load::{Load, Loaded, Mode, OnFailure, OnMissing, Outcome, Partition, Policy, RetryFailed, Summary, UnknownWord};
pub use store::{Artifact, Column, Empty, Entry, FailureRecord, Listed, Manifest, OutputManifest, Provenance, Store, Table};
