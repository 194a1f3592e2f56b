//! Frames that functions give back, written to Parquet.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use polars::prelude::{
    DataFrame, FileWriteFormat, LazyFrame, ParquetWriteOptions, ParquetWriter, PlRefPath, SinkDestination, SinkTarget, UnifiedSinkArgs,
};

use crate::dataset::{BoxError, IntoOutputs, Outputs, WriteTable};

/// Compressed with zstd, with statistics.
impl WriteTable for DataFrame {
    fn write(mut self: Box<Self>, path: &Path) -> Result<(), BoxError> {
        ParquetWriter::new(File::create_new(path)?).finish(&mut self)?;
        Ok(())
    }
}

/// Written as it is computed, by Polars' streaming engine: the whole of it is never in memory, as far as its plan allows. Compressed with zstd, with
/// statistics, rows in the frame's order.
///
/// That engine adds floating point numbers up in whatever pieces it computes them, so sums may differ in their last bits from one time to the next. What
/// other datasets are derived from is better collected: they are made again where bytes differ.
impl WriteTable for LazyFrame {
    fn write(self: Box<Self>, path: &Path) -> Result<(), BoxError> {
        let target = SinkTarget::Path(PlRefPath::try_from_path(path)?);
        let format = FileWriteFormat::Parquet(Arc::new(ParquetWriteOptions::default()));
        self.sink(SinkDestination::File { target }, format, UnifiedSinkArgs::default())?.collect()?;
        Ok(())
    }
}

impl IntoOutputs for DataFrame {
    fn into_outputs(self) -> Outputs {
        Outputs::only(self)
    }
}

impl IntoOutputs for LazyFrame {
    fn into_outputs(self) -> Outputs {
        Outputs::only(self)
    }
}
