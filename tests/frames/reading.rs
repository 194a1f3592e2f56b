//! What a frame holds, in which order, and what it opens.

use std::fs;
use std::path::PathBuf;

use polars::prelude::{UnionArgs, col, concat, lit};
use tickbarn::{Loaded, Outcome};

use crate::field::{Field, at, collected_prices, count, every_ten_minutes, hours, prices, table, trades};

/// BTC over four hours and ETH over two, each with rows of its own.
fn sown() -> Field {
    let field = Field::new();
    for hour in 0..4 {
        field.sow("BTC-USDT", hour, trades(&every_ten_minutes(hour)));
    }
    for hour in 0..2 {
        field.sow("ETH-USDT", hour, trades(&[at(i64::from(hour) * 60 + 1)]));
    }
    field
}

fn files(loaded: &Loaded) -> Vec<PathBuf> {
    loaded
        .partitions
        .iter()
        .filter_map(|partition| partition.outcome.entry())
        .flat_map(|entry| &entry.outputs)
        .map(|output| output.path.clone())
        .collect()
}

#[test]
fn rows_stand_in_request_order_and_within_it_in_time_order() {
    let field = sown();
    let dataset = field.dataset().build().unwrap();
    let loaded = field.load(&dataset, &[("ETH-USDT", hours(0, 2)), ("BTC-USDT", hours(0, 4))]);
    let btc: Vec<f64> = (0..4).flat_map(|hour| prices(&every_ten_minutes(hour))).collect();
    let expected: Vec<f64> = [1.0, 61.0].into_iter().chain(btc).collect();
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), expected);
    // The same from hits.
    let loaded = field.load(&dataset, &[("ETH-USDT", hours(0, 2)), ("BTC-USDT", hours(0, 4))]);
    assert!(loaded.partitions.iter().all(|partition| matches!(partition.outcome, Outcome::Hit(_))));
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), expected);
}

#[test]
fn counts_filters_slices_and_projections() {
    let field = sown();
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 4))]);
    let frame = || loaded.frame("trades").unwrap();
    assert_eq!(count(frame()), 24);
    assert_eq!(count(frame().filter(col("price").gt_eq(lit(60.0)))), 18);
    assert_eq!(collected_prices(frame().filter(col("price").lt(lit(20.0)))), [0.0, 10.0]);
    assert_eq!(collected_prices(frame().slice(5, 2)), [50.0, 60.0]);
    assert_eq!(collected_prices(frame().tail(1)), [230.0]);
    let projected = frame().select([col("price").sum()]).collect().unwrap();
    assert_eq!((projected.width(), projected.column("price").unwrap().f64().unwrap().get(0)), (1, Some((0..24).map(f64::from).sum::<f64>() * 10.0)));
    let both =
        concat([frame(), field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 1))]).frame("trades").unwrap()], UnionArgs::default());
    assert_eq!(count(both.unwrap()), 30, "two frames that begin with the same file are counted each by its own files");
}

#[test]
fn planning_opens_no_footer_but_one() {
    let field = sown();
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 4))]);
    for path in &files(&loaded)[1..] {
        fs::remove_file(path).unwrap();
    }
    let mut frame = loaded.frame("trades").unwrap();
    let schema = frame.collect_schema().unwrap();
    assert_eq!(schema.iter_names().map(|name| name.as_str()).collect::<Vec<_>>(), ["ts", "price"]);
    frame.clone().with_column(col("price") * lit(2.0)).explain(true).unwrap();
    // What is counted is known too; what is read is not made up.
    assert_eq!(count(frame.clone()), 24);
    assert!(frame.collect().is_err());
}

#[test]
fn partitions_without_rows_add_nothing_and_are_not_opened() {
    let field = sown();
    field.sow("BTC-USDT", 1, trades(&[]));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 3))]);
    assert!(matches!(loaded.partitions[1].outcome, Outcome::Empty { .. }));
    fs::remove_file(&files(&loaded)[1]).unwrap();
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), prices(&[every_ten_minutes(0), every_ten_minutes(2)].concat()));
}

#[test]
fn a_table_without_rows_may_have_other_columns() {
    let field = sown();
    field.sow("BTC-USDT", 0, table([polars::prelude::Column::new_empty("price".into(), &polars::prelude::DataType::Null)]));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 2))]);
    assert_eq!(count(loaded.frame("trades").unwrap()), 6);
}

#[test]
fn a_load_without_any_rows_still_has_columns() {
    let field = Field::new();
    for hour in 0..2 {
        field.sow("BTC-USDT", hour, trades(&[]));
    }
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 2))]);
    let frame = loaded.frame("trades").unwrap().filter(col("price").gt(lit(1.0))).collect().unwrap();
    assert_eq!((frame.height(), frame.width()), (0, 2));
    assert_eq!(frame.schema(), trades(&[]).schema());
}

#[test]
fn what_failed_or_is_missing_is_left_out() {
    let field = sown();
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(2, 6)), ("ETH-USDT", hours(1, 3))]);
    assert_eq!(loaded.summary().failed, 3);
    let expected = prices(&[every_ten_minutes(2), every_ten_minutes(3), vec![at(61)]].concat());
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), expected);
}

#[test]
fn what_is_requested_twice_is_there_once() {
    let field = sown();
    let dataset = field.dataset().build().unwrap();
    let loaded = field.load(&dataset, &[("BTC-USDT", hours(1, 2)), ("BTC-USDT", hours(0, 2)), ("BTC-USDT", hours(1, 2))]);
    assert_eq!(loaded.partitions.len(), 4);
    let expected = prices(&[every_ten_minutes(1), every_ten_minutes(0)].concat());
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), expected, "each partition in the place where it was first requested");
}

#[test]
fn partitions_of_the_same_bytes_are_each_there() {
    let field = Field::new();
    for hour in 0..3 {
        field.sow("BTC-USDT", hour, trades(&[at(1), at(2)]));
    }
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 3))]);
    assert!(files(&loaded).windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}
