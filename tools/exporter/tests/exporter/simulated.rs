//! The simulated market: always the same, whichever way it is asked for.

use std::fs;

use serde_json::json;

use crate::support::{HOUR, MINUTE, Run, SECOND, Table, check_book, ns, rfc3339, status, stderr};

const START: &str = "2024-01-03T00:00:00Z";

/// Partitions must not show in the data: neither where they begin nor that they do.
#[test]
fn an_export_is_the_concatenation_of_its_parts() {
    let start = ns(START);
    // One level is the least likely to change at the full hour, where the simulation starts anew.
    for (pair, levels) in [("BTC-USDT", 1), ("ABC-DEF", 12)] {
        let run = Run::simulated(pair, levels);
        let features = Run::simulated(pair, levels).with_windows(90 * MINUTE, 10 * SECOND);
        let cuts = [0, 17 * MINUTE + 3, HOUR, HOUR + 1, 2 * HOUR, 2 * HOUR + 59 * MINUTE, 4 * HOUR, 5 * HOUR].map(|cut| start + cut);
        let (mut books, mut all_trades, mut all_features) = (Vec::new(), Vec::new(), Vec::new());
        for cut in cuts.windows(2) {
            let [book, trades] = run.marketdata(cut[0], cut[1]);
            books.push(book);
            all_trades.push(trades);
            all_features.push(features.features(cut[0], cut[1]));
        }
        let [book, trades] = run.marketdata(cuts[0], cuts[7]);
        check_book(&book, levels);
        assert!(book.rows.len() > 500 && trades.rows.len() > 100);
        assert_eq!(Table::concatenated(books), book);
        assert_eq!(Table::concatenated(all_trades), trades);
        assert_eq!(Table::concatenated(all_features), features.features(cuts[0], cuts[7]));
    }
}

/// Else the cache's digests would differ with each run, and with the folder it took place in.
#[test]
fn the_same_inputs_give_the_same_bytes_anywhere() {
    let start = ns(START);
    let export = || {
        let run = Run::simulated("BTC-USDT", 40);
        run.marketdata(start, start + 3 * HOUR);
        let files = ["orderbook.parquet", "trades.parquet"].map(|name| fs::read(run.path(name)).unwrap());
        let run = run.with_windows(SECOND, SECOND);
        run.features(start, start + 3 * HOUR);
        (files, fs::read(run.path("features.parquet")).unwrap())
    };
    assert!(export() == export());
}

#[test]
fn seed_market_pair_and_settings_each_make_another_history() {
    let start = ns(START);
    let trades = |change: fn(&mut Run)| {
        let mut run = Run::simulated("BTC-USDT", 1);
        change(&mut run);
        let [_, trades] = run.marketdata(start, start + HOUR);
        trades.rows
    };
    let usual = trades(|_| {});
    assert!(usual == trades(|run| run.simulation = json!({"seed": 1, "events_per_second": 0.25})));
    for change in [
        |run: &mut Run| run.simulation = json!({"seed": 2}),
        |run: &mut Run| run.simulation = json!({"events_per_second": 0.5}),
        |run: &mut Run| run.model["instrument"]["market"] = json!("kraken"),
        |run: &mut Run| run.model["instrument"]["pair"] = json!("BTC-USDC"),
    ] {
        assert!(usual != trades(change));
    }
}

/// The sparsest and the busiest market that can be asked for, and books thinner and thicker than what is shown.
#[test]
fn settings_at_their_limits_still_make_a_market() {
    let start = ns(START);
    for (simulation, levels) in [
        (json!({"orders_per_side": 10, "trade_share": 1.0, "volatility": 0.05}), 15),
        (json!({"orders_per_side": 2000, "trade_share": 0.0, "volatility": 0.0}), 200),
        (json!({"events_per_second": 100.0, "orders_per_side": 10}), 3),
        (json!({"events_per_second": 0.001}), 40),
    ] {
        let mut run = Run::simulated("ETH-USDT", levels);
        run.simulation = simulation;
        let [book, _] = run.marketdata(start, start + HOUR);
        check_book(&book, levels);
        assert!(!book.rows.is_empty());
    }
}

#[test]
fn a_moment_without_a_message_is_no_data() {
    let start = ns(START) + HOUR / 2;
    let mut run = Run::simulated("BTC-USDT", 40);
    run.simulation = json!({"events_per_second": 0.001});
    let output = run.output("marketdata", &rfc3339(start), &rfc3339(start + 1), &["--verbose", "0"]);
    assert_eq!((status(&output), stderr(&output).as_str()), (3, ""));
    assert!(!run.path("orderbook.parquet").exists());
}

#[test]
fn one_sided_books_are_shown_only_when_asked_for() {
    let start = ns(START);
    let mut run = Run::simulated("BTC-USDT", 3);
    run.simulation = json!({"orders_per_side": 10, "trade_share": 1.0, "volatility": 0.05, "events_per_second": 20.0});
    let [skipped, _] = run.marketdata(start, start + HOUR);
    check_book(&skipped, 3);
    run.model["skip_empty_levels"] = json!(false);
    let [all, _] = run.marketdata(start, start + HOUR);
    let one_sided = (0..all.rows.len()).filter(|&row| all.double(row, "bid_price_0").is_none() || all.double(row, "ask_price_0").is_none());
    assert!(one_sided.count() > 0, "the market is made to run dry");
    assert!(all.rows.len() > skipped.rows.len());
}
