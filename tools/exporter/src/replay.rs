//! Replaying a feed through a book up to the end of an interval: what both exports have in common.

use crate::{
    args::Interval,
    book::Book,
    config::{Instrument, RunConfig, Simulation},
    error::{Error, Result},
    feed::{Feed, Message},
};

/// A feed, the book it makes, and how far they are.
pub(crate) struct Replay {
    feed: Feed,
    book: Book,
    interval: Interval,
    messages: u64,
}

impl Replay {
    /// Opens the feed, `lookback_ns` before the interval if it can be had.
    pub(crate) fn open(run: &RunConfig, simulation: &Simulation, instrument: &Instrument, interval: Interval, lookback_ns: i64) -> Result<Self> {
        let from = interval.start.saturating_sub(lookback_ns);
        Ok(Self { feed: Feed::open(run, simulation, instrument, from)?, book: Book::default(), interval, messages: 0 })
    }

    /// Applies the next message to the book and hands it out, and whether it lies in the interval. Nothing when the
    /// interval or the feed is over.
    pub(crate) fn next(&mut self) -> Result<Option<(Message, bool)>> {
        let Some(message) = self.feed.next()?.filter(|message| message.ts < self.interval.end) else {
            return Ok(None);
        };
        self.messages += 1;
        self.book.apply(&message);
        Ok(Some((message, message.ts >= self.interval.start)))
    }

    /// The book after the last message.
    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    /// How many messages there were.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// That the interval held none of them.
    pub(crate) fn no_data(&self, instrument: &Instrument) -> Error {
        Error::NoData { instrument: instrument.clone(), interval: self.interval }
    }
}
