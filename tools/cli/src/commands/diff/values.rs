//! Whether values are the same: null is null, NaN is NaN whatever its bits, and -0.0 is 0.0, which is counted. Everything else, also inside lists, structs
//! and maps, is what Arrow says.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::DataType;

/// How often 0.0 stood against -0.0.
pub(super) type ZeroSigns = u64;

/// A comparison of two columns of one type, row by row.
pub(super) struct Comparison<'a> {
    left: &'a dyn Array,
    right: &'a dyn Array,
    floats: bool,
}

impl<'a> Comparison<'a> {
    pub(super) fn of(left: &'a dyn Array, right: &'a dyn Array) -> Self {
        Self { left, right, floats: has_floats(left.data_type()) }
    }

    /// The first of so many rows in which they differ. Counts signs of zeros before it.
    pub(super) fn first_difference(&self, rows: usize, zero_signs: &mut ZeroSigns) -> Option<usize> {
        // Bit for bit, which is the quick way and nearly always enough.
        if self.is_same_to_the_bit(0, rows) {
            return None;
        }
        match self.left.data_type() {
            DataType::Float64 => first_of_floats::<Float64Type>(self.left, self.right, rows, zero_signs),
            DataType::Float32 => first_of_floats::<Float32Type>(self.left, self.right, rows, zero_signs),
            DataType::Float16 => first_of_floats::<Float16Type>(self.left, self.right, rows, zero_signs),
            // Where names inside the types differ, nothing is the same to the bit.
            _ if self.floats || self.left.data_type() != self.right.data_type() => {
                (0..rows).find(|row| !is_same(self.left, *row, self.right, *row, zero_signs))
            }
            _ => Some(self.first_by_halves(rows)),
        }
    }

    /// The first row that differs, where one does and equality is that of bits.
    fn first_by_halves(&self, rows: usize) -> usize {
        let (mut same, mut different) = (0, rows);
        while different - same > 1 {
            let middle = same + (different - same) / 2;
            if self.is_same_to_the_bit(same, middle) { same = middle } else { different = middle }
        }
        same
    }

    fn is_same_to_the_bit(&self, from: usize, to: usize) -> bool {
        *self.left.slice(from, to - from) == *self.right.slice(from, to - from)
    }

    pub(super) fn is_same_in(&self, row: usize) -> bool {
        is_same(self.left, row, self.right, row, &mut 0)
    }
}

fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) | DataType::Map(item, _) => has_floats(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        _ => false,
    }
}

fn first_of_floats<T: ArrowPrimitiveType>(left: &dyn Array, right: &dyn Array, rows: usize, zero_signs: &mut ZeroSigns) -> Option<usize>
where
    T::Native: Into<f64>,
{
    let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
    (0..rows).find(|row| !is_same_float(left, *row, right, *row, zero_signs))
}

fn is_same_float<T: ArrowPrimitiveType>(
    left: &PrimitiveArray<T>,
    row: usize,
    right: &PrimitiveArray<T>,
    other: usize,
    zero_signs: &mut ZeroSigns,
) -> bool
where
    T::Native: Into<f64>,
{
    if left.is_null(row) || right.is_null(other) {
        return left.is_null(row) == right.is_null(other);
    }
    let (left, right): (f64, f64) = (left.value(row).into(), right.value(other).into());
    if left == right && left.is_sign_negative() != right.is_sign_negative() {
        *zero_signs += 1;
    }
    left == right || left.is_nan() && right.is_nan()
}

/// Whether one value of an array is that of another of the same type, but for the names of items in lists.
fn is_same(left: &dyn Array, row: usize, right: &dyn Array, other: usize, zero_signs: &mut ZeroSigns) -> bool {
    if left.is_null(row) || right.is_null(other) {
        return left.is_null(row) == right.is_null(other);
    }
    match left.data_type() {
        DataType::Float64 => is_same_float(left.as_primitive::<Float64Type>(), row, right.as_primitive(), other, zero_signs),
        DataType::Float32 => is_same_float(left.as_primitive::<Float32Type>(), row, right.as_primitive(), other, zero_signs),
        DataType::Float16 => is_same_float(left.as_primitive::<Float16Type>(), row, right.as_primitive(), other, zero_signs),
        DataType::List(_) => all_same(&left.as_list::<i32>().value(row), &right.as_list::<i32>().value(other), zero_signs),
        DataType::LargeList(_) => all_same(&left.as_list::<i64>().value(row), &right.as_list::<i64>().value(other), zero_signs),
        DataType::FixedSizeList(..) => all_same(&left.as_fixed_size_list().value(row), &right.as_fixed_size_list().value(other), zero_signs),
        DataType::Map(..) => all_same(&left.as_map().value(row), &right.as_map().value(other), zero_signs),
        DataType::Struct(_) => {
            let (left, right) = (left.as_struct().columns(), right.as_struct().columns());
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, row, right, other, zero_signs))
        }
        _ => *left.slice(row, 1) == *right.slice(other, 1),
    }
}

fn all_same(left: &dyn Array, right: &dyn Array, zero_signs: &mut ZeroSigns) -> bool {
    left.len() == right.len() && (0..left.len()).all(|row| is_same(left, row, right, row, zero_signs))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::{BinaryArray, Float32Array, Float64Array, Int64Array, StringArray, StructArray};
    use arrow_schema::{Field, Fields};

    use super::*;

    fn first(left: &dyn Array, right: &dyn Array) -> (Option<usize>, ZeroSigns) {
        let mut zero_signs = 0;
        let first = Comparison::of(left, right).first_difference(left.len(), &mut zero_signs);
        (first, zero_signs)
    }

    #[test]
    fn floats_are_the_same_where_a_reader_would_say_so() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() ^ 1);
        let left = Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(0.0), Some(2.0), Some(0.0)]);
        let right = Float64Array::from(vec![Some(1.0), None, Some(other_nan), Some(-0.0), Some(2.0), Some(-0.0)]);
        assert_eq!(first(&left, &right), (None, 2));
        let changed = Float64Array::from(vec![Some(1.0), None, Some(other_nan), Some(-0.0), Some(f64::NAN), Some(-0.0)]);
        assert_eq!(first(&left, &changed), (Some(4), 1), "what stands behind it is not counted");
        for (nth, value) in [(1, Some(0.0)), (0, None), (2, Some(f64::INFINITY))] {
            let mut values: Vec<Option<f64>> = right.iter().collect();
            values[nth] = value;
            assert_eq!(first(&left, &Float64Array::from(values)).0, Some(nth));
        }
        assert_eq!(first(&Float32Array::from(vec![f32::NAN, 0.0]), &Float32Array::from(vec![-f32::NAN, -0.0])), (None, 1));
    }

    #[test]
    fn the_first_of_many_is_found() {
        for nth in [0, 1, 499, 998, 999] {
            let mut values: Vec<Option<i64>> = (0..1000).map(|value| (value % 7 > 0).then_some(value)).collect();
            let left = Int64Array::from(values.clone());
            for value in &mut values[nth..] {
                *value = Some(-1);
            }
            assert_eq!(first(&left, &Int64Array::from(values)), (Some(nth), 0));
        }
        let texts = |last: &str| StringArray::from(vec![Some("a"), None, Some(last)]);
        assert_eq!(first(&texts("b"), &texts("")), (Some(2), 0));
        assert_eq!(first(&texts("b"), &texts("b")), (None, 0));
        let bytes = |last: &'static [u8]| BinaryArray::from_vec(vec![b"", last]);
        assert_eq!(first(&bytes(b"\0"), &bytes(b"\0\0")), (Some(1), 0));
    }

    #[test]
    fn what_is_inside_others_is_compared_by_the_same_rules() {
        let list = |items: [&[Option<f64>]; 2], item: &str| {
            let mut builder = ListBuilder::new(Float64Builder::new()).with_field(Field::new(item, DataType::Float64, true));
            items.into_iter().for_each(|items| builder.append_value(items.iter().copied()));
            builder.finish()
        };
        let left = list([&[Some(0.0), None], &[Some(f64::NAN)]], "item");
        // Another writer's name for items of lists.
        assert_eq!(first(&left, &list([&[Some(-0.0), None], &[Some(-f64::NAN)]], "element")), (None, 1));
        assert_eq!(first(&left, &list([&[Some(0.0), None], &[Some(1.0)]], "item")).0, Some(1));
        assert_eq!(first(&left, &list([&[Some(0.0)], &[Some(f64::NAN)]], "element")).0, Some(0));
        let within = |lists| {
            let field = Field::new("prices", DataType::List(Arc::new(Field::new("item", DataType::Float64, true))), true);
            StructArray::new(Fields::from(vec![field]), vec![Arc::new(lists)], None)
        };
        let other = list([&[Some(0.0), None], &[None]], "item");
        assert_eq!(first(&within(left.clone()), &within(other)), (Some(1), 0));
        assert_eq!(first(&within(left), &within(list([&[Some(-0.0), None], &[Some(f64::NAN)]], "item"))), (None, 1));
    }
}
