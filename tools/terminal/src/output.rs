//! How things look on a terminal: aligned columns, numbers, sizes, times. Knows nothing of what is shown.

use std::borrow::Cow;
use std::io::{self, StdoutLock, Write};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
/// At which side of its column a cell stands.
pub use comfy_table::CellAlignment as Side;
use comfy_table::{ColumnConstraint, Row, Table, presets};
use console::{StyledObject, Term, measure_text_width, style, truncate_str};
use indicatif::{HumanBytes, HumanCount};
use textwrap::{WordSeparator, WordSplitter};
use tickbarn::{Interval, Time};

/// How much room stands between two columns.
const GAP_COLUMNS: u16 = 2;

/// How many columns standard output shows; nothing where it is no terminal, and nothing needs to be cut.
pub fn terminal_columns() -> Option<usize> {
    Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

/// Standard output, buffered. Flush it before saying anything on standard error.
pub fn stdout() -> io::BufWriter<StdoutLock<'static>> {
    io::BufWriter::new(io::stdout().lock())
}

/// Rows of cells under headings, aligned by the width that terminals give their characters.
#[derive(Debug)]
pub struct Grid {
    table: Table,
    indent: usize,
}

impl Grid {
    /// A grid with a line of headings.
    pub fn headed(columns: &[(&str, Side)]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(columns.iter().map(|(name, _)| *name));
        for (column, (_, side)) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, GAP_COLUMNS)).set_cell_alignment(*side);
        }
        Self { table, indent: 0 }
    }

    /// The grid with so many columns of space before each line.
    pub fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    /// Adds a line: a cell for every column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row = Row::from(cells);
        debug_assert_eq!(row.cell_count(), self.table.column_count(), "a row has a cell for every column");
        self.table.add_row(row);
    }

    /// How wide its widest line is.
    pub fn width(&self) -> usize {
        self.lines().map(|line| measure_text_width(&line)).max().unwrap_or(0)
    }

    /// Leaves a column out.
    pub fn drop_column(&mut self, nth: usize) {
        if let Some(column) = self.table.column_mut(nth) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }

    /// Writes it, each line cut at `columns`.
    ///
    /// # Errors
    ///
    /// Where `out` cannot be written.
    pub fn write(&self, out: &mut impl Write, columns: Option<usize>) -> io::Result<()> {
        for line in self.lines() {
            writeln!(out, "{}", columns.map_or(Cow::Borrowed(&*line), |columns| cut(&line, columns)))?;
        }
        Ok(())
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let indent = self.indent;
        self.table.lines().map(move |line| format!("{:indent$}{}", "", line.trim_end()))
    }
}

/// A text cut to a width, with a mark where something was cut off.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    truncate_str(text, columns, "…")
}

/// How many columns of a terminal a text takes.
pub fn columns_of(text: &str) -> usize {
    measure_text_width(text)
}

/// A text as lines of at most so many columns, broken at spaces; a word that is longer stays whole.
pub fn wrapped(text: &str, columns: Option<usize>) -> Vec<Cow<'_, str>> {
    let Some(columns) = columns else { return vec![text.into()] };
    let options =
        textwrap::Options::new(columns).break_words(false).word_separator(WordSeparator::AsciiSpace).word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options)
}

/// A number with its thousands set apart: `1,234,567`.
pub fn thousands(number: u64) -> String {
    HumanCount(number).to_string()
}

/// `1 partition`, `1,234 partitions`.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number as u64), if number == 1 { one } else { many })
}

/// A size in binary units: `512 B`, `1.21 MiB`.
pub fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A length of time with two or three digits that matter: `14 µs`, `0.12 s`, `3.4 s`, `2m 05s`, `1h 02m`.
pub fn duration(seconds: f64) -> String {
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
pub fn age(then: Time) -> String {
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
pub fn clock_and_age(then: Time) -> String {
    match age(then).as_str() {
        "now" => format!("{} (just now)", clock(then)),
        age => format!("{} ({age} ago)", clock(then)),
    }
}

/// A time as short as it goes without loss, UTC: `2024-01-01 00:00`, `2024-01-01 00:00:07.5`.
pub fn moment(time: Time) -> String {
    let text = time.to_string();
    let text = text.trim_end_matches('Z');
    text.strip_suffix(":00").unwrap_or(text).replacen('T', " ", 1)
}

/// A time to the second, for what happened on a wall clock: `2026-11-22 13:40:07 UTC`.
pub fn clock(time: Time) -> String {
    let text = time.to_string();
    let to_second = text.split_once('.').map_or(text.trim_end_matches('Z'), |(whole, _)| whole);
    format!("{} UTC", to_second.replacen('T', " ", 1))
}

/// The two ends of an interval, the second without the day where it is the first's: `2024-01-01 12:00`, `24:00`.
pub fn ends(interval: Interval) -> (String, String) {
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
pub fn span(interval: Interval) -> String {
    let (start, end) = ends(interval);
    format!("{start} to {end}")
}

/// A word as a POSIX shell reads it back.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    // Refused is only a NUL, which no path and no argument can hold.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// A share, 1 being all, in per cent, rounded down: nothing is all of it that lacks something.
pub fn percent(share: f64) -> String {
    // What was divided may lie a hair below what it stands for; all is all only where it is exactly that.
    let tenths = (share * 1000.0 + 1e-9).floor();
    format!("{:.1}%", if share < 1.0 { tenths.min(999.0) } else { tenths } / 10.0)
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// What went wrong.
    Error,
    /// What may be wrong.
    Warning,
    /// What is as it should be.
    Good,
    /// What does not matter.
    Dim,
}

/// A word in its colour, where standard error is a terminal that wants any: by the rules that hold for help and usage errors, too (`NO_COLOR` before
/// `CLICOLOR_FORCE`, that before `CLICOLOR=0` and a terminal that is none or dumb).
pub fn painted(word: &str, paint: Paint) -> String {
    coloured(styled(word, &io::stderr()).bold(), paint)
}

/// The same on standard output, not bold.
pub fn painted_out(word: &str, paint: Paint) -> String {
    coloured(styled(word, &io::stdout()), paint)
}

fn styled<'a>(word: &'a str, stream: &impl RawStream) -> StyledObject<&'a str> {
    style(word).force_styling(AutoStream::choice(stream) != ColorChoice::Never)
}

fn coloured(word: StyledObject<&str>, paint: Paint) -> String {
    match paint {
        Paint::Error => word.red(),
        Paint::Warning => word.yellow(),
        Paint::Good => word.green(),
        Paint::Dim => word.dim(),
    }
    .to_string()
}

#[cfg(test)]
mod tests;
