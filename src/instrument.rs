//! What a partition is about: one pair on one market.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result, shortened};

/// One traded instrument, in text `market/PAIR` (`binance/BTC-USDT`), split at the first `/`.
///
/// Both parts are 1 to 128 bytes of UTF-8 without control characters or white space at their ends. The pair may hold `/` itself (`kraken/BTC/USD`).
/// Parts that would climb in a directory tree (`.`, `..`, an empty part between slashes) are refused, although tickbarn never makes a path of a
/// name: generators might. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instrument {
    market: Arc<str>,
    pair: Arc<str>,
}

/// The longest market or pair, in bytes.
const PART_BYTES_MAX: usize = 128;

impl Instrument {
    /// An instrument of these parts.
    ///
    /// # Errors
    /// [`Error::InvalidInstrument`], naming the rule that is broken.
    pub fn new(market: &str, pair: &str) -> Result<Self> {
        let reason = if market.contains('/') {
            Some("the market holds a '/'")
        } else {
            problem_of(market, "the market is empty").or_else(|| problem_of(pair, "the pair is empty"))
        };
        match reason {
            None => Ok(Self { market: market.into(), pair: pair.into() }),
            Some(reason) => Err(Error::InvalidInstrument { text: shortened(&format!("{market}/{pair}")), reason }),
        }
    }

    /// Where it is traded.
    pub fn market(&self) -> &str {
        &self.market
    }

    /// What is traded there.
    pub fn pair(&self) -> &str {
        &self.pair
    }
}

fn problem_of(part: &str, empty: &'static str) -> Option<&'static str> {
    if part.is_empty() {
        Some(empty)
    } else if part.len() > PART_BYTES_MAX {
        Some("a part is longer than 128 bytes")
    } else if part.chars().any(|character| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\\')) {
        Some("it holds a control character or a backslash")
    } else if part.trim() != part {
        Some("a part begins or ends with white space")
    } else if part.split('/').any(|step| matches!(step, "" | "." | "..")) {
        Some("it holds an empty part, '.' or '..'")
    } else {
        None
    }
}

impl FromStr for Instrument {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((market, pair)) => Self::new(market, pair),
            None => Err(Error::InvalidInstrument { text: shortened(text), reason: "it holds no '/'" }),
        }
    }
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.market, self.pair)
    }
}

impl fmt::Debug for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As `{"market": …, "pair": …}`, the form of intervals files and of keys.
impl Serialize for Instrument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Parts { market: self.market.as_ref().into(), pair: self.pair.as_ref().into() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Instrument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::deserialize(deserializer)?;
        Self::new(&parts.market, &parts.pair).map_err(serde::de::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts<'a> {
    market: std::borrow::Cow<'a, str>,
    pair: std::borrow::Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instrument_is_split_at_the_first_slash() {
        let instrument: Instrument = "kraken/BTC/USD".parse().unwrap();
        assert_eq!((instrument.market(), instrument.pair()), ("kraken", "BTC/USD"));
        assert_eq!(instrument.to_string(), "kraken/BTC/USD");
    }

    #[test]
    fn names_that_could_become_paths_or_garble_a_terminal_are_refused() {
        let long = format!("binance/{}", "x".repeat(10_000));
        let bad = [
            "",
            "/",
            "binance",
            "binance/",
            "/BTC",
            "../../etc/passwd",
            "binance/../x",
            "./x",
            "binance//x",
            "binance/x/",
            "a/b\nc",
            "a/\u{1b}[31m",
            "a/b\0",
            "a/ b",
            "a /b",
            "a/b\\c",
            &long,
        ];
        for text in bad {
            let error = text.parse::<Instrument>().unwrap_err().to_string();
            assert!(error.contains("MARKET/PAIR"), "{text}: {error}");
            assert!(error.len() < 500, "{text}: a message must stay readable");
            assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn other_scripts_and_odd_signs_are_names_like_any_other() {
        for text in ["bourse/€STOXX", "okx/BTC-USDT-SWAP", "x/--help", "x/$(touch y)", "市場/円"] {
            assert_eq!(text.parse::<Instrument>().unwrap().to_string(), text);
        }
    }
}
