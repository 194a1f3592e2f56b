//! Artifacts: output files stored once under the digest of their bytes.
//!
//! What is stored must match its digest for ever, also where a grandchild of the generator is still about. So an output is *adopted*, renamed into a
//! place of ours without a copy, only where the kernel vouches that nobody has it open for writing; otherwise its bytes are copied into a file of ours.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::address::Digest;
use crate::dataset::FileStat;
use crate::error::{Error, Result};
use crate::options::Verify;
use crate::store::disk;
use crate::store::layout::{ArtifactKind, Layout};
use crate::store::shard::{self, Shards};
use crate::store::sweep::Sweep;

/// How much is read, hashed and written at a time: enough for the hash to go at full speed, little enough to stay in the processor's cache.
const READ_BYTES: usize = 128 << 10;

/// The bytes of an output in a file that nobody else writes to, under a name that nobody reads yet.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) kind: ArtifactKind,
}

/// Why an output cannot be staged.
#[derive(Debug)]
pub(crate) enum StageError {
    /// There is no such file.
    Absent,
    /// There is something else than a regular file with bytes in it: what it is.
    Unfit(&'static str),
    /// Our side failed.
    Store(Error),
}

impl From<Error> for StageError {
    fn from(error: Error) -> Self {
        StageError::Store(error)
    }
}

/// Brings a generator's output to `to`, hashing it. Not synced yet. Nothing is left at `from` where it could be adopted.
pub(crate) fn adopt(from: &Path, to: PathBuf) -> Result<Staged, StageError> {
    let source = open_output(from)?;
    let metadata = source.metadata().map_err(Error::io("read the status of", from))?;
    let sole = metadata.nlink() == 1 && metadata.uid() == rustix::process::geteuid().as_raw();
    // Renamed before the look for writers, so that nobody opens it by the name they know in between.
    if !sole || metadata.len() == 0 || disk::rename(from, &to).is_err() {
        return copy(&source, from, to);
    }
    let named = fs::symlink_metadata(&to).map_err(Error::io("read the status of", &to))?;
    if (named.dev(), named.ino()) != (metadata.dev(), metadata.ino()) || has_writers(&source) {
        let spare = to.with_extension("copy");
        return copy(&source, &to, spare);
    }
    let mut hasher = blake3::Hasher::new();
    let bytes = read_through(&source, &to, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    finish(to, source, Digest::of_hasher(&hasher), bytes, ArtifactKind::Parquet).map_err(StageError::Store)
}

/// Copies a regular file to `to`, hashing it on the way. Not synced yet.
pub(crate) fn stage(from: &Path, to: PathBuf) -> Result<Staged, StageError> {
    copy(&open_output(from)?, from, to)
}

fn copy(source: &File, from: &Path, to: PathBuf) -> Result<Staged, StageError> {
    let mut hasher = blake3::Hasher::new();
    let staged = disk::create_new(&to)?;
    let bytes = read_through(source, from, |chunk| {
        hasher.update(chunk);
        disk::write_all(&staged, &to, chunk)
    })?;
    finish(to, staged, Digest::of_hasher(&hasher), bytes, ArtifactKind::Parquet).map_err(StageError::Store)
}

/// Hands a file's bytes on, a piece at a time, and counts them: at least one.
fn read_through(mut file: &File, path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<u64, StageError> {
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) if bytes == 0 => return Err(StageError::Unfit("an empty file")),
            Ok(0) => return Ok(bytes),
            Ok(read) => {
                each(&buffer[..read])?;
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path)(error).into()),
        }
    }
}

/// Whether some process may still write to an open file, through a descriptor or a mapping. Asks the kernel for a write lease, which it refuses while
/// anybody else has the file open at all: who has it open for reading can open it again for writing, by the name it has in `/proc`.
#[cfg(target_os = "linux")]
fn has_writers(file: &File) -> bool {
    /// As in Linux's asm-generic/fcntl.h; the libc crate has no name for it.
    const F_SETSIG: libc::c_int = 10;
    let descriptor = file.as_raw_fd();
    // SAFETY: fcntl with these commands takes integers and touches no memory; the descriptor is open as long as `file` is borrowed. Whoever opens the
    // file while the lease stands makes the kernel send SIGURG, which is ignored by default; it would be SIGIO, which is not.
    unsafe {
        libc::fcntl(descriptor, F_SETSIG, libc::SIGURG) != 0
            || libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_WRLCK) != 0
            || libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK) != 0
    }
}

/// Nobody vouches for it here.
#[cfg(not(target_os = "linux"))]
fn has_writers(_file: &File) -> bool {
    true
}

/// Whether the kernel vouches for a file that nobody else has open: where it does not, outputs are copied.
pub(crate) fn can_be_leased(file: &File) -> bool {
    !has_writers(file)
}

/// Stages bytes that tickbarn itself wrote.
pub(crate) fn stage_bytes(content: &[u8], to: PathBuf, kind: ArtifactKind) -> Result<Staged> {
    let staged = disk::write_new(&to, content)?;
    finish(to, staged, Digest::of(content), content.len() as u64, kind)
}

fn finish(path: PathBuf, file: File, digest: Digest, bytes: u64, kind: ArtifactKind) -> Result<Staged> {
    disk::set_mode(&file, &path, 0o444)?;
    Ok(Staged { path, file, digest, bytes, kind })
}

/// Opens what a generator left under an output's name, if it is a regular file.
fn open_output(path: &Path) -> Result<File, StageError> {
    // NONBLOCK: a generator may have left a FIFO.
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let file = match opened {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::NOENT) => return Err(StageError::Absent),
        Err(Errno::LOOP) => return Err(StageError::Unfit("a symbolic link")),
        Err(errno @ Errno::ACCESS) if fs::symlink_metadata(path).is_ok() => {
            tracing::debug!(path = %path.display(), %errno, "an output cannot be opened");
            return Err(StageError::Unfit("a file that cannot be read"));
        }
        Err(errno) => return Err(Error::io("open", path)(errno.into()).into()),
    };
    let metadata = file.metadata().map_err(Error::io("read the status of", path))?;
    match () {
        () if metadata.is_dir() => Err(StageError::Unfit("a directory")),
        () if !metadata.is_file() => Err(StageError::Unfit("a pipe, socket or device")),
        () => Ok(file),
    }
}

/// An artifact as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) kind: ArtifactKind,
}

/// An artifact that is not as it should be.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) expected: Expected,
    /// What was wrong with it.
    pub(crate) reason: String,
    /// The file that was looked at; `None` where there was none.
    seen: Option<FileStat>,
    /// Whether its bytes were read and found to be others.
    read: bool,
}

/// What is there already in the place of files that are about to be stored, and was read and found to be the same.
#[derive(Debug, Default)]
pub(crate) struct Same(HashMap<PathBuf, FileStat>);

/// Reads what stands where these files are to go. Before the sweep lock is taken: it takes as long as the files are large.
pub(crate) fn compare<'a>(layout: &Layout, staged: impl IntoIterator<Item = &'a Staged>) -> Result<Same> {
    let mut same = HashMap::new();
    for expected in staged.into_iter().map(Staged::expected) {
        let path = layout.artifact(&expected.digest, expected.kind);
        if let Some(stat) = stat(&path)
            && wrong(layout, &expected, Verify::Digest)?.is_none()
        {
            same.insert(path, stat);
        }
    }
    Ok(Same(same))
}

/// Gives staged and synced files their final names and makes those durable; where an artifact exists already, that one is kept. Gives back those whose
/// file is another than it should be: nothing was done about them.
pub(crate) fn store<'a>(layout: &Layout, staged: impl IntoIterator<Item = &'a Staged>, same: &Same) -> Result<Vec<Wrong>> {
    let mut places: Vec<(&Staged, PathBuf)> = staged.into_iter().map(|staged| (staged, layout.artifact(&staged.digest, staged.kind))).collect();
    // Two outputs of the same bytes are one artifact.
    places.sort_by(|left, right| left.1.cmp(&right.1));
    places.dedup_by(|left, right| left.1 == right.1);
    for (_, path) in &places {
        disk::ensure_directory(disk::parent(path))?;
    }
    // What an earlier call brought to its place is no longer where it was staged.
    let mut waiting = Vec::with_capacity(places.len());
    for (staged, path) in places {
        if staged.path.symlink_metadata().is_ok() || wrong(layout, &staged.expected(), Verify::Size)?.is_some() {
            waiting.push((staged, path));
        }
    }
    let moves: Vec<(&Path, &Path)> = waiting.iter().map(|(staged, path)| (staged.path.as_path(), path.as_path())).collect();
    let free = disk::rename_all_new_durably(&moves)?;
    let mut found = Vec::new();
    for ((staged, path), free) in waiting.iter().zip(free) {
        // What is there would be handed out for what was just made: it must be the same to the byte.
        if !free && stat(path).is_none_or(|stat| same.0.get(path) != Some(&stat)) {
            found.extend(wrong(layout, &staged.expected(), Verify::Digest)?);
        }
    }
    Ok(found)
}

impl Staged {
    fn expected(&self) -> Expected {
        Expected { digest: self.digest, bytes: self.bytes, kind: self.kind }
    }
}

fn stat(path: &Path) -> Option<FileStat> {
    path.symlink_metadata().ok().map(|metadata| FileStat::of(&metadata))
}

/// `None` where an artifact is as it should be. Not being able to look is no damage.
///
/// # Errors
/// [`Error::Io`] where it cannot be looked at, or read.
pub(crate) fn wrong(layout: &Layout, expected: &Expected, verify: Verify) -> Result<Option<Wrong>> {
    let Expected { digest, bytes, kind } = *expected;
    let path = layout.artifact(&digest, kind);
    let (seen, read, reason) = match path.symlink_metadata() {
        Ok(metadata) => {
            let (read, reason) = match size_problem(&digest, metadata.is_file(), metadata.len(), bytes) {
                None if verify == Verify::Digest => (true, digest_problem(&path, &digest)?),
                problem => (false, problem),
            };
            (Some(FileStat::of(&metadata)), read, reason)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, false, Some(format!("artifact {digest} is gone"))),
        Err(error) => return Err(Error::io("look at the artifact", &path)(error)),
    };
    Ok(reason.map(|reason| Wrong { expected: *expected, reason, seen, read }))
}

fn size_problem(digest: &Digest, regular: bool, found: u64, expected: u64) -> Option<String> {
    match () {
        () if !regular => Some(format!("artifact {digest} is no regular file")),
        () if found != expected => Some(format!("artifact {digest} has {found} bytes and should have {expected}")),
        () => None,
    }
}

/// What is wrong with a file that should have this digest; reads all of it, a piece at a time.
///
/// # Errors
/// [`Error::Io`] where it cannot be read.
pub(crate) fn digest_problem(path: &Path, digest: &Digest) -> Result<Option<String>> {
    let file = match disk::open_existing(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Some(format!("artifact {digest} is gone"))),
        Err(Error::Damaged { reason, .. }) => return Ok(Some(format!("artifact {digest}: {reason}"))),
        Err(error) => return Err(error),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(Error::io("read", path))?;
    let found = Digest::of_hasher(&hasher);
    Ok((found != *digest).then(|| format!("artifact {digest} holds other bytes: their digest is {found}")))
}

/// Moves what was found to be wrong to quarantine, unless it is another file by now: nobody publishes meanwhile. What holds the bytes that its name says
/// stays, whatever a manifest thought of it.
pub(crate) fn set_wrong_aside(layout: &Layout, wrong: &[Wrong]) -> Result<()> {
    let mut damaged = Vec::with_capacity(wrong.len());
    for wrong in wrong {
        if !wrong.is_whole(layout)? {
            damaged.push(wrong);
        }
    }
    let _sweep = Sweep::alone(layout)?;
    damaged.iter().filter(|wrong| wrong.is_still_there(layout)).try_for_each(|wrong| set_damaged_aside(layout, &wrong.path(layout), &wrong.reason))
}

impl Wrong {
    pub(crate) fn path(&self, layout: &Layout) -> PathBuf {
        layout.artifact(&self.expected.digest, self.expected.kind)
    }

    /// Whether the file is what its name says, so that whoever expected otherwise of it is wrong.
    pub(crate) fn is_whole(&self, layout: &Layout) -> Result<bool> {
        Ok(!self.read && digest_problem(&self.path(layout), &self.expected.digest)?.is_none())
    }

    /// Whether the very file stands there that was looked at.
    pub(crate) fn is_still_there(&self, layout: &Layout) -> bool {
        self.seen.is_some() && stat(&self.path(layout)) == self.seen
    }
}

/// As [`set_aside`], told as a warning: who loads should hear of damage.
pub(crate) fn set_damaged_aside(layout: &Layout, path: &Path, reason: &str) -> Result<()> {
    if let Some(to) = set_aside(layout, path)? {
        tracing::warn!(moved_to = %to.display(), "set aside, and made again when it is wanted: {reason}");
    }
    Ok(())
}

/// Moves a damaged file to quarantine, where a person can look at it, and says where it is now; does nothing where there is none.
pub(crate) fn set_aside(layout: &Layout, path: &Path) -> Result<Option<PathBuf>> {
    const SAME_NAME_MAX: usize = 1000;
    // Not through a link in the place of the directory: what lies behind it is not ours to move.
    let directory = disk::parent(path);
    if directory.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(shard::linked(directory.to_path_buf()));
    }
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let name = path.file_name().expect("a file of the store has a name").to_string_lossy();
    for nth in 0..SAME_NAME_MAX {
        let to = layout.quarantined(&name, nth);
        if disk::rename_new(path, &to)? {
            disk::sync_directory(disk::parent(&to))?;
            return Ok(Some(to));
        }
    }
    Err(Error::Damaged {
        path: path.to_path_buf(),
        reason: format!("{} holds a thousand files of its name; empty it", layout.quarantine().display()),
    })
}

/// Checks that artifacts are there with the size that was recorded, by a directory that is opened once.
#[derive(Debug)]
pub(crate) struct Presence {
    parent: PathBuf,
    /// None where there is no store.
    directory: Option<File>,
    shards: Shards,
}

impl Presence {
    pub(crate) fn open(layout: &Layout) -> Result<Self> {
        Ok(Self { directory: Some(disk::open_directory(&layout.artifacts())?), ..Self::of_nothing(layout) })
    }

    /// Of a store that is not there.
    pub(crate) fn of_nothing(layout: &Layout) -> Self {
        Self { parent: layout.artifacts(), directory: None, shards: Shards::new(layout.artifacts()) }
    }

    /// `None` where the artifact is as recorded, otherwise what is wrong with it. Not being able to look is no damage.
    pub(crate) fn problem(&self, digest: &Digest, bytes: u64) -> Result<Option<String>> {
        if let Some(problem) = self.shards.problem(digest.as_bytes()[0]) {
            return Ok(Some(problem));
        }
        let Some(directory) = &self.directory else { return Ok(Some(format!("artifact {digest} is gone"))) };
        let path = Layout::artifact_below(digest, ArtifactKind::Parquet);
        Ok(match rustix::fs::statat(directory, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => {
                let found = u64::try_from(status.st_size).unwrap_or(u64::MAX);
                size_problem(digest, FileType::from_raw_mode(status.st_mode).is_file(), found, bytes)
            }
            Err(Errno::NOENT) => Some(format!("artifact {digest} is gone")),
            Err(errno) => return Err(Error::io("look at the artifact", self.parent.join(path))(errno.into())),
        })
    }
}
