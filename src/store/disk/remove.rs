//! Removing what a generator has left, however deep, and whatever it did to its modes.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{DRAFT_PREFIX, Operation, ask};

/// Removes whatever stands at a path: a directory with all in it, whatever modes its directories were given, or a file. A symbolic link is removed, not
/// followed. Nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    ask(Operation::Remove, path)?;
    match remove_all_of(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_removable(path)?;
            remove_all_of(path)
        }
        outcome => outcome,
    }
}

fn remove_all_of(path: &Path) -> io::Result<()> {
    let outcome = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => match fs::remove_dir_all(path) {
            Err(error) if is_too_deep(&error) => flatten(path),
            outcome => outcome,
        },
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The standard library holds a descriptor for each level.
fn is_too_deep(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NAMETOOLONG))
}

/// Removes a tree of any depth with two descriptors: what lies in its directories is brought to the top. Follows no links.
fn flatten(top: &Path) -> io::Result<()> {
    let directory = rustix::fs::open(top, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mut brought = 0u64;
    loop {
        let names = names_at(&directory)?;
        if names.is_empty() {
            return fs::remove_dir(top);
        }
        for name in names {
            if rustix::fs::unlinkat(&directory, &name, AtFlags::empty()).is_ok() {
                continue;
            }
            let child =
                rustix::fs::openat(&directory, &name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            // Moving a directory changes what it calls its parent.
            rustix::fs::fchmod(&child, Mode::RWXU)?;
            for grandchild in names_at(&child)? {
                if rustix::fs::unlinkat(&child, &grandchild, AtFlags::empty()).is_err() {
                    brought += 1;
                    rustix::fs::renameat(&child, &grandchild, &directory, format!("{DRAFT_PREFIX}{brought}"))?;
                }
            }
            rustix::fs::unlinkat(&directory, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// The names in an open directory.
fn names_at(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// A generator may have taken its own directories' permissions away.
fn make_removable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_removable(&entry.path())?;
        }
    }
    Ok(())
}
