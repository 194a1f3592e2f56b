//! The flags of `tickbarn view`.

use std::path::PathBuf;

use clap::Args;
use tickbarn::view::{ViewLayout, ViewLink};

#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Where to show it: a directory that is empty, missing, or a view already
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Only this dataset; may be given several times
    #[arg(short, long = "dataset", value_name = "DATASET", help_heading = "What")]
    pub(crate) datasets: Vec<String>,

    /// Only this instrument; may be given several times
    #[arg(short, long = "instrument", value_name = "MARKET/PAIR", help_heading = "What")]
    pub(crate) instruments: Vec<String>,

    /// Only what ends after this time
    #[arg(long, value_name = "TIME", help_heading = "What")]
    pub(crate) start: Option<String>,

    /// Only what starts before this time
    #[arg(long, value_name = "TIME", help_heading = "What")]
    pub(crate) end: Option<String>,

    /// Where several entries tell of the same time, show the one that was made last, whatever tickbarn.toml says now
    #[arg(long, help_heading = "What")]
    pub(crate) latest: bool,

    /// DATASET/market=…/pair=…/start=…/OUTPUT.parquet, or DATASET/MARKET/PAIR/START/OUTPUT.parquet
    #[arg(long, value_name = "hive|plain", default_value_t, help_heading = "How")]
    pub(crate) layout: ViewLayout,

    /// Hard links where possible and symbolic ones elsewhere, or only one of the two
    #[arg(long, value_name = "auto|hard|symbolic", default_value_t, help_heading = "How")]
    pub(crate) link: ViewLink,

    /// Print a JSON line for each file, and a last one with the sums
    #[arg(long, help_heading = "How")]
    pub(crate) json: bool,
}
