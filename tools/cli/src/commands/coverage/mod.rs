//! `tickbarn coverage`: what of an interval is there, and what is not.

mod args;
mod lines;
mod map;
mod picture;

use std::io::Write;

use tickbarn::inspect::{Coverage, CoverageOptions, Subject, Totals, coverage};
use tickbarn::{ClosedTimes, DatasetFile, Error, Instrument, Interval, Split};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{Grid, Side, counted, duration, ends, percent, span, stdout, terminal_columns};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

pub(crate) use args::CoverageArgs;
use lines::{CoverageLine, CoverageSummaryLine, GapRecord, gaps_of};
use map::Unit;

use crate::commands::{ends_of, instruments_of};

/// More gaps than this are told in number.
const GAPS_SHOWN: usize = 20;
/// The most cells of an instrument that a line of JSON holds.
const JSON_CELLS_MAX: usize = 100_000;
const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;

pub(crate) fn run(place: &Place, args: &CoverageArgs) -> Result<()> {
    let options = options_of(args)?;
    let by = args.by.as_deref().map(By::parse).transpose()?;
    // Settings need a file to lie over.
    let file = if args.settings.is_empty() { place.datasets_if_any()? } else { Some(place.datasets(&args.settings)?) };
    let store = place.open_store_of(file.as_ref())?;
    let subject = subject_of(&args.dataset, file.as_ref());
    let coverage = coverage(&store, subject, &options).map_err(|error| unknown(error, &args.dataset, file.as_ref()))?;

    let pictures = picture::asked_for(args, &store)?;
    tell_what_is_looked_at(&coverage, &options, file.as_ref());
    if !pictures.is_empty() {
        picture::write(&coverage, &pictures)
    } else if args.gaps {
        write_gaps(&coverage)
    } else if args.json {
        write_lines(&coverage, by)
    } else {
        write_map(&coverage, by)
    }
}

fn options_of(args: &CoverageArgs) -> Result<CoverageOptions> {
    let mut options = CoverageOptions::default();
    options.instruments = instruments_of(&args.instruments)?;
    (options.start, options.end) = ends_of(args.start.as_deref(), args.end.as_deref())?;
    options.closed = ClosedTimes::of(&args.closed)?;
    Ok(options)
}

fn subject_of<'a>(name: &'a str, file: Option<&'a DatasetFile>) -> Subject<'a> {
    match file.and_then(|file| file.dataset(name).ok()) {
        Some(dataset) => Subject::Defined(dataset),
        None => Subject::Named(name),
    }
}

/// Of a name that neither the store nor the file knows, the file says more: it has the names that were meant.
fn unknown(error: Error, name: &str, file: Option<&DatasetFile>) -> Failure {
    match (&error, file.map(|file| file.dataset(name))) {
        (Error::NothingHeld { closest: None, .. }, Some(Err(of_file))) => of_file.into(),
        _ => error.into(),
    }
}

/// What one cell stands for.
#[derive(Clone, Copy)]
enum By {
    Partition,
    Every(i64),
}

impl By {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "partition" => By::Partition,
            "hour" => By::Every(HOUR_NS),
            "day" => By::Every(DAY_NS),
            "week" => By::Every(7 * DAY_NS),
            length => {
                let usage = |error| Failure::Usage(format!("--by: {error}\n  or one of partition, hour, day, week"));
                By::Every(Split::every(length).map_err(usage)?.every_ns())
            }
        })
    }

    fn unit(self, coverage: &Coverage) -> Result<Unit> {
        let unit = |ns, one: &str, many: &str| Unit { ns, one: one.to_owned(), many: many.to_owned() };
        Ok(match (self, coverage.split) {
            (By::Every(HOUR_NS), _) => unit(HOUR_NS, "an hour", "hours"),
            (By::Every(DAY_NS), _) => unit(DAY_NS, "a day", "days"),
            (By::Every(ns), _) if ns == 7 * DAY_NS => unit(ns, "a week", "weeks"),
            (By::Every(ns), _) => unit(ns, &length(ns.unsigned_abs().into()), &format!("times {}", length(ns.unsigned_abs().into()))),
            (By::Partition, Some(split)) => unit(split.every_ns(), &format!("a partition of {split}"), &format!("partitions of {split}")),
            (By::Partition, None) => {
                let dataset = &coverage.dataset;
                let problem = format!("--by partition: no tickbarn.toml says how {dataset} is cut\n  name a length, such as --by 12h");
                return Err(Failure::Usage(problem));
            }
        })
    }

    fn default_of(coverage: &Coverage) -> Self {
        let days = coverage.interval.end().ns().abs_diff(coverage.interval.start().ns()) / DAY_NS.unsigned_abs();
        match coverage.split {
            _ if days >= 3 => By::Every(DAY_NS),
            Some(_) => By::Partition,
            None => By::Every(HOUR_NS),
        }
    }
}

/// How long something is, in its greatest units.
fn length(ns: u128) -> String {
    const DAY: u128 = DAY_NS as u128;
    match ns {
        0 => "-".to_owned(),
        ns if ns >= 2 * DAY => match ns % DAY / HOUR_NS as u128 {
            0 => format!("{}d", ns / DAY),
            hours => format!("{}d {hours:02}h", ns / DAY),
        },
        ns => duration(ns as f64 / 1e9),
    }
}

/// What was taken where nothing was said, and what does not count.
fn tell_what_is_looked_at(coverage: &Coverage, options: &CoverageOptions, file: Option<&DatasetFile>) {
    let name = &coverage.dataset;
    match (file, &coverage.generator) {
        (Some(file), Some(_)) => say(&format!("{name} as {} defines it now", file.path().display())),
        (Some(file), None) => say(&format!("{} defines no dataset {name}: everything that the store holds under that name", file.path().display())),
        (None, _) => say(&format!("without a tickbarn.toml: everything that the store holds under the name {name}")),
    }
    if options.start.is_none() || options.end.is_none() {
        say(&format!("from the first to the last that the store knows: {} UTC", span(coverage.interval)));
    }
    if coverage.cut_at_present {
        say(&format!("what is not over yet is left out: it ends at {} UTC", tickbarn_terminal::output::moment(coverage.interval.end())));
    }
    for one in coverage.instruments.iter().filter(|one| !one.is_known) {
        let meant = one.nearest.as_ref().map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default();
        say(&format!("the store knows nothing of {name} {}{meant}", one.instrument));
    }
    if coverage.elsewhere > 0 {
        let there = if coverage.elsewhere == 1 { "is" } else { "are" };
        let entries = counted(coverage.elsewhere, "partition", "partitions");
        say(&format!("{entries} of {name} {there} there under another configuration or program: `tickbarn why` says more"));
    }
}

fn write_gaps(coverage: &Coverage) -> Result<()> {
    let gaps = coverage.gaps();
    let mut out = stdout();
    writeln!(out, "[")?;
    for (nth, (instrument, gap)) in gaps.iter().enumerate() {
        let comma = if nth + 1 < gaps.len() { "," } else { "" };
        writeln!(out, "  {}{comma}", serde_json::to_string(&GapRecord::of(instrument, *gap)).map_err(std::io::Error::from)?)?;
    }
    writeln!(out, "]")?;
    out.flush()?;
    if gaps.is_empty() {
        say("there are no gaps, so there is nothing to load");
    }
    Ok(())
}

fn write_lines(coverage: &Coverage, by: Option<By>) -> Result<()> {
    let cells = match by {
        Some(by) => Some(map::cells(coverage.interval, by.unit(coverage)?.ns, JSON_CELLS_MAX).0),
        None => None,
    };
    let mut out = stdout();
    for one in &coverage.instruments {
        write_line(&mut out, &CoverageLine::of(coverage, one, cells.as_deref()))?;
    }
    write_line(&mut out, &CoverageSummaryLine::of(coverage))?;
    Ok(out.flush()?)
}

fn write_map(coverage: &Coverage, by: Option<By>) -> Result<()> {
    let unit = by.unwrap_or_else(|| By::default_of(coverage)).unit(coverage)?;
    let columns = terminal_columns();
    let mut out = stdout();
    map::write(&mut out, coverage, columns, &unit)?;
    writeln!(out)?;
    write_totals(&mut out, coverage)?;
    write_gap_table(&mut out, coverage, columns)?;
    Ok(out.flush()?)
}

fn write_totals(out: &mut impl Write, coverage: &Coverage) -> Result<()> {
    let totals = coverage.totals();
    let Totals { have_ns, empty_ns, failed_ns, missing_ns, closed_ns, .. } = totals;
    let mut grid = Grid::headed(&[("", Side::Left), ("share", Side::Right), ("time", Side::Right)]);
    for (name, ns) in [("have", have_ns), ("empty", empty_ns), ("failed", failed_ns), ("missing", missing_ns)] {
        grid.row([name.to_owned(), totals.share(ns).map_or_else(|| "-".to_owned(), percent), length(ns)]);
    }
    if closed_ns > 0 {
        grid.row(["closed".to_owned(), String::new(), length(closed_ns)]);
    }
    grid.write(out, None)?;
    let entries = coverage.instruments.iter().map(|one| one.entries).sum();
    let empty: usize = coverage.instruments.iter().map(|one| one.empty_entries).sum();
    let instruments = counted(coverage.instruments.len(), "instrument", "instruments");
    writeln!(out, "{} of {instruments}, {empty} of them empty", counted(entries, "partition", "partitions"))?;
    Ok(())
}

fn write_gap_table(out: &mut impl Write, coverage: &Coverage, columns: Option<usize>) -> Result<()> {
    let gaps: Vec<(&Instrument, Interval, &str)> =
        coverage.instruments.iter().flat_map(|one| gaps_of(one).into_iter().map(|(gap, state)| (&one.instrument, gap, state))).collect();
    if gaps.is_empty() {
        writeln!(out, "no gaps")?;
        return Ok(());
    }
    writeln!(out)?;
    let headings = [("gap", Side::Left), ("start (UTC)", Side::Left), ("end", Side::Left), ("length", Side::Right), ("instrument", Side::Left)];
    let mut grid = Grid::headed(&headings);
    for (instrument, gap, state) in gaps.iter().take(GAPS_SHOWN) {
        let (start, end) = ends(*gap);
        let length = length(gap.end().ns().abs_diff(gap.start().ns()).into());
        grid.row([(*state).to_owned(), start, end, length, instrument.to_string()]);
    }
    grid.write(out, columns)?;
    if gaps.len() > GAPS_SHOWN {
        writeln!(out, "and {} more; --gaps and --json have all of them", counted(gaps.len() - GAPS_SHOWN, "gap", "gaps"))?;
    }
    Ok(())
}
