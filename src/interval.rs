//! Times, half-open intervals of them, and how an interval is cut into partitions.
//!
//! Everything is UTC in nanoseconds since the epoch as `i64`: from 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z.

use std::fmt;
use std::str::FromStr;

use jiff::{SpanRelativeTo, Timestamp, civil};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result, shortened};

/// A point in time, UTC, as nanoseconds since the epoch. Written as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// A time from nanoseconds since the epoch.
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the epoch.
    pub const fn ns(self) -> i64 {
        self.0
    }

    /// The present, by this machine's clock.
    pub fn now() -> Self {
        Self::from_timestamp(Timestamp::now()).unwrap_or(Self(i64::MAX))
    }

    fn from_timestamp(timestamp: Timestamp) -> Option<Self> {
        i64::try_from(timestamp.as_nanosecond()).ok().map(Self)
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0)).expect("jiff's range, the years -9999 to 9999, holds all of i64's nanoseconds")
    }
}

/// Fewer digits than this are a date in ISO's basic form (`20231225`), more are nanoseconds since the epoch.
const NS_DIGITS_MIN: usize = 15;

impl FromStr for Time {
    type Err = Error;

    /// Reads ISO 8601 with a zone, without one (UTC), or a date alone (its midnight); or, as a bare integer of 15 digits or more, nanoseconds
    /// since the epoch.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason: String| Error::InvalidTime { text: shortened(text), reason };
        let out_of_range = || invalid("it lies outside 1677-09-21 to 2262-04-11, which is what 64-bit nanoseconds hold".to_owned());

        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() >= NS_DIGITS_MIN && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self).map_err(|_| out_of_range());
        }
        let zone = text.split_once(['T', 't', ' ']).is_some_and(|(_, time)| time.contains(['Z', 'z', '+', '-', '[']));
        let timestamp = if zone {
            text.parse::<Timestamp>().map_err(|error| invalid(error.to_string()))?
        } else {
            let datetime = text.parse::<civil::DateTime>().map_err(|error| invalid(error.to_string()))?;
            jiff::tz::Offset::UTC.to_timestamp(datetime).map_err(|error| invalid(error.to_string()))?
        };
        Self::from_timestamp(timestamp).ok_or_else(out_of_range)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.timestamp(), f)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The times from `start` up to, but without, `end`. Never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Ends")]
pub struct Interval {
    start: Time,
    end: Time,
}

impl Interval {
    /// The interval `[start, end)`.
    ///
    /// # Errors
    /// [`Error::EmptyInterval`] where `start` is not before `end`.
    pub fn new(start: Time, end: Time) -> Result<Self> {
        if start < end { Ok(Self { start, end }) } else { Err(Error::EmptyInterval { start, end }) }
    }

    /// Reads both ends with [`Time::from_str`].
    ///
    /// # Errors
    /// [`Error::InvalidTime`] and [`Error::EmptyInterval`].
    ///
    /// ```
    /// # use tickbarn::Interval;
    /// let week = Interval::parse("2023-12-25", "2024-01-01")?;
    /// assert_eq!(week.to_string(), "2023-12-25T00:00:00Z/2024-01-01T00:00:00Z");
    /// # Ok::<(), tickbarn::Error>(())
    /// ```
    pub fn parse(start: &str, end: &str) -> Result<Self> {
        Self::new(start.parse()?, end.parse()?)
    }

    /// The first time inside.
    pub const fn start(&self) -> Time {
        self.start
    }

    /// The first time after.
    pub const fn end(&self) -> Time {
        self.end
    }

    /// Whether a time is inside.
    pub fn holds(&self, time: Time) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether any time is inside of both.
    pub fn overlaps(&self, other: Interval) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// An interval as it is read, before its order is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    start: Time,
    end: Time,
}

impl TryFrom<Ends> for Interval {
    type Error = Error;

    fn try_from(ends: Ends) -> Result<Self> {
        Self::new(ends.start, ends.end)
    }
}

/// ISO 8601's form of an interval, `start/end`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.end)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the cuts of a [`Split`] lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// On the UTC grid that passes through the epoch, the request's edges clipped: requests that overlap share their inner partitions.
    #[default]
    Grid,
    /// From the interval's own start, the last piece clipped.
    Start,
    /// On the UTC grid in whole cells that cover the interval: requests that overlap share every partition, and frames trim the edges.
    Cover,
}

/// How a dataset's intervals are cut into partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    every_ns: i64,
    align: Align,
}

/// The most partitions that one interval may be cut into.
const PARTITIONS_MAX: u64 = 10_000_000;

const SECOND_NS: i64 = 1_000_000_000;

impl Split {
    /// Cuts of a length such as `"12h"`, `"5m"`, `"1d"` (24 hours) or `"1h30m"`.
    ///
    /// # Errors
    /// [`Error::InvalidSplit`] where the text is no length, or not a positive one of at most 2^63 − 1 nanoseconds.
    pub fn every(text: &str) -> Result<Self> {
        let every_ns = parse_length_ns(text).map_err(|reason| Error::InvalidSplit { text: shortened(text), reason })?;
        Ok(Self { every_ns, align: Align::default() })
    }

    /// The same length, cut elsewhere.
    pub fn aligned(self, align: Align) -> Self {
        Self { align, ..self }
    }

    /// The length of a whole partition in nanoseconds, at least one.
    pub const fn every_ns(&self) -> i64 {
        self.every_ns
    }

    /// Where the cuts lie.
    pub const fn align(&self) -> Align {
        self.align
    }

    /// Cuts an interval into its partitions, in time order, without gaps or overlap.
    ///
    /// # Errors
    /// [`Error::TooManyPartitions`] beyond ten million, and [`Error::InvalidTime`] where a covering cell leaves the range of [`Time`].
    pub fn partitions(&self, interval: Interval) -> Result<Vec<Interval>> {
        let every = i128::from(self.every_ns);
        let (start, end) = (i128::from(interval.start.ns()), i128::from(interval.end.ns()));
        let first = match self.align {
            Align::Start => start,
            Align::Grid | Align::Cover => start.div_euclid(every) * every,
        };
        let count = (end - first + every - 1) / every;
        if count > i128::from(PARTITIONS_MAX) {
            return Err(Error::TooManyPartitions {
                interval,
                every: self.length(),
                count: u64::try_from(count).unwrap_or(u64::MAX),
                limit: PARTITIONS_MAX,
            });
        }
        (0..count)
            .map(|nth| {
                let cell = (first + nth * every, first + (nth + 1) * every);
                let (from, to) = match self.align {
                    Align::Cover => cell,
                    Align::Grid | Align::Start => (cell.0.max(start), cell.1.min(end)),
                };
                Ok(Interval { start: time_of(from, interval)?, end: time_of(to, interval)? })
            })
            .collect()
    }

    /// The whole partition that holds a time: on the grid the cell around it, else the one that starts there.
    ///
    /// ```
    /// # use tickbarn::{Interval, Split};
    /// let cell = Split::every("12h")?.cell_at("2024-01-01T13:30".parse()?)?;
    /// assert_eq!(cell, Interval::parse("2024-01-01T12:00", "2024-01-02")?);
    /// # Ok::<(), tickbarn::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidTime`] where it leaves the range of [`Time`].
    pub fn cell_at(&self, time: Time) -> Result<Interval> {
        let (every, at) = (i128::from(self.every_ns), i128::from(time.ns()));
        let start = match self.align {
            Align::Start => at,
            Align::Grid | Align::Cover => at.div_euclid(every) * every,
        };
        let point = Interval { start: time, end: Time(time.0.saturating_add(1)) };
        Ok(Interval { start: time_of(start, point)?, end: time_of(start + every, point)? })
    }

    fn length(&self) -> String {
        length_text(self.every_ns)
    }
}

fn time_of(ns: i128, interval: Interval) -> Result<Time> {
    i64::try_from(ns).map(Time).map_err(|_| Error::InvalidTime {
        text: interval.to_string(),
        reason: "a whole partition at its edge leaves the range of 64-bit nanoseconds".to_owned(),
    })
}

/// Twelve hours, aligned to the grid.
impl Default for Split {
    fn default() -> Self {
        Self { every_ns: 12 * 3600 * SECOND_NS, align: Align::Grid }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.length())
    }
}

/// Reads a length of time, positive, where a day has 24 hours. Says what is wrong otherwise.
pub(crate) fn parse_length_ns(text: &str) -> std::result::Result<i64, String> {
    let span: jiff::Span = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("months and years have no fixed length".to_owned());
    }
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    match i64::try_from(duration.as_nanos()) {
        Ok(ns) if ns > 0 => Ok(ns),
        Ok(_) => Err("it must be longer than zero".to_owned()),
        Err(_) => Err("it is longer than 292 years".to_owned()),
    }
}

/// The shortest way to write a length: `12h`, `90m`, `1500ns`.
pub(crate) fn length_text(ns: i64) -> String {
    const UNITS: [(&str, i64); 7] =
        [("d", 86_400 * SECOND_NS), ("h", 3_600 * SECOND_NS), ("m", 60 * SECOND_NS), ("s", SECOND_NS), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    let (unit, unit_ns) = UNITS.into_iter().find(|(_, unit_ns)| ns % unit_ns == 0).expect("every length is a multiple of one nanosecond");
    format!("{}{unit}", ns / unit_ns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_read_with_and_without_zone() {
        let expected = Time::from_ns(1_703_545_200_000_000_000);
        for text in [
            "2023-12-25T23:00:00Z",
            "2023-12-25T23:00:00",
            "2023-12-25 23:00",
            "2023-12-26T01:00:00+02:00",
            "2023-12-25T18:00:00-05",
            "1703545200000000000",
            "2023-12-25T23:00:00.000000000Z",
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        assert_eq!(time("2023-12-25"), time("2023-12-25T00:00:00Z"));
        assert_eq!(time("20231225"), time("2023-12-25"));
        assert_eq!(time("2023-12-25T23:00:00.000000001").ns(), expected.ns() + 1);
        assert_eq!(expected.to_string(), "2023-12-25T23:00:00Z");
    }

    #[test]
    fn what_is_not_a_time_is_refused_with_the_way_out() {
        for text in [
            "",
            "yesterday",
            "2023-13-01",
            "2023-02-30",
            "25/12/2023",
            "2023-12-25T23:00:00.0000000001Z",
            "1500-01-01",
            "2300-01-01T00:00:00Z",
            "99999999999999999999",
            "2023-12-25T25:00",
            "2023-12-25T23:00:00+99:00",
            "12h",
        ] {
            let error = text.parse::<Time>().unwrap_err();
            assert!(matches!(error, Error::InvalidTime { .. }) && error.to_string().contains("ISO 8601"), "{text}: {error}");
        }
    }

    #[test]
    fn the_ends_of_the_range_are_times() {
        for ns in [i64::MIN, i64::MAX, 0, -1] {
            assert_eq!(time(&Time::from_ns(ns).to_string()).ns(), ns);
        }
    }

    #[test]
    fn an_interval_turned_round_or_empty_is_refused() {
        for (start, end) in [("2024-01-02", "2024-01-01"), ("2024-01-01", "2024-01-01")] {
            assert!(matches!(Interval::parse(start, end), Err(Error::EmptyInterval { .. })));
        }
    }

    #[test]
    fn requests_that_overlap_share_their_inner_partitions() {
        let split = Split::every("12h").unwrap();
        let one = split.partitions(Interval::parse("2024-01-01T03:00", "2024-01-03").unwrap()).unwrap();
        let other = split.partitions(Interval::parse("2024-01-01T09:00", "2024-01-02T06:00").unwrap()).unwrap();
        let text = |partitions: &[Interval]| partitions.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(&one)[0], "2024-01-01T03:00:00Z/2024-01-01T12:00:00Z");
        assert_eq!(one.len(), 4);
        assert_eq!(one[1], other[1]);
        assert_eq!(text(&other)[2], "2024-01-02T00:00:00Z/2024-01-02T06:00:00Z");
    }

    #[test]
    fn cells_that_cover_a_request_are_whole() {
        let split = Split::every("1d").unwrap().aligned(Align::Cover);
        let cells = split.partitions(Interval::parse("2024-01-01T23:59", "2024-01-02T00:01").unwrap()).unwrap();
        assert_eq!(cells, [Interval::parse("2024-01-01", "2024-01-02").unwrap(), Interval::parse("2024-01-02", "2024-01-03").unwrap()]);
    }

    #[test]
    fn lengths() {
        for (text, every) in [("12h", "12h"), ("5m", "5m"), ("1d", "1d"), ("1h30m", "90m"), ("1w", "7d"), ("250ms", "250ms"), ("PT12H", "12h")] {
            assert_eq!(Split::every(text).unwrap().to_string(), every);
        }
        for bad in ["", "0h", "-1h", "12", "h", "1mo", "1y", "12 parsecs", "9999999h"] {
            let error = Split::every(bad).unwrap_err().to_string();
            assert!(error.contains("\"12h\""), "{bad}: {error}");
        }
    }

    #[test]
    fn a_load_of_nanoseconds_is_refused_before_memory_is() {
        let error = Split::every("1ns").unwrap().partitions(Interval::parse("2024-01-01", "2024-02-01").unwrap()).unwrap_err();
        assert!(matches!(error, Error::TooManyPartitions { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn partitions_cover_the_interval_without_gap_or_overlap(
            start in -10_000i64..10_000, length in 1i64..10_000, every in 1i64..5_000, align in 0..3,
        ) {
            let align = [Align::Grid, Align::Start, Align::Cover][align as usize];
            let interval = Interval::new(Time(start), Time(start + length)).unwrap();
            let partitions = Split { every_ns: every, align }.partitions(interval).unwrap();
            prop_assert!(partitions.windows(2).all(|pair| pair[0].end == pair[1].start));
            let (first, last) = (partitions[0], partitions[partitions.len() - 1]);
            match align {
                Align::Cover => {
                    prop_assert!(first.start <= interval.start && last.end >= interval.end);
                    prop_assert!(partitions.iter().all(|cell| cell.end.0 - cell.start.0 == every && cell.start.0.rem_euclid(every) == 0));
                }
                Align::Grid => {
                    prop_assert_eq!((first.start, last.end), (interval.start, interval.end));
                    prop_assert!(partitions.iter().skip(1).all(|cell| cell.start.0.rem_euclid(every) == 0));
                }
                Align::Start => {
                    prop_assert_eq!((first.start, last.end), (interval.start, interval.end));
                    prop_assert!(partitions.iter().rev().skip(1).all(|cell| cell.end.0 - cell.start.0 == every));
                }
            }
        }
    }
}
