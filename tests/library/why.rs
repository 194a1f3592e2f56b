//! Why partitions are generated, and what loads would do, as a program asks.

use std::fs;
use std::sync::{Arc, Mutex};

use tickbarn::inspect::{self, Expected, Standing};
use tickbarn::{BoxError, Dataset, Error, IndexMode, Interval, Job, Load, Progress, Split, Store, StoreOptions};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes, write_table};

/// `numbers` with a level.
fn leveled(barn: &Barn, level: i64) -> Dataset {
    barn.dataset(COPY).config("level", level).build().unwrap()
}

/// What a function does.
fn written(job: &Job, times: &[i64]) -> Result<(), BoxError> {
    write_table(job.output("table")?, times);
    Ok(())
}

/// Runs a load, and tells what it generates again.
fn again_of(store: &Store, load: Load) -> Vec<inspect::Again> {
    let again = Arc::new(Mutex::new(Vec::new()));
    let (store, told) = (store.clone(), Arc::clone(&again));
    let load = load.progress(move |progress| {
        if let Progress::Planned { absent, .. } = progress {
            told.lock().unwrap().extend(inspect::again(&store, absent).unwrap());
        }
    });
    load.blocking().unwrap();
    let again = again.lock().unwrap();
    again.clone()
}

fn words(why: &inspect::Why) -> Vec<Vec<String>> {
    why.nearest.iter().map(|nearest| nearest.differences.iter().map(ToString::to_string).collect()).collect()
}

#[test]
fn the_nearest_comes_first_however_many_there_are() {
    let barn = Barn::new();
    for level in 0..8 {
        barn.load(&leveled(&barn, level), 1).blocking().unwrap();
    }
    let more = barn.dataset(COPY).config("level", 0).config("depth", 5).build().unwrap();
    barn.load(&more, 1).blocking().unwrap();
    // One that is cut otherwise reaches into the place.
    barn.store
        .load()
        .request(&leveled(&barn, 9), &instrument(), Interval::parse("2024-01-01T00:30", "2024-01-01T01:00").unwrap())
        .blocking()
        .unwrap();

    let asked = barn.dataset(COPY).config("level", 0).config("depth", 6).build().unwrap();
    let why = inspect::why(&barn.store, &asked, &instrument(), first_hours(1)).unwrap();
    assert!(matches!(why.standing, Standing::Absent));
    let told = words(&why);
    assert_eq!(told[0], ["config.depth 5 → 6"]);
    assert_eq!(told[1], ["config.depth added: 6"], "the same level");
    assert_eq!(told[2], ["config.depth added: 6", "config.level 7 → 0"], "then the youngest");
    assert_eq!((told.len(), why.others), (5, 5));
    assert!(why.nearest.iter().all(|nearest| nearest.interval == first_hours(1)), "another interval is further away than any key");
    let hit = inspect::why(&barn.store, &leveled(&barn, 3), &instrument(), first_hours(1)).unwrap();
    assert!(matches!(hit.standing, Standing::Usable(generated) if generated.finished() > generated.started));
    assert_eq!(barn.runs(), 10, "nothing ran to tell");
}

#[test]
fn an_index_and_manifests_tell_the_same() {
    let barn = Barn::new();
    let tables = |level: i64| {
        Dataset::function("numbers", "1", |job: &Job| written(job, &[1])).config("level", level).split(Split::every("1m").unwrap()).build().unwrap()
    };
    let hours = first_hours(8);
    barn.store.load().request(&tables(1), &instrument(), hours).workers(8).blocking().unwrap();
    let journal = fs::metadata(barn.store.path().join("journal").join("journal")).map(|journal| journal.len()).unwrap_or(u64::MAX);
    assert!(journal > 200 << 10, "a journal of {journal} bytes is worth an index");
    let minute = Interval::parse("2024-01-01T03:07", "2024-01-01T03:08").unwrap();
    let told = |mode| {
        let store = Store::open_existing(barn.store.path()).unwrap().with_options(StoreOptions::default().index(mode));
        words(&inspect::why(&store, &tables(2), &instrument(), minute).unwrap())
    };
    assert_eq!(told(IndexMode::Auto), [["config.level 1 → 2"]]);
    assert_eq!(told(IndexMode::Off), [["config.level 1 → 2"]]);

    // An entry that somebody took away is in the index still, and no reason to generate itself.
    let store = Store::open_existing(barn.store.path()).unwrap();
    let name = inspect::why(&store, &tables(1), &instrument(), minute).unwrap().address.unwrap().to_string();
    fs::remove_file(store.path().join("entries").join(&name[..2]).join(format!("{name}.json"))).unwrap();
    let again = again_of(&store, store.load().request(&tables(1), &instrument(), minute));
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn functions_are_told_by_version_and_upstreams_by_their_reasons() {
    let barn = Barn::new();
    let numbers = |version: &str| {
        let rows: Vec<i64> = (0..version.parse().unwrap()).collect();
        Dataset::function("numbers", version, move |job: &Job| written(job, &rows)).split(Split::every("1h").unwrap()).build().unwrap()
    };
    let derived = |numbers: &Dataset| {
        Dataset::function("sums", "1", |job: &Job| written(job, &[1])).upstream(numbers).split(Split::every("2h").unwrap()).build().unwrap()
    };
    let (one, two) = (numbers("1"), numbers("2"));
    barn.load(&derived(&one), 2).blocking().unwrap();
    let blocked = inspect::why(&barn.store, &derived(&two), &instrument(), first_hours(2)).unwrap();
    let Standing::Blocked { missing } = &blocked.standing else { panic!("{blocked:?}") };
    assert_eq!(missing.iter().map(|missing| missing.interval.start()).collect::<Vec<_>>().len(), 2);
    assert!(blocked.address.is_none() && words(&blocked) == [Vec::<String>::new()], "as far as it is known, it is the same");
    barn.load(&two, 2).blocking().unwrap();
    let told = inspect::why(&barn.store, &derived(&two), &instrument(), first_hours(2)).unwrap();
    assert_eq!(words(&told), [["upstream numbers table changed in 2 of 2 partitions, since version \"1\" → \"2\""]]);
    // What it was derived from is gone: the key still says that it changed.
    let gone = barn.store.entries().unwrap().into_iter().filter(|listed| &*listed.dataset == "numbers");
    let mut gone: Vec<_> = gone.map(|listed| (listed.entry.started, listed.entry.address)).collect();
    gone.sort();
    for (_, address) in &gone[..2] {
        let name = address.to_string();
        fs::remove_file(barn.store.path().join("entries").join(&name[..2]).join(format!("{name}.json"))).unwrap();
    }
    let told = inspect::why(&barn.store, &derived(&two), &instrument(), first_hours(2)).unwrap();
    assert!(words(&told)[0][0].ends_with("it was generated anew (what it was before is no longer in the store)"), "{told:?}");
}

#[test]
fn a_load_hands_out_what_is_absent_and_why_is_told_of_all_of_it() {
    let barn = Barn::new();
    barn.load(&leveled(&barn, 1), 2).blocking().unwrap();
    barn.load(&leveled(&barn, 2), 3).blocking().unwrap();
    let said = again_of(&barn.store, barn.load(&leveled(&barn, 3), 5));
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].to_string(), "3 partitions are generated again because config.level 2 → 3");
    assert_eq!((said[0].interval, said[0].clipped), (first_hours(1), false));
}

#[test]
fn an_imagined_store_is_asked_and_never_made() {
    let barn = Barn::new();
    let dataset = leveled(&barn, 1);
    let nowhere = barn.path("nowhere");
    let store = Store::open_or_imagine(&nowhere).unwrap();
    assert!(store.is_imagined() && !Store::open_or_imagine(barn.store.path()).unwrap().is_imagined());
    let load = || store.load().request(&dataset, &instrument(), first_hours(2));
    let foreseen = inspect::dry_run(load(), &[]).unwrap();
    assert!(foreseen.partitions.iter().all(|partition| partition.expected == Expected::Generate { refresh: false }));
    assert_eq!((foreseen.seconds, foreseen.generated(), foreseen.without_history()), (None, 2, 2));
    assert!(matches!(load().blocking(), Err(Error::NotAStore { .. })));
    assert!(matches!(inspect::why(&store, &dataset, &instrument(), first_hours(1)).unwrap().standing, Standing::Absent));
    assert!(!nowhere.exists());
    // What is no place for a store is refused as it is when one is made.
    assert!(matches!(Store::open_or_imagine(barn.path("fixtures")), Err(Error::NotAStore { .. })));
    let real = barn.load(&dataset, 2).blocking().unwrap();
    assert_eq!(outcomes(&real), ["generated"; 2]);
}

#[test]
fn other_bytes_under_one_key_are_called_that() {
    let barn = Barn::new();
    let flag = barn.path("two").display().to_string();
    let script = format!(r#"if [ -e {flag} ]; then cp "$FIXTURES/two.parquet" "$1"; else {COPY}; fi"#);
    let numbers = barn.dataset(&script).build().unwrap();
    let derived =
        Dataset::function("sums", "1", |job: &Job| written(job, &[1])).upstream(&numbers).split(Split::every("1h").unwrap()).build().unwrap();
    barn.load(&derived, 1).blocking().unwrap();
    fs::write(&flag, "").unwrap();
    barn.load(&numbers, 1).refresh().blocking().unwrap();
    let told = inspect::why(&barn.store, &derived, &instrument(), first_hours(1)).unwrap();
    assert_eq!(words(&told), [["upstream numbers table changed, since its generator gave other bytes under the same key"]]);
    let entry = inspect::why_entry(&barn.store, &told.nearest[0].address).unwrap();
    assert!(matches!(entry.standing, Standing::Usable(_)) && entry.nearest.is_empty(), "{entry:?}");
}
