//! The main job on recorded market data: what is cached, what counts as the same, and that a hit starts nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{finished, tickbarn};

const FEED: &str = "../../../shared/data/esh4-glbx-mdp3-20231225.mbo.dbn.zst";

/// The recorded feed, where this checkout has it beside it.
fn feed() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FEED);
    path.exists().then_some(path)
}

/// A directory with dataset `md`, whose program is a script that notes its call and runs the exporter.
fn desk(feed: &Path) -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    let at = |name: &str| desk.path().join(name);
    let script =
        format!("#!/bin/sh\necho called >> '{}'\nexec '{}' exporter marketdata \"$@\"\n", at("calls").display(), env!("CARGO_BIN_EXE_tickbarn"));
    write_program(&at("md_exporter"), &script);
    fs::write(at("run_config.json"), serde_json::json!({"feed": {"kind": "dbn", "path": feed}}).to_string()).unwrap();
    fs::write(at("simulation_config.json"), "{}").unwrap();
    let toml = r#"
store = "barn"
[dataset.md]
command = ["./md_exporter", "--model", "{file.model}", "--run", "{input.run}", "--simulation", "{input.simulation}", "--start", "{start}", "--end", "{end}", "--orders", "/dev/null", "--verbose", "{unkeyed.verbose}"]
outputs = { orderbook = "orderbook.parquet", trades = "trades.parquet" }
split = "5m"
empty_exit_codes = [3]
[dataset.md.config]
orderbook_levels = 40
skip_empty_levels = true
[dataset.md.file.model]
orderbook_file = "{output.orderbook}"
trades_file = "{output.trades}"
orderbook_levels = "{config.orderbook_levels}"
skip_empty_levels = "{config.skip_empty_levels}"
instrument = { market = "{instrument.market}", pair = "{instrument.pair}" }
[dataset.md.input]
run = "run_config.json"
simulation = "simulation_config.json"
feed = "FEED"
[dataset.md.unkeyed]
verbose = 1
"#;
    fs::write(at("tickbarn.toml"), toml.replace("FEED", &feed.display().to_string())).unwrap();
    desk
}

/// Writes a program through another process: a file that this one has open for writing could not be run meanwhile by a test beside this one.
fn write_program(path: &Path, text: &str) {
    use std::io::Write;
    let mut shell = Command::new("/bin/sh").args(["-c", r#"cat > "$0" && chmod +x "$0""#]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// Loads the recorded hour and gives its partitions and the last line.
fn load(desk: &Path, more: &[&str]) -> (Vec<Value>, Value) {
    let mut command = tickbarn(desk);
    command.args(["load", "md", "--instrument", "glbx/ESH4", "--start", "2023-12-25T23:00:00Z", "--end", "2023-12-26T00:00:00Z", "--json"]);
    let mut lines = finished(command.args(more)).ok().json();
    let summary = lines.pop().unwrap();
    (lines, summary)
}

fn calls(desk: &Path) -> usize {
    fs::read_to_string(desk.join("calls")).map_or(0, |calls| calls.lines().count())
}

#[test]
fn the_recorded_hour_is_generated_once_for_each_configuration_and_program() {
    let Some(feed) = feed() else {
        eprintln!("skipped: the recorded feed esh4-glbx-mdp3-20231225.mbo.dbn.zst is not here");
        return;
    };
    let desk = desk(&feed);
    let desk = desk.path();

    let (partitions, summary) = load(desk, &[]);
    assert_eq!((summary["generated"].as_u64(), partitions.len()), (Some(12), 12));
    let trades: u64 = partitions.iter().map(|line| line["outputs"]["trades"]["rows"].as_u64().unwrap()).sum();
    assert_eq!(trades, 2_973, "every recorded trade, each in one partition");
    assert!(partitions.iter().all(|line| line["outputs"]["orderbook"]["rows"].as_u64().unwrap() > 0));
    assert_eq!(calls(desk), 12);

    let (_, summary) = load(desk, &[]);
    assert_eq!((summary["hit"].as_u64(), calls(desk)), (Some(12), 12), "a hit starts no process");

    let (_, summary) = load(desk, &["--set", "md.config.orderbook_levels=5"]);
    assert_eq!((summary["generated"].as_u64(), calls(desk)), (Some(12), 24), "another configuration is another address");
    let (_, summary) = load(desk, &[]);
    assert_eq!((summary["hit"].as_u64(), calls(desk)), (Some(12), 24), "and takes nothing from the first");

    let program = desk.join("md_exporter");
    let changed = format!("{}# rebuilt\n", fs::read_to_string(&program).unwrap());
    write_program(&program, &changed);
    let (_, summary) = load(desk, &[]);
    assert_eq!((summary["generated"].as_u64(), calls(desk)), (Some(12), 36), "another program is another address");
}

#[test]
fn an_hour_without_data_is_empty() {
    let Some(feed) = feed() else {
        eprintln!("skipped: the recorded feed esh4-glbx-mdp3-20231225.mbo.dbn.zst is not here");
        return;
    };
    let desk = desk(&feed);
    let mut command = tickbarn(desk.path());
    command.args(["load", "md", "-i", "glbx/ESH4", "--start", "2023-12-20", "--end", "2023-12-20T00:10:00Z"]);
    let ran = finished(&mut command).ok();
    assert_eq!(ran.stdout.lines().last(), Some("Read 2 out of 2 (100.00%)"));
    assert!(ran.stdout.contains("2 empty"), "{ran:#?}");
}
