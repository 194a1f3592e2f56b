//! HOW a missing partition is made.

mod failure;

pub use failure::{Failure, FailureClass, Log, LogText};
