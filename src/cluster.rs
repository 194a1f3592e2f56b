//! What is said of clusters: where commands run, how a cluster is reached, how it fails, and where on it something ran.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::word::UnknownWord;

/// Where commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RunnerKind {
    /// On this machine.
    #[default]
    Local,
    /// On a Ray cluster.
    Ray,
}

impl FromStr for RunnerKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "local" => Ok(RunnerKind::Local),
            "ray" => Ok(RunnerKind::Ray),
            _ => Err(UnknownWord::new(text, "local, ray")),
        }
    }
}

/// How a Ray cluster is reached and used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RayOptions {
    pub(crate) address: String,
    pub(crate) python: PathBuf,
    pub(crate) start_max: Duration,
    /// `None` where nothing was said: then what no node could ever run is given up much sooner.
    pub(crate) queue_max: Option<Duration>,
}

impl RayOptions {
    /// A cluster by its address: `host:port` of its head where this machine is a node of it, `ray://host:port` where it is not, `auto` for the one that
    /// this machine is a node of or that `RAY_ADDRESS` names.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), python: PathBuf::from("python3"), start_max: Duration::from_secs(90), queue_max: None }
    }

    /// The same, of a cluster at another address.
    pub fn at(self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// The Python interpreter that speaks with the cluster: one with the `ray` and the Python version of the cluster. A bare word is looked for in
    /// `PATH`. Default: `python3`.
    pub fn python(self, interpreter: impl Into<PathBuf>) -> Self {
        Self { python: interpreter.into(), ..self }
    }

    /// How long connecting may take. Default: 90 seconds.
    pub fn start_max(self, start_max: Duration) -> Self {
        Self { start_max, ..self }
    }

    /// How long a run may wait for a place on the cluster before it counts as failed, with [`FailureClass::Queue`](crate::FailureClass::Queue).
    /// Default: a day, but only a minute where no node of the cluster has what the dataset asks for.
    pub fn queue_max(self, queue_max: Duration) -> Self {
        Self { queue_max: Some(queue_max), ..self }
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The interpreter.
    pub fn interpreter(&self) -> &Path {
        &self.python
    }
}

impl Default for RayOptions {
    fn default() -> Self {
        Self::new("auto")
    }
}

impl From<&str> for RayOptions {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

impl From<String> for RayOptions {
    fn from(address: String) -> Self {
        Self::new(address)
    }
}

/// Why a cluster cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClusterFault {
    /// Nobody answers at its address, or not in time.
    Unreachable,
    /// The process that speaks with it did not start: the interpreter is not there or failed.
    NotStarted,
    /// The interpreter has no `ray`, or one that cannot be imported.
    NoRay,
    /// The interpreter or its `ray` is of another version than the cluster's.
    Version,
    /// A node does not see the store.
    StoreNotShared,
    /// The connection was lost: the process that speaks with it, or the cluster's head, is gone.
    Lost,
}

impl ClusterFault {
    /// The fault as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            ClusterFault::Unreachable => "unreachable",
            ClusterFault::NotStarted => "not-started",
            ClusterFault::NoRay => "no-ray",
            ClusterFault::Version => "version",
            ClusterFault::StoreNotShared => "store-not-shared",
            ClusterFault::Lost => "lost",
        }
    }
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where on a cluster a generator ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnCluster {
    /// The kind of cluster: `ray`.
    pub runner: String,
    /// The node, as the cluster calls it.
    pub node: String,
    /// The node's network address.
    pub address: String,
    /// From when it was handed to the cluster until it began, in seconds.
    pub queued_seconds: f64,
}
