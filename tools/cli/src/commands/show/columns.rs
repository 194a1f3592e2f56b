//! A table's columns with their statistics, those that only differ by a number at the end of their names taken together.

use tickbarn::{Column, Table, Time, Value};
use tickbarn_terminal::output::{Grid, Side, cut, moment, thousands};

/// So many columns that are numbered alike are shown as one line: an order book has hundreds.
const ALIKE_MIN: usize = 4;
/// A value that is longer says nothing on a terminal.
const VALUE_COLUMNS_MAX: usize = 30;

/// The columns as lines of a grid.
pub(super) fn grid(table: &Table) -> Grid {
    let headings = [("column", Side::Left), ("type", Side::Left), ("nulls", Side::Right), ("min", Side::Right), ("max", Side::Right)];
    let mut grid = Grid::headed(&headings);
    for alike in groups(&table.columns) {
        let first = alike[0];
        let name = match alike[..] {
            [one] => one.name.clone(),
            _ => format!("{}…{}", first.name, number_of(&alike[alike.len() - 1].name)),
        };
        let nulls = alike.iter().map(|column| column.nulls).sum::<Option<u64>>().map_or("?".to_owned(), thousands);
        let min = extreme(&alike, |column| column.min.as_ref(), |new, old| new < old);
        let max = extreme(&alike, |column| column.max.as_ref(), |new, old| new > old);
        grid.row([name, type_of(&first.kind), nulls, shown(min, first), shown(max, first)]);
    }
    grid
}

/// Columns in order of the first of each group.
fn groups(columns: &[Column]) -> Vec<Vec<&Column>> {
    let mut groups: Vec<(Option<&str>, Vec<&Column>)> = Vec::new();
    for column in columns {
        let number = number_of(&column.name);
        let stem = (!number.is_empty()).then(|| &column.name[..column.name.len() - number.len()]);
        let group = groups.iter_mut().find(|(other, alike)| stem.is_some() && *other == stem && alike[0].kind == column.kind);
        match group {
            Some((_, alike)) => alike.push(column),
            None => groups.push((stem, vec![column])),
        }
    }
    groups
        .into_iter()
        .flat_map(|(_, alike)| if alike.len() < ALIKE_MIN { alike.into_iter().map(|column| vec![column]).collect() } else { vec![alike] })
        .collect()
}

/// The digits at the end of a name.
fn number_of(name: &str) -> &str {
    &name[name.trim_end_matches(|digit: char| digit.is_ascii_digit()).len()..]
}

/// A type in a word: the logical one where there is one, in Arrow's words where those are other. `--json` has what Parquet calls it.
fn type_of(kind: &str) -> String {
    let logical = kind.split_once(" (").map_or(kind, |(_, logical)| logical.strip_suffix(')').unwrap_or(logical));
    match logical.split_once('(') {
        Some(("TIMESTAMP", unit)) => match unit.split_once(',').map_or(unit, |(unit, _)| unit) {
            "NANOS" => "timestamp[ns]".to_owned(),
            "MICROS" => "timestamp[us]".to_owned(),
            _ => "timestamp[ms]".to_owned(),
        },
        _ => logical.to_lowercase(),
    }
}

/// The least or greatest of the bounds, where every column that holds a value tells its own.
fn extreme<'a>(alike: &[&'a Column], bound: impl Fn(&'a Column) -> Option<&'a Value>, beats: impl Fn(f64, f64) -> bool) -> Option<&'a Value> {
    let number = |value: &Value| match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Float(double) => Some(*double),
        _ => None,
    };
    let mut best: Option<&Value> = None;
    for column in alike {
        let Some(value) = bound(column) else { continue };
        best = match best {
            None => Some(value),
            Some(old) => match (number(value), number(old)) {
                (Some(new), Some(old_number)) => Some(if beats(new, old_number) { value } else { old }),
                _ => return None,
            },
        };
    }
    best
}

/// A bound as a reader knows the column: a time where it is one.
fn shown(value: Option<&Value>, column: &Column) -> String {
    match (value, column.time_unit_ns()) {
        (None, _) => String::new(),
        (Some(Value::Integer(count)), Some(unit_ns)) => match count.checked_mul(i128::from(unit_ns)).and_then(|ns| i64::try_from(ns).ok()) {
            // To the second: it is to be recognised, and `--json` has it whole.
            Some(ns) => moment(Time::from_ns(ns.saturating_sub(ns.rem_euclid(1_000_000_000)))),
            None => count.to_string(),
        },
        (Some(Value::String(text)), _) => cut(&text.escape_debug().to_string(), VALUE_COLUMNS_MAX).into_owned(),
        (Some(value), _) => value.canonical().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, min: f64, max: f64) -> Column {
        Column { name: name.to_owned(), kind: "DOUBLE".to_owned(), nulls: Some(1), min: Some(min.into()), max: Some(max.into()) }
    }

    #[test]
    fn the_levels_of_a_book_are_one_line_for_each_kind() {
        let mut columns = vec![column("ts", 0.0, 1.0)];
        for level in 0..5 {
            columns.push(column(&format!("bid_{level}"), 10.0 - f64::from(level), 20.0));
            columns.push(column(&format!("ask_{level}"), 20.0, 30.0 + f64::from(level)));
        }
        columns.extend([column("window_1", 0.0, 1.0), column("window_2", 0.0, 1.0)]);
        let names: Vec<Vec<&str>> =
            groups(&columns).into_iter().map(|alike| alike.into_iter().map(|column| column.name.as_str()).collect()).collect();
        assert_eq!(names.iter().map(|names| names[0]).collect::<Vec<_>>(), ["ts", "bid_0", "ask_0", "window_1", "window_2"]);
        assert_eq!(names[1].len(), 5);
        let bids: Vec<&Column> = columns.iter().filter(|column| column.name.starts_with("bid")).collect();
        assert_eq!(extreme(&bids, |column| column.min.as_ref(), |new, old| new < old), Some(&Value::Float(6.0)));
    }

    #[test]
    fn a_time_is_shown_as_one() {
        let ns = Value::Integer(1_703_545_200_000_000_000);
        let of = |kind: &str| Column { name: "ts".to_owned(), kind: kind.to_owned(), nulls: None, min: None, max: None };
        assert_eq!(shown(Some(&ns), &of("INT64 (TIMESTAMP(NANOS,true))")), "2023-12-25 23:00");
        assert_eq!(shown(Some(&ns), &of("INT64")), "1703545200000000000");
        assert_eq!(["INT64 (TIMESTAMP(NANOS,true))", "BYTE_ARRAY (STRING)", "DOUBLE"].map(type_of), ["timestamp[ns]", "string", "double"]);
    }
}
