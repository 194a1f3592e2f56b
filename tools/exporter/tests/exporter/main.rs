//! The exporter seen from outside: the real binary is run on configuration files, and what it writes is read back.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod made;
mod recorded;
mod simulated;
mod support;
