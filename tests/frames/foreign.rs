//! Tables as other programs write them: pyarrow, DuckDB, and a program of Arrow's C++ library.
//!
//! `foreign/write.py` and `foreign/writer.cpp` make the files, and beside each what a reader must see. They need a Python with `foreign/requirements.txt`
//! installed, which `TICKBARN_FOREIGN_PYTHON` names (`python3` otherwise), and a C++ compiler; without them the tests say that they are skipped.
//!
//! Invariant 11 of ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use polars::prelude::{AnyValue, Column, DataType, Expr, IntoLazy, LazyFrame, TimeUnit, col, lit};
use serde_json::Value;
use tickbarn::{FrameOptions, Loaded, Time};

use crate::field::{Field, hours};
use crate::opened::Opened;

/// What a reader must see of a file.
#[derive(serde::Deserialize)]
struct Expected {
    rows: usize,
    columns: BTreeMap<String, Vec<Option<String>>>,
}

struct Foreign {
    directory: tempfile::TempDir,
    cases: Vec<String>,
}

/// The files, made once; or why they cannot be.
fn foreign() -> Result<&'static Foreign, &'static str> {
    static MADE: OnceLock<Result<Foreign, String>> = OnceLock::new();
    MADE.get_or_init(make).as_ref().map_err(String::as_str)
}

fn make() -> Result<Foreign, String> {
    let python = std::env::var("TICKBARN_FOREIGN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frames/foreign");
    let there = Command::new(&python).args(["-c", "import pyarrow, duckdb"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Err(format!("{python} has no pyarrow and duckdb; install tests/frames/foreign/requirements.txt and set TICKBARN_FOREIGN_PYTHON"));
    }
    let directory = tempfile::tempdir().unwrap();
    run(Command::new(&python).arg(scripts.join("write.py")).arg(directory.path()));
    let writer = directory.path().join("writer");
    if Command::new("g++").arg("--version").output().is_err() {
        return Err("there is no g++".to_owned());
    }
    run(Command::new(&python).arg(scripts.join("build_cpp.py")).arg(&writer));
    for hour in ["0", "1"] {
        run(Command::new(&writer).arg(directory.path()).arg(hour));
    }
    let mut cases: Vec<String> = fs::read_dir(directory.path())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().strip_suffix("-0.parquet").map(str::to_owned))
        .collect();
    cases.sort();
    Ok(Foreign { directory, cases })
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Foreign {
    fn path(&self, case: &str, hour: u32, extension: &str) -> PathBuf {
        self.directory.path().join(format!("{case}-{hour}.{extension}"))
    }

    fn expected(&self, case: &str) -> [Expected; 2] {
        [0, 1].map(|hour| serde_json::from_slice(&fs::read(self.path(case, hour, "json")).unwrap()).unwrap())
    }

    /// The two hours of a case, published and loaded.
    fn load(&self, field: &Field, case: &str) -> Loaded {
        for hour in 0..2 {
            field.sow_file(case, hour, &self.path(case, hour, "parquet"));
        }
        field.load(&field.dataset().build().unwrap(), &[(case, hours(0, 2))])
    }
}

macro_rules! foreign_or_skip {
    () => {
        match foreign() {
            Ok(foreign) => foreign,
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return;
            }
        }
    };
}

#[test]
fn every_value_is_read_as_it_was_written() {
    let foreign = foreign_or_skip!();
    assert!(foreign.cases.len() >= 20, "{:?}", foreign.cases);
    let field = Field::new();
    for case in &foreign.cases {
        let loaded = foreign.load(&field, case);
        let expected = foreign.expected(case);
        let rows: Vec<u64> = loaded.partitions.iter().map(|partition| partition.outcome.entry().unwrap().outputs[0].rows).collect();
        assert_eq!(rows, expected.each_ref().map(|expected| expected.rows as u64), "{case}");
        let frame = loaded.frame("trades").unwrap_or_else(|error| panic!("{case}: {error}"));
        let frame = frame.collect().unwrap_or_else(|error| panic!("{case}: {error}"));
        for name in expected[0].columns.keys() {
            let both: Vec<&Option<String>> = expected.iter().flat_map(|expected| &expected.columns[name]).collect();
            let column = frame.column(name).unwrap();
            assert_eq!(column.len(), both.len(), "{case} {name}");
            for (nth, expected) in both.into_iter().enumerate() {
                assert!(is(column, nth, expected.as_deref()), "{case} {name} row {nth}: {:?} is not {expected:?}", column.get(nth));
            }
        }
    }
}

#[test]
fn what_is_known_of_a_file_never_hides_a_row() {
    let foreign = foreign_or_skip!();
    let field = Field::new();
    let mut hidden = Vec::new();
    for case in &foreign.cases {
        let loaded = foreign.load(&field, case);
        let whole = loaded.frame("trades").unwrap().collect().unwrap();
        for options in [FrameOptions::default(), FrameOptions::default().all_statistics()] {
            let frame = || loaded.frame_with("trades", &options).unwrap();
            // Without the manifests little is known but of the time.
            let columns = whole.columns().iter().filter(|column| column.name() == "ts" || options != FrameOptions::default());
            for column in columns {
                for filter in filters_of(column) {
                    let found = frame().filter(filter.clone()).collect().unwrap_or_else(|error| panic!("{case} {filter:?}: {error}"));
                    let expected = whole.clone().lazy().filter(filter.clone()).collect().unwrap();
                    if !found.equals_missing(&expected) {
                        hidden.push(format!("{case} {}: {filter:?}", column.dtype()));
                    }
                }
            }
        }
    }
    assert!(hidden.is_empty(), "{hidden:#?}");
}

#[test]
fn a_filter_on_time_opens_one_of_two_files_where_the_writer_left_bounds() {
    let foreign = foreign_or_skip!();
    for (case, files) in [
        ("pyarrow_scalars", 1),
        ("pyarrow_nested", 1),
        ("pyarrow_decimal", 1),
        ("pyarrow_categorical", 1),
        ("pyarrow_many_groups", 1),
        ("duckdb_scalars", 1),
        ("duckdb_many_groups", 1),
        ("cpp_low_level", 1),
        // Nothing is known, so both are opened.
        ("pyarrow_nostats", 2),
        ("pyarrow_oldstyle", 2),
        ("duckdb_oldstyle", 2),
    ] {
        let field = Field::new();
        let loaded = foreign.load(&field, case);
        let frame = loaded.frame("trades").unwrap();
        let dtype = frame.clone().collect_schema().unwrap().get("ts").unwrap().clone();
        let opened = Opened::below(field.store.path());
        let second =
            frame.filter(col("ts").gt_eq(lit(hours(1, 2).start().ns()).cast(DataType::Datetime(TimeUnit::Nanoseconds, zone_of(&dtype))).cast(dtype)));
        assert!(rows(second) > 0, "{case}");
        assert_eq!(opened.files().len(), files, "{case}");
    }
}

fn zone_of(dtype: &DataType) -> Option<polars::prelude::TimeZone> {
    match dtype {
        DataType::Datetime(_, zone) => zone.clone(),
        other => panic!("{other} is no time"),
    }
}

fn rows(frame: LazyFrame) -> usize {
    frame.collect().unwrap().height()
}

/// Comparisons with each of a column's own values, and tests for null.
fn filters_of(column: &Column) -> Vec<Expr> {
    let name = || col(column.name().clone());
    let mut filters = vec![name().is_null(), name().is_not_null()];
    if column.dtype().is_nested() || column.dtype().is_categorical() {
        return filters;
    }
    let values = (0..column.len()).step_by((column.len() / 4).max(1)).filter(|nth| !matches!(column.get(*nth), Ok(AnyValue::Null)));
    for nth in values {
        let value = lit(polars::prelude::Scalar::new(column.dtype().clone(), column.get(nth).unwrap().into_static()));
        filters.extend([name().eq(value.clone()), name().neq(value.clone()), name().lt(value.clone()), name().gt_eq(value)]);
    }
    filters
}

/// Whether a value reads as a text of the fixtures says.
fn is(column: &Column, nth: usize, expected: Option<&str>) -> bool {
    let value = column.get(nth).unwrap();
    match (&value, expected) {
        (AnyValue::Null, None) => true,
        (AnyValue::Null, Some(_)) | (_, None) => false,
        (AnyValue::Float64(found), Some(expected)) => is_double(*found, expected),
        (AnyValue::Float32(found), Some(expected)) => is_double(f64::from(*found), expected),
        (AnyValue::List(_) | AnyValue::Struct(..) | AnyValue::StructOwned(_), Some(expected)) => {
            json(&value) == serde_json::from_str::<Value>(expected).unwrap()
        }
        (_, Some(expected)) => text(column.dtype(), &value) == expected,
    }
}

fn is_double(found: f64, expected: &str) -> bool {
    let expected: f64 = expected.parse().unwrap();
    found == expected || (found.is_nan() && expected.is_nan())
}

fn text(dtype: &DataType, value: &AnyValue<'_>) -> String {
    let unit_ns = |unit: &TimeUnit| match unit {
        TimeUnit::Nanoseconds => 1,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Milliseconds => 1_000_000,
    };
    match value {
        AnyValue::Datetime(count, unit, _) => moment(i128::from(*count) * unit_ns(unit)),
        AnyValue::Duration(count, unit) => (i128::from(*count) * unit_ns(unit)).to_string(),
        AnyValue::Time(ns) => moment(i128::from(*ns))[11..29].to_owned(),
        AnyValue::Date(days) => moment(i128::from(*days) * 86_400_000_000_000)[..10].to_owned(),
        AnyValue::Decimal(unscaled, _, scale) => decimal(*unscaled, *scale),
        AnyValue::Binary(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        AnyValue::String(text) => (*text).to_owned(),
        _ if dtype.is_categorical() => value.to_string().trim_matches('"').to_owned(),
        other => other.to_string(),
    }
}

/// `2024-01-01T00:00:00.000000000Z`, also beyond what 64 bits of nanoseconds hold.
fn moment(ns: i128) -> String {
    let seconds = jiff::SignedDuration::from_secs(i64::try_from(ns.div_euclid(1_000_000_000)).unwrap());
    let whole = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0).checked_add(seconds).unwrap();
    format!("{whole}.{:09}Z", ns.rem_euclid(1_000_000_000))
}

fn decimal(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn json(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(truth) => (*truth).into(),
        AnyValue::Float64(double) => (*double).into(),
        AnyValue::Int64(integer) => (*integer).into(),
        AnyValue::String(text) => (*text).into(),
        AnyValue::List(series) => series.iter().map(|value| json(&value)).collect(),
        AnyValue::Struct(..) | AnyValue::StructOwned(_) => {
            let fields = value.clone().into_static();
            let AnyValue::StructOwned(fields) = fields else { panic!("{value} is no struct") };
            let (values, fields) = *fields;
            fields.iter().zip(&values).map(|(field, value)| (field.name().to_string(), json(value))).collect()
        }
        AnyValue::StringOwned(text) => text.as_str().into(),
        other => panic!("{other} is in no fixture"),
    }
}

#[test]
fn the_texts_of_the_fixtures_are_understood() {
    assert_eq!(moment(-1), "1969-12-31T23:59:59.999999999Z");
    assert_eq!(moment(i128::from("2024-01-01".parse::<Time>().unwrap().ns())), "2024-01-01T00:00:00.000000000Z");
    assert_eq!((decimal(-5, 2), decimal(123, 0), decimal(12_345, 4)), ("-0.05".to_owned(), "123".to_owned(), "1.2345".to_owned()));
}
