//! The tickbarn command: parse, call the library, print.
//!
//! Results go to standard output, everything else to standard error. No command decides an exit status: see [`exit`].

mod args;
mod commands;
mod config;
mod exit;
mod output;
mod progress;
mod records;
mod report;
mod signals;

use std::process::ExitCode;

use args::{Cli, Command};
use config::Place;

fn main() -> ExitCode {
    let Cli { config, store, verbose, command } = args::parse();
    if let Command::Exporter { arguments } = command {
        return commands::exporter::run(arguments);
    }
    progress::trace(verbose);
    progress::silence_the_index();
    let place = Place::new(config, store);
    exit::code_of(match command {
        Command::Demo(args) => commands::demo::run(&place, &args),
        Command::Load(args) => commands::load::run(&place, &args),
        Command::Ls(args) => commands::ls::run(&place, &args),
        Command::Show(args) => commands::show::run(&place, &args),
        Command::Logs(args) => commands::logs::run(&place, &args),
        Command::Verify(args) => commands::verify::run(&place, &args),
        Command::Path(args) => commands::path::run(&place, &args),
        Command::Exporter { .. } => unreachable!("handed on above"),
    })
}
