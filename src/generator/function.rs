//! Generating a partition by a Rust function: one attempt, from an empty work directory to a published entry or a failure.
//!
//! A function cannot be ended from outside: it is asked to stop, and what it gives back after that is not used. Until it returns it keeps its claim, so
//! that nobody else works in its directory; its share of the load's limits is given back. An async function ends where it next waits.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::take::{Left, MadeBy};
use super::{Attempt, AttemptError, Before, Generator, failed, failed_with};
use crate::dataset::{Body, Job, JobParts, Made, Outputs};
use crate::error::Error;
use crate::failure::{FailureClass, Log, LogText};
use crate::interval::Time;
use crate::runner::TERM_GRACE;
use crate::store::{Claim, Empty, Entry};

/// The claim, where it was not lost, and what became of the attempt.
type Answer = (Option<Claim>, Result<Entry, AttemptError>);

/// A call, from just before it is made.
struct Ready {
    job: Job,
    directory: PathBuf,
    before: Before,
    started: Time,
    clock: Instant,
}

/// What a function gave back, or what it panicked with.
type Returned = Result<Made, Box<dyn Any + Send>>;

/// A task that ends, as far as it can be ended, when nobody waits for it any more.
struct Task(JoinHandle<Answer>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Generator {
    /// Calls the function once, and publishes what it made.
    pub(super) async fn call_function(&self, attempt: Attempt, claim: Claim, body: Body) -> Answer {
        let stop = Stop::default();
        // Whoever drops this future no longer waits for the function.
        let _asks_to_stop = StopOnDrop(stop.clone());
        let (began, begins) = oneshot::channel();
        let call = Call { generator: self.clone(), attempt, stop: stop.clone() };
        let mut task = Task(match body {
            Body::Sync(function) => tokio::task::spawn_blocking(move || {
                let mut claim = claim;
                let made = call.ready(&mut claim).and_then(|ready| {
                    // Nobody may wait for it any more.
                    let _ = began.send(());
                    let returned = catch_unwind(AssertUnwindSafe(|| function(&ready.job)));
                    call.finish(&mut claim, ready, returned)
                });
                (Some(claim), made)
            }),
            // The claim lives in the task, which is dropped only between two of its polls.
            Body::Async(function) => tokio::spawn(async move {
                let prepared = call.blocking("preparing a call", claim, Call::ready).await;
                let (claim, ready) = match prepared {
                    Ok((claim, Ok(ready))) => (claim, ready),
                    Ok((claim, Err(error))) => return (Some(claim), Err(error)),
                    Err(error) => return (None, Err(error.into())),
                };
                let _ = began.send(());
                let job = ready.job.clone();
                let returned = tokio::select! {
                    biased;
                    // It ends where it waits, also where it does not look.
                    () = call.stop.token.cancelled() => return (Some(claim), Err(call.stopped(&ready.clock))),
                    returned = AssertUnwindSafe(async { function(job).await }).catch_unwind() => returned,
                };
                match call.blocking("publishing an entry", claim, |call, claim| call.finish(claim, ready, returned)).await {
                    Ok((claim, made)) => (Some(claim), made),
                    Err(error) => (None, Err(error.into())),
                }
            }),
        });
        let Some(timeout) = self.dataset.timeout() else { return answer((&mut task.0).await) };
        let time_is_up = async {
            // Its time begins with the call. Where it is never called, the task is over.
            match begins.await {
                Ok(()) => tokio::time::sleep(timeout).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = &mut task.0 => return answer(ended),
            () = time_is_up => {}
        }
        if !stop.ask() {
            // It is being published, which is ours and ends.
            return answer((&mut task.0).await);
        }
        match tokio::time::timeout(TERM_GRACE, &mut task.0).await {
            Ok(ended) => answer(ended),
            Err(_) => {
                let message = format!(
                    "the function ran longer than its timeout of {timeout:?} and did not stop when asked to; let it look at Job::is_cancelled"
                );
                (None, Err(failed(FailureClass::Timeout, message)))
            }
        }
    }
}

fn answer(ended: Result<Answer, tokio::task::JoinError>) -> Answer {
    ended.unwrap_or_else(|error| (None, Err(Error::Internal { what: format!("calling a function ({error})") }.into())))
}

/// Decides between stopping a call and publishing what it made: whichever comes first.
#[derive(Clone, Default)]
struct Stop {
    decided: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Stop {
    /// Asks a call to stop. Says whether it came to that, rather than to publishing.
    fn ask(&self) -> bool {
        let first = !self.decided.swap(true, Ordering::SeqCst);
        if first {
            self.token.cancel();
        }
        first
    }

    /// Whether what was made may be published: then nothing stops it any more.
    fn may_publish(&self) -> bool {
        !self.decided.swap(true, Ordering::SeqCst)
    }

    fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// One attempt, as the steps that block see it.
#[derive(Clone)]
struct Call {
    generator: Generator,
    attempt: Attempt,
    stop: Stop,
}

impl Call {
    /// What becomes of a call that was asked to stop.
    fn stopped(&self, clock: &Instant) -> AttemptError {
        let limit = self.generator.dataset.timeout().unwrap_or_default();
        let message =
            format!("the function ran longer than its timeout of {limit:?} and stopped when asked to, after {:.3} s", clock.elapsed().as_secs_f64());
        failed(FailureClass::Timeout, message)
    }

    /// Does a step that blocks off the async threads, with the claim.
    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        claim: Claim,
        step: impl FnOnce(&Call, &mut Claim) -> T + Send + 'static,
    ) -> Result<(Claim, T), Error> {
        let call = self.clone();
        let stepped = self.generator.store.blocking(what, move |_| {
            let mut claim = claim;
            let stepped = step(&call, &mut claim);
            (claim, stepped)
        });
        stepped.await
    }

    fn ready(&self, claim: &mut Claim) -> Result<Ready, AttemptError> {
        let Generator { dataset, identified, .. } = &self.generator;
        let before = self.generator.look(&self.attempt.upstream)?;
        let directory = claim.directory("attempt")?;
        let parts = JobParts {
            instrument: self.attempt.key.instrument().clone(),
            interval: self.attempt.key.interval(),
            work: directory.clone(),
            inputs: identified.inputs().map(|(name, path)| (name.to_owned(), path.to_path_buf())).collect(),
            upstream: self.attempt.upstream.clone(),
            // Its own: what it cancels itself is its helpers' end, not the job's.
            cancellation: self.stop.token.child_token(),
            attempt: self.attempt.nth,
        };
        Ok(Ready { job: Job::new(dataset, parts), directory, before, started: Time::now(), clock: Instant::now() })
    }

    /// Writes the tables that were given back, and publishes them with the files that the function wrote.
    fn finish(&self, claim: &mut Claim, ready: Ready, returned: Returned) -> Result<Entry, AttemptError> {
        let Ready { directory, before, started, clock, .. } = ready;
        if self.stop.is_asked() {
            return Err(self.stopped(&clock));
        }
        let outputs = match returned {
            Ok(Ok(outputs)) => outputs,
            Ok(Err(error)) => return Err(failed_with(FailureClass::Error, error.to_string(), &log_of(&*error))),
            Err(panic) => return Err(failed(FailureClass::Panic, format!("the function panicked: {}", panic_message(&*panic)))),
        };
        let dataset = &self.generator.dataset;
        let no_data = outputs.no_data;
        let places = if no_data { Vec::new() } else { dataset.outputs_in(&directory) };
        // A lazy frame computes only now, and may panic as well.
        let written = catch_unwind(AssertUnwindSafe(|| self.write(outputs, &places)));
        written.unwrap_or_else(|panic| {
            Err(failed(FailureClass::Panic, format!("computing what the function gave back panicked: {}", panic_message(&*panic))))
        })?;
        // A lazy frame may have taken its time.
        if !self.stop.may_publish() {
            return Err(self.stopped(&clock));
        }
        let (name, _) = dataset.body().ok_or_else(|| Error::Internal { what: "calling a command as a function".to_owned() })?;
        let left = Left {
            outputs: places,
            empty: no_data.then_some(Empty::NoData),
            before,
            by: MadeBy {
                program: format!("function {name}"),
                program_digest: dataset.function_source(),
                arguments: Vec::new(),
                started,
                duration: clock.elapsed(),
                exit_code: 0,
                memory_bytes_peak: None,
                host: None,
                on_cluster: None,
            },
            log: Log::default(),
        };
        self.generator.take(&self.attempt, claim, left)
    }

    fn write(&self, outputs: Outputs, places: &[(String, PathBuf)]) -> Result<(), AttemptError> {
        let known = || places.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let bad = |message: String| failed(FailureClass::BadOutput, message);
        let Outputs { only, named, .. } = outputs;
        let mut tables: Vec<_> = Vec::with_capacity(named.len() + 1);
        match (only, places) {
            (None, _) => {}
            (Some(table), [(name, path)]) => tables.push((name.clone(), path, table)),
            (Some(_), []) => {}
            (Some(_), _) => {
                return Err(bad(format!(
                    "the function gave back one table, and its dataset has the outputs {}; say which by Outputs::table",
                    known()
                )));
            }
        }
        for (name, table) in named {
            let Some((_, path)) = places.iter().find(|(output, _)| *output == name) else {
                return Err(bad(format!("the function gave back a table {name:?}, and its dataset has only the outputs {}", known())));
            };
            tables.push((name, path, table));
        }
        for (name, path, table) in tables {
            table.write(path).map_err(|error| {
                let message = format!("the table that the function gave back as output {name} could not be written: {error}");
                failed_with(FailureClass::Error, message, &log_of(&*error))
            })?;
        }
        Ok(())
    }
}

/// An error and what caused it, a line each.
fn log_of(error: &(dyn std::error::Error + 'static)) -> Log {
    let mut text = format!("{error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("caused by: {error}\n"));
        cause = error.source();
    }
    Log { stderr: LogText { bytes: text.len() as u64, text, truncated: false }, ..Log::default() }
}

/// What a panic was given to say.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    said.unwrap_or("it said nothing that can be shown")
}
