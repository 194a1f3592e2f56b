//! The recorded feed: what is exported is compared with a recount straight from the file's records, which shares no
//! code with the exporter but the decoder.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use dbn::{
    MboMsg, Side,
    decode::{DbnDecoder, DecodeRecord},
};
use parquet::record::Field;

use crate::support::{HOUR, MINUTE, Run, SECOND, Table, check_book, ns, rfc3339, status, stderr};

fn feed(name: &str, test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let there = path.exists();
    if !there {
        println!("skipped: {test}: no recorded data");
    }
    there.then_some(path)
}

fn session(test: &str) -> Option<(PathBuf, i64)> {
    Some((feed("esh4-glbx-mdp3-20231225.mbo.dbn.zst", test)?, ns("2023-12-25T23:00:00Z")))
}

fn records(feed: &Path) -> Vec<MboMsg> {
    DbnDecoder::from_zstd_file(feed).unwrap().decode_records().unwrap()
}

fn partitions(start: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..12).map(move |i| (start + i * 5 * MINUTE, start + (i + 1) * 5 * MINUTE))
}

/// Sizes by price, best first, after each event of the feed, by the plainest rules.
struct Recount {
    orders: HashMap<u64, (bool, i64, u32)>,
    sides: [BTreeMap<i64, u64>; 2],
}

impl Recount {
    fn take(&mut self, order_id: u64, size: u32) {
        let order = self.orders.get_mut(&order_id).unwrap();
        let total = self.sides[usize::from(order.0)].get_mut(&order.1).unwrap();
        *total -= u64::from(size);
        order.2 -= size;
        if *total == 0 {
            self.sides[usize::from(order.0)].remove(&order.1);
        }
        if order.2 == 0 {
            self.orders.remove(&order_id);
        }
    }

    fn levels(&self, n: usize) -> [Vec<(i64, u64)>; 2] {
        let pair = |(price, size): (&i64, &u64)| (*price, *size);
        [self.sides[0].iter().rev().take(n).map(pair).collect(), self.sides[1].iter().take(n).map(pair).collect()]
    }

    /// Calls `event` at the end of each event with its time and the best `n` levels.
    fn replay(records: &[MboMsg], n: usize, mut event: impl FnMut(i64, [Vec<(i64, u64)>; 2])) {
        let mut book = Self { orders: HashMap::new(), sides: [BTreeMap::new(), BTreeMap::new()] };
        for record in records {
            let (id, size) = (record.order_id, record.size);
            match record.action as u8 {
                b'C' => book.take(id, size),
                b'A' | b'M' => {
                    if let Some(&(_, _, old)) = book.orders.get(&id) {
                        book.take(id, old);
                    }
                    let ask = record.side().unwrap() == Side::Ask;
                    book.orders.insert(id, (ask, record.price, size));
                    *book.sides[usize::from(ask)].entry(record.price).or_default() += u64::from(size);
                }
                b'T' | b'F' => {}
                action => panic!("the recorded feed has no action {action}"),
            }
            if record.flags.is_last() {
                event(record.ts_recv as i64, book.levels(n));
            }
        }
    }
}

/// The main job: what the cache's users count on.
#[test]
fn twelve_partitions_hold_each_trade_once() {
    let Some((feed, start)) = session("twelve_partitions_hold_each_trade_once") else { return };
    let run = Run::recorded(&feed, 5);
    let parts = partitions(start).map(|(start, end)| {
        let [_, trades] = run.marketdata(start, end);
        assert!((0..trades.rows.len()).all(|row| (start..end).contains(&trades.integer(row, "ts"))));
        trades
    });
    let trades = Table::concatenated(parts);
    assert_eq!(trades.rows.len(), 2973);
    assert_eq!(trades.columns, ["ts", "price", "size", "side", "sequence"]);

    let expected = records(&feed).into_iter().filter(|record| record.action as u8 == b'T').map(|record| {
        let side = match record.side().unwrap() {
            Side::Bid => "buy",
            Side::Ask => "sell",
            Side::None => "none",
        };
        vec![
            Field::Long(record.ts_recv as i64),
            Field::Double(record.price as f64 / 1e9),
            Field::Long(record.size.into()),
            Field::Str(side.into()),
            Field::Long(record.sequence.into()),
        ]
    });
    assert_eq!(trades.rows, expected.collect::<Vec<_>>());
}

/// A book that starts wrong in some partition, or that shows half of an event, is found here.
#[test]
fn book_rows_are_the_changes_of_a_recounted_book() {
    const LEVELS: usize = 5;
    let Some((feed, start)) = session("book_rows_are_the_changes_of_a_recounted_book") else { return };
    let run = Run::recorded(&feed, LEVELS);
    let whole = Table::concatenated(partitions(start).map(|(start, end)| run.marketdata(start, end)).map(|[book, _]| book));
    check_book(&whole, LEVELS);

    let (mut expected, mut shown) = (Vec::new(), Default::default());
    Recount::replay(&records(&feed), LEVELS, |ts, levels| {
        if levels != shown && ts >= start {
            let mut row = vec![Field::Long(ts)];
            for i in 0..LEVELS {
                for side in &levels {
                    let level = side.get(i).map(|&(price, size)| [Field::Double(price as f64 / 1e9), Field::Long(size as i64)]);
                    row.extend(level.unwrap_or([Field::Null, Field::Null]));
                }
            }
            expected.push(row);
        }
        shown = levels;
    });
    assert!(expected.len() > 10_000);
    assert_eq!(whole.rows.len(), expected.len());
    let differs = whole.rows.iter().zip(&expected).position(|(row, expected)| row != expected);
    assert_eq!(differs.map(|at| (at, &whole.rows[at], &expected[at])), None);

    let [_, trades] = run.marketdata(start, start + 5 * MINUTE);
    let opened = trades.integer(0, "ts");
    for row in (0..whole.rows.len()).filter(|&row| whole.integer(row, "ts") > opened) {
        assert!(whole.double(row, "bid_price_0") < whole.double(row, "ask_price_0"), "crossed in row {row}");
    }
}

/// Before the session opens orders come in and none trade; before that, there is only the snapshot.
#[test]
fn an_interval_without_trades_is_data() {
    let Some((feed, start)) = session("an_interval_without_trades_is_data") else { return };
    let run = Run::recorded(&feed, 5);
    let [book, trades] = run.marketdata(start - 10 * MINUTE, start - 5 * MINUTE);
    assert!(!book.rows.is_empty());
    assert!(trades.rows.is_empty());
    assert_eq!(trades.columns.len(), 5);
    assert!(run.with_windows(SECOND, SECOND).features(start - 10 * MINUTE, start - 5 * MINUTE).rows.is_empty());

    let [book, trades] = Run::recorded(&feed, 5).marketdata(start - 23 * HOUR, start - 22 * HOUR);
    assert_eq!((book.rows.len(), trades.rows.len()), (1, 0));
    assert_eq!(book.integer(0, "ts"), start - 23 * HOUR);
}

#[test]
fn a_snapshot_alone_is_a_feed() {
    let Some(feed) = feed("esh4-glbx-mdp3-20231224.mbo.dbn.zst", "a_snapshot_alone_is_a_feed") else { return };
    let [book, trades] = Run::recorded(&feed, 40).marketdata(ns("2023-12-24T00:00:00Z"), ns("2023-12-25T00:00:00Z"));
    check_book(&book, 40);
    assert_eq!((book.rows.len(), trades.rows.len()), (1, 0));
}

#[test]
fn no_data_outside_the_feed_has_a_status_of_its_own_and_no_output() {
    let Some((feed, start)) = session("no_data_outside_the_feed_has_a_status_of_its_own_and_no_output") else { return };
    for (from, to) in [(start - 48 * HOUR, start - 24 * HOUR), (start + HOUR, start + 2 * HOUR), (start - 20 * HOUR, start - 15 * HOUR)] {
        for export in ["marketdata", "features"] {
            let run = Run::recorded(&feed, 5);
            let run = if export == "features" { run.with_windows(SECOND, SECOND) } else { run };
            let output = run.output(export, &rfc3339(from), &rfc3339(to), &[]);
            assert_eq!(status(&output), 3, "{}", stderr(&output));
            assert!(stderr(&output).contains("no data for glbx/ESH4 in "), "{}", stderr(&output));
            assert!(["orderbook", "trades", "features"].iter().all(|name| !run.path(&format!("{name}.parquet")).exists()));
        }
    }
}

/// Every feature against its definition, in whole and cut into partitions.
#[test]
fn features_are_what_their_definitions_say() {
    let Some((feed, start)) = session("features_are_what_their_definitions_say") else { return };
    let (traded_ns, sided_ns) = (500_000_000, 1_000_000_000);
    let run = Run::recorded(&feed, 5).with_windows(traded_ns, sided_ns);
    let whole = run.features(start, start + HOUR);
    assert_eq!(Table::concatenated(partitions(start).map(|(start, end)| run.features(start, end))), whole);

    let records = records(&feed);
    let mut resting: Vec<(i64, f64, f64)> = Vec::new();
    Recount::replay(&records, 10, |ts, levels| {
        let [bid, ask] = levels.map(|side| side.iter().map(|level| level.1 as f64).sum());
        resting.push((ts, bid, ask));
    });
    let trades: Vec<&MboMsg> = records.iter().filter(|record| record.action as u8 == b'T').collect();
    assert_eq!(whole.rows.len(), trades.len());
    let (mut quiet, mut busy) = (0, 0);
    for (at, trade) in trades.iter().enumerate() {
        let ts = trade.ts_recv as i64;
        assert_eq!((whole.integer(at, "ts"), whole.integer(at, "sequence")), (ts, i64::from(trade.sequence)));

        let window = trades[..=at].iter().filter(|other| other.ts_recv as i64 > ts - traded_ns);
        let volume = |side| window.clone().filter(|other| other.side().unwrap() == side).map(|other| i64::from(other.size)).sum::<i64>();
        let (buy, sell) = (volume(Side::Bid), volume(Side::Ask));
        assert_eq!((whole.integer(at, "buy_volume"), whole.integer(at, "sell_volume")), (buy, sell), "trade {at}");
        let imbalance = (buy + sell > 0).then(|| (buy - sell) as f64 / (buy + sell) as f64);
        assert_eq!(whole.double(at, "traded_imbalance"), imbalance, "trade {at}");
        *(if imbalance.is_none() { &mut quiet } else { &mut busy }) += 1;

        let (mut bid, mut ask) = (0.0, 0.0);
        for (i, state) in resting.iter().enumerate() {
            let until = resting.get(i + 1).map_or(i64::MAX, |next| next.0).min(ts);
            let ns = (until - state.0.max(ts - sided_ns)).max(0) as f64;
            bid += ns * state.1 / sided_ns as f64;
            ask += ns * state.2 / sided_ns as f64;
        }
        let close = |column, expected: f64| {
            let value = whole.double(at, column).unwrap();
            assert!((value - expected).abs() < 1e-9 * expected.abs().max(1.0), "trade {at}: {column} {value} for {expected}");
        };
        close("bid_volume", bid);
        close("ask_volume", ask);
        close("sided_imbalance", (bid - ask) / (bid + ask));
    }
    assert_eq!((quiet, busy), (1, 2972));
}

#[test]
fn another_instrument_is_refused_by_name() {
    let Some((feed, start)) = session("another_instrument_is_refused_by_name") else { return };
    let mut run = Run::recorded(&feed, 5);
    run.model["instrument"]["pair"] = "ESM4".into();
    let output = run.output("marketdata", &rfc3339(start), &rfc3339(start + HOUR), &[]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("holds ESH4, not ESM4"), "{}", stderr(&output));
}

/// A feed that was copied in part must not pass for a short one: its exports would be kept as if they were right.
#[test]
fn a_feed_that_is_cut_off_is_an_error_and_leaves_no_table() {
    let Some((feed, start)) = session("a_feed_that_is_cut_off_is_an_error_and_leaves_no_table") else { return };
    let run = Run::recorded(Path::new("cut.dbn.zst"), 5);
    let bytes = fs::read(&feed).unwrap();
    fs::write(run.path("cut.dbn.zst"), &bytes[..bytes.len() * 2 / 3]).unwrap();
    let output = run.output("marketdata", &rfc3339(start), &rfc3339(start + HOUR), &[]);
    assert_eq!(status(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("cut.dbn.zst") && stderr(&output).contains("cut off"), "{}", stderr(&output));
    for name in ["orderbook.parquet", "trades.parquet"] {
        let written = fs::read(run.path(name)).unwrap();
        assert!(!written.ends_with(b"PAR1") || written.len() == 4, "{name} looks complete");
    }
    // What lies before the cut can still be replayed: the rest is not read.
    let [_, trades] = run.marketdata(start, start + 5 * MINUTE);
    assert_eq!(trades.rows.len(), 582);
}
