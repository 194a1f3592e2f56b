//! What is said between this process and the bridge, a line of JSON each: the other side is `bridge.py`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The first line, before any order.
#[derive(Debug, Serialize)]
pub(super) struct Hello<'a> {
    pub(super) address: &'a str,
    /// The process whose end is the bridge's.
    pub(super) parent: u32,
}

/// What the bridge is to do.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Order<'a> {
    Submit {
        id: u64,
        label: &'a str,
        /// What it takes of a node, by Ray's names.
        wants: &'a BTreeMap<String, f64>,
        queue_s: f64,
        /// The same where no node has that much.
        unplaceable_s: f64,
        run: RunOrder<'a>,
    },
    Cancel {
        id: u64,
    },
    Totals {
        id: u64,
    },
    Check {
        id: u64,
        path: &'a str,
    },
}

/// One command.
#[derive(Debug, Serialize)]
pub(super) struct RunOrder<'a> {
    pub(super) program: &'a str,
    pub(super) arguments: &'a [String],
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) directory: &'a str,
    pub(super) marks: &'a str,
    pub(super) timeout_s: Option<f64>,
    /// Path, size and modification time of what must be the same there as here.
    pub(super) files: Vec<(&'a str, u64, i64)>,
    pub(super) head_bytes: usize,
    pub(super) tail_bytes: usize,
}

/// What the bridge says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Answer {
    Ready {
        ray: String,
        python: String,
    },
    /// The last line of a bridge that cannot begin.
    Fatal {
        kind: String,
        error: String,
        python: String,
    },
    Totals {
        id: u64,
        totals: BTreeMap<String, f64>,
    },
    Checked {
        id: u64,
        blind: Vec<String>,
        late: Vec<String>,
    },
    Done(Box<Done>),
    Failed(Failed),
}

impl Answer {
    /// The order that it answers.
    pub(super) fn id(&self) -> Option<u64> {
        match self {
            Answer::Ready { .. } | Answer::Fatal { .. } => None,
            Answer::Totals { id, .. } | Answer::Checked { id, .. } => Some(*id),
            Answer::Done(done) => Some(done.id),
            Answer::Failed(failed) => Some(failed.id),
        }
    }
}

/// A run that came to a node.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    id: u64,
    pub(super) node: String,
    pub(super) address: String,
    #[serde(flatten)]
    pub(super) told: Told,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    Finished(Finished),
    Fault(Fault),
}

/// A command that was started and has ended.
#[derive(Debug, Deserialize)]
pub(super) struct Finished {
    pub(super) host: String,
    pub(super) ended: Ended,
    pub(super) run_s: f64,
    pub(super) memory_bytes_peak: Option<u64>,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    Exit(i32),
    Signal(i32),
    TimedOut,
    /// Its directories were gone.
    Unwanted,
}

/// What was kept of a stream, each byte as the character of its number.
#[derive(Debug, Deserialize)]
pub(super) struct Stream {
    pub(super) head: String,
    pub(super) tail: String,
    pub(super) bytes: u64,
}

/// Why nothing was started on a node.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Fault {
    /// A directory of the store is not there.
    Store { path: String },
    /// A file is another one there.
    File { path: String, reason: String },
    /// The system refused.
    Spawn { errno: i32 },
    /// The process that minds the generator is gone.
    Keeper,
}

/// A run of which Ray has nothing to give.
#[derive(Debug, Deserialize)]
pub(super) struct Failed {
    id: u64,
    pub(super) kind: String,
    pub(super) error: String,
    /// Where it had begun, if it had.
    pub(super) address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bridge_says_is_understood() {
        let done = r#"{"type":"done","id":7,"node":"ab","address":"10.0.0.1","finished":{"host":"h","ended":{"exit":3},"run_s":0.5,"memory_bytes_peak":null,
            "stdout":{"head":"a\u00ff","tail":"","bytes":2},"stderr":{"head":"","tail":"","bytes":0}}}"#;
        let Answer::Done(done) = serde_json::from_str(done).unwrap() else { panic!("not done") };
        let Told::Finished(finished) = done.told else { panic!("not finished") };
        assert!(matches!((done.id, finished.ended, finished.stdout.head.as_str()), (7, Ended::Exit(3), "a\u{ff}")));
        let timed_out: Ended = serde_json::from_str(r#""timed_out""#).unwrap();
        assert!(matches!(timed_out, Ended::TimedOut));
        let fault = r#"{"type":"done","id":8,"node":"ab","address":"10.0.0.1","fault":{"kind":"spawn","errno":2}}"#;
        let Answer::Done(done) = serde_json::from_str(fault).unwrap() else { panic!("not done") };
        assert!(matches!(done.told, Told::Fault(Fault::Spawn { errno: 2 })));
        let keeper: Fault = serde_json::from_str(r#"{"kind":"keeper"}"#).unwrap();
        assert!(matches!(keeper, Fault::Keeper));
        let failed = r#"{"type":"failed","id":9,"kind":"node","error":"gone"}"#;
        let Answer::Failed(failed) = serde_json::from_str(failed).unwrap() else { panic!("not failed") };
        assert_eq!((failed.id, failed.kind.as_str(), failed.address), (9, "node", None));
    }
}
