//! A place for a Ray cluster apart from the rest of the machine.
//!
//! Ray looks for the outer world when it starts, so it gets a network namespace with a loopback device only; and a process namespace, which takes along
//! whatever would be left.

use std::env;
use std::process::{Command, ExitCode};

/// Set inside.
const INSIDE: &str = "TICKBARN_RAY_INSIDE";

pub(crate) enum Apart {
    /// This is the process that runs apart.
    Inside { python: String },
    /// It did, and has ended so.
    Ended(ExitCode),
    /// Why it cannot be.
    Impossible(String),
}

/// Starts this program again, apart, unless that has been done.
pub(crate) fn apart() -> Apart {
    const ALONE: [&str; 6] = ["--net", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"];
    let Ok(python) = env::var("TICKBARN_RAY_PYTHON") else {
        return Apart::Impossible("TICKBARN_RAY_PYTHON names no interpreter with tests/ray/requirements.txt".to_owned());
    };
    if env::var_os(INSIDE).is_some() {
        return Apart::Inside { python };
    }
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if !succeeds(Command::new(&python).args(["-c", "import ray"])) {
        return Apart::Impossible(format!("{python} has no ray"));
    }
    if !succeeds(Command::new("unshare").args(ALONE).args(["sh", "-c", "ip link set lo up"])) {
        return Apart::Impossible("no network namespace can be made here: that takes root, unshare and ip".to_owned());
    }
    // The shell stays as the first process there, and reaps what others leave.
    let mut again = Command::new("unshare");
    again.args(ALONE).args(["sh", "-c", "ip link set lo up; \"$0\" \"$@\"; exit $?"]);
    again.arg(env::current_exe().expect("this program")).args(env::args_os().skip(1)).env(INSIDE, "1");
    match again.status() {
        Ok(status) if status.success() => Apart::Ended(ExitCode::SUCCESS),
        _ => Apart::Ended(ExitCode::FAILURE),
    }
}
