//! Artifacts as tables, read with Arrow's own reader: a footer at first, then as many rows and columns as are asked for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use tickbarn::{OutputManifest, Store};
use tickbarn_terminal::exit::{Failure, Result};

use super::outputs::checked;

/// How the types of columns are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    /// As the writer had them, where it was one that writes that down: times in whatever zone, values of few kinds, durations.
    OfWriter,
    /// As every reader of Parquet sees them.
    OfParquet,
}

/// A Parquet file whose footer was read.
pub(super) struct TableFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    /// As the file says it, where what is read is told otherwise.
    schema: SchemaRef,
}

impl TableFile {
    /// The file of an output, which must be there whole as far as its size tells.
    pub(super) fn open(store: &Store, output: &OutputManifest, types: Types) -> Result<Self> {
        let path = checked(store, output)?;
        let file = File::open(&path).map_err(|error| Failure::World(format!("{} cannot be opened: {error}", path.display())))?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(types == Types::OfParquet);
        let load = |options| ArrowReaderMetadata::load(&file, options).map_err(|error| unreadable(&path, &error));
        let metadata = load(options)?;
        let schema = Arc::clone(metadata.schema());
        let in_utc = Schema::new(schema.fields().iter().map(in_utc).collect::<Fields>());
        let metadata = if in_utc.fields() == schema.fields() { metadata } else { load(ArrowReaderOptions::new().with_schema(Arc::new(in_utc)))? };
        Ok(Self { path, file, metadata, schema })
    }

    /// The columns, with the types of the writer or of Parquet.
    pub(super) fn fields(&self) -> &Fields {
        self.schema.fields()
    }

    /// The rows of some columns, by their places and in their order in the file, `batch_rows` at a time, of all or of the first rows only. Nothing is read
    /// of other columns, nor of pages behind those rows. Times are in UTC.
    pub(super) fn rows(&self, columns: &[usize], batch_rows: usize, limit: Option<usize>) -> Result<Rows<'_>> {
        let file = self.file.try_clone().map_err(|error| unreadable(&self.path, &error))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(batch_rows);
        let builder = limit.into_iter().fold(builder, |builder, limit| builder.with_limit(limit));
        let reader = builder.build().map_err(|error| unreadable(&self.path, &error))?;
        Ok(Rows { path: &self.path, reader })
    }
}

/// Batches of rows.
pub(super) struct Rows<'a> {
    path: &'a Path,
    reader: ParquetRecordBatchReader,
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.reader.next()?.map_err(|error| unreadable(self.path, &error)))
    }
}

/// A file that is there with its size, and does not read.
pub(super) fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::World(format!(
        "{} cannot be read: {error}\n  `tickbarn verify --digest --repair --regenerate` looks at every byte and makes anew what is damaged",
        path.display()
    ))
}

/// A column whose times are in UTC: what they are in another zone, only a list of all zones tells.
fn in_utc(field: &FieldRef) -> FieldRef {
    let data_type = type_in_utc(field.data_type());
    if data_type == *field.data_type() { Arc::clone(field) } else { Arc::new(Field::clone(field).with_data_type(data_type)) }
}

fn type_in_utc(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::List(item) => DataType::List(in_utc(item)),
        DataType::LargeList(item) => DataType::LargeList(in_utc(item)),
        DataType::FixedSizeList(item, count) => DataType::FixedSizeList(in_utc(item), *count),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(in_utc).collect()),
        DataType::Map(entries, sorted) => DataType::Map(in_utc(entries), *sorted),
        DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(type_in_utc(values))),
        other => other.clone(),
    }
}

/// A type in a word or a few: `int64`, `timestamp[ns, UTC]`, `list<double>`.
pub(super) fn type_word(data_type: &DataType) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Float16 => "half".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::FixedSizeBinary(bytes) => format!("binary[{bytes}]"),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(of) | DataType::Time64(of) => format!("time[{}]", unit(of)),
        DataType::Timestamp(of, None) => format!("timestamp[{}]", unit(of)),
        DataType::Timestamp(of, Some(zone)) => format!("timestamp[{}, {zone}]", unit(of)),
        DataType::Duration(of) => format!("duration[{}]", unit(of)),
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => format!("decimal({digits}, {scale})"),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            format!("list<{}>", type_word(item.data_type()))
        }
        DataType::FixedSizeList(item, count) => format!("list<{}>[{count}]", type_word(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields.iter().map(|field| format!("{}: {}", field.name(), type_word(field.data_type()))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("map<{}, {}>", type_word(fields[0].data_type()), type_word(fields[1].data_type()))
            }
            other => format!("map<{}>", type_word(other)),
        },
        DataType::Dictionary(_, values) => format!("dictionary<{}>", type_word(values)),
        other => other.to_string().to_lowercase(),
    }
}
