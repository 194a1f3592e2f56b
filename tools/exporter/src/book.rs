//! The order book: orders by their number, summed up into price levels. It is told one message at a time and knows
//! nothing of where messages come from or what is written of it.
//!
//! Invariant: a level is there exactly if an order rests at its price, and its size and count are those orders' sum.

use std::collections::HashMap;

use crate::feed::{Action, Message, Side};

/// The orders that rest at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// In units of 1e-9.
    pub(crate) price: i64,
    pub(crate) size: u64,
    pub(crate) orders: u32,
}

#[derive(Debug, Clone, Copy)]
struct Order {
    side: Side,
    price: i64,
    size: u32,
}

/// One instrument's book.
#[derive(Debug)]
pub(crate) struct Book {
    orders: HashMap<u64, Order>,
    bids: Ladder,
    asks: Ladder,
    unknown_orders: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            orders: HashMap::new(),
            bids: Ladder { rank: |price| price, levels: Vec::new() },
            // Turns the order of all prices round, and unlike the negative is defined for each.
            asks: Ladder { rank: |price| !price, levels: Vec::new() },
            unknown_orders: 0,
        }
    }
}

impl Book {
    /// Applies a message. Trades and fills do not change the book: what they take from it is cancelled or modified by
    /// messages of their own. An order that is modified but unknown is added, as one that is added twice is replaced.
    pub(crate) fn apply(&mut self, message: &Message) {
        match message.action {
            Action::Add => self.put(message),
            Action::Modify => {
                if !self.orders.contains_key(&message.order_id) {
                    self.unknown_orders += 1;
                }
                self.put(message);
            }
            Action::Cancel => self.cancel(message.order_id, message.size),
            Action::Clear => {
                self.orders.clear();
                self.bids.levels.clear();
                self.asks.levels.clear();
            }
            Action::Trade | Action::Fill | Action::None => {}
        }
    }

    /// The best `n` levels of a side, or as many as there are, the best one *last*.
    pub(crate) fn best(&self, side: Side, n: usize) -> &[Level] {
        let levels = match side {
            Side::Bid => &self.bids.levels,
            Side::Ask => &self.asks.levels,
            Side::None => return &[],
        };
        &levels[levels.len().saturating_sub(n)..]
    }

    /// How many messages named an order that was not here.
    pub(crate) fn unknown_orders(&self) -> u64 {
        self.unknown_orders
    }

    fn ladder(&mut self, side: Side) -> Option<&mut Ladder> {
        match side {
            Side::Bid => Some(&mut self.bids),
            Side::Ask => Some(&mut self.asks),
            Side::None => None,
        }
    }

    fn put(&mut self, message: &Message) {
        let Message { order_id, side, price, size, .. } = *message;
        self.cancel_all(order_id);
        // Without a side, a price or a size it cannot rest anywhere.
        if side == Side::None || price == Message::NO_PRICE || size == 0 {
            return;
        }
        self.orders.insert(order_id, Order { side, price, size });
        if let Some(ladder) = self.ladder(side) {
            ladder.add(price, size);
        }
    }

    fn cancel_all(&mut self, order_id: u64) {
        if let Some(order) = self.orders.get(&order_id) {
            self.cancel(order_id, order.size);
        }
    }

    /// Takes `size` from an order, or what is left of it.
    fn cancel(&mut self, order_id: u64, size: u32) {
        let Some(order) = self.orders.get_mut(&order_id) else {
            self.unknown_orders += 1;
            return;
        };
        let taken = size.min(order.size);
        order.size -= taken;
        let Order { side, price, size: left } = *order;
        if left == 0 {
            self.orders.remove(&order_id);
        }
        if let Some(ladder) = self.ladder(side) {
            ladder.take(price, taken, left == 0);
        }
    }
}

/// One side's levels, the best one last: most changes are near the best price, where an insertion moves little.
/// `rank` makes a number of a price that is greater the better the price is.
#[derive(Debug)]
struct Ladder {
    rank: fn(i64) -> i64,
    levels: Vec<Level>,
}

impl Ladder {
    fn find(&self, price: i64) -> Result<usize, usize> {
        self.levels.binary_search_by_key(&(self.rank)(price), |level| (self.rank)(level.price))
    }

    fn add(&mut self, price: i64, size: u32) {
        match self.find(price) {
            Ok(at) => {
                self.levels[at].size += u64::from(size);
                self.levels[at].orders += 1;
            }
            Err(at) => self.levels.insert(at, Level { price, size: size.into(), orders: 1 }),
        }
    }

    fn take(&mut self, price: i64, size: u32, whole_order: bool) {
        let Ok(at) = self.find(price) else {
            unreachable!("a resting order has a level");
        };
        let level = &mut self.levels[at];
        level.size -= u64::from(size);
        level.orders -= u32::from(whole_order);
        if level.orders == 0 {
            self.levels.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let action = prop_oneof![
            6 => Just(Action::Add),
            4 => Just(Action::Cancel),
            3 => Just(Action::Modify),
            1 => Just(Action::Trade),
            1 => Just(Action::Fill),
        ];
        let action = prop_oneof![60 => action, 1 => Just(Action::Clear)];
        let side = prop_oneof![10 => Just(Side::Bid), 10 => Just(Side::Ask), 1 => Just(Side::None)];
        // Few orders and prices, so that most messages meet an order that is there; prices at the ends of the range.
        let price = prop_oneof![20 => 0_i64..12, 1 => Just(i64::MIN), 1 => Just(Message::NO_PRICE)];
        (action, side, 0_u64..24, price, 0_u32..20).prop_map(|(action, side, order_id, price, size)| Message {
            action,
            side,
            order_id,
            price,
            size,
            ..Message::default()
        })
    }

    /// The orders by the rules alone, without levels.
    fn recount(messages: &[Message], side: Side) -> Vec<Level> {
        let mut orders: BTreeMap<u64, (Side, i64, u32)> = BTreeMap::new();
        for m in messages {
            match m.action {
                Action::Add | Action::Modify => {
                    orders.insert(m.order_id, (m.side, m.price, m.size));
                }
                Action::Cancel => {
                    if let Some(order) = orders.get_mut(&m.order_id) {
                        order.2 = order.2.saturating_sub(m.size);
                    }
                }
                Action::Clear => orders.clear(),
                _ => {}
            }
            orders.retain(|_, order| order.2 > 0 && order.1 != Message::NO_PRICE);
        }
        let mut levels: BTreeMap<i64, Level> = BTreeMap::new();
        for (_, price, size) in orders.into_values().filter(|order| order.0 == side) {
            let level = levels.entry(price).or_insert(Level { price, size: 0, orders: 0 });
            level.size += u64::from(size);
            level.orders += 1;
        }
        let mut levels: Vec<Level> = levels.into_values().collect();
        if side == Side::Ask {
            levels.reverse();
        }
        levels
    }

    proptest! {
        /// Without it, sizes drift away from what rests in the market, unseen.
        #[test]
        fn levels_are_the_sum_of_the_orders(messages in prop::collection::vec(message(), 0..200)) {
            let mut book = Book::default();
            for message in &messages {
                book.apply(message);
            }
            for side in [Side::Bid, Side::Ask] {
                let expected = recount(&messages, side);
                prop_assert_eq!(book.best(side, usize::MAX), &expected[..]);
                prop_assert_eq!(book.best(side, 3), &expected[expected.len().saturating_sub(3)..]);
            }
        }
    }

    #[test]
    fn messages_for_unknown_orders_are_counted() {
        let mut book = Book::default();
        book.apply(&Message { action: Action::Cancel, order_id: 1, size: 2, ..Message::default() });
        let modify = Message { action: Action::Modify, side: Side::Bid, order_id: 1, price: 5, size: 2, ..Message::default() };
        book.apply(&modify);
        assert_eq!(book.unknown_orders(), 2);
        assert_eq!(book.best(Side::Bid, 1), [Level { price: 5, size: 2, orders: 1 }]);
        book.apply(&modify);
        assert_eq!(book.unknown_orders(), 2);
    }
}
