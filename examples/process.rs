//! Merges the market data and features that `export_data` has brought into the store: `cargo run -p tickbarn --example process -- --help`.
//!
//! Market data and features are only read: where either is missing, the interval is left out. What is made of them is a dataset of its own, derived from
//! both, so that it is cached like they are, and made anew when the content of either changes, the bars' length, or the version of the function.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use polars::prelude::{DataFrame, Expr, JoinArgs, JoinType, LazyFrame, col, len, lit};
use serde::Deserialize;
use tickbarn::{Dataset, Instrument, Interval, Job, Loaded, Mode, OnMissing, Resources, Store};

use exporter::{Build, Datasets, IntervalsArgs, Result, StoreArgs};

mod exporter;

/// Merge the market data and features of a list of intervals into bars of a minute
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    intervals: IntervalsArgs,
    #[command(flatten)]
    store: StoreArgs,
}

fn main() -> ExitCode {
    exporter::exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let wanted = args.intervals.read()?;
    // Not to be run, but what it is stands in the addresses.
    let program = exporter::program(Build::WhereMissing)?;
    let Datasets { md, features } = exporter::datasets(&program)?;
    let store = Store::open(&args.store.store)?;

    let sources = store.load().requests(&md, &wanted).requests(&features, &wanted).policy(Mode::ReadIgnoreErrors.policy());
    let sources = sources.blocking()?;
    let (of_md, of_features) = (read_of(&sources, &md), read_of(&sources, &features));
    let both: Vec<(Instrument, Interval)> =
        of_md.intersection(&of_features).map(|(instrument, interval)| ((*instrument).clone(), *interval)).collect();
    writeln!(io::stdout(), "Found {} intervals, md: {}, ft: {}", both.len(), of_md.len(), of_features.len())?;
    if both.is_empty() {
        exporter::say(
            "nothing to process: export these intervals first, into this store and with the exporter as it is built now (the example export_data)",
        );
    }

    let processed = Dataset::function("processed", "1", merge)
        .config("every", "1m")
        .upstream(&md)
        .upstream(&features)
        .resources(Resources { cpus: 1.0, ..Resources::default() })
        .build()?;
    let load = store.load().requests(&processed, &both).workers(args.store.jobs.get());
    // Whatever the mode says of bars that are missing: what they are made of is not exported here.
    let load = load.policy(args.intervals.mode.policy()).on_missing_upstream(OnMissing::Skip);
    let loaded = exporter::carry_out(load, args.intervals.verbose)?;
    writeln!(io::stdout(), "{}", loaded.summary())?;
    Ok(())
}

/// The partitions of a dataset that could be read.
fn read_of<'a>(loaded: &'a Loaded, dataset: &Dataset) -> BTreeSet<(&'a Instrument, Interval)> {
    let read = loaded.partitions.iter().filter(|partition| *partition.dataset == *dataset.name() && partition.outcome.entry().is_some());
    read.map(|partition| (&partition.instrument, partition.interval)).collect()
}

#[derive(Deserialize)]
struct Settings {
    /// How long a bar is, as Polars writes it.
    every: String,
}

/// Bars of the trades, with the book's spread and the features averaged over each.
///
/// Who changes what this computes changes its version, which stands for it in the key.
fn merge(job: &Job) -> Result<Option<DataFrame>> {
    let Settings { every } = job.config_as()?;
    let (md, features) = (job.upstream("md")?, job.upstream("features")?);
    if md.is_empty() || features.is_empty() {
        return Ok(None);
    }
    let by_bar = |frame: LazyFrame, columns: &[Expr]| frame.group_by([col("ts").dt().truncate(lit(every.as_str()))]).agg(columns);
    let price = || col("price");
    let bars = by_bar(
        md.frame("trades")?,
        &[
            price().first().alias("open"),
            price().max().alias("high"),
            price().min().alias("low"),
            price().last().alias("close"),
            col("size").sum().alias("volume"),
            len().alias("trades"),
        ],
    );
    let spread = by_bar(md.frame("orderbook")?, &[(col("ask_price_0") - col("bid_price_0")).mean().alias("spread")]);
    let features = by_bar(features.frame("features")?, &[col("traded_imbalance").mean(), col("sided_imbalance").mean()]);
    let beside = |bars: LazyFrame, other| bars.join(other, [col("ts")], [col("ts")], JoinArgs::new(JoinType::Left));
    let merged = beside(beside(bars, spread), features).sort(["ts"], Default::default());
    Ok(Some(merged.collect()?))
}
