//! `tickbarn view`: what other tools see of a store, and what of a directory is ever touched.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Barn, COPIES, Ran, Running, finished};

/// The files of a view by their paths below it, but for what it keeps for itself.
fn shown(directory: &Path) -> Vec<String> {
    fn collect(root: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                collect(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(directory, directory, &mut found);
    found.retain(|path| !path.starts_with(".tickbarn-view"));
    found.sort();
    found
}

fn hour(hour: usize) -> String {
    format!("md/market=test/pair=ONE/start=2024-01-01T{hour:02}:00:00Z/trades.parquet")
}

fn hours(count: usize) -> Vec<String> {
    (0..count).map(hour).collect()
}

fn sums(ran: &Ran) -> Value {
    ran.summary()
}

#[test]
fn duckdb_pyarrow_and_polars_see_the_rows_of_the_manifests_and_open_only_what_a_filter_leaves() {
    let python = std::env::var("TICKBARN_FOREIGN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import pyarrow, duckdb, polars"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!(
            "skipped: {python} has no pyarrow, duckdb and polars; install tests/frames/foreign/requirements.txt and set TICKBARN_FOREIGN_PYTHON"
        );
        return;
    }
    let barn = Barn::new(r#"case "$3" in *T01*) cp "$4/other.parquet" "$2";; *) cp "$1" "$2";; esac"#);
    barn.write("other.parquet", &fs::read(crate::support::Samples::get().other()).unwrap());
    for instrument in ["test/ONE", "bin é/BTC USD=50%/_x"] {
        barn.run(&["load", "md", "-i", instrument, "--start", "2024-01-01", "--end", "2024-01-01T03:00:00Z"]).ok();
    }
    let view = barn.at("shown");
    let made = barn.run(&["view", "shown", "--json"]).ok();
    assert_eq!((made.json().len(), sums(&made)["made"].as_u64()), (7, Some(6)), "{made:#?}");

    // What starts later must not even be opened.
    let late: Vec<String> = shown(&view).into_iter().filter(|path| path.contains("T02")).collect();
    assert_eq!(late.len(), 2);
    for path in late {
        fs::remove_file(view.join(&path)).unwrap();
        fs::write(view.join(&path), "no table").unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/read_view.py");
    let md = view.join("md");
    let ran = finished(Command::new(&python).arg(script).arg(&md).args(["trades", "2024-01-01T02:00:00+00:00"])).ok();
    let read: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut expected: Vec<Value> = Vec::new();
    for line in barn.run(&["ls", "--json", "--end", "2024-01-01T02:00:00Z"]).ok().json() {
        let (market, pair) = line["instrument"].as_str().unwrap().split_once('/').unwrap();
        let start = line["start"].as_str().unwrap().replace('Z', "+00:00");
        expected.push(json!([market, pair, start, line["outputs"]["trades"]["rows"]]));
    }
    expected.sort_by_key(ToString::to_string);
    assert_eq!(expected.len(), 4);
    for reader in ["duckdb", "pyarrow", "polars"] {
        let mut rows = read[reader].as_array().unwrap().clone();
        rows.sort_by_key(ToString::to_string);
        assert_eq!(rows, expected, "{reader}");
    }
}

#[test]
fn a_view_is_brought_up_to_date_in_place_and_touches_nothing_else() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    let view = barn.at("shown");
    let made = barn.run(&["view", "shown"]).ok();
    assert!(made.stdout.contains("trades") && made.stderr.contains("2 files of 2 entries, hard links; 2 made"), "{made:#?}");
    assert!(made.stderr.contains("duckdb -c"), "{made:#?}");
    assert_eq!(shown(&view), hours(2));
    let linked = view.join(hour(0)).metadata().unwrap();
    assert_eq!((linked.nlink(), linked.mode() & 0o777), (3, 0o444), "no bytes are copied: two hours and the store's own name");

    let list = fs::read(view.join(".tickbarn-view")).unwrap();
    let again = barn.run(&["view", "shown"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again:#?}");
    assert_eq!(fs::read(view.join(".tickbarn-view")).unwrap(), list);

    // Files of the user's own, one of them where a directory goes that is no longer needed.
    fs::write(view.join("notes.txt"), "mine").unwrap();
    let beside = view.join(hour(0)).with_file_name("mine.parquet");
    fs::write(&beside, "mine").unwrap();
    barn.load(3, &[]).ok();
    let later = barn.run(&["view", "shown", "--start", "2024-01-01T01:00:00Z", "--json"]).ok();
    assert_eq!((sums(&later)["made"].as_u64(), sums(&later)["removed"].as_u64()), (Some(1), Some(1)), "{later:#?}");
    assert_eq!(fs::read_to_string(&beside).unwrap(), "mine");
    fs::remove_file(&beside).unwrap();
    fs::remove_file(view.join("notes.txt")).unwrap();
    let other = barn.run(&["view", "shown", "--layout", "plain", "--link", "symbolic"]).ok();
    assert!(other.stderr.contains("symbolic links; 3 made, 2 removed"), "{other:#?}");
    let plain: Vec<String> = (0..3).map(|hour| format!("md/test/ONE/2024-01-01T{hour:02}:00:00Z/trades.parquet")).collect();
    assert_eq!(shown(&view), plain, "nothing is left of the other layout");
    assert!(!view.join("md/market=test").exists(), "nor of its directories");
    assert!(fs::read_link(view.join(&plain[0])).unwrap().starts_with(barn.path().canonicalize().unwrap().join("barn/artifacts")));
    let nothing = barn.run(&["view", "shown", "-i", "test/OTHER"]).ok();
    assert!(nothing.stderr.contains("0 files of 0 entries"), "{nothing:#?}");
    assert!(!view.join("md").exists());
    barn.run(&["verify", "--digest"]).ok();
}

#[test]
fn what_the_dataset_file_no_longer_defines_is_left_out_and_told() {
    let barn = Barn::new(COPIES);
    barn.load(3, &[]).ok();
    barn.edit("levels = 40", "levels = 20");
    barn.load(1, &[]).ok();
    let address = barn.address(0);
    let view = barn.at("shown");
    let made = barn.run(&["view", "shown"]).ok();
    assert!(made.stderr.contains("3 entries left out") && made.stderr.contains("--latest"), "{made:#?}");
    assert_eq!(shown(&view), hours(1));
    let line = barn.run(&["view", "shown", "--json"]).ok().json().remove(0);
    assert_eq!(line["address"], address, "the one that is defined now");

    // Without a file, or where it does not count, the one that was made last, and each time once.
    let (latest, without) = (["view", "shown", "--latest", "--json"], ["--store", "elsewhere/barn", "view", "view", "--json"]);
    let latest = barn.run(&latest).ok();
    assert_eq!((shown(&view), sums(&latest)["left_out"]["same_time"].as_u64()), (hours(3), Some(1)), "{latest:#?}");
    fs::create_dir(barn.at("elsewhere")).unwrap();
    fs::rename(barn.at("barn"), barn.at("elsewhere/barn")).unwrap();
    let without = barn.run(&without).ok();
    assert_eq!((shown(&barn.at("view")), sums(&without)["left_out"]["other_definition"].as_u64()), (hours(3), Some(0)), "{without:#?}");
    let first = without.json().remove(0);
    assert_eq!(first["address"], address);
    fs::rename(barn.at("elsewhere/barn"), barn.at("barn")).unwrap();

    // A generator that is not there cannot be compared, and nothing is guessed.
    fs::remove_file(barn.at("gen.sh")).unwrap();
    barn.run(&["view", "shown"]).failed(2, &["gen.sh", "--latest"]);
    assert_eq!(shown(&view), hours(3), "nothing changed");
    barn.run(&["view", "shown", "--latest"]).ok();
}

#[test]
fn what_is_derived_is_shown_as_it_follows_from_what_is_there_now() {
    let barn = Barn::new(COPIES);
    // What it reads is linked into a view just then, which changes its status and not what it is.
    let copies = r#"
[dataset.copies]
command = ["/bin/sh", "-c", "ln \"$1\" shown && cp \"$1\" \"$2\"", "sh", "{upstream.md.trades}", "{output.copy}"]
outputs = { copy = "copy.parquet" }
inputs = ["md"]
split = "1h"
"#;
    let text = fs::read_to_string(barn.at("tickbarn.toml")).unwrap() + copies;
    barn.write("tickbarn.toml", text.as_bytes());
    let load = || barn.run(&["load", "copies", "-i", "test/ONE", "--start", "2024-01-01", "--end", "2024-01-01T02:00:00Z"]).ok();
    load();
    let copies = |view: &Path| shown(view).into_iter().filter(|path| path.starts_with("copies/")).count();
    let view = barn.at("shown");
    barn.run(&["view", "shown"]).ok();
    assert_eq!((copies(&view), shown(&view).len()), (2, 4));
    // Other bytes upstream: what was derived from the old ones follows from nothing any more.
    fs::copy(crate::support::Samples::get().other(), barn.at("sample.parquet")).unwrap();
    barn.load(1, &[]).ok();
    barn.run(&["view", "shown"]).ok();
    assert_eq!((copies(&view), shown(&view).len()), (0, 1));
    load();
    barn.run(&["view", "shown"]).ok();
    assert_eq!((copies(&view), shown(&view).len()), (2, 4));
}

#[test]
fn entries_without_data_have_no_file_and_take_the_place_of_older_ones() {
    let barn = Barn::new(r#"case "$3" in *T01*) exit 3;; *) cp "$1" "$2";; esac"#);
    barn.load(2, &[]).ok();
    let made = barn.run(&["view", "shown"]).ok();
    assert!(made.stderr.contains("1 entry without a file"), "{made:#?}");
    assert_eq!(shown(&barn.at("shown")), hours(1));
}

#[test]
fn a_place_that_is_somebody_elses_is_refused_and_left_alone() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    fs::create_dir(barn.at("full")).unwrap();
    barn.write("full/thesis.txt", b"mine");
    let before = barn.tree();
    barn.run(&["view", "full"]).failed(2, &["full", "thesis.txt", "choose an empty directory"]);
    barn.run(&["view", "barn/shown"]).failed(2, &["it lies in the store"]);
    barn.run(&["view", "barn"]).failed(2, &["it lies in the store"]);
    barn.run(&["view", "tickbarn.toml"]).failed(2, &["it is a file"]);
    barn.run(&["view", "shown", "-d", "mdd"]).failed(2, &["no dataset \"mdd\"", "md"]);
    barn.run(&["view", "shown", "--layout", "hives"]).failed(2, &["hive, plain"]);
    assert_eq!(barn.tree().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());

    barn.run(&["view", "shown"]).ok();
    let other = Barn::new(COPIES);
    other.load(1, &[]).ok();
    let shown_at = barn.at("shown");
    other.run(&["view", shown_at.to_str().unwrap()]).failed(2, &["it shows another store"]);
    let list = barn.at("shown/.tickbarn-view");
    fs::write(&list, fs::read_to_string(&list).unwrap().replace("ONE", "TWO")).unwrap();
    barn.run(&["view", "shown"]).failed(2, &["checksum", "remove the directory"]);
    assert_eq!(shown(&shown_at), hours(1));
}

#[test]
fn what_stands_in_the_way_stays_and_is_told() {
    let barn = Barn::new(COPIES);
    barn.load(3, &[]).ok();
    let view = barn.at("shown");
    barn.run(&["view", "shown"]).ok();
    // A user's table under a name of ours, a directory there, and a link in the place of a directory.
    let mine = view.join(hour(0));
    fs::remove_file(&mine).unwrap();
    fs::write(&mine, "mine").unwrap();
    fs::remove_file(view.join(hour(1))).unwrap();
    fs::create_dir(view.join(hour(1))).unwrap();
    let outside = barn.at("outside");
    fs::create_dir(&outside).unwrap();
    let directory = view.join(hour(2)).parent().unwrap().to_path_buf();
    fs::remove_dir_all(&directory).unwrap();
    std::os::unix::fs::symlink(&outside, &directory).unwrap();
    let ran = barn.run(&["view", "shown", "--json"]).failed(1, &["3 files are not shown", "move it away"]);
    assert_eq!(ran.json().iter().filter(|line| line["type"] == "in-the-way").count(), 3, "{ran:#?}");
    let emptied = barn.run(&["view", "shown", "-i", "test/OTHER"]).ok();
    assert!(emptied.stderr.contains("nothing to do"), "{emptied:#?}");
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    assert!(view.join(hour(1)).is_dir() && directory.is_symlink());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn another_file_system_is_shown_by_symbolic_links_which_go_when_their_artifacts_did() {
    let barn = Barn::new(COPIES);
    let memory = Path::new("/dev/shm");
    if !memory.metadata().is_ok_and(|metadata| metadata.dev() != barn.path().metadata().unwrap().dev()) {
        println!("skipped: /dev/shm is no other file system");
        return;
    }
    let Ok(elsewhere) = tempfile::tempdir_in(memory) else {
        println!("skipped: /dev/shm cannot be written to");
        return;
    };
    barn.load(2, &[]).ok();
    let view = elsewhere.path().join("shown");
    let path = view.to_str().unwrap();
    barn.run(&["view", path, "--link", "hard"]).failed(1, &["--link symbolic"]);
    let made = barn.run(&["view", path]).ok();
    assert!(made.stderr.contains("symbolic links"), "{made:#?}");
    assert!(fs::read(view.join(hour(1))).is_ok_and(|bytes| bytes.starts_with(b"PAR1")));
    barn.run(&["gc", "-d", "md", "--grace", "0s"]).ok();
    assert!(fs::read(view.join(hour(1))).is_err());
    let after = barn.run(&["view", path]).ok();
    assert!(after.stderr.contains("2 removed"), "{after:#?}");
    assert!(shown(&view).is_empty());
}

#[test]
fn collecting_leaves_what_a_hard_link_shows_until_the_view_is_brought_up_to_date() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let view = barn.at("shown");
    barn.run(&["view", "shown"]).ok();
    // Being shown counts as no use, and keeps nothing.
    barn.run(&["gc", "-d", "md", "--grace", "0s"]).ok();
    assert!(barn.run(&["ls", "--json"]).ok().json().is_empty());
    assert!(fs::read(view.join(hour(0))).is_ok_and(|bytes| bytes.starts_with(b"PAR1")));
    // Made again it is another file of the same bytes: the view then holds that one.
    barn.load(1, &[]).ok();
    let again = barn.run(&["view", "shown", "--json"]).ok();
    assert_eq!(sums(&again)["replaced"].as_u64(), Some(1), "{again:#?}");
    assert_eq!(view.join(hour(0)).metadata().unwrap().nlink(), 2);
    barn.run(&["verify", "--digest", "--repair"]).ok();
    assert_eq!(shown(&view), hours(1));
}

#[test]
fn what_is_damaged_in_the_store_is_not_shown() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let artifact = PathBuf::from(barn.run(&["path", &barn.address(0)]).ok().stdout.trim());
    barn.run(&["view", "shown", "--link", "symbolic"]).ok();
    fs::remove_file(&artifact).unwrap();
    fs::write(&artifact, "half").unwrap();
    let ran = barn.run(&["view", "shown"]).ok();
    assert!(ran.stderr.contains("1 entry left out whose files are not as they should be"), "{ran:#?}");
    assert!(shown(&barn.at("shown")).is_empty());
}

#[test]
fn several_at_once_make_the_same_view() {
    let barn = Barn::new(COPIES);
    barn.load(12, &[]).ok();
    let running: Vec<Running> = (0..4).map(|_| Running::start(&mut barn.command(&["view", "shown", "--json"]))).collect();
    let made: u64 = running.into_iter().map(|running| sums(&running.end().ok())["made"].as_u64().unwrap()).sum();
    assert_eq!(made, 12, "each file is made once");
    assert_eq!(shown(&barn.at("shown")), hours(12));
}
