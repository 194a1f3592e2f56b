//! Values that take part in a key, and the one text that each of them has.
//!
//! The canonical form is JSON without white space, object keys sorted by their UTF-8 bytes, strings escaped as RFC 8785 §3.2.2.2 has it. Numbers
//! follow two rules that together give every number one text, and no two numbers the same one:
//!
//! * An integer (64 bits, signed or unsigned) is written exactly. A double that holds an integer within ±2^53 *is* that integer, so that `1`, `1.0`
//!   and `-0.0` agree with `1`, `1` and `0` across TOML, JSON and Python.
//! * Any other double is written as RFC 8785 §3.2.2.3 has it (ECMAScript's shortest form), except that beyond 2^53 it always has an exponent:
//!   ECMAScript writes the double 2^60 as `1152921504606847000`, which is also the exact text of a different 64-bit integer.
//!
//! NaN and infinities have no canonical form. Nothing here relies on `serde_json`'s order of maps or its number features, which another crate in the
//! build can switch on.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::error::{Error, Result};

/// Integers up to here are doubles too, each exactly one.
const DOUBLE_INTEGER_MAX: f64 = 9_007_199_254_740_992.0; // 2^53

/// A configuration value: what TOML, JSON and Rust have in common.
///
/// Built with [`From`] from Rust's own types, or deserialized from any self-describing format.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON's `null`. TOML has none.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer from −2^63 to 2^64 − 1.
    Integer(i128),
    /// A double. Without a canonical form when it is not finite.
    Float(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Named values, in the order of their names' UTF-8 bytes.
    Object(BTreeMap<String, Value>),
}

impl Value {
    /// The one text of this value.
    ///
    /// # Errors
    /// [`Error::NotCanonical`] for NaN, infinities, and integers outside −2^63 to 2^64 − 1.
    pub fn canonical(&self) -> Result<String> {
        let mut text = String::new();
        write_value(&mut text, self)?;
        Ok(text)
    }

    /// The value at a dotted path of object names, itself for an empty path.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        match self {
            Value::Object(fields) => {
                // A name may hold dots itself, so the whole path is tried before its first part.
                fields.get(path).or_else(|| {
                    let (name, rest) = path.split_once('.')?;
                    fields.get(name)?.at(rest)
                })
            }
            _ => None,
        }
    }

    /// The value of a field of an object, or at a dotted path of field names; `None` where there is none.
    ///
    /// ```
    /// # use tickbarn::Value;
    /// let config = Value::object([("window", Value::object([("short", Value::from(5))]))]);
    /// assert_eq!(config.get("window.short").and_then(Value::as_i64), Some(5));
    /// ```
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.at(path)
    }

    /// The value as a truth, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The value as an integer: one that fits, or a double that holds one within ±2^53.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Integer(integer) => i64::try_from(*integer).ok(),
            Value::Float(double) if double.trunc() == *double && double.abs() <= DOUBLE_INTEGER_MAX => Some(*double as i64),
            _ => None,
        }
    }

    /// The value as a double: a double, or the nearest one to an integer.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Integer(integer) => Some(*integer as f64),
            Value::Float(double) => Some(*double),
            _ => None,
        }
    }

    /// The value as a text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self { Some(text) } else { None }
    }

    /// An object of these fields.
    pub fn object<K: Into<String>>(fields: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Object(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

fn write_value(out: &mut String, value: &Value) -> Result<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Integer(integer) => write_integer(out, *integer)?,
        Value::Float(double) => write_double(out, *double)?,
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                write_value(out, item)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (nth, (name, field)) in fields.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                write_string(out, name);
                out.push(':');
                write_value(out, field)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_integer(out: &mut String, integer: i128) -> Result<()> {
    if integer < i128::from(i64::MIN) || integer > i128::from(u64::MAX) {
        return Err(Error::NotCanonical { value: integer.to_string(), reason: "an integer must fit 64 bits; write it as a string" });
    }
    append(out, format_args!("{integer}"));
    Ok(())
}

fn write_double(out: &mut String, double: f64) -> Result<()> {
    if !double.is_finite() {
        return Err(Error::NotCanonical {
            value: double.to_string(),
            reason: "only finite numbers compare equal to themselves; leave it out or write it as a string",
        });
    }
    let integral = double.trunc() == double;
    if integral && double.abs() <= DOUBLE_INTEGER_MAX {
        append(out, format_args!("{}", double as i64));
    } else if integral {
        // Rust's shortest digits are ECMAScript's; only the layout differs.
        append(out, format_args!("{double:e}"));
    } else {
        out.push_str(ryu_js::Buffer::new().format_finite(double));
    }
    Ok(())
}

pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => append(out, format_args!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Appends to a string, which cannot fail.
fn append(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

macro_rules! from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Value {
            fn from(integer: $integer) -> Self {
                Value::Integer(i128::from(integer))
            }
        }
    )*};
}
from_integer!(i8, i16, i32, i64, u8, u16, u32, u64);

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(double: f64) -> Self {
        Value::Float(double)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Value::Array(items.into_iter().map(Into::into).collect())
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(fields: BTreeMap<String, Value>) -> Self {
        Value::Object(fields)
    }
}

/// In any format, for records that hold values. The canonical form is [`Value::canonical`]'s alone.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Integer(integer) => match (i64::try_from(*integer), u64::try_from(*integer)) {
                (Ok(signed), _) => serializer.serialize_i64(signed),
                (_, Ok(unsigned)) => serializer.serialize_u64(unsigned),
                _ => serializer.serialize_i128(*integer),
            },
            Value::Float(double) => serializer.serialize_f64(*double),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => serializer.collect_seq(items),
            Value::Object(fields) => serializer.collect_map(fields),
        }
    }
}

/// The name under which `serde_json` hides a number in a map when some crate in the build enables its `arbitrary_precision`.
const SERDE_JSON_NUMBER: &str = "$serde_json::private::Number";
/// The name under which `toml` hides a date.
const TOML_DATETIME: &str = "$__toml_private_datetime";

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value: text, number, truth value, list or table")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Value, E> {
        Ok(integer.into())
    }

    fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Value, E> {
        Ok(integer.into())
    }

    fn visit_i128<E: de::Error>(self, integer: i128) -> Result<Value, E> {
        Ok(Value::Integer(integer))
    }

    fn visit_f64<E: de::Error>(self, double: f64) -> Result<Value, E> {
        Ok(Value::Float(double))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::with_capacity(items.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = BTreeMap::new();
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                SERDE_JSON_NUMBER => return parse_number(&fields.next_value::<String>()?),
                TOML_DATETIME => {
                    let datetime: String = fields.next_value()?;
                    return Err(de::Error::custom(format_args!("dates are not supported here; quote it: \"{datetime}\"")));
                }
                _ => {}
            }
            let field = fields.next_value()?;
            if object.insert(name.clone(), field).is_some() {
                return Err(de::Error::custom(format_args!("{name:?} stands twice")));
            }
        }
        Ok(Value::Object(object))
    }
}

fn parse_number<E: de::Error>(text: &str) -> Result<Value, E> {
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Ok(integer.into());
    }
    text.parse::<f64>().map(Value::Float).map_err(|_| E::custom(format_args!("{text} is not a number")))
}

#[cfg(test)]
mod tests {
    //! Invariant 1 of ARCHITECTURE.md.

    use proptest::prelude::*;

    use super::*;

    fn canonical(value: impl Into<Value>) -> String {
        value.into().canonical().unwrap()
    }

    /// Equality of what is meant, decided without the canonical form: integers and doubles compare as numbers.
    fn same(left: &Value, right: &Value) -> bool {
        match (left, right) {
            (Value::Integer(integer), Value::Float(double)) | (Value::Float(double), Value::Integer(integer)) => {
                double.abs() <= DOUBLE_INTEGER_MAX && double.fract() == 0.0 && *integer == *double as i128
            }
            (Value::Float(left), Value::Float(right)) => left == right,
            (Value::Array(left), Value::Array(right)) => left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r)),
            (Value::Object(left), Value::Object(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|((ln, l), (rn, r))| ln == rn && same(l, r))
            }
            _ => left == right,
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-4i64..4).prop_map(Value::from),
            (-4i64..4).prop_map(|integer| Value::Float(integer as f64)),
            (50u32..70).prop_map(|power| Value::Float(2f64.powi(power as i32))),
            (50u32..64).prop_map(|power| Value::from(1u64 << power)),
            any::<f64>().prop_filter("finite", |double| double.is_finite()).prop_map(Value::Float),
            "[a-c\"\\\\\u{0}-\u{1f}é€😀]{0,4}".prop_map(Value::String),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[ab,:é\"]{0,3}", inner, 0..4).prop_map(Value::Object),
            ]
        })
    }

    #[test]
    fn one_and_one_point_zero_are_read_alike() {
        for value in [Value::from(40), Value::from(40.0)] {
            assert_eq!((value.as_i64(), value.as_f64(), value.as_str(), value.as_bool()), (Some(40), Some(40.0), None, None));
        }
        assert_eq!((Value::from(0.5).as_i64(), Value::from(1e300).as_i64(), Value::from(u64::MAX).as_i64()), (None, None, None));
        assert_eq!((Value::from("x").as_str(), Value::from(true).as_bool(), Value::Null.as_f64()), (Some("x"), Some(true), None));
    }

    proptest! {
        /// Two different configurations must never share an address, and two spellings of one must.
        #[test]
        fn texts_agree_exactly_when_values_do(left in values(), right in values()) {
            prop_assert_eq!(canonical(left.clone()) == canonical(right.clone()), same(&left, &right));
        }

        /// A manifest's key, read back, must give its address again.
        #[test]
        fn reading_a_canonical_form_back_gives_the_same_form(value in values()) {
            let text = canonical(value);
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical(back), text);
        }

        #[test]
        fn strings_are_json(text in any::<String>()) {
            let back: String = serde_json::from_str(&canonical(text.as_str())).unwrap();
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn numbers_have_one_text() {
        assert_eq!(canonical(1), "1");
        assert_eq!(canonical(1.0), "1");
        assert_eq!(canonical(-0.0), "0");
        assert_eq!(canonical(0.1), "0.1");
        assert_eq!(canonical(1e-7), "1e-7");
        assert_eq!(canonical(333_333_333.333_333_3), "333333333.3333333");
        assert_eq!(canonical(i64::MIN), "-9223372036854775808");
        assert_eq!(canonical(u64::MAX), "18446744073709551615");
        assert_eq!(canonical((1i64 << 53) + 1), "9007199254740993");
        assert_eq!(canonical(2f64.powi(53)), "9007199254740992");
        assert_eq!(canonical(1e21), "1e21");
        assert_eq!(canonical(f64::MAX), "1.7976931348623157e308");
        // The double 2^60 is not the integer that its ECMAScript text spells.
        assert_eq!(canonical(2f64.powi(60)), "1.152921504606847e18");
        assert_eq!(canonical(1_152_921_504_606_847_000i64), "1152921504606847000");
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        for value in [Value::Float(f64::NAN), Value::Float(f64::INFINITY), Value::Integer(1 << 64), Value::Integer(i128::from(i64::MIN) - 1)] {
            assert!(matches!(value.canonical(), Err(Error::NotCanonical { .. })), "{value:?}");
        }
    }

    #[test]
    fn names_are_sorted_by_their_bytes() {
        // RFC 8785 would sort by UTF-16 units, which puts U+1F600 before U+FB33.
        let value: Value = serde_json::from_str(r#"{"😀":1,"דּ":2,"b":3,"B":4,"":5}"#).unwrap();
        assert_eq!(canonical(value), r#"{"":5,"B":4,"b":3,"דּ":2,"😀":1}"#);
    }

    #[test]
    fn numbers_hidden_by_arbitrary_precision_are_seen() {
        let hidden = format!(r#"{{"levels":{{"{SERDE_JSON_NUMBER}":"40"}}}}"#);
        assert_eq!(canonical(serde_json::from_str::<Value>(&hidden).unwrap()), r#"{"levels":40}"#);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        assert!(serde_json::from_str::<Value>(r#"{"a":1,"a":2}"#).is_err());
    }
}
