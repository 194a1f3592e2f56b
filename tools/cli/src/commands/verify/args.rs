//! The flags of `tickbarn verify`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Read every artifact and compare its bytes with its digest
    #[arg(long)]
    pub(crate) digest: bool,

    /// Mend what is wrong
    #[arg(long)]
    pub(crate) repair: bool,

    /// Then generate what was dropped, as far as tickbarn.toml still defines it
    #[arg(long, requires = "repair")]
    pub(crate) regenerate: bool,

    /// How many files are read at once, and how many generators run [default: as many as there are processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) jobs: Option<u16>,

    /// Print a JSON line for each finding, and a last one with the sums
    #[arg(long)]
    pub(crate) json: bool,
}
