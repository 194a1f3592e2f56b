//! `tickbarn verify`: what it finds, what it says, how it ends, and what it mends.
//!
//! Invariants 2, 12 and 15 of ARCHITECTURE.md.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::machine::after;
use crate::recovery::EACH;
use crate::stored::{files_in, holds_what_its_names_say, nothing_is_left_over};
use crate::support::{Barn, COPIES, finished, tickbarn, wait_for};

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_store_is_said_to_be_whole() {
    let barn = Barn::new(EACH);
    barn.load(3, &[]).ok();
    let ran = barn.run(&["verify"]).ok();
    assert!(ran.stdout.starts_with("Verified 3 entries and 3 artifacts") && ran.stdout.trim_end().ends_with("no problems"), "{ran:#?}");
    let ran = barn.run(&["verify", "--digest", "--jobs", "3", "--json"]).ok();
    let [summary] = &ran.json()[..] else { panic!("{ran:#?}") };
    assert_eq!((summary["entries"].as_u64(), summary["clean"].as_bool(), summary["digests"].as_bool()), (Some(3), Some(true), Some(true)));
}

#[test]
fn damage_is_named_and_mended_and_made_again() {
    let barn = Barn::new(EACH);
    barn.load(4, &[]).ok();
    let before = files_in(&barn, "artifacts");
    flip(&before[1]);
    fs::remove_file(&before[2]).unwrap();
    barn.run(&["verify"]).failed(1, &["2 problems", "tickbarn verify --repair"]);
    let ran = barn.run(&["verify", "--digest"]).failed(1, &["4 problems"]);
    for path in [&before[1], &before[2]] {
        assert!(ran.stdout.contains(&format!("problem: artifact {}", path.display())), "{ran:#?}");
    }
    assert!(ran.stdout.contains("md test/ONE 2024-01-01 "), "which hours are concerned: {ran:#?}");

    let ran = barn.run(&["verify", "--digest", "--repair", "--regenerate", "--json"]).ok();
    assert_eq!(ran.summary()["regenerated"], 2);
    let moved = ran.json().iter().filter(|line| line["kind"] == "entry" && line["repair"] == "dropped").count();
    assert_eq!(moved, 2, "{ran:#?}");
    assert_eq!((barn.calls(), files_in(&barn, "artifacts")), (6, before));
    holds_what_its_names_say(&barn);
    nothing_is_left_over(&barn);
    assert!(barn.run(&["verify", "--digest"]).ok().stdout.contains("no problems"));
    assert_eq!(barn.load(4, &["--json"]).ok().outcomes(), ["hit"; 4]);
}

#[test]
fn what_is_no_longer_defined_as_it_was_is_dropped_and_said_so() {
    let barn = Barn::new(EACH);
    barn.load(2, &[]).ok();
    flip(&files_in(&barn, "artifacts")[0]);
    barn.edit("levels = 40", "levels = 5");
    barn.run(&["verify", "--digest", "--repair", "--regenerate"])
        .failed(1, &["0 of 1 entry made again", "not made again", "does not define it as it was"]);
    barn.edit("levels = 5", "levels = 40");
    let mut outcomes = barn.load(2, &["--json"]).ok().outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["generated", "hit"]);
}

#[test]
fn a_load_may_read_every_byte_before_it_believes() {
    let barn = Barn::new(EACH);
    barn.load(2, &[]).ok();
    flip(&files_in(&barn, "artifacts")[0]);
    assert_eq!(barn.load(2, &["--json"]).ok().outcomes(), ["hit", "hit"], "sizes alone do not tell");
    let read = barn.load(2, &["--json", "--verify", "digest", "--on-missing", "skip"]).ok();
    let missing = read.json().into_iter().find(|line| line["outcome"] == "missing").unwrap_or_else(|| panic!("{read:#?}"));
    assert!(missing["reason"].as_str().unwrap().contains("holds other bytes"), "{missing}");
    barn.edit("store = \"barn\"", "store = \"barn\"\nverify = \"digest\"\nindex = \"off\"");
    let ran = barn.load(2, &["--json"]).ok();
    assert!(ran.stderr.contains("set aside"), "{ran:#?}");
    assert_eq!((barn.calls(), barn.load(2, &["--json"]).ok().outcomes()), (3, vec!["hit".to_owned(), "hit".to_owned()]));
    holds_what_its_names_say(&barn);
    barn.load(1, &["--verify", "thoroughly"]).failed(2, &["thoroughly", "size, digest"]);
}

/// A limit on what the process may map stands for the memory that it takes.
#[test]
fn a_gigabyte_of_manifest_takes_no_memory() {
    let barn = Barn::new(EACH);
    barn.load(2, &[]).ok();
    let manifest = files_in(&barn, "entries").remove(0);
    let file = fs::OpenOptions::new().write(true).open(&manifest).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(b"}}", (1 << 30) - 2).unwrap();
    let limit = "ulimit -v 700000";
    let found = finished(&mut after(&barn, limit, &["verify", "--digest", "--jobs", "1"])).failed(1, &["1 problem"]);
    assert!(found.stdout.contains("1073741824 bytes"), "{found:#?}");
    let mut outcomes = finished(&mut after(&barn, limit, &Barn::load_arguments(2, &["--json", "--jobs", "1"]))).ok().outcomes();
    outcomes.sort();
    assert_eq!((outcomes, barn.calls()), (vec!["generated".to_owned(), "hit".to_owned()], 3));
    barn.run(&["verify", "--digest"]).ok();
}

#[test]
fn what_a_killed_load_left_is_cleared_and_nothing_of_the_user_s() {
    let barn = Barn::new(EACH);
    barn.load(1, &[]).ok();
    let address = barn.address(0);
    fs::create_dir_all(barn.at("barn/work").join(&address).join("attempt")).unwrap();
    fs::write(barn.at("barn/claims").join(&address), "").unwrap();
    fs::write(barn.at("barn/notes.txt"), "mine").unwrap();
    let ran = barn.run(&["verify"]).ok();
    assert!(ran.stdout.contains("3 leftovers") && ran.stderr.contains("verify --repair"), "{ran:#?}");
    barn.run(&["verify", "--repair"]).ok();
    nothing_is_left_over(&barn);
    assert_eq!(fs::read_to_string(barn.at("barn/notes.txt")).unwrap(), "mine");
}

#[test]
fn it_needs_a_store_and_a_file_for_what_it_makes_again() {
    let barn = Barn::new(EACH);
    barn.run(&["verify"]).failed(2, &["not a tickbarn store"]);
    barn.load(1, &[]).ok();
    barn.run(&["verify", "--regenerate"]).failed(2, &["--repair"]);
    let store = barn.at("barn");
    let empty = tempfile::tempdir().unwrap();
    let mut command = tickbarn(empty.path());
    command.args(["--store", store.to_str().unwrap(), "verify", "--repair", "--regenerate"]);
    finished(&mut command).failed(2, &["there is no tickbarn.toml"]);
}

#[test]
fn who_waits_for_another_load_may_say_how_long() {
    let barn = Barn::new(&format!("touch \"$4/begun\"; while ! test -e \"$4/go\"; do sleep 0.01; done; {}", COPIES));
    let mut owner = barn.command(&Barn::load_arguments(1, &[])).stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for("the generator", || barn.at("begun").exists());
    let ran = barn.load(1, &["--json", "--wait", "200ms", "--on-failure", "skip"]).ok();
    let line = &ran.json()[0];
    assert_eq!(line["failure"]["class"], "timeout", "{ran:#?}");
    assert!(line["failure"]["message"].as_str().unwrap().contains("another load or process"), "{line}");
    barn.write("go", b"");
    assert!(owner.wait().unwrap().success());
    assert_eq!((barn.calls(), barn.load(1, &["--json"]).ok().outcomes()), (1, vec!["hit".to_owned()]));
}
