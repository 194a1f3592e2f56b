//! What a machine, its users and its clock allow: masks, few descriptors, several users on one store, files from the future.
//!
//! Invariants 6 and 16 of ARCHITECTURE.md.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::machine::{Strays, after, has_program, is_root, skipped};
use crate::stored::{all_below, digest, files_in, holds_what_its_names_say, nothing_is_left_over, tables};
use crate::support::{Barn, COPIES, Ran, Running, finished, is_alive, send, wait_for};

/// Ends well in the first two hours, and badly in the third: so every kind of file comes to be.
const MIXED: &str = r#"yes talkative | head -c 9000; case "$3" in *T02*) exit 7;; esac; cp "$1" "$2""#;

fn with_mask(barn: &Barn, mask: &str, arguments: &[&str]) -> Ran {
    finished(&mut after(barn, &format!("umask {mask}"), arguments))
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// Works a store in all ways that write to it, under a mask.
fn worked_under(mask: &str) -> Barn {
    let barn = Barn::with(MIXED, "snapshot_program = true");
    let json = |more: &[&'static str]| Barn::load_arguments(3, &[&["--json", "--on-failure", "skip"], more].concat());
    assert_eq!(with_mask(&barn, mask, &json(&[])).ok().outcomes(), ["generated", "generated", "failed"]);
    assert_eq!(with_mask(&barn, mask, &json(&["--refresh"])).ok().outcomes(), ["generated", "generated", "failed"]);
    assert_eq!(with_mask(&barn, mask, &json(&[])).ok().outcomes(), ["hit", "hit", "failed"]);
    // What is damaged is set aside.
    let table = files_in(&barn, "artifacts").into_iter().find(|path| path.extension().is_some_and(|extension| extension == "parquet")).unwrap();
    fs::remove_file(&table).unwrap();
    fs::write(&table, "short").unwrap();
    fs::set_permissions(&table, Permissions::from_mode(0o444)).unwrap();
    assert_eq!(with_mask(&barn, mask, &json(&[])).ok().outcomes(), ["generated", "generated", "failed"]);
    // So many that the index is opened.
    let many = ["--on-failure", "skip", "--on-missing", "skip", "--set", "md.split=10s"];
    with_mask(&barn, mask, &Barn::load_arguments(3, &many)).ok();
    assert!(barn.at("barn/index/0").exists());
    assert!(with_mask(&barn, mask, &["ls"]).ok().stdout.contains("test/ONE"));
    holds_what_its_names_say(&barn);
    nothing_is_left_over(&barn);
    barn
}

/// Checks what the others may do with each file and directory of a store, but for what lies in directories that they may not enter.
#[track_caller]
fn modes_lack(barn: &Barn, bits: u32) {
    let root = barn.at("barn");
    let all = all_below(&root);
    let hidden = |path: &Path| path.ancestors().skip(1).take_while(|above| above.starts_with(&root)).any(|above| mode(above) & 0o007 == 0);
    let wrong: Vec<String> = all
        .iter()
        .filter(|path| mode(path) & bits != 0 && !hidden(path))
        .map(|path| format!("{:o} {}", mode(path), path.strip_prefix(barn.path()).unwrap().display()))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong[..wrong.len().min(30)].join("\n"));
}

#[test]
fn a_careless_mask_lets_no_stranger_write_to_the_store() {
    modes_lack(&worked_under("000"), 0o002);
}

#[test]
fn a_strict_mask_keeps_everybody_else_out() {
    let barn = worked_under("077");
    let root = barn.at("barn");
    for path in all_below(&root) {
        let hidden = path.ancestors().skip(1).take_while(|above| above.starts_with(&root)).any(|above| mode(above) & 0o077 == 0);
        assert!(hidden || mode(&path) & 0o077 == 0, "{:o} {}", mode(&path), path.display());
    }
}

#[test]
fn few_descriptors_make_a_load_slower_and_fail_nothing() {
    // Slow enough that as many run at once as may.
    let barn = Barn::new(&format!("sleep 0.3; {COPIES}"));
    for descriptors in [256, 64] {
        let arguments =
            Barn::load_arguments(12, &["--json", "--jobs", "32", "--on-failure", "skip", "--refresh", "-i", "test/TWO", "-i", "test/THREE"]);
        let ran = finished(&mut after(&barn, &format!("ulimit -n {descriptors}"), &arguments));
        assert_eq!(ran.status, 0, "{descriptors} descriptors: {ran:#?}");
        let failed: Vec<String> =
            ran.json().iter().filter(|line| line["outcome"] != "generated" && line["type"] == "partition").map(ToString::to_string).collect();
        assert!(failed.is_empty(), "with {descriptors} descriptors {} fail: {}", failed.len(), failed[0]);
        assert_eq!(ran.summary()["generated"], 36);
    }
    nothing_is_left_over(&barn);
}

/// Users of this machine who are not the one that runs the test. Their barn and the command are where all of them can reach them.
struct Users {
    barn: Barn,
    command: PathBuf,
}

/// Of one group, and of another.
const FIRST: (u32, u32) = (1001, 2000);
const SECOND: (u32, u32) = (1002, 2000);
const OUTSIDER: (u32, u32) = (1003, 3000);

impl Users {
    /// A barn for them, or why there is none.
    fn new(script: &str) -> Result<Self, String> {
        if !is_root() || !has_program("setpriv") {
            return Err("it takes root and setpriv to become other users".to_owned());
        }
        let barn = Barn::new(script);
        fs::set_permissions(barn.path(), Permissions::from_mode(0o777)).unwrap();
        if let Some(closed) = barn.path().ancestors().find(|above| mode(above) & 0o001 == 0) {
            return Err(format!("other users cannot enter {}", closed.display()));
        }
        let command = barn.at("tickbarn");
        fs::copy(env!("CARGO_BIN_EXE_tickbarn"), &command).unwrap();
        fs::set_permissions(&command, Permissions::from_mode(0o755)).unwrap();
        for path in all_below(barn.path()).iter().filter(|path| path.is_file() && **path != command) {
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }
        Ok(Self { barn, command })
    }

    /// The command as one of them starts it.
    fn command(&self, (user, group): (u32, u32), mask: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).args(["--clear-groups", "--"]);
        command.args(["/bin/sh", "-c", &format!("umask {mask} && exec \"$0\" \"$@\"")]).arg(&self.command).args(arguments);
        command.current_dir(self.barn.path()).env_remove("TICKBARN_CONFIG").env_remove("TICKBARN_STORE").stdin(Stdio::null());
        command
    }

    fn load(&self, user: (u32, u32), mask: &str, hours: usize, more: &[&str]) -> Ran {
        finished(&mut self.command(user, mask, &Barn::load_arguments(hours, &[&["--json"], more].concat())))
    }
}

#[test]
fn two_users_of_one_group_share_a_store() {
    let users = match Users::new(MIXED) {
        Ok(users) => users,
        Err(reason) => return skipped("two_users_of_one_group_share_a_store", &reason),
    };
    assert_eq!(users.load(FIRST, "002", 1, &[]).ok().outcomes(), ["generated"]);
    assert_eq!(users.load(SECOND, "002", 2, &[]).ok().outcomes(), ["hit", "generated"]);
    assert_eq!(users.load(FIRST, "002", 3, &["--on-failure", "skip"]).ok().outcomes(), ["hit", "hit", "failed"]);
    // What one of them has brought in, the other replaces; what failed for one, the other makes.
    assert_eq!(users.load(SECOND, "002", 2, &["--refresh"]).ok().outcomes(), ["generated", "generated"]);
    assert_eq!(users.load(SECOND, "002", 3, &["--on-failure", "skip"]).ok().outcomes(), ["hit", "hit", "failed"]);
    let failed = finished(&mut users.command(FIRST, "002", &["ls", "--failed", "--json"])).ok().json();
    assert_eq!(failed[0]["count"], 2);
    // Damage that one of them finds in what the other made.
    let table = files_in(&users.barn, "artifacts").into_iter().find(|path| path.extension().is_some_and(|extension| extension == "parquet")).unwrap();
    fs::set_permissions(&table, Permissions::from_mode(0o644)).unwrap();
    fs::write(&table, "short").unwrap();
    for user in [FIRST, SECOND] {
        assert_eq!(users.load(user, "002", 2, &["--refresh"]).ok().outcomes(), ["generated", "generated"]);
    }
    holds_what_its_names_say(&users.barn);
    nothing_is_left_over(&users.barn);
}

#[test]
fn a_generator_that_locks_its_own_directories_leaves_none() {
    let locks = r#"case "$3" in *T00*) ;; *) exec cp "$1" "$2";; esac
mkdir -p "$TMPDIR/a/b/c"; : > "$TMPDIR/a/b/c/file"; chmod 0 "$TMPDIR/a/b/c" "$TMPDIR/a/b" "$TMPDIR/a" "$TMPDIR" .; exit 4"#;
    let more = ["--jobs", "1", "--on-failure", "skip"];
    // Modes mean nothing to root.
    let load = |barn: &Barn, load: &dyn Fn() -> Ran| {
        for outcomes in [["failed", "generated"], ["failed", "hit"]] {
            assert_eq!(load().ok().outcomes(), outcomes);
            nothing_is_left_over(barn);
        }
    };
    match Users::new(locks) {
        Ok(users) => load(&users.barn, &|| users.load(FIRST, "022", 2, &more)),
        Err(reason) if is_root() => skipped("a_generator_that_locks_its_own_directories_leaves_none", &reason),
        Err(_) => {
            let barn = Barn::new(locks);
            load(&barn, &|| barn.load(2, &[&["--json"], &more[..]].concat()));
        }
    }
}

#[test]
fn a_user_takes_over_what_another_s_killed_load_left() {
    let slow = r#"test -e "$4/quick" || { echo half > "$2"; mkdir "$TMPDIR/deep"; echo $$ >> "$4/strays"; exec sleep 600; }; cp "$1" "$2""#;
    let users = match Users::new(slow) {
        Ok(users) => users,
        Err(reason) => return skipped("a_user_takes_over_what_another_s_killed_load_left", &reason),
    };
    let barn = &users.barn;
    let strays = Strays(barn);
    let running = Running::start(&mut users.command(FIRST, "002", &Barn::load_arguments(1, &[])));
    wait_for("the generator", || !strays.pids().is_empty());
    send("KILL", running.child());
    running.end();
    wait_for("the end of its generator", || !is_alive(&strays.pids()[0]));
    let left = barn.names_in("work");
    assert_eq!(left.len(), 1, "the test shows nothing where nothing is left");
    barn.write("quick", b"");
    let ran = users.load(SECOND, "002", 1, &[]);
    assert_eq!((ran.status, ran.outcomes()), (0, vec!["generated".to_owned()]), "{ran:#?}");
    // What the second user may not remove may stay under another name, where it is in nobody's way.
    assert!(!barn.names_in("work").contains(&left[0]));
    assert_eq!(barn.names_in("claims").len(), 0);
    assert_eq!(users.load(FIRST, "002", 1, &[]).ok().outcomes(), ["hit"]);
}

#[test]
fn who_may_only_read_a_store_is_served_from_it_and_told_where_it_cannot_be_written() {
    let users = match Users::new(MIXED) {
        Ok(users) => users,
        Err(reason) => return skipped("who_may_only_read_a_store_is_served_from_it_and_told_where_it_cannot_be_written", &reason),
    };
    assert_eq!(users.load(FIRST, "022", 2, &[]).ok().outcomes(), ["generated"; 2]);
    let store = users.barn.at("barn");
    let state = || all_below(&store).into_iter().map(|path| (path.clone(), path.metadata().unwrap().modified().unwrap())).collect::<Vec<_>>();
    let before = state();
    assert_eq!(users.load(OUTSIDER, "022", 2, &[]).ok().outcomes(), ["hit"; 2]);
    assert_eq!(users.load(OUTSIDER, "022", 3, &["--on-missing", "skip"]).ok().outcomes(), ["hit", "hit", "missing"]);
    let ran = users.load(OUTSIDER, "022", 3, &[]);
    assert_ne!(ran.status, 0, "{ran:#?}");
    ran.failed(2, &["barn/", "ermission denied", "check who owns it"]);
    let address = finished(&mut users.command(OUTSIDER, "022", &["ls", "--json"])).ok().json()[0]["address"].as_str().unwrap().to_owned();
    for command in ["show", "logs", "path"] {
        finished(&mut users.command(OUTSIDER, "022", &[command, &address])).ok();
    }
    assert_eq!(state(), before, "and nothing of it is changed");
}

/// Sets the time of a file's last change ten years ahead.
fn postdate(path: &Path) {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    fs::File::open(path).unwrap().set_modified(SystemTime::now() + TEN_YEARS).unwrap();
}

#[test]
fn files_from_the_future_are_files_like_any_other() {
    let barn = Barn::new(COPIES);
    let generator = barn.at("generator");
    barn.write("generator", b"#!/bin/sh\nexec /bin/sh \"$@\"\n");
    fs::set_permissions(&generator, Permissions::from_mode(0o755)).unwrap();
    barn.edit("\"/bin/sh\"", "\"./generator\"");
    let inputs = [barn.at("gen.sh"), barn.at("sample.parquet"), generator.clone()];
    inputs.iter().for_each(|path| postdate(path));
    assert_eq!(barn.load(2, &["--json"]).ok().outcomes(), ["generated"; 2]);
    all_below(&barn.at("barn")).iter().for_each(|path| postdate(path));
    for _ in 0..2 {
        assert_eq!(barn.load(2, &["--json"]).ok().outcomes(), ["hit"; 2]);
    }
    assert_eq!(barn.load(3, &["--json"]).ok().outcomes(), ["hit", "hit", "generated"]);

    // A change that leaves both size and date as they were.
    let text = fs::read_to_string(&inputs[0]).unwrap();
    let dated = inputs[0].metadata().unwrap();
    fs::write(&inputs[0], text.replace("calls", "Calls")).unwrap();
    fs::File::options().write(true).open(&inputs[0]).unwrap().set_modified(dated.modified().unwrap()).unwrap();
    let changed = inputs[0].metadata().unwrap();
    assert_eq!((dated.len(), dated.mtime_nsec()), (changed.len(), changed.mtime_nsec()));
    assert_eq!(barn.load(2, &["--json"]).ok().outcomes(), ["generated"; 2], "a changed script is another generator");

    barn.write("generator", b"#!/bin/sh\n#\nexec /bin/sh \"$@\"\n");
    postdate(&generator);
    assert_eq!(barn.load(2, &["--json"]).ok().outcomes(), ["generated"; 2], "a changed program is another generator");
    assert_eq!(barn.load(2, &["--json"]).ok().outcomes(), ["hit"; 2]);

    // What is damaged is found, however new it looks.
    let table = barn.at("barn/artifacts");
    let [name] = &tables(&barn)[..] else { panic!("{:?}", tables(&barn)) };
    let table = table.join(&name[..2]).join(format!("{name}.parquet"));
    fs::remove_file(&table).unwrap();
    fs::write(&table, "short").unwrap();
    postdate(&table);
    assert_eq!(barn.load(2, &["--json"]).ok().outcomes(), ["generated"; 2]);
    assert_eq!(tables(&barn), [digest(&fs::read(barn.at("sample.parquet")).unwrap())]);
    holds_what_its_names_say(&barn);
    nothing_is_left_over(&barn);
}
