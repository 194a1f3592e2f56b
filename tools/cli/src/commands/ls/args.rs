//! The flags of `tickbarn ls`.

use clap::Args;

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
