//! An update that fails at any file operation harms nothing, and is finished by the next one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ViewLayout, ViewOptions, update};
use crate::dataset::{BoxError, Dataset, Job};
use crate::interval::{Interval, Split};
use crate::store::Store;
use crate::store::disk::seam::{Fate, lay};
use crate::store::table_of;

/// What stands below a directory: the bytes of files, nothing of directories.
fn tree(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(directory).unwrap().to_path_buf();
            if path.is_dir() {
                waiting.push(path);
                found.insert(below, None);
            } else if !below.starts_with(".tickbarn-view.lock") {
                found.insert(below, Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn an_update_that_fails_anywhere_is_finished_by_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let store = Store::open(root.join("barn")).unwrap();
    let numbers = |from: i64| {
        let write = move |job: &Job| -> Result<(), BoxError> { Ok(fs::write(job.output("table")?, table_of(&[from, job.start().ns()]))?) };
        Dataset::function("numbers", format!("version {from}"), write).split(Split::every("1h").unwrap()).build().unwrap()
    };
    let (old, new) = (numbers(1), numbers(2));
    let hours = |from: u32, to: u32| Interval::parse(&format!("2024-01-01T{from:02}"), &format!("2024-01-01T{to:02}")).unwrap();
    let instrument = "binance/BTC-USDT".parse().unwrap();
    store.load().request(&old, &instrument, hours(0, 4)).blocking().unwrap();
    store.load().request(&new, &instrument, hours(2, 6)).blocking().unwrap();
    let showing = |dataset: &Dataset, layout| {
        let mut options = ViewOptions::default();
        (options.definitions, options.layout) = (vec![dataset.clone()], layout);
        options
    };
    // Hours 0 and 1 go, 2 and 3 are replaced, 4 and 5 are new; in the other layout all of the old ones go with their directories.
    for layout in [ViewLayout::Hive, ViewLayout::Plain] {
        let (before, after) = (showing(&old, ViewLayout::Hive), showing(&new, layout));
        let fresh = root.join("fresh");
        update(&store, &fresh, &after).unwrap();
        let expected = tree(&fresh);
        fs::remove_dir_all(&fresh).unwrap();

        let mut nth = 1;
        loop {
            let view = root.join("view");
            update(&store, &view, &before).unwrap();
            fs::write(view.join("numbers/mine"), "mine").unwrap();
            let had = tree(&view);
            let plan = lay(&view, nth, Fate::Fails(libc::EIO));
            let outcome = update(&store, &view, &after);
            let struck = plan.struck();
            drop(plan);
            // Each file is what it was, what it will be, or gone; never a part of one.
            for (path, bytes) in tree(&view) {
                let hidden = path.to_str().unwrap().starts_with(".tickbarn-view");
                let is_known = had.get(&path) == Some(&bytes) || expected.get(&path) == Some(&bytes);
                assert!(hidden || is_known, "{} after {struck:?}", path.display());
            }
            update(&store, &view, &after).unwrap_or_else(|error| panic!("after {struck:?}: {error}"));
            assert_eq!(fs::read(view.join("numbers/mine")).unwrap(), b"mine");
            fs::remove_file(view.join("numbers/mine")).unwrap();
            let now = tree(&view);
            assert_eq!(now.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "after {struck:?}");
            for (path, bytes) in &expected {
                assert!(path.starts_with(".tickbarn-view") || now.get(path) == Some(bytes), "{} after {struck:?}", path.display());
            }
            fs::remove_dir_all(&view).unwrap();
            if struck.is_none() {
                outcome.unwrap();
                break;
            }
            nth += 1;
        }
        assert!(nth > 20, "only {nth} operations were seen");
    }
    assert!(store.verify().digests().run().unwrap().is_clean());
}
