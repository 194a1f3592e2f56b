//! `tickbarn coverage`: the map, the gaps, the lines, and what they say of what was loaded.

use std::fs;

use serde_json::Value;

use crate::support::Barn;
use crate::terminal::on_a_terminal;

/// Nothing at 01:00, a failure at 03:00.
const UNEVEN: &str = r#"case "$3" in *T01:*) exit 3;; *T03:*) echo "no feed" >&2; exit 9;; esac; cp "$1" "$2""#;
const DAY: [&str; 6] = ["coverage", "md", "--start", "2024-01-01", "--end", "2024-01-02"];

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

/// The cells of an instrument's line.
fn drawn<'a>(shown: &'a str, instrument: &str) -> &'a str {
    let line = shown.lines().find(|line| line.starts_with(instrument)).unwrap_or_else(|| panic!("{shown}"));
    line.split_whitespace().nth(2).unwrap()
}

#[test]
fn the_map_tells_what_is_there_from_what_is_not() {
    let barn = Barn::new(UNEVEN);
    barn.load(6, &["--on-failure", "skip"]).ok();
    let ran = barn.run(&with(&DAY, &["--by", "hour", "--closed", "20:00-23:00"])).ok();
    assert_eq!(drawn(&ran.stdout, "test/ONE"), "█o█x██..............---.", "{}", ran.stdout);
    assert!(ran.stdout.contains("23.8%"), "5 of 21 open hours: {}", ran.stdout);
    let told = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in ["have 19.0% 4h 00m", "empty 4.7% 1h 00m", "failed 4.7% 1h 00m", "missing 71.4% 15h 00m", "closed 3h 00m"] {
        assert!(told.contains(row), "{row:?} is not in {}", ran.stdout);
    }
    assert!(ran.stdout.contains("5 partitions of 1 instrument, 1 of them empty"), "{}", ran.stdout);
    for gap in ["failed 2024-01-01 03:00 04:00 1h 00m test/ONE", "missing 2024-01-01 06:00 20:00", "missing 2024-01-01 23:00 24:00"] {
        assert!(told.contains(gap), "{gap:?} is not in {}", ran.stdout);
    }
    assert!(ran.stdout.contains("all") && ran.stdout.contains("a cell is an hour") && !ran.stdout.contains('\x1b'), "{}", ran.stdout);
    assert!(ran.stderr.contains("tickbarn.toml defines it now"), "{}", ran.stderr);

    // Without an interval, what was taken is said; failures are known, too.
    let ran = barn.run(&["coverage", "md"]).ok();
    assert!(ran.stderr.contains("2024-01-01 00:00 to 06:00 UTC"), "{}", ran.stderr);
    assert_eq!(drawn(&ran.stdout, "test/ONE"), "█o█x██");
}

#[test]
fn a_part_of_a_cell_is_shaded_and_no_share_is_rounded_up() {
    let barn = Barn::new(UNEVEN);
    barn.load(1, &[]).ok();
    let ran = barn.run(&with(&DAY, &["--end", "2024-01-03", "--by", "day"]));
    assert_eq!(ran.status, 2, "an end is given once: {ran:#?}");
    let ran = barn.run(&["coverage", "md", "--start", "2023-12-31T23:00", "--end", "2024-01-04", "--by", "day"]).ok();
    assert_eq!(drawn(&ran.stdout, "test/ONE"), ".░..");
    let ran = barn.run(&["coverage", "md", "--start", "2024-01-01", "--end", "2024-01-01T01:00:00.000000001Z"]).ok();
    assert!(ran.stdout.contains("99.9%"), "{}", ran.stdout);
}

#[test]
fn gaps_are_an_intervals_file_that_a_load_takes() {
    let barn = Barn::new(r#"cp "$1" "$2""#);
    barn.load(2, &[]).ok();
    let asked =
        ["coverage", "md", "-i", "test/ONE", "-i", "test/ONEE", "--start", "2024-01-01", "--end", "2024-01-01T06:00", "--closed", "03:00-04:00"];
    let gaps = barn.run(&with(&asked, &["--gaps"])).ok();
    let records: Value = serde_json::from_str(&gaps.stdout).unwrap();
    assert_eq!(records.as_array().unwrap().len(), 4, "{}", gaps.stdout);
    assert_eq!(records[0]["instrument"]["pair"], "ONE");
    assert!(gaps.stderr.contains("knows nothing of md test/ONEE (did you mean test/ONE?)"), "{}", gaps.stderr);
    fs::write(barn.at("gaps.json"), &gaps.stdout).unwrap();
    barn.run(&["load", "md", "--intervals", "gaps.json"]).ok();
    assert_eq!(barn.calls(), 2 + 8, "what was there is not made again, nor what is closed");
    let after = barn.run(&with(&asked, &["--gaps"])).ok();
    assert_eq!(after.stdout.split_whitespace().collect::<String>(), "[]");
    assert!(after.stderr.contains("nothing to load"), "{}", after.stderr);
    let map = barn.run(&asked).ok();
    assert_eq!(drawn(&map.stdout, "test/ONEE"), "███-██");
    assert_eq!(drawn(&map.stdout, "test/ONE "), "███-██");
    assert!(map.stdout.contains("no gaps") && map.stdout.contains("100.0%"), "{}", map.stdout);
}

#[test]
fn programs_get_lines() {
    let barn = Barn::new(UNEVEN);
    barn.load(5, &["--on-failure", "skip"]).ok();
    let ran = barn.run(&with(&DAY, &["--json", "--by", "12h"])).ok();
    let [line, summary] = &ran.json()[..] else { panic!("{}", ran.stdout) };
    assert_eq!((line["type"].as_str(), line["instrument"].as_str(), line["dataset"].as_str()), (Some("coverage"), Some("test/ONE"), Some("md")));
    assert_eq!(
        (line["have_seconds"].as_f64(), line["empty_seconds"].as_f64(), line["failed_seconds"].as_f64()),
        (Some(10800.0), Some(3600.0), Some(3600.0))
    );
    assert_eq!((line["entries"].as_u64(), line["empty_entries"].as_u64()), (Some(4), Some(1)));
    assert_eq!(line["gaps"][0], serde_json::json!({"start": "2024-01-01T03:00:00Z", "end": "2024-01-01T04:00:00Z", "state": "failed"}));
    assert_eq!(line["cells"].as_array().unwrap().len(), 2);
    assert_eq!(line["cells"][1]["missing_seconds"], 43200.0);
    assert_eq!((summary["type"].as_str(), summary["defined"].as_bool(), summary["gaps"].as_u64()), (Some("summary"), Some(true), Some(2)));
    let closed = barn.run(&with(&DAY, &["--json", "--closed", "mon,tue"])).ok();
    assert_eq!(closed.json()[0]["share"], Value::Null);
    assert!(closed.json()[0].get("cells").is_none());
}

#[test]
fn closed_times_stand_in_the_dataset_file_and_in_no_key() {
    let barn = Barn::new(r#"cp "$1" "$2""#);
    barn.load(2, &[]).ok();
    barn.edit("split = \"1h\"", "split = \"1h\"\nclosed = [\"02:00-24:00\", \"weekends\"]");
    let ran = barn.run(&DAY).ok();
    assert!(ran.stdout.contains("100.0%") && ran.stdout.contains("no gaps"), "{}", ran.stdout);
    barn.load(2, &["--on-missing", "fail"]).ok();
    for (bad, said) in [("[\"holidays\"]", "\"holidays\" says no closed time"), ("\"weekends\"", "a list of closed times"), ("[7]", "closed")] {
        barn.edit("[\"02:00-24:00\", \"weekends\"]", bad);
        barn.run(&DAY).failed(2, &["tickbarn.toml:", "[dataset.md] closed", said]);
        barn.edit(&format!("closed = {bad}"), "closed = [\"02:00-24:00\", \"weekends\"]");
    }
    barn.run(&with(&DAY, &["--closed", "fri 22:00 - sun"])).failed(2, &["fri 22:00 - sun", "weekends"]);
}

#[test]
fn it_says_whose_entries_count() {
    let barn = Barn::new(r#"cp "$1" "$2""#);
    barn.load(3, &[]).ok();
    let ran = barn.run(&with(&DAY, &["--set", "md.config.levels=5", "-i", "test/ONE"])).ok();
    assert!(ran.stderr.contains("3 partitions of md are there under another configuration or program: `tickbarn why`"), "{}", ran.stderr);
    assert!(ran.stdout.contains("0.0%"), "{}", ran.stdout);
    // By its name alone all of it counts: where the file defines another, and where there is no file.
    barn.edit("dataset.md", "dataset.ticks");
    let ran = barn.run(&["coverage", "md"]).ok();
    assert!(ran.stderr.contains("defines no dataset md: everything that the store holds under that name"), "{}", ran.stderr);
    assert!(ran.stdout.contains("100.0%"), "{}", ran.stdout);
    fs::remove_file(barn.at("tickbarn.toml")).unwrap();
    let ran = barn.run(&["coverage", "md", "--store", "barn"]).ok();
    assert!(ran.stderr.contains("without a tickbarn.toml"), "{}", ran.stderr);
    assert_eq!(drawn(&ran.stdout, "test/ONE"), "███");
    barn.run(&["coverage", "md", "--store", "barn", "--by", "partition"]).failed(2, &["--by 12h"]);
    barn.run(&["coverage", "dm", "--store", "barn"]).failed(2, &["\"dm\"", "md"]);
}

#[test]
fn names_that_are_not_there_are_answered_with_the_nearest() {
    let barn = Barn::new(r#"cp "$1" "$2""#);
    barn.run(&["coverage", "md"]).failed(2, &["barn"]);
    barn.load(1, &[]).ok();
    barn.run(&["coverage", "md", "--set", "md.config.levels=5"]).failed(2, &["md", "--start"]);
    barn.run(&["coverage", "mdd"]).failed(2, &["did you mean \"md\"?"]);
    barn.run(&with(&DAY, &["-i", "ONE"])).failed(2, &["MARKET/PAIR"]);
    barn.run(&["coverage", "md", "--start", "2024-01-02", "--end", "2024-01-01"]).failed(2, &["before its end"]);
    barn.run(&with(&DAY, &["--by", "fortnight"])).failed(2, &["--by", "partition, hour, day, week"]);
}

#[test]
fn the_map_fits_its_terminal_and_needs_no_colour() {
    let barn = Barn::new(r#"cp "$1" "$2""#);
    barn.load(12, &[]).ok();
    let year = ["coverage", "md", "--start", "2023-01-01", "--end", "2024-07-01", "--by", "partition"];
    for columns in [40u16, 80, 200] {
        let shown = on_a_terminal(barn.command(&year).env("NO_COLOR", "1"), columns);
        assert!(!shown.contains('\x1b'), "{shown}");
        let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        let map = shown.lines().take(2).map(|line| line.chars().count()).max().unwrap();
        assert!(map <= usize::from(columns) && map > usize::from(columns) / 2, "{columns}: {shown}");
        assert!(widest <= usize::from(columns).max(60), "{columns}: {shown}");
        assert!(shown.starts_with("                  2023-01-01"), "{shown}");
    }
    let coloured = on_a_terminal(&mut barn.command(&year), 80);
    assert!(coloured.contains("\x1b[33m") && coloured.contains('░'), "{coloured}");
    // As wide as is sensible where nobody says how wide.
    let piped = barn.run(&year).ok();
    assert_eq!(piped.stdout.lines().nth(1).unwrap().chars().count(), 100, "{}", piped.stdout);
}
