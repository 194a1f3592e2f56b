//! What a test needs of the machine beyond files of its own: processes that outlive their parents, mounts, control groups, a guard against hanging. All of
//! it is undone when it is dropped, and a test that cannot have it says by its name that it was skipped.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Barn, LONG, Ran, is_alive, wait_for};

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

/// A command that is running, killed where its test does not see its end.
pub(crate) struct Running {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Running {
    /// Starts a command whose output goes into files, so that it never waits for a reader.
    pub(crate) fn start(command: &mut Command) -> Self {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let child = command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap()).spawn().unwrap();
        Self { child, stdout, stderr }
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Waits for its end, but not for ever.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < LONG, "it hangs; so far it said: {}{}", text(&mut self.stdout), text(&mut self.stderr));
            thread::sleep(Duration::from_millis(5));
        };
        Ran { status: number(status), stdout: text(&mut self.stdout), stderr: text(&mut self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Runs a command to its end, and fails where it hangs.
#[track_caller]
pub(crate) fn ends(command: &mut Command) -> Ran {
    Running::start(command).end()
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

/// A file system in memory of a few megabytes.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one there, or says why it cannot.
    pub(crate) fn mount(at: &Path, megabytes: usize) -> Result<Self, String> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m,mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self(at.to_path_buf())),
            Ok(output) => Err(format!("no tmpfs can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("there is no mount: {error}")),
        }
    }

    /// Whether so many megabytes more can be written.
    pub(crate) fn takes(&self, megabytes: usize) -> bool {
        let probe = self.0.join("probe");
        let written = fs::write(&probe, vec![1; megabytes << 20]).is_ok();
        fs::remove_file(probe).unwrap();
        written
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount =
            |how: &[&str]| Command::new("umount").args(how).arg(&self.0).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !unmount(&[]) {
            unmount(&["--lazy"]);
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
