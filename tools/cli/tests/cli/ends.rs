//! How loads end early: Ctrl-C, a kill, and what is left for the next load.
//!
//! Invariants 6 and 7 of ARCHITECTURE.md.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Barn, has_proc, is_alive, send, wait_for};

/// The first hour is quick; each later one notes its process and takes for ever, until the file `quick` is there.
const SLOW: &str =
    r#"case "$3" in *T00*) ;; *) test -e "$4/quick" || { mkdir -p "$4/pids"; echo $$ > "$4/pids/$$"; exec sleep 600; };; esac; cp "$1" "$2""#;

/// Starts a load of three hours and waits until it is in the middle of the slow ones. Gives their processes.
fn begin(barn: &Barn) -> (Child, Vec<String>) {
    let child = barn.command(&Barn::load_arguments(3, &["--json", "--jobs", "2"])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = || -> Vec<String> {
        let listing = fs::read_dir(barn.at("pids")).into_iter().flatten();
        listing.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).filter(|pid| pid.ends_with('\n')).collect()
    };
    wait_for("two generators", || started().len() == 2);
    (child, started())
}

/// Checks that the next load finds what was finished and makes the rest.
fn next_load_works(barn: &Barn) {
    barn.write("quick", b"");
    assert_eq!(barn.load(3, &["--json"]).ok().outcomes(), ["hit", "generated", "generated"]);
    assert_eq!(barn.names_in("work").len(), 0);
}

fn interrupted_by(signal: &str, status: i32) {
    let barn = Barn::new(SLOW);
    let (child, pids) = begin(&barn);
    let began = Instant::now();
    send(signal, &child);
    let output = child.wait_with_output().unwrap();
    let took = began.elapsed();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(stderr.contains("interrupted; 1 partition finished and is kept"), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((last["generated"].as_u64(), last["stopped"].as_str()), (Some(1), Some("interrupted")));
    if has_proc() {
        assert!(pids.iter().all(|pid| !is_alive(pid)), "its generators are gone");
    }
    assert_eq!(barn.names_in("work").len(), 0);
    assert_eq!(barn.names_in("claims").len(), 0);
    next_load_works(&barn);
}

#[test]
fn ctrl_c_ends_the_generators_and_keeps_what_is_finished() {
    interrupted_by("INT", 130);
}

#[test]
fn a_batch_system_s_kill_does_the_same() {
    interrupted_by("TERM", 143);
}

#[test]
fn nohup_holds() {
    let barn = Barn::new("touch \"$4/begun\"; while ! test -e \"$4/go\"; do sleep 0.01; done; cp \"$1\" \"$2\"");
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", r#"trap '' HUP; exec "$0" "$@""#, env!("CARGO_BIN_EXE_tickbarn")]).args(Barn::load_arguments(1, &[]));
    let mut child = shell.current_dir(barn.path()).env_remove("TICKBARN_CONFIG").env_remove("TICKBARN_STORE").stdout(Stdio::null()).spawn().unwrap();
    wait_for("the generator", || barn.at("begun").exists());
    send("HUP", &child);
    std::thread::sleep(Duration::from_millis(100));
    barn.write("go", b"");
    assert!(child.wait().unwrap().success(), "a signal that was ignored from the beginning stays so");
}

#[test]
fn a_load_that_is_killed_outright_leaves_no_generator_and_nothing_half_made() {
    let barn = Barn::new(SLOW);
    let (mut child, pids) = begin(&barn);
    send("KILL", &child);
    child.wait().unwrap();
    if has_proc() {
        wait_for("the end of its generators", || pids.iter().all(|pid| !is_alive(pid)));
    }
    next_load_works(&barn);
}
