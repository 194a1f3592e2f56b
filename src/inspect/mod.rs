//! Looking at a store without changing it: what is there and what is not, why something is generated, what a load would do, what the store holds, where its
//! bytes lie, what recent loads found.
//!
//! ```no_run
//! use tickbarn::{DatasetFile, Store, inspect};
//!
//! # fn main() -> tickbarn::Result<()> {
//! let store = Store::open_existing("barn")?;
//! let file = DatasetFile::read("tickbarn.toml")?;
//! let mut asked = inspect::CoverageOptions::default();
//! asked.closed = "weekends".parse()?;
//! let coverage = inspect::coverage(&store, inspect::Subject::Defined(file.dataset("md")?), &asked)?;
//! for one in &coverage.instruments {
//!     println!("{}: {:.1} %", one.instrument, 100.0 * one.totals(&coverage.closed).share_there().unwrap_or(0.0));
//! }
//! let survey = inspect::survey(&store)?;
//! println!("{} bytes saved by sharing, {:.0} hours of work", survey.total.bytes_saved(), survey.total.seconds / 3600.0);
//! # Ok(())
//! # }
//! ```
//!
//! [`file_system`], [`probe`], [`activity`] and [`store_format`] need no store that can be opened: they say what they find at a path.

mod activity;
mod again;
mod coverage;
mod difference;
mod dry_run;
mod file_system;
mod format;
mod history;
mod nearest;
mod probe;
mod space;
mod survey;
mod timing;
mod why;

pub use activity::{Activity, HeldLock, IndexSlot, ProcessLease, activity};
pub use again::{Again, again};
pub use coverage::{Coverage, CoverageOptions, InstrumentCoverage, Subject, Totals, coverage};
pub use difference::Difference;
pub use dry_run::{DatasetForecast, DryRun, Expected, Follower, Foreseeable, KnownFailure, Stop, Takes, dry_run};
pub use file_system::{FileSystem, file_system};
pub use format::{StoreFormat, formats, store_format};
pub use history::HistoryOf;
pub use probe::{Ability, Probed, is_lock_free, probe};
pub use space::{PartSpace, PlaceSpace, Space, space};
pub use survey::{HeldDataset, HeldPlace, Holding, Survey, survey};
pub use why::{Compared, ComparedAddress, Generated, MissingUpstream, Neighbour, Standing, Why, compare, why, why_entry};

pub use crate::store::{Extent, RecentLoad};

use crate::error::Result;
use crate::store::Store;

/// The loads that a store remembers, the earliest first: some thousands at most. See [`RecentLoad`].
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where what is remembered cannot be read.
pub fn recent_loads(store: &Store) -> Result<Vec<RecentLoad>> {
    store.recent_loads()
}
