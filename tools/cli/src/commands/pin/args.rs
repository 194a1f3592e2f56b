//! The flags of `tickbarn pin`.

use clap::{Args, Subcommand};

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
