//! Lazy frames over what was loaded: rows, order, edges, and what is never opened.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod field;
mod reading;
mod refusing;
mod trimming;
