//! Which columns' bounds a journal record carries: the first few of times and 64-bit integers, which is what partitions of a time series are filtered
//! by. Those of every column stand in the manifest alone; forty of them in each record would make the journal several times as large.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::artifact::Bounds;
use crate::canonical::Value;
use crate::store::manifest::{Column, time_unit_ns};

/// The most columns of a table whose bounds are kept.
const COLUMNS_MAX: usize = 4;
/// A column of a longer name is nobody's time.
const NAME_BYTES_MAX: usize = 64;

/// The bounds that a record carries of a table with these columns.
pub(super) fn of_columns(columns: &[Column]) -> Arc<[Bounds]> {
    let integer = |value: &Option<Value>| match value {
        Some(Value::Integer(integer)) => i64::try_from(*integer).ok(),
        _ => None,
    };
    let bounds = columns.iter().filter_map(|column| bounds(&column.name, &column.kind, integer(&column.min)?, integer(&column.max)?, column.nulls));
    bounds.take(COLUMNS_MAX).collect()
}

/// The bounds of a column whose type is written as manifests write it, if they are of the kind that is kept.
fn bounds(name: &str, kind: &str, min: i64, max: i64, nulls: Option<u64>) -> Option<Bounds> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let unit_ns = time_unit_ns(kind);
    // Other 64 bits stand for something else: a time of day, an unscaled decimal, an unsigned integer.
    if unit_ns.is_none() && !matches!(kind, "INT64" | "INT64 (INTEGER(64,true))" | "INT64 (INT_64)") {
        return None;
    }
    let ns = |value: i64| value.checked_mul(unit_ns.unwrap_or(1));
    Some(Bounds { column: name.into(), time: unit_ns.is_some(), min: ns(min)?, max: ns(max)?, nulls })
}

/// The same, taken from a manifest's columns without keeping the others.
pub(super) struct BoundsGlance(pub(super) Arc<[Bounds]>);

impl<'de> Deserialize<'de> for BoundsGlance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;

        impl<'de> Visitor<'de> for Columns {
            type Value = BoundsGlance;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of columns")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut columns: A) -> Result<BoundsGlance, A::Error> {
                let mut found = Vec::new();
                while found.len() < COLUMNS_MAX {
                    let Some(ColumnGlance { name, kind, nulls, min: Integer(min), max: Integer(max) }) = columns.next_element()? else { break };
                    if let (Some(min), Some(max)) = (min, max) {
                        found.extend(bounds(&name, &kind, min, max, nulls));
                    }
                }
                while columns.next_element::<IgnoredAny>()?.is_some() {}
                Ok(BoundsGlance(found.into()))
            }
        }

        deserializer.deserialize_seq(Columns)
    }
}

#[derive(Deserialize)]
struct ColumnGlance<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    nulls: Option<u64>,
    #[serde(default)]
    min: Integer,
    #[serde(default)]
    max: Integer,
}

/// A 64-bit integer, or anything else.
#[derive(Default)]
struct Integer(Option<i64>);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Integer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bound")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Integer, E> {
                Ok(Integer(None))
            }

            fn visit_i64<E>(self, integer: i64) -> Result<Integer, E> {
                Ok(Integer(Some(integer)))
            }

            fn visit_u64<E>(self, integer: u64) -> Result<Integer, E> {
                Ok(Integer(i64::try_from(integer).ok()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Integer, E> {
                Ok(Integer(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Integer, E> {
                Ok(Integer(None))
            }

            fn visit_unit<E>(self) -> Result<Integer, E> {
                Ok(Integer(None))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, min: impl Into<Value>, max: impl Into<Value>) -> Column {
        Column { name: name.to_owned(), kind: kind.to_owned(), nulls: Some(1), min: Some(min.into()), max: Some(max.into()) }
    }

    #[test]
    fn times_are_kept_in_nanoseconds_and_the_rest_of_64_bits_as_it_is() {
        let columns = [
            column("price", "DOUBLE", 0.5, 2.0),
            column("flag", "BOOLEAN", false, true),
            column("side", "BYTE_ARRAY (STRING)", "buy", "sell"),
            column("ts", "INT64 (TIMESTAMP(NANOS,true))", 1, 2),
            column("us", "INT64 (TIMESTAMP(MICROS,false))", -1, 2),
            column("ms", "INT64 (TIMESTAMP_MILLIS)", 1, 2),
            column("beyond", "INT64 (TIMESTAMP(MILLIS,true))", 1, i64::MAX),
            column("clock", "INT64 (TIME(NANOS,true))", 1, 2),
            column("unscaled", "INT64 (DECIMAL(18,4))", 1, 2),
            column("unsigned", "INT64 (INTEGER(64,false))", 1, 2),
            column("day", "INT32 (DATE)", 1, 2),
            Column { min: None, ..column("unknown", "INT64", 1, 2) },
            column(&"x".repeat(65), "INT64", 1, 2),
            column("id", "INT64", 7, 9),
            column("fifth", "INT64", 7, 9),
        ];
        let of = of_columns(&columns);
        let found: Vec<_> = of.iter().map(|bounds| (&*bounds.column, bounds.time, bounds.min, bounds.max, bounds.nulls)).collect();
        let nulls = Some(1);
        let expected =
            [("ts", true, 1, 2, nulls), ("us", true, -1_000, 2_000, nulls), ("ms", true, 1_000_000, 2_000_000, nulls), ("id", false, 7, 9, nulls)];
        assert_eq!(found, expected);
        // Both ways to a record give the same record.
        let written = serde_json::to_string(&columns).unwrap();
        assert_eq!(serde_json::from_str::<BoundsGlance>(&written).unwrap().0, of);
    }

    #[test]
    fn a_table_without_such_columns_has_no_bounds() {
        assert!(of_columns(&[]).is_empty());
        assert!(serde_json::from_str::<BoundsGlance>("[]").unwrap().0.is_empty());
        assert!(serde_json::from_str::<BoundsGlance>(r#"[{"name":"a"}]"#).is_err());
    }
}
