//! `tickbarn-gc`: what `tickbarn gc` does, for cron and for containers that hold nothing else.

use std::process::ExitCode;

use clap::Parser;
use tickbarn_gc::{GcArgs, details, examples};
use tickbarn_terminal::args::{PlaceArgs, parse};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::{exit, progress};

/// Delete what a tickbarn store need not keep
///
/// Says what would go, what that frees and what it would take to make it again, and removes it, beside running loads. The same as `tickbarn gc`.
#[derive(Debug, Parser)]
#[command(name = "tickbarn-gc", version, max_term_width = 100, after_help = examples("tickbarn-gc"), after_long_help = details("tickbarn-gc"))]
struct Cli {
    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    gc: GcArgs,
}

fn main() -> ExitCode {
    let Cli { place: PlaceArgs { config, store, verbose }, gc } = parse();
    progress::trace(verbose);
    progress::silence_the_index();
    exit::code_of(tickbarn_gc::run(&Place::new(config, store), &gc))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_parser_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
