//! Whether a store's file system does what is relied on: tried out in the store's work directory, which is as before afterwards.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::store::{Layout, Lock, can_be_leased, disk, is_held, resolved};

/// Something that a file system can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ability {
    /// Files and directories can be made and written.
    Write,
    /// A rename replaces a file in one step.
    Rename,
    /// A rename can be told not to replace anything.
    RenameNew,
    /// A file can have two names.
    HardLink,
    /// Files and directories can be synced.
    Sync,
    /// A lock that one process holds is refused to another, and free once it is given back.
    Lock,
    /// The kernel vouches that nobody has a file open.
    WriteLease,
}

impl Ability {
    /// The ability as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Ability::Write => "write",
            Ability::Rename => "rename",
            Ability::RenameNew => "rename-new",
            Ability::HardLink => "hard-link",
            Ability::Sync => "fsync",
            Ability::Lock => "flock",
            Ability::WriteLease => "write-lease",
        }
    }

    /// Whether nothing of tickbarn's works without it. Without the others it goes on, a little slower or less comfortable.
    pub fn is_needed(self) -> bool {
        matches!(self, Ability::Write | Ability::Rename | Ability::Sync | Ability::Lock)
    }
}

/// What became of trying something out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probed {
    /// What was tried.
    pub ability: Ability,
    /// Why it does not work; `None` where it does.
    pub problem: Option<String>,
}

/// Tries out in a store's work directory what is relied on, and removes what that made. `in_another_process` asks another process whether it can take the
/// lock of a path at this moment ([`is_lock_free`] there).
///
/// The store need not be one that can be opened; its directory `work` must be there. Where nothing can be written, that is all that is said.
///
/// # Errors
/// [`Error::Io`] where the other process cannot be asked.
pub fn probe(store: impl AsRef<Path>, in_another_process: impl Fn(&Path) -> io::Result<bool>) -> Result<Vec<Probed>> {
    let layout = Layout::new(resolved(store.as_ref())?);
    let probed = |ability, outcome: Result<()>| Probed { ability, problem: outcome.err().map(|error| error.to_string()) };
    let directory = match disk::open_directory(&layout.work()).and_then(|_| disk::draft_directory(&layout.work())) {
        Ok(directory) => directory,
        Err(error) => return Ok(vec![probed(Ability::Write, Err(error))]),
    };
    let at = |name: &str| directory.path().join(name);
    // Closed again: a file that somebody has open is vouched for nowhere.
    let written = disk::write_new(&at("file"), b"old").and_then(|_| disk::write_new(&at("other"), b"new")).map(drop);
    if let Err(error) = written {
        return Ok(vec![probed(Ability::Write, Err(error))]);
    }
    let lock = lock_between_processes(&at("lock"), in_another_process)?;
    Ok(vec![
        probed(Ability::Write, Ok(())),
        probed(Ability::Sync, sync(&at("file"), directory.path())),
        probed(Ability::HardLink, link(&at("file"), &at("linked"))),
        probed(Ability::WriteLease, lease(&at("other"))),
        probed(Ability::Rename, rename(&at("other"), &at("file"))),
        probed(Ability::RenameNew, rename_new(&at("file"), directory.path())),
        Probed { ability: Ability::Lock, problem: lock },
    ])
}

/// Whether the lock of a path could be taken at this moment. Takes it for that moment.
///
/// # Errors
/// [`Error::Io`] where it cannot be tried.
pub fn is_lock_free(path: impl AsRef<Path>) -> Result<bool> {
    Ok(!is_held(path.as_ref())?)
}

fn refused(path: &Path, what: &'static str) -> Error {
    Error::Damaged { path: path.to_path_buf(), reason: what.to_owned() }
}

fn sync(file: &Path, directory: &Path) -> Result<()> {
    let open = fs::File::open(file).map_err(Error::io("open", file))?;
    disk::sync(&open, file)?;
    disk::sync_directory(directory)
}

fn link(from: &Path, to: &Path) -> Result<()> {
    disk::link(from, to).map_err(Error::io("link", to))?;
    let names = from.metadata().map_err(Error::io("look at", from))?.nlink();
    disk::remove(to)?;
    if names == 2 { Ok(()) } else { Err(refused(from, "it has another name, and its count of names does not say so")) }
}

fn lease(path: &Path) -> Result<()> {
    let file = fs::OpenOptions::new().read(true).open(path).map_err(Error::io("open", path))?;
    if can_be_leased(&file) { Ok(()) } else { Err(refused(path, "nobody has it open, and the kernel refuses a write lease on it")) }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    disk::rename(from, to).map_err(Error::io("rename", to))?;
    let bytes = disk::read_at_most(to, 1 << 10)?;
    if bytes.as_deref() == Some(b"new") && from.symlink_metadata().is_err() {
        Ok(())
    } else {
        Err(refused(to, "another file was renamed over it, and it is not that one"))
    }
}

fn rename_new(taken: &Path, directory: &Path) -> Result<()> {
    let (from, to) = (directory.join("from"), directory.join("to"));
    disk::write_new(&from, b"")?;
    let replaced = disk::rename_without_replacing(&from, taken).map_err(Error::io("rename without replacing", taken))?;
    let moved = disk::rename_without_replacing(&from, &to).map_err(Error::io("rename without replacing", &to))?;
    if !replaced && moved { Ok(()) } else { Err(refused(taken, "a rename that was told not to replace it did")) }
}

/// What is wrong with locks; `None` where nothing is.
fn lock_between_processes(path: &Path, in_another_process: impl Fn(&Path) -> io::Result<bool>) -> Result<Option<String>> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let ask = || in_another_process(path).map_err(Error::io("ask another process about", path));
    let held = match Lock::exclusive(path, PATIENCE) {
        Ok(held) => held,
        Err(error) => return Ok(Some(error.to_string())),
    };
    if ask()? {
        return Ok(Some(format!("another process took the lock {} while it was held", path.display())));
    }
    drop(held);
    Ok((!ask()?).then(|| format!("another process was refused the lock {} after it was given back", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_probe_leaves_nothing_behind_and_knows_a_lock_that_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("barn")).unwrap();
        // In one process, two descriptors are as two processes are.
        let honest = probe(store.path(), |path| Ok(is_lock_free(path).unwrap())).unwrap();
        assert_eq!(honest.iter().filter(|probed| probed.ability.is_needed() && probed.problem.is_some()).count(), 0, "{honest:?}");
        assert_eq!(honest.len(), 7);
        // Every Linux file system that tests lie on can do all of it.
        assert!(!cfg!(target_os = "linux") || honest.iter().all(|probed| probed.problem.is_none()), "{honest:?}");
        let broken = probe(store.path(), |_| Ok(true)).unwrap();
        let problem = broken.iter().find_map(|probed| probed.problem.clone().filter(|_| probed.ability == Ability::Lock)).unwrap();
        assert!(problem.contains("while it was held"), "{problem}");
        assert_eq!(fs::read_dir(store.path().join("work")).unwrap().count(), 0);
    }

    #[test]
    fn where_nothing_can_be_written_that_is_what_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let probed = probe(directory.path().join("nowhere"), |_| Ok(true)).unwrap();
        assert!(probed.len() == 1 && probed[0].ability == Ability::Write && probed[0].problem.is_some(), "{probed:?}");
    }
}
