//! Starting a command: from a [`Run`] to a child process in its own group, or to a sentence that says why not.
//!
//! The program is executed with `execve` itself, not the C library's `execvp`: that one searches `PATH` and hands what the kernel refuses to
//! `/bin/sh`, so that an exporter built for another machine would "fail with status 2" rather than say what is wrong.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::{Run, SpawnFailure};

/// What passes is waited for: a program that another thread has just written is "busy" for as long as a process forked meanwhile takes to reach
/// its own `execve`, and while many commands start at once each takes some descriptors more than it then keeps. So many tries, each pause
/// twice the one before, wait about half a second.
const TRIES: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_millis(1);

/// Starts the command with stdin empty, both outputs piped, as the leader of a new process group. On Linux it gets SIGKILL when the calling
/// *thread* ends, so that thread must live until the child is reaped.
pub(super) fn spawn(run: &Run) -> Result<Child, SpawnFailure> {
    debug_assert!(run.program.is_absolute() && run.directory.is_absolute(), "a run's paths are absolute: {run:?}");
    let image = Image::new(run)?;
    let mut command = Command::new(&run.program);
    command.current_dir(&run.directory).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(target_os = "linux")]
    let parent = rustix::process::getpid();
    // SAFETY: the closure runs between fork and exec in a process that may have had other threads, so it must be async-signal-safe: it makes
    // system calls only (prctl, getppid, execve), neither allocates nor locks, and builds its errors from plain error numbers.
    unsafe {
        command.pre_exec(move || {
            #[cfg(target_os = "linux")]
            die_with(parent)?;
            Err(image.execute())
        });
    }
    let mut pause = PAUSE_FIRST;
    for _ in 1..TRIES {
        match command.spawn() {
            Err(error) if passes(&error) => {
                thread::sleep(pause);
                pause *= 2;
            }
            answer => return answer.map_err(|error| explained(run, &error)),
        }
    }
    command.spawn().map_err(|error| explained(run, &error))
}

fn passes(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::TXTBSY | Errno::MFILE | Errno::NFILE | Errno::AGAIN))
}

/// Asks the kernel to kill this process when the thread that forked it ends, which a SIGKILLed parent's threads do too.
#[cfg(target_os = "linux")]
fn die_with(parent: rustix::process::Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // A parent that died before the call above sends nothing any more. (No parent at all means one in another PID namespace.)
    match rustix::process::getppid() {
        Some(now) if now != parent => Err(Errno::SRCH.into()),
        _ => Ok(()),
    }
}

/// Everything `execve` takes, laid out before the fork, after which nothing may be allocated.
struct Image {
    program: CString,
    argv: Strings,
    envp: Strings,
}

impl Image {
    fn new(run: &Run) -> Result<Self, SpawnFailure> {
        let text = |what: String, bytes: &[u8]| {
            CString::new(bytes).map_err(|_| failed(run, format!("{what} holds a NUL byte, which no command can be given; remove it")))
        };
        let program = text("its path".to_owned(), run.program.as_os_str().as_bytes())?;
        let mut argv = vec![program.clone()];
        for (at, argument) in run.arguments.iter().enumerate() {
            argv.push(text(format!("argument {}", at + 1), argument.as_bytes())?);
        }
        let mut envp = Vec::with_capacity(run.environment.len());
        for (name, value) in &run.environment {
            if name.is_empty() || name.contains('=') {
                return Err(failed(run, format!("{name:?} cannot name an environment variable; give it a name without `=`")));
            }
            envp.push(text(format!("environment variable {name:?}"), format!("{name}={value}").as_bytes())?);
        }
        Ok(Self { program, argv: Strings::new(argv), envp: Strings::new(envp) })
    }

    /// Becomes the program, or says why not.
    fn execute(&self) -> io::Error {
        // SAFETY: `program` is NUL-terminated; both tables end with a null pointer and point at NUL-terminated strings that `self` owns.
        unsafe { libc::execve(self.program.as_ptr(), self.argv.pointers.as_ptr(), self.envp.pointers.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// Strings and the null-terminated table of pointers to them that C expects.
struct Strings {
    pointers: Vec<*const libc::c_char>,
    /// Owns what `pointers` points at; moving the vector does not move the strings' own bytes.
    _owned: Vec<CString>,
}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, _owned: owned }
    }
}

// SAFETY: the pointers lead to heap memory that the same value owns and that nothing writes to after `new`, so it may be sent to and read from
// any thread.
unsafe impl Send for Strings {}
// SAFETY: as for `Send`; shared references only read.
unsafe impl Sync for Strings {}

/// A failure to start `run`, with the program's name before the message.
pub(super) fn failed(run: &Run, message: impl std::fmt::Display) -> SpawnFailure {
    SpawnFailure { message: format!("cannot run {}: {message}", run.program.display()) }
}

/// Turns the system's answer into what is wrong and what to do.
pub(super) fn explained(run: &Run, error: &io::Error) -> SpawnFailure {
    let Some(errno) = Errno::from_io_error(error) else { return failed(run, error) };
    let metadata = fs::metadata(&run.program);
    let message = match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::ACCESS if !run.directory.is_dir() => {
            format!("its work directory {} is not there any more; was the store cleaned by hand while it ran?", run.directory.display())
        }
        Errno::NOENT if metadata.is_ok() => match interpreter(run) {
            Some(interpreter) => format!("its first line names the interpreter {interpreter}, which is not there; install it or correct that line"),
            None => "the file is there, but the loader it was linked for is not; build it for this machine".to_owned(),
        },
        Errno::NOENT | Errno::NOTDIR => "there is no such file; build it, or correct the dataset's `command`".to_owned(),
        Errno::ACCESS | Errno::PERM => match metadata.map(|metadata| (metadata.is_file(), metadata.permissions().mode())) {
            Ok((false, _)) => "it is not a file; name the program itself in the dataset's `command`".to_owned(),
            Ok((true, mode)) if mode & 0o111 == 0 => format!("it is not executable; chmod +x {}", run.program.display()),
            _ => format!("{error}; check who may execute it and enter the directories above it, and that its file system is not mounted noexec"),
        },
        Errno::NOEXEC => {
            "this machine cannot execute it: is it a script without a #! line, or built for another machine? add the line or build it anew".to_owned()
        }
        Errno::TXTBSY => "another process still has it open for writing; wait until it is built, or set snapshot_program = true".to_owned(),
        Errno::TOOBIG => "its arguments and environment are larger than the system takes; move large values into a rendered file".to_owned(),
        Errno::AGAIN | Errno::NOMEM => {
            format!(
                "this machine has no room for another process ({error}); lower the number of workers, or raise the limit (ulimit -u, pids.max, memory)"
            )
        }
        Errno::MFILE | Errno::NFILE => format!("{error}; raise the limit (ulimit -n) or lower the number of workers"),
        _ => format!("{error}; check the path and the file system it is on"),
    };
    failed(run, message)
}

/// What the `#!` line of a script names.
fn interpreter(run: &Run) -> Option<String> {
    use std::io::Read as _;
    let mut start = Vec::new();
    fs::File::open(&run.program).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).split_whitespace().next()?.to_owned())
}
