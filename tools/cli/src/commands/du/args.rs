//! The flags of `tickbarn du`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DuArgs {
    /// Print a JSON line for each part of the store, for each instrument of a dataset, and a last one with the sums
    #[arg(long)]
    pub(crate) json: bool,
}
