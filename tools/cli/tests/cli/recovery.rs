//! What holds of a store after any fault, for the tests that bring faults about: a fresh process finds the committed bytes or makes them again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{Barn, COPIES, Ran, Samples, finished};

/// Each partition's bytes are its own: the sample with the partition's start written over [`OVERWRITTEN`].
pub(crate) const EACH: &str = r#"LC_ALL=C sed "s/tickbarn-exporter ve/$3/" "$1" > "$2""#;

/// A text in the sample's footer that means nothing, as long as a partition's start.
const OVERWRITTEN: &str = "tickbarn-exporter ve";

/// What [`EACH`] makes of the first sample in an hour.
pub(crate) fn made(hour: usize) -> Vec<u8> {
    made_from(&Samples::get().one(), hour)
}

/// What [`EACH`] makes of the other sample in an hour.
pub(crate) fn made_from_other(hour: usize) -> Vec<u8> {
    made_from(&Samples::get().other(), hour)
}

fn made_from(sample: &Path, hour: usize) -> Vec<u8> {
    let start = start(hour);
    assert_eq!(start.len(), OVERWRITTEN.len());
    let mut bytes = fs::read(sample).unwrap();
    let at = bytes.windows(OVERWRITTEN.len()).position(|window| window == OVERWRITTEN.as_bytes()).expect("the exporter names itself in its files");
    bytes[at..at + start.len()].copy_from_slice(start.as_bytes());
    bytes
}

/// When an hour of January 2024 begins, as a generator is told.
pub(crate) fn start(hour: usize) -> String {
    format!("2024-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24)
}

/// The command that loads hours `from..to` of `test/ONE`.
pub(crate) fn load(barn: &Barn, from: usize, to: usize, more: &[&str]) -> Command {
    let mut command = barn.command(&["load", "md", "--instrument", "test/ONE", "--start", &start(from), "--end", &start(to)]);
    command.args(more);
    command
}

/// What a load's lines say of an hour's partition.
pub(crate) fn line_of(lines: &[Value], hour: usize) -> Option<&Value> {
    lines.iter().find(|line| line["type"] == "partition" && line["start"] == start(hour))
}

/// The hours that lines of a load call generated: from then on they must last.
pub(crate) fn acknowledged(lines: &[Value], hours: usize) -> Vec<usize> {
    (0..hours).filter(|hour| line_of(lines, *hour).is_some_and(|line| line["outcome"] == "generated")).collect()
}

/// Lets the sample be exchanged without that being another address, as whatever a generator reads behind tickbarn's back.
pub(crate) fn leave_the_sample_out_of_the_key(barn: &Barn) {
    barn.edit("sample = \"sample.parquet\"", "sample = { path = \"sample.parquet\", fingerprint = \"none\" }");
}

/// Checks all that a fault must leave true, by a process that knows nothing of it, and gives the bytes of those of the first hours that are there.
pub(crate) fn check_store(barn: &Barn, hours: usize) -> BTreeMap<usize, Vec<u8>> {
    finished(&mut barn.command(&["verify", "--digest"])).ok();
    let found = finished(&mut load(barn, 0, hours, &["--json", "--on-missing", "skip"])).ok();
    assert!(!found.stderr.contains("damaged"), "{found:#?}");
    let lines = found.json();
    let mut there = BTreeMap::new();
    for hour in 0..hours {
        let line = line_of(&lines, hour).unwrap_or_else(|| panic!("nothing is said of hour {hour}: {found:#?}"));
        match line["outcome"].as_str().unwrap() {
            "hit" => {
                let output = &line["outputs"]["trades"];
                let bytes = fs::read(output["path"].as_str().unwrap()).unwrap();
                assert_eq!(output["bytes"].as_u64(), Some(bytes.len() as u64), "{line}");
                assert_eq!(output["digest"], blake3::hash(&bytes).to_hex().as_str(), "{line}");
                assert_eq!(output["rows"], rows_of(&bytes), "{line}");
                there.insert(hour, bytes);
            }
            outcome => assert_eq!(outcome, "missing", "{line}"),
        }
    }
    for artifact in files_below(&barn.at("barn/artifacts")) {
        let digest = blake3::hash(&fs::read(&artifact).unwrap());
        assert_eq!(artifact.file_stem().unwrap(), digest.to_hex().as_str(), "an artifact is not what its name says: {}", artifact.display());
    }
    let store = ::tickbarn::Store::open_existing(barn.at("barn")).unwrap();
    for manifest in files_below(&barn.at("barn/entries")) {
        let address = manifest.file_stem().unwrap().to_str().unwrap().parse().unwrap_or_else(|error| panic!("{error}: {}", manifest.display()));
        let manifest = store.manifest(&address).unwrap().unwrap();
        assert!(manifest.outputs.values().all(|output| store.artifact_path(&output.digest).exists()), "{manifest:#?}");
    }
    there
}

/// Checks that a process which asks for so much that it opens an index finds just what is `there`.
pub(crate) fn check_index(barn: &Barn, there: &BTreeMap<usize, Vec<u8>>) {
    /// For two instruments, more than make an index worth while.
    const LOOKUPS: usize = 24 * 30;
    let found = finished(&mut load(barn, 0, LOOKUPS, &["--json", "--on-missing", "skip", "--instrument", "test/TWO"])).ok();
    let lines = found.json();
    assert_eq!(found.summary()["read"], there.len(), "{:#?}", found.summary());
    for (hour, bytes) in there {
        let line = lines.iter().find(|line| line["instrument"] == "test/ONE" && line["start"] == start(*hour)).unwrap();
        let path = line["outputs"]["trades"]["path"].as_str().unwrap_or_else(|| panic!("{line}"));
        assert!(fs::read(path).unwrap() == *bytes, "the index has other bytes than the manifest: {line}");
    }
}

/// Checks that the next load of the first hours goes through, makes none of those that are `there`, and hands out the right bytes of all.
pub(crate) fn check_next_load(barn: &Barn, hours: usize, there: &BTreeMap<usize, Vec<u8>>) -> Ran {
    let next = finished(&mut load(barn, 0, hours, &["--json"])).ok();
    let lines = next.json();
    for hour in 0..hours {
        let line = line_of(&lines, hour).unwrap();
        assert_eq!(line["outcome"], if there.contains_key(&hour) { "hit" } else { "generated" }, "{line}");
        let bytes = fs::read(line["outputs"]["trades"]["path"].as_str().unwrap()).unwrap();
        assert!(bytes == *there.get(&hour).unwrap_or(&made(hour)), "hour {hour} has other bytes than it should");
    }
    next
}

/// What is half-made in a store and must not be there while nobody works: drafts, claims, work directories, a journal that has not taken its place.
pub(crate) fn half_made(barn: &Barn) -> Vec<PathBuf> {
    let store = barn.at("barn");
    let mut left: Vec<PathBuf> =
        ["work", "claims"].iter().filter_map(|of| fs::read_dir(store.join(of)).ok()).flatten().map(|entry| entry.unwrap().path()).collect();
    let mut directories = vec![store];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with(".new-") || name == "log.new" {
                left.push(entry.path());
            } else if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            }
        }
    }
    left
}

/// How many rows a file has that [`EACH`] made, by its size: the two samples have different ones.
fn rows_of(bytes: &[u8]) -> u64 {
    static ROWS: OnceLock<Vec<(usize, u64)>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        let load_one = |sample: PathBuf| {
            let barn = Barn::new(COPIES);
            barn.write("sample.parquet", &fs::read(&sample).unwrap());
            (fs::read(&sample).unwrap().len(), barn.load(1, &["--json"]).ok().json()[0]["outputs"]["trades"]["rows"].as_u64().unwrap())
        };
        vec![load_one(Samples::get().one()), load_one(Samples::get().other())]
    });
    rows.iter().find(|(length, _)| *length == bytes.len()).expect("it is made from one of the samples").1
}

/// Files two levels down.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let list = |directory: &Path| fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect::<Vec<PathBuf>>();
    list(directory).iter().flat_map(|shard| list(shard)).collect()
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    /// A number below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
