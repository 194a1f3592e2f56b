//! `tickbarn logs`: what generators wrote.

mod lines;

use std::io::{self, Write};

use tickbarn::{Log, LogText};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{clock, size, stdout};
use tickbarn_terminal::records::write_line;

use lines::LogLine;

use crate::args::AddressArgs;
use crate::commands::{Found, find};

pub(crate) fn run(place: &Place, args: &AddressArgs) -> Result<()> {
    let store = place.open_store()?;
    let Found { address, entry, failure } = find(&store, &args.address)?;
    // In the order in which they were written: a failure on record is younger than the entry.
    let mut logs: Vec<(&'static str, String, Log)> = Vec::new();
    if let Some(manifest) = &entry {
        logs.push(("entry", format!("entry, generated {}", clock(manifest.provenance.started)), store.log(manifest)?));
    }
    if let Some(record) = failure {
        logs.push(("failure", format!("failure, {}: {}", clock(record.last), record.failure), record.failure.log));
    }

    let mut out = stdout();
    for (nth, (of, title, log)) in logs.iter().enumerate() {
        if args.json {
            write_line(&mut out, &LogLine { address, of, stdout: &log.stdout, stderr: &log.stderr })?;
            continue;
        }
        if nth > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{title}")?;
        write_stream(&mut out, "standard output", &log.stdout)?;
        write_stream(&mut out, "standard error", &log.stderr)?;
    }
    Ok(out.flush()?)
}

fn write_stream(out: &mut impl Write, name: &str, stream: &LogText) -> io::Result<()> {
    if stream.bytes == 0 {
        return writeln!(out, "==> {name}: nothing <==");
    }
    let truncated = if stream.truncated { ", its middle left out" } else { "" };
    writeln!(out, "==> {name}: {}{truncated} <==", size(stream.bytes))?;
    out.write_all(stream.text.as_bytes())?;
    if stream.text.ends_with('\n') { Ok(()) } else { writeln!(out) }
}
