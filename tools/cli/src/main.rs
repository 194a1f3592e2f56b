//! The tickbarn command: parse, call the library, print.
//!
//! Results go to standard output, everything else to standard error. No command decides an exit status: see [`exit`]. What it shares with other
//! commands at the terminal is in `tickbarn-terminal`.

mod args;
mod commands;
mod completions;
mod document;
mod drawing;
mod records;

use std::process::ExitCode;

use tickbarn_terminal::args::{PlaceArgs, parse};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::{exit, progress};

use args::{Cli, Command};

fn main() -> ExitCode {
    completions::answer_a_shell();
    let Cli { place: PlaceArgs { config, store, verbose }, command } = parse();
    if let Command::Exporter { arguments } = command {
        return commands::exporter::run(arguments);
    }
    progress::trace(verbose);
    progress::silence_the_index();
    let place = Place::new(config, store);
    exit::code_of(match command {
        Command::Demo(args) => commands::demo::run(&place, &args),
        Command::Load(args) => commands::load::run(&place, &args),
        Command::Coverage(args) => commands::coverage::run(&place, &args),
        Command::Ls(args) => commands::ls::run(&place, &args),
        Command::Why(args) => commands::why::run(&place, &args),
        Command::Show(args) => commands::show::run(&place, &args),
        Command::Logs(args) => commands::logs::run(&place, &args),
        Command::View(args) => commands::view::run(&place, &args),
        Command::Verify(args) => commands::verify::run(&place, &args),
        Command::Doctor(args) => commands::doctor::run(&place, &args),
        Command::Man(args) => commands::man::run(&args),
        Command::ProbeLock(args) => commands::doctor::probe_lock(&args),
        Command::Gc(args) => tickbarn_gc::run(&place, &args),
        Command::Path(args) => commands::path::run(&place, &args),
        Command::Head(args) => commands::head::run(&place, &args),
        Command::Diff(args) => commands::diff::run(&place, &args),
        Command::Stats(args) => commands::stats::run(&place, &args),
        Command::Du(args) => commands::du::run(&place, &args),
        Command::Pin { command } => commands::pin::run(&place, &command),
        Command::Report(args) => commands::report::run(&place, &args),
        Command::Exporter { .. } => unreachable!("handed on above"),
    })
}
