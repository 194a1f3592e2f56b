//! The flags of `tickbarn load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tickbarn::{Mode, OnFailure, OnMissing, RetryFailed, RunnerKind, Verify};

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

    /// How many generators run at once; beats workers under [run] [default: 0, as many as there are processors, or places on the cluster]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=10_000), help_heading = "Running")]
    pub(crate) jobs: Option<u16>,

    /// Where commands run: on this machine, or on a Ray cluster; beats runner under [run] [default: local]
    #[arg(long, value_name = "local|ray", help_heading = "Running")]
    pub(crate) runner: Option<RunnerKind>,

    /// The Ray cluster: HOST:PORT of its head, ray://HOST:PORT where this machine is no node of it, or auto; beats address under [run] [default: auto]
    #[arg(long, value_name = "ADDRESS", help_heading = "Running")]
    pub(crate) ray_address: Option<String>,

    /// The Python interpreter with the cluster's version of ray; beats python under [run] [default: python3]
    #[arg(long, value_name = "PROGRAM", help_heading = "Running")]
    pub(crate) ray_python: Option<PathBuf>,

    /// Say what the load would find and generate, and what that would take by what is in the store, and do nothing
    #[arg(long, help_heading = "Running")]
    pub(crate) dry_run: bool,

    /// Print a JSON line for each partition as it completes, and a last one with the sums
    #[arg(long, help_heading = "Running")]
    pub(crate) json: bool,
}

fn parse_length(text: &str) -> Result<Duration, String> {
    match text.parse::<RetryFailed>() {
        Ok(RetryFailed::After(length)) => Ok(length),
        _ => Err("write a length of time such as 30s, 10m or 2h".to_owned()),
    }
}
