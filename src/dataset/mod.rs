//! WHAT is cached: definitions of datasets, how they are read from `tickbarn.toml`, and what of them stands in a key.

mod check;
mod definition;
mod file;
mod fingerprint;
mod identity;
mod node;
mod resolve;
mod settings;
mod suggest;
mod template;

pub(crate) use definition::Expanded;
pub use definition::{Dataset, DatasetBuilder, Fingerprint, Input, Resources};
pub use file::{DatasetFile, RunSettings};
pub(crate) use fingerprint::Fingerprints;
pub use identity::GeneratorId;
pub(crate) use identity::{Key, StoredKey};
pub(crate) use resolve::{Identified, Look};
