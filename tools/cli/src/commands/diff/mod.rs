//! `tickbarn diff`: whether two entries hold the same, and where they first differ.

mod args;
mod compare;
mod lines;
mod values;

use std::collections::BTreeSet;
use std::io::{self, Write};

use tickbarn::{Manifest, OutputManifest, Store};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{Grid, Side, counted, cut, span, stdout, terminal_columns, thousands};
use tickbarn_terminal::records::write_line;

pub(crate) use args::DiffArgs;
use compare::{Difference, compare};
use lines::{OutputLine, SummaryLine};

use crate::commands::table::{TableFile, Types};
use crate::commands::{Found, find};

/// So many columns of a row are shown, and so many differences of columns.
const SHOWN_MAX: usize = 20;
const VALUE_COLUMNS_MAX: usize = 60;

pub(crate) fn run(place: &Place, args: &DiffArgs) -> Result<()> {
    match differ(place, args) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Different),
        Err(failure) => Err(Failure::NotCompared(Box::new(failure))),
    }
}

/// Says what differs, and whether nothing does.
fn differ(place: &Place, args: &DiffArgs) -> Result<bool> {
    let store = place.open_store()?;
    let (left, right) = (entry(find(&store, &args.left)?)?, entry(find(&store, &args.right)?)?);
    let outputs = outputs(&left, &right, &args.outputs)?;
    let mut out = stdout();
    if !args.json {
        for (sign, entry) in [("-", &left), ("+", &right)] {
            let place = format!("{} {} {}", entry.dataset, entry.instrument(), span(entry.interval()));
            writeln!(out, "{sign} {}  {place}", entry.address.short())?;
        }
    }
    let mut same = true;
    for name in outputs {
        let pair = Pair { name, left: left.outputs.get(name), right: right.outputs.get(name) };
        let compared = pair.compare(&store)?;
        same &= compared.is_same();
        if args.json { write_line(&mut out, &pair.line(&compared))? } else { pair.write(&mut out, &compared)? }
    }
    if args.json {
        write_line(&mut out, &SummaryLine { addresses: [left.address, right.address], same })?;
    } else if left.outputs.is_empty() && right.outputs.is_empty() {
        writeln!(out, "both have no data")?;
    }
    out.flush()?;
    Ok(same)
}

fn entry(found: Found) -> Result<Manifest> {
    let short = found.address.short();
    found.entry.ok_or_else(|| Failure::World(format!("{short} failed and has nothing to compare\n  tickbarn logs {short}")))
}

/// The names of the outputs that either has, or of those that are asked for.
fn outputs<'a>(left: &'a Manifest, right: &'a Manifest, wanted: &'a [String]) -> Result<BTreeSet<&'a str>> {
    let all: BTreeSet<&str> = left.outputs.keys().chain(right.outputs.keys()).map(String::as_str).collect();
    match wanted.iter().find(|name| !all.contains(name.as_str())) {
        Some(unknown) if all.is_empty() => Err(Failure::Usage(format!("neither has an output {unknown:?}: there is no data in either"))),
        Some(unknown) => {
            let known: Vec<&str> = all.into_iter().collect();
            Err(Failure::Usage(format!("neither has an output {unknown:?}; they have {}", known.join(", "))))
        }
        None if wanted.is_empty() => Ok(all),
        None => Ok(wanted.iter().map(String::as_str).collect()),
    }
}

/// An output of two entries.
struct Pair<'a> {
    name: &'a str,
    left: Option<&'a OutputManifest>,
    right: Option<&'a OutputManifest>,
}

/// What comparing came to.
enum Compared {
    /// Only one of them has it.
    OnlyOne,
    /// It is the same file.
    Identical,
    /// Both were read.
    Read { rows: [u64; 2], difference: Difference },
}

impl Compared {
    fn is_same(&self) -> bool {
        match self {
            Compared::OnlyOne => false,
            Compared::Identical => true,
            Compared::Read { rows: [left, right], difference } => {
                let Difference { schema, order, first, .. } = difference;
                left == right && schema.is_empty() && !order && first.is_none()
            }
        }
    }
}

impl Pair<'_> {
    fn compare(&self, store: &Store) -> Result<Compared> {
        let (Some(left), Some(right)) = (self.left, self.right) else { return Ok(Compared::OnlyOne) };
        let rows = [left.table.rows, right.table.rows];
        if left.digest == right.digest {
            return Ok(Compared::Identical);
        }
        let open = |output| TableFile::open(store, output, Types::OfParquet);
        Ok(Compared::Read { rows, difference: compare(&open(left)?, &open(right)?)? })
    }

    fn line<'c>(&'c self, compared: &'c Compared) -> OutputLine<'c> {
        let rows = [self.left, self.right].map(|output| output.map(|output| output.table.rows));
        match compared {
            Compared::OnlyOne => OutputLine::bare(self.name, false, false, rows),
            Compared::Identical => OutputLine::bare(self.name, true, true, rows),
            Compared::Read { rows, difference } => OutputLine::compared(self.name, compared.is_same(), *rows, difference),
        }
    }

    fn write(&self, out: &mut impl Write, compared: &Compared) -> Result<()> {
        let name = self.name;
        let rows = |rows: u64| counted(usize::try_from(rows).unwrap_or(usize::MAX), "row", "rows");
        match compared {
            Compared::OnlyOne => writeln!(out, "\n{name}: only in {}", if self.left.is_some() { "-" } else { "+" })?,
            Compared::Identical => writeln!(out, "\n{name}: the same file, {}", rows(self.left.map_or(0, |output| output.table.rows)))?,
            Compared::Read { rows: [left, _], difference } if compared.is_same() => {
                writeln!(out, "\n{name}: the same {} in other bytes", rows(*left))?;
                write_zero_signs(out, difference)?;
            }
            Compared::Read { rows: [left, right], difference } => {
                writeln!(out, "\n{name}: differs")?;
                write_schema(out, difference)?;
                if left != right {
                    writeln!(out, "  {} in -, {} in +", rows(*left), rows(*right))?;
                }
                write_rows(out, difference)?;
                write_zero_signs(out, difference)?;
            }
        }
        Ok(())
    }
}

fn write_schema(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    for column in difference.schema.iter().take(SHOWN_MAX) {
        let name = &column.column;
        match (&column.left, &column.right) {
            (Some(left), Some(right)) => writeln!(out, "  column {name} is {left} in -, {right} in +")?,
            (Some(kind), None) => writeln!(out, "  column {name} ({kind}) is only in -")?,
            (None, kind) => writeln!(out, "  column {name} ({}) is only in +", kind.as_deref().unwrap_or_default())?,
        }
    }
    if difference.schema.len() > SHOWN_MAX {
        writeln!(out, "  and {} more; --json has all", counted(difference.schema.len() - SHOWN_MAX, "column", "columns"))?;
    }
    if difference.order { writeln!(out, "  columns stand in another order") } else { Ok(()) }
}

fn write_rows(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    let Some(first) = &difference.first else {
        let compared = counted(usize::try_from(difference.rows_compared).unwrap_or(usize::MAX), "row is", "rows are");
        return writeln!(out, "  the first {compared} the same in the columns of both");
    };
    writeln!(out, "  first difference in row {} (counted from 0)", thousands(first.row))?;
    let mut grid = Grid::headed(&[("column", Side::Left), ("-", Side::Left), ("+", Side::Left)]).indented(4);
    for value in first.columns.iter().take(SHOWN_MAX) {
        let shown = |text: &str| cut(text, VALUE_COLUMNS_MAX).into_owned();
        grid.row([value.column.clone(), shown(&value.left), shown(&value.right)]);
    }
    grid.write(out, terminal_columns())?;
    match first.columns.len().checked_sub(SHOWN_MAX) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "    and {} more; --json has all", counted(more, "column", "columns")),
    }
}

fn write_zero_signs(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    match difference.zero_signs {
        0 => Ok(()),
        count => {
            let values = counted(usize::try_from(count).unwrap_or(usize::MAX), "value is", "values are");
            writeln!(out, "  {values} 0.0 in one and -0.0 in the other, which counts as the same")
        }
    }
}
