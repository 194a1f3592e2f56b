//! Feeds made for the purpose: what the recorded one does not contain.

use std::{fs::File, path::Path};

use dbn::{
    FlagSet, MappingInterval, MboMsg, Metadata, SType, Schema, SymbolMapping,
    encode::{DbnEncoder, EncodeRecord},
    flags,
};

use crate::support::{Run, SECOND, Table, ns, rfc3339, status, stderr};

const DAY: &str = "2024-01-03T00:00:00Z";
const LAST: u8 = flags::LAST;

/// A message `at` nanoseconds into the day, of instrument 1.
fn message(at: i64, action: u8, side: u8, order_id: u64, price: i64, size: u32, flags: u8) -> MboMsg {
    let mut message = MboMsg::default();
    message.hd.publisher_id = 1;
    message.hd.instrument_id = 1;
    message.ts_recv = (ns(DAY) + at) as u64;
    message.hd.ts_event = message.ts_recv;
    message.action = action as _;
    message.side = side as _;
    message.order_id = order_id;
    message.price = price * 1_000_000_000;
    message.size = size;
    message.flags = FlagSet::new(flags);
    message
}

fn of(instrument_id: u32, mut message: MboMsg) -> MboMsg {
    message.hd.instrument_id = instrument_id;
    message
}

/// A run on a file with these messages, whose metadata maps the names to instrument numbers.
fn run(schema: Schema, names: &[(&str, u32)], messages: &[MboMsg]) -> Run {
    let run = Run::recorded(Path::new("made.dbn"), 2);
    let date = |at| message(at, b'N', b'N', 0, 0, 0, 0).hd.ts_event().unwrap().date();
    let mapping = |&(name, number): &(&str, u32)| SymbolMapping {
        raw_symbol: name.into(),
        intervals: vec![MappingInterval { start_date: date(0), end_date: date(86_400 * SECOND), symbol: number.to_string() }],
    };
    let metadata = Metadata::builder()
        .dataset("GLBX.MDP3")
        .schema(Some(schema))
        .start(ns(DAY) as u64)
        .stype_in(Some(SType::RawSymbol))
        .stype_out(SType::InstrumentId)
        .symbols(names.iter().map(|(name, _)| name.to_string()).collect())
        .mappings(names.iter().map(mapping).collect())
        .build();
    let mut encoder = DbnEncoder::new(File::create(run.path("made.dbn")).unwrap(), &metadata).unwrap();
    encoder.encode_records(messages).unwrap();
    run
}

fn prices(book: &Table) -> Vec<(i64, Option<f64>, Option<f64>)> {
    let row = |row| (book.integer(row, "ts") - ns(DAY), book.double(row, "bid_price_0"), book.double(row, "ask_price_0"));
    (0..book.rows.len()).map(row).collect()
}

fn whole_day(run: &Run) -> [Table; 2] {
    run.marketdata(ns(DAY), ns(DAY) + 86_400 * SECOND)
}

#[test]
fn only_the_pairs_own_messages_count() {
    let messages = [
        message(0, b'A', b'B', 1, 10, 5, LAST),
        of(2, message(1, b'A', b'B', 1, 90, 5, LAST)),
        of(2, message(2, b'T', b'B', 1, 90, 5, LAST)),
        of(3, message(3, b'A', b'A', 2, 1, 5, LAST)),
        message(4, b'A', b'A', 2, 11, 5, LAST),
    ];
    let [book, trades] = whole_day(&run(Schema::Mbo, &[("ESH4", 1), ("ESM4", 2)], &messages));
    assert_eq!(prices(&book), [(4, Some(10.0), Some(11.0))]);
    assert_eq!(trades.rows.len(), 0);
}

#[test]
fn a_feed_without_names_must_be_of_one_instrument() {
    let messages = [message(0, b'A', b'B', 1, 10, 5, LAST), message(1, b'A', b'A', 2, 11, 5, LAST)];
    let [book, _] = whole_day(&run(Schema::Mbo, &[], &messages));
    assert_eq!(book.rows.len(), 1);

    let mixed = run(Schema::Mbo, &[], &[messages[0].clone(), of(2, messages[1].clone())]);
    let output = mixed.output("marketdata", DAY, &rfc3339(ns(DAY) + SECOND), &[]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains("mixes instrument 1 of publisher 1 with instrument 2"), "{}", stderr(&output));
}

#[test]
fn a_feed_of_another_schema_is_refused() {
    let output = run(Schema::Trades, &[("ESH4", 1)], &[]).output("marketdata", DAY, &rfc3339(ns(DAY) + SECOND), &[]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("schema Trades"), "{}", stderr(&output));
}

#[test]
fn events_snapshots_and_clears_show_only_when_they_are_complete() {
    let snapshot = flags::SNAPSHOT;
    let run = run(
        Schema::Mbo,
        &[("ESH4", 1)],
        &[
            // A snapshot that does not say where it ends.
            message(0, b'R', b'N', 0, 0, 0, snapshot),
            message(0, b'A', b'B', 1, 10, 5, snapshot),
            message(0, b'A', b'A', 2, 12, 5, snapshot),
            // Half of an event crosses the book, and the recorder's clock goes back meanwhile.
            message(5, b'A', b'B', 3, 12, 7, 0),
            message(4, b'T', b'B', 0, 12, 5, 0),
            message(4, b'F', b'A', 2, 12, 5, 0),
            message(6, b'C', b'A', 2, 12, 5, 0),
            message(6, b'A', b'A', 4, 13, 1, LAST),
            // Nothing that can be seen: an order behind both levels, a message without effect.
            message(7, b'A', b'B', 5, 9, 1, LAST),
            message(8, b'N', b'N', 0, 0, 0, LAST),
            message(9, b'R', b'N', 0, 0, 0, LAST),
            // An event that the file's end leaves open.
            message(10, b'A', b'B', 1, 20, 5, 0),
            message(10, b'A', b'A', 2, 22, 5, 0),
        ],
    );
    let [book, trades] = whole_day(&run);
    assert_eq!(prices(&book), [(0, Some(10.0), Some(12.0)), (6, Some(12.0), Some(13.0))]);
    assert_eq!(trades.integer(0, "ts") - ns(DAY), 5);
    // What an interval begins with was shown before it.
    let [book, trades] = run.marketdata(ns(DAY) + 7, ns(DAY) + 11);
    assert_eq!((book.rows.len(), trades.rows.len()), (0, 0));
}

#[test]
fn an_empty_side_is_null_when_it_is_not_skipped() {
    let messages = [
        message(0, b'A', b'B', 1, 10, 5, LAST),
        message(1, b'A', b'A', 2, 11, 5, LAST),
        message(2, b'C', b'B', 1, 10, 5, LAST),
        message(3, b'R', b'N', 0, 0, 0, LAST),
        message(4, b'A', b'B', 1, 10, 5, LAST),
        message(5, b'A', b'A', 2, 11, 5, LAST),
    ];
    let mut run = run(Schema::Mbo, &[("ESH4", 1)], &messages);
    let [book, _] = whole_day(&run);
    assert_eq!(prices(&book), [(1, Some(10.0), Some(11.0))]);
    run.model["skip_empty_levels"] = false.into();
    let [book, _] = whole_day(&run);
    let (bid, ask) = (Some(10.0), Some(11.0));
    assert_eq!(prices(&book), [(0, bid, None), (1, bid, ask), (2, None, ask), (3, None, None), (4, bid, None), (5, bid, ask)]);
}

#[test]
fn features_are_null_before_there_is_anything_to_tell() {
    let messages = [
        message(0, b'T', b'N', 0, 10, 5, LAST),
        message(1, b'A', b'B', 1, 10, 6, LAST),
        message(2, b'A', b'A', 2, 11, 2, LAST),
        message(3, b'T', b'B', 0, 11, 3, LAST),
        message(13, b'T', b'A', 0, 11, 1, LAST),
    ];
    let run = run(Schema::Mbo, &[("ESH4", 1)], &messages).with_windows(10, 10);
    let features = run.features(ns(DAY), ns(DAY) + SECOND);
    let row = |row| {
        let volumes = ["buy_volume", "sell_volume"].map(|column| features.integer(row, column));
        (volumes, ["traded_imbalance", "bid_volume", "ask_volume", "sided_imbalance"].map(|column| features.double(row, column)))
    };
    assert_eq!(row(0), ([0, 0], [None; 4]));
    // Three nanoseconds in: nothing, then six bids, then six bids and two asks, a nanosecond each.
    assert_eq!(row(1), ([3, 0], [Some(1.0), Some(4.0), Some(2.0 / 3.0), Some(10.0 / 14.0)]));
    // Ten later: the trade before has just left the window.
    assert_eq!(row(2), ([0, 1], [Some(-1.0), Some(6.0), Some(2.0), Some(0.5)]));
}
