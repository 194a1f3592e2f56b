//! The examples, run as their users run them: as programs, in a directory of their own.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use polars::prelude::{DataFrame, DataType, ParquetReader, SerReader};
use tickbarn::{Listed, Store};

const EXAMPLES: [&str; 3] = ["export_data", "process", "research"];
const EXPORTER: &str = "tickbarn-exporter";
const HOUR_NS: i64 = 3_600_000_000_000;
const MINUTE_NS: i64 = HOUR_NS / 60;

/// Cargo's directory of this test's profile, with the examples and the exporter in it as their sources are now.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
    let stale = |directory: &str, name: &str| !is_current(&built.join(directory).join(name));
    let examples = EXAMPLES.into_iter().filter(|name| stale("examples", name)).flat_map(|name| ["--example", name]);
    let examples: Vec<&str> = examples.collect();
    if !examples.is_empty() {
        cargo_build(&built, "tickbarn", &examples);
    }
    if stale("", EXPORTER) {
        cargo_build(&built, EXPORTER, &[]);
    }
    built
});

/// Whether a program is there, and no source that Cargo lists beside it is younger: Cargo builds no examples for this test alone.
fn is_current(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path)?.modified();
    let (Ok(built), Ok(sources)) = (modified(program), fs::read_to_string(program.with_extension("d"))) else { return false };
    let Some((_, sources)) = sources.split_once(": ") else { return false };
    let sources = sources.replace("\\ ", "\0");
    sources.split_whitespace().all(|source| modified(Path::new(&source.replace('\0', " "))).is_ok_and(|modified| modified <= built))
}

fn cargo_build(built: &Path, package: &str, arguments: &[&str]) {
    let profile = built.file_name().filter(|name| *name != "debug").unwrap_or(OsStr::new("dev"));
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--package", package]).args(arguments);
    // What Cargo tells this test of its package: build scripts that look at it would run again, and Polars be compiled anew.
    let told = |name: &OsStr| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|kind| name.as_encoded_bytes().starts_with(kind.as_bytes()));
    for (name, _) in env::vars_os().filter(|(name, _)| told(name)) {
        cargo.env_remove(name);
    }
    let output = cargo.arg("--profile").arg(profile).arg("--target-dir").arg(built.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "{cargo:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A desk with a target directory and a working directory of its own: another build of the exporter meanwhile would be another address.
struct Desk {
    directory: tempfile::TempDir,
}

/// How an example ended.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { directory: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
        fs::create_dir_all(desk.path("target/debug/examples")).unwrap();
        fs::create_dir(desk.path("here")).unwrap();
        for name in EXAMPLES {
            let (built, here) = (BUILT.join("examples").join(name), desk.path("target/debug/examples").join(name));
            // They are large.
            fs::hard_link(&built, &here).or_else(|_| fs::copy(&built, &here).map(drop)).unwrap();
        }
        fs::copy(BUILT.join(EXPORTER), desk.exporter()).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn exporter(&self) -> PathBuf {
        self.path("target/debug").join(EXPORTER)
    }

    /// An example about to run. Cargo is not to be had, unless by [`Desk::with_cargo`].
    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let mut command = Command::new(self.path("target/debug/examples").join(words.next().unwrap()));
        command.args(words).current_dir(self.path("here")).env("CARGO", self.path("cargo"));
        // All rows of a table, in a form that is easily read again.
        command.env("POLARS_FMT_MAX_ROWS", "-1").env("POLARS_FMT_TABLE_FORMATTING", "ASCII_MARKDOWN");
        command
    }

    fn run(&self, line: &str) -> Ran {
        let output = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Writes an intervals file of one day of each pair.
    fn intervals(&self, name: &str, pairs: &[&str]) {
        let record = |pair: &&str| {
            format!(r#"{{"instrument": {{"market": "binance", "pair": "{pair}"}}, "start": "2024-01-01", "end": "2024-01-02T00:00:00Z"}}"#)
        };
        let records: Vec<String> = pairs.iter().map(record).collect();
        fs::write(self.path("here").join(name), format!("[{}]", records.join(", "))).unwrap();
    }

    fn script(&self, path: &Path, text: &str) {
        fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts a Cargo there that only says with what it was called, and leaves the exporter where it belongs.
    fn with_cargo(&self) {
        let (calls, real, place) = (self.path("calls"), BUILT.join(EXPORTER), self.exporter());
        let text = format!("echo \"$*\" >> '{}'\ncp '{}' '{}'\n", calls.display(), real.display(), place.display());
        self.script(&self.path("cargo"), &text);
    }

    /// With what that Cargo was called.
    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn entries(&self) -> Vec<Listed> {
        Store::open_existing(self.path("here/tickbarn-examples/barn")).unwrap().entries().unwrap()
    }

    /// The table of an output in every entry of a dataset, in order of instrument and time.
    fn tables(&self, dataset: &str, output: &str) -> Vec<DataFrame> {
        let entries = self.entries();
        let entries = entries.iter().filter(|listed| &*listed.dataset == dataset);
        entries.map(|listed| ParquetReader::new(File::open(&listed.entry.output(output).unwrap().path).unwrap()).finish().unwrap()).collect()
    }
}

impl Ran {
    /// Insists on success.
    fn ok(self) -> Self {
        assert_eq!(self.status, Some(0), "{self:#?}");
        self
    }

    fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }

    /// How many partitions were made.
    fn made(&self) -> usize {
        self.stderr.lines().filter(|line| line.contains("] generated ")).count()
    }
}

fn doubles(table: &DataFrame, column: &str) -> Vec<Option<f64>> {
    table.column(column).unwrap().cast(&DataType::Float64).unwrap().f64().unwrap().iter().collect()
}

fn integers(table: &DataFrame, column: &str) -> Vec<i64> {
    table.column(column).unwrap().cast(&DataType::Int64).unwrap().i64().unwrap().into_no_null_iter().collect()
}

fn texts(table: &DataFrame, column: &str) -> Vec<String> {
    table.column(column).unwrap().str().unwrap().iter().map(|text| text.unwrap().to_owned()).collect()
}

/// The values that are there, by the piece of time that they lie in.
fn by_time(times: &[i64], values: &[Option<f64>], every_ns: i64) -> BTreeMap<i64, Vec<f64>> {
    let mut pieces: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (time, value) in times.iter().zip(values) {
        pieces.entry(time - time.rem_euclid(every_ns)).or_default().extend(value);
    }
    pieces
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The differences between both sides of the book, row by row.
fn spreads(book: &DataFrame) -> Vec<Option<f64>> {
    let (bids, asks) = (doubles(book, "bid_price_0"), doubles(book, "ask_price_0"));
    bids.into_iter().zip(asks).map(|(bid, ask)| Some(ask? - bid?)).collect()
}

fn is_near(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() < 1e-5,
        (one, other) => one == other,
    }
}

#[test]
fn what_was_exported_is_not_exported_again() {
    let desk = Desk::new();
    desk.intervals("two.json", &["BTC-USDT", "ETH-USDT"]);
    let first = desk.run("export_data --no-build --intervals two.json").ok();
    assert_eq!((first.stdout.as_str(), first.made()), ("Read 8 out of 8 (100.00%)\n", 8), "{first:#?}");

    let entries = desk.entries();
    let again = desk.run("export_data --no-build --intervals two.json").ok();
    assert_eq!((again.stdout.as_str(), again.made()), ("Read 8 out of 8 (100.00%)\n", 0), "{again:#?}");
    assert!(again.stderr.contains("8 partitions, 0 to make\n8 found in "), "{again:#?}");
    for kind in ["--marketdata", "--features"] {
        let one = desk.run(&format!("export_data --no-build --intervals two.json --mode Read --verbose 0 {kind}")).ok();
        assert_eq!((one.stdout.as_str(), one.stderr.as_str()), ("Read 4 out of 4 (100.00%)\n", ""), "{kind}");
    }
    assert_eq!(desk.entries(), entries, "an entry was made anew");
}

#[test]
fn processing_merges_what_was_exported_and_is_not_done_twice() {
    let desk = Desk::new();
    desk.intervals("two.json", &["BTC-USDT", "ETH-USDT"]);
    desk.run("export_data --no-build --intervals two.json").ok();
    let exported = desk.entries();
    let first = desk.run("process --intervals two.json").ok();
    assert_eq!(first.stdout, "Found 4 intervals, md: 4, ft: 4\nRead 4 out of 4 (100.00%)\n");
    assert_eq!(first.made(), 4, "{first:#?}");
    let entries = desk.entries();
    assert!(exported.iter().all(|listed| entries.contains(listed)), "processing changed what it reads");

    let again = desk.run("process --intervals two.json").ok();
    assert_eq!((&again.stdout, again.made()), (&first.stdout, 0), "{}", again.stderr);
    assert!(again.stderr.contains("4 partitions, 0 to make\n4 found in "), "{}", again.stderr);
    assert_eq!(desk.entries(), entries, "bars were made anew");

    let tables = |dataset, output| desk.tables(dataset, output).into_iter();
    let sources = tables("md", "trades").zip(tables("md", "orderbook")).zip(tables("features", "features"));
    for (bars, ((trades, book), features)) in tables("processed", "table").zip(sources) {
        let of = |table: &DataFrame, column: &str| by_time(&integers(table, "ts"), &doubles(table, column), MINUTE_NS);
        let (prices, sizes, imbalances) = (of(&trades, "price"), of(&trades, "size"), of(&features, "sided_imbalance"));
        let spreads = by_time(&integers(&book, "ts"), &spreads(&book), MINUTE_NS);
        assert_eq!(integers(&bars, "ts"), prices.keys().copied().collect::<Vec<_>>(), "a bar for each minute with a trade, in their order");
        let columns = ["open", "high", "low", "close", "volume", "trades", "spread", "sided_imbalance"];
        let columns = columns.map(|column| doubles(&bars, column));
        for (nth, (minute, prices)) in prices.iter().enumerate() {
            let expected = [
                prices.first().copied(),
                prices.iter().copied().reduce(f64::max),
                prices.iter().copied().reduce(f64::min),
                prices.last().copied(),
                Some(sizes[minute].iter().sum()),
                Some(prices.len() as f64),
                spreads.get(minute).and_then(|values| mean(values)),
                mean(&imbalances[minute]),
            ];
            let found = columns.each_ref().map(|column| column[nth]);
            assert!(found.iter().zip(&expected).all(|(found, expected)| is_near(*found, *expected)), "{minute}: {found:?}, not {expected:?}");
        }
    }
}

#[test]
fn intervals_without_market_data_are_left_out_and_not_exported_on_the_way() {
    let desk = Desk::new();
    desk.intervals("one.json", &["BTC-USDT"]);
    desk.intervals("two.json", &["BTC-USDT", "ETH-USDT"]);
    let nothing = desk.run("process --intervals two.json").ok();
    assert_eq!(nothing.stdout, "Found 0 intervals, md: 0, ft: 0\nRead 0 out of 0 (100.00%)\n");
    assert!(nothing.stderr.starts_with("nothing to process: export these intervals first"), "{nothing:#?}");

    desk.run("export_data --no-build --intervals two.json --features").ok();
    desk.run("export_data --no-build --intervals one.json --marketdata").ok();
    let partly = desk.run("process --intervals two.json").ok();
    assert_eq!(partly.stdout, "Found 2 intervals, md: 2, ft: 4\nRead 2 out of 2 (100.00%)\n");
    let entries = desk.entries();
    let of = |dataset: &str, pair: &str| entries.iter().filter(|listed| &*listed.dataset == dataset && listed.instrument.pair() == pair).count();
    assert_eq!(["md", "features", "processed"].map(|dataset| of(dataset, "BTC-USDT")), [2, 2, 2]);
    assert_eq!(["md", "features", "processed"].map(|dataset| of(dataset, "ETH-USDT")), [0, 2, 0]);
}

#[test]
fn research_prints_what_the_files_say() {
    let desk = Desk::new();
    let line = "research --instrument glbx/ESH4 --start 2024-01-01 --end 2024-01-02";
    let first = desk.run(line).ok();
    assert_eq!(first.last_line(), "Read 2 out of 2 (100.00%)");
    assert!(first.stderr.contains("2 partitions, 2 to make\n"), "{first:#?}");
    let again = desk.run(line).ok();
    assert!(again.stderr.contains("2 partitions, 0 to make\n"), "{again:#?}");
    assert_eq!(again.stdout, first.stdout);

    let mut expected = Vec::new();
    for (book, trades) in desk.tables("md", "orderbook").iter().zip(desk.tables("md", "trades")) {
        let (bids, asks) = (doubles(book, "bid_price_0"), doubles(book, "ask_price_0"));
        assert!(bids.iter().zip(&asks).all(|(bid, ask)| bid < ask), "the market is crossed");
        let mids: Vec<Option<f64>> = bids.iter().zip(&asks).map(|(bid, ask)| Some(((*bid)? + (*ask)?) / 2.0)).collect();
        let (times, traded) = (integers(book, "ts"), integers(&trades, "ts"));
        let signs = texts(&trades, "side").into_iter().map(|side| match &*side {
            "buy" => 1.0,
            "sell" => -1.0,
            _ => 0.0,
        });
        let flows: Vec<Option<f64>> = signs.zip(doubles(&trades, "size")).map(|(sign, size)| Some(sign * size?)).collect();
        let (mids, spreads, flows) = (by_time(&times, &mids, HOUR_NS), by_time(&times, &spreads(book), HOUR_NS), by_time(&traded, &flows, HOUR_NS));
        for (hour, mids) in mids {
            let flows = flows.get(&hour).map(Vec::as_slice).unwrap_or_default();
            let imbalance = flows.iter().sum::<f64>() / flows.iter().map(|flow| flow.abs()).sum::<f64>();
            expected.push([*mids.last().unwrap(), mean(&spreads[&hour]).unwrap(), flows.len() as f64, imbalance]);
        }
    }
    let rows = first.stdout.lines().filter_map(|line| line.strip_prefix("| 2024-01-01 "));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    assert_eq!((rows.len(), expected.len()), (24, 24), "{}", first.stdout);
    for (hour, (row, expected)) in rows.iter().zip(expected).enumerate() {
        assert_eq!(row[0], format!("{hour:02}:00:00 UTC"));
        let [_, spread, _, imbalance] = expected;
        assert!(spread > 0.0 && (-1.0..=1.0).contains(&imbalance), "{expected:?}");
        let printed: Vec<Option<f64>> = row[1..5].iter().map(|cell| cell.parse().ok()).collect();
        assert!(printed.iter().zip(expected).all(|(printed, expected)| is_near(*printed, Some(expected))), "{row:?}, not {expected:?}");
    }
}

#[test]
fn the_exporter_is_built_where_the_examples_look_for_it() {
    let desk = Desk::new();
    desk.intervals("one.json", &["BTC-USDT"]);
    fs::remove_file(desk.exporter()).unwrap();
    let without = desk.run("export_data --no-build --intervals one.json");
    assert_eq!((without.status, without.stderr.contains("; leave out --no-build\n")), (Some(1), true), "{without:#?}");
    let no_cargo = desk.run("export_data --intervals one.json");
    assert_eq!((no_cargo.status, no_cargo.stderr.contains("since Cargo does not start")), (Some(1), true), "{no_cargo:#?}");
    desk.script(&desk.path("cargo"), "exit 101");
    let broken = desk.run("export_data --intervals one.json");
    assert_eq!((broken.status, broken.stderr.contains("Cargo ended with exit status: 101")), (Some(1), true), "{broken:#?}");

    desk.with_cargo();
    let found = desk.run("process --intervals one.json").ok();
    assert!(found.stdout.starts_with("Found 0 intervals"), "{found:#?}");
    let [call] = &desk.calls()[..] else { panic!("one build, not {:?}", desk.calls()) };
    assert!(call.starts_with("build --package tickbarn-exporter ") && call.contains(" --profile dev --target-dir "), "{call}");
    assert!(call.ends_with(desk.path("target").to_str().unwrap()), "{call}");
    // What is there is only looked at by those who read, and brought up to date by those who export.
    desk.run("process --intervals one.json").ok();
    assert_eq!(desk.calls().len(), 1);
    desk.run("export_data --intervals one.json").ok();
    assert_eq!(desk.calls().len(), 2);
}

#[test]
fn a_build_during_an_export_does_not_disturb_it() {
    let desk = Desk::new();
    desk.intervals("one.json", &["BTC-USDT"]);
    let (begun, go) = (desk.path("begun"), desk.path("go"));
    let wait = format!("touch '{}'\nuntil [ -e '{}' ]; do sleep 0.01; done\n", begun.display(), go.display());
    desk.script(&desk.exporter(), &format!("{wait}exec '{}' \"$@\"\n", BUILT.join(EXPORTER).display()));
    let mut command = desk.command("export_data --no-build --intervals one.json --marketdata --jobs 1");
    let mut export = Ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(60);
    while !begun.exists() {
        assert!(export.0.try_wait().unwrap().is_none() && Instant::now() < until, "the exporter does not start");
        thread::sleep(Duration::from_millis(5));
    }
    // One partition is under way, the other has yet to begin.
    desk.script(&desk.exporter(), "exit 1");
    fs::write(&go, "").unwrap();
    let status = export.0.wait().unwrap();
    let said = |stream: &mut dyn std::io::Read| std::io::read_to_string(stream).unwrap();
    assert!(status.success(), "{}", said(export.0.stderr.as_mut().unwrap()));
    assert_eq!(said(export.0.stdout.as_mut().unwrap()), "Read 2 out of 2 (100.00%)\n");
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_exit_status_tells_a_mistake_from_a_failure_and_a_failure_that_is_left_out() {
    let desk = Desk::new();
    desk.intervals("one.json", &["BTC-USDT"]);
    fs::write(desk.path("here/bad.json"), r#"[{"instrument": "BTC"}]"#).unwrap();
    for line in [
        "export_data --mode Sometimes",
        "export_data --no-build --intervals bad.json",
        "export_data --no-build --store one.json",
        "process --intervals none.json",
        "research --instrument BTC",
        "research --start 2024-01-02 --end 2024-01-01",
    ] {
        let ran = desk.run(line);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{line}: {ran:#?}");
        assert!(ran.stderr.starts_with("error: "), "{line}: {ran:#?}");
    }
    let missing = desk.run("export_data --no-build --intervals one.json --mode Read");
    assert_eq!((missing.status, missing.stderr.starts_with("error: 4 of 4 partitions are not in the store")), (Some(1), true), "{missing:#?}");

    // A setting that the exporter refuses, in a file that is its user's once it is there.
    let config = desk.path("here/tickbarn-examples/configs/simulation_config.json");
    fs::write(&config, r#"{"volatility": 7}"#).unwrap();
    let left_out = desk.run("export_data --no-build --intervals one.json --verbose 0").ok();
    assert_eq!(left_out.stdout, "Read 0 out of 4 (0.00%)\n");
    let said = left_out.stderr.lines().filter(|line| line.contains("] failed ") && line.contains("is 7: give 0 to 0.05")).count();
    assert_eq!((said, left_out.stderr.lines().count()), (4, 4), "each failure is said once: {left_out:#?}");
    let stopped = desk.run("export_data --no-build --intervals one.json --mode Write");
    assert_eq!((stopped.status, stopped.stderr.contains("\nerror: md binance/BTC-USDT 2024-01-01T")), (Some(1), true), "{stopped:#?}");
    let stopped = desk.run("research --end 2024-01-02");
    assert_eq!((stopped.status, stopped.stdout.as_str()), (Some(1), ""), "{stopped:#?}");
}
