//! The flags of `tickbarn coverage`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// The dataset, by its name in tickbarn.toml, or a name that the store holds entries under
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,

    /// An instrument, such as binance/BTC-USDT; may be given several times [default: all that the store has of the dataset]
    #[arg(short, long = "instrument", value_name = "MARKET/PAIR", help_heading = "What")]
    pub(crate) instruments: Vec<String>,

    /// The first moment of the interval: ISO 8601, UTC where no zone is given [default: where the first entry starts]
    #[arg(long, value_name = "TIME", help_heading = "What")]
    pub(crate) start: Option<String>,

    /// The first moment after the interval [default: where the last entry ends]
    #[arg(long, value_name = "TIME", help_heading = "What")]
    pub(crate) end: Option<String>,

    /// When there is no data by design, in UTC; may be given several times
    ///
    /// weekends, sat,sun, 22:00-23:00 (every day), 'fri 22:00 - sun 23:00' (every week), 2024-12-25, or START/END. Added to what the dataset's `closed` in
    /// tickbarn.toml says. Closed time counts neither as there nor as missing.
    #[arg(long, value_name = "TIMES", help_heading = "What")]
    pub(crate) closed: Vec<String>,

    /// Lay a value over the dataset file, such as md.config.orderbook_levels=5; may be given several times
    #[arg(long = "set", value_name = "DATASET.PATH=VALUE", help_heading = "What")]
    pub(crate) settings: Vec<String>,

    /// What one cell of the map stands for, or a whole number of them: partition, hour, day, week, or a length such as 6h
    ///
    /// Without it days, and for less than three days partitions. With --json, adds the cells to each line.
    #[arg(long, value_name = "LENGTH", help_heading = "Output")]
    pub(crate) by: Option<String>,

    /// Print the gaps as an intervals file, for `tickbarn load --intervals`
    #[arg(long, conflicts_with_all = ["json", "by"], help_heading = "Output")]
    pub(crate) gaps: bool,

    /// Draw the map into a file instead, for a wiki or a browser; - for standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "by", "gaps"], help_heading = "Output")]
    pub(crate) svg: Option<PathBuf>,

    /// The same made of dots, for a chat; - for standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "by", "gaps"], help_heading = "Output")]
    pub(crate) png: Option<PathBuf>,

    /// Print a JSON line for each instrument and one of the sums
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
