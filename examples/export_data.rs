//! Exports market data and features of a list of intervals: `cargo run -p tickbarn --example export_data -- --help`.
//!
//! Builds the exporter first, so that what is exported is what its sources say; runs a copy of it that the store keeps, so that the next build does not
//! disturb an export under way. What is in the store already is not exported again. The last line says how much could be read. With
//! `--no-default-features` it is compiled without Polars, which it does not need.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tickbarn::Store;

use exporter::{Build, Datasets, IntervalsArgs, Result, StoreArgs};

mod exporter;

/// Export market data and features of a list of intervals into a store
#[derive(Debug, Parser)]
struct Args {
    /// Export market data: order book and trades
    #[arg(long)]
    marketdata: bool,
    /// Export features; without either flag both are exported
    #[arg(long)]
    features: bool,
    /// Use the exporter as it was last built
    #[arg(long)]
    no_build: bool,
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
    let program = exporter::program(if args.no_build { Build::Never } else { Build::Always })?;
    let Datasets { md, features } = exporter::datasets(&program)?;
    let both = args.marketdata == args.features;
    let datasets = [(md, args.marketdata || both), (features, args.features || both)];

    let mut load = Store::open(&args.store.store)?.load().policy(args.intervals.mode.policy()).workers(args.store.jobs.get());
    // What belongs to one interval is exported before the next.
    for (instrument, interval) in &wanted {
        for (dataset, _) in datasets.iter().filter(|(_, asked)| *asked) {
            load = load.request(dataset, instrument, *interval);
        }
    }
    let loaded = exporter::carry_out(load, args.intervals.verbose)?;
    writeln!(io::stdout(), "{}", loaded.summary())?;
    Ok(())
}
