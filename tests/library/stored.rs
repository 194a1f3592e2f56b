//! The store: what is refused, what is found damaged, and what is made again from what.
//!
//! Invariants 2 and 16 of ARCHITECTURE.md.

use std::fs;
use std::path::PathBuf;

use tickbarn::{Error, OnMissing, Policy, Store};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes};

fn reading() -> Policy {
    Policy { missing: OnMissing::Skip, ..Policy::default() }
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_never_touched() {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"{"format":2,"id":"x","what":"unknown"}"#;
    fs::write(directory.path().join("STORE"), text).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 2, supported: 1, .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(directory.path().join("STORE")).unwrap(), text);
}

#[test]
fn what_is_no_store_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    for (path, message) in [(file.clone(), "it is a file"), (directory.path().to_path_buf(), "it holds other files, such as file")] {
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }) && error.to_string().contains(message), "{error}");
    }
    assert!(matches!(Store::open_existing(directory.path().join("none")), Err(Error::NotAStore { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(file).unwrap(), "precious");
}

#[test]
fn a_store_that_was_half_made_is_finished() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("entries")).unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(Store::open(directory.path()).unwrap().id(), store.id());
}

#[test]
fn a_damaged_artifact_is_set_aside_and_made_again_once() {
    for damage in [
        |path: &PathBuf| fs::remove_file(path).unwrap(),
        |path: &PathBuf| {
            fs::remove_file(path).unwrap();
            fs::write(path, "cut short").unwrap();
        },
    ] {
        let barn = Barn::new();
        let dataset = barn.dataset(COPY).build().unwrap();
        barn.load(&dataset, 1).blocking().unwrap();
        let artifact = barn.files(&["artifacts"]).remove(0);
        let whole = fs::read(&artifact).unwrap();
        damage(&artifact);
        assert_eq!(outcomes(&barn.load(&dataset, 1).policy(reading()).blocking().unwrap()), ["missing"]);
        assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["generated"]);
        assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["hit"]);
        assert_eq!(barn.runs(), 2);
        assert_eq!(fs::read(&artifact).unwrap(), whole);
        assert!(!barn.files(&["quarantine"]).is_empty());
    }
}

#[test]
fn a_manifest_that_was_tampered_with_is_never_believed() {
    let edits: [fn(&str) -> String; 4] = [
        |text| text.replace("\"rows\":3", "\"rows\":4"),
        |text| text[..text.len() / 2].to_owned(),
        |text| text.replacen("\"digest\":\"", "\"digest\":\"../../", 1),
        |_| String::new(),
    ];
    for edit in edits {
        let barn = Barn::new();
        let dataset = barn.dataset(COPY).build().unwrap();
        barn.load(&dataset, 1).blocking().unwrap();
        let manifest = barn.files(&["entries"]).remove(0);
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, edit(&text)).unwrap();
        let loaded = barn.load(&dataset, 1).policy(reading()).blocking().unwrap();
        assert_eq!(outcomes(&loaded), ["missing"]);
        assert_eq!(outcomes(&barn.load(&dataset, 1).blocking().unwrap()), ["generated"]);
        assert_eq!(barn.files(&["quarantine"]).len(), 1);
    }
}

#[test]
fn the_manifest_of_another_entry_does_not_answer() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 2).blocking().unwrap();
    let manifests = barn.files(&["entries"]);
    fs::copy(&manifests[0], &manifests[1]).unwrap();
    let loaded = barn.load(&dataset, 2).blocking().unwrap();
    let mut words = outcomes(&loaded);
    words.sort_unstable();
    assert_eq!(words, ["generated", "hit"]);
}

#[test]
fn a_link_in_the_place_of_a_manifest_is_set_aside_and_its_target_left_alone() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 2).blocking().unwrap();
    let manifest = barn.files(&["entries"]).remove(0);
    let target = barn.path("precious");
    fs::rename(&manifest, &target).unwrap();
    std::os::unix::fs::symlink(&target, &manifest).unwrap();
    let mut words = outcomes(&barn.load(&dataset, 2).blocking().unwrap());
    words.sort_unstable();
    assert_eq!(words, ["generated", "hit"]);
    assert!(target.is_file());
}

#[test]
fn directories_that_a_backup_left_out_are_made_again() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 2).blocking().unwrap();
    for name in ["claims", "work", "leases", "pins", "failures", "journal", "index", "programs", "quarantine", "trash"] {
        fs::remove_dir_all(barn.store.path().join(name)).unwrap();
    }
    let store = Store::open(barn.store.path()).unwrap();
    let loaded = store.load().request(&dataset, &instrument(), first_hours(3)).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["hit", "hit", "generated"]);
    assert!(barn.store.path().join("journal").join("log").is_file());
}

#[test]
fn an_entry_is_found_by_a_unique_prefix_of_its_address() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let loaded = barn.load(&dataset, 2).blocking().unwrap();
    let address = loaded.partitions[0].address.unwrap();
    let resolve = |text: &str| barn.store.resolve(&text.parse().unwrap());
    assert_eq!(resolve(&address.to_string()[..10]).unwrap(), address);
    assert_eq!(resolve(&address.to_string().to_uppercase()).unwrap(), address);
    assert!(matches!(resolve("00000000000000"), Err(Error::UnknownAddress { .. })));
}

#[test]
fn artifacts_cannot_be_written_by_accident() {
    use std::os::unix::fs::PermissionsExt;
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 1).blocking().unwrap();
    let mode = fs::metadata(&barn.files(&["artifacts"])[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
}

#[test]
fn a_journal_of_an_older_format_is_written_anew_and_nothing_is_generated_again() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    barn.load(&dataset, 3).blocking().unwrap();
    let journal = barn.store.path().join("journal/log");
    let mut bytes = fs::read(&journal).unwrap();
    let (magic, _) = bytes.split_at_mut(16);
    assert_eq!(magic, b"tickbarn-jrnl-3\n");
    magic.copy_from_slice(b"tickbarn-jrnl-2\n");
    fs::write(&journal, &bytes).unwrap();
    let store = Store::open_existing(barn.store.path()).unwrap();
    let loaded = store.load().request(&dataset, &instrument(), first_hours(3)).blocking().unwrap();
    assert_eq!((outcomes(&loaded), barn.runs()), (vec!["hit"; 3], 3));
    assert!(fs::read(&journal).unwrap().starts_with(b"tickbarn-jrnl-3\n"));
}
