//! A store of a million entries of two outputs, made in a minute: a journal written as `src/store/journal.rs` describes it, and for each entry a name in
//! `entries/`. The names are links to a few empty files: for what reads no manifest that the journal tells of.

use std::fs;
use std::path::Path;

use serde::Serialize;

pub(crate) const MILLION: u64 = 1_000_000;
pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;
/// Among so many instruments the entries are dealt out: `binance/COIN0-USDT` and so on, hourly from [`BEGIN_NS`].
pub(crate) const INSTRUMENTS: u64 = 30;
pub(crate) const BEGIN_NS: i64 = 1_500_000_000_000_000_000 / HOUR_NS * HOUR_NS;
/// How many names one file may have on ext4 is 65,000.
const NAMES_OF_A_FILE: u64 = 50_000;

pub(crate) fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("a number") * 1024
}

// The records of the journal, field by field.
#[derive(Serialize)]
enum Record {
    Published(Published),
}
#[derive(Serialize)]
struct Published {
    generator: [u8; 32],
    market: &'static str,
    pair: String,
    start: i64,
    end: i64,
    address: [u8; 32],
    dataset: &'static str,
    outputs: Vec<Output>,
    empty: Option<u32>,
    started: i64,
    seconds: f32,
    upstream_seconds: f32,
    upstream: Vec<[u8; 32]>,
    log: Option<u32>,
}
#[derive(Serialize)]
struct Output {
    name: &'static str,
    digest: [u8; 32],
    schema: [u8; 32],
    bytes: u64,
    rows: u64,
    bounds: Vec<Bounds>,
}
#[derive(Serialize)]
struct Bounds {
    column: &'static str,
    time: bool,
    min: i64,
    max: i64,
    nulls: Option<u64>,
}

/// Writes them into a new store, all of dataset `md` and one generator. Gives the bytes of the journal.
pub(crate) fn write(root: &Path, generator: [u8; 32]) -> u64 {
    let mut journal = fs::read(root.join("journal/log")).expect("the journal of a new store");
    let schema = *blake3::hash(b"schema").as_bytes();
    let mut shared = (String::new(), 0);
    for nth in 0..MILLION {
        let (instrument, start) = (nth % INSTRUMENTS, BEGIN_NS + (nth / INSTRUMENTS) as i64 * HOUR_NS);
        let hash = |what: &str| *blake3::hash(format!("{what} {nth}").as_bytes()).as_bytes();
        let address = hash("address");
        let output = |name| Output {
            name,
            digest: hash(name),
            schema,
            bytes: 1_000_000,
            rows: 10_000 + nth % 7_000,
            bounds: ["ts", "received", "sequence"]
                .map(|column| Bounds { column, time: column != "sequence", min: start + 1_000, max: start + HOUR_NS - 1_000, nulls: Some(0) })
                .into(),
        };
        let record = Record::Published(Published {
            generator,
            market: "binance",
            pair: format!("COIN{instrument}-USDT"),
            start,
            end: start + HOUR_NS,
            address,
            dataset: "md",
            outputs: vec![output("orderbook"), output("trades")],
            empty: None,
            started: 1_750_000_000_000_000_000 + nth as i64 * 1_000_000_000,
            seconds: 60.0 + (nth % 100) as f32,
            upstream_seconds: 0.0,
            upstream: Vec::new(),
            log: None,
        });
        let payload = postcard::to_stdvec(&record).expect("a record");
        let checksum = twox_hash::XxHash64::oneshot(0, &payload);
        journal.extend_from_slice(b"\xf5tbj");
        journal.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        journal.extend_from_slice(&checksum.to_le_bytes());
        journal.extend_from_slice(&payload);

        let name: String = address.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = root.join("entries").join(&name[..2]).join(format!("{name}.json"));
        let path = path.to_str().expect("a UTF-8 path").to_owned();
        if nth % NAMES_OF_A_FILE == 0 {
            fs::write(&path, "").expect("a name");
            shared = (path, nth);
        } else {
            fs::hard_link(&shared.0, path).expect("a name");
        }
    }
    // How far it goes is written behind it, and may be missing.
    let _ = fs::remove_file(root.join("journal/end"));
    fs::write(root.join("journal/log"), &journal).expect("the journal");
    journal.len() as u64
}
