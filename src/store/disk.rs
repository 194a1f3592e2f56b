//! Every sync and every rename of the library: the helpers through which a file becomes durable.
//!
//! # Invariants
//! * A file is synced before it is renamed to its final name, and the directory it lands in is synced by the same helper that renames, so that no
//!   call site can forget either.
//! * A failed sync is an error and is never tried again: after one, the kernel may have dropped the pages and call the next sync a success.
//! * Final names are never opened for writing, and symbolic links are never followed to them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Makes a file's bytes durable.
pub(crate) fn sync(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(Error::io("sync", path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    let directory = open_directory(path)?;
    directory.sync_all().map_err(Error::io("sync the directory", path))
}

/// Opens a directory, never through a symbolic link.
pub(crate) fn open_directory(path: &Path) -> Result<File> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map(File::from)
        .map_err(|errno| Error::io("open the directory", path)(errno.into()))
}

/// Opens a file for reading, never through a symbolic link; `None` where there is none.
pub(crate) fn open_existing(path: &Path) -> Result<Option<File>> {
    // NONBLOCK: a FIFO planted in its place must not hang the reader.
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(descriptor) => Ok(Some(File::from(descriptor))),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(Error::Damaged { path: path.to_path_buf(), reason: "it is a symbolic link".to_owned() }),
        Err(errno) => Err(Error::io("open", path)(errno.into())),
    }
}

/// Reads a whole file of at most `bytes_max` bytes; `None` where there is none.
pub(crate) fn read_at_most(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_existing(path)? else { return Ok(None) };
    let metadata = file.metadata().map_err(Error::io("read the status of", path))?;
    if !metadata.is_file() {
        return Err(Error::Damaged { path: path.to_path_buf(), reason: "it is no regular file".to_owned() });
    }
    if metadata.len() > bytes_max {
        let reason = format!("it has {} bytes, more than the {bytes_max} such a file may have", metadata.len());
        return Err(Error::Damaged { path: path.to_path_buf(), reason });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(bytes_max).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}

/// Makes a directory, and its name durable, unless it is there. (One that another process is just making is durable when that process has gone on; the
/// directories that entries need are made with the store.)
pub(crate) fn ensure_directory(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Ok(()) => sync_directory(parent(path)),
        // What stands there may be a link: opening it as a directory without following tells.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_directory(path).map(drop),
        Err(error) => Err(Error::io("create the directory", path)(error)),
    }
}

/// Makes a directory and those above it that are missing, and all of their names durable.
pub(crate) fn ensure_ancestors(path: &Path) -> Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        ensure_ancestors(parent)?;
    }
    ensure_directory(path)
}

/// Makes directories inside one, and their names durable with one sync.
pub(crate) fn ensure_directories(parent: &Path, children: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    for child in children {
        match fs::create_dir(&child) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create the directory", child)(error)),
            _ => {}
        }
    }
    sync_directory(parent)
}

/// Makes a directory that only its owner may enter, and that need not survive a crash.
pub(crate) fn create_private_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(Error::io("create the directory", path))
}

/// Creates a file that must not exist yet.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(Error::io("create", path))
}

/// Writes a new file whole, under a name that is not final yet. Not synced.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<File> {
    let mut file = create_new(path)?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    Ok(file)
}

/// Gives a synced file its final name, replacing what has it, and makes the name durable: the commit of a record.
pub(crate) fn rename_durably(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::io("rename into place", to))?;
    sync_directory(parent(to))
}

/// Gives a synced file its final name unless the name is taken, and makes the name durable either way: whoever made it may not have got to its sync.
/// Says whether the name was free; if not, `from` is still there.
pub(crate) fn rename_new_durably(from: &Path, to: &Path) -> Result<bool> {
    let free = rename_new(from, to)?;
    sync_directory(parent(to))?;
    Ok(free)
}

/// As [`rename_new_durably`] for many files: all renames come before the first directory is synced, so that a file system with a journal commits
/// them together. Says of each whether its name was free.
pub(crate) fn rename_all_new_durably(moves: &[(&Path, &Path)]) -> Result<Vec<bool>> {
    let free = moves.iter().map(|(from, to)| rename_new(from, to)).collect::<Result<_>>()?;
    let mut directories: Vec<&Path> = moves.iter().map(|(_, to)| parent(to)).collect();
    directories.sort_unstable();
    directories.dedup();
    directories.into_iter().try_for_each(sync_directory)?;
    Ok(free)
}

fn rename_new(from: &Path, to: &Path) -> Result<bool> {
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // File systems that cannot rename without replacing can link.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from).map(|()| true).map_err(Error::io("remove", from)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("link into place", to)(error)),
        },
        Err(errno) => Err(Error::io("rename into place", to)(errno.into())),
    }
}

/// Makes many files' bytes durable, side by side, so that a file system with a journal commits them together.
pub(crate) fn sync_all<'a>(files: impl IntoIterator<Item = (&'a File, &'a Path)>) -> Result<()> {
    let mut files = files.into_iter();
    let Some((file, path)) = files.next() else { return Ok(()) };
    std::thread::scope(|scope| {
        let mut outcomes = Vec::new();
        let mut others = Vec::new();
        for (file, path) in files {
            match std::thread::Builder::new().spawn_scoped(scope, move || sync(file, path)) {
                Ok(other) => others.push(other),
                // Where no thread is to be had, one after another.
                Err(_) => outcomes.push(sync(file, path)),
            }
        }
        outcomes.push(sync(file, path));
        outcomes.extend(others.into_iter().map(|other| other.join().expect("a sync does not panic")));
        outcomes.into_iter().collect()
    })
}

/// Replaces a file that may be lost in a crash (it is made again) but must never be seen half-written.
pub(crate) fn replace_disposable(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = parent(path);
    // As readable for others as any file of the store: the umask decides.
    let mode = Permissions::from_mode(0o666);
    let mut file =
        tempfile::Builder::new().prefix(".new-").permissions(mode).tempfile_in(directory).map_err(Error::io("create a file in", directory))?;
    file.write_all(bytes).map_err(Error::io("write", file.path()))?;
    file.persist(path).map(drop).map_err(|error| Error::io("rename into place", path)(error.error))
}

/// Removes a file; says whether there was one.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// The directory a path of the store lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().expect("every path of a store lies in a directory")
}
