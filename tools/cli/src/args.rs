//! The command line, but for the flags that every command shares. Doc comments here are the help texts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tickbarn::{Mode, OnFailure, OnMissing, RetryFailed, Verify};
use tickbarn_gc::GcArgs;
use tickbarn_terminal::args::PlaceArgs;

const FIRST_SESSION: &str = "\
A first session:
  tickbarn demo                         write an example and load it
  cd tickbarn-demo
  tickbarn load md --intervals intervals.json
  tickbarn ls --instrument glbx/ESH4    what is there, with addresses
  tickbarn show ADDRESS                 all about one entry
  tickbarn path ADDRESS trades          its file, for Polars, DuckDB, pandas

Exit status: 0 done under the policies, 1 a policy stopped it or it failed,
2 usage or configuration, 130 interrupted.";

/// A cache for expensive market-data exports
///
/// tickbarn cuts what you ask for into partitions, gives each an address made of everything that determines its content, runs your exporter for those
/// that are not in the store yet, and hands back Parquet files. Datasets are described in tickbarn.toml, which is looked for upwards from the working
/// directory.
#[derive(Debug, Parser)]
#[command(name = "tickbarn", version, max_term_width = 100, after_help = FIRST_SESSION, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write an example and load it: a first look that needs nothing
    ///
    /// Makes a directory with a commented tickbarn.toml and two datasets (order book and trades, features), whose exporter replays a simulated market.
    /// Loads a week of three instruments, loads it again from the store, and says what to try next. Run again, it finds everything in the store; files
    /// that you changed stay as they are.
    #[command(after_help = "Example:\n  tickbarn demo")]
    Demo(DemoArgs),

    /// Generate what is missing and read the rest
    ///
    /// Asks for datasets of instruments over an interval. What is in the store is a hit; for the rest the dataset's generator runs, several at once.
    /// The last line of standard output says how many partitions could be read. What finished is kept, also when the load fails or is interrupted.
    #[command(after_help = "\
Examples:
  tickbarn load md -i glbx/ESH4 --start 2023-12-25T23:00:00Z --end 2023-12-26
  tickbarn load md features -i binance/BTC-USDT -i binance/ETH-USDT \\
      --start 2024-01-01 --end 2024-02-01 --jobs 10
  tickbarn load md --intervals intervals.json --mode ReadIgnoreErrors --json
  tickbarn load md --intervals intervals.json --set md.config.orderbook_levels=5

Modes are named sets of policies:
  Default           --on-missing generate --on-failure skip
  Read              --on-missing fail --on-failure fail
  ReadIgnoreErrors  --on-missing skip --on-failure skip
  Write             --on-missing generate --on-failure fail --refresh
  WriteIgnoreErrors --on-missing generate --on-failure skip --refresh
Without --mode: --on-missing generate --on-failure fail.")]
    Load(Box<LoadArgs>),

    /// List what is in the store
    ///
    /// In order of dataset, instrument and time, with rows and bytes summed over the outputs.
    #[command(after_help = "\
Examples:
  tickbarn ls -d md -i binance/BTC-USDT --start 2024-01-01 --end 2024-01-08
  tickbarn ls --failed
  tickbarn ls --json | jq -r 'select(.outputs.trades.rows > 1000) | .address'")]
    Ls(LsArgs),

    /// Show all that is known of an entry or a failure
    ///
    /// Its place, everything in its key, its outputs with their columns and statistics, how it came to be, and what its generator said.
    #[command(after_help = "Examples:\n  tickbarn show 8f3c12ab\n  tickbarn show 8f3c12ab --json | jq .key.generator.config")]
    Show(AddressArgs),

    /// Print what a generator wrote, for an entry or a failure
    ///
    /// Standard output and standard error as they were kept: of the run that made the entry, and of the last failed run since then.
    #[command(after_help = "Examples:\n  tickbarn logs 8f3c12ab\n  tickbarn logs 8f3c12ab --json | jq -r .stderr.text")]
    Logs(AddressArgs),

    /// Print the paths of an entry's files
    ///
    /// With one output, or one named, just its path; with several, a line for each: name, tab, path. Read the files in place and never write to them.
    #[command(after_help = "\
Examples:
  tickbarn path 8f3c12ab
  duckdb -c \"from '$(tickbarn path 8f3c12ab trades)' limit 5\"")]
    Path(PathArgs),

    /// Name what is to be kept
    ///
    /// A pin has a name and covers a range of datasets, instruments and time, or single entries. As long as it is there, nothing that it covers is ever
    /// collected, also what is generated there later. Loads do not care about pins.
    #[command(after_help = "\
Examples:
  tickbarn pin add paper -d md --start 2024-01-01 --end 2024-02-01
  tickbarn pin ls
  tickbarn pin rm paper")]
    Pin {
        #[command(subcommand)]
        command: PinCommand,
    },

    /// Check that everything in the store is whole
    ///
    /// Compares manifests with artifacts both ways, keys with addresses and the journal with the manifests, and tells what interrupted processes left. With
    /// --digest it reads every artifact and compares its bytes with its digest. The store may be in use meanwhile. Problems are what is damaged or
    /// contradicts something; what merely lies about (artifacts that no entry names, work directories of dead processes) is told and is no problem.
    ///
    /// With --repair, damaged files are moved to quarantine/ in the store, entries that have lost something are dropped so that the next load makes them
    /// again, the journal is written anew, and what lies about is cleared. Nothing that is whole and that an entry names is touched, and no pin, not even
    /// a damaged one.
    #[command(after_help = "\
Examples:
  tickbarn verify                       sizes, keys, journal: about 20 µs an entry
  tickbarn verify --digest --jobs 4     every byte
  tickbarn verify --digest --repair --regenerate
  tickbarn verify --json | jq -r 'select(.severity == \"problem\") | .path'

Exit status: 0 nothing is wrong (or, with --repair, nothing any more),
1 there are problems, 2 usage or configuration.")]
    Verify(VerifyArgs),

    /// Delete what need not be kept, after saying what that costs
    ///
    /// Says what would go, what that frees and what it would take to make it again, and removes it, beside running loads. Nothing goes that is
    /// pinned or that a running process has loaded. `tickbarn-gc` is the same as a small binary of its own.
    #[command(after_help = tickbarn_gc::examples("tickbarn gc"), after_long_help = tickbarn_gc::details("tickbarn gc"))]
    Gc(Box<GcArgs>),

    /// The sample exporter, which the demo's datasets run
    #[command(hide = true, disable_help_flag = true)]
    Exporter {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to write the example
    #[arg(value_name = "DIR", default_value = "tickbarn-demo")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The datasets, by their names in tickbarn.toml
    #[arg(value_name = "DATASET", required = true)]
    pub(crate) datasets: Vec<String>,

    /// An instrument, such as binance/BTC-USDT; may be given several times
    #[arg(short, long = "instrument", value_name = "MARKET/PAIR", required_unless_present = "intervals", help_heading = "What")]
    pub(crate) instruments: Vec<String>,

    /// The first moment of the interval: ISO 8601, UTC where no zone is given
    #[arg(long, value_name = "TIME", required_unless_present = "intervals", help_heading = "What")]
    pub(crate) start: Option<String>,

    /// The first moment after the interval
    #[arg(long, value_name = "TIME", required_unless_present = "intervals", help_heading = "What")]
    pub(crate) end: Option<String>,

    /// A JSON file: a list of {"instrument": {"market", "pair"}, "start", "end"}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["instruments", "start", "end"], help_heading = "What")]
    pub(crate) intervals: Option<PathBuf>,

    /// Lay a value over the dataset file for this load, such as md.config.orderbook_levels=5; may be given several times
    #[arg(long = "set", value_name = "DATASET.PATH=VALUE", help_heading = "What")]
    pub(crate) settings: Vec<String>,

    /// What to do about a partition that is not in the store [default: generate]
    #[arg(long, value_name = "generate|fail|skip", help_heading = "Policy")]
    pub(crate) on_missing: Option<OnMissing>,

    /// What to do about a missing partition that only a derived one needs: generate it first, fail, or leave the derived one out [default: generate]
    #[arg(long, value_name = "generate|fail|skip", help_heading = "Policy")]
    pub(crate) on_missing_upstream: Option<OnMissing>,

    /// What to do when a generator fails: stop, or go on with the rest [default: fail]
    #[arg(long, value_name = "fail|skip", help_heading = "Policy")]
    pub(crate) on_failure: Option<OnFailure>,

    /// Generate what is there, too; the old entry stays until the new one is complete
    #[arg(long, help_heading = "Policy")]
    pub(crate) refresh: bool,

    /// A named set of policies, see below; the flags above override it
    #[arg(long, value_name = "MODE", help_heading = "Policy")]
    pub(crate) mode: Option<Mode>,

    /// Whether to try again what failed in an earlier load; a length such as 1h means: not before that has passed
    #[arg(long, value_name = "always|never|LENGTH", default_value = "always", help_heading = "Policy")]
    pub(crate) retry_failed: RetryFailed,

    /// How long to wait for a partition that another load is generating before it counts as failed, such as 10m [default: as long as it takes]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, help_heading = "Policy")]
    pub(crate) wait: Option<Duration>,

    /// How closely to look at what is cached before it counts as a hit: its size, or every byte; beats verify in tickbarn.toml [default: size]
    #[arg(long, value_name = "size|digest", help_heading = "Policy")]
    pub(crate) verify: Option<Verify>,

    /// Generate partitions that end in the future, although their data cannot be complete
    #[arg(long, help_heading = "Policy")]
    pub(crate) allow_future: bool,

    /// How many generators run at once; beats workers under [run] [default: as many as there are processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000), help_heading = "Running")]
    pub(crate) jobs: Option<u16>,

    /// Print a JSON line for each partition as it completes, and a last one with the sums
    #[arg(long, help_heading = "Running")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only this dataset; may be given several times
    #[arg(short, long = "dataset", value_name = "DATASET")]
    pub(crate) datasets: Vec<String>,

    /// Only this instrument; may be given several times
    #[arg(short, long = "instrument", value_name = "MARKET/PAIR")]
    pub(crate) instruments: Vec<String>,

    /// Only what ends after this time
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,

    /// Only what starts before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,

    /// List recorded failures instead of entries
    #[arg(long)]
    pub(crate) failed: bool,

    /// Print a JSON line for each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PinCommand {
    /// Pin a range, or single entries
    ///
    /// A range covers every partition of the datasets and instruments named (of all, where none is) that overlaps the interval from --start up to, but
    /// without, --end: those that are there, and those that are generated later. Datasets go by the names under which their entries were generated. At
    /// least one of the four must be given. With --address, single entries are covered. A pin is durable when this ends, and never replaces another.
    #[command(after_help = "\
Examples:
  tickbarn pin add paper -d md -d features -i binance/BTC-USDT \\
      --start 2024-01-01 --end 2024-02-01
  tickbarn pin add live -d md --start 2024-06-01     and all that comes after
  tickbarn pin add odd-hour --address 8f3c12ab 50b3584d")]
    Add(PinAddArgs),

    /// List the pins
    ///
    /// In order of name, each with the entries that it covers at this moment and their bytes, where files that several entries share count once.
    #[command(after_help = "\
Examples:
  tickbarn pin ls
  tickbarn pin ls --json | jq -r 'select(.entries == 0) | .name'

With --json, a line for each pin: type (\"pin\"), name, created, entries, bytes, and
either datasets, instruments, start, end (empty lists and null stand for all)
or addresses.")]
    Ls(PinLsArgs),

    /// Remove pins
    ///
    /// One after the other, up to the first that is not there. Nothing of what they covered is removed by this, but nothing keeps it any more.
    #[command(after_help = "Example:\n  tickbarn pin rm paper")]
    Rm(PinRmArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PinAddArgs {
    /// What to call it: up to 200 bytes of any script, and of any signs
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Cover this dataset; may be given several times [default: all]
    #[arg(short, long = "dataset", value_name = "DATASET")]
    pub(crate) datasets: Vec<String>,

    /// Cover this instrument; may be given several times [default: all]
    #[arg(short, long = "instrument", value_name = "MARKET/PAIR")]
    pub(crate) instruments: Vec<String>,

    /// Cover what ends after this time: ISO 8601, UTC where no zone is given [default: from the beginning]
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,

    /// Cover what starts before this time [default: for ever]
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,

    /// Cover these entries instead, by their addresses or the first digits of them
    #[arg(long = "address", value_name = "ADDRESS", num_args = 1.., conflicts_with_all = ["datasets", "instruments", "start", "end"])]
    pub(crate) addresses: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PinLsArgs {
    /// Print a JSON line for each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PinRmArgs {
    /// The names
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Read every artifact and compare its bytes with its digest
    #[arg(long)]
    pub(crate) digest: bool,

    /// Mend what is wrong
    #[arg(long)]
    pub(crate) repair: bool,

    /// Then generate what was dropped, as far as tickbarn.toml still defines it
    #[arg(long, requires = "repair")]
    pub(crate) regenerate: bool,

    /// How many files are read at once, and how many generators run [default: as many as there are processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) jobs: Option<u16>,

    /// Print a JSON line for each finding, and a last one with the sums
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AddressArgs {
    /// The address, or its first digits: at least four, as many as it takes to be unique
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    /// The address, or its first digits: at least four, as many as it takes to be unique
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// The name of one output
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: Option<String>,

    /// Print a JSON line for each output
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_length(text: &str) -> Result<Duration, String> {
    match text.parse::<RetryFailed>() {
        Ok(RetryFailed::After(length)) => Ok(length),
        _ => Err("write a length of time such as 30s, 10m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_parser_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn look_at(command: &clap::Command, above: &str) {
            for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                let name = format!("{above} {}", command.get_name());
                let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(examples.contains(&name), "{name}");
                look_at(command, &name);
            }
        }
        look_at(&Cli::command(), "tickbarn");
    }
}
