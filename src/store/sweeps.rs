//! Sweeps over every file operation that the store does: each one fails once, or the process is killed at it, and what a fresh process then finds must
//! be what was committed, or nothing.
//!
//! Invariants 3, 5, 13, 15 and 19 of ARCHITECTURE.md.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::data_type::Int64Type;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::disk::seam::{Fate, lay};
use super::disk::{DRAFT_PREFIX, Operation};
use super::*;
use crate::dataset::{BoxError, Dataset, Job};
use crate::gc;
use crate::interval::Split;
use crate::retention::Retention;

/// What is done while an operation fails or the process dies. Hour 0 was committed before, in its old bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scenario {
    /// A store is made.
    Create,
    /// Hour 1 is generated.
    Publish,
    /// Hour 0 is generated anew, and gives other bytes.
    Refresh,
    /// The journal is gone, and written anew.
    Rebuild,
    /// An index is opened, filled from the journal, and closed.
    Index,
    /// A store with everything wrong is verified and mended.
    Repair,
    /// Hour 0 is pinned.
    Pin,
    /// The pin is removed.
    Unpin,
    /// Everything is collected but for hour 0, which is pinned, and then what lies about.
    Collect,
}

const SCENARIOS: [Scenario; 9] = [
    Scenario::Create,
    Scenario::Publish,
    Scenario::Refresh,
    Scenario::Rebuild,
    Scenario::Index,
    Scenario::Repair,
    Scenario::Pin,
    Scenario::Unpin,
    Scenario::Collect,
];

impl Scenario {
    fn prepare(self, root: &Path) {
        if self == Scenario::Create {
            fs::create_dir(root).unwrap();
            return;
        }
        let store = Store::open(root).unwrap();
        let hours = if self == Scenario::Repair { 4 } else { 1 };
        load(&store, &dataset(OLD, &Calls::default()), hours).unwrap();
        match self {
            Scenario::Rebuild => fs::remove_dir_all(root.join("journal")).unwrap(),
            Scenario::Repair => damage(&store),
            Scenario::Unpin => store.pin(&pin()).unwrap(),
            Scenario::Collect => litter(&store),
            _ => {}
        }
        drop(store);
        // Copied for every step: what is empty is made again where it is needed.
        for parent in ["entries", "artifacts"] {
            for shard in fs::read_dir(root.join(parent)).unwrap() {
                let _ = fs::remove_dir(shard.unwrap().path());
            }
        }
    }

    fn act(self, root: &Path) -> Result<()> {
        let store = Store::open(root)?;
        match self {
            Scenario::Create => Ok(()),
            Scenario::Publish => load(&store, &dataset(OLD, &Calls::default()), 2).map(drop),
            Scenario::Refresh => store.load().request(&dataset(NEW, &Calls::default()), &instrument(), hours(1)).refresh().blocking().map(drop),
            Scenario::Rebuild => store.entries().map(drop),
            Scenario::Index => {
                store.index().following(&store, u64::MAX);
                load(&store, &dataset(OLD, &Calls::default()), 1).map(drop)
            }
            Scenario::Repair => store.verify().digests().repair().run().map(drop),
            Scenario::Pin => store.pin(&pin()),
            Scenario::Unpin => store.unpin(PIN),
            Scenario::Collect => collect(&store).map(drop),
        }
    }

    /// The bytes that an hour may have afterwards.
    fn allows(self, hour: u32, found: &[u8]) -> bool {
        found == table(hour, OLD) || (self == Scenario::Refresh && hour == 0 && found == table(hour, NEW))
    }

    /// How many of the first hours nothing may lose.
    fn committed(self) -> u32 {
        match self {
            Scenario::Create => 0,
            _ => 1,
        }
    }
}

pub(super) const OLD: i64 = 0;
pub(super) const NEW: i64 = 1_000;

/// A table of as many rows as the hour, and three.
fn table(hour: u32, from: i64) -> Vec<u8> {
    table_of(&(from..from + i64::from(hour) + 3).collect::<Vec<_>>())
}

pub(crate) fn table_of(values: &[i64]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type("message schema { REQUIRED INT64 value; }").unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[derive(Clone, Default)]
pub(super) struct Calls(Arc<AtomicUsize>);

pub(super) fn dataset(from: i64, calls: &Calls) -> Dataset {
    let calls = calls.clone();
    let write = move |job: &Job| -> Result<(), BoxError> {
        calls.0.fetch_add(1, Ordering::SeqCst);
        let hour = u32::try_from(job.start().ns() / 3_600_000_000_000 % 24)?;
        Ok(fs::write(job.output("table")?, table(hour, from))?)
    };
    Dataset::function("numbers", "1", write).split(Split::every("1h").unwrap()).build().unwrap()
}

pub(super) fn instrument() -> Instrument {
    "binance/BTC-USDT".parse().unwrap()
}

const PIN: &str = "hour 0";

fn pin() -> Pin {
    let hour = hours(1);
    Pin::range(PIN, ["numbers".to_owned()], [instrument()], Some(hour.start()), Some(hour.end())).unwrap()
}

pub(super) fn hours(count: u32) -> Interval {
    Interval::parse("2024-01-01", &format!("2024-01-01T{count:02}:00")).unwrap()
}

pub(super) fn load(store: &Store, dataset: &Dataset, count: u32) -> Result<Vec<&'static str>> {
    let loaded = store.load().request(dataset, &instrument(), hours(count)).workers(1).blocking()?;
    Ok(loaded.partitions.iter().map(|partition| partition.outcome.as_str()).collect())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        found.push(path.clone());
        if path.is_dir() {
            found.extend(files(&path));
        }
    }
    found.sort();
    found
}

/// Leaves hour 0 as it is. Of the others one lost bytes, one its manifest, one its file; and things lie about.
fn damage(store: &Store) {
    let entry = |hour: u32| {
        let listed = store.entries().unwrap();
        listed[hour as usize].entry.clone()
    };
    let entries: Vec<Entry> = (0..4).map(entry).collect();
    let flipped = &entries[1].outputs[0].path;
    let mut bytes = fs::read(flipped).unwrap();
    bytes[20] ^= 1;
    fs::remove_file(flipped).unwrap();
    fs::write(flipped, bytes).unwrap();
    fs::write(store.layout().entry(&entries[2].address), "{").unwrap();
    fs::remove_file(&entries[3].outputs[0].path).unwrap();
    let orphan = table(9, OLD);
    let orphan_path = store.layout().artifact(&Digest::of(&orphan), ArtifactKind::Parquet);
    fs::write(orphan_path, orphan).unwrap();
    fs::create_dir(store.layout().work_of(&entries[1].address)).unwrap();
    let journal = store.layout().journal();
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 100]).unwrap();
}

/// Pins hour 0. Besides it there are hours that share its bytes, and hours that share each other's; a log that is an artifact of its own; a failure; and
/// everything that lies about after processes have ended. The lease of this very process counts for nothing in a copy: nobody holds it there.
fn litter(store: &Store) {
    store.pin(&pin()).unwrap();
    load(store, &dataset(OLD, &Calls::default()), COLLECTED_HOURS).unwrap();
    load(store, &halves(), COLLECTED_HOURS).unwrap();
    load(store, &logged(store.layout().root()), 1).unwrap();
    // Replaced: its old bytes are named by nothing.
    let hour = Interval::parse("2024-01-01T03:00", "2024-01-01T04:00").unwrap();
    let replaced = store.load().request(&dataset(NEW, &Calls::default()), &instrument(), hour).refresh().blocking().unwrap();
    let address = replaced.partitions[0].address.unwrap();
    let failing = |_: &Job| -> Result<(), BoxError> { Err("it fails".into()) };
    let failing = Dataset::function("failing", "1", failing).split(Split::every("1h").unwrap()).build().unwrap();
    load(store, &failing, 1).unwrap_err();
    let layout = store.layout();
    let plant = |bytes: Vec<u8>| fs::write(layout.artifact(&Digest::of(&bytes), ArtifactKind::Parquet), bytes).unwrap();
    plant(table(9, OLD));
    // By way of the trash.
    plant(vec![0; 9 << 10]);
    fs::create_dir(layout.work_of(&address)).unwrap();
    fs::write(layout.work_of(&address).join("table.parquet"), "half").unwrap();
    fs::write(layout.claim(&address), "").unwrap();
    let other = Address::of_canonical("left");
    fs::create_dir_all(layout.work_left(&other, 0).join("deep")).unwrap();
    fs::create_dir(layout.trash().join("left")).unwrap();
    fs::write(layout.trash().join("left/large"), "large").unwrap();
    fs::write(layout.program(&Digest::of(b"program")), "program").unwrap();
    fs::write(layout.compacted_journal(), "half").unwrap();
    fs::write(layout.indexes().join(format!("{DRAFT_PREFIX}left")), "half").unwrap();
    age(layout.root());
}

/// How many hours there are before everything is collected.
const COLLECTED_HOURS: u32 = 4;

/// Hours whose bytes are those of the hour half as late of the other dataset.
fn halves() -> Dataset {
    let write = |job: &Job| -> Result<(), BoxError> {
        let hour = u32::try_from(job.start().ns() / 3_600_000_000_000 % 24)?;
        Ok(fs::write(job.output("table")?, table(hour / 2, OLD))?)
    };
    Dataset::function("halves", "1", write).split(Split::every("1h").unwrap()).build().unwrap()
}

/// An hour with a log too long for a manifest, and the bytes of hour 1.
fn logged(root: &Path) -> Dataset {
    let bytes = root.with_file_name("table.parquet");
    fs::write(&bytes, table(1, OLD)).unwrap();
    Dataset::command("logged", ["/bin/sh", "-c", "seq 3000; cp $0 $1", bytes.to_str().unwrap(), "{output.table}"])
        .output("table", "table.parquet")
        .split(Split::every("1h").unwrap())
        .build()
        .unwrap()
}

/// Lets two minutes pass for all files: what is younger may be somebody's who is still at it.
fn age(root: &Path) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(120);
    for path in files(root) {
        fs::File::open(&path).and_then(|file| file.set_modified(then)).unwrap();
    }
}

/// Collects everything that no root holds, by scope, and then what lies about.
fn collect(store: &Store) -> Result<[gc::Swept; 2]> {
    let mut everything = Retention { grace: std::time::Duration::ZERO, ..Retention::default() };
    let leftovers = Retention { leftovers: true, failures: true, ..everything.clone() };
    everything.datasets = ["numbers", "halves", "logged"].map(str::to_owned).to_vec();
    Ok([gc::sweep(gc::plan(store, &everything)?)?, gc::sweep(gc::plan(store, &leftovers)?)?])
}

/// What a collector that comes after one which was stopped anywhere leaves: hour 0, and nothing that lies about.
fn check_collected(store: &Store, case: &str) {
    let root = store.layout().root();
    age(root);
    collect(store).unwrap_or_else(|error| panic!("{case}: {error}"));
    let left = store.verify().digests().run().unwrap();
    assert!(left.findings.is_empty(), "{case}: {:#?}", left.findings);
    assert_eq!((left.entries, left.artifacts, left.quarantined), (1, 1, 0), "{case}");
    for directory in ["trash", "work", "claims", "programs", "failures"] {
        let there: Vec<PathBuf> = files(&root.join(directory)).into_iter().filter(|path| !path.is_dir()).collect();
        assert!(there.is_empty(), "{case}: {there:#?}");
    }
    let leases: Vec<PathBuf> = files(&root.join("leases")).into_iter().filter(|path| path.extension().is_some_and(|is| is == "lease")).collect();
    assert!(leases.is_empty(), "{case}: {leases:#?}");
    // It was told of what is gone, or written anew without it.
    let inventory = Inventory::take(store, 1).unwrap();
    assert_eq!((inventory.there().count(), inventory.journal.records), (1, 1), "{case}");
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// What a process that knows nothing of what happened finds: everything committed, nothing wrong, and the rest made anew.
fn check(scenario: Scenario, root: &Path, case: &str) {
    let store = Store::open(root).unwrap_or_else(|error| panic!("{case}: {error}"));
    let repaired = scenario == Scenario::Repair;
    let before = if repaired { store.verify().digests().repair() } else { store.verify().digests() }.run().unwrap();
    assert!(before.is_clean(), "{case}: {:#?}", before.findings);
    if scenario == Scenario::Collect {
        check_collected(&store, case);
    }

    let pins = store.pins().unwrap_or_else(|error| panic!("{case}: {error}"));
    match scenario {
        Scenario::Pin | Scenario::Unpin => assert!(pins.iter().all(|there| there.name == PIN && there.cover == pin().cover), "{case}: {pins:#?}"),
        Scenario::Collect => assert!(pins.len() == 1 && pins[0].cover == pin().cover, "{case}: {pins:#?}"),
        _ => assert!(pins.is_empty(), "{case}: {pins:#?}"),
    }

    let calls = Calls::default();
    let expected = if repaired { 4 } else { 2 };
    let words = load(&store, &dataset(OLD, &calls), expected).unwrap_or_else(|error| panic!("{case}: {error}"));
    for hour in 0..expected {
        let word = words[hour as usize];
        assert!(word == "hit" || (word == "generated" && hour >= scenario.committed()), "{case}: hour {hour} is {word}");
    }
    assert!(calls.0.load(Ordering::SeqCst) <= words.iter().filter(|word| **word == "generated").count(), "{case}");
    for listed in store.entries().unwrap() {
        let hour = u32::try_from(listed.interval.start().ns() / 3_600_000_000_000 % 24).unwrap();
        assert!(scenario.allows(hour, &fs::read(&listed.entry.outputs[0].path).unwrap()), "{case}: hour {hour} has other bytes");
    }

    let mended = store.verify().digests().repair().run().unwrap();
    assert!(mended.is_clean(), "{case}: {:#?}", mended.findings);
    let mut left = store.verify().digests().run().unwrap().findings;
    // What was replaced in this very process is still promised by its lease.
    left.retain(|finding| finding.kind != FindingKind::Orphan || mended.findings.iter().all(|mended| mended.path != finding.path));
    assert!(left.is_empty(), "{case}: {left:#?}");
    assert_eq!(load(&store, &dataset(OLD, &calls), expected).unwrap(), vec!["hit"; expected as usize], "{case}");
}

/// The operations at which something is to happen, counted from one: all, but of many of a kind in one directory only some.
fn steps(scenario: Scenario, template: &Path) -> Vec<usize> {
    const OF_A_KIND_MAX: usize = 6;
    let root = template.with_file_name("whole");
    copy(template, &root);
    let laid = lay(&root, usize::MAX, Fate::Dies);
    scenario.act(&root).unwrap();
    let mut kinds = HashMap::new();
    let mut steps = Vec::new();
    for (nth, (operation, path)) in laid.seen().into_iter().enumerate() {
        let kind = kinds.entry((format!("{operation:?}"), path.parent().unwrap().to_path_buf())).or_insert(0);
        *kind += 1;
        if *kind <= OF_A_KIND_MAX {
            steps.push(nth + 1);
        }
    }
    assert!(steps.len() > 10, "{scenario:?} does {} operations", steps.len());
    steps
}

/// What may not lie about after a failure that the process has survived.
fn stray(root: &Path) -> BTreeSet<PathBuf> {
    let unfinished = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let parent = path.parent().and_then(Path::file_name).unwrap_or_default();
        name.starts_with(DRAFT_PREFIX) || name == "log.new" || name == "log.compact" || parent == "work" || parent == "claims"
    };
    files(root).into_iter().filter(unfinished).collect()
}

fn fails_at_every_operation(scenario: Scenario, number: i32) {
    let directory = tempfile::tempdir().unwrap();
    let template = directory.path().join("template");
    scenario.prepare(&template);
    let planted = stray(&template).into_iter().map(|path| path.strip_prefix(&template).unwrap().to_path_buf()).collect::<BTreeSet<_>>();
    let mut refused = 0;
    for nth in steps(scenario, &template) {
        let root = directory.path().join(nth.to_string());
        copy(&template, &root);
        let laid = lay(&root, nth, Fate::Fails(number));
        let outcome = scenario.act(&root);
        let (operation, path) = laid.struck().unwrap_or_else(|| panic!("{scenario:?} did fewer than {nth} operations"));
        drop(laid);
        let case = format!("{scenario:?}, error {number} in operation {nth}, {operation:?} of {}", path.strip_prefix(&root).unwrap().display());
        if let Err(error) = &outcome {
            refused += 1;
            assert!(matches!(error, Error::Io { .. } | Error::Damaged { .. }), "{case}: {error:?}");
            assert!(error.to_string().contains(root.to_str().unwrap()), "{case}: {error}");
        }
        // What could not be removed stays, and is told.
        if operation != Operation::Remove && scenario != Scenario::Repair {
            let left: Vec<PathBuf> = stray(&root).into_iter().filter(|path| !planted.contains(path.strip_prefix(&root).unwrap())).collect();
            assert!(left.is_empty(), "{case}: {left:#?}");
        }
        if scenario == Scenario::Publish && outcome.is_err() {
            let published = Store::open(&root).unwrap().entries().unwrap().len();
            assert_eq!(published, 1, "{case}: what failed is not there");
        }
        if let Scenario::Pin | Scenario::Unpin = scenario {
            let there = Store::open(&root).unwrap().pins().unwrap().len() == 1;
            match &outcome {
                Ok(()) => assert_eq!(there, scenario == Scenario::Pin, "{case}: what was said to be done"),
                Err(error) if scenario == Scenario::Pin => assert!(!there, "{case}: {error}"),
                // It is gone, and may be there again after a power cut.
                Err(_) => {}
            }
        }
        check(scenario, &root, &case);
        fs::remove_dir_all(&root).unwrap();
    }
    assert!(refused > 0, "{scenario:?}: no failure mattered");
}

#[test]
fn any_operation_may_fail_with_an_input_output_error_while_a_store_is_made() {
    fails_at_every_operation(Scenario::Create, libc::EIO);
}

#[test]
fn any_operation_may_fail_with_an_input_output_error_while_an_entry_is_published() {
    fails_at_every_operation(Scenario::Publish, libc::EIO);
}

#[test]
fn the_disk_may_be_full_at_any_operation_while_an_entry_is_published() {
    fails_at_every_operation(Scenario::Publish, libc::ENOSPC);
}

#[test]
fn any_operation_may_fail_while_an_entry_is_replaced() {
    fails_at_every_operation(Scenario::Refresh, libc::EIO);
}

#[test]
fn the_disk_may_be_full_at_any_operation_while_an_entry_is_replaced() {
    fails_at_every_operation(Scenario::Refresh, libc::ENOSPC);
}

#[test]
fn any_operation_may_fail_while_the_journal_is_written_anew() {
    fails_at_every_operation(Scenario::Rebuild, libc::EIO);
}

#[test]
fn the_disk_may_be_full_at_any_operation_while_the_journal_is_written_anew() {
    fails_at_every_operation(Scenario::Rebuild, libc::ENOSPC);
}

#[test]
fn any_operation_may_fail_while_an_index_is_opened() {
    fails_at_every_operation(Scenario::Index, libc::EIO);
}

#[test]
fn any_operation_may_fail_while_a_store_is_mended() {
    fails_at_every_operation(Scenario::Repair, libc::EIO);
}

#[test]
fn any_operation_may_fail_while_something_is_pinned() {
    fails_at_every_operation(Scenario::Pin, libc::EIO);
}

#[test]
fn the_disk_may_be_full_at_any_operation_while_something_is_pinned() {
    fails_at_every_operation(Scenario::Pin, libc::ENOSPC);
}

#[test]
fn any_operation_may_fail_while_a_pin_is_removed() {
    fails_at_every_operation(Scenario::Unpin, libc::EIO);
}

#[test]
fn any_operation_may_fail_while_a_store_is_collected() {
    fails_at_every_operation(Scenario::Collect, libc::EIO);
}

#[test]
fn the_disk_may_be_full_at_any_operation_while_a_store_is_collected() {
    fails_at_every_operation(Scenario::Collect, libc::ENOSPC);
}

/// Names the scenario, the operation and the store to the process that is to die.
const DEATH: &str = "TICKBARN_SWEEP_DEATH";

/// Not a test: the process that dies in the sweep below.
#[test]
#[ignore = "run by the sweep"]
fn dies() {
    let Ok(death) = std::env::var(DEATH) else { return };
    let mut words = death.splitn(3, ' ');
    let mut word = || words.next().unwrap();
    let scenario = SCENARIOS[word().parse::<usize>().unwrap()];
    let nth = word().parse().unwrap();
    let root = PathBuf::from(word());
    let laid = lay(&root, nth, Fate::Dies);
    scenario.act(&root).unwrap();
    assert!(laid.struck().is_none());
}

fn dies_at_every_operation(scenario: Scenario) {
    let directory = tempfile::tempdir().unwrap();
    let template = directory.path().join("template");
    scenario.prepare(&template);
    for nth in steps(scenario, &template) {
        let root = directory.path().join(nth.to_string());
        copy(&template, &root);
        let place = SCENARIOS.iter().position(|other| *other == scenario).unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "store::sweeps::dies", "--ignored"]).env(DEATH, format!("{place} {nth} {}", root.display()));
        let output = process.output().unwrap();
        let case = format!("{scenario:?}, killed at operation {nth}");
        assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{case}: {}", String::from_utf8_lossy(&output.stdout));
        check(scenario, &root, &case);
        fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_a_store_is_made() {
    dies_at_every_operation(Scenario::Create);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_an_entry_is_published() {
    dies_at_every_operation(Scenario::Publish);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_an_entry_is_replaced() {
    dies_at_every_operation(Scenario::Refresh);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_the_journal_is_written_anew() {
    dies_at_every_operation(Scenario::Rebuild);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_an_index_is_opened() {
    dies_at_every_operation(Scenario::Index);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_a_store_is_mended() {
    dies_at_every_operation(Scenario::Repair);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_something_is_pinned() {
    dies_at_every_operation(Scenario::Pin);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_a_pin_is_removed() {
    dies_at_every_operation(Scenario::Unpin);
}

#[test]
fn the_process_may_be_killed_at_any_operation_while_a_store_is_collected() {
    dies_at_every_operation(Scenario::Collect);
}
