//! A content-addressed cache for expensive market-data exports.
//!
//! A request names a [`Dataset`], instruments and an interval. tickbarn cuts the interval into partitions, hashes each one's key (instrument, interval,
//! the generator's program, arguments, configuration and inputs) to an [`Address`], hands out what the [`Store`] has, runs the dataset's command for
//! the rest with bounded concurrency, and says what became of each partition. What it hands out are Parquet files that never change.
//!
//! ```no_run
//! use tickbarn::{DatasetFile, Interval, Store};
//!
//! # fn main() -> tickbarn::Result<()> {
//! let file = DatasetFile::read("tickbarn.toml")?;
//! let store = Store::open("barn")?;
//! let week = Interval::parse("2024-01-01", "2024-01-08")?;
//! let loaded = store.load().request(file.dataset("md")?, &"binance/BTC-USDT".parse()?, week).workers(4).blocking()?;
//! for partition in &loaded.partitions {
//!     if let Some(trades) = partition.outcome.entry().and_then(|entry| entry.output("trades")) {
//!         println!("{} {} rows in {}", partition.interval, trades.rows, trades.path.display());
//!     }
//! }
//! println!("{}", loaded.summary()); // Read 14 out of 14 (100.00%)
//! # Ok(())
//! # }
//! ```
//!
//! A dataset may also be made by a Rust function ([`Dataset::function`]), and be derived from other datasets' entries ([`DatasetBuilder::upstream`]).
//! [`Store::memoize`] keeps the results of a function with one table.
//!
//! What is relied on:
//! - Another configuration, program or input is another address. Nothing stale is ever read. A function's code is known by the version that it declares.
//! - A derived partition's address holds the content of what it reads.
//! - An entry is committed by one rename after everything it names is durable. What a load reports as generated survives a power cut.
//! - A miss in the index is never believed, a hit only as far as its files are there.
//! - Dropping a load's future, or [cancelling](Load::cancelled_by) it, leaves no process, no claim and no half-written file behind. Functions are asked
//!   to stop, and what they give back after that is not used.
//!
//! Commands run on this machine, or on a [`Ray`] cluster that shares the store: [`Load::runner`].
//!
//! # Features
//! `frames`, on by default: what a load read is handed out as lazy frames of Polars 0.55; depend on `polars = "0.55"` beside this crate to go on with
//! them. All else works without it, and builds in a fraction of the time.
//!
//! # Environment
//! The library reads `PATH`, to find a program that is named by a bare word, and hands `PATH`, `HOME`, `USER` and `LOGNAME` on to generators.

mod address;
mod artifact;
mod canonical;
mod closed;
mod cluster;
mod dataset;
mod error;
mod failure;
mod filter;
#[cfg(feature = "frames")]
mod frame;
pub mod gc;
mod generator;
pub mod inspect;
mod instrument;
mod interval;
mod interval_set;
mod intervals;
mod load;
mod options;
mod parallel;
mod pieces;
mod retention;
mod runner;
mod size;
mod store;
pub mod view;
mod word;

pub use address::{Address, AddressPrefix, Digest};
pub use artifact::{Artifact, Bounds};
pub use canonical::Value;
pub use closed::ClosedTimes;
pub use cluster::{ClusterFault, OnCluster, RayOptions, RunnerKind};
pub use dataset::{
    AsyncFunction, BoxError, Dataset, DatasetBuilder, DatasetFile, Fingerprint, Function, GcSettings, GeneratorId, Input, IntoOutputs, Job, Outputs,
    Resources, RunSettings, Upstream, UpstreamPartition, WriteTable,
};
pub use error::{ConfigOrigin, Error, Result};
pub use failure::{Failure, FailureClass, Log, LogText};
pub use filter::EntryFilter;
#[cfg(feature = "frames")]
pub use frame::FrameOptions;
pub use instrument::Instrument;
pub use interval::{Align, Interval, Split, Time};
pub use interval_set::IntervalSet;
pub use intervals::read_intervals;
pub use load::{
    Absent, Load, Loaded, Memoized, Mode, OnFailure, OnMissing, Outcome, Outcomes, Partition, Place, Policy, Progress, RetryFailed, Summary,
};
pub use options::{IndexMode, StoreOptions, Verify};
pub use pieces::{Piece, PieceOptions, Pieces};
pub use retention::{Free, Order, Retention, parse_grace, parse_low_water};
pub use runner::Ray;
pub use size::{ByteSize, InvalidSize};
pub use store::{
    Column, Empty, Entry, FailureRecord, Finding, FindingKind, FoundEntry, Listed, Manifest, OutputManifest, Pin, PinCover, Provenance, Repair,
    Store, Table, Verification, Verified, VerifyProgress,
};
/// Cancels loads from wherever it is held: [`Load::cancelled_by`]. From the crate tokio-util.
pub use tokio_util::sync::CancellationToken;
pub use word::UnknownWord;
