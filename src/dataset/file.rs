//! The dataset file, `tickbarn.toml`: a store, limits of a run, what may be collected, and datasets.
//!
//! Every dataset in it goes through [`DatasetBuilder`], so that a file and a program that say the same thing mean the same thing. Nothing here looks
//! at any file but the one that is read. What is wrong in it is named with its line, or with the setting that was laid over it.

mod gc;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use gc::GcSettings;

use crate::closed::ClosedTimes;
use crate::cluster::{RayOptions, RunnerKind};
use crate::dataset::builder::DatasetBuilder;
use crate::dataset::check::Invalid;
use crate::dataset::definition::{Dataset, Fingerprint, Input, Resources};
use crate::dataset::node::{self, Fault, Field, Kind, Node, Origin, Table};
use crate::dataset::settings;
use crate::dataset::suggest::closest;
use crate::error::{ConfigOrigin, Error, Result, shortened};
use crate::interval::{Align, Split, parse_length_ns};
use crate::options::StoreOptions;
use crate::size::parse_bytes;
use crate::word::UnknownWord;

/// The name under which a dataset file is looked for.
const FILE_NAME: &str = "tickbarn.toml";
const FILE_BYTES_MAX: u64 = 1 << 20;
const WORKERS_MAX: i128 = 10_000;
const CPUS_MAX: f64 = 1e6;

/// A dataset file that was read and checked.
#[derive(Debug)]
pub struct DatasetFile {
    path: PathBuf,
    store: Option<PathBuf>,
    store_options: StoreOptions,
    run: RunSettings,
    runner: RunnerKind,
    ray: RayOptions,
    gc: Option<GcSettings>,
    datasets: Vec<Dataset>,
}

/// How much may run at once, as a dataset file's `[run]` says. What it does not say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RunSettings {
    /// Generators at once; 0 is as many as the machine or the cluster has room for.
    pub workers: Option<usize>,
    /// Processors that they may take together, more than zero.
    pub cpus: Option<f64>,
    /// Memory that they may take together, in bytes, more than zero.
    pub memory_bytes: Option<u64>,
}

impl DatasetFile {
    /// Reads a dataset file. Relative paths in it are relative to its directory.
    ///
    /// # Errors
    /// [`Error::Config`] naming the line; [`Error::Io`] where the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_with(path, &[])
    }

    /// Reads a dataset file and lays settings over it, each `DATASET.PATH=VALUE`, the later over the earlier.
    ///
    /// The value is read as TOML, and is text where it is not that: `md.config.levels=5`, `md.timeout=1h`. Settings under `config`, `env`, `unkeyed`,
    /// `input`, `file` and `outputs` must name something that the file has; other fields may be absent from it.
    ///
    /// # Errors
    /// As [`DatasetFile::read`]; an [`Error::Config`] that a setting causes names the setting instead of a line.
    pub fn read_with(path: impl AsRef<Path>, settings: &[String]) -> Result<Self> {
        let path = std::path::absolute(path.as_ref()).map_err(Error::io("find", path.as_ref()))?;
        let unusable = |message: &str| Error::Config {
            origin: ConfigOrigin { path: Some(path.clone()), line: None, setting: None },
            message: message.to_owned(),
        };
        let read = || {
            let mut bytes = Vec::new();
            File::open(&path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        let bytes = read().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => unusable("there is no such file; name an existing dataset file"),
            io::ErrorKind::IsADirectory => unusable("it is a directory; name the dataset file in it"),
            _ => Error::io("read", &path)(source),
        })?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(unusable("it is larger than the 1 MiB that a dataset file may have; is it the right file?"));
        }
        let text = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8, so it is not TOML; is it the right file?"))?;
        let base_dir = path.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, &path, base_dir, settings)
    }

    /// The dataset file that counts in a directory: the nearest `tickbarn.toml`, there or upwards.
    pub fn find(from_dir: impl AsRef<Path>) -> Option<PathBuf> {
        let from_dir = std::path::absolute(from_dir.as_ref()).ok()?;
        from_dir.ancestors().map(|directory| directory.join(FILE_NAME)).find(|path| path.is_file())
    }

    /// Reads the text of a dataset file. `path` stands in messages, relative paths are relative to `base_dir`; settings as in
    /// [`DatasetFile::read_with`].
    ///
    /// # Errors
    /// [`Error::Config`] naming the line or the setting.
    pub fn parse(text: &str, path: &Path, base_dir: &Path, settings: &[String]) -> Result<Self> {
        let base_dir = std::path::absolute(base_dir).map_err(Error::io("find", base_dir))?;
        read_file(text, path, &base_dir, settings).map_err(|Fault { origin, message }| {
            let line = match origin {
                Origin::Line(line) => Some(line),
                Origin::Setting(_) => None,
            };
            let setting = settings::text_of(&origin).map(|setting| setting.to_string());
            Error::Config { origin: ConfigOrigin { path: Some(path.to_path_buf()), line, setting }, message }
        })
    }

    /// The file itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store that the file names. Absolute.
    pub fn store(&self) -> Option<&Path> {
        self.store.as_deref()
    }

    /// How the file says that the store is used: `index = "auto"` or `"off"`, `verify = "size"` or `"digest"`.
    pub fn store_options(&self) -> StoreOptions {
        self.store_options
    }

    /// The limits of a run.
    pub fn run(&self) -> RunSettings {
        self.run
    }

    /// Where the file says that commands run: `[run] runner`.
    pub fn runner(&self) -> RunnerKind {
        self.runner
    }

    /// How the file says that a Ray cluster is reached: `address`, `python`, `start_timeout` and `queue_timeout` in `[run]`. There is one also where
    /// the file says nothing of it.
    pub fn ray(&self) -> &RayOptions {
        &self.ray
    }

    /// What the file says of collecting in `[gc]`; `None` where it has none.
    pub fn gc(&self) -> Option<&GcSettings> {
        self.gc.as_ref()
    }

    /// The datasets, in the order of the file.
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// The dataset of this name.
    ///
    /// # Errors
    /// [`Error::UnknownDataset`] with the names that there are.
    pub fn dataset(&self, name: &str) -> Result<&Dataset> {
        self.datasets.iter().find(|dataset| dataset.name() == name).ok_or_else(|| Error::UnknownDataset {
            name: shortened(name),
            closest: closest(name, self.datasets.iter().map(Dataset::name)).map(str::to_owned),
            known: self.datasets.iter().map(|dataset| dataset.name().to_owned()).collect(),
            path: Some(self.path.clone()),
        })
    }
}

fn read_file(text: &str, path: &Path, base_dir: &Path, settings: &[String]) -> Result<DatasetFile, Fault> {
    const KNOWN: [&str; 6] = ["store", "index", "verify", "run", "gc", "dataset"];
    let mut root = node::parse(text)?;
    for setting in settings {
        settings::lay_over(&mut root, setting)?;
    }
    let mut file = DatasetFile {
        path: path.to_path_buf(),
        store: None,
        store_options: StoreOptions::default(),
        run: RunSettings::default(),
        runner: RunnerKind::default(),
        ray: RayOptions::default(),
        gc: None,
        datasets: Vec::new(),
    };
    for field in &root.0 {
        match field.name.as_str() {
            "store" => file.store = Some(base_dir.join(read_path(&field.node, "store")?)),
            "index" => file.store_options.index = word(&field.node, "index")?,
            "verify" => file.store_options.verify = word(&field.node, "verify")?,
            "run" => read_run(field.node.table("run")?, base_dir, &mut file)?,
            "gc" => file.gc = Some(gc::read_gc(field.node.table("gc")?)?),
            "dataset" => file.datasets = read_datasets(field.node.table("dataset")?, base_dir)?,
            _ => return Err(field.unknown("at the top", &KNOWN)),
        }
    }
    Ok(file)
}

/// One of a few words.
fn word<T: FromStr<Err = UnknownWord>>(node: &Node, what: &str) -> Result<T, Fault> {
    let text = node.text(what, "a word")?;
    text.parse().map_err(|unknown: UnknownWord| node.fault(format!("{what}: {unknown}")))
}

fn read_run(table: &Table, base_dir: &Path, file: &mut DatasetFile) -> Result<(), Fault> {
    const KNOWN: [&str; 8] = ["workers", "cpus", "memory", "runner", "address", "python", "start_timeout", "queue_timeout"];
    let run = &mut file.run;
    let mut said = RayOptions::default();
    for field @ Field { name, node, .. } in &table.0 {
        match name.as_str() {
            "workers" => run.workers = Some(integer(node, "workers", 0, WORKERS_MAX)? as usize),
            "cpus" => match cpus(node, "cpus")? {
                cpus if cpus > 0.0 => run.cpus = Some(cpus),
                _ => return Err(node.unexpected("cpus", "a number above 0, since nothing could run without")),
            },
            "memory" => match size(node, "memory")? {
                0 => return Err(node.unexpected("memory", "a size above 0, since nothing could run without")),
                bytes => run.memory_bytes = Some(bytes),
            },
            "runner" => file.runner = word(node, "runner")?,
            "address" => said.address = address(node)?,
            "python" => {
                let path = read_path(node, "python")?;
                // A bare word is looked for in PATH.
                let bare = path.components().count() == 1;
                said = said.python(if bare { path.to_path_buf() } else { base_dir.join(path) });
            }
            "start_timeout" => said = said.start_max(length(node, "start_timeout")?),
            "queue_timeout" => said = said.queue_max(length(node, "queue_timeout")?),
            _ => return Err(field.unknown("in [run]", &KNOWN)),
        }
    }
    file.ray = said;
    Ok(())
}

/// The address of a cluster.
fn address(node: &Node) -> Result<String, Fault> {
    let wanted = "an address such as \"auto\", \"10.0.0.1:6379\" or \"ray://head:10001\"";
    match node.text("address", wanted)? {
        "" => Err(node.unexpected("address", wanted)),
        address => Ok(address.to_owned()),
    }
}

/// The keys of a dataset, in the order in which they are usually written.
const DATASET_KEYS: [&str; 18] = [
    "command",
    "outputs",
    "inputs",
    "split",
    "time_column",
    "closed",
    "timeout",
    "retries",
    "retry_delay",
    "empty_exit_codes",
    "snapshot_program",
    "version",
    "config",
    "file",
    "input",
    "env",
    "unkeyed",
    "resources",
];

/// The datasets in the order of the file, each read behind those that it is derived from, wherever they stand.
fn read_datasets(table: &Table, base_dir: &Path) -> Result<Vec<Dataset>, Fault> {
    let mut reading = Reading { table, base_dir, read: BTreeMap::new(), under_way: Vec::new() };
    table.0.iter().map(|field| reading.dataset(field)).collect()
}

struct Reading<'a> {
    table: &'a Table,
    base_dir: &'a Path,
    read: BTreeMap<String, Dataset>,
    /// The datasets that wait for one they are derived from.
    under_way: Vec<String>,
}

impl Reading<'_> {
    fn dataset(&mut self, field: &Field) -> Result<Dataset, Fault> {
        if let Some(dataset) = self.read.get(&field.name) {
            return Ok(dataset.clone());
        }
        self.under_way.push(field.name.clone());
        let dataset = read_dataset(field, self)?;
        self.under_way.pop();
        self.read.insert(field.name.clone(), dataset.clone());
        Ok(dataset)
    }

    /// The dataset that another one is derived from.
    fn upstream(&mut self, name: &str, node: &Node, what: &str) -> Result<Dataset, Fault> {
        let shown = || shortened(name).escape_debug().to_string();
        if let Some(first) = self.under_way.iter().position(|other| other == name) {
            let circle = self.under_way[first..].iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(" → ");
            return Err(node.fault(format!("{what}: {} would be derived from itself: {circle}; take one of them out", shown())));
        }
        match self.table.get(name) {
            Some(field) => self.dataset(field),
            None => {
                let known: Vec<&str> = self.table.0.iter().map(|field| field.name.as_str()).collect();
                let meant = closest(name, known.iter().copied()).map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
                Err(node.fault(format!("{what}: there is no dataset {}{meant}; the file has {}", shown(), known.join(", "))))
            }
        }
    }
}

/// Adds what a dataset is derived from: a list of `"DATASET"` and `"DATASET.OUTPUT"`, or a table of such under names of its own.
fn read_upstream(mut builder: DatasetBuilder, node: &Node, what: &str, reading: &mut Reading<'_>) -> Result<DatasetBuilder, Fault> {
    let wanted = "a list such as [\"md\", \"features.features\"], or a table such as { feed = \"md\", ft = [\"features.features\"] }";
    let named: Vec<(Option<&str>, &Node)> = match &node.kind {
        Kind::Array(items) => items.iter().map(|item| (None, item)).collect(),
        Kind::Table(table) => table
            .0
            .iter()
            .flat_map(|Field { name, node, .. }| match &node.kind {
                Kind::Array(items) => items.iter().map(|item| (Some(name.as_str()), item)).collect(),
                _ => vec![(Some(name.as_str()), node)],
            })
            .collect(),
        _ => return Err(node.unexpected(what, wanted)),
    };
    // The outputs of one dataset may be listed apart.
    let mut read: BTreeMap<String, (Dataset, BTreeSet<String>)> = BTreeMap::new();
    for (name, item) in named {
        let text = item.text(what, wanted)?;
        let (dataset_name, output) = text.split_once('.').map_or((text, None), |(dataset, output)| (dataset, Some(output)));
        let name = name.unwrap_or(dataset_name);
        let dataset = reading.upstream(dataset_name, item, what)?;
        let outputs: BTreeSet<String> = match output {
            Some(output) => [output.to_owned()].into(),
            None => dataset.outputs().map(|(output, _)| output.to_owned()).collect(),
        };
        match read.get_mut(name) {
            Some((other, _)) if other.name() != dataset.name() => {
                let message =
                    format!("{what}: {} would be both {} and {}; give each a name of its own", shortened(name), other.name(), dataset.name());
                return Err(item.fault(message));
            }
            Some((_, all)) => all.extend(outputs),
            None => drop(read.insert(name.to_owned(), (dataset, outputs))),
        }
    }
    for (name, (dataset, outputs)) in read {
        builder = builder.upstream_outputs(name, &dataset, outputs);
    }
    Ok(builder)
}

fn read_dataset(field: &Field, reading: &mut Reading<'_>) -> Result<Dataset, Fault> {
    let base_dir = reading.base_dir;
    let name = &field.name;
    let at = format!("[dataset.{}]", shortened(name).escape_debug());
    let table = field.node.table(&at)?;
    let what = |key: &str| format!("{at} {key}");
    let Some(command) = table.get("command") else {
        return Err(field.fault(format!("{at} has no command; write one: command = [\"build/exporter\", \"--start\", \"{{start}}\"]")));
    };
    let mut builder = Dataset::command(name, texts(&command.node, &what("command"))?).base_dir(base_dir);
    for item @ Field { name: key, node, .. } in &table.0 {
        let what = what(key);
        builder = match key.as_str() {
            "command" => builder,
            "version" => builder.version(node.text(&what, "a text")?),
            "inputs" => read_upstream(builder, node, &what, reading)?,
            "split" => builder.split(split(node, &what)?),
            "time_column" => builder.time_column(node.text(&what, "the name of a column")?),
            "closed" => builder.closed(closed(node, &what)?),
            "timeout" => builder.timeout(length(node, &what)?),
            "retries" => builder.retries(integer(node, &what, 0, i128::from(u32::MAX))? as u32),
            // The one length that may be zero: tried again at once.
            "retry_delay" if matches!(&node.kind, Kind::String(text) if text == "0s") => builder.retry_delay(Duration::ZERO),
            "retry_delay" => builder.retry_delay(length(node, &what)?),
            "empty_exit_codes" => {
                let codes = items(node, &what, "a list of exit statuses such as [3]")?;
                builder.empty_exit_codes(codes.iter().map(|code| Ok(integer(code, &what, 1, 255)? as i64)).collect::<Result<Vec<_>, Fault>>()?)
            }
            "snapshot_program" => match node.kind {
                Kind::Bool(snapshot) => builder.snapshot_program(snapshot),
                _ => return Err(node.unexpected(&what, "true or false")),
            },
            "outputs" => each(node, &what, builder, |builder, name, node| {
                Ok(builder.output(name, node.text(&format!("{what} {name}"), "a file name such as \"trades.parquet\"")?))
            })?,
            "config" => each(node, &what, builder, |builder, name, node| Ok(builder.config(name, node.value()?)))?,
            "unkeyed" => each(node, &what, builder, |builder, name, node| Ok(builder.unkeyed(name, node.value()?)))?,
            "file" => each(node, &what, builder, |builder, name, node| Ok(builder.file(name, node.value()?)))?,
            "env" => each(node, &what, builder, |builder, name, node| Ok(builder.env(name, node.text(&format!("{what} {name}"), "a text")?)))?,
            "input" => each(node, &what, builder, |builder, name, node| Ok(builder.input(name, input(node, &format!("{what} {name}"))?)))?,
            "resources" => resources(builder, node, &what)?,
            _ => return Err(item.unknown(&format!("in {at}"), &DATASET_KEYS)),
        };
    }
    builder.check(base_dir.to_path_buf()).map_err(|Invalid { site, message }| Fault {
        origin: field.node.origin_at(&site.0).clone(),
        message: format!("dataset {}: {}", shortened(name).escape_debug(), site.before(message)),
    })
}

/// Reads a table whose names the user chooses.
fn each(
    node: &Node,
    what: &str,
    mut builder: DatasetBuilder,
    read: impl Fn(DatasetBuilder, &str, &Node) -> Result<DatasetBuilder, Fault>,
) -> Result<DatasetBuilder, Fault> {
    for Field { name, node, .. } in &node.table(what)?.0 {
        builder = read(builder, name, node)?;
    }
    Ok(builder)
}

fn items<'a>(node: &'a Node, what: &str, wanted: &str) -> Result<&'a [Node], Fault> {
    match &node.kind {
        Kind::Array(items) => Ok(items),
        _ => Err(node.unexpected(what, wanted)),
    }
}

fn texts<'a>(node: &'a Node, what: &str) -> Result<Vec<&'a str>, Fault> {
    let items = items(node, what, "a list of texts, since no shell splits it: [\"build/exporter\", \"--start\", \"{start}\"]")?;
    items.iter().enumerate().map(|(nth, item)| item.text(&format!("{what} element {nth}"), "a text")).collect()
}

fn integer(node: &Node, what: &str, min: i128, max: i128) -> Result<i128, Fault> {
    match node.kind {
        Kind::Integer(integer) if (min..=max).contains(&integer) => Ok(integer),
        _ => Err(node.unexpected(what, &format!("a whole number from {min} to {max}"))),
    }
}

fn cpus(node: &Node, what: &str) -> Result<f64, Fault> {
    match node.kind {
        Kind::Integer(integer) if (0..=CPUS_MAX as i128).contains(&integer) => Ok(integer as f64),
        Kind::Float(float) if (0.0..=CPUS_MAX).contains(&float) => Ok(float),
        _ => Err(node.unexpected(what, "a number of processors such as 1 or 0.5")),
    }
}

fn length(node: &Node, what: &str) -> Result<Duration, Fault> {
    let wanted = "a length of time such as \"30m\"";
    let text = node.text(what, wanted)?;
    let ns = parse_length_ns(text).map_err(|reason| node.fault(format!("{what}: {:?} is not {wanted}: {reason}", shortened(text))))?;
    Ok(Duration::from_nanos(ns.unsigned_abs()))
}

/// A list of texts, each of which may be at fault.
fn closed(node: &Node, what: &str) -> Result<ClosedTimes, Fault> {
    let items = items(node, what, "a list of closed times such as [\"weekends\", \"22:00-23:00\"]")?;
    items.iter().try_fold(ClosedTimes::default(), |closed, item| {
        let one: ClosedTimes = item.text(what, "a text such as \"weekends\"")?.parse().map_err(|error| item.fault(format!("{what}: {error}")))?;
        Ok(closed.and(&one))
    })
}

fn split(node: &Node, what: &str) -> Result<Split, Fault> {
    let every = |node: &Node| {
        let text = node.text(what, "a length of time such as \"12h\"")?;
        Split::every(text).map_err(|error| node.fault(format!("{what}: {error}")))
    };
    let Kind::Table(table) = &node.kind else {
        return every(node);
    };
    let Some(length) = table.get("every") else {
        return Err(node.fault(format!("{what} has no length; write one: split = {{ every = \"12h\", align = \"grid\" }}")));
    };
    let mut split = every(&length.node)?;
    for field @ Field { name, node, .. } in &table.0 {
        let wanted = "\"grid\", \"start\" or \"cover\"";
        split = match name.as_str() {
            "every" => split,
            "align" => split.aligned(match node.text(&format!("{what} align"), wanted)? {
                "grid" => Align::Grid,
                "start" => Align::Start,
                "cover" => Align::Cover,
                _ => return Err(node.unexpected(&format!("{what} align"), wanted)),
            }),
            _ => return Err(field.unknown(&format!("in {what}"), &["every", "align"])),
        };
    }
    Ok(split)
}

fn input(node: &Node, what: &str) -> Result<Input, Fault> {
    let Kind::Table(table) = &node.kind else {
        return Ok(Input::new(read_path(node, what)?));
    };
    let Some(path) = table.get("path") else {
        return Err(node.fault(format!("{what} has no path; write {{ path = \"feed.dbn\", fingerprint = \"content\" }}")));
    };
    let mut input = Input::new(read_path(&path.node, what)?);
    for field @ Field { name, node, .. } in &table.0 {
        let wanted = "\"content\", \"stat\" or \"none\"";
        input = match name.as_str() {
            "path" => input,
            "fingerprint" => input.fingerprint(match node.text(&format!("{what} fingerprint"), wanted)? {
                "content" => Fingerprint::Content,
                "stat" => Fingerprint::Stat,
                "none" => Fingerprint::None,
                _ => return Err(node.unexpected(&format!("{what} fingerprint"), wanted)),
            }),
            _ => return Err(field.unknown(&format!("in {what}"), &["path", "fingerprint"])),
        };
    }
    Ok(input)
}

/// What one run takes: `cpus`, `memory`, and what nodes of a cluster have by names of their own.
fn resources(mut builder: DatasetBuilder, node: &Node, what: &str) -> Result<DatasetBuilder, Fault> {
    const KNOWN: [&str; 2] = ["cpus", "memory"];
    let table = node.table(what)?;
    let mut resources = Resources::default();
    for field @ Field { name, node, .. } in &table.0 {
        match name.as_str() {
            "cpus" => resources.cpus = cpus(node, &format!("{what} cpus"))?,
            "memory" => resources.memory_bytes = size(node, &format!("{what} memory"))?,
            _ if closest(&name.to_lowercase(), KNOWN).is_some() => return Err(field.unknown(&format!("in {what}"), &KNOWN)),
            _ => match node.kind {
                Kind::Integer(amount) => builder = builder.cluster_resource(name, amount as f64),
                Kind::Float(amount) => builder = builder.cluster_resource(name, amount),
                _ => {
                    return Err(
                        node.unexpected(&format!("{what} {name}"), "a number: how much a run takes of what a cluster's nodes have by this name")
                    );
                }
            },
        }
    }
    Ok(builder.resources(resources))
}

/// A path as text. `~` is a shell's word: taken literally it would make a directory of that name.
fn read_path<'a>(node: &'a Node, what: &str) -> Result<&'a Path, Fault> {
    let text = node.text(what, "a path")?;
    if text.is_empty() {
        return Err(node.fault(format!("{what}: it is empty; write a path")));
    }
    if text == "~" || text.starts_with("~/") {
        return Err(node.fault(format!("{what}: ~ is not expanded in {:?}; write the whole path", shortened(text))));
    }
    Ok(Path::new(text))
}

fn size(node: &Node, what: &str) -> Result<u64, Fault> {
    let wanted = "a size such as \"2GiB\", \"500MB\" or a number of bytes";
    match &node.kind {
        Kind::Integer(bytes) => u64::try_from(*bytes).map_err(|_| node.unexpected(what, wanted)),
        Kind::String(text) => parse_bytes(text).ok_or_else(|| node.unexpected(what, wanted)),
        _ => Err(node.unexpected(what, wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Value;
    use crate::dataset::{Fingerprints, PartitionScope, Upstreams};
    use crate::interval::Interval;

    /// The example of the documentation.
    const EXAMPLE: &str = r#"
store = "barn"                      # relative to this file
[run]
workers = 4
[dataset.md]
command = ["build/md_exporter", "--model", "{file.model}", "--run", "{input.run}", "--simulation", "{input.simulation}", "--start", "{start}", "--end", "{end}", "--orders", "/dev/null", "--verbose", "{unkeyed.verbose}"]
outputs = { orderbook = "orderbook.parquet", trades = "trades.parquet" }
split = "12h"                       # or { every = "12h", align = "grid" | "start" | "cover" }
timeout = "30m"
retries = 0
empty_exit_codes = [3]
snapshot_program = false            # true: run a copy kept by digest, so a rebuild cannot disturb a running export
# version = "7"                     # stands for the program's digest
[dataset.md.config]                 # in the key, usable as {config.orderbook_levels}
orderbook_levels = 40
skip_empty_levels = true
[dataset.md.file.model]             # rendered to JSON in the work directory, its path is {file.model}
orderbook_file = "{output.orderbook}"
trades_file = "{output.trades}"
orderbook_levels = "{config.orderbook_levels}"      # a lone placeholder keeps the value's type
skip_empty_levels = "{config.skip_empty_levels}"
instrument = { market = "{instrument.market}", pair = "{instrument.pair}" }
[dataset.md.input]                  # files the generator reads: their content is in the key
run = "configs/run_config.json"     # or { path = "feed.dbn.zst", fingerprint = "content" | "stat" | "none" } for what is too large to read each time
simulation = "configs/simulation_config.json"
[dataset.md.env]                    # set for the generator, in the key
[dataset.md.unkeyed]                # usable in templates, not in the key
verbose = 1
[dataset.md.resources]              # what one run takes, against [run] cpus/memory
cpus = 1
memory = "2GiB"
"#;

    fn parse(text: &str, settings: &[&str]) -> Result<DatasetFile> {
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        DatasetFile::parse(text, Path::new("/base/tickbarn.toml"), Path::new("/base"), &settings)
    }

    /// The message of what cannot be read: always one line that can be printed.
    #[track_caller]
    fn refusal(text: &str, settings: &[&str]) -> String {
        let error = parse(text, settings).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Config { .. }) && error.is_usage(), "{error:?}");
        let message = error.to_string();
        assert!(!message.contains(['\n', '\u{1b}']) && message.len() < 1200, "{message:?}");
        message
    }

    fn identity(dataset: &Dataset) -> Value {
        dataset.identify(&Fingerprints::default()).unwrap().identity().value().clone()
    }

    fn example_directory() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        for name in ["build", "configs", "deep/er"] {
            std::fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        for (name, content) in [
            ("tickbarn.toml", EXAMPLE),
            ("build/md_exporter", "#!/bin/sh\n"),
            ("configs/run_config.json", "{}"),
            ("configs/simulation_config.json", "{}"),
        ] {
            std::fs::write(directory.path().join(name), content).unwrap();
            std::fs::set_permissions(directory.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        directory
    }

    #[test]
    fn the_example_means_what_it_says() {
        let directory = example_directory();
        let base = directory.path();
        let file = DatasetFile::read(base.join("tickbarn.toml")).unwrap();
        assert_eq!(file.store(), Some(base.join("barn").as_path()));
        assert_eq!(file.run(), RunSettings { workers: Some(4), cpus: None, memory_bytes: None });
        let md = file.dataset("md").unwrap();
        assert_eq!(md.timeout(), Some(Duration::from_secs(1800)));
        assert_eq!(md.resources(), Resources { cpus: 1.0, memory_bytes: 2 << 30 });
        assert_eq!(md.empty_exit_codes().iter().copied().collect::<Vec<_>>(), [3]);

        let identified = md.identify(&Fingerprints::default()).unwrap();
        let interval = Interval::parse("2023-12-25", "2023-12-25T12:00").unwrap();
        let partition = PartitionScope { instrument: &"binance/BTC-USDT".parse().unwrap(), interval, upstream: &Upstreams::new() };
        let expanded = md.expand(&identified, &partition, Path::new("/jobs/1")).unwrap().unwrap();
        assert_eq!(expanded.program, base.join("build/md_exporter"));
        let run = base.join("configs/run_config.json").display().to_string();
        let simulation = base.join("configs/simulation_config.json").display().to_string();
        assert_eq!(
            expanded.arguments,
            [
                "--model",
                "/jobs/1/model.json",
                "--run",
                &run,
                "--simulation",
                &simulation,
                "--start",
                "2023-12-25T00:00:00Z",
                "--end",
                "2023-12-25T12:00:00Z",
                "--orders",
                "/dev/null",
                "--verbose",
                "1"
            ]
        );
        assert_eq!(
            expanded.files,
            [(
                PathBuf::from("/jobs/1/model.json"),
                r#"{"instrument":{"market":"binance","pair":"BTC-USDT"},"orderbook_file":"/jobs/1/orderbook.parquet","orderbook_levels":40,"skip_empty_levels":true,"trades_file":"/jobs/1/trades.parquet"}"#
                    .to_owned()
            )]
        );
        assert_eq!(md.outputs_in(Path::new("/jobs/1"))[1], ("trades".to_owned(), PathBuf::from("/jobs/1/trades.parquet")));
        assert!(expanded.environment.is_empty());
    }

    #[test]
    fn a_file_and_a_builder_that_say_the_same_are_the_same() {
        let directory = example_directory();
        let file = DatasetFile::read(directory.path().join("tickbarn.toml")).unwrap();
        let text = |text: &str| Value::from(text);
        let built = Dataset::command(
            "another-name",
            [
                "build/md_exporter",
                "--model",
                "{file.model}",
                "--run",
                "{input.run}",
                "--simulation",
                "{input.simulation}",
                "--start",
                "{start}",
                "--end",
                "{end}",
                "--orders",
                "/dev/null",
                "--verbose",
                "{unkeyed.verbose}",
            ],
        )
        .base_dir(directory.path())
        .output("orderbook", "orderbook.parquet")
        .output("trades", "trades.parquet")
        .config("orderbook_levels", 40)
        .config("skip_empty_levels", true)
        .file(
            "model",
            Value::object([
                ("orderbook_file", text("{output.orderbook}")),
                ("trades_file", text("{output.trades}")),
                ("orderbook_levels", text("{config.orderbook_levels}")),
                ("skip_empty_levels", text("{config.skip_empty_levels}")),
                ("instrument", Value::object([("market", text("{instrument.market}")), ("pair", text("{instrument.pair}"))])),
            ]),
        )
        .input("run", "configs/run_config.json")
        .input("simulation", "configs/simulation_config.json")
        .unkeyed("verbose", 1)
        .build()
        .unwrap();
        assert_eq!(identity(file.dataset("md").unwrap()), identity(&built));
    }

    #[test]
    fn a_file_says_where_commands_run() {
        let parse = |text: &str| DatasetFile::parse(text, Path::new("/etc/tickbarn.toml"), Path::new("/srv"), &[]);
        let file = parse(
            "[run]\nrunner = \"ray\"\nworkers = 0\naddress = \"ray://head:10001\"\npython = \"venv/bin/python\"\nqueue_timeout = \"2h\"\n\
             [dataset.md]\ncommand = [\"x\"]\noutputs = { t = \"t.parquet\" }\nresources = { cpus = 2, memory = \"1GiB\", gpu_node = 1, share = 0.5 }",
        );
        let file = file.unwrap();
        assert_eq!((file.runner(), file.run().workers, file.ray().address()), (RunnerKind::Ray, Some(0), "ray://head:10001"));
        let expected = RayOptions::new("ray://head:10001").python("/srv/venv/bin/python").queue_max(Duration::from_secs(7200));
        assert_eq!(*file.ray(), expected);
        let wants: Vec<(String, f64)> = file.dataset("md").unwrap().wants_of_a_node().into_iter().collect();
        let expected = [("CPU", 2.0), ("gpu_node", 1.0), ("memory", 1_073_741_824.0), ("share", 0.5)];
        assert_eq!(wants, expected.map(|(name, amount)| (name.to_owned(), amount)));
        let silent = parse("").unwrap();
        assert_eq!((silent.runner(), silent.ray().address(), silent.ray().interpreter()), (RunnerKind::Local, "auto", Path::new("python3")));
        for (line, said) in [
            ("runner = \"slurm\"", "local, ray"),
            ("address = \"\"", "ray://head:10001"),
            ("queue_timeout = 5", "a length of time"),
            ("adress = \"auto\"", "address"),
        ] {
            let error = parse(&format!("[run]\n{line}")).unwrap_err().to_string();
            assert!(error.contains(":2") && error.contains(said), "{error}");
        }
        for (resources, said) in [
            ("memroy = \"1GiB\"", "did you mean memory"),
            ("GPU = 1", "a resource of your own name"),
            ("gpu_node = 0", "more than 0"),
            ("gpu_node = 1.5", "a whole number"),
            ("gpu_node = \"1\"", "a number"),
        ] {
            let text = format!("[dataset.md]\ncommand = [\"x\"]\noutputs = {{ t = \"t.parquet\" }}\n[dataset.md.resources]\n{resources}");
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(":5") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_nearest_file_upwards_counts() {
        let directory = example_directory();
        let expected = Some(directory.path().join("tickbarn.toml"));
        assert_eq!(DatasetFile::find(directory.path().join("deep/er")), expected);
        assert_eq!(DatasetFile::find(directory.path()), expected);
        std::fs::create_dir(directory.path().join("deep/tickbarn.toml")).unwrap();
        assert_eq!(DatasetFile::find(directory.path().join("deep/er")), expected, "a directory is no dataset file");
        std::fs::write(directory.path().join("deep/er/tickbarn.toml"), "").unwrap();
        assert_eq!(DatasetFile::find(directory.path().join("deep/er")), Some(directory.path().join("deep/er/tickbarn.toml")));
        assert_eq!(DatasetFile::find("/"), None);
    }

    #[test]
    fn a_file_that_cannot_be_one_is_named() {
        let directory = example_directory();
        let path = directory.path().join("big.toml");
        let message = |path: &Path| DatasetFile::read(path).map(|_| ()).unwrap_err().to_string();
        assert!(message(&path).contains("big.toml: there is no such file"));
        assert!(message(directory.path()).contains("it is a directory"));
        std::fs::write(&path, "#".repeat(FILE_BYTES_MAX as usize)).unwrap();
        DatasetFile::read(&path).unwrap();
        std::fs::write(&path, "#".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
        assert!(message(&path).contains("larger than the 1 MiB"));
        std::fs::write(&path, b"a = \"\xff\"").unwrap();
        assert!(message(&path).contains("not UTF-8"));
    }

    #[test]
    fn a_dataset_that_is_not_there_is_told_with_those_that_are() {
        let file = parse(EXAMPLE, &[]).unwrap();
        let message = file.dataset("features").unwrap_err().to_string();
        assert_eq!(message, "there is no dataset \"features\" in /base/tickbarn.toml; it defines md");
    }

    #[test]
    fn datasets_keep_the_order_of_the_file() {
        let one = |name: &str| format!("[dataset.{name}]\ncommand = [\"gen\"]\noutputs = {{ t = \"t.parquet\" }}\n");
        let file = parse(&["zebra", "ant", "md"].map(one).concat(), &[]).unwrap();
        assert_eq!(file.datasets().iter().map(Dataset::name).collect::<Vec<_>>(), ["zebra", "ant", "md"]);
        assert!(parse("", &[]).unwrap().datasets().is_empty());
    }

    /// A dataset on lines 1 to 3, with more from line 4 on.
    fn with(more: &str) -> String {
        format!("[dataset.md]\ncommand = [\"gen\", \"{{start}}\"]\noutputs = {{ trades = \"trades.parquet\" }}\n{more}")
    }

    #[test]
    fn every_fault_in_a_dataset_has_its_line() {
        let cases: &[(&str, usize, &[&str])] = &[
            ("tmeout = \"1h\"", 4, &["unknown key \"tmeout\" in [dataset.md]", "(did you mean timeout?)", "known are command, outputs"]),
            ("\n\n\"\\u001b[31m\" = 1", 6, &["unknown key \"\\u{1b}[31m\""]),
            ("timeout = 30", 4, &["[dataset.md] timeout: expected a length of time such as \"30m\" in quotes, found the number 30"]),
            ("timeout = \"30 parsecs\"", 4, &["timeout: \"30 parsecs\" is not a length of time such as \"30m\""]),
            ("timeout = \"0s\"", 4, &["longer than zero"]),
            ("timeout = \"-1h\"", 4, &["longer than zero"]),
            ("timeout = 2024-01-01", 4, &["found the date 2024-01-01"]),
            ("retry_delay = \"1mo\"", 4, &["months and years have no fixed length"]),
            ("retries = \"three\"", 4, &["retries: expected a whole number from 0 to 4294967295, found the text \"three\""]),
            ("retries = -1", 4, &["found the number -1"]),
            ("retries = 1.0", 4, &["a whole number"]),
            ("snapshot_program = 1", 4, &["expected true or false, found the number 1"]),
            ("version = 7", 4, &["version: expected a text in quotes, found the number 7"]),
            ("version = \"\"", 4, &["version: it must have"]),
            ("empty_exit_codes = 3", 4, &["expected a list of exit statuses such as [3], found the number 3"]),
            ("empty_exit_codes = [\n3,\n0]", 6, &["from 1 to 255, found the number 0"]),
            ("empty_exit_codes = [256]", 4, &["from 1 to 255, found the number 256"]),
            ("split = \"5 parsecs\"", 4, &["[dataset.md] split: \"5 parsecs\" is not a split"]),
            ("split = 12", 4, &["expected a length of time such as \"12h\" in quotes"]),
            ("split = { align = \"grid\" }", 4, &["split has no length", "every = \"12h\""]),
            ("split = { every = \"12h\", align = \"gird\" }", 4, &["expected \"grid\", \"start\" or \"cover\", found the text \"gird\""]),
            ("[dataset.md.split]\nevery = \"12h\"\nalgin = \"grid\"", 6, &["unknown key \"algin\"", "(did you mean align?)"]),
            ("[dataset.md.config]\nlevels = 2024-01-01", 5, &["dates are not supported here; quote it: \"2024-01-01\""]),
            ("[dataset.md.config]\nlevels = nan", 5, &["nan is no finite number; write it as a string"]),
            ("[dataset.md.config]\na = 1\nlevels = 18446744073709551616", 6, &["18446744073709551616 does not fit 64 bits"]),
            ("[dataset.md.config]\na = 1\nlevels = -9223372036854775809", 6, &["does not fit 64 bits"]),
            ("[dataset.md.config]\na = 1\nlevels = 1e400", 6, &["1e400 is no finite number"]),
            ("[dataset.md.config]\n\"a.b\" = 1", 5, &["config a.b: this is no name to use here"]),
            ("config = 5", 4, &["[dataset.md] config: expected a table, found the number 5"]),
            ("[[dataset.md.config]]\na = 1", 4, &["config: expected a table, found a list"]),
            ("[dataset.md.file.model]\na = 1\nb = [\n1,\n\"{config.x}\"]", 8, &["dataset md: file model at b.1: unknown placeholder {config.x}"]),
            ("[dataset.md.file.model.deep]\n\"{start}\" = 1", 5, &["file model at deep.{start}", "values only"]),
            ("[dataset.md.file]\nmodel = \"{\"", 5, &["file model: a { stands without its }"]),
            ("[dataset.md.env]\nTZ = 5", 5, &["env TZ: expected a text in quotes, found the number 5"]),
            ("[dataset.md.env]\nTZ = \"{x}\"", 5, &["env TZ: unknown placeholder {x}", "{start}"]),
            ("[dataset.md.env]\n\"A=B\" = \"\"", 5, &["env A=B: an environment variable's name"]),
            ("[dataset.md.input]\nrun = 5", 5, &["input run: expected a path in quotes, found the number 5"]),
            ("[dataset.md.input]\nrun = [\"a\"]", 5, &["input run: expected a path, found a list"]),
            ("[dataset.md.input]\nrun = \"\"", 5, &["it is empty"]),
            ("[dataset.md.input]\nrun = \"~/x\"", 5, &["~ is not expanded"]),
            ("[dataset.md.input]\nrun = \"{start}\"", 5, &["input run: its path may hold no placeholder"]),
            ("[dataset.md.input]\nrun = { fingerprint = \"stat\" }", 5, &["input run has no path"]),
            (
                "[dataset.md.input.run]\npath = \"a\"\nfingerprint = \"size\"",
                6,
                &["expected \"content\", \"stat\" or \"none\", found the text \"size\""],
            ),
            ("[dataset.md.input]\nrun = { path = \"a\", digest = 1 }", 5, &["unknown key \"digest\"", "known are path, fingerprint"]),
            (
                "[dataset.md.resources]\ncpus = \"two\"",
                5,
                &["resources cpus: expected a number of processors such as 1 or 0.5, found the text \"two\""],
            ),
            ("[dataset.md.resources]\ncpus = -1", 5, &["found the number -1"]),
            ("[dataset.md.resources]\nmemory = \"2 gigs\"", 5, &["memory: expected a size such as \"2GiB\", \"500MB\" or a number of bytes"]),
            ("[dataset.md.resources]\nmemory = -1", 5, &["found the number -1"]),
            ("[dataset.md.resources]\nmemroy = 1", 5, &["unknown key \"memroy\" in [dataset.md] resources", "known are cpus, memory"]),
            ("retries = 1\nretries = 2", 5, &["\"retries\" stands twice"]),
            ("[dataset.md]\nretries = 2", 4, &["stands twice"]),
            ("retries = ", 4, &["this is not TOML"]),
            ("retries = [1,\n2", 5, &["this is not TOML"]),
            ("[run]\nworkers = -1", 5, &["workers: expected a whole number from 0 to 10000, found the number -1"]),
            ("[run]\nworker = 1", 5, &["unknown key \"worker\" in [run] (did you mean workers?)", "known are workers, cpus, memory"]),
            ("[run]\ncpus = 0", 5, &["above 0"]),
            ("[run]\nmemory = 0", 5, &["above 0"]),
            ("[run]\nmemory = true", 5, &["expected a size such as", "found true"]),
            (
                "[datasets.x]\na = 1",
                4,
                &["unknown key \"datasets\" at the top (did you mean dataset?)", "known are store, index, verify, run, gc, dataset"],
            ),
            ("[dataset.other]\noutputs = { t = \"t\" }", 4, &["[dataset.other] has no command", "command = ["]),
            ("[dataset.other]\n\ncommand = [\"gen\"]", 4, &["dataset other: it has no output"]),
            ("[dataset.other]\n\ncommand = \"gen --x\"\n", 6, &["command: expected a list of texts, since no shell splits it"]),
            ("[dataset.other]\ncommand = [\n\"gen\",\n5]", 7, &["command element 1: expected a text in quotes, found the number 5"]),
            (
                "[dataset.other]\noutputs = { t = \"t\" }\ncommand = [\n\"gen\",\n\"{x}\"]",
                8,
                &["dataset other: argument 1: \"{x}\": unknown placeholder {x}"],
            ),
            ("[dataset.other]\noutputs = { t = \"t\" }\ncommand = []", 6, &["command: it is empty"]),
            ("[dataset.other]\noutputs = { t = \"t\" }\ncommand = [\n\"{x}\"]", 7, &["the program", "no placeholder"]),
            (
                "[dataset.other]\ncommand = [\"gen\"]\n[dataset.other.outputs]\nt = \"t\"\nu = \"../t\"",
                8,
                &["outputs u: \"../t\" is no name for a file"],
            ),
            ("[dataset.other]\ncommand = [\"gen\"]\noutputs.t = 5", 6, &["outputs t: expected a file name such as", "found the number 5"]),
            ("[dataset.\"a/b\"]\noutputs = { t = \"t\" }\ncommand = [\"gen\"]", 4, &["\"a/b\" cannot name a dataset"]),
            ("[dataset]\nother = 5", 5, &["[dataset.other]: expected a table, found the number 5"]),
        ];
        for (more, line, parts) in cases {
            let message = refusal(&with(more), &[]);
            assert!(message.starts_with(&format!("/base/tickbarn.toml:{line}: ")), "{more}: {message}");
            for part in *parts {
                assert!(message.contains(part), "{more}: {part:?} is not in: {message}");
            }
        }
    }

    #[test]
    fn faults_at_the_top_have_their_line() {
        for (text, line, part) in [
            ("\n\nstore = 5", 3, "store: expected a path in quotes"),
            ("store = \"~/barn\"", 1, "~ is not expanded"),
            ("index = \"sled\"", 1, "index: \"sled\" is none of auto, off"),
            ("verify = true", 1, "verify: expected a word"),
            ("run = 5", 1, "run: expected a table"),
            ("dataset = []", 1, "dataset: expected a table, found a list"),
            ("\r\n\r\nx = 1\r\n", 3, "unknown key \"x\" at the top"),
            ("a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 1, "this is not TOML"),
        ] {
            let message = refusal(text, &[]);
            assert!(message.starts_with(&format!("/base/tickbarn.toml:{line}: ")) && message.contains(part), "{text}: {message}");
        }
        // As deep as the reader of a file may be driven.
        refusal(&format!("a = {}", "[".repeat(1_000_000)), &[]);
        refusal(&format!("{} = 1", ["a"; 100_000].join(".")), &[]);
    }

    #[test]
    fn a_file_of_many_values_is_read_at_once() {
        let started = std::time::Instant::now();
        parse(&with(&format!("config.x = [{}]\n", "1,\n".repeat(300_000))), &[]).unwrap();
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[test]
    fn all_spellings_of_a_number_are_that_number() {
        let file = with(
            "[dataset.md.config]\nhex = 0xFF\nbits = 0b101\noct = 0o17\nlong = 1_000\nplus = +5\nlarge = 18446744073709551615\nsmall = -9223372036854775808\nfloat = 1_0.5\nexponent = 5e+2",
        );
        let config = parse(&file, &[]).unwrap().datasets()[0].config().canonical().unwrap();
        assert_eq!(
            config,
            r#"{"bits":5,"exponent":500,"float":10.5,"hex":255,"large":18446744073709551615,"long":1000,"oct":15,"plus":5,"small":-9223372036854775808}"#
        );
    }

    #[test]
    fn everything_that_may_be_said_is_understood() {
        let text = with(
            "split = { every = \"5m\", align = \"cover\" }\nretry_delay = \"0s\"\nretries = 3\nversion = \"7\"\nsnapshot_program = true\nempty_exit_codes = [3, 4]\n\
             input.feed = { path = \"feed.dbn.zst\", fingerprint = \"stat\" }\nenv.TZ = \"{config.zone}\"\nconfig.zone = \"UTC\"\n\
             [dataset.md.resources]\ncpus = 0.5\nmemory = 1000\n[run]\ncpus = 2\nmemory = \"1.5GiB\"\n",
        );
        let file = parse(&text, &[]).unwrap();
        assert_eq!(file.run(), RunSettings { workers: None, cpus: Some(2.0), memory_bytes: Some(3 << 29) });
        assert_eq!(file.store(), None);
        let md = &file.datasets()[0];
        assert_eq!(md.split(), Split::every("5m").unwrap().aligned(Align::Cover));
        assert_eq!((md.retries(), md.retry_delay(), md.version(), md.snapshot_program()), (3, Duration::ZERO, Some("7"), true));
        assert_eq!(md.resources(), Resources { cpus: 0.5, memory_bytes: 1000 });
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("12", 12), ("12B", 12), ("2GiB", 2 << 30), ("500MB", 500_000_000), ("500 MB", 500_000_000), ("0.5KiB", 512), ("1kB", 1000)]
        {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "2G", "2gib", "-1", "1e3", "1.2.3", "99999999999TiB", "2GiB extra", "NaN"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_setting_counts_for_one_run() {
        let config = |settings: &[&str]| parse(EXAMPLE, settings).unwrap().datasets()[0].config().canonical().unwrap();
        assert_eq!(config(&["md.config.orderbook_levels=5"]), r#"{"orderbook_levels":5,"skip_empty_levels":true}"#);
        assert_eq!(config(&["md.config.orderbook_levels = 5", "md.config.orderbook_levels=6"]), r#"{"orderbook_levels":6,"skip_empty_levels":true}"#);
        for (value, expected) in [
            ("false", "false"),
            ("\"5\"", "\"5\""),
            ("five", "\"five\""),
            ("a = b", "\"a = b\""),
            ("", "\"\""),
            ("[1, 2]", "[1,2]"),
            ("{ a = 1 }", "{\"a\":1}"),
            ("2024-01-01", "\"2024-01-01\""),
            ("1\nx = 2", "\"1\\nx = 2\""),
            ("1 # no comment", "\"1 # no comment\""),
        ] {
            let set = config(&[&format!("md.config.skip_empty_levels={value}")]);
            assert_eq!(set, format!("{{\"orderbook_levels\":40,\"skip_empty_levels\":{expected}}}"), "{value}");
        }

        let file = parse(EXAMPLE, &["md.timeout=1h", "md.version=7", "md.resources.cpus=2", "md.retry_delay=5s", "md.split.every=1h"]);
        assert!(file.unwrap_err().to_string().contains("split is no table in the file; set it whole: md.split=VALUE"));
        let settings = ["md.timeout=1h", "md.version=7", "md.resources.cpus=2", "md.retry_delay=5s", "md.split={ every = \"1h\" }", "md.retries=2"];
        let file = parse(EXAMPLE, &settings).unwrap();
        let md = &file.datasets()[0];
        assert_eq!((md.timeout(), md.version(), md.retries()), (Some(Duration::from_secs(3600)), Some("7"), 2));
        assert_eq!((md.resources().cpus, md.resources().memory_bytes, md.retry_delay()), (2.0, 2 << 30, Duration::from_secs(5)));
        assert_eq!(md.split().to_string(), "1h");
        let file = parse(&with(""), &["md.resources.memory=1GiB", "md.env.TZ=x"]);
        assert!(file.unwrap_err().to_string().contains("has no env in the file"));
        assert_eq!(parse(&with(""), &["md.resources.memory=1GiB"]).unwrap().datasets()[0].resources().memory_bytes, 1 << 30);
    }

    #[test]
    fn a_nested_setting_is_found_as_placeholders_find_it() {
        let text = with("[dataset.md.config.window]\nshort = 1\n\"a.b\" = 2\n[dataset.md.env]\nTHREADS = \"1\"\n");
        let file = parse(&text, &["md.config.window.short=5", "md.config.window.a.b=6", "md.env.THREADS=4"]).unwrap();
        assert_eq!(file.datasets()[0].config().canonical().unwrap(), r#"{"window":{"a.b":6,"short":5}}"#);
    }

    #[test]
    fn a_setting_at_fault_is_named_itself() {
        for (setting, parts) in [
            (
                "md.config.orderbook_levls=5",
                &["the file has no md.config.orderbook_levls", "(did you mean orderbook_levels?)", "skip_empty_levels"][..],
            ),
            ("md.config.orderbook_levels.deep=5", &["md.config.orderbook_levels is a single value"]),
            ("md.file.model.instrument.piar=x", &["no md.file.model.instrument.piar", "md.file.model.instrument has market, pair"]),
            ("md.input.rn=x", &["md.input has run, simulation"]),
            ("md.unkeyed.verbos=1", &["md.unkeyed has verbose"]),
            ("md.outputs.book=x", &["md.outputs has orderbook, trades"]),
            ("md.env.X=1", &["md.env has none"]),
            ("md.config={a = 1}", &["a whole table cannot be set", "md.config.NAME=VALUE"]),
            ("md.tmeout=1h", &["unknown key \"tmeout\" in [dataset.md]", "(did you mean timeout?)"]),
            ("md.timeout=soon", &["[dataset.md] timeout: \"soon\" is not a length of time"]),
            ("md.timeout.x=1", &["timeout is no table"]),
            ("md.retries=x", &["expected a whole number"]),
            ("md.resources.cpu=1", &["unknown key \"cpu\"", "(did you mean cpus?)"]),
            ("md.config.orderbook_levels=nan", &["nan is no finite number"]),
            ("md.config.orderbook_levels=99999999999999999999", &["does not fit 64 bits"]),
            ("md.file.model.trades_file={output.trade}", &["file model at trades_file: unknown placeholder {output.trade}"]),
            ("md.command=[\"gen\", \"{x}\"]", &["argument 1", "unknown placeholder {x}"]),
            ("md.outputs.trades=../x", &["outputs trades", "plain file name"]),
            ("mb.timeout=1h", &["there is no dataset \"mb\" (did you mean md?)", "the file defines md"]),
            ("md=1", &["write DATASET.PATH=VALUE"]),
            ("md.timeout", &["it holds no '='", "write DATASET.PATH=VALUE"]),
            ("md..timeout=1", &["an empty part"]),
            ("=", &["names no value of a dataset"]),
        ] {
            let message = refusal(EXAMPLE, &[setting]);
            assert!(message.starts_with(&format!("setting {setting}: ")), "{message}");
            for part in parts {
                assert!(message.contains(part), "{setting}: {part:?} is not in: {message}");
            }
            let Err(Error::Config { origin, .. }) = parse(EXAMPLE, &[setting]) else { panic!("{setting} was accepted") };
            assert_eq!((origin.setting.as_deref(), origin.line), (Some(setting), None));
        }
        assert!(refusal("store = \"x\"", &["md.timeout=1h"]).contains("the file defines no dataset"));
    }

    #[test]
    fn a_setting_that_would_garble_a_terminal_is_shown_escaped() {
        assert!(refusal(EXAMPLE, &["md.x\n\u{1b}[31m=1"]).starts_with("setting md.x\\n\\u{1b}[31m=1: unknown key"));
        assert!(refusal(EXAMPLE, &[&format!("md.{}=1", "x".repeat(100_000))]).contains("(100005 bytes)"));
    }

    #[test]
    fn a_fault_of_the_file_is_not_blamed_on_a_setting() {
        let message = refusal(&with("[dataset.md.config]\na = 1\n[dataset.md.env]\nX = \"{y}\""), &["md.config.a=2"]);
        assert!(message.starts_with("/base/tickbarn.toml:7: "), "{message}");
    }
}
