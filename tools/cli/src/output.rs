//! How things look on a terminal: aligned columns, numbers, sizes, times. Knows nothing of what is shown.

use std::borrow::Cow;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::sync::OnceLock;

use tickbarn::{Interval, Time};
use unicode_width::UnicodeWidthStr;

/// What stands between two columns.
const GAP: &str = "  ";

/// How many columns standard output shows; nothing where it is no terminal, and nothing needs to be cut.
pub(crate) fn terminal_columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Standard output, buffered. Flush it before saying anything on standard error.
pub(crate) fn stdout() -> io::BufWriter<StdoutLock<'static>> {
    io::BufWriter::new(io::stdout().lock())
}

/// Which side of a column its cells lean to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows of cells under headings, aligned by the width that terminals give their characters.
#[derive(Debug)]
pub(crate) struct Grid {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Grid {
    /// A grid with a line of headings.
    pub(crate) fn headed(columns: &[(&str, Side)]) -> Self {
        Self {
            sides: columns.iter().map(|(_, side)| *side).collect(),
            rows: vec![columns.iter().map(|(name, _)| (*name).to_owned()).collect()],
            indent: 0,
        }
    }

    pub(crate) fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(row.len(), self.sides.len(), "a row has a cell for every column");
        self.rows.push(row);
    }

    /// How wide its widest line is.
    pub(crate) fn width(&self) -> usize {
        self.indent + self.widths().iter().sum::<usize>() + GAP.len() * self.sides.len().saturating_sub(1)
    }

    /// Leaves a column out.
    pub(crate) fn drop_column(&mut self, nth: usize) {
        self.sides.remove(nth);
        for row in &mut self.rows {
            row.remove(nth);
        }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.sides.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }

    /// Writes it, each line cut at `columns`.
    pub(crate) fn write(&self, out: &mut impl Write, columns: Option<usize>) -> io::Result<()> {
        let widths = self.widths();
        let mut line = String::new();
        for row in &self.rows {
            line.clear();
            line.extend(std::iter::repeat_n(' ', self.indent));
            for (nth, (cell, (width, side))) in row.iter().zip(widths.iter().zip(&self.sides)).enumerate() {
                let padding = std::iter::repeat_n(' ', width - cell.width());
                if nth > 0 {
                    line.push_str(GAP);
                }
                match side {
                    Side::Left => {
                        line.push_str(cell);
                        line.extend(padding);
                    }
                    Side::Right => {
                        line.extend(padding);
                        line.push_str(cell);
                    }
                }
            }
            writeln!(out, "{}", columns.map_or(Cow::Borrowed(line.trim_end()), |columns| cut(line.trim_end(), columns)))?;
        }
        Ok(())
    }
}

/// A text cut to a width, with a mark where something was cut off.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return text.into();
    }
    let mut kept = String::new();
    let mut width = 1;
    for character in text.chars() {
        width += unicode_width::UnicodeWidthChar::width(character).unwrap_or(0);
        if width > columns {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept.into()
}

/// A text as lines of at most so many columns, broken at spaces; a word that is longer stays whole.
pub(crate) fn wrapped(text: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it begins with one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A number with its thousands set apart: `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 partition`, `1,234 partitions`.
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number as u64), if number == 1 { one } else { many })
}

/// A size in binary units: `512 B`, `1.2 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded up to 1024.0 is one of the next unit.
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// A length of time with two or three digits that matter: `14 µs`, `0.12 s`, `3.4 s`, `2m 05s`, `1h 02m`.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{s:.2} s"),
        s if s < 59.95 => format!("{s:.1} s"),
        s if s < 3599.5 => format!("{}m {:02}s", s.round() as u64 / 60, s.round() as u64 % 60),
        s => format!("{}h {:02}m", s.round() as u64 / 3600, s.round() as u64 % 3600 / 60),
    }
}

/// How long ago something was, in its greatest unit: `now`, `12s`, `5m`, `3h`, `20d`.
pub(crate) fn age(then: Time) -> String {
    let seconds = Time::now().ns().saturating_sub(then.ns()) / 1_000_000_000;
    match seconds {
        ..1 => "now".to_owned(),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400.. => format!("{}d", seconds / 86_400),
    }
}

/// When something was, and how long ago: `2026-11-22 13:40:07 UTC (5m ago)`.
pub(crate) fn clock_and_age(then: Time) -> String {
    match age(then).as_str() {
        "now" => format!("{} (just now)", clock(then)),
        age => format!("{} ({age} ago)", clock(then)),
    }
}

/// A time as short as it goes without loss, UTC: `2024-01-01 00:00`, `2024-01-01 00:00:07.5`.
pub(crate) fn moment(time: Time) -> String {
    let text = time.to_string();
    let text = text.trim_end_matches('Z');
    text.strip_suffix(":00").unwrap_or(text).replacen('T', " ", 1)
}

/// A time to the second, for what happened on a wall clock: `2026-11-22 13:40:07 UTC`.
pub(crate) fn clock(time: Time) -> String {
    let text = time.to_string();
    let to_second = text.split_once('.').map_or(text.trim_end_matches('Z'), |(whole, _)| whole);
    format!("{} UTC", to_second.replacen('T', " ", 1))
}

/// The two ends of an interval, the second without the day where it is the first's: `2024-01-01 12:00`, `24:00`.
pub(crate) fn ends(interval: Interval) -> (String, String) {
    const DAY_NS: i64 = 86_400_000_000_000;
    let (start, end) = (moment(interval.start()), moment(interval.end()));
    let day = |text: &str| text.split_once(' ').map(|(day, _)| day.to_owned());
    if day(&start) == day(&end) {
        let (_, time) = end.split_once(' ').unwrap_or(("", &end));
        return (start, time.to_owned());
    }
    let midnight = interval.end().ns().rem_euclid(DAY_NS) == 0;
    if midnight && interval.end().ns() - interval.start().ns() <= DAY_NS {
        return (start, "24:00".to_owned());
    }
    (start, end)
}

/// An interval in a sentence: `2024-01-01 12:00 to 24:00`.
pub(crate) fn span(interval: Interval) -> String {
    let (start, end) = ends(interval);
    format!("{start} to {end}")
}

/// A word as a POSIX shell reads it back.
pub(crate) fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")).into() }
}

/// What a word on standard error stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Paint {
    Error,
    Warning,
}

/// A word in its colour, where standard error is a terminal that wants any.
pub(crate) fn painted(word: &str, paint: Paint) -> Cow<'_, str> {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    let colours = *COLOURS.get_or_init(|| {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        io::stderr().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    });
    match paint {
        _ if !colours => word.into(),
        Paint::Error => format!("\x1b[1;31m{word}\x1b[0m").into(),
        Paint::Warning => format!("\x1b[1;33m{word}\x1b[0m").into(),
    }
}

#[cfg(test)]
mod tests;
