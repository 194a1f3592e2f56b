//! What runs on a cluster is what would have run here. Invariants 4, 9 and 17 of ARCHITECTURE.md.

use std::fs;
use std::time::Duration;

use tickbarn::{BoxError, Dataset, FailureClass, Job, OnFailure, Outcome, Outputs};

use crate::Test;
use crate::barn::{Barn, COPY, first_hours, instrument, outcomes};
use crate::field::{Field, entry, failure, load, manifest, on};

pub(crate) const TESTS: &[Test] = &[
    ("partitions_are_generated_on_the_cluster_and_found_again_anywhere", partitions_are_generated_on_the_cluster_and_found_again_anywhere),
    ("a_command_sees_what_it_would_see_here", a_command_sees_what_it_would_see_here),
    ("ends_are_told_as_of_local_runs", ends_are_told_as_of_local_runs),
    ("logs_come_back_capped", logs_come_back_capped),
    ("workers_bound_what_is_in_flight", workers_bound_what_is_in_flight),
    ("functions_run_here", functions_run_here),
    ("a_command_that_cannot_be_started_there_says_so", a_command_that_cannot_be_started_there_says_so),
    ("what_an_attempt_left_open_cannot_change_what_is_stored", what_an_attempt_left_open_cannot_change_what_is_stored),
    ("attempts_are_counted_here", attempts_are_counted_here),
];

fn partitions_are_generated_on_the_cluster_and_found_again_anywhere(field: &Field) {
    let barn = Barn::new();
    let dataset = on(&barn, "beta", COPY).build().unwrap();
    let loaded = load(field, &barn, &dataset, 3).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["generated"; 3]);
    for nth in 0..3 {
        let provenance = manifest(&barn, &loaded, nth).provenance;
        let there = provenance.on_cluster.unwrap();
        assert_eq!((there.runner.as_str(), there.address.as_str(), provenance.attempt), ("ray", "127.0.0.1", 1));
        assert!(there.node.len() > 20 && there.queued_seconds >= 0.0, "{there:?}");
        assert_eq!(provenance.exit_code, 0);
    }
    assert!(barn.is_tidy());
    // The same address as of a local run, and no cluster is needed for what is there.
    let elsewhere = tickbarn::Ray::on_demand("127.0.0.1:1");
    assert_eq!(outcomes(&barn.load(&dataset, 3).runner(elsewhere).blocking().unwrap()), ["hit"; 3]);
    assert_eq!(outcomes(&barn.load(&dataset, 3).blocking().unwrap()), ["hit"; 3]);
    assert_eq!(barn.runs(), 3);
}

fn a_command_sees_what_it_would_see_here(field: &Field) {
    let barn = Barn::new();
    let look = r#"env | sed "s:-[0-9]*-[0-9a-f]*$::" | grep -v ^PWD= | grep -v ^_= | sort
readlink /proc/self/fd/0; umask; pwd | sed "s:-[0-9]*-[0-9a-f]*$::"; cat
[ "$(ps -o pgid= -p $$ | tr -d ' ')" = $$ ] && echo "leads its group"
printf 'said \377' >&2
cp "$FIXTURES/three.parquet" "$1""#;
    let dataset = on(&barn, "alpha", look).env("WORD", "ein Wört").build().unwrap();
    let mut logs = Vec::new();
    for load in [barn.load(&dataset, 1), load(field, &barn, &dataset, 1).refresh()] {
        let loaded = load.blocking().unwrap();
        logs.push(barn.store.log(&manifest(&barn, &loaded, 0)).unwrap());
    }
    assert_eq!(logs[0], logs[1]);
    assert!(logs[1].stdout.text.contains("WORD=ein Wört") && logs[1].stdout.text.contains("leads its group"), "{:?}", logs[1]);
    assert_eq!(logs[1].stderr.text, "said \u{fffd}");
}

fn ends_are_told_as_of_local_runs(field: &Field) {
    let barn = Barn::new();
    for (script, timeout) in
        [("echo bad luck >&2; exit 9", None), ("kill -SEGV $$", None), ("trap '' TERM; sleep 60 & wait; wait", Some(Duration::from_millis(300)))]
    {
        let dataset = on(&barn, "alpha", script);
        let dataset = timeout.into_iter().fold(dataset, |dataset, timeout| dataset.timeout(timeout)).build().unwrap();
        let here = failure(barn.load(&dataset, 1));
        let there = failure(load(field, &barn, &dataset, 1));
        let without_seconds = |message: &str| message.split(" after ").next().unwrap().to_owned();
        assert_eq!((here.0, without_seconds(&here.1)), (there.0, without_seconds(&there.1)));
    }
    let empty = on(&barn, "alpha", "exit 3").empty_exit_codes([3]).build().unwrap();
    assert_eq!(outcomes(&load(field, &barn, &empty, 1).blocking().unwrap()), ["empty"]);
    let memory = on(&barn, "alpha", &format!("head -c 200000000 /dev/zero | tail -c 150000000 > /dev/null; sleep 0.2\n{COPY}")).build().unwrap();
    let loaded = load(field, &barn, &memory, 1).blocking().unwrap();
    let peak = manifest(&barn, &loaded, 0).provenance.memory_bytes_peak.unwrap();
    assert!((100_000_000..400_000_000).contains(&peak), "{peak}");
}

fn logs_come_back_capped(field: &Field) {
    let barn = Barn::new();
    let dataset = on(&barn, "alpha", &format!("seq 1 300000; {COPY}")).build().unwrap();
    let here = barn.load(&dataset, 1).blocking().unwrap();
    let here = barn.store.log(&manifest(&barn, &here, 0)).unwrap();
    let there = load(field, &barn, &dataset, 1).refresh().blocking().unwrap();
    let there = barn.store.log(&manifest(&barn, &there, 0)).unwrap();
    assert_eq!(here, there);
    assert!(there.stdout.truncated && there.stdout.text.len() < 300_000 && there.stdout.bytes > 1_900_000);
}

/// The most scripts that ran at once, of some that each say when they begin and end.
fn most_at_once(barn: &Barn) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in fs::read_to_string(barn.path("log")).unwrap().lines() {
        now = if line == "begin" { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most
}

fn workers_bound_what_is_in_flight(field: &Field) {
    let script = format!("echo begin >> \"$FIXTURES/../log\"; sleep 0.5; echo end >> \"$FIXTURES/../log\"; {COPY}");
    for (workers, cpus, most) in [(2, 0.0, 2), (0, 0.0, 4), (0, 2.0, 2)] {
        let barn = Barn::new();
        let dataset = on(&barn, "alpha", &script).resources(tickbarn::Resources { cpus, memory_bytes: 1 << 20 }).build().unwrap();
        let loaded = load(field, &barn, &dataset, 8).workers(workers).blocking().unwrap();
        assert_eq!(outcomes(&loaded), ["generated"; 8]);
        assert!(most_at_once(&barn) <= most, "{workers} workers of {cpus} cpus: {} at once", most_at_once(&barn));
    }
    // What nodes have by a name of their own bounds it, too.
    let barn = Barn::new();
    let dataset = on(&barn, "alpha", &script).cluster_resource("alpha", 50.0).build().unwrap();
    load(field, &barn, &dataset, 4).workers(0).blocking().unwrap();
    assert!(most_at_once(&barn) <= 2);
}

fn functions_run_here(field: &Field) {
    let barn = Barn::new();
    let table = barn.path("fixtures/three.parquet");
    let function = Dataset::function("here", "1", move |job: &Job| -> Result<Outputs, BoxError> {
        fs::copy(&table, job.output("table")?)?;
        Ok(Outputs::files())
    });
    let function = function.split(tickbarn::Split::every("1h").unwrap()).build().unwrap();
    let command = on(&barn, "alpha", COPY).build().unwrap();
    let both = load(field, &barn, &command, 2).request(&function, &instrument(), first_hours(2)).blocking().unwrap();
    assert_eq!(outcomes(&both), ["generated"; 4]);
    assert!(manifest(&barn, &both, 0).provenance.on_cluster.is_some());
    assert!(manifest(&barn, &both, 2).provenance.on_cluster.is_none());
}

fn a_command_that_cannot_be_started_there_says_so(field: &Field) {
    let barn = Barn::new();
    fs::write(barn.path("no-program"), "neither a binary nor a script").unwrap();
    crate::barn::make_executable(&barn.path("no-program"));
    let dataset = Dataset::command("numbers", [barn.path("no-program").to_str().unwrap()]).output("table", "table.parquet");
    let dataset = dataset.split(tickbarn::Split::every("1h").unwrap()).build().unwrap();
    let (class, message) = failure(load(field, &barn, &dataset, 1));
    assert!(class == FailureClass::Spawn.as_str() && message.contains("on node 127.0.0.1") && message.contains("cannot execute it"), "{message}");
}

fn what_an_attempt_left_open_cannot_change_what_is_stored(field: &Field) {
    let barn = Barn::new();
    // In a session of its own it is out of reach, and writes to its output when that has long been published.
    let script = r#"cp "$FIXTURES/three.parquet" "$1"
setsid sh -c 'sleep 1; printf spoilt; sleep 100' >> "$1" 2>/dev/null &
sleep 0.2"#;
    let dataset = on(&barn, "alpha", script).build().unwrap();
    let loaded = load(field, &barn, &dataset, 1).blocking().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let stored = fs::read(&entry(&loaded, 0).outputs[0].path).unwrap();
    assert_eq!(stored, fs::read(barn.path("fixtures/three.parquet")).unwrap());
}

fn attempts_are_counted_here(field: &Field) {
    let barn = Barn::new();
    let script = format!("[ -e \"$FIXTURES/../again\" ] || {{ touch \"$FIXTURES/../again\"; exit 1; }}\n{COPY}");
    let dataset = on(&barn, "alpha", &script).retries(1).retry_delay(Duration::ZERO).build().unwrap();
    let loaded = load(field, &barn, &dataset, 1).on_failure(OnFailure::Skip).blocking().unwrap();
    assert!(matches!(loaded.partitions[0].outcome, Outcome::Generated { .. }));
    assert_eq!(manifest(&barn, &loaded, 0).provenance.attempt, 2);
}
