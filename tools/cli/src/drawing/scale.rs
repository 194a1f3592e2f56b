//! The time axis of a map: how long a cell is, and which dates stand above the cells.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tickbarn::{Interval, Time};
use tickbarn_terminal::output::{counted, duration, moment};

const SECOND_NS: i128 = 1_000_000_000;
const MINUTE_NS: i128 = 60 * SECOND_NS;
const HOUR_NS: i128 = 60 * MINUTE_NS;
const DAY_NS: i128 = 24 * HOUR_NS;
const WEEK_NS: i128 = 7 * DAY_NS;

/// The first Monday after the epoch, where weeks are cut.
const MONDAY_NS: i128 = 4 * DAY_NS;

/// Lengths of cells from a second on. Below, they are 1, 2 and 5 times a power of ten; above the last, its multiples by two.
const CELLS_NS: [i128; 22] = [
    SECOND_NS,
    2 * SECOND_NS,
    5 * SECOND_NS,
    10 * SECOND_NS,
    15 * SECOND_NS,
    30 * SECOND_NS,
    MINUTE_NS,
    2 * MINUTE_NS,
    5 * MINUTE_NS,
    10 * MINUTE_NS,
    15 * MINUTE_NS,
    30 * MINUTE_NS,
    HOUR_NS,
    2 * HOUR_NS,
    3 * HOUR_NS,
    4 * HOUR_NS,
    6 * HOUR_NS,
    12 * HOUR_NS,
    DAY_NS,
    2 * DAY_NS,
    WEEK_NS,
    2 * WEEK_NS,
];

/// A range of time cut into cells of equal length; only the first and the last may lie partly outside of it.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    range: Interval,
    first_ns: i128,
    cell_ns: i128,
    columns: u32,
}

/// A moment that is marked above the cells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// How many cells lie before it.
    pub(crate) column: f64,
    /// What it is called.
    pub(crate) label: String,
}

impl Scale {
    /// The finest of round lengths that cuts a range into so many cells at most.
    pub(crate) fn over(range: Interval, columns_max: u32) -> Self {
        let (start, end) = (ns(range.start()), ns(range.end()));
        let mut lengths = cell_lengths();
        loop {
            let cell_ns = lengths.next().unwrap_or(WEEK_NS);
            let origin = if cell_ns % WEEK_NS == 0 { MONDAY_NS } else { 0 };
            let first_ns = (start - origin).div_euclid(cell_ns) * cell_ns + origin;
            let columns = (end - first_ns + cell_ns - 1) / cell_ns;
            if let Some(columns) = u32::try_from(columns).ok().filter(|columns| *columns <= columns_max.max(2)) {
                return Self { range, first_ns, cell_ns, columns };
            }
        }
    }

    /// How many cells.
    pub(crate) fn columns(&self) -> u32 {
        self.columns
    }

    /// How long a cell is, in words: `1 day`, `6 hours`.
    pub(crate) fn cell_length(&self) -> String {
        let units = [
            (WEEK_NS, "week", "weeks"),
            (DAY_NS, "day", "days"),
            (HOUR_NS, "hour", "hours"),
            (MINUTE_NS, "minute", "minutes"),
            (SECOND_NS, "second", "seconds"),
        ];
        let unit = units.into_iter().find(|(unit_ns, ..)| self.cell_ns % unit_ns == 0);
        match unit {
            Some((unit_ns, one, many)) => counted((self.cell_ns / unit_ns) as usize, one, many),
            None => duration(self.cell_ns as f64 / SECOND_NS as f64),
        }
    }

    /// Where a cell begins and ends, as far as it lies in the range.
    pub(crate) fn cell(&self, column: u32) -> (i128, i128) {
        let start = self.first_ns + i128::from(column) * self.cell_ns;
        (start.max(ns(self.range.start())), (start + self.cell_ns).min(ns(self.range.end())))
    }

    /// The columns that an interval touches.
    pub(crate) fn columns_of(&self, interval: Interval) -> std::ops::Range<u32> {
        let column = |ns: i128| u32::try_from(ns.div_euclid(self.cell_ns).clamp(0, i128::from(self.columns))).unwrap_or(self.columns);
        let (start, end) = (ns(interval.start()) - self.first_ns, ns(interval.end()) - self.first_ns);
        column(start)..column(end + self.cell_ns - 1)
    }

    /// The time that some columns are, as far as it lies in the range.
    pub(crate) fn time_of(&self, columns: std::ops::Range<u32>) -> Option<Interval> {
        let (start, end) = (self.cell(columns.start).0, self.cell(columns.end.checked_sub(1)?).1);
        Interval::new(time(start)?, time(end)?).ok()
    }

    /// Round moments in the range, so many at most.
    pub(crate) fn ticks(&self, count_max: usize) -> Vec<Tick> {
        let length = self.columns as f64 * self.cell_ns as f64;
        let step = steps().find(|step| length / step.about_ns() <= count_max as f64);
        let (start, end) = (ns(self.range.start()), ns(self.range.end()));
        let moments = step.map(|step| step.moments(start, end)).unwrap_or_default();
        let position = |at: i128| (at - self.first_ns) as f64 / self.cell_ns as f64;
        moments.into_iter().filter_map(|at| Some(Tick { column: position(at), label: step?.label(at)? })).collect()
    }
}

/// How far two ticks lie apart.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ns(i128),
    Months(i64),
}

fn steps() -> impl Iterator<Item = Step> {
    let months = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200].map(Step::Months);
    cell_lengths().take_while(|ns| *ns <= 2 * WEEK_NS).map(Step::Ns).chain(months)
}

impl Step {
    fn about_ns(self) -> f64 {
        match self {
            Step::Ns(ns) => ns as f64,
            Step::Months(months) => months as f64 * 30.4 * DAY_NS as f64,
        }
    }

    /// Its multiples from `start` up to, but without, `end`.
    fn moments(self, start: i128, end: i128) -> Vec<i128> {
        match self {
            Step::Ns(step) => {
                let origin = if step % WEEK_NS == 0 { MONDAY_NS } else { 0 };
                let mut at = (start - origin + step - 1).div_euclid(step) * step + origin;
                std::iter::from_fn(|| {
                    let this = at;
                    at += step;
                    (this < end).then_some(this)
                })
                .collect()
            }
            Step::Months(step) => {
                let month_of = |ns: i128| date(ns).map(|at| i64::from(at.year()) * 12 + i64::from(at.month()) - 1);
                let (Some(first), Some(last)) = (month_of(start), month_of(end)) else { return Vec::new() };
                let first = (first + step - 1).div_euclid(step);
                (first..=last.div_euclid(step)).filter_map(|nth| first_of_month(nth * step)).filter(|at| (start..end).contains(at)).collect()
            }
        }
    }

    /// What a moment is called among others of this step: no more of it than tells them apart, which day being told at its midnight.
    fn label(self, at: i128) -> Option<String> {
        let text = moment(time(at)?);
        let (date, clock) = text.split_once(' ')?;
        Some(match self {
            Step::Months(months) if months % 12 == 0 => date.get(..4)?.to_owned(),
            Step::Months(_) => date.get(..7)?.to_owned(),
            Step::Ns(_) if at.rem_euclid(DAY_NS) == 0 => date.get(5..)?.to_owned(),
            Step::Ns(_) => clock.to_owned(),
        })
    }
}

fn cell_lengths() -> impl Iterator<Item = i128> {
    let below = (0..9).flat_map(|exponent| [1, 2, 5].map(|times| times * 10_i128.pow(exponent)));
    let above = (1..16).map(|doubled| CELLS_NS[CELLS_NS.len() - 1] << doubled);
    below.chain(CELLS_NS).chain(above)
}

fn ns(time: Time) -> i128 {
    i128::from(time.ns())
}

fn time(ns: i128) -> Option<Time> {
    i64::try_from(ns).ok().map(Time::from_ns)
}

fn date(ns: i128) -> Option<Date> {
    Timestamp::from_nanosecond(ns).ok().map(|at| Zoned::new(at, TimeZone::UTC).date())
}

fn first_of_month(month: i64) -> Option<i128> {
    let date = Date::new(i16::try_from(month.div_euclid(12)).ok()?, i8::try_from(month.rem_euclid(12) + 1).ok()?, 1).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(start: &str, end: &str) -> Scale {
        Scale::over(Interval::parse(start, end).unwrap_or_else(|error| panic!("{error}")), 400)
    }

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks(8).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn cells_are_as_fine_as_there_is_room_for() {
        let year = scale("2024-01-01", "2025-01-01");
        assert_eq!((year.columns(), year.cell_length().as_str()), (366, "1 day"));
        assert_eq!(labels(&year), ["2024-01", "2024-03", "2024-05", "2024-07", "2024-09", "2024-11"]);
        let day = scale("2024-01-01", "2024-01-02");
        assert_eq!((day.columns(), day.cell_length().as_str()), (288, "5 minutes"));
        assert_eq!(labels(&day), ["01-01", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"]);
        let decade = scale("2015-03-01", "2024-07-04T12:00:00Z");
        assert_eq!((decade.columns(), decade.cell_length().as_str()), (245, "2 weeks"));
        assert_eq!(labels(&decade), ["2016", "2018", "2020", "2022", "2024"]);
    }

    #[test]
    fn every_range_has_its_scale() {
        for (start, end) in [(i64::MIN, i64::MAX), (0, 1), (i64::MIN, i64::MIN + 1), (i64::MAX - 1, i64::MAX), (-1, 1), (7, 1_000_000_007)] {
            let range = Interval::new(Time::from_ns(start), Time::from_ns(end)).unwrap_or_else(|error| panic!("{error}"));
            for columns_max in [0, 60, 400] {
                let scale = Scale::over(range, columns_max);
                assert!((1..=columns_max.max(2)).contains(&scale.columns()), "{range}");
                assert_eq!(scale.columns_of(range), 0..scale.columns(), "{range}");
                assert_eq!(scale.time_of(0..scale.columns()), Some(range));
                assert!(scale.ticks(8).len() <= 9, "{range}");
                let length: i128 = (0..scale.columns()).map(|column| scale.cell(column)).map(|(start, end)| end - start).sum();
                assert_eq!(length, i128::from(end) - i128::from(start), "the cells are the range, each once");
            }
        }
    }

    #[test]
    fn an_interval_touches_the_cells_that_it_lies_in() {
        let year = scale("2024-01-01", "2025-01-01");
        let columns = |start, end| year.columns_of(Interval::parse(start, end).unwrap_or_else(|error| panic!("{error}")));
        assert_eq!(columns("2024-01-01", "2024-01-02"), 0..1);
        assert_eq!(columns("2024-01-01T23:00:00Z", "2024-01-02T01:00:00Z"), 0..2);
        assert_eq!(columns("2023-01-01", "2024-01-03"), 0..2);
        assert_eq!(columns("2024-12-31", "2025-06-01"), 365..366);
        assert!(columns("2025-06-01", "2025-07-01").is_empty());
    }
}
