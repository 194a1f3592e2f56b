//! `tickbarn head`: a table's columns and its first rows.

mod args;
mod lines;
mod view;

use std::io::{self, Write};

use arrow_json::LineDelimitedWriter;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use serde_json::value::RawValue;
use tickbarn::{Address, OutputManifest, Store};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{counted, size, stdout, terminal_columns, thousands};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

pub(crate) use args::HeadArgs;
use lines::{ColumnFields, RowLine, TableLine};
pub(super) use view::printable;
use view::{View, Written};

use crate::commands::find;
use crate::commands::outputs::{chosen, entry_with_files};
use crate::commands::table::{TableFile, Types, type_word};

/// Of a table with a line a column, more lines than fit on a screen are not looked at.
const COLUMNS_MAX: usize = 40;
/// So many rows are decoded at a time.
const BATCH_ROWS: usize = 1024;

pub(crate) fn run(place: &Place, args: &HeadArgs) -> Result<()> {
    let store = place.open_store()?;
    let manifest = entry_with_files(find(&store, &args.address)?)?;
    let outputs = chosen(&manifest, args.output.as_deref())?;
    let heads = outputs.iter().map(|(name, output)| Head::of(&store, manifest.address, name, output, args)).collect::<Result<Vec<_>>>()?;
    for wanted in &args.columns {
        if !heads.iter().any(|head| head.file.fields().iter().any(|field| field.name() == wanted)) {
            let names: Vec<&str> = heads.iter().map(|head| head.name).collect();
            let (names, address) = (names.join(", "), manifest.address.short());
            return Err(Failure::Usage(format!(
                "there is no column {wanted:?} in {names}
  `tickbarn head {address} -n 0` shows the columns"
            )));
        }
    }

    let mut out = stdout();
    // Of several outputs, those without any of the columns are left out.
    for (nth, head) in heads.iter().filter(|head| args.columns.is_empty() || !head.columns.is_empty()).enumerate() {
        if args.json {
            head.write_json(&mut out)?;
        } else {
            if nth > 0 {
                writeln!(out)?;
            }
            head.write(&mut out)?;
        }
    }
    Ok(out.flush()?)
}

/// The first rows of one output.
struct Head<'a> {
    address: Address,
    name: &'a str,
    output: &'a OutputManifest,
    file: TableFile,
    /// The places of the columns that are shown.
    columns: Vec<usize>,
    rows: usize,
    all: bool,
}

impl<'a> Head<'a> {
    fn of(store: &Store, address: Address, name: &'a str, output: &'a OutputManifest, args: &HeadArgs) -> Result<Self> {
        let file = TableFile::open(store, output, Types::OfWriter)?;
        let wanted = |name: &str| args.columns.is_empty() || args.columns.iter().any(|wanted| wanted == name);
        let columns = file.fields().iter().enumerate().filter(|(_, field)| wanted(field.name())).map(|(nth, _)| nth).collect();
        Ok(Self { address, name, output, file, columns, rows: args.rows as usize, all: args.all })
    }

    fn write(&self, out: &mut impl Write) -> Result<()> {
        let fields = self.file.fields();
        let count = counted(fields.len(), "column", "columns");
        writeln!(out, "{}: {} rows, {count}, {}", self.name, thousands(self.output.table.rows), size(self.output.bytes))?;
        let mut view = View::new(self.columns.iter().map(|nth| &fields[*nth]));
        for batch in self.file.rows(&self.columns, self.rows.clamp(1, BATCH_ROWS), Some(self.rows))? {
            view.add(&batch?).map_err(|error| Failure::World(format!("{} cannot be shown: {error}", self.name)))?;
        }
        // Those that were asked for by name are all meant.
        let columns_max = if self.all || self.columns.len() < fields.len() { usize::MAX } else { COLUMNS_MAX };
        let written = view.write(out, terminal_columns(), columns_max)?;
        out.flush()?;
        self.remark(&written);
        Ok(())
    }

    /// Says what is not shown, and how to see it.
    fn remark(&self, written: &Written) {
        let Written::Columns { columns, rows } = *written else { return };
        let all_rows = self.rows.min(usize::try_from(self.output.table.rows).unwrap_or(usize::MAX));
        let all_columns = self.columns.len();
        let mut left_out = Vec::new();
        if columns < all_columns {
            left_out.push(format!("{columns} of {all_columns} columns (--all shows each, --column NAME one)"));
        }
        if rows < all_rows {
            left_out.push(format!("{rows} of {all_rows} rows"));
        }
        if !left_out.is_empty() {
            let (address, name) = (self.address.short(), self.name);
            say(&format!("{name} is shown with {}; `tickbarn head {address} {name} --json` has everything", left_out.join(" and ")));
        }
    }

    fn write_json(&self, out: &mut impl Write) -> Result<()> {
        let fields = self.file.fields();
        let column = |nth: &usize| {
            let field = &fields[*nth];
            ColumnFields { name: field.name(), kind: type_word(field.data_type()), nullable: field.is_nullable() }
        };
        let (rows, bytes) = (self.output.table.rows, self.output.bytes);
        write_line(out, &TableLine { address: self.address, output: self.name, rows, bytes, columns: self.columns.iter().map(column).collect() })?;
        for batch in self.file.rows(&self.columns, self.rows.clamp(1, BATCH_ROWS), Some(self.rows))? {
            let mut writer: LineDelimitedWriter<Vec<u8>> = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
            let written = writer.write(&batch?).and_then(|()| writer.finish());
            written.map_err(|error| Failure::World(format!("{} cannot be written as JSON: {error}", self.name)))?;
            for row in writer.into_inner().split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
                let row: &RawValue = serde_json::from_slice(row).map_err(io::Error::from)?;
                write_line(out, &RowLine { kind: "row", output: self.name, row })?;
            }
        }
        Ok(())
    }
}
