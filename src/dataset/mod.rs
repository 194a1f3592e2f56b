//! WHAT is cached: definitions of datasets, how they are read from `tickbarn.toml`, and what of them stands in a key.

mod builder;
mod check;
mod definition;
mod file;
mod fingerprint;
mod function;
mod identity;
mod job;
mod node;
mod resolve;
mod settings;
mod suggest;
mod template;

pub use builder::DatasetBuilder;
pub(crate) use check::problem_of_name;
pub(crate) use definition::TIME_COLUMN;
pub use definition::{Dataset, Fingerprint, Input, Resources};
pub(crate) use definition::{Expanded, PartitionScope};
pub use file::{DatasetFile, GcSettings, RunSettings};
pub(crate) use fingerprint::{FileStat, Fingerprints};
pub use function::{AsyncFunction, BoxError, Function, IntoOutputs, Outputs, WriteTable};
pub(crate) use function::{Body, Made};
pub use identity::GeneratorId;
pub(crate) use identity::{Key, StoredKey};
pub use job::{Job, Upstream, UpstreamPartition};
pub(crate) use job::{JobParts, Upstreams};
pub(crate) use resolve::{Identified, Look};
pub(crate) use suggest::closest;
