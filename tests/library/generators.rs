//! How generators end, and what they leave.
//!
//! Invariant 4 of ARCHITECTURE.md.

use std::fs;
use std::time::{Duration, Instant};

use tickbarn::{Empty, Failure, OnFailure, Outcome, Policy};

use crate::barn::{Barn, COPY, outcomes};

fn skip() -> Policy {
    Policy { failure: OnFailure::Skip, ..Policy::default() }
}

/// Loads one partition by a script that must fail; says how, and checks that nothing was published or left behind.
fn failure_of(script: &str) -> Failure {
    let barn = Barn::new();
    let dataset = barn.dataset(script).build().unwrap();
    let loaded = barn.load(&dataset, 1).policy(skip()).blocking().unwrap();
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!("{script}: {:?}", loaded.partitions[0]) };
    assert!(barn.is_tidy(), "{script}");
    assert!(barn.store.entries().unwrap().is_empty(), "{script}");
    assert_eq!(barn.files(&["artifacts", "entries"]), [] as [std::path::PathBuf; 0], "{script}");
    (**failure).clone()
}

#[test]
fn outputs_that_are_no_tables_are_named_and_never_published() {
    let cases = [
        ("true", "no-output", "left no table.parquet"),
        (": > \"$1\"", "bad-output", "an empty file"),
        ("mkdir \"$1\"", "bad-output", "a directory"),
        ("ln -s \"$FIXTURES/three.parquet\" \"$1\"", "bad-output", "a symbolic link"),
        ("mkfifo \"$1\"", "bad-output", "a pipe, socket or device"),
        ("cp \"$FIXTURES/half.parquet\" \"$1\"", "bad-output", "its footer does not parse"),
        ("echo these are not the bytes you are looking for > \"$1\"", "bad-output", "its footer does not parse"),
        ("(tail -c +100 \"$FIXTURES/three.parquet\"; true) > \"$1\"", "bad-output", "its beginning is cut off"),
    ];
    for (script, class, message) in cases {
        let failure = failure_of(script);
        assert_eq!(failure.class.as_str(), class, "{script}: {failure}");
        assert!(failure.message.contains(message), "{script}: {failure}");
    }
}

#[test]
fn ends_have_their_class() {
    let failure = failure_of("kill -TERM $$");
    assert_eq!((failure.class.as_str(), failure.message.contains("signal 15")), ("signal", true), "{failure}");
    let failure = failure_of(&format!("{COPY}\nexit 1"));
    assert_eq!(failure.class.as_str(), "exit", "a valid file does not excuse an exit status: {failure}");
    let failure = failure_of("echo to stdout; echo to stderr >&2; exit 9");
    assert_eq!((failure.log.stdout.text.as_str(), failure.log.stderr.text.as_str()), ("to stdout\n", "to stderr\n"));
}

#[test]
fn a_generator_that_hangs_is_ended_with_all_that_it_started() {
    let barn = Barn::new();
    let pids = barn.path("pids");
    let script = format!("trap '' TERM; sleep 60 & echo $! >> {0}; echo $$ >> {0}; wait; wait", pids.display());
    let dataset = barn.dataset(&script).timeout(Duration::from_millis(300)).build().unwrap();
    let began = Instant::now();
    let loaded = barn.load(&dataset, 1).policy(skip()).blocking().unwrap();
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!() };
    assert_eq!(failure.class.as_str(), "timeout");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_gone(&pids);
    assert!(barn.is_tidy());
}

fn assert_gone(pids: &std::path::Path) {
    for pid in fs::read_to_string(pids).unwrap().lines() {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(status.is_empty() || status.contains(") Z "), "process {pid} still runs: {status}");
    }
}

#[tokio::test]
async fn dropping_a_load_ends_its_generators_and_gives_their_claims_back() {
    let barn = Barn::new();
    let pids = barn.path("pids");
    let dataset = barn.dataset(&format!("echo $$ >> {}; exec sleep 60", pids.display())).build().unwrap();
    let load = barn.load(&dataset, 4).workers(2);
    let began = Instant::now();
    tokio::select! {
        loaded = async { load.await } => panic!("{loaded:?}"),
        () = async {
            while fs::read_to_string(&pids).map_or(0, |text| text.lines().count()) < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    assert_gone(&pids);
    assert!(barn.is_tidy());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn no_data_is_an_answer_that_is_remembered() {
    let barn = Barn::new();
    let dataset = barn.dataset("exit 3").empty_exit_codes([3]).build().unwrap();
    let first = barn.load(&dataset, 2).blocking().unwrap();
    assert_eq!(outcomes(&first), ["empty"; 2]);
    assert_eq!(first.summary().to_string(), "Read 2 out of 2 (100.00%)");
    let again = barn.load(&dataset, 2).blocking().unwrap();
    let Outcome::Empty { entry, known: true, .. } = &again.partitions[0].outcome else { panic!() };
    assert_eq!((entry.empty, entry.outputs.len()), (Some(Empty::ExitCode(3)), 0));
    assert_eq!(barn.runs(), 2);

    // Whoever takes the declaration back does not want that answer any more.
    let strict = barn.dataset("exit 3").build().unwrap();
    assert_eq!(outcomes(&barn.load(&strict, 2).policy(skip()).blocking().unwrap()), ["failed"; 2]);
}

#[test]
fn tables_without_rows_are_empty_and_keep_their_schema() {
    let barn = Barn::new();
    let dataset = barn.dataset(r#"cp "$FIXTURES/none.parquet" "$1""#).build().unwrap();
    let loaded = barn.load(&dataset, 1).blocking().unwrap();
    let Outcome::Empty { entry, known: false, .. } = &loaded.partitions[0].outcome else { panic!() };
    assert_eq!((entry.empty, entry.outputs[0].rows), (Some(Empty::ZeroRows), 0));
    let manifest = barn.store.manifest(&entry.address).unwrap().unwrap();
    assert_eq!(manifest.outputs["table"].table.columns.len(), 2);
}

#[test]
fn footers_are_read_for_rows_schema_and_statistics() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let loaded = barn.load(&dataset, 1).blocking().unwrap();
    let manifest = barn.store.manifest(&loaded.partitions[0].address.unwrap()).unwrap().unwrap();
    let table = &manifest.outputs["table"].table;
    let columns: Vec<_> = table.columns.iter().map(|column| (column.name.as_str(), column.kind.as_str())).collect();
    assert_eq!(columns, [("ts", "INT64 (TIMESTAMP(NANOS,true))"), ("price", "DOUBLE")]);
    assert_eq!((table.rows, table.columns[0].nulls), (3, Some(0)));
    assert_eq!((table.columns[0].min.clone(), table.columns[0].max.clone()), (Some(1.into()), Some(3.into())));
    assert_eq!((table.columns[1].min.clone(), table.columns[1].max.clone()), (Some(0.5.into()), Some(1.5.into())));
}

#[test]
fn an_input_that_changes_while_the_generator_runs_voids_the_attempt() {
    let barn = Barn::new();
    let input = barn.path("run.json");
    fs::write(&input, "{}").unwrap();
    let dataset = barn.dataset(&format!("echo '{{\"changed\": 1}}' > {}\n{COPY}", input.display())).input("run", &*input).build().unwrap();
    let loaded = barn.load(&dataset, 1).policy(skip()).blocking().unwrap();
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!() };
    assert_eq!(failure.class.as_str(), "changed-while-running");
    assert!(failure.message.contains("run.json"), "{failure}");
    assert!(barn.store.entries().unwrap().is_empty());
}

#[test]
fn a_program_that_changes_while_it_runs_voids_the_attempt_unless_a_snapshot_runs() {
    for (snapshot, expected) in [(false, "failed"), (true, "generated")] {
        let barn = Barn::new();
        // The generator replaces itself as a build would: by another file of the same name.
        let program = barn.path("generator.sh").display().to_string();
        let script = format!("cp {program} {program}.new; echo '# rebuilt' >> {program}.new; mv {program}.new {program}\n{COPY}");
        let dataset = barn.dataset(&script).snapshot_program(snapshot).build().unwrap();
        let loaded = barn.load(&dataset, 1).policy(skip()).blocking().unwrap();
        assert_eq!(outcomes(&loaded), [expected], "{:?}", loaded.partitions[0].outcome);
    }
}

#[test]
fn a_program_that_is_another_one_for_a_while_voids_the_attempt() {
    let barn = Barn::new();
    let program = barn.path("generator.sh").display().to_string();
    // Built anew while it runs, and put back before it ends: its content is the same again, but who knows what made the output.
    let script = format!(
        "cp {program} {program}.a; echo '# another' >> {program}.a; mv {program} {program}.b; mv {program}.a {program}; sleep 0.1; mv {program}.b {program}\n{COPY}"
    );
    let dataset = barn.dataset(&script).build().unwrap();
    let loaded = barn.load(&dataset, 1).policy(skip()).blocking().unwrap();
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!() };
    assert_eq!(failure.class.as_str(), "changed-while-running", "{failure}");
}

#[test]
fn after_a_rebuild_no_further_generator_is_started_under_the_old_key() {
    let barn = Barn::new();
    let program = barn.path("generator.sh").display().to_string();
    let script = format!("cp {program} {program}.new; echo '# rebuilt' >> {program}.new; mv {program}.new {program}\n{COPY}");
    let dataset = barn.dataset(&script).build().unwrap();
    let loaded = barn.load(&dataset, 4).workers(1).policy(skip()).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["failed"; 4]);
    assert_eq!(barn.runs(), 1, "the others would have run for nothing");
}

#[test]
fn a_copy_runs_also_of_a_program_behind_a_link_and_of_one_that_a_version_stands_for() {
    let barn = Barn::new();
    // Written as the first dataset is defined; the others name it by a link.
    let _ = barn.dataset(&format!("echo \"$0\" > {}\n{COPY}", barn.path("ran").display()));
    std::os::unix::fs::symlink(barn.path("generator.sh"), barn.path("link")).unwrap();
    let of = |version: Option<&str>| {
        let dataset = tickbarn::Dataset::command("numbers", [barn.path("link").to_str().unwrap(), "{output.table}", "{start}"])
            .output("table", "table.parquet")
            .env("FIXTURES", barn.path("fixtures").to_str().unwrap())
            .snapshot_program(true);
        version.map_or(dataset.clone(), |version| dataset.version(version)).build().unwrap()
    };
    for dataset in [of(None), of(Some("7"))] {
        assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["generated"]);
        let ran = fs::read_to_string(barn.path("ran")).unwrap();
        assert!(ran.contains("/programs/"), "{ran}");
    }
}

#[test]
fn a_generator_sees_what_is_declared_and_nothing_else() {
    let barn = Barn::new();
    let seen = barn.path("environment");
    let dataset = barn
        .dataset(&format!("env > {}; ls -l /proc/$$/fd > {}.fds\n{COPY}", seen.display(), seen.display()))
        .env("DECLARED", "yes {instrument.pair}")
        .build()
        .unwrap();
    barn.load(&dataset, 1).blocking().unwrap();
    let text = fs::read_to_string(&seen).unwrap();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name)).collect();
    names.sort_unstable();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    let expected = ["DECLARED", "FIXTURES", "HOME", "LANG", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];
    assert!(names.iter().all(|name| expected.contains(name)), "{names:?}");
    assert!(text.contains("DECLARED=yes BTC-USDT\n") && text.contains("TZ=UTC\n"));
    let descriptors = fs::read_to_string(format!("{}.fds", seen.display())).unwrap();
    let store = barn.store.path().to_str().unwrap();
    assert!(!descriptors.lines().any(|line| line.contains(store)), "nothing of ours is inherited: {descriptors}");
}

#[test]
fn what_a_generator_writes_after_its_end_does_not_reach_what_was_stored() {
    let barn = Barn::new();
    // A grandchild in a session of its own keeps the output open, and writes to it when the generator is long gone.
    let late = barn.path("late");
    let script = format!(
        r#"{COPY}
setsid sh -c 'exec 3<>"$1"; sleep 0.4; echo overwritten >&3; touch {0}' sh "$1" >/dev/null 2>&1 &
sleep 0.1"#,
        late.display()
    );
    let dataset = barn.dataset(&script).build().unwrap();
    let loaded = barn.load(&dataset, 1).blocking().unwrap();
    let artifact = &loaded.partitions[0].outcome.entry().unwrap().outputs[0];
    let deadline = Instant::now() + Duration::from_secs(10);
    while !late.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(late.exists(), "the grandchild has written");
    assert_eq!(tickbarn::Digest::of(&fs::read(&artifact.path).unwrap()), artifact.digest);
}

#[test]
fn an_output_is_stored_without_a_copy_where_nobody_else_can_write_to_it() {
    use std::os::unix::fs::MetadataExt;
    let cases = [
        ("true", cfg!(target_os = "linux")),
        // Another name for the same file, by which it could be written later.
        (r#"ln "$1" "$FIXTURES/../kept""#, false),
        // Open for writing in a process of another session.
        (
            r#"setsid sh -c 'exec 3>>"$1"; touch "$FIXTURES/../open"; sleep 0.5' sh "$1" >/dev/null 2>&1 & until [ -e "$FIXTURES/../open" ]; do sleep 0.01; done"#,
            false,
        ),
    ];
    for (and_then, adopted) in cases {
        let barn = Barn::new();
        let inode = barn.path("inode");
        let dataset = barn.dataset(&format!("{COPY}\nls -i \"$1\" > {}\n{and_then}", inode.display())).build().unwrap();
        let loaded = barn.load(&dataset, 1).blocking().unwrap();
        let artifact = &loaded.partitions[0].outcome.entry().unwrap().outputs[0];
        let made = fs::read_to_string(&inode).unwrap().split_whitespace().next().unwrap().parse::<u64>().unwrap();
        assert_eq!(fs::metadata(&artifact.path).unwrap().ino() == made, adopted, "{and_then}");
        assert_eq!(fs::metadata(&artifact.path).unwrap().nlink(), 1);
        assert_eq!(tickbarn::Digest::of(&fs::read(&artifact.path).unwrap()), artifact.digest);
    }
}

#[test]
fn a_long_log_is_kept_beside_the_manifest() {
    let barn = Barn::new();
    let dataset = barn.dataset(&format!("seq 1 5000\n{COPY}")).build().unwrap();
    let loaded = barn.load(&dataset, 1).blocking().unwrap();
    let manifest = barn.store.manifest(&loaded.partitions[0].address.unwrap()).unwrap().unwrap();
    let log = barn.store.log(&manifest).unwrap();
    assert!(log.stdout.text.starts_with("1\n2\n") && log.stdout.text.ends_with("5000\n"));
    assert!(!log.stdout.truncated);
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let barn = Barn::new();
    let dataset =
        tickbarn::Dataset::command("gone", ["./no/such/exporter"]).base_dir(barn.path("")).output("table", "table.parquet").build().unwrap();
    let error = barn.load(&dataset, 1).blocking().unwrap_err().to_string();
    assert!(error.contains("gone") && error.contains("no/such/exporter"), "{error}");
}
