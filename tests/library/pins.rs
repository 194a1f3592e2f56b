//! Pins: what a user has named to be kept is known to whoever would take it away, or nothing is taken away.
//!
//! Invariants 13, 15 and 16 of ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use tickbarn::{Address, Error, FindingKind, Instrument, Interval, Pin, PinCover, Repair, Store};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes};

fn names(store: &Store) -> Vec<String> {
    store.pins().unwrap().into_iter().map(|pin| pin.name).collect()
}

fn of_dataset(name: &str) -> Pin {
    Pin::range(name, ["numbers".to_owned()], [], None, None).unwrap()
}

/// The files below `pins/`.
fn files(store: &Store) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(store.path().join("pins")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The file of a store's only pin.
fn only_file(store: &Store) -> PathBuf {
    let [file] = &files(store)[..] else { panic!("{:?}", files(store)) };
    file.clone()
}

/// Removes every pin, whatever has become of it.
fn clear(store: &Store) {
    for path in files(store).into_iter().chain([store.path().join("elsewhere")]) {
        if path.is_dir() {
            fs::remove_dir(path).unwrap();
        } else if path.symlink_metadata().is_ok() {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn what_is_pinned_is_known_to_every_other_process() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let loaded = barn.load(&dataset, 4).blocking().unwrap();
    let address = loaded.partitions[3].address.unwrap();
    let two = Interval::parse("2024-01-01T01:00", "2024-01-01T03:00").unwrap();
    let range = Pin::range("two hours", ["numbers".to_owned()], [instrument()], Some(two.start()), Some(two.end())).unwrap();
    let single = Pin::addresses("the last", [address]).unwrap();
    barn.store.pin(&range).unwrap();
    barn.store.pin(&single).unwrap();

    let other = Store::open_existing(barn.store.path()).unwrap();
    let pins = other.pins().unwrap();
    assert_eq!(pins, [single, range], "in order of name, and as they were made");
    let covered = |pin: &Pin| {
        let entries = other.entries().unwrap();
        let hours =
            entries.iter().enumerate().filter(|(_, listed)| pin.covers(&listed.dataset, &listed.instrument, listed.interval, &listed.entry.address));
        hours.map(|(hour, _)| hour).collect::<Vec<_>>()
    };
    assert_eq!((covered(&pins[0]), covered(&pins[1])), (vec![3], vec![1, 2]));

    other.unpin("two hours").unwrap();
    assert_eq!(names(&barn.store), ["the last"]);
    barn.store.pin(&pins[1]).unwrap();
    assert_eq!(names(&other), ["the last", "two hours"]);
    assert!(other.verify().digests().run().unwrap().findings.is_empty());
}

#[test]
fn a_pin_is_never_replaced() {
    let barn = Barn::new();
    let first = of_dataset("paper");
    barn.store.pin(&first).unwrap();
    let second = Pin::range("paper", [], ["other/ONE".parse::<Instrument>().unwrap()], None, None).unwrap();
    let error = barn.store.pin(&second).unwrap_err();
    assert!(matches!(&error, Error::PinExists { name } if name == "paper"), "{error:?}");
    assert!(error.to_string().contains("`tickbarn pin rm paper`") && error.is_usage(), "{error}");
    assert_eq!(barn.store.pins().unwrap(), [first]);
}

#[test]
fn of_many_who_add_a_name_at_once_exactly_one_does() {
    const THREADS: usize = 8;
    let barn = Barn::new();
    for round in 0..20 {
        let name = format!("round {round}");
        let barrier = Barrier::new(THREADS);
        let won: Vec<Option<usize>> = std::thread::scope(|scope| {
            let one = |nth: usize| {
                let (barrier, name, path) = (&barrier, &name, barn.store.path());
                scope.spawn(move || {
                    // A handle of its own, as in a process of its own.
                    let store = Store::open_existing(path).unwrap();
                    let pin = Pin::range(name, [format!("dataset-{nth}")], [], None, None).unwrap();
                    barrier.wait();
                    match store.pin(&pin) {
                        Ok(()) => Some(nth),
                        Err(Error::PinExists { .. }) => None,
                        Err(error) => panic!("{error}"),
                    }
                })
            };
            let threads: Vec<_> = (0..THREADS).map(one).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = won.into_iter().flatten().collect();
        let [winner] = winners[..] else { panic!("{winners:?}") };
        let pins = barn.store.pins().unwrap();
        let [pin] = &pins[..] else { panic!("{pins:#?}") };
        let PinCover::Range { datasets, .. } = &pin.cover else { panic!("{pin:#?}") };
        assert!(datasets.contains(&format!("dataset-{winner}")), "who was told that it is pinned has it pinned: {pin:#?}");
        assert_eq!(files(&barn.store).len(), 1, "no draft is left");
        barn.store.unpin(&name).unwrap();
    }
}

#[test]
fn names_never_become_paths() {
    let barn = Barn::new();
    let before: Vec<PathBuf> = fs::read_dir(barn.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut odd =
        ["../x", "a/b", "/etc/passwd", "市場 円", "$(touch y)", "--help", "x'y", ".", "CON", "paper.json", "Paper", "paper"].map(str::to_owned);
    odd.sort_unstable();
    for name in &odd {
        barn.store.pin(&of_dataset(name)).unwrap();
    }
    assert_eq!(names(&barn.store), odd);
    let files = files(&barn.store);
    assert_eq!(files.len(), odd.len());
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        assert!(stem.len() == 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", file.display());
    }
    for name in &odd {
        barn.store.unpin(name).unwrap();
    }
    assert!(names(&barn.store).is_empty());
    let after: Vec<PathBuf> = fs::read_dir(barn.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(before, after);
}

#[test]
fn an_unknown_name_is_told_with_those_there_are() {
    let barn = Barn::new();
    let error = barn.store.unpin("paper").unwrap_err();
    assert!(matches!(error, Error::UnknownPin { .. }) && error.to_string().contains("the store has none"), "{error}");
    for name in ["paper", "thesis"] {
        barn.store.pin(&of_dataset(name)).unwrap();
    }
    let error = barn.store.unpin("papre").unwrap_err().to_string();
    assert!(error.contains("did you mean \"paper\"?") && error.contains("\"thesis\""), "{error}");
    for nth in 0..100 {
        barn.store.pin(&of_dataset(&format!("pin {nth}"))).unwrap();
    }
    let error = barn.store.unpin(&"x".repeat(10_000)).unwrap_err().to_string();
    assert!(error.len() < 500 && error.contains("and 92 more"), "{error}");
    assert_eq!(names(&barn.store).len(), 102);
}

type Damage = (&'static str, fn(&Path));

/// What may happen to a pin's file.
const DAMAGES: [Damage; 9] = [
    ("a flipped bit", |path| change(path, |bytes| bytes[120] ^= 1)),
    ("a changed name", |path| change(path, |bytes| *bytes = String::from_utf8(bytes.clone()).unwrap().replace("paper", "taper").into_bytes())),
    ("a cut end", |path| change(path, |bytes| bytes.truncate(bytes.len() / 2))),
    ("no bytes at all", |path| change(path, Vec::clear)),
    ("another file", |path| change(path, |bytes| *bytes = b"{\"name\":\"paper\"}".to_vec())),
    ("far too many bytes", |path| fs::File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap()),
    ("a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
    ("a link to it elsewhere", |path| {
        let elsewhere = path.parent().unwrap().with_file_name("elsewhere");
        fs::rename(path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path).unwrap();
    }),
    ("another name", |path| fs::rename(path, path.with_file_name("0123.json")).unwrap()),
];

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Where a damaged pin counted as none, what it was to keep would be collected.
#[test]
fn a_pin_that_cannot_be_read_is_an_error_and_is_left_to_its_user() {
    let barn = Barn::new();
    for (damage, spoil) in DAMAGES {
        clear(&barn.store);
        barn.store.pin(&of_dataset("paper")).unwrap();
        spoil(&only_file(&barn.store));
        let path = only_file(&barn.store);
        // Beside one that is whole.
        barn.store.pin(&of_dataset("whole")).unwrap();

        let error = barn.store.pins().unwrap_err();
        assert!(matches!(&error, Error::Damaged { path: named, .. } if *named == path), "{damage}: {error:?}");
        assert!(error.to_string().contains("nothing is collected while it is there") && error.to_string().contains("pin rm"), "{damage}: {error}");

        let verified = barn.store.verify().run().unwrap();
        let problems: Vec<_> = verified.problems().map(|finding| (finding.kind, &finding.path)).collect();
        assert_eq!(problems, [(FindingKind::Pin, &path)], "{damage}");
        let mended = barn.store.verify().digests().repair().run().unwrap();
        assert!(!mended.is_clean(), "{damage}");
        let finding = mended.problems().next().unwrap();
        assert!(matches!(finding.repair, Repair::Failed(_)) && finding.reason.contains("pin rm"), "{damage}: {finding:#?}");
        assert!(path.symlink_metadata().is_ok(), "{damage}: it stays where it is");
        assert!(fs::read_dir(barn.store.path().join("quarantine")).unwrap().next().is_none(), "{damage}");
        assert_eq!(barn.store.pins().unwrap_err().to_string(), error.to_string(), "{damage}");
    }
}

#[test]
fn a_damaged_pin_goes_when_its_user_says_so_and_nothing_behind_it_does() {
    let barn = Barn::new();
    for (damage, spoil) in DAMAGES {
        clear(&barn.store);
        barn.store.pin(&of_dataset("paper")).unwrap();
        let path = only_file(&barn.store);
        spoil(&path);
        let error = barn.store.pin(&of_dataset("paper")).err();
        let outcome = barn.store.unpin("paper");
        match damage {
            // Only what has its name is its.
            "another name" => assert!(error.is_none() && outcome.is_ok() && barn.store.pins().is_err(), "{damage}: {error:?} {outcome:?}"),
            "a directory" => assert!(outcome.unwrap_err().to_string().contains(path.to_str().unwrap()), "{damage}"),
            _ => {
                assert!(matches!(error, Some(Error::PinExists { .. })), "{damage}: {error:?}");
                outcome.unwrap();
                assert!(names(&barn.store).is_empty(), "{damage}");
            }
        }
        assert_eq!(barn.store.path().join("elsewhere").exists(), damage.contains("elsewhere"), "{damage}");
    }
}

#[test]
fn a_pin_of_a_newer_tickbarn_is_refused_and_kept() {
    let barn = Barn::new();
    barn.store.pin(&of_dataset("paper")).unwrap();
    let path = only_file(&barn.store);
    let text = fs::read_to_string(&path).unwrap();
    let (_, body) = text.trim_end().strip_suffix('}').unwrap().split_once("\"body\":").unwrap();
    let body = body.replacen("\"format\":1", "\"format\":2", 1).replacen("\"cover\"", "\"covers_as_of_2030\"", 1);
    let checksum = tickbarn::Digest::of(body.as_bytes());
    fs::write(&path, format!("{{\"checksum\":\"{checksum}\",\"body\":{body}}}\n")).unwrap();

    for error in [barn.store.pins().unwrap_err(), barn.store.unpin("paper").unwrap_err()] {
        assert!(matches!(&error, Error::NewerFormat { path: named, found: 2, .. } if *named == path), "{error:?}");
    }
    let mended = barn.store.verify().repair().run().unwrap();
    assert_eq!(mended.problems().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::Pin]);
    assert!(path.exists());
}

#[test]
fn what_is_no_pin_is_told_and_left_alone() {
    let barn = Barn::new();
    barn.store.pin(&of_dataset("paper")).unwrap();
    let directory = barn.store.path().join("pins");
    fs::write(directory.join("notes.txt"), "a user's").unwrap();
    fs::write(directory.join("paper.json.bak"), "a user's").unwrap();
    // As a process that was killed leaves it.
    let draft = directory.join(".new-abcdef");
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join("pin"), "{").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(600);
    for path in [draft.join("pin"), draft.clone()] {
        fs::File::open(path).unwrap().set_modified(old).unwrap();
    }

    assert_eq!(names(&barn.store), ["paper"]);
    let mended = barn.store.verify().repair().run().unwrap();
    let mut told: Vec<_> = mended.findings.iter().map(|finding| (finding.kind, finding.path.file_name().unwrap().to_str().unwrap())).collect();
    told.sort_unstable();
    assert_eq!(told, [(FindingKind::Leftover, ".new-abcdef"), (FindingKind::Foreign, "notes.txt"), (FindingKind::Foreign, "paper.json.bak")]);
    assert!(!draft.exists() && directory.join("notes.txt").exists() && directory.join("paper.json.bak").exists());
    assert_eq!(names(&barn.store), ["paper"]);
}

#[test]
fn no_pin_is_written_through_a_link() {
    let barn = Barn::new();
    let elsewhere = barn.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let directory = barn.store.path().join("pins");
    fs::remove_dir(&directory).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &directory).unwrap();
    for error in [barn.store.pin(&of_dataset("paper")).unwrap_err(), barn.store.pins().map(drop).unwrap_err()] {
        assert!(error.to_string().contains("symbolic link") && error.to_string().contains("pins"), "{error}");
    }
    assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
}

/// What a constructor refuses is refused again where a field was changed since.
#[test]
fn a_pin_that_was_changed_into_nonsense_is_refused() {
    let barn = Barn::new();
    let mut everything = of_dataset("paper");
    everything.cover = PinCover::Range { datasets: Default::default(), instruments: Default::default(), start: None, end: None };
    let mut nothing = of_dataset("paper");
    nothing.cover = PinCover::Addresses(Default::default());
    let mut nameless = of_dataset("paper");
    nameless.name.clear();
    for pin in [everything, nothing, nameless] {
        let error = barn.store.pin(&pin).unwrap_err();
        assert!(matches!(error, Error::InvalidPin { .. }) && error.is_usage(), "{error:?}");
    }
    assert!(files(&barn.store).is_empty());
}

/// A pin says what is kept, not what is there.
#[test]
fn pins_change_nothing_of_what_loads_find() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.store.pin(&of_dataset("numbers")).unwrap();
    barn.store.pin(&Pin::addresses("nowhere", ["0".repeat(64).parse::<Address>().unwrap()]).unwrap()).unwrap();
    assert_eq!(outcomes(&barn.load(&dataset, 2).blocking().unwrap()), ["generated"; 2]);
    assert_eq!(outcomes(&barn.load(&dataset, 2).blocking().unwrap()), ["hit"; 2]);
    let covers = |pin: &Pin| {
        barn.store.entries().unwrap().iter().all(|listed| pin.covers(&listed.dataset, &listed.instrument, first_hours(1), &listed.entry.address))
    };
    assert_eq!(barn.store.pins().unwrap().iter().map(covers).collect::<Vec<_>>(), [false, true], "what is generated later is covered");
}
