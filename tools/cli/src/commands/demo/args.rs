//! The flags of `tickbarn demo`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to write the example
    #[arg(value_name = "DIR", default_value = "tickbarn-demo")]
    pub(crate) directory: PathBuf,
}
