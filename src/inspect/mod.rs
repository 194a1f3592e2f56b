//! Looking at a store: what it holds, where its bytes lie, what recent loads found. Nothing here changes anything.
//!
//! ```no_run
//! use tickbarn::{Store, inspect};
//!
//! # fn main() -> tickbarn::Result<()> {
//! let store = Store::open_existing("barn")?;
//! let survey = inspect::survey(&store)?;
//! for held in &survey.places {
//!     println!("{} {}: {} entries, {} bytes", held.dataset, held.instrument, held.holding.entries, held.holding.bytes);
//! }
//! println!("{} bytes saved by sharing, {:.0} hours of work", survey.total.bytes_saved(), survey.total.seconds / 3600.0);
//! # Ok(())
//! # }
//! ```

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
