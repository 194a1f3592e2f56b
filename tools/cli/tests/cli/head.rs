//! `tickbarn head`: what a table looks like.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Barn, COPIES, Ran, Samples};
use crate::tables::{by_pyarrow, every_type, floats, integers, stored, table, table_in_groups};

fn head(barn: &Barn, address: &str, more: &[&str]) -> Ran {
    barn.run(&[&["head", address], more].concat()).ok()
}

#[test]
fn a_narrow_table_is_shown_with_its_types_and_first_rows() {
    let barn = Barn::new(COPIES);
    let address = stored(&barn, &table(vec![("ts", integers(0..1000)), ("price", floats((0..1000).map(|nth| f64::from(nth) / 2.0)))]));
    let shown = head(&barn, &address[..8], &[]);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(lines[0].starts_with("trades: 1,000 rows, 2 columns, "), "{shown:#?}");
    assert_eq!((lines[1].trim(), lines[2].trim(), lines.len()), ("ts   price", "int64  double", 3 + 10), "{shown:#?}");
    assert_eq!(lines[12].split_whitespace().collect::<Vec<_>>(), ["9", "4.5"]);
    assert!(shown.stderr.is_empty());
    assert_eq!(head(&barn, &address, &["trades", "-n", "3"]).stdout.lines().count(), 3 + 3);
    assert_eq!(head(&barn, &address, &["-n", "0"]).stdout.lines().count(), 3);
    assert_eq!(head(&barn, &address, &["-n", "5000"]).stdout.lines().count(), 3 + 1000);
    let one = head(&barn, &address, &["-n", "2", "--column", "price"]).stdout;
    assert!(!one.contains("int64") && one.lines().last().unwrap().trim() == "0.5", "{one}");
    barn.run(&["head", &address, "--column", "size"]).failed(2, &["no column \"size\" in trades", "-n 0"]);
    barn.run(&["head", &address, "book"]).failed(2, &["no output \"book\"", "it has trades"]);
}

#[test]
fn every_type_is_shown_and_written_as_json() {
    let barn = Barn::new(COPIES);
    let address = stored(&barn, &table(every_type()));
    let shown = head(&barn, &address, &[]).stdout;
    for said in [
        "timestamp[ns, Europe/Berlin]",
        "2024-01-01T00:00:00.123456789Z",
        "dictionary<string>",
        "struct<name: string",
        "decimal(20, 3)",
        "12.345",
        "[1.5, null]",
        "64321.5",
        "two\\nlines",
        "00ff",
        "maker",
    ] {
        assert!(shown.contains(said), "{said:?} is not in\n{shown}");
    }
    assert_eq!(shown.lines().count(), 2 + every_type().len(), "a line a column: {shown}");

    let json = head(&barn, &address, &["--json"]).json();
    assert_eq!((json.len(), json[0]["type"].as_str(), json[0]["rows"].as_u64()), (1 + 3, Some("table"), Some(3)));
    assert_eq!(json[0]["columns"].as_array().unwrap().len(), every_type().len());
    assert_eq!((json[0]["columns"][0]["type"].as_str(), json[1]["output"].as_str()), (Some("timestamp[ns, Europe/Berlin]"), Some("trades")));
    let row = &json[1]["row"];
    assert_eq!((&row["utc"], &row["zoned"]), (&json!("2024-01-01T00:00:00.123456789Z"), &json!("2024-01-01T00:00:00.123456789Z")));
    assert_eq!((&row["price"], &row["kind"], &row["bytes"]), (&json!(64_321.5), &json!("maker"), &json!("00ff")));
    assert_eq!((&row["list"], &row["nested"], &row["map"]), (&json!([1.5, null]), &json!({"name": "inner", "price": 2.5}), &json!({"bid": 7})));
    let nulls = json[2]["row"].as_object().unwrap().iter().filter(|(_, value)| value.is_null()).count();
    assert_eq!((nulls, &json[2]["row"]["nested"]), (every_type().len() - 1, &json!({"name": null, "price": null})), "nulls are told");
    assert_eq!((&json[3]["row"]["text"], &json[3]["row"]["price"]), (&json!("two\nlines"), &Value::Null));
}

#[test]
fn of_very_many_columns_the_first_are_shown_and_how_to_see_the_others() {
    let barn = Barn::new(COPIES);
    let names: Vec<String> = (0..100).map(|nth| format!("level_{nth}")).collect();
    let address = stored(&barn, &table(names.iter().map(|name| (name.as_str(), integers(0..20))).collect()));
    let shown = head(&barn, &address, &[]);
    assert_eq!(shown.stdout.lines().count(), 2 + 40, "{shown:#?}");
    assert!(shown.stderr.contains("40 of 100 columns (--all shows each") && shown.stderr.contains("--json"), "{shown:#?}");
    let all = head(&barn, &address, &["--all"]);
    assert!(all.stdout.lines().count() == 2 + 100 && all.stderr.is_empty(), "{all:#?}");
    let one = head(&barn, &address, &["--column", "level_77", "-n", "1"]).stdout;
    assert!(one.lines().count() == 4 && one.contains("level_77"), "{one}");
}

#[test]
fn what_the_sample_exporter_writes_is_shown() {
    let barn = Barn::new(COPIES);
    let address = stored(&barn, &fs::read(Samples::get().one()).unwrap());
    let json = head(&barn, &address, &["--json"]).json();
    assert!(json.len() > 1 && json[1]["row"].as_object().unwrap().len() > 3, "{json:#?}");
    let shown = head(&barn, &address, &[]).stdout;
    assert!(shown.contains("timestamp[ns, UTC]") && shown.contains("double"), "{shown}");
}

#[test]
fn a_table_without_rows_and_an_entry_without_tables() {
    let barn = Barn::new(COPIES);
    let none = stored(&barn, &table(vec![("ts", integers([]))]));
    let shown = head(&barn, &none, &[]).stdout;
    assert!(shown.starts_with("trades: 0 rows, 1 column, ") && shown.lines().count() == 3, "{shown}");
    assert_eq!(head(&barn, &none, &["--json"]).json().len(), 1);
    barn.script("exit 3");
    barn.load(1, &[]).ok();
    barn.run(&["head", &barn.address(0)]).failed(1, &["no files", "no data"]);
    barn.script("exit 9");
    barn.load(1, &["--on-failure", "skip"]).ok();
    barn.run(&["head", &barn.address(0)]).failed(1, &["failed and has no files", "tickbarn logs"]);
}

#[test]
fn several_outputs_are_shown_one_after_the_other() {
    let barn = Barn::new("cp \"$1\" \"$2\"; cp \"$4/book.parquet\" \"${2%trades.parquet}orderbook.parquet\"");
    barn.edit("outputs = {", "outputs = { orderbook = \"orderbook.parquet\",");
    barn.write("book.parquet", &table(vec![("ts", integers([1])), ("bid", floats([0.5]))]));
    let address = stored(&barn, &table(vec![("ts", integers([1])), ("price", floats([0.25]))]));
    let both = head(&barn, &address, &[]).stdout;
    let (book, trades) = both.split_once("\n\n").unwrap();
    assert!(book.starts_with("orderbook: 1 row") && trades.starts_with("trades: 1 row"), "{both}");
    assert!(!head(&barn, &address, &["trades"]).stdout.contains("orderbook"));
    let only_bids = head(&barn, &address, &["--column", "bid"]).stdout;
    assert!(only_bids.contains("0.5") && !only_bids.contains("trades"), "{only_bids}");
}

#[test]
fn of_a_large_file_only_its_beginning_and_its_footer_are_read() {
    let barn = Barn::new(COPIES);
    let address = stored(&barn, &table_in_groups(vec![("ts", integers(0..400_000)), ("price", floats((0..400_000).map(f64::from)))], 100_000));
    let path = barn.run(&["path", &address]).ok().stdout.trim_end().to_owned();
    let length = fs::metadata(&path).unwrap().len() as usize;
    // What lies between is made unreadable, without changing the size.
    let mut bytes = fs::read(&path).unwrap();
    let footer = u32::from_le_bytes(*bytes[length - 8..].first_chunk().unwrap()) as usize;
    bytes[length / 3..length - footer - 8].fill(0xff);
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    assert_eq!(head(&barn, &address, &["-n", "100"]).stdout.lines().count(), 3 + 100);
    barn.run(&["head", &address, "-n", "400000"]).failed(1, &["cannot be read", &path, "tickbarn verify --digest --repair"]);
}

#[test]
fn a_damaged_or_missing_file_names_the_way_out() {
    let barn = Barn::new(COPIES);
    let address = stored(&barn, &table(vec![("ts", integers(0..1000))]));
    let path = barn.run(&["path", &address]).ok().stdout.trim_end().to_owned();
    let whole = fs::read(&path).unwrap();
    let replace = |bytes: &[u8]| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    };
    // Its magic, its footer's length, its footer, and its first page.
    for at in [whole.len() - 1, whole.len() - 5, whole.len() - 20, 5] {
        let mut bytes = whole.clone();
        bytes[at..].iter_mut().take(12).for_each(|byte| *byte ^= 0xff);
        replace(&bytes);
        let ran = barn.run(&["head", &address]);
        assert!(ran.status == 0 || ran.stderr.contains("tickbarn verify --digest --repair"), "{at}: {ran:#?}");
        assert!(!ran.stderr.contains("panicked"), "{at}: {ran:#?}");
    }
    replace(&whole[..whole.len() / 2]);
    barn.run(&["head", &address]).failed(1, &[&path, "tickbarn load"]);
    fs::remove_file(&path).unwrap();
    barn.run(&["head", &address]).failed(1, &["is gone", "tickbarn load"]);
}

#[test]
fn tables_of_pyarrow_are_shown() {
    let barn = Barn::new(COPIES);
    let script = r#"
import sys, decimal, datetime, pyarrow as pa, pyarrow.parquet as pq
utc = datetime.timezone.utc
at = datetime.datetime(2024, 1, 1, 12, 30, tzinfo=utc)
table = pa.table({
    "berlin": pa.array([at, None], pa.timestamp("us", "Europe/Berlin")),
    "nested": pa.array([[{"price": 1.5, "seen": at}], []], pa.list_(pa.struct([("price", pa.float64()), ("seen", pa.timestamp("ns", "Asia/Tokyo"))]))),
    "exact": pa.array([decimal.Decimal("12.340"), None], pa.decimal128(12, 3)),
    "kind": pa.array(["maker", None]).dictionary_encode(),
    "bytes": pa.array([b"\x01\xfe", None]),
    "took": pa.array([datetime.timedelta(seconds=90), None], pa.duration("ms")),
    "large": pa.array(["big", None], pa.large_string()),
    "view": pa.array(["seen", None], pa.string_view()),
})
for codec in ["snappy", "gzip", "brotli", "lz4", "zstd", "none"]:
    pq.write_table(table, f"{sys.argv[1]}/{codec}.parquet", compression=codec)
"#;
    if by_pyarrow(barn.path(), script).is_none() {
        return;
    }
    for codec in ["snappy", "gzip", "brotli", "lz4", "zstd", "none"] {
        let address = stored(&barn, &fs::read(barn.at(&format!("{codec}.parquet"))).unwrap());
        let shown = head(&barn, &address, &[]).stdout;
        for said in ["timestamp[us, Europe/Berlin]", "2024-01-01T12:30:00Z", "12.340", "maker", "01fe", "big", "seen"] {
            assert!(shown.contains(said), "{codec}: {said:?} is not in\n{shown}");
        }
        let row = &head(&barn, &address, &["--json"]).json()[1]["row"];
        assert_eq!(row["nested"], json!([{"price": 1.5, "seen": "2024-01-01T12:30:00Z"}]), "{codec}");
    }
}
