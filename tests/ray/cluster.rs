//! A cluster of several raylets on this machine: `cluster.py` as a process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) struct Cluster {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Cluster {
    /// Starts one with these nodes, `NAME=CPUS`. `TICKBARN_RAY_LOUD=1` shows what it says.
    pub(crate) fn start(python: &str, nodes: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ray/cluster.py");
        let mut command = Command::new(python);
        command.arg(script).args(nodes).stdin(Stdio::piped()).stdout(Stdio::piped());
        if std::env::var_os("TICKBARN_RAY_LOUD").is_none() {
            command.stderr(Stdio::null());
        }
        let mut child = command.spawn().expect("the cluster's process");
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("its output")));
        let mut cluster = Self { child, to, from, address: String::new() };
        cluster.address = cluster.hear()["address"].as_str().expect("an address").to_owned();
        cluster
    }

    /// Lets it obey an order, and gives the process number of the raylet that was started, where one was.
    pub(crate) fn order(&mut self, order: &str) -> Option<i32> {
        writeln!(self.to.as_mut().expect("its input"), "{order}").expect("it listens");
        self.hear()["raylet"].as_i64().and_then(|pid| i32::try_from(pid).ok())
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it speaks");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the cluster says {line:?} ({error}); TICKBARN_RAY_LOUD=1 shows why"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input.
        self.to = None;
        drop(self.child.wait());
    }
}
