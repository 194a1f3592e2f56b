//! `tickbarn pin`: naming what is to be kept, by hand and by programs.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Barn, COPIES, Samples, finished};

/// Hour 2 has other bytes than the rest, which share theirs.
const OTHERS: &str = r#"case "$3" in *T02*) cp "$4/other.parquet" "$2";; *) cp "$1" "$2";; esac"#;

fn loaded() -> Barn {
    let barn = Barn::new(OTHERS);
    barn.write("other.parquet", &fs::read(Samples::get().other()).unwrap());
    barn.load(4, &[]).ok();
    barn
}

fn sizes() -> (u64, u64) {
    let size = |path| fs::metadata(path).unwrap().len();
    (size(Samples::get().one()), size(Samples::get().other()))
}

fn pins(barn: &Barn) -> Vec<Value> {
    barn.run(&["pin", "ls", "--json"]).ok().json()
}

#[test]
fn what_is_pinned_is_told_with_what_it_covers_now_and_later() {
    let barn = loaded();
    let (one, other) = sizes();
    let none = barn.run(&["pin", "ls"]).ok();
    assert!(none.stdout.is_empty() && none.stderr.contains("`tickbarn pin add`"), "{none:#?}");

    let range = ["pin", "add", "two hours", "-d", "md", "-i", "test/ONE", "--start", "2024-01-01T01:00", "--end", "2024-01-01T03:00"];
    let added = barn.run(&range).ok();
    assert!(added.stdout.starts_with("pinned two hours: md of test/ONE, 2024-01-01 01:00 to 03:00\ncovers 2 entries, "), "{added:#?}");
    assert_eq!(added.stderr, "");
    let later = barn.run(&["pin", "add", "evening", "-d", "md", "--start", "2024-01-01T05:00"]).ok();
    assert!(later.stdout.contains("from 2024-01-01 05:00 on") && later.stdout.contains("covers what is generated there later"), "{later:#?}");
    let all = barn.run(&["pin", "add", "all of it", "-i", "test/ONE"]).ok();
    assert!(all.stdout.contains("all datasets of test/ONE\ncovers 4 entries"), "{all:#?}");

    let lines = pins(&barn);
    let told: Vec<_> =
        lines.iter().map(|pin| (pin["name"].as_str().unwrap(), pin["entries"].as_u64().unwrap(), pin["bytes"].as_u64().unwrap())).collect();
    assert_eq!(told, [("all of it", 4, one + other), ("evening", 0, 0), ("two hours", 2, one + other)], "shared files count once");
    let pin = &lines[2];
    assert_eq!(
        (&pin["type"], &pin["datasets"], &pin["instruments"], &pin["start"], &pin["end"]),
        (&json!("pin"), &json!(["md"]), &json!(["test/ONE"]), &json!("2024-01-01T01:00:00Z"), &json!("2024-01-01T03:00:00Z"))
    );
    assert!(pin["created"].as_str().unwrap().ends_with('Z') && pin.get("addresses").is_none(), "{pin}");
    assert_eq!((&lines[0]["datasets"], &lines[0]["start"], &lines[0]["end"]), (&json!([]), &Value::Null, &Value::Null));

    let table = barn.run(&["pin", "ls"]).ok();
    let rows: Vec<&str> = table.stdout.lines().collect();
    assert!(rows[0].starts_with("name ") && rows[0].ends_with("covers") && rows.len() == 4, "{table:#?}");
    assert!(rows[3].starts_with("two hours        2  ") && rows[3].ends_with("md of test/ONE, 2024-01-01 01:00 to 03:00"), "{table:#?}");
    assert!(table.stderr.starts_with("3 pins, which cover 4 entries in all, "), "{table:#?}");

    // What is generated later is covered from then on.
    barn.load(6, &[]).ok();
    assert_eq!(pins(&barn)[1]["entries"], 1);

    let removed = barn.run(&["pin", "rm", "evening", "two hours"]).ok();
    assert_eq!(removed.stdout, "removed the pin evening\nremoved the pin two hours\n");
    assert_eq!(pins(&barn).len(), 1);
    assert!(barn.run(&["verify"]).ok().stdout.contains("no problems"));
}

#[test]
fn single_entries_are_pinned_by_the_beginnings_of_their_addresses() {
    let barn = loaded();
    let (first, second) = (barn.address(0), barn.address(2));
    let added = barn.run(&["pin", "add", "two", "--address", &first[..8], &second.to_uppercase()]).ok();
    assert!(added.stdout.contains("covers 2 entries") && added.stdout.contains(&first[..12]), "{added:#?}");
    let mut addresses = [first.clone(), second];
    addresses.sort_unstable();
    assert_eq!(pins(&barn)[0]["addresses"], json!(addresses));
    assert!(pins(&barn)[0].get("datasets").is_none());

    for (address, said) in [("00000000", "no entry"), ("abc", "at least 4"), ("../../STORE", "is not an address")] {
        barn.run(&["pin", "add", "more", "--address", &first, address]).failed(2, &[said, "tickbarn ls"]);
    }
    assert_eq!(pins(&barn).len(), 1, "nothing is pinned where one of several is not there");
}

#[test]
fn a_pin_that_cannot_be_meant_changes_nothing_and_says_what_to_do() {
    let barn = loaded();
    barn.run(&["pin", "add", "paper", "-d", "md"]).ok();
    let long = "x".repeat(201);
    let cases: &[(&[&str], &[&str])] = &[
        (&["add", "paper", "-d", "md"], &["already", "tickbarn pin rm paper"]),
        (&["add", "everything"], &["everything in the store", "at least one dataset"]),
        (&["add", "", "-d", "md"], &["at least one character"]),
        (&["add", &long, "-d", "md"], &["200 bytes"]),
        (&["add", "\u{1b}[31mred", "-d", "md"], &["control characters"]),
        (&["add", "x", "-d", ""], &["no dataset is called"]),
        (&["add", "x", "-i", "binance"], &["MARKET/PAIR"]),
        (&["add", "x", "--start", "yesterday"], &["ISO 8601"]),
        (&["add", "x", "--start", "2024-01-02", "--end", "2024-01-02"], &["start must be before its end"]),
        (&["add", "x", "--address"], &["--address"]),
        (&["add", "x", "-d", "md", "--address", "8f3c12ab"], &["--address", "cannot be used"]),
        (&["add"], &["NAME"]),
        (&["rm"], &["NAME"]),
        (&["rm", "papre"], &["there is no pin \"papre\"", "did you mean \"paper\"?"]),
        (&["rm", "../../STORE"], &["there is no pin", "\"paper\""]),
        (&[], &["add", "ls", "rm"]),
    ];
    let before = barn.tree();
    for (arguments, said) in cases {
        let ran = barn.run(&[&["pin"], *arguments].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:#?}");
        assert!(
            said.iter().all(|said| ran.stderr.contains(said)) && ran.stderr.len() < 2_000 && !ran.stderr.contains('\u{1b}'),
            "{arguments:?}: {ran:#?}"
        );
        assert_eq!(barn.tree(), before, "{arguments:?}");
    }
    // Of several names, those before the one that is not there are gone, and that is told.
    let ran = barn.run(&["pin", "rm", "paper", "none"]).failed(2, &["there is no pin \"none\""]);
    assert_eq!(ran.stdout, "removed the pin paper\n");
}

#[test]
fn names_are_only_names() {
    let barn = loaded();
    let names = ["../../x", "a/b", "市場 円", "$(touch y)", "x'y\"z"];
    for name in names {
        barn.run(&["pin", "add", name, "-d", "md"]).ok();
    }
    barn.run(&["pin", "add", "-d", "md", "--", "--help"]).ok();
    let ran = barn.run(&["pin", "add", "-d", "md", "--", "--help"]).failed(2, &["`tickbarn pin rm -- --help`"]);
    assert_eq!(ran.stdout, "");
    assert!(barn.names_in("pins").iter().all(|name| name.len() == 37 && name.ends_with(".json")), "{:?}", barn.names_in("pins"));
    assert_eq!(barn.names_in("pins").len(), 6);
    // What a message says to type removes it, and does nothing else.
    for name in names {
        let refused = barn.run(&["pin", "add", name, "-d", "md"]);
        let (_, rest) = refused.stderr.split_once('`').unwrap();
        let command = rest.rsplit_once('`').unwrap().0.replacen("tickbarn", env!("CARGO_BIN_EXE_tickbarn"), 1);
        finished(std::process::Command::new("/bin/sh").args(["-c", &command]).current_dir(barn.path())).ok();
    }
    assert_eq!(pins(&barn).len(), 1);
    assert!(!barn.at("y").exists() && !barn.at("x").exists());
}

#[test]
fn a_dataset_that_nobody_knows_is_warned_of() {
    let barn = loaded();
    let odd = barn.run(&["pin", "add", "slip", "-d", "mb", "-d", "md"]).ok();
    assert!(
        odd.stderr.contains("warning: no entry is of a dataset mb") && odd.stderr.contains("known are md") && odd.stdout.contains("4 entries"),
        "{odd:#?}"
    );
    // Defined, but without an entry; and with entries, but not defined here.
    barn.edit("[dataset.md]", "[dataset.md2]\ncommand = [\"/bin/true\"]\noutputs = { x = \"x.parquet\" }\n[dataset.md]");
    assert_eq!(barn.run(&["pin", "add", "defined", "-d", "md2"]).ok().stderr, "");
    let elsewhere = tempfile::tempdir().unwrap();
    let far = |arguments: &[&str]| finished(crate::support::tickbarn(elsewhere.path()).arg("--store").arg(barn.at("barn")).args(arguments));
    assert_eq!(far(&["pin", "add", "stored", "-d", "md"]).ok().stderr, "");
    assert!(far(&["pin", "add", "odd", "-d", "md2"]).ok().stderr.contains("warning: "));
    assert_eq!(pins(&barn).len(), 4);
}

#[test]
fn a_damaged_pin_is_told_by_every_command_that_needs_it_and_mended_by_none() {
    let barn = loaded();
    barn.run(&["pin", "add", "paper", "-d", "md"]).ok();
    let path = barn.at("barn/pins").join(&barn.names_in("pins")[0]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let file = path.to_str().unwrap();
    barn.run(&["pin", "ls"]).failed(1, &[file, "nothing is collected while it is there", "tickbarn pin rm"]);
    let verified = barn.run(&["verify"]).failed(1, &["1 problem; see above"]);
    assert!(verified.stdout.contains(&format!("problem: pin {file}")) && !verified.stderr.contains("--repair"), "{verified:#?}");
    let mended = barn.run(&["verify", "--repair"]).failed(1, &["could not be mended"]);
    assert!(mended.stdout.contains("not mended: a pin is left to its user"), "{mended:#?}");
    assert!(path.exists());
    // Nobody else is kept from their work.
    barn.load(4, &["--on-missing", "fail"]).ok();
    barn.run(&["pin", "add", "other", "-d", "md"]).ok();
    fs::write(&path, whole).unwrap();
    assert_eq!(pins(&barn).len(), 2);
    barn.run(&["verify"]).ok();
}

#[test]
fn nothing_is_pinned_where_there_is_no_store() {
    let barn = Barn::new(COPIES);
    for arguments in [&["pin", "add", "x", "-d", "md"][..], &["pin", "ls"], &["pin", "rm", "x"]] {
        barn.run(arguments).failed(2, &["is not a tickbarn store"]);
    }
    assert!(!barn.at("barn").exists());
}
