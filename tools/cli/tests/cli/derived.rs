//! Datasets that are derived from others, as the dataset file says.

use std::fs;

use crate::support::{Barn, COPIES, Ran};

/// `copies`, each of whose partitions is a copy of the one of `md`.
const COPIES_OF_MD: &str = r#"
[dataset.copies]
command = ["/bin/sh", "-c", "echo run >> \"$1/copies\"; cp \"$2\" \"$3\"", "sh", "{unkeyed.here}", "{upstream.md.trades}", "{output.copy}"]
outputs = { copy = "copy.parquet" }
inputs = ["md"]
split = "1h"
[dataset.copies.unkeyed]
here = "."
"#;

fn barn() -> Barn {
    let barn = Barn::new(COPIES);
    let mut text = fs::read_to_string(barn.at("tickbarn.toml")).unwrap() + COPIES_OF_MD;
    text = text.replace("here = \".\"", &format!("here = \"{}\"", barn.path().display()));
    barn.write("tickbarn.toml", text.as_bytes());
    barn
}

fn load(barn: &Barn, more: &[&str]) -> Ran {
    let mut arguments = Barn::load_arguments(2, more);
    arguments[1] = "copies";
    barn.run(&arguments)
}

fn copies(barn: &Barn) -> usize {
    fs::read_to_string(barn.at("copies")).map_or(0, |text| text.lines().count())
}

#[test]
fn what_is_upstream_is_made_first_and_told_apart() {
    let barn = barn();
    let ran = load(&barn, &["--json"]).ok();
    let lines = ran.json();
    let upstream: Vec<_> = lines.iter().filter(|line| line["upstream"] == true).collect();
    assert!(upstream.len() == 2 && upstream.iter().all(|line| line["dataset"] == "md" && line["outcome"] == "generated"), "{ran:#?}");
    assert_eq!((ran.summary()["requested"].as_u64(), ran.summary()["generated"].as_u64()), (Some(2), Some(2)), "upstream is in no sum");
    assert_eq!((barn.calls(), copies(&barn)), (2, 2));
    let again = load(&barn, &[]).ok();
    assert!(again.stdout.starts_with("2 hits") && again.stdout.ends_with("Read 2 out of 2 (100.00%)\n"), "{again:#?}");

    // A changed generator that comes to the same bytes changes nothing further down.
    barn.script(&format!("{COPIES} # rebuilt"));
    let text = load(&barn, &[]).ok();
    assert!(text.stderr.contains("upstream  generated  md test/ONE 2024-01-01 00:00 to 01:00"), "{text:#?}");
    assert_eq!((barn.calls(), copies(&barn)), (4, 2));
    // And one that comes to others does.
    fs::copy(crate::support::Samples::get().other(), barn.at("sample.parquet")).unwrap();
    load(&barn, &[]).ok();
    assert_eq!((barn.calls(), copies(&barn)), (6, 4));
    let address = lines.iter().find(|line| line["dataset"] == "copies").unwrap()["address"].as_str().unwrap().to_owned();
    let shown = barn.run(&["show", &address]).ok();
    assert!(shown.stdout.contains("upstream"), "{shown:#?}");
}

#[test]
fn what_is_missing_upstream_is_left_out_or_stops_as_asked() {
    let barn = barn();
    let skipped = load(&barn, &["--on-missing-upstream", "skip", "--json"]).ok();
    let line = &skipped.json()[0];
    assert_eq!((line["outcome"].as_str(), line["address"].is_null()), (Some("missing"), true), "{skipped:#?}");
    assert!(line["reason"].as_str().unwrap().contains("its upstream md test/ONE"), "{skipped:#?}");
    load(&barn, &["--on-missing-upstream", "fail"]).failed(1, &["2 of 2 partitions", "its upstream md test/ONE"]);
    load(&barn, &["--mode", "Read"]).failed(1, &["its upstream md test/ONE"]);
    assert_eq!((barn.calls(), copies(&barn)), (0, 0));
}

#[test]
fn what_fails_upstream_is_said_with_its_own_log() {
    let barn = barn();
    barn.script("echo 'no such feed' >&2; exit 7");
    let ran = load(&barn, &["--on-failure", "skip", "--json"]).ok();
    let failed: Vec<_> = ran.json().into_iter().filter(|line| line["outcome"] == "failed" && line["dataset"] == "copies").collect();
    assert_eq!((failed.len(), failed[0]["failure"]["class"].as_str()), (2, Some("upstream")), "{ran:#?}");
    assert!(failed[0]["failure"]["message"].as_str().unwrap().contains("exit status 7: no such feed"), "{ran:#?}");
    let text = load(&barn, &["--on-failure", "skip"]).ok();
    assert!(text.stderr.contains("upstream  failed  md test/ONE") && text.stderr.contains("tickbarn logs "), "{text:#?}");
    load(&barn, &[]).failed(1, &["md test/ONE", "no such feed"]);
}

#[test]
fn circles_and_splits_that_do_not_fit_name_their_line() {
    let barn = barn();
    barn.edit("[dataset.md.config]", "inputs = [\"copies\"]\n[dataset.md.config]");
    load(&barn, &[]).failed(2, &["tickbarn.toml:", "would be derived from itself: md → copies → md"]);
    barn.edit("inputs = [\"copies\"]\n", "");
    barn.edit("inputs = [\"md\"]\nsplit = \"1h\"", "inputs = [\"md\"]\nsplit = \"90m\"");
    load(&barn, &[]).failed(2, &["tickbarn.toml:", "its partitions (90m) do not fit those of dataset md (1h)", "neither length divides the other"]);
    barn.edit("inputs = [\"md\"]", "inputs = [\"mdd\"]");
    load(&barn, &[]).failed(2, &["there is no dataset mdd (did you mean md?)"]);
}
