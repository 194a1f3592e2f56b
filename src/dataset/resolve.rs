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
use crate::dataset::definition::{Command, Dataset, Definition, Fingerprint, Input, Recipe};
use crate::dataset::fingerprint::{FileStat, Fingerprints, digest_now, now_ns};
use crate::dataset::identity::{Identity, InputIdentity, ProgramIdentity};
use crate::error::{Error, Result};

/// The longest identity. It stands in every manifest of the dataset.
const IDENTITY_BYTES_MAX: usize = 1 << 20;

/// A dataset whose files were found: its identity, and what tells whether it still holds.
#[derive(Debug)]
pub(crate) struct Identified {
    identity: Arc<Identity>,
    /// Of a command.
    program: Option<Program>,
    inputs: BTreeMap<String, PathBuf>,
    watched: Vec<Watched>,
}

/// A command's program as it was found.
#[derive(Debug)]
struct Program {
    /// Absolute.
    path: PathBuf,
    /// Unless a version stands for it and no copy of it is run.
    digest: Option<Digest>,
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
    /// Looks whether the program and the inputs, and those of the datasets that it is derived from, are there and can be read, as a load would, but
    /// without a store.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`] naming what is not as it should be, [`Error::Io`] where the system does not let it be read.
    pub fn check(&self) -> Result<()> {
        self.upstream().try_for_each(|(_, upstream)| upstream.check())?;
        self.identify(&Fingerprints::default()).map(drop)
    }

    /// Finds the program and the inputs and takes their fingerprints.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`] where one of them is missing, of the wrong kind or not readable, with what to do about it; [`Error::Io`] where the
    /// system fails otherwise.
    pub(crate) fn identify(&self, fingerprints: &Fingerprints) -> Result<Arc<Identified>> {
        let definition = &*self.0;
        // A function that reads no file is the same for as long as its definition lives.
        let constant = matches!(definition.recipe, Recipe::Function(_)) && definition.inputs.is_empty();
        if let Some(identified) = definition.identified.get().filter(|_| constant) {
            return Ok(Arc::clone(identified));
        }
        let mut watched = Vec::new();
        let program = match &definition.recipe {
            Recipe::Command(command) => Some(identify_program(definition, command, fingerprints, &mut watched)?),
            Recipe::Function(_) => None,
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

        let identity = match (&definition.recipe, &program) {
            (Recipe::Command(command), Some(Program { path, digest })) => {
                let program = match (&definition.version, digest) {
                    (Some(version), _) => ProgramIdentity::Version { version, name: path.file_name().unwrap_or_default().to_string_lossy() },
                    (None, Some(digest)) => ProgramIdentity::Digest(*digest),
                    (None, None) => return Err(Error::Internal { what: "digesting a program".to_owned() }),
                };
                Identity::of_command(definition, command, &program, identities.into_iter())?
            }
            (Recipe::Function(function), _) => Identity::of_function(definition, function, identities.into_iter())?,
            (Recipe::Command(_), None) => return Err(Error::Internal { what: "finding a program".to_owned() }),
        };
        if identity.bytes() > IDENTITY_BYTES_MAX {
            let message = format!(
                "what identifies it in the key has {} bytes, more than the {IDENTITY_BYTES_MAX} allowed; put large configuration into a file and declare that as an input",
                identity.bytes()
            );
            return Err(Error::InvalidDataset { dataset: definition.name.clone(), message });
        }
        if let Recipe::Command(command) = &definition.recipe {
            definition.warned.call_once(|| {
                for message in undeclared_files(definition, command) {
                    tracing::warn!(dataset = definition.name, "{message}");
                }
            });
        }
        let identified = Arc::new(Identified { identity: Arc::new(identity), program, inputs, watched });
        if constant {
            return Ok(Arc::clone(definition.identified.get_or_init(|| identified)));
        }
        Ok(identified)
    }
}

/// Finds a command's program, and takes its digest where that is in the key or a copy of it is run.
fn identify_program(definition: &Definition, command: &Command, fingerprints: &Fingerprints, watched: &mut Vec<Watched>) -> Result<Program> {
    let invalid = |message| Error::InvalidDataset { dataset: definition.name.clone(), message };
    let path = find_program(&command.program, &definition.base_dir, std::env::var_os("PATH").as_deref()).map_err(invalid)?;
    if definition.version.is_some() && !definition.snapshot_program {
        return Ok(Program { path, digest: None });
    }
    let (digest, seen) = look_at(&path, fingerprints).map_err(|error| {
        let way_out = format!("the program's content is in the key; make it readable (chmod +r {}) or declare a version", path.display());
        unreadable(definition, "the program", error, &way_out)
    })?;
    // A run from a copy is not disturbed by what happens to the original.
    if !definition.snapshot_program {
        watched.push(Watched::content("the program".to_owned(), &path, digest, seen));
    }
    Ok(Program { path, digest: Some(digest) })
}

impl Identified {
    /// The generator's identity, to make keys of.
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// A command's file to execute, absolute. Symbolic links in it are kept: some programs look at the name they are called by.
    pub(crate) fn program(&self) -> Option<&Path> {
        self.program.as_ref().map(|program| program.path.as_path())
    }

    /// The digest of a command's program, unless a version stands for it and no copy of it is run.
    pub(crate) fn program_digest(&self) -> Option<Digest> {
        self.program.as_ref()?.digest
    }

    /// The inputs, absolute, by name.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.inputs.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// Whether the program and the inputs are what the identity says: one `stat` each, and a read only where that differs or proves nothing.
    /// Otherwise names the file that changed.
    ///
    /// Not looked at: a program that a version stands for, one that is run from a copy, and inputs without a fingerprint.
    pub(crate) fn recheck(&self) -> Result<Look, String> {
        self.watched.iter().map(Watched::recheck).collect::<Result<_, _>>().map(Look)
    }

    /// The files that were looked at, with what was seen of each.
    pub(crate) fn files_of<'a>(&'a self, look: &'a Look) -> impl Iterator<Item = (&'a Path, FileStat)> {
        self.watched.iter().zip(&look.0).map(|(watched, stat)| (watched.path.as_path(), *stat))
    }

    /// Whether nothing was written, replaced or put back since a look: a file that was another one for a while has another stat.
    pub(crate) fn recheck_since(&self, look: &Look) -> Result<(), String> {
        let now = self.recheck()?;
        match self.watched.iter().zip(look.0.iter().zip(&now.0)).find(|(_, (then, now))| then != now) {
            None => Ok(()),
            Some((watched, _)) => Err(format!("{} {} was written or replaced", watched.what, watched.path.display())),
        }
    }
}

/// The stats of the watched files at one moment, when each held what the identity says.
#[derive(Debug)]
pub(crate) struct Look(Vec<FileStat>);

impl Watched {
    fn content(what: String, path: &Path, digest: Digest, seen: Seen) -> Self {
        Self { what, path: path.to_path_buf(), state: State::Content { digest, seen: Mutex::new(seen) } }
    }

    fn recheck(&self) -> Result<FileStat, String> {
        let name = || format!("{} {}", self.what, self.path.display());
        let metadata = std::fs::metadata(&self.path).map_err(|error| format!("{} can no longer be read: {error}", name()))?;
        let stat = FileStat::of(&metadata);
        match &self.state {
            State::Stat { size, mtime_ns } if (stat.size, stat.mtime_ns) == (*size, *mtime_ns) => Ok(stat),
            State::Stat { .. } => Err(format!("{} changed (its size or modification time)", name())),
            State::Content { digest, seen } => {
                let last = *seen.lock().unwrap_or_else(PoisonError::into_inner);
                if last.settled && last.stat == stat {
                    return Ok(stat);
                }
                let looked_ns = now_ns();
                let (now, stat) = digest_now(&self.path).map_err(|error| format!("{} can no longer be read: {error}", name()))?;
                if now != *digest {
                    return Err(format!("{} changed", name()));
                }
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { stat, settled: stat.is_settled(looked_ns) };
                Ok(stat)
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
fn undeclared_files(definition: &Definition, command: &Command) -> Vec<String> {
    let regular = |text: &str| {
        let path = definition.base_dir.join(text);
        let file = !text.is_empty() && path.metadata().as_ref().is_ok_and(Metadata::is_file);
        (file && !definition.inputs.values().any(|input| definition.base_dir.join(input.path()) == path)).then(|| text.to_owned())
    };
    let mut messages = Vec::new();
    for (nth, argument) in command.arguments.iter().enumerate() {
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

#[cfg(test)]
mod tests {
    //! Invariant 9 of ARCHITECTURE.md.

    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::dataset::builder::DatasetBuilder;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            place.program("build/gen", "#!/bin/sh\n");
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, content: &str) -> PathBuf {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            path
        }

        fn program(&self, name: &str, content: &str) -> PathBuf {
            let path = self.write(name, content);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn dataset(&self, command: &[&str]) -> DatasetBuilder {
            Dataset::command("md", command.iter().copied()).base_dir(self.0.path()).output("trades", "trades.parquet")
        }
    }

    fn identify(builder: DatasetBuilder) -> Result<Arc<Identified>> {
        builder.build().unwrap().identify(&Fingerprints::default())
    }

    fn refusal(builder: DatasetBuilder) -> String {
        match identify(builder).unwrap_err() {
            error @ Error::InvalidDataset { .. } => error.to_string(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_program_that_cannot_be_run_is_named_with_the_way_out() {
        let place = Place::new();
        place.write("build/plain", "x");
        for (program, parts) in [
            ("build/missing", &["build/missing", "does not exist; build it"][..]),
            ("build/plain", &["is not executable", "chmod +x"]),
            ("./build", &["is a directory"]),
            ("build/gen/x", &["build/gen/x", "cannot be reached"]),
            ("no-such-word-anywhere", &["no-such-word-anywhere", "PATH", "tried"]),
        ] {
            // A version does not make a program that is not there usable.
            for builder in [place.dataset(&[program]), place.dataset(&[program]).version("7")] {
                let message = refusal(builder);
                for part in parts {
                    assert!(message.contains(part), "{program}: {message}");
                }
            }
        }
        place.program("build/missing", "built later");
        assert!(identify(place.dataset(&["build/missing"])).is_ok(), "a program may be built after its dataset is defined");
    }

    #[test]
    fn a_bare_word_is_the_file_beside_the_definition_before_it_is_looked_up() {
        let place = Place::new();
        let on_path = place.program("bin/gen", "on PATH");
        place.write("first/gen", "not executable, passed over like a shell does");
        let path = std::env::join_paths([place.path("first"), PathBuf::from("relative"), place.path("bin")]).unwrap();
        let find = |program: &str| find_program(program, place.0.path(), Some(&path));
        assert_eq!(find("gen").unwrap(), on_path);
        let beside = place.program("gen", "beside");
        assert_eq!(find("gen").unwrap(), beside);

        let message = find("absent").unwrap_err();
        for tried in [place.path("absent"), place.path("first/absent"), place.path("bin/absent")] {
            assert!(message.contains(&tried.display().to_string()), "{message}");
        }
        assert!(!message.contains("relative"), "{message}");
        assert!(find_program("absent", place.0.path(), None).is_err());
        assert_eq!(find(place.path("bin/gen").to_str().unwrap()).unwrap(), on_path);
    }

    #[test]
    fn an_input_that_cannot_be_read_is_named_with_the_way_out() {
        let place = Place::new();
        std::fs::create_dir(place.path("feeds")).unwrap();
        let with = |input: Input| place.dataset(&["build/gen", "{input.feed}"]).input("feed", input);
        for fingerprint in [Fingerprint::Content, Fingerprint::Stat, Fingerprint::None] {
            let message = refusal(with(Input::new("missing.dbn").fingerprint(fingerprint)));
            assert!(message.contains("input feed") && message.contains("missing.dbn does not exist; put it there"), "{message}");
        }
        for fingerprint in [Fingerprint::Content, Fingerprint::Stat] {
            let message = refusal(with(Input::new("feeds").fingerprint(fingerprint)));
            assert!(message.contains("is a directory") && message.contains("fingerprint = \"none\""), "{message}");
        }
        assert!(identify(with(Input::new("feeds").fingerprint(Fingerprint::None))).is_ok());
    }

    #[test]
    fn a_rebuilt_program_voids_what_ran_meanwhile() {
        let place = Place::new();
        let gen_path = place.path("build/gen");
        let with_version = identify(place.dataset(&["build/gen"]).version("1")).unwrap();
        let with_copy = identify(place.dataset(&["build/gen"]).snapshot_program(true)).unwrap();
        let identified = identify(place.dataset(&["build/gen"])).unwrap();
        assert_eq!(identified.program_digest(), Some(Digest::of(b"#!/bin/sh\n")));
        assert_eq!(with_version.program_digest(), None);
        identified.recheck().unwrap();

        // The same bytes under another inode are the same program, and the look is remembered.
        place.program("build/new", "#!/bin/sh\n");
        std::fs::rename(place.path("build/new"), &gen_path).unwrap();
        identified.recheck().unwrap();

        place.program("build/gen", "#!/bin/SH\n");
        let message = identified.recheck().unwrap_err();
        assert!(message.contains("the program") && message.contains("build/gen") && message.ends_with("changed"), "{message}");
        with_version.recheck().unwrap();
        with_copy.recheck().unwrap();
        std::fs::remove_file(&gen_path).unwrap();
        assert!(identified.recheck().unwrap_err().contains("can no longer be read"));
    }

    #[test]
    fn a_write_that_keeps_the_stat_is_seen() {
        let place = Place::new();
        let identified = identify(place.dataset(&["build/gen"])).unwrap();
        let State::Content { seen, .. } = &identified.watched[0].state else { panic!("a program has content") };
        // Rewritten in the same tick of the clock: same size, same inode, and the very stat that was seen.
        std::fs::write(place.path("build/gen"), "#!/bin/SH\n").unwrap();
        seen.lock().unwrap().stat = FileStat::of(&std::fs::metadata(place.path("build/gen")).unwrap());
        assert!(identified.recheck().is_err(), "a file that was just written must be read again");
        // Long after the last write, the stat is proof enough.
        seen.lock().unwrap().settled = true;
        identified.recheck().unwrap();
    }

    #[test]
    fn inputs_are_watched_as_closely_as_they_are_keyed() {
        let place = Place::new();
        let feed = place.write("feed", "one");
        let with =
            |fingerprint| identify(place.dataset(&["build/gen", "{input.feed}"]).input("feed", Input::new("feed").fingerprint(fingerprint))).unwrap();
        let [content, stat, none] = [Fingerprint::Content, Fingerprint::Stat, Fingerprint::None].map(with);
        std::fs::write(&feed, "two, longer").unwrap();
        assert!(content.recheck().unwrap_err().contains("input feed"));
        assert!(stat.recheck().unwrap_err().contains("size or modification time"));
        none.recheck().unwrap();
        assert_ne!(with(Fingerprint::Content).identity().id(), content.identity().id());
        assert_ne!(with(Fingerprint::Stat).identity().id(), stat.identity().id());
        assert_eq!(with(Fingerprint::None).identity().id(), none.identity().id());
    }

    #[test]
    fn a_script_whose_content_is_not_in_the_key_is_pointed_out() {
        let place = Place::new();
        for file in ["gen.py", "model.json", "declared.json"] {
            place.write(file, "x");
        }
        let dataset = |command: &[&str]| place.dataset(command).input("declared", "declared.json").build().unwrap();
        let warned = |command: &[&str]| {
            let definition = dataset(command).0;
            let Recipe::Command(command) = &definition.recipe else { panic!("a command is one") };
            undeclared_files(&definition, command)
        };
        let messages = warned(&["build/gen", "gen.py", "--start", "{start}", "--model=model.json", "{input.declared}"]);
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(
            messages[0].starts_with("argument 1 names the existing file gen.py") && messages[0].contains("[dataset.md.input]"),
            "{}",
            messages[0]
        );
        assert!(messages[1].starts_with("argument 4 names the existing file model.json"), "{}", messages[1]);
        for quiet in [&["build/gen", "/dev/null"][..], &["build/gen", "build"], &["build/gen", ""], &["build/gen", "declared.json"]] {
            assert!(warned(quiet).is_empty(), "{quiet:?}");
        }
    }

    #[test]
    fn a_warning_is_given_once() {
        struct Counter(AtomicU32);
        impl tracing::Subscriber for Counter {
            fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
                *metadata.level() == tracing::Level::WARN
            }
            fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
                tracing::span::Id::from_u64(1)
            }
            fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
            fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
            fn event(&self, _: &tracing::Event<'_>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            fn enter(&self, _: &tracing::span::Id) {}
            fn exit(&self, _: &tracing::span::Id) {}
        }
        let place = Place::new();
        place.write("gen.py", "x");
        let dataset = place.dataset(&["build/gen", "gen.py"]).build().unwrap();
        let counter = Arc::new(Counter(AtomicU32::new(0)));
        tracing::subscriber::with_default(counter.clone(), || {
            dataset.identify(&Fingerprints::default()).unwrap();
            dataset.clone().identify(&Fingerprints::default()).unwrap();
        });
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_identity_that_every_manifest_would_have_to_carry_is_bounded() {
        let place = Place::new();
        let message = refusal(place.dataset(&["build/gen"]).config("table", "x".repeat(2 << 20)));
        assert!(message.contains("declare that as an input"), "{message}");
    }
}
