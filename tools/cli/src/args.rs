//! The commands and what `--help` says of them. The flags of each stand beside it, those that every command shares in `tickbarn-terminal`. Doc comments
//! are the help texts.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use tickbarn_gc::GcArgs;
use tickbarn_terminal::args::PlaceArgs;

use crate::commands::{
    coverage::CoverageArgs, demo::DemoArgs, diff::DiffArgs, doctor::DoctorArgs, doctor::ProbeLockArgs, du::DuArgs, head::HeadArgs, load::LoadArgs,
    ls::LsArgs, man::ManArgs, path::PathArgs, pin::PinCommand, report::ReportArgs, stats::StatsArgs, verify::VerifyArgs, view::ViewArgs,
    why::WhyArgs,
};

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
  tickbarn load md --intervals intervals.json --dry-run
  tickbarn load md --intervals intervals.json --runner ray --ray-address 10.0.0.1:6379

Modes are named sets of policies:
  Default           --on-missing generate --on-failure skip
  Read              --on-missing fail --on-failure fail
  ReadIgnoreErrors  --on-missing skip --on-failure skip
  Write             --on-missing generate --on-failure fail --refresh
  WriteIgnoreErrors --on-missing generate --on-failure skip --refresh
Without --mode: --on-missing generate --on-failure fail.")]
    Load(Box<LoadArgs>),

    /// Show what of an interval is there, and what is not
    ///
    /// A map of instruments and time: what there is data of, what is known to be empty, what failed and what is missing, with shares and the list of gaps.
    /// What counts is what a load would find: entries of the dataset as tickbarn.toml defines it now. Where no file defines it, everything counts that the
    /// store holds under its name. Entries count by their time; artifacts are not looked at.
    #[command(after_help = "\
Examples:
  tickbarn coverage md
  tickbarn coverage md -i glbx/ESH4 --start 2024-01-01 --end 2024-02-01 --closed weekends
  tickbarn coverage md --closed 'fri 22:00 - sun 23:00' --closed 2024-12-25 --by week
  tickbarn coverage md --gaps > gaps.json && tickbarn load md --intervals gaps.json
  tickbarn coverage md --json | jq -r 'select(.share < 1) | .instrument'
  tickbarn coverage md --png md.png")]
    Coverage(CoverageArgs),

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

    /// Say why a partition is, or would be, generated
    ///
    /// Of one partition of a dataset: whether it is in the store, whether it failed, and in what its key differs from those of the nearest entries for the
    /// same place in time. Of an address: the same of what is there. Of two addresses: in what their keys differ. Each difference goes from what was
    /// there to what is asked for, `config.levels 40 → 20`. Everything is read from the store; nothing runs, and nothing is changed.
    #[command(after_help = "\
Examples:
  tickbarn why md -i binance/BTC-USDT --start 2024-01-01
  tickbarn why md -i binance/BTC-USDT --start 2024-01-01 --set md.config.orderbook_levels=5
  tickbarn why 8f3c12ab                 an entry, or a failure
  tickbarn why 8f3c12ab 50b3584d        the first as it was, the second as it is
  tickbarn why md -i binance/BTC-USDT --start 2024-01-01 --json | jq '.nearest[0].differences'")]
    Why(WhyArgs),

    /// Print the paths of an entry's files
    ///
    /// With one output, or one named, just its path; with several, a line for each: name, tab, path. Read the files in place and never write to them.
    #[command(after_help = "\
Examples:
  tickbarn path 8f3c12ab
  duckdb -c \"from '$(tickbarn path 8f3c12ab trades)' limit 5\"")]
    Path(PathArgs),

    /// Show the columns and the first rows of an entry's tables
    ///
    /// Of each output, or of one, read with Arrow. Of the file no more is read than that takes. Times are in UTC. Where the rows are too wide for the
    /// terminal, a line is a column instead, with the values of as many rows as fit: the first 40 columns, or all with --all.
    #[command(after_help = "\
Examples:
  tickbarn head 8f3c12ab trades
  tickbarn head 8f3c12ab orderbook -n 3 --column ts --column bid_price_0
  tickbarn head 8f3c12ab trades -n 1000 --json | jq -c .row")]
    Head(HeadArgs),

    /// Compare two entries: their columns, their rows, the first difference
    ///
    /// Output by output, or only those named. Columns belong together by their names and are compared as Parquet has them, row by row in the order of the
    /// files, up to the first difference. Null is null, NaN is NaN, and -0.0 counts as 0.0, which is said. Outputs that are the same file are not read.
    #[command(after_help = "\
Examples:
  tickbarn diff 8f3c12ab 50b3584d
  tickbarn diff 8f3c12ab 50b3584d --output trades --json | jq .first

Exit status, as diff(1) has it: 0 they hold the same, 1 they differ,
2 they could not be compared.")]
    Diff(DiffArgs),

    /// Sum up what is in the store, and what recent loads found
    ///
    /// Entries, artifacts, bytes, what sharing saves, and how long generators ran for it, by dataset and instrument, the largest first. Artifacts are tables
    /// and logs of more than 4 KiB; manifests, journal and index are not counted, see `tickbarn du`. An artifact that several lines share is in each
    /// of them, and once in the total. Saved is what the entries of a line would take more if they shared nothing.
    ///
    /// A hit is a requested partition that was in the store, also one without data; everything else is a miss. Some thousands of loads are remembered.
    #[command(after_help = "\
Examples:
  tickbarn stats
  tickbarn stats --by dataset --last 20
  tickbarn stats --since 2024-06-01 --json | jq 'select(.type == \"loads\")'")]
    Stats(StatsArgs),

    /// Show where the store's bytes lie on the disk
    ///
    /// By part of the store, and by dataset and instrument, as files, as their lengths and as what they take on the disk: what `du` says, directories among
    /// it. Every file is looked at. An instrument's line holds its manifests and the artifacts that nothing else names: what would be free without it.
    #[command(after_help = "\
Examples:
  tickbarn du
  tickbarn du --json | jq -r 'select(.part == \"quarantine\") | .disk_bytes'")]
    Du(DuArgs),

    /// Show the store as a tree of files that other tools read in place
    ///
    /// Makes DIR/DATASET/market=…/pair=…/start=…/OUTPUT.parquet, or with --layout plain DIR/DATASET/MARKET/PAIR/START/OUTPUT.parquet, of links to the
    /// store's files: no bytes are copied. DuckDB, pyarrow and Polars make columns of market, pair and start. Names are percent-encoded, as those tools
    /// decode them; times are UTC.
    ///
    /// Shown is what a load would hand out, by tickbarn.toml as it is now; of datasets that it does not define, or where there is no such file, the entry
    /// that was made last. Run it again to bring the view up to date: what is no longer asked for or no longer in the store goes. Only what a view made
    /// is ever removed. Never write to its files: they are the store's.
    ///
    /// A hard link keeps its bytes on the disk also after gc has removed the entry, until the view is brought up to date; a symbolic one (absolute) then
    /// leads nowhere until that. Being shown counts as no use, and keeps nothing from being collected.
    #[command(after_help = "\
Examples:
  tickbarn view shown
  duckdb -c \"from read_parquet('shown/md/*/*/*/trades.parquet', hive_partitioning = true)
             where start >= '2024-01-02'\"
  tickbarn view shown -d md --start 2024-01-01 --end 2024-02-01 --json
  tickbarn view old-tree --layout plain --link symbolic

Exit status: 0 shown, 1 something else stands in the place of a file, or it failed,
2 usage or configuration.")]
    View(ViewArgs),

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

    /// Write a page about the store, for a browser
    ///
    /// One file that needs nothing else: coverage of every dataset as a map, bytes and hours by dataset, the last failures with the end of their logs, and
    /// what a collection would free. It may be mailed, or served by any web server. A file of that name is replaced, once the page is whole.
    #[command(after_help = "\
Examples:
  tickbarn report --html report.html
  tickbarn --config /data/md/tickbarn.toml report --html /srv/www/md.html")]
    Report(ReportArgs),

    /// Check whether the store can work here: file system, locks, space, who uses it
    ///
    /// Tries out in the store's work directory what is relied on (renames, hard links, syncs, locks between two processes, write leases), tells who holds
    /// locks, indexes and leases, what is unfinished or lies about, how much is free, and what to do about each thing that is wrong. Works on a store that
    /// cannot be opened, too. Whether the entries are whole is for `tickbarn verify`.
    #[command(after_help = "\
Examples:
  tickbarn doctor
  tickbarn doctor --store /mnt/shared/barn --json | jq -r 'select(.severity == \"problem\") | .what'

Exit status: 0 nothing is wrong, 1 there are problems, 2 usage.")]
    Doctor(DoctorArgs),

    /// Write man pages of every command
    ///
    /// By the same definitions as --help. Where man looks for pages, `man tickbarn` and `man tickbarn-load` then show them.
    #[command(after_help = "Examples:\n  tickbarn man ~/.local/share/man/man1\n  sudo tickbarn man /usr/local/share/man/man1")]
    Man(ManArgs),

    /// Try a lock, for `doctor`
    #[command(hide = true)]
    ProbeLock(ProbeLockArgs),

    /// The sample exporter, which the demo's datasets run
    #[command(hide = true, disable_help_flag = true)]
    Exporter {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
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
