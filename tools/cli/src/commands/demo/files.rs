//! The files of the demo: a directory that is new or its own, and files in it that nobody has changed.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tickbarn_terminal::exit::{Failure, Result};

/// What tells a dataset file of the demo from a user's own.
const MARK: &str = "Written by `tickbarn demo`";
const DATASET_FILE: &str = "tickbarn.toml";
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    Written,
    Found,
    /// It was as the demo had written it, but for where this binary is.
    Updated,
    /// Somebody has changed it.
    Kept,
}

/// Writes what is missing and says of each file what became of it.
pub(super) fn write(directory: &Path) -> Result<Vec<(&'static str, Became)>> {
    let contents = [
        (DATASET_FILE, dataset_file()?),
        ("configs/run_config.json", include_str!("files/configs/run_config.json").to_owned()),
        ("configs/simulation_config.json", include_str!("files/configs/simulation_config.json").to_owned()),
        ("intervals.json", include_str!("files/intervals.json").to_owned()),
    ];
    check(directory)?;
    fs::create_dir_all(directory.join("configs")).map_err(|error| cannot("make", &directory.join("configs"), &error))?;
    contents.into_iter().map(|(name, text)| Ok((name, write_one(&directory.join(name), &text)?))).collect()
}

/// Refuses a directory that holds something else.
fn check(directory: &Path) -> Result<()> {
    let other = |reason: String| Err(Failure::Usage(format!("{} {reason}\n  name another directory: tickbarn demo DIR", directory.display())));
    let mut listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return other("is a file".to_owned()),
        Err(error) => return Err(cannot("list", directory, &error)),
    };
    let Some(first) = listing.next() else { return Ok(()) };
    let first = first.map_err(|error| cannot("list", directory, &error))?.file_name();
    match read(&directory.join(DATASET_FILE))? {
        Some(text) if text.contains(MARK) => Ok(()),
        Some(_) => other(format!("holds a {DATASET_FILE} that is not the demo's")),
        // What an interrupted demo may have left.
        None if first == "configs" && listing.next().is_none() => Ok(()),
        None => other(format!("holds other files, such as {}", first.display())),
    }
}

fn write_one(path: &Path, text: &str) -> Result<Became> {
    match read(path)? {
        Some(found) if found == text => Ok(Became::Found),
        // It would not run where the old binary is gone.
        Some(found) if without_program(&found) == without_program(text) => {
            fs::write(path, text).map_err(|error| cannot("write", path, &error))?;
            Ok(Became::Updated)
        }
        Some(_) => Ok(Became::Kept),
        None => {
            let created = fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
            created.map_err(|error| cannot("write", path, &error))?;
            Ok(Became::Written)
        }
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    let read = || {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, FILE_BYTES_MAX), &mut bytes)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

fn cannot(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::World(format!("cannot {action} {}: {error}\n  name a directory that can be written: tickbarn demo DIR", path.display()))
}

/// The dataset file with this binary as the exporter.
fn dataset_file() -> Result<String> {
    let program = std::env::current_exe().map_err(|error| Failure::World(format!("this program's own path cannot be found: {error}")))?;
    let program = program.to_str().ok_or_else(|| Failure::World(format!("this program's own path is not UTF-8: {}", program.display())))?;
    Ok(include_str!("files/tickbarn.toml").replace("@PROGRAM@", &toml_text(program)).replace("@VERSION@", env!("CARGO_PKG_VERSION")))
}

/// A text as TOML's basic string.
fn toml_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A dataset file without the paths of the exporter.
fn without_program(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.find(", \"exporter\", \"").map_or(line, |at| &line[at..])).collect()
}

#[cfg(test)]
mod tests {
    use tickbarn::DatasetFile;

    use super::*;

    #[test]
    fn the_written_file_defines_the_datasets_that_the_demo_loads() {
        let text = dataset_file().unwrap();
        let file = DatasetFile::parse(&text, Path::new("tickbarn.toml"), Path::new("/demo"), &[]).unwrap();
        for name in super::super::DATASETS {
            file.dataset(name).unwrap();
        }
        assert!(text.contains(MARK));
        assert!(!text.contains('@'), "every blank is filled in");
    }

    #[test]
    fn a_path_with_odd_signs_stays_one_text() {
        assert_eq!(toml_text("/a \"b\"\\c\n"), r#""/a \"b\"\\c\u000A""#);
    }

    #[test]
    fn a_moved_binary_is_no_edit() {
        let text = dataset_file().unwrap();
        let moved =
            include_str!("files/tickbarn.toml").replace("@PROGRAM@", "\"/elsewhere/tickbarn\"").replace("@VERSION@", env!("CARGO_PKG_VERSION"));
        assert_eq!(without_program(&text), without_program(&moved));
        assert_ne!(without_program(&text), without_program(&moved.replace("40", "20")));
    }
}
