//! What every command line has: the flags that name a place, and how variables stand for them. Doc comments of fields are the help texts.

use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, Parser};

/// The flags of every command, to be flattened into a command line.
///
/// That command line needs a doc comment of its own: clap would otherwise take this one as its help.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The dataset file, or the directory of a tickbarn.toml
    ///
    /// Without it, the nearest tickbarn.toml counts: in the working directory or upwards.
    #[arg(short, long, value_name = "FILE", env = "TICKBARN_CONFIG", hide_env_values = true, global = true, help_heading = "For every command")]
    pub config: Option<PathBuf>,

    /// The store; beats the one that the dataset file names
    #[arg(long, value_name = "DIR", env = "TICKBARN_STORE", hide_env_values = true, global = true, help_heading = "For every command")]
    pub store: Option<PathBuf>,

    /// Say more on standard error; twice for details
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "For every command")]
    pub verbose: u8,
}

/// Reads the command line; ends the process where it is wrong or asks for help.
pub fn parse<C: Parser>() -> C {
    // A variable that is empty is one that somebody meant to unset.
    let command = C::command().mut_args(|argument| {
        let empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { argument.env(Resettable::Reset) } else { argument }
    });
    C::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}
