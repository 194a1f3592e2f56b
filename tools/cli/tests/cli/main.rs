//! The tickbarn command as its users meet it: real processes, real generators, what they print and what they leave behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_generators;
mod bad_input;
mod browser;
mod coverage;
mod demo;
mod derived;
mod ends;
mod faults;
mod full_disk;
mod full_disk_gc;
mod gc;
mod gc_automatic;
mod help;
mod hostile;
mod limits;
mod links;
mod load;
mod machine;
mod mounts;
mod names;
mod pin;
mod policies;
mod power;
mod processes;
mod reading;
mod recorded;
mod recovery;
mod report;
mod sharing;
mod stored;
mod support;
mod terminal;
mod tracer;
mod verify;
