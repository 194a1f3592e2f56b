//! Policies, requests and reports.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tickbarn::{Align, Error, Interval, Mode, OnFailure, OnMissing, Outcome, Policy, RetryFailed, Split, Store};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes};

fn policy(missing: OnMissing, failure: OnFailure) -> Policy {
    Policy { missing, failure, ..Policy::default() }
}

#[test]
fn what_was_generated_once_is_read_ever_after() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let first = barn.load(&dataset, 6).blocking().unwrap();
    assert_eq!(outcomes(&first), ["generated"; 6]);
    let again = barn.load(&dataset, 6).blocking().unwrap();
    assert_eq!(outcomes(&again), ["hit"; 6]);
    assert_eq!(barn.runs(), 6);
    for (made, read) in first.partitions.iter().zip(&again.partitions) {
        let (Outcome::Generated { entry: made, .. }, Outcome::Hit(read)) = (&made.outcome, &read.outcome) else { panic!() };
        assert_eq!(made.outputs, read.outputs);
        assert_eq!(read.outputs[0].rows, 3);
        assert!(read.outputs[0].path.is_file());
    }
    // Six partitions of the same bytes are one file.
    assert!(again.partitions.windows(2).all(|pair| pair[0].outcome.entry().unwrap().outputs == pair[1].outcome.entry().unwrap().outputs));
    assert!(barn.is_tidy());
}

#[test]
fn another_process_that_opens_the_store_reads_the_same() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 3).blocking().unwrap();
    let store = Store::open_existing(barn.store.path()).unwrap();
    let loaded = store.load().request(&dataset, &instrument(), first_hours(3)).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["hit"; 3]);
}

#[test]
fn a_changed_configuration_never_answers_with_old_data() {
    let barn = Barn::new();
    let forty = barn.dataset(COPY).config("levels", 40).build().unwrap();
    let five = barn.dataset(COPY).config("levels", 5).build().unwrap();
    for (dataset, expected) in [(&forty, "generated"), (&five, "generated"), (&forty, "hit"), (&five, "hit")] {
        assert_eq!(outcomes(&barn.load(dataset, 2).blocking().unwrap()), [expected; 2]);
    }
}

#[test]
fn a_rebuilt_program_never_answers_with_old_data() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 2).blocking().unwrap();
    let rebuilt = barn.dataset(&format!("{COPY}\n# rebuilt")).build().unwrap();
    assert_eq!(outcomes(&barn.load(&rebuilt, 2).blocking().unwrap()), ["generated"; 2]);
    // The old definition names the same file, which now holds other bytes.
    assert_eq!(outcomes(&barn.load(&dataset, 2).blocking().unwrap()), ["hit"; 2]);
    assert_eq!(barn.runs(), 4);
}

#[test]
fn missing_partitions_fail_before_anything_is_generated_or_are_skipped() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 2).blocking().unwrap();

    let error = barn.load(&dataset, 4).policy(policy(OnMissing::Fail, OnFailure::Fail)).blocking().unwrap_err();
    let Error::Missing { missing: 2, requested: 4, interval, .. } = &error else { panic!("{error}") };
    assert_eq!(interval.to_string(), "2024-01-01T02:00:00Z/2024-01-01T03:00:00Z");

    let loaded = barn.load(&dataset, 4).policy(policy(OnMissing::Skip, OnFailure::Fail)).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["hit", "hit", "missing", "missing"]);
    assert_eq!(loaded.summary().to_string(), "Read 2 out of 4 (50.00%)");
    assert_eq!(barn.runs(), 2);
}

/// Fails for the second hour.
const SECOND_FAILS: &str = r#"case "$2" in *T01:*) echo "no feed for $2" >&2; exit 7;; esac; cp "$FIXTURES/three.parquet" "$1""#;

#[test]
fn a_failure_stops_the_load_or_is_left_out_and_what_finished_is_kept() {
    let barn = Barn::new();
    let dataset = barn.dataset(SECOND_FAILS).build().unwrap();
    let error = barn.load(&dataset, 4).workers(1).blocking().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("exit status 7: no feed for 2024-01-01T01:00:00Z") && text.contains("binance/BTC-USDT"), "{text}");
    assert!(barn.is_tidy());

    let loaded = barn.load(&dataset, 4).policy(policy(OnMissing::Generate, OnFailure::Skip)).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["hit", "failed", "generated", "generated"]);
    assert_eq!(loaded.summary().to_string(), "Read 3 out of 4 (75.00%)");

    let record = barn.store.failure(&loaded.partitions[1].address.unwrap()).unwrap().unwrap();
    assert_eq!((record.count, record.failure.class.as_str()), (2, "exit"));
    assert_eq!(record.failure.log.stderr.text, "no feed for 2024-01-01T01:00:00Z\n");
}

#[test]
fn the_five_modes_of_the_old_scripts() {
    let barn = Barn::new();
    let dataset = barn.dataset(SECOND_FAILS).build().unwrap();
    let load = |mode: Mode| barn.load(&dataset, 3).workers(1).policy(mode.policy()).blocking();
    assert!(matches!(load(Mode::Read), Err(Error::Missing { .. })));
    assert_eq!(outcomes(&load(Mode::ReadIgnoreErrors).unwrap()), ["missing"; 3]);
    assert_eq!(outcomes(&load(Mode::Default).unwrap()), ["generated", "failed", "generated"]);
    assert_eq!(outcomes(&load(Mode::ReadIgnoreErrors).unwrap()), ["hit", "missing", "hit"]);
    assert_eq!(outcomes(&load(Mode::WriteIgnoreErrors).unwrap()), ["generated", "failed", "generated"]);
    assert!(matches!(load(Mode::Write), Err(Error::Generation { .. })));
}

#[test]
fn whether_a_recorded_failure_is_tried_again_is_a_policy() {
    let barn = Barn::new();
    let dataset = barn.dataset("exit 7").build().unwrap();
    let load = |retry_failed| {
        let policy = Policy { failure: OnFailure::Skip, retry_failed, ..Policy::default() };
        let loaded = barn.load(&dataset, 1).policy(policy).blocking().unwrap();
        let Outcome::Failed { failure, recorded } = &loaded.partitions[0].outcome else { panic!() };
        assert_eq!(failure.class.as_str(), "exit");
        (*recorded, barn.runs())
    };
    assert_eq!(load(RetryFailed::Never), (false, 1), "nothing is on record yet");
    assert_eq!(load(RetryFailed::Never), (true, 1));
    assert_eq!(load(RetryFailed::After(Duration::from_secs(3600))), (true, 1));
    assert_eq!(load(RetryFailed::After(Duration::from_nanos(1))), (false, 2));
    assert_eq!(load(RetryFailed::Always), (false, 3));
}

#[test]
fn a_generator_that_succeeds_clears_its_record() {
    let barn = Barn::new();
    let flag = barn.path("broken");
    std::fs::write(&flag, "").unwrap();
    let script = format!("[ ! -e {} ]\n{COPY}", flag.display());
    let dataset = barn.dataset(&script).build().unwrap();
    let failed = barn.load(&dataset, 1).policy(policy(OnMissing::Generate, OnFailure::Skip)).blocking().unwrap();
    let address = failed.partitions[0].address.unwrap();
    assert!(barn.store.failure(&address).unwrap().is_some());
    std::fs::remove_file(&flag).unwrap();
    barn.load(&dataset, 1).blocking().unwrap();
    assert!(barn.store.failure(&address).unwrap().is_none());
}

#[test]
fn retries_pause_and_then_succeed() {
    let barn = Barn::new();
    let script = format!(r#"[ "$(wc -l < {})" -ge 3 ]"#, barn.path("runs").display());
    let dataset = barn.dataset(&format!("{script}\n{COPY}")).retries(2).retry_delay(Duration::from_millis(30)).build().unwrap();
    let began = Instant::now();
    let loaded = barn.load(&dataset, 1).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["generated"]);
    assert_eq!(barn.runs(), 3);
    assert!(began.elapsed() >= Duration::from_millis(30 + 60), "the pauses double");
    let manifest = barn.store.manifest(&loaded.partitions[0].address.unwrap()).unwrap().unwrap();
    assert_eq!(manifest.provenance.attempt, 3);
}

#[test]
fn what_is_asked_for_twice_is_generated_once_and_answered_in_request_order() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let loaded =
        barn.load(&dataset, 3).request(&dataset, &instrument(), first_hours(2)).each(move |_| *count.lock().unwrap() += 1).blocking().unwrap();
    assert_eq!(barn.runs(), 3);
    assert_eq!(*seen.lock().unwrap(), 5);
    let starts: Vec<String> = loaded.partitions.iter().map(|partition| partition.interval.start().to_string()).collect();
    assert_eq!(starts[..3], ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"]);
    assert_eq!(starts[3..], starts[..2]);
    assert_eq!(outcomes(&loaded), ["generated", "generated", "generated", "hit", "hit"], "what ran once counts once");
}

#[test]
fn a_refresh_keeps_the_old_entry_until_the_new_one_is_there_and_tells_when_bytes_differ() {
    let barn = Barn::new();
    let turn = barn.path("turn");
    // The first run copies three rows, later ones two.
    let script = format!(r#"if [ -e {0} ]; then cp "$FIXTURES/two.parquet" "$1"; else touch {0}; {COPY}; fi"#, turn.display());
    let dataset = barn.dataset(&script).build().unwrap();
    let first = barn.load(&dataset, 1).blocking().unwrap();
    let refresh = Policy { refresh: true, ..Policy::default() };

    let second = barn.load(&dataset, 1).policy(refresh).blocking().unwrap();
    let Outcome::Generated { changed, .. } = &second.partitions[0].outcome else { panic!() };
    assert_eq!(changed.iter().map(|name| &**name).collect::<Vec<_>>(), ["table"]);
    let old = first.partitions[0].outcome.entry().unwrap().outputs[0].path.clone();
    assert!(old.is_file(), "frames may still read what was replaced");

    let third = barn.load(&dataset, 1).policy(refresh).blocking().unwrap();
    let Outcome::Generated { changed, .. } = &third.partitions[0].outcome else { panic!() };
    assert!(changed.is_empty());
    let read = barn.load(&dataset, 1).blocking().unwrap();
    assert_eq!(read.partitions[0].outcome.entry().unwrap().outputs[0].rows, 2);
}

#[test]
fn two_definitions_of_one_key_keep_their_own_judgement_of_what_is_empty() {
    let barn = Barn::new();
    let lenient = barn.dataset("exit 3").empty_exit_codes([3]).build().unwrap();
    let strict = barn.dataset("exit 3").build().unwrap();
    let skip = policy(OnMissing::Generate, OnFailure::Skip);
    // One after the other: who waits for another that then fails takes that for its answer, whichever definition the other has.
    let loaded = barn.load(&lenient, 1).request(&strict, &instrument(), first_hours(1)).policy(skip).workers(1).blocking().unwrap();
    assert_eq!(loaded.partitions[0].address, loaded.partitions[1].address);
    assert_eq!(outcomes(&loaded), ["empty", "failed"]);
}

#[test]
fn a_refresh_after_which_there_is_no_data_says_so() {
    let barn = Barn::new();
    let turn = barn.path("turn");
    let script = format!("if [ -e {0} ]; then exit 3; fi; touch {0}\n{COPY}", turn.display());
    let dataset = barn.dataset(&script).empty_exit_codes([3]).build().unwrap();
    barn.load(&dataset, 1).blocking().unwrap();
    let refresh = Policy { refresh: true, ..Policy::default() };
    let again = barn.load(&dataset, 1).policy(refresh).blocking().unwrap();
    assert_eq!(outcomes(&again), ["empty"]);
    assert_eq!(again.partitions[0].outcome.changed().len(), 1);
}

#[test]
fn a_refresh_that_fails_leaves_the_old_entry() {
    let barn = Barn::new();
    let flag = barn.path("broken");
    let dataset = barn.dataset(&format!("[ ! -e {} ]\n{COPY}", flag.display())).build().unwrap();
    barn.load(&dataset, 1).blocking().unwrap();
    std::fs::write(&flag, "").unwrap();
    let refresh = Policy { refresh: true, failure: OnFailure::Skip, ..Policy::default() };
    assert_eq!(outcomes(&barn.load(&dataset, 1).policy(refresh).blocking().unwrap()), ["failed"]);
    assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["hit"]);
}

#[test]
fn a_partition_that_ends_in_the_future_is_refused_unless_allowed_and_made_again_when_it_is_over() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).split(Split::every("1d").unwrap().aligned(Align::Start)).build().unwrap();
    let now = tickbarn::Time::now().ns();
    let interval = Interval::new(tickbarn::Time::from_ns(now - 1_000_000_000), tickbarn::Time::from_ns(now + 1_500_000_000)).unwrap();
    let load = || barn.store.load().request(&dataset, &instrument(), interval);

    let error = load().blocking().unwrap_err();
    assert!(matches!(error, Error::Future { .. }), "{error}");
    assert_eq!(barn.runs(), 0);
    let allowed = Policy { allow_future: true, ..Policy::default() };
    assert_eq!(outcomes(&load().policy(allowed).blocking().unwrap()), ["generated"]);
    assert_eq!(outcomes(&load().policy(allowed).blocking().unwrap()), ["hit"]);

    std::thread::sleep(Duration::from_millis(1600));
    assert_eq!(outcomes(&load().policy(policy(OnMissing::Skip, OnFailure::Fail)).blocking().unwrap()), ["missing"]);
    assert_eq!(outcomes(&load().blocking().unwrap()), ["generated"]);
    assert_eq!(outcomes(&load().blocking().unwrap()), ["hit"]);
}

#[test]
fn covering_cells_say_which_part_was_asked_for() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).split(Split::every("1h").unwrap().aligned(Align::Cover)).build().unwrap();
    let asked = Interval::parse("2024-01-01T00:30", "2024-01-01T01:30").unwrap();
    let loaded = barn.store.load().request(&dataset, &instrument(), asked).blocking().unwrap();
    let places: Vec<_> = loaded.partitions.iter().map(|partition| (partition.interval.to_string(), partition.requested.to_string())).collect();
    assert_eq!(places[0], ("2024-01-01T00:00:00Z/2024-01-01T01:00:00Z".into(), "2024-01-01T00:30:00Z/2024-01-01T01:00:00Z".into()));
    assert_eq!(places[1], ("2024-01-01T01:00:00Z/2024-01-01T02:00:00Z".into(), "2024-01-01T01:00:00Z/2024-01-01T01:30:00Z".into()));
}

#[test]
fn a_load_works_inside_and_outside_of_a_runtime() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    let loaded = runtime.block_on(async { barn.load(&dataset, 1).await }).unwrap();
    assert_eq!(outcomes(&loaded), ["generated"]);
    let loaded = runtime.block_on(async { barn.load(&dataset, 1).blocking() }).unwrap();
    assert_eq!(outcomes(&loaded), ["hit"]);
}

#[test]
fn what_could_never_start_is_refused() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).resources(tickbarn::Resources { cpus: 8.0, memory_bytes: 0 }).build().unwrap();
    let error = barn.load(&dataset, 1).cpus(4.0).blocking().unwrap_err();
    assert!(error.to_string().contains("one run takes 8 cpus"), "{error}");
    assert_eq!(barn.runs(), 0);
}

#[test]
fn workers_and_cpus_bound_what_runs_at_once() {
    let barn = Barn::new();
    let running = barn.path("running");
    std::fs::create_dir(&running).unwrap();
    let script = format!("touch {0}/$$; ls {0} | wc -l >> {1}; sleep 0.15; rm {0}/$$\n{COPY}", running.display(), barn.path("peaks").display());
    let peak = || {
        let text = std::fs::read_to_string(barn.path("peaks")).unwrap();
        std::fs::remove_file(barn.path("peaks")).unwrap();
        text.lines().map(|line| line.trim().parse::<usize>().unwrap()).max().unwrap()
    };
    let plain = barn.dataset(&script).build().unwrap();
    barn.load(&plain, 8).workers(3).blocking().unwrap();
    assert_eq!(peak(), 3);
    let heavy = barn.dataset(&script).config("heavy", true).resources(tickbarn::Resources { cpus: 2.0, memory_bytes: 0 }).build().unwrap();
    barn.load(&heavy, 6).workers(6).cpus(4.0).blocking().unwrap();
    assert_eq!(peak(), 2);
}
