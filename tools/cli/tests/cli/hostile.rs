//! Generators that misbehave, of which the first hour's does and the others' do not: what becomes of the hour, and that nobody else pays for it.
//!
//! Invariants 4, 7 and 17 of ARCHITECTURE.md.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::machine::{MemoryGroup, Strays, after, has_program, skipped};
use crate::mounts::Mount;
use crate::stored::{digest, files_in, holds_what_its_names_say, nothing_is_left_over, tables};
use crate::support::{Barn, COPIES, Ran, Running, Samples, finished, has_proc, is_alive, send, wait_for};

/// One at a time, and on past failures: an hour that keeps its slot keeps the others from being made.
const ONE_BY_ONE: [&str; 5] = ["--json", "--jobs", "1", "--on-failure", "skip"];

/// Far more than a copy takes on a busy machine.
const TIMEOUT: &str = "timeout = \"8s\"";

/// What a generator does that leaves a process outside its group, which notes its number and does these things.
fn leaves_behind(deeds: &str) -> String {
    format!(
        r#"setsid /bin/sh -c 'echo $$ >> "$2/strays"; : > "$2/left.$3"; {deeds}; exec sleep 600' stray "$2" "$4" $$ &
until test -e "$4/left.$$"; do sleep 0.01; done"#
    )
}

/// A barn whose first hour is made so, and a table that only this hour would bring into the store.
fn misbehaving(first: &str, lines: &str) -> Barn {
    let barn = Barn::with(&format!("case \"$3\" in *T00*)\n{first}\n;; *) {COPIES};; esac"), lines);
    barn.write("other.parquet", &fs::read(Samples::get().other()).unwrap());
    barn
}

/// Loads three hours to the end and checks what holds whatever the first one does: the others are made, all that is stored is what it is called, and
/// nothing else is left.
#[track_caller]
fn load(barn: &Barn) -> Ran {
    let ran = finished(&mut barn.command(&Barn::load_arguments(3, &ONE_BY_ONE))).ok();
    let outcomes = ran.outcomes();
    assert_eq!(outcomes.len(), 3, "{ran:#?}");
    assert_eq!(outcomes[1..], ["generated", "generated"], "{ran:#?}");
    holds_what_its_names_say(barn);
    nothing_is_left_over(barn);
    ran
}

fn first_hour(ran: &Ran) -> Value {
    ran.json().into_iter().find(|line| line["start"] == "2024-01-01T00:00:00Z").unwrap_or_else(|| panic!("{ran:#?}"))
}

#[track_caller]
fn generated(ran: &Ran) -> String {
    let line = first_hour(ran);
    assert_eq!(line["outcome"], "generated", "{ran:#?}");
    line["address"].as_str().unwrap().to_owned()
}

/// Checks that the first hour failed in this way, is on record as failed, and left nothing else in the store. Gives its message and its log.
#[track_caller]
fn failed(barn: &Barn, ran: &Ran, class: &str) -> (String, String) {
    let line = first_hour(ran);
    assert_eq!((line["outcome"].as_str(), line["failure"]["class"].as_str()), (Some("failed"), Some(class)), "{ran:#?}");
    assert!(line.get("outputs").is_none(), "{line}");
    let address = line["address"].as_str().unwrap();
    let recorded = barn.run(&["ls", "--failed", "--json"]).ok().json();
    let recorded: Vec<_> = recorded.iter().map(|line| (line["address"].as_str(), line["failure"]["class"].as_str())).collect();
    assert_eq!(recorded, [(Some(address), Some(class))]);
    let listed = barn.run(&["ls", "--json"]).ok().json();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().all(|entry| entry["address"] != address), "{listed:?}");
    assert_eq!(tables(barn), [digest(&fs::read(barn.at("sample.parquet")).unwrap())], "only what the other hours made is stored");
    let logs = barn.run(&["logs", address]).ok().stdout;
    (line["failure"]["message"].as_str().unwrap().to_owned(), logs)
}

#[test]
fn one_that_hangs_and_will_not_be_told_to_end_is_killed() {
    let barn = misbehaving(r#"trap '' TERM; echo $$ >> "$4/strays"; echo stuck; while :; do sleep 1; done"#, TIMEOUT);
    let strays = Strays(&barn);
    let ran = load(&barn);
    let (message, logs) = failed(&barn, &ran, "timeout");
    assert!(message.contains("timeout of 8.0 s"), "{message}");
    assert!(logs.contains("stuck\n"), "{logs}");
    if has_proc() {
        wait_for("the end of the one that hangs", || !strays.pids().iter().any(|pid| is_alive(pid)));
    }
}

#[test]
fn one_that_will_not_be_told_to_end_ends_with_an_interrupted_load() {
    let barn = misbehaving(r#"trap '' TERM INT HUP; echo $$ >> "$4/strays"; while :; do sleep 1; done"#, "");
    let strays = Strays(&barn);
    let running = Running::start(&mut barn.command(&Barn::load_arguments(3, &ONE_BY_ONE)));
    wait_for("the one that hangs", || !strays.pids().is_empty());
    send("INT", running.child());
    let ran = running.end();
    assert_eq!(ran.status, 130, "{ran:#?}");
    assert!(!has_proc() || !is_alive(&strays.pids()[0]), "it goes on behind the user's back");
    nothing_is_left_over(&barn);
    assert_eq!(barn.run(&["ls", "--json"]).ok().stdout, "");
}

#[test]
fn a_grandchild_that_keeps_the_output_open_holds_nobody_up() {
    if !has_program("setsid") {
        return skipped("a_grandchild_that_keeps_the_output_open_holds_nobody_up", "there is no setsid");
    }
    let barn = misbehaving(&format!("echo spoke; {}\n{COPIES}", leaves_behind("true")), "");
    let strays = Strays(&barn);
    let ran = load(&barn);
    let address = generated(&ran);
    assert!(barn.run(&["logs", &address]).ok().stdout.contains("spoke\n"));
    if has_proc() {
        assert!(is_alive(&strays.pids()[0]), "the test shows nothing where the grandchild has ended");
    }
}

#[test]
fn a_gigabyte_of_output_takes_neither_memory_nor_disk() {
    const PRINTED_BYTES: u64 = 1 << 30;
    const MEMORY_KIB_MAX: u64 = 200 << 10;
    const LOG_BYTES_MAX: u64 = 2 << 20;
    // The second hour waits, so that the most memory that was ever taken can be read when the first is published.
    let script = format!(
        r#"case "$3" in
*T00*) echo beginning; yes 0123456789abcde | head -c {PRINTED_BYTES}; echo the end; {COPIES};;
*T01*) : > "$4/second"; until test -e "$4/go"; do sleep 0.01; done; {COPIES};;
*) {COPIES};; esac"#
    );
    let barn = Barn::new(&script);
    let running = Running::start(&mut barn.command(&Barn::load_arguments(3, &ONE_BY_ONE)));
    wait_for("the second hour", || barn.at("second").exists());
    let status = fs::read_to_string(format!("/proc/{}/status", running.child().id())).unwrap_or_default();
    barn.write("go", b"");
    let ran = running.end().ok();
    assert_eq!(ran.outcomes(), ["generated"; 3]);
    nothing_is_left_over(&barn);
    holds_what_its_names_say(&barn);
    if has_proc() {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_else(|| panic!("{status}"));
        let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak_kib < MEMORY_KIB_MAX, "it took {peak_kib} KiB");
    }

    let written_bytes = PRINTED_BYTES + "beginning\nthe end\n".len() as u64;
    let address = generated(&ran);
    let logs = barn.run(&["logs", &address]).ok().stdout;
    assert!(logs.contains("==> standard output: 1.00 GiB, its middle left out <==\nbeginning\n"), "{}", &logs[..200]);
    assert!(logs.contains("the end\n"));
    let log = &barn.run(&["logs", &address, "--json"]).ok().json()[0]["stdout"];
    assert_eq!((log["bytes"].as_u64(), log["truncated"].as_bool()), (Some(written_bytes), Some(true)));
    let (head, rest) = log["text"].as_str().unwrap().split_once("… ").unwrap();
    let (cut, tail) = rest.split_once(" bytes cut …\n").unwrap();
    let cut_bytes: u64 = cut.replace(',', "").parse().unwrap();
    let told_bytes = (head.len() + tail.len()) as u64 + cut_bytes;
    assert!(
        [written_bytes, written_bytes + 1].contains(&told_bytes),
        "{told_bytes}: but for a newline before the remark, what was cut is what is not there"
    );
    let stored_logs = files_in(&barn, "artifacts").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let stored_bytes: u64 = stored_logs.map(|path| path.metadata().unwrap().len()).sum();
    assert!((1..LOG_BYTES_MAX).contains(&stored_bytes), "{stored_bytes}");
}

#[test]
fn one_that_reads_its_standard_input_finds_nothing_there() {
    let barn = misbehaving(&format!("cat > \"$4/read\"; {COPIES}"), TIMEOUT);
    // A terminal or a pipe that nobody closes: what the caller has is none of the generator's.
    let mut command = barn.command(&Barn::load_arguments(3, &ONE_BY_ONE));
    let (reader, _writer) = std::io::pipe().unwrap();
    let ran = finished(command.stdin(reader));
    generated(&ran.ok());
    assert_eq!(fs::read(barn.at("read")).unwrap(), b"");
    nothing_is_left_over(&barn);
}

/// Loads three hours whose first leaves somebody behind who edits its output, waits until the edits are made, and checks that nothing stored has changed
/// by them.
fn edits_come_too_late(name: &str, deeds: &str) {
    if !has_program("setsid") {
        return skipped(name, "there is no setsid");
    }
    let barn = misbehaving(&format!("{COPIES}\n{}\nuntil test -e \"$4/ready\"; do sleep 0.01; done", leaves_behind(deeds)), "");
    let _strays = Strays(&barn);
    let ran = load(&barn);
    let address = generated(&ran);
    barn.write("go", b"");
    wait_for("the edits", || barn.at("edited").exists());
    holds_what_its_names_say(&barn);
    let path = barn.run(&["path", &address]).ok().stdout;
    assert_eq!(fs::read(path.trim_end()).unwrap(), fs::read(barn.at("sample.parquet")).unwrap());
    assert_eq!(barn.load(3, &["--json"]).ok().outcomes(), ["hit"; 3]);
}

#[test]
fn a_writer_who_opened_the_output_before_the_end_does_not_reach_what_is_stored() {
    edits_come_too_late(
        "a_writer_who_opened_the_output_before_the_end_does_not_reach_what_is_stored",
        r#"exec 3<>"$1" >/dev/null 2>&1; : > "$2/ready"; until test -e "$2/go"; do sleep 0.01; done; printf SCRIBBLE >&3 && : > "$2/edited""#,
    );
}

#[test]
fn a_writer_who_comes_by_another_name_of_the_output_does_not_reach_what_is_stored() {
    edits_come_too_late(
        "a_writer_who_comes_by_another_name_of_the_output_does_not_reach_what_is_stored",
        r#"exec >/dev/null 2>&1; ln "$1" "$2/alias"; : > "$2/ready"; until test -e "$2/go"; do sleep 0.01; done; chmod 600 "$2/alias"; printf SCRIBBLE 1<>"$2/alias" && : > "$2/edited""#,
    );
}

#[test]
fn a_writer_who_opens_again_what_it_had_open_for_reading_does_not_reach_what_is_stored() {
    edits_come_too_late(
        "a_writer_who_opens_again_what_it_had_open_for_reading_does_not_reach_what_is_stored",
        r#"exec 3<"$1" >/dev/null 2>&1; : > "$2/ready"; until test -e "$2/go"; do sleep 0.01; done; (printf SCRIBBLE 1<>/proc/self/fd/3); : > "$2/edited""#,
    );
}

#[test]
fn a_writer_who_opens_the_output_again_by_its_path_does_not_reach_what_is_stored() {
    if !has_program("setsid") {
        return skipped("a_writer_who_opens_the_output_again_by_its_path_does_not_reach_what_is_stored", "there is no setsid");
    }
    // Behind the mark at the front, so that it stays a Parquet file; before its generator's end, at it, and after it.
    let deeds =
        r#"exec >/dev/null 2>&1; until test -e "$2/go"; do printf SCRIBBLE | dd of="$1" bs=8 seek=1 conv=notrunc,nocreat; : > "$2/ready.$3"; done"#;
    let script = format!("{COPIES}\n{}\nuntil test -e \"$4/ready.$$\"; do sleep 0.01; done", leaves_behind(deeds));
    let barn = Barn::new(&script);
    let strays = Strays(&barn);
    let arguments = Barn::load_arguments(6, &["--json", "--jobs", "2"]);
    let ran = finished(&mut barn.command(&arguments)).ok();
    assert_eq!(ran.outcomes(), ["generated"; 6]);
    thread::sleep(Duration::from_millis(100));
    barn.write("go", b"");
    assert_eq!(strays.pids().len(), 6);
    holds_what_its_names_say(&barn);
    nothing_is_left_over(&barn);
    assert_eq!(finished(&mut barn.command(&arguments)).ok().outcomes(), ["hit"; 6]);
}

#[test]
fn a_hole_of_terabytes_in_place_of_a_table_is_refused_without_being_read() {
    let name = "a_hole_of_terabytes_in_place_of_a_table_is_refused_without_being_read";
    let barn = misbehaving("truncate -s 4T \"$2\"", "");
    let probe = fs::File::create(barn.at("probe")).unwrap();
    if probe.set_len(4 << 40).is_err() {
        return skipped(name, "the file system takes no file of that size");
    }
    let ran = load(&barn);
    let (message, _) = failed(&barn, &ran, "bad-output");
    assert!(message.contains("no whole Parquet file"), "{message}");
}

#[test]
fn a_whole_file_beside_a_bad_exit_status_is_not_taken() {
    let barn = misbehaving(r#"cp "$4/other.parquet" "$2"; echo "half of the feed is missing" >&2; exit 4"#, "");
    let ran = load(&barn);
    let (message, logs) = failed(&barn, &ran, "exit");
    assert!(message.contains("exit status 4: half of the feed is missing"), "{message}");
    assert!(logs.contains("half of the feed is missing\n"), "{logs}");
}

#[test]
fn one_that_the_kernel_kills_for_its_memory_fails_with_a_word_about_memory() {
    let name = "one_that_the_kernel_kills_for_its_memory_fails_with_a_word_about_memory";
    let group = match MemoryGroup::make("oom", 48) {
        Ok(group) => group,
        Err(reason) => return skipped(name, &reason),
    };
    // An endless line, of which tail keeps all.
    let barn = misbehaving(r#"cp "$4/other.parquet" "$2"; echo hungry; echo $$ > "$(cat "$4/group")"; exec tail /dev/zero"#, "timeout = \"50s\"");
    barn.write("group", group.processes().to_str().unwrap().as_bytes());
    let ran = load(&barn);
    let (message, logs) = failed(&barn, &ran, "signal");
    assert!(message.contains("signal 9") && message.contains("memory"), "{message}");
    assert!(logs.contains("hungry\n"), "{logs}");
    assert_ne!(group.killed(), Some(0), "it was somebody else who killed it");
}

/// Takes everything away that a test could not, also where it is nested too deeply for most.
struct Deep<'a>(&'a Barn);

impl Drop for Deep<'_> {
    fn drop(&mut self) {
        Command::new("rm").arg("-rf").arg(self.0.at("barn/work")).status().ok();
    }
}

#[test]
fn one_that_nests_directories_without_end_leaves_none() {
    // Three times as deep as the load may have files open.
    let nest =
        r#"cd "$TMPDIR"; many=$(printf 'd/%.0s' $(seq 100)); for times in $(seq 30); do mkdir -p "$many" && cd -P "$many" || exit 6; done; exit 4"#;
    let barn = misbehaving(nest, "");
    let _deep = Deep(&barn);
    for others in ["generated", "hit"] {
        let ran = finished(&mut after(&barn, "ulimit -n 1024", &Barn::load_arguments(3, &ONE_BY_ONE)));
        assert_eq!((ran.status, ran.outcomes()), (0, ["failed", others, others].map(str::to_owned).to_vec()), "{ran:#?}");
        let failure = &first_hour(&ran)["failure"];
        assert!(failure["message"].as_str().unwrap().contains("exit status 4"), "{failure}");
        nothing_is_left_over(&barn);
    }
}

#[test]
fn one_that_fills_the_disk_fails_and_gives_the_space_back() {
    let barn = misbehaving("head -c 1G /dev/zero > \"$2\" || { echo \"no room\" >&2; exit 5; }", "");
    let disk = match Mount::memory(&barn.at("barn"), 8 << 20) {
        Ok(disk) => disk,
        Err(reason) => return skipped("one_that_fills_the_disk_fails_and_gives_the_space_back", &reason),
    };
    let ran = load(&barn);
    assert!(disk.takes(6), "what it filled is free again");
    let (message, logs) = failed(&barn, &ran, "exit");
    assert!(message.contains("exit status 5: no room"), "{message}");
    assert!(logs.contains("no room\n"), "{logs}");
    assert!(barn.run(&["ls", "--failed"]).ok().stdout.contains("no room"));
}

#[test]
fn one_that_leaves_no_room_to_publish_fails_and_gives_the_space_back() {
    let barn = misbehaving("cp \"$4/other.parquet\" \"$2\"; echo greedy; head -c 1G /dev/zero > \"$TMPDIR/fill\" 2>/dev/null; exit 0", "");
    let disk = match Mount::memory(&barn.at("barn"), 8 << 20) {
        Ok(disk) => disk,
        Err(reason) => return skipped("one_that_leaves_no_room_to_publish_fails_and_gives_the_space_back", &reason),
    };
    let ran = load(&barn);
    assert!(disk.takes(6), "what it filled is free again");
    let (message, logs) = failed(&barn, &ran, "store");
    assert!(message.contains("free some space"), "{message}");
    assert!(logs.contains("greedy\n"), "what it said is the only clue to who filled the disk: {logs}");
}
