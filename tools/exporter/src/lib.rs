//! A small stand-in for a trading desk's compiled exporters: it replays a market-by-order (L3) feed through an order
//! book and writes what it sees, for the rows with a time in a half-open interval `[start, end)`, as Parquet.
//!
//! Two exports, each with a *model* configuration of its own:
//! - `marketdata` writes `orderbook.parquet` (a row whenever one of the best N levels changes) and `trades.parquet`;
//! - `features` writes `features.parquet` (a row for each trade, with volume imbalances over two windows).
//!
//! The feed is a recorded Databento DBN file or a simulated market; both give the same messages to the same book. The
//! same inputs give the same bytes, and an interval's export is the concatenation of the exports of its parts.
//!
//! This crate knows nothing of the cache that may run it: paths come in by JSON files, the outcome leaves as an exit
//! status. It is a library only so that another binary can carry it as a hidden subcommand: [`Args`] is a clap
//! argument group, [`run`] does the work. Nothing else is public.
//!
//! # Exit status
//! | status | meaning |
//! |---|---|
//! | 0 | done: every output is complete |
//! | 1 | a feed that is damaged or an output that cannot be written |
//! | 2 | flags or configuration are wrong; the message names the file and what to do |
//! | 3 | *no data*: the feed holds no message at all with a time in `[start, end)`; no output is written |
//!
//! An interval in which the book moved but nothing traded is data: its trades file is complete and has no rows.
//!
//! # Configuration
//! `--model` for `marketdata` (the last two keys may be left out; these are the defaults):
//! ```json
//! {
//!   "instrument": {"market": "glbx", "pair": "ESH4"},
//!   "orderbook_file": "/some/where/orderbook.parquet",
//!   "trades_file": "/some/where/trades.parquet",
//!   "orderbook_levels": 40,
//!   "skip_empty_levels": true
//! }
//! ```
//! `--model` for `features`, with window lengths in nanoseconds:
//! ```json
//! {
//!   "instrument": {"market": "glbx", "pair": "ESH4"},
//!   "features_file": "/some/where/features.parquet",
//!   "features": {"traded_ob_window_size": 500000000, "sided_ob_window_size": 1000000000}
//! }
//! ```
//! `--run`: `{"feed": {"kind": "dbn", "path": "x.mbo.dbn.zst"}}`, where a relative path starts at the folder of this
//! file, or `{"feed": {"kind": "simulated"}}`. A recorded feed must hold the pair; the market is the desk's own name.
//!
//! `--simulation`, every key of which may be left out; these are the defaults:
//! ```json
//! {"seed": 1, "events_per_second": 0.25, "trade_share": 0.15, "volatility": 0.02, "orders_per_side": 200}
//! ```
//! Any other key is an error. Output paths that are relative start at the working directory.
//!
//! # Tables
//! | file | columns |
//! |---|---|
//! | order book | `ts`, then for each level `i` from 0, the best: `bid_price_i`, `bid_size_i`, `ask_price_i`, `ask_size_i`, null where there is no such level |
//! | trades | `ts`, `price`, `size`, `side` (the aggressor's: `buy`, `sell`, `none`), `sequence` (the venue's number) |
//! | features | `ts`, `sequence`, `buy_volume`, `sell_volume`, `traded_imbalance`, `bid_volume`, `ask_volume`, `sided_imbalance` |
//!
//! `ts` is in nanoseconds since the epoch, UTC, and never decreases within a file. For a recorded feed it is `ts_recv`,
//! the time at which the message reached the recorder: it is what the file is ordered by, and nobody could have acted
//! on the message earlier. Prices are doubles, sizes 64-bit integers.

mod args;
mod book;
mod config;
mod error;
mod features;
mod feed;
mod marketdata;
mod replay;
mod table;

pub use args::{Args, Command, ExportArgs, run};
