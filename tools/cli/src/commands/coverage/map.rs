//! The heat map: a line an instrument, a cell for so many days or partitions, as many cells as fit.

use std::io::{self, Write};

use tickbarn::inspect::{Coverage, Totals};
use tickbarn::{Interval, Time};
use tickbarn_terminal::output::{Paint, cut, moment, painted_out, percent};

/// How wide the map is where nobody says how wide it may be.
const COLUMNS_PIPED: usize = 100;
/// However narrow a terminal is, so many cells are drawn.
const CELLS_MIN: usize = 10;
const NAME_COLUMNS_MAX: usize = 32;
/// The share, with a gap on both sides.
const SHARE_COLUMNS: usize = 10;
/// Between two words of the legend.
const GAP_COLUMNS: usize = 2;
/// From one date in the heading to the next.
const DATE_EVERY: usize = 12;
const DAY_NS: i64 = 86_400_000_000_000;
/// Where the grid of days and their parts begins, and that of weeks: on a Monday.
const MONDAY_NS: i64 = -3 * DAY_NS;

/// What a cell says, by a glyph that needs no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Glyph {
    glyph: char,
    paint: Paint,
}

const ALL: Glyph = Glyph { glyph: '█', paint: Paint::Good };
const MOST: Glyph = Glyph { glyph: '▓', paint: Paint::Good };
const HALF: Glyph = Glyph { glyph: '▒', paint: Paint::Good };
const LITTLE: Glyph = Glyph { glyph: '░', paint: Paint::Good };
const EMPTY: Glyph = Glyph { glyph: 'o', paint: Paint::Good };
const FAILED: Glyph = Glyph { glyph: 'x', paint: Paint::Error };
const MISSING: Glyph = Glyph { glyph: '.', paint: Paint::Warning };
const CLOSED: Glyph = Glyph { glyph: '-', paint: Paint::Dim };

impl Glyph {
    /// What happened last is what must be seen first: a failure, then what is missing.
    fn of(totals: &Totals) -> Self {
        match totals.share_there() {
            None => CLOSED,
            Some(_) if totals.failed_ns > 0 => FAILED,
            Some(_) if totals.missing_ns == 0 && totals.have_ns == 0 => EMPTY,
            Some(_) if totals.missing_ns == 0 => ALL,
            Some(share) if share >= 2.0 / 3.0 => MOST,
            Some(share) if share >= 1.0 / 3.0 => HALF,
            Some(share) if share > 0.0 => LITTLE,
            Some(_) => MISSING,
        }
    }
}

/// The cells of an interval: whole ones on a grid, the first and the last clipped, each of as many units as it takes for them to be at most `cells_max`.
pub(super) fn cells(interval: Interval, unit_ns: i64, cells_max: usize) -> (Vec<Interval>, i64) {
    let (start, end) = (i128::from(interval.start().ns()), i128::from(interval.end().ns()));
    let unit = i128::from(unit_ns);
    // Of whole weeks, the grid begins on a Monday.
    let base = if unit_ns % (7 * DAY_NS) == 0 { i128::from(MONDAY_NS) } else { 0 };
    let first = base + (start - base).div_euclid(unit) * unit;
    let units = (end - first + unit - 1) / unit;
    let times = (units + cells_max as i128 - 1) / cells_max.max(1) as i128;
    let step = unit * times.max(1);
    let count = (end - first + step - 1) / step;
    let time = |ns: i128| Time::from_ns(ns.clamp(start, end) as i64);
    let cells = (0..count).filter_map(|nth| Interval::new(time(first + nth * step), time(first + (nth + 1) * step)).ok());
    (cells.collect(), i64::try_from(times).unwrap_or(i64::MAX))
}

/// What cells are counted in.
pub(super) struct Unit {
    pub(super) ns: i64,
    /// One of them, with its article.
    pub(super) one: String,
    pub(super) many: String,
}

/// Draws it.
pub(super) fn write(out: &mut impl Write, coverage: &Coverage, columns: Option<usize>, unit: &Unit) -> io::Result<()> {
    let names: Vec<String> = coverage.instruments.iter().map(|one| cut(&one.instrument.to_string(), NAME_COLUMNS_MAX).into_owned()).collect();
    let name_columns = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let room = columns.unwrap_or(COLUMNS_PIPED).saturating_sub(name_columns + SHARE_COLUMNS);
    let (cells, times) = cells(coverage.interval, unit.ns, room.max(CELLS_MIN));
    writeln!(out, "{:width$}{}", "", heading(&cells), width = name_columns + SHARE_COLUMNS)?;
    for (one, name) in coverage.instruments.iter().zip(&names) {
        let share = one.totals(&coverage.closed).share_there().map_or_else(|| "closed".to_owned(), percent);
        let glyphs: Vec<Glyph> = cells.iter().map(|cell| Glyph::of(&one.totals_in(&coverage.closed, *cell))).collect();
        let drawn: String = glyphs
            .chunk_by(|left, right| left.paint == right.paint)
            .map(|same| painted_out(&same.iter().map(|glyph| glyph.glyph).collect::<String>(), same[0].paint))
            .collect();
        writeln!(out, "{name}{:pad$}  {share:>6}  {drawn}", "", pad = name_columns - name.chars().count())?;
    }
    let of = |glyphs: &[Glyph], what: &str| {
        let drawn: String = glyphs.iter().map(|glyph| painted_out(&glyph.glyph.to_string(), glyph.paint)).collect();
        (format!("{drawn} {what}"), glyphs.len() + 1 + what.chars().count())
    };
    let each = if times == 1 { unit.one.clone() } else { format!("{times} {}", unit.many) };
    let legend = [
        of(&[ALL], "all"),
        of(&[MOST, HALF, LITTLE], "a part"),
        of(&[EMPTY], "no data"),
        of(&[FAILED], "failed"),
        of(&[MISSING], "missing"),
        of(&[CLOSED], "closed"),
        of(&[], &format!("a cell is {each}")),
    ];
    let mut used = 0;
    for (nth, (text, columns_of_it)) in legend.iter().enumerate() {
        let fits = used + GAP_COLUMNS + columns_of_it <= columns.unwrap_or(COLUMNS_PIPED);
        match nth {
            0 => {}
            _ if fits => write!(out, "{:GAP_COLUMNS$}", "")?,
            _ => {
                writeln!(out)?;
                used = 0;
            }
        }
        write!(out, "{}", text.trim_start())?;
        used += GAP_COLUMNS + columns_of_it;
    }
    writeln!(out)
}

/// Dates above the cells in which they begin, each as far as it goes without loss: the year where it is another.
fn heading(cells: &[Interval]) -> String {
    let mut heading = String::new();
    let mut year = String::new();
    // The first and the last may be clipped.
    let within_days = cells.get(cells.len() / 2).is_some_and(|cell| cell.end().ns().abs_diff(cell.start().ns()) < DAY_NS.unsigned_abs());
    let mut next = 0;
    for (nth, cell) in cells.iter().enumerate() {
        if nth < next {
            continue;
        }
        let text = moment(cell.start());
        let (date, clock) = text.split_once(' ').unwrap_or((&text, ""));
        let (of_year, day) = date.split_at(date.len() - "-01-01".len());
        let mut label = if of_year == year { day.trim_start_matches('-').to_owned() } else { date.to_owned() };
        if within_days && nth > 0 && clock != "00:00" {
            label = clock.chars().take("00:00".len()).collect();
        }
        year = of_year.to_owned();
        // Nothing reaches beyond the last cell.
        if nth + label.len() > cells.len() && nth > 0 {
            break;
        }
        while heading.chars().count() < nth {
            heading.push(' ');
        }
        heading.push_str(&label);
        next = nth + DATE_EVERY;
    }
    heading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start: &str, end: &str) -> Interval {
        Interval::parse(start, end).unwrap()
    }

    #[test]
    fn cells_are_whole_days_and_as_many_as_fit() {
        let month = interval("2024-01-01T06:00", "2024-02-01");
        let (days, times) = cells(month, DAY_NS, 80);
        assert_eq!((days.len(), times), (31, 1));
        assert_eq!(days[0], interval("2024-01-01T06:00", "2024-01-02"));
        let (fewer, times) = cells(month, DAY_NS, 10);
        assert_eq!((fewer.len(), times), (8, 4));
        assert_eq!(fewer[7], interval("2024-01-29", "2024-02-01"));
        let (weeks, _) = cells(month, 7 * DAY_NS, 80);
        assert_eq!(weeks[1].start(), "2024-01-08".parse().unwrap(), "weeks begin on Mondays");
        let all = Interval::new(Time::from_ns(i64::MIN), Time::from_ns(i64::MAX)).unwrap();
        assert!(cells(all, 1, 80).0.len() <= 80);
    }

    #[test]
    fn what_must_be_seen_is_seen() {
        let totals = |have, empty, failed, missing, closed| {
            let mut totals = Totals::default();
            (totals.have_ns, totals.empty_ns, totals.failed_ns, totals.missing_ns, totals.closed_ns) = (have, empty, failed, missing, closed);
            totals
        };
        for (totals, glyph) in [
            (totals(9, 0, 0, 0, 3), ALL),
            (totals(5, 4, 0, 0, 0), ALL),
            (totals(0, 9, 0, 0, 0), EMPTY),
            (totals(8, 0, 1, 0, 0), FAILED),
            (totals(8, 0, 0, 1, 0), MOST),
            (totals(4, 0, 0, 5, 0), HALF),
            (totals(1, 0, 0, 99, 0), LITTLE),
            (totals(0, 0, 0, 9, 9), MISSING),
            (totals(0, 0, 0, 0, 9), CLOSED),
        ] {
            assert_eq!(Glyph::of(&totals), glyph, "{totals:?}");
        }
    }

    #[test]
    fn dates_stand_above_their_cells() {
        let (days, _) = cells(interval("2023-12-25", "2024-01-31"), DAY_NS, 80);
        assert_eq!(heading(&days), "2023-12-25  2024-01-06  01-18       01-30".split_at(29).0);
        let (hours, _) = cells(interval("2024-01-01", "2024-01-03"), DAY_NS / 24, 80);
        assert_eq!(heading(&hours), "2024-01-01  12:00       01-02       12:00");
    }
}
