//! `tickbarn du`: where the store's bytes lie on its disk.

mod args;
mod lines;

use std::io::Write;

use tickbarn::inspect::{self, Extent, Space};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{Grid, Side, counted, size, stdout, terminal_columns, thousands};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

pub(crate) use args::DuArgs;
use lines::Line;

/// The column of the second table that a terminal too narrow for all does without.
const FILES_COLUMN: usize = 3;

pub(crate) fn run(place: &Place, args: &DuArgs) -> Result<()> {
    let store = place.open_store()?;
    let space = inspect::space(&store)?;
    let mut out = stdout();
    if args.json {
        lines(&space).iter().try_for_each(|line| write_line(&mut out, line))?;
    } else {
        parts(&space).write(&mut out, None)?;
        if !space.places.is_empty() {
            writeln!(out)?;
            places(&space).write(&mut out, None)?;
        }
    }
    out.flush()?;
    if let Some(first) = space.closed.first() {
        let count = counted(space.closed.len(), "directory", "directories");
        say(&format!("{count} could not be looked into, such as {}: what is in there is not counted", first.display()));
    }
    Ok(())
}

fn lines(space: &Space) -> Vec<Line<'_>> {
    let parts = space.parts.iter().map(|part| Line::Part { part: part.part, extent: part.extent.into() });
    let places = space.places.iter().map(|place| Line::Instrument {
        dataset: &place.dataset,
        instrument: &place.instrument,
        entries: place.entries,
        extent: place.extent.into(),
    });
    let rest = [
        Line::Shared { extent: space.shared.into() },
        Line::Unnamed { extent: space.unnamed.into() },
        Line::Total { extent: space.total.into(), closed: space.closed.len() },
    ];
    parts.chain(places).chain(rest).collect()
}

fn cells(Extent { files, bytes, disk_bytes, .. }: Extent) -> [String; 3] {
    [thousands(files), size(bytes), size(disk_bytes)]
}

fn parts(space: &Space) -> Grid {
    let mut grid = Grid::headed(&[("part", Side::Left), ("files", Side::Right), ("length", Side::Right), ("on disk", Side::Right)]);
    for part in &space.parts {
        grid.row([part.part.to_owned()].into_iter().chain(cells(part.extent)));
    }
    grid.row(["total".to_owned()].into_iter().chain(cells(space.total)));
    grid
}

/// Entries and artifacts by whose they are; what is added up at the end is a part of the table above.
fn places(space: &Space) -> Grid {
    let columns = [
        ("dataset", Side::Left),
        ("instrument", Side::Left),
        ("entries", Side::Right),
        ("files", Side::Right),
        ("length", Side::Right),
        ("on disk", Side::Right),
    ];
    let mut grid = Grid::headed(&columns);
    let mut sum = (0, Extent::default());
    let mut row = |names: [String; 2], entries: Option<u64>, extent: Extent| {
        sum.0 += entries.unwrap_or(0);
        sum.1.files += extent.files;
        sum.1.bytes += extent.bytes;
        sum.1.disk_bytes += extent.disk_bytes;
        grid.row(names.into_iter().chain([entries.map(thousands).unwrap_or_default()]).chain(cells(extent)));
    };
    for place in &space.places {
        row([place.dataset.to_string(), place.instrument.to_string()], Some(place.entries), place.extent);
    }
    for (what, extent) in [("(of several)", space.shared), ("(of no entry)", space.unnamed)] {
        if extent.files > 0 {
            row([what.to_owned(), String::new()], None, extent);
        }
    }
    grid.row(["total".to_owned(), String::new(), thousands(sum.0)].into_iter().chain(cells(sum.1)));
    if terminal_columns().is_some_and(|room| grid.width() > room) {
        grid.drop_column(FILES_COLUMN);
    }
    grid
}
