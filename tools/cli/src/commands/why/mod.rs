//! `tickbarn why`: why a partition is, or would be, generated.

mod args;
mod lines;

use std::io::{self, Write};

use tickbarn::inspect::{self, Compared, ComparedAddress, Difference, Generated, MissingUpstream, Neighbour, Standing, Why};
use tickbarn::{Address, AddressPrefix, Dataset, FailureRecord, Instrument, Interval, Store, Time};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{clock, clock_and_age, counted, duration, shell_word, span, stdout, terminal_columns, wrapped};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

pub(crate) use args::WhyArgs;
pub(crate) use lines::DifferenceText;
use lines::{ComparisonLine, WhyLine};

/// How far what belongs to a heading stands in.
const INDENT: usize = 2;
/// So many upstream partitions that are missing are named.
const MISSING_SHOWN: usize = 5;
/// So many of the nearest are told in full: programs are told of all that the library gives.
const NEAREST_SHOWN: usize = 2;

pub(crate) fn run(place: &Place, args: &WhyArgs) -> Result<()> {
    let names_partition = args.instrument.is_some() || args.start.is_some() || !args.settings.is_empty();
    let mut out = stdout();
    match &args.what[..] {
        [name] if names_partition => {
            let why = of_partition(place, args, name)?;
            write_why(&mut out, args, &why, Some(name))?;
        }
        [digits] => {
            let store = place.open_store()?;
            let why = inspect::why_entry(&store, &address(&store, digits)?)?;
            write_why(&mut out, args, &why, None)?;
        }
        [_, _] if names_partition => {
            return Err(Failure::Usage(
                "two addresses are compared as they are\n  leave --instrument, --start and --set out, or one of the two".to_owned(),
            ));
        }
        [before, after] => {
            let store = place.open_store()?;
            let compared = inspect::compare(&store, &address(&store, before)?, &address(&store, after)?)?;
            if args.json { write_line(&mut out, &ComparisonLine::of(&compared))? } else { write_comparison(&mut out, &compared)? }
        }
        _ => unreachable!("one or two are taken"),
    }
    Ok(out.flush()?)
}

/// The one entry or failure that begins with these digits.
fn address(store: &Store, digits: &str) -> Result<Address> {
    let prefix: AddressPrefix = digits.parse().map_err(|error| match error {
        tickbarn::Error::InvalidAddress { text } => {
            let name = shell_word(digits);
            Failure::Usage(format!(
                "{text:?} is no address\n  of a dataset, say which partition: tickbarn why {name} --instrument MARKET/PAIR --start TIME\n  `tickbarn ls` lists addresses"
            ))
        }
        error => error.into(),
    })?;
    Ok(store.resolve_any(&prefix)?)
}

fn of_partition(place: &Place, args: &WhyArgs, name: &str) -> Result<Why> {
    let (Some(instrument), Some(start)) = (&args.instrument, &args.start) else {
        let missing = if args.instrument.is_none() { "--instrument MARKET/PAIR" } else { "--start TIME" };
        return Err(Failure::Usage(format!("which partition of {name} is meant?\n  give {missing}, too")));
    };
    let file = place.datasets(&args.settings)?;
    let dataset = file.dataset(name)?;
    let instrument: Instrument = instrument.parse()?;
    let interval = interval(dataset, start, args.end.as_deref())?;
    let store = Store::open_existing(place.store_of(&file)?)?.with_options(file.store_options());
    Ok(inspect::why(&store, dataset, &instrument, interval)?)
}

fn interval(dataset: &Dataset, start: &str, end: Option<&str>) -> Result<Interval> {
    let Some(end) = end else { return Ok(dataset.split().cell_at(start.parse()?)?) };
    let partitions = dataset.split().partitions(Interval::parse(start, end)?)?;
    if partitions.len() > 1 {
        say(&format!("that interval has {}; this is about the first", counted(partitions.len(), "partition", "partitions")));
    }
    partitions.first().copied().ok_or_else(|| Failure::Usage("that interval has no partition".to_owned()))
}

/// `dataset` is the name that was asked for, where a partition was.
fn write_why(out: &mut impl Write, args: &WhyArgs, why: &Why, dataset: Option<&str>) -> Result<()> {
    if args.json {
        return Ok(write_line(out, &WhyLine::of(why))?);
    }
    let Why { dataset: named, instrument, interval, address, standing, failure, nearest, others, .. } = why;
    writeln!(out, "{}", heading(named, instrument, *interval, *address))?;
    let was_asked = dataset.is_some();
    for line in standing_in_words(why, was_asked) {
        item(out, INDENT, &line)?;
    }
    if let Some(record) = failure {
        item(out, INDENT, &failed(record, matches!(standing, Standing::Usable(_) | Standing::Unusable { .. })))?;
        item(out, INDENT, &format!("`tickbarn logs {}` shows what its generator wrote", record.address.short()))?;
    }
    if was_asked && interval.end() > Time::now() {
        item(out, INDENT, "it ends in the future: loads refuse it, but with --allow-future")?;
    }
    for neighbour in nearest.iter().take(NEAREST_SHOWN) {
        write_neighbour(out, why, neighbour)?;
    }
    let others = others + nearest.len().saturating_sub(NEAREST_SHOWN);
    if others > 0 {
        let (dataset, instrument) = (shell_word(named), instrument.to_string());
        let list = format!("tickbarn ls -d {dataset} -i {} --start {} --end {}", shell_word(&instrument), interval.start(), interval.end());
        writeln!(out, "\n{} at the same place: `{list}`", counted(others, "more entry", "more entries"))?;
    }
    Ok(())
}

fn heading(dataset: &str, instrument: &Instrument, interval: Interval, address: Option<Address>) -> String {
    let address = address.map(|address| format!("  {}", address.short())).unwrap_or_default();
    format!("{dataset}  {instrument}  {} UTC{address}", span(interval))
}

fn standing_in_words(why: &Why, was_asked: bool) -> Vec<String> {
    let would = |what: &str| if was_asked { format!("; {what}") } else { String::new() };
    match &why.standing {
        Standing::Usable(generated) => {
            let empty = if generated.empty.is_some() { ", without data, as its generator said" } else { "" };
            vec![format!("is in the store since {}{empty}{}", since(generated), would("would not be generated"))]
        }
        Standing::Unusable { generated, reason } => {
            let made = generated.as_ref().map(|generated| format!(" since {}", since(generated))).unwrap_or_default();
            vec![format!("is in the store{made}, and counts as missing: {reason}{}", would("would be generated"))]
        }
        Standing::Blocked { missing } => {
            let mut lines = vec!["has no address yet, since its upstream is missing:".to_owned()];
            lines.extend(missing.iter().take(MISSING_SHOWN).map(missing_in_words));
            if missing.len() > MISSING_SHOWN {
                lines.push(format!("  … and {} more", missing.len() - MISSING_SHOWN));
            }
            lines.push("a load would generate that first, and then this".to_owned());
            lines
        }
        _ if why.failure.is_some() => Vec::new(),
        _ if !why.nearest.is_empty() => vec![format!("is not in the store under this key{}", would("would be generated"))],
        _ => vec![format!("never generated{}", would("would be generated"))],
    }
}

/// `2026-11-22 13:40:07 UTC (5m ago), generated in 0.11 s`.
fn since(generated: &Generated) -> String {
    format!("{}, generated in {}", clock_and_age(generated.finished()), duration(generated.seconds))
}

fn missing_in_words(missing: &MissingUpstream) -> String {
    let MissingUpstream { dataset, instrument, interval, reason, .. } = missing;
    let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("  {dataset} {instrument} {}{reason}", span(*interval))
}

fn failed(record: &FailureRecord, anew: bool) -> String {
    let anew = if anew { "was to be generated anew, and that " } else { "" };
    let times = match record.count {
        1 => "failed once".to_owned(),
        count => format!("failed {count} times"),
    };
    format!("{anew}{times}: {}, last at {}", record.failure, clock(record.last))
}

fn write_neighbour(out: &mut impl Write, why: &Why, neighbour: &Neighbour) -> io::Result<()> {
    let Neighbour { address, interval, generated, differences, .. } = neighbour;
    let elsewhere = if *interval == why.interval { String::new() } else { format!(" for {}", span(*interval)) };
    let partial = if matches!(why.standing, Standing::Blocked { .. }) { ", as far as that is known" } else { "" };
    let is_later = match &why.standing {
        Standing::Usable(own) | Standing::Unusable { generated: Some(own), .. } => generated.started > own.started,
        _ => false,
    };
    let later = if is_later { " later," } else { "" };
    writeln!(out, "\n{} was generated{elsewhere}{later} at {}; in the key{partial}:", address.short(), clock_and_age(generated.started))?;
    if differences.is_empty() {
        return item(out, INDENT, "nothing differs");
    }
    write_differences(out, differences, INDENT)
}

fn write_differences(out: &mut impl Write, differences: &[Difference], indent: usize) -> io::Result<()> {
    for difference in differences {
        item(out, indent, &difference.words)?;
        if !difference.because.is_empty() {
            item(out, indent + INDENT, "since of that upstream")?;
            write_differences(out, &difference.because, indent + 2 * INDENT)?;
        }
    }
    Ok(())
}

fn write_comparison(out: &mut impl Write, compared: &Compared) -> Result<()> {
    let Compared { before, after, differences, .. } = compared;
    for (mark, subject) in [("from", before), ("to", after)] {
        let ComparedAddress { address, dataset, instrument, interval, generated, failure, .. } = subject;
        writeln!(out, "{mark:<4}  {}", heading(dataset, instrument, *interval, Some(*address)))?;
        if let Some(generated) = generated {
            item(out, 6, &format!("is in the store since {}", since(generated)))?;
        }
        if let Some(record) = failure {
            item(out, 6, &failed(record, generated.is_some()))?;
        }
    }
    if differences.is_empty() {
        writeln!(out, "\nTheir keys are the same: they are one")?;
        return Ok(());
    }
    writeln!(out, "\nIn the key:")?;
    Ok(write_differences(out, differences, INDENT)?)
}

/// A line that stands in, and goes on below where it is long.
fn item(out: &mut impl Write, indent: usize, text: &str) -> io::Result<()> {
    let room = terminal_columns().map(|columns| columns.saturating_sub(indent + INDENT).max(20));
    let lead = text.len() - text.trim_start().len();
    for (nth, line) in wrapped(text.trim_start(), room).into_iter().enumerate() {
        let indent = indent + lead + if nth == 0 { 0 } else { INDENT };
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}
