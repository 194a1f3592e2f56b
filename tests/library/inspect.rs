//! What a store is said to hold, and where its bytes are said to lie.

use std::fs;
use std::process::Command;
use std::time::Duration;

use tickbarn::inspect::{self, Holding};
use tickbarn::{BoxError, Dataset, DatasetBuilder, Instrument, Job, OnFailure, OnMissing, Outputs, Policy, Retention, Split, Store, gc};

use crate::barn::{Barn, first_hours, instrument, write_table};

fn hourly(builder: DatasetBuilder) -> Dataset {
    builder.split(Split::every("1h").unwrap()).build().unwrap()
}

/// Two tables: one that is the same in every partition, and one of its own. Its third hour is empty.
fn feed() -> Dataset {
    let write = |job: &Job| -> Result<Outputs, BoxError> {
        let hour = job.start().ns() / 3_600_000_000_000 % 24;
        if hour == 2 {
            return Ok(Outputs::no_data());
        }
        std::thread::sleep(Duration::from_millis(2));
        write_table(job.output("calendar")?, &[1, 2, 3]);
        write_table(job.output("trades")?, &[job.start().ns(), job.instrument().pair().len() as i64]);
        Ok(Outputs::files())
    };
    hourly(Dataset::function("feed", "1", write).output("calendar", "c.parquet").output("trades", "t.parquet"))
}

/// One table that is the same as every calendar of [`feed`].
fn derived(feed: &Dataset) -> Dataset {
    let write = |job: &Job| -> Result<(), BoxError> {
        assert!(!job.upstream("feed")?.partitions().is_empty());
        write_table(job.output("table")?, &[1, 2, 3]);
        Ok(())
    };
    hourly(Dataset::function("derived", "1", write).upstream(feed).output("table", "table.parquet"))
}

fn other() -> Instrument {
    "binance/ETH".parse().unwrap()
}

fn bytes_of(barn: &Barn, name: &str) -> u64 {
    barn.files(&[name]).iter().map(|path| path.metadata().unwrap().len()).sum()
}

#[test]
fn a_survey_counts_what_is_shared_once() {
    let barn = Barn::new();
    let feed = feed();
    for instrument in [instrument(), other()] {
        barn.store.load().request(&feed, &instrument, first_hours(4)).blocking().unwrap();
    }
    barn.store.load().request(&derived(&feed), &other(), first_hours(2)).blocking().unwrap();

    let survey = inspect::survey(&barn.store).unwrap();
    let [place, second, third] = &survey.places[..] else { panic!("{survey:#?}") };
    assert_eq!((&*place.dataset, &place.instrument), ("feed", &instrument()), "as large as the other, and before it by its name");
    assert_eq!((&*second.dataset, &second.instrument, &*third.dataset), ("feed", &other(), "derived"));
    assert_eq!((place.holding.entries, place.holding.empty, place.holding.artifacts), (4, 1, 4), "three of its own and the calendar");
    assert_eq!((third.holding.entries, third.holding.empty, third.holding.artifacts), (2, 0, 1));
    let calendar = third.holding.bytes;
    assert_eq!((third.holding.bytes_named, third.holding.bytes_saved()), (2 * calendar, calendar));
    assert_eq!(place.holding.bytes_saved(), 2 * calendar);

    let [datasets, _] = &survey.datasets[..] else { panic!("{survey:#?}") };
    assert_eq!((&*datasets.dataset, datasets.holding.entries, datasets.holding.artifacts), ("feed", 8, 7));
    assert_eq!(datasets.holding.bytes_saved(), 5 * calendar);
    let total = survey.total;
    assert_eq!((total.entries, total.empty, total.artifacts), (10, 2, 7));
    assert_eq!(total.bytes, bytes_of(&barn, "artifacts"), "what lies there, each once");
    assert_eq!(total.bytes_saved(), 7 * calendar);
    assert!(total.seconds >= 6.0 * 0.002 && total.seconds < 600.0, "{total:?}");
}

#[test]
fn a_survey_follows_what_is_collected_and_made_anew() {
    let barn = Barn::new();
    let feed = feed();
    let load = || barn.store.load().request(&feed, &instrument(), first_hours(6));
    assert_eq!(inspect::survey(&barn.store).unwrap().total, Holding::default());
    load().blocking().unwrap();
    let before = inspect::survey(&barn.store).unwrap().total;
    load().refresh().blocking().unwrap();
    let refreshed = inspect::survey(&barn.store).unwrap().total;
    let counts = |holding: Holding| (holding.entries, holding.empty, holding.artifacts, holding.bytes, holding.bytes_named);
    assert_eq!(counts(refreshed), counts(before));

    fs::remove_file(&barn.files(&["entries"])[0]).unwrap();
    assert_eq!(inspect::survey(&barn.store).unwrap().total.entries, 5, "the journal tells six, and the directories five");
}

#[test]
fn a_survey_tells_nothing_of_what_is_collected() {
    let barn = Barn::new();
    // By a process that is gone, and holds nothing any more.
    let mut child = Command::new(std::env::current_exe().unwrap());
    let ran = child.args(["--exact", "inspect::a_process_that_loads", "--ignored"]).env("INSPECT_STORE", barn.store.path()).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let survey = inspect::survey(&barn.store).unwrap();
    assert_eq!((survey.places.len(), survey.total.entries), (2, 8));
    let mut retention = Retention::default();
    retention.instruments = vec![other()];
    retention.grace = Duration::ZERO;
    gc::sweep(gc::plan(&barn.store, &retention).unwrap()).unwrap();
    let survey = inspect::survey(&barn.store).unwrap();
    assert_eq!((survey.places.len(), survey.total.entries, survey.total.artifacts), (1, 4, 4));
    assert_eq!(survey.total.bytes, bytes_of(&barn, "artifacts"));
}

#[test]
#[ignore = "run by the tests here"]
fn a_process_that_loads() {
    let Some(store) = std::env::var_os("INSPECT_STORE") else { return };
    let store = Store::open_existing(store).unwrap();
    for instrument in [instrument(), other()] {
        store.load().request(&feed(), &instrument, first_hours(4)).blocking().unwrap();
    }
}

#[test]
fn space_is_what_du_says() {
    let barn = Barn::new();
    let feed = feed();
    for instrument in [instrument(), other()] {
        barn.store.load().request(&feed, &instrument, first_hours(4)).blocking().unwrap();
    }
    let store = barn.store.path();
    fs::write(store.join("quarantine").join("spoiled"), vec![1; 100_000]).unwrap();
    fs::create_dir_all(store.join("work").join("deep").join("deeper")).unwrap();
    fs::write(store.join("work").join("deep").join("deeper").join("half"), vec![1; 10_000]).unwrap();
    fs::write(store.join("stray"), "stray").unwrap();
    // A file with holes, one under two names, and a link to something large.
    fs::File::create(store.join("trash").join("holes")).unwrap().set_len(1 << 30).unwrap();
    fs::hard_link(store.join("quarantine").join("spoiled"), store.join("trash").join("again")).unwrap();
    std::os::unix::fs::symlink("/usr", store.join("trash").join("link")).unwrap();

    let space = inspect::space(&barn.store).unwrap();
    let du = Command::new("du").args(["-s", "--block-size=1"]).arg(store).output().unwrap();
    let du: u64 = String::from_utf8(du.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(space.total.disk_bytes, du);
    assert_eq!(space.parts.iter().map(|part| part.extent.disk_bytes).sum::<u64>(), du);
    let part = |name: &str| space.parts.iter().find(|part| part.part == name).unwrap().extent;
    assert_eq!(part("quarantine").bytes + part("trash").bytes, 100_000 + (1 << 30) + 4, "each file once, and a link as itself");
    assert!(part("trash").disk_bytes < 1 << 20);
    assert_eq!((part("work").files, part("work").bytes), (1, 10_000));
    assert_eq!(part("artifacts").bytes, bytes_of(&barn, "artifacts"));
    assert!(part("other").files == 2 && part("journal").files >= 1 && space.closed.is_empty());

    // What each place alone takes, what they share, and what is nobody's, are manifests and artifacts together.
    assert_eq!(space.places.iter().map(|place| (place.entries, place.extent.files)).collect::<Vec<_>>(), [(4, 7); 2]);
    assert_eq!((space.shared.files, space.unnamed.files), (1, 0), "the calendar");
    let owned: u64 = space.places.iter().map(|place| place.extent.bytes).sum();
    assert_eq!(owned + space.shared.bytes, bytes_of(&barn, "artifacts") + bytes_of(&barn, "entries"));
    let artifact = barn.files(&["artifacts"]).into_iter().next().unwrap();
    fs::copy(&artifact, artifact.with_file_name(format!("{}.parquet", "0".repeat(64)))).unwrap();
    assert_eq!(inspect::space(&barn.store).unwrap().unnamed.files, 1);
}

#[test]
fn loads_are_remembered_with_their_hits_and_misses() {
    let barn = Barn::new();
    let fails_at_four = |job: &Job| -> Result<(), BoxError> {
        if job.start().ns() / 3_600_000_000_000 % 24 == 4 {
            return Err("no feed".into());
        }
        write_table(job.output("table")?, &[1]);
        Ok(())
    };
    let dataset = hourly(Dataset::function("numbers", "1", fails_at_four));
    let load = |hours, policy| barn.load(&dataset, hours).policy(policy).blocking();
    assert_eq!(inspect::recent_loads(&barn.store).unwrap(), []);
    let skip = Policy { failure: OnFailure::Skip, ..Policy::default() };
    load(2, skip).unwrap();
    load(5, skip).unwrap();
    load(6, Policy { missing: OnMissing::Skip, ..skip }).unwrap();
    load(6, Policy { missing: OnMissing::Fail, ..skip }).unwrap_err();
    load(5, Policy::default()).unwrap_err();
    let loads = inspect::recent_loads(&Store::open_existing(barn.store.path()).unwrap()).unwrap();
    let counts: Vec<[u32; 5]> = loads.iter().map(|load| [load.hits, load.generated, load.missing, load.failed, load.unfinished]).collect();
    assert_eq!(counts, [[0, 2, 0, 0, 0], [2, 2, 0, 1, 0], [4, 0, 2, 0, 0], [4, 0, 2, 0, 0], [4, 0, 0, 0, 1]]);
    assert_eq!(loads[1].misses(), 3);
    assert!(loads.is_sorted_by_key(|load| load.at));

    // A load is as good where it cannot be noted.
    fs::remove_file(barn.store.path().join("leases").join("loads")).unwrap();
    fs::create_dir(barn.store.path().join("leases").join("loads")).unwrap();
    load(2, Policy::default()).unwrap();
    assert_eq!(inspect::recent_loads(&barn.store).unwrap(), []);
}
