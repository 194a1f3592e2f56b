//! The invariants that ARCHITECTURE.md lists, and the tests that carry their numbers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The numbers in the first column of the table.
fn listed() -> BTreeSet<u32> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("\n## Invariants\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")?.0.parse().ok()).collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The numbers that modules of tests say they are about.
fn carried() -> BTreeSet<u32> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["src", "tests", "tools"] {
        sources(&root.join(directory), &mut files);
    }
    let mut numbers = BTreeSet::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let Some(rest) = line.trim_start().strip_prefix("//! Invariant") else { continue };
            let Some((said, _)) = rest.split_once(" of ARCHITECTURE.md") else { continue };
            numbers.extend(said.split(|character: char| !character.is_ascii_digit()).filter_map(|number| number.parse::<u32>().ok()));
        }
    }
    numbers
}

#[test]
fn every_invariant_has_tests_that_carry_its_number() {
    let listed = listed();
    assert!(listed.len() >= 17, "{listed:?}");
    assert_eq!(listed, carried());
}
