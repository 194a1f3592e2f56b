//! Checking an output: is it a whole Parquet file, and what does its footer say.
//!
//! What is read is the staged copy, never the generator's file: what was checked is what is stored.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::catch_unwind;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType};
use parquet::data_type::ByteArray;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::printer::print_schema;
use parquet::schema::types::{ColumnDescriptor, Type};

use crate::address::Digest;
use crate::canonical::Value;
use crate::store::{Column, Table, open_existing};

/// Text statistics longer than this are left out: they bound nothing that anybody filters by.
const TEXT_BYTES_MAX: usize = 128;
/// The footer's own metadata under which Arrow writers keep what Parquet types do not say.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// Reads the footer of a Parquet file and checks that what it describes lies inside the file. Says what is wrong otherwise.
pub(crate) fn read_table(file: &File) -> Result<Table, String> {
    // The reader is well tested, but this is where bytes from anywhere meet it.
    catch_unwind(|| read_footer(file)).unwrap_or_else(|_| Err("its footer makes the reader panic".to_owned()))
}

/// Whether a file begins and ends as Parquet files do. Says nothing of what is missing or no regular file: taking it will.
pub(crate) fn look_at_ends(path: &Path) -> Result<(), String> {
    match open_existing(path) {
        Ok(Some(file)) if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) => data_end(&file).map(drop),
        _ => Ok(()),
    }
}

fn read_footer(file: &File) -> Result<Table, String> {
    let data_end = data_end(file)?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).map_err(|error| format!("its footer does not parse: {error}"))?;
    for (nth, group) in metadata.row_groups().iter().enumerate() {
        if group.num_rows() < 0 || group.columns().iter().any(|chunk| !lies_within(chunk, data_end)) {
            return Err(format!("row group {nth} lies outside the file: it is cut short or overwritten"));
        }
    }
    let schema = metadata.file_metadata().schema_descr();
    let columns = schema.columns().iter().enumerate().map(|(nth, column)| column_of(column, nth, metadata.row_groups())).collect();
    let rows = metadata.row_groups().iter().map(|group| group.num_rows() as u64).sum();
    let said = u64::try_from(metadata.file_metadata().num_rows()).ok();
    if said != Some(rows) {
        return Err(format!("its footer speaks of {} rows and its row groups of {rows}", metadata.file_metadata().num_rows()));
    }
    Ok(Table { rows, schema: schema_digest(&metadata), columns })
}

/// Where the data ends and the footer begins; checks the marks at both ends of the file.
fn data_end(file: &File) -> Result<u64, String> {
    const MARK: &[u8; 4] = b"PAR1";
    // The footer's own length and the mark.
    const TAIL_BYTES: u64 = 8;
    let bytes = file.metadata().map_err(|error| error.to_string())?.len();
    if bytes < MARK.len() as u64 + TAIL_BYTES {
        return Err(format!("its footer does not parse: {bytes} bytes are too few for one"));
    }
    let (mut head, mut tail) = ([0; 4], [0; TAIL_BYTES as usize]);
    file.read_exact_at(&mut head, 0).map_err(|error| error.to_string())?;
    file.read_exact_at(&mut tail, bytes - TAIL_BYTES).map_err(|error| error.to_string())?;
    let (length, mark) = tail.split_first_chunk::<4>().expect("the tail has eight bytes");
    if mark != MARK {
        return Err("its footer does not parse: it does not end with PAR1, so it is cut short or no Parquet file".to_owned());
    }
    if head != *MARK {
        return Err("it does not begin with PAR1: its beginning is cut off or overwritten".to_owned());
    }
    (bytes - TAIL_BYTES).checked_sub(u64::from(u32::from_le_bytes(*length))).ok_or_else(|| "its footer is longer than the file".to_owned())
}

fn lies_within(chunk: &ColumnChunkMetaData, data_end: u64) -> bool {
    let start = chunk.dictionary_page_offset().filter(|offset| *offset > 0).unwrap_or(chunk.data_page_offset());
    match (u64::try_from(start), u64::try_from(chunk.compressed_size())) {
        (Ok(start), Ok(length)) => start.checked_add(length).is_some_and(|end| end <= data_end),
        _ => false,
    }
}

/// The same for two files exactly when readers see the same columns: names, types, order, nullability, and Arrow's own types.
fn schema_digest(metadata: &ParquetMetaData) -> Digest {
    let file = metadata.file_metadata();
    let mut text = Vec::new();
    // The root's own name differs from writer to writer and says nothing.
    for field in file.schema().get_fields() {
        print_schema(&mut text, field);
    }
    if let Some(arrow) = file.key_value_metadata().and_then(|pairs| pairs.iter().find(|pair| pair.key == ARROW_SCHEMA)) {
        text.push(0);
        text.extend_from_slice(arrow.value.as_deref().unwrap_or_default().as_bytes());
    }
    Digest::of(&text)
}

fn column_of(column: &ColumnDescriptor, nth: usize, groups: &[RowGroupMetaData]) -> Column {
    let nulls = groups.iter().map(|group| group.column(nth).statistics()?.null_count_opt()).sum();
    // The least and greatest of a repeated or nested leaf say nothing about rows.
    let (min, max) = if column.path().parts().len() == 1 && column.max_rep_level() == 0 { bounds_of(column, nth, groups) } else { (None, None) };
    Column { name: column.path().string(), kind: kind_of(column.self_type()), nulls, min, max }
}

/// `INT64 (TIMESTAMP(NANOS,true))`: the printer's text without repetition and name.
fn kind_of(leaf: &Type) -> String {
    let mut text = Vec::new();
    print_schema(&mut text, leaf);
    let text = String::from_utf8_lossy(&text);
    let text = text.trim().trim_end_matches(';');
    let physical = leaf.get_physical_type();
    match text.split_once(&format!("{physical} {}", leaf.name())) {
        Some((_, logical)) => format!("{physical}{logical}"),
        None => physical.to_string(),
    }
}

/// A bound that can be compared with another of its column.
#[derive(Clone, PartialEq, PartialOrd)]
enum Bound {
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
}

impl From<Bound> for Value {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Bool(truth) => Value::Bool(truth),
            Bound::Integer(integer) => Value::Integer(integer),
            Bound::Float(double) => Value::Float(double),
            Bound::Text(text) => Value::String(text),
        }
    }
}

/// The least and greatest value over all row groups; nothing where a row group does not say.
fn bounds_of(column: &ColumnDescriptor, nth: usize, groups: &[RowGroupMetaData]) -> (Option<Value>, Option<Value>) {
    let (mut min, mut max): (Option<Bound>, Option<Bound>) = (None, None);
    for group in groups.iter().filter(|group| group.num_rows() > 0) {
        let Some(statistics) = group.column(nth).statistics() else { return (None, None) };
        if statistics.null_count_opt() == Some(group.num_rows() as u64) {
            continue;
        }
        let Some((low, high)) = bounds_in(column, statistics) else { return (None, None) };
        min = Some(min.filter(|min| *min <= low).unwrap_or(low));
        max = Some(max.filter(|max| *max >= high).unwrap_or(high));
    }
    (min.map(Value::from), max.map(Value::from))
}

fn bounds_in(column: &ColumnDescriptor, statistics: &Statistics) -> Option<(Bound, Bound)> {
    // Older writers say it by the converted type alone.
    let unsigned = matches!(column.logical_type_ref(), Some(LogicalType::Integer(integer)) if !integer.is_signed)
        || matches!(column.converted_type(), ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64);
    // The deprecated fields compare as signed.
    if unsigned && statistics.is_min_max_deprecated() {
        return None;
    }
    match statistics {
        Statistics::Boolean(values) => both(values.min_opt(), values.max_opt(), |truth| Some(Bound::Bool(*truth))),
        Statistics::Int32(values) => both(values.min_opt(), values.max_opt(), |integer| {
            Some(Bound::Integer(if unsigned { i128::from(*integer as u32) } else { i128::from(*integer) }))
        }),
        Statistics::Int64(values) => both(values.min_opt(), values.max_opt(), |integer| {
            Some(Bound::Integer(if unsigned { i128::from(*integer as u64) } else { i128::from(*integer) }))
        }),
        Statistics::Float(values) => both(values.min_opt(), values.max_opt(), |float| finite(f64::from(*float))),
        Statistics::Double(values) => both(values.min_opt(), values.max_opt(), |double| finite(*double)),
        // Long texts may be cut in statistics, and the deprecated fields compare bytes as signed.
        Statistics::ByteArray(values) if is_text(column) && values.min_is_exact() && values.max_is_exact() && !statistics.is_min_max_deprecated() => {
            both(values.min_opt(), values.max_opt(), text)
        }
        _ => None,
    }
}

fn both<T>(min: Option<&T>, max: Option<&T>, bound: impl Fn(&T) -> Option<Bound>) -> Option<(Bound, Bound)> {
    Some((bound(min?)?, bound(max?)?))
}

fn finite(double: f64) -> Option<Bound> {
    double.is_finite().then_some(Bound::Float(double))
}

fn text(bytes: &ByteArray) -> Option<Bound> {
    let text = bytes.as_utf8().ok().filter(|text| text.len() <= TEXT_BYTES_MAX)?;
    Some(Bound::Text(text.to_owned()))
}

fn is_text(column: &ColumnDescriptor) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::String | LogicalType::Enum))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::data_type::Int32Type;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// A value above 2^31 read as a negative one would make a file's greatest value too small, and a filter would pass the file by.
    #[test]
    fn unsigned_columns_are_never_bounded_as_signed_ones() {
        for kind in ["UINT_32", "INTEGER(32,false)"] {
            let file = tempfile::tempfile().unwrap();
            let schema = Arc::new(parse_message_type(&format!("message m {{ REQUIRED INT32 x ({kind}); }}")).unwrap());
            let mut writer = SerializedFileWriter::new(file.try_clone().unwrap(), schema, Arc::new(WriterProperties::default())).unwrap();
            for value in [10u32, 3_000_000_000] {
                let mut group = writer.next_row_group().unwrap();
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<Int32Type>().write_batch(&[value as i32], None, None).unwrap();
                column.close().unwrap();
                group.close().unwrap();
            }
            writer.close().unwrap();
            let column = &read_table(&file).unwrap().columns[0];
            let expected = (Some(Value::from(10)), Some(Value::from(3_000_000_000u32)));
            assert_eq!((column.min.clone(), column.max.clone()), expected, "{kind}: {}", column.kind);
        }
    }
}
