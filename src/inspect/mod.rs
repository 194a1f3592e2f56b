//! Inspecting: what is computed about a store without changing it.
//!
//! `difference` says in words in what two keys differ, a pure function; `why` explains by it why a partition is generated, with what `nearest` finds at
//! its place, and `again` what a load generates once more. `dry_run` foresees a load, by what `history` and `timing` tell.

mod again;
mod difference;
mod dry_run;
mod history;
mod nearest;
mod timing;
mod why;

pub use again::{Again, again};
pub use difference::Difference;
pub use dry_run::{DatasetForecast, DryRun, Expected, Follower, Foreseeable, KnownFailure, Stop, Takes, dry_run};
pub use history::HistoryOf;
pub use why::{Compared, Generated, MissingUpstream, Neighbour, Standing, Subject, Why, compare, why, why_entry};
