//! What the examples share: the sample exporter and its two datasets, their flags, and what is said while a load runs.
//!
//! All of them define `md` and `features` here and nowhere else. An address is made of the whole definition, so that one which differed in a single
//! argument would find nothing of what another example made.

#![allow(dead_code, reason = "every example uses its part")]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;
use tickbarn::{
    BoxError, Dataset, DatasetBuilder, Error, Instrument, Interval, Load, Loaded, Mode, Outcome, Partition, Place, Progress, Resources, Split, Value,
};

pub(crate) type Result<T, E = BoxError> = std::result::Result<T, E>;

/// Below the current directory: where the configuration lies, and the store unless another one is named.
const DIRECTORY: &str = "tickbarn-examples";

/// Which feed the exporter replays. Its content is in the key, where it lies is not.
const RUN_CONFIG: (&str, &str) = ("configs/run_config.json", "{\n  \"feed\": {\"kind\": \"simulated\"}\n}\n");

/// How the simulated market behaves. In the key, too: another seed is another history.
const SIMULATION_CONFIG: (&str, &str) = (
    "configs/simulation_config.json",
    r#"{
  "seed": 1,
  "events_per_second": 0.25,
  "trade_share": 0.15,
  "volatility": 0.02,
  "orders_per_side": 200
}
"#,
);

/// What is exported where no intervals file is named.
const INTERVALS: (&str, &str) = (
    "intervals.json",
    r#"[
  {"instrument": {"market": "binance", "pair": "BTC-USDT"}, "start": "2024-01-01", "end": "2024-01-03"},
  {"instrument": {"market": "binance", "pair": "ETH-USDT"}, "start": "2024-01-02", "end": "2024-01-04"},
  {"instrument": {"market": "glbx", "pair": "ESH4"}, "start": "2024-01-02T12:00:00Z", "end": "2024-01-03T12:00:00Z"}
]
"#,
);

/// The flags of every example.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "tickbarn-examples/barn")]
    pub(crate) store: PathBuf,
    /// How many partitions are made at once, as far as there are processors
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) jobs: NonZeroUsize,
}

/// The flags of the examples that work through a list of intervals.
#[derive(Debug, Args)]
pub(crate) struct IntervalsArgs {
    /// The instruments and intervals (JSON); without it a few days of three instruments
    #[arg(long, value_name = "FILE")]
    intervals: Option<PathBuf>,
    /// What to do about what is missing and what fails: Default, Read, ReadIgnoreErrors, Write or WriteIgnoreErrors
    #[arg(long, default_value = "Default")]
    pub(crate) mode: Mode,
    /// 0: failures; 1: also how much there is to do; 2: also what is made or missing; 3: also what is found and begun
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) verbose: u8,
}

impl IntervalsArgs {
    pub(crate) fn read(&self) -> Result<Vec<(Instrument, Interval)>> {
        let path = match &self.intervals {
            Some(path) => path.clone(),
            None => written(INTERVALS)?,
        };
        Ok(tickbarn::read_intervals(path)?)
    }
}

/// Whether the exporter is built before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Always,
    WhereMissing,
    Never,
}

/// The sample exporter, which Cargo leaves beside the directory of the examples: `target/PROFILE/tickbarn-exporter`.
pub(crate) fn program(build: Build) -> Result<PathBuf> {
    let example = env::current_exe()?;
    let profile =
        example.ancestors().nth(2).ok_or("this example does not lie in a target directory of Cargo's, so there is no exporter beside it")?;
    let program = profile.join("tickbarn-exporter");
    if build == Build::Always || (build == Build::WhereMissing && !program.is_file()) {
        build_exporter(profile)?;
    }
    if !program.is_file() {
        let hint = if build == Build::Never { "leave out --no-build" } else { "run this example by `cargo run -p tickbarn --example`" };
        return Err(format!("there is no exporter at {}; {hint}", program.display()).into());
    }
    Ok(program)
}

/// Builds the exporter into the target directory and under the profile that this example was built with.
fn build_exporter(directory: &Path) -> Result<()> {
    let (Some(target), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err("this example does not lie in a target directory of Cargo's, so the exporter cannot be built beside it".into());
    };
    // Of all profiles, only this one's directory has another name.
    let profile = if name == "debug" { "dev".as_ref() } else { name };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--package", "tickbarn-exporter", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.arg("--profile").arg(profile).arg("--target-dir").arg(target);
    // What `cargo run` tells an example of its package: build scripts that look at it would run again, and what depends on them be compiled anew.
    let told = |name: &OsStr| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|kind| name.as_encoded_bytes().starts_with(kind.as_bytes()));
    for (name, _) in env::vars_os().filter(|(name, _)| told(name)) {
        cargo.env_remove(name);
    }
    let status = cargo.status().map_err(|error| format!("the exporter cannot be built, since Cargo does not start: {error}"))?;
    if !status.success() {
        return Err(format!("the exporter cannot be built: Cargo ended with {status}; --no-build exports with the last one that was").into());
    }
    Ok(())
}

/// What the sample exporter makes.
#[derive(Debug)]
pub(crate) struct Datasets {
    /// The outputs `orderbook` and `trades`.
    pub(crate) md: Dataset,
    /// The output `features`.
    pub(crate) features: Dataset,
}

/// The datasets of an exporter, with their configuration files written where they are missing.
pub(crate) fn datasets(program: &Path) -> Result<Datasets> {
    written(RUN_CONFIG)?;
    written(SIMULATION_CONFIG)?;
    let instrument = || Value::object([("market", "{instrument.market}".into()), ("pair", "{instrument.pair}".into())]);

    let md = exported("md", "marketdata", program)?
        .output("orderbook", "orderbook.parquet")
        .output("trades", "trades.parquet")
        .config("orderbook_levels", 40)
        .config("skip_empty_levels", true)
        .file(
            "model",
            Value::object([
                ("orderbook_file", "{output.orderbook}".into()),
                ("trades_file", "{output.trades}".into()),
                ("orderbook_levels", "{config.orderbook_levels}".into()),
                ("skip_empty_levels", "{config.skip_empty_levels}".into()),
                ("instrument", instrument()),
            ]),
        )
        .build()?;

    let windows = ["traded_ob_window_size", "sided_ob_window_size"].map(|window| (window, format!("{{config.{window}}}").into()));
    let features = exported("features", "features", program)?
        .output("features", "features.parquet")
        .config("traded_ob_window_size", 500_000_000)
        .config("sided_ob_window_size", 1_000_000_000)
        .file(
            "model",
            Value::object([("features_file", "{output.features}".into()), ("features", Value::object(windows)), ("instrument", instrument())]),
        )
        .build()?;
    Ok(Datasets { md, features })
}

/// What both datasets have in common.
fn exported(name: &str, export: &str, program: &Path) -> Result<DatasetBuilder> {
    let program = program.to_str().ok_or_else(|| format!("the exporter's path is not UTF-8: {}", program.display()))?;
    let mut command = vec![program, export, "--model", "{file.model}", "--run", "{input.run}", "--simulation", "{input.simulation}"];
    command.extend(["--start", "{start}", "--end", "{end}", "--orders", "/dev/null", "--verbose", "{unkeyed.verbose}"]);
    Ok(Dataset::command(name, command)
        .base_dir(DIRECTORY)
        .input("run", RUN_CONFIG.0)
        .input("simulation", SIMULATION_CONFIG.0)
        .unkeyed("verbose", 1)
        .split(Split::every("12h")?)
        .timeout(Duration::from_secs(30 * 60))
        .empty_exit_codes([3])
        // A copy of the exporter runs: it may be built anew meanwhile.
        .snapshot_program(true)
        .resources(Resources { cpus: 1.0, ..Resources::default() }))
}

/// The path of a file below [`DIRECTORY`], which is written where there is none yet: whoever changes it keeps it.
fn written((name, text): (&str, &str)) -> Result<PathBuf> {
    let path = Path::new(DIRECTORY).join(name);
    let write = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        match fs::File::create_new(&path) {
            Ok(mut file) => file.write_all(text.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    };
    write().map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// Runs a load to its end, and says on standard error as much of it as `verbose` asks for.
pub(crate) fn carry_out(load: Load, verbose: u8) -> Result<Loaded> {
    let (mut done, mut total) = (0, 0);
    let load = load.progress(move |progress| match progress {
        Progress::Planned { requested, answered, .. } => {
            total = *requested;
            if verbose >= 1 {
                say(&format!("{requested} partitions, {} to make", requested - answered));
            }
        }
        Progress::Started { place: Place { dataset, instrument, interval, .. }, .. } if verbose >= 3 => {
            say(&format!("begun {dataset} {instrument} {interval}"));
        }
        Progress::Retrying { place: Place { dataset, instrument, interval, .. }, failure, .. } if verbose >= 1 => {
            say(&format!("trying again {dataset} {instrument} {interval}: {failure}"));
        }
        Progress::Partition(partition) => {
            done += 1;
            if let Some(what) = told_of(partition, verbose) {
                let Partition { dataset, instrument, interval, outcome, .. } = partition;
                say(&format!("[{done}/{total}] {} {dataset} {instrument} {interval}{what}", outcome.as_str()));
            }
        }
        _ => {}
    });
    let loaded = load.blocking()?;
    let sums = loaded.summary();
    if verbose >= 1 && sums.requested > 0 {
        let counts = [(sums.hit, "found"), (sums.generated, "made"), (sums.empty, "empty"), (sums.missing, "missing"), (sums.failed, "failed")];
        let counts: Vec<String> = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        say(&format!("{} in {:.2} s", counts.join(", "), sums.seconds));
    }
    Ok(loaded)
}

/// What is said of a partition behind its place, if it is mentioned at all.
fn told_of(partition: &Partition, verbose: u8) -> Option<String> {
    match &partition.outcome {
        Outcome::Hit(_) | Outcome::Empty { known: true, .. } => (verbose >= 3).then(String::new),
        Outcome::Generated { entry, changed } if verbose >= 2 => {
            let rows: u64 = entry.outputs.iter().map(|output| output.rows).sum();
            let changed = if changed.is_empty() { String::new() } else { format!(", other {} than before", changed.join(" and ")) };
            Some(format!(": {rows} rows in {:.2} s{changed}", entry.seconds))
        }
        Outcome::Empty { .. } if verbose >= 2 => Some(String::new()),
        Outcome::Missing { reason } if verbose >= 2 => Some(reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()),
        Outcome::Failed { failure, .. } => Some(format!(": {failure}")),
        _ => None,
    }
}

/// A line on standard error. When nobody reads it, that is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The exit status of an example: 0 done under the policies, 1 it failed or a policy stopped it, 2 the flags or files it was given are at fault.
pub(crate) fn exit_code(result: Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Whoever reads standard output has seen enough.
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    say(&format!("error: {error}"));
    ExitCode::from(if error.downcast_ref::<Error>().is_some_and(Error::is_usage) { 2 } else { 1 })
}
