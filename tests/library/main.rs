//! The library's behaviour as seen from outside: real generators, real files, real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod api;
mod barn;
mod coverage;
mod damage;
mod derived;
mod expendable;
mod forked;
mod functions;
mod gc;
mod gc_beside;
mod gc_ends;
mod generators;
mod inspect;
mod invariants;
mod loading;
mod pieces;
mod pins;
mod roles;
mod sharing;
mod stored;
mod why;
