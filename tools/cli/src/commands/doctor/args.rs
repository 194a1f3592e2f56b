//! The flags of `tickbarn doctor`, and of what it asks a second process.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print a JSON line for each thing that was looked at, for each problem and remark, and a last one with the sums
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeLockArgs {
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
}
