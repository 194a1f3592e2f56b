//! A month of one instrument, hour by hour: what a notebook begins with. `cargo run -p tickbarn --example research -- --help`.
//!
//! What the month lacks is exported first; run again, it is read from the store. Both tables are one lazy frame over all partitions: of the order book's
//! 161 columns, only the three that are named are read.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use polars::prelude::{DataFrame, DataType, Expr, JoinArgs, JoinType, LazyFrame, col, len, lit};
use tickbarn::{Instrument, Interval, Store, Time};

use exporter::{Build, Datasets, Result, StoreArgs};

mod exporter;

/// Mid price, spread and trade imbalance of an instrument by hour
#[derive(Debug, Parser)]
struct Args {
    /// The instrument, MARKET/PAIR
    #[arg(long, default_value = "binance/BTC-USDT")]
    instrument: Instrument,
    /// The first moment: a date or a time, UTC where it names no zone
    #[arg(long, value_name = "TIME", default_value = "2024-01-01")]
    start: Time,
    /// The first moment after it
    #[arg(long, value_name = "TIME", default_value = "2024-02-01")]
    end: Time,
    #[command(flatten)]
    store: StoreArgs,
}

fn main() -> ExitCode {
    exporter::exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let interval = Interval::new(args.start, args.end)?;
    let Datasets { md, .. } = exporter::datasets(&exporter::program(Build::WhereMissing)?)?;
    let load = Store::open(&args.store.store)?.load().request(&md, &args.instrument, interval).workers(args.store.jobs.get());
    let loaded = exporter::carry_out(load, 1)?;
    let hours = by_hour(loaded.frame("orderbook")?, loaded.frame("trades")?)?;
    writeln!(io::stdout(), "{} {interval}\n{hours}\n{}", args.instrument, loaded.summary())?;
    Ok(())
}

/// For each hour in which the book moved: the last mid price, the mean spread over the changes of the book, the number of trades, and by how much buyers
/// outweighed sellers in them, from -1 to 1.
fn by_hour(orderbook: LazyFrame, trades: LazyFrame) -> Result<DataFrame> {
    let hour = || col("ts").dt().truncate(lit("1h"));
    let (bid, ask) = (|| col("bid_price_0"), || col("ask_price_0"));
    let book = orderbook.group_by([hour()]).agg([((bid() + ask()) / lit(2.0)).last().alias("mid"), (ask() - bid()).mean().alias("spread")]);
    let traded = |side: &str| -> Expr { col("size").filter(col("side").eq(lit(side))).sum().cast(DataType::Float64) };
    let imbalance = (traded("buy") - traded("sell")) / (traded("buy") + traded("sell"));
    let flow = trades.group_by([hour()]).agg([len().alias("trades"), imbalance.alias("imbalance")]);
    let hours = book.join(flow, [col("ts")], [col("ts")], JoinArgs::new(JoinType::Left)).sort(["ts"], Default::default());
    Ok(hours.collect()?)
}
