//! Running the exporter in a folder of its own, and reading what it wrote.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// A folder with the configuration of a run.
pub(crate) struct Run {
    folder: TempDir,
    pub(crate) model: Value,
    pub(crate) run: Value,
    pub(crate) simulation: Value,
}

impl Run {
    pub(crate) fn simulated(pair: &str, levels: usize) -> Self {
        Self::new("binance", pair, levels, json!({"kind": "simulated"}))
    }

    pub(crate) fn recorded(feed: &Path, levels: usize) -> Self {
        Self::new("glbx", "ESH4", levels, json!({"kind": "dbn", "path": feed}))
    }

    fn new(market: &str, pair: &str, levels: usize, feed: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = json!({
            "instrument": {"market": market, "pair": pair},
            "orderbook_file": folder.path().join("orderbook.parquet"),
            "trades_file": folder.path().join("trades.parquet"),
            "orderbook_levels": levels,
            "skip_empty_levels": true,
        });
        Self { folder, model, run: json!({"feed": feed}), simulation: json!({}) }
    }

    /// The same run, as a model for `features`.
    pub(crate) fn with_windows(mut self, traded_ns: i64, sided_ns: i64) -> Self {
        self.model = json!({
            "instrument": self.model["instrument"],
            "features_file": self.path("features.parquet"),
            "features": {"traded_ob_window_size": traded_ns, "sided_ob_window_size": sided_ns},
        });
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs an export with the configuration as it is now, quietly unless `more` says otherwise.
    pub(crate) fn output(&self, export: &str, start: &str, end: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickbarn-exporter"));
        command.arg(export);
        for (name, value) in [("model", &self.model), ("run", &self.run), ("simulation", &self.simulation)] {
            let path = self.path(&format!("{name}.json"));
            fs::write(&path, value.to_string()).unwrap();
            command.arg(format!("--{name}")).arg(path);
        }
        command.args(["--start", start, "--end", end]).args(more).output().unwrap()
    }

    /// Runs an export that must succeed and gives its tables.
    pub(crate) fn export<const N: usize>(&self, export: &str, start: i64, end: i64, tables: [&str; N]) -> [Table; N] {
        let output = self.output(export, &rfc3339(start), &rfc3339(end), &["--verbose", "0", "--orders", "/dev/null"]);
        assert_eq!((status(&output), stderr(&output).as_str()), (0, ""), "{export} {start} {end}");
        tables.map(|table| Table::read(&self.path(&format!("{table}.parquet"))))
    }

    pub(crate) fn marketdata(&self, start: i64, end: i64) -> [Table; 2] {
        self.export("marketdata", start, end, ["orderbook", "trades"])
    }

    pub(crate) fn features(&self, start: i64, end: i64) -> Table {
        let [features] = self.export("features", start, end, ["features"]);
        features
    }
}

pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).unwrap().to_string()
}

pub(crate) fn ns(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_nanosecond().try_into().unwrap()
}

/// A table as it was written.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Field>>,
}

impl Table {
    pub(crate) fn read(path: &Path) -> Self {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let metadata = reader.metadata().file_metadata();
        let columns = metadata.schema_descr().columns().iter().map(|column| column.name().to_owned()).collect();
        let row = |row: parquet::record::Row| row.into_columns().into_iter().map(|(_, field)| field).collect();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|r| row(r.unwrap())).collect();
        assert_eq!(rows.len() as i64, metadata.num_rows());
        Self { columns, rows }
    }

    pub(crate) fn concatenated(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        for part in parts {
            assert!(whole.columns.is_empty() || whole.columns == part.columns);
            whole.columns = part.columns;
            whole.rows.extend(part.rows);
        }
        whole
    }

    pub(crate) fn integer(&self, row: usize, column: &str) -> i64 {
        match self.field(row, column) {
            Field::Long(value) => *value,
            field => panic!("{column} is {field:?}"),
        }
    }

    /// A double, or nothing for a null.
    pub(crate) fn double(&self, row: usize, column: &str) -> Option<f64> {
        match self.field(row, column) {
            Field::Double(value) => Some(*value),
            Field::Null => None,
            field => panic!("{column} is {field:?}"),
        }
    }

    fn field(&self, row: usize, column: &str) -> &Field {
        let at = self.columns.iter().position(|name| name == column).unwrap();
        &self.rows[row][at]
    }
}

/// What every order book table has to be: in order, each row something new, levels from the best on without a gap.
pub(crate) fn check_book(book: &Table, levels: usize) {
    assert_eq!(book.columns.len(), 1 + 4 * levels);
    let mut previous: Option<&[Field]> = None;
    for (at, row) in book.rows.iter().enumerate() {
        assert!(previous.is_none_or(|previous| previous != &row[1..]), "row {at} is no change");
        assert!(at == 0 || book.integer(at - 1, "ts") <= book.integer(at, "ts"), "row {at} is out of order");
        previous = Some(&row[1..]);
        for (side, sign) in [("bid", -1.0), ("ask", 1.0)] {
            let prices: Vec<Option<f64>> = (0..levels).map(|i| book.double(at, &format!("{side}_price_{i}"))).collect();
            let ordered = prices.windows(2).all(|pair| match pair {
                [Some(better), Some(worse)] => sign * better < sign * worse,
                [None, Some(_)] => false,
                _ => true,
            });
            assert!(ordered && prices[0].is_some(), "row {at}: {side} {prices:?}");
        }
    }
}
