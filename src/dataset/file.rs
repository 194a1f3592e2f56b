//! The dataset file, `tickbarn.toml`: a store, limits of a run, and datasets.
//!
//! Every dataset in it goes through [`DatasetBuilder`], so that a file and a program that say the same thing mean the same thing. Nothing here looks
//! at any file but the one that is read. What is wrong in it is named with its line, or with the setting that was laid over it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dataset::check::Invalid;
use crate::dataset::definition::{Dataset, DatasetBuilder, Fingerprint, Input, Resources};
use crate::dataset::node::{self, Fault, Field, Kind, Node, Origin, Table};
use crate::dataset::settings;
use crate::error::{ConfigOrigin, Error, Result, shortened};
use crate::interval::{Align, Split, parse_length_ns};

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
    run: RunSettings,
    datasets: Vec<Dataset>,
}

/// How much may run at once, as a dataset file's `[run]` says. What it does not say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RunSettings {
    /// Generators at once, at least one.
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

    /// The limits of a run.
    pub fn run(&self) -> RunSettings {
        self.run
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
            known: self.datasets.iter().map(|dataset| dataset.name().to_owned()).collect(),
            path: Some(self.path.clone()),
        })
    }
}

fn read_file(text: &str, path: &Path, base_dir: &Path, settings: &[String]) -> Result<DatasetFile, Fault> {
    const KNOWN: [&str; 3] = ["store", "run", "dataset"];
    let mut root = node::parse(text)?;
    for setting in settings {
        settings::lay_over(&mut root, setting)?;
    }
    let mut file = DatasetFile { path: path.to_path_buf(), store: None, run: RunSettings::default(), datasets: Vec::new() };
    for field in &root.0 {
        match field.name.as_str() {
            "store" => file.store = Some(base_dir.join(read_path(&field.node, "store")?)),
            "run" => file.run = read_run(field.node.table("run")?)?,
            "dataset" => {
                for dataset in &field.node.table("dataset")?.0 {
                    file.datasets.push(read_dataset(dataset, base_dir)?);
                }
            }
            _ => return Err(field.unknown("at the top", &KNOWN)),
        }
    }
    Ok(file)
}

fn read_run(table: &Table) -> Result<RunSettings, Fault> {
    let mut run = RunSettings::default();
    for Field { name, node, .. } in &table.0 {
        match name.as_str() {
            "workers" => run.workers = Some(integer(node, "workers", 1, WORKERS_MAX)? as usize),
            "cpus" => match cpus(node, "cpus")? {
                cpus if cpus > 0.0 => run.cpus = Some(cpus),
                _ => return Err(node.unexpected("cpus", "a number above 0, since nothing could run without")),
            },
            "memory" => match size(node, "memory")? {
                0 => return Err(node.unexpected("memory", "a size above 0, since nothing could run without")),
                bytes => run.memory_bytes = Some(bytes),
            },
            _ => return Err(unknown_in(table, name, "in [run]", &["workers", "cpus", "memory"])),
        }
    }
    Ok(run)
}

/// The keys of a dataset, in the order in which they are usually written.
const DATASET_KEYS: [&str; 15] = [
    "command",
    "outputs",
    "split",
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

fn read_dataset(field: &Field, base_dir: &Path) -> Result<Dataset, Fault> {
    let name = &field.name;
    let at = format!("[dataset.{}]", shortened(name).escape_debug());
    let table = field.node.table(&at)?;
    let what = |key: &str| format!("{at} {key}");
    let Some(command) = table.get("command") else {
        return Err(field.fault(format!("{at} has no command; write one: command = [\"build/exporter\", \"--start\", \"{{start}}\"]")));
    };
    let mut builder = Dataset::command(name, texts(&command.node, &what("command"))?).base_dir(base_dir);
    for Field { name: key, node, .. } in &table.0 {
        let what = what(key);
        builder = match key.as_str() {
            "command" => builder,
            "version" => builder.version(node.text(&what, "a text")?),
            "split" => builder.split(split(node, &what)?),
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
            "resources" => builder.resources(resources(node, &what)?),
            _ => return Err(unknown_in(table, key, &format!("in {at}"), &DATASET_KEYS)),
        };
    }
    builder.check(base_dir.to_path_buf()).map_err(|Invalid { site, message }| Fault {
        origin: field.node.origin_at(&site.0).clone(),
        message: format!("dataset {}: {}", shortened(name).escape_debug(), site.before(message)),
    })
}

fn unknown_in(table: &Table, name: &str, place: &str, known: &[&str]) -> Fault {
    let field = table.get(name).expect("the name was read from this table");
    field.unknown(place, known)
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
    for Field { name, node, .. } in &table.0 {
        let wanted = "\"grid\", \"start\" or \"cover\"";
        split = match name.as_str() {
            "every" => split,
            "align" => split.aligned(match node.text(&format!("{what} align"), wanted)? {
                "grid" => Align::Grid,
                "start" => Align::Start,
                "cover" => Align::Cover,
                _ => return Err(node.unexpected(&format!("{what} align"), wanted)),
            }),
            _ => return Err(unknown_in(table, name, &format!("in {what}"), &["every", "align"])),
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
    for Field { name, node, .. } in &table.0 {
        let wanted = "\"content\", \"stat\" or \"none\"";
        input = match name.as_str() {
            "path" => input,
            "fingerprint" => input.fingerprint(match node.text(&format!("{what} fingerprint"), wanted)? {
                "content" => Fingerprint::Content,
                "stat" => Fingerprint::Stat,
                "none" => Fingerprint::None,
                _ => return Err(node.unexpected(&format!("{what} fingerprint"), wanted)),
            }),
            _ => return Err(unknown_in(table, name, &format!("in {what}"), &["path", "fingerprint"])),
        };
    }
    Ok(input)
}

fn resources(node: &Node, what: &str) -> Result<Resources, Fault> {
    let table = node.table(what)?;
    let mut resources = Resources::default();
    for Field { name, node, .. } in &table.0 {
        match name.as_str() {
            "cpus" => resources.cpus = cpus(node, &format!("{what} cpus"))?,
            "memory" => resources.memory_bytes = size(node, &format!("{what} memory"))?,
            _ => return Err(unknown_in(table, name, &format!("in {what}"), &["cpus", "memory"])),
        }
    }
    Ok(resources)
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
        Kind::String(text) => parse_size(text).ok_or_else(|| node.unexpected(what, wanted)),
        _ => Err(node.unexpected(what, wanted)),
    }
}

/// Bytes from a number and a unit of powers of 1000 (`kB`) or 1024 (`KiB`).
fn parse_size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 11] = [
        ("", 1),
        ("B", 1),
        ("kB", 1000),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len()));
    let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit.trim_start())?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}
