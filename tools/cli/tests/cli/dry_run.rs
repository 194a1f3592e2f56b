//! `load --dry-run`: what it says is what the load then does, and it does nothing itself.

use std::fs;

use serde_json::Value;

use crate::support::{Barn, COPIES, Ran, Samples};

/// What a dry run says, checked to have written nothing and run nothing.
fn foreseen(barn: &Barn, arguments: &[&str]) -> Vec<Value> {
    let (before, calls) = (barn.tree(), barn.calls());
    let ran = barn.run(&[arguments, &["--dry-run", "--json"]].concat()).ok();
    let text = barn.run(&[arguments, &["--dry-run"]].concat()).ok();
    assert!(text.stderr.ends_with("dry run: nothing was generated\n"), "{text:#?}");
    assert!(barn.tree() == before && barn.calls() == calls, "something was written");
    ran.json()
}

fn sums(lines: &[Value]) -> &Value {
    let last = lines.last().unwrap();
    assert_eq!(last["type"], "dry-run");
    last
}

/// Foresees a load, does it, and checks that it comes out as foreseen.
#[track_caller]
fn comes_out(barn: &Barn, arguments: &[&str]) -> (Vec<Value>, Ran) {
    let lines = foreseen(barn, arguments);
    let ran = barn.run(&[arguments, &["--json"]].concat());
    let (sums, summary) = (sums(&lines), ran.summary());
    let number = |value: &Value, names: &[&str]| names.iter().map(|name| value[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(number(sums, &["requested"]), number(&summary, &["requested"]), "{sums} {ran:#?}");
    assert_eq!(number(sums, &["hit", "empty"]), number(&summary, &["hit", "empty"]), "{sums} {ran:#?}");
    assert_eq!(number(sums, &["generate", "follow"]), number(&summary, &["generated"]), "{sums} {ran:#?}");
    assert_eq!(number(sums, &["failed"]), number(&summary, &["failed"]), "{sums} {ran:#?}");
    assert_eq!(number(sums, &["missing"]), number(&summary, &["missing"]), "{sums} {ran:#?}");
    (lines, ran)
}

fn arguments<'a>(datasets: &[&'a str], hours: usize, more: &[&'a str]) -> Vec<&'a str> {
    let rest = Barn::load_arguments(hours, more);
    [&["load"], datasets, &rest[2..]].concat()
}

/// `copies` of `md`, and `pairs`, a dataset of two hours derived from `copies`.
fn with_derived(barn: &Barn) {
    let text = fs::read_to_string(barn.at("tickbarn.toml")).unwrap();
    let derived = "[dataset.copies]\ncommand = [\"/bin/cp\", \"{upstream.md.trades}\", \"{output.copy}\"]\noutputs = { copy = \"copy.parquet\" }\n\
                   inputs = [\"md\"]\nsplit = \"1h\"\n\
                   [dataset.pairs]\ncommand = [\"/bin/sh\", \"-c\", \"cp $0 $2\", \"{upstream.copies.copy}\", \"{output.pair}\"]\noutputs = { pair = \"pair.parquet\" }\n\
                   inputs = [\"copies\"]\nsplit = \"2h\"\n";
    barn.write("tickbarn.toml", (text + derived).as_bytes());
}

#[test]
fn a_load_comes_out_as_foreseen() {
    let barn = Barn::new(COPIES);
    // No store is made, and no history tells anything.
    let lines = foreseen(&barn, &arguments(&["md"], 3, &[]));
    assert!(!barn.at("barn").exists());
    assert!(sums(&lines)["seconds"].is_null() && sums(&lines)["without_history"] == 3 && sums(&lines)["free_bytes"].as_u64() > Some(0), "{lines:#?}");
    let (_, first) = comes_out(&barn, &arguments(&["md"], 3, &[]));
    let bytes: u64 = first.json()[0]["outputs"]["trades"]["bytes"].as_u64().unwrap();

    let (lines, _) = comes_out(&barn, &arguments(&["md"], 5, &["--jobs", "1"]));
    let expected: Vec<&str> = lines.iter().filter_map(|line| line["expected"].as_str()).collect();
    assert_eq!(expected, ["hit", "hit", "hit", "generate", "generate"]);
    // The same hours of the same instrument took as much.
    assert_eq!((sums(&lines)["bytes"].as_u64(), sums(&lines)["workers"].as_u64()), (Some(2 * bytes), Some(1)));
    assert_eq!(lines[3]["history"], "instrument");
    let took = lines[3]["seconds"].as_f64().unwrap();
    assert!((sums(&lines)["seconds"].as_f64().unwrap() - 2.0 * took).abs() < 1e-6, "one worker does one after the other");
    let after = sums(&lines)["free_bytes"].as_i64().unwrap() - 2 * bytes as i64;
    assert_eq!(sums(&lines)["free_bytes_after"].as_i64(), Some(after));

    // Under another key, and of another instrument.
    let lines = foreseen(&barn, &arguments(&["md"], 2, &["--set", "md.config.levels=5"]));
    assert_eq!((lines[0]["history"].as_str(), lines[2]["type"].as_str()), (Some("other-keys-instrument"), Some("again")), "{lines:#?}");
    assert_eq!(lines[2]["differences"][0]["words"], "config.levels 40 → 5");
    let other = ["load", "md", "-i", "test/TWO", "--start", "2024-01-01", "--end", "2024-01-01T01:00:00Z"];
    assert_eq!(foreseen(&barn, &other)[0]["history"], "generator");
    let text = barn.run(&[&other[..], &["--dry-run"]].concat()).ok();
    assert!(text.stdout.contains("entries of other instruments") && text.stdout.contains("Would generate 1 partition: about "), "{text:#?}");

    // What is asked for twice is generated once.
    barn.write(
        "twice.json",
        br#"[{"instrument": {"market": "test", "pair": "TWO"}, "start": "2024-01-01", "end": "2024-01-01T02:00:00Z"},
        {"instrument": {"market": "test", "pair": "TWO"}, "start": "2024-01-01T01:00:00Z", "end": "2024-01-01T03:00:00Z"}]"#,
    );
    comes_out(&barn, &["load", "md", "--intervals", "twice.json"]);
}

#[test]
fn policies_are_respected() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    let (lines, _) = comes_out(&barn, &arguments(&["md"], 2, &["--refresh"]));
    assert_eq!((sums(&lines)["refresh"].as_u64(), lines[0]["refresh"].as_bool()), (Some(2), Some(true)));
    comes_out(&barn, &arguments(&["md"], 4, &["--on-missing", "skip"]));
    let (lines, ran) = comes_out(&barn, &arguments(&["md"], 3, &["--mode", "Read"]));
    assert_eq!((sums(&lines)["stopped"].as_str(), ran.status), (Some("missing"), 1));
    let text = barn.load(3, &["--mode", "Read", "--dry-run"]).ok();
    assert!(text.stdout.contains("would stop before it generates anything: 1 partition is missing, and --on-missing fail"), "{text:#?}");
    // Without a store, reading is refused as it is by a load.
    barn.load(1, &["--mode", "Read", "--dry-run", "--store", "nowhere"]).failed(2, &["nowhere is not a tickbarn store"]);
    barn.load(1, &["--dry-run", "--store", "tickbarn.toml"]).failed(2, &["it is a file"]);
    let future = ["load", "md", "-i", "test/ONE", "--start", "2099-01-01", "--end", "2099-01-02", "--dry-run"];
    barn.run(&future).failed(2, &["ends in the future", "--allow-future"]);
    barn.run(&[&future[..], &["--allow-future"]].concat()).ok();
    barn.script("exit 3");
    comes_out(&barn, &arguments(&["md"], 1, &["--on-missing", "skip"]));
    barn.load(1, &[]).ok();
    let (lines, _) = comes_out(&barn, &arguments(&["md"], 1, &[]));
    assert_eq!(lines[0]["expected"], "empty");
}

#[test]
fn failures_count_as_the_policy_says() {
    let barn = Barn::new("exit 7");
    barn.load(2, &["--on-failure", "skip"]).ok();
    let skip = ["--on-failure", "skip"];
    for (retry, expected) in [("always", "generate"), ("never", "failed"), ("1h", "failed"), ("1ns", "generate")] {
        let lines = foreseen(&barn, &arguments(&["md"], 3, &[&skip[..], &["--retry-failed", retry]].concat()));
        assert_eq!((lines[0]["expected"].as_str(), lines[2]["expected"].as_str()), (Some(expected), Some("generate")), "{retry}");
        assert_eq!((lines[0]["failed_before"]["count"].as_u64(), lines[0]["failed_before"]["class"].as_str()), (Some(1), Some("exit")));
        assert!(sums(&lines)["stopped"].is_null(), "{lines:#?}");
    }
    let text = barn.load(3, &["--dry-run"]).ok();
    assert!(text.stdout.contains("2 partitions failed before and are tried again"), "{text:#?}");
    let stops = foreseen(&barn, &arguments(&["md"], 3, &["--retry-failed", "never"]));
    assert_eq!(sums(&stops)["stopped"], "failed");
    assert_eq!(barn.load(3, &["--retry-failed", "never"]).status, 1);
    // And so it comes out, with a generator that works by now for what is tried.
    barn.write("fixed", b"");
    comes_out(&barn, &arguments(&["md"], 2, &[&skip[..], &["--retry-failed", "never"]].concat()));
}

#[test]
fn what_is_derived_is_foreseen_and_what_nobody_asks_for_is_said_apart() {
    let barn = Barn::new(COPIES);
    with_derived(&barn);
    let (lines, _) = comes_out(&barn, &arguments(&["copies"], 4, &[]));
    let of = |kind: &str| lines.iter().filter(|line| line["expected"] == kind).count();
    assert_eq!((of("follow"), of("generate"), sums(&lines)["generated"].as_u64()), (4, 4, Some(8)), "upstream is generated, and is in no other sum");
    assert!(lines.iter().filter(|line| line["expected"] == "follow").all(|line| line["address"].is_null()), "{lines:#?}");
    let follower = lines.iter().find(|line| line["type"] == "follower").unwrap();
    assert_eq!((follower["dataset"].as_str(), follower["partitions"].as_u64(), follower["made"].as_u64()), (Some("pairs"), Some(2), Some(0)));
    comes_out(&barn, &arguments(&["pairs", "md"], 4, &[]));

    // Its input changed: all of it would follow, also what nobody asks for, all the way down.
    fs::copy(Samples::get().other(), barn.at("sample.parquet")).unwrap();
    let lines = foreseen(&barn, &arguments(&["md"], 3, &[]));
    let followers: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "follower")
        .map(|line| (line["dataset"].as_str().unwrap(), line["made"].as_u64().unwrap()))
        .collect();
    assert_eq!(followers, [("copies", 3), ("pairs", 2)]);
    let text = barn.load(3, &["--dry-run"]).ok();
    assert!(text.stdout.contains("Not asked for: copies, derived from md: 3 partitions, 3 there now"), "{text:#?}");
    comes_out(&barn, &arguments(&["pairs"], 4, &[]));
    let skipped = arguments(&["copies"], 6, &["--on-missing-upstream", "skip"]);
    let (lines, _) = comes_out(&barn, &skipped);
    assert_eq!(lines[5]["reason"], "its upstream md test/ONE 2024-01-01T05:00:00Z/2024-01-01T06:00:00Z is missing");
    let refused = foreseen(&barn, &arguments(&["copies"], 6, &["--on-missing-upstream", "fail"]));
    assert_eq!(sums(&refused)["stopped"], "missing");

    // What is derived from a failure that is not tried again does not come either.
    barn.script("exit 7");
    barn.load(1, &["--on-failure", "skip"]).ok();
    comes_out(&barn, &arguments(&["pairs"], 2, &["--on-failure", "skip", "--retry-failed", "never"]));
}
