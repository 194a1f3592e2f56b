//! HOW a missing partition is made: by a command today.
//!
//! A generator gets a claim and leaves an entry or a [`Failure`](crate::Failure). It never decides whether it should run: that is the load's.

mod check;
mod command;
pub(crate) use command::{AttemptError, CommandGenerator, store_failure};
