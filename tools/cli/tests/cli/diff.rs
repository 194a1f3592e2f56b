//! `tickbarn diff`: whether two entries hold the same.

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, StringArray};
use serde_json::{Value, json};

use crate::support::{Barn, COPIES, Ran};
use crate::tables::{by_pyarrow, every_type, floats, integers, stored, table, table_in_groups};

/// Compares two tables, and checks that the JSON says the same.
fn differ(left: &[u8], right: &[u8]) -> (Ran, Value) {
    let barn = Barn::new(COPIES);
    let (left, right) = (stored(&barn, left), stored(&barn, right));
    let text = barn.run(&["diff", &left[..8], &right[..8]]);
    let json = barn.run(&["diff", &left, &right, "--json"]);
    assert_eq!(text.status, json.status, "{text:#?}");
    let lines = json.json();
    assert_eq!((lines.len(), &lines[1]["type"], &lines[1]["same"]), (2, &json!("summary"), &json!(text.status == 0)), "{json:#?}");
    assert_eq!(lines[1]["addresses"], json!([left, right]));
    assert!(text.stderr.is_empty() && text.stdout.starts_with(&format!("- {}", &left[..12])), "{text:#?}");
    (text, lines.into_iter().next().unwrap())
}

fn said(ran: &Ran, status: i32, parts: &[&str]) {
    assert_eq!(ran.status, status, "{ran:#?}");
    for part in parts {
        assert!(ran.stdout.contains(part), "{part:?} is not in {ran:#?}");
    }
}

#[test]
fn the_same_values_are_the_same_in_whatever_row_groups_they_lie() {
    let columns = || vec![("ts", integers(0..1000)), ("price", floats((0..1000).map(f64::from)))];
    let (ran, json) = differ(&table_in_groups(columns(), 300), &table_in_groups(columns(), 170));
    said(&ran, 0, &["trades: the same 1,000 rows in other bytes"]);
    assert_eq!((&json["same"], &json["identical"], &json["rows"]), (&json!(true), &json!(false), &json!([1000, 1000])));
    let (ran, _) = differ(&table(every_type()), &table_in_groups(every_type(), 1));
    said(&ran, 0, &["trades: the same 3 rows"]);
}

#[test]
fn an_entry_is_the_same_as_itself_without_its_file() {
    let barn = Barn::new(COPIES);
    let address = stored(&barn, &table(vec![("ts", integers(0..10))]));
    barn.script(&format!("# other\n{COPIES}"));
    let other = stored(&barn, &table(vec![("ts", integers(0..10))]));
    assert_ne!(address, other);
    fs::remove_file(barn.run(&["path", &address]).ok().stdout.trim_end()).unwrap();
    said(&barn.run(&["diff", &address, &other]), 0, &["trades: the same file, 10 rows"]);
}

#[test]
fn the_first_difference_is_found_in_the_midst_of_a_second_row_group() {
    let prices = |changed: Option<usize>| floats((0..5000).map(move |nth| if changed == Some(nth) { -1.5 } else { nth as f64 }));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..5000).map(|nth| format!("trade {nth}"))));
    let columns = |changed| vec![("ts", integers(0..5000)), ("price", prices(changed)), ("name", Arc::clone(&names))];
    let (ran, json) = differ(&table_in_groups(columns(None), 1024), &table_in_groups(columns(Some(1500)), 900));
    said(&ran, 1, &["trades: differs", "first difference in row 1,500 (counted from 0)", "price", "1500.0", "-1.5"]);
    assert!(!ran.stdout.contains("trade 15"), "columns that are the same are left out: {ran:#?}");
    assert_eq!(json["first"], json!({"row": 1500, "columns": [{"column": "price", "values": ["1500.0", "-1.5"]}]}));
}

#[test]
fn nulls_nans_and_signs_of_zeros() {
    let of = |values: [Option<f64>; 4]| table(vec![("price", Arc::new(Float64Array::from(values.to_vec())) as ArrayRef)]);
    let other_nan = f64::from_bits(f64::NAN.to_bits() ^ 5);
    let (ran, json) = differ(&of([None, Some(f64::NAN), Some(0.0), Some(1.0)]), &of([None, Some(other_nan), Some(-0.0), Some(1.0)]));
    said(&ran, 0, &["the same 4 rows", "1 value is 0.0 in one and -0.0 in the other, which counts as the same"]);
    assert_eq!((&json["same"], &json["zero_signs"]), (&json!(true), &json!(1)));
    let (ran, json) = differ(&of([None, Some(f64::NAN), Some(0.0), Some(1.0)]), &of([None, None, Some(0.0), Some(1.0)]));
    said(&ran, 1, &["first difference in row 1", "NaN", "null"]);
    assert_eq!(json["first"]["columns"][0]["values"], json!(["NaN", "null"]));
}

#[test]
fn columns_belong_together_by_their_names() {
    let (ts, price) = (|| integers(0..4), || floats([0.5, 1.5, 2.5, 3.5]));
    let (ran, json) = differ(&table(vec![("ts", ts()), ("price", price())]), &table(vec![("price", price()), ("ts", ts())]));
    said(&ran, 1, &["columns stand in another order", "the first 4 rows are the same"]);
    assert_eq!((&json["order"], &json["schema"], &json["first"]), (&json!(true), &json!([]), &Value::Null));

    let narrow: ArrayRef = Arc::new(Int32Array::from_iter_values(0..4));
    let (ran, json) = differ(
        &table(vec![("ts", ts()), ("price", price()), ("gone", ts())]),
        &table(vec![("ts", narrow), ("new", ts()), ("price", floats([0.5, 1.5, 9.0, 3.5]))]),
    );
    let parts = ["column ts is int64 in -, int32 in +", "column gone (int64) is only in -", "column new (int64) is only in +"];
    said(&ran, 1, &parts);
    said(&ran, 1, &["first difference in row 2", "9.0"]);
    assert_eq!(json["schema"].as_array().unwrap().len(), 3);
    assert_eq!((&json["order"], &json["first"]["row"]), (&json!(false), &json!(2)));
}

#[test]
fn a_table_that_is_shorter_may_be_the_beginning_of_the_other() {
    let of = |rows: i64| table(vec![("ts", integers(0..rows))]);
    let (ran, json) = differ(&of(90), &of(100));
    said(&ran, 1, &["90 rows in -, 100 rows in +", "the first 90 rows are the same"]);
    assert_eq!((&json["rows"], &json["first"]), (&json!([90, 100]), &Value::Null));
    said(&differ(&of(0), &of(1)).0, 1, &["0 rows in -, 1 row in +"]);
    said(&differ(&of(3), &table(vec![("other", integers(0..3))])).0, 1, &["column ts (int64) is only in -", "column other (int64) is only in +"]);
}

#[test]
fn one_output_may_be_asked_for_and_one_may_have_none() {
    let barn = Barn::new("cp \"$1\" \"$2\"; cp \"$4/book.parquet\" \"${2%trades.parquet}orderbook.parquet\"");
    barn.edit("outputs = {", "outputs = { orderbook = \"orderbook.parquet\",");
    barn.write("book.parquet", &table(vec![("bid", floats([0.5]))]));
    let first = stored(&barn, &table(vec![("ts", integers(0..5))]));
    let second = stored(&barn, &table(vec![("ts", integers(1..6))]));
    let both = barn.run(&["diff", &first, &second]);
    said(&both, 1, &["orderbook: the same file, 1 row", "trades: differs", "first difference in row 0"]);
    said(&barn.run(&["diff", &first, &second, "--output", "orderbook"]), 0, &["orderbook: the same file"]);
    said(&barn.run(&["diff", &first, &second, "--output", "trades"]), 1, &["trades: differs"]);
    barn.run(&["diff", &first, &second, "--output", "books"]).failed(2, &["neither has an output \"books\"", "orderbook, trades"]);
    barn.script("exit 3");
    barn.load(1, &[]).ok();
    let empty = barn.address(0);
    said(&barn.run(&["diff", &first, &empty]), 1, &["orderbook: only in -", "trades: only in -"]);
    barn.script("exit 3 # again");
    barn.load(1, &[]).ok();
    said(&barn.run(&["diff", &empty, &barn.address(0)]), 0, &["both have no data"]);
}

#[test]
fn what_cannot_be_compared_is_neither_the_same_nor_different() {
    let barn = Barn::new(COPIES);
    let (left, right) = (stored(&barn, &table(vec![("ts", integers(0..10))])), stored(&barn, &table(vec![("ts", integers(0..11))])));
    barn.run(&["diff", &left, "00000000"]).failed(2, &["no entry"]);
    fs::remove_file(barn.run(&["path", &right]).ok().stdout.trim_end()).unwrap();
    barn.run(&["diff", &left, &right]).failed(2, &["is gone", "tickbarn load"]);
    barn.script("exit 9");
    barn.load(1, &["--on-failure", "skip"]).ok();
    barn.run(&["diff", &left, &barn.address(0)]).failed(2, &["failed and has nothing to compare", "tickbarn logs"]);
}

#[test]
fn what_only_a_writer_wrote_beside_its_columns_is_no_difference() {
    let barn = Barn::new(COPIES);
    let script = r#"
import sys, datetime, pyarrow as pa, pyarrow.parquet as pq
at = datetime.datetime(2024, 1, 1, 12, 30, tzinfo=datetime.timezone.utc)
def table(zone, text, last):
    kind = pa.array(["maker", None, "taker"])
    return pa.table({
        "at": pa.array([at, None, at], pa.timestamp("us", zone)),
        "kind": kind.dictionary_encode() if text else kind.cast(pa.large_string()),
        "nested": pa.array([[{"price": 1.5}], None, [{"price": last}]], pa.list_(pa.struct([("price", pa.float64())]))),
    })
pq.write_table(table("UTC", True, 2.5), f"{sys.argv[1]}/a.parquet")
pq.write_table(table("Europe/Berlin", False, 2.5), f"{sys.argv[1]}/b.parquet", compression="zstd", use_compliant_nested_type=False)
pq.write_table(table("UTC", True, 3.5), f"{sys.argv[1]}/c.parquet")
"#;
    if by_pyarrow(barn.path(), script).is_none() {
        return;
    }
    let [a, b, c] = ["a", "b", "c"].map(|name| fs::read(barn.at(&format!("{name}.parquet"))).unwrap());
    said(&differ(&a, &b).0, 0, &["the same 3 rows"]);
    said(&differ(&b, &c).0, 1, &["first difference in row 2", "2.5", "3.5"]);
}
