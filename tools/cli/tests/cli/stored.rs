//! A store as other tools see it: files by name, mode and bytes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Barn;

/// Everything below a directory, itself included, without following links.
pub(crate) fn all_below(directory: &Path) -> Vec<PathBuf> {
    let mut all = vec![directory.to_path_buf()];
    let mut at = 0;
    while let Some(path) = all.get(at).cloned() {
        at += 1;
        if path.symlink_metadata().unwrap().is_dir() {
            all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}

/// The files in a part of the store, in order of their names.
pub(crate) fn files_in(barn: &Barn, part: &str) -> Vec<PathBuf> {
    let mut files = all_below(&barn.at("barn").join(part));
    files.retain(|path| !path.symlink_metadata().unwrap().is_dir());
    files.sort();
    files
}

/// The tables in the store, by the digests that name them.
pub(crate) fn tables(barn: &Barn) -> Vec<String> {
    let tables = files_in(barn, "artifacts").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    tables.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Checks that every artifact's bytes are those that its name stands for. (A link is no artifact.)
#[track_caller]
pub(crate) fn holds_what_its_names_say(barn: &Barn) {
    for path in files_in(barn, "artifacts").into_iter().filter(|path| !path.is_symlink()) {
        assert_eq!(digest(&fs::read(&path).unwrap()), path.file_stem().unwrap().to_str().unwrap(), "{}", path.display());
    }
}

/// Checks that nobody holds or has left anything.
#[track_caller]
pub(crate) fn nothing_is_left_over(barn: &Barn) {
    for place in ["work", "claims"] {
        assert_eq!(barn.names_in(place), Vec::<String>::new(), "{place} is not empty");
    }
}
