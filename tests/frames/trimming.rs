//! Whole cells that cover a request are cut to it, exactly and nowhere else.

use polars::prelude::{DataType, NamedFrom, Series, TimeUnit, TimeZone, col, lit};
use tickbarn::{Align, Error, FrameOptions, Interval, Split, Time};

use crate::field::{Field, at, collected_prices, count, every_ten_minutes, hours, minutes, prices, table, trades, trades_in};

fn sown(pairs: &[&str]) -> Field {
    let field = Field::new();
    for pair in pairs {
        for hour in 0..4 {
            field.sow(pair, hour, trades(&every_ten_minutes(hour)));
        }
    }
    field
}

fn tens(start: i64, end: i64) -> Vec<f64> {
    (start..end).filter(|minute| minute % 10 == 0).map(|minute| minute as f64).collect()
}

#[test]
fn both_edges_are_cut_and_the_end_is_not_inside() {
    let field = sown(&["BTC-USDT"]);
    let loaded = field.load(&field.covering(), &[("BTC-USDT", minutes(20, 200))]);
    assert_eq!(loaded.partitions.len(), 4);
    let frame = || loaded.frame("trades").unwrap();
    assert_eq!(collected_prices(frame()), tens(20, 200));
    assert_eq!(count(frame()), 18);
    assert_eq!(collected_prices(frame().filter(col("price").gt_eq(lit(170.0)))), [170.0, 180.0, 190.0]);
    assert_eq!(collected_prices(frame().slice(3, 2)), [50.0, 60.0]);
    // A projection without the time column is cut by it all the same.
    assert_eq!(collected_prices(frame().select([col("price")])), tens(20, 200));
    assert_eq!(count(loaded.frame_with("trades", &FrameOptions::default().untrimmed()).unwrap()), 24);
}

#[test]
fn each_instrument_is_cut_to_its_own_request() {
    let field = sown(&["BTC-USDT", "ETH-USDT"]);
    let requests = [("BTC-USDT", minutes(30, 130)), ("ETH-USDT", minutes(50, 110)), ("BTC-USDT", minutes(180, 190))];
    let loaded = field.load(&field.covering(), &requests);
    let expected = [tens(30, 130), tens(50, 110), tens(180, 190)].concat();
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), expected);
}

#[test]
fn requests_that_meet_inside_a_cell_share_it_without_a_row_twice() {
    let field = sown(&["BTC-USDT"]);
    let covering = field.covering();
    let loaded = field.load(&covering, &[("BTC-USDT", minutes(0, 90)), ("BTC-USDT", minutes(90, 180))]);
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), tens(0, 180));
    let loaded = field.load(&covering, &[("BTC-USDT", minutes(70, 90)), ("BTC-USDT", minutes(10, 120))]);
    let expected = [tens(70, 90), tens(10, 60), tens(60, 70), tens(90, 120)].concat();
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), expected, "what the first request gave is not given again");
}

#[test]
fn overlapping_requests_on_a_grid_give_each_row_once() {
    let field = Field::new();
    let two_hours = field.dataset().split(Split::every("2h").unwrap()).build().unwrap();
    field.sow("BTC-USDT", 0, trades(&[every_ten_minutes(0), every_ten_minutes(1)].concat()));
    field.sow("BTC-USDT", 1, trades(&every_ten_minutes(1)));
    let loaded = field.load(&two_hours, &[("BTC-USDT", hours(1, 2)), ("BTC-USDT", hours(0, 2))]);
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), [tens(60, 120), tens(0, 60)].concat());
}

#[test]
fn nanosecond_edges_are_exact_in_every_unit_and_zone() {
    // Times on whole milliseconds, so that every unit holds them all.
    const MILLISECOND_NS: i64 = 1_000_000;
    let times: Vec<i64> = (-2..=2).map(|nth| at(30) + nth * MILLISECOND_NS).collect();
    let amsterdam = || TimeZone::opt_try_new(Some("Europe/Amsterdam")).unwrap();
    for unit in [TimeUnit::Nanoseconds, TimeUnit::Microseconds, TimeUnit::Milliseconds] {
        for zone in [None, Some(TimeZone::UTC), amsterdam()] {
            let field = Field::new();
            field.sow("BTC-USDT", 0, trades_in(&times, unit, zone.clone()));
            let covering = field.covering();
            // On a row, just before and just after it: an edge that no coarser unit can name.
            for offset in [-MILLISECOND_NS, -1, 0, 1, 999, MILLISECOND_NS] {
                let edge = at(30) + offset;
                let from = Interval::new(Time::from_ns(edge), Time::from_ns(at(60))).unwrap();
                let until = Interval::new(Time::from_ns(at(0)), Time::from_ns(edge)).unwrap();
                let cut = |interval| collected_prices(field.load(&covering, &[("BTC-USDT", interval)]).frame("trades").unwrap());
                let (early, late): (Vec<i64>, Vec<i64>) = times.iter().partition(|time| **time < edge);
                assert_eq!((cut(until), cut(from)), (prices(&early), prices(&late)), "{unit:?} {zone:?} {offset}");
            }
        }
    }
}

#[test]
fn times_that_a_writer_other_than_arrows_marks_as_utc_are_cut() {
    let field = Field::new();
    field.sow_required("BTC-USDT", 0, &every_ten_minutes(0), true);
    let loaded = field.load(&field.covering(), &[("BTC-USDT", minutes(15, 45))]);
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), tens(15, 45));
}

#[test]
fn integers_are_nanoseconds_and_any_column_may_hold_the_time() {
    let field = Field::new();
    let times = every_ten_minutes(0);
    field.sow("BTC-USDT", 0, table([Series::new("ts_event".into(), times.clone()).into(), Series::new("price".into(), prices(&times)).into()]));
    let loaded = field.load(&field.covering(), &[("BTC-USDT", minutes(15, 45))]);
    let options = FrameOptions::default().time_column("ts_event");
    assert_eq!(collected_prices(loaded.frame_with("trades", &options).unwrap()), tens(15, 45));
}

#[test]
fn a_row_at_the_edge_of_a_partition_that_is_not_cut_stays() {
    let field = Field::new();
    // Bars that are stamped with their end.
    for hour in 0..2 {
        field.sow("BTC-USDT", hour, trades(&[at(i64::from(hour) * 60 + 30), at(i64::from(hour) * 60 + 60)]));
    }
    let loaded = field.load(&field.covering(), &[("BTC-USDT", minutes(10, 120))]);
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), [30.0, 60.0, 90.0, 120.0]);
}

#[test]
fn a_table_that_cannot_be_cut_says_how_to_go_on() {
    let field = Field::new();
    let times = every_ten_minutes(0);
    let texts: Vec<String> = times.iter().map(ToString::to_string).collect();
    field.sow("BTC-USDT", 0, table([Series::new("ts".into(), texts).into(), Series::new("price".into(), prices(&times)).into()]));
    let covering = field.covering();
    let loaded = field.load(&covering, &[("BTC-USDT", minutes(15, 45))]);

    let error = loaded.frame("trades").err().unwrap();
    assert!(matches!(error, Error::TimeColumn { .. }) && error.is_usage(), "{error}");
    assert_eq!(
        error.to_string(),
        "\"trades\" cannot be trimmed to the requested interval by its column \"ts\": its type is str, where a datetime or 64-bit integers of \
         nanoseconds are needed; choose another column with `FrameOptions::time_column`, or take whole partitions with `FrameOptions::untrimmed`"
    );
    let error = loaded.frame_with("trades", &FrameOptions::default().time_column("time")).err().unwrap();
    assert!(error.to_string().contains("its column \"time\": there is no such column; choose another"), "{error}");

    // Nothing is asked of the column where nothing is to be cut.
    assert_eq!(count(loaded.frame_with("trades", &FrameOptions::default().untrimmed()).unwrap()), 6);
    assert_eq!(count(field.load(&covering, &[("BTC-USDT", hours(0, 1))]).frame("trades").unwrap()), 6);
}

#[test]
fn a_request_cut_from_its_own_start_needs_no_trimming() {
    let field = Field::new();
    field.sow("BTC-USDT", 0, table([Series::new("price".into(), [1.0]).cast(&DataType::Float64).unwrap().into()]));
    let dataset = field.dataset().split(Split::every("1h").unwrap().aligned(Align::Start)).build().unwrap();
    assert_eq!(collected_prices(field.load(&dataset, &[("BTC-USDT", minutes(0, 40))]).frame("trades").unwrap()), [1.0]);
}
