//! What a view is to show, and how.

use std::fmt;
use std::str::FromStr;

use crate::dataset::Dataset;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::word::UnknownWord;

/// What a view is to show, and how. Everything, in hive's layout, by default.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ViewOptions {
    /// Only entries of these datasets; of all, where none is named.
    pub datasets: Vec<String>,
    /// Only entries of these instruments; of all, where none is named.
    pub instruments: Vec<Instrument>,
    /// Only partitions that end after this time.
    pub start: Option<Time>,
    /// Only partitions that start before this time.
    pub end: Option<Time>,
    /// The datasets as they are defined now. Of one that is here, only what a load of it would hand out is shown, under the name that it has here. Of any
    /// other, the entry that was made last, where several tell of the same time.
    pub definitions: Vec<Dataset>,
    /// How the tree is laid out.
    pub layout: ViewLayout,
    /// What its files are.
    pub link: ViewLink,
}

impl ViewOptions {
    pub(super) fn shows_dataset(&self, name: &str) -> bool {
        self.datasets.is_empty() || self.datasets.iter().any(|wanted| wanted == name)
    }

    pub(super) fn shows_instrument(&self, instrument: &Instrument) -> bool {
        self.instruments.is_empty() || self.instruments.contains(instrument)
    }

    pub(super) fn shows_interval(&self, interval: Interval) -> bool {
        self.start.is_none_or(|start| interval.end() > start) && self.end.is_none_or(|end| interval.start() < end)
    }
}

/// How a view is laid out below its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewLayout {
    /// `<dataset>/market=…/pair=…/start=…/<output>.parquet`: what readers of hive partitions make columns of.
    #[default]
    Hive,
    /// `<dataset>/<market>/<pair>/<start>/<output>.parquet`.
    Plain,
}

/// What the files of a view are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewLink {
    /// Hard links where the file system and its permissions allow, symbolic links elsewhere.
    #[default]
    Auto,
    /// Hard links: whole files for every tool. They keep their bytes on the disk also after the store has collected them.
    Hard,
    /// Symbolic links, absolute: they lead nowhere once the store has collected what they point to.
    Symbolic,
}

impl ViewLayout {
    /// The layout as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            ViewLayout::Hive => "hive",
            ViewLayout::Plain => "plain",
        }
    }
}

impl fmt::Display for ViewLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ViewLayout {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "hive" => Ok(ViewLayout::Hive),
            "plain" => Ok(ViewLayout::Plain),
            _ => Err(UnknownWord::new(text, "hive, plain")),
        }
    }
}

impl ViewLink {
    /// The kind as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            ViewLink::Auto => "auto",
            ViewLink::Hard => "hard",
            ViewLink::Symbolic => "symbolic",
        }
    }
}

impl fmt::Display for ViewLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ViewLink {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "auto" => Ok(ViewLink::Auto),
            "hard" => Ok(ViewLink::Hard),
            "symbolic" => Ok(ViewLink::Symbolic),
            _ => Err(UnknownWord::new(text, "auto, hard, symbolic")),
        }
    }
}
