//! Looking at a store: ls, show, logs and path.

use std::fs;
use std::process::Stdio;

use crate::support::{Barn, COPIES, Ran, Samples, finished, tickbarn};

/// The second hour fails, the third is empty.
const MIXED: &str = r#"echo "made $3"; case "$3" in *T01*) echo broken >&2; exit 7;; *T02*) exit 3;; esac; cp "$1" "$2""#;

fn mixed() -> Barn {
    let barn = Barn::new(MIXED);
    barn.load(4, &["--on-failure", "skip"]).ok();
    barn
}

/// Runs a command on the store alone, far from the dataset file.
fn far(barn: &Barn, arguments: &[&str]) -> Ran {
    let elsewhere = tempfile::tempdir().unwrap();
    finished(tickbarn(elsewhere.path()).arg("--store").arg(barn.at("barn")).args(arguments))
}

#[test]
fn ls_lists_entries_in_order_and_by_what_is_asked() {
    let barn = mixed();
    let all = far(&barn, &["ls"]).ok();
    let lines: Vec<&str> = all.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{all:#?}");
    assert!(lines[0].starts_with("dataset  instrument  start (UTC)       end"), "{}", lines[0]);
    assert!(lines[1].starts_with("md       test/ONE    2024-01-01 00:00  01:00"), "{}", lines[1]);
    assert!(lines[2].contains("2024-01-01 02:00  03:00  empty       0 B"), "{}", lines[2]);
    assert!(lines[1].ends_with(&barn.address(0)[..12]), "{}", lines[1]);
    assert!(all.stderr.starts_with("3 entries, "), "{}", all.stderr);

    let count = |arguments: &[&str]| far(&barn, &[&["ls", "--json"], arguments].concat()).ok().json().len();
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&["--instrument", "test/TWO"]), 0);
    assert_eq!(count(&["--instrument", "test/TWO", "--instrument", "test/ONE"]), 3);
    assert_eq!(count(&["--dataset", "md", "--start", "2024-01-01T00:30:00Z", "--end", "2024-01-01T02:30:00Z"]), 2, "what overlaps");
    assert_eq!(count(&["--start", "2024-01-01T03:00:00Z"]), 1);
    let none = far(&barn, &["ls", "--dataset", "features"]).ok();
    assert!(none.stdout.is_empty() && none.stderr.contains("none of 3 entries matches; the store holds the datasets md"), "{none:#?}");
    far(&barn, &["ls", "--start", "2024-01-02", "--end", "2024-01-01"]).failed(2, &["start must be before its end"]);

    let entry = &far(&barn, &["ls", "--json"]).ok().json()[0];
    assert_eq!(
        (entry["type"].as_str(), entry["instrument"].as_str(), entry["start"].as_str()),
        (Some("entry"), Some("test/ONE"), Some("2024-01-01T00:00:00Z"))
    );
    assert_eq!(entry["outputs"]["trades"]["bytes"], fs::read(Samples::get().one()).unwrap().len());
}

#[test]
fn ls_lists_failures() {
    let barn = mixed();
    barn.load(4, &["--on-failure", "skip"]).ok();
    let table = far(&barn, &["ls", "--failed"]).ok();
    let line = table.stdout.lines().nth(1).unwrap();
    assert!(line.starts_with("md       test/ONE    2024-01-01 01:00  02:00") && line.contains("  2  ") && line.ends_with("broken"), "{line}");
    let failure = &far(&barn, &["ls", "--failed", "--json"]).ok().json()[0];
    assert_eq!((failure["count"].as_u64(), failure["failure"]["class"].as_str()), (Some(2), Some("exit")));
}

#[test]
fn an_empty_store_says_what_fills_it() {
    let barn = Barn::new(COPIES);
    // Reading alone makes no store: a mistyped place is to be said.
    barn.load(1, &["--on-missing", "skip"]).failed(2, &["is not a tickbarn store"]);
    assert!(!barn.at("barn").exists());
    tickbarn::Store::open(barn.at("barn")).unwrap();
    let ran = far(&barn, &["ls"]).ok();
    assert!(ran.stdout.is_empty() && ran.stderr.contains("`tickbarn load` fills it"), "{ran:#?}");
    assert!(far(&barn, &["ls", "--failed"]).ok().stderr.contains("no failures"));
}

#[test]
fn path_is_made_for_a_shell() {
    let barn = mixed();
    let address = barn.address(0);
    let one = far(&barn, &["path", &address[..8]]).ok();
    assert_eq!(fs::read(one.stdout.trim_end()).unwrap(), fs::read(Samples::get().one()).unwrap());
    assert_eq!(far(&barn, &["path", &address.to_uppercase(), "trades"]).ok().stdout, one.stdout);
    let json = &far(&barn, &["path", &address[..8], "--json"]).ok().json()[0];
    assert_eq!((json["path"].as_str(), json["output"].as_str()), (Some(one.stdout.trim_end()), Some("trades")));
    far(&barn, &["path", &address[..8], "orderbook"]).failed(2, &["\"orderbook\"", "it has trades"]);
    far(&barn, &["path", &barn.address(1)[..8]]).failed(1, &["failed and has no files", "tickbarn logs"]);
    far(&barn, &["path", &barn.address(2)[..8]]).failed(1, &["no files", "no data"]);

    fs::remove_file(one.stdout.trim_end()).unwrap();
    far(&barn, &["path", &address[..8]]).failed(1, &["is gone", "tickbarn load"]);
}

#[test]
fn path_names_several_outputs() {
    let barn = Barn::new("cp \"$1\" \"$2\"; cp \"$1\" \"${2%trades.parquet}orderbook.parquet\"");
    barn.edit("outputs = {", "outputs = { orderbook = \"orderbook.parquet\",");
    barn.load(1, &[]).ok();
    let address = barn.address(0);
    let both = far(&barn, &["path", &address]).ok();
    let names: Vec<&str> = both.stdout.lines().map(|line| line.split_once('\t').unwrap().0).collect();
    assert_eq!(names, ["orderbook", "trades"]);
    assert_eq!(far(&barn, &["path", &address, "trades"]).ok().stdout.lines().count(), 1);
}

#[test]
fn addresses_are_given_by_unique_beginnings() {
    let barn = mixed();
    let address = barn.address(0);
    for command in ["show", "logs", "path"] {
        far(&barn, &[command, &address[..4]]).ok();
        far(&barn, &[command, &address[..3]]).failed(2, &["at least 4", "tickbarn ls"]);
        far(&barn, &[command, "../../STORE"]).failed(2, &["is not an address"]);
        far(&barn, &[command, &format!("{:0>8}", "")]).failed(2, &["no entry", "tickbarn ls"]);
    }
}

#[test]
fn show_tells_an_entry_whole() {
    let barn = mixed();
    let address = barn.address(0);
    let shown = far(&barn, &["show", &address[..8]]).ok().stdout;
    for said in [
        "md  test/ONE  2024-01-01 00:00 to 01:00 UTC",
        &address,
        "Output trades: ",
        "traded_imbalance",
        "config.levels",
        "inputs.script.content",
        "'{config.levels}'",
        "exit status",
        "made 2024-01-01T00:00:00Z",
        &format!("tickbarn logs {}", &address[..12]),
    ] {
        assert!(shown.contains(said), "{said:?} is not in\n{shown}");
    }
    let json = &far(&barn, &["show", &address, "--json"]).ok().json()[0];
    assert_eq!((json["type"].as_str(), json["address"].as_str()), (Some("entry"), Some(address.as_str())));
    assert_eq!(json["key"]["generator"]["config"]["levels"], 40);
    assert_eq!(json["log"]["stdout"]["text"], "made 2024-01-01T00:00:00Z\n");
    assert!(fs::exists(json["outputs"]["trades"]["path"].as_str().unwrap()).unwrap());
}

#[test]
fn show_and_logs_tell_of_a_failure_also_beside_an_entry() {
    let barn = mixed();
    let failed = barn.address(1);
    let shown = far(&barn, &["show", &failed]).ok().stdout;
    assert!(shown.contains("exit status 7") && shown.contains("config.levels") && shown.contains("class"), "{shown}");
    let logs = far(&barn, &["logs", &failed]).ok().stdout;
    assert!(logs.contains("==> standard error: 7 B <==\nbroken\n") && logs.contains("made 2024-01-01T01:00:00Z\n"), "{logs}");

    // A refresh that fails leaves the entry, and its own trace.
    let entry = barn.address(0);
    let before = far(&barn, &["logs", &entry, "--json"]).ok().json();
    assert_eq!((before.len(), before[0]["of"].as_str(), before[0]["stdout"]["bytes"].as_u64()), (1, Some("entry"), Some(26)));
    barn.edit("script = \"gen.sh\"", "script = { path = \"gen.sh\", fingerprint = \"none\" }");
    barn.load(1, &[]).ok();
    let entry = barn.address(0);
    barn.script("echo other >&2; exit 9");
    barn.load(1, &["--refresh", "--on-failure", "skip"]).ok();
    let both = far(&barn, &["logs", &entry, "--json"]).ok().json();
    assert_eq!(both.iter().map(|log| log["of"].as_str().unwrap()).collect::<Vec<_>>(), ["entry", "failure"]);
    let shown = far(&barn, &["show", &entry]).ok().stdout;
    assert!(shown.contains("Output trades") && shown.contains("exit status 9"), "{shown}");
    far(&barn, &["path", &entry]).ok();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let barn = mixed();
    let address = barn.address(0);
    for arguments in [&["ls", "--json"][..], &["ls"], &["show", &address], &["logs", &address], &["path", &address]] {
        let mut child = tickbarn(barn.path()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains("error") && !stderr.contains("panic"), "{arguments:?}: {output:?}");
    }
}
