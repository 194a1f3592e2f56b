//! Where messages come from: one type of message, and the feeds that give it.
//!
//! Invariants of every feed: times never decrease; an event's messages follow each other and the last of them says so;
//! the messages before an interval suffice to know the book at its start.

mod random;
mod recorded;
mod simulated;

use std::path::PathBuf;

pub(crate) use self::{recorded::Recorded, simulated::Simulated};
use crate::{
    config::{FeedConfig, Instrument, RunConfig, Simulation},
    error::Result,
};

/// What a message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Action {
    /// An order came to rest.
    Add,
    /// An order lost `size`.
    Cancel,
    /// An order has a new price and size.
    Modify,
    /// Every order is gone.
    Clear,
    /// An incoming order traded; the side is the aggressor's.
    Trade,
    /// A resting order was hit. The book changes only by the cancel or modify that follows.
    Fill,
    /// Nothing.
    #[default]
    None,
}

/// A side of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Side {
    Bid,
    Ask,
    #[default]
    None,
}

/// One message of a market-by-order feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// In nanoseconds since the epoch.
    pub(crate) ts: i64,
    pub(crate) action: Action,
    pub(crate) side: Side,
    pub(crate) order_id: u64,
    /// In units of 1e-9.
    pub(crate) price: i64,
    pub(crate) size: u32,
    /// The venue's number of the message.
    pub(crate) sequence: u32,
    /// Whether the event ends here. Between two ends the book may show what never was: an order that has traded and
    /// not yet gone, or bids above asks.
    pub(crate) last: bool,
}

impl Message {
    /// Stands for the price of a message that has none.
    pub(crate) const NO_PRICE: i64 = i64::MAX;

    /// The price in the instrument's currency.
    pub(crate) fn price(price: i64) -> f64 {
        // Division is correctly rounded, so that 4800.25 comes out as exactly that.
        price as f64 / 1e9
    }
}

/// A source of messages, in order.
pub(crate) enum Feed {
    Recorded(Box<Recorded>),
    Simulated(Simulated),
}

impl Feed {
    /// Opens the feed that the run asks for, early enough that the book is right at `from`.
    pub(crate) fn open(run: &RunConfig, simulation: &Simulation, instrument: &Instrument, from: i64) -> Result<Self> {
        Ok(match &run.feed {
            FeedConfig::Dbn { path } => Self::Recorded(Box::new(Recorded::open(PathBuf::clone(path), &instrument.pair)?)),
            FeedConfig::Simulated {} => Self::Simulated(Simulated::new(simulation, instrument, from)),
        })
    }

    /// The next message, or nothing at the end of the feed.
    pub(crate) fn next(&mut self) -> Result<Option<Message>> {
        match self {
            Self::Recorded(feed) => feed.next(),
            Self::Simulated(feed) => Ok(feed.next()),
        }
    }
}
