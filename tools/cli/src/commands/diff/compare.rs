//! Two tables: their columns, then their rows side by side, in memory that does not grow with them.
//!
//! Columns belong together that have the same name, whatever their order. They are compared as Parquet has them, so that what only a writer wrote beside
//! its file (a dictionary, a zone) is no difference.

use std::collections::HashMap;

use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{Field, Fields};
use tickbarn_terminal::exit::{Failure, Result};

use super::values::{Comparison, ZeroSigns};
use crate::commands::head::printable;
use crate::commands::table::{Rows, TableFile, type_word};

/// So many values of a column are decoded at a time, of each file.
const BATCH_ROWS_MAX: usize = 8192;
/// So many values of all columns.
const BATCH_VALUES_MAX: usize = 1 << 18;

/// What differs between two tables.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) schema: Vec<SchemaDifference>,
    /// Whether columns that both have stand in another order.
    pub(super) order: bool,
    /// In how many rows the tables were compared: as many as the shorter has, or up to the first that differs.
    pub(super) rows_compared: u64,
    pub(super) first: Option<RowDifference>,
    /// How many values were 0.0 in one and -0.0 in the other, which counts as the same.
    pub(super) zero_signs: ZeroSigns,
}

/// A column that is not the same in both.
#[derive(Debug, PartialEq)]
pub(super) struct SchemaDifference {
    pub(super) column: String,
    /// Its type in each; nothing where it is not there.
    pub(super) left: Option<String>,
    pub(super) right: Option<String>,
}

/// The first row that differs.
#[derive(Debug, PartialEq)]
pub(super) struct RowDifference {
    /// Counted from 0.
    pub(super) row: u64,
    pub(super) columns: Vec<ValueDifference>,
}

#[derive(Debug, PartialEq)]
pub(super) struct ValueDifference {
    pub(super) column: String,
    pub(super) left: String,
    pub(super) right: String,
}

/// Compares two tables up to the first row that differs.
pub(super) fn compare(left: &TableFile, right: &TableFile) -> Result<Difference> {
    let Pairs { schema, order, both } = Pairs::of(left.fields(), right.fields());
    let mut difference = Difference { schema, order, ..Difference::default() };
    if both.is_empty() {
        return Ok(difference);
    }
    let batch_rows = (BATCH_VALUES_MAX / both.len()).clamp(1, BATCH_ROWS_MAX);
    let mut lefts = Side::of(left, both.iter().map(|(left, _)| *left).collect(), batch_rows)?;
    let mut rights = Side::of(right, both.iter().map(|(_, right)| *right).collect(), batch_rows)?;
    loop {
        let rows = lefts.waiting()?.min(rights.waiting()?);
        if rows == 0 {
            return Ok(difference);
        }
        let mut first = None;
        for nth in 0..both.len() {
            // Once a row is known to differ, only an earlier one is of interest.
            let within = first.map_or(rows, |first| first);
            first = Comparison::of(lefts.column(nth), rights.column(nth)).first_difference(within, &mut difference.zero_signs).or(first);
        }
        if let Some(row) = first {
            difference.rows_compared += row as u64;
            let names = both.iter().map(|(left_nth, _)| left.fields()[*left_nth].name());
            let differing = names.enumerate().filter(|(nth, _)| !Comparison::of(lefts.column(*nth), rights.column(*nth)).is_same_in(row));
            let columns = differing.map(|(nth, name)| {
                let (left, right) = (text(lefts.column(nth), row)?, text(rights.column(nth), row)?);
                Ok(ValueDifference { column: name.clone(), left, right })
            });
            difference.first = Some(RowDifference { row: difference.rows_compared, columns: columns.collect::<Result<_>>()? });
            return Ok(difference);
        }
        difference.rows_compared += rows as u64;
        lefts.pass(rows);
        rights.pass(rows);
    }
}

/// Which columns belong together.
struct Pairs {
    schema: Vec<SchemaDifference>,
    order: bool,
    /// The places of those that can be compared.
    both: Vec<(usize, usize)>,
}

impl Pairs {
    fn of(left: &Fields, right: &Fields) -> Self {
        let (left_names, right_names) = (numbered(left), numbered(right));
        let of_right: HashMap<(&str, usize), usize> = right_names.iter().enumerate().map(|(nth, name)| (*name, nth)).collect();
        let mut pairs = Self { schema: Vec::new(), order: false, both: Vec::new() };
        let mut met = Vec::new();
        for (nth, name) in left_names.iter().enumerate() {
            let other = of_right.get(name).copied();
            let (one, two) = (&left[nth], other.map(|other| &right[other]));
            let (one_told, two_told) = (told(one), two.map(|field| told(field)));
            if two_told.as_ref() != Some(&one_told) {
                pairs.schema.push(SchemaDifference { column: one.name().clone(), left: Some(one_told), right: two_told });
            }
            if let Some(other) = other {
                met.push(other);
                if is_comparable(one, &right[other]) {
                    pairs.both.push((nth, other));
                }
            }
        }
        pairs.order = !met.is_sorted();
        let only_right = (0..right.len()).filter(|nth| !met.contains(nth));
        pairs.schema.extend(only_right.map(|nth| SchemaDifference { column: right[nth].name().clone(), left: None, right: Some(told(&right[nth])) }));
        pairs
    }
}

/// The names of columns, each with how many of the same stand before it: Parquet forbids no name to be there twice.
fn numbered(fields: &Fields) -> Vec<(&str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let number = |name| {
        let count = counts.entry(name).or_default();
        *count += 1;
        (name, *count)
    };
    fields.iter().map(|field| field.name().as_str()).map(number).collect()
}

fn told(field: &Field) -> String {
    let required = if field.is_nullable() { "" } else { " not null" };
    format!("{}{required}", type_word(field.data_type()))
}

/// Whether values of two columns can be compared: a type that says the same, whoever may be null.
fn is_comparable(left: &Field, right: &Field) -> bool {
    left.data_type() == right.data_type() || type_word(left.data_type()) == type_word(right.data_type())
}

/// One of two tables that are read side by side.
struct Side<'a> {
    rows: Rows<'a>,
    batch: Option<RecordBatch>,
    /// The places in a batch of the columns, in the order in which they are compared.
    places: Vec<usize>,
}

impl<'a> Side<'a> {
    fn of(file: &'a TableFile, columns: Vec<usize>, batch_rows: usize) -> Result<Self> {
        // A batch has its columns in the order of the file.
        let mut in_file = columns.clone();
        in_file.sort_unstable();
        let place = |column: &usize| in_file.partition_point(|other| other < column);
        Ok(Self { rows: file.rows(&columns, batch_rows, None)?, batch: None, places: columns.iter().map(place).collect() })
    }

    /// How many rows are decoded and not yet passed; 0 at the end.
    fn waiting(&mut self) -> Result<usize> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            match self.rows.next().transpose()? {
                None => return Ok(0),
                next => self.batch = next,
            }
        }
        Ok(self.batch.as_ref().map_or(0, RecordBatch::num_rows))
    }

    fn column(&self, nth: usize) -> &dyn Array {
        self.batch.as_ref().expect("rows are waiting").column(self.places[nth])
    }

    fn pass(&mut self, rows: usize) {
        self.batch = self.batch.take().map(|batch| batch.slice(rows, batch.num_rows() - rows));
    }
}

fn text(array: &dyn Array, row: usize) -> Result<String> {
    let options = FormatOptions::new().with_null("null").with_display_error(true);
    let formatter = ArrayFormatter::try_new(array, &options).map_err(|error| Failure::World(format!("a value cannot be shown: {error}")))?;
    Ok(printable(&formatter.value(row).to_string()))
}
