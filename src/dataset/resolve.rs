//! From a definition to files: finds the program and the inputs, takes their fingerprints, and sees whether they change while a generator runs.
//!
//! Done when a dataset is used, not when it is defined: a program may be built in between. Reads one variable of the environment, `PATH`, and that
//! only for a program given as a bare word.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::address::Digest;
use crate::dataset::definition::{Dataset, Definition, Fingerprint, Input};
use crate::dataset::fingerprint::{FileStat, Fingerprints, digest_now, now_ns};
use crate::dataset::identity::{Identity, InputIdentity, ProgramIdentity};
use crate::error::{Error, Result};

/// The longest identity. It stands in every manifest of the dataset.
const IDENTITY_BYTES_MAX: usize = 1 << 20;

/// A dataset whose files were found: its identity, and what tells whether it still holds.
#[derive(Debug)]
pub(crate) struct Identified {
    identity: Arc<Identity>,
    program: PathBuf,
    program_digest: Option<Digest>,
    inputs: BTreeMap<String, PathBuf>,
    watched: Vec<Watched>,
}

/// A file that must stay as it was while a generator runs.
#[derive(Debug)]
struct Watched {
    /// "the program", "input run".
    what: String,
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Content { digest: Digest, seen: Mutex<Seen> },
    Stat { size: u64, mtime_ns: i64 },
}

/// The stat under which the watched content was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    stat: FileStat,
    /// False where a write right after the look could have kept the stat: then the next look reads the file again.
    settled: bool,
}

impl Dataset {
    /// Finds the program and the inputs and takes their fingerprints.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`] where one of them is missing, of the wrong kind or not readable, with what to do about it; [`Error::Io`] where the
    /// system fails otherwise.
    pub(crate) fn identify(&self, fingerprints: &Fingerprints) -> Result<Identified> {
        let definition = &*self.0;
        let invalid = |message| Error::InvalidDataset { dataset: definition.name.clone(), message };

        let program = find_program(&definition.command.program, &definition.base_dir, std::env::var_os("PATH").as_deref()).map_err(invalid)?;
        let mut watched = Vec::new();
        let program_digest = match definition.version {
            Some(_) => None,
            None => {
                let (digest, seen) = look_at(&program, fingerprints).map_err(|error| {
                    let way_out =
                        format!("the program's content is in the key; make it readable (chmod +r {}) or declare a version", program.display());
                    unreadable(definition, "the program", error, &way_out)
                })?;
                // A run from a copy is not disturbed by what happens to the original.
                if !definition.snapshot_program {
                    watched.push(Watched::content("the program".to_owned(), &program, digest, seen));
                }
                Some(digest)
            }
        };

        let mut inputs = BTreeMap::new();
        let mut identities = Vec::new();
        for (name, input) in &definition.inputs {
            let path = definition.base_dir.join(input.path());
            let (identity, watch) = identify_input(definition, name, input, &path, fingerprints)?;
            identities.push((name.clone(), identity));
            watched.extend(watch);
            inputs.insert(name.clone(), path);
        }

        let program_identity = match (&definition.version, program_digest) {
            (Some(version), _) => ProgramIdentity::Version(version),
            (None, Some(digest)) => ProgramIdentity::Digest(digest),
            (None, None) => return Err(Error::Internal { what: "digesting a program".to_owned() }),
        };
        let identity = Identity::of_command(definition, &program_identity, identities.into_iter())?;
        if identity.bytes() > IDENTITY_BYTES_MAX {
            return Err(invalid(format!(
                "what identifies it in the key has {} bytes, more than the {IDENTITY_BYTES_MAX} allowed; put large configuration into a file and declare that as an input",
                identity.bytes()
            )));
        }
        definition.warned.call_once(|| {
            for message in undeclared_files(definition) {
                tracing::warn!(dataset = definition.name, "{message}");
            }
        });
        Ok(Identified { identity: Arc::new(identity), program, program_digest, inputs, watched })
    }
}

impl Identified {
    /// The generator's identity, to make keys of.
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The file to execute, absolute. Symbolic links in it are kept: some programs look at the name they are called by.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The digest of the program's bytes, unless a version stands for it.
    pub(crate) fn program_digest(&self) -> Option<Digest> {
        self.program_digest
    }

    /// The inputs, absolute, by name.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.inputs.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// Whether the program and the inputs are what the identity says: one `stat` each, and a read only where that differs or proves nothing.
    /// Otherwise names the file that changed.
    ///
    /// Not looked at: a program that a version stands for, one that is run from a copy, and inputs without a fingerprint.
    pub(crate) fn recheck(&self) -> Result<(), String> {
        self.watched.iter().try_for_each(Watched::recheck)
    }
}

impl Watched {
    fn content(what: String, path: &Path, digest: Digest, seen: Seen) -> Self {
        Self { what, path: path.to_path_buf(), state: State::Content { digest, seen: Mutex::new(seen) } }
    }

    fn recheck(&self) -> Result<(), String> {
        let name = || format!("{} {}", self.what, self.path.display());
        let metadata = std::fs::metadata(&self.path).map_err(|error| format!("{} can no longer be read: {error}", name()))?;
        let stat = FileStat::of(&metadata);
        match &self.state {
            State::Stat { size, mtime_ns } if (stat.size, stat.mtime_ns) == (*size, *mtime_ns) => Ok(()),
            State::Stat { .. } => Err(format!("{} changed (its size or modification time)", name())),
            State::Content { digest, seen } => {
                let last = *seen.lock().unwrap_or_else(PoisonError::into_inner);
                if last.settled && last.stat == stat {
                    return Ok(());
                }
                let looked_ns = now_ns();
                let (now, stat) = digest_now(&self.path).map_err(|error| format!("{} can no longer be read: {error}", name()))?;
                if now != *digest {
                    return Err(format!("{} changed", name()));
                }
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { stat, settled: stat.is_settled(looked_ns) };
                Ok(())
            }
        }
    }
}

/// A file's digest now, and what a later look compares with.
fn look_at(path: &Path, fingerprints: &Fingerprints) -> Result<(Digest, Seen)> {
    let looked_ns = now_ns();
    let (digest, stat) = fingerprints.digest(path)?;
    Ok((digest, Seen { stat, settled: stat.is_settled(looked_ns) }))
}

fn identify_input(
    definition: &Definition,
    name: &str,
    input: &Input,
    path: &Path,
    fingerprints: &Fingerprints,
) -> Result<(InputIdentity, Option<Watched>)> {
    let what = format!("input {name}");
    let way_out = format!("put it there or correct [dataset.{}.input] {name}", definition.name);
    let metadata = std::fs::metadata(path).map_err(Error::io("find", path)).map_err(|error| unreadable(definition, &what, error, &way_out))?;
    if input.kind() != Fingerprint::None && !metadata.is_file() {
        let kind = if metadata.is_dir() { "a directory" } else { "no regular file" };
        let message = format!("{what} {} is {kind}, so it has no fingerprint; name a file, or declare fingerprint = \"none\"", path.display());
        return Err(Error::InvalidDataset { dataset: definition.name.clone(), message });
    }
    Ok(match input.kind() {
        Fingerprint::Content => {
            let (digest, seen) = look_at(path, fingerprints).map_err(|error| {
                let way_out = format!("its content is in the key; make it readable (chmod +r {})", path.display());
                unreadable(definition, &what, error, &way_out)
            })?;
            (InputIdentity::Content(digest), Some(Watched::content(what, path, digest, seen)))
        }
        Fingerprint::Stat => {
            let FileStat { size, mtime_ns, .. } = FileStat::of(&metadata);
            (InputIdentity::Stat { size, mtime_ns }, Some(Watched { what, path: path.to_path_buf(), state: State::Stat { size, mtime_ns } }))
        }
        Fingerprint::None => (InputIdentity::None, None),
    })
}

/// A file that the definition names and that is not there or not readable is the definition's fault; what else may go wrong is the system's.
fn unreadable(definition: &Definition, what: &str, error: Error, way_out: &str) -> Error {
    match error {
        Error::Io { path, source, .. }
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied) =>
        {
            let reason = if source.kind() == io::ErrorKind::PermissionDenied { "is not readable" } else { "does not exist" };
            Error::InvalidDataset { dataset: definition.name.clone(), message: format!("{what} {} {reason}; {way_out}", path.display()) }
        }
        other => other,
    }
}

/// The file that a program's name means, checked to be executable. Says what was looked at otherwise.
fn find_program(program: &str, base_dir: &Path, path: Option<&OsStr>) -> Result<PathBuf, String> {
    let local = base_dir.join(program);
    if program.contains('/') || local.is_file() {
        return check_executable(program, &local).map(|()| local);
    }
    let mut tried = vec![local];
    // A relative directory on PATH would make the program depend on where one stands.
    for directory in path.map(std::env::split_paths).into_iter().flatten().filter(|directory| directory.is_absolute()) {
        let candidate = directory.join(program);
        if check_executable(program, &candidate).is_ok() {
            return Ok(candidate);
        }
        tried.push(candidate);
    }
    let tried = tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(format!(
        "the program {program:?} was not found, neither beside the definition nor on PATH; build it, install it or write its path (tried {tried})"
    ))
}

fn check_executable(program: &str, path: &Path) -> Result<(), String> {
    let shown = if Path::new(program) == path { format!("the program {program}") } else { format!("the program {program} ({})", path.display()) };
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("{shown} does not exist; build it, or correct the first element of command"))
        }
        Err(error) => Err(format!("{shown} cannot be reached: {error}; correct the first element of command")),
        Ok(metadata) if metadata.is_dir() => Err(format!("{shown} is a directory; name the program inside it")),
        Ok(metadata) if !metadata.is_file() => Err(format!("{shown} is not a regular file; name a program")),
        Ok(_) => match rustix::fs::access(path, rustix::fs::Access::EXEC_OK) {
            Ok(()) => Ok(()),
            Err(_) => Err(format!("{shown} is not executable; make it so: chmod +x {}", path.display())),
        },
    }
}

/// Arguments that name files which the generator will read although their content is not in the key: changing them would serve stale data.
fn undeclared_files(definition: &Definition) -> Vec<String> {
    let regular = |text: &str| {
        let path = definition.base_dir.join(text);
        let file = !text.is_empty() && path.metadata().as_ref().is_ok_and(Metadata::is_file);
        (file && !definition.inputs.values().any(|input| definition.base_dir.join(input.path()) == path)).then(|| text.to_owned())
    };
    let mut messages = Vec::new();
    for (nth, argument) in definition.command.arguments.iter().enumerate() {
        let Some(text) = argument.literal() else { continue };
        // `gen.py`, and the value of `--model=gen.json`.
        let Some(file) = regular(text).or_else(|| text.split_once('=').and_then(|(_, value)| regular(value))) else { continue };
        messages.push(format!(
            "argument {} names the existing file {file} relative to {}, but its content is not in the key: declare it under [dataset.{}.input] and write {{input.…}}",
            nth + 1,
            definition.base_dir.display(),
            definition.name
        ));
    }
    messages
}
