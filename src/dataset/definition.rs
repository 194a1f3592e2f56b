//! What a dataset is: a generator, its configuration, its named outputs and its split.
//!
//! [`DatasetBuilder`] collects, [`super::check`] judges, [`Dataset`] is what passed: a value of it holds no unknown placeholder and no name that
//! could leave its directory. The dataset file is read through the same builder, so both ways of defining one thing give the same thing. What of it
//! stands in a key is decided in [`super::identity`] alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use crate::address::Digest;
use crate::canonical::Value;
use crate::closed::ClosedTimes;
use crate::dataset::builder::DatasetBuilder;
use crate::dataset::function::{AsyncFunction, Body, BoxError, Function, IntoOutputs};
use crate::dataset::job::{Job, Upstreams};
use crate::dataset::template::{FileTemplate, Scope, Template, rendered_file_name};
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Align, Interval, Split};

use super::resolve::Identified;

/// The column that holds a row's time where a dataset names none.
pub(crate) const TIME_COLUMN: &str = "ts";

/// What is cached under one name: how it is made, from what, and how it is cut. Cheap to clone, shared between threads.
#[derive(Clone)]
pub struct Dataset(pub(super) Arc<Definition>);

/// A definition that was checked.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    /// Absolute: what relative programs and inputs are relative to.
    pub(super) base_dir: PathBuf,
    pub(super) recipe: Recipe,
    /// Name → file name in the work directory. Never empty.
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) inputs: BTreeMap<String, Input>,
    /// What it is derived from, by the name under which it is read.
    pub(super) upstream: BTreeMap<String, Source>,
    /// How many datasets are derived one from another to come to this one.
    pub(super) depth: usize,
    /// Always an object, as is `unkeyed`.
    pub(super) config: Value,
    pub(super) unkeyed: Value,
    pub(super) version: Option<String>,
    pub(super) split: Split,
    pub(super) time_column: String,
    pub(super) closed: ClosedTimes,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) retry_delay: Duration,
    pub(super) empty_exit_codes: BTreeSet<u8>,
    pub(super) snapshot_program: bool,
    pub(super) resources: Resources,
    pub(super) cluster_resources: BTreeMap<String, f64>,
    /// Undeclared files are warned of once for each definition, not once for each load.
    pub(super) warned: Once,
    /// Of a function without inputs, which no file can change.
    pub(super) identified: OnceLock<Arc<Identified>>,
}

/// How a partition is made.
#[derive(Debug)]
pub(super) enum Recipe {
    Command(Command),
    Function(NamedFunction),
}

/// A function under the name that stands in the key.
#[derive(Debug, Clone)]
pub(super) struct NamedFunction {
    pub(super) name: String,
    /// What its source was, where its definition knows that. Not in the key.
    pub(super) source: Option<Digest>,
    pub(super) body: Body,
}

/// What of another dataset a derived one reads.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) dataset: Dataset,
    /// The outputs that are read, never none: those whose digests are in the key.
    pub(crate) outputs: BTreeSet<String>,
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
}

/// What differs between the partitions of a dataset that a command is told of.
#[derive(Clone, Copy)]
pub(crate) struct PartitionScope<'a> {
    pub(crate) instrument: &'a Instrument,
    pub(crate) interval: Interval,
    pub(crate) upstream: &'a Upstreams,
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
        DatasetBuilder::new(name.into(), command.into_iter().map(Into::into).collect(), None)
    }

    /// Begins the definition of a dataset whose partitions a Rust closure makes, known by the dataset's name and a version: whoever changes what it
    /// computes changes the version. Without any output declared it has one, `table`.
    ///
    /// The closure gets a [`Job`], and gives back a `DataFrame` or a `LazyFrame` (feature `frames`), [`Outputs`](crate::Outputs) for several tables or files, `()` where
    /// it wrote its files itself, or `None` of any of these for an interval without data. It runs on a thread for blocking work, several at once. An
    /// error is a failure of class `error`, a panic one of class `panic`; the rest goes on.
    ///
    /// ```
    /// # use tickbarn::{BoxError, Dataset, Job};
    /// # fn fetch(_: &Job) -> Result<Option<()>, BoxError> { Ok(None) }
    /// let trades = Dataset::function("trades", "1", |job: &Job| fetch(job)).output("trades", "trades.parquet").config("depth", 5).build()?;
    /// # Ok::<(), tickbarn::Error>(())
    /// ```
    pub fn function<O: IntoOutputs, E: Into<BoxError>>(
        name: impl Into<String>,
        version: impl Into<String>,
        function: impl Fn(&Job) -> Result<O, E> + Send + Sync + 'static,
    ) -> DatasetBuilder {
        let name = name.into();
        DatasetBuilder::of_function(name.clone(), name, version.into(), Body::of_closure(function))
    }

    /// As [`Dataset::function`], of an async closure: it is polled on the runtime that drives the load, and dropped where that is dropped.
    pub fn async_function<O, E, F>(
        name: impl Into<String>,
        version: impl Into<String>,
        function: impl Fn(Job) -> F + Send + Sync + 'static,
    ) -> DatasetBuilder
    where
        O: IntoOutputs,
        E: Into<BoxError>,
        F: Future<Output = Result<O, E>> + Send + 'static,
    {
        let name = name.into();
        DatasetBuilder::of_function(name.clone(), name, version.into(), Body::of_async_closure(function))
    }

    /// Begins the definition of a dataset whose partitions a type makes, which says its own name and version.
    pub fn made_by(name: impl Into<String>, function: impl Function) -> DatasetBuilder {
        let (known_as, version) = (function.name().to_owned(), function.version().to_owned());
        DatasetBuilder::of_function(name.into(), known_as, version, Body::of_type(function))
    }

    /// As [`Dataset::made_by`], of a type that does it asynchronously.
    pub fn made_by_async(name: impl Into<String>, function: impl AsyncFunction) -> DatasetBuilder {
        let (known_as, version) = (function.name().to_owned(), function.version().to_owned());
        DatasetBuilder::of_function(name.into(), known_as, version, Body::of_async_type(function))
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

    /// What one run takes of a node of a cluster beside those, by the cluster's own names.
    pub fn cluster_resources(&self) -> &BTreeMap<String, f64> {
        &self.0.cluster_resources
    }

    /// All that one run takes of a node, by Ray's names. One that declares no processors takes one: a node would be given any number otherwise.
    pub(crate) fn wants_of_a_node(&self) -> BTreeMap<String, f64> {
        let Resources { cpus, memory_bytes } = self.0.resources;
        let mut wants = self.0.cluster_resources.clone();
        wants.insert("CPU".to_owned(), if cpus > 0.0 { cpus } else { 1.0 });
        if memory_bytes > 0 {
            wants.insert("memory".to_owned(), memory_bytes as f64);
        }
        wants
    }

    /// The declared version that stands for the program's digest.
    pub fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    /// The column of its tables that holds a row's time: frames are trimmed by it. Not in the key.
    pub fn time_column(&self) -> &str {
        &self.0.time_column
    }

    /// When it has no data by design. Not in the key.
    pub fn closed(&self) -> &ClosedTimes {
        &self.0.closed
    }

    /// The datasets that it is derived from, in the order of the names under which it reads them.
    pub fn upstream(&self) -> impl ExactSizeIterator<Item = (&str, &Dataset)> {
        self.0.upstream.iter().map(|(name, source)| (name.as_str(), &source.dataset))
    }

    /// The same, with what is read of each.
    pub(crate) fn sources(&self) -> &BTreeMap<String, Source> {
        &self.0.upstream
    }

    /// A command's program, as its definition calls it.
    pub(crate) fn program(&self) -> Option<&str> {
        match &self.0.recipe {
            Recipe::Command(command) => Some(&command.program),
            Recipe::Function(_) => None,
        }
    }

    /// What makes a partition, where that is a function, and the name under which the key knows it.
    pub(crate) fn body(&self) -> Option<(&str, &Body)> {
        match &self.0.recipe {
            Recipe::Function(NamedFunction { name, body, .. }) => Some((name, body)),
            Recipe::Command(_) => None,
        }
    }

    /// What a function's source was when the dataset was defined, where that is known: [`DatasetBuilder::function_source`].
    pub fn function_source(&self) -> Option<Digest> {
        match &self.0.recipe {
            Recipe::Function(NamedFunction { source, .. }) => *source,
            Recipe::Command(_) => None,
        }
    }

    /// How many datasets are derived one from another to come to this one: zero where it is derived from none.
    pub(crate) fn depth(&self) -> usize {
        self.0.depth
    }

    /// The partitions of an upstream that a partition of this dataset reads, in time order. What is cut as finely or more finely is cut inside the
    /// partition; of what is cut more coarsely, the whole cell around it.
    pub(crate) fn upstream_partitions(&self, upstream: &Dataset, interval: Interval) -> Result<Vec<Interval>> {
        let split = upstream.split();
        let split = if split.every_ns() > self.split().every_ns() { split.aligned(Align::Cover) } else { split };
        split.partitions(interval)
    }

    /// Values that templates and functions may use and that are not in the key, an object.
    pub(crate) fn unkeyed(&self) -> &Value {
        &self.0.unkeyed
    }

    /// The configuration, an object. All of it is in the key.
    pub fn config(&self) -> &Value {
        &self.0.config
    }

    /// What relative programs and inputs are relative to. Absolute.
    pub fn base_dir(&self) -> &Path {
        &self.0.base_dir
    }

    /// The same for clones of one definition that lives, and for nothing else.
    pub(crate) fn definition_id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Puts one partition's values into the command's templates; `None` where a function makes the partitions. `work` is the attempt's work directory and
    /// must be absolute.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`] where a path that a template needs is not UTF-8, [`Error::NoUpstreamData`] where a text needs the file of an upstream
    /// that has none.
    pub(crate) fn expand(&self, identified: &Identified, partition: &PartitionScope<'_>, work: &Path) -> Result<Option<Expanded>> {
        debug_assert!(work.is_absolute(), "a generator may change its directory");
        let definition = &*self.0;
        let (Recipe::Command(command), Some(program)) = (&definition.recipe, identified.program()) else { return Ok(None) };
        let PartitionScope { instrument, interval, upstream } = *partition;
        let scope = Scope {
            instrument,
            interval,
            config: &definition.config,
            unkeyed: &definition.unkeyed,
            outputs: &definition.outputs,
            inputs: identified.inputs().collect(),
            upstream,
            work,
        };
        let invalid = |message| Error::InvalidDataset { dataset: definition.name.clone(), message };
        let in_arguments = command.arguments.iter().find_map(|template| template.without_data(upstream, true));
        let in_environment = || command.environment.values().find_map(|template| template.without_data(upstream, false));
        let in_files = || command.files.values().find_map(|file| file.without_data(upstream));
        if let Some(placeholder) = in_arguments.or_else(in_environment).or_else(in_files) {
            return Err(Error::NoUpstreamData { dataset: definition.name.clone(), placeholder });
        }
        let expand = |template: &Template| template.expand(&scope).map_err(invalid);
        let mut arguments = Vec::with_capacity(command.arguments.len());
        for template in &command.arguments {
            template.expand_argument(&scope, &mut arguments).map_err(invalid)?;
        }
        Ok(Some(Expanded {
            program: program.to_path_buf(),
            arguments,
            environment: command.environment.iter().map(|(name, value)| Ok((name.clone(), expand(value)?))).collect::<Result<_>>()?,
            files: command
                .files
                .iter()
                .map(|(name, file)| Ok((work.join(rendered_file_name(name)), file.render(&scope).map_err(invalid)?)))
                .collect::<Result<_>>()?,
        }))
    }

    /// Where in a work directory each output is to be left, by name.
    pub(crate) fn outputs_in(&self, work: &Path) -> Vec<(String, PathBuf)> {
        self.0.outputs.iter().map(|(name, file)| (name.clone(), work.join(file))).collect()
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
        let instrument = "binance/BTC-USDT".parse().unwrap();
        let partition = PartitionScope { instrument: &instrument, interval, upstream: &Upstreams::new() };
        let expanded = dataset.expand(&identified, &partition, Path::new("/w")).unwrap().unwrap();
        assert_eq!(expanded.program, Path::new("/bin/sh"));
        let feed = directory.path().join("feed").display().to_string();
        assert_eq!(expanded.arguments, ["-c", "$0 {x} ; rm -rf {work}", "binance/BTC-USDT", &feed]);
        let pairs = [("OUT", "/w/trades.parquet"), ("PLAIN", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(expanded.environment, pairs);
        assert_eq!(expanded.files, [(PathBuf::from("/w/model.json"), r#"{"out":"/w","self":"/w/model.json"}"#.to_owned())]);
        let outputs = [("book", "/w/book.parquet"), ("trades", "/w/trades.parquet")].map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        assert_eq!(dataset.outputs_in(Path::new("/w")), outputs);
    }

    #[test]
    fn what_is_given_twice_counts_as_given_last() {
        let dataset = Dataset::command("md", ["gen"]).output("t", "a").output("t", "b").config("x", 1).config("x", 2).build().unwrap();
        assert_eq!(dataset.outputs().collect::<Vec<_>>(), [("t", "b")]);
        assert_eq!(dataset.config().canonical().unwrap(), r#"{"x":2}"#);
    }
}
