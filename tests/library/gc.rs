//! Collecting: what goes, what stays, what it says, beside running work.
//!
//! What a process has loaded stays while it lives, so that stores here are filled by processes of their own.

use std::process::Command;
use std::time::Duration;

use tickbarn::{Interval, Retention, Store, gc};

use crate::barn::{Barn, COPY, instrument};

/// Runs a load of some hours in a process that is gone afterwards.
fn load_elsewhere(barn: &Barn, hours: &str) {
    let test = "gc::a_process_that_loads";
    let mut load = Command::new(std::env::current_exe().unwrap());
    load.args(["--exact", test, "--ignored", "--nocapture"]).env("GC_BARN", barn.path("")).env("GC_HOURS", hours);
    let output = load.output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{test} was run");
}

#[test]
#[ignore = "run by the tests above"]
fn a_process_that_loads() {
    let directory = std::path::PathBuf::from(std::env::var_os("GC_BARN").unwrap());
    let hours = std::env::var("GC_HOURS").unwrap();
    let store = Store::open(directory.join("barn")).unwrap();
    let program = directory.join("generator.sh");
    let dataset = tickbarn::Dataset::command("numbers", [program.to_str().unwrap(), "{output.table}", "{start}"])
        .output("table", "table.parquet")
        .env("FIXTURES", directory.join("fixtures").to_str().unwrap())
        .split(tickbarn::Split::every("1h").unwrap())
        .build()
        .unwrap();
    let (start, end) = hours.split_once(' ').unwrap();
    store.load().request(&dataset, &instrument(), Interval::parse(start, end).unwrap()).workers(4).blocking().unwrap();
}

fn no_grace() -> Retention {
    let mut retention = Retention::default();
    retention.grace = Duration::ZERO;
    retention
}

#[test]
fn everything_in_a_scope_goes_and_the_store_is_whole() {
    let barn = Barn::new();
    barn.dataset(COPY);
    load_elsewhere(&barn, "2024-01-01 2024-01-02");
    let store = Store::open_existing(barn.store.path()).unwrap();
    let mut retention = no_grace();
    retention.datasets.push("numbers".to_owned());
    let plan = gc::plan(&store, &retention).unwrap();
    println!("{:?} {:?} {:?}", plan.price(), plan.kept(), plan.leftovers());
    assert_eq!(plan.price().entries, 24);
    assert_eq!(plan.entries().count(), 24);
    let swept = gc::sweep(plan).unwrap();
    println!("{swept:?}");
    assert_eq!(swept.price.entries, 24);
    assert_eq!(barn.files(&["entries", "artifacts", "trash"]), Vec::<std::path::PathBuf>::new());
    let verified = store.verify().digests().run().unwrap();
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
}
