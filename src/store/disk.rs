//! Every change that the library makes to a file system: the helpers through which a file becomes durable.
//!
//! # Invariants
//! * A file is synced before it is renamed to its final name, and the directory it lands in is synced by the same helper that renames, so that no
//!   call site can forget either.
//! * A failed sync is an error and is never tried again: after one, the kernel may have dropped the pages and call the next sync a success.
//! * Final names are never opened for writing, and symbolic links are never followed to them.
//! * Nothing is made that others than owner and group may write to, whatever the umask.
//! * Each operation asks the [`seam`] first. In tests that is where any one of them fails, or the process dies.

mod remove;
#[cfg(test)]
pub(crate) mod seam;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

pub(crate) use remove::remove_tree;

use crate::error::{Error, Result};

/// What new directories and files may be at most; the umask takes away from it.
const DIRECTORY_MODE: u32 = 0o775;
const FILE_MODE: u32 = 0o664;

/// One kind of thing that is done to a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Open,
    Read,
    List,
    CreateDirectory,
    Create,
    Write,
    Sync,
    SyncDirectory,
    Rename,
    Link,
    Remove,
    SetMode,
    Cut,
}

/// Asked before every operation; says yes.
#[cfg(not(test))]
#[inline(always)]
fn ask(_: Operation, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use seam::ask;

/// Makes a file's bytes durable.
pub(crate) fn sync(file: &File, path: &Path) -> Result<()> {
    ask(Operation::Sync, path).and_then(|()| file.sync_all()).map_err(Error::io("sync", path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    let directory = open_directory(path)?;
    ask(Operation::SyncDirectory, path).and_then(|()| directory.sync_all()).map_err(Error::io("sync the directory", path))
}

/// Opens a directory, never through a symbolic link.
pub(crate) fn open_directory(path: &Path) -> Result<File> {
    ask(Operation::Open, path).map_err(Error::io("open the directory", path))?;
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(descriptor) => Ok(File::from(descriptor)),
        // A link is no directory either, and which of the two it is tells what to do.
        Err(Errno::NOTDIR) if path.is_symlink() => Err(Error::io("open the directory", path)(Errno::LOOP.into())),
        Err(errno) => Err(Error::io("open the directory", path)(errno.into())),
    }
}

/// Opens a file for reading, never through a symbolic link; `None` where there is none.
pub(crate) fn open_existing(path: &Path) -> Result<Option<File>> {
    ask(Operation::Open, path).map_err(Error::io("open", path))?;
    // NONBLOCK: a FIFO planted in its place must not hang the reader.
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(descriptor) => Ok(Some(File::from(descriptor))),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(damaged(path, "it is a symbolic link")),
        Err(errno) => Err(Error::io("open", path)(errno.into())),
    }
}

/// Opens a file of ours to append to it: a regular file under this one name. `None` where something else stands there.
pub(crate) fn open_to_append(path: &Path) -> Result<Option<File>> {
    ask(Operation::Open, path).map_err(Error::io("open", path))?;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = match OpenOptions::new().append(true).read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let metadata = file.metadata().map_err(Error::io("read the status of", path))?;
    // What has another name somewhere is somebody else's as well.
    Ok((metadata.is_file() && metadata.nlink() == 1).then_some(file))
}

/// Reads a whole file of at most `bytes_max` bytes; `None` where there is none.
pub(crate) fn read_at_most(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_existing(path)? else { return Ok(None) };
    let metadata = file.metadata().map_err(Error::io("read the status of", path))?;
    if !metadata.is_file() {
        return Err(damaged(path, "it is no regular file"));
    }
    if metadata.len() > bytes_max {
        return Err(damaged(path, format!("it has {} bytes, more than the {bytes_max} such a file may have", metadata.len())));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    ask(Operation::Read, path).and_then(|()| file.take(bytes_max).read_to_end(&mut bytes)).map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}

/// Reads a regular file from an offset on, at most so many bytes; `None` where there is none.
pub(crate) fn read_from(path: &Path, offset: u64, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let Some(mut file) = open_existing(path)? else { return Ok(None) };
    let metadata = file.metadata().map_err(Error::io("read the status of", path))?;
    if !metadata.is_file() {
        return Err(damaged(path, "it is no regular file"));
    }
    if metadata.len() <= offset {
        return Ok(Some(Vec::new()));
    }
    let mut bytes = Vec::with_capacity((metadata.len() - offset).min(bytes_max) as usize + 1);
    ask(Operation::Read, path)
        .and_then(|()| file.seek(SeekFrom::Start(offset)))
        .and_then(|_| file.take(bytes_max).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}

/// The names in a directory, which is not a symbolic link; none where there is none.
pub(crate) fn names_in(path: &Path) -> Result<Vec<OsString>> {
    let failed = |error| Error::io("list", path)(error);
    ask(Operation::List, path).map_err(failed)?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => return Err(failed(Errno::LOOP.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => {}
    }
    fs::read_dir(path).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.file_name())).collect()
}

/// Hands on the names in a directory, which is not a symbolic link, as bytes; none where there is none. For directories of many: nothing is copied.
#[cfg(target_os = "linux")]
pub(crate) fn for_each_name_in(path: &Path, mut each: impl FnMut(&[u8])) -> Result<()> {
    const BUFFER_BYTES: usize = 64 << 10;
    ask(Operation::List, path).map_err(Error::io("list", path))?;
    let directory = match open_directory(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        directory => directory?,
    };
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut names = rustix::fs::RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(entry) = names.next() {
        let entry = entry.map_err(|errno| Error::io("list", path)(errno.into()))?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            name => each(name),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn for_each_name_in(path: &Path, mut each: impl FnMut(&[u8])) -> Result<()> {
    names_in(path)?.iter().for_each(|name| each(name.as_encoded_bytes()));
    Ok(())
}

/// Makes a directory, and its name durable, unless it is there. (One that another process is just making is durable when that process has gone on; the
/// directories that entries need are made with the store.)
pub(crate) fn ensure_directory(path: &Path) -> Result<()> {
    match create_directory(path, DIRECTORY_MODE) {
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
        match create_directory(&child, DIRECTORY_MODE) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create the directory", child)(error)),
            _ => {}
        }
    }
    sync_directory(parent)
}

/// Makes a directory that only its owner may enter, and that need not survive a crash.
pub(crate) fn create_private_directory(path: &Path) -> Result<()> {
    create_directory(path, 0o700).map_err(Error::io("create the directory", path))
}

/// Makes a directory unless it is there. Not made durable.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    match create_directory(path, DIRECTORY_MODE) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("create the directory", path)(error)),
        _ => Ok(()),
    }
}

fn create_directory(path: &Path, mode: u32) -> io::Result<()> {
    ask(Operation::CreateDirectory, path)?;
    fs::DirBuilder::new().mode(mode).create(path)
}

/// Makes a directory for drafts inside another, which goes with its contents when it is dropped.
pub(crate) fn draft_directory(parent: &Path) -> Result<tempfile::TempDir> {
    ask(Operation::CreateDirectory, parent)
        .and_then(|()| tempfile::Builder::new().prefix(DRAFT_PREFIX).tempdir_in(parent))
        .map_err(|error| Error::io("create a directory in", parent)(plain(error)))
}

/// The system's own answer, without the path that tempfile wraps around it: our errors name theirs.
fn plain(error: io::Error) -> io::Error {
    let number = error.get_ref().and_then(|wrapped| wrapped.source()?.downcast_ref::<io::Error>()?.raw_os_error());
    number.map_or(error, io::Error::from_raw_os_error)
}

/// What the names of drafts begin with. Nobody reads what a crash left of one.
pub(crate) const DRAFT_PREFIX: &str = ".new-";

/// Creates a file that must not exist yet.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    ask(Operation::Create, path)
        .and_then(|()| OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path))
        .map_err(Error::io("create", path))
}

/// Opens the file of a lock, and makes it where there is none; says whether it did.
pub(super) fn open_lock(path: &Path, flags: i32) -> io::Result<(File, bool)> {
    ask(Operation::Create, path)?;
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags);
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return Ok((opened?, false)),
        }
        match options.create_new(true).mode(FILE_MODE).open(path) {
            // Somebody was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let made = made?;
                share(&made, path);
                return Ok((made, true));
            }
        }
    }
}

/// Lets a file of ours that others have to write to as well be written to by the group, where its directory is: members may have other umasks.
pub(crate) fn share(file: &File, path: &Path) {
    const GROUP_WRITES: u32 = 0o020;
    let shared = parent(path).metadata().is_ok_and(|directory| directory.mode() & GROUP_WRITES != 0);
    if let Ok(mode) = file.metadata().map(|metadata| metadata.mode() & 0o777)
        && shared
        && mode & GROUP_WRITES == 0
    {
        // Where it fails, the file is as readable as it was.
        let _ = file.set_permissions(Permissions::from_mode(mode | 0o060));
    }
}

/// Writes at the end of an open file.
pub(crate) fn write_all(mut file: &File, path: &Path, bytes: &[u8]) -> Result<()> {
    let asked = ask(Operation::Write, path);
    #[cfg(test)]
    if let Err(error) = &asked {
        // As a disk does that runs full.
        let _ = file.write_all(&bytes[..bytes.len() / 2]);
        seam::die_if_meant(error);
    }
    asked.and_then(|()| file.write_all(bytes)).map_err(Error::io("write", path))
}

/// Writes a new file whole, under a name that is not final yet. Not synced.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<File> {
    let file = create_new(path)?;
    write_all(&file, path, bytes)?;
    Ok(file)
}

/// Opens a small file of ours to write over it: a regular file of exactly this size under this one name. `None` where there is none, or something else.
pub(crate) fn open_to_overwrite(path: &Path, bytes: u64) -> Result<Option<File>> {
    ask(Operation::Open, path).map_err(Error::io("open", path))?;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let Ok(file) = OpenOptions::new().write(true).custom_flags(flags).open(path) else { return Ok(None) };
    let metadata = file.metadata().map_err(Error::io("read the status of", path))?;
    Ok((metadata.is_file() && metadata.nlink() == 1 && metadata.len() == bytes).then_some(file))
}

/// Writes over the beginning of an open file. Not synced.
pub(crate) fn overwrite(file: &File, path: &Path, bytes: &[u8]) -> Result<()> {
    let asked = ask(Operation::Write, path);
    #[cfg(test)]
    if let Err(error) = &asked {
        let _ = file.write_all_at(&bytes[..bytes.len() / 2], 0);
        seam::die_if_meant(error);
    }
    asked.and_then(|()| file.write_all_at(bytes, 0)).map_err(Error::io("write", path))
}

/// Cuts an open file to a length.
pub(crate) fn cut(file: &File, path: &Path, bytes: u64) -> Result<()> {
    ask(Operation::Cut, path).and_then(|()| file.set_len(bytes)).map_err(Error::io("cut what was half-written from", path))
}

/// Sets the mode of an open file.
pub(crate) fn set_mode(file: &File, path: &Path, mode: u32) -> Result<()> {
    ask(Operation::SetMode, path).and_then(|()| file.set_permissions(Permissions::from_mode(mode))).map_err(Error::io("set the mode of", path))
}

/// Renames without making anything durable, replacing what has the name.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    ask(Operation::Rename, to)?;
    fs::rename(from, to)
}

/// Gives a file another name, which must be free. Not made durable.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    ask(Operation::Link, to)?;
    fs::hard_link(from, to)
}

/// Makes a symbolic link under a name that must be free. Not made durable.
pub(crate) fn link_symbolically(target: &Path, to: &Path) -> io::Result<()> {
    ask(Operation::Link, to)?;
    std::os::unix::fs::symlink(target, to)
}

/// Removes a directory in which nothing is.
pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    ask(Operation::Remove, path)?;
    fs::remove_dir(path)
}

/// Gives a synced file its final name, replacing what has it, and makes the name durable: the commit of a record. Where that fails the name means what
/// it meant before, as far as the file system lets us: `spare`, beside `from`, is where the old file is kept meanwhile.
pub(crate) fn commit(from: &Path, to: &Path, spare: &Path) -> Result<()> {
    let kept = match ask(Operation::Link, spare).and_then(|()| fs::hard_link(to, spare)) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Not every file system links; then a failed commit cannot be taken back.
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK)) => {
            return rename_durably(from, to);
        }
        Err(error) => return Err(Error::io("link", spare)(error)),
    };
    rename(from, to).map_err(Error::io("rename into place", to))?;
    let Err(failed) = sync_directory(parent(to)) else { return Ok(()) };
    let taken_back = if kept { rename(spare, to) } else { remove(to).map(drop).map_err(|error| io::Error::other(error.to_string())) };
    if let Err(error) = taken_back {
        tracing::warn!(path = %to.display(), %error, "what could not be made durable stays; it is whole");
    }
    Err(failed)
}

/// Gives a synced file its final name, replacing what has it, and makes the name durable.
pub(crate) fn rename_durably(from: &Path, to: &Path) -> Result<()> {
    rename(from, to).map_err(Error::io("rename into place", to))?;
    sync_directory(parent(to))
}

/// Gives a synced file its final name unless the name is taken, and makes the name durable either way: whoever made it may not have got to its sync.
/// Says whether the name was free; if not, `from` is still there.
pub(crate) fn rename_new_durably(from: &Path, to: &Path) -> Result<bool> {
    let free = rename_new(from, to)?;
    sync_directory(parent(to))?;
    Ok(free)
}

/// As [`rename_new_durably`] for a record of its own: where its name cannot be made durable it is taken back, as far as the file system lets us, so that
/// who is told that it failed does not find it there.
pub(crate) fn commit_new(from: &Path, to: &Path) -> Result<bool> {
    if !rename_new(from, to)? {
        return Ok(false);
    }
    let Err(failed) = sync_directory(parent(to)) else { return Ok(true) };
    if let Err(error) = remove(to) {
        tracing::warn!(path = %to.display(), %error, "what could not be made durable stays; it is whole");
    }
    Err(failed)
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

/// Renames without making anything durable, unless the name is taken; says whether it was free.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<bool> {
    let renamed = rename_without_replacing(from, to);
    match renamed.as_ref().map_err(Errno::from_io_error) {
        Ok(free) => Ok(*free),
        // File systems that cannot rename without replacing can link.
        Err(Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)) => match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from).map(|()| true).map_err(Error::io("remove", from)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("link into place", to)(error)),
        },
        Err(_) => renamed.map_err(Error::io("rename into place", to)),
    }
}

/// The rename that leaves alone what has the name, which not every file system can. Says whether the name was free.
pub(crate) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<bool> {
    ask(Operation::Rename, to)?;
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno.into()),
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
    let mode = Permissions::from_mode(FILE_MODE);
    let draft = ask(Operation::Create, path)
        .and_then(|()| tempfile::Builder::new().prefix(DRAFT_PREFIX).permissions(mode).tempfile_in(directory))
        .map_err(|error| Error::io("create a file in", directory)(plain(error)))?;
    share(draft.as_file(), path);
    write_all(draft.as_file(), draft.path(), bytes)?;
    ask(Operation::Rename, path)
        .and_then(|()| draft.persist(path).map_err(|error| error.error))
        .map(drop)
        .map_err(Error::io("rename into place", path))
}

/// Removes a file; says whether there was one.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    match ask(Operation::Remove, path).and_then(|()| fs::remove_file(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// Removes a file, and makes durable that it is gone, whoever removed it. Says whether there was one.
pub(crate) fn remove_durably(path: &Path) -> Result<bool> {
    let was_there = remove(path)?;
    sync_directory(parent(path))?;
    Ok(was_there)
}

/// Removes a file from a directory that is open; says whether there was one. Nothing is made durable.
pub(crate) fn remove_in(directory: &File, path: &Path) -> Result<bool> {
    let unlinked = || Ok(rustix::fs::unlinkat(directory, name_of(path), AtFlags::empty())?);
    match ask(Operation::Remove, path).and_then(|()| unlinked()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// The size of what has a name in a directory that is open; `None` where nothing has. Links are not followed.
pub(crate) fn size_in(directory: &File, path: &Path) -> Result<Option<u64>> {
    match rustix::fs::statat(directory, name_of(path), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(Some(u64::try_from(status.st_size).unwrap_or(0))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::io("look at", path)(errno.into())),
    }
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().expect("a file of the store has a name")
}

/// How many bytes a file or directory takes with all in it, as far as that can be seen.
pub(crate) fn size_of_tree(path: &Path) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![path.to_path_buf()];
    while let Some(path) = waiting.pop() {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => waiting.extend(names_in(&path).unwrap_or_default().into_iter().map(|name| path.join(name))),
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => {}
        }
    }
    bytes
}

/// The directory a path of the store lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().expect("every path of a store lies in a directory")
}

fn damaged(path: &Path, reason: impl Into<String>) -> Error {
    Error::Damaged { path: path.to_path_buf(), reason: reason.into() }
}
