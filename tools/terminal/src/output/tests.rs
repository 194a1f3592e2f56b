//! What users read, to the letter.

use super::*;

#[test]
fn numbers_and_sizes_are_short_and_exact_enough() {
    assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0, 1023, 1024, 1536, 1_048_575, 1 << 20, u64::MAX].map(size),
        ["0 B", "1023 B", "1.00 KiB", "1.50 KiB", "1024.00 KiB", "1.00 MiB", "16.00 EiB"]
    );
    assert_eq!(
        [0.000_014, 0.0123, 0.123, 3.45, 59.9, 59.99, 125.0, 3725.0].map(duration),
        ["14 µs", "12.3 ms", "0.12 s", "3.5 s", "59.9 s", "1m 00s", "2m 05s", "1h 02m"]
    );
}

#[test]
fn the_end_of_an_interval_repeats_no_day() {
    let span = |start, end| span(Interval::parse(start, end).unwrap());
    assert_eq!(span("2024-01-01", "2024-01-01T12:00"), "2024-01-01 00:00 to 12:00");
    assert_eq!(span("2024-01-01T12:00", "2024-01-02"), "2024-01-01 12:00 to 24:00");
    assert_eq!(span("2024-01-01", "2024-01-02"), "2024-01-01 00:00 to 24:00");
    assert_eq!(span("2024-01-01T12:00", "2024-01-02T12:00"), "2024-01-01 12:00 to 2024-01-02 12:00");
    assert_eq!(span("2024-01-01T12:00", "2024-01-04"), "2024-01-01 12:00 to 2024-01-04 00:00");
    assert_eq!(span("2024-01-01T00:00:07.5", "2024-01-01T00:00:08"), "2024-01-01 00:00:07.5 to 00:00:08");
}

#[test]
fn columns_line_up_for_wide_characters_too() {
    let mut grid = Grid::headed(&[("name", Side::Left), ("rows", Side::Right)]);
    grid.row(["市場/円".to_owned(), "1".to_owned()]);
    grid.row(["a/b".to_owned(), "12,345".to_owned()]);
    let mut text = Vec::new();
    grid.write(&mut text, None).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "name       rows\n市場/円       1\na/b      12,345\n");
}

#[test]
fn a_column_that_is_left_out_makes_room() {
    let mut grid = Grid::headed(&[("name", Side::Left), ("age", Side::Right), ("message", Side::Left)]).indented(2);
    grid.row(["a/b".to_owned(), "12s".to_owned(), "broken".to_owned()]);
    assert_eq!(grid.width(), 2 + 4 + 2 + 3 + 2 + 7);
    grid.drop_column(1);
    assert_eq!(grid.width(), 2 + 4 + 2 + 7);
    let mut text = Vec::new();
    grid.write(&mut text, Some(13)).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "  name  mess…\n  a/b   brok…\n");
}

#[test]
fn a_line_is_cut_to_the_terminal_with_a_mark() {
    assert_eq!(cut("abcdef", 6), "abcdef");
    assert_eq!(cut("abcdefg", 6), "abcde…");
    assert_eq!(cut("市場市場", 6), "市場…");
}

#[test]
fn long_values_are_broken_at_spaces_only() {
    assert_eq!(wrapped("one two three", Some(8)), ["one two", "three"]);
    assert_eq!(wrapped("a-very-long-word b", Some(8)), ["a-very-long-word", "b"]);
    assert_eq!(wrapped("one two three", None), ["one two three"]);
}

#[test]
fn a_shell_reads_back_what_was_meant() {
    assert_eq!(shell_word("a/b.toml"), "a/b.toml");
    assert_eq!(shell_word("it's {start}"), r#""it's {start}""#);
    assert_eq!(shell_word(""), "''");
}
