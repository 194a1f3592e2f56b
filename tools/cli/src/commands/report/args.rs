//! The flags of `tickbarn report`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Where to write the page; - for standard output
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) html: PathBuf,

    /// Print a JSON line that says where the page is
    #[arg(long)]
    pub(crate) json: bool,
}
