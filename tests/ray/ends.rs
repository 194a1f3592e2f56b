//! However a load ends, no generator survives it. Invariants 6 and 7 of ARCHITECTURE.md.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use tickbarn::{CancellationToken, ClusterFault, Error, Ray, RayOptions};

use crate::Test;
use crate::barn::{Barn, COPY, outcomes};
use crate::field::{Field, LONG, PATIENCE, assert_gone, load, long_ones, on, pid_in, processes, runs, signal, within};

pub(crate) const TESTS: &[Test] = &[
    ("cancelling_ends_what_runs_and_what_waits", cancelling_ends_what_runs_and_what_waits),
    ("a_timeout_ends_the_whole_group", a_timeout_ends_the_whole_group),
    ("a_program_that_is_killed_takes_its_generators_along", a_program_that_is_killed_takes_its_generators_along),
    ("ctrl_c_ends_the_tool_and_its_generators", ctrl_c_ends_the_tool_and_its_generators),
    ("a_killed_bridge_ends_the_load_and_the_next_one_has_another", a_killed_bridge_ends_the_load_and_the_next_one_has_another),
    ("the_last_handle_ends_the_bridge", the_last_handle_ends_the_bridge),
];

/// Names the directory in which this binary, started again, is a program that loads.
pub(crate) const LOADS_IN: &str = "TICKBARN_RAY_LOADS_IN";

fn cancelling_ends_what_runs_and_what_waits(field: &Field) {
    let barn = Barn::new();
    // Two fit on the node; the others wait in Ray's queue.
    let script = r#"echo $$ > "$FIXTURES/../pid-$2.part"; mv "$FIXTURES/../pid-$2.part" "$FIXTURES/../pid-$2"; sleep 1000 & wait"#;
    let dataset = on(&barn, "beta", script).build().unwrap();
    let token = CancellationToken::new();
    let load = load(field, &barn, &dataset, 5).workers(5).cancelled_by(&token);
    let loading = std::thread::spawn(move || load.blocking());
    let pids = || -> Vec<PathBuf> {
        let names = fs::read_dir(barn.path("")).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("pid-") && path.extension().is_none()).collect()
    };
    assert!(within(PATIENCE, || pids().len() == 2));
    assert!(within(PATIENCE, || fs::read_dir(barn.store.path().join("claims")).unwrap().count() == 5));
    let pids: Vec<i32> = pids().iter().map(|path| pid_in(path)).collect();
    token.cancel();
    assert!(matches!(loading.join().unwrap(), Err(Error::Cancelled { done: 0, requested: 5 })));
    // Not some time later: when the load is over.
    assert!(!pids.iter().any(|pid| runs(*pid)));
    assert!(barn.is_tidy());
    // What was cancelled in the queue does not begin later.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(barn.runs(), 2);
}

fn a_timeout_ends_the_whole_group(field: &Field) {
    let barn = Barn::new();
    let dataset = on(&barn, "alpha", LONG).timeout(Duration::from_secs(1)).build().unwrap();
    let (class, message) = crate::field::failure(load(field, &barn, &dataset, 1));
    assert!(class == "timeout" && message.contains("timeout of 1.0 s"), "{message}");
    assert_gone(&barn, long_ones(&barn));
}

/// A process that loads in a directory until it is ended: see [`load_in`].
fn start_loading(field: &Field, barn: &Barn) -> Child {
    on(barn, "alpha", LONG).build().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(LOADS_IN, barn.path("")).env("TICKBARN_RAY_ADDRESS", field.address()).env("TICKBARN_RAY_PYTHON", field.python());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

pub(crate) fn load_in(directory: &Path) -> ExitCode {
    let store = tickbarn::Store::open(directory.join("barn")).unwrap();
    let options = RayOptions::new(env::var("TICKBARN_RAY_ADDRESS").unwrap()).python(env::var("TICKBARN_RAY_PYTHON").unwrap());
    let dataset = tickbarn::Dataset::command("numbers", [directory.join("generator.sh").to_str().unwrap(), "{output.table}", "{start}"])
        .output("table", "table.parquet")
        .env("FIXTURES", directory.join("fixtures").to_str().unwrap())
        .cluster_resource("alpha", 1.0)
        .split(tickbarn::Split::every("1h").unwrap())
        .build()
        .unwrap();
    let load = store.load().request(&dataset, &crate::barn::instrument(), crate::barn::first_hours(1));
    load.runner(Ray::connect(options).unwrap()).blocking().unwrap();
    ExitCode::SUCCESS
}

fn a_program_that_is_killed_takes_its_generators_along(field: &Field) {
    for name in ["INT", "KILL"] {
        let barn = Barn::new();
        let mut program = start_loading(field, &barn);
        let generators = long_ones(&barn);
        signal(program.id().cast_signed(), name);
        program.wait().unwrap();
        assert!(within(Duration::from_secs(5), || !generators.into_iter().any(runs)), "a generator outlived SIG{name}");
        // Nothing holds the claim any more, and what was left is cleared away by who takes it.
        let dataset = on(&barn, "alpha", COPY).build().unwrap();
        assert_eq!(outcomes(&load(field, &barn, &dataset, 1).blocking().unwrap()), ["generated"]);
    }
}

fn ctrl_c_ends_the_tool_and_its_generators(field: &Field) {
    let tool = env::current_exe().unwrap().ancestors().nth(2).unwrap().join("tickbarn");
    if !tool.is_file() {
        return println!("  skipped: there is no {}; build tickbarn-cli", tool.display());
    }
    let barn = Barn::new();
    on(&barn, "alpha", LONG).build().unwrap();
    let toml = format!(
        r#"store = "barn"
[run]
runner = "ray"
address = "{}"
python = "{}"
workers = 0
[dataset.numbers]
command = ["{}", "{{output.table}}", "{{start}}"]
outputs = {{ table = "table.parquet" }}
split = "1h"
[dataset.numbers.env]
FIXTURES = "{}"
[dataset.numbers.resources]
cpus = 1
alpha = 1
"#,
        field.address(),
        field.python(),
        barn.path("generator.sh").display(),
        barn.path("fixtures").display()
    );
    fs::write(barn.path("tickbarn.toml"), toml).unwrap();
    let arguments = ["load", "numbers", "-i", "binance/BTC-USDT", "--start", "2024-01-01", "--end", "2024-01-01T01:00"];
    let tool = |more: &[&str]| {
        let mut command = Command::new(&tool);
        command.args(arguments).args(more).current_dir(barn.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let load = tool(&[]);
    let generators = long_ones(&barn);
    signal(load.id().cast_signed(), "INT");
    let output = load.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_gone(&barn, generators);
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted; nothing was finished yet"), "{output:?}");

    // Flags beat the file, and an unreachable cluster is said at once.
    let output = tool(&["--ray-address", "127.0.0.1:1"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the Ray cluster 127.0.0.1:1: nobody answers there"), "{said}");
    on(&barn, "alpha", COPY).build().unwrap();
    let output = tool(&["--json"]).wait_with_output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(r#""outcome":"generated""#), "{output:?}");
    let output = tool(&["--runner", "local", "--refresh"]).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn bridges() -> Vec<i32> {
    processes("tickbarn_bridge.py', 'exec')); bridge_main(source)")
}

fn a_killed_bridge_ends_the_load_and_the_next_one_has_another(field: &Field) {
    let barn = Barn::new();
    let others = bridges();
    let ray = Ray::connect(field.options()).unwrap();
    let [bridge] = bridges().into_iter().filter(|pid| !others.contains(pid)).collect::<Vec<_>>()[..] else {
        panic!("one bridge for each connection")
    };
    let dataset = on(&barn, "alpha", LONG).retries(5).build().unwrap();
    let load = barn.load(&dataset, 1).runner(ray.clone()).on_failure(tickbarn::OnFailure::Skip);
    let loading = std::thread::spawn(move || load.blocking());
    let generators = long_ones(&barn);
    signal(bridge, "KILL");
    let error = loading.join().unwrap().unwrap_err();
    let Error::Cluster { fault, message, .. } = &error else { panic!("{error}") };
    assert!(*fault == ClusterFault::Lost && message.contains("load again to go on"), "{message}");
    assert_gone(&barn, generators);
    assert!(barn.store.failures().unwrap().is_empty(), "no partition is at fault");
    let dataset = on(&barn, "alpha", COPY).build().unwrap();
    assert_eq!(outcomes(&barn.load(&dataset, 1).runner(ray).blocking().unwrap()), ["generated"]);
}

fn the_last_handle_ends_the_bridge(field: &Field) {
    let before = bridges();
    let ray = Ray::connect(field.options()).unwrap();
    let other = ray.clone();
    drop(ray);
    assert_eq!(bridges().len(), before.len() + 1);
    drop(other);
    assert_eq!(bridges(), before);
}
