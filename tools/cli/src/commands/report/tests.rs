//! A page about more than anybody looks at: how large it is and how long it takes, as told by a browser.

use std::time::Instant;

use askama::Template;
use serde_json::Value;
use tickbarn::{Failure, FailureClass, FailureRecord, Interval, Log, LogText, Time};

use super::page::{Collection, DatasetMap, Page, Size};
use super::{failures, legend};
use crate::drawing::{Map, Track};

#[allow(dead_code, clippy::unwrap_used, reason = "a part of what the tests of the tool need")]
#[path = "../../../tests/cli/browser.rs"]
mod browser;

const INSTRUMENTS: usize = 50;
const HOURS: i64 = 8760;
const FAILURES: usize = 5000;

fn hour(nth: i64) -> Interval {
    let at = |nth: i64| Time::from_ns(1_704_067_200_000_000_000 + nth * 3_600_000_000_000);
    Interval::new(at(nth), at(nth + 1)).unwrap_or_else(|error| panic!("{error}"))
}

/// A year of hours, of which `lacking` in a thousand are not there, spread as badly as can be.
fn track(instrument: usize, lacking: u64) -> Track {
    let is_lacking = |nth: i64| (nth as u64 ^ (instrument as u64) << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let (there, failed) = (0..HOURS).partition::<Vec<i64>, _>(|nth| is_lacking(*nth) % 1000 >= lacking);
    Track {
        name: format!("binance/COIN{instrument}-USDT"),
        there: there.into_iter().map(hour).collect(),
        failed: failed.into_iter().step_by(3).map(hour).collect(),
        ..Track::default()
    }
}

fn failure(nth: usize) -> FailureRecord {
    let record = || {
        let interval = hour(nth as i64);
        let text: String = (0..50).map(|line| format!("2024-01-01T00:00:{line:02} replay of {nth}: <the feed> is not there\n")).collect();
        let stderr = LogText { bytes: text.len() as u64, text, truncated: false };
        let log = Log { stdout: LogText::default(), stderr };
        let failure = Failure { class: FailureClass::Exit, message: "the generator ended with exit status 7".to_owned(), log };
        Some(FailureRecord {
            address: format!("{nth:064x}").parse().ok()?,
            dataset: "md".to_owned(),
            instrument: "binance/BTC-USDT".parse().ok()?,
            interval,
            key: serde_json::from_value(Value::Null).ok()?,
            count: 1,
            first: interval.start(),
            last: interval.start(),
            attempts: 1,
            failure,
        })
    };
    record().unwrap_or_else(|| panic!("a record"))
}

fn map(instruments: usize, lacking: u64) -> Map {
    let year = Interval::new(hour(0).start(), hour(HOURS - 1).end()).unwrap_or_else(|error| panic!("{error}"));
    let tracks: Vec<Track> = (0..instruments).map(|instrument| track(instrument, lacking)).collect();
    let began = Instant::now();
    let map = Map::new("md", year, &tracks, 400, 200);
    println!("{instruments} × {HOURS} partitions are a map in {:?}", began.elapsed());
    map
}

fn page(map: Map) -> Page {
    let size = || Size {
        dataset: "md".to_owned(),
        instruments: String::new(),
        entries: String::new(),
        bytes: String::new(),
        percent: String::new(),
        bar: 100.0,
        time: String::new(),
    };
    Page {
        version: "0",
        store: "/barn".to_owned(),
        at: "now".to_owned(),
        at_iso: "now".to_owned(),
        tiles: Vec::new(),
        legend: legend(false),
        maps: vec![DatasetMap { name: "md".to_owned(), map: Some(map), notes: Vec::new(), next: String::new() }],
        maps_left_out: 0,
        sizes: vec![size()],
        all: size(),
        sharing: String::new(),
        failures: failures::failures((0..FAILURES).map(failure).collect()),
        collection: Collection::default(),
    }
}

#[test]
fn a_year_of_hours_and_thousands_of_failures_are_a_page_like_any_other() {
    let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut browser = browser::Browser::of_this_machine();
    if browser.is_none() {
        eprintln!("skipped the load time of a large page: there is no Chromium");
    }
    for (what, lacking) in [("all there", 0), ("a hole in every tenth day", 4), ("a hole in every other day", 28), ("half of it missing", 500)] {
        let page = page(map(INSTRUMENTS, lacking));
        let began = Instant::now();
        let html = page.render().unwrap_or_else(|error| panic!("{error}"));
        println!("{what}: {} KiB written in {:?}", html.len() / 1024, began.elapsed());
        assert!(html.contains("5,000 failures are recorded; here are the last 200"));
        let Some(browser) = &mut browser else { continue };
        let path = directory.path().join("report.html");
        std::fs::write(&path, &html).unwrap_or_else(|error| panic!("{error}"));
        browser.open(&path);
        let took = browser.value("performance.getEntriesByType('navigation')[0].loadEventEnd");
        let nodes = browser.value("document.getElementsByTagName('*').length");
        let laid_out = browser.value("(() => { const began = performance.now(); document.body.style.width = '600px'; document.body.getBoundingClientRect(); return performance.now() - began })()");
        println!("{what}: loaded in {took} ms, {nodes} elements, laid out anew in {laid_out} ms");
        assert_eq!(browser.texts(".strips tbody th").len(), INSTRUMENTS);
        assert_eq!(browser.texts("#failures li").len(), 200);
    }
}

#[test]
fn of_hundreds_of_instruments_the_first_are_seen_others_folded_and_the_rest_counted() {
    let html = page(map(251, 0)).render().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(html.matches("<summary>50 more instruments, from <bdi>").count(), 3, "of the 200 that are drawn");
    assert!(html.contains("51 instruments are left out of this page"));
    let html = page(map(51, 0)).render().unwrap_or_else(|error| panic!("{error}"));
    assert!(html.contains("<summary>1 more instrument, from <bdi>binance/COIN50-USDT</bdi></summary>"));
}
