//! `tickbarn stats`: what is there, what sharing saves, and what recent loads found.

use serde_json::Value;

use crate::support::{Barn, COPIES, Ran};

/// The second hour fails, the third is empty, and all others are the same file.
const MIXED: &str = r#"case "$3" in *T01*) echo broken >&2; exit 7;; *T02*) exit 3;; esac; cp "$1" "$2""#;

fn line<'a>(lines: &'a [Value], kind: &str) -> &'a Value {
    lines.iter().find(|line| line["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {lines:#?}"))
}

fn stats(barn: &Barn, more: &[&str]) -> Ran {
    barn.run(&[&["stats"], more].concat()).ok()
}

#[test]
fn entries_that_share_a_file_are_told_with_what_that_saves() {
    let barn = Barn::new(MIXED);
    barn.load(5, &["--on-failure", "skip"]).ok();
    barn.run(&["load", "md", "-i", "test/TWO", "--start", "2024-01-01", "--end", "2024-01-01T01:00:00Z"]).ok();
    let bytes = std::fs::metadata(barn.at("sample.parquet")).unwrap().len();

    let json = stats(&barn, &["--json"]).json();
    let one = json.iter().find(|line| line["instrument"] == "test/ONE").unwrap();
    let sums = |line: &Value| ["entries", "empty", "artifacts", "bytes", "bytes_saved"].map(|name| line[name].as_u64().unwrap());
    assert_eq!(sums(one), [4, 1, 1, bytes, 2 * bytes]);
    let total = json.last().unwrap();
    assert_eq!((total["type"].as_str(), sums(total)), (Some("total"), [5, 1, 1, bytes, 3 * bytes]));
    assert!(total["seconds"].as_f64().unwrap() > 0.0);
    let by_dataset = stats(&barn, &["--by", "dataset", "--json"]).json();
    assert_eq!(sums(line(&by_dataset, "dataset")), sums(total));

    let table = stats(&barn, &[]);
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("dataset  instrument  entries  empty  artifacts"), "{table:#?}");
    assert!(lines[1].starts_with("md       test/ONE          4      1          1"), "{table:#?}");
    assert!(lines[3].starts_with("total                      5      1          1"), "the sums stand in the last line: {table:#?}");
    assert!(table.stderr.contains("shared between lines"), "{table:#?}");
    assert!(stats(&barn, &["--by", "dataset"]).stderr.is_empty());
}

#[test]
fn hits_and_misses_are_those_of_the_loads_that_are_asked_for() {
    let barn = Barn::new(MIXED);
    barn.load(5, &["--on-failure", "skip"]).ok();
    barn.load(5, &["--on-missing", "skip"]).ok();
    barn.load(1, &["--refresh"]).ok();
    let loads = |more: &[&str]| {
        let json = stats(&barn, &[&["--json"], more].concat()).json();
        let line = line(&json, "loads");
        ["loads", "hits", "misses", "generated", "missing", "failed"].map(|name| line[name].as_u64().unwrap())
    };
    assert_eq!(loads(&[]), [3, 4, 7, 5, 1, 1], "an interval that is known to be empty is a hit");
    assert_eq!(loads(&["--last", "2"]), [2, 4, 2, 1, 1, 0]);
    assert_eq!(loads(&["--since", "2024-01-01"]), loads(&[]));
    assert_eq!(loads(&["--since", "2200-01-01"])[0], 0);
    let text = stats(&barn, &["--last", "2"]).stdout;
    assert!(text.contains("Recent loads: 2 since 20") && text.contains("4 hits and 2 misses (66.67% hits)"), "{text}");
    assert!(text.contains("of the misses, 1 generated, 1 missing"), "{text}");
    assert!(stats(&barn, &["--since", "2200-01-01"]).stdout.contains("Recent loads: none is remembered since 2200-01-01 00:00:00 UTC"));
    barn.run(&["stats", "--since", "yesterday"]).failed(2, &["is not a time"]);
    assert_eq!(barn.run(&["stats", "--since", "2024-01-01", "--last", "3"]).status, 2);
}

#[test]
fn what_was_collected_is_told_no_more() {
    let barn = Barn::new(MIXED);
    barn.load(5, &["--on-failure", "skip"]).ok();
    barn.run(&["gc", "--dataset", "md", "--grace", "0s"]).ok();
    let nothing = stats(&barn, &[]);
    assert!(nothing.stdout.starts_with("Recent loads: 1 since") && nothing.stderr.contains("`tickbarn load` fills it"), "{nothing:#?}");
    assert_eq!(stats(&barn, &["--json"]).json().last().unwrap()["entries"], 0);
}

#[test]
fn a_store_that_is_only_read_is_summed_up_all_the_same() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    let before = barn.tree();
    stats(&barn, &[]);
    assert_eq!(barn.tree(), before);
}
