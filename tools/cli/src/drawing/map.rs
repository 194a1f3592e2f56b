//! What a coverage map shows: of each row, which cells are there whole, in part, known to hold no data, or missing, and in which something failed.
//!
//! Neighbouring cells that look the same are one run, and one shape of a picture, so that a year of hours is as cheap to draw as a day of them.

use std::ops::Range;

use tickbarn::Interval;
use tickbarn_terminal::output::{counted, cut, percent, span};

use super::scale::{Scale, Tick};
use super::text::shown;

/// A name that is wider than this is cut where it stands beside its row; its title has all of it.
pub(super) const LABEL_COLUMNS_MAX: usize = 32;

/// What is known of one row, in any order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    /// What the row is called.
    pub(crate) name: String,
    /// What is in the store.
    pub(crate) there: Vec<Interval>,
    /// What is in the store as known to hold no data.
    pub(crate) empty: Vec<Interval>,
    /// What is not there since it failed.
    pub(crate) failed: Vec<Interval>,
    /// When there is no data by design.
    pub(crate) closed: Vec<Interval>,
}

/// A map, ready to be drawn.
#[derive(Debug)]
pub(crate) struct Map {
    /// What it is a map of.
    pub(crate) title: String,
    /// From when to when.
    pub(crate) range: String,
    /// How long a cell is.
    pub(crate) cell: String,
    /// How many cells each row has.
    pub(crate) columns: u32,
    /// Which moments are marked.
    pub(crate) ticks: Vec<Tick>,
    /// The rows that are drawn.
    pub(crate) rows: Vec<Row>,
    /// How many are not, since a picture has to end somewhere.
    pub(crate) rows_left_out: usize,
    /// How much of all rows' time is there.
    pub(crate) share: String,
}

/// A row of cells.
#[derive(Debug)]
pub(crate) struct Row {
    /// What it is called, in full.
    pub(crate) name: String,
    /// The same as short as there is room for.
    pub(crate) label: String,
    /// How much of its time is there.
    pub(crate) share: String,
    /// What it shows, in a sentence.
    pub(crate) summary: String,
    /// All its cells, in order.
    pub(crate) runs: Vec<Run>,
    /// Those of its cells in which something failed, in order.
    pub(crate) failed: Vec<Run>,
}

/// Neighbouring cells that look the same.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    /// How many cells lie before it.
    pub(crate) column: u32,
    /// How many it has.
    pub(crate) columns: u32,
    /// How they look.
    pub(crate) fill: Fill,
    /// From when to when it goes, and what it shows.
    pub(crate) title: String,
}

/// How a cell looks. Height and place tell the kinds apart, so that nothing depends on seeing colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Nothing of it is there.
    Missing,
    /// So many quarters of it are there: one to three.
    Part(u32),
    /// All of it is.
    Whole,
    /// All that is there of it is known to hold no data.
    Empty,
    /// There is no data by design, and what is on either side of it does not look the same.
    Closed,
    /// Something in it failed.
    Failed,
}

/// How tall a row of cells is, in the units of [`Fill::band`].
pub(crate) const ROW_HEIGHT: u32 = 12;

impl Fill {
    /// Where it lies in a row of [`ROW_HEIGHT`]: from the top, and how tall.
    pub(crate) fn band(self) -> (u32, u32) {
        match self {
            Fill::Missing | Fill::Whole => (0, ROW_HEIGHT),
            Fill::Part(quarters) => (ROW_HEIGHT - 3 * quarters, 3 * quarters),
            Fill::Empty => (4, 4),
            Fill::Closed => (5, 2),
            Fill::Failed => (0, 4),
        }
    }

    /// The class that gives it its colour.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Fill::Missing => "m",
            Fill::Part(_) => "p",
            Fill::Whole => "w",
            Fill::Empty => "e",
            Fill::Closed => "c",
            Fill::Failed => "f",
        }
    }

    /// Whether it is seen against what is missing.
    pub(crate) fn is_on_missing(self) -> bool {
        self != Fill::Closed
    }

    /// Whether what is missing is to be drawn behind it.
    pub(crate) fn is_low(self) -> bool {
        matches!(self, Fill::Part(_) | Fill::Empty)
    }
}

impl Run {
    /// Where it begins from the top.
    pub(crate) fn top(&self) -> u32 {
        self.fill.band().0
    }

    /// How tall it is.
    pub(crate) fn height(&self) -> u32 {
        self.fill.band().1
    }
}

impl Map {
    /// The map of some rows over a range, with so many cells in a row and so many rows at most.
    pub(crate) fn new(title: &str, range: Interval, tracks: &[Track], columns_max: u32, rows_max: usize) -> Self {
        let scale = Scale::over(range, columns_max);
        let (mut there_ns, mut open_ns) = (0, 0);
        let rows = tracks.iter().enumerate().filter_map(|(nth, track)| {
            let cells = Cells::of(track, &scale);
            there_ns += cells.there_ns();
            open_ns += cells.open_ns();
            (nth < rows_max).then(|| cells.row(&track.name, &scale))
        });
        let rows: Vec<Row> = rows.collect();
        Self {
            title: shown(title),
            range: span(range),
            cell: scale.cell_length(),
            columns: scale.columns(),
            ticks: scale.ticks(8),
            rows_left_out: tracks.len() - rows.len(),
            rows,
            share: share(there_ns, open_ns),
        }
    }

    /// How many cells lie before a tick, to a thousandth.
    pub(crate) fn column_at(&self, tick: &Tick) -> f64 {
        (tick.column * 1000.0).round() / 1000.0
    }

    /// The same in percent of all.
    pub(crate) fn percent_at(&self, tick: &Tick) -> f64 {
        (tick.column / f64::from(self.columns) * 100_000.0).round() / 1000.0
    }

    /// Whether any cell is closed.
    pub(crate) fn has_closed(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.runs).any(|run| run.fill == Fill::Closed)
    }

    /// Whether a tick so far to the right has room for its label.
    pub(crate) fn has_room(&self, tick: &Tick) -> bool {
        tick.column <= f64::from(self.columns) * 0.93
    }
}

/// What of each cell is there, in nanoseconds.
struct Cells {
    /// All but what is closed.
    open: Vec<i128>,
    there: Vec<i128>,
    empty: Vec<i128>,
    failed: Vec<bool>,
}

impl Cells {
    fn of(track: &Track, scale: &Scale) -> Self {
        let columns = scale.columns() as usize;
        let spread = |intervals: &[Interval]| {
            let mut cells = vec![0; columns];
            united(intervals).into_iter().for_each(|interval| spread(&mut cells, interval, scale));
            cells
        };
        let closed = spread(&track.closed);
        let length = (0..scale.columns()).map(|column| scale.cell(column)).map(|(start, end)| end - start);
        let mut failed = vec![false; columns];
        for column in track.failed.iter().flat_map(|interval| scale.columns_of(*interval)) {
            failed[column as usize] = true;
        }
        Self {
            open: length.zip(closed).map(|(length, closed)| length - closed).collect(),
            there: spread(&track.there),
            empty: spread(&track.empty),
            failed,
        }
    }

    fn covered(&self, column: usize) -> i128 {
        (self.there[column] + self.empty[column]).min(self.open[column])
    }

    fn there_ns(&self) -> i128 {
        (0..self.open.len()).map(|column| self.covered(column)).sum()
    }

    fn open_ns(&self) -> i128 {
        self.open.iter().sum()
    }

    /// How every cell looks.
    fn fills(&self) -> Vec<Fill> {
        let mut fills: Vec<Fill> = (0..self.open.len()).map(|column| self.fill(column)).collect();
        // A year without its weekends is one shape where nothing is missing, not a hundred.
        let mut column = 0;
        while let Some(closed) = fills[column..].iter().position(|fill| *fill == Fill::Closed).map(|nth| column + nth) {
            let open = fills[closed..].iter().position(|fill| *fill != Fill::Closed).map_or(fills.len(), |nth| closed + nth);
            if let (Some(before), Some(after)) = (closed.checked_sub(1), fills.get(open))
                && fills[before] == *after
            {
                let same = *after;
                fills[closed..open].fill(same);
            }
            column = open;
        }
        fills
    }

    fn fill(&self, column: usize) -> Fill {
        let (covered, open) = (self.covered(column), self.open[column]);
        match covered {
            _ if open == 0 => Fill::Closed,
            0 => Fill::Missing,
            _ if self.there[column] == 0 => Fill::Empty,
            _ if covered == open => Fill::Whole,
            // The quarter that it is nearest to, but neither nothing nor all.
            _ => Fill::Part(((covered * 8 / open + 1) / 2).clamp(1, 3) as u32),
        }
    }

    fn row(&self, name: &str, scale: &Scale) -> Row {
        let fills: Vec<Option<Fill>> = self.fills().into_iter().map(Some).collect();
        let runs = runs_of(scale, &fills, |fill, columns| self.told(fill, columns));
        let failed: Vec<Option<Fill>> = self.failed.iter().map(|failed| failed.then_some(Fill::Failed)).collect();
        let failed = runs_of(scale, &failed, |_, _| "failed".to_owned());
        let share = share(self.there_ns(), self.open_ns());
        let gaps = runs.iter().filter(|run| run.fill == Fill::Missing).count();
        let mut summary = format!("{}: {share} there", shown(name));
        if gaps > 0 {
            summary += &format!(", {}", counted(gaps, "gap", "gaps"));
        }
        if !failed.is_empty() {
            summary += ", with failures";
        }
        Row { label: cut(&shown(name), LABEL_COLUMNS_MAX).into_owned(), name: shown(name), share, summary, runs, failed }
    }

    fn told(&self, fill: Fill, columns: Range<usize>) -> String {
        match fill {
            Fill::Missing => "missing".to_owned(),
            Fill::Whole => "all there".to_owned(),
            Fill::Empty => "empty, says its generator".to_owned(),
            Fill::Closed => "closed".to_owned(),
            Fill::Failed => "failed".to_owned(),
            Fill::Part(_) => {
                let covered = columns.clone().map(|column| self.covered(column)).sum();
                format!("{} there", share(covered, self.open[columns].iter().sum()))
            }
        }
    }
}

/// Neighbouring columns of the same look, with what is told of them.
fn runs_of(scale: &Scale, fills: &[Option<Fill>], told: impl Fn(Fill, Range<usize>) -> String) -> Vec<Run> {
    let mut column = 0;
    let runs = fills.chunk_by(PartialEq::eq).filter_map(|run| {
        let begin = column;
        column += run.len();
        let fill = run[0]?;
        let (start, end) = (u32::try_from(begin).ok()?, u32::try_from(column).ok()?);
        let title = format!("{}: {}", span(scale.time_of(start..end)?), told(fill, begin..column));
        Some(Run { column: start, columns: end - start, fill, title })
    });
    runs.collect()
}

/// Adds an interval to the cells that it lies in.
fn spread(cells: &mut [i128], interval: Interval, scale: &Scale) {
    let (from, to) = (i128::from(interval.start().ns()), i128::from(interval.end().ns()));
    for column in scale.columns_of(interval) {
        let (start, end) = scale.cell(column);
        cells[column as usize] += (to.min(end) - from.max(start)).max(0);
    }
}

/// The same time without overlap.
fn united(intervals: &[Interval]) -> Vec<Interval> {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable();
    let mut united: Vec<Interval> = Vec::with_capacity(sorted.len());
    for interval in sorted {
        match united.last_mut() {
            Some(last) if interval.start() <= last.end() => {
                // Longer than one that is not empty, so not empty either.
                *last = Interval::new(last.start(), last.end().max(interval.end())).unwrap_or(*last);
            }
            _ => united.push(interval),
        }
    }
    united
}

/// A part as a share of a whole, if there is any.
fn share(part: i128, whole: i128) -> String {
    if whole == 0 { "-".to_owned() } else { percent(part as f64 / whole as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start: &str, end: &str) -> Interval {
        Interval::parse(start, end).unwrap_or_else(|error| panic!("{error}"))
    }

    fn year() -> Interval {
        interval("2024-01-01", "2025-01-01")
    }

    fn row(track: Track) -> Row {
        Map::new("md", year(), &[track], 400, 10).rows.remove(0)
    }

    #[test]
    fn neighbours_that_look_the_same_are_one_shape() {
        let hours = (0..8784).filter(|hour| !(1000..1100).contains(hour));
        let start = year().start().ns();
        let hour = |nth: i64| {
            let at = |nth: i64| tickbarn::Time::from_ns(start + nth * 3_600_000_000_000);
            Interval::new(at(nth), at(nth + 1)).unwrap_or_else(|error| panic!("{error}"))
        };
        let row = row(Track { name: "binance/BTC-USDT".into(), there: hours.map(hour).rev().collect(), ..Track::default() });
        let runs: Vec<(u32, u32, Fill)> = row.runs.iter().map(|run| (run.column, run.columns, run.fill)).collect();
        assert_eq!(runs, [(0, 41, Fill::Whole), (41, 1, Fill::Part(3)), (42, 3, Fill::Missing), (45, 1, Fill::Part(1)), (46, 320, Fill::Whole)]);
        assert_eq!(row.runs[1].title, "2024-02-11 00:00 to 24:00: 66.6% there");
        assert_eq!(row.runs[2].title, "2024-02-12 00:00 to 2024-02-15 00:00: missing");
        assert_eq!(row.summary, "binance/BTC-USDT: 98.8% there, 1 gap");
    }

    #[test]
    fn what_holds_no_data_is_there_and_what_failed_is_seen_beside_it() {
        let track = Track {
            name: "glbx/ESH4".into(),
            there: vec![interval("2024-01-01", "2024-03-01"), interval("2024-02-01", "2024-03-01")],
            empty: vec![interval("2024-03-01", "2025-01-01")],
            failed: vec![interval("2024-02-03", "2024-02-04"), interval("2024-06-01", "2024-06-03"), interval("2030-01-01", "2030-01-02")],
            ..Track::default()
        };
        let row = row(track);
        assert_eq!(row.share, "100.0%");
        assert_eq!(row.runs.iter().map(|run| run.fill).collect::<Vec<_>>(), [Fill::Whole, Fill::Empty]);
        assert_eq!(row.failed.iter().map(|run| (run.column, run.columns)).collect::<Vec<_>>(), [(33, 1), (152, 2)]);
    }

    #[test]
    fn closed_time_is_no_gap_and_counts_for_nothing() {
        let weekends = (0..52).map(|week| {
            let saturday = interval("2024-01-06", "2024-01-08").start().ns() + week * 7 * 86_400_000_000_000;
            Interval::new(tickbarn::Time::from_ns(saturday), tickbarn::Time::from_ns(saturday + 2 * 86_400_000_000_000))
                .unwrap_or_else(|error| panic!("{error}"))
        });
        let closed: Vec<Interval> = weekends.collect();
        let there = (0..51).filter(|week| *week != 20).filter_map(|week| Interval::new(closed[week].end(), closed[week + 1].start()).ok());
        let row = row(Track { there: there.collect(), closed: closed.clone(), ..Track::default() });
        let looks: Vec<Fill> = row.runs.iter().map(|run| run.fill).collect();
        use Fill::{Closed, Missing, Whole};
        assert_eq!(looks, [Missing, Closed, Whole, Closed, Missing, Closed, Whole, Closed, Missing]);
        assert_eq!(row.runs[4].title, "2024-05-27 00:00 to 2024-06-01 00:00: missing");
    }

    #[test]
    fn a_sliver_is_neither_nothing_nor_all() {
        let sliver = row(Track { there: vec![interval("2024-05-05", "2024-05-05T00:00:00.000000001Z")], ..Track::default() });
        assert_eq!(sliver.share, "0.0%");
        assert_eq!(sliver.runs[1].fill, Fill::Part(1));
        let there = vec![interval("2024-01-01", "2024-05-05"), interval("2024-05-05T00:00:01Z", "2025-01-01")];
        let all_but_a_sliver = row(Track { there, ..Track::default() });
        assert_eq!(all_but_a_sliver.share, "99.9%");
        assert_eq!(all_but_a_sliver.runs[1].fill, Fill::Part(3));
    }

    #[test]
    fn a_map_ends_somewhere_and_says_so() {
        let tracks = vec![Track { there: vec![year()], ..Track::default() }; 30];
        let map = Map::new("md", year(), &tracks, 400, 10);
        assert_eq!((map.rows.len(), map.rows_left_out, map.share.as_str()), (10, 20, "100.0%"));
    }
}
