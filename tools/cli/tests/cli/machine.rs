//! What a test needs of the machine beyond files of its own: processes that outlive their parents, control groups. All of it is undone when it is dropped, and a test that cannot have it says by its name that it was skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::support::{Barn, is_alive, wait_for};

/// Says that a test cannot be made here.
pub(crate) fn skipped(test: &str, reason: &str) {
    eprintln!("skipped {test}: {reason}");
}

/// Whether this is the user who may mount and become others.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Whether a program can be found.
pub(crate) fn has_program(name: &str) -> bool {
    let found = Command::new("/bin/sh").args(["-c", "command -v \"$0\"", name]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// The command under test, started by a shell that first does something to itself.
pub(crate) fn after(barn: &Barn, first: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{first} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tickbarn")]).args(arguments);
    command.current_dir(barn.path()).env_remove("TICKBARN_CONFIG").env_remove("TICKBARN_STORE").stdin(Stdio::null());
    command
}

/// Processes that generators leave behind on purpose. They add their numbers to the file `strays`, and are killed when this is dropped.
pub(crate) struct Strays<'a>(pub(crate) &'a Barn);

impl Strays<'_> {
    pub(crate) fn pids(&self) -> Vec<String> {
        fs::read_to_string(self.0.at("strays")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Strays<'_> {
    fn drop(&mut self) {
        for pid in self.pids().iter().filter(|pid| is_alive(pid)) {
            Command::new("/bin/sh").args(["-c", "kill -KILL \"$0\"", pid]).stderr(Stdio::null()).status().ok();
        }
    }
}

/// A control group in which little memory may be used.
pub(crate) struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Makes one, or says why it cannot.
    pub(crate) fn make(name: &str, megabytes: usize) -> Result<Self, String> {
        let kinds =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max", "memory.swap.max")];
        let mut reason = "there are no control groups for memory".to_owned();
        for (root, limit, swap) in kinds {
            let path = Path::new(root).join(format!("tickbarn-{name}-{}", std::process::id()));
            if let Err(error) = fs::create_dir(&path) {
                reason = format!("no control group can be made in {root}: {error}");
                continue;
            }
            let group = Self(path);
            match fs::write(group.0.join(limit), (megabytes << 20).to_string()) {
                Ok(()) => {
                    let swap_bytes = if swap == "memory.swap.max" { 0 } else { megabytes << 20 };
                    fs::write(group.0.join(swap), swap_bytes.to_string()).ok();
                    return Ok(group);
                }
                Err(error) => reason = format!("a control group in {root} takes no limit of memory: {error}"),
            }
        }
        Err(reason)
    }

    /// How many of its processes the kernel has killed, where it says so.
    pub(crate) fn killed(&self) -> Option<u32> {
        let told = ["memory.oom_control", "memory.events"].iter().find_map(|name| fs::read_to_string(self.0.join(name)).ok())?;
        told.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// A process that writes its number there is in it.
    pub(crate) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It is busy until its last process is reaped.
        let removed = || fs::remove_dir(&self.0).is_ok();
        if thread::panicking() {
            removed();
        } else {
            wait_for("the end of the control group", removed);
        }
    }
}
