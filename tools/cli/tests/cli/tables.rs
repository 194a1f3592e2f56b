//! Tables of all types, as files and as entries of a store.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, DurationMicrosecondArray, Float32Array, Float64Array,
    Int64Array, RecordBatch, StringArray, StructArray, Time64NanosecondArray, TimestampNanosecondArray, UInt8Array,
};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::support::Barn;

/// A Parquet file of these columns, in row groups of so many rows.
pub(crate) fn table_in_groups(columns: Vec<(&str, ArrayRef)>, group_rows: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

pub(crate) fn table(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    table_in_groups(columns, 1 << 20)
}

pub(crate) fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(crate) fn floats(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

/// Three rows of each type that tables have, the second of nothing but nulls.
pub(crate) fn every_type() -> Vec<(&'static str, ArrayRef)> {
    const MOMENT: i64 = 1_704_067_200_123_456_789;
    let mut list = ListBuilder::new(Float64Builder::new());
    list.append_value([Some(1.5), None]);
    list.append_null();
    list.append_value([]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("bid");
    map.values().append_value(7);
    map.append(true).unwrap();
    map.append(false).unwrap();
    map.append(true).unwrap();
    let inner: ArrayRef = Arc::new(StringArray::from(vec![Some("inner"), None, Some("")]));
    let nested = StructArray::try_from(vec![("name", inner), ("price", Arc::new(Float64Array::from(vec![Some(2.5), None, None])) as ArrayRef)]);
    vec![
        ("zoned", Arc::new(TimestampNanosecondArray::from(vec![Some(MOMENT), None, Some(0)]).with_timezone("Europe/Berlin"))),
        ("utc", Arc::new(TimestampNanosecondArray::from(vec![Some(MOMENT), None, Some(0)]).with_timezone("UTC"))),
        ("plain", Arc::new(TimestampNanosecondArray::from(vec![Some(MOMENT), None, Some(0)]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_723), None, Some(0)]))),
        ("clock", Arc::new(Time64NanosecondArray::from(vec![Some(3_600_000_000_000), None, Some(0)]))),
        ("took", Arc::new(DurationMicrosecondArray::from(vec![Some(1_500_000), None, Some(0)]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("small", Arc::new(UInt8Array::from(vec![Some(255), None, Some(0)]))),
        ("single", Arc::new(Float32Array::from(vec![Some(0.5), None, Some(f32::NAN)]))),
        ("price", Arc::new(Float64Array::from(vec![Some(64_321.5), None, Some(f64::INFINITY)]))),
        ("exact", Arc::new(Decimal128Array::from(vec![Some(12_345), None, Some(-5)]).with_precision_and_scale(20, 3).unwrap())),
        ("text", Arc::new(StringArray::from(vec![Some("plain"), None, Some("two\nlines")]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None, Some(b"")]))),
        ("kind", Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("maker"), None, Some("taker")]))),
        ("list", Arc::new(list.finish())),
        ("nested", Arc::new(nested.unwrap())),
        ("map", Arc::new(map.finish())),
    ]
}

/// The entry whose only output, `trades`, is this file.
pub(crate) fn stored(barn: &Barn, table: &[u8]) -> String {
    barn.write("sample.parquet", table);
    barn.load(1, &[]).ok();
    barn.address(0)
}

/// Files that pyarrow writes by a script, which gets their directory as an argument; or nothing where there is no pyarrow.
pub(crate) fn by_pyarrow(directory: &Path, script: &str) -> Option<()> {
    let python = std::env::var("TICKBARN_FOREIGN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !Command::new(&python).args(["-c", "import pyarrow"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no pyarrow; install tests/frames/foreign/requirements.txt and set TICKBARN_FOREIGN_PYTHON");
        return None;
    }
    let output = Command::new(&python).args(["-c", script]).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(())
}
