//! Running commands on this machine.
//!
//! One thread a run: it starts the child, reads its output, keeps the time, and reaps it. That thread, and no other, sends signals, and only
//! between start and reaping: while the leader is unreaped, be it a zombie, the kernel gives its number to no other process or group, so a
//! signal cannot reach a stranger. The thread must live that long for a second reason too: on Linux the child is killed when it ends
//! (`runner/spawn.rs`).
//!
//! What a SIGKILLed tickbarn takes along is the leader; a script's own children lose their output pipe and end when they next write to it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Child, ExitStatus};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::sync::oneshot;

use super::capture::Capture;
use super::memory::Peak;
use super::spawn::{explained, failed, spawn};
use super::{BoxFuture, Ended, Finished, Run, RunError, Runner, STOP_WAIT_MAX, SpawnFailure, TERM_GRACE};
use crate::failure::Log;
use crate::interval::Time;

/// How long output is still read after the leader has ended, where a process outside its group holds the pipes open.
const DRAIN_MAX: Duration = Duration::from_millis(250);

/// How long the killed rest of a group may take to be gone before the run is answered all the same. Short, since where the system's first
/// process is slow to reap (in some containers) its zombies hold the group's number for long.
const GROUP_GONE_MAX: Duration = Duration::from_millis(20);

/// How often to look for the leader's end where the system has no descriptor that tells (anything but Linux since 5.3).
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// What one read takes at most: as much as a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// So many reads take all that stood in the pipes when the leader ended, on however slow a machine.
const DRAIN_READS_MIN: usize = 4;

/// Runs commands as child processes of this one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Local;

impl Runner for Local {
    fn run(&self, run: Run) -> BoxFuture<'_, Result<Finished, RunError>> {
        Box::pin(async move { Ok(run_on_a_thread(run).await?) })
    }
}

async fn run_on_a_thread(run: Run) -> Result<Finished, SpawnFailure> {
    let run = Arc::new(run);
    let (stop, ask) = io::pipe().map_err(|error| explained(&run, &error))?;
    let stop = Arc::new(stop);
    let (answer, answered) = oneshot::channel();
    let (alive, ended) = mpsc::channel();
    let mut stop_on_drop = StopOnDrop { ask, _stop: Arc::clone(&stop), ended, process: process::id(), answered: false };
    let supervise = {
        let run = Arc::clone(&run);
        move || {
            let _alive: mpsc::Sender<()> = alive;
            let outcome = supervise(&run, stop.as_fd());
            drop(stop);
            // Nobody listens where the future was dropped.
            drop(answer.send(outcome));
        }
    };
    thread::Builder::new().name("tickbarn-run".to_owned()).spawn(supervise).map_err(|error| explained(&run, &error))?;

    let outcome = answered.await;
    stop_on_drop.answered = true;
    let bug = || failed(&run, "the thread in charge of it stopped without an answer; this is a bug in tickbarn, please report it");
    outcome.unwrap_or_else(|_| Err(bug()))
}

/// Ends the run when its future is dropped before the answer, and waits until that is done.
struct StopOnDrop {
    ask: PipeWriter,
    /// Keeps the reading end open, so that asking a thread that is just finishing raises no SIGPIPE.
    _stop: Arc<PipeReader>,
    /// Disconnects when the thread is done: the leader is reaped and all descriptors are closed.
    ended: mpsc::Receiver<()>,
    /// Which process started the run. One that was forked from it holds a copy of this value, and must not end its parent's generator.
    process: u32,
    answered: bool,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if self.answered || self.process != process::id() {
            return;
        }
        let asked = self.ask.write_all(&[0]);
        if asked.is_err() || self.ended.recv_timeout(STOP_WAIT_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("a generator was still not dead {} s after SIGKILL; its end is awaited in the background", STOP_WAIT_MAX.as_secs());
        }
    }
}

/// Starts the command and stays with it until it is reaped. A readable `stop` ends it.
fn supervise(run: &Run, stop: BorrowedFd<'_>) -> Result<Finished, SpawnFailure> {
    let started = Time::now();
    let start = Instant::now();
    let mut peak = Peak::new();
    let mut child = spawn(run)?;
    let mut leader = Leader::new(&child);
    let mut streams = Streams::take(&mut child);

    let mut phase = Phase::Running { until: run.timeout.and_then(|timeout| start.checked_add(timeout)) };
    let mut timed_out = false;
    let ended = loop {
        let now = Instant::now();
        peak.sample(leader.pid, now);
        match phase {
            Phase::Running { until: Some(until) } if now >= until => {
                timed_out = true;
                leader.signal_group(Signal::TERM);
                phase = Phase::Terminating { until: now + TERM_GRACE };
            }
            Phase::Terminating { until } if now >= until => {
                leader.signal_group(Signal::KILL);
                phase = Phase::Killed { stopped: false };
            }
            _ => {}
        }
        let mut wake = phase.until().map_or(peak.next_sample(), |until| until.min(peak.next_sample()));
        if leader.exit.is_none() {
            wake = wake.min(now + LOOK_PAUSE);
        }
        let watched_stop = if phase.is_stopped() { None } else { Some(stop) };
        let stop_asked = streams.read(watched_stop, leader.exit.as_ref().map(AsFd::as_fd), wake);
        if stop_asked {
            leader.signal_group(Signal::KILL);
            phase = Phase::Killed { stopped: true };
        }
        match leader.has_ended() {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(lost) => break Err(lost),
        }
    };
    let duration = start.elapsed();
    let (status, usage) = ended.and_then(|()| leader.end()).map_err(|Lost| {
        failed(
            run,
            "it ended, but how is lost: this process ignores SIGCHLD or some part of it waits for every child; let tickbarn wait for its own children",
        )
    })?;
    if !phase.is_stopped() {
        streams.drain(Instant::now() + DRAIN_MAX);
    }
    leader.await_group_gone();

    let ended = match (status.code(), status.signal()) {
        _ if timed_out => Ended::TimedOut,
        (Some(code), _) => Ended::Exited(code),
        (None, signal) => Ended::Signalled(signal.unwrap_or(0)),
    };
    Ok(Finished { ended, started, duration, memory_bytes_peak: peak.bytes(&usage), log: streams.into_log(), host: None, on_cluster: None })
}

/// How far ending a command has come.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Running { until: Option<Instant> },
    Terminating { until: Instant },
    Killed { stopped: bool },
}

impl Phase {
    fn until(self) -> Option<Instant> {
        match self {
            Phase::Running { until } => until,
            Phase::Terminating { until } => Some(until),
            Phase::Killed { .. } => None,
        }
    }

    fn is_stopped(self) -> bool {
        matches!(self, Phase::Killed { stopped: true })
    }
}

/// Another part of the process has reaped the child, so that its number means nothing any more.
struct Lost;

/// The child that leads the process group, from its start until it is reaped; reaped at the latest when dropped.
struct Leader {
    pid: Pid,
    /// Readable once the leader has ended.
    exit: Option<OwnedFd>,
    reaped: bool,
}

impl Leader {
    fn new(child: &Child) -> Self {
        let pid = Pid::from_child(child);
        #[cfg(target_os = "linux")]
        let exit = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
        #[cfg(not(target_os = "linux"))]
        let exit = None;
        Self { pid, exit, reaped: false }
    }

    /// Signals the whole group, if its number is still ours. That nobody is left to take the signal is no failure.
    fn signal_group(&self, signal: Signal) {
        if !self.reaped {
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Whether the leader has ended; it stays a zombie, and its number ours.
    fn has_ended(&mut self) -> Result<bool, Lost> {
        loop {
            match rustix::process::waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG) {
                Ok(status) => return Ok(status.is_some()),
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.reaped = true;
                    return Err(Lost);
                }
            }
        }
    }

    /// Kills what is left of the group and reaps the leader, waiting for its end.
    fn end(&mut self) -> Result<(ExitStatus, libc::rusage), Lost> {
        self.signal_group(Signal::KILL);
        let mut status = 0;
        // SAFETY: `rusage` consists of integers only, for which all bits zero is a value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        loop {
            // SAFETY: both pointers lead to live, writable values of the types that wait4 writes; the number is that of a child that this
            // thread has not reaped before, since `reaped` is set with the first success and `end` is not called after.
            let reaped = unsafe { libc::wait4(self.pid.as_raw_pid(), &raw mut status, 0, &raw mut usage) };
            if reaped == self.pid.as_raw_pid() {
                self.reaped = true;
                return Ok((ExitStatus::from_raw(status), usage));
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                self.reaped = true;
                return Err(Lost);
            }
        }
    }

    /// Waits shortly until the kernel has taken the killed members of the group down, so that they touch no file any more. The group's number
    /// may mean another one by now, which costs no more than the wait.
    fn await_group_gone(&self) {
        let until = Instant::now() + GROUP_GONE_MAX;
        while rustix::process::test_kill_process_group(self.pid).is_ok() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.end();
        }
    }
}

/// The reading ends of the child's two output streams.
struct Streams {
    pipes: [Option<PipeReader>; 2],
    captures: [Capture; 2],
    buffer: Box<[u8]>,
}

impl Streams {
    fn take(child: &mut Child) -> Self {
        let stdout = child.stdout.take().map(|pipe| PipeReader::from(OwnedFd::from(pipe)));
        let stderr = child.stderr.take().map(|pipe| PipeReader::from(OwnedFd::from(pipe)));
        Self { pipes: [stdout, stderr], captures: Default::default(), buffer: vec![0; READ_BYTES].into_boxed_slice() }
    }

    /// Waits until there is output, the leader has ended, a stop is asked for or it is `until`, and reads what output there is without
    /// waiting for more. Says whether a stop is asked for.
    fn read(&mut self, stop: Option<BorrowedFd<'_>>, exit: Option<BorrowedFd<'_>>, until: Instant) -> bool {
        let [stdout, stderr] = &self.pipes;
        let watched = [stop, exit, stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        let mut polled: Vec<PollFd<'_>> = watched.iter().flatten().map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let pause = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
        if let Err(error) = rustix::event::poll(&mut polled, pause.as_ref()) {
            if error != Errno::INTR {
                thread::sleep(LOOK_PAUSE);
            }
            return false;
        }
        // Anything counts as ready, a hang-up and an error too: reading then tells which.
        let mut answers = polled.iter().map(|fd| !fd.revents().is_empty());
        let [stop, _, stdout, stderr] = watched.map(|fd| fd.is_some() && answers.next().unwrap_or(false));
        for (at, ready) in [stdout, stderr].into_iter().enumerate() {
            if ready {
                self.read_one(at);
            }
        }
        stop
    }

    /// Reads once from a pipe that is ready, so that it does not block; closes it at its end.
    fn read_one(&mut self, at: usize) {
        let Some(pipe) = &mut self.pipes[at] else { return };
        match pipe.read(&mut self.buffer) {
            Ok(bytes) if bytes > 0 => self.captures[at].push(&self.buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.pipes[at] = None,
        }
    }

    /// Reads on until both streams have ended, or until then; but at least [`DRAIN_READS_MIN`] times, however late it is.
    fn drain(&mut self, until: Instant) {
        let mut reads = 0;
        while self.pipes.iter().any(Option::is_some) && (reads < DRAIN_READS_MIN || Instant::now() < until) {
            self.read(None, None, until);
            reads += 1;
        }
    }

    fn into_log(self) -> Log {
        let [stdout, stderr] = self.captures.map(Capture::into_text);
        Log { stdout, stderr }
    }
}

#[cfg(test)]
mod tests;
