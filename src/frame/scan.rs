//! One scan over an explicit list of files, told everything that is known of them.

use std::sync::Arc;

use polars::io::HiveOptions;
use polars::prelude::{
    CastColumnsPolicy, DataType, DslBuilder, Expr, LazyFrame, ParallelStrategy, ParquetOptions, PlRefPath, PolarsError, Scalar, ScanSources, Schema,
    SchemaRef, TableStatistics, TimeUnit, UnifiedScanArgs, col, lit,
};

use super::statistics::{self, Source};
use crate::error::{Error, Result};
use crate::interval::Time;
use crate::pieces::{Cut, Piece};

/// One scan over whole files, in order. `filters_early` says whether Polars may evaluate a filter while it decodes a column.
pub(super) fn scan(pieces: &[Piece<'_>], schema: &SchemaRef, filters_early: bool, known: &Source) -> Result<LazyFrame, PolarsError> {
    let paths: Vec<PlRefPath> = pieces.iter().map(|piece| PlRefPath::try_from_path(&piece.table.artifact.path)).collect::<Result<_, _>>()?;
    let rows = pieces.iter().map(|piece| piece.table.artifact.rows).sum();
    let parallel = if filters_early { ParallelStrategy::Auto } else { ParallelStrategy::Columns };
    let options = ParquetOptions { schema: Some(Arc::clone(schema)), parallel, ..ParquetOptions::default() };
    let statistics = statistics::of_scan(pieces, schema, known)?;
    let arguments = UnifiedScanArgs {
        // A store may lie in a directory whose name looks like a pattern or a Hive partition.
        glob: false,
        hive_options: HiveOptions::new_disabled(),
        cast_columns_policy: CastColumnsPolicy::ERROR_ON_MISMATCH,
        cache: true,
        // None of them deleted: answers a count without opening a file.
        row_count: Some((rows, 0)),
        table_statistics: statistics.map(|statistics| TableStatistics(Arc::new(statistics))),
        ..UnifiedScanArgs::default()
    };
    Ok(DslBuilder::scan_parquet(ScanSources::Paths(paths.into()), options, arguments)?.build().into())
}

/// The condition that a row's time is within what remains of its table.
pub(super) fn within(cut: Cut, output: &str, column: &str, schema: &Schema) -> Result<Expr> {
    let unfit = |reason: String| Error::TimeColumn { output: output.to_owned(), column: column.to_owned(), reason };
    let dtype = schema.get(column).ok_or_else(|| unfit("there is no such column".to_owned()))?;
    let edge = |time: Time| match dtype {
        DataType::Datetime(unit, zone) => Ok(lit(Scalar::new_datetime(in_unit(time, *unit), *unit, zone.clone()))),
        DataType::Int64 => Ok(lit(time.ns())),
        other => Err(unfit(format!("its type is {other}, where a datetime or 64-bit integers of nanoseconds are needed"))),
    };
    let start = cut.start.map(|start| edge(start).map(|start| col(column).gt_eq(start))).transpose()?;
    let end = cut.end.map(|end| edge(end).map(|end| col(column).lt(end))).transpose()?;
    Ok(match (start, end) {
        (Some(start), Some(end)) => start.and(end),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => lit(true),
    })
}

/// The first moment of a unit that is not before a time. A moment of the unit is then before the time exactly when it is before this one.
pub(super) fn in_unit(time: Time, unit: TimeUnit) -> i64 {
    time.ns().div_euclid(unit_ns(unit)) + i64::from(time.ns().rem_euclid(unit_ns(unit)) != 0)
}

/// The last moment of a unit that is not after a time.
pub(super) fn in_unit_before(time: Time, unit: TimeUnit) -> i64 {
    time.ns().div_euclid(unit_ns(unit))
}

fn unit_ns(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Nanoseconds => 1,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Milliseconds => 1_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_rounded_up_to_the_unit_of_the_column() {
        for (ns, micros) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (-1, 0), (-999, 0), (-1_000, -1), (-1_001, -1)] {
            assert_eq!(in_unit(Time::from_ns(ns), TimeUnit::Microseconds), micros, "{ns}");
        }
        for ns in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(in_unit(Time::from_ns(ns), TimeUnit::Nanoseconds), ns);
            assert_eq!(in_unit_before(Time::from_ns(ns), TimeUnit::Nanoseconds), ns);
        }
        assert_eq!(in_unit(Time::from_ns(i64::MAX), TimeUnit::Milliseconds), i64::MAX / 1_000_000 + 1);
        assert_eq!(in_unit_before(Time::from_ns(-1), TimeUnit::Milliseconds), -1);
    }
}
