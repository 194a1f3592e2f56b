//! Tables for benchmarks.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Writes a table of a time and a price column, other bytes for each `price`; a row takes about 16 bytes.
pub(crate) fn write(path: &Path, rows: i64, price: f64) {
    let schema = parse_message_type("message schema { REQUIRED INT64 ts (TIMESTAMP(NANOS,true)); REQUIRED DOUBLE price; }").expect("a schema");
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let file = File::create(path).expect("a file");
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let times: Vec<i64> = (0..rows).collect();
    let mut column = group.next_column().expect("a column").expect("a column");
    column.typed::<Int64Type>().write_batch(&times, None, None).expect("values");
    column.close().expect("a column");
    let prices: Vec<f64> = times.iter().map(|time| (*time as f64).sin() + price).collect();
    let mut column = group.next_column().expect("a column").expect("a column");
    column.typed::<DoubleType>().write_batch(&prices, None, None).expect("values");
    column.close().expect("a column");
    group.close().expect("a row group");
    writer.close().expect("a footer");
}
