//! File systems of a test's own, which only root can mount.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// A file system that is mounted until this is dropped, also by a test that fails.
#[derive(Debug)]
pub(crate) struct Mount {
    at: PathBuf,
}

impl Mount {
    /// A file system in memory.
    pub(crate) fn memory(at: &Path, bytes: u64) -> Result<Self, String> {
        Self::memory_with(at, &format!("size={bytes},mode=755"))
    }

    /// The same with options of its own.
    pub(crate) fn memory_with(at: &Path, options: &str) -> Result<Self, String> {
        Self::of(at, &["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    /// The ext4 in an image file. The loop device goes with the mount.
    pub(crate) fn image(at: &Path, image: &Path) -> Result<Self, String> {
        let mount = Self::of(at, &["-t", "ext4", "-o", "loop", image.to_str().expect("a test's paths are text")])?;
        // A store wants an empty directory.
        let _ = fs::remove_dir(at.join("lost+found"));
        Ok(mount)
    }

    fn of(at: &Path, arguments: &[&str]) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        run(Command::new("mount").args(arguments).arg(at))?;
        Ok(Self { at: at.to_path_buf() })
    }

    /// Whether so many megabytes more can be written.
    pub(crate) fn takes(&self, megabytes: usize) -> bool {
        let probe = self.at.join("probe");
        let written = fs::write(&probe, vec![1; megabytes << 20]).is_ok();
        fs::remove_file(probe).unwrap();
        written
    }

    pub(crate) fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.at)).unwrap();
    }

    pub(crate) fn make_writable(&self) {
        run(Command::new("mount").args(["-o", "remount,rw"]).arg(&self.at)).unwrap();
    }

    /// The loop device beneath, by its name in `/sys/block`.
    pub(crate) fn device(&self) -> String {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let of_this = |line: &&str| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == self.at);
        let line = mounts.lines().rfind(of_this).expect("it is mounted");
        line.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A child that another test has just forked may hold it for a moment.
        for _ in 0..100 {
            if run(Command::new("umount").arg(&self.at)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.at)) {
            eprintln!("{} stays mounted: {error}", self.at.display());
        }
    }
}

/// Makes an image file with an empty ext4 that keeps nothing in reserve.
pub(crate) fn make_ext4(image: &Path, bytes: u64) -> Result<(), String> {
    make_ext4_by(image, bytes, &[])
}

/// The same with so many inodes.
pub(crate) fn make_ext4_of(image: &Path, bytes: u64, inodes: u64) -> Result<(), String> {
    make_ext4_by(image, bytes, &["-N", &inodes.to_string()])
}

fn make_ext4_by(image: &Path, bytes: u64, arguments: &[&str]) -> Result<(), String> {
    File::create(image).and_then(|file| file.set_len(bytes)).map_err(|error| error.to_string())?;
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).args(arguments).arg(image))
}

/// Why a command did not go through.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())) }
}
