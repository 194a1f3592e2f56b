//! Frames on request: columns of the instrument, unions of what differs, a frame for each instrument or partition.

use polars::prelude::{AnyValue, DataFrame, DataType, NamedFrom, Series, col, df, lit};
use tickbarn::{Error, FrameOptions};

use crate::field::{Field, at, collected_prices, count, every_ten_minutes, hours, instrument, minutes, prices, table, trades};

fn sown() -> Field {
    let field = Field::new();
    for hour in 0..3 {
        field.sow("BTC-USDT", hour, trades(&every_ten_minutes(hour)));
        field.sow("ETH-USDT", hour, trades(&[at(i64::from(hour) * 60 + 1)]));
    }
    field
}

fn texts(frame: &DataFrame, column: &str) -> Vec<String> {
    frame.column(column).unwrap().str().unwrap().iter().map(|text| text.unwrap().to_owned()).collect()
}

#[test]
fn rows_say_which_instrument_they_belong_to() {
    let field = sown();
    let dataset = field.dataset().build().unwrap();
    let loaded = field.load(&dataset, &[("ETH-USDT", hours(0, 2)), ("BTC-USDT", hours(0, 1)), ("ETH-USDT", hours(2, 3))]);
    let options = FrameOptions::default().instrument_columns();
    let frame = || loaded.frame_with("trades", &options).unwrap();
    let all = frame().collect().unwrap();
    assert_eq!(all.get_column_names(), ["ts", "price", "market", "pair"]);
    let pairs = [["ETH-USDT"; 2].as_slice(), &["BTC-USDT"; 6], &["ETH-USDT"]].concat();
    assert_eq!(texts(&all, "pair"), pairs);
    assert_eq!(texts(&all, "market"), ["binance"; 9]);
    assert_eq!(count(frame().filter(col("pair").eq(lit("BTC-USDT")))), 6);
    assert_eq!(count(frame()), 9);
    // Trimmed as without them.
    let loaded = field.load(&field.covering(), &[("BTC-USDT", minutes(30, 70)), ("ETH-USDT", minutes(0, 60))]);
    let trimmed = loaded.frame_with("trades", &options).unwrap().collect().unwrap();
    assert_eq!(texts(&trimmed, "pair"), [["BTC-USDT"; 4].as_slice(), &["ETH-USDT"]].concat());
    // And where there is no row.
    field.sow("X-Y", 0, trades(&[]));
    let empty = field.load(&dataset, &[("X-Y", hours(0, 1))]).frame_with("trades", &options).unwrap().collect().unwrap();
    assert_eq!((empty.height(), empty.width()), (0, 4));
}

#[test]
fn a_table_with_a_column_of_that_name_keeps_it() {
    let field = Field::new();
    field.sow("BTC-USDT", 0, table([Series::new("pair".into(), [1i64]).into()]));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 1))]);
    let error = loaded.frame_with("trades", &FrameOptions::default().instrument_columns()).err().unwrap();
    assert!(matches!(&error, Error::InstrumentColumns { column: "pair", .. }) && error.to_string().contains("frames_by_instrument"), "{error}");
}

#[test]
fn a_frame_for_each_instrument_in_the_order_of_the_request() {
    let field = sown();
    let requests = [("ETH-USDT", hours(0, 2)), ("BTC-USDT", hours(0, 1)), ("ETH-USDT", hours(1, 3))];
    let loaded = field.load(&field.dataset().build().unwrap(), &requests);
    let frames = loaded.frames_by_instrument("trades", &FrameOptions::default()).unwrap();
    let found: Vec<_> = frames.into_iter().map(|(instrument, frame)| (instrument, collected_prices(frame))).collect();
    assert_eq!(found, [(instrument("ETH-USDT"), vec![1.0, 61.0, 121.0]), (instrument("BTC-USDT"), prices(&every_ten_minutes(0)))]);
}

#[test]
fn instruments_may_have_columns_of_their_own() {
    let field = sown();
    field.sow("ODD-X", 0, table([Series::new("odd".into(), [1i64]).into()]));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("ETH-USDT", hours(0, 1)), ("ODD-X", hours(0, 1))]);
    assert!(matches!(loaded.frame("trades"), Err(Error::SchemasDiffer { .. })));
    assert_eq!(loaded.frames_by_instrument("trades", &FrameOptions::default()).unwrap().len(), 2);
    assert_eq!(loaded.frames_by_partition("trades", &FrameOptions::default()).unwrap().len(), 2);
}

#[test]
fn a_frame_for_each_partition_those_without_rows_too() {
    let field = sown();
    field.sow("BTC-USDT", 1, trades(&[]));
    let loaded = field.load(&field.covering(), &[("BTC-USDT", minutes(30, 150)), ("BTC-USDT", minutes(200, 210))]);
    let frames = loaded.frames_by_partition("trades", &FrameOptions::default()).unwrap();
    let found: Vec<_> = frames.into_iter().map(|(partition, frame)| (partition.interval, collected_prices(frame))).collect();
    assert_eq!(
        found,
        [(hours(0, 1), vec![30.0, 40.0, 50.0]), (hours(1, 2), vec![]), (hours(2, 3), vec![120.0, 130.0, 140.0])],
        "what failed has none"
    );
}

#[test]
fn tables_that_differ_are_united_on_request() {
    let field = Field::new();
    let times = |hour: u32| every_ten_minutes(hour)[..2].to_vec();
    field.sow("BTC-USDT", 0, trades(&times(0)));
    let mut wider = trades(&times(1));
    wider.with_column(Series::new("venue".into(), ["a", "b"]).into()).unwrap();
    field.sow("BTC-USDT", 1, wider);
    // Fewer columns, and whole numbers where others have fractions.
    field.sow("BTC-USDT", 2, table([Series::new("price".into(), [7i64, 8]).into()]));
    field.sow("BTC-USDT", 3, trades(&times(3)));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 4))]);
    assert!(matches!(loaded.frame("trades"), Err(Error::SchemasDiffer { .. })));
    let relaxed = FrameOptions::default().relaxed();
    let united = loaded.frame_with("trades", &relaxed).unwrap().collect().unwrap();
    assert_eq!(united.get_column_names(), ["ts", "price", "venue"]);
    assert_eq!(united.column("price").unwrap().dtype(), &DataType::Float64);
    assert_eq!(collected_prices(loaded.frame_with("trades", &relaxed).unwrap()), [0.0, 10.0, 60.0, 70.0, 7.0, 8.0, 180.0, 190.0]);
    assert_eq!(united.column("venue").unwrap().get(2).unwrap(), AnyValue::String("a"));
    assert_eq!((united.column("venue").unwrap().null_count(), united.column("ts").unwrap().null_count()), (6, 2));
    assert_eq!(count(loaded.frame_with("trades", &relaxed).unwrap()), 8);
    let filtered = loaded.frame_with("trades", &relaxed.clone().instrument_columns()).unwrap().filter(col("venue").eq(lit("b"))).collect().unwrap();
    assert_eq!((filtered.height(), texts(&filtered, "pair")), (1, vec!["BTC-USDT".to_owned()]));

    // What has no common type is no frame, and says so.
    field.sow("ETH-USDT", 0, df!("price" => ["text"]).unwrap());
    field.sow("ETH-USDT", 1, table([Series::new("price".into(), [Series::new("".into(), [1.0])]).into()]));
    let loaded = field.load(&field.dataset().build().unwrap(), &[("ETH-USDT", hours(0, 2))]);
    let outcome = loaded.frame_with("trades", &relaxed).map(|frame| frame.collect());
    assert!(!matches!(outcome, Ok(Ok(_))), "{outcome:?}");
}

#[test]
fn relaxed_is_no_other_where_nothing_differs() {
    let field = sown();
    let loaded = field.load(&field.covering(), &[("BTC-USDT", minutes(20, 100))]);
    let (plain, relaxed) = (loaded.frame("trades").unwrap(), loaded.frame_with("trades", &FrameOptions::default().relaxed()).unwrap());
    assert!(plain.collect().unwrap().equals(&relaxed.collect().unwrap()));
}

#[test]
fn a_dataset_declares_its_time_column() {
    let field = Field::new();
    let frame = |hour: u32| {
        let mut frame = trades(&every_ten_minutes(hour));
        frame.rename("ts", "bar_close".into()).unwrap();
        frame
    };
    field.sow("BTC-USDT", 0, frame(0));
    let covering =
        |name: &str| field.dataset().time_column(name).split(tickbarn::Split::every("1h").unwrap().aligned(tickbarn::Align::Cover)).build().unwrap();
    let loaded = field.load(&covering("bar_close"), &[("BTC-USDT", minutes(20, 40))]);
    assert_eq!(collected_prices(loaded.frame("trades").unwrap()), [20.0, 30.0]);
    let other = field.load(&covering("nowhere"), &[("BTC-USDT", minutes(20, 40))]);
    assert!(matches!(other.frame("trades"), Err(Error::TimeColumn { .. })));
    let option = FrameOptions::default().time_column("bar_close");
    assert_eq!(collected_prices(other.frame_with("trades", &option).unwrap()), [20.0, 30.0]);
}
