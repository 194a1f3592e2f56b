//! `tickbarn show`: all that is known of an entry or a failure.

mod columns;

use std::io::{self, Write};

use tickbarn::{Address, Empty, FailureRecord, Instrument, Interval, Log, LogText, Manifest, OnCluster, OutputManifest, Store, Value};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{clock, clock_and_age, counted, duration, shell_word, size, span, stdout, terminal_columns, thousands, wrapped};
use tickbarn_terminal::records::write_line;

use crate::args::AddressArgs;
use crate::commands::{Found, find};
use crate::records::whole;

/// How far what belongs to a heading stands in.
const INDENT: usize = 2;

pub(crate) fn run(place: &Place, args: &AddressArgs) -> Result<()> {
    let store = place.open_store()?;
    let Found { address, entry, failure } = find(&store, &args.address)?;
    let mut out = stdout();
    if let Some(manifest) = &entry {
        if args.json { write_json(&mut out, &store, manifest)? } else { write_entry(&mut out, &store, manifest)? }
    }
    if let Some(record) = &failure {
        if args.json {
            write_line(&mut out, &whole("failure", record).map_err(io::Error::from)?)?;
        } else {
            if entry.is_some() {
                writeln!(out)?;
            }
            write_failure(&mut out, address, record, entry.is_some())?;
        }
    }
    Ok(out.flush()?)
}

/// The manifest as it is, with the path of each output added.
fn write_json(out: &mut impl Write, store: &Store, manifest: &Manifest) -> Result<()> {
    let mut entry = whole("entry", manifest).map_err(io::Error::from)?;
    for (name, OutputManifest { digest, .. }) in &manifest.outputs {
        if let Some(serde_json::Value::Object(output)) = entry.get_mut("outputs").and_then(|outputs| outputs.get_mut(name)) {
            output.insert("path".to_owned(), store.artifact_path(digest).to_string_lossy().into());
        }
    }
    let log = store.log(manifest)?;
    entry.insert("log".to_owned(), serde_json::to_value(log).map_err(|error| Failure::Output(error.into()))?);
    Ok(write_line(out, &entry)?)
}

fn write_entry(out: &mut impl Write, store: &Store, manifest: &Manifest) -> Result<()> {
    let provenance = &manifest.provenance;
    write_place(out, &manifest.dataset, manifest.instrument(), manifest.interval())?;
    let mut fields = Fields::default();
    fields.add("address", manifest.address.to_string());
    let seconds = duration(provenance.duration.as_secs_f64());
    fields.add("generated", format!("{}, in {seconds}", clock_and_age(provenance.started)));
    match manifest.empty {
        None => {}
        Some(Empty::ExitCode(code)) => fields.add("empty", format!("no data in this interval, said its generator by exit status {code}")),
        Some(Empty::NoData) => fields.add("empty", "no data in this interval, said its function".to_owned()),
        Some(Empty::ZeroRows) => fields.add("empty", "no data in this interval: no output has a row".to_owned()),
    }
    fields.write(out)?;

    for (name, output) in &manifest.outputs {
        let columns = counted(output.table.columns.len(), "column", "columns");
        writeln!(out, "\nOutput {name}: {} rows, {columns}, {}", thousands(output.table.rows), size(output.bytes))?;
        writeln!(out, "{:INDENT$}{}", "", store.artifact_path(&output.digest).display())?;
        columns::grid(&output.table).indented(INDENT).write(out, terminal_columns())?;
    }

    write_key(out, manifest.key())?;

    writeln!(out, "\nProvenance")?;
    let mut fields = Fields::default();
    fields.add("program", provenance.program.clone());
    if let Some(digest) = provenance.program_digest {
        fields.add("program digest", digest.to_string());
    }
    // A program's path is absolute.
    if provenance.program.starts_with('/') {
        fields.add("arguments", command_line(provenance.arguments.iter().map(String::as_str)));
        fields.add("exit status", provenance.exit_code.to_string());
    }
    if let Some(bytes) = provenance.memory_bytes_peak {
        fields.add("peak memory", size(bytes));
    }
    for (name, addresses) in &provenance.upstream {
        let addresses: Vec<String> = addresses.iter().map(Address::short).collect();
        fields.add(&format!("upstream {name}"), addresses.join(" "));
    }
    fields.add("host", provenance.host.clone());
    if let Some(OnCluster { runner, node, address, queued_seconds }) = &provenance.on_cluster {
        fields.add("ran on", format!("{runner} node {address} ({node})"));
        fields.add("queued", duration(*queued_seconds));
    }
    fields.add("attempt", provenance.attempt.to_string());
    fields.add("published by", format!("tickbarn {}", provenance.tickbarn));
    fields.write(out)?;

    write_log(out, manifest.address, &store.log(manifest)?)
}

fn write_failure(out: &mut impl Write, address: Address, record: &FailureRecord, beside_entry: bool) -> Result<()> {
    if beside_entry {
        writeln!(out, "It was to be generated anew, and that failed")?;
    } else {
        write_place(out, &record.dataset, &record.instrument, record.interval)?;
    }
    let mut fields = Fields::default();
    if !beside_entry {
        fields.add("address", address.to_string());
    }
    fields.add("failed", clock_and_age(record.last));
    if record.count > 1 {
        fields.add("", format!("in {} loads since {}", thousands(record.count.into()), clock(record.first)));
    }
    fields.add("class", record.failure.class.to_string());
    fields.add("message", record.failure.message.clone());
    fields.add("attempts", record.attempts.to_string());
    fields.write(out)?;
    if !beside_entry {
        write_key(out, &record.key)?;
    }
    write_log(out, address, &record.failure.log)
}

fn write_place(out: &mut impl Write, dataset: &str, instrument: &Instrument, interval: Interval) -> io::Result<()> {
    writeln!(out, "{dataset}  {instrument}  {} UTC", span(interval))
}

/// Everything that makes the address, but for the place, which stands above.
fn write_key(out: &mut impl Write, key: &Value) -> Result<()> {
    writeln!(out, "\nKey")?;
    let mut fields = Fields::default();
    if let Value::Object(parts) = key {
        for (name, part) in parts {
            match (name.as_str(), part) {
                ("instrument" | "interval", _) => {}
                ("generator", Value::Object(generator)) => {
                    // What kind of generator and which one, before its details.
                    let rank = |name: &str| {
                        ["kind", "program", "name", "version", "arguments", "config"].iter().position(|known| *known == name).unwrap_or(usize::MAX)
                    };
                    let mut generator: Vec<_> = generator.iter().collect();
                    generator.sort_by_key(|(name, _)| rank(name));
                    generator.into_iter().for_each(|(name, value)| flatten(&mut fields, name, value));
                }
                _ => flatten(&mut fields, name, part),
            }
        }
    }
    fields.write(out)
}

/// A value as fields with dotted names, one for each leaf.
fn flatten(fields: &mut Fields, name: &str, value: &Value) {
    match value {
        Value::Object(parts) => parts.iter().for_each(|(part, value)| flatten(fields, &format!("{name}.{part}"), value)),
        Value::Array(items) if !items.is_empty() && items.iter().all(|item| matches!(item, Value::String(_))) => {
            let words = items.iter().filter_map(|item| if let Value::String(word) = item { Some(word.as_str()) } else { None });
            fields.add(name, command_line(words));
        }
        Value::Array(items) if items.iter().any(|item| matches!(item, Value::Object(_))) => {
            items.iter().enumerate().for_each(|(nth, item)| flatten(fields, &format!("{name}.{nth}"), item));
        }
        value => fields.add(name, leaf(value)),
    }
}

/// A value as it is told apart from others: a text in quotes only where it looks like something else.
fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && serde_json::from_str::<serde_json::Value>(text).is_err() => text.escape_debug().to_string(),
        value => value.canonical().unwrap_or_else(|error| error.to_string()),
    }
}

fn command_line<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(shell_word).collect::<Vec<_>>().join(" ")
}

fn write_log(out: &mut impl Write, address: Address, log: &Log) -> Result<()> {
    writeln!(out, "\nLog")?;
    let mut fields = Fields::default();
    let told = |stream: &LogText| {
        let last: String = stream.text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().escape_debug().collect();
        if stream.bytes == 0 { "nothing".to_owned() } else { format!("{}, ending in: {last}", size(stream.bytes)) }
    };
    fields.add("stdout", told(&log.stdout));
    fields.add("stderr", told(&log.stderr));
    if log.stdout.bytes + log.stderr.bytes > 0 {
        fields.add("all of it", format!("tickbarn logs {}", address.short()));
    }
    fields.write(out)
}

/// Names and values below each other; long values go on under where they began.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn add(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    fn write(&self, out: &mut impl Write) -> Result<()> {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let begin = INDENT + width + 2;
        for (name, value) in &self.0 {
            let room = terminal_columns().map(|columns| columns.saturating_sub(begin).max(20));
            for (nth, line) in wrapped(value, room).into_iter().enumerate() {
                let name = if nth == 0 { name.as_str() } else { "" };
                writeln!(out, "{:INDENT$}{name:width$}  {line}", "")?;
            }
        }
        Ok(())
    }
}
