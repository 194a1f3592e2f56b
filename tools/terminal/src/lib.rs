//! What tickbarn's commands share at the terminal: the flags that name a place, how a command ends, how things look.
//!
//! It knows the library's places, times and errors, and nothing of any one command: what only one says or asks for stays with that one. Results go to
//! standard output, everything else to standard error.

pub mod args;
pub mod config;
pub mod exit;
pub mod output;
pub mod progress;
pub mod records;
pub mod signals;
