//! What a shell completes: commands and flags by the parser's own definitions, and names of datasets and pins and addresses by what there is.
//!
//! A shell runs the tool itself with `COMPLETE` set to the shell's name. What a value stands for is told by how it is called in the help, so a new
//! command's flags are completed without a word here. Nothing is said where something cannot be read: half a line has no place for errors.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use clap_complete::env::CompleteEnv;
use tickbarn::{Address, AddressPrefix, DatasetFile, Error, Store};
use tickbarn_terminal::config::Place;

use crate::args::Cli;

/// Answers a shell that asks what a line may go on with, or for its own part of that, and ends the process; does nothing where none asks.
pub(crate) fn answer_a_shell() {
    CompleteEnv::with_factory(|| completed(Cli::command())).bin("tickbarn").complete();
}

/// A command whose arguments, and those of the commands below it, know what may stand for them.
fn completed(command: Command) -> Command {
    let pins = command.get_name() == "rm";
    command.mut_args(|argument| completed_argument(argument, pins)).mut_subcommands(completed)
}

fn completed_argument(argument: Arg, of_pins: bool) -> Arg {
    let name = argument.get_value_names().and_then(|names| names.first()).map(|name| name.as_str().to_owned());
    match name.as_deref() {
        Some("DATASET") => argument.add(ArgValueCompleter::new(datasets)),
        Some("NAME") if of_pins => argument.add(ArgValueCompleter::new(pins)),
        Some("ADDRESS") => argument.add(ArgValueCompleter::new(addresses)),
        Some("FILE") => argument.add(ArgValueCompleter::new(PathCompleter::file())),
        Some("DIR") => argument.add(ArgValueCompleter::new(PathCompleter::dir())),
        // The few words that a value may be stand in the help: `fail|skip`.
        Some(words) if words.contains('|') => {
            let words: Vec<String> =
                words.split('|').filter(|word| word.starts_with(|first: char| first.is_lowercase())).map(str::to_owned).collect();
            argument.add(ArgValueCompleter::new(move |current: &OsStr| beginning_with(current, words.clone())))
        }
        _ => argument,
    }
}

fn datasets(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = file().map(|file| file.datasets().iter().map(|dataset| dataset.name().to_owned()).collect());
    beginning_with(current, names.unwrap_or_default())
}

fn pins(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = store().and_then(|store| Some(store.pins().ok()?.into_iter().map(|pin| pin.name).collect()));
    beginning_with(current, names.unwrap_or_default())
}

/// The addresses that begin with what is there, once that are enough digits to look in one directory only.
fn addresses(current: &OsStr) -> Vec<CompletionCandidate> {
    let found = || -> Option<Vec<Address>> {
        let prefix: AddressPrefix = current.to_str()?.parse().ok()?;
        match store()?.resolve_any(&prefix) {
            Ok(address) => Some(vec![address]),
            Err(Error::AmbiguousAddress { matches, .. }) => Some(matches),
            Err(_) => None,
        }
    };
    found().unwrap_or_default().iter().map(|address| CompletionCandidate::new(address.to_string())).collect()
}

fn beginning_with(current: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    names.into_iter().filter(|name| name.starts_with(&*current)).map(CompletionCandidate::new).collect()
}

fn file() -> Option<DatasetFile> {
    place().datasets_if_any().ok()?
}

fn store() -> Option<Store> {
    let place = place();
    let file = place.datasets_if_any().ok()?;
    place.open_store_of(file.as_ref()).ok()
}

/// The place that the line names so far, or the variables that stand for its flags.
fn place() -> Place {
    let words: Vec<OsString> = std::env::args_os().collect();
    let named = |flags: [&str; 2], variable: &str| {
        let of_word = |(nth, word): (usize, &OsString)| {
            let text = word.to_str()?;
            let (flag, value) = text.split_once('=').map_or((text, None), |(flag, value)| (flag, Some(value)));
            flags.contains(&flag).then(|| value.map(OsString::from).or_else(|| words.get(nth + 1).cloned()))?
        };
        let variable = || std::env::var_os(variable).filter(|value| !value.is_empty());
        words.iter().enumerate().filter_map(of_word).next_back().or_else(variable).map(PathBuf::from)
    };
    Place::new(named(["-c", "--config"], "TICKBARN_CONFIG"), named(["--store", "--store"], "TICKBARN_STORE"))
}
