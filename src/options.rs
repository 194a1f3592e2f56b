//! How a store is used: what a program or a dataset file may choose.

use std::str::FromStr;

use crate::word::UnknownWord;

/// How a store is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Whether an index is used where that is quicker.
    pub index: IndexMode,
    /// How closely a load looks at the artifacts that it hands out.
    pub verify: Verify,
}

impl StoreOptions {
    /// The same, with this way to use an index.
    pub fn index(self, index: IndexMode) -> Self {
        Self { index, ..self }
    }

    /// The same, with this way to look at artifacts.
    pub fn verify(self, verify: Verify) -> Self {
        Self { verify, ..self }
    }
}

/// Whether an index is used. Without one, manifests answer: as right, at some tens of microseconds a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexMode {
    /// Where it is quicker than reading manifests.
    #[default]
    Auto,
    /// Never: for a file system that is not to be trusted with a database, or a process that must not keep one in memory.
    Off,
}

/// How closely a file is looked at before it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// A regular file of the recorded size.
    #[default]
    Size,
    /// Its bytes have the recorded digest, too: all of them are read, about a gigabyte a second and processor.
    Digest,
}

impl FromStr for IndexMode {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "auto" => Ok(IndexMode::Auto),
            "off" => Ok(IndexMode::Off),
            _ => Err(UnknownWord::new(text, "auto, off")),
        }
    }
}

impl FromStr for Verify {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "size" => Ok(Verify::Size),
            "digest" => Ok(Verify::Digest),
            _ => Err(UnknownWord::new(text, "size, digest")),
        }
    }
}
