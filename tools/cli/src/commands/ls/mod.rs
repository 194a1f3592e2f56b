//! `tickbarn ls`: what is in the store, or what failed.

mod args;
mod lines;

use std::io::Write;

use tickbarn::{EntryFilter, FailureRecord, Listed, Store};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{Grid, Side, age, counted, ends, size, stdout, terminal_columns, thousands};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

pub(crate) use args::LsArgs;
use lines::{EntryLine, FailureLine};

use crate::commands::{ends_of, instruments_of};

/// The column that a terminal too narrow for all does without.
const AGE_COLUMN: usize = 6;

pub(crate) fn run(place: &Place, args: &LsArgs) -> Result<()> {
    let filter = filter_of(args)?;
    let store = place.open_store()?;
    if args.failed { list_failures(&store, &filter, args.json) } else { list_entries(&store, &filter, args.json) }
}

fn filter_of(args: &LsArgs) -> Result<EntryFilter> {
    let mut filter = EntryFilter::default();
    filter.datasets.clone_from(&args.datasets);
    filter.instruments = instruments_of(&args.instruments)?;
    (filter.start, filter.end) = ends_of(args.start.as_deref(), args.end.as_deref())?;
    Ok(filter)
}

fn list_entries(store: &Store, filter: &EntryFilter, json: bool) -> Result<()> {
    let entries = store.entries_in(filter)?;
    let mut out = stdout();
    if json {
        for listed in &entries {
            write_line(&mut out, &EntryLine::of(listed))?;
        }
        out.flush()?;
    }
    if entries.is_empty() {
        say_what_there_is(store)?;
    }
    if json || entries.is_empty() {
        return Ok(());
    }

    let columns = [
        ("dataset", Side::Left),
        ("instrument", Side::Left),
        ("start (UTC)", Side::Left),
        ("end", Side::Left),
        ("rows", Side::Right),
        ("size", Side::Right),
        ("age", Side::Right),
        ("address", Side::Left),
    ];
    let mut grid = Grid::headed(&columns);
    let (mut rows_sum, mut bytes_sum) = (0, 0);
    for Listed { dataset, instrument, interval, entry, .. } in &entries {
        let rows: u64 = entry.outputs.iter().map(|output| output.rows).sum();
        let bytes: u64 = entry.outputs.iter().map(|output| output.bytes).sum();
        rows_sum += rows;
        bytes_sum += bytes;
        let (start, end) = ends(*interval);
        let rows = if entry.empty.is_some() { "empty".to_owned() } else { thousands(rows) };
        grid.row([dataset.to_string(), instrument.to_string(), start, end, rows, size(bytes), age(entry.started), entry.address.short()]);
    }
    let columns = terminal_columns();
    if columns.is_some_and(|columns| grid.width() > columns) {
        grid.drop_column(AGE_COLUMN);
    }
    // Never cut: the address is last.
    grid.write(&mut out, None)?;
    out.flush()?;
    say(&format!("{}, {} rows, {}", counted(entries.len(), "entry", "entries"), thousands(rows_sum), size(bytes_sum)));
    Ok(())
}

/// Instead of a listing that has nothing to show.
fn say_what_there_is(store: &Store) -> Result<()> {
    let all = store.entries()?;
    if all.is_empty() {
        say(&format!("{} holds no entries yet; `tickbarn load` fills it", store.path().display()));
        return Ok(());
    }
    let mut datasets: Vec<&str> = all.iter().map(|listed| &*listed.dataset).collect();
    datasets.dedup();
    say(&format!("none of {} matches; the store holds the datasets {}", counted(all.len(), "entry", "entries"), datasets.join(", ")));
    Ok(())
}

fn list_failures(store: &Store, filter: &EntryFilter, json: bool) -> Result<()> {
    let mut failures = store.failures()?;
    failures.retain(|record| filter.takes(&record.dataset, &record.instrument, record.interval));
    let place = |record: &FailureRecord| (record.dataset.clone(), record.instrument.clone(), record.interval, record.address);
    failures.sort_by_key(place);
    let mut out = stdout();
    if json {
        for record in &failures {
            write_line(&mut out, &FailureLine::of(record))?;
        }
        out.flush()?;
    }
    if failures.is_empty() {
        say("no failures are recorded");
    }
    if json || failures.is_empty() {
        return Ok(());
    }

    let columns = [
        ("dataset", Side::Left),
        ("instrument", Side::Left),
        ("start (UTC)", Side::Left),
        ("end", Side::Left),
        ("last", Side::Right),
        ("times", Side::Right),
        ("address", Side::Left),
        ("class", Side::Left),
        ("message", Side::Left),
    ];
    let mut grid = Grid::headed(&columns);
    for record in &failures {
        let (start, end) = ends(record.interval);
        grid.row([
            record.dataset.clone(),
            record.instrument.to_string(),
            start,
            end,
            age(record.last),
            record.count.to_string(),
            record.address.short(),
            record.failure.class.to_string(),
            record.failure.message.clone(),
        ]);
    }
    grid.write(&mut out, terminal_columns())?;
    out.flush()?;
    say(&format!("{}; `tickbarn logs ADDRESS` shows what a generator wrote", counted(failures.len(), "failure", "failures")));
    Ok(())
}
