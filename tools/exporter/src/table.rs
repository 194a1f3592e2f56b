//! Writing a table as Parquet, with the low-level column writers: rows go in, are kept by column, and leave as row
//! groups. The only file that knows the format.
//!
//! The same rows give the same bytes: nothing of the time, the machine or the path is written. A file is complete once
//! its footer is there, and that is written last, by [`Table::finish`].

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{ColumnPath, Type},
};

use crate::{
    args::Written,
    error::{Error, Result},
};

const CREATED_BY: &str = concat!("tickbarn-exporter version ", env!("CARGO_PKG_VERSION"));
/// How many cells are kept in memory before they leave as a row group.
const ROW_GROUP_CELLS: usize = 4_000_000;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nanoseconds since the epoch, UTC, ascending.
    Time,
    Integer,
    Double,
    Text,
}

/// A column of a table to be.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    kind: Kind,
    nullable: bool,
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, nullable: false }
    }

    pub(crate) fn nullable(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, nullable: true }
    }

    fn schema(&self) -> ParquetResult<Type> {
        let (physical, logical) = match self.kind {
            Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
            Kind::Integer => (Physical::INT64, None),
            Kind::Double => (Physical::DOUBLE, None),
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let repetition = if self.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        Type::primitive_type_builder(&self.name, physical).with_logical_type(logical).with_repetition(repetition).build()
    }
}

/// One value of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell {
    Integer(i64),
    Double(f64),
    Text(&'static str),
    Null,
}

/// The values of a column that have not been written yet. `present` holds 1 for each row with a value and 0 for each
/// without; nothing in a column that is never null.
struct Buffer {
    values: Values,
    present: Option<Vec<i16>>,
}

enum Values {
    Integers(Vec<i64>),
    Doubles(Vec<f64>),
    Texts(Vec<ByteArray>),
}

impl Buffer {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Time | Kind::Integer => Values::Integers(Vec::new()),
            Kind::Double => Values::Doubles(Vec::new()),
            Kind::Text => Values::Texts(Vec::new()),
        };
        Self { values, present: column.nullable.then(Vec::new) }
    }

    fn push(&mut self, cell: Cell) {
        match (&mut self.values, cell) {
            (Values::Integers(values), Cell::Integer(value)) => values.push(value),
            (Values::Doubles(values), Cell::Double(value)) => values.push(value),
            (Values::Texts(values), Cell::Text(value)) => values.push(value.into()),
            (_, Cell::Null) if self.present.is_some() => {}
            (_, cell) => unreachable!("a row has the cells that its table's columns ask for, not {cell:?}"),
        }
        if let Some(present) = &mut self.present {
            present.push(i16::from(!matches!(cell, Cell::Null)));
        }
    }

    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> ParquetResult<()> {
        let present = self.present.as_deref();
        match &mut self.values {
            Values::Integers(values) => {
                column.typed::<Int64Type>().write_batch(values, present, None)?;
                values.clear();
            }
            Values::Doubles(values) => {
                column.typed::<DoubleType>().write_batch(values, present, None)?;
                values.clear();
            }
            Values::Texts(values) => {
                column.typed::<ByteArrayType>().write_batch(values, present, None)?;
                values.clear();
            }
        }
        if let Some(present) = &mut self.present {
            present.clear();
        }
        column.close()
    }
}

/// A table on its way to a file.
pub(crate) struct Table {
    what: &'static str,
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    buffers: Vec<Buffer>,
    rows_buffered: usize,
    rows: u64,
}

impl Table {
    /// Creates the file, or empties one that is there. `what` says what a row is.
    pub(crate) fn create(what: &'static str, path: &Path, columns: &[Column]) -> Result<Self> {
        let file = File::create(path).map_err(|source| Error::create(path, source))?;
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let writer = writer(file, columns).map_err(failed)?;
        let buffers = columns.iter().map(Buffer::new).collect();
        Ok(Self { what, path: path.to_owned(), writer, buffers, rows_buffered: 0, rows: 0 })
    }

    /// Adds a row: a cell for each column, in their order.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = Cell>) -> Result<()> {
        let mut cells = 0;
        for (buffer, cell) in self.buffers.iter_mut().zip(row) {
            buffer.push(cell);
            cells += 1;
        }
        assert_eq!(cells, self.buffers.len(), "a row has a cell for each column");
        self.rows += 1;
        self.rows_buffered += 1;
        if self.rows_buffered * self.buffers.len() >= ROW_GROUP_CELLS {
            self.write_row_group().map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    /// Writes what is left and the footer.
    pub(crate) fn finish(mut self) -> Result<Written> {
        let finished = self.write_row_group().and_then(|()| self.writer.finish().map(drop));
        finished.map_err(|source| self.failed(source))?;
        Ok(Written { what: self.what, path: self.path, rows: self.rows })
    }

    fn write_row_group(&mut self) -> ParquetResult<()> {
        if self.rows_buffered == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for buffer in &mut self.buffers {
            let column = group.next_column()?.ok_or_else(|| ParquetError::General("the schema is short of columns".into()))?;
            buffer.write(column)?;
        }
        group.close()?;
        self.rows_buffered = 0;
        Ok(())
    }

    fn failed(&self, source: ParquetError) -> Error {
        Error::Write { path: self.path.clone(), source }
    }
}

fn writer(file: File, columns: &[Column]) -> ParquetResult<SerializedFileWriter<File>> {
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    let mut fields = Vec::new();
    for column in columns {
        if column.kind == Kind::Time {
            let path = ColumnPath::from(column.name.as_str());
            properties = properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        fields.push(Arc::new(column.schema()?));
    }
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))
}
