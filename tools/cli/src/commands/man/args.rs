//! The flags of `tickbarn man`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where to write the pages, such as ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Print a JSON line for each page
    #[arg(long)]
    pub(crate) json: bool,
}
