//! `tickbarn man`: the help of every command as man pages, by the parser's own definitions.

mod args;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{counted, shell_word, stdout};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

use crate::args::Cli;
pub(crate) use args::ManArgs;

/// A page that was written.
#[derive(Serialize)]
#[serde(tag = "type", rename = "page")]
struct PageLine<'a> {
    #[serde(serialize_with = "crate::records::as_lossy")]
    path: &'a Path,
}

pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let directory = &args.directory;
    let cannot =
        |what: &str, path: &Path, error: io::Error| Failure::World(format!("cannot {what} {}: {error}; choose another directory", path.display()));
    fs::create_dir_all(directory).map_err(|error| cannot("make", directory, error))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut written = Vec::new();
    for (name, page) in pages(&command)? {
        let path = directory.join(name);
        fs::write(&path, page).map_err(|error| cannot("write", &path, error))?;
        written.push(path);
    }
    tell(&written, args)
}

fn tell(written: &[PathBuf], args: &ManArgs) -> Result<()> {
    let mut out = stdout();
    for path in written {
        if args.json {
            write_line(&mut out, &PageLine { path })?;
        } else {
            writeln!(out, "{}", path.display())?;
        }
    }
    out.flush()?;
    let first = written.iter().find(|path| path.ends_with("tickbarn.1")).map(|path| path.display().to_string()).unwrap_or_default();
    say(&format!("{} written; look at one: man -l {}", counted(written.len(), "page", "pages"), shell_word(&first)));
    Ok(())
}

/// The pages of a command and of those below it, by their files' names.
fn pages(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![page(command)?];
    for below in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        pages.extend(self::pages(below)?);
    }
    Ok(pages)
}

fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    // Every page is tickbarn's, whichever command it is of.
    let man = Man::new(command.clone()).source(concat!("tickbarn ", env!("CARGO_PKG_VERSION"))).manual("tickbarn");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        page.extend_from_slice(examples(&after.to_string()).as_bytes());
    }
    Ok((man.get_filename(), in_ascii(&String::from_utf8_lossy(&page)).into_bytes()))
}

/// Characters beyond ASCII as roff names them, whatever encoding whoever renders the page expects.
fn in_ascii(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for character in page.chars() {
        match character {
            character if character.is_ascii() => text.push(character),
            character => write!(text, "\\[u{:04X}]", u32::from(character)).expect("writing to a string does not fail"),
        }
    }
    text
}

/// What stands after the help, each line as it is: most of them are examples.
fn examples(text: &str) -> String {
    let mut section = ".SH EXAMPLES\n.nf\n".to_owned();
    let text = text.strip_prefix("Examples:\n").or_else(|| text.strip_prefix("Example:\n")).unwrap_or(text);
    for line in text.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // At the beginning of a line these two would be requests.
        let shield = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        writeln!(section, "{shield}{line}").expect("writing to a string does not fail");
    }
    section.push_str(".fi\n");
    section
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_example_keeps_its_lines_and_what_roff_would_read_in_them() {
        let section = super::examples("Examples:\n  tickbarn ls \\\n      --json\n.hidden");
        assert_eq!(super::in_ascii("a…\u{1f980}"), "a\\[u2026]\\[u1F980]");
        assert_eq!(section, ".SH EXAMPLES\n.nf\n  tickbarn ls \\e\n      \\-\\-json\n\\&.hidden\n.fi\n");
    }
}
