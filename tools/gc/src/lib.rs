//! The collector's command line, as `tickbarn gc` and as a small binary of its own for cron: parse, call the library, print.
//!
//! It decides nothing about what goes: flags and `[gc]` become a [`Retention`](tickbarn::Retention) (`policy`), the library makes a plan of that, which is
//! told (`report`, `records`) and carried out (`collect`) until it is done or a signal comes (`until`). No Polars, no exporter.

mod args;
mod collect;
mod policy;
mod records;
mod report;
mod scope;
mod until;

pub use args::{GcArgs, details, examples};
pub use collect::{finish, run};
pub use report::{leftover_in_words, reasons_to_keep, shortfall};
