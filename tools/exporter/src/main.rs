//! The command `tickbarn-exporter`: parse, call the library, hand on its exit status.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "tickbarn-exporter", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    args: tickbarn_exporter::Args,
}

fn main() -> ExitCode {
    tickbarn_exporter::run(Cli::parse().args)
}
