//! `tickbarn gc`: what goes, what stays, what it says before and after, and that nothing else is touched.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::machine::{has_program, skipped};
use crate::recovery::{EACH, made};
use crate::stored::{files_in, holds_what_its_names_say, nothing_is_left_over};
use crate::support::{Barn, COPIES, Ran, finished, send, tickbarn, wait_for};

/// Longer than the whole seconds in which use is known.
const A_SECOND: Duration = Duration::from_millis(1100);

/// Collects, and checks that the store is whole after that, whatever came of it.
#[track_caller]
fn gc(barn: &Barn, flags: &[&str]) -> Ran {
    let ran = barn.run(&[&["gc"], flags].concat());
    let verified = barn.run(&["verify", "--digest"]).ok();
    assert!(verified.stdout.trim_end().contains("no problems"), "{ran:#?} {verified:#?}");
    holds_what_its_names_say(barn);
    ran
}

fn loaded(script: &str, hours: usize) -> Barn {
    let barn = Barn::new(script);
    barn.load(hours, &[]).ok();
    barn
}

/// Which of the first hours are still there.
#[track_caller]
fn hours_there(barn: &Barn, hours: usize) -> Vec<usize> {
    let outcomes = barn.load(hours, &["--json", "--on-missing", "skip"]).ok().outcomes();
    (0..hours).filter(|hour| outcomes[*hour] == "hit").collect()
}

fn entries(barn: &Barn) -> usize {
    files_in(barn, "entries").len()
}

/// Says more at the end of the dataset file.
fn append(barn: &Barn, text: &str) {
    let toml = fs::read_to_string(barn.at("tickbarn.toml")).unwrap();
    barn.write("tickbarn.toml", format!("{toml}\n{text}").as_bytes());
}

#[test]
fn a_dry_run_says_what_would_go_and_removes_nothing() {
    let barn = loaded(EACH, 4);
    let before = (files_in(&barn, "entries"), files_in(&barn, "artifacts"));
    let flags = ["--dataset", "md", "--grace", "0s"];
    let dry = gc(&barn, &[&flags[..], &["--dry-run"]].concat()).ok();
    let lines: Vec<&str> = dry.stdout.lines().collect();
    assert!(lines[0].starts_with("dataset ") && lines[0].ends_with("time to make again"), "{dry:#?}");
    assert!(lines[1].starts_with("md ") && lines[2].starts_with("total ") && lines[2].contains(" 4 "), "{dry:#?}");
    assert!(dry.stdout.ends_with("\ndry run: nothing was removed; run without --dry-run to remove it\n"), "{dry:#?}");
    assert_eq!((files_in(&barn, "entries"), files_in(&barn, "artifacts")), before);

    let ran = gc(&barn, &flags).ok();
    assert_eq!(ran.stdout.lines().take(3).collect::<Vec<_>>(), lines[..3], "what was said is what goes");
    assert!(ran.stdout.lines().last().unwrap().starts_with("removed 4 entries: ") && !ran.stdout.contains("dry run"), "{ran:#?}");
    assert_eq!((entries(&barn), files_in(&barn, "artifacts").len()), (0, 0));
    nothing_is_left_over(&barn);
    assert_eq!(barn.load(4, &["--json"]).ok().outcomes(), ["generated"; 4], "what is gone is made again");
}

#[test]
fn space_is_made_down_to_the_low_water_mark_and_the_dearest_stays() {
    let slow_second = format!(r#"case "$3" in *T02*) sleep 0.5;; esac; {EACH}"#);
    let barn = loaded(&slow_second, 4);
    let size = made(0).len() as u64;
    let bytes = |entries: u64| (entries * size).to_string();
    let there = |flags: &[&str]| {
        gc(&barn, &[flags, &["--grace", "0s"]].concat()).ok();
        entries(&barn)
    };
    assert_eq!(there(&["--max-bytes", &bytes(4)]), 4, "it is not too large");
    assert_eq!(there(&["--max-bytes", &(bytes(4).parse::<u64>().unwrap() - 1).to_string(), "--low-water", "100%"]), 3);
    assert_eq!(there(&["--max-bytes", &(bytes(3).parse::<u64>().unwrap() - 1).to_string()]), 2, "90% of not quite three are two");
    assert_eq!(there(&["--max-bytes", &bytes(1), "--low-water", "100%"]), 1);
    assert_eq!(hours_there(&barn, 4), [2], "what took longest is worth most");
    let lru = loaded(EACH, 4);
    gc(&lru, &["--max-bytes", &bytes(2), "--low-water", "100%", "--order", "lru", "--grace", "0s"]).ok();
    assert_eq!(entries(&lru), 2);
}

#[test]
fn a_disk_that_is_too_full_takes_what_there_is_and_says_what_is_missing() {
    let barn = loaded(EACH, 3);
    assert!(gc(&barn, &["--min-free", "1B", "--grace", "0s"]).ok().stdout.starts_with("nothing to collect"));
    let kept = gc(&barn, &["--min-free", "99.9999%"]).ok();
    assert!(kept.stdout.contains("more would have to go to have 99.9999% of its disk free") && kept.stdout.contains("--grace"), "{kept:#?}");
    assert_eq!(entries(&barn), 3);
    let ran = gc(&barn, &["--min-free", "99.9999%", "--grace", "0s"]).ok();
    assert!(ran.stdout.contains("look for what else fills the disk"), "{ran:#?}");
    assert_eq!(entries(&barn), 0);
}

/// That older ones go is tested where the time can be chosen: use is known to ten minutes.
#[test]
fn what_was_used_lately_is_not_too_old() {
    let barn = loaded(EACH, 2);
    thread::sleep(A_SECOND);
    for age in ["1s", "10m", "30d"] {
        gc(&barn, &["--max-age", age, "--grace", "0s"]).ok();
        assert_eq!(entries(&barn), 2, "{age}");
    }
}

#[test]
fn what_a_later_one_has_superseded_goes_and_the_later_one_stays() {
    let barn = loaded(EACH, 2);
    thread::sleep(A_SECOND);
    barn.edit("levels = 40", "levels = 5");
    barn.load(1, &[]).ok();
    let lines = gc(&barn, &["--superseded", "--grace", "0s", "--json"]).ok().json();
    let [entry, summary] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!((&entry["reason"], &entry["start"]), (&Value::from("superseded"), &Value::from("2024-01-01T00:00:00Z")));
    assert_eq!(summary["removed"]["entries"], 1);
    assert_eq!(hours_there(&barn, 2), [0], "the later one");
    barn.edit("levels = 5", "levels = 40");
    assert_eq!(hours_there(&barn, 2), [1], "nothing has superseded that");
}

#[test]
fn failures_and_leftovers_go_and_no_entry_with_them() {
    let barn = loaded(EACH, 1);
    barn.script("echo broken >&2; exit 7");
    barn.load(3, &["--on-failure", "skip"]).ok();
    fs::create_dir_all(barn.at("barn/work").join("0".repeat(64)).join("attempt")).unwrap();
    fs::write(barn.at("barn/claims").join("0".repeat(64)), "").unwrap();
    fs::write(barn.at("barn/notes.txt"), "mine").unwrap();

    let ran = gc(&barn, &["--failures", "--grace", "0s"]).ok();
    assert!(ran.stdout.contains("records of failures      3 "), "{ran:#?}");
    assert!(ran.stdout.contains("3 records of failures: "), "{ran:#?}");
    assert!(barn.run(&["ls", "--failed"]).ok().stdout.is_empty());
    assert_eq!((entries(&barn), barn.names_in("claims").len()), (1, 1));

    let lines = gc(&barn, &["--leftovers", "--grace", "0s", "--json"]).ok().json();
    let kinds: Vec<&str> = lines.iter().filter(|line| line["type"] == "leftover").map(|line| line["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"work") && kinds.contains(&"claim"), "{lines:#?}");
    nothing_is_left_over(&barn);
    assert_eq!((entries(&barn), fs::read_to_string(barn.at("barn/notes.txt")).unwrap().as_str()), (1, "mine"));
}

#[test]
fn the_scope_names_what_goes() {
    let barn = Barn::new(EACH);
    barn.load(2, &["--instrument", "test/TWO"]).ok();
    assert_eq!(entries(&barn), 4);
    let instruments = |ran: &Ran| ran.json().iter().filter_map(|line| line["instrument"].as_str().map(str::to_owned)).collect::<Vec<_>>();
    let ran = gc(&barn, &["-i", "test/TWO", "--grace", "0s", "--json"]).ok();
    assert_eq!(instruments(&ran), ["test/TWO"; 2]);
    assert_eq!((entries(&barn), hours_there(&barn, 2)), (2, vec![0, 1]));
    let ran = gc(&barn, &["-i", "test/TWO", "-i", "test/ONE", "-d", "md", "--grace", "0s", "--json"]).ok();
    assert_eq!(instruments(&ran), ["test/ONE"; 2]);
}

#[test]
fn a_name_that_means_nothing_is_said_with_the_one_that_was_meant() {
    let barn = loaded(EACH, 1);
    for (flags, said) in [
        (["-d", "mb"], vec!["warning: ", "\"mb\"", "did you mean md?", "tickbarn.toml"]),
        (["-i", "test/one"], vec!["warning: ", "\"test/one\"", "did you mean test/ONE?"]),
        (["-d", "something-else"], vec!["warning: ", "\"something-else\""]),
    ] {
        let ran = gc(&barn, &[&flags[..], &["--grace", "0s"]].concat()).ok();
        assert!(said.iter().all(|said| ran.stderr.contains(said)), "{ran:#?}");
        assert_eq!((ran.stdout.lines().count(), entries(&barn)), (1, 1), "{ran:#?}");
    }
    // Defined, and nothing of it made: no slip.
    barn.edit("[dataset.md.unkeyed]", "[dataset.other]\ncommand = [\"true\"]\noutputs = { x = \"x.parquet\" }\nsplit = \"1h\"\n[dataset.md.unkeyed]");
    assert_eq!(gc(&barn, &["-d", "other", "--grace", "0s"]).ok().stderr, "");
}

#[test]
fn the_last_of_each_instrument_may_be_kept() {
    let barn = loaded(EACH, 4);
    let ran = gc(&barn, &["--dataset", "md", "--keep-last", "1", "--grace", "0s"]).ok();
    assert!(ran.stdout.contains("among the last 1 of their instrument        1"), "{ran:#?}");
    assert_eq!(hours_there(&barn, 4), [3]);
}

#[test]
fn what_is_pinned_in_use_or_new_stays_and_is_said_to() {
    let barn = Barn::new(r#"case "$3" in *T03*) touch "$4/begun"; while ! test -e "$4/go"; do sleep 0.01; done;; esac; cp "$1" "$2""#);
    barn.load(3, &[]).ok();
    barn.run(&["pin", "add", "paper", "-d", "md", "--end", "2024-01-01T01:00"]).ok();
    let new = gc(&barn, &["-d", "md", "--json"]).ok().summary();
    assert_eq!((new["kept"]["recent"].as_u64(), new["kept"]["pinned"].as_u64()), (Some(2), Some(1)), "{new}");
    let text = gc(&barn, &["-d", "md"]).ok();
    assert!(text.stdout.starts_with("nothing to collect") && text.stdout.contains("2 made or used in the last 1h 00m"), "{text:#?}");

    // A load that has read hour 1 and is busy with hour 3.
    let hours = ["load", "md", "-i", "test/ONE", "--end", "2024-01-01T04:00"];
    let reads = |start: &'static str| [&hours[..], &["--start", start]].concat();
    let mut busy = barn.command(&reads("2024-01-01T01:00")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("its generator", || barn.at("begun").exists());
    let ran = gc(&barn, &["-d", "md", "--grace", "0s"]).ok();
    assert!(ran.stdout.contains("in use by 1 running process") && ran.stdout.contains("pinned"), "{ran:#?}");
    barn.write("go", b"");
    assert!(busy.wait().unwrap().success());
    assert_eq!(hours_there(&barn, 4), [0, 1, 2, 3], "pinned, in use, in use, and just made");
    gc(&barn, &["-d", "md", "--grace", "0s"]).ok();
    assert_eq!(hours_there(&barn, 4), [0]);
}

#[test]
fn the_dataset_file_says_it_for_good() {
    let barn = loaded(EACH, 4);
    append(&barn, "[gc]\nkeep_last = 1\ngrace = \"0s\"\n");
    // A rule of its own leaves those of the file aside, and what protects goes on to count.
    let ran = gc(&barn, &["--max-age", "1h"]).ok();
    assert!(ran.stdout.starts_with("nothing to collect") && ran.stderr.is_empty(), "{ran:#?}");
    let kept = gc(&barn, &["--dataset", "md", "--grace", "1h", "--json"]).ok().summary();
    assert_eq!((kept["entries"].as_u64(), kept["kept"]["recent"].as_u64()), (Some(0), Some(4)), "{kept}");
    let ran = gc(&barn, &["--keep-last", "3"]).ok();
    assert!(!ran.stdout.contains("By [gc]"), "{ran:#?}");
    assert_eq!(entries(&barn), 3);
    let dry = gc(&barn, &["--dry-run"]).ok();
    assert!(dry.stdout.starts_with(&format!("By [gc] in {}:\n", barn.at("tickbarn.toml").display())), "{dry:#?}");
    gc(&barn, &[]).ok();
    assert_eq!(hours_there(&barn, 4), [3]);
    barn.edit("keep_last = 1", "keep_lats = 1");
    gc_fails(&barn, &[], &["tickbarn.toml:", "keep_lats", "keep_last"]);
}

#[track_caller]
fn gc_fails(barn: &Barn, flags: &[&str], said: &[&str]) {
    let before = barn.tree();
    let ran = barn.run(&[&["gc"], flags].concat()).failed(2, said);
    assert_eq!((ran.stdout.as_str(), barn.tree()), ("", before));
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let barn = loaded(EACH, 1);
    for (flags, said) in [
        (&["--max-bytes", "much"][..], &["--max-bytes", "\"much\"", "500GiB"][..]),
        (&["--max-bytes", "1GiB", "--low-water", "0%"], &["--low-water", "0%", "above 0%"]),
        (&["--max-bytes", "1GiB", "--low-water", "0.9"], &["--low-water", "90%"]),
        (&["--superseded", "--low-water", "50%"], &["--low-water", "--max-bytes"]),
        (&["--min-free", "100%"], &["--min-free", "below 100%"]),
        (&["--max-age", "a while"], &["--max-age", "30d"]),
        (&["--max-age", "0s"], &["--max-age", "30d"]),
        (&["--keep-last", "0"], &["--keep-last"]),
        (&["--failures", "--grace", "soon"], &["--grace", "1h"]),
        (&["--failures", "--grace=-1h"], &["--grace"]),
        (&["--failures", "--order", "fifo"], &["--order", "value, lru"]),
        (&["--instrument", "BTC"], &["--instrument", "\"BTC\"", "MARKET/PAIR"]),
        (&["--instrument", "a/\u{1b}[31m"], &["--instrument", "control character"]),
        (&["--superceded"], &["--superceded", "--superseded"]),
        (&[], &["nothing says what may go", "--max-bytes 500GiB --dry-run", "--dataset md --max-age 30d", "[gc]"]),
        (&["--grace", "0s", "--dry-run"], &["nothing says what may go"]),
        (&["--failures", "--store", "none"], &["none", "not a tickbarn store"]),
        (&["--failures", "--config", "none.toml"], &["none.toml", "no such file"]),
    ] {
        gc_fails(&barn, flags, said);
    }
}

#[test]
fn a_named_store_needs_no_dataset_file() {
    let barn = loaded(EACH, 2);
    let store = barn.at("barn");
    let empty = tempfile::tempdir().unwrap();
    let run = |flags: &[&str]| finished(tickbarn(empty.path()).args([&["gc"], flags].concat()));
    let store = store.to_str().unwrap();
    run(&["--failures"]).failed(2, &["no store is named", "--store"]);
    run(&["--store", store]).failed(2, &["nothing says what may go", "a tickbarn.toml"]);
    let ran = run(&["--store", store, "-d", "md", "-d", "other", "--grace", "0s"]).ok();
    assert!(ran.stderr.contains("\"other\"") && !ran.stderr.contains("tickbarn.toml"), "{ran:#?}");
    assert_eq!(entries(&barn), 0);
}

#[test]
fn the_lines_are_json_and_sum_up() {
    // All hours share one file, which is freed with the last of them.
    let barn = loaded(COPIES, 3);
    barn.script("exit 7");
    barn.load(5, &["--on-failure", "skip"]).ok();
    let size = fs::metadata(&files_in(&barn, "artifacts")[0]).unwrap().len();
    let flags = ["-d", "md", "--max-bytes", "0", "--failures", "--leftovers", "--grace", "0s", "--json"];
    for dry_run in [true, false] {
        let more: &[&str] = if dry_run { &["--dry-run"] } else { &[] };
        let ran = gc(&barn, &[&flags, more].concat()).ok();
        let (lines, summary) = (ran.json(), ran.summary());
        let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).cloned().collect::<Vec<Value>>();
        let sum = |lines: &[Value], field: &str| lines.iter().map(|line| line[field].as_u64().unwrap_or_else(|| panic!("{line}"))).sum::<u64>();
        let (entries, failures, leftovers) = (of("entry"), of("failure"), of("leftover"));
        assert_eq!(lines.len(), entries.len() + failures.len() + leftovers.len() + 1, "{lines:#?}");
        assert_eq!((entries.len(), summary["entries"].as_u64()), (3, Some(3)));
        assert_eq!((sum(&entries, "bytes"), sum(&entries, "bytes_freed"), summary["bytes"].as_u64()), (3 * size, size, Some(size)));
        assert_eq!(summary["failures"].as_u64(), Some(failures.len() as u64));
        assert_eq!(summary["failure_bytes"].as_u64(), Some(sum(&failures, "bytes")));
        assert_eq!(
            (summary["leftovers"].as_u64(), summary["leftover_bytes"].as_u64()),
            (Some(leftovers.len() as u64), Some(sum(&leftovers, "bytes")))
        );
        let seconds: f64 = entries.iter().map(|entry| entry["seconds"].as_f64().unwrap()).sum();
        assert!((summary["seconds"].as_f64().unwrap() - seconds).abs() < 1e-6, "{summary}");
        for entry in &entries {
            assert_eq!(
                (&entry["dataset"], &entry["instrument"], &entry["reason"]),
                (&"md".into(), &"test/ONE".into(), &"max-bytes".into()),
                "{entry}"
            );
            assert!(entry["value"].is_null() || entry["value"].as_f64().unwrap() >= 0.0, "{entry}");
            assert!(entry["last_used"].as_str().unwrap().ends_with('Z') && entry["address"].as_str().unwrap().len() == 64, "{entry}");
        }
        assert_eq!(
            (summary["dry_run"].as_bool(), summary["store_bytes"].as_u64(), summary["shortfall_bytes"].as_u64()),
            (Some(dry_run), Some(size), Some(0))
        );
        let removed = &summary["removed"];
        if dry_run {
            assert!(removed.is_null(), "{summary}");
        } else {
            for field in ["entries", "bytes", "failures"] {
                assert_eq!(removed[field], summary[field], "{summary}");
            }
            assert_eq!((&removed["kept"], &removed["cancelled"]), (&0.into(), &false.into()), "{summary}");
            assert!(removed["elapsed_seconds"].as_f64().unwrap() > 0.0);
        }
    }
    assert_eq!((entries(&barn), files_in(&barn, "artifacts").len()), (0, 0));
}

#[test]
fn nothing_to_do_is_said_in_a_line() {
    let barn = loaded(EACH, 1);
    for flags in [&["--max-bytes", "1GiB"][..], &["--failures", "--leftovers"], &["--superseded", "--dry-run"]] {
        let ran = gc(&barn, &[flags, &["--grace", "0s"]].concat()).ok();
        assert!(ran.stdout.lines().count() == 1 && ran.stdout.starts_with("nothing to collect in "), "{ran:#?}");
        assert_eq!(ran.stderr, "");
    }
    let ran = gc(&barn, &["--max-bytes", "1GiB", "--json"]).ok();
    let [summary] = &ran.json()[..] else { panic!("{ran:#?}") };
    assert_eq!((summary["entries"].as_u64(), summary["removed"]["entries"].as_u64()), (Some(0), Some(0)));
}

/// The disk that is too full may be the one that the log is on.
#[test]
fn it_goes_on_where_nobody_can_be_told() {
    if !Path::new("/dev/full").exists() {
        return skipped("it_goes_on_where_nobody_can_be_told", "there is no /dev/full");
    }
    let barn = loaded(EACH, 2);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = barn.command(&["gc", "-d", "md", "--grace", "0s"]);
    let ran = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("standard output cannot be written"), "{stderr}");
    assert_eq!(entries(&barn), 0);
    barn.run(&["verify", "--digest"]).ok();
}

/// The binary of its own, which the build puts beside this one where it is built at all.
fn small_binary() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_tickbarn")).with_file_name("tickbarn-gc");
    path.exists().then_some(path)
}

#[test]
fn the_small_binary_does_the_same() {
    let Some(binary) = small_binary() else {
        return skipped("the_small_binary_does_the_same", "tickbarn-gc is not built; `cargo test --workspace` builds it");
    };
    let barn = loaded(EACH, 3);
    append(&barn, "[gc]\nkeep_last = 1\n");
    let small = |flags: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(flags).current_dir(barn.path()).env_remove("TICKBARN_CONFIG").env_remove("TICKBARN_STORE");
        finished(command.stdin(Stdio::null()))
    };
    for flags in [
        &["--dry-run", "--json"][..],
        &["--dry-run", "--grace", "0s"],
        &["--dry-run", "--json", "-d", "md", "-d", "mb", "--grace", "0s"],
        &["--max-bytes", "nothing"],
        &["--superseded", "--low-water", "1%"],
    ] {
        let (one, other) = (gc(&barn, flags), small(flags));
        let said = |ran: &Ran| (ran.status, without_value(&ran.stdout), ran.stderr.replace("tickbarn-gc", "tickbarn gc"));
        assert_eq!(said(&one), said(&other));
    }
    let ran = small(&["--grace", "0s"]).ok();
    assert!(ran.stdout.contains("removed 2 entries: "), "{ran:#?}");
    assert_eq!(hours_there(&barn, 3), [2]);
    barn.run(&["verify", "--digest"]).ok();
    let help = small(&["--help"]).ok();
    assert!(help.stdout.contains("  tickbarn-gc --max-bytes 500GiB --dry-run") && help.stdout.contains("Exit status: 0 done"), "{help:#?}");
}

/// JSON lines without what time alone changes; anything else as it is.
fn without_value(stdout: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| Value::from(line));
    let mut lines: Vec<Value> = stdout.lines().map(parse).collect();
    lines.iter_mut().filter_map(Value::as_object_mut).for_each(|line| drop(line.remove("value")));
    lines
}

#[test]
fn the_help_holds_what_cannot_be_guessed() {
    let help = finished(tickbarn(Path::new("/")).args(["gc", "--help"])).ok().stdout;
    for said in [
        "What may go:",
        "What is kept:",
        "How:",
        "value = seconds to generate again × 1/(1 + hours since last use) ÷ bytes freed",
        "[gc] in tickbarn.toml",
        "Exit status: 0 done or nothing to do, 1 something failed or another collector is at work,",
        "shortfall_bytes",
        "17 3 * * *  tickbarn gc --config",
    ] {
        assert!(help.contains(said), "{said}: {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    let short = finished(tickbarn(Path::new("/")).args(["gc", "-h"])).ok().stdout;
    assert!(short.lines().count() < 60 && short.contains("tickbarn gc --dataset md"), "{short}");
}

/// Holds a lock of the store as another process would, until it is dropped.
struct Held(Child);

impl Held {
    fn hold(barn: &Barn, how: &str, lock: &str) -> Self {
        let held = barn.at("held");
        let mut command = Command::new("flock");
        command.arg(how).arg(barn.at("barn/leases").join(lock)).args(["/bin/sh", "-c", "touch \"$0\"; exec sleep 600"]).arg(&held);
        // Its children hold the lock as well, and all of them have to go.
        let child = command.process_group(0).stdin(Stdio::null()).spawn().unwrap();
        let held_by = Self(child);
        wait_for("the lock", || held.exists());
        held_by
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        Command::new("/bin/sh").args(["-c", &format!("kill -KILL -{}", self.0.id())]).status().ok();
        self.0.wait().ok();
    }
}

#[test]
fn one_collector_at_a_time() {
    if !has_program("flock") {
        return skipped("one_collector_at_a_time", "there is no flock");
    }
    let barn = loaded(EACH, 2);
    let held = Held::hold(&barn, "--exclusive", "collector.lock");
    let flags = ["gc", "-d", "md", "--grace", "0s"];
    barn.run(&flags).failed(1, &["another collector is at work in", &held.0.id().to_string()]);
    assert_eq!(entries(&barn), 2);
    drop(held);
    gc(&barn, &flags[1..]).ok();
    assert_eq!(entries(&barn), 0);
}

/// Somebody who reads for long keeps it from removing anything, which is when a signal comes; a second one is not kept waiting.
#[test]
fn a_signal_ends_it_and_the_store_stays_whole() {
    if !has_program("flock") {
        return skipped("a_signal_ends_it_and_the_store_stays_whole", "there is no flock");
    }
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let barn = loaded(EACH, 2);
        let held = Held::hold(&barn, "--shared", "sweep.lock");
        let said = barn.at("said");
        let out = fs::File::create(&said).unwrap();
        let mut child = barn.command(&["gc", "-d", "md", "--grace", "0s"]).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the plan", || fs::read_to_string(&said).unwrap().contains("total"));
        thread::sleep(Duration::from_millis(200));
        send(signal, &child);
        thread::sleep(Duration::from_millis(200));
        send(signal, &child);
        wait_for("its end", || child.try_wait().unwrap().is_some());
        drop(held);
        let ran = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(status), "{stderr}");
        assert!(stderr.starts_with("interrupted; "), "{stderr}");
        assert_eq!(hours_there(&barn, 2), [0, 1]);
        gc(&barn, &["-d", "md", "--grace", "0s"]).ok();
        assert_eq!(entries(&barn), 0, "the next one is kept from nothing");
    }
}
