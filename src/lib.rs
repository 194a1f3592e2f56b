//! A content-addressed cache for expensive market-data exports.

mod address;
mod canonical;
mod error;
mod generator;
mod instrument;
mod interval;

pub use address::{Address, AddressPrefix, Digest};
pub use canonical::Value;
pub use error::{ConfigOrigin, Error, Result};
pub use generator::{Failure, FailureClass, Log, LogText};
pub use instrument::Instrument;
pub use interval::{Align, Interval, Split, Time};
