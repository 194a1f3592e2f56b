//! What is wrong is named, with what to do about it, and the exit status tells whose turn it is.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Run, SECOND, status, stderr};

const START: &str = "2024-01-01T00:00:00Z";
const END: &str = "2024-01-01T01:00:00Z";

fn refused(run: &Run, export: &str, fragments: &[&str]) {
    let output = run.output(export, START, END, &[]);
    assert_eq!(status(&output), 2, "{}", stderr(&output));
    for fragment in fragments {
        assert!(stderr(&output).contains(fragment), "{fragment:?} is not in {}", stderr(&output));
    }
    assert!(["orderbook", "trades", "features"].iter().all(|name| !run.path(&format!("{name}.parquet")).exists()));
}

#[test]
fn settings_that_are_wrong_are_named_with_their_file() {
    let model: [(&str, Value, &[&str]); 6] = [
        ("orderbook_levels", json!(0), &["\"orderbook_levels\"", "is 0: give 1 to 1000"]),
        ("orderbook_levels", json!("many"), &["invalid type: string \"many\""]),
        ("orderbook_depth", json!(3), &["unknown field `orderbook_depth`"]),
        ("instrument", json!({"market": "binance"}), &["missing field `pair`"]),
        ("instrument", json!({"market": "binance", "pair": "A", "isin": 1}), &["unknown field `isin`"]),
        ("trades_file", Value::Null, &["invalid type: null"]),
    ];
    for (key, value, fragments) in model {
        let mut run = Run::simulated("BTC-USDT", 40);
        run.model[key] = value;
        refused(&run, "marketdata", &[fragments, &["model.json"]].concat());
    }
    let simulation: [(&str, Value, &str); 6] = [
        ("events_per_second", json!(0), "is 0: give 0.001 to 100"),
        ("events_per_second", json!(1e9), "is 1000000000: give 0.001 to 100"),
        ("volatility", json!(-0.1), "is -0.1: give 0 to 0.05"),
        ("trade_share", json!(1.5), "is 1.5: give 0 to 1"),
        ("orders_per_side", json!(1), "is 1: give 10 to 2000"),
        ("sed", json!(1), "unknown field `sed`"),
    ];
    for (key, value, fragment) in simulation {
        let mut run = Run::simulated("BTC-USDT", 40);
        run.simulation = json!({key: value});
        refused(&run, "marketdata", &["simulation.json", key, fragment]);
    }
    for (feed, fragment) in [
        (json!({"kind": "tape"}), "unknown variant `tape`"),
        (json!({"kind": "dbn"}), "missing field `path`"),
        (json!({"kind": "simulated", "path": "x"}), "unknown field `path`"),
        (json!({"kind": "dbn", "path": "x", "speed": 2}), "unknown field `speed`"),
        (json!({"path": "x"}), "missing field `kind`"),
    ] {
        let mut run = Run::simulated("BTC-USDT", 40);
        run.run["feed"] = feed;
        refused(&run, "marketdata", &["run.json", fragment]);
    }
    for (key, ns) in [("traded_ob_window_size", 0), ("sided_ob_window_size", 86_400 * SECOND + 1)] {
        let mut run = Run::simulated("BTC-USDT", 40).with_windows(SECOND, SECOND);
        run.model["features"][key] = json!(ns);
        refused(&run, "features", &["model.json", key, "give 1 to 86400000000000 nanoseconds"]);
    }
}

#[test]
fn tables_need_files_of_their_own() {
    let mut run = Run::simulated("BTC-USDT", 40);
    run.model["trades_file"] = run.model["orderbook_file"].clone();
    refused(&run, "marketdata", &["model.json", "\"trades_file\"", "a file of its own"]);
}

#[test]
fn a_model_of_the_other_export_is_refused() {
    let run = Run::simulated("BTC-USDT", 40);
    refused(&run, "features", &["model.json", "unknown field `orderbook_file`"]);
}

#[test]
fn a_feed_that_is_not_there_is_named_with_its_whole_path() {
    let mut run = Run::simulated("BTC-USDT", 40);
    run.run["feed"] = json!({"kind": "dbn", "path": "feeds/x.mbo.dbn.zst"});
    let path = run.path("feeds/x.mbo.dbn.zst");
    refused(&run, "marketdata", &[path.to_str().unwrap(), "there is no feed"]);
}

#[test]
fn a_feed_that_is_no_feed_is_damaged() {
    let mut run = Run::simulated("BTC-USDT", 40);
    run.run["feed"] = json!({"kind": "dbn", "path": "x.dbn"});
    for content in ["", "no feed at all, but long enough to be one"] {
        fs::write(run.path("x.dbn"), content).unwrap();
        let output = run.output("marketdata", START, END, &[]);
        assert_eq!(status(&output), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains("x.dbn"), "{}", stderr(&output));
    }
}

#[test]
fn an_interval_has_to_hold_something() {
    let run = Run::simulated("BTC-USDT", 40);
    for (start, end, fragment) in [
        (END, START, "is not before --end"),
        (START, START, "is not before --end"),
        ("1969-12-31T23:00:00Z", START, "only times from 1970-01-01"),
        (START, "2300-01-01T00:00:00Z", "only times from 1970-01-01"),
        ("yesterday", END, "yesterday"),
        ("2024-01-01", END, "2024-01-01"),
    ] {
        let output = run.output("marketdata", start, end, &[]);
        assert_eq!(status(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains(fragment), "{}", stderr(&output));
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    for (key, path) in [("orderbook_file", "/dev/full"), ("trades_file", "no/such/folder/trades.parquet")] {
        let mut run = Run::simulated("BTC-USDT", 40);
        if key == "orderbook_file" && !std::path::Path::new(path).exists() {
            continue;
        }
        run.model[key] = json!(path);
        let output = run.output("marketdata", START, END, &[]);
        assert_eq!(status(&output), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains(path), "{}", stderr(&output));
    }
}

#[test]
fn the_order_log_is_empty_and_verbosity_is_obeyed() {
    let run = Run::simulated("BTC-USDT", 40);
    let log = run.path("orders.csv");
    let lines = |verbose| {
        let output = run.output("marketdata", START, END, &["--orders", log.to_str().unwrap(), "--verbose", verbose]);
        assert_eq!((status(&output), output.stdout.len()), (0, 0));
        stderr(&output)
    };
    assert_eq!(lines("0"), "");
    assert_eq!(fs::read(&log).unwrap(), b"");
    let summary = lines("1");
    assert!(summary.starts_with("binance/BTC-USDT 2024-01-01T00:00:00Z..2024-01-01T01:00:00Z: "), "{summary}");
    assert!(summary.contains(" book rows, ") && summary.contains(" trades in ") && summary.lines().count() == 1, "{summary}");
    assert!(lines("2").contains("orderbook.parquet"));

    let output = run.output("marketdata", START, END, &["--orders", "/no/such/folder/orders"]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains("/no/such/folder/orders"), "{}", stderr(&output));
}
