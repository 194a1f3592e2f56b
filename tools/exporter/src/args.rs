//! The command line and what frames an export: reading the configuration, the engine's order log, the summary on
//! standard error and the exit status. The only file that prints.

use std::{
    fmt,
    fs::File,
    io::Write,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    config::{self, Instrument, RunConfig, Simulation},
    error::{Error, Result},
    features, marketdata,
};

/// The command line of the exporter, as a group that another command can carry.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to export.
    #[command(subcommand)]
    pub command: Command,
}

/// The exports there are.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Write the order book's best levels and the trades
    Marketdata(ExportArgs),
    /// Write volume imbalances, a row for each trade
    Features(ExportArgs),
}

/// The flags that every export takes.
#[derive(Debug, Clone, clap::Args)]
pub struct ExportArgs {
    /// What to export and where to (JSON)
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// The run: which feed to replay (JSON)
    #[arg(long, value_name = "FILE")]
    pub run: PathBuf,
    /// The settings of the simulated market (JSON); `{}` for the defaults
    #[arg(long, value_name = "FILE")]
    pub simulation: PathBuf,
    /// The first moment of the interval (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub start: Timestamp,
    /// The first moment after the interval (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub end: Timestamp,
    /// Where the engine logs its orders; an export sends none, so the file stays empty
    #[arg(long, value_name = "PATH")]
    pub orders: Option<PathBuf>,
    /// 0: silent, 1: a summary on standard error, 2: also what was read and written
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub verbose: u8,
}

/// The half-open interval `[start, end)` that an export covers, in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Interval {
    fn new(start: Timestamp, end: Timestamp) -> Result<Self> {
        let nanoseconds = |flag, time: Timestamp| match i64::try_from(time.as_nanosecond()) {
            Ok(ns) if ns >= 0 => Ok(ns),
            _ => Err(Error::Time { flag, time }),
        };
        let interval = Self { start: nanoseconds("--start", start)?, end: nanoseconds("--end", end)? };
        if interval.start < interval.end { Ok(interval) } else { Err(Error::EmptyInterval { start, end }) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.start.into(), self.end.into());
        match (Timestamp::from_nanosecond(start), Timestamp::from_nanosecond(end)) {
            (Ok(start), Ok(end)) => write!(f, "{start}..{end}"),
            _ => write!(f, "{start}..{end} ns"),
        }
    }
}

/// What an export did, for the summary.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) instrument: Instrument,
    pub(crate) interval: Interval,
    /// How many messages were replayed, those before the interval too.
    pub(crate) messages: u64,
    /// How many messages named an order that the book does not hold.
    pub(crate) unknown_orders: u64,
    pub(crate) files: Vec<Written>,
}

/// A finished output.
#[derive(Debug)]
pub(crate) struct Written {
    /// What a row is: `book rows`, `trades`.
    pub(crate) what: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) rows: u64,
}

/// Runs one export, says on standard error how it went, and gives the exit status (see the crate's documentation).
///
/// When it returns 0, every output file is complete; nothing is synced to the disk. A run that ends otherwise leaves no
/// file with a Parquet footer that it did not finish; it does not take away what an earlier run left.
pub fn run(args: Args) -> ExitCode {
    let (name, flags) = match &args.command {
        Command::Marketdata(flags) => ("marketdata", flags),
        Command::Features(flags) => ("features", flags),
    };
    let began = Instant::now();
    match export(&args.command, flags) {
        Ok(outcome) => {
            say(&summary(&outcome, began.elapsed(), flags.verbose));
            ExitCode::SUCCESS
        }
        Err(error) => {
            if !matches!(error, Error::NoData { .. }) || flags.verbose > 0 {
                say(&format!("tickbarn-exporter {name}: {}\n", error.with_causes()));
            }
            ExitCode::from(error.exit_status())
        }
    }
}

fn export(command: &Command, flags: &ExportArgs) -> Result<Outcome> {
    let interval = Interval::new(flags.start, flags.end)?;
    let run = RunConfig::read(&flags.run)?;
    let simulation = Simulation::read(&flags.simulation)?;
    if let Some(path) = &flags.orders {
        File::create(path).map_err(|source| Error::create(path, source))?;
    }
    match command {
        Command::Marketdata(_) => {
            let model = config::MarketDataModel::read(&flags.model)?;
            marketdata::export(model, &run, &simulation, interval)
        }
        Command::Features(_) => {
            let model = config::FeaturesModel::read(&flags.model)?;
            features::export(model, &run, &simulation, interval)
        }
    }
}

fn summary(outcome: &Outcome, took: Duration, verbose: u8) -> String {
    let mut text = String::new();
    if verbose >= 1 {
        let counts: Vec<_> = outcome.files.iter().map(|f| format!("{} {}", f.rows, f.what)).collect();
        let Outcome { instrument, interval, .. } = outcome;
        text += &format!("{instrument} {interval}: {} in {:.1} s\n", counts.join(", "), took.as_secs_f64());
    }
    if verbose >= 2 {
        text += &format!("replayed {} messages, {} of them for orders that the book does not hold\n", outcome.messages, outcome.unknown_orders);
        for file in &outcome.files {
            text += &format!("wrote {} to {}\n", file.what, file.path.display());
        }
    }
    text
}

/// To standard error; when nobody reads it, that is no reason to fail.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
