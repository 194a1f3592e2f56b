//! Frames that would be wrong or are not there, and what is said instead.

use std::fs;

use polars::prelude::{NamedFrom, Series, TimeUnit};
use tickbarn::{Dataset, Error, Loaded, OnMissing, Policy};

use crate::field::{Field, at, collected_prices, count, every_ten_minutes, hours, instrument, prices, table, trades, trades_in};

fn refused(loaded: &Loaded, output: &str) -> Error {
    loaded.frame(output).err().unwrap()
}

#[test]
fn columns_that_differ_name_both_partitions() {
    let field = Field::new();
    for hour in 0..2 {
        field.sow("BTC-USDT", hour, trades(&every_ten_minutes(hour)));
    }
    let times = every_ten_minutes(2);
    let whole: Vec<i64> = times.iter().map(|_| 1).collect();
    field.sow("BTC-USDT", 2, table([Series::new("price".into(), whole.clone()).into(), Series::new("quantity".into(), whole).into()]));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 3))]);
    let error = refused(&loaded, "trades");
    assert!(matches!(error, Error::SchemasDiffer { .. }) && !error.is_usage(), "{error}");
    assert_eq!(
        error.to_string(),
        "the columns of \"trades\" differ between seeds binance/BTC-USDT 2024-01-01T00:00:00Z/2024-01-01T01:00:00Z and \
         seeds binance/BTC-USDT 2024-01-01T02:00:00Z/2024-01-01T03:00:00Z: ts (datetime[ns, UTC]) is only in the first, \
         price is f64 in the first and i64 in the second, quantity (i64) is only in the second; \
         give the dataset a new version or configuration where its tables change, or load the two apart"
    );
}

#[test]
fn columns_in_another_order_are_told() {
    let field = Field::new();
    let times = every_ten_minutes(0);
    let columns = || [Series::new("a".into(), times.clone()).into(), Series::new("b".into(), times.clone()).into()];
    field.sow("BTC-USDT", 0, table(columns()));
    field.sow("BTC-USDT", 1, table(columns().into_iter().rev()));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 2))]);
    let error = refused(&loaded, "trades").to_string();
    assert!(error.contains("they stand in another order"), "{error}");
}

#[test]
fn schemas_that_differ_only_where_polars_sees_none_are_one_frame() {
    let field = Field::new();
    field.sow("BTC-USDT", 0, trades_in(&every_ten_minutes(0), TimeUnit::Nanoseconds, None));
    let dataset = field.dataset().build().unwrap();
    // The same columns as another writer has them: required, and without Arrow's notes.
    field.sow_required("BTC-USDT", 1, &every_ten_minutes(1), false);
    let both = field.load(&dataset, &[("BTC-USDT", hours(0, 2))]);
    let schema = |loaded: &Loaded, nth: usize| loaded.partitions[nth].outcome.entry().unwrap().outputs[0].schema;
    assert_ne!(schema(&both, 0), schema(&both, 1));
    assert_eq!(collected_prices(both.frame("trades").unwrap()), prices(&[every_ten_minutes(0), every_ten_minutes(1)].concat()));
}

#[test]
fn an_unknown_output_names_those_there_are() {
    let field = Field::new();
    field.sow("BTC-USDT", 0, trades(&every_ten_minutes(0)));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 1))]);
    assert_eq!(refused(&loaded, "trade").to_string(), "no partition that was read has an output \"trade\"; there are trades");
    let error = loaded.frame_of("seed", "trades").err().unwrap();
    assert_eq!(error.to_string(), "this load holds nothing of dataset \"seed\"; it holds seeds");
}

#[test]
fn where_nothing_was_read_it_is_said_why() {
    let field = Field::new();
    let dataset = field.dataset().empty_exit_codes([4]).build().unwrap();
    let failing = field.dataset().build().unwrap();
    let loaded = field.load(&dataset, &[("BTC-USDT", hours(0, 3))]);
    assert_eq!(
        refused(&loaded, "trades").to_string(),
        "there is no \"trades\" to make a frame of: of 3 partitions 0 are missing, 0 failed and 3 have no data and no tables; \
         load more, or generate what is missing"
    );
    let text = refused(&field.load(&failing, &[("ETH-USDT", hours(0, 2))]), "trades").to_string();
    assert!(text.contains("of 2 partitions 0 are missing, 2 failed and 0 have no data"), "{text}");

    let skip = Policy { missing: OnMissing::Skip, ..Policy::default() };
    let loaded = field.store.load().policy(skip).request(&failing, &instrument("XRP-USDT"), hours(0, 4)).blocking().unwrap();
    let text = refused(&loaded, "trades").to_string();
    assert!(text.contains("of 4 partitions 4 are missing"), "{text}");
}

#[test]
fn an_output_of_several_datasets_wants_a_name() {
    let field = Field::new();
    field.sow("BTC-USDT", 0, trades(&[at(1)]));
    field.sow("ETH-USDT", 0, trades(&[at(2)]));
    let (one, other) = (field.dataset_named("one").build().unwrap(), field.dataset_named("other").build().unwrap());
    let load = field.store.load().request(&other, &instrument("BTC-USDT"), hours(0, 1)).request(&one, &instrument("ETH-USDT"), hours(0, 1));
    let loaded = load.blocking().unwrap();
    assert_eq!(
        refused(&loaded, "trades").to_string(),
        "several datasets of this load have an output \"trades\": one, other; name one of them (`frame_of(dataset, \"trades\")`)"
    );
    assert_eq!(collected_prices(loaded.frame_of("one", "trades").unwrap()), [2.0]);
    assert_eq!(collected_prices(loaded.frame_of("other", "trades").unwrap()), [1.0]);
}

#[test]
fn two_definitions_of_a_name_never_run_together() {
    let field = Field::new();
    for pair in ["BTC-USDT", "ETH-USDT"] {
        field.sow(pair, 0, trades(&[at(1)]));
    }
    let levels = |levels: i64| field.dataset().config("levels", levels).build().unwrap();
    let load = |btc: Dataset, eth: Dataset| {
        let load = field.store.load().request(&btc, &instrument("BTC-USDT"), hours(0, 1));
        load.request(&eth, &instrument("ETH-USDT"), hours(0, 1)).blocking().unwrap()
    };
    let error = refused(&load(levels(5), levels(40)), "trades");
    assert!(matches!(error, Error::MixedDefinitions { .. }) && error.to_string().contains("two definitions of dataset seeds"), "{error}");
    // Built twice is not two definitions.
    assert_eq!(count(load(levels(5), levels(5)).frame("trades").unwrap()), 2);
}

#[test]
fn a_file_that_is_gone_or_spoilt_is_named() {
    let field = Field::new();
    // Of columns that nothing else in this process has: their footer has to be read.
    field.sow("BTC-USDT", 0, table([Series::new("nowhere_else".into(), [1i64]).into()]));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 1))]);
    let path = &loaded.partitions[0].outcome.entry().unwrap().outputs[0].path;
    fs::remove_file(path).unwrap();
    let error = refused(&loaded, "trades");
    assert!(matches!(&error, Error::Io { path: named, .. } if named == path), "{error}");
    fs::write(path, "no table").unwrap();
    let error = refused(&loaded, "trades");
    assert!(matches!(&error, Error::Frame { .. }) && error.to_string().starts_with("cannot make a frame of \"trades\": "), "{error}");
}
