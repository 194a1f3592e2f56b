//! What a load does about partitions that are missing and generators that fail: two questions that are answered apart.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::interval::{Interval, Time, length_text, parse_length_ns};
use crate::store::FailureRecord;
use crate::word::UnknownWord;

/// What happens to a partition that is not in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissing {
    /// It is generated.
    #[default]
    Generate,
    /// The load fails before anything is generated.
    Fail,
    /// It is left out.
    Skip,
}

/// What happens when a generator fails, after its retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The load stops: what runs is ended, what finished is kept.
    #[default]
    Fail,
    /// The partition is left out and the rest goes on.
    Skip,
}

/// Whether a partition is tried whose failure is on record from an earlier load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryFailed {
    /// Yes.
    #[default]
    Always,
    /// Only when that long has passed since.
    After(Duration),
    /// No: the recorded failure is what the load answers.
    Never,
}

/// How a load deals with what is missing and what fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// For partitions that are not in the store.
    pub missing: OnMissing,
    /// For those that only a derived partition needs, where what is missing is generated: whether they are generated first, or left out together with
    /// what is derived from them, or whether the load fails: before anything is generated, or, where it depends on something that is generated first whether
    /// they are missing, when that has turned out.
    pub upstream: OnMissing,
    /// For generators that fail.
    pub failure: OnFailure,
    /// Generate even what is there. The old entry stays until the new one is committed.
    pub refresh: bool,
    /// For failures that are on record.
    pub retry_failed: RetryFailed,
    /// How long a partition is waited for that another load or process generates, before it counts as failed. By default as long as that takes.
    pub wait_max: Option<Duration>,
    /// Whether a partition may end in the future. What is generated for one before its interval is over is handed out only to loads that allow it.
    pub allow_future: bool,
}

impl Policy {
    /// Whether a load refuses a partition because it ends after `now`: it would be generated before its data is complete.
    pub fn refuses(&self, partition: Interval, now: Time) -> bool {
        self.missing == OnMissing::Generate && !self.allow_future && partition.end() > now
    }

    /// Whether a load fails where something is missing and not to be generated.
    pub(crate) fn refuses_missing(&self) -> bool {
        // Where what is missing is generated, only what an upstream keeps from it is left.
        self.missing == OnMissing::Fail || (self.missing == OnMissing::Generate && self.upstream == OnMissing::Fail)
    }

    /// Whether a load that begins `now` tries a partition again that failed before.
    pub fn tries_again(&self, record: &FailureRecord, now: Time) -> bool {
        match self.retry_failed {
            RetryFailed::Always => true,
            RetryFailed::Never => false,
            RetryFailed::After(pause) => {
                // One from the future was recorded by another clock: how old it is nobody knows.
                let age_ns = u128::try_from(now.ns().saturating_sub(record.last.ns())).unwrap_or(u128::MAX);
                age_ns >= pause.as_nanos()
            }
        }
    }
}

/// The five modes of earlier export scripts, accepted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Generate what is missing or cannot be read, skip failures.
    Default,
    /// Read, and fail on anything missing.
    Read,
    /// Read, and skip what is missing.
    ReadIgnoreErrors,
    /// Generate everything anew, and fail on a failure.
    Write,
    /// Generate everything anew, and skip failures.
    WriteIgnoreErrors,
}

impl Mode {
    /// The policy that the mode stands for.
    pub fn policy(self) -> Policy {
        let (missing, failure, refresh) = match self {
            Mode::Default => (OnMissing::Generate, OnFailure::Skip, false),
            Mode::Read => (OnMissing::Fail, OnFailure::Fail, false),
            Mode::ReadIgnoreErrors => (OnMissing::Skip, OnFailure::Skip, false),
            Mode::Write => (OnMissing::Generate, OnFailure::Fail, true),
            Mode::WriteIgnoreErrors => (OnMissing::Generate, OnFailure::Skip, true),
        };
        Policy { missing, failure, refresh, ..Policy::default() }
    }
}

fn unknown<T>(text: &str, known: &'static str) -> Result<T, UnknownWord> {
    Err(UnknownWord::new(text, known))
}

impl FromStr for OnMissing {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "generate" => Ok(OnMissing::Generate),
            "fail" => Ok(OnMissing::Fail),
            "skip" => Ok(OnMissing::Skip),
            _ => unknown(text, "generate, fail, skip"),
        }
    }
}

impl FromStr for OnFailure {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "fail" => Ok(OnFailure::Fail),
            "skip" => Ok(OnFailure::Skip),
            _ => unknown(text, "fail, skip"),
        }
    }
}

impl FromStr for RetryFailed {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "always" => Ok(RetryFailed::Always),
            "never" => Ok(RetryFailed::Never),
            length => match parse_length_ns(length) {
                Ok(ns) => Ok(RetryFailed::After(Duration::from_nanos(ns.unsigned_abs()))),
                Err(_) => unknown(text, "always, never, or a length of time such as 1h"),
            },
        }
    }
}

impl fmt::Display for RetryFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetryFailed::Always => f.write_str("always"),
            RetryFailed::Never => f.write_str("never"),
            RetryFailed::After(length) => f.write_str(&length_text(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX))),
        }
    }
}

impl FromStr for Mode {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "Default" => Ok(Mode::Default),
            "Read" => Ok(Mode::Read),
            "ReadIgnoreErrors" => Ok(Mode::ReadIgnoreErrors),
            "Write" => Ok(Mode::Write),
            "WriteIgnoreErrors" => Ok(Mode::WriteIgnoreErrors),
            _ => unknown(text, "Default, Read, ReadIgnoreErrors, Write, WriteIgnoreErrors"),
        }
    }
}
