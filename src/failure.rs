//! How generating a partition can fail, as recorded and shown: a class, a sentence, and the end of what the generator said.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of failure it was. `empty` is not one: a generator may say that an interval has no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureClass {
    /// The generator ended with an exit status that is neither 0 nor declared as empty.
    Exit,
    /// A signal ended the generator, for example the kernel's when memory ran out.
    Signal,
    /// The generator ran longer than its timeout.
    Timeout,
    /// The generator ended well but left a declared output out.
    NoOutput,
    /// An output is there but is no complete, regular Parquet file.
    BadOutput,
    /// The program or an input file changed while the generator ran, so that nobody knows which one made the outputs.
    ChangedWhileRunning,
    /// The generator could not be started.
    Spawn,
    /// The store could not take what the generator made.
    Store,
    /// A function gave back an error.
    Error,
    /// A function panicked.
    Panic,
    /// What the partition is derived from could not be made, or holds nothing that it could be made of.
    Upstream,
    /// The process or the node of a cluster on which the generator ran was lost, and the generator with it.
    Lost,
    /// The cluster ended the generator because a node ran out of memory.
    Memory,
    /// The cluster had no place for the generator in the time that it may wait for one.
    Queue,
}

impl FailureClass {
    /// The class as it is written in records and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureClass::Exit => "exit",
            FailureClass::Signal => "signal",
            FailureClass::Timeout => "timeout",
            FailureClass::NoOutput => "no-output",
            FailureClass::BadOutput => "bad-output",
            FailureClass::ChangedWhileRunning => "changed-while-running",
            FailureClass::Spawn => "spawn",
            FailureClass::Store => "store",
            FailureClass::Error => "error",
            FailureClass::Panic => "panic",
            FailureClass::Upstream => "upstream",
            FailureClass::Lost => "lost",
            FailureClass::Memory => "memory",
            FailureClass::Queue => "queue",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One failed attempt to generate a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub class: FailureClass,
    /// What happened, in a sentence without its class.
    pub message: String,
    /// What the generator wrote, where it was started.
    pub log: Log,
}

impl Failure {
    /// A failure without a log.
    pub(crate) fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), log: Log::default() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.class)
    }
}

/// What a generator wrote to its two output streams.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Standard output.
    pub stdout: LogText,
    /// Standard error.
    pub stderr: LogText,
}

/// What was kept of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogText {
    /// The text, the middle cut out where the stream was longer than the cap; bytes that are no UTF-8 replaced.
    pub text: String,
    /// How many bytes the generator wrote in all.
    pub bytes: u64,
    /// Whether something was cut out.
    pub truncated: bool,
}
