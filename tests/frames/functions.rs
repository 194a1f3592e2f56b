//! Functions that give frames back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, NamedFrom, Series, col, df, lit};
use tickbarn::{BoxError, Dataset, Job, OnFailure, Outcome, Outputs, Split};

use crate::field::{Field, HOUR_NS, at, collected_prices, count, every_ten_minutes, hours, instrument, prices, trades};

fn hourly(builder: tickbarn::DatasetBuilder) -> Dataset {
    builder.split(Split::every("1h").unwrap()).build().unwrap()
}

fn hour_of(job: &Job) -> u32 {
    u32::try_from((job.start().ns() - at(0)) / HOUR_NS).unwrap()
}

fn tens(job: &Job) -> DataFrame {
    trades(&every_ten_minutes(hour_of(job)))
}

#[test]
fn frames_and_lazy_frames_become_tables_of_the_same_rows() {
    let field = Field::new();
    let eager = hourly(Dataset::function("eager", "1", |job: &Job| Ok::<_, BoxError>(tens(job))));
    let lazy = hourly(Dataset::function("lazy", "1", |job: &Job| Ok::<_, BoxError>(tens(job).lazy().filter(col("price").gt_eq(lit(10.0))))));
    let expected: Vec<f64> = (0..3).flat_map(|hour| prices(&every_ten_minutes(hour))).collect();
    for (dataset, expected) in [(&eager, expected.clone()), (&lazy, expected[1..].to_vec())] {
        for outcome in ["generated", "hit"] {
            let loaded = field.store.load().request(dataset, &instrument("BTC-USDT"), hours(0, 3)).blocking().unwrap();
            assert!(loaded.partitions.iter().all(|partition| partition.outcome.as_str() == outcome));
            assert_eq!(collected_prices(loaded.frame("table").unwrap()), expected);
        }
    }
}

#[test]
fn several_tables_no_data_and_tables_without_rows() {
    let field = Field::new();
    let dataset = Dataset::function("several", "1", |job: &Job| -> Result<Outputs, BoxError> {
        Ok(match hour_of(job) {
            0 => Outputs::no_data(),
            1 => Outputs::default().table("all", trades(&[])).table("large", trades(&[]).lazy()),
            _ => Outputs::default().table("all", tens(job)).table("large", tens(job).lazy().filter(col("price").gt(lit(150.0)))),
        })
    });
    let dataset = hourly(dataset.output("all", "all.parquet").output("large", "large.parquet"));
    let loaded = field.store.load().request(&dataset, &instrument("BTC-USDT"), hours(0, 3)).blocking().unwrap();
    let outcomes: Vec<&str> = loaded.partitions.iter().map(|partition| partition.outcome.as_str()).collect();
    assert_eq!(outcomes, ["empty", "empty", "generated"]);
    assert_eq!((count(loaded.frame("all").unwrap()), count(loaded.frame("large").unwrap())), (6, 2));
    let none = hourly(Dataset::function("none", "1", |_: &Job| Ok::<Option<DataFrame>, BoxError>(None)));
    let loaded = field.store.load().request(&none, &instrument("BTC-USDT"), hours(0, 1)).blocking().unwrap();
    assert_eq!(loaded.partitions[0].outcome.as_str(), "empty");
    assert!(loaded.frame("table").is_err());
}

#[test]
fn a_lazy_frame_that_fails_while_it_is_written_is_a_failure_and_leaves_nothing() {
    let field = Field::new();
    let dataset = hourly(Dataset::function("broken", "1", |job: &Job| Ok::<_, BoxError>(tens(job).lazy().select([col("nowhere")]))));
    let load = field.store.load().request(&dataset, &instrument("BTC-USDT"), hours(0, 1)).on_failure(OnFailure::Skip);
    let loaded = load.blocking().unwrap();
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!("{loaded:?}") };
    assert_eq!(failure.class.as_str(), "error");
    assert!(failure.message.contains("given back as output table") || failure.message.contains("gave back as output table"), "{failure}");
    assert!(failure.message.contains("nowhere"), "{failure}");
    assert!(std::fs::read_dir(field.store.path().join("work")).unwrap().next().is_none());
}

#[test]
fn async_functions_give_frames_too() {
    let field = Field::new();
    let dataset = hourly(Dataset::async_function("later", "1", |job: Job| async move {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        Ok::<LazyFrame, BoxError>(tens(&job).lazy())
    }));
    let loaded = field.store.load().request(&dataset, &instrument("BTC-USDT"), hours(0, 2)).blocking().unwrap();
    assert_eq!(count(loaded.frame("table").unwrap()), 12);
}

#[test]
fn the_same_frame_is_the_same_bytes() {
    let field = Field::new();
    let made = |job: &Job| -> Result<Outputs, BoxError> {
        let wide = df!("ts" => (0..200_000).collect::<Vec<i64>>(), "price" => (0..200_000).map(f64::from).collect::<Vec<f64>>())?;
        assert_eq!(hour_of(job), 0);
        Ok(Outputs::default().table("eager", wide.clone()).table("lazy", wide.lazy().filter(col("ts").gt(lit(5)))))
    };
    let dataset = hourly(Dataset::function("same", "1", made).output("eager", "e.parquet").output("lazy", "l.parquet"));
    let load = || field.store.load().request(&dataset, &instrument("BTC-USDT"), hours(0, 1));
    load().blocking().unwrap();
    for _ in 0..3 {
        let again = load().refresh().blocking().unwrap();
        assert!(again.partitions[0].outcome.changed().is_empty(), "what is derived from it would be made again for nothing");
    }
}

#[test]
fn a_memoized_function_is_called_as_one() {
    let field = Field::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let memoized = field.store.memoize(
        Dataset::function("spread", "1", move |job: &Job| -> Result<DataFrame, BoxError> {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(tens(job))
        })
        .split(Split::every("1h").unwrap()),
    );
    let memoized = memoized.unwrap();
    let btc = instrument("BTC-USDT");
    assert_eq!(count(memoized.call(&btc, hours(0, 2)).unwrap()), 12);
    assert_eq!(count(memoized.call(&btc, hours(1, 3)).unwrap()), 12);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(count(runtime.block_on(memoized.call_async(&btc, hours(0, 3))).unwrap()), 18);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn a_column_of_anything_survives() {
    let field = Field::new();
    let dataset = hourly(Dataset::function("anything", "1", |_: &Job| -> Result<DataFrame, BoxError> {
        let mut frame = df!("ts" => [1i64, 2, 3], "side" => [Some("buy"), None, Some("sell")])?;
        let list =
            Series::new("levels".into(), [Series::new("".into(), [1.0, 2.0]), Series::new("".into(), [0.5]), Series::new("".into(), [0f64; 0])]);
        frame.with_column(list.into())?;
        Ok(frame)
    }));
    let loaded = field.store.load().request(&dataset, &instrument("BTC-USDT"), hours(0, 2)).blocking().unwrap();
    let frame = loaded.frame("table").unwrap().collect().unwrap();
    assert_eq!((frame.height(), frame.column("levels").unwrap().list().unwrap().get_as_series(3).unwrap().len()), (6, 2));
}
