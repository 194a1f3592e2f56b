//! The JSON configuration: what to export (the model), which feed to replay (the run), how the simulated market behaves
//! (the simulation). A key that is not known here is an error, for a setting that is silently ignored is worse than none.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// The longest window of a feature: a day.
const WINDOW_NS_MAX: i64 = 24 * 3600 * 1_000_000_000;
/// The most levels that a row of the book shows.
const LEVELS_MAX: usize = 1000;

/// What is traded, and where. A recorded feed is checked for the pair; the market is the desk's own name for the venue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instrument {
    pub(crate) market: String,
    pub(crate) pair: String,
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.market, self.pair)
    }
}

/// The model of the export `marketdata`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarketDataModel {
    pub(crate) instrument: Instrument,
    pub(crate) orderbook_file: PathBuf,
    pub(crate) trades_file: PathBuf,
    /// How many levels of each side a row shows, from 1 to 1000.
    #[serde(default = "default_levels")]
    pub(crate) orderbook_levels: usize,
    /// Whether a book of which one side has no level at all is left out; otherwise its columns are null.
    #[serde(default = "default_skip")]
    pub(crate) skip_empty_levels: bool,
}

fn default_levels() -> usize {
    40
}

fn default_skip() -> bool {
    true
}

impl MarketDataModel {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let model: Self = parse(path)?;
        let levels = model.orderbook_levels;
        check(path, "orderbook_levels", (1..=LEVELS_MAX).contains(&levels), || format!("is {levels}: give 1 to {LEVELS_MAX}"))?;
        check(path, "trades_file", model.trades_file != model.orderbook_file, || {
            "is the same as \"orderbook_file\": each table needs a file of its own".into()
        })?;
        Ok(model)
    }
}

/// The model of the export `features`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeaturesModel {
    pub(crate) instrument: Instrument,
    pub(crate) features_file: PathBuf,
    pub(crate) features: Windows,
}

/// The lengths of the features' windows, in nanoseconds, from 1 to a day.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Windows {
    #[serde(rename = "traded_ob_window_size")]
    pub(crate) traded_ns: i64,
    #[serde(rename = "sided_ob_window_size")]
    pub(crate) sided_ns: i64,
}

impl FeaturesModel {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let model: Self = parse(path)?;
        let Windows { traded_ns, sided_ns } = model.features;
        for (key, ns) in [("traded_ob_window_size", traded_ns), ("sided_ob_window_size", sided_ns)] {
            check(path, key, (1..=WINDOW_NS_MAX).contains(&ns), || format!("is {ns}: give 1 to {WINDOW_NS_MAX} nanoseconds"))?;
        }
        Ok(model)
    }
}

/// A run of the engine: where the messages come from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunConfig {
    pub(crate) feed: FeedConfig,
}

/// A source of messages.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum FeedConfig {
    /// A recorded Databento DBN file of schema `mbo`, compressed with zstd or not.
    Dbn {
        /// Relative paths start at the folder of the run's configuration.
        path: PathBuf,
    },
    /// The simulated market.
    Simulated {},
}

impl RunConfig {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut run: Self = parse(path)?;
        if let (FeedConfig::Dbn { path: feed }, Some(folder)) = (&mut run.feed, path.parent()) {
            *feed = folder.join(&feed);
        }
        Ok(run)
    }
}

/// How the simulated market behaves. Every setting has a default, so `{}` will do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Simulation {
    /// Another seed is another history.
    pub(crate) seed: u64,
    /// How often something happens on average, from 0.001 to 100.
    pub(crate) events_per_second: f64,
    /// Which part of the events are trades, from 0 to 1; orders that the price runs into trade on top of that.
    pub(crate) trade_share: f64,
    /// About how far the price moves in a day, as a part of itself, from 0 to 0.05.
    pub(crate) volatility: f64,
    /// How many orders rest on each side, about, from 10 to 2000.
    pub(crate) orders_per_side: u32,
}

impl Default for Simulation {
    fn default() -> Self {
        Self { seed: 1, events_per_second: 0.25, trade_share: 0.15, volatility: 0.02, orders_per_side: 200 }
    }
}

impl Simulation {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let simulation: Self = parse(path)?;
        let Self { events_per_second, trade_share, volatility, orders_per_side, .. } = simulation;
        for (key, value, min, max) in [
            ("events_per_second", events_per_second, 0.001, 100.0),
            ("trade_share", trade_share, 0.0, 1.0),
            ("volatility", volatility, 0.0, 0.05),
            ("orders_per_side", orders_per_side.into(), 10.0, 2000.0),
        ] {
            check(path, key, (min..=max).contains(&value), || format!("is {value}: give {min} to {max}"))?;
        }
        Ok(simulation)
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|source| Error::ReadConfig { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| Error::ParseConfig { path: path.to_owned(), source })
}

fn check(path: &Path, key: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Setting { path: path.to_owned(), key, reason: reason() })
}
