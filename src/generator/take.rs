//! From what a generator left to an entry: the outputs are brought into our hands, checked, and published.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::{look_at_ends, read_table};
use super::{Attempt, AttemptError, Before, Generator, failed_with};
use crate::address::Digest;
use crate::cluster::OnCluster;
use crate::dataset::Upstream;
use crate::failure::{FailureClass, Log};
use crate::interval::Time;
use crate::store::{Claim, Empty, Entry, Provenance, Publication, StageError, StagedOutput, adopt, stage};

/// What a run or a call left, before its outputs are looked at.
pub(super) struct Left {
    /// Where each output should be; nowhere where there is no data.
    pub(super) outputs: Vec<(String, PathBuf)>,
    /// How the generator said that there is no data.
    pub(super) empty: Option<Empty>,
    /// What program, inputs and upstream were before it began.
    pub(super) before: Before,
    pub(super) by: MadeBy,
    pub(super) log: Log,
}

/// What made it, for its provenance.
pub(super) struct MadeBy {
    pub(super) program: String,
    pub(super) program_digest: Option<Digest>,
    pub(super) arguments: Vec<String>,
    pub(super) started: Time,
    pub(super) duration: Duration,
    pub(super) exit_code: i32,
    pub(super) memory_bytes_peak: Option<u64>,
    /// The machine, where it was another one.
    pub(super) host: Option<String>,
    pub(super) on_cluster: Option<OnCluster>,
}

impl Generator {
    /// Checks and publishes what was left.
    pub(super) fn take(&self, attempt: &Attempt, claim: &mut Claim, left: Left) -> Result<Entry, AttemptError> {
        let Left { outputs, empty, before, by, log } = left;
        if let Err(changed) = self.recheck_since(&before) {
            let message = format!("{changed} while the generator ran, so nobody knows what made its outputs; load again");
            return Err(failed_with(FailureClass::ChangedWhileRunning, message, &log));
        }
        let mut staged = Vec::with_capacity(outputs.len());
        for (name, path) in &outputs {
            staged.push(take_output(name, path, claim, by.on_cluster.is_none(), &log)?);
        }
        let rowless = !staged.is_empty() && staged.iter().all(|output| output.table.rows == 0);
        let upstream = attempt.upstream.iter().map(|(name, upstream)| {
            let addresses = upstream.partitions().iter().map(|partition| partition.address);
            (name.clone(), addresses.collect())
        });
        let upstream_seconds = attempt.upstream.values().flat_map(Upstream::partitions).map(|partition| partition.seconds).sum();
        let said = Box::new(log.clone());
        let publication = Publication {
            dataset: self.dataset.name().to_owned(),
            key: attempt.key.clone(),
            outputs: staged,
            empty: empty.or(rowless.then_some(Empty::ZeroRows)),
            provenance: Provenance {
                program: by.program,
                program_digest: by.program_digest,
                arguments: by.arguments,
                started: by.started,
                duration: by.duration,
                exit_code: by.exit_code,
                memory_bytes_peak: by.memory_bytes_peak,
                host: by.host.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned()),
                attempt: attempt.nth,
                on_cluster: by.on_cluster,
                upstream: upstream.collect(),
                upstream_seconds,
                tickbarn: env!("CARGO_PKG_VERSION").to_owned(),
            },
            log,
        };
        self.store.publish(claim, publication).map_err(|error| AttemptError::Store(Box::new(error), said))
    }
}

/// Brings one output into our hands. Only of what was written on this machine does the kernel know who still has it open; the rest is copied.
fn take_output(name: &str, path: &Path, claim: &mut Claim, here: bool, log: &Log) -> Result<StagedOutput, AttemptError> {
    let file = path.file_name().unwrap_or_default().display();
    let to: PathBuf = claim.file("staged");
    let failed = |class, message| failed_with(class, message, log);
    // What cannot be a table is not read through first: it may be a hole of terabytes.
    if let Err(reason) = look_at_ends(path) {
        return Err(failed(FailureClass::BadOutput, format!("{file}, the output {name}, is no whole Parquet file: {reason}")));
    }
    let staged = if here { adopt(path, to) } else { stage(path, to) };
    let staged = staged.map_err(|error| match error {
        StageError::Absent => failed(
            FailureClass::NoOutput,
            format!("the generator ended well but left no {file}, its output {name}; look at its log and at where it was told to write {name}, or, of a function, give back a table or write to Job::output"),
        ),
        StageError::Unfit(what) => failed(FailureClass::BadOutput, format!("{file}, the output {name}, is {what}, not a regular Parquet file")),
        StageError::Store(error) => AttemptError::Store(Box::new(error), Box::new(log.clone())),
    })?;
    let table = read_table(&staged.file)
        .map_err(|reason| failed(FailureClass::BadOutput, format!("{file}, the output {name}, is no whole Parquet file: {reason}")))?;
    Ok(StagedOutput { name: name.to_owned(), staged, table })
}
