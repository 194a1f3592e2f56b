//! The flags of `tickbarn stats`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// What has a line of its own: each instrument of a dataset, or each dataset
    #[arg(long, value_name = "instrument|dataset", value_enum, default_value = "instrument", hide_possible_values = true)]
    pub(crate) by: By,

    /// Count hits and misses of the last N loads [default: of all that are remembered, some thousands]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "since")]
    pub(crate) last: Option<u32>,

    /// Count hits and misses of the loads that ended at this time or later: ISO 8601, UTC where no zone is given
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,

    /// Print a JSON line for each, one with the loads, and a last one with the sums
    #[arg(long)]
    pub(crate) json: bool,
}

/// What has a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Instrument,
    Dataset,
}
