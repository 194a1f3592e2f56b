//! Sets of times as sorted intervals: what a year of partitions comes down to, so that nothing has to be kept a partition.

use crate::interval::{Interval, Time};

/// A set of times: half-open intervals in order of time, none empty, of which no two overlap or touch.
///
/// Two sets of the same times are equal. Every operation takes time in proportion to the number of intervals, not to the partitions they came from.
///
/// ```
/// # use tickbarn::{Interval, IntervalSet};
/// let week = IntervalSet::from(Interval::parse("2024-01-01", "2024-01-08")?);
/// let there = IntervalSet::from_iter([Interval::parse("2024-01-01", "2024-01-02")?, Interval::parse("2024-01-02", "2024-01-05")?]);
/// assert_eq!(there.len(), 1);
/// let missing = week.difference(&there);
/// assert_eq!(missing.intervals()[0].to_string(), "2024-01-05T00:00:00Z/2024-01-08T00:00:00Z");
/// # Ok::<(), tickbarn::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntervalSet(Vec<Interval>);

impl IntervalSet {
    /// The set without any time.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Its intervals, in order of time.
    pub fn intervals(&self) -> &[Interval] {
        &self.0
    }

    /// How many intervals it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds no time at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long all its intervals are together, in nanoseconds.
    pub fn total_ns(&self) -> u64 {
        self.0.iter().map(length_ns).sum()
    }

    /// How much of an interval lies in the set, in nanoseconds. Costs a search, and a step for each interval of the set that lies in it.
    pub fn total_ns_in(&self, interval: Interval) -> u64 {
        let first = self.0.partition_point(|own| own.end() <= interval.start());
        let inside = self.0[first..].iter().take_while(|own| own.start() < interval.end());
        inside.filter_map(|own| common(*own, interval)).map(|common| length_ns(&common)).sum()
    }

    /// Whether a time is in it.
    pub fn contains(&self, time: Time) -> bool {
        let nth = self.0.partition_point(|own| own.end() <= time);
        self.0.get(nth).is_some_and(|own| own.start() <= time)
    }

    /// From the first time in it to the last; `None` where there is none.
    pub fn span(&self) -> Option<Interval> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        Interval::new(first.start(), last.end()).ok()
    }

    /// What is in one of the two or in both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(one), Some(another)) = (left.peek(), right.peek()) {
            both.extend(common(**one, **another));
            if one.end() <= another.end() {
                left.next();
            } else {
                right.next();
            }
        }
        Self(both)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = Vec::new();
        let mut taken = other.0.iter().peekable();
        for own in &self.0 {
            let mut from = own.start();
            while taken.next_if(|away| away.end() <= from).is_some() {}
            // One that reaches beyond this interval may take something of the next, too: it is only looked at.
            while let Some(away) = taken.peek().filter(|away| away.start() < own.end()) {
                rest.extend(Interval::new(from, away.start()).ok());
                from = from.max(away.end());
                if away.end() > own.end() {
                    break;
                }
                taken.next();
            }
            rest.extend(Interval::new(from, own.end()).ok());
        }
        Self(rest)
    }

    /// What of an interval is not in it.
    #[must_use]
    pub fn complement(&self, within: Interval) -> Self {
        Self::from(within).difference(self)
    }

    /// What of it lies in an interval.
    #[must_use]
    pub fn clipped(&self, within: Interval) -> Self {
        self.intersection(&Self::from(within))
    }

    /// Adds what comes in order of its start: what it costs does not depend on what is there already. What starts earlier than the last interval must not
    /// be added so.
    pub(crate) fn push_in_order(&mut self, start: Time, end: Time) {
        match self.0.last_mut() {
            Some(last) if start <= last.end() => {
                debug_assert!(last.start() <= start, "what is added comes in order");
                if let Ok(longer) = Interval::new(last.start(), last.end().max(end)) {
                    *last = longer;
                }
            }
            _ => self.0.extend(Interval::new(start, end).ok()),
        }
    }
}

/// What two intervals share.
fn common(left: Interval, right: Interval) -> Option<Interval> {
    Interval::new(left.start().max(right.start()), left.end().min(right.end())).ok()
}

fn length_ns(interval: &Interval) -> u64 {
    interval.end().ns().abs_diff(interval.start().ns())
}

impl From<Interval> for IntervalSet {
    fn from(interval: Interval) -> Self {
        Self(vec![interval])
    }
}

/// Of intervals in whatever order, also such that overlap.
impl FromIterator<Interval> for IntervalSet {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut intervals: Vec<Interval> = intervals.into_iter().collect();
        intervals.sort_unstable();
        let mut set = Self::new();
        for interval in intervals {
            set.push_in_order(interval.start(), interval.end());
        }
        set
    }
}

impl<'a> IntoIterator for &'a IntervalSet {
    type Item = Interval;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, Interval>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const TIMES: i64 = 60;

    fn interval(start: i64, end: i64) -> Interval {
        Interval::new(Time::from_ns(start), Time::from_ns(end)).unwrap()
    }

    /// The plainest set of times: each of them.
    fn model(set: &IntervalSet) -> BTreeSet<i64> {
        set.into_iter().flat_map(|interval| interval.start().ns()..interval.end().ns()).collect()
    }

    fn sets() -> impl Strategy<Value = IntervalSet> {
        let ends = (-TIMES..TIMES, 1i64..12);
        prop::collection::vec(ends, 0..14).prop_map(|ends| ends.into_iter().map(|(start, length)| interval(start, start + length)).collect())
    }

    fn is_in_form(set: &IntervalSet) -> bool {
        set.intervals().windows(2).all(|pair| pair[0].end() < pair[1].start())
    }

    proptest! {
        #[test]
        fn operations_are_those_of_sets_of_times(left in sets(), right in sets(), from in -TIMES..TIMES, length in 1i64..80) {
            let (one, other) = (model(&left), model(&right));
            let within = interval(from, from + length);
            let inside: BTreeSet<i64> = (from..from + length).collect();
            for (set, expected) in [
                (left.clone(), one.clone()),
                (left.union(&right), one.union(&other).copied().collect()),
                (left.intersection(&right), one.intersection(&other).copied().collect()),
                (left.difference(&right), one.difference(&other).copied().collect()),
                (left.complement(within), inside.difference(&one).copied().collect()),
                (left.clipped(within), inside.intersection(&one).copied().collect()),
            ] {
                prop_assert!(is_in_form(&set), "{set:?}");
                prop_assert_eq!(set.total_ns(), expected.len() as u64);
                prop_assert_eq!(model(&set), expected);
            }
            prop_assert_eq!(left.total_ns_in(within), one.intersection(&inside).count() as u64);
            prop_assert_eq!((-TIMES..TIMES + 12).filter(|ns| left.contains(Time::from_ns(*ns))).count(), one.len());
            prop_assert_eq!(left.span().map(|span| span.start().ns()), one.first().copied());
            prop_assert_eq!(left.span().map(|span| span.end().ns() - 1), one.last().copied());
        }

        #[test]
        fn the_same_times_are_the_same_set(set in sets()) {
            let pieces = model(&set).into_iter().rev().map(|ns| interval(ns, ns + 1));
            prop_assert_eq!(pieces.collect::<IntervalSet>(), set);
        }
    }

    #[test]
    fn the_ends_of_all_time_are_no_trouble() {
        let all = interval(i64::MIN, i64::MAX);
        assert_eq!(IntervalSet::from(all).total_ns(), u64::MAX);
        assert_eq!(IntervalSet::new().complement(all), IntervalSet::from(all));
        assert!(IntervalSet::from(all).complement(all).is_empty());
    }
}
