//! With real processes. A test that looks at what the whole process holds (descriptors, children, memory) starts the test binary again and
//! runs alone in there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::super::{LOG_HEAD_BYTES_MAX, LOG_TAIL_BYTES_MAX, base_environment};
use super::*;

/// Long enough for a loaded machine, short enough for a test that hangs to be noticed.
const PATIENCE: Duration = Duration::from_secs(20);

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn run_of(directory: &Path, program: impl AsRef<Path>, arguments: &[&str]) -> Run {
    Run {
        program: program.as_ref().to_path_buf(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        environment: base_environment(),
        directory: directory.to_path_buf(),
        timeout: None,
        elsewhere: None,
    }
}

fn script(directory: &Path, text: &str) -> Run {
    run_of(directory, "/bin/sh", &["-c", text])
}

async fn finished(run: Run) -> Finished {
    Local.run(run).await.expect("the command starts")
}

async fn refused(run: Run) -> String {
    message(Local.run(run).await.expect_err("the command cannot start"))
}

fn message(error: RunError) -> String {
    match error {
        RunError::Failed(failure) => failure.message,
        RunError::Cluster(error) => panic!("{error}"),
    }
}

fn executable(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made executable");
}

/// Whether a process runs; a zombie does not.
fn runs(pid: i32) -> bool {
    if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        return stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']));
    }
    rustix::process::test_kill_process(Pid::from_raw(pid).expect("a process number")).is_ok()
}

fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + patience;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The process number that a script writes to a file with `echo $$ > name.part && mv name.part name`.
fn pid_in(path: &Path) -> i32 {
    assert!(within(PATIENCE, || path.exists()), "{} never appeared", path.display());
    fs::read_to_string(path).expect("read").trim().parse().expect("a process number")
}

const ISOLATED: &str = "TICKBARN_TEST_ISOLATED";

fn again(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test binary"));
    command.args(["--exact", &format!("runner::local::tests::{name}"), "--nocapture", "--test-threads=1"]).env(ISOLATED, name);
    command
}

/// Runs the body alone in a process: in this one if it was started for that, else in one that this starts.
fn in_its_own_process(name: &str, body: impl Future<Output = ()>) {
    if std::env::var(ISOLATED).is_ok_and(|isolated| isolated == name) {
        return tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(body);
    }
    let output = again(name).output().expect("the test binary starts");
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "no such test: {name}");
}

#[tokio::test]
async fn the_exit_status_and_both_streams_reach_the_caller() {
    let directory = directory();
    let before = Time::now();
    let finished = finished(script(directory.path(), "echo out; echo err >&2; pwd -P; exit 3")).await;
    let pwd = directory.path().canonicalize().expect("there");
    assert_eq!(finished.ended, Ended::Exited(3));
    assert_eq!(finished.log.stdout.text, format!("out\n{}\n", pwd.display()));
    assert_eq!(finished.log.stderr.text, "err\n");
    assert!(!finished.log.stdout.truncated);
    assert!(before <= finished.started && finished.started <= Time::now());
    assert!(finished.duration > Duration::ZERO);
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_are() {
    let directory = directory();
    let hostile = ["; touch x", "$(touch x)", "{other}", "-n", "", "a\nb", "日本", "*"];
    let finished = finished(run_of(directory.path(), "/bin/sh", &[&["-c", "printf '[%s]' \"$@\"", "sh"], &hostile[..]].concat())).await;
    assert_eq!(finished.log.stdout.text, hostile.map(|argument| format!("[{argument}]")).concat());
    assert!(!directory.path().join("x").exists());
}

#[tokio::test]
async fn a_signal_is_told_from_an_exit() {
    let directory = directory();
    assert_eq!(finished(script(directory.path(), "kill -9 $$")).await.ended, Ended::Signalled(9));
    assert_eq!(finished(script(directory.path(), "kill -11 $$")).await.ended, Ended::Signalled(11));
    assert_eq!(finished(script(directory.path(), "exit 137")).await.ended, Ended::Exited(137));
}

#[tokio::test]
async fn a_timeout_lets_the_generator_clean_up_and_keeps_its_log() {
    let directory = directory();
    let mut run = script(directory.path(), "trap 'echo cleaned; exit 0' TERM; echo begun; while :; do sleep 0.01; done");
    run.timeout = Some(Duration::from_millis(300));
    let finished = finished(run).await;
    assert_eq!(finished.ended, Ended::TimedOut);
    assert_eq!(finished.log.stdout.text, "begun\ncleaned\n");
    assert!(finished.duration >= Duration::from_millis(300) && finished.duration < TERM_GRACE, "{:?}", finished.duration);
}

#[tokio::test]
async fn a_generator_that_ignores_sigterm_is_killed_after_its_grace() {
    let directory = directory();
    let mut run = script(directory.path(), "trap '' TERM; echo begun; while :; do sleep 0.1; done");
    run.timeout = Some(Duration::from_millis(200));
    let finished = finished(run).await;
    assert_eq!(finished.ended, Ended::TimedOut);
    assert_eq!(finished.log.stdout.text, "begun\n");
    assert!(finished.duration >= TERM_GRACE && finished.duration < PATIENCE, "{:?}", finished.duration);
}

#[tokio::test]
async fn a_timeout_ends_a_stopped_generator_too() {
    let directory = directory();
    let mut run = script(directory.path(), "kill -STOP $$");
    run.timeout = Some(Duration::from_millis(50));
    assert_eq!(finished(run).await.ended, Ended::TimedOut);
}

#[tokio::test]
async fn grandchildren_in_the_group_do_not_outlive_the_run() {
    let directory = directory();
    let text = "sh -c 'trap \"\" TERM HUP; echo $$ > a; mv a pid; while :; do sleep 0.1; done' & until [ -e pid ]; do sleep 0.01; done; echo done";
    let finished = finished(script(directory.path(), text)).await;
    assert_eq!(finished.ended, Ended::Exited(0));
    assert_eq!(finished.log.stdout.text, "done\n");
    let grandchild = pid_in(&directory.path().join("pid"));
    assert!(within(Duration::from_secs(2), || !runs(grandchild)));
}

#[tokio::test]
async fn a_grandchild_in_a_session_of_its_own_holds_nothing_up() {
    if !Path::new("/usr/bin/setsid").exists() {
        eprintln!("skipped a_grandchild_in_a_session_of_its_own_holds_nothing_up: no /usr/bin/setsid");
        return;
    }
    let directory = directory();
    for chatter in ["exec sleep 30", "trap '' PIPE; i=0; while [ $i -lt 2000000 ]; do echo chatter; i=$((i+1)); done"] {
        let pid_file = directory.path().join("pid");
        let _ = fs::remove_file(&pid_file);
        fs::write(directory.path().join("chatter"), format!("echo $$ > a; mv a pid; {chatter}")).expect("written");
        let mut run = script(directory.path(), "setsid sh chatter & until [ -e pid ]; do sleep 0.01; done; echo done; exit 4");
        run.timeout = Some(PATIENCE);
        let finished = finished(run).await;
        let left = pid_in(&pid_file);
        let _ = rustix::process::kill_process(Pid::from_raw(left).expect("a process number"), Signal::KILL);
        assert_eq!(finished.ended, Ended::Exited(4));
        // Said last: it stood in the pipe when the leader ended. Beside chatter it may lie in the middle that is cut out.
        assert!(finished.log.stdout.text == "done\n" || finished.log.stdout.text.contains("chatter\n"), "{:?}", finished.log);
        assert!(finished.duration < Duration::from_secs(10), "{:?}", finished.duration);
    }
}

#[test]
fn a_gibibyte_of_output_takes_no_memory_and_blocks_nobody() {
    in_its_own_process("a_gibibyte_of_output_takes_no_memory_and_blocks_nobody", async {
        let directory = directory();
        let text = "echo first; head -c 1073741824 /dev/zero | tr '\\0' x & head -c 100000000 /dev/zero >&2; wait; echo; echo last";
        let finished = finished(script(directory.path(), text)).await;
        assert_eq!(finished.ended, Ended::Exited(0));
        let stdout = finished.log.stdout;
        assert_eq!(stdout.bytes, (1 << 30) + 12);
        assert!(stdout.truncated && finished.log.stderr.truncated);
        assert_eq!(finished.log.stderr.bytes, 100_000_000);
        assert!(stdout.text.starts_with("first\nxxx") && stdout.text.ends_with("xxx\nlast\n"));
        assert!(stdout.text.contains("… 1,073,479,692 bytes cut …"));
        assert!(stdout.text.len() < LOG_HEAD_BYTES_MAX + LOG_TAIL_BYTES_MAX + 100);
        if cfg!(target_os = "linux") {
            let status = fs::read_to_string("/proc/self/status").expect("read");
            let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
            let kib: u64 = line.split_ascii_whitespace().nth(1).expect("a figure").parse().expect("a number");
            assert!(kib < 100 * 1024, "this process took {kib} KiB");
        }
    });
}

#[tokio::test]
async fn a_generator_that_reads_standard_input_finds_its_end() {
    let directory = directory();
    let mut run = script(directory.path(), "cat; read line || echo nothing to read");
    run.timeout = Some(PATIENCE);
    assert_eq!(finished(run).await.log.stdout.text, "nothing to read\n");
}

#[tokio::test]
async fn output_closed_early_does_not_end_or_spin_the_run() {
    let directory = directory();
    let finished = finished(script(directory.path(), "exec >&- 2>&-; sleep 0.2; exit 5")).await;
    assert_eq!(finished.ended, Ended::Exited(5));
    assert!(finished.duration >= Duration::from_millis(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_future_kills_the_group_before_the_drop_returns() {
    let directory = directory();
    let text = "trap '' TERM; echo $$ > a; sh -c 'echo $$ > b; mv b grandchild; while :; do sleep 0.1; done' & mv a leader; wait";
    let run = Local.run(script(directory.path(), text));
    let (leader, grandchild) = {
        let looked = async {
            while !directory.path().join("leader").exists() || !directory.path().join("grandchild").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            outcome = run => panic!("it ended by itself: {outcome:?}"),
            () = looked => {}
        }
        (pid_in(&directory.path().join("leader")), pid_in(&directory.path().join("grandchild")))
    };
    // `select!` has dropped the run by now.
    let leader_number = Pid::from_raw(leader).expect("a process number");
    assert_eq!(rustix::process::test_kill_process(leader_number), Err(Errno::SRCH), "the leader is not reaped");
    assert!(within(Duration::from_secs(2), || !runs(grandchild)));
}

#[tokio::test]
async fn a_future_that_is_never_polled_starts_nothing() {
    let directory = directory();
    drop(Local.run(script(directory.path(), "touch started")));
    thread::sleep(Duration::from_millis(50));
    assert!(!directory.path().join("started").exists());
}

#[tokio::test]
async fn the_environment_is_exactly_what_was_given() {
    let directory = directory();
    let mut run = run_of(directory.path(), "/usr/bin/env", &[]);
    run.environment = BTreeMap::from([("A", "1"), ("B", "x=y z"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(finished(run.clone()).await.log.stdout.text, "A=1\nB=x=y z\nEMPTY=\n");
    run.environment.clear();
    assert_eq!(finished(run).await.log.stdout.text, "");
}

#[test]
fn what_preloads_code_or_sets_a_locale_does_not_pass_by_itself() {
    let environment = base_environment();
    assert!(environment.keys().all(|name| ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ"].contains(&name.as_str())));
    assert_eq!(environment.get("LANG").map(String::as_str), Some("C.UTF-8"));
    assert_eq!(environment.get("TZ").map(String::as_str), Some("UTC"));
    assert_eq!(environment.get("PATH"), std::env::var("PATH").ok().as_ref());
}

#[tokio::test]
async fn the_peak_memory_includes_what_a_script_started() {
    let directory = directory();
    let finished = finished(script(directory.path(), "(head -c 157286400 /dev/zero; sleep 0.5) | tail -c 157286400 > /dev/null; exit 0")).await;
    let mib = finished.memory_bytes_peak.expect("a peak") >> 20;
    assert!((150..400).contains(&mib), "{mib} MiB");
}

#[test]
fn a_large_caller_is_not_mistaken_for_a_large_generator() {
    in_its_own_process("a_large_caller_is_not_mistaken_for_a_large_generator", async {
        let directory = directory();
        let ballast = std::hint::black_box(vec![1_u8; 300 << 20]);
        let finished = finished(script(directory.path(), "sleep 0.2")).await;
        let mib = finished.memory_bytes_peak.map(|bytes| bytes >> 20);
        assert!(mib.is_none_or(|mib| mib < 50), "{mib:?} MiB beside {} bytes of ours", ballast.len());
        assert!(mib.is_some() || !cfg!(target_os = "linux"), "it ran long enough for a sample");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_runs_go_on_beside_each_other() {
    let directory = directory();
    let start = Instant::now();
    let runs: Vec<_> = (0..32).map(|n| tokio::spawn(finished(script(directory.path(), &format!("sleep 0.5; echo {n}"))))).collect();
    for (n, run) in runs.into_iter().enumerate() {
        assert_eq!(run.await.expect("no panic").log.stdout.text, format!("{n}\n"));
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_program_that_cannot_start_says_why_and_what_to_do() {
    let directory = directory();
    let path = directory.path().join("exporter");
    let run = run_of(directory.path(), &path, &[]);
    let named = format!("cannot run {}: ", path.display());

    let message = refused(run.clone()).await;
    assert!(message.starts_with(&named) && message.contains("no such file") && message.contains("`command`"), "{message}");

    fs::write(&path, "#!/bin/sh\n").expect("written");
    let message = refused(run.clone()).await;
    assert!(message.starts_with(&named) && message.contains("not executable; chmod +x"), "{message}");

    for content in [&b"echo a script without its first line\n"[..], b"\x7fELF\x02\x01\x01 for another machine", b""] {
        executable(&path, content);
        let message = refused(run.clone()).await;
        assert!(message.contains("a script without a #! line, or built for another machine?"), "{message}");
    }

    executable(&path, "#!/no/such/python3 -u\n");
    let message = refused(run.clone()).await;
    assert!(message.contains("/no/such/python3") && message.contains("install it"), "{message}");

    let message = refused(run_of(directory.path(), directory.path(), &[])).await;
    assert!(message.contains("it is not a file"), "{message}");

    let message = refused(run_of(&directory.path().join("gone"), "/bin/sh", &[])).await;
    assert!(message.contains("work directory"), "{message}");

    let message = refused(run_of(directory.path(), "/bin/sh", &["fine", "a\0b"])).await;
    assert!(message.contains("argument 2 holds a NUL byte"), "{message}");

    let long = "x".repeat(64 << 20);
    let message = refused(run_of(directory.path(), "/bin/sh", &[&long])).await;
    assert!(message.contains("larger than the system takes"), "{message}");

    let failure = crate::failure::Failure::from(SpawnFailure { message: "why".to_owned() });
    assert_eq!((failure.class, failure.message.as_str()), (crate::failure::FailureClass::Spawn, "why"));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_just_being_written_is_waited_for() {
    let directory = directory();
    let path = directory.path().join("exporter");
    executable(&path, "#!/bin/sh\nexit 6\n");
    let run = run_of(directory.path(), &path, &[]);

    let writer = fs::OpenOptions::new().append(true).open(&path).expect("opened");
    let closing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(60));
        drop(writer);
    });
    assert_eq!(finished(run.clone()).await.ended, Ended::Exited(6));
    closing.join().expect("no panic");

    let _writer = fs::OpenOptions::new().append(true).open(&path).expect("opened");
    let message = refused(run).await;
    assert!(message.contains("open for writing") && message.contains("snapshot_program"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_behind_in_the_process_that_loads() {
    in_its_own_process("nothing_is_left_behind_in_the_process_that_loads", async {
        let directory = directory();
        let open = || fs::read_dir("/proc/self/fd").expect("listed").count();
        let threads = || fs::read_dir("/proc/self/task").expect("listed").count();
        // The first run opens what the runtime and the standard library keep.
        finished(script(directory.path(), "exit 0")).await;
        assert!(within(PATIENCE, || threads() <= 5));
        let (open_before, threads_before) = (open(), threads());
        for _ in 0..20 {
            finished(script(directory.path(), "echo x; sleep 0.001 & exit 1")).await;
            refused(run_of(directory.path(), "/no/such/program", &[])).await;
            let mut timed = script(directory.path(), "sleep 30");
            timed.timeout = Some(Duration::from_millis(5));
            finished(timed).await;
            let dropped = tokio::time::timeout(Duration::from_millis(5), Local.run(script(directory.path(), "sleep 30"))).await;
            assert!(dropped.is_err());
        }
        assert!(within(PATIENCE, || open() == open_before), "{} descriptors became {}", open_before, open());
        assert!(within(PATIENCE, || threads() <= threads_before), "{} threads became {}", threads_before, threads());
        let children = fs::read_dir("/proc/self/task")
            .expect("listed")
            .map(|task| fs::read_to_string(task.expect("a thread").path().join("children")).expect("read"));
        assert_eq!(children.collect::<String>(), "", "children, or zombies, are left");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_tickbarn_takes_its_generator_along() {
    const NAME: &str = "a_killed_tickbarn_takes_its_generator_along";
    const PLACE: &str = "TICKBARN_TEST_PLACE";
    if let Some(place) = std::env::var_os(PLACE) {
        let run = script(Path::new(&place), "echo $$ > a; mv a pid; exec sleep 60");
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(finished(run));
        panic!("the generator ended by itself");
    }
    let directory = directory();
    let mut loading = again(NAME).env(PLACE, directory.path()).stdout(process::Stdio::null()).spawn().expect("started");
    let generator = pid_in(&directory.path().join("pid"));
    assert!(runs(generator));
    loading.kill().expect("killed");
    loading.wait().expect("reaped");
    assert!(within(Duration::from_secs(2), || !runs(generator)), "it runs on");
}

#[test]
fn too_few_descriptors_fail_a_run_with_a_message_and_only_that_run() {
    in_its_own_process("too_few_descriptors_fail_a_run_with_a_message_and_only_that_run", async {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let directory = directory();
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(64), maximum }).expect("lowered");
        for (at_once, all_run) in [(8, true), (64, false)] {
            let runs: Vec<_> = (0..at_once).map(|_| tokio::spawn(Local.run(script(directory.path(), "sleep 0.3; echo ran")))).collect();
            for run in runs {
                match run.await.expect("no panic") {
                    Ok(finished) => assert_eq!((finished.ended, finished.log.stdout.text.as_str()), (Ended::Exited(0), "ran\n")),
                    Err(error) => {
                        let message = message(error);
                        assert!(!all_run && message.contains("raise the limit (ulimit -n)"), "{message}");
                    }
                }
            }
        }
        assert_eq!(finished(script(directory.path(), "exit 2")).await.ended, Ended::Exited(2));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_status_that_somebody_else_took_is_said_to_be_lost_rather_than_invented() {
    in_its_own_process("a_status_that_somebody_else_took_is_said_to_be_lost_rather_than_invented", async {
        // SAFETY: ignoring a signal installs no handler; this process does nothing else.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        let directory = directory();
        for text in ["exit 0", "sleep 0.2; exit 0"] {
            let message = refused(script(directory.path(), text)).await;
            assert!(message.contains("ignores SIGCHLD"), "{message}");
        }
        let dropped = tokio::time::timeout(Duration::from_millis(50), Local.run(script(directory.path(), "sleep 30"))).await;
        assert!(dropped.is_err());
    });
}

#[tokio::test]
#[ignore = "a measurement: prints what running /bin/true costs"]
async fn cost_of_a_run() {
    let directory = directory();
    let mut costs = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        finished(run_of(directory.path(), "/bin/true", &[])).await;
        costs.push(start.elapsed());
    }
    costs.sort();
    println!("/bin/true: median {:?}, 95 % {:?}, max {:?}", costs[250], costs[475], costs[499]);
}
