//! Files that a command writes for people: whole or not at all, beside what is there until they are, and never over what is no plain file.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::Builder;
use tickbarn::Store;
use tickbarn_terminal::exit::{Failure, Result};

/// What stands for standard output where a file is asked for.
const STDOUT: &str = "-";

/// Where a document goes.
#[derive(Debug)]
pub(crate) enum Document {
    /// To standard output.
    Stdout,
    /// Into a file.
    File {
        /// As it was named.
        path: PathBuf,
        /// Its directory, which is there.
        directory: PathBuf,
        /// Who may read the file that it replaces, if it replaces one.
        permissions: Option<Permissions>,
    },
}

impl Document {
    /// Looks at a place for a document before anything is done for it.
    ///
    /// # Errors
    ///
    /// Where its directory is not there, something else than a file has its name, or it lies in the store.
    pub(crate) fn at(path: &Path, store: &Store) -> Result<Self> {
        if path == Path::new(STDOUT) {
            return Ok(Self::Stdout);
        }
        let shown = path.display();
        let permissions = match path.symlink_metadata() {
            Ok(there) if there.is_file() => Some(there.permissions()),
            Ok(there) => {
                let kind = if there.is_dir() {
                    "a directory"
                } else if there.is_symlink() {
                    "a link"
                } else {
                    "no plain file"
                };
                return Err(Failure::Usage(format!(
                    "{shown} is {kind}, and only a file would be replaced\n  name another file, or - for standard output"
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::Usage(format!("{shown} cannot be looked at: {error}\n  name another file, or - for standard output"))),
        };
        let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(Failure::Usage(format!("{shown} does not name a file\n  name one, or - for standard output")));
        };
        let parent = if parent == Path::new("") { Path::new(".") } else { parent };
        let directory = parent.canonicalize().map_err(|error| {
            Failure::Usage(format!("{} cannot be used as a directory: {error}\n  make it, or name a file elsewhere", parent.display()))
        })?;
        if directory.starts_with(store.path()) {
            return Err(Failure::Usage(format!("{shown} lies in the store, where only tickbarn's own files may be\n  name a file elsewhere")));
        }
        Ok(Self::File { path: path.to_path_buf(), directory, permissions })
    }

    /// Writes it, and gives the file's place where it is one.
    ///
    /// # Errors
    ///
    /// Where it cannot be written. What was there before is there still.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<Option<PathBuf>> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()?;
                Ok(None)
            }
            Self::File { path, directory, permissions } => {
                let place = directory.join(path.file_name().unwrap_or_default());
                replace(&place, directory, permissions.as_ref(), bytes)
                    .map_err(|error| Failure::World(format!("{} cannot be written: {error}", place.display())))?;
                Ok(Some(place))
            }
        }
    }
}

fn replace(place: &Path, directory: &Path, permissions: Option<&Permissions>, bytes: &[u8]) -> io::Result<()> {
    // What the umask leaves of it.
    let usual = Permissions::from_mode(0o666);
    let mut draft = Builder::new().prefix(".tickbarn-").permissions(usual).tempfile_in(directory)?;
    draft.write_all(bytes)?;
    if let Some(permissions) = permissions {
        draft.as_file().set_permissions(permissions.clone())?;
    }
    draft.as_file().sync_all()?;
    draft.persist(place)?;
    Ok(())
}
