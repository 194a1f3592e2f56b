//! Generating a partition by a command: one attempt, from an empty work directory to a published entry or a failure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dataset::{Dataset, Expanded, Identified, Key, Look};
use crate::error::{Error, Result};
use crate::failure::{Failure, FailureClass, Log};
use crate::generator::check::read_table;
use crate::runner::{Ended, Finished, Run, Runner, base_environment};
use crate::store::{Claim, Empty, Entry, Provenance, Publication, StageError, StagedOutput, Store, adopt};

/// What every attempt of a load shares.
#[derive(Clone)]
pub(crate) struct CommandGenerator {
    store: Store,
    dataset: Dataset,
    identified: std::sync::Arc<Identified>,
    runner: std::sync::Arc<dyn Runner>,
}

/// An attempt that did not end in an entry.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// The generator, or what it left, is at fault.
    Failed(Failure),
    /// Our side is.
    Store(Error),
}

impl From<Error> for AttemptError {
    fn from(error: Error) -> Self {
        AttemptError::Store(error)
    }
}

/// What a run left, before its outputs are looked at.
struct Made {
    finished: Finished,
    expanded: Expanded,
    before: Look,
    exit_code: u8,
    attempt: u32,
}

impl CommandGenerator {
    pub(crate) fn new(store: Store, dataset: Dataset, identified: std::sync::Arc<Identified>, runner: std::sync::Arc<dyn Runner>) -> Self {
        Self { store, dataset, identified, runner }
    }

    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Runs the command once for a key whose claim is held, and publishes what it made.
    ///
    /// Dropping the future ends the command, and gives the claim back with its work directory. It comes back by value where another attempt may follow.
    pub(crate) async fn attempt(&self, key: &Key, claim: Claim, attempt: u32) -> (Option<Claim>, Result<Entry, AttemptError>) {
        // The claim moves into the steps that block, so that a load which is dropped meanwhile cannot release it under them.
        let generator = self.clone();
        let prepared_key = key.clone();
        let prepared = self.store.blocking("preparing a run", move |_| {
            let mut claim = claim;
            let prepared = generator.prepare(&prepared_key, &mut claim);
            (claim, prepared)
        });
        let prepared = prepared.await;
        let (claim, (expanded, before, run)) = match prepared {
            Err(error) => return (None, Err(error.into())),
            Ok((claim, Err(error))) => return (Some(claim), Err(error)),
            Ok((claim, Ok(prepared))) => (claim, prepared),
        };

        let finished = match self.runner.run(run).await {
            Ok(finished) => finished,
            Err(failure) => return (Some(claim), Err(AttemptError::Failed(failure.into()))),
        };
        let exit_code = match self.judge(&finished) {
            Ok(exit_code) => exit_code,
            Err(failure) => return (Some(claim), Err(AttemptError::Failed(failure))),
        };

        let generator = self.clone();
        let key = key.clone();
        let made = Made { finished, expanded, before, exit_code, attempt };
        let taken = self.store.blocking("publishing an entry", move |_| {
            let mut claim = claim;
            let taken = generator.take(&key, &mut claim, made);
            (claim, taken)
        });
        match taken.await {
            Ok((claim, taken)) => (Some(claim), taken),
            Err(error) => (None, Err(error.into())),
        }
    }

    /// Makes the work directory and everything in it that the command is to find.
    fn prepare(&self, key: &Key, claim: &mut Claim) -> Result<(Expanded, Look, Run), AttemptError> {
        let changed = |what: String| AttemptError::Failed(Failure::new(FailureClass::ChangedWhileRunning, what));
        let before =
            self.identified.recheck().map_err(|what| changed(format!("{what} since the load began, so its key no longer holds; load again")))?;
        let directory = claim.directory("attempt")?;
        let scratch = claim.directory("tmp")?;
        let mut expanded = self.dataset.expand(&self.identified, key.instrument(), key.interval(), &directory)?;
        if let Some(digest) = self.identified.program_digest().filter(|_| self.dataset.snapshot_program()) {
            expanded.program = match self.store.snapshot(&expanded.program, &digest) {
                Ok(kept) => kept,
                Err(error @ Error::Damaged { .. }) => return Err(changed(format!("{error}; load again"))),
                Err(error) => return Err(error.into()),
            };
        }
        for (path, text) in &expanded.files {
            std::fs::write(path, text).map_err(Error::io("write", path))?;
        }
        let mut environment = base_environment();
        environment.insert("TMPDIR".to_owned(), scratch.to_string_lossy().into_owned());
        environment.extend(expanded.environment.iter().cloned());
        let run =
            Run { program: expanded.program.clone(), arguments: expanded.arguments.clone(), environment, directory, timeout: self.dataset.timeout() };
        Ok((expanded, before, run))
    }

    /// Decides by its end whether a run may have made something.
    fn judge(&self, finished: &Finished) -> Result<u8, Failure> {
        let failed = |class, message: String| Err(Failure { class, message, log: finished.log.clone() });
        match finished.ended {
            Ended::Exited(code) => match u8::try_from(code) {
                Ok(code) if code == 0 || self.dataset.empty_exit_codes().contains(&code) => Ok(code),
                _ => failed(FailureClass::Exit, format!("the generator ended with exit status {code}{}", last_words(&finished.log))),
            },
            Ended::Signalled(signal) => {
                let hint = if signal == libc::SIGKILL {
                    "; if nobody killed it, memory may have run out: see `dmesg` and [dataset.*.resources] memory"
                } else {
                    ""
                };
                failed(FailureClass::Signal, format!("signal {signal} ended the generator after {}{hint}", seconds(finished.duration)))
            }
            Ended::TimedOut => {
                let limit = self.dataset.timeout().unwrap_or_default();
                let message =
                    format!("the generator ran longer than its timeout of {} and was ended after {}", seconds(limit), seconds(finished.duration));
                failed(FailureClass::Timeout, message)
            }
        }
    }

    /// Checks and publishes what a run left.
    fn take(&self, key: &Key, claim: &mut Claim, made: Made) -> Result<Entry, AttemptError> {
        let log = made.finished.log.clone();
        let failed = |class, message: String| AttemptError::Failed(Failure { class, message, log: log.clone() });
        if let Err(changed) = self.identified.recheck_since(&made.before) {
            return Err(failed(
                FailureClass::ChangedWhileRunning,
                format!("{changed} while the generator ran, so nobody knows what made its outputs; load again"),
            ));
        }
        let (outputs, empty) = if made.exit_code == 0 {
            let mut outputs = Vec::with_capacity(made.expanded.outputs.len());
            for (name, path) in &made.expanded.outputs {
                outputs.push(take_output(name, path, claim).map_err(|error| match error {
                    TakeError::Failed(class, message) => failed(class, message),
                    TakeError::Store(error) => error.into(),
                })?);
            }
            let empty = outputs.iter().all(|output| output.table.rows == 0).then_some(Empty::ZeroRows);
            (outputs, empty)
        } else {
            (Vec::new(), Some(Empty::ExitCode(made.exit_code)))
        };
        let finished = made.finished;
        let publication = Publication {
            dataset: self.dataset.name().to_owned(),
            key: key.clone(),
            outputs,
            empty,
            provenance: Provenance {
                program: made.expanded.program.to_string_lossy().into_owned(),
                program_digest: self.identified.program_digest(),
                arguments: made.expanded.arguments,
                started: finished.started,
                duration: finished.duration,
                exit_code: i32::from(made.exit_code),
                memory_bytes_peak: finished.memory_bytes_peak,
                host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
                attempt: made.attempt,
                tickbarn: env!("CARGO_PKG_VERSION").to_owned(),
            },
            log: finished.log,
        };
        Ok(self.store.publish(claim, publication)?)
    }
}

enum TakeError {
    Failed(FailureClass, String),
    Store(Error),
}

fn take_output(name: &str, path: &Path, claim: &mut Claim) -> Result<StagedOutput, TakeError> {
    let file = path.file_name().unwrap_or_default().display();
    let to: PathBuf = claim.file("staged");
    let staged = adopt(path, to).map_err(|error| match error {
        StageError::Absent => TakeError::Failed(
            FailureClass::NoOutput,
            format!("the generator ended well but left no {file}, its output {name}; look at its log, and at where {{output.{name}}} stands in the dataset"),
        ),
        StageError::Unfit(what) => {
            TakeError::Failed(FailureClass::BadOutput, format!("{file}, the output {name}, is {what}, not a regular Parquet file"))
        }
        StageError::Store(error) => TakeError::Store(error),
    })?;
    let table = read_table(&staged.file)
        .map_err(|reason| TakeError::Failed(FailureClass::BadOutput, format!("{file}, the output {name}, is no whole Parquet file: {reason}")))?;
    Ok(StagedOutput { name: name.to_owned(), staged, table })
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

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Where a failure of our own side is recorded.
pub(crate) fn store_failure(error: &Error) -> Failure {
    Failure::new(FailureClass::Store, error.to_string())
}
