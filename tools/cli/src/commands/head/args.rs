//! The flags of `tickbarn head`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct HeadArgs {
    /// The address, or its first digits: at least four, as many as it takes to be unique
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// The name of one output
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: Option<String>,

    /// How many rows; 0 for the columns alone
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(crate) rows: u32,

    /// Only this column, of those that are not inside another; may be given several times
    #[arg(long = "column", value_name = "COLUMN")]
    pub(crate) columns: Vec<String>,

    /// Show every column of a table whose rows are too wide, not only the first 40
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Print a JSON line for each table with its columns, and one for each row
    #[arg(long)]
    pub(crate) json: bool,
}
