//! `tickbarn-gc` as its users meet it. What collecting does is tested with `tickbarn gc`, which is the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tickbarn::{DatasetFile, Interval, Store};

fn gc(directory: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickbarn-gc"));
    command.current_dir(directory).args(flags).env_remove("TICKBARN_CONFIG").env_remove("TICKBARN_STORE").stdin(Stdio::null());
    command.output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_explains_itself() {
    for flag in ["-h", "--help"] {
        let (status, help, _) = told(&gc(Path::new("/"), &[flag]));
        assert!(status == Some(0) && help.contains("\n  tickbarn-gc --max-bytes 500GiB --dry-run\n"), "{help}");
    }
    let (status, version, _) = told(&gc(Path::new("/"), &["--version"]));
    assert!(status == Some(0) && version.starts_with("tickbarn-gc "), "{version}");
}

#[test]
fn it_needs_a_store_and_something_to_do() {
    let directory = tempfile::tempdir().unwrap();
    for (flags, said) in [(&[][..], "nothing says what may go"), (&["--failures"], "no store is named"), (&["--order", "fifo"], "value, lru")] {
        let (status, stdout, stderr) = told(&gc(directory.path(), flags));
        assert!(status == Some(2) && stdout.is_empty() && stderr.contains(said), "{stderr}");
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "a mistyped place is said, not made");
}

#[test]
fn what_another_process_has_loaded_stays() {
    const FILE: &str = "store = \"barn\"\n[dataset.md]\ncommand = [\"/bin/sh\", \"-c\", \"exit 3\"]\noutputs = { trades = \"trades.parquet\" }\n\
                        split = \"1h\"\nempty_exit_codes = [3]\n[gc]\ndatasets = [\"md\"]\ngrace = \"0s\"\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tickbarn.toml");
    std::fs::write(&path, FILE).unwrap();
    let file = DatasetFile::read(&path).unwrap();
    let store = Store::open(directory.path().join("barn")).unwrap();
    let hours = Interval::parse("2024-01-01", "2024-01-01T02:00").unwrap();
    let loaded = store.load().request(file.dataset("md").unwrap(), &"test/ONE".parse().unwrap(), hours).blocking().unwrap();
    assert_eq!(loaded.partitions.len(), 2);
    let (status, stdout, stderr) = told(&gc(directory.path(), &[]));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.starts_with("nothing to collect in ") && stdout.contains("2 in use by 1 running process"), "{stdout}");
    assert_eq!(store.entries().unwrap().len(), 2);
}
