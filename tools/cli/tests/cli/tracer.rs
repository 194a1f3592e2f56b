//! Runs a process and makes one chosen system call fail, or kills the process where it would make it.
//!
//! `strace -e inject` counts calls for each thread alone, and also those by which threads wake each other: a sweep with it makes several calls fail at
//! once and never reaches some. So this traces by itself. It counts the calls that concern one directory over all threads of the process in the order
//! in which they are made, and leaves the processes that it starts alone.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use crate::support::{LONG, Ran};

/// Ends a process that does not end by itself, so that a test which waits for it fails rather than hangs.
struct HangGuard {
    ended: mpsc::Sender<()>,
    watch: JoinHandle<bool>,
}

impl HangGuard {
    /// Watches a child of this test.
    fn of(process: u32) -> Self {
        let (ended, over) = mpsc::channel();
        let watch = thread::spawn(move || {
            let hangs = over.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout);
            if hangs {
                Command::new("/bin/sh").args(["-c", &format!("kill -KILL {process}")]).status().unwrap();
            }
            hangs
        });
        Self { ended, watch }
    }

    /// The process has ended; whether it had to be killed for that.
    fn hung(self) -> bool {
        let Self { ended, watch } = self;
        drop(ended);
        watch.join().expect("the guard goes through")
    }
}

/// What becomes of the chosen call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is not made, and gives this error number.
    Error(i32),
    /// It is not made, since the process is killed before it.
    Kill,
    /// It writes half of what it should, and the next call that counts gives this error number.
    HalfThenError(i32),
    /// It writes half of what it should, and the process is killed before the next call that counts.
    HalfThenKill,
}

/// What is to be put right in a thread's registers when the call is over that it is in.
#[derive(Debug, Clone, Copy)]
enum Owed {
    /// Its answer, as an error number.
    Error(i32),
    /// The size of what was to be written, which the program still counts on.
    Size(u64),
}

/// A call that concerns the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// What it is made on; of two names the second.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It changes something, or makes a change durable, or takes a lock.
    Change,
    /// It takes away what was temporary, or looks for it.
    Removal,
    Reading,
}

/// What came of a traced run.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) ran: Ran,
    /// The calls that count, in their order.
    pub(crate) calls: Vec<Call>,
    /// The one that was made to fail.
    pub(crate) hit: Option<Call>,
    /// It did not end by itself.
    pub(crate) hung: bool,
}

/// Whether processes can be traced here.
pub(crate) fn can_trace() -> Result<(), String> {
    let traced = traced(Command::new("/bin/true"), Path::new("/"), |_| false, None);
    traced.map(drop).map_err(|error| format!("processes cannot be traced here: {error}"))
}

/// Runs a command to its end. Of the calls that concern `below` and that count, the nth (from 0) is hit.
pub(crate) fn traced(command: Command, below: &Path, counts: fn(&Call) -> bool, fault: Option<(usize, Fault)>) -> io::Result<Traced> {
    let below = below.to_path_buf();
    // A thread of its own: only the thread that started a process may trace it, and it waits for no child of any other.
    thread::spawn(move || trace(command, &below, counts, fault)).join().expect("the tracer goes through")
}

fn trace(mut command: Command, below: &Path, counts: fn(&Call) -> bool, fault: Option<(usize, Fault)>) -> io::Result<Traced> {
    let streams = tempfile::tempdir()?;
    let (stdout, stderr) = (streams.path().join("stdout"), streams.path().join("stderr"));
    command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    // SAFETY: between fork and exec only one system call is made, which takes no pointers.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, ptr::null_mut::<libc::c_void>(), ptr::null_mut::<libc::c_void>()) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    #[allow(clippy::zombie_processes, reason = "the tracer's own loop waits for it")]
    let process = command.spawn()?.id() as libc::pid_t;
    let guard = HangGuard::of(process as u32);
    let mut tracer = Tracer { process, below, counts, fault, calls: Vec::new(), hit: None, threads: HashMap::new() };
    let status = tracer.run();
    let hung = guard.hung();
    let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let ran = Ran { status: status?, stdout: read(&stdout)?, stderr: read(&stderr)? };
    Ok(Traced { ran, calls: tracer.calls, hit: tracer.hit, hung })
}

struct Tracer<'a> {
    process: libc::pid_t,
    below: &'a Path,
    counts: fn(&Call) -> bool,
    fault: Option<(usize, Fault)>,
    calls: Vec<Call>,
    hit: Option<Call>,
    /// The threads that are known.
    threads: HashMap<libc::pid_t, Option<Owed>>,
}

impl Tracer<'_> {
    /// Follows the process to its end; gives its exit status as shells do.
    fn run(&mut self) -> io::Result<i32> {
        loop {
            let mut status = 0;
            // SAFETY: it writes to the one integer that it is given. `__WNOTHREAD` leaves the children of other tests alone.
            let thread = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
            if thread == -1 {
                return Err(io::Error::last_os_error());
            }
            if !libc::WIFSTOPPED(status) {
                self.threads.remove(&thread);
                match thread == self.process {
                    true if libc::WIFEXITED(status) => return Ok(libc::WEXITSTATUS(status)),
                    true => return Ok(128 + libc::WTERMSIG(status)),
                    false => continue,
                }
            }
            let signal = match libc::WSTOPSIG(status) {
                stopped if stopped == libc::SIGTRAP | 0x80 => {
                    self.at_call(thread);
                    0
                }
                libc::SIGTRAP if status >> 16 != 0 => 0,
                signal => match self.threads.insert(thread, None) {
                    None => self.first_stop(thread, signal),
                    Some(_) => signal,
                },
            };
            // A thread that was killed meanwhile says so at the next wait.
            request(libc::PTRACE_SYSCALL, thread, 0, signal as usize);
        }
    }

    /// The process stops when it has been executed, a thread when it begins: neither is a signal to hand on.
    fn first_stop(&self, thread: libc::pid_t, signal: i32) -> i32 {
        if thread == self.process {
            let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
            request(libc::PTRACE_SETOPTIONS, thread, 0, options as usize);
        }
        if signal == libc::SIGTRAP || signal == libc::SIGSTOP { 0 } else { signal }
    }

    /// A thread stands before a call, or behind it.
    fn at_call(&mut self, thread: libc::pid_t) {
        // SAFETY: the structures are plain integers, for which zero is a value, and the kernel writes no more than it is told that there is room for.
        let (mut info, mut registers) = unsafe { (mem::zeroed::<libc::ptrace_syscall_info>(), mem::zeroed::<libc::user_regs_struct>()) };
        let size = size_of_val(&info);
        if request(libc::PTRACE_GET_SYSCALL_INFO, thread, size, ptr::from_mut(&mut info) as usize) == -1
            || request(libc::PTRACE_GETREGS, thread, 0, ptr::from_mut(&mut registers) as usize) == -1
        {
            return;
        }
        if info.op == libc::PTRACE_SYSCALL_INFO_EXIT {
            match self.threads.insert(thread, None).flatten() {
                None => return,
                Some(Owed::Error(errno)) => registers.rax = (-i64::from(errno)) as u64,
                Some(Owed::Size(size)) => registers.rdx = size,
            }
            request(libc::PTRACE_SETREGS, thread, 0, ptr::from_mut(&mut registers) as usize);
            return;
        }
        let Some(call) = self.call(thread, &registers).filter(|call| call.path.starts_with(self.below) && (self.counts)(call)) else { return };
        self.calls.push(call.clone());
        let Some((nth, fault)) = self.fault.filter(|(nth, _)| *nth + 1 == self.calls.len()) else { return };
        self.hit = Some(call);
        let owed = match fault {
            Fault::Kill => return kill(self.process),
            Fault::Error(errno) => {
                // No such call: the kernel does nothing.
                registers.orig_rax = u64::MAX;
                Owed::Error(errno)
            }
            Fault::HalfThenError(_) | Fault::HalfThenKill => {
                let size = registers.rdx;
                registers.rdx = size / 2;
                self.fault = Some((nth + 1, if let Fault::HalfThenError(errno) = fault { Fault::Error(errno) } else { Fault::Kill }));
                Owed::Size(size)
            }
        };
        self.threads.insert(thread, Some(owed));
        request(libc::PTRACE_SETREGS, thread, 0, ptr::from_mut(&mut registers) as usize);
    }

    fn call(&self, thread: libc::pid_t, registers: &libc::user_regs_struct) -> Option<Call> {
        let libc::user_regs_struct { rdi, rsi, rdx, r10, .. } = *registers;
        let of_descriptor = || fs::read_link(format!("/proc/{thread}/fd/{}", rdi as i32)).ok();
        let of_name = |name| self.text(thread, name).map(PathBuf::from);
        let in_directory = |directory: u64, name| {
            let name = of_name(name)?;
            if name.is_absolute() || directory as i32 == libc::AT_FDCWD {
                return Some(name);
            }
            Some(fs::read_link(format!("/proc/{thread}/fd/{}", directory as i32)).ok()?.join(name))
        };
        let opening = |flags: u64| match flags as i32 {
            flags if flags & libc::O_CREAT != 0 => Kind::Change,
            flags if flags & libc::O_ACCMODE != libc::O_RDONLY => Kind::Change,
            _ => Kind::Reading,
        };
        let (name, path, kind) = match registers.orig_rax as i64 {
            libc::SYS_write => ("write", of_descriptor(), Kind::Change),
            libc::SYS_pwrite64 => ("pwrite64", of_descriptor(), Kind::Change),
            libc::SYS_writev => ("writev", of_descriptor(), Kind::Change),
            libc::SYS_fsync => ("fsync", of_descriptor(), Kind::Change),
            libc::SYS_fdatasync => ("fdatasync", of_descriptor(), Kind::Change),
            libc::SYS_sync_file_range => ("sync_file_range", of_descriptor(), Kind::Change),
            libc::SYS_ftruncate => ("ftruncate", of_descriptor(), Kind::Change),
            libc::SYS_fallocate => ("fallocate", of_descriptor(), Kind::Change),
            libc::SYS_flock => ("flock", of_descriptor(), Kind::Change),
            libc::SYS_fchmod => ("fchmod", of_descriptor(), Kind::Change),
            libc::SYS_chmod => ("chmod", of_name(rdi), Kind::Change),
            libc::SYS_mkdir => ("mkdir", of_name(rdi), Kind::Change),
            libc::SYS_mkdirat => ("mkdirat", in_directory(rdi, rsi), Kind::Change),
            libc::SYS_rename => ("rename", of_name(rsi), Kind::Change),
            libc::SYS_renameat => ("renameat", in_directory(rdx, r10), Kind::Change),
            libc::SYS_renameat2 => ("renameat2", in_directory(rdx, r10), Kind::Change),
            libc::SYS_link => ("link", of_name(rsi), Kind::Change),
            libc::SYS_linkat => ("linkat", in_directory(rdx, r10), Kind::Change),
            libc::SYS_symlink => ("symlink", of_name(rsi), Kind::Change),
            libc::SYS_unlink => ("unlink", of_name(rdi), Kind::Removal),
            libc::SYS_rmdir => ("rmdir", of_name(rdi), Kind::Removal),
            libc::SYS_unlinkat => ("unlinkat", in_directory(rdi, rsi), Kind::Removal),
            libc::SYS_open => ("open", of_name(rdi), opening(rsi)),
            libc::SYS_openat => ("openat", in_directory(rdi, rsi), opening(rdx)),
            libc::SYS_read => ("read", of_descriptor(), Kind::Reading),
            libc::SYS_pread64 => ("pread64", of_descriptor(), Kind::Reading),
            libc::SYS_getdents64 => ("getdents64", of_descriptor(), Kind::Reading),
            libc::SYS_fstat => ("fstat", of_descriptor(), Kind::Reading),
            libc::SYS_statx => ("statx", in_directory(rdi, rsi), Kind::Reading),
            libc::SYS_newfstatat => ("newfstatat", in_directory(rdi, rsi), Kind::Reading),
            _ => return None,
        };
        let path = path?;
        let removal = kind == Kind::Reading && self.is_of_removal(name, &path);
        Some(Call { name, path, kind: if removal { Kind::Removal } else { kind } })
    }

    /// Whether a look at a path is one that removing a work directory begins with.
    fn is_of_removal(&self, name: &str, path: &Path) -> bool {
        let Ok(below_work) = path.strip_prefix(self.below.join("work")) else { return false };
        match name {
            "statx" => below_work.components().count() == 1,
            "openat" | "getdents64" | "newfstatat" => below_work.components().count() > 0,
            _ => false,
        }
    }

    /// A text in the memory of the traced process.
    fn text(&self, thread: libc::pid_t, at: u64) -> Option<String> {
        const BYTES_MAX: usize = 4096;
        let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
        let mut bytes = vec![0; BYTES_MAX];
        // What lies behind the end of its page may not be readable.
        let room = BYTES_MAX - at as usize % BYTES_MAX;
        let mut read = memory.read_at(&mut bytes[..room], at).ok()?;
        if !bytes[..read].contains(&0) {
            read += memory.read_at(&mut bytes[read..], at + read as u64).unwrap_or(0);
        }
        let end = bytes[..read].iter().position(|byte| *byte == 0)?;
        bytes.truncate(end);
        String::from_utf8(bytes).ok()
    }
}

/// Asks the kernel something of a thread that is stopped; -1 where it is gone.
fn request(request: libc::c_uint, thread: libc::pid_t, address: usize, data: usize) -> libc::c_long {
    // SAFETY: callers hand over an address only of a structure of theirs that the request fills or reads, and its size where the request takes one.
    unsafe { libc::ptrace(request, thread, address as *mut libc::c_void, data as *mut libc::c_void) }
}

fn kill(process: libc::pid_t) {
    // SAFETY: it takes integers. The process is a child of this test that nobody has waited for, so its number is not another's.
    unsafe { libc::kill(process, libc::SIGKILL) };
}
