//! What running on a Ray cluster costs beyond Ray itself: 200 runs of a trivial generator, 8 in flight, against a plain Python script whose
//! `@ray.remote` tasks start the same process, 8 in flight too.
//!
//! `TICKBARN_RAY_PYTHON=… cargo bench --bench ray --no-default-features` starts a cluster of two raylets apart from the rest of the machine, as
//! the tests of `tests/ray` do, and prints the throughput of both, in turns, and their ratio. tickbarn's includes claims, checks and durable publishing.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use tickbarn::{Dataset, Instrument, Interval, Ray, RayOptions, Split, Store};

#[path = "../tests/ray/apart.rs"]
mod apart;
#[path = "../tests/ray/cluster.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod cluster;
#[path = "support/tables.rs"]
mod tables;

use apart::{Apart, apart};
use cluster::Cluster;

const ROUNDS: u32 = 5;
const RUNS: u32 = 200;
const IN_FLIGHT: usize = 8;
/// As in the plain script.
const WARM_UP: u32 = 50;

fn main() -> ExitCode {
    match apart() {
        Apart::Inside { python } => measure(&python),
        Apart::Ended(status) => return status,
        Apart::Impossible(reason) => println!("skipped: {reason}"),
    }
    ExitCode::SUCCESS
}

fn measure(python: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let fixture = directory.path().join("fixture.parquet");
    tables::write(&fixture, 10, 0.0);
    let cluster = Cluster::start(python, &["alpha=4", "beta=4"]);
    let ray = Ray::connect(RayOptions::new(&cluster.address).python(python)).expect("a connection");
    let dataset = Dataset::command("bench", ["/bin/cp", "{unkeyed.fixture}", "{output.table}"])
        .unkeyed("fixture", fixture.to_str().expect("a UTF-8 path"))
        .output("table", "table.parquet")
        .split(Split::every("1h").expect("a length"))
        .build()
        .expect("a dataset");
    let store = Store::open(directory.path().join("barn")).expect("a store");
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let generate = |instrument: String, runs: u32| {
            let instrument: Instrument = instrument.parse().expect("an instrument");
            let interval = Interval::new(hour(0), hour(runs)).expect("an interval");
            let load = store.load().request(&dataset, &instrument, interval).workers(IN_FLIGHT).runner(ray.clone());
            assert_eq!(load.blocking().expect("partitions").summary().generated, runs as usize);
        };
        // Ray ends idle workers as soon as another program has some: both begin with warm ones.
        generate(format!("warm/{round}"), WARM_UP);
        let began = Instant::now();
        generate(format!("bench/{round}"), RUNS);
        ours.push(per_second(began.elapsed()));
        plain.push(per_second(plain_tasks(python, &cluster.address, &fixture, directory.path())));
        println!("round {round}: {:.0} runs a second by tickbarn, {:.0} by plain tasks", ours[round as usize], plain[round as usize]);
    }
    let median = |mut rounds: Vec<f64>| {
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    };
    let (ours, plain) = (median(ours), median(plain));
    println!("medians: {ours:.0} runs a second by tickbarn, {plain:.0} by plain tasks: {:.2} of it", ours / plain);
}

/// How long the script takes, which warms its own workers up before it looks at the clock.
fn plain_tasks(python: &str, address: &str, fixture: &Path, directory: &Path) -> Duration {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/ray_plain.py");
    let output = Command::new(python)
        .arg(script)
        .args([address, &RUNS.to_string(), &IN_FLIGHT.to_string(), "/bin/cp"])
        .arg(fixture)
        .arg(directory.join("copy"))
        .output()
        .expect("the script");
    let said = String::from_utf8_lossy(&output.stdout);
    let seconds = said.trim().parse().unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    Duration::from_secs_f64(seconds)
}

fn per_second(elapsed: Duration) -> f64 {
    f64::from(RUNS) / elapsed.as_secs_f64()
}

fn hour(nth: u32) -> tickbarn::Time {
    tickbarn::Time::from_ns((1_699_200_000 + i64::from(nth) * 3600) * 1_000_000_000)
}
