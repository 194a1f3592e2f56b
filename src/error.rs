//! The one error type of the library.
//!
//! Every variant names the thing that went wrong in fields (the path, the dataset, the instrument and interval) and its message ends with what
//! the user can do about it, so that a caller who prints only `{error}` still shows the way out. Causes stay reachable through
//! [`std::error::Error::source`]. One flat enum rather than one type a module: callers match on the few variants that they can act upon
//! ([`Error::Missing`], [`Error::Generation`]) and print the rest.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::address::Address;
use crate::cluster::ClusterFault;
use crate::failure::Failure;
use crate::instrument::Instrument;
use crate::interval::Interval;

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, each with the thing it concerns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is not an instrument.
    #[error("{text:?} is not an instrument: {reason}; write MARKET/PAIR, for example binance/BTC-USDT")]
    InvalidInstrument {
        /// What was given, shortened.
        text: String,
        /// Which rule it breaks.
        reason: &'static str,
    },

    /// A text that is not a time, or a time outside what 64-bit nanoseconds since the epoch can hold.
    #[error(
        "{text:?} is not a time: {reason}; write ISO 8601 such as 2023-12-25, 2023-12-25T23:00:00Z or 2023-12-25T23:00:00.5+02:00 (UTC where no zone is given)"
    )]
    InvalidTime {
        /// What was given, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// An interval whose start is not before its end.
    #[error(
        "the interval from {start} to {end} holds nothing: its start must be before its end (intervals are half-open, [start, end)); exchange or widen them"
    )]
    EmptyInterval {
        /// The start that was given.
        start: crate::interval::Time,
        /// The end that was given.
        end: crate::interval::Time,
    },

    /// A split that cannot cut an interval.
    #[error("{text:?} is not a split: {reason}; write a length such as \"12h\", \"5m\" or \"1d\"")]
    InvalidSplit {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A text that does not say when a dataset has no data.
    #[error(
        "{text:?} says no closed time: {reason}; write weekends, sat,sun, 22:00-23:00 (every day), fri 22:00 - sun 23:00 (every week), 2024-12-25 or START/END, all in UTC"
    )]
    InvalidClosed {
        /// What was given, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A request that would make more partitions than one load may hold.
    #[error(
        "{interval} cut every {every} makes {count} partitions, more than the {limit} that one load may hold; ask for a shorter interval or choose a longer split"
    )]
    TooManyPartitions {
        /// The interval that was to be cut.
        interval: Interval,
        /// The length of a partition.
        every: String,
        /// How many partitions it would make.
        count: u64,
        /// The limit.
        limit: u64,
    },

    /// A partition that ends after the present: its data is not complete, so what it would cache could never be right.
    #[error(
        "{dataset} {instrument} {interval} ends in the future (it is {now}): its data is not complete, so what would be cached could never be right; ask for what is over by now (a shorter split reaches further), or allow the future explicitly"
    )]
    Future {
        /// The dataset.
        dataset: String,
        /// The instrument.
        instrument: Instrument,
        /// The first partition that ends too late.
        interval: Interval,
        /// The time it was compared with.
        now: crate::interval::Time,
    },

    /// A value that has no canonical form: NaN, an infinity, an integer beyond 64 bits.
    #[error("{value} cannot stand in a key: {reason}")]
    NotCanonical {
        /// The value as text.
        value: String,
        /// Why it has no canonical form.
        reason: &'static str,
    },

    /// A dataset file, or a setting laid over it, that cannot be used.
    #[error("{origin}: {message}")]
    Config {
        /// The file, with the line where one is known, or the setting.
        origin: ConfigOrigin,
        /// What is wrong and what to do.
        message: String,
    },

    /// No such dataset is defined.
    #[error("there is no dataset {name:?}{}{}; {}", in_file(.path), meant(.closest), known_names("it defines", .known))]
    UnknownDataset {
        /// The name that was asked for.
        name: String,
        /// The name that was probably meant.
        closest: Option<String>,
        /// The names that are defined, in order.
        known: Vec<String>,
        /// The dataset file, where there is one.
        path: Option<PathBuf>,
    },

    /// A dataset definition that contradicts itself or names something that is not there.
    #[error("dataset {dataset}: {message}")]
    InvalidDataset {
        /// The dataset.
        dataset: String,
        /// What is wrong and what to do.
        message: String,
    },

    /// A file of intervals that cannot be used.
    #[error("{}: {message}", .path.display())]
    InvalidIntervals {
        /// The file.
        path: PathBuf,
        /// Which record is wrong, and how.
        message: String,
    },

    /// A file operation failed.
    #[error("cannot {action} {}: {source}{}", .path.display(), way_out_of(.source))]
    Io {
        /// The operation as a verb: "open", "sync", "rename".
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// The place given for a store is not one.
    #[error("{} is not a tickbarn store: {reason}", .path.display())]
    NotAStore {
        /// The place.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },

    /// The place given for a view of a store is none, and may not become one.
    #[error("{} cannot be a view of the store: {reason}", .path.display())]
    NotAView {
        /// The place.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },

    /// The store was written by a newer tickbarn.
    #[error("the store {} has format {found}, newer than the {supported} that this tickbarn {} reads; install a newer tickbarn or choose another store (nothing was changed)", .path.display(), env!("CARGO_PKG_VERSION"))]
    NewerFormat {
        /// The store.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format this library reads.
        supported: u64,
    },

    /// A file that fails its check. A load counts an entry that has one as missing.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        reason: String,
    },

    /// A lock of the store that others hold for longer than anything takes.
    #[error("{} has been held for {seconds} s by another process{}; is it stopped? let it go on, or end it", .path.display(), told_holders(.holders))]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// The processes of this machine that hold it, as far as the system tells.
        holders: Vec<u32>,
    },

    /// Another collector is at work in the store. It does the same.
    #[error("another collector is at work in {}{}; wait until it is done, or end it", .store.display(), told_holders(.holders))]
    Collecting {
        /// The store.
        store: PathBuf,
        /// The processes of this machine that do it, as far as the system tells.
        holders: Vec<u32>,
    },

    /// A dataset of which a store knows nothing.
    #[error("the store {} holds nothing of a dataset {name:?}{}; {}", .store.display(), meant(.closest), known_names("it holds", &some_names(.known)))]
    NothingHeld {
        /// The store.
        store: PathBuf,
        /// The name that was asked for, shortened.
        name: String,
        /// The name that was probably meant.
        closest: Option<String>,
        /// The names of the datasets that it holds entries or failures of, in order.
        known: Vec<String>,
    },

    /// A look at a dataset that does not say at what, and a store that does not say it either.
    #[error("there is nothing to look at of dataset {dataset}: {reason}")]
    NothingCovered {
        /// The dataset.
        dataset: String,
        /// What is lacking, and what to name.
        reason: String,
    },

    /// A retention that says of nothing that it may go.
    #[error(
        "nothing says what may be collected: give a rule (a size, an age, superseded, failures, leftovers), or a scope (a dataset, an instrument) of which everything goes"
    )]
    NothingToCollect,

    /// A text that is no address nor the prefix of one.
    #[error(
        "{text:?} is not an address: an address is 64 hexadecimal digits, and a prefix of it at least {} of them; `tickbarn ls` lists them",
        crate::address::PREFIX_DIGITS_MIN
    )]
    InvalidAddress {
        /// What was given.
        text: String,
    },

    /// No entry has this address.
    #[error("no entry in {} begins with {prefix}; `tickbarn ls` lists the entries", .store.display())]
    UnknownAddress {
        /// The address or prefix.
        prefix: String,
        /// The store.
        store: PathBuf,
    },

    /// Several entries begin with this prefix.
    #[error("{prefix} begins {} entries: {}; give more digits", .matches.len(), some_addresses(.matches))]
    AmbiguousAddress {
        /// The prefix.
        prefix: String,
        /// The entries it could mean.
        matches: Vec<Address>,
    },

    /// A pin that cannot be: by its name, or by what it should cover.
    #[error("cannot pin under the name {name:?}: {reason}")]
    InvalidPin {
        /// Its name, shortened.
        name: String,
        /// Which rule it breaks, and what to do.
        reason: String,
    },

    /// There is a pin of this name already.
    #[error("there is a pin {name:?} already, and it stays as it is; choose another name, or remove it first: `tickbarn pin rm {}`", shell_word(.name))]
    PinExists {
        /// The name.
        name: String,
    },

    /// No pin has this name.
    #[error("there is no pin {name:?}{}; {}", meant(.closest), known_names("the store has", &some_names(.known)))]
    UnknownPin {
        /// The name that was given, shortened.
        name: String,
        /// The name that was probably meant.
        closest: Option<String>,
        /// The names of those that there are and that can be read, in order.
        known: Vec<String>,
    },

    /// Partitions are missing and the policy forbids generating them.
    #[error(
        "{missing} of {requested} partitions are not in the store, the first {dataset} {instrument} {interval} ({reason}); generate what is missing (and missing upstream), or skip it to go on without"
    )]
    Missing {
        /// How many are missing.
        missing: usize,
        /// How many were asked for.
        requested: usize,
        /// The dataset of the first missing one.
        dataset: String,
        /// The instrument of the first missing one.
        instrument: Instrument,
        /// The interval of the first missing one.
        interval: Interval,
        /// Why the first one counts as missing.
        reason: String,
    },

    /// A generator failed and the policy is to stop at a failure. What finished before is kept.
    #[error("{dataset} {instrument} {interval} failed: {failure}; what finished before it is kept{}", logs_of(.address, *.recorded))]
    Generation {
        /// The dataset.
        dataset: String,
        /// The instrument.
        instrument: Instrument,
        /// The partition.
        interval: Interval,
        /// Its address.
        address: Address,
        /// What happened.
        failure: Box<Failure>,
        /// Whether the store keeps a record of it, with its log.
        recorded: bool,
    },

    /// A load was cancelled. What finished before is kept.
    #[error("the load was cancelled with {done} of {requested} partitions done; what finished is kept, load again to go on")]
    Cancelled {
        /// How many partitions were done by then.
        done: usize,
        /// How many were asked for.
        requested: usize,
    },

    /// A cluster that commands were to run on cannot be used, or was lost. What finished before is kept.
    #[error("the Ray cluster {address}: {message}")]
    Cluster {
        /// Its address, as it was given.
        address: String,
        /// What is at fault.
        fault: ClusterFault,
        /// What happened and what to do.
        message: String,
    },

    /// A name that a function asks its job for, and that its dataset does not declare.
    #[error("dataset {dataset} declares no {kind} {name:?}; {}", known_names("it declares", .known))]
    NotDeclared {
        /// The dataset.
        dataset: String,
        /// "output", "input" or "upstream".
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that there are, in order.
        known: Vec<String>,
    },

    /// A command that has the file of an upstream inside a longer text, for a partition in which that upstream has no data.
    #[error(
        "dataset {dataset}: there is no file for {placeholder}, since its upstream has no data here; let the placeholder be an argument of its own, which is then left out"
    )]
    NoUpstreamData {
        /// The derived dataset.
        dataset: String,
        /// The placeholder.
        placeholder: String,
    },

    /// A load asks for more of a resource than there is in all, so that it could never start.
    #[error(
        "dataset {dataset}: one run takes {wanted} {resource}, but [run] allows {available} in all; lower [dataset.{dataset}.resources] or raise [run] {resource}"
    )]
    Resources {
        /// The dataset.
        dataset: String,
        /// "cpus" or "memory".
        resource: &'static str,
        /// What one run takes.
        wanted: String,
        /// What there is.
        available: String,
    },

    /// A dataset that a load holds no partition of.
    #[error("this load holds nothing of dataset {dataset:?}; {}", known_names("it holds", .held))]
    NotLoaded {
        /// The dataset that was asked for.
        dataset: String,
        /// The datasets of the load, in order of their names.
        held: Vec<String>,
    },

    /// An output that no partition of a load has.
    #[error("no partition that was read has an output {output:?}; {}", known_names("there are", .known))]
    UnknownOutput {
        /// The output that was asked for.
        output: String,
        /// The outputs there are, in order of their names.
        known: Vec<String>,
    },

    /// An output that several datasets of a load have.
    #[error("several datasets of this load have an output {output:?}: {}; name one of them (`frame_of(dataset, {output:?})`)", .datasets.join(", "))]
    AmbiguousOutput {
        /// The output that was asked for.
        output: String,
        /// The datasets that have it, in order of their names.
        datasets: Vec<String>,
    },

    /// Two definitions of a dataset in one load, whose rows no frame can tell apart.
    #[error(
        "this load holds partitions of two definitions of dataset {dataset}, and output {output:?} of both would run together; load them apart and take a frame of each"
    )]
    MixedDefinitions {
        /// The dataset.
        dataset: String,
        /// The output that was asked for.
        output: String,
    },

    /// No partition of a load has any output, so that not even the columns are known.
    #[error(
        "there is no {output:?} to make a frame of: of {requested} partitions {missing} are missing, {failed} failed and {empty} have no data and no tables; load more, or generate what is missing"
    )]
    NothingRead {
        /// The output that was asked for.
        output: String,
        /// How many partitions were asked for.
        requested: usize,
        /// How many are not in the store.
        missing: usize,
        /// How many failed.
        failed: usize,
        /// How many have no data by the exit code of their generator, which then leaves no table.
        empty: usize,
    },

    /// An upstream of which a job has no table, since its generator said that there is no data.
    #[error(
        "the upstream {dataset} has no data here, so there is no {output:?} to make a frame of; ask `Upstream::is_empty` first, and give back `None` where the job then has no data either"
    )]
    EmptyUpstream {
        /// The upstream dataset.
        dataset: String,
        /// The output that was asked for.
        output: String,
    },

    /// Two partitions whose tables have other columns.
    #[error(
        "the columns of {output:?} differ between {first} and {second}: {differences}; give the dataset a new version or configuration where its tables change, or load the two apart"
    )]
    SchemasDiffer {
        /// The output.
        output: String,
        /// The first partition.
        first: String,
        /// The partition that differs from it.
        second: String,
        /// Which columns differ, and how.
        differences: String,
    },

    /// A table that has a column of a name that was to be added.
    #[error(
        "{output:?} has a column {column:?} of its own, so the instrument cannot be added under that name; rename or drop it, or take a frame for each instrument (`frames_by_instrument`)"
    )]
    InstrumentColumns {
        /// The output.
        output: String,
        /// The column.
        column: &'static str,
    },

    /// A table that cannot be trimmed to the requested interval by its time column.
    #[error(
        "{output:?} cannot be trimmed to the requested interval by its column {column:?}: {reason}; choose another column with `FrameOptions::time_column`, or take whole partitions with `FrameOptions::untrimmed`"
    )]
    TimeColumn {
        /// The output.
        output: String,
        /// The column that should hold times.
        column: String,
        /// Why it does not serve.
        reason: String,
    },

    /// Polars could not make a frame.
    #[error("cannot make a frame of {output:?}: {source}")]
    Frame {
        /// The output.
        output: String,
        /// What Polars says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// Work that the library runs in the background stopped without an answer: a bug in tickbarn.
    #[error("{what} stopped without an answer; this is a bug in tickbarn, please report it with the output of RUST_BACKTRACE=1")]
    Internal {
        /// What stopped.
        what: String,
    },
}

impl Error {
    /// Wraps a failed file operation with what was done to which path.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { action, path, source }
    }

    /// Whether the request itself is at fault (a usage or configuration error), rather than the world it met.
    pub fn is_usage(&self) -> bool {
        !matches!(
            self,
            Error::Missing { .. }
                | Error::Generation { .. }
                | Error::Io { .. }
                | Error::Damaged { .. }
                | Error::Busy { .. }
                | Error::Collecting { .. }
                | Error::Cancelled { .. }
                | Error::Cluster { .. }
                | Error::NoUpstreamData { .. }
                | Error::EmptyUpstream { .. }
                | Error::NothingRead { .. }
                | Error::SchemasDiffer { .. }
                | Error::Frame { .. }
                | Error::Internal { .. }
        )
    }
}

/// Where a setting stands: a line of a file, a file, or an override given beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOrigin {
    /// The dataset file, where there is one.
    pub path: Option<PathBuf>,
    /// The line, counted from one.
    pub line: Option<usize>,
    /// The override as it was given (`md.config.levels=5`), when it is at fault.
    pub setting: Option<String>,
}

impl fmt::Display for ConfigOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(setting) = &self.setting {
            let shown = shortened(setting);
            let garbles = shown.chars().any(char::is_control);
            return if garbles { write!(f, "setting {}", shown.escape_debug()) } else { write!(f, "setting {shown}") };
        }
        match &self.path {
            Some(path) => write!(f, "{}", path.display())?,
            None => f.write_str("the configuration")?,
        }
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// Shortens what a user typed to a length fit for a message.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
    }
}

/// "it defines a, b and c", or that there is nothing.
pub(crate) fn known_names(lead: &str, known: &[String]) -> String {
    match known {
        [] => format!("{lead} none"),
        names => format!("{lead} {}", names.join(", ")),
    }
}

fn meant(closest: &Option<String>) -> String {
    closest.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}

/// Names that users chose, as many as a message bears.
fn some_names(names: &[String]) -> Vec<String> {
    const SHOWN: usize = 10;
    let mut some: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        some.push(format!("… and {} more", names.len() - SHOWN));
    }
    some
}

/// A name as a word that a shell takes for nothing else, to be copied from a message.
fn shell_word(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    let quoted = if !name.is_empty() && name.bytes().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) };
    // Like an option it would be taken for one.
    if name.starts_with('-') { format!("-- {quoted}") } else { quoted }
}

fn in_file(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" in {}", path.display())).unwrap_or_default()
}

fn told_holders(holders: &[u32]) -> String {
    match holders {
        [] => String::new(),
        holders => format!(" ({})", holders.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn logs_of(address: &Address, recorded: bool) -> String {
    if recorded { format!(", `tickbarn logs {}` shows its log", address.short()) } else { String::new() }
}

fn some_addresses(addresses: &[Address]) -> String {
    const SHOWN: usize = 4;
    let mut text = addresses.iter().take(SHOWN).map(|address| address.to_string()[..16].to_owned()).collect::<Vec<_>>().join(", ");
    if addresses.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

fn way_out_of(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "; check who owns it and its mode",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space, nothing half-written was kept",
        io::ErrorKind::ReadOnlyFilesystem => "; what is cached can still be read, generating needs a writable store",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "; something else stands in its place, move it or choose another",
        _ => match rustix::io::Errno::from_io_error(source) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => "; allow more open files (ulimit -n) or fewer workers",
            Some(rustix::io::Errno::LOOP) => "; a symbolic link stands in its place, and none is followed here: remove it",
            Some(rustix::io::Errno::IO) => "; the disk or the network file system is at fault, see `dmesg`",
            _ => "",
        },
    }
}
