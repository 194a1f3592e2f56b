//! Processes that play a role in a test: this test binary again, at one of its ignored tests. What a process has loaded stays as long as it lives, so
//! that whoever tests collecting needs processes that come and go.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Where a role finds the store, and what it is told besides.
const DIRECTORY: &str = "ROLE_DIRECTORY";
const WORDS: &str = "ROLE_WORDS";

/// A process that plays a role; killed where its test does not see its end.
#[derive(Debug)]
pub(crate) struct Role {
    child: Child,
    name: &'static str,
    said: File,
    began: Instant,
}

impl Role {
    /// Starts the ignored test of this name, with words of its own.
    pub(crate) fn start(name: &'static str, directory: &Path, words: &[&dyn ToString]) -> Self {
        let said = tempfile::tempfile().unwrap();
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .env(WORDS, words.join(" "))
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self { child, name, said, began: Instant::now() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended; fails where it did not end well, or takes longer than anything takes.
    pub(crate) fn is_over(&mut self) -> bool {
        let Some(status) = self.child.try_wait().unwrap() else {
            assert!(self.began.elapsed() < LONG, "{} hangs; so far it said: {}", self.name, self.said());
            return false;
        };
        self.check(status);
        true
    }

    /// Waits until it has ended well, and gives back what it said.
    pub(crate) fn end(mut self) -> String {
        while !self.is_over() {
            thread::sleep(Duration::from_millis(2));
        }
        self.said()
    }

    /// Kills it, if it has not ended by itself. Says whether it was killed.
    pub(crate) fn kill(mut self) -> bool {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        let killed = status.signal().is_some();
        if !killed {
            self.check(status);
        }
        killed
    }

    fn check(&self, status: ExitStatus) {
        let said = self.said();
        assert!(status.success(), "{}: {status}: {said}", self.name);
        assert!(said.contains("1 passed"), "{} was run: {said}", self.name);
    }

    fn said(&self) -> String {
        let mut said = String::new();
        (&self.said).rewind().unwrap();
        (&self.said).read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// In the process of a role: the directory and the words that it was started with.
pub(crate) fn told() -> (PathBuf, Vec<u64>) {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("it is run by another test"));
    let words = std::env::var(WORDS).unwrap();
    (directory, words.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect())
}

/// Waits until a role has said in this way that it has come somewhere.
#[track_caller]
pub(crate) fn wait_for_file(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < LONG, "{} did not come", path.display());
        thread::sleep(Duration::from_millis(2));
    }
}

/// Numbers that look random, by xorshift; the same for the same seed.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn from(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// How many bytes all files below a directory have.
pub(crate) fn bytes_below(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => waiting.push(entry.path()),
                // Gone since it was listed.
                metadata => bytes += metadata.map_or(0, |metadata| metadata.len()),
            }
        }
    }
    bytes
}
