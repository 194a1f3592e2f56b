//! How much memory a command held at its peak.
//!
//! The kernel's own figure (`ru_maxrss`, handed out with the exit status) is exact and costs nothing, but on Linux it cannot be smaller than
//! what the forking process held when it forked: the child begins as its copy, and `execve` does not reset the mark. Beside a notebook with
//! 20 GB of frames every generator would seem to have taken 20 GB. So that figure counts only above this floor; below it stands the largest
//! mark that was seen on the leader and its descendants in samples taken ever more rarely, and, for a run too short for one, nothing.

use std::time::{Duration, Instant};

use rustix::process::Pid;

/// When the first sample is taken; each pause after it is twice as long, up to [`SAMPLE_PAUSE_MAX`].
const SAMPLE_PAUSE_FIRST: Duration = Duration::from_millis(5);
const SAMPLE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The peak of one running command.
#[derive(Debug)]
pub(super) struct Peak {
    floor_bytes: u64,
    sampled_bytes: Option<u64>,
    next: Instant,
    pause: Duration,
}

impl Peak {
    /// To be called just before the command is started.
    pub(super) fn new() -> Self {
        let pause = SAMPLE_PAUSE_FIRST;
        Self { floor_bytes: process::own_floor_bytes(), sampled_bytes: None, next: Instant::now() + pause, pause }
    }

    /// When [`Peak::sample`] wants to be called next.
    pub(super) fn next_sample(&self) -> Instant {
        self.next
    }

    /// Looks at the processes as they are now, if it is time to.
    pub(super) fn sample(&mut self, leader: Pid, now: Instant) {
        if now < self.next {
            return;
        }
        self.sampled_bytes = self.sampled_bytes.max(process::tree_peak_bytes(leader));
        self.pause = (self.pause * 2).min(SAMPLE_PAUSE_MAX);
        self.next = now + self.pause;
    }

    /// The peak, given the kernel's figure from when the leader was reaped.
    pub(super) fn bytes(&self, usage: &libc::rusage) -> Option<u64> {
        let counted = max_rss_bytes(usage);
        if counted > self.floor_bytes { Some(counted) } else { self.sampled_bytes }
    }
}

/// `ru_maxrss` counts KiB, but bytes on Apple's systems. It is the largest of the process itself and the descendants that were waited for.
fn max_rss_bytes(usage: &libc::rusage) -> u64 {
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit
}

#[cfg(target_os = "linux")]
mod process {
    use std::fs;

    use rustix::process::Pid;

    /// What a fresh child may touch of its own between fork and exec.
    const SLACK_BYTES: u64 = 4 << 20;

    /// The kernel's counters lag by a little for each processor; this part of what they show covers that.
    const LAG_DIVISOR: u64 = 64;

    /// A generator that spawns without end costs a sample no more than this.
    const PROCESSES_MAX: usize = 64;

    /// What a child of this process may inherit into its peak: what is resident here, since fork copies the private pages among it.
    pub(super) fn own_floor_bytes() -> u64 {
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let resident_pages = statm.split(' ').nth(1).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let resident_bytes = resident_pages * rustix::param::page_size() as u64;
        resident_bytes + resident_bytes / LAG_DIVISOR + SLACK_BYTES
    }

    /// The largest peak among the leader and its descendants, as the kernel knows it for their present programs.
    pub(super) fn tree_peak_bytes(leader: Pid) -> Option<u64> {
        let mut processes = vec![leader.as_raw_pid()];
        let mut peak = None;
        let mut at = 0;
        while let Some(&pid) = processes.get(at) {
            at += 1;
            peak = peak.max(peak_bytes(pid));
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            processes.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<i32>().ok()));
            processes.truncate(PROCESSES_MAX);
        }
        peak
    }

    fn peak_bytes(pid: i32) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
    }
}

#[cfg(not(target_os = "linux"))]
mod process {
    use rustix::process::Pid;

    pub(super) fn own_floor_bytes() -> u64 {
        0
    }

    pub(super) fn tree_peak_bytes(_leader: Pid) -> Option<u64> {
        None
    }
}
