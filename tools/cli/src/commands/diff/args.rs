//! The flags of `tickbarn diff`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The address of one entry, or its first digits: at least four, as many as it takes to be unique
    #[arg(value_name = "ADDRESS")]
    pub(crate) left: String,

    /// The address of the other
    #[arg(value_name = "ADDRESS")]
    pub(crate) right: String,

    /// Only this output; may be given several times
    #[arg(long = "output", value_name = "OUTPUT")]
    pub(crate) outputs: Vec<String>,

    /// Print a JSON line for each output, and a last one that says whether all are the same
    #[arg(long)]
    pub(crate) json: bool,
}
