//! What is missing and what fails: exit statuses, last lines, and what is tried again.

use crate::support::{Barn, COPIES};

/// Fails the second hour.
const SECOND_FAILS: &str = r#"case "$3" in *T01*) echo going; echo "no such feed" >&2; exit 7;; esac; cp "$1" "$2""#;

#[test]
fn a_failure_stops_the_load_and_what_finished_is_kept() {
    let barn = Barn::new(SECOND_FAILS);
    let ran = barn.load(3, &["--json", "--jobs", "1"]);
    let ran = ran.failed(1, &["md test/ONE", "exit status 7", "no such feed", "tickbarn logs "]);
    let failed = ran.json().into_iter().find(|line| line["outcome"] == "failed").unwrap();
    assert_eq!(failed["failure"]["class"], "exit");
    assert!(failed["failure"]["message"].as_str().unwrap().contains("no such feed"));
    let summary = ran.summary();
    assert_eq!((summary["requested"].as_u64(), summary["failed"].as_u64(), summary["stopped"].as_str()), (Some(3), Some(1), Some("failed")));
    assert_eq!(barn.load(1, &["--json"]).ok().outcomes(), ["hit"]);
    let text = barn.load(3, &["--jobs", "1"]).failed(1, &["--on-failure skip"]);
    assert_eq!(text.stdout, "Read 1 out of 3 (33.33%)\n");
}

#[test]
fn a_failure_that_is_skipped_is_shown_with_the_next_command() {
    let barn = Barn::new(SECOND_FAILS);
    let ran = barn.load(3, &["--on-failure", "skip"]).ok();
    assert_eq!(ran.stdout.lines().last(), Some("Read 2 out of 3 (66.67%)"));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let at = lines.iter().position(|line| line.contains("failed  md test/ONE 2024-01-01 01:00 to 02:00: ")).unwrap_or_else(|| panic!("{ran:#?}"));
    assert!(lines[at].ends_with("no such feed (exit)"), "{}", lines[at]);
    let command: Vec<&str> = lines[at + 1].split_whitespace().collect();
    assert_eq!(command[..2], ["tickbarn", "logs"]);
    let logs = barn.run(&command[1..]).ok();
    assert!(logs.stdout.contains("no such feed\n") && logs.stdout.contains("going\n"), "{logs:#?}");
}

#[test]
fn a_recorded_failure_is_tried_again_as_asked() {
    let barn = Barn::new(SECOND_FAILS);
    barn.load(2, &["--on-failure", "skip"]).ok();
    let calls = barn.calls();
    for retry in ["never", "1h"] {
        let ran = barn.load(2, &["--on-failure", "skip", "--retry-failed", retry, "--json"]).ok();
        assert_eq!(ran.json()[1]["recorded"], true);
        assert_eq!(barn.calls(), calls);
    }
    barn.load(2, &["--on-failure", "skip", "--retry-failed", "1ms"]).ok();
    assert_eq!(barn.calls(), calls + 1);
    let text = barn.load(2, &["--on-failure", "skip", "--retry-failed", "never"]).ok();
    assert!(text.stderr.contains("earlier, not tried again"), "{text:#?}");
}

#[test]
fn what_is_missing_stops_or_is_left_out() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let calls = barn.calls();
    let stopped = barn.load(3, &["--on-missing", "fail"]).failed(1, &["2 of 3 partitions", "--on-missing generate"]);
    assert!(stopped.stdout.starts_with("Read ") && stopped.stdout.lines().count() == 1, "{stopped:#?}");
    let json = barn.load(3, &["--on-missing", "fail", "--json"]).failed(1, &["2 of 3 partitions"]);
    assert_eq!(json.outcomes(), ["hit", "missing", "missing"], "a program is told of each");
    assert_eq!((json.summary()["missing"].as_u64(), json.summary()["stopped"].as_str()), (Some(2), Some("missing")));
    let skipped = barn.load(3, &["--on-missing", "skip"]).ok();
    assert_eq!(skipped.stdout.lines().last(), Some("Read 1 out of 3 (33.33%)"));
    assert_eq!(skipped.stderr.matches("] missing  md test/ONE").count(), 2, "{skipped:#?}");
    assert_eq!(barn.calls(), calls, "nothing was generated");
}

#[test]
fn modes_are_what_they_were() {
    // The first hour is there, the second fails, the third is missing.
    for (mode, status, outcomes, calls) in [
        ("Default", 0, vec!["hit", "failed", "generated"], 2),
        ("Read", 1, vec!["hit", "missing", "missing"], 0),
        ("ReadIgnoreErrors", 0, vec!["hit", "missing", "missing"], 0),
        ("Write", 1, vec!["generated", "failed"], 2),
        ("WriteIgnoreErrors", 0, vec!["generated", "failed", "generated"], 3),
    ] {
        let barn = Barn::new(SECOND_FAILS);
        barn.load(1, &[]).ok();
        let before = barn.calls();
        let ran = barn.load(3, &["--mode", mode, "--json", "--jobs", "1"]);
        assert_eq!((ran.status, ran.outcomes()), (status, outcomes.into_iter().map(str::to_owned).collect()), "{mode}: {ran:#?}");
        let made = barn.calls() - before;
        // Where a failure stops the load, the next one may have begun.
        assert!(made == calls || mode == "Write" && made == calls + 1, "{mode}: {made}");
    }
}

#[test]
fn flags_beat_the_mode() {
    let barn = Barn::new(SECOND_FAILS);
    barn.load(1, &[]).ok();
    let ran = barn.load(3, &["--mode", "ReadIgnoreErrors", "--on-missing", "generate", "--json"]).ok();
    assert_eq!(ran.outcomes(), ["hit", "failed", "generated"]);
    barn.load(3, &["--mode", "WriteIgnoreErrors", "--on-failure", "fail"]).failed(1, &["exit status 7"]);
    barn.load(3, &["--mode", "Read", "--refresh"]).failed(2, &["--refresh", "leave one of them out"]);
    barn.load(3, &["--mode", "Sometimes"]).failed(2, &["ReadIgnoreErrors"]);
}
