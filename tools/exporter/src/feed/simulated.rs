//! A simulated market: messages such as a venue would send, made up from a seed.
//!
//! Every UTC hour is a function of (settings, instrument, hour) alone. It opens with a clear and a snapshot of resting
//! orders, as a venue's hourly snapshot would, and goes on for as long as the hour lasts; the price follows a path that
//! is defined for all times, so that one hour begins about where the hour before ended. Hence an interval's messages do
//! not depend on which interval was asked for, at the price of replaying the covering hours.
//!
//! Only integers, comparisons and the four basic operations on doubles are used, all of which give the same result on
//! every machine.

use super::{
    Action, Message, Side,
    random::{Random, hash, hash_text, signed_unit},
};
use crate::config::{Instrument, Simulation};

const HOUR_NS: i64 = 3600 * 1_000_000_000;

/// Prices that a reader may expect; any other instrument has one that follows from its name.
const KNOWN_PRICES: [(&str, u64); 6] = [("BTC", 42_000), ("ETH", 2_300), ("SOL", 100), ("XRP", 1), ("ES", 4_800), ("NQ", 17_000)];

/// The periods of the waves that the price's path is the sum of, each four times the next, in seconds.
const WAVES_S: [i64; 7] = [5_529_600, 1_382_400, 345_600, 86_400, 21_600, 5_400, 1_350];

/// The messages of one instrument, hour by hour.
pub(crate) struct Simulated {
    market: Market,
    hour: i64,
    messages: std::vec::IntoIter<Message>,
}

impl Simulated {
    /// Starts with the hour in which the moment before `from` lies: so the book is right at `from`, and at a full hour
    /// it is also known what it was before.
    pub(crate) fn new(simulation: &Simulation, instrument: &Instrument, from: i64) -> Self {
        let market = Market::new(simulation, instrument);
        Self { market, hour: from.saturating_sub(1).div_euclid(HOUR_NS), messages: Vec::new().into_iter() }
    }

    /// The next message. The market never closes; it ends where times can no longer be told.
    pub(crate) fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.messages.next() {
                return Some(message);
            }
            let start = self.hour.checked_mul(HOUR_NS)?;
            let end = start.checked_add(HOUR_NS)?;
            self.messages = Hour::simulate(&self.market, start, end).into_iter();
            self.hour += 1;
        }
    }
}

/// What an instrument's market is like at all times.
struct Market {
    settings: Simulation,
    key: u64,
    /// The smallest step of the price, in units of 1e-9. Inside the simulation prices are counted in ticks.
    tick: i64,
    base_ticks: f64,
}

impl Market {
    fn new(settings: &Simulation, instrument: &Instrument) -> Self {
        let key = hash(&[settings.seed, hash_text(&instrument.market), hash_text(&instrument.pair)]);
        let known = KNOWN_PRICES.iter().find(|(name, _)| instrument.pair.starts_with(name));
        let price = match known {
            Some(&(_, units)) => units * 1_000_000_000,
            // From 0.1 to 9,999, in three digits.
            None => (100 + Random::new(key).below(900)) * 10_u64.pow(6 + (key % 5) as u32),
        };
        // The price is 10,000 to 99,999 ticks.
        let mut tick = 1;
        while price / tick >= 100_000 {
            tick *= 10;
        }
        Self { settings: settings.clone(), key, tick: tick as i64, base_ticks: (price / tick) as f64 }
    }

    /// What the instrument is worth, in ticks: waves of straight lines between random points.
    fn worth(&self, ts: i64) -> f64 {
        let mut sum = 0.0;
        let mut height = 4.0;
        for (wave, seconds) in WAVES_S.into_iter().enumerate() {
            let period = seconds * 1_000_000_000;
            let point = ts.div_euclid(period);
            let [a, b] = [point, point + 1].map(|p| signed_unit(hash(&[self.key, wave as u64, p as u64])));
            sum += height * (a + (b - a) * (ts.rem_euclid(period) as f64 / period as f64));
            height /= 2.0;
        }
        self.base_ticks * (1.0 + self.settings.volatility * sum)
    }
}

#[derive(Debug, Clone, Copy)]
struct Order {
    id: u64,
    ticks: i64,
    size: u32,
}

/// One hour in the making.
struct Hour<'a> {
    market: &'a Market,
    random: Random,
    messages: Vec<Message>,
    ts: i64,
    next_id: u64,
    /// Oldest first, which is also the order in which those at one price are filled.
    bids: Vec<Order>,
    asks: Vec<Order>,
}

impl<'a> Hour<'a> {
    fn simulate(market: &'a Market, start: i64, end: i64) -> Vec<Message> {
        let number = start.div_euclid(HOUR_NS);
        let mut hour = Self {
            market,
            random: Random::new(hash(&[market.key, number as u64])),
            messages: Vec::new(),
            ts: start,
            next_id: (number as u64) << 32,
            bids: Vec::new(),
            asks: Vec::new(),
        };
        hour.open();
        // Pauses are equally likely up to twice the mean; the longest mean is 1,000 s.
        let longest = (2e9 / market.settings.events_per_second) as u64;
        loop {
            hour.ts += 1 + hour.random.below(longest) as i64;
            if hour.ts >= end {
                return hour.messages;
            }
            hour.event();
        }
    }

    fn open(&mut self) {
        self.send(Action::Clear, Side::None, Order { id: 0, ticks: 0, size: 0 });
        let worth = self.market.worth(self.ts);
        for _ in 0..self.market.settings.orders_per_side {
            self.add(Side::Bid, worth);
            self.add(Side::Ask, worth);
        }
        self.end_event();
    }

    fn event(&mut self) {
        let worth = self.market.worth(self.ts);
        let side = self.any_side();
        if self.best(Side::Ask).is_some_and(|best| (best as f64) < worth) {
            self.trade(Side::Bid, worth as i64, 4);
        } else if self.best(Side::Bid).is_some_and(|best| best as f64 > worth) {
            self.trade(Side::Ask, worth as i64 + 1, 4);
        } else if self.random.chance(self.market.settings.trade_share) && !self.resting(opposite(side)).is_empty() {
            let best = self.best(opposite(side)).unwrap_or_default();
            self.trade(side, best, 1);
        } else if self.random.chance(0.2) && !self.resting(side).is_empty() {
            self.modify(side, worth);
        } else if self.random.below(2 * u64::from(self.market.settings.orders_per_side)) < self.resting(side).len() as u64 {
            self.cancel(side, worth);
        } else {
            self.add(side, worth);
        }
        self.end_event();
    }

    fn add(&mut self, side: Side, worth: f64) {
        let order = Order { id: self.next_id, ticks: self.quote(side, worth), size: self.size() };
        self.next_id += 1;
        self.send(Action::Add, side, order);
        self.resting(side).push(order);
    }

    fn cancel(&mut self, side: Side, worth: f64) {
        let at = self.any_order(side, worth);
        let order = self.resting(side).remove(at);
        self.send(Action::Cancel, side, order);
    }

    /// Moves an order to another price, or changes its size.
    fn modify(&mut self, side: Side, worth: f64) {
        let at = self.any_order(side, worth);
        let mut order = self.resting(side).remove(at);
        if self.random.chance(0.5) {
            order.ticks = self.quote(side, worth);
        }
        order.size = self.size();
        self.send(Action::Modify, side, order);
        self.resting(side).push(order);
    }

    /// An order comes in that trades with what rests at `limit` or better: at each price a trade and the fills, then
    /// the resting orders lose what they sold or bought.
    fn trade(&mut self, side: Side, limit: i64, sizes: u32) {
        let other = opposite(side);
        let mut left = sizes * self.size();
        let mut taken = Vec::new();
        while left > 0 {
            let Some(best) = self.best(other).filter(|&best| best == limit || (best < limit) == (side == Side::Bid)) else { break };
            let trade = self.messages.len();
            self.send(Action::Trade, side, Order { id: 0, ticks: best, size: 0 });
            while left > 0 {
                let Some(at) = self.resting(other).iter().position(|order| order.ticks == best) else { break };
                let resting = &mut self.resting(other)[at];
                let fill = Order { size: resting.size.min(left), ..*resting };
                resting.size -= fill.size;
                if resting.size == 0 {
                    self.resting(other).remove(at);
                }
                left -= fill.size;
                self.messages[trade].size += fill.size;
                self.send(Action::Fill, other, fill);
                taken.push(fill);
            }
        }
        for fill in taken {
            self.send(Action::Cancel, other, fill);
        }
    }

    /// A price at which an order may come to rest: near the worth more often than far, and never one that would trade.
    fn quote(&mut self, side: Side, worth: f64) -> i64 {
        let reach = u64::from(self.market.settings.orders_per_side) / 2;
        let away = (self.random.below(reach) * self.random.below(reach) / reach) as i64;
        let best = self.best(opposite(side));
        match side {
            Side::Bid => (worth as i64 - away).min(best.map_or(i64::MAX, |best| best - 1)),
            _ => (worth as i64 + 1 + away).max(best.map_or(i64::MIN, |best| best + 1)),
        }
    }

    fn size(&mut self) -> u32 {
        1 + (self.random.below(5) * self.random.below(6)) as u32
    }

    fn any_side(&mut self) -> Side {
        if self.random.chance(0.5) { Side::Bid } else { Side::Ask }
    }

    /// The order farthest from the worth, or just any one; there must be one.
    fn any_order(&mut self, side: Side, worth: f64) -> usize {
        let worth = worth as i64;
        if self.random.chance(0.5) {
            let farthest = self.resting(side).iter().enumerate().max_by_key(|(_, order)| (order.ticks - worth).abs());
            return farthest.map_or(0, |(at, _)| at);
        }
        let orders = self.resting(side).len() as u64;
        self.random.below(orders) as usize
    }

    fn resting(&mut self, side: Side) -> &mut Vec<Order> {
        if side == Side::Bid { &mut self.bids } else { &mut self.asks }
    }

    fn best(&self, side: Side) -> Option<i64> {
        match side {
            Side::Bid => self.bids.iter().map(|order| order.ticks).max(),
            _ => self.asks.iter().map(|order| order.ticks).min(),
        }
    }

    fn send(&mut self, action: Action, side: Side, order: Order) {
        self.messages.push(Message {
            ts: self.ts,
            action,
            side,
            order_id: order.id,
            price: order.ticks * self.market.tick,
            size: order.size,
            sequence: self.messages.len() as u32,
            last: false,
        });
    }

    fn end_event(&mut self) {
        if let Some(message) = self.messages.last_mut() {
            message.last = true;
        }
    }
}

fn opposite(side: Side) -> Side {
    if side == Side::Bid { Side::Ask } else { Side::Bid }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Book;

    fn market(pair: &str) -> (Simulation, Instrument) {
        (Simulation::default(), Instrument { market: "binance".into(), pair: pair.into() })
    }

    fn messages(pair: &str, from: i64, hours: i64) -> Vec<Message> {
        let (simulation, instrument) = market(pair);
        let mut feed = Simulated::new(&simulation, &instrument, from);
        std::iter::from_fn(|| feed.next()).take_while(|m| m.ts < from + hours * HOUR_NS).filter(|m| m.ts >= from).collect()
    }

    const FROM: i64 = 1_704_067_200_000_000_000;

    #[test]
    fn history_does_not_depend_on_where_the_replay_begins() {
        let whole = messages("BTC-USDT", FROM, 6);
        let late = FROM + 3 * HOUR_NS + 17;
        let expected: Vec<Message> = whole.iter().filter(|m| m.ts >= late).copied().collect();
        let mut part = messages("BTC-USDT", late, 6);
        part.retain(|m| m.ts < FROM + 6 * HOUR_NS);
        assert_eq!(part, expected);
        assert_ne!(whole, messages("ETH-USDT", FROM, 6));
    }

    /// Else the simulated market would be no use as a market: crossed, one-sided, or stuck.
    #[test]
    fn the_book_is_sound_at_the_end_of_each_event() {
        for pair in ["BTC-USDT", "ETH-USDT", "ABC-DEF"] {
            let (mut book, mut trades, mut ts) = (Book::default(), 0, 0);
            let mut prices = Vec::new();
            for message in messages(pair, FROM, 24) {
                assert!(message.ts >= ts);
                ts = message.ts;
                book.apply(&message);
                trades += usize::from(message.action == Action::Trade);
                if message.last {
                    let (bids, asks) = (book.best(Side::Bid, 1), book.best(Side::Ask, 1));
                    assert!(bids[0].price < asks[0].price, "{pair}: {bids:?} {asks:?}");
                    assert!(bids[0].price > 0);
                    prices.push(bids[0].price);
                }
            }
            assert_eq!(book.unknown_orders(), 0);
            assert!(trades > 1000, "{pair}: {trades} trades");
            prices.sort_unstable();
            let (low, high) = (prices[0], prices[prices.len() - 1]);
            assert!(high - low > low / 500, "{pair}: {low} to {high}");
        }
    }

    /// A market that changed by accident would void what was exported from it.
    #[test]
    fn history_never_changes() {
        let digest = |pair| {
            messages(pair, FROM, 24).iter().fold(0, |digest, m| {
                let flags = [m.action as u64, m.side as u64, m.last.into()];
                hash(&[digest, m.ts as u64, m.order_id, m.price as u64, m.size.into(), m.sequence.into(), hash(&flags)])
            })
        };
        assert_eq!(["BTC-USDT", "ABC-DEF"].map(digest), [5_078_259_519_122_346_699, 4_908_151_545_934_958_307]);
    }

    #[test]
    fn it_ends_with_time_itself() {
        let (simulation, instrument) = market("BTC-USDT");
        let mut feed = Simulated::new(&simulation, &instrument, i64::MAX - HOUR_NS);
        let last = std::iter::from_fn(|| feed.next()).last();
        assert!(last.is_some_and(|m| m.ts > i64::MAX - 3 * HOUR_NS));
        assert!(Simulated::new(&simulation, &instrument, 0).next().is_some_and(|m| m.ts == -HOUR_NS));
    }
}
