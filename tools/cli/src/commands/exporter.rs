//! `tickbarn exporter`: the sample exporter under the name of this binary, so that one build makes a demo complete.
//!
//! It stands apart from the other commands: none of tickbarn's own flags and variables mean anything to it.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// The sample exporter: replays a market-by-order feed into Parquet tables
#[derive(Debug, Parser)]
#[command(name = "tickbarn exporter", max_term_width = 100)]
struct Exporter {
    #[command(flatten)]
    args: tickbarn_exporter::Args,
}

pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let name = OsString::from("tickbarn exporter");
    tickbarn_exporter::run(Exporter::parse_from(std::iter::once(name).chain(arguments)).args)
}
