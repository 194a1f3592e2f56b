//! A store in a temporary directory, and a dataset whose generator is a small shell script.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tickbarn::{Dataset, DatasetBuilder, Instrument, Interval, Load, Loaded, Split, Store};

pub(crate) struct Barn {
    directory: tempfile::TempDir,
    pub(crate) store: Store,
}

/// What a generator does: counts its start, then this. `$1` is the path of its output, `$2` its start, `$FIXTURES` where tables lie.
pub(crate) const COPY: &str = r#"cp "$FIXTURES/three.parquet" "$1""#;

impl Barn {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixtures = directory.path().join("fixtures");
        fs::create_dir(&fixtures).unwrap();
        write_table(&fixtures.join("three.parquet"), &[1, 2, 3]);
        write_table(&fixtures.join("two.parquet"), &[1, 2]);
        write_table(&fixtures.join("none.parquet"), &[]);
        let whole = fs::read(fixtures.join("three.parquet")).unwrap();
        fs::write(fixtures.join("half.parquet"), &whole[..whole.len() / 2]).unwrap();
        let store = Store::open(directory.path().join("barn")).unwrap();
        Self { directory, store }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A dataset of one output, `table`, whose generator runs a script.
    pub(crate) fn dataset(&self, script: &str) -> DatasetBuilder {
        let program = self.path("generator.sh");
        let counter = self.path("runs");
        let text = format!("#!/bin/sh\nset -e\necho \"$2\" >> {}\n{script}\n", counter.display());
        if fs::read_to_string(&program).ok().as_ref() != Some(&text) {
            // Written aside and renamed, so that a script which is being run is never busy.
            fs::write(self.path("generator.new"), text).unwrap();
            make_executable(&self.path("generator.new"));
            fs::rename(self.path("generator.new"), &program).unwrap();
        }
        Dataset::command("numbers", [program.to_str().unwrap(), "{output.table}", "{start}"])
            .output("table", "table.parquet")
            .env("FIXTURES", self.path("fixtures").to_str().unwrap())
            .split(Split::every("1h").unwrap())
    }

    /// How many times a generator was started.
    pub(crate) fn runs(&self) -> usize {
        fs::read_to_string(self.path("runs")).map_or(0, |text| text.lines().count())
    }

    /// A load of the first `hours` of a day.
    pub(crate) fn load(&self, dataset: &Dataset, hours: u32) -> Load {
        self.store.load().request(dataset, &instrument(), first_hours(hours))
    }

    /// Every file below the store's directories of these names.
    pub(crate) fn files(&self, names: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut waiting: Vec<PathBuf> = names.iter().map(|name| self.store.path().join(name)).collect();
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() { waiting.push(entry.path()) } else { found.push(entry.path()) }
            }
        }
        found.sort();
        found
    }

    /// Whether nothing is left of work in progress.
    pub(crate) fn is_tidy(&self) -> bool {
        ["work", "claims"].iter().all(|name| fs::read_dir(self.store.path().join(name)).unwrap().next().is_none())
    }
}

pub(crate) fn instrument() -> Instrument {
    "binance/BTC-USDT".parse().unwrap()
}

pub(crate) fn first_hours(hours: u32) -> Interval {
    Interval::parse("2024-01-01", &format!("2024-01-01T{hours:02}:00")).unwrap()
}

pub(crate) fn outcomes(loaded: &Loaded) -> Vec<&'static str> {
    loaded.partitions.iter().map(|partition| partition.outcome.as_str()).collect()
}

pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A Parquet file of a time column and a price column.
pub(crate) fn write_table(path: &Path, times: &[i64]) {
    let schema = "message schema { REQUIRED INT64 ts (TIMESTAMP(NANOS,true)); REQUIRED DOUBLE price; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, Arc::new(WriterProperties::default())).unwrap();
    if !times.is_empty() {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(times, None, None).unwrap();
        column.close().unwrap();
        let prices: Vec<f64> = times.iter().map(|time| *time as f64 / 2.0).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&prices, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// Copies a directory with all in it.
pub(crate) fn copy(from: &Path, to: &Path) {
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
