//! Closed times: when there is no data by design, so that what is missing is what is missed. UTC throughout, which knows no summer time.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result, shortened};
use crate::interval::{Interval, Time};
use crate::interval_set::IntervalSet;

const MINUTE_NS: i64 = 60_000_000_000;
const DAY_NS: i64 = 24 * 60 * MINUTE_NS;
const WEEK_NS: i64 = 7 * DAY_NS;
/// A Monday: the epoch was a Thursday.
const MONDAY_NS: i64 = -3 * DAY_NS;

/// The days of a week, as far as they must be written.
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const DAY_LETTERS_MIN: usize = 3;

/// Times at which a dataset has no data by design: weekends, the hours between two sessions, holidays. Not in any key.
///
/// Each is written as a text, in UTC:
///
/// | text | closed |
/// |---|---|
/// | `weekends` | from Saturday 00:00 to Monday 00:00 |
/// | `sat,sun` | those whole days of every week |
/// | `fri-sun` | from the first moment of one day to the last of the other, every week |
/// | `22:00-23:00` | every day; over midnight where the end is earlier than the start |
/// | `fri 22:00 - sun 23:00` | once a week |
/// | `2024-12-25` | that day |
/// | `2024-12-24T18:00/2024-12-26` | that interval, once |
///
/// ```
/// # use tickbarn::{ClosedTimes, Interval};
/// let closed: ClosedTimes = "weekends".parse()?;
/// let fortnight = closed.within(Interval::parse("2024-01-01", "2024-01-15")?);
/// assert_eq!(fortnight.len(), 2);
/// assert_eq!(fortnight.intervals()[0].to_string(), "2024-01-06T00:00:00Z/2024-01-08T00:00:00Z");
/// # Ok::<(), tickbarn::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ClosedTimes(Vec<Rule>);

#[derive(Clone, PartialEq, Eq)]
struct Rule {
    /// As it was written.
    text: String,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// Again and again: so long behind each of the times that lie a whole number of periods from a Monday.
    Every {
        period_ns: i64,
        from_ns: i64,
        length_ns: i64,
    },
    Once(Interval),
}

impl ClosedTimes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads several, each as [`ClosedTimes::from_str`] does.
    ///
    /// # Errors
    /// [`Error::InvalidClosed`] for the first that means nothing.
    pub fn of(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        texts.into_iter().try_fold(Self::default(), |closed, text| Ok(closed.and(&text.as_ref().parse()?)))
    }

    /// These and the others.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend(others.0.iter().cloned());
        self
    }

    /// What of an interval is closed.
    pub fn within(&self, interval: Interval) -> IntervalSet {
        let mut closed = Vec::new();
        for span in self.0.iter().flat_map(|rule| &rule.spans) {
            span.within(interval, &mut closed);
        }
        closed.into_iter().collect()
    }

    /// The texts that they were read from.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rule| rule.text.as_str())
    }
}

impl fmt::Display for ClosedTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().collect::<Vec<_>>().join("; "))
    }
}

impl fmt::Debug for ClosedTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts()).finish()
    }
}

impl FromStr for ClosedTimes {
    type Err = Error;

    /// Reads one of the forms above.
    fn from_str(text: &str) -> Result<Self> {
        let spans = spans_of(text.trim()).map_err(|reason| Error::InvalidClosed { text: shortened(text), reason })?;
        Ok(Self(vec![Rule { text: text.trim().to_owned(), spans }]))
    }
}

impl Span {
    fn within(self, interval: Interval, closed: &mut Vec<Interval>) {
        let (start, end) = (i128::from(interval.start().ns()), i128::from(interval.end().ns()));
        let mut put = |from: i128, to: i128| {
            let clipped = |ns: i128| i64::try_from(ns.clamp(start, end)).map(Time::from_ns);
            if let (Ok(from), Ok(to)) = (clipped(from), clipped(to)) {
                closed.extend(Interval::new(from, to).ok());
            }
        };
        match self {
            Span::Once(once) => put(once.start().ns().into(), once.end().ns().into()),
            Span::Every { period_ns, from_ns, length_ns } => {
                let (period, length) = (i128::from(period_ns), i128::from(length_ns));
                let base = i128::from(MONDAY_NS) + i128::from(from_ns);
                // The first that ends behind the start.
                let mut from = base + (start - length - base).div_euclid(period) * period;
                while from < end {
                    put(from, from + length);
                    from += period;
                }
            }
        }
    }
}

/// One end of a span, as it is written.
#[derive(Clone, Copy)]
struct End {
    day: Option<i64>,
    minute: Option<i64>,
}

fn spans_of(text: &str) -> Result<Vec<Span>, String> {
    const FORMS: &str = "it is none of the forms that are known";
    if text.eq_ignore_ascii_case("weekends") || text.eq_ignore_ascii_case("weekend") {
        return Ok(vec![weekly(5 * DAY_NS, 7 * DAY_NS)]);
    }
    let dated = text.contains('/') || (text.contains('-') && !text.contains(char::is_whitespace) && !is_clock_range(text));
    if dated && text.starts_with(|first: char| first.is_ascii_digit()) {
        return once(text).map(|once| vec![once]);
    }
    let days: Option<Vec<i64>> = text.split(',').map(|day| day_of(day.trim())).collect();
    if let Some(days) = days {
        return Ok(days.into_iter().map(|day| weekly(day * DAY_NS, (day + 1) * DAY_NS)).collect());
    }
    let (start, end) = text.split_once('-').ok_or(FORMS)?;
    let (start, end) = (end_of(start.trim())?, end_of(end.trim())?);
    let span = match (start, end) {
        (End { day: None, minute: Some(from) }, End { day: None, minute: Some(to) }) => {
            let length = (to - from).rem_euclid(24 * 60);
            // From 00:00 to 24:00 is a whole day; from 12:00 to 12:00 is no hour or all of them.
            let length = if length == 0 && (from, to) == (0, 24 * 60) { 24 * 60 } else { length };
            match length {
                0 => return Err("it ends where it begins".to_owned()),
                _ => Span::Every { period_ns: DAY_NS, from_ns: from * MINUTE_NS, length_ns: length * MINUTE_NS },
            }
        }
        (End { day: Some(from), minute: None }, End { day: Some(to), minute: None }) => weekly(from * DAY_NS, (to + 1) * DAY_NS),
        (End { day: Some(first), minute: Some(from) }, End { day, minute: Some(to) }) => {
            let last = day.unwrap_or(first);
            let (from, to) = (first * DAY_NS + from * MINUTE_NS, last * DAY_NS + to * MINUTE_NS);
            if from == to || (day.is_none() && to < from) {
                return Err("it ends where it begins, or before; name the day of its end".to_owned());
            }
            weekly(from, to)
        }
        _ => return Err("one of its ends lacks a day or a time of day".to_owned()),
    };
    Ok(vec![span])
}

/// Once a week, from one moment behind Monday 00:00 to another, which may lie in the next week.
fn weekly(from_ns: i64, to_ns: i64) -> Span {
    let length_ns = match (to_ns - from_ns).rem_euclid(WEEK_NS) {
        0 => WEEK_NS,
        length => length,
    };
    Span::Every { period_ns: WEEK_NS, from_ns, length_ns }
}

/// A date, or two times with a stroke between them.
fn once(text: &str) -> Result<Span, String> {
    let time = |text: &str| text.trim().parse::<Time>().map_err(|_| format!("{:?} is not a date or time", shortened(text)));
    let (start, end) = match text.split_once('/') {
        Some((start, end)) => (time(start)?, time(end)?),
        None => {
            let start = time(text)?;
            if start.ns().rem_euclid(DAY_NS) != 0 {
                return Err("a day is written as a date; write START/END for an interval".to_owned());
            }
            (start, Time::from_ns(start.ns().saturating_add(DAY_NS)))
        }
    };
    Interval::new(start, end).map(Span::Once).map_err(|_| "its start must be before its end".to_owned())
}

fn is_clock_range(text: &str) -> bool {
    text.split_once('-').is_some_and(|(from, to)| minute_of(from).is_some() && minute_of(to).is_some())
}

fn end_of(text: &str) -> Result<End, String> {
    let (day, clock) = match text.split_once(char::is_whitespace) {
        Some((day, clock)) => (Some(day), Some(clock.trim())),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let day = day.map(|day| day_of(day).ok_or_else(|| format!("{:?} is no day of the week", shortened(day)))).transpose()?;
    let minute = clock.map(|clock| minute_of(clock).ok_or_else(|| format!("{:?} is no time of day", shortened(clock)))).transpose()?;
    Ok(End { day, minute })
}

fn day_of(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    let nth = DAYS.iter().position(|day| text.len() >= DAY_LETTERS_MIN && day.starts_with(&text))?;
    i64::try_from(nth).ok()
}

/// The minute of a day, of `HH:MM`; 24:00 is its end.
fn minute_of(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| (text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<i64>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    ((hours < 24 && minutes < 60) || (hours, minutes) == (24, 0)).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn closed(text: &str, start: &str, end: &str) -> Vec<String> {
        let closed = text.parse::<ClosedTimes>().unwrap().within(Interval::parse(start, end).unwrap());
        closed.into_iter().map(|interval| interval.to_string().replace(":00Z", "").replace("2024-", "")).collect()
    }

    #[test]
    fn every_form_means_what_it_says() {
        // A Monday to a Monday.
        let week = |text| closed(text, "2024-01-01", "2024-01-08");
        let weekend = ["01-06T00:00/01-08T00:00"];
        for text in ["weekends", "sat,sun", "SAT, Sunday", "sat-sun", "sat 00:00 - sun 24:00", "sat 00:00 - mon 00:00"] {
            assert_eq!(week(text), weekend, "{text}");
        }
        assert_eq!(week("fri 22:00 - sun 23:00"), ["01-05T22:00/01-07T23:00"]);
        assert_eq!(week("sun 22:00 - 23:00"), ["01-07T22:00/01-07T23:00"]);
        // Over the end of the week, and so in both.
        assert_eq!(week("sun 12:00 - mon 06:00"), ["01-01T00:00/01-01T06:00", "01-07T12:00/01-08T00:00"]);
        assert_eq!(closed("22:00-23:00", "2024-01-01T22:30", "2024-01-03"), ["01-01T22:30/01-01T23:00", "01-02T22:00/01-02T23:00"]);
        assert_eq!(closed("23:00 - 01:00", "2024-01-01", "2024-01-02"), ["01-01T00:00/01-01T01:00", "01-01T23:00/01-02T00:00"]);
        assert_eq!(closed("00:00-24:00", "2024-01-01", "2024-01-03"), ["01-01T00:00/01-03T00:00"]);
        assert_eq!(closed("2024-12-25", "2024-01-01", "2025-01-01"), ["12-25T00:00/12-26T00:00"]);
        assert_eq!(closed("2024-12-24T18:00/2024-12-26", "2024-01-01", "2025-01-01"), ["12-24T18:00/12-26T00:00"]);
    }

    #[test]
    fn nothing_shifts_where_clocks_are_changed() {
        // Europe's clocks changed on the 31st, America's on the 10th.
        let march = closed("06:00-07:00", "2024-03-01", "2024-04-02");
        assert_eq!(march.len(), 32);
        assert!(march.iter().all(|day| day.contains("T06:00/") && day.ends_with("T07:00")), "{march:?}");
    }

    #[test]
    fn what_means_nothing_is_refused_with_the_forms() {
        for (text, said) in [
            ("", "none of the forms"),
            ("holidays", "none of the forms"),
            ("sat,fun", "none of the forms"),
            ("12:00-12:00", "ends where it begins"),
            ("25:00-26:00", "25:00"),
            ("fri 22:00 - sun", "lacks a day or a time"),
            ("22:00 - sun 23:00", "lacks a day or a time"),
            ("sun 23:00 - 22:00", "name the day of its end"),
            ("fry 22:00 - sun 23:00", "\"fry\" is no day"),
            ("2024-13-01", "is not a date"),
            ("2024-01-02/2024-01-01", "before its end"),
            ("2024-01-02T12:00", "START/END"),
        ] {
            let error = text.parse::<ClosedTimes>().unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("weekends"), "{text}: {error}");
        }
    }

    proptest! {
        /// Minute by minute, over weeks on both sides of the epoch.
        #[test]
        fn a_weekly_span_is_closed_at_its_minutes_and_at_no_others(
            week in -300i64..3000, first in 0usize..7, last in 0usize..7, from in 0i64..1440, to in 0i64..1440, step in 1i64..500,
        ) {
            let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
            let (start, end) = (first as i64 * 1440 + from, last as i64 * 1440 + to);
            prop_assume!(start != end);
            let text = format!("{} {} - {} {}", &DAYS[first][..3], clock(from), DAYS[last], clock(to));
            let closed: ClosedTimes = text.parse().unwrap();
            let monday = MONDAY_NS + week * WEEK_NS;
            let fortnight = Interval::new(Time::from_ns(monday), Time::from_ns(monday + 2 * WEEK_NS)).unwrap();
            let within = closed.within(fortnight);
            for minute in (0..2 * 7 * 1440).step_by(step as usize) {
                let of_week = minute % (7 * 1440);
                let expected = if start < end { start <= of_week && of_week < end } else { of_week < end || start <= of_week };
                prop_assert_eq!(within.contains(Time::from_ns(monday + minute * MINUTE_NS)), expected, "{} at {}", text, minute);
            }
        }
    }

    #[test]
    fn all_of_time_can_be_asked_for() {
        let all = Interval::new(Time::from_ns(i64::MIN), Time::from_ns(i64::MAX)).unwrap();
        let closed = ClosedTimes::of(["weekends", "22:00-23:00"]).unwrap();
        assert!(closed.within(all).len() > 150_000);
        assert_eq!(closed.to_string(), "weekends; 22:00-23:00");
    }
}
