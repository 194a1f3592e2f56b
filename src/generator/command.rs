//! Generating a partition by a command: one attempt, from an empty work directory to a published entry or a failure.

use super::take::{Left, MadeBy};
use super::{Attempt, AttemptError, Before, Generator, failed, failed_with, seconds};
use crate::dataset::{Expanded, PartitionScope};
use crate::error::Error;
use crate::failure::{FailureClass, Log};
use crate::runner::{Elsewhere, Ended, Finished, Run, RunError, base_environment};
use crate::store::{Claim, Empty, Entry, write_new};

/// A run in which everything is decided, and what is needed to judge it.
struct Prepared {
    run: Run,
    expanded: Expanded,
    before: Before,
}

impl Generator {
    /// Runs the command once, and publishes what it made.
    pub(super) async fn run_command(&self, attempt: Attempt, claim: Claim) -> (Option<Claim>, Result<Entry, AttemptError>) {
        // The claim moves into the steps that block, so that a load which is dropped meanwhile cannot release it under them.
        let generator = self.clone();
        let of = attempt.clone();
        let prepared = self.store.blocking("preparing a run", move |_| {
            let mut claim = claim;
            let prepared = generator.prepare(&of, &mut claim);
            (claim, prepared)
        });
        let (claim, Prepared { run, expanded, before }) = match prepared.await {
            Err(error) => return (None, Err(error.into())),
            Ok((claim, Err(error))) => return (Some(claim), Err(error)),
            Ok((claim, Ok(prepared))) => (claim, prepared),
        };
        let directory = run.directory.clone();
        let finished = self.runner.run(run).await;
        if self.runner.is_elsewhere() {
            // Publishing takes nothing of what the cluster has.
            attempt.share.give_back();
        }
        let finished = match finished {
            Ok(finished) => finished,
            Err(RunError::Failed(failure)) => return (Some(claim), Err(AttemptError::Failed(failure))),
            Err(RunError::Cluster(error)) => return (Some(claim), Err(AttemptError::Cluster(Box::new(error)))),
        };
        let exit_code = match self.judge(&finished) {
            Ok(exit_code) => exit_code,
            Err(error) => return (Some(claim), Err(error)),
        };

        let generator = self.clone();
        let taken = self.store.blocking("publishing an entry", move |_| {
            let mut claim = claim;
            let left = Left {
                outputs: if exit_code == 0 { generator.dataset.outputs_in(&directory) } else { Vec::new() },
                empty: (exit_code != 0).then_some(Empty::ExitCode(exit_code)),
                before,
                by: MadeBy {
                    program: expanded.program.to_string_lossy().into_owned(),
                    program_digest: generator.identified.program_digest(),
                    arguments: expanded.arguments,
                    started: finished.started,
                    duration: finished.duration,
                    exit_code: i32::from(exit_code),
                    memory_bytes_peak: finished.memory_bytes_peak,
                    host: finished.host,
                    on_cluster: finished.on_cluster,
                },
                log: finished.log,
            };
            let taken = generator.take(&attempt, &mut claim, left);
            (claim, taken)
        });
        match taken.await {
            Ok((claim, taken)) => (Some(claim), taken),
            Err(error) => (None, Err(error.into())),
        }
    }

    /// Makes the work directory and everything in it that the command is to find.
    fn prepare(&self, attempt: &Attempt, claim: &mut Claim) -> Result<Prepared, AttemptError> {
        let before = self.look(&attempt.upstream)?;
        let directory = claim.directory("attempt")?;
        let scratch = claim.directory("tmp")?;
        let partition = PartitionScope { instrument: attempt.key.instrument(), interval: attempt.key.interval(), upstream: &attempt.upstream };
        let mut expanded = self
            .dataset
            .expand(&self.identified, &partition, &directory)?
            .ok_or_else(|| Error::Internal { what: "running a function as a command".to_owned() })?;
        if let Some(digest) = self.identified.program_digest().filter(|_| self.dataset.snapshot_program()) {
            expanded.program = match self.store.snapshot(&expanded.program, &digest) {
                Ok(kept) => kept,
                Err(error @ Error::Damaged { .. }) => return Err(failed(FailureClass::ChangedWhileRunning, format!("{error}; load again"))),
                Err(error) => return Err(error.into()),
            };
        }
        for (path, text) in &expanded.files {
            write_new(path, text.as_bytes())?;
        }
        let mut environment = base_environment();
        environment.insert("TMPDIR".to_owned(), scratch.to_string_lossy().into_owned());
        environment.extend(expanded.environment.iter().cloned());
        let elsewhere = if self.runner.is_elsewhere() {
            Some(Elsewhere {
                label: format!("tickbarn {} {} {}", self.dataset.name(), attempt.key.instrument(), attempt.key.interval()),
                wants: self.dataset.wants_of_a_node(),
                marks: claim.directory("marks")?,
                files: self.identified.files_of(&before.look).map(|(path, stat)| (path.to_path_buf(), stat.size, stat.mtime_ns)).collect(),
            })
        } else {
            None
        };
        let run = Run {
            program: expanded.program.clone(),
            arguments: expanded.arguments.clone(),
            environment,
            directory,
            timeout: self.dataset.timeout(),
            elsewhere,
        };
        Ok(Prepared { run, expanded, before })
    }

    /// Decides by its end whether a run may have made something.
    fn judge(&self, finished: &Finished) -> Result<u8, AttemptError> {
        let full = || self.store.full_disk_hint();
        let failed = |class, message: String| Err(failed_with(class, message, &finished.log));
        match finished.ended {
            Ended::Exited(code) => match u8::try_from(code) {
                Ok(code) if code == 0 || self.dataset.empty_exit_codes().contains(&code) => Ok(code),
                _ => failed(FailureClass::Exit, format!("the generator ended with exit status {code}{}{}", last_words(&finished.log), full())),
            },
            Ended::Signalled(signal) => {
                let hint = if signal == libc::SIGKILL {
                    "; if nobody killed it, memory may have run out: see `dmesg` and [dataset.*.resources] memory"
                } else {
                    ""
                };
                failed(FailureClass::Signal, format!("signal {signal} ended the generator after {}{hint}{}", seconds(finished.duration), full()))
            }
            Ended::TimedOut => {
                let limit = self.dataset.timeout().unwrap_or_default();
                let message =
                    format!("the generator ran longer than its timeout of {} and was ended after {}", seconds(limit), seconds(finished.duration));
                failed(FailureClass::Timeout, message)
            }
        }
    }
}

/// The last line a generator wrote, for a message: standard error before standard output.
fn last_words(log: &Log) -> String {
    const CHARS_MAX: usize = 600;
    let last = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
    match last(&log.stderr.text).or_else(|| last(&log.stdout.text)) {
        None => " and said nothing".to_owned(),
        Some(line) => {
            let printable: String = line.chars().filter(|character| !character.is_control()).take(CHARS_MAX).collect();
            let cut = if line.chars().nth(CHARS_MAX).is_some() { "…" } else { "" };
            format!(": {printable}{cut}")
        }
    }
}
