//! The flags of `tickbarn why`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A dataset, by its name in tickbarn.toml; or the address of an entry or a failure, or its first digits; or two of them
    #[arg(value_name = "DATASET|ADDRESS", required = true, num_args = 1..=2)]
    pub(crate) what: Vec<String>,

    /// Of a dataset: the instrument, such as binance/BTC-USDT
    #[arg(short, long, value_name = "MARKET/PAIR", help_heading = "Which partition")]
    pub(crate) instrument: Option<String>,

    /// Any moment of the partition: ISO 8601, UTC where no zone is given
    #[arg(long, value_name = "TIME", help_heading = "Which partition")]
    pub(crate) start: Option<String>,

    /// The first moment after the interval, as a load has it: the first partition that it cuts is meant [default: the whole partition around --start]
    #[arg(long, value_name = "TIME", requires = "start", help_heading = "Which partition")]
    pub(crate) end: Option<String>,

    /// Lay a value over the dataset file, as for a load; may be given several times
    #[arg(long = "set", value_name = "DATASET.PATH=VALUE", help_heading = "Which partition")]
    pub(crate) settings: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
