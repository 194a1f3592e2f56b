//! The export `marketdata`: the order book's best levels and the trades.
//!
//! The book is looked at where events end, and a row is written when the visible levels, prices or sizes, differ from
//! those last shown. What was last shown is known at the start of an interval, too, for the replay begins before it:
//! the first row is the first change. With `skip_empty_levels`, a book of which one side is empty is not shown, and
//! the next row is the next one that differs from the last that was.

use crate::{
    args::{Interval, Outcome},
    book::{Book, Level},
    config::{MarketDataModel, RunConfig, Simulation},
    error::Result,
    feed::{Action, Message, Side},
    replay::Replay,
    table::{Cell, Column, Kind, Table},
};

/// Replays the feed and writes both tables. They are created with the first message in the interval: without one there
/// is nothing to tell, and no file.
pub(crate) fn export(model: MarketDataModel, run: &RunConfig, simulation: &Simulation, interval: Interval) -> Result<Outcome> {
    let mut replay = Replay::open(run, simulation, &model.instrument, interval, 0)?;
    let mut view = View::new(&model);
    let mut tables = None;
    while let Some((message, inside)) = replay.next()? {
        let changed = message.last && view.update(replay.book());
        if !inside {
            continue;
        }
        let (orderbook, trades) = match &mut tables {
            Some(tables) => tables,
            None => tables.insert(create(&model)?),
        };
        if message.action == Action::Trade {
            trades.push(trade(&message))?;
        }
        if changed {
            orderbook.push(view.row(message.ts))?;
        }
    }
    let Some((orderbook, trades)) = tables else {
        return Err(replay.no_data(&model.instrument));
    };
    Ok(Outcome {
        files: vec![orderbook.finish()?, trades.finish()?],
        messages: replay.messages(),
        unknown_orders: replay.book().unknown_orders(),
        instrument: model.instrument,
        interval,
    })
}

fn create(model: &MarketDataModel) -> Result<(Table, Table)> {
    let mut levels = vec![Column::new("ts", Kind::Time)];
    for i in 0..model.orderbook_levels {
        for side in ["bid", "ask"] {
            levels.push(Column::nullable(format!("{side}_price_{i}"), Kind::Double));
            levels.push(Column::nullable(format!("{side}_size_{i}"), Kind::Integer));
        }
    }
    let trades = [
        Column::new("ts", Kind::Time),
        Column::new("price", Kind::Double),
        Column::new("size", Kind::Integer),
        Column::new("side", Kind::Text),
        Column::new("sequence", Kind::Integer),
    ];
    Ok((Table::create("book rows", &model.orderbook_file, &levels)?, Table::create("trades", &model.trades_file, &trades)?))
}

fn trade(message: &Message) -> [Cell; 5] {
    let side = match message.side {
        Side::Bid => "buy",
        Side::Ask => "sell",
        Side::None => "none",
    };
    [
        Cell::Integer(message.ts),
        Cell::Double(Message::price(message.price)),
        Cell::Integer(message.size.into()),
        Cell::Text(side),
        Cell::Integer(message.sequence.into()),
    ]
}

/// The levels that were shown last, the best one last.
struct View {
    levels: usize,
    skip_empty: bool,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl View {
    fn new(model: &MarketDataModel) -> Self {
        Self { levels: model.orderbook_levels, skip_empty: model.skip_empty_levels, bids: Vec::new(), asks: Vec::new() }
    }

    /// Looks at the book. Returns whether there is something new to show.
    fn update(&mut self, book: &Book) -> bool {
        let (bids, asks) = (book.best(Side::Bid, self.levels), book.best(Side::Ask, self.levels));
        let hidden = self.skip_empty && (bids.is_empty() || asks.is_empty());
        if hidden || (looks_the_same(&self.bids, bids) && looks_the_same(&self.asks, asks)) {
            return false;
        }
        for (shown, now) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            shown.clear();
            shown.extend_from_slice(now);
        }
        true
    }

    fn row(&self, ts: i64) -> impl Iterator<Item = Cell> {
        let cells = |levels: &[Level], i| match levels.iter().rev().nth(i) {
            Some(level) => [Cell::Double(Message::price(level.price)), Cell::Integer(level.size as i64)],
            None => [Cell::Null; 2],
        };
        let levels = (0..self.levels).flat_map(move |i| [cells(&self.bids, i), cells(&self.asks, i)]);
        std::iter::once(Cell::Integer(ts)).chain(levels.flatten())
    }
}

/// How many orders make up a level is not shown.
fn looks_the_same(a: &[Level], b: &[Level]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a.price, a.size) == (b.price, b.size))
}
