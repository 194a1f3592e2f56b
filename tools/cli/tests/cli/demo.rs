//! The demo: one command from nothing to a store, again from the store, and what it tells users to try.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, finished, tickbarn};

fn demo(directory: &Path, arguments: &[&str]) -> Ran {
    finished(tickbarn(directory).env("PATH", path()).arg("demo").args(arguments))
}

/// `PATH` with the command under test on it, as for a user who has installed it.
fn path() -> String {
    let directory = Path::new(env!("CARGO_BIN_EXE_tickbarn")).parent().unwrap();
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default())
}

#[test]
fn the_demo_loads_a_week_and_what_it_prints_works() {
    let here = tempfile::tempdir().unwrap();
    let first = demo(here.path(), &[]).ok();
    assert_eq!(first.stdout.matches("Read 84 out of 84 (100.00%)").count(), 2, "{first:#?}");
    assert!(first.stdout.contains("84 hits in ") && first.stdout.contains("Wrote to tickbarn-demo: tickbarn.toml"), "{first:#?}");

    // Each command as it is printed, from where the demo was called. Polars may not be here.
    let commands: Vec<&str> = first.stdout.lines().filter_map(|line| line.strip_prefix("  tickbarn ")).collect();
    assert!(commands.len() >= 3, "{first:#?}");
    for command in commands {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("tickbarn {command}")]).current_dir(here.path()).env("PATH", path());
        let ran = finished(shell.env_remove("TICKBARN_CONFIG").env_remove("TICKBARN_STORE")).ok();
        assert!(!ran.stdout.is_empty(), "{command}: {ran:#?}");
    }
    let python = first.stdout.lines().find_map(|line| line.strip_prefix("  python3 ")).unwrap();
    let (_, read) = python.split_once("\"$(tickbarn ").unwrap();
    let printed = finished(tickbarn(here.path()).args(read.trim_end_matches(")\"").split(' '))).ok();
    assert!(fs::metadata(printed.stdout.trim_end()).unwrap().is_file());

    let second = demo(here.path(), &["tickbarn-demo"]).ok();
    let rows: Vec<Vec<&str>> = second.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.iter().any(|row: &Vec<&str>| row.starts_with(&["md", "0", "42"])), "all hits: {second:#?}");
    assert!(second.stdout.contains("Found in tickbarn-demo: tickbarn.toml"), "{second:#?}");

    // What a user has changed stays.
    let file = here.path().join("tickbarn-demo/tickbarn.toml");
    let edited = fs::read_to_string(&file).unwrap().replace("timeout = \"30m\"", "timeout = \"20m\"");
    fs::write(&file, &edited).unwrap();
    let third = demo(here.path(), &[]).ok();
    assert!(third.stdout.contains("Kept as you changed it in tickbarn-demo: tickbarn.toml"), "{third:#?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
}

#[test]
fn the_demo_touches_no_directory_of_somebody_else() {
    let here = tempfile::tempdir().unwrap();
    fs::create_dir(here.path().join("mine")).unwrap();
    fs::write(here.path().join("mine/thesis.tex"), "").unwrap();
    demo(here.path(), &["mine"]).failed(2, &["thesis.tex", "tickbarn demo DIR"]);
    fs::create_dir(here.path().join("project")).unwrap();
    fs::write(here.path().join("project/tickbarn.toml"), "store = \"barn\"\n").unwrap();
    demo(here.path(), &["project"]).failed(2, &["is not the demo's"]);
    demo(here.path(), &["mine/thesis.tex"]).failed(2, &["is a file"]);
    assert_eq!(fs::read_dir(here.path().join("mine")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(here.path().join("project")).unwrap().count(), 1);
}
