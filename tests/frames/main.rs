//! Lazy frames over what was loaded: rows, order, edges, and what is never opened.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod derived;
mod examples;
mod field;
mod foreign;
mod functions;
mod opened;
mod options;
mod reading;
mod refusing;
mod statistics;
mod trimming;
