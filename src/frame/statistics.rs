//! What is known of each file's columns before it is opened, in the form in which Polars decides by it which files a filter has to open.
//!
//! That form is a table of one row a file: `len`, and for every column `X` of the scan `X_min`, `X_max` and `X_nc` (how many are null), null where it
//! is not known. A column of the scan that is missing from it would make such a filter fail, so all are there; what nothing is known of costs nothing.

use std::collections::HashMap;

use polars::prelude::{
    BooleanChunked, Column, DataFrame, DataType, Field, Float64Chunked, IDX_DTYPE, IdxCa, IdxSize, Int64Chunked, IntoSeries, NewChunkedArray,
    PlSmallStr, PolarsError, Scalar, Schema, Series, StringChunked, TimeUnit, UInt64Chunked,
};

use super::scan::{in_unit, in_unit_before};
use crate::address::Digest;
use crate::canonical::Value;
use crate::interval::Time;
use crate::pieces::Piece;
use crate::store::Column as Described;

/// A scan of fewer files opens what it is asked for: there is little to leave out.
pub(super) const FILES_MIN: usize = 2;

/// Where the statistics of a scan come from.
pub(super) enum Source {
    /// What the journal's records hold: the first columns of times and 64-bit integers.
    Index,
    /// The manifests: every column, by the digest of the artifact.
    Manifests(HashMap<Digest, Vec<Described>>),
}

/// What is known of one column in one file.
struct Known<'a> {
    min: Bound<'a>,
    max: Bound<'a>,
    nulls: Option<u64>,
}

#[derive(Clone, Copy)]
enum Bound<'a> {
    Ns(i64),
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(&'a str),
}

/// The statistics of a scan over these pieces, or nothing where none are known.
pub(super) fn of_scan(pieces: &[Piece<'_>], schema: &Schema, source: &Source) -> Result<Option<DataFrame>, PolarsError> {
    let files = pieces.len();
    let Some(lengths) = pieces.iter().map(|piece| IdxSize::try_from(piece.table.artifact.rows).ok()).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    if files < FILES_MIN {
        return Ok(None);
    }
    let mut columns = Vec::with_capacity(1 + 3 * schema.len());
    columns.push(IdxCa::from_vec("len".into(), lengths).into_series().into());
    let mut anything = false;
    for (name, dtype) in schema.iter() {
        let named = |suffix: &str| PlSmallStr::from_string(format!("{name}_{suffix}"));
        let unknown = |suffix: &str, dtype: DataType| Column::new_scalar(named(suffix), Scalar::null(dtype), files);
        let known: Vec<Option<Known<'_>>> = if is_bounded(dtype) { pieces.iter().map(|piece| source.of(piece, name)).collect() } else { Vec::new() };
        if known.iter().all(Option::is_none) {
            columns.extend([unknown("min", dtype.clone()), unknown("max", dtype.clone()), unknown("nc", counts_of(dtype))]);
            continue;
        }
        anything = true;
        let bounds = |upper: bool| -> Vec<Option<Bound<'_>>> {
            known.iter().map(|known| known.as_ref().map(|known| if upper { known.max } else { known.min })).collect()
        };
        columns.push(series(named("min"), dtype, &bounds(false), false)?.into());
        columns.push(series(named("max"), dtype, &bounds(true), true)?.into());
        let nulls = known.iter().map(|known| IdxSize::try_from(known.as_ref()?.nulls?).ok());
        columns.push(IdxCa::from_iter_options(named("nc"), nulls).into_series().into());
    }
    if anything { DataFrame::new(files, columns).map(Some) } else { Ok(None) }
}

impl Source {
    fn of<'a>(&'a self, piece: &Piece<'a>, column: &str) -> Option<Known<'a>> {
        let artifact = piece.table.artifact;
        match self {
            Source::Index => {
                let bounds = artifact.bounds.iter().find(|bounds| &*bounds.column == column)?;
                let bound = |value: i64| if bounds.time { Bound::Ns(value) } else { Bound::Integer(value.into()) };
                Some(Known { min: bound(bounds.min), max: bound(bounds.max), nulls: bounds.nulls })
            }
            Source::Manifests(described) => {
                let described = described.get(&artifact.digest)?.iter().find(|described| described.name == column)?;
                let bound = |value| described_bound(described, value);
                Some(Known { min: bound(described.min.as_ref()?)?, max: bound(described.max.as_ref()?)?, nulls: described.nulls })
            }
        }
    }
}

/// A value of a manifest, as far as its column's Parquet type says what it means.
fn described_bound<'a>(described: &Described, value: &'a Value) -> Option<Bound<'a>> {
    match value {
        Value::Integer(integer) => match described.time_unit_ns() {
            Some(unit_ns) => i64::try_from(*integer).ok()?.checked_mul(unit_ns).map(Bound::Ns),
            // Integers that stand for something else: what they count is not told here.
            None if ["DECIMAL", "TIME(", "TIME_"].iter().any(|other| described.kind.contains(other)) => None,
            None => Some(Bound::Integer(*integer)),
        },
        Value::Float(double) => Some(Bound::Float(*double)),
        Value::Bool(truth) => Some(Bound::Bool(*truth)),
        Value::String(text) => Some(Bound::Text(text)),
        _ => None,
    }
}

/// Whether bounds of the type can be told from what is kept of them.
fn is_bounded(dtype: &DataType) -> bool {
    dtype.is_integer()
        || matches!(dtype, DataType::Float32 | DataType::Float64 | DataType::Boolean | DataType::String | DataType::Date)
        || matches!(dtype, DataType::Datetime(..))
}

/// Bounds, upper or lower ones, as a column of a scan's type. What does not fit the type is not known.
fn series(name: PlSmallStr, dtype: &DataType, bounds: &[Option<Bound<'_>>], upper: bool) -> Result<Series, PolarsError> {
    macro_rules! each {
        ($pattern:pat => $value:expr) => {
            bounds.iter().map(|bound| if let Some($pattern) = *bound { $value } else { None })
        };
    }
    Ok(match dtype {
        DataType::Datetime(unit, zone) => {
            let moments = each!(Bound::Ns(ns) => Some(moment(ns, *unit, upper)));
            Int64Chunked::from_iter_options(name, moments).into_datetime(*unit, zone.clone()).into_series()
        }
        DataType::UInt64 => UInt64Chunked::from_iter_options(name, each!(Bound::Integer(integer) => u64::try_from(integer).ok())).into_series(),
        DataType::Float32 | DataType::Float64 => {
            Float64Chunked::from_iter_options(name, each!(Bound::Float(double) => Some(double))).into_series().cast(dtype)?
        }
        DataType::Boolean => BooleanChunked::from_iter_options(name, each!(Bound::Bool(truth) => Some(truth))).into_series(),
        DataType::String => StringChunked::from_iter_options(name, each!(Bound::Text(text) => Some(text))).into_series(),
        DataType::Date => {
            let days = Int64Chunked::from_iter_options(name, each!(Bound::Integer(days) => i64::try_from(days).ok())).into_series();
            days.cast(&DataType::Int32)?.cast(dtype)?
        }
        // A value beyond the type becomes null.
        _ => Int64Chunked::from_iter_options(name, each!(Bound::Integer(integer) => i64::try_from(integer).ok())).into_series().cast(dtype)?,
    })
}

/// A bound in a column's unit, rounded outwards.
fn moment(ns: i64, unit: TimeUnit, upper: bool) -> i64 {
    let time = Time::from_ns(ns);
    if upper { in_unit(time, unit) } else { in_unit_before(time, unit) }
}

/// The type that counts of null values have: a struct's are counted field by field.
fn counts_of(dtype: &DataType) -> DataType {
    match dtype {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| Field::new(field.name().clone(), counts_of(field.dtype()))).collect()),
        _ => IDX_DTYPE,
    }
}
