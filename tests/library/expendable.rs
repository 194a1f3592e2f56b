//! The index and the journal are expendable: whatever becomes of them, the answers are the same and nothing is generated again.
//!
//! Invariant 5 of ARCHITECTURE.md.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use tickbarn::{Dataset, EntryFilter, IndexMode, Interval, Loaded, Policy, Store, StoreOptions};

use crate::barn::{Barn, copy, instrument};

/// Enough partitions that a load opens the index.
const MANY_HOURS: usize = 24 * 50;

/// Three rows at first; two for the first hour when it is made again.
const CHANGES: &str = r#"case "$2" in 2023-01-01T00:*) [ -e "$FIXTURES/../again" ] && { cp "$FIXTURES/two.parquet" "$1"; exit; };; esac; cp "$FIXTURES/three.parquet" "$1""#;

/// A store of many entries, the first of which was replaced while two stores had their index open, and what it must answer for ever.
struct Many {
    barn: Barn,
    dataset: Dataset,
    rows: Vec<u64>,
}

impl Many {
    fn new() -> Self {
        let barn = Barn::new();
        let dataset = barn.dataset(CHANGES).build().unwrap();
        let mut many = Self { barn, dataset, rows: Vec::new() };
        assert_eq!(many.load(&many.barn.store).summary().generated, MANY_HOURS);
        let other = Store::open(many.barn.store.path()).unwrap();
        assert_eq!(many.load(&other).summary().hit, MANY_HOURS);

        fs::write(many.barn.path("again"), "").unwrap();
        let refresh = Policy { refresh: true, ..Policy::default() };
        let first = Interval::parse("2023-01-01T00:00", "2023-01-01T01:00").unwrap();
        let replaced = many.barn.store.load().request(&many.dataset, &instrument(), first).policy(refresh).blocking().unwrap();
        assert_eq!(replaced.partitions[0].outcome.changed().len(), 1);

        many.rows = vec![3; MANY_HOURS];
        many.rows[0] = 2;
        assert_eq!(rows(&many.load(&other)), many.rows, "who had an index open sees the replacement");
        assert_eq!(rows(&many.load(&many.barn.store)), many.rows);
        many
    }

    fn load(&self, store: &Store) -> Loaded {
        let interval = Interval::parse("2023-01-01", "2023-02-20").unwrap();
        store.load().request(&self.dataset, &instrument(), interval).workers(4).blocking().unwrap()
    }

    /// A process that opens the store now lists and loads everything, and generates nothing.
    fn check(&self, case: &str) {
        self.check_with(case, 0);
    }

    /// The same with some entries more.
    fn check_with(&self, case: &str, more: usize) {
        let store = Store::open(self.barn.store.path()).unwrap();
        let listed = store.entries().unwrap();
        assert_eq!(listed.len(), MANY_HOURS + more, "{case}");
        // What the index tells of all and of a part is what the manifests say.
        let manifests = store.clone().with_options(StoreOptions::default().index(IndexMode::Off));
        assert_eq!(manifests.entries().unwrap(), listed, "{case}");
        let mut week = EntryFilter::default();
        week.instruments.push(instrument());
        (week.start, week.end) = (Some("2022-12-30".parse().unwrap()), Some("2023-01-05T12:30".parse().unwrap()));
        let part = store.entries_in(&week).unwrap();
        assert_eq!(part, listed.iter().filter(|one| week.takes(&one.dataset, &one.instrument, one.interval)).cloned().collect::<Vec<_>>(), "{case}");
        assert!(part.len() >= 4 * 24 + 13, "{case}");
        // Twice: the first load opens the index, the second follows it.
        for _ in 0..2 {
            let loaded = self.load(&store);
            assert_eq!(loaded.summary().hit, MANY_HOURS, "{case}");
            assert_eq!(rows(&loaded), self.rows, "{case}");
        }
    }

    fn journal(&self) -> PathBuf {
        self.barn.store.path().join("journal").join("log")
    }

    fn index(&self) -> PathBuf {
        self.barn.store.path().join("index")
    }

    /// The files of all slots.
    fn slots(&self) -> Vec<PathBuf> {
        let of_a_slot = |path: &PathBuf| path.parent().unwrap().file_name().unwrap().len() < 3 || path.parent().unwrap().ends_with("blobs");
        self.barn.files(&["index"]).into_iter().filter(of_a_slot).collect()
    }

    fn remove_indexes(&self) {
        for slot in fs::read_dir(self.barn.store.path().join("index")).unwrap() {
            let path = slot.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }
}

fn rows(loaded: &Loaded) -> Vec<u64> {
    loaded.partitions.iter().map(|one| one.outcome.entry().unwrap().outputs[0].rows).collect()
}

#[test]
fn index_and_journal_are_made_again_from_what_lies_below_them() {
    let many = Many::new();
    let runs = many.barn.runs();
    many.check("as it is");

    assert!(many.slots().len() > 1);
    for path in many.slots() {
        let length = fs::metadata(&path).unwrap().len() as usize;
        fs::write(&path, vec![0xa5; length]).unwrap();
    }
    many.check("the index filled with garbage");
    many.remove_indexes();
    many.check("the index gone");

    let whole = fs::read(many.journal()).unwrap();
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(many.journal(), bytes).unwrap();
    };
    let middle = whole.len() / 2;
    damaged(&|bytes| bytes.truncate(middle));
    many.check("the journal cut short");
    damaged(&|bytes| bytes[middle..middle + 1000].fill(0x5a));
    many.check("the journal garbled in the middle");
    damaged(&|bytes| bytes[middle..middle + 1000].fill(0x5a));
    many.remove_indexes();
    many.check("the journal garbled in the middle and the index gone");
    // The last two records are the removal and the publication of the entry that was replaced.
    damaged(&|bytes| {
        let end = bytes.len();
        bytes[end - 600..end - 300].fill(0x5a);
    });
    many.remove_indexes();
    many.check("the end of the journal garbled");
    damaged(&|bytes| {
        let end = bytes.len();
        bytes[end - 500..].fill(0);
    });
    many.remove_indexes();
    many.check("the end of the journal garbled to its last byte");
    damaged(&|bytes| bytes[..8].fill(0));
    many.check("the journal's header garbled");
    fs::write(many.journal(), "").unwrap();
    many.check("the journal emptied");
    fs::remove_file(many.journal()).unwrap();
    many.check("the journal gone");
    assert_eq!(many.barn.runs(), runs, "nothing was ever generated again");
}

#[test]
fn what_is_appended_after_damage_is_not_lost() {
    let many = Many::new();
    fs::write(many.journal(), "no journal at all").unwrap();
    let store = Store::open(many.barn.store.path()).unwrap();
    let more = Interval::parse("2023-03-01T00:00", "2023-03-01T01:00").unwrap();
    store.load().request(&many.dataset, &instrument(), more).blocking().unwrap();
    many.remove_indexes();
    assert_eq!(Store::open(many.barn.store.path()).unwrap().entries().unwrap().len(), MANY_HOURS + 1);
}

#[test]
fn whatever_is_done_to_an_index_the_answers_are_the_same() {
    let many = Many::new();
    let runs = many.barn.runs();
    many.check("as it is");
    let stale = many.barn.path("stale");
    copy(&many.index(), &stale);

    // Bits flipped here and there, as an own small generator of numbers says.
    let mut state = 20_240_101u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..12 {
        for path in many.slots() {
            let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let length = file.metadata().unwrap().len();
            for _ in 0..=draw(8) {
                let at = draw(length.max(1));
                let mut byte = [0];
                file.read_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << draw(8))], at).unwrap();
            }
        }
        many.check(&format!("bits flipped, round {round}"));
    }
    for path in many.slots() {
        fs::write(path, "").unwrap();
    }
    many.check("its files emptied");
    fs::remove_dir_all(many.index()).unwrap();
    copy(&stale, &many.index());
    many.check("a copy from earlier put back");
    fs::remove_dir_all(many.index()).unwrap();
    many.check("the whole place gone");
    fs::remove_dir_all(many.index()).unwrap();
    fs::write(many.index(), "no directory").unwrap();
    assert!(Store::open(many.barn.store.path()).unwrap_err().to_string().contains("index"), "what stands there is the user's to move");
    fs::remove_file(many.index()).unwrap();
    many.check("a file was in its place");
    assert_eq!(many.barn.runs(), runs, "nothing was ever generated again");
}

#[test]
fn an_index_may_be_destroyed_while_it_is_open() {
    let many = Many::new();
    let runs = many.barn.runs();
    let more = |hour: u32| {
        let interval = Interval::parse(&format!("2023-03-01T{hour:02}:00"), &format!("2023-03-01T{:02}:00", hour + 1)).unwrap();
        Store::open(many.barn.store.path()).unwrap().load().request(&many.dataset, &instrument(), interval).blocking().unwrap()
    };
    let holder = Store::open(many.barn.store.path()).unwrap();
    assert_eq!(rows(&many.load(&holder)), many.rows);

    fs::remove_dir_all(many.index()).unwrap();
    more(1);
    assert_eq!(rows(&many.load(&holder)), many.rows, "deleted");
    // Another takes the place that the first one thinks it has.
    let other = Store::open(many.barn.store.path()).unwrap();
    assert_eq!(rows(&many.load(&other)), many.rows);
    drop(holder);
    assert_eq!(rows(&many.load(&other)), many.rows);

    for path in many.slots() {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len() as usize;
        file.write_all_at(&vec![0xa5; length], 0).unwrap();
    }
    more(2);
    assert_eq!(rows(&many.load(&other)), many.rows, "filled with garbage");
    for path in many.slots() {
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    }
    more(3);
    assert_eq!(rows(&many.load(&other)), many.rows, "emptied");
    drop(other);
    many.check_with("after all that", 3);
    assert_eq!(many.barn.runs(), runs + 3);
}

#[test]
fn loads_work_without_an_index() {
    let many = Many::new();
    let runs = many.barn.runs();
    fs::remove_dir_all(many.index()).unwrap();
    let off = Store::open(many.barn.store.path()).unwrap().with_options(StoreOptions::default().index(IndexMode::Off));
    assert_eq!(rows(&many.load(&off)), many.rows);
    assert!(many.slots().is_empty(), "switched off, it makes none");

    let held: Vec<fs::File> = (0..16)
        .map(|slot| {
            let file = fs::File::create(many.index().join(format!("{slot}.lock"))).unwrap();
            file.lock().unwrap();
            file
        })
        .collect();
    many.check("no free slot");
    assert!(many.slots().is_empty());
    drop(held);

    for slot in 0..16 {
        let lock = many.index().join(format!("{slot}.lock"));
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
    }
    many.check("no slot can be locked");
    for slot in 0..16 {
        fs::remove_dir(many.index().join(format!("{slot}.lock"))).unwrap();
    }

    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).status().is_ok_and(|status| status.success());
    let place = many.index();
    let place = place.to_str().unwrap();
    if mount(&["--bind", place, place]) {
        let _mounted = Mounted(place);
        assert!(mount(&["-o", "remount,ro,bind", place]));
        many.check("a place that can only be read");
    } else {
        eprintln!("skipped a part of loads_work_without_an_index: a read-only place takes root and mount");
    }
    assert_eq!(many.barn.runs(), runs, "nothing was ever generated again");
}

struct Mounted<'a>(&'a str);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(self.0).status().is_ok_and(|status| status.success()));
    }
}

/// Such a journal looks whole: without a word of how far it went, it would answer with what was replaced.
#[test]
fn a_part_is_listed_as_the_manifests_stand_and_not_as_they_once_did() {
    let many = Many::new();
    let store = Store::open(many.barn.store.path()).unwrap();
    let mut day = EntryFilter::default();
    (day.start, day.end) = (Some("2023-01-07".parse().unwrap()), Some("2023-01-08".parse().unwrap()));
    let listed = store.entries_in(&day).unwrap();
    assert_eq!(listed.len(), 24);
    // A name that no record of the journal tells of any more, and one that is gone without one.
    let address = listed[5].entry.address.to_string();
    let manifest = many.barn.store.path().join("entries").join(&address[..2]).join(format!("{address}.json"));
    let bytes = fs::read(&manifest).unwrap();
    for round in 0..2 {
        fs::remove_file(&manifest).unwrap();
        for _ in 0..2 {
            assert_eq!(store.entries_in(&day).unwrap().len(), 23, "{round}: gone");
        }
        fs::write(&manifest, &bytes).unwrap();
        for _ in 0..2 {
            assert_eq!(store.entries_in(&day).unwrap(), listed, "{round}: back");
        }
    }
    // So does a process that opens what this one leaves.
    drop(store);
    let again = Store::open(many.barn.store.path()).unwrap();
    assert_eq!(again.entries_in(&day).unwrap(), listed);
}

#[test]
fn a_journal_that_was_cut_between_two_records_is_known_for_it() {
    let many = Many::new();
    let runs = many.barn.runs();
    let whole = fs::read(many.journal()).unwrap();
    let mut ends = vec![32];
    while let Some(head) = whole.get(ends[ends.len() - 1]..ends[ends.len() - 1] + 16) {
        let length = u32::from_le_bytes(head[4..8].try_into().unwrap()) as usize;
        ends.push(ends[ends.len() - 1] + 16 + length);
    }
    assert_eq!(ends.last(), Some(&whole.len()));
    for records in 1..4 {
        fs::write(many.journal(), &whole[..ends[ends.len() - 1 - records]]).unwrap();
        many.remove_indexes();
        many.check(&format!("{records} records cut off"));
        fs::write(many.journal(), &whole[..ends[ends.len() - 1 - records]]).unwrap();
        many.check(&format!("{records} records cut off, under indexes that have read further"));
        // The cut one is of the first id: put all of it back for the next.
        fs::write(many.journal(), &whole).unwrap();
    }
    assert_eq!(many.barn.runs(), runs);
}

#[test]
fn a_journal_with_another_name_somewhere_is_left_to_it() {
    let many = Many::new();
    let backup = many.barn.path("backup");
    fs::hard_link(many.journal(), &backup).unwrap();
    let bytes = fs::read(&backup).unwrap();
    let store = Store::open(many.barn.store.path()).unwrap();
    let more = Interval::parse("2023-03-01T00:00", "2023-03-01T01:00").unwrap();
    store.load().request(&many.dataset, &instrument(), more).blocking().unwrap();
    assert_eq!(fs::read(&backup).unwrap(), bytes);
    assert_eq!(Store::open(many.barn.store.path()).unwrap().entries().unwrap().len(), MANY_HOURS + 1);
}

#[test]
fn an_old_journal_that_was_put_back_is_not_taken_for_the_current_one() {
    let many = Many::new();
    let runs = many.barn.runs();
    let old = fs::read(many.journal()).unwrap();
    // Written anew, it has another id.
    fs::remove_file(many.journal()).unwrap();
    many.check("the journal gone");
    fs::write(many.journal(), &old[..old.len() / 2]).unwrap();
    many.remove_indexes();
    let more = Interval::parse("2023-03-01T00:00", "2023-03-01T01:00").unwrap();
    Store::open(many.barn.store.path()).unwrap().load().request(&many.dataset, &instrument(), more).blocking().unwrap();
    many.check_with("an old journal put back, and appended to", 1);
    assert_eq!(many.barn.runs(), runs + 1);
}

#[test]
fn remembered_digests_that_were_changed_are_not_believed() {
    let many = Many::new();
    let runs = many.barn.runs();
    let path = many.index().join("fingerprints.json");
    // Old enough to be remembered.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    many.check("what is remembered");
    let text = fs::read_to_string(&path).unwrap();
    let digits = text.rfind(|character: char| character.is_ascii_hexdigit()).unwrap();
    let other = if text.as_bytes()[digits] == b'0' { "1" } else { "0" };
    fs::write(&path, format!("{}{other}{}", &text[..digits], &text[digits + 1..])).unwrap();
    many.check("what is remembered, changed");
    assert_eq!(many.barn.runs(), runs);
}
