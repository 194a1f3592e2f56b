use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn value(json: &Json) -> Value {
    serde_json::from_str(&json.to_string()).unwrap()
}

/// The key of a command's partition.
fn key() -> Json {
    json!({
        "generator": {
            "kind": "command",
            "program": {"digest": "1f3c09ab".repeat(8)},
            "arguments": ["--levels", "{config.orderbook_levels}", "--out", "{output.trades}"],
            "files": {"model": {"levels": "{config.orderbook_levels}"}},
            "inputs": {"run": {"content": "aa".repeat(32)}, "feed": {"stat": {"size": 10, "mtime_ns": 0}}},
            "environment": {"TZ_OF_FEED": "UTC"},
            "config": {"orderbook_levels": 40, "window": {"short": 5, "long": 60}, "pairs": ["a", "b"]},
            "outputs": {"trades": "trades.parquet"}
        },
        "instrument": {"market": "binance", "pair": "BTC-USDT"},
        "interval": {"start": 0, "end": 3_600_000_000_000i64},
        "upstream": {}
    })
}

/// What is said of a key in which one value was put, or taken away.
fn said(pointer: &str, new: Json) -> Vec<String> {
    let mut changed = key();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match new {
        Json::Null => drop(parent.remove(name)),
        new => drop(parent.insert(name.to_owned(), new)),
    }
    words(&key(), &changed)
}

fn words(old: &Json, new: &Json) -> Vec<String> {
    differences(Side::bare(&value(old)), Side::bare(&value(new))).iter().map(ToString::to_string).collect()
}

#[test]
fn each_part_of_a_key_is_told_by_the_name_that_its_user_gave_it() {
    assert_eq!(said("/generator/config/orderbook_levels", json!(20)), ["config.orderbook_levels 40 → 20"]);
    assert_eq!(said("/generator/config/orderbook_levels", json!("40")), ["config.orderbook_levels 40 → \"40\""]);
    assert_eq!(said("/generator/config/window/short", json!(6)), ["config.window.short 5 → 6"]);
    assert_eq!(said("/generator/config/depth", json!(1)), ["config.depth added: 1"]);
    assert_eq!(said("/generator/config/pairs", Json::Null), ["config.pairs removed, was [\"a\",\"b\"]"]);
    assert_eq!(said("/generator/program/digest", json!("90ab12cd".repeat(8))), ["program changed: digest 1f3c09ab… → 90ab12cd…"]);
    assert_eq!(said("/generator/inputs/run/content", json!("bb".repeat(32))), ["input run changed: digest aaaaaaaa… → bbbbbbbb…"]);
    assert_eq!(said("/generator/inputs/book", json!({"none": true})), ["input book added"]);
    let stat = said("/generator/inputs/feed/stat", json!({"size": 12, "mtime_ns": 1_000_000_000}));
    assert_eq!(stat, ["input feed of 10 bytes, written 1970-01-01T00:00:00Z → of 12 bytes, written 1970-01-01T00:00:01Z"]);
    assert_eq!(said("/generator/environment/TZ_OF_FEED", json!("CET")), ["env.TZ_OF_FEED \"UTC\" → \"CET\""]);
    assert_eq!(said("/generator/files/model/levels", json!("5")), ["file.model.levels \"{config.orderbook_levels}\" → \"5\""]);
    assert_eq!(said("/generator/outputs/book", json!("book.parquet")), ["output book added (book.parquet)"]);
    assert_eq!(said("/instrument/pair", json!("ETH-USDT")), ["instrument binance/BTC-USDT → binance/ETH-USDT"]);
    let moved = said("/interval/end", json!(7_200_000_000_000i64));
    assert_eq!(moved, ["interval 1970-01-01T00:00:00Z/1970-01-01T01:00:00Z → 1970-01-01T00:00:00Z/1970-01-01T02:00:00Z"]);
}

#[test]
fn arguments_are_told_by_their_places_and_insertions_as_such() {
    let arguments = |arguments: &[&str]| said("/generator/arguments", json!(arguments));
    let [levels, out] = ["{config.orderbook_levels}", "{output.trades}"];
    assert_eq!(arguments(&["--depth", levels, "--out", out]), ["argument 1 \"--levels\" → \"--depth\""]);
    assert_eq!(arguments(&["--levels", levels, "--fast", "--out", out]), ["argument 3 \"--fast\" added"]);
    assert_eq!(arguments(&["--out", out]), ["argument 1 \"--levels\" \"{config.orderbook_levels}\" removed"]);
    assert_eq!(arguments(&["--depth=5", "--out", out]), ["arguments from 1 on \"--levels\" \"{config.orderbook_levels}\" → \"--depth=5\""]);
}

#[test]
fn programs_are_told_with_what_is_known_of_their_files() {
    let (old, mut new) = (value(&key()), key());
    new["generator"]["program"] = json!({"digest": "90ab12cd".repeat(8)});
    let new = value(&new);
    let file = |name: &str, seconds: Option<i64>| KnownFile {
        name: name.to_owned(),
        written: seconds.map(|seconds| Time::from_ns(seconds * 1_000_000_000)),
    };
    let told = |before: Option<&KnownFile>, after: Option<&KnownFile>| {
        let side = |key, program| Side { program, ..Side::bare(key) };
        differences(side(&old, before), side(&new, after))[0].words.clone()
    };
    let (built, other) = (file("build/md_exporter", Some(1_763_646_000)), file("/opt/md_exporter", None));
    assert_eq!(told(None, Some(&built)), "program build/md_exporter changed: built 2025-11-20 13:40, digest 1f3c09ab… → 90ab12cd…");
    assert_eq!(
        told(Some(&other), Some(&built)),
        "program /opt/md_exporter → build/md_exporter changed: built 2025-11-20 13:40, digest 1f3c09ab… → 90ab12cd…"
    );
    assert_eq!(told(Some(&built), None), "program build/md_exporter changed: digest 1f3c09ab… → 90ab12cd…", "the new one's time is not known");
    let version = |version: &str| json!({"name": "md_exporter", "version": version});
    assert_eq!(said("/generator/program", version("2")), ["program known by its digest 1f3c09ab… → version \"2\" of md_exporter"]);
    let (mut one, mut two) = (key(), key());
    (one["generator"]["program"], two["generator"]["program"]) = (version("1"), version("2"));
    assert_eq!(words(&one, &two), ["program md_exporter version \"1\" → \"2\""]);
}

#[test]
fn another_kind_of_generator_is_not_told_field_by_field() {
    let mut function = key();
    function["generator"] = json!({"kind": "function", "name": "md", "version": "1", "inputs": key()["generator"]["inputs"],
        "config": key()["generator"]["config"], "outputs": key()["generator"]["outputs"]});
    assert_eq!(words(&key(), &function), ["it was made by a command → by a function"]);
    let mut renamed = function.clone();
    renamed["generator"]["version"] = json!("2");
    assert_eq!(words(&function, &renamed), ["version \"1\" → \"2\""]);
}

#[test]
fn an_upstream_is_told_by_its_outputs() {
    let partition = |hour: i64, trades: &str, book: Option<&str>| {
        let mut outputs = json!({"trades": trades});
        book.into_iter().for_each(|book| outputs["book"] = json!(book));
        json!({"interval": {"start": hour, "end": hour + 1}, "outputs": outputs})
    };
    let derived = |partitions: &[Json], column: &str| {
        let mut key = key();
        key["upstream"] = json!({"md": {"partitions": partitions, "time_column": column}});
        key
    };
    let one = derived(&[partition(0, "aa", Some("bb"))], "ts");
    assert_eq!(words(&one, &derived(&[partition(0, "cc", Some("bb"))], "ts")), ["upstream md trades changed"]);
    assert_eq!(words(&one, &derived(&[partition(0, "aa", None)], "ts")), ["upstream md book is no longer read"]);
    assert_eq!(words(&one, &derived(&[partition(0, "aa", Some("bb"))], "time")), ["upstream md is trimmed by its column \"ts\" → \"time\""]);
    let two = |second: &str| derived(&[partition(0, "aa", None), partition(1, second, None)], "ts");
    assert_eq!(words(&two("bb"), &two("cc")), ["upstream md trades changed in 1 of 2 partitions"]);
    assert_eq!(words(&derived(&[partition(0, "aa", None)], "ts"), &two("bb")), ["upstream md is cut otherwise, 1 → 2 partitions"]);
    assert_eq!(words(&key(), &one), ["upstream md added"]);
}

#[test]
fn long_values_are_cut_and_nothing_acts_on_a_terminal() {
    let long = |end: &str| format!("{}{end}", "x".repeat(500));
    let (mut old, mut new) = (key(), key());
    (old["generator"]["config"]["note"], new["generator"]["config"]["note"]) = (json!(long("a")), json!(long("b")));
    let [long] = &words(&old, &new)[..] else { panic!("one difference") };
    assert!(long.starts_with("config.note changed: at character 502 …xxxxxxxxxxa\"… → …xxxxxxxxxxb\"…"), "{long}");
    let said = said("/generator/config/no\u{1b}[2Jte\n", json!("\u{9b}31m\u{202e}"));
    assert!(said[0].chars().all(|character| !character.is_control() && character != '\u{202e}'), "{said:?}");
    let list = |last: u32| json!((0..100).chain([last]).collect::<Vec<_>>());
    (old["generator"]["config"], new["generator"]["config"]) = (json!({"levels": list(1)}), json!({"levels": list(2)}));
    assert_eq!(words(&old, &new), ["config.levels.100 1 → 2"]);
}

#[test]
fn a_sentence_holds_the_first_few() {
    let difference = |words: &str| Difference { field: String::new(), before: None, after: None, words: words.to_owned(), because: Vec::new() };
    let some = |count: usize| in_words(&["a", "b", "c", "d", "e"].map(difference)[..count]);
    assert_eq!([some(0), some(1), some(2), some(5)], ["", "a", "a and b", "a, b, c and 2 more"]);
    let derived = Difference { because: vec![difference("config.levels 40 → 20")], ..difference("upstream md trades changed") };
    assert_eq!(derived.to_string(), "upstream md trades changed, since config.levels 40 → 20");
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), (0i64..4).prop_map(Json::from), "[a-c]{0,2}".prop_map(Json::from)];
    leaf.prop_recursive(3, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[a-c.]{1,2}", inner, 0..3).prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Two keys that nothing is said of are one key: somebody would look for the difference in vain.
    #[test]
    fn something_is_said_exactly_where_keys_differ(part in 0usize..10, old in any_json(), new in any_json()) {
        const PARTS: [&str; 10] = ["kind", "program", "arguments", "files", "inputs", "environment", "config", "outputs", "version", "other"];
        let with = |json: &Json| {
            let mut key = key();
            key["generator"][PARTS[part]] = json.clone();
            value(&key)
        };
        let (old, new) = (with(&old), with(&new));
        prop_assert_eq!(differences(Side::bare(&old), Side::bare(&new)).is_empty(), old == new);
        let with = |json: &Value| {
            let Value::Object(mut fields) = value(&key()) else { unreachable!() };
            fields.insert("upstream".to_owned(), Value::object([("md", json.clone())]));
            Value::Object(fields)
        };
        let (old, new) = (with(&old), with(&new));
        prop_assert_eq!(differences(Side::bare(&old), Side::bare(&new)).is_empty(), old == new);
    }
}
