//! The file system that a store lies on.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file system, as the system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSystem {
    /// Its kind, such as `ext4`, `nfs4` or `fuse.sshfs`; `unknown` where the system does not tell.
    pub kind: String,
    /// What is mounted, such as `/dev/sda1` or `server:/export`; empty where the system does not tell.
    pub source: String,
    /// Where it is mounted; empty where the system does not tell.
    pub mounted_at: PathBuf,
    /// Whether it is known to be shared with other machines.
    pub is_network: bool,
    /// Whether it is mounted such that nothing can be written.
    pub is_read_only: bool,
    /// Its size.
    pub bytes: u64,
    /// How many bytes this user may still write.
    pub free_bytes: u64,
    /// How many files it may hold; zero where it sets no limit.
    pub inodes: u64,
    /// How many more files this user may make.
    pub free_inodes: u64,
}

/// Kinds that are shared by machines. What locks mean between those is up to their servers and options.
const NETWORK: [&str; 20] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "glusterfs",
    "afs",
    "ocfs2",
    "gfs2",
    "orangefs",
    "pvfs2",
    "sshfs",
    "s3fs",
    "gcsfuse",
    "virtiofs",
];

/// The file system of a path, or of the nearest directory above it that is there.
///
/// # Errors
/// [`Error::Io`] where it cannot be asked.
pub fn file_system(path: impl AsRef<Path>) -> Result<FileSystem> {
    let path = path.as_ref();
    let absolute = std::path::absolute(path).map_err(Error::io("resolve", path))?;
    let there = absolute.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let there = there.canonicalize().map_err(Error::io("resolve", there))?;
    let statistics = rustix::fs::statvfs(&there).map_err(|errno| Error::io("ask for the free space of", &there)(errno.into()))?;
    let device = there.metadata().map_err(Error::io("look at", &there))?.dev();
    let mount = mount_of(&there, device).unwrap_or_default();
    let plain = mount.kind.strip_prefix("fuse.").unwrap_or(&mount.kind);
    Ok(FileSystem {
        is_network: NETWORK.contains(&plain),
        kind: if mount.kind.is_empty() { "unknown".to_owned() } else { mount.kind },
        source: mount.source,
        mounted_at: mount.at,
        is_read_only: statistics.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        bytes: statistics.f_blocks.saturating_mul(statistics.f_frsize),
        free_bytes: statistics.f_bavail.saturating_mul(statistics.f_frsize),
        inodes: statistics.f_files,
        free_inodes: statistics.f_favail,
    })
}

#[derive(Default)]
struct Mount {
    kind: String,
    source: String,
    at: PathBuf,
}

/// The mount that a path lies on: of those of its device, or else of all, the one mounted nearest above it; of several there, the last.
fn mount_of(path: &Path, device: u64) -> Option<Mount> {
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let mut best: Option<((bool, usize), Mount)> = None;
    for line in mounts.split(|byte| *byte == b'\n') {
        let Some((of_device, mount)) = parsed(line, &format!("{major}:{minor}")) else { continue };
        if !path.starts_with(&mount.at) {
            continue;
        }
        // A btrfs subvolume has another device than its mount says.
        let rank = (of_device, mount.at.as_os_str().len());
        if best.as_ref().is_none_or(|(other, _)| rank >= *other) {
            best = Some((rank, mount));
        }
    }
    best.map(|(_, mount)| mount)
}

/// A line of `mountinfo`: number, parent, device, root, where, options, further fields, a dash, kind, source.
fn parsed(line: &[u8], device: &str) -> Option<(bool, Mount)> {
    let mut words = line.split(|byte| *byte == b' ');
    let of_device = words.nth(2)? == device.as_bytes();
    let at = words.nth(1)?;
    let mut words = words.skip_while(|word| *word != b"-").skip(1);
    let text = |word: &[u8]| String::from_utf8_lossy(&unescaped(word)).into_owned();
    let (kind, source) = (text(words.next()?), text(words.next()?));
    Some((of_device, Mount { kind, source, at: PathBuf::from(OsStr::from_bytes(&unescaped(at))) }))
}

/// The kernel writes white space and backslashes as a backslash and three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.get(..3).filter(|_| *byte == b'\\').and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mounts_is_read_with_white_space_in_names() {
        let line = br"36 35 98:0 /root /mnt/my\040disk rw,noatime master:1 shared:2 - fuse.sshfs user@host:/a\134b rw";
        let (of_device, mount) = parsed(line, "98:0").unwrap();
        assert!(of_device);
        assert_eq!((mount.kind.as_str(), mount.source.as_str(), mount.at.to_str()), ("fuse.sshfs", r"user@host:/a\b", Some("/mnt/my disk")));
    }

    #[test]
    fn a_path_that_is_not_there_lies_where_its_parent_does() {
        let directory = tempfile::tempdir().unwrap();
        let there = file_system(directory.path()).unwrap();
        let missing = file_system(directory.path().join("not/there")).unwrap();
        assert_eq!((there.kind, there.mounted_at), (missing.kind, missing.mounted_at));
        assert!(there.bytes > 0);
    }
}
