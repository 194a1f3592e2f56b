//! Loads from programs: streams, progress, cancellation, and runtimes that are there or not.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use tickbarn::{CancellationToken, Dataset, Error, Instrument, Load, Memoized, Mode, OnFailure, OnMissing, Outcomes, Store};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes};

#[test]
fn handles_are_shared_and_loads_are_sent_between_threads() {
    fn handle<T: Send + Sync + Clone>() {}
    fn sent<T: Send>() {}
    handle::<Store>();
    handle::<Dataset>();
    handle::<Instrument>();
    handle::<Memoized>();
    handle::<CancellationToken>();
    sent::<Load>();
    sent::<Outcomes>();
    sent::<<Load as IntoFuture>::IntoFuture>();
}

#[test]
fn the_builders_words_are_the_policys() {
    let barn = Barn::new();
    let dataset = barn.dataset(&format!(r#"case "$2" in *T01:*) exit 7;; esac; {COPY}"#)).build().unwrap();
    let wanted = [(instrument(), first_hours(1)), (instrument(), first_hours(2))];
    let load = || barn.store.load().requests(&dataset, &wanted);
    assert_eq!(outcomes(&load().on_missing(OnMissing::Skip).blocking().unwrap()), ["missing"; 3]);
    assert!(matches!(load().on_missing(OnMissing::Fail).blocking(), Err(Error::Missing { requested: 3, .. })));
    assert_eq!(outcomes(&load().on_failure(OnFailure::Skip).blocking().unwrap()), ["generated", "hit", "failed"]);
    assert_eq!(outcomes(&load().on_failure(OnFailure::Skip).refresh().blocking().unwrap()), ["generated", "hit", "failed"]);
    assert!(matches!(load().policy(Mode::Write.policy()).blocking(), Err(Error::Generation { .. })));
}

#[test]
fn blocking_works_with_and_without_a_runtime_around_it() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["generated"]);
    let current = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    current.block_on(async {
        assert_eq!(outcomes(&barn.load(&dataset, 2).blocking().unwrap()), ["hit", "generated"]);
        assert_eq!(outcomes(&barn.load(&dataset, 3).await.unwrap()), ["hit", "hit", "generated"]);
    });
    let many = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    many.block_on(async {
        assert_eq!(outcomes(&barn.load(&dataset, 4).blocking().unwrap()), ["hit", "hit", "hit", "generated"]);
        let loads: Vec<_> = (5..8).map(|hours| tokio::spawn(barn.load(&dataset, hours).into_future())).collect();
        for load in loads {
            load.await.unwrap().unwrap();
        }
    });
    assert_eq!(barn.runs(), 7);
}

#[tokio::test]
async fn a_stream_gives_outcomes_as_they_come_and_then_the_whole() {
    let barn = Barn::new();
    // The third hour is fast, the second slow.
    let dataset = barn.dataset(&format!(r#"case "$2" in *T01:*) sleep 0.4;; esac; {COPY}"#)).build().unwrap();
    barn.load(&dataset, 1).await.unwrap();
    let mut stream = barn.load(&dataset, 3).workers(2).stream();
    let mut seen = Vec::new();
    while let Some(partition) = stream.try_next().await.unwrap() {
        seen.push((partition.interval.start().to_string()[11..13].to_owned(), partition.outcome.as_str()));
    }
    let order: Vec<(&str, &str)> = seen.iter().map(|(hour, outcome)| (hour.as_str(), *outcome)).collect();
    assert_eq!(order, [("00", "hit"), ("02", "generated"), ("01", "generated")]);
    let loaded = stream.into_loaded().unwrap();
    assert_eq!(outcomes(&loaded), ["hit", "generated", "generated"], "in request order");
}

#[tokio::test]
async fn a_stream_ends_in_its_error() {
    let barn = Barn::new();
    let dataset = barn.dataset(&format!(r#"case "$2" in *T01:*) exit 7;; esac; {COPY}"#)).build().unwrap();
    let items: Vec<_> = barn.load(&dataset, 2).workers(1).stream().collect().await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].as_ref().unwrap().outcome.as_str(), "generated");
    assert!(matches!(items[1], Err(Error::Generation { .. })));
    // Many times: the load ends on another thread, between any two steps of the stream.
    for _ in 0..300 {
        let refused: Vec<_> = barn.load(&dataset, 3).on_missing(OnMissing::Fail).stream().collect().await;
        assert!(matches!(refused[..], [Err(Error::Missing { .. })]), "{refused:?}");
    }
}

#[tokio::test]
async fn a_dropped_stream_ends_its_load() {
    let barn = Barn::new();
    let dataset = barn.dataset(&format!("sleep 30\n{COPY}")).build().unwrap();
    let mut stream = barn.load(&dataset, 2).workers(2).stream();
    let first = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
    assert!(first.is_err(), "nothing is done yet");
    let since = Instant::now();
    drop(stream);
    assert!(since.elapsed() < Duration::from_secs(10), "the generators were waited for");
    assert!(barn.is_tidy() && barn.files(&["entries"]).is_empty());
}

#[test]
fn a_load_is_cancelled_from_another_thread_and_what_finished_is_kept() {
    let barn = Barn::new();
    let dataset = barn.dataset(&format!(r#"case "$2" in *T00:*) ;; *) echo $$ >> "$0.pids"; exec sleep 30;; esac; {COPY}"#)).build().unwrap();
    let token = CancellationToken::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (telling, cancelling) = (Arc::clone(&seen), token.clone());
    let load = barn.load(&dataset, 3).workers(1).cancelled_by(&token).each(move |partition| {
        telling.lock().unwrap().push(partition.outcome.as_str());
        // The next generator is about to start.
        let cancelling = cancelling.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            cancelling.cancel();
        });
    });
    let since = Instant::now();
    let error = load.blocking().unwrap_err();
    assert!(since.elapsed() < Duration::from_secs(10), "the generator was waited for");
    assert!(matches!(error, Error::Cancelled { done: 1, requested: 3 }) && !error.is_usage(), "{error}");
    assert!(error.to_string().contains("1 of 3 partitions done") && error.to_string().contains("load again"), "{error}");
    assert_eq!(*seen.lock().unwrap(), ["generated"]);
    assert!(barn.is_tidy());
    let pids = fs::read_to_string(barn.path("generator.sh.pids")).unwrap();
    for pid in pids.lines() {
        let gone = fs::read_to_string(format!("/proc/{pid}/cmdline")).map_or(true, |line| !line.contains("sleep"));
        assert!(gone, "generator {pid} outlived its load");
    }
    // What is cancelled already still reads what is there.
    assert_eq!(outcomes(&barn.load(&dataset, 1).cancelled_by(&token).blocking().unwrap()), ["hit"]);
    assert!(matches!(barn.load(&dataset, 2).cancelled_by(&token).blocking(), Err(Error::Cancelled { done: 1, requested: 2 })));
}

#[test]
fn a_load_of_hits_needs_no_runtime_and_no_thread() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 2).blocking().unwrap();
    let here = std::thread::current().id();
    let load = barn.load(&dataset, 2).each(move |_| assert_eq!(std::thread::current().id(), here));
    assert_eq!(outcomes(&load.blocking().unwrap()), ["hit"; 2]);
}
