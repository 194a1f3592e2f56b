//! Rust functions as generators.
//!
//! Invariant 7 of ARCHITECTURE.md.

use std::fs;
use std::future::{Future, IntoFuture};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tickbarn::{
    AsyncFunction, BoxError, Dataset, DatasetBuilder, Digest, Empty, Error, Function, Job, OnFailure, Outcome, Outputs, Policy, Split, Store,
    WriteTable,
};

use crate::barn::{Barn, first_hours, instrument, outcomes, write_table};

/// What is missing is generated, and what fails is left out.
fn skip() -> Policy {
    Policy { failure: OnFailure::Skip, ..Policy::default() }
}

/// Counts its calls.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn count(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn so_far(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn hourly(builder: DatasetBuilder) -> Dataset {
    builder.split(Split::every("1h").unwrap()).build().unwrap()
}

/// Writes a table of the partition's start to the only output.
fn write_start(job: &Job) -> Result<(), BoxError> {
    write_table(job.output("table")?, &[job.start().ns()]);
    Ok(())
}

#[test]
fn a_function_s_source_is_remembered_beside_its_entries_and_moves_none() {
    let barn = Barn::new();
    let defined = |source: &[u8]| hourly(Dataset::function("starts", "1", write_start).function_source(Digest::of(source)));
    let made = barn.load(&defined(b"one"), 1).blocking().unwrap();
    let found = barn.load(&defined(b"another"), 1).blocking().unwrap();
    assert_eq!((outcomes(&made), outcomes(&found)), (vec!["generated"], vec!["hit"]));
    let manifest = barn.store.manifest(&found.partitions[0].address.unwrap()).unwrap().unwrap();
    assert_eq!(manifest.provenance.program_digest, Some(Digest::of(b"one")), "what made it, not what asks for it");
    assert_eq!(defined(b"another").function_source(), Some(Digest::of(b"another")));
}

#[test]
fn a_closure_runs_once_for_each_partition_and_is_read_ever_after() {
    let barn = Barn::new();
    let calls = Calls::default();
    let counted = calls.clone();
    let dataset = hourly(Dataset::function("starts", "1", move |job: &Job| {
        counted.count();
        write_start(job)
    }));
    let first = barn.load(&dataset, 5).blocking().unwrap();
    assert_eq!(outcomes(&first), ["generated"; 5]);
    assert_eq!(outcomes(&barn.load(&dataset, 5).blocking().unwrap()), ["hit"; 5]);
    let other = Store::open_existing(barn.store.path()).unwrap();
    assert_eq!(outcomes(&other.load().request(&dataset, &instrument(), first_hours(5)).blocking().unwrap()), ["hit"; 5]);
    assert_eq!(calls.so_far(), 5);
    let table = &first.partitions[2].outcome.entry().unwrap().outputs[0];
    assert_eq!((&*table.name, table.rows, table.bounds[0].min), ("table", 1, first.partitions[2].interval.start().ns()));
    let manifest = barn.store.manifest(&first.partitions[0].address.unwrap()).unwrap().unwrap();
    assert_eq!(manifest.provenance.program, "function starts");
    assert!(barn.is_tidy());
}

#[test]
fn name_version_and_config_are_its_identity_and_nothing_else_is() {
    let barn = Barn::new();
    let address = |builder: DatasetBuilder| barn.load(&hourly(builder), 1).blocking().unwrap().partitions[0].address.unwrap();
    let plain = |name: &str, version: &str| Dataset::function(name, version, write_start);
    let first = address(plain("starts", "1"));
    // Another closure of the same name and version is the same function, whatever it does.
    assert_eq!(address(Dataset::function("starts", "1", |_: &Job| -> Result<(), BoxError> { Err("never called".into()) })), first);
    assert_eq!(address(plain("renamed", "1").function_name("starts")), first);
    assert_eq!(address(plain("starts", "1").unkeyed("verbose", 2).timeout(Duration::from_secs(9)).retries(2).time_column("t")), first);
    let others =
        [plain("other", "1"), plain("starts", "2"), plain("starts", "1").config("levels", 5), plain("starts", "1").output("table", "t.parquet")];
    let mut all: Vec<_> = others.into_iter().map(address).chain([first]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5);
}

#[test]
fn a_job_says_what_it_is_about() {
    let barn = Barn::new();
    fs::write(barn.path("feed"), "a feed").unwrap();
    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Config {
        levels: u32,
        windows: Vec<f64>,
    }
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let builder = Dataset::function("told", "1", move |job: &Job| -> Result<(), BoxError> {
        assert_eq!(job.config_as::<Config>()?, Config { levels: 40, windows: vec![0.5, 1.0] });
        assert!(job.config_as::<Vec<u8>>().is_err());
        assert_eq!(fs::read_to_string(job.input("feed")?)?, "a feed");
        let unknown = job.output("tabel").unwrap_err();
        assert!(matches!(&unknown, Error::NotDeclared { kind: "output", known, .. } if known == &["table"]), "{unknown}");
        assert!(job.upstream("md").unwrap_err().to_string().contains("declares no upstream \"md\""));
        assert!(fs::read_dir(job.work())?.next().is_none() && !job.is_cancelled());
        *told.lock().unwrap() = Some((job.dataset().to_owned(), job.instrument().clone(), job.interval(), job.attempt()));
        write_start(job)
    });
    let builder = builder.config("levels", 40).config("windows", vec![0.5, 1.0]).base_dir(barn.path("")).input("feed", "feed");
    let loaded = barn.load(&hourly(builder.clone()), 1).blocking().unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(("told".to_owned(), instrument(), first_hours(1), 1)));
    // The content of what it reads is in its key.
    fs::write(barn.path("feed"), "another feed").unwrap();
    let changed = barn.load(&hourly(builder), 1).policy(skip()).blocking().unwrap();
    assert_ne!(changed.partitions[0].address, loaded.partitions[0].address);
}

#[test]
fn types_are_functions_too_sync_and_async() {
    struct Starts;
    impl Function for Starts {
        fn name(&self) -> &str {
            "typed"
        }
        fn version(&self) -> &str {
            "7"
        }
        fn generate(&self, job: &Job) -> Result<Outputs, BoxError> {
            write_start(job)?;
            Ok(Outputs::files())
        }
    }
    struct Later(Calls);
    impl AsyncFunction for Later {
        fn name(&self) -> &str {
            "typed"
        }
        fn version(&self) -> &str {
            "7"
        }
        fn generate(&self, job: Job) -> impl Future<Output = Result<Outputs, BoxError>> + Send {
            let calls = self.0.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                calls.count();
                write_start(&job)?;
                Ok(Outputs::files())
            }
        }
    }
    let barn = Barn::new();
    let calls = Calls::default();
    let made = barn.load(&hourly(Dataset::made_by_async("one", Later(calls.clone()))), 3).blocking().unwrap();
    assert_eq!((outcomes(&made), calls.so_far()), (vec!["generated"; 3], 3));
    // The same name and version: the same function under another dataset's name.
    assert_eq!(outcomes(&barn.load(&hourly(Dataset::made_by("other", Starts)), 3).blocking().unwrap()), ["hit"; 3]);
}

#[test]
fn async_closures_wait_side_by_side() {
    let barn = Barn::new();
    let together = Arc::new(tokio::sync::Barrier::new(4));
    let dataset = hourly(Dataset::async_function("waits", "1", move |job: Job| {
        let together = Arc::clone(&together);
        async move {
            // Nobody passes before all four are here.
            together.wait().await;
            write_start(&job)
        }
    }));
    assert_eq!(outcomes(&barn.load(&dataset, 4).workers(4).blocking().unwrap()), ["generated"; 4]);
}

#[test]
fn no_more_than_the_workers_run_at_once() {
    let barn = Barn::new();
    let (now, most) = (Calls::default(), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let dataset = hourly(Dataset::function("busy", "1", move |job: &Job| {
        peak.fetch_max(now.count(), Ordering::SeqCst);
        // On a busy machine three may take their time to come together; a fourth would have come in the meantime.
        let since = Instant::now();
        while peak.load(Ordering::SeqCst) < 3 && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(5));
        now.0.fetch_sub(1, Ordering::SeqCst);
        write_start(job)
    }));
    barn.load(&dataset, 12).workers(3).blocking().unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn no_data_is_an_answer_and_remembered() {
    let barn = Barn::new();
    let calls = Calls::default();
    let counted = calls.clone();
    let dataset = hourly(Dataset::function("quiet", "1", move |job: &Job| -> Result<Option<()>, BoxError> {
        counted.count();
        if job.interval() == first_hours(1) { Ok(None) } else { write_start(job).map(Some) }
    }));
    let first = barn.load(&dataset, 2).blocking().unwrap();
    assert_eq!(outcomes(&first), ["empty", "generated"]);
    assert_eq!(first.partitions[0].outcome.entry().unwrap().empty, Some(Empty::NoData));
    let again = barn.load(&dataset, 2).blocking().unwrap();
    let Outcome::Empty { known: true, entry, .. } = &again.partitions[0].outcome else { panic!() };
    assert!(entry.outputs.is_empty());
    assert_eq!((outcomes(&again), calls.so_far()), (vec!["empty", "hit"], 2));
    // Also where the journal and the index are gone.
    fs::remove_file(barn.store.path().join("journal/log")).unwrap();
    assert_eq!(
        outcomes(&Store::open(barn.store.path()).unwrap().load().request(&dataset, &instrument(), first_hours(2)).blocking().unwrap()),
        ["empty", "hit"]
    );
}

#[derive(Debug, thiserror::Error)]
#[error("the venue does not answer")]
struct Silent(#[source] std::io::Error);

#[test]
fn errors_and_panics_are_failures_with_their_message_and_the_rest_goes_on() {
    let barn = Barn::new();
    let dataset = hourly(Dataset::function("breaks", "1", |job: &Job| -> Result<(), BoxError> {
        match job.start() {
            start if start == first_hours(1).start() => Err(Silent(std::io::Error::other("connection reset")).into()),
            start if start == first_hours(1).end() => panic!("index {} is out of bounds", 7),
            _ => write_start(job),
        }
    }));
    let loaded = barn.load(&dataset, 4).policy(skip()).workers(2).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["failed", "failed", "generated", "generated"]);
    let failure = |nth: usize| match &loaded.partitions[nth].outcome {
        Outcome::Failed { failure, .. } => failure.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(failure(0).to_string(), "the venue does not answer (error)");
    assert_eq!(failure(0).log.stderr.text, "the venue does not answer\ncaused by: connection reset\n");
    assert_eq!(failure(1).to_string(), "the function panicked: index 7 is out of bounds (panic)");
    let recorded = barn.store.failure(&loaded.partitions[1].address.unwrap()).unwrap().unwrap();
    assert_eq!(recorded.failure.class.as_str(), "panic");
    assert!(barn.is_tidy());

    let error = barn.load(&dataset, 4).workers(1).blocking().unwrap_err();
    assert!(matches!(error, Error::Generation { .. }) && error.to_string().contains("the venue does not answer"), "{error}");
}

#[test]
fn async_errors_and_panics_are_no_other() {
    let barn = Barn::new();
    let dataset = hourly(Dataset::async_function("breaks", "1", |job: Job| async move {
        tokio::task::yield_now().await;
        assert!(job.start() != first_hours(1).start(), "the first hour is not to be had");
        write_start(&job)
    }));
    let loaded = barn.load(&dataset, 2).policy(skip()).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["failed", "generated"]);
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!() };
    assert_eq!(failure.to_string(), "the function panicked: the first hour is not to be had (panic)");
    assert!(barn.is_tidy());
}

#[test]
fn a_function_is_tried_again_as_often_as_its_dataset_says() {
    let barn = Barn::new();
    for panics in [false, true] {
        let version = panics.to_string();
        let builder = Dataset::function("flaky", version, move |job: &Job| match job.attempt() {
            3 => write_start(job),
            _ if panics => panic!("not yet"),
            _ => Err("not yet".into()),
        });
        let dataset = hourly(builder.retries(2).retry_delay(Duration::ZERO));
        let loaded = barn.load(&dataset, 1).blocking().unwrap();
        let manifest = barn.store.manifest(&loaded.partitions[0].address.unwrap()).unwrap().unwrap();
        assert_eq!(manifest.provenance.attempt, 3);
    }
}

#[test]
fn what_it_leaves_is_checked_as_a_commands_output_is() {
    struct Text(&'static str);
    impl WriteTable for Text {
        fn write(self: Box<Self>, path: &std::path::Path) -> Result<(), BoxError> {
            Ok(fs::write(path, self.0)?)
        }
    }
    let barn = Barn::new();
    let failure = |version: &str, outputs: &[&str], made: fn(&Job) -> Result<Outputs, BoxError>| {
        let builder = outputs.iter().fold(Dataset::function("left", version, made), |builder, name| builder.output(*name, format!("{name}.parquet")));
        let loaded = barn.load(&hourly(builder), 1).policy(skip()).blocking().unwrap();
        match &loaded.partitions[0].outcome {
            Outcome::Failed { failure, .. } => failure.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let nothing = failure("1", &["table"], |_| Ok(Outputs::files()));
    assert!(nothing.contains("left no table.parquet") && nothing.ends_with("(no-output)"), "{nothing}");
    let text = failure("2", &["table"], |_| Ok(Outputs::only(Text("no table"))));
    assert!(text.contains("no whole Parquet file") && text.ends_with("(bad-output)"), "{text}");
    let other = failure("3", &["table"], |_| Ok(Outputs::default().table("tabel", Text("x"))));
    assert!(other.contains("\"tabel\"") && other.contains("only the outputs table"), "{other}");
    let which = failure("4", &["bids", "asks"], |_| Ok(Outputs::only(Text("x"))));
    assert!(which.contains("asks, bids; say which by Outputs::table"), "{which}");
    let taken = failure("5", &["table"], |job| {
        fs::create_dir(job.output("table")?)?;
        Ok(Outputs::files())
    });
    assert!(taken.contains("a directory") && taken.ends_with("(bad-output)"), "{taken}");
    assert!(barn.is_tidy() && barn.files(&["artifacts"]).is_empty());
}

#[test]
fn a_function_whose_time_is_up_is_asked_to_stop() {
    let barn = Barn::new();
    let dataset = hourly(
        Dataset::function("slow", "1", |job: &Job| {
            while !job.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            write_start(job)
        })
        .timeout(Duration::from_millis(30)),
    );
    let loaded = barn.load(&dataset, 1).policy(skip()).blocking().unwrap();
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!("{loaded:?}") };
    assert_eq!(failure.class.as_str(), "timeout");
    assert!(failure.message.contains("timeout of 30ms and stopped when asked to"), "{failure}");
    assert!(barn.is_tidy() && barn.files(&["entries"]).is_empty(), "what it gave back after that is not used");
}

#[test]
fn a_function_that_does_not_stop_frees_its_slot_and_keeps_its_claim() {
    let barn = Barn::new();
    let go = barn.path("go");
    let waits = go.clone();
    let dataset = hourly(
        Dataset::function("stubborn", "1", move |job: &Job| {
            while job.interval() == first_hours(1) && !waits.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            write_start(job)
        })
        .timeout(Duration::from_millis(50)),
    );
    let loaded = barn.load(&dataset, 2).policy(skip()).workers(1).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["failed", "generated"], "the only slot is free for the second hour");
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!() };
    assert!(failure.message.contains("did not stop when asked to; let it look at Job::is_cancelled"), "{failure}");
    assert!(!barn.is_tidy(), "nobody else may work where it still does");
    fs::write(&go, "").unwrap();
    let since = Instant::now();
    while !barn.is_tidy() {
        assert!(since.elapsed() < Duration::from_secs(20), "the claim never came back");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(barn.files(&["entries"]).len(), 1, "what it gave back after its time is not used");
}

#[test]
fn dropping_a_load_asks_its_functions_to_stop_and_publishes_nothing() {
    let barn = Barn::new();
    let (started, stopped) = (Calls::default(), Calls::default());
    let (began, ended) = (started.clone(), stopped.clone());
    let sync = hourly(Dataset::function("sync", "1", move |job: &Job| {
        began.count();
        while !job.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        ended.count();
        write_start(job)
    }));
    struct OnDrop(Calls);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.count();
        }
    }
    let (began, ended) = (started.clone(), stopped.clone());
    let waits = hourly(Dataset::async_function("async", "1", move |job: Job| {
        began.count();
        let ended = OnDrop(ended.clone());
        async move {
            let _ended = ended;
            std::future::pending::<()>().await;
            write_start(&job)
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let load = barn.store.load().request(&sync, &instrument(), first_hours(1)).request(&waits, &instrument(), first_hours(1)).workers(2);
        let running = tokio::spawn(load.into_future());
        while started.so_far() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        while stopped.so_far() < 2 || !barn.is_tidy() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(barn.files(&["entries", "artifacts", "failures"]).is_empty());
}

#[test]
fn loads_at_once_share_the_calls() {
    let barn = Barn::new();
    let calls = Calls::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let counted = calls.clone();
            let dataset = hourly(Dataset::function("shared", "1", move |job: &Job| {
                counted.count();
                std::thread::sleep(Duration::from_millis(10));
                write_start(job)
            }));
            let store = Store::open(barn.store.path()).unwrap();
            scope.spawn(move || {
                let loaded = store.load().request(&dataset, &instrument(), first_hours(8)).workers(2).blocking().unwrap();
                assert_eq!(loaded.summary().read, 8);
            });
        }
    });
    assert_eq!(calls.so_far(), 8);
}

#[test]
fn each_job_has_a_directory_of_its_own_that_goes_with_it() {
    let barn = Barn::new();
    let places: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
    let noted = Arc::clone(&places);
    let dataset = hourly(Dataset::function("places", "1", move |job: &Job| {
        noted.lock().unwrap().push(job.work().to_path_buf());
        write_start(job)
    }));
    barn.load(&dataset, 3).blocking().unwrap();
    let mut places = places.lock().unwrap().clone();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 3, "each job has a directory of its own");
    assert!(places.iter().all(|place| !place.exists()), "and it goes with the job");
}

#[test]
fn what_only_a_command_has_is_refused() {
    let refused = |builder: DatasetBuilder| builder.build().unwrap_err().to_string();
    let plain = || Dataset::function("starts", "1", write_start);
    assert!(refused(plain().env("A", "b")).contains("put the value into its config"));
    assert!(refused(plain().file("model", 1)).contains("put the value into its config"));
    assert!(refused(plain().empty_exit_codes([3])).contains("says by `None`"));
    assert!(refused(plain().snapshot_program(true)).contains("no program to copy"));
    assert!(refused(plain().function_name("a b")).contains("cannot name a function"));
    assert!(refused(Dataset::function("starts", "", write_start)).contains("version"));
    assert_eq!(plain().build().unwrap().outputs().collect::<Vec<_>>(), [("table", "table.parquet")]);
}

#[test]
fn a_memoized_function_is_one_table() {
    let barn = Barn::new();
    let memoized = barn.store.memoize(Dataset::function("starts", "1", write_start).split(Split::every("1h").unwrap())).unwrap();
    let loaded = memoized.load(&instrument(), first_hours(3)).blocking().unwrap();
    assert_eq!((outcomes(&loaded), memoized.output()), (vec!["generated"; 3], "table"));
    assert_eq!(outcomes(&memoized.load(&instrument(), first_hours(3)).blocking().unwrap()), ["hit"; 3]);
    let two = Dataset::function("two", "1", write_start).output("a", "a.parquet").output("b", "b.parquet");
    assert!(barn.store.memoize(two).unwrap_err().to_string().contains("has the outputs a, b; load it instead"));
}

/// A table that takes its time to be written, as a lazy frame does.
struct Slow(PathBuf, Calls);

impl WriteTable for Slow {
    fn write(self: Box<Self>, path: &std::path::Path) -> Result<(), BoxError> {
        self.1.count();
        while !self.0.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        write_table(path, &[1]);
        Ok(())
    }
}

#[test]
fn what_is_computed_after_a_cancellation_or_a_timeout_is_not_published() {
    for timeout in [None, Some(Duration::from_millis(30))] {
        let barn = Barn::new();
        let (go, writing) = (barn.path("go"), Calls::default());
        let (waits, counted) = (go.clone(), writing.clone());
        let builder = Dataset::function("lazy", "1", move |_: &Job| Ok::<_, BoxError>(Outputs::only(Slow(waits.clone(), counted.clone()))));
        let dataset = hourly(timeout.into_iter().fold(builder, DatasetBuilder::timeout));
        let token = tickbarn::CancellationToken::new();
        let cancelling = token.clone();
        let seen = writing.clone();
        let canceller = std::thread::spawn(move || {
            while seen.so_far() == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            if timeout.is_none() {
                cancelling.cancel();
            }
        });
        let ended = barn.load(&dataset, 1).policy(skip()).cancelled_by(&token).blocking();
        canceller.join().unwrap();
        match timeout {
            None => assert!(matches!(ended, Err(Error::Cancelled { done: 0, .. }))),
            Some(_) => assert_eq!(outcomes(&ended.unwrap()), ["failed"]),
        }
        fs::write(&go, "").unwrap();
        let since = Instant::now();
        while !barn.is_tidy() {
            assert!(since.elapsed() < Duration::from_secs(20), "the claim never came back");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(barn.files(&["entries"]).is_empty(), "timeout {timeout:?}: it was published after its load had given it up");
    }
}

#[test]
fn an_async_function_whose_time_is_up_is_dropped_and_tried_again() {
    let barn = Barn::new();
    let calls = Calls::default();
    let counted = calls.clone();
    let builder = Dataset::async_function("hangs", "1", move |job: Job| {
        let call = counted.count();
        async move {
            if call < 3 {
                std::future::pending::<()>().await;
            }
            write_start(&job)
        }
    });
    let dataset = hourly(builder.timeout(Duration::from_millis(100)).retries(2).retry_delay(Duration::ZERO));
    assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["generated"]);
    assert_eq!(calls.so_far(), 3);
}

#[test]
fn what_a_job_cancels_itself_is_its_helpers_end_and_not_its_own() {
    let barn = Barn::new();
    let dataset = hourly(Dataset::function("guards", "1", |job: &Job| {
        let _helpers = job.cancellation().clone().drop_guard();
        write_start(job)
    }));
    assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["generated"]);
}
