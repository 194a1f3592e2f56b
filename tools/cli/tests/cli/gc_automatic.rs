//! `[gc] automatic`: who publishes collects in the background, loads go on, and where nothing may go that is said.

use std::fs;
use std::path::PathBuf;

use crate::recovery::{EACH, made};
use crate::stored::files_in;
use crate::support::Barn;

/// A store whose load collects once it takes more than so many of its entries.
fn barn(entries_max: u64, more: &str) -> Barn {
    let barn = Barn::new(EACH);
    let toml = fs::read_to_string(barn.at("tickbarn.toml")).unwrap();
    let bytes = entries_max * made(0).len() as u64;
    let gc = format!("{toml}\n[gc]\nmax_bytes = {bytes}\nlow_water = \"100%\"\nautomatic = true\n{more}\n");
    barn.write("tickbarn.toml", gc.as_bytes());
    barn
}

fn artifacts(barn: &Barn) -> Vec<PathBuf> {
    files_in(barn, "artifacts")
}

#[test]
fn a_load_that_passes_the_mark_lets_go_what_earlier_ones_left_and_nothing_of_its_own() {
    let barn = barn(4, "grace = \"0s\"");
    barn.load(3, &["--json"]).ok();
    assert_eq!(artifacts(&barn).len(), 3);
    // Three more of the next hours: what the first load left is free by now, what this one reads is not.
    let second = barn.run(&["load", "md", "-i", "binance/BTC-USDT", "--start", "2024-01-01T03:00", "--end", "2024-01-01T06:00", "--json"]).ok();
    assert_eq!(second.outcomes(), ["generated"; 3]);
    let left = artifacts(&barn).len();
    assert!((3..=4).contains(&left), "{left} artifacts stay, {second:#?}");
    let verified = barn.run(&["verify", "--digest"]).ok();
    assert!(verified.stdout.contains("no problems"), "{verified:#?}");
    let again = barn.run(&["load", "md", "-i", "binance/BTC-USDT", "--start", "2024-01-01T03:00", "--end", "2024-01-01T06:00", "--json"]).ok();
    assert_eq!(again.outcomes(), ["hit"; 3], "what a load has just made stays");
}

#[test]
fn where_nothing_may_go_that_is_said_once_and_the_load_is_done_all_the_same() {
    let barn = barn(1, "");
    let ran = barn.load(5, &["--json", "--jobs", "1"]).ok();
    assert_eq!(ran.outcomes(), ["generated"; 5]);
    assert_eq!(artifacts(&barn).len(), 5);
    assert_eq!(ran.stderr.matches("below its mark, and nothing more may be collected").count(), 1, "{ran:#?}");
    assert!(ran.stderr.contains("in use by 1 running process"), "{ran:#?}");
}

#[test]
fn nothing_goes_by_itself_that_was_not_asked_for() {
    let barn = barn(1, "grace = \"0s\"");
    let toml = fs::read_to_string(barn.at("tickbarn.toml")).unwrap();
    barn.write("tickbarn.toml", toml.replace("automatic = true", "automatic = false").as_bytes());
    barn.load(3, &[]).ok();
    barn.load(6, &[]).ok();
    assert_eq!(artifacts(&barn).len(), 6);

    // Nor by the file of another store.
    barn.write("tickbarn.toml", toml.as_bytes());
    let elsewhere = ["load", "md", "-i", "binance/BTC-USDT", "--start", "2024-01-01", "--end", "2024-01-01T03:00", "--store", "other"];
    barn.run(&elsewhere).ok();
    barn.run(&[&elsewhere[..], &["--set", "md.config.levels=3"]].concat()).ok();
    assert_eq!(barn.run(&["ls", "--store", "other", "--json"]).ok().json().len(), 6);
}
