//! What is known of files beforehand: which of them a frame opens, and that it never hides a row.
//!
//! Invariant 11 of ARCHITECTURE.md.

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, NamedFrom, Series, col, df, len, lit};
use tickbarn::{BoxError, Dataset, FrameOptions, Job, Loaded, Split};

use crate::field::{Field, HOUR_NS, at, count, hours, instrument, table, trades, trades_in};
use crate::opened::Opened;

const PARTITIONS: i64 = 1_000;
const MINUTES: i64 = 15;

/// A thousand partitions of a quarter of an hour, each with a row a minute.
fn thousand(field: &Field) -> Loaded {
    let made = Dataset::function("thousand", "1", |job: &Job| -> Result<DataFrame, BoxError> {
        let start = job.start().ns();
        let times: Vec<i64> = (0..MINUTES).map(|minute| start + minute * HOUR_NS / 60).collect();
        let numbers: Vec<i64> = (0..MINUTES).map(|minute| (start - at(0)) / (HOUR_NS / 60) + minute).collect();
        let mut frame = trades(&times);
        frame.with_column(Series::new("number".into(), numbers).into())?;
        Ok(frame)
    });
    let made = made.split(Split::every("15m").unwrap()).build().unwrap();
    let load = field.store.load().request(&made, &instrument("BTC-USDT"), crate::field::minutes(0, PARTITIONS * MINUTES));
    load.workers(4).blocking().unwrap()
}

fn opened_by<T>(opened: &Opened, what: impl FnOnce() -> T) -> (T, usize) {
    opened.files();
    let value = what();
    (value, opened.files().len())
}

#[test]
fn of_a_thousand_partitions_only_those_are_opened_that_a_filter_leaves() {
    let field = Field::new();
    let loaded = thousand(&field);
    assert_eq!(loaded.partitions.len() as i64, PARTITIONS);
    drop(loaded.frame("table").unwrap());
    let opened = Opened::below(field.store.path());
    let frame = || loaded.frame("table").unwrap();

    let (rows, files) = opened_by(&opened, || count(frame()));
    assert_eq!((i64::from(rows), files), (PARTITIONS * MINUTES, 0), "a count over a known schema opens none");
    let (_, files) = opened_by(&opened, || frame().collect_schema().unwrap());
    assert_eq!(files, 0, "nor does planning");

    // From the middle of one partition to the middle of the next.
    let (from, to) = (at(600 * MINUTES + 10), at(601 * MINUTES + 5));
    let within = || col("ts").gt_eq(moment(from)).and(col("ts").lt(moment(to)));
    let (rows, files) = opened_by(&opened, || frame().filter(within()).collect().unwrap().height());
    assert_eq!((rows, files), (10, 2));
    let (rows, files) = opened_by(&opened, || count(frame().filter(within())));
    assert_eq!((rows, files), (10, 2));
    let (rows, files) = opened_by(&opened, || frame().filter(col("ts").lt(moment(at(0)))).collect().unwrap().height());
    assert_eq!((rows, files), (0, 0));
    // A column of integers is known as well, and one of doubles is when it is asked for.
    let (rows, files) = opened_by(&opened, || frame().filter(col("number").eq(lit(7_777i64))).collect().unwrap().height());
    assert_eq!((rows, files), (1, 1));
    // What is no number is in no statistics, so that only a filter from above can be decided by them.
    let price = || col("price").lt(lit(8.5));
    let (rows, files) = opened_by(&opened, || frame().filter(price()).collect().unwrap().height());
    assert_eq!((rows, files), (9, PARTITIONS as usize));
    let all = FrameOptions::default().all_statistics();
    let (rows, files) = opened_by(&opened, || loaded.frame_with("table", &all).unwrap().filter(price()).collect().unwrap().height());
    assert_eq!((rows, files), (9, 1));

    // A later load, which finds them by the index, knows the same.
    let again = thousand(&field);
    let (rows, files) = opened_by(&opened, || again.frame("table").unwrap().filter(within()).collect().unwrap().height());
    assert_eq!((again.summary().hit as i64, rows, files), (PARTITIONS, 10, 2));
}

fn moment(ns: i64) -> polars::prelude::Expr {
    lit(ns).cast(trades(&[]).schema().get("ts").unwrap().clone())
}

#[test]
fn each_schema_is_read_from_one_footer_and_only_once_in_a_process() {
    let field = Field::new();
    for hour in 0..4 {
        let times = [at(i64::from(hour) * 60)];
        field.sow("BTC-USDT", hour, table([Series::new("read_once".into(), times).into()]));
    }
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 4))]);
    let opened = Opened::below(field.store.path());
    assert_eq!(opened_by(&opened, || loaded.frame("trades").unwrap().collect_schema().unwrap()).1, 1);
    assert_eq!(opened_by(&opened, || loaded.frame("trades").unwrap().collect_schema().unwrap()).1, 0);
    // Of another store, too.
    let elsewhere = Field::new();
    elsewhere.sow("BTC-USDT", 0, table([Series::new("read_once".into(), [1i64]).into()]));
    let loaded = elsewhere.load(&elsewhere.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 1))]);
    let opened = Opened::below(elsewhere.store.path());
    assert_eq!(opened_by(&opened, || loaded.frame("trades").unwrap().collect_schema().unwrap()).1, 0);
}

/// The frame's own rows, found without any statistics: everything is read first.
fn filtered_late(frame: LazyFrame, filter: polars::prelude::Expr) -> DataFrame {
    frame.collect().unwrap().lazy().filter(filter).collect().unwrap()
}

#[test]
fn statistics_never_hide_a_row() {
    use polars::prelude::{TimeUnit, TimeZone};
    let field = Field::new();
    let zones = [None, Some(TimeZone::UTC)];
    let units = [TimeUnit::Milliseconds, TimeUnit::Microseconds, TimeUnit::Nanoseconds];
    for (nth, (unit, zone)) in units.into_iter().flat_map(|unit| zones.clone().map(|zone| (unit, zone))).enumerate() {
        let pair = format!("P{nth}-X");
        for hour in 0..3 {
            let base = at(i64::from(hour) * 60);
            // Rows before and behind their partition, and none in order.
            field.sow(&pair, hour, trades_in(&[base + HOUR_NS, base - HOUR_NS, base + 1_000_000], unit, zone.clone()));
        }
        let loaded = field.load(&field.dataset().build().unwrap(), &[(&pair, hours(0, 3))]);
        for options in [FrameOptions::default(), FrameOptions::default().all_statistics()] {
            let frame = || loaded.frame_with("trades", &options).unwrap();
            let dtype = frame().collect_schema().unwrap().get("ts").unwrap().clone();
            for minute in [-60, 0, 60, 120, 180, 240] {
                for offset in [-1_000_000, 0, 1_000_000] {
                    let edge =
                        lit(at(minute) + offset).cast(polars::prelude::DataType::Datetime(TimeUnit::Nanoseconds, zone.clone())).cast(dtype.clone());
                    for filter in [col("ts").lt(edge.clone()), col("ts").gt_eq(edge.clone()), col("ts").eq(edge.clone()), col("ts").neq(edge)] {
                        let found = frame().filter(filter.clone()).collect().unwrap();
                        assert!(found.equals_missing(&filtered_late(frame(), filter)), "{unit:?} {zone:?} {minute}");
                    }
                }
            }
        }
    }
}

#[test]
fn statistics_of_every_type_never_hide_a_row() {
    use polars::prelude::DataType;
    let field = Field::new();
    let sown = |hour: i64| -> DataFrame {
        df!(
            "i8" => [Some(-1i8), None, Some(hour as i8)],
            "u8" => [Some(255u8), None, Some(hour as u8)],
            "i16" => [hour as i16, -300, 300],
            "u16" => [hour as u16, 65_535, 0],
            "i32" => [i32::MIN, hour as i32, i32::MAX],
            "u32" => [u32::MAX, hour as u32, 0],
            "i64" => [hour, hour + 1, hour + 2],
            "u64" => [u64::MAX, u64::MAX - hour as u64, u64::MAX],
            "f32" => [Some(hour as f32), Some(f32::NAN), None],
            "f64" => [hour as f64, f64::INFINITY, -0.0],
            "nans" => [f64::NAN, f64::NAN, f64::NAN],
            "flag" => [hour == 1, hour == 1, true],
            "text" => [Some(format!("t{hour}")), Some("é".repeat(100 * hour as usize)), None],
            "nulls" => [None::<i64>, None, None],
            "len" => [hour, hour, hour],
            "i64_min" => [10 - hour, 11, 12],
        )
        .unwrap()
    };
    for hour in 0..3 {
        let mut frame = sown(hour);
        let days = Series::new("day".into(), [19_000 + hour as i32, 19_000, 0]).cast(&DataType::Date).unwrap();
        frame.with_column(days.into()).unwrap();
        frame.with_column(Series::new_null("nothing".into(), 3).into()).unwrap();
        let pair = frame.clone().lazy().select([col("i64"), col("f64")]).collect().unwrap().into_struct("pair".into());
        frame.with_column(polars::prelude::IntoSeries::into_series(pair).into()).unwrap();
        field.sow("BTC-USDT", hour as u32, frame);
    }
    let loaded = field.load(&field.dataset().build().unwrap(), &[("BTC-USDT", hours(0, 3))]);
    let number =
        |value: f64| ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "f32", "f64", "nans", "len", "i64_min"].map(|name| (col(name), lit(value)));
    let mut filters = Vec::new();
    for value in [-1.0, 0.0, 2.0, 300.0, f64::NAN, f64::INFINITY] {
        filters.extend(number(value));
    }
    filters.extend([u64::MAX, u64::MAX - 1, 0].map(|value| (col("u64"), lit(value))));
    filters.extend(["t0", "t1", "", "é", "zz"].map(|value| (col("text"), lit(value))));
    filters.extend([true, false].map(|value| (col("flag"), lit(value))));
    filters.extend([0, 19_000, 19_001, 19_009].map(|value| (col("day"), lit(value).cast(DataType::Date))));
    filters.extend([0, 3].map(|value| (col("nulls"), lit(value))));
    filters.push((col("pair").struct_().field_by_name("i64"), lit(1i64)));
    for options in [FrameOptions::default(), FrameOptions::default().all_statistics()] {
        let frame = || loaded.frame_with("trades", &options).unwrap();
        let check = |filter: polars::prelude::Expr| {
            let found = frame().filter(filter.clone()).collect().unwrap();
            assert!(found.equals_missing(&filtered_late(frame(), filter.clone())), "{filter:?}");
            let counted = frame().filter(filter.clone()).select([len()]).collect().unwrap();
            assert_eq!(counted.columns()[0].idx().unwrap().get(0).unwrap() as usize, found.height(), "{filter:?}");
        };
        for (column, value) in &filters {
            for filter in [column.clone().eq(value.clone()), column.clone().neq(value.clone()), column.clone().lt(value.clone())] {
                check(filter);
            }
            for filter in [column.clone().gt(value.clone()), column.clone().gt_eq(value.clone()), column.clone().lt_eq(value.clone())] {
                check(filter);
            }
        }
        for name in ["i8", "f32", "nans", "text", "nulls", "nothing", "pair"] {
            check(col(name).is_null());
            check(col(name).is_not_null());
        }
        check(col("i64").is_in(lit(Series::new("".into(), [0i64, 2])).implode(true), false));
    }
}
