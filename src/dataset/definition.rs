//! What a dataset is: a generator, its configuration, its named outputs and its split.
//!
//! [`DatasetBuilder`] collects, [`super::check`] judges, [`Dataset`] is what passed: a value of it holds no unknown placeholder and no name that
//! could leave its directory. The dataset file is read through the same builder, so both ways of defining one thing give the same thing. What of it
//! stands in a key is decided in [`super::identity`] alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use crate::canonical::Value;
use crate::dataset::check::Invalid;
use crate::dataset::template::{FileTemplate, Scope, Template, rendered_file_name};
use crate::error::{Error, Result, shortened};
use crate::instrument::Instrument;
use crate::interval::{Interval, Split};

use super::resolve::Identified;

/// What is cached under one name: how it is made, from what, and how it is cut. Cheap to clone, shared between threads.
#[derive(Clone)]
pub struct Dataset(pub(super) Arc<Definition>);

/// A definition that was checked.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    /// Absolute: what relative programs and inputs are relative to.
    pub(super) base_dir: PathBuf,
    pub(super) command: Command,
    /// Name → file name in the work directory. Never empty.
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) inputs: BTreeMap<String, Input>,
    /// Always an object, as is `unkeyed`.
    pub(super) config: Value,
    pub(super) unkeyed: Value,
    pub(super) version: Option<String>,
    pub(super) split: Split,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) retry_delay: Duration,
    pub(super) empty_exit_codes: BTreeSet<u8>,
    pub(super) snapshot_program: bool,
    pub(super) resources: Resources,
    /// Undeclared files are warned of once for each definition, not once for each load.
    pub(super) warned: Once,
}

/// The command that generates a partition. Its program is a path or a bare word, never a template.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) program: String,
    pub(super) arguments: Vec<Template>,
    pub(super) files: BTreeMap<String, FileTemplate>,
    pub(super) environment: BTreeMap<String, Template>,
}

/// A file that a generator reads and that does not depend on the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    path: PathBuf,
    fingerprint: Fingerprint,
}

/// How the content of an [`Input`] takes part in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fingerprint {
    /// By its digest. It is read once, and again when its stat changes.
    #[default]
    Content,
    /// By size and modification time, for what is too large to read. A copy of the file made elsewhere is another input unless it keeps its time.
    Stat,
    /// Not at all: whoever changes it must change something else that is in the key. The only kind that may be a directory.
    None,
}

/// What one run of a generator takes of the machine. Zero, the default, is "not declared": it does not count against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Resources {
    /// Processors, finite and not negative.
    pub cpus: f64,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

/// Collects a [`Dataset`]. Nothing is judged before [`DatasetBuilder::build`]; what is given twice under one name counts as given last.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct DatasetBuilder {
    pub(super) name: String,
    pub(super) command: Vec<String>,
    pub(super) base_dir: Option<PathBuf>,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) inputs: BTreeMap<String, Input>,
    pub(super) config: BTreeMap<String, Value>,
    pub(super) unkeyed: BTreeMap<String, Value>,
    pub(super) files: BTreeMap<String, Value>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) version: Option<String>,
    pub(super) split: Split,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) retry_delay: Duration,
    pub(super) empty_exit_codes: Vec<i64>,
    pub(super) snapshot_program: bool,
    pub(super) resources: Resources,
}

/// Everything that a runner needs to start the generator for one partition. Paths are absolute.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// The file to execute.
    pub(crate) program: PathBuf,
    /// What follows the program.
    pub(crate) arguments: Vec<String>,
    /// What the dataset declares, by name.
    pub(crate) environment: Vec<(String, String)>,
    /// Files to write into the work directory before the start, with their JSON text.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Where the generator is told to leave each output, by name.
    pub(crate) outputs: Vec<(String, PathBuf)>,
}

impl Dataset {
    /// Begins the definition of a dataset that a command generates: a program and its argument templates.
    ///
    /// The program is a path (relative to [`DatasetBuilder::base_dir`] where it holds a `/`) or a bare word: the file of that name in the base
    /// directory where there is one, else what `PATH` finds. It is looked for when the dataset is used, since it may be built later.
    ///
    /// ```
    /// # use tickbarn::{Dataset, Split};
    /// let md = Dataset::command("md", ["build/md_exporter", "--levels", "{config.levels}", "--start", "{start}", "--out", "{output.trades}"])
    ///     .output("trades", "trades.parquet")
    ///     .config("levels", 40)
    ///     .split(Split::every("12h")?)
    ///     .build()?;
    /// assert_eq!(md.name(), "md");
    /// # Ok::<(), tickbarn::Error>(())
    /// ```
    pub fn command(name: impl Into<String>, command: impl IntoIterator<Item = impl Into<String>>) -> DatasetBuilder {
        DatasetBuilder {
            name: name.into(),
            command: command.into_iter().map(Into::into).collect(),
            base_dir: None,
            outputs: BTreeMap::new(),
            inputs: BTreeMap::new(),
            config: BTreeMap::new(),
            unkeyed: BTreeMap::new(),
            files: BTreeMap::new(),
            environment: BTreeMap::new(),
            version: None,
            split: Split::default(),
            timeout: None,
            retries: 0,
            retry_delay: Duration::from_secs(1),
            empty_exit_codes: Vec::new(),
            snapshot_program: false,
            resources: Resources::default(),
        }
    }

    /// The name that requests and messages use. It is not in the key: a dataset may be renamed without losing what is cached.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How an interval is cut into partitions.
    pub fn split(&self) -> Split {
        self.0.split
    }

    /// The outputs, in the order of their names: each with its file name in the work directory. At least one.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.outputs.iter().map(|(name, file)| (name.as_str(), file.as_str()))
    }

    /// How long one attempt may take. Without one, as long as it will.
    pub fn timeout(&self) -> Option<Duration> {
        self.0.timeout
    }

    /// How often a failed attempt is repeated within one load.
    pub fn retries(&self) -> u32 {
        self.0.retries
    }

    /// The pause before the first repetition; those after it are longer.
    pub fn retry_delay(&self) -> Duration {
        self.0.retry_delay
    }

    /// The exit statuses, 1 to 255, by which the generator says that an interval has no data.
    pub fn empty_exit_codes(&self) -> &BTreeSet<u8> {
        &self.0.empty_exit_codes
    }

    /// Whether a copy of the program, kept by its digest, is run rather than the program itself.
    pub fn snapshot_program(&self) -> bool {
        self.0.snapshot_program
    }

    /// What one run takes.
    pub fn resources(&self) -> Resources {
        self.0.resources
    }

    /// The declared version that stands for the program's digest.
    pub fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    /// The configuration, an object. All of it is in the key.
    pub fn config(&self) -> &Value {
        &self.0.config
    }

    /// What relative programs and inputs are relative to. Absolute.
    pub fn base_dir(&self) -> &Path {
        &self.0.base_dir
    }

    /// Whether the other is a clone of this one.
    pub(crate) fn is(&self, other: &Dataset) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Puts one partition's values into the command's templates. `work` is the attempt's work directory and must be absolute.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`] where a path that a template needs is not UTF-8.
    pub(crate) fn expand(&self, identified: &Identified, instrument: &Instrument, interval: Interval, work: &Path) -> Result<Expanded> {
        debug_assert!(work.is_absolute(), "a generator may change its directory");
        let definition = &*self.0;
        let scope = Scope {
            instrument,
            interval,
            config: &definition.config,
            unkeyed: &definition.unkeyed,
            outputs: &definition.outputs,
            inputs: identified.inputs().collect(),
            work,
        };
        let invalid = |message| Error::InvalidDataset { dataset: definition.name.clone(), message };
        let command = &definition.command;
        let expand = |template: &Template| template.expand(&scope).map_err(invalid);
        Ok(Expanded {
            program: identified.program().to_path_buf(),
            arguments: command.arguments.iter().map(expand).collect::<Result<_>>()?,
            environment: command.environment.iter().map(|(name, value)| Ok((name.clone(), expand(value)?))).collect::<Result<_>>()?,
            files: command
                .files
                .iter()
                .map(|(name, file)| Ok((work.join(rendered_file_name(name)), file.render(&scope).map_err(invalid)?)))
                .collect::<Result<_>>()?,
            outputs: definition.outputs.iter().map(|(name, file)| (name.clone(), work.join(file))).collect(),
        })
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Input {
    /// An input whose content is in the key. A relative path is relative to the dataset's base directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), fingerprint: Fingerprint::default() }
    }

    /// The same file, in the key another way.
    #[must_use]
    pub fn fingerprint(self, fingerprint: Fingerprint) -> Self {
        Self { fingerprint, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn kind(&self) -> Fingerprint {
        self.fingerprint
    }
}

macro_rules! input_from {
    ($($path:ty),*) => {$(
        impl From<$path> for Input {
            fn from(path: $path) -> Self {
                Self::new(path)
            }
        }
    )*};
}
input_from!(&str, String, &Path, PathBuf);

impl DatasetBuilder {
    /// The directory that relative programs and inputs are relative to. Default: the current directory when it is built.
    pub fn base_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.base_dir = Some(path.into());
        self
    }

    /// An output: the name that requests use, and the name of the file that the generator leaves in its work directory. `{output.NAME}` is its path.
    pub fn output(mut self, name: impl Into<String>, file_name: impl Into<String>) -> Self {
        self.outputs.insert(name.into(), file_name.into());
        self
    }

    /// How an interval is cut. Default: 12 hours on the UTC grid.
    pub fn split(mut self, split: Split) -> Self {
        self.split = split;
        self
    }

    /// How long one attempt may take, more than zero. Default: as long as it will.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often a failed attempt is repeated. Default: never.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The pause before the first repetition. Default: one second.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// Exit statuses, 1 to 255, that say "no data in this interval". Default: none.
    pub fn empty_exit_codes(mut self, codes: impl IntoIterator<Item = impl Into<i64>>) -> Self {
        self.empty_exit_codes = codes.into_iter().map(Into::into).collect();
        self
    }

    /// Whether to run a copy of the program that is kept by digest, so that a rebuild cannot disturb a running export. Default: no.
    pub fn snapshot_program(mut self, snapshot: bool) -> Self {
        self.snapshot_program = snapshot;
        self
    }

    /// A version that stands in the key, beside the program's file name, in place of the program's digest: the program may then be rebuilt without a
    /// new address, and whoever changes what it does must change the version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// A configuration value: in the key, and in templates as `{config.NAME}`.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }

    /// A file that is rendered to JSON in the work directory before each run: texts in it are templates, and one that is a single placeholder keeps
    /// the type of its value. `{file.NAME}` is its path.
    pub fn file(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.files.insert(name.into(), value.into());
        self
    }

    /// A file that the generator reads: in the key as its [`Fingerprint`] says. `{input.NAME}` is its path.
    pub fn input(mut self, name: impl Into<String>, input: impl Into<Input>) -> Self {
        self.inputs.insert(name.into(), input.into());
        self
    }

    /// An environment variable that is set for the generator, its value a template. In the key.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// A value that templates may use as `{unkeyed.NAME}` and that is not in the key, such as verbosity.
    pub fn unkeyed(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.unkeyed.insert(name.into(), value.into());
        self
    }

    /// What one run takes. Default: nothing that counts.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Checks everything that can be checked without looking at files.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`], naming what is wrong, where it stands and what would be right; [`Error::Io`] where the current directory is needed
    /// and gone.
    pub fn build(self) -> Result<Dataset> {
        let name = self.name.clone();
        let base_dir = self.base_dir.clone().unwrap_or_default();
        let base_dir = std::path::absolute(if base_dir.as_os_str().is_empty() { Path::new(".") } else { &base_dir })
            .map_err(Error::io("find the current directory for", &base_dir))?;
        self.check(base_dir).map_err(|Invalid { site, message }| Error::InvalidDataset {
            dataset: shortened(&name).escape_debug().to_string(),
            message: site.before(message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::fingerprint::Fingerprints;

    #[test]
    fn a_generator_is_told_what_its_partition_is() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("feed"), "x").unwrap();
        let dataset = Dataset::command("md", ["/bin/sh", "-c", "$0 {{x}} {config.note}", "{instrument}", "{input.feed}"])
            .base_dir(directory.path())
            .version("1")
            .output("trades", "trades.parquet")
            .output("book", "book.parquet")
            .config("note", "; rm -rf {work}")
            .input("feed", "feed")
            .env("OUT", "{output.trades}")
            .env("PLAIN", "")
            .file("model", Value::object([("out", "{work}"), ("self", "{file.model}")].map(|(name, text)| (name, Value::from(text)))))
            .build()
            .unwrap();
        let identified = dataset.identify(&Fingerprints::default()).unwrap();
        let interval = Interval::parse("2023-12-25", "2023-12-26").unwrap();
        let expanded = dataset.expand(&identified, &"binance/BTC-USDT".parse().unwrap(), interval, Path::new("/w")).unwrap();
        assert_eq!(expanded.program, Path::new("/bin/sh"));
        let feed = directory.path().join("feed").display().to_string();
        assert_eq!(expanded.arguments, ["-c", "$0 {x} ; rm -rf {work}", "binance/BTC-USDT", &feed]);
        let pairs = [("OUT", "/w/trades.parquet"), ("PLAIN", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(expanded.environment, pairs);
        assert_eq!(expanded.files, [(PathBuf::from("/w/model.json"), r#"{"out":"/w","self":"/w/model.json"}"#.to_owned())]);
        assert_eq!(expanded.outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["book", "trades"]);
    }

    #[test]
    fn what_is_given_twice_counts_as_given_last() {
        let dataset = Dataset::command("md", ["gen"]).output("t", "a").output("t", "b").config("x", 1).config("x", 2).build().unwrap();
        assert_eq!(dataset.outputs().collect::<Vec<_>>(), [("t", "b")]);
        assert_eq!(dataset.config().canonical().unwrap(), r#"{"x":2}"#);
    }
}
