//! Loads whose commands run on a real Ray cluster: several raylets on this machine, which all tests share.
//!
//! `TICKBARN_RAY_PYTHON` names an interpreter with `requirements.txt` installed. Everything runs apart from the rest of the machine (`apart.rs`); where
//! that cannot be had, the tests say that they are skipped. The one cluster is why this is no ordinary test harness: `main` starts it, and runs one
//! test after the other. Words on the command line choose tests whose names hold one of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod apart;
#[path = "../library/barn.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod barn;
mod cluster;
mod ends;
mod failures;
mod field;
mod runs;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use apart::{Apart, apart};
use field::Field;

type Test = (&'static str, fn(&Field));

fn main() -> ExitCode {
    if let Some(directory) = env::var_os(ends::LOADS_IN) {
        return ends::load_in(directory.as_ref());
    }
    match apart() {
        Apart::Inside { python } => inside(&python),
        Apart::Ended(status) => status,
        Apart::Impossible(reason) => skipped(&reason),
    }
}

fn skipped(reason: &str) -> ExitCode {
    for (name, _) in tests() {
        println!("test {name} ... skipped: {reason}");
    }
    ExitCode::SUCCESS
}

fn tests() -> Vec<Test> {
    [runs::TESTS, ends::TESTS, failures::TESTS].concat()
}

fn inside(python: &str) -> ExitCode {
    let filters: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted: Vec<Test> =
        tests().into_iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))).collect();
    if wanted.is_empty() {
        return ExitCode::SUCCESS;
    }
    let began = Instant::now();
    let field = Field::new(python);
    println!("a cluster of two raylets after {:.1} s", began.elapsed().as_secs_f64());
    let mut failed = Vec::new();
    for (name, test) in wanted {
        let began = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| test(&field))).is_ok();
        println!("test {name} ... {} ({:.1} s)", if passed { "ok" } else { "FAILED" }, began.elapsed().as_secs_f64());
        if !passed {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
