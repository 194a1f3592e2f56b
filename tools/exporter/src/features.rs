//! The export `features`: how one-sided trading and resting orders were, a row for each trade in the interval, in the
//! order of the trades.
//!
//! At a trade with the time `t`:
//! - `buy_volume` and `sell_volume` are what was traded by aggressors of each side in the trades up to and with this
//!   one whose time is in `(t − traded_ob_window_size, t]`. Trades without an aggressor count for neither.
//! - `traded_imbalance` is `(buy_volume − sell_volume) / (buy_volume + sell_volume)`, null when nothing was traded.
//! - `bid_volume` and `ask_volume` are what rested in the best 10 levels of each side, averaged over the time from
//!   `t − sided_ob_window_size` (or from the feed's first event, if that is later) to `t`. The book is looked at where
//!   events end, so that an event in progress, such as that of the trade itself, does not count.
//! - `sided_imbalance` is `(bid_volume − ask_volume) / (bid_volume + ask_volume)`.
//!
//! All three are null when nothing rested at all or the feed has only begun. Volumes are summed up in integers and
//! divided once, so that a row does not depend on where the replay began. The replay begins early enough to fill the
//! windows at the start of the interval, if the feed reaches back that far.

use std::collections::VecDeque;

use crate::{
    args::{Interval, Outcome},
    book::Book,
    config::{FeaturesModel, RunConfig, Simulation, Windows},
    error::Result,
    feed::{Action, Message, Side},
    replay::Replay,
    table::{Cell, Column, Kind, Table},
};

/// Orders farther away say little about the next trades.
const LEVELS: usize = 10;

/// Replays the feed and writes the table, which is created with the first message in the interval.
pub(crate) fn export(model: FeaturesModel, run: &RunConfig, simulation: &Simulation, interval: Interval) -> Result<Outcome> {
    let Windows { traded_ns, sided_ns } = model.features;
    let mut replay = Replay::open(run, simulation, &model.instrument, interval, traded_ns.max(sided_ns))?;
    let mut traded = Traded::new(traded_ns);
    let mut sided = Sided::new(sided_ns);
    let mut table = None;
    while let Some((message, inside)) = replay.next()? {
        if inside && table.is_none() {
            table = Some(Table::create("feature rows", &model.features_file, &columns())?);
        }
        if message.action == Action::Trade {
            traded.push(&message);
            if let Some(table) = table.as_mut() {
                table.push(row(&message, &traded, &mut sided))?;
            }
        }
        if message.last {
            sided.push(message.ts, replay.book());
        }
    }
    let Some(table) = table else {
        return Err(replay.no_data(&model.instrument));
    };
    Ok(Outcome {
        files: vec![table.finish()?],
        messages: replay.messages(),
        unknown_orders: replay.book().unknown_orders(),
        instrument: model.instrument,
        interval,
    })
}

fn columns() -> [Column; 8] {
    [
        Column::new("ts", Kind::Time),
        Column::new("sequence", Kind::Integer),
        Column::new("buy_volume", Kind::Integer),
        Column::new("sell_volume", Kind::Integer),
        Column::nullable("traded_imbalance", Kind::Double),
        Column::nullable("bid_volume", Kind::Double),
        Column::nullable("ask_volume", Kind::Double),
        Column::nullable("sided_imbalance", Kind::Double),
    ]
}

fn row(trade: &Message, traded: &Traded, sided: &mut Sided) -> [Cell; 8] {
    let (buy, sell) = (traded.buy, traded.sell);
    let double = |value: Option<f64>| value.map_or(Cell::Null, Cell::Double);
    let average = sided.average(trade.ts).filter(|average| average.bid + average.ask > 0);
    [
        Cell::Integer(trade.ts),
        Cell::Integer(trade.sequence.into()),
        Cell::Integer(buy as i64),
        Cell::Integer(sell as i64),
        double((buy + sell > 0).then(|| imbalance(buy, sell))),
        double(average.map(|a| a.bid as f64 / a.ns as f64)),
        double(average.map(|a| a.ask as f64 / a.ns as f64)),
        double(average.map(|a| imbalance(a.bid, a.ask))),
    ]
}

fn imbalance(one: u128, other: u128) -> f64 {
    (one as f64 - other as f64) / (one + other) as f64
}

/// What was traded in a window of time.
struct Traded {
    window_ns: i64,
    trades: VecDeque<Message>,
    buy: u128,
    sell: u128,
}

impl Traded {
    fn new(window_ns: i64) -> Self {
        Self { window_ns, trades: VecDeque::new(), buy: 0, sell: 0 }
    }

    fn push(&mut self, trade: &Message) {
        let after = trade.ts.saturating_sub(self.window_ns);
        while let Some(old) = self.trades.front().copied().filter(|old| old.ts <= after) {
            if let Some(volume) = self.volume(old.side) {
                *volume -= u128::from(old.size);
            }
            self.trades.pop_front();
        }
        if let Some(volume) = self.volume(trade.side) {
            *volume += u128::from(trade.size);
            self.trades.push_back(*trade);
        }
    }

    fn volume(&mut self, side: Side) -> Option<&mut u128> {
        match side {
            Side::Bid => Some(&mut self.buy),
            Side::Ask => Some(&mut self.sell),
            Side::None => None,
        }
    }
}

/// What rested from some moment on: the volumes, and their sums over all time up to that moment, in volume times
/// nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Resting {
    ts: i64,
    bid: u64,
    ask: u64,
    bid_sum: u128,
    ask_sum: u128,
}

impl Resting {
    /// The same volumes, at another time.
    fn at(&self, ts: i64) -> Self {
        let ns = u128::from(ts.abs_diff(self.ts));
        Self { ts, bid_sum: self.bid_sum + ns * u128::from(self.bid), ask_sum: self.ask_sum + ns * u128::from(self.ask), ..*self }
    }
}

/// Sums of volume times nanoseconds over a time of `ns`.
#[derive(Debug, Clone, Copy)]
struct Average {
    ns: u64,
    bid: u128,
    ask: u128,
}

/// What rested in a window of time. Of all changes those are kept that lie in the window, and the one before.
struct Sided {
    window_ns: i64,
    changes: VecDeque<Resting>,
}

impl Sided {
    fn new(window_ns: i64) -> Self {
        Self { window_ns, changes: VecDeque::new() }
    }

    fn push(&mut self, ts: i64, book: &Book) {
        let volume = |side| book.best(side, LEVELS).iter().map(|level| level.size).sum();
        let before = self.changes.back().map_or(Resting { ts, ..Resting::default() }, |last| last.at(ts));
        self.changes.push_back(Resting { bid: volume(Side::Bid), ask: volume(Side::Ask), ..before });
        self.forget(ts);
    }

    fn average(&mut self, ts: i64) -> Option<Average> {
        let from = self.forget(ts);
        let first = self.changes.front()?;
        let first = first.at(from.max(first.ts));
        let last = self.changes.back()?.at(ts);
        let ns = last.ts.abs_diff(first.ts);
        (ns > 0).then_some(Average { ns, bid: last.bid_sum - first.bid_sum, ask: last.ask_sum - first.ask_sum })
    }

    /// Forgets what no window from `ts` on reaches, and returns where that window begins.
    fn forget(&mut self, ts: i64) -> i64 {
        let from = ts.saturating_sub(self.window_ns);
        while self.changes.get(1).is_some_and(|second| second.ts <= from) {
            self.changes.pop_front();
        }
        from
    }
}
