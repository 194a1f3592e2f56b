//! `tickbarn du`: where the bytes lie.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Barn, COPIES, Samples};

fn disk_bytes(line: &Value) -> u64 {
    line["disk_bytes"].as_u64().unwrap()
}

#[test]
fn it_says_what_du_says_and_whose_it_is() {
    let barn = Barn::new(COPIES);
    barn.load(3, &[]).ok();
    barn.write("sample.parquet", &fs::read(Samples::get().other()).unwrap());
    barn.run(&["load", "md", "-i", "test/TWO", "--start", "2024-01-01", "--end", "2024-01-01T01:00:00Z"]).ok();
    fs::write(barn.at("barn/quarantine/spoiled"), vec![7; 300_000]).unwrap();

    let json = barn.run(&["du", "--json"]).ok().json();
    let total = json.last().unwrap();
    let du = Command::new("du").args(["-s", "--block-size=1"]).arg(barn.at("barn")).output().unwrap();
    let du: u64 = String::from_utf8(du.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!((total["type"].as_str(), disk_bytes(total)), (Some("total"), du));
    let parts = || json.iter().filter(|line| line["type"] == "part");
    assert_eq!(parts().map(disk_bytes).sum::<u64>(), du);
    assert!(parts().map(disk_bytes).is_sorted_by(|left, right| left >= right), "the largest first");
    let part = |name: &str| parts().find(|line| line["part"] == name).unwrap();
    assert_eq!((part("quarantine")["bytes"].as_u64(), part("quarantine")["files"].as_u64()), (Some(300_000), Some(1)));
    assert_eq!(part("artifacts")["files"], 2, "the three hours of ONE are one file");

    let instrument = |name: &str| json.iter().find(|line| line["instrument"] == name).unwrap();
    assert_eq!((instrument("test/ONE")["entries"].as_u64(), instrument("test/ONE")["files"].as_u64()), (Some(3), Some(4)));
    assert_eq!((instrument("test/TWO")["entries"].as_u64(), instrument("test/TWO")["files"].as_u64()), (Some(1), Some(2)));

    let table = barn.run(&["du"]).ok();
    let (parts, places) = table.stdout.split_once("\n\n").unwrap();
    assert!(parts.lines().last().unwrap().starts_with("total") && places.lines().last().unwrap().starts_with("total"), "{table:#?}");
    assert!(places.contains("test/ONE") && !places.contains("(of several)") && table.stderr.is_empty(), "{table:#?}");
}

#[test]
fn what_several_share_and_what_nobody_names_have_lines_of_their_own() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    barn.run(&["load", "md", "-i", "test/TWO", "--start", "2024-01-01", "--end", "2024-01-01T01:00:00Z"]).ok();
    fs::write(barn.at(&format!("barn/artifacts/00/{}.parquet", "0".repeat(64))), vec![7; 5_000]).unwrap();
    let places = barn.run(&["du"]).ok().stdout;
    assert!(places.contains("(of several)") && places.contains("(of no entry)"), "{places}");
    let json = barn.run(&["du", "--json"]).ok().json();
    let kind = |kind: &str| json.iter().find(|line| line["type"] == kind).unwrap();
    assert_eq!((kind("shared")["files"].as_u64(), kind("unnamed")["bytes"].as_u64()), (Some(1), Some(5_000)));
}

#[test]
fn looking_changes_nothing() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    let before = barn.tree();
    barn.run(&["du"]).ok();
    assert_eq!(barn.tree(), before);
}
