//! Bad input: a message that names the thing and the way out, the exit status, and nothing changed.

use std::fs;

use crate::support::{Barn, COPIES, finished, tickbarn};

#[test]
fn a_request_that_is_at_fault_changes_nothing() {
    let long = format!("binance/{}", "x".repeat(10_000));
    let instrument = |text: &str| {
        vec!["load".to_owned(), "md".into(), "-i".into(), text.into(), "--start".into(), "2024-01-01".into(), "--end".into(), "2024-01-02".into()]
    };
    let interval = |start: &str, end: &str| {
        vec!["load".to_owned(), "md".into(), "-i".into(), "test/ONE".into(), "--start".into(), start.into(), "--end".into(), end.into()]
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let setting = |setting: &str| [interval("2024-01-01", "2024-01-02"), words(&["--set", setting])].concat();
    let cases: Vec<(Vec<String>, Vec<&str>)> = vec![
        (words(&["load", "mb", "-i", "a/b", "--start", "2024-01-01", "--end", "2024-01-02"]), vec!["\"mb\"", "tickbarn.toml", "md"]),
        (instrument("../../etc/passwd"), vec!["../../etc/passwd", "MARKET/PAIR"]),
        (instrument("binance/\u{1b}[31mBTC"), vec!["control character", "MARKET/PAIR"]),
        (instrument("binance"), vec!["\"binance\"", "MARKET/PAIR"]),
        (instrument(&long), vec!["10008 bytes", "MARKET/PAIR"]),
        (interval("2024-01-02", "2024-01-01"), vec!["2024-01-02", "start must be before its end"]),
        (interval("2024-01-01", "2024-01-01"), vec!["start must be before its end"]),
        (interval("1500-01-01", "2024-01-01"), vec!["1500-01-01", "1677"]),
        (interval("2024-01-01", "9999-01-01"), vec!["9999-01-01", "2262"]),
        (interval("yesterday", "2024-01-01"), vec!["yesterday", "ISO 8601"]),
        (interval("1970-01-01", "2024-01-01").into_iter().chain(words(&["--set", "md.split=1us"])).collect(), vec!["partitions", "longer split"]),
        (setting("md.config.level=5"), vec!["md.config.level=5", "levels"]),
        (setting("md.config.levels"), vec!["'='", "md.config.levels=5"]),
        (setting("mb.config.levels=5"), vec!["\"mb\"", "md"]),
        (setting("md.tiemout=5m"), vec!["tiemout", "timeout"]),
        (words(&["load", "md", "-i", "a/b", "--start", "2024-01-01"]), vec!["--end"]),
        (words(&["load", "md", "-i", "a/b", "--intervals", "x.json"]), vec!["--intervals", "cannot be used"]),
        (words(&["load", "md", "--intervals", "none.json"]), vec!["none.json", "cannot be read"]),
        (words(&["load", "md", "--intervals", "empty.json"]), vec!["empty.json", "the list is empty"]),
        (words(&["load", "md", "--intervals", "bad.json"]), vec!["bad.json", "record 2", "its start must be before its end"]),
        (words(&["load", "md", "--intervals", "text.json"]), vec!["text.json", "not JSON"]),
        ([interval("2024-01-01", "2024-01-02"), words(&["--jobs", "10001"])].concat(), vec!["--jobs"]),
        ([interval("2024-01-01", "2024-01-02"), words(&["--runner", "slurm"])].concat(), vec!["--runner", "local, ray"]),
        ([interval("2024-01-01", "2024-01-02"), words(&["--ray-address", "auto"])].concat(), vec!["add --runner ray"]),
        ([interval("2024-01-01", "2024-01-02"), words(&["--config", "none.toml"])].concat(), vec!["none.toml", "no such file"]),
    ];
    let barn = Barn::new(COPIES);
    let record = |start: &str| format!(r#"{{"instrument": {{"market": "a", "pair": "b"}}, "start": "{start}", "end": "2024-01-02"}}"#);
    barn.write("empty.json", b"[]");
    barn.write("bad.json", format!("[{}, {}]", record("2024-01-01"), record("2024-01-03")).as_bytes());
    barn.write("text.json", b"binance/BTC-USDT");
    // Without a store, and with one that holds something.
    for round in 0..2 {
        let before = barn.tree();
        for (arguments, said) in &cases {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let ran = barn.run(&arguments).failed(2, said);
            assert!(ran.stderr.len() < 2_000, "a message stays readable: {} bytes", ran.stderr.len());
            assert!(!ran.stderr.contains('\u{1b}'), "nothing reaches the terminal that moves it: {ran:?}");
            assert_eq!(ran.stdout, "");
            assert_eq!(barn.tree(), before, "round {round}: {arguments:?}");
        }
        barn.load(1, &[]).ok();
    }
}

#[test]
fn a_dataset_file_that_is_at_fault_is_named_with_its_line() {
    for (from, to, said) in [
        ("split =", "spilt =", vec!["tickbarn.toml:5", "spilt", "split"]),
        ("\"{start}\"", "\"{strat}\"", vec!["tickbarn.toml:3", "{strat}", "{start}"]),
        ("store = \"barn\"", "store = \"barn", vec!["tickbarn.toml:1", "not TOML"]),
        ("split = \"1h\"", "split = \"1 fortnight\"", vec!["tickbarn.toml:5", "1 fortnight", "12h"]),
        ("\"/bin/sh\"", "\"build/none\"", vec!["build/none", "does not exist", "build it"]),
        ("sample = \"sample.parquet\"", "sample = \"none.parquet\"", vec!["none.parquet", "does not exist", "put it there"]),
        ("store = \"barn\"\n", "", vec!["names no store", "store = \"barn\""]),
    ] {
        let barn = Barn::new(COPIES);
        barn.edit(from, to);
        let before = barn.tree();
        barn.load(1, &[]).failed(2, &said);
        assert_eq!(barn.tree(), before, "{to}");
    }
}

#[test]
fn a_place_that_is_no_store_is_refused_and_left_as_it_is() {
    let barn = Barn::new(COPIES);
    barn.write("file", b"mine");
    fs::create_dir_all(barn.at("full")).unwrap();
    barn.write("full/thesis.tex", b"mine");
    fs::create_dir_all(barn.at("newer")).unwrap();
    barn.write("newer/STORE", br#"{"format": 99, "id": "x"}"#);
    fs::create_dir_all(barn.at("odd")).unwrap();
    barn.write("odd/STORE", b"not JSON");
    let before = barn.tree();
    for (store, said) in [
        ("file", vec!["is a file", "--store"]),
        ("full", vec!["thesis.tex", "empty directory"]),
        ("newer", vec!["format 99", "newer tickbarn"]),
        ("odd", vec!["STORE", "does not parse"]),
    ] {
        barn.load(1, &["--store", store]).failed(2, &said);
        barn.run(&["ls", "--store", store]).failed(2, &[store]);
        assert_eq!(barn.tree(), before, "{store}");
    }
    // What cannot be written is the world's fault.
    barn.load(1, &["--store", "/proc/tickbarn"]).failed(2, &["/proc/tickbarn"]);
    assert_eq!(barn.tree(), before);
}

#[test]
fn a_missing_store_or_dataset_file_comes_with_the_way_out() {
    let empty = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| finished(tickbarn(empty.path()).args(arguments));
    run(&["load", "md", "-i", "a/b", "--start", "2024-01-01", "--end", "2024-01-02"]).failed(2, &["tickbarn.toml", "tickbarn demo", "--config"]);
    for command in [&["ls"][..], &["show", "abcd"], &["logs", "abcd"], &["path", "abcd"]] {
        run(command).failed(2, &["--store", "tickbarn demo"]);
        run(&[command, &["--store", "none"]].concat()).failed(2, &["none is not a tickbarn store", "tickbarn load"]);
    }
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}
