//! Looking at a store without changing it: what is there, and what is not.
//!
//! [`coverage()`] says what of an interval the store has of a dataset, as sets of intervals.
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
//! # Ok(())
//! # }
//! ```

mod coverage;

pub use coverage::{Coverage, CoverageOptions, InstrumentCoverage, Subject, Totals, coverage};
mod space;
mod survey;

pub use space::{PartSpace, PlaceSpace, Space, space};
pub use survey::{HeldDataset, HeldPlace, Holding, Survey, survey};

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
