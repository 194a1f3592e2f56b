//! Retention: what a store is to keep and what may go, as a program, a command line or a dataset file's `[gc]` says it.
//!
//! Only what was asked for stands here. What follows from it for a store is decided in `gc`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::instrument::Instrument;
use crate::interval::parse_length_ns;
use crate::size::parse_bytes;
use crate::word::UnknownWord;

/// What may be collected from a store, and what may not.
///
/// An entry goes where a *rule* says so, within the *scope*, unless something *protects* it.
///
/// * Rules: [`superseded`](Self::superseded), [`max_age`](Self::max_age), and, in order of their value until enough is free,
///   [`max_bytes`](Self::max_bytes) and [`min_free`](Self::min_free). [`failures`](Self::failures) and [`leftovers`](Self::leftovers) concern other
///   things than entries. Without any rule, everything in a scope that was named goes.
/// * Scope: [`datasets`](Self::datasets) and [`instruments`](Self::instruments); all, where none is named.
/// * Protection: [`grace`](Self::grace), [`keep_last`](Self::keep_last), pins, and what running programs have loaded.
///
/// ```
/// use std::time::Duration;
/// use tickbarn::{ByteSize, Retention};
///
/// let mut retention = Retention::default();
/// retention.max_bytes = Some("500GiB".parse::<ByteSize>()?.0);
/// retention.grace = Duration::from_secs(24 * 3600);
/// assert!(retention.says_anything());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Retention {
    /// Only entries and failures of these datasets; of all, where none is named.
    pub datasets: Vec<String>,
    /// Only entries and failures of these instruments; of all, where none is named.
    pub instruments: Vec<Instrument>,
    /// Once the artifacts of all entries take more than so many bytes, the least valuable entries go, until they take [`low_water`](Self::low_water) of
    /// it. Everything in the store counts, whatever the scope.
    pub max_bytes: Option<u64>,
    /// Down to which part of `max_bytes` it goes, above 0 and at most 1: 0.9 by default, so that it does not begin again at once. Anything else counts as
    /// 1: a slip must not empty a store.
    pub low_water: f64,
    /// Once less is free on the store's disk, the least valuable entries go, until that much is free.
    pub min_free: Option<Free>,
    /// Entries that were not used for longer go. Use is known to ten minutes.
    pub max_age: Option<Duration>,
    /// Entries go that an entry of the same dataset, instrument and interval has superseded: one generated later by another program, configuration or
    /// upstream, since when they were not used as far as is known, to ten minutes.
    pub superseded: bool,
    /// Records of failures go.
    pub failures: bool,
    /// What lies about goes: work directories and claims of dead processes, drafts, artifacts that no entry names, kept programs that nobody uses, what
    /// the journal says of entries that are gone.
    pub leftovers: bool,
    /// Of each dataset and instrument, the entries of the last so many intervals are kept, but for superseded ones where those are asked for.
    pub keep_last: Option<usize>,
    /// Nothing goes that was made or used within this length of time before now. An hour by default.
    pub grace: Duration,
    /// In which order entries go where space is wanted.
    pub order: Order,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            datasets: Vec::new(),
            instruments: Vec::new(),
            max_bytes: None,
            low_water: 0.9,
            min_free: None,
            max_age: None,
            superseded: false,
            failures: false,
            leftovers: false,
            keep_last: None,
            grace: Duration::from_secs(3600),
            order: Order::Value,
        }
    }
}

impl Retention {
    /// Whether it says of anything that it may go.
    pub fn says_anything(&self) -> bool {
        self.has_rule() || self.has_scope() || self.keep_last.is_some()
    }

    /// Whether everything in the scope goes, since no rule says what.
    pub(crate) fn takes_all_in_scope(&self) -> bool {
        !self.has_rule() && (self.has_scope() || self.keep_last.is_some())
    }

    fn has_rule(&self) -> bool {
        self.superseded || self.failures || self.leftovers || self.max_bytes.is_some() || self.min_free.is_some() || self.max_age.is_some()
    }

    fn has_scope(&self) -> bool {
        !self.datasets.is_empty() || !self.instruments.is_empty()
    }

    /// Whether a dataset and instrument are in the scope.
    pub(crate) fn concerns(&self, dataset: &str, instrument: &Instrument) -> bool {
        (self.datasets.is_empty() || self.datasets.iter().any(|name| name == dataset))
            && (self.instruments.is_empty() || self.instruments.contains(instrument))
    }

    /// The grace period in whole seconds, which is how use is known: a part of one counts as one.
    pub(crate) fn grace_seconds(&self) -> u64 {
        self.grace.as_secs().saturating_add(u64::from(self.grace.subsec_nanos() > 0))
    }

    /// What `max_bytes` is brought down to.
    pub(crate) fn low_water_bytes(&self) -> Option<u64> {
        let is_part = self.low_water > 0.0 && self.low_water < 1.0;
        self.max_bytes.map(|bytes| if is_part { (bytes as f64 * self.low_water) as u64 } else { bytes })
    }
}

/// How much of a disk is to be free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Free {
    /// So many bytes.
    Bytes(u64),
    /// This part of the disk, from 0 to 1.
    Share(f64),
}

impl Free {
    /// The same in bytes, of a disk of so many.
    pub(crate) fn of(self, disk_bytes: u64) -> u64 {
        match self {
            Free::Bytes(bytes) => bytes,
            Free::Share(share) => (disk_bytes as f64 * share) as u64,
        }
    }
}

impl FromStr for Free {
    type Err = UnknownWord;

    /// Reads `10%` or `200GiB`.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let share = parse_share(text).filter(|share| *share < 1.0).map(Free::Share);
        share.or_else(|| parse_bytes(text).map(Free::Bytes)).ok_or_else(|| UnknownWord::new(text, "a share below 100% (10%), a size (200GiB)"))
    }
}

impl fmt::Display for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Free::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Free::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

/// The part of a whole that `90%` is, from 0 to 1.
pub(crate) fn parse_share(text: &str) -> Option<f64> {
    let percent: f64 = text.trim().strip_suffix('%')?.trim_end().parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// A low-water mark: `90%`, above 0 and at most 100.
pub fn parse_low_water(text: &str) -> Result<f64, UnknownWord> {
    parse_share(text).filter(|share| *share > 0.0).ok_or_else(|| UnknownWord::new(text, "a share above 0% and up to 100% (90%)"))
}

/// A length of time that may be none: `1h`, `0s`.
pub fn parse_grace(text: &str) -> Result<Duration, UnknownWord> {
    if matches!(text.trim(), "0" | "0s") {
        return Ok(Duration::ZERO);
    }
    let ns = parse_length_ns(text).map_err(|_| UnknownWord::new(text, "a length of time (1h, 30m, 0s)"))?;
    Ok(Duration::from_nanos(ns.unsigned_abs()))
}

/// In which order entries go where space is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The least valuable first: seconds to generate again × recency of use ÷ bytes freed.
    #[default]
    Value,
    /// The least recently used first.
    Lru,
}

impl FromStr for Order {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "value" => Ok(Order::Value),
            "lru" => Ok(Order::Lru),
            _ => Err(UnknownWord::new(text, "value, lru")),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Value => "value",
            Order::Lru => "lru",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_meant() {
        assert_eq!("10%".parse(), Ok(Free::Share(0.1)));
        assert_eq!("200GiB".parse(), Ok(Free::Bytes(200 << 30)));
        for text in ["100%", "-1%", "10 percent", "", "%", "NaN%"] {
            assert!(text.parse::<Free>().is_err(), "{text}");
        }
        assert_eq!(parse_low_water("90%"), Ok(0.9));
        assert!(parse_low_water("0%").is_err() && parse_low_water("101%").is_err() && parse_low_water("0.9").is_err());
        assert_eq!(parse_grace("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_grace("1h"), Ok(Duration::from_secs(3600)));
        assert!(parse_grace("-1h").is_err() && parse_grace("soon").is_err());
        assert_eq!("lru".parse(), Ok(Order::Lru));
    }

    #[test]
    fn a_low_water_mark_that_is_none_empties_no_store() {
        let mark = |low_water| Retention { max_bytes: Some(1000), low_water, ..Retention::default() }.low_water_bytes();
        assert_eq!([0.9, 0.001, 1.0].map(mark), [Some(900), Some(1), Some(1000)]);
        assert_eq!([0.0, -0.5, 1.5, f64::NAN, f64::INFINITY].map(mark), [Some(1000); 5]);
    }

    #[test]
    fn without_a_rule_a_scope_takes_all_of_itself() {
        let mut retention = Retention::default();
        assert!(!retention.says_anything() && !retention.takes_all_in_scope());
        retention.datasets.push("md".to_owned());
        assert!(retention.says_anything() && retention.takes_all_in_scope());
        // Failures of a dataset are not its entries.
        retention.failures = true;
        assert!(!retention.takes_all_in_scope());
    }
}
