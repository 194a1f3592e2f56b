//! `tickbarn pin`: what is to be kept, by a name.

mod args;
mod lines;

use std::collections::HashSet;
use std::io::Write;

use tickbarn::{Address, AddressPrefix, Digest, Interval, Listed, Pin, PinCover, Time};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{Grid, Paint, Side, age, counted, moment, painted, size, span, stdout, terminal_columns, thousands};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

pub(crate) use args::PinCommand;
use args::{PinAddArgs, PinLsArgs, PinRmArgs};
use lines::PinLine;

use crate::commands::instruments_of;

pub(crate) fn run(place: &Place, command: &PinCommand) -> Result<()> {
    match command {
        PinCommand::Add(args) => add(place, args),
        PinCommand::Ls(args) => list(place, args),
        PinCommand::Rm(args) => remove(place, args),
    }
}

fn add(place: &Place, args: &PinAddArgs) -> Result<()> {
    let PinAddArgs { name, datasets, instruments, start, end, addresses } = args;
    let pin = if addresses.is_empty() {
        let instruments = instruments_of(instruments)?;
        let time = |text: &Option<String>| text.as_ref().map(|text| text.parse::<Time>()).transpose();
        Some(Pin::range(name, datasets.iter().cloned(), instruments, time(start)?, time(end)?)?)
    } else {
        None
    };
    let store = place.open_store()?;
    let pin = match pin {
        Some(pin) => pin,
        None => {
            let found = addresses.iter().map(|digits| store.resolve(&digits.parse::<AddressPrefix>()?));
            Pin::addresses(name, found.collect::<Result<Vec<Address>, _>>()?)?
        }
    };
    store.pin(&pin)?;
    // Counted once it is there: what was collected until then is not told to be kept.
    let entries = store.entries()?;
    let covered = Covered::by(&[&pin], &entries);
    let mut out = stdout();
    writeln!(out, "pinned {}: {}", pin.name, cover_text(&pin.cover))?;
    match &pin.cover {
        _ if covered.entries > 0 => writeln!(out, "covers {}, {}", counted(covered.entries, "entry", "entries"), size(covered.bytes))?,
        PinCover::Addresses(_) => writeln!(out, "covers nothing: its entries are gone, and are kept once they are generated again")?,
        _ => writeln!(out, "covers nothing yet; it covers what is generated there later")?,
    }
    out.flush()?;
    warn_of_unknown_datasets(place, &pin, &entries);
    Ok(())
}

/// A dataset that nobody has heard of may be a slip, and its entries would not be kept.
fn warn_of_unknown_datasets(place: &Place, pin: &Pin, entries: &[Listed]) {
    let PinCover::Range { datasets, .. } = &pin.cover else { return };
    // The store may have been named without a dataset file.
    let file = place.datasets(&[]).ok();
    let defined = file.iter().flat_map(|file| file.datasets()).map(|dataset| dataset.name());
    let mut known: Vec<&str> = entries.iter().map(|listed| &*listed.dataset).chain(defined).collect();
    known.sort_unstable();
    known.dedup();
    for dataset in datasets.iter().filter(|dataset| !known.contains(&dataset.as_str())) {
        let warning = painted("warning:", Paint::Warning);
        let others = if known.is_empty() { String::new() } else { format!(" (known are {})", known.join(", ")) };
        say(&format!("{warning} no entry is of a dataset {dataset}, and no tickbarn.toml here defines it{others}"));
    }
}

/// What pins cover at this moment.
#[derive(Debug, Clone, Copy, Default)]
struct Covered {
    entries: usize,
    /// Of their tables, those that several entries share counted once.
    bytes: u64,
}

impl Covered {
    /// What any of these covers.
    fn by(pins: &[&Pin], entries: &[Listed]) -> Self {
        let mut covered = Self::default();
        let mut artifacts: HashSet<Digest> = HashSet::new();
        for Listed { dataset, instrument, interval, entry, .. } in entries {
            if !pins.iter().any(|pin| pin.covers(dataset, instrument, *interval, &entry.address)) {
                continue;
            }
            covered.entries += 1;
            covered.bytes += entry.outputs.iter().filter(|output| artifacts.insert(output.digest)).map(|output| output.bytes).sum::<u64>();
        }
        covered
    }
}

fn list(place: &Place, args: &PinLsArgs) -> Result<()> {
    let store = place.open_store()?;
    let pins = store.pins()?;
    // A store without pins need not be walked.
    let entries = if pins.is_empty() { Vec::new() } else { store.entries()? };
    let mut out = stdout();
    if args.json {
        for pin in &pins {
            let Covered { entries, bytes } = Covered::by(&[pin], &entries);
            write_line(&mut out, &PinLine::of(pin, entries, bytes))?;
        }
        out.flush()?;
    }
    if pins.is_empty() {
        say("nothing is pinned; `tickbarn pin add` pins");
    }
    if args.json || pins.is_empty() {
        return Ok(());
    }
    let columns = [("name", Side::Left), ("entries", Side::Right), ("size", Side::Right), ("age", Side::Right), ("covers", Side::Left)];
    let mut grid = Grid::headed(&columns);
    for pin in &pins {
        let covered = Covered::by(&[pin], &entries);
        grid.row([pin.name.clone(), thousands(covered.entries as u64), size(covered.bytes), age(pin.created), cover_text(&pin.cover)]);
    }
    grid.write(&mut out, terminal_columns())?;
    out.flush()?;
    let all = Covered::by(&pins.iter().collect::<Vec<_>>(), &entries);
    let (pins, entries) = (counted(pins.len(), "pin", "pins"), counted(all.entries, "entry", "entries"));
    say(&format!("{pins}, which cover {entries} in all, {}", size(all.bytes)));
    Ok(())
}

/// What a pin covers, in words: `md of binance/BTC-USDT, 2024-01-01 00:00 to 24:00`.
fn cover_text(cover: &PinCover) -> String {
    match cover {
        PinCover::Range { datasets, instruments, start, end } => {
            let datasets = some_of(datasets).unwrap_or_else(|| "all datasets".to_owned());
            let instruments = some_of(instruments).unwrap_or_else(|| "all instruments".to_owned());
            let times = match (start, end) {
                (Some(start), Some(end)) => Interval::new(*start, *end).map_or_else(|_| String::new(), |interval| format!(", {}", span(interval))),
                (Some(start), None) => format!(", from {} on", moment(*start)),
                (None, Some(end)) => format!(", until {}", moment(*end)),
                (None, None) => String::new(),
            };
            format!("{datasets} of {instruments}{times}")
        }
        PinCover::Addresses(addresses) => some_of(addresses.iter().map(Address::short)).unwrap_or_default(),
        _ => "what this tickbarn does not know".to_owned(),
    }
}

/// The first few of many, and how many more; nothing of none.
fn some_of<T: ToString>(all: impl IntoIterator<Item = T>) -> Option<String> {
    const SHOWN: usize = 4;
    let mut all = all.into_iter();
    let some: Vec<String> = all.by_ref().take(SHOWN).map(|one| one.to_string()).collect();
    let more = all.count();
    match some.len() {
        0 => None,
        _ if more > 0 => Some(format!("{} and {} more", some.join(", "), thousands(more as u64))),
        _ => Some(some.join(", ")),
    }
}

fn remove(place: &Place, args: &PinRmArgs) -> Result<()> {
    let store = place.open_store()?;
    let mut out = stdout();
    for name in &args.names {
        store.unpin(name)?;
        writeln!(out, "removed the pin {name}")?;
        // Told before the next one, which may not be there.
        out.flush()?;
    }
    Ok(())
}
