//! From what the bridge answers of a run to how it ended, or to a failure that says what to do.

use std::time::Duration;

use super::protocol::{self, Answer, Done, Failed, Fault, Stream, Told};
use crate::cluster::OnCluster;
use crate::failure::{Failure, FailureClass, Log, LogText};
use crate::interval::Time;
use crate::runner::capture::Capture;
use crate::runner::spawn::explained;
use crate::runner::{Ended, Finished, Run, RunError};

/// What became of a run that was handed over at `submitted`, `elapsed` ago.
pub(super) fn of(run: &Run, answer: Answer, submitted: Time, elapsed: Duration) -> Result<Finished, RunError> {
    let failed = |class, message: String| Err(RunError::Failed(Failure::new(class, message)));
    let Done { node, address, told, .. } = match answer {
        Answer::Done(done) => *done,
        Answer::Failed(answer) => return Err(RunError::Failed(failure(&answer, elapsed))),
        other => return failed(FailureClass::Spawn, format!("the bridge to Ray answers a run with {other:?}; this is a bug in tickbarn")),
    };
    match told {
        Told::Finished(protocol::Finished { ended: protocol::Ended::Unwanted, stdout, stderr, .. }) => {
            let message = format!("its work directory disappeared while it ran on node {address}; was the store cleaned by hand?");
            Err(RunError::Failed(Failure { class: FailureClass::Lost, message, log: log(stdout, stderr) }))
        }
        Told::Finished(finished) => {
            let duration = Duration::try_from_secs_f64(finished.run_s).unwrap_or_default();
            Ok(Finished {
                ended: match finished.ended {
                    protocol::Ended::Exit(code) => Ended::Exited(code),
                    protocol::Ended::Signal(signal) => Ended::Signalled(signal),
                    protocol::Ended::TimedOut | protocol::Ended::Unwanted => Ended::TimedOut,
                },
                // By this machine's clock, and not after it began: nothing may seem to have begun later than it did.
                started: submitted,
                duration,
                memory_bytes_peak: finished.memory_bytes_peak,
                log: log(finished.stdout, finished.stderr),
                host: Some(finished.host),
                on_cluster: Some(OnCluster {
                    runner: "ray".to_owned(),
                    node,
                    address,
                    queued_seconds: elapsed.saturating_sub(duration).as_secs_f64(),
                }),
            })
        }
        Told::Fault(Fault::Spawn { errno }) => {
            let there = explained(run, &std::io::Error::from_raw_os_error(errno)).message;
            failed(FailureClass::Spawn, format!("on node {address}: {there} (it must be there on every node)"))
        }
        Told::Fault(Fault::Store { path }) => failed(
            FailureClass::Spawn,
            format!(
                "node {address} does not see {path}: the store must lie on a file system that every node mounts at the same path, and be writable for the user that Ray runs as"
            ),
        ),
        Told::Fault(Fault::File { path, reason }) => failed(
            FailureClass::Spawn,
            format!(
                "on node {address} {path} is another file than here ({reason}), so its outputs would not be what the key says; let programs and inputs lie on the shared file system, or, for a program, set snapshot_program = true"
            ),
        ),
        Told::Fault(Fault::Keeper) => {
            failed(FailureClass::Lost, format!("the process that minds the generator on node {address} was killed; load again"))
        }
    }
}

fn failure(answer: &Failed, elapsed: Duration) -> Failure {
    let Failed { kind, error, address, .. } = answer;
    let node = address.as_ref().map(|address| format!(" {address}")).unwrap_or_default();
    let first = error.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing was said");
    let (class, message) = match kind.as_str() {
        "worker" => (
            FailureClass::Lost,
            format!(
                "the Ray worker that ran it on node{node} was killed or crashed, and it was ended with it; load again, or give the dataset retries"
            ),
        ),
        "node" => {
            (FailureClass::Lost, format!("node{node} was lost while it ran there, and it was ended with it; load again, or give the dataset retries"))
        }
        "memory" => (
            FailureClass::Memory,
            format!(
                "node{node} ran short of memory, and Ray ended it; declare what it takes under [dataset.*.resources] memory, so that fewer run on a node at once"
            ),
        ),
        "queue" => (
            FailureClass::Queue,
            format!(
                "it waited {:.1} s for a place on the cluster: {first}; ask for less under [dataset.*.resources], add such a node, or raise [run] queue_timeout",
                elapsed.as_secs_f64()
            ),
        ),
        "cancelled" => (FailureClass::Lost, format!("somebody else cancelled its Ray task on node{node}; load again")),
        "environment" => (FailureClass::Spawn, format!("Ray could not prepare a worker for it: {first}")),
        "refused" => (FailureClass::Spawn, format!("Ray refuses the task: {first}; see [dataset.*.resources]")),
        _ => (FailureClass::Spawn, format!("Ray could not run it: {}", last_line(error))),
    };
    Failure::new(class, message)
}

/// Of a traceback its end says what happened.
fn last_line(error: &str) -> &str {
    error.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing was said")
}

fn log(stdout: Stream, stderr: Stream) -> Log {
    Log { stdout: text(stdout), stderr: text(stderr) }
}

fn text(stream: Stream) -> LogText {
    let bytes = |text: String| text.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap_or(b'?')).collect();
    Capture::of_parts(bytes(stream.head), bytes(stream.tail), stream.bytes).into_text()
}
