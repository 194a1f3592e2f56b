//! `tickbarn doctor`: what it says of stores that are well, in use, unwell, or none.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::mounts::Mount;
use crate::support::{Barn, COPIES, Ran, Running, finished, has_proc, send, tickbarn, wait_for};

fn lines(ran: &Ran, kind: &str) -> Vec<Value> {
    ran.json().into_iter().filter(|line| line["type"] == kind).collect()
}

/// What it says is wrong, or worth to know.
fn said(ran: &Ran, severity: &str) -> Vec<String> {
    let findings = lines(ran, "finding").into_iter().filter(|line| line["severity"] == severity);
    findings.map(|line| format!("{}: {}", line["what"].as_str().unwrap(), line["way_out"].as_str().unwrap())).collect()
}

#[test]
fn a_store_that_is_well_passes_and_is_left_as_it_was() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let before = barn.tree();
    let ran = barn.run(&["doctor"]).ok();
    for line in [
        "tickbarn   0.",
        "store      ",
        "format 1, id ",
        "disk       ",
        "space      ",
        "works      ",
        "flock",
        "locks      ",
        "indexes    ",
        "leases     ",
    ] {
        assert!(ran.stdout.contains(line), "{line:?} in {ran:#?}");
    }
    assert!(ran.stdout.contains("\nno problems"), "{ran:#?}");
    let ran = barn.run(&["doctor", "--json"]).ok();
    let needed: Vec<Value> = lines(&ran, "ability").into_iter().filter(|line| line["works"] == true).collect();
    assert!(["write", "rename", "fsync", "flock"].iter().all(|name| needed.iter().any(|line| line["name"] == **name)), "{ran:#?}");
    assert_eq!(lines(&ran, "versions")[0]["formats"]["journal"], 3);
    assert_eq!(lines(&ran, "store")[0]["opens"], true);
    assert_eq!(ran.summary()["problems"], 0);
    assert_eq!(barn.tree(), before);
}

#[test]
fn what_cannot_be_opened_is_explained_and_not_touched() {
    let barn = Barn::new(COPIES);
    let before = barn.tree();
    let none = barn.run(&["doctor", "--json"]).failed(1, &["1 problem"]);
    assert!(said(&none, "problem")[0].contains("there is no store at"), "{none:#?}");
    assert!(!lines(&none, "file-system").is_empty(), "also of a place that is not there");
    let other = barn.run(&["doctor", "--json", "--store", "gen.sh"]).failed(1, &[]);
    assert!(said(&other, "problem")[0].contains("it is a file"), "{other:#?}");
    assert_eq!(barn.tree(), before);

    barn.load(1, &[]).ok();
    let format = barn.at("barn/STORE");
    let text = fs::read_to_string(&format).unwrap();
    fs::write(&format, text.replace("\"format\":1", "\"format\":9")).unwrap();
    let before = barn.tree();
    let newer = barn.run(&["doctor", "--json"]).failed(1, &["1 problem"]);
    assert!(said(&newer, "problem")[0].contains("has format 9, newer than the 1"), "{newer:#?}");
    assert_eq!(barn.tree(), before);
    fs::write(&format, text).unwrap();

    // A file in the place of a directory, which is anything but a panic.
    for name in ["work", "leases", "index", "claims"] {
        let (there, aside) = (barn.at("barn").join(name), barn.at("aside"));
        fs::rename(&there, &aside).unwrap();
        fs::write(&there, "").unwrap();
        let ran = barn.run(&["doctor", "--json"]).failed(1, &["problem"]);
        assert!(said(&ran, "problem").iter().any(|problem| problem.contains(name)), "{ran:#?}");
        fs::remove_file(&there).unwrap();
        fs::rename(&aside, &there).unwrap();
    }
    barn.run(&["doctor"]).ok();
}

#[test]
fn a_dataset_file_that_is_wrong_or_missing_keeps_nothing_from_being_looked_at() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let elsewhere = tempfile::tempdir().unwrap();
    let nothing = finished(tickbarn(elsewhere.path()).args(["doctor", "--json"])).failed(1, &[]);
    assert!(said(&nothing, "problem")[0].contains("no store is named"), "{nothing:#?}");
    let store = barn.at("barn");
    finished(tickbarn(elsewhere.path()).args(["doctor", "--store", store.to_str().unwrap()])).ok();
    barn.edit("store = \"barn\"", "stoer = \"barn\"");
    let ran = barn.run(&["doctor", "--json", "--store", "barn"]).failed(1, &["1 problem"]);
    assert!(said(&ran, "problem")[0].contains("stoer"), "{ran:#?}");
    assert_eq!(lines(&ran, "store")[0]["opens"], true);
}

#[test]
fn who_works_in_a_store_is_named() {
    let barn = Barn::new(&format!("{COPIES}; touch \"$4/begun\"; while [ ! -e \"$4/go\" ]; do sleep 0.02; done"));
    let load = Running::start(&mut barn.command(&Barn::load_arguments(1, &[])));
    wait_for("the generator", || barn.at("begun").exists());
    let ran = barn.run(&["doctor", "--json"]).ok();
    assert_eq!(lines(&ran, "unfinished")[0]["claims"].as_array().unwrap().len(), 1, "{ran:#?}");
    assert_eq!(lines(&ran, "unfinished")[0]["abandoned"], 0);
    barn.write("go", b"");
    load.end().ok();
    let ran = barn.run(&["doctor", "--json"]).ok();
    assert!(lines(&ran, "unfinished")[0]["claims"].as_array().unwrap().is_empty(), "{ran:#?}");
}

#[test]
fn a_stopped_process_that_holds_everybody_up_is_a_problem() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    if !has_proc() || Command::new("flock").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no flock, or no /proc");
        return;
    }
    let mut holder = Command::new("flock").arg("--exclusive").arg(barn.at("barn/leases/sweep.lock")).args(["sleep", "600"]).spawn().unwrap();
    let held = |ran: &Ran| lines(ran, "lock").iter().any(|line| line["name"] == "sweep" && line["holders"][0] == holder.id());
    wait_for("the lock", || held(&barn.run(&["doctor", "--json"])));
    send("STOP", &holder);
    let ran = barn.run(&["doctor", "--json"]).failed(1, &["1 problem"]);
    assert!(said(&ran, "problem")[0].contains(&format!("kill -CONT {}", holder.id())), "{ran:#?}");
    send("KILL", &holder);
    holder.wait().unwrap();
    // What it started has a copy of the lock until it ends.
    for pid in fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok()) {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        if files
            .into_iter()
            .any(|file| fs::read_link(file.path()).is_ok_and(|path| path == barn.at("barn/leases/sweep.lock").canonicalize().unwrap()))
        {
            Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        }
    }
}

#[test]
fn what_lies_about_and_marks_that_are_passed_are_remarks() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    let address = barn.address(0);
    barn.write(&format!("barn/claims/{address}"), b"");
    fs::create_dir(barn.at("barn/work").join(&address)).unwrap();
    barn.write("barn/trash/large", b"bytes");
    barn.write("barn/quarantine/damaged.parquet", b"bytes");
    let text = fs::read_to_string(barn.at("tickbarn.toml")).unwrap() + "[gc]\nmax_bytes = \"1KB\"\ngrace = \"0s\"\n";
    barn.write("tickbarn.toml", text.as_bytes());
    let ran = barn.run(&["doctor", "--json"]).ok();
    let remarks = said(&ran, "remark").join("\n");
    for said in [
        "1 claim or work directory left",
        "a collection was stopped",
        "1 damaged file lies in quarantine/",
        "a mark of [gc] is passed",
        "`tickbarn gc` frees",
    ] {
        assert!(remarks.contains(said), "{said:?} in {remarks}");
    }
    barn.run(&["gc"]).ok();
    barn.run(&["gc", "--leftovers"]).ok();
    let ran = barn.run(&["doctor", "--json"]).ok();
    let remarks = said(&ran, "remark");
    assert!(remarks.len() == 1 && remarks[0].contains("quarantine/"), "{remarks:#?}");
}

#[test]
fn a_store_that_can_only_be_read_is_told_from_one_that_is_broken() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let at = barn.at("mounted");
    fs::create_dir(&at).unwrap();
    let mount = match Mount::memory(&at, 32 << 20) {
        Ok(mount) => mount,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let copied = Command::new("cp").arg("-a").arg(barn.at("barn")).arg(at.join("barn")).status().unwrap();
    let read_only = Command::new("mount").args(["-o", "remount,ro"]).arg(&at).status().unwrap();
    assert!(copied.success() && read_only.success());
    let ran = barn.run(&["doctor", "--json", "--store", "mounted/barn"]).failed(1, &["1 problem"]);
    assert!(said(&ran, "problem")[0].contains("mounted read-only"), "{ran:#?}");
    assert_eq!((lines(&ran, "file-system")[0]["kind"].as_str(), lines(&ran, "store")[0]["opens"].as_bool()), (Some("tmpfs"), Some(true)));
    drop(mount);
}
