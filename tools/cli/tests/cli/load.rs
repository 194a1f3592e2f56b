//! Loading: what is printed, in which form and when, and what a load costs the second time.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::{Barn, COPIES, Ran, Samples, finished, tickbarn, wait_for};

#[test]
fn what_is_cached_is_not_generated_again() {
    let barn = Barn::new(COPIES);
    let first = barn.load(3, &[]).ok();
    assert_eq!(first.stdout.lines().last(), Some("Read 3 out of 3 (100.00%)"));
    assert_eq!(first.stderr.lines().filter(|line| line.contains("] generated  md test/ONE 2024-01-01 0")).count(), 3, "{first:#?}");
    assert_eq!(barn.calls(), 3);
    let second = barn.load(4, &["--json"]).ok();
    assert_eq!(second.outcomes(), ["hit", "hit", "hit", "generated"]);
    assert_eq!(barn.calls(), 4);
}

#[test]
fn json_lines_have_the_form_that_programs_rely_on() {
    let barn = Barn::new(COPIES);
    let ran = barn.load(2, &["--json"]).ok();
    let lines = ran.json();
    assert_eq!(lines.len(), 3, "{ran:#?}");
    let partition = lines.iter().find(|line| line["start"] == "2024-01-01T01:00:00Z").unwrap();
    assert_eq!(partition["type"], "partition");
    assert_eq!(partition["dataset"], "md");
    assert_eq!(partition["instrument"], "test/ONE");
    assert_eq!(partition["end"], "2024-01-01T02:00:00Z");
    assert_eq!(partition["outcome"], "generated");
    assert_eq!(partition["address"].as_str().unwrap().len(), 64);
    let trades = &partition["outputs"]["trades"];
    let path = trades["path"].as_str().unwrap();
    let sample = fs::read(Samples::get().one()).unwrap();
    assert_eq!(fs::read(path).unwrap(), sample, "a generated line means that the entry is there");
    assert_eq!(trades["bytes"], sample.len());
    assert!(path.contains(trades["digest"].as_str().unwrap()));
    assert!(trades["rows"].as_u64().unwrap() > 0);
    assert!(partition.get("failure").is_none() && partition.get("changed").is_none());
    let mut summary = ran.summary();
    assert!(summary["seconds"].take().as_f64().unwrap() > 0.0);
    let expected = serde_json::json!({"type": "summary", "requested": 2, "read": 2, "hit": 0, "generated": 2, "empty": 0, "missing": 0, "failed": 0, "seconds": null});
    assert_eq!(summary, expected);
}

#[test]
fn a_line_comes_as_soon_as_its_partition_is_durable() {
    let barn = Barn::new(r#"case "$3" in *T01*) while ! test -e "$4/go"; do sleep 0.01; done;; esac; cp "$1" "$2""#);
    let mut child = barn.command(&Barn::load_arguments(2, &["--json", "--jobs", "1"])).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    // The second partition cannot end before this line was read.
    lines.read_line(&mut first).unwrap();
    assert!(first.contains("2024-01-01T00:00:00Z") && first.contains("generated"), "{first}");
    barn.write("go", b"");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 2, "{rest}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_seen_enough_stops_no_load() {
    let barn = Barn::new(COPIES);
    let mut child = barn.command(&Barn::load_arguments(6, &["--json", "--jobs", "1"])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).contains("error")), (Some(0), false), "{output:?}");
    assert_eq!(barn.load(6, &["--json"]).ok().summary()["hit"], 6);
}

#[test]
fn an_empty_partition_is_an_answer_and_is_remembered() {
    let barn = Barn::new(r#"case "$3" in *T01*) exit 3;; esac; cp "$1" "$2""#);
    let first = barn.load(2, &["--json"]).ok();
    assert_eq!(first.outcomes(), ["generated", "empty"]);
    let empty = first.json().into_iter().find(|line| line["outcome"] == "empty").unwrap();
    assert_eq!((empty["known"].as_bool(), empty.get("outputs")), (Some(false), None));
    let second = barn.load(2, &["--json"]).ok();
    assert_eq!(second.json()[1]["known"], true);
    assert_eq!((second.summary()["read"].as_u64(), second.summary()["empty"].as_u64()), (Some(2), Some(1)));
    assert_eq!(barn.calls(), 2);
}

#[test]
fn a_refresh_that_gives_other_bytes_says_so() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    let same = barn.load(2, &["--refresh"]).ok();
    assert!(!same.stderr.contains("deterministic"), "{same:#?}");
    // Not in the key, as whatever a generator reads behind tickbarn's back.
    barn.edit("sample = \"sample.parquet\"", "sample = { path = \"sample.parquet\", fingerprint = \"none\" }");
    barn.load(2, &[]).ok();
    barn.write("sample.parquet", &fs::read(Samples::get().other()).unwrap());
    let told = barn.load(1, &["--refresh"]).ok();
    assert!(told.stderr.contains("md test/ONE 2024-01-01 00:00 to 01:00: the refresh gave other bytes for trades"), "{told:#?}");
    let json = barn.load(2, &["--refresh", "--json"]).ok();
    assert_eq!(json.json().iter().filter(|line| line["changed"] == serde_json::json!(["trades"])).count(), 1, "{json:#?}");
}

#[test]
fn settings_are_laid_over_the_file_and_part_of_the_key() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    assert_eq!(barn.load(2, &["--json", "--set", "md.config.levels=5"]).ok().outcomes(), ["generated"; 2]);
    assert_eq!(barn.load(2, &["--json", "--set", "md.config.levels=40"]).ok().outcomes(), ["hit"; 2]);
    assert_eq!(barn.load(2, &["--json", "--set", "md.unkeyed.here=/tmp"]).ok().outcomes(), ["hit"; 2]);
}

#[test]
fn an_intervals_file_names_instruments_and_intervals() {
    let barn = Barn::new(COPIES);
    let record = |pair: &str, start: &str, end: &str| {
        format!(r#"{{"instrument": {{"market": "test", "pair": "{pair}"}}, "start": "{start}", "end": "{end}"}}"#)
    };
    let list = [record("ONE", "2024-01-01", "2024-01-01T02:00:00Z"), record("A/B", "2024-01-01T01:30:00Z", "2024-01-01T02:30:00Z")];
    barn.write("intervals.json", format!("[{}]", list.join(",")).as_bytes());
    let ran = barn.run(&["load", "md", "--intervals", "intervals.json", "--json"]).ok();
    assert_eq!(ran.summary()["generated"], 4);
    assert_eq!(ran.json().iter().filter(|line| line["instrument"] == "test/A/B").count(), 2);
}

#[test]
fn datasets_of_one_place_come_together() {
    let barn = Barn::new(COPIES);
    let text = fs::read_to_string(barn.at("tickbarn.toml")).unwrap();
    let second = text.split_once("[dataset.md]").unwrap().1.replace("dataset.md", "dataset.features");
    barn.write("tickbarn.toml", format!("{text}\n[dataset.features]{second}\n[dataset.features.env]\nWHICH = \"features\"\n").as_bytes());
    let load = ["load", "md", "features", "-i", "test/ONE", "-i", "test/TWO", "--start", "2024-01-01", "--end", "2024-01-01T01:00:00Z", "--json"];
    barn.run(&load).ok();
    let again = barn.run(&load).ok();
    let order: Vec<String> = again.json().iter().map(|line| format!("{} {}", line["dataset"], line["instrument"]).replace('"', "")).collect();
    assert_eq!(order[..4], ["md test/ONE", "features test/ONE", "md test/TWO", "features test/TWO"]);
}

#[test]
fn the_file_is_found_upwards_and_the_store_can_be_another() {
    let barn = Barn::new(COPIES);
    let below = barn.at("a/b");
    fs::create_dir_all(&below).unwrap();
    let arguments = Barn::load_arguments(1, &["--json"]);
    let outcomes = |command: &mut std::process::Command| -> Ran { finished(command).ok() };
    assert_eq!(outcomes(tickbarn(&below).args(&arguments)).outcomes(), ["generated"]);
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(outcomes(tickbarn(elsewhere.path()).arg("--config").arg(barn.path()).args(&arguments)).outcomes(), ["hit"]);
    assert_eq!(outcomes(tickbarn(elsewhere.path()).env("TICKBARN_CONFIG", barn.at("tickbarn.toml")).args(&arguments)).outcomes(), ["hit"]);
    let unset = outcomes(tickbarn(&below).env("TICKBARN_STORE", "").env("TICKBARN_CONFIG", "").args(&arguments));
    assert_eq!(unset.outcomes(), ["hit"], "a variable that is empty is not set");
    let other = elsewhere.path().join("other");
    let ran = outcomes(tickbarn(&below).env("TICKBARN_STORE", &other).args(&arguments));
    assert_eq!(ran.outcomes(), ["generated"]);
    assert!(ran.stderr.contains("made a new store"), "{ran:#?}");
    assert_eq!(outcomes(tickbarn(&below).arg("--store").arg(&other).args(&arguments)).outcomes(), ["hit"]);
}

#[test]
fn jobs_bound_how_many_run_at_once() {
    let script = r#"mkdir -p "$4/running/$$"; ls "$4/running" | wc -l >> "$4/counts"; sleep 0.15; rmdir "$4/running/$$"; cp "$1" "$2""#;
    let most = |barn: &Barn| fs::read_to_string(barn.at("counts")).unwrap().lines().map(|line| line.trim().parse::<usize>().unwrap()).max().unwrap();
    let barn = Barn::new(script);
    barn.edit("[dataset.md]", "[run]\nworkers = 1\n[dataset.md]");
    barn.load(3, &[]).ok();
    assert_eq!(most(&barn), 1, "workers under [run] hold");
    barn.load(9, &["--jobs", "3"]).ok();
    let most = most(&barn);
    assert!((2..=3).contains(&most), "--jobs beats them, and holds: {most}");
}

#[test]
fn a_partition_that_ends_in_the_future_is_refused_unless_allowed() {
    let barn = Barn::new(COPIES);
    let before = barn.tree();
    let load = ["load", "md", "-i", "test/ONE", "--start", "2199-01-01", "--end", "2199-01-01T01:00:00Z"];
    barn.run(&load).failed(2, &["future", "--allow-future"]);
    assert_eq!(barn.tree(), before);
    barn.run(&[&load[..], &["--allow-future"]].concat()).ok();
}

#[test]
fn what_runs_is_told_when_asked() {
    let barn = Barn::new("sleep 0.3; exit 1");
    barn.edit("split", "retries = 1\nretry_delay = \"0s\"\nsplit");
    let quiet = barn.load(1, &["--on-failure", "skip"]).ok();
    assert!(!quiet.stderr.contains("info:"), "{quiet:#?}");
    let told = barn.load(1, &["--on-failure", "skip", "-v"]).ok();
    assert!(told.stderr.contains("info: another attempt follows"), "{told:#?}");
    wait_for("two loads of two attempts", || barn.calls() == 4);
}
