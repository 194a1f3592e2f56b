//! Lazy frames of what a job is derived from.

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, col, len, lit};
use tickbarn::{Align, BoxError, Dataset, DatasetBuilder, Error, Job, Split};

use crate::field::{Field, at, collected_prices, count, every_ten_minutes, hours, instrument, minutes, prices, trades};

fn sown() -> Field {
    let field = Field::new();
    for hour in 0..4 {
        field.sow("BTC-USDT", hour, trades(&every_ten_minutes(hour)));
    }
    field
}

/// Keeps what it reads.
fn kept(upstream: &Dataset) -> DatasetBuilder {
    let name = upstream.name().to_owned();
    Dataset::function("kept", "1", move |job: &Job| -> Result<LazyFrame, BoxError> { Ok(job.upstream(&name)?.frame("trades")?) }).upstream(upstream)
}

fn every(length: &str) -> Split {
    Split::every(length).unwrap()
}

#[test]
fn a_job_reads_its_own_interval_however_the_upstream_is_cut() {
    let field = sown();
    let expected: Vec<f64> = (0..4).flat_map(|hour| prices(&every_ten_minutes(hour))).collect();
    let hourly = field.dataset().build().unwrap();
    for split in ["1h", "2h", "30m", "10m"] {
        let derived = kept(&hourly).split(every(split)).build().unwrap();
        let loaded = field.store.load().request(&derived, &instrument("BTC-USDT"), hours(0, 4)).blocking().unwrap();
        assert_eq!(collected_prices(loaded.frame("table").unwrap()), expected, "{split}");
    }
    // Whole cells around a request are trimmed to the job, and the job's own to the request.
    let covering = kept(&field.covering()).split(every("1h").aligned(Align::Cover)).build().unwrap();
    let loaded = field.store.load().request(&covering, &instrument("BTC-USDT"), minutes(30, 100)).blocking().unwrap();
    assert_eq!(collected_prices(loaded.frame("table").unwrap()), (3..10).map(|ten| f64::from(ten) * 10.0).collect::<Vec<_>>());
}

#[test]
fn two_feeds_are_merged_where_both_exist() {
    let field = sown();
    let md = field.dataset_named("md").build().unwrap();
    let features = Dataset::function("features", "1", |job: &Job| -> Result<Option<DataFrame>, BoxError> {
        Ok((job.start().ns() != at(60)).then(|| trades(&[job.start().ns() + 1])))
    });
    let features = features.split(every("1h")).build().unwrap();
    let merged = Dataset::function("merged", "1", |job: &Job| -> Result<Option<LazyFrame>, BoxError> {
        let (md, features) = (job.upstream("md")?, job.upstream("features")?);
        if md.is_empty() || features.is_empty() {
            return Ok(None);
        }
        let rows = features.frame("table")?.select([len()]).collect()?;
        assert_eq!(rows.columns()[0].idx()?.get(0), Some(1));
        Ok(Some(md.frame("trades")?.filter(col("price").gt(lit(0.0)))))
    });
    let merged = merged.upstream(&md).upstream(&features).split(every("1h")).build().unwrap();
    let loaded = field.store.load().request(&merged, &instrument("BTC-USDT"), hours(0, 3)).blocking().unwrap();
    let outcomes: Vec<&str> = loaded.partitions.iter().map(|partition| partition.outcome.as_str()).collect();
    assert_eq!(outcomes, ["generated", "empty", "generated"]);
    assert_eq!(count(loaded.frame("table").unwrap()), 11);
}

#[test]
fn the_upstreams_own_time_column_trims_it() {
    let field = Field::new();
    for hour in 0..2 {
        let frame = trades(&every_ten_minutes(hour)).lazy().rename(["ts"], ["at"], true).collect().unwrap();
        field.sow("BTC-USDT", hour, frame);
    }
    let with = |builder: DatasetBuilder| {
        let derived = kept(&builder.build().unwrap()).time_column("at").split(every("30m")).build().unwrap();
        field.store.load().request(&derived, &instrument("BTC-USDT"), minutes(30, 90)).blocking()
    };
    let error = with(field.dataset()).unwrap_err().to_string();
    assert!(error.contains("by its column \"ts\": there is no such column"), "{error}");
    let loaded = with(field.dataset().time_column("at")).unwrap();
    assert_eq!(collected_prices(loaded.frame("table").unwrap()), [30.0, 40.0, 50.0, 60.0, 70.0, 80.0]);
}

#[test]
fn what_an_upstream_does_not_have_is_named() {
    let field = sown();
    let md = field.dataset_named("md").build().unwrap();
    let derived = Dataset::function("asks", "1", |job: &Job| -> Result<DataFrame, BoxError> {
        let error = job.upstream("md")?.frame("orderbook").err().unwrap();
        assert!(matches!(&error, Error::NotDeclared { known, .. } if known == &["trades"]), "{error}");
        // A mistyped name never passes for an upstream without data.
        assert!(job.upstream("md")?.paths("trade").is_err() && job.upstream("md")?.tables("trade").is_err());
        Ok(trades(&[1]))
    });
    let derived = derived.upstream(&md).split(every("1h")).build().unwrap();
    field.store.load().request(&derived, &instrument("BTC-USDT"), hours(0, 1)).blocking().unwrap();
}

#[test]
fn one_function_over_two_definitions_never_runs_together() {
    let field = sown();
    let over = |levels: i64| kept(&field.dataset().config("levels", levels).build().unwrap()).split(every("1h")).build().unwrap();
    let load = |one: &Dataset, other: &Dataset| {
        let load = field.store.load().request(one, &instrument("BTC-USDT"), hours(0, 1));
        load.request(other, &instrument("BTC-USDT"), hours(1, 2)).blocking().unwrap()
    };
    let error = load(&over(5), &over(40)).frame("table").err().unwrap();
    assert!(matches!(error, Error::MixedDefinitions { .. }), "{error}");
    assert_eq!(count(load(&over(5), &over(5)).frame("table").unwrap()), 12);
}
