//! The first rows of a table on a terminal: rows below each other where they fit, and columns below each other where not.

use std::borrow::Cow;
use std::io::{self, Write};

use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, FieldRef};
use tickbarn_terminal::output::{Grid, Side, cut};

use crate::commands::table::type_word;

/// A value that is longer is cut: it is to be recognised, and `--json` has it whole.
const VALUE_COLUMNS_MAX: usize = 40;
/// The same of a type, of which structs have long ones.
const TYPE_COLUMNS_MAX: usize = 30;
/// No value takes less: `row 0` stands above it, with the room between columns.
const VALUE_COLUMNS_MIN: usize = 7;
/// How wide lines may be where nobody knows how wide the terminal is: rows that are wider are not read as lines.
const LINE_COLUMNS_MAX: usize = 100;

/// The texts of a table's first rows.
pub(super) struct View {
    /// Of each column its name, type and values.
    columns: Vec<ColumnView>,
}

struct ColumnView {
    name: String,
    kind: String,
    side: Side,
    values: Vec<String>,
}

/// How a view was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A line a row.
    Rows,
    /// A line for so many columns, with the values of so many rows.
    Columns { columns: usize, rows: usize },
}

impl View {
    /// Of these columns, and no rows yet.
    pub(super) fn new<'a>(fields: impl Iterator<Item = &'a FieldRef>) -> Self {
        let column = |field: &FieldRef| ColumnView {
            name: printable(field.name()),
            kind: type_word(field.data_type()),
            side: if field.data_type().is_numeric() { Side::Right } else { Side::Left },
            values: Vec::new(),
        };
        Self { columns: fields.map(column).collect() }
    }

    /// Adds rows, which have the same columns in the same order.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            column.values.extend(texts(array)?);
        }
        Ok(())
    }

    /// Writes it, so that no line is wider than the terminal; with at most so many columns where each has a line.
    pub(super) fn write(&self, out: &mut impl Write, room: Option<usize>, columns_max: usize) -> io::Result<Written> {
        let rows = self.in_rows();
        if rows.width() <= room.unwrap_or(LINE_COLUMNS_MAX) {
            rows.write(out, None)?;
            return Ok(Written::Rows);
        }
        let all = self.columns.first().map_or(0, |column| column.values.len());
        // As many values as fit, one at least.
        let shown = match room {
            None => all,
            Some(room) => {
                let fits = |shown: &usize| self.in_columns(columns_max, *shown).width() <= room;
                (1..=all.min(room / VALUE_COLUMNS_MIN)).rev().find(fits).unwrap_or(all.min(1))
            }
        };
        self.in_columns(columns_max, shown).write(out, room)?;
        Ok(Written::Columns { columns: self.columns.len().min(columns_max), rows: shown })
    }

    fn in_rows(&self) -> Grid {
        let headings: Vec<(&str, Side)> = self.columns.iter().map(|column| (column.name.as_str(), column.side)).collect();
        let mut grid = Grid::headed(&headings);
        grid.row(self.columns.iter().map(|column| column.kind.clone()));
        for nth in 0..self.columns.first().map_or(0, |column| column.values.len()) {
            grid.row(self.columns.iter().map(|column| column.values[nth].clone()));
        }
        grid
    }

    fn in_columns(&self, columns_max: usize, shown: usize) -> Grid {
        let numbers: Vec<String> = (0..shown).map(|nth| format!("row {nth}")).collect();
        let values = numbers.iter().map(|number| (number.as_str(), Side::Right));
        let headings: Vec<(&str, Side)> = [("column", Side::Left), ("type", Side::Left)].into_iter().chain(values).collect();
        let mut grid = Grid::headed(&headings);
        for column in self.columns.iter().take(columns_max) {
            let kind = cut(&column.kind, TYPE_COLUMNS_MAX).into_owned();
            let name = cut(&column.name, VALUE_COLUMNS_MAX).into_owned();
            grid.row([name, kind].into_iter().chain(column.values.iter().take(shown).cloned()));
        }
        grid
    }
}

/// The values of a column as Arrow prints them.
fn texts(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::new().with_null("null").with_display_error(true);
    let formatter = ArrayFormatter::try_new(array, &options)?;
    Ok((0..array.len()).map(|nth| cut(&printable(&formatter.value(nth).to_string()), VALUE_COLUMNS_MAX).into_owned()).collect())
}

/// A text without what a terminal would take for an order or another line.
pub(in crate::commands) fn printable(text: &str) -> String {
    let safe: Cow<'_, str> = if text.chars().any(char::is_control) { text.chars().flat_map(escaped).collect() } else { text.into() };
    safe.into_owned()
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let (plain, escape) = if character.is_control() { (None, Some(character.escape_default())) } else { (Some(character), None) };
    plain.into_iter().chain(escape.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn view(columns: usize, rows: usize) -> View {
        let text = Field::new("note", DataType::Utf8, true);
        let fields: Vec<Field> = (0..columns - 1).map(|nth| Field::new(format!("bid_price_{nth}"), DataType::Float64, true)).chain([text]).collect();
        let schema = Arc::new(Schema::new(fields));
        let mut view = View::new(schema.fields().iter());
        let prices = || Arc::new(Float64Array::from_iter_values((0..rows).map(|nth| 64_321.5 + nth as f64)));
        let notes = StringArray::from_iter((0..rows).map(|nth| (nth != 1).then(|| format!("line\nand \u{1b}[31m more {}", "x".repeat(100)))));
        let arrays = (0..columns - 1).map(|_| prices() as _).chain([Arc::new(notes) as _]).collect();
        view.add(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
        view
    }

    fn written(view: &View, room: Option<usize>) -> (String, Written) {
        let mut out = Vec::new();
        let written = view.write(&mut out, room, usize::MAX).unwrap();
        (String::from_utf8(out).unwrap(), written)
    }

    #[test]
    fn a_narrow_table_is_lines_of_rows() {
        let (text, how) = written(&view(2, 3), Some(80));
        assert_eq!((how, text.lines().count()), (Written::Rows, 2 + 3), "{text}");
        assert!(text.contains("\\n") && !text.contains('\u{1b}') && text.contains("null"), "{text}");
    }

    #[test]
    fn a_wide_table_shows_every_column_in_eighty() {
        let (text, how) = written(&view(200, 10), Some(80));
        let Written::Columns { columns: 200, rows } = how else { panic!("{text}") };
        assert!((1..10).contains(&rows) && text.lines().count() == 1 + 200, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        // Where nobody knows how wide it may be, nothing is left out.
        let (text, how) = written(&view(200, 10), None);
        assert_eq!(how, Written::Columns { columns: 200, rows: 10 });
        assert!(text.lines().nth(1).unwrap().contains("64330.5"), "{text}");
    }

    #[test]
    fn a_table_without_rows_shows_its_columns() {
        assert_eq!(written(&view(2, 0), Some(80)).0.lines().count(), 2);
        assert_eq!(written(&view(90, 0), Some(80)).0.lines().count(), 91);
    }
}
