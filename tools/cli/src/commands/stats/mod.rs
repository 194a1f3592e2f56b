//! `tickbarn stats`: what the store holds, what sharing saves, and how useful it was of late.

mod args;
mod lines;

use std::io::{self, Write};

use tickbarn::inspect::{self, Holding, RecentLoad, Survey};
use tickbarn::{Store, Time};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{Grid, Side, clock, counted, duration, size, stdout, terminal_columns, thousands};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

use args::By;
pub(crate) use args::StatsArgs;
use lines::{DatasetLine, HoldingFields, InstrumentLine, LoadsLine, TotalLine};

/// The columns that a terminal too narrow for all does without, counted from the end, the first to go first.
const SPARED_FROM_END: [usize; 2] = [5, 4];

pub(crate) fn run(place: &Place, args: &StatsArgs) -> Result<()> {
    let since = args.since.as_ref().map(|text| text.parse::<Time>()).transpose()?;
    let store = place.open_store()?;
    let survey = inspect::survey(&store)?;
    let loads = Loads::of(&wanted(inspect::recent_loads(&store)?, args.last, since));
    if args.json {
        return write_json(&survey, &loads, args.by);
    }
    let mut out = stdout();
    if survey.total.entries > 0 {
        grid(&survey, args.by).write(&mut out, None)?;
        writeln!(out)?;
    }
    loads.write(&mut out, since)?;
    out.flush()?;
    remark(&store, &survey, args.by);
    Ok(())
}

/// The loads that are asked for: the last ones, those since a time, or all.
fn wanted(mut loads: Vec<RecentLoad>, last: Option<u32>, since: Option<Time>) -> Vec<RecentLoad> {
    loads.retain(|load| since.is_none_or(|since| load.at >= since));
    let first = last.map_or(0, |last| loads.len().saturating_sub(last as usize));
    loads.split_off(first)
}

fn grid(survey: &Survey, by: By) -> Grid {
    let mut columns = vec![("dataset", Side::Left)];
    if by == By::Instrument {
        columns.push(("instrument", Side::Left));
    }
    columns.extend(["entries", "empty", "artifacts", "size", "saved", "generated in"].map(|name| (name, Side::Right)));
    let names = columns.len() - 6;
    let mut grid = Grid::headed(&columns);
    let mut row = |names: Vec<String>, holding: &Holding| {
        let Holding { entries, empty, artifacts, bytes, seconds, .. } = *holding;
        let sums = [thousands(entries), thousands(empty), thousands(artifacts), size(bytes), size(holding.bytes_saved()), duration(seconds)];
        grid.row(names.into_iter().chain(sums));
    };
    match by {
        By::Instrument => survey.places.iter().for_each(|held| row(vec![held.dataset.to_string(), held.instrument.to_string()], &held.holding)),
        By::Dataset => survey.datasets.iter().for_each(|held| row(vec![held.dataset.to_string()], &held.holding)),
    }
    row([vec!["total".to_owned()], vec![String::new(); names - 1]].concat(), &survey.total);
    for from_end in SPARED_FROM_END {
        if terminal_columns().is_some_and(|room| grid.width() > room) {
            grid.drop_column(columns.len() - from_end);
        }
    }
    grid
}

fn write_json(survey: &Survey, loads: &Loads, by: By) -> Result<()> {
    let mut out = stdout();
    let holding = HoldingFields::of;
    match by {
        By::Instrument => survey.places.iter().try_for_each(|held| {
            write_line(&mut out, &InstrumentLine { dataset: &held.dataset, instrument: &held.instrument, holding: holding(&held.holding) })
        })?,
        By::Dataset => survey
            .datasets
            .iter()
            .try_for_each(|held| write_line(&mut out, &DatasetLine { dataset: &held.dataset, holding: holding(&held.holding) }))?,
    }
    write_line(&mut out, &LoadsLine::of(loads))?;
    write_line(&mut out, &TotalLine { holding: holding(&survey.total) })?;
    Ok(out.flush()?)
}

/// What is to be known to read the table.
fn remark(store: &Store, survey: &Survey, by: By) {
    if survey.total.entries == 0 {
        say(&format!("{} holds no entries yet; `tickbarn load` fills it", store.path().display()));
        return;
    }
    let of_lines: u64 = match by {
        By::Instrument => survey.places.iter().map(|held| held.holding.bytes).sum(),
        By::Dataset => survey.datasets.iter().map(|held| held.holding.bytes).sum(),
    };
    if of_lines > survey.total.bytes {
        say(&format!("{} are shared between lines: they are in each of them, and once in the total", size(of_lines - survey.total.bytes)));
    }
}

/// What recent loads found, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Loads {
    count: usize,
    since: Option<Time>,
    hits: u64,
    generated: u64,
    missing: u64,
    failed: u64,
    unfinished: u64,
}

impl Loads {
    fn of(loads: &[RecentLoad]) -> Self {
        let mut sum = Self { count: loads.len(), since: loads.first().map(|load| load.at), ..Self::default() };
        for RecentLoad { hits, generated, missing, failed, unfinished, .. } in loads {
            sum.hits += u64::from(*hits);
            sum.generated += u64::from(*generated);
            sum.missing += u64::from(*missing);
            sum.failed += u64::from(*failed);
            sum.unfinished += u64::from(*unfinished);
        }
        sum
    }

    fn misses(&self) -> u64 {
        self.generated + self.missing + self.failed + self.unfinished
    }

    fn write(&self, out: &mut impl Write, asked_since: Option<Time>) -> io::Result<()> {
        let (hits, misses) = (self.hits, self.misses());
        let Some(since) = self.since else {
            let since = asked_since.map(|since| format!(" since {}", clock(since))).unwrap_or_default();
            return writeln!(out, "Recent loads: none is remembered{since}");
        };
        writeln!(out, "Recent loads: {} since {}", thousands(self.count as u64), clock(since))?;
        let percent = if hits + misses == 0 { 0.0 } else { 100.0 * hits as f64 / (hits + misses) as f64 };
        let number = |number: u64, one, many| counted(usize::try_from(number).unwrap_or(usize::MAX), one, many);
        writeln!(out, "  {} and {} ({percent:.2}% hits)", number(hits, "hit", "hits"), number(misses, "miss", "misses"))?;
        let kinds = [(self.generated, "generated"), (self.missing, "missing"), (self.failed, "failed"), (self.unfinished, "unfinished")];
        let kinds: Vec<String> = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{} {kind}", thousands(*count))).collect();
        if kinds.is_empty() { Ok(()) } else { writeln!(out, "  of the misses, {}", kinds.join(", ")) }
    }
}
