//! The flags of `tickbarn path`.

use clap::Args;

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
