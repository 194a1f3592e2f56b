//! Views: a store's entries as a tree of Parquet files that other tools read in place, by dataset, instrument and time.
//!
//! [`update`] makes one, and brings it up to date. `select` decides which entries it shows (`current`: what a load would hand out), `place` where their
//! files stand, `list` remembers what was made there.
//!
//! ```no_run
//! use tickbarn::view::{self, ViewOptions};
//! use tickbarn::{DatasetFile, Store};
//!
//! # fn main() -> tickbarn::Result<()> {
//! let mut options = ViewOptions::default();
//! options.definitions = DatasetFile::read("tickbarn.toml")?.datasets().to_vec();
//! let view = view::update(&Store::open_existing("barn")?, "view", &options)?;
//! println!("{} files of {} entries", view.files.len(), view.entries);
//! # Ok(())
//! # }
//! ```

mod current;
mod list;
mod options;
mod place;
mod select;
#[cfg(test)]
mod tests;
mod update;

pub use options::{ViewLayout, ViewLink, ViewOptions};
pub use select::LeftOut;
pub use update::{View, ViewChange, ViewFile, update};
