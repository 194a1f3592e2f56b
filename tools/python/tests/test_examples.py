"""The example scripts and the notebook, run as their users run them: as processes of their own, in a directory of their own."""

from __future__ import annotations

import base64
import bisect
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import polars.testing
import pytest
from conftest import binary, is_alive

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECORDED = Path(__file__).resolve().parents[4] / "shared" / "data" / "esh4-glbx-mdp3-20231225.mbo.dbn.zst"
DAY = ("2024-01-01T00:00:00Z", "2024-01-01T12:00:00Z", "2024-01-02T00:00:00Z")
# Longer than anything takes on a slow machine, and not what is asserted.
LONG_S = 120.0

MADE_EXPORTER = """\
#!{python}
# Tables of a few rows, whatever is asked for: some trades without features, some features without a trade, two trades of one number.
import json, sys
from datetime import datetime, timedelta
import polars as pl
kind, given = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
model = json.load(open(given["--model"]))
start = datetime.fromisoformat(given["--start"].replace("Z", "+00:00"))
def at(*seconds):
    return pl.Series("ts", [start + timedelta(seconds=one) for one in seconds], dtype=pl.Datetime("ns", "UTC"))
if kind == "features":
    table = {{"ts": at(3, 3, 9, 11), "sequence": [2, 2, 3, 4], "traded_imbalance": [0.1, 0.2, 0.3, 0.4], "sided_imbalance": [-0.1, -0.2, -0.3, -0.4]}}
    pl.DataFrame(table).write_parquet(model["features_file"])
else:
    table = {{"ts": at(1, 3, 3, 9), "price": [10.0, 11.0, 12.0, 13.0], "size": [1, 2, 3, 4], "side": ["buy", "sell", "buy", "sell"], "sequence": [1, 2, 2, 3]}}
    pl.DataFrame(table).write_parquet(model["trades_file"])
    book = {{"ts": at(3, 5)}}
    for level in range(40):
        book |= {{f"bid_price_{{level}}": [10.0 - level] * 2, f"bid_size_{{level}}": [3, 4]}}
        book |= {{f"ask_price_{{level}}": [11.0 + level] * 2, f"ask_size_{{level}}": [1, 4]}}
    pl.DataFrame(book).write_parquet(model["orderbook_file"])
"""


class Ran:
    """How a script ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr

    @property
    def made(self) -> int:
        """How many partitions it said that it made."""
        return len(re.findall(r"^\[\d+/\d+\] generated ", self.stderr, re.MULTILINE))

    def __repr__(self) -> str:
        return f"status {self.status}\n{self.stdout}\n{self.stderr}"


class Desk:
    """A working directory, with an exporter in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.exporter = directory / "sample-exporter"
        self.write("sample-exporter", f'#!/bin/sh\nexec {shlex.quote(binary())} exporter "$@"\n')
        self.intervals("two.json", "binance/BTC-USDT", "binance/ETH-USDT")
        self.intervals("btc.json", "binance/BTC-USDT")

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def intervals(self, name: str, *instruments: str, start: str = DAY[0], end: str = DAY[2]) -> None:
        parts = [dict(zip(("market", "pair"), one.split("/"), strict=True)) for one in instruments]
        self.write(name, json.dumps([{"instrument": one, "start": start, "end": end} for one in parts]))

    def command(self, line: str) -> list[str]:
        script, *flags = shlex.split(line)
        named = [] if {"--exporter", "--no-build", "--help"} & set(flags) or flags == ["--build"] else ["--exporter", str(self.exporter)]
        return [sys.executable, str(EXAMPLES / script), *(flag for flag in flags if flag != "--build"), *named]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "COLUMNS": "100", "CARGO_TARGET_DIR": str(self.directory / "target"), "CARGO": str(self.directory / "cargo"), **more}

    def run(self, line: str) -> Ran:
        command = self.command(line)
        return Ran(subprocess.run(command, cwd=self.directory, env=self.environment(), capture_output=True, text=True, timeout=LONG_S, check=False))

    def ok(self, line: str) -> Ran:
        ran = self.run(line)
        assert ran.status == 0, ran
        return ran

    def tables(self, dataset: str, output: str, *, store: str = "tickbarn-examples/main") -> dict[tuple[str, str], pl.DataFrame]:
        """The tables of an output, by instrument and start, as the command line tool finds them."""
        listed = subprocess.run([binary(), "--store", store, "ls", "--json"], cwd=self.directory, capture_output=True, text=True, check=True).stdout
        tables = {}
        for line in listed.splitlines():
            entry = json.loads(line)
            if entry.get("dataset") == dataset:
                path = subprocess.run(
                    [binary(), "--store", store, "path", entry["address"], output], cwd=self.directory, capture_output=True, text=True, check=True
                ).stdout
                tables[entry["instrument"], entry["start"]] = pl.read_parquet(path.strip())
        return tables

    def plain(self, instrument: str, start: str, end: str) -> dict[str, pl.DataFrame]:
        """The tables of an interval straight from the exporter, without any cache."""
        market, pair = instrument.split("/")
        place = self.directory / "plain"
        place.mkdir(exist_ok=True)
        named = {name: str(place / f"{name}.parquet") for name in ("orderbook", "trades", "features")}
        who = {"instrument": {"market": market, "pair": pair}}
        windows = {"traded_ob_window_size": 500_000_000, "sided_ob_window_size": 1_000_000_000}
        models = {
            "marketdata": {**who, "orderbook_file": named["orderbook"], "trades_file": named["trades"], "orderbook_levels": 40, "skip_empty_levels": True},
            "features": {**who, "features_file": named["features"], "features": windows},
        }
        configs = self.directory / "tickbarn-examples" / "configs"
        for export, model in models.items():
            (place / "model.json").write_text(json.dumps(model))
            command: list[Any] = [self.exporter, export, "--model", place / "model.json", "--run", configs / "run_config.json"]
            command += ["--simulation", configs / "simulation_config.json", "--start", start, "--end", end]
            subprocess.run(command, capture_output=True, check=True)
        return {name: pl.read_parquet(path) for name, path in named.items()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.01)


def merged_by_hand(tables: dict[str, pl.DataFrame], levels: int) -> pl.DataFrame:
    """Trades beside their features, row by row, and the last row of the book before each."""
    trades, features, book = tables["trades"], tables["features"], tables["orderbook"]
    assert trades.select("ts", "sequence").equals(features.select("ts", "sequence")), "the exporter writes a row of features for each trade"
    moments = book["ts"].cast(pl.Int64).to_list()
    rows = []
    for trade, feature in zip(trades.iter_rows(named=True), features.iter_rows(named=True), strict=True):
        rows.append({**trade, **{name: feature[name] for name in ("traded_imbalance", "sided_imbalance")}})
    for row, moment in zip(rows, trades["ts"].cast(pl.Int64).to_list(), strict=True):
        before = bisect.bisect_left(moments, moment) - 1
        seen = book.row(before, named=True) if before >= 0 else {}
        row["bid"], row["ask"] = seen.get("bid_price_0"), seen.get("ask_price_0")
        bids, asks = (sum(seen.get(f"{side}_size_{level}") or 0 for level in range(levels)) for side in ("bid", "ask"))
        row["book_imbalance"] = (bids - asks) / (bids + asks) if seen else None
    columns = [*trades.columns, "traded_imbalance", "sided_imbalance", "bid", "ask", "book_imbalance"]
    table = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    return table.with_columns(trades["ts"])


def test_what_was_exported_is_not_exported_again(desk: Desk) -> None:
    first = desk.ok("export_data.py --intervals two.json")
    assert (first.stdout, first.made) == ("Read 8 out of 8 (100.00%)\n", 8), first
    assert re.search(r"^8 partitions\n(.*\n){8}8 made in \d+\.\d\d s\n$", first.stderr), first
    again = desk.ok("export_data.py --intervals two.json --mode Read")
    assert again.stdout == "Read 8 out of 8 (100.00%)\n" and again.stderr.startswith("8 partitions\n8 found in "), again
    for kind in ("--marketdata", "--features"):
        one = desk.ok(f"export_data.py --intervals two.json --verbose 0 {kind} --mode ReadIgnoreErrors")
        assert (one.stdout, one.stderr) == ("Read 4 out of 4 (100.00%)\n", ""), kind
    for (instrument, start), trades in desk.tables("md", "trades").items():
        if instrument == "binance/ETH-USDT" and start == DAY[0]:
            assert trades.equals(desk.plain(instrument, *DAY[:2])["trades"])
            break
    else:
        pytest.fail("the store lists no such partition")


def test_kinds_and_names_may_lie_apart(desk: Desk) -> None:
    flags = "--intervals btc.json --name paper --md-storage apart/md --ft-storage apart/ft"
    assert desk.ok(f"export_data.py {flags}").made == 4
    assert len(desk.tables("md", "trades", store="apart/md/paper")) == len(desk.tables("features", "features", store="apart/ft/paper")) == 2
    assert desk.ok(f"export_data.py {flags}").made == 0
    assert desk.ok("export_data.py --intervals btc.json --mode ReadIgnoreErrors").stdout == "Read 0 out of 4 (0.00%)\n"
    refused = desk.run("process.py --intervals btc.json --md-storage apart/md --ft-storage apart/ft")
    assert refused.status == 2 and "the same directory" in refused.stderr, refused


def test_without_an_intervals_file_there_is_something_to_see(desk: Desk) -> None:
    assert desk.ok("export_data.py --marketdata").stdout == "Read 10 out of 10 (100.00%)\n"
    assert len(json.loads((desk.directory / "tickbarn-examples/intervals.json").read_text())) == 3


@pytest.mark.parametrize("script", ["export_data.py", "process.py"])
def test_help_names_every_flag(desk: Desk, script: str) -> None:
    told = desk.ok(f"{script} --help").stdout
    common = ["--intervals FILE", "--mode MODE", "--jobs N", "--verbose N", "--md-storage DIR", "--ft-storage DIR", "--no-build", "exit status:"]
    own = {"export_data.py": ["--marketdata", "--features", "--name NAME"], "process.py": ["--src-name NAME", "--dst-name NAME", "--df-storage DIR"]}
    assert all(flag in told for flag in common + own[script]), told
    assert max(map(len, told.splitlines())) <= 100


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export_data.py --mode Sometimes", "invalid choice: 'Sometimes'"),
        ("export_data.py --jobs 0", "'0' is not a whole number from 1 on"),
        ("export_data.py --jobs many", "'many' is not a whole number from 1 on"),
        ("export_data.py --market", "unrecognized arguments: --market"),
        ("export_data.py --verbose 4", "invalid choice: 4"),
        ("export_data.py --intervals none.json", "none.json: the intervals file cannot be read"),
        ("export_data.py --intervals bad.json", "bad.json: record 1: it has no start"),
        ("export_data.py --name ../elsewhere", "a store's name is one part of a path"),
        ("export_data.py --exporter nowhere", "there is no exporter at nowhere"),
        ("process.py --intervals none.json", "none.json: the intervals file cannot be read"),
        ("process.py --levels 41", "--levels 41 is more than the 40 levels"),
    ],
)
def test_flags_and_files_that_are_not_right_are_named(desk: Desk, line: str, said: str) -> None:
    desk.write("bad.json", '[{"instrument": "binance/BTC-USDT"}]')
    ran = desk.run(line)
    assert (ran.status, ran.stdout) == (2, "") and said in ran.stderr and "Traceback" not in ran.stderr, ran


def test_a_failure_is_left_out_or_ends_the_export_as_the_mode_says(desk: Desk) -> None:
    missing = desk.run("export_data.py --intervals btc.json --mode Read")
    assert missing.status == 1 and missing.stdout == "" and "error: 4 of 4 partitions are not in the store" in missing.stderr, missing
    assert "--mode Default makes what is missing" in missing.stderr
    assert desk.ok("export_data.py --intervals btc.json --mode ReadIgnoreErrors").stdout == "Read 0 out of 4 (0.00%)\n"

    # A setting that the exporter refuses, in a file that is its user's once it is there.
    config = desk.directory / "tickbarn-examples/configs/simulation_config.json"
    right = config.read_text()
    config.write_text('{"volatility": 7}')
    left_out = desk.ok("export_data.py --intervals btc.json --verbose 0")
    assert left_out.stdout == "Read 0 out of 4 (0.00%)\n"
    assert len(re.findall(r"^\[\d/4\] (md|features) binance/BTC-USDT .* failed: ", left_out.stderr, re.MULTILINE)) == 4, left_out
    assert "is 7: give 0 to 0.05" in left_out.stderr
    stopped = desk.run("export_data.py --intervals btc.json --mode Write --verbose 0")
    assert stopped.status == 1 and stopped.stdout == "" and stopped.stderr.count("error: ") == 1 and "is 7: give 0 to 0.05" in stopped.stderr, stopped

    config.write_text(right)
    assert desk.ok("export_data.py --intervals btc.json").made == 4
    assert desk.ok("export_data.py --intervals btc.json --mode Write").made == 4
    assert desk.ok("export_data.py --intervals btc.json").made == 0


def test_the_exporter_is_built_first_unless_told_not_to(desk: Desk) -> None:
    without = desk.run("export_data.py --no-build --intervals btc.json")
    assert without.status == 1 and "there is no exporter at" in without.stderr and "leave out --no-build" in without.stderr, without
    no_cargo = desk.run("export_data.py --build")
    assert no_cargo.status == 1 and "since Cargo does not start" in no_cargo.stderr, no_cargo
    desk.write("cargo", "#!/bin/sh\nexit 101\n")
    broken = desk.run("export_data.py --build")
    assert broken.status == 1 and "Cargo ended with 101" in broken.stderr, broken

    place = desk.directory / "target" / "release"
    place.mkdir(parents=True)
    desk.write("cargo", f'#!/bin/sh\necho "$*" >> calls\ncp {desk.exporter} {place / "tickbarn-exporter"}\n')
    assert desk.ok("export_data.py --build").stdout == "Read 20 out of 20 (100.00%)\n"
    [call] = (desk.directory / "calls").read_text().splitlines()
    assert call.startswith("build ") and "--locked --release --package tickbarn-exporter" in call and call.endswith(f"--target-dir {place.parent}"), call
    assert desk.ok("export_data.py --no-build").made == 0
    assert desk.ok("process.py --no-build --jobs 2").stdout == "Found 10 intervals, md: 10, ft: 10\nRead 10 out of 10 (100.00%)\n"


@pytest.mark.parametrize("what", ["export", "build"])
def test_ctrl_c_ends_a_script_and_all_that_it_started(desk: Desk, what: str) -> None:
    place = shlex.quote(str(desk.directory / "children"))
    desk.write("cargo" if what == "build" else "sample-exporter", f"#!/bin/sh\nsleep 600 & echo $$ $! >> {place}\nwait\n")
    command = desk.command("export_data.py --build" if what == "build" else "export_data.py --intervals btc.json --jobs 2")
    script = subprocess.Popen(command, cwd=desk.directory, env=desk.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    listed = desk.directory / "children"

    def children() -> list[int]:
        return [pid for pid in map(int, listed.read_text().split()) if is_alive(pid)] if listed.exists() else []

    try:
        until(children)
        script.send_signal(signal.SIGINT)
        stdout, stderr = script.communicate(timeout=LONG_S)
    finally:
        script.kill()
    assert (script.returncode, stdout) == (130, ""), stderr
    assert stderr.endswith("interrupted; what was finished is kept, and the next run goes on from there\n") and "Traceback" not in stderr, stderr
    until(lambda: not children())
    desk.write("sample-exporter", f'#!/bin/sh\nexec {shlex.quote(binary())} exporter "$@"\n')
    assert desk.ok("export_data.py --intervals btc.json").made == 4


def test_nobody_reads_the_last_line(desk: Desk) -> None:
    command = desk.command("export_data.py --intervals btc.json")
    script = subprocess.Popen(command, cwd=desk.directory, env=desk.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert script.stdout is not None and script.stderr is not None
    script.stdout.close()
    told = script.stderr.read()
    assert script.wait(LONG_S) == 0 and "BrokenPipe" not in told, told


@pytest.mark.parametrize("levels", [5, 40])
def test_processing_merges_what_was_exported_and_is_not_done_twice(desk: Desk, levels: int) -> None:
    desk.ok("export_data.py --intervals two.json")
    line = f"process.py --intervals two.json --jobs 2 --levels {levels}"
    first = desk.ok(line)
    assert (first.stdout, first.made) == ("Found 4 intervals, md: 4, ft: 4\nRead 4 out of 4 (100.00%)\n", 4), first
    again = desk.ok(line)
    assert (again.stdout, again.made) == (first.stdout, 0) and "4 partitions\n4 found in " in again.stderr, again

    processed = desk.tables("processed-main", "df")
    assert len(processed) == 4
    for instrument in ("binance/BTC-USDT", "binance/ETH-USDT"):
        for start, end in zip(DAY[:2], DAY[1:], strict=True):
            expected = merged_by_hand(desk.plain(instrument, start, end), levels)
            found = processed[instrument, start]
            assert found.height > 1000 and found.columns == expected.columns
            pl.testing.assert_frame_equal(found, expected, check_dtypes=False, rel_tol=1e-12)

    # Another configuration is other entries, and so is another name.
    assert desk.ok("process.py --intervals two.json --levels 3").made == 4
    assert desk.ok(f"{line} --dst-name other").made == 4
    assert desk.ok(line).made == 0


def test_what_only_one_feed_has_is_not_there(desk: Desk) -> None:
    nothing = desk.ok("process.py --intervals two.json")
    assert nothing.stdout == "Found 0 intervals, md: 0, ft: 0\nRead 0 out of 0 (100.00%)\n" and "nothing to process: export these" in nothing.stderr
    desk.ok("export_data.py --intervals two.json --features")
    desk.ok("export_data.py --intervals btc.json --marketdata")
    partly = desk.ok("process.py --intervals two.json")
    assert partly.stdout == "Found 2 intervals, md: 2, ft: 4\nRead 2 out of 2 (100.00%)\n"
    assert {instrument for instrument, _ in desk.tables("processed-main", "df")} == {"binance/BTC-USDT"}
    assert len(desk.tables("md", "trades")) == 2, "processing exported what was missing"


def test_rows_that_only_one_feed_has_are_not_there(desk: Desk) -> None:
    desk.write("sample-exporter", MADE_EXPORTER.format(python=sys.executable))
    desk.intervals("half.json", "binance/BTC-USDT", end=DAY[1])
    desk.ok("export_data.py --intervals half.json")
    assert desk.ok("process.py --intervals half.json --levels 2").stdout.endswith("Read 1 out of 1 (100.00%)\n")
    [found] = desk.tables("processed-main", "df").values()
    assert found.drop("ts").rows() == [
        (11.0, 2, "sell", 2, 0.1, -0.1, None, None, None),
        (12.0, 3, "buy", 2, 0.2, -0.2, None, None, None),
        (13.0, 4, "sell", 3, 0.3, -0.3, 10.0, 11.0, 0.0),
    ]
    assert found["ts"].dt.second().to_list() == [3, 3, 9]


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded market data is not there")
def test_a_recorded_feed_goes_the_same_way(desk: Desk) -> None:
    desk.write("tickbarn-examples/configs/run_config.json", json.dumps({"feed": {"kind": "dbn", "path": str(RECORDED)}}))
    desk.intervals("day.json", "glbx/ESH4", start="2023-12-25", end="2023-12-26")
    exported = desk.ok("export_data.py --intervals day.json")
    assert exported.stdout == "Read 4 out of 4 (100.00%)\n" and exported.made == 3, exported
    # The first half of the day has a snapshot of the book and no trade, so no features.
    assert "] empty features glbx/ESH4 2023-12-25T00:00:00Z/" in exported.stderr and "3 made, 1 without data in " in exported.stderr, exported
    assert desk.ok("process.py --intervals day.json").stdout == "Found 1 intervals, md: 2, ft: 1\nRead 1 out of 1 (100.00%)\n"
    [found] = desk.tables("processed-main", "df").values()
    expected = merged_by_hand(desk.plain("glbx/ESH4", "2023-12-25T12:00:00Z", "2023-12-26T00:00:00Z"), 5)
    assert found.height == 2_973
    pl.testing.assert_frame_equal(found, expected, check_dtypes=False, rel_tol=1e-12)


def test_the_scripts_pass_a_strict_type_checker() -> None:
    pytest.importorskip("mypy")
    scripts = sorted(path.name for path in EXAMPLES.glob("*.py"))
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10", "--cache-dir", os.devnull, *scripts]
    checked = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def executed(directory: Path) -> tuple[dict[str, str], list[list[dict[str, Any]]]]:
    """The notebook run in a kernel of its own: what each cell printed, by the cell's source, and the outputs of all cells."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    if not all(importlib.util.find_spec(name) for name in ("ipykernel", "matplotlib")):
        pytest.skip("the notebook needs ipykernel and matplotlib")
    notebook = nbformat.read(EXAMPLES / "research.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=LONG_S, kernel_name="python3", resources={"metadata": {"path": str(directory)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = {cell.source: "".join(one.text for one in cell.outputs if one.output_type == "stream") for cell in cells}
    return printed, [cell.outputs for cell in cells]


def test_the_notebook_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    begun = time.monotonic()
    printed, outputs = executed(tmp_path)
    assert time.monotonic() - begun < 60
    assert all(one.get("name", "stdout") == "stdout" for cell in outputs for one in cell), "a cell wrote to standard error"
    images = [base64.b64decode(one["data"]["image/png"]) for cell in outputs for one in cell if "image/png" in one.get("data", {})]
    assert len(images) == 2 and all(image.startswith(b"\x89PNG") and len(image) > 10_000 for image in images)
    assert any("text/html" in one.get("data", {}) for cell in outputs for one in cell), "a load shows itself"

    text = "".join(printed.values())
    # A month of 62 halves of days of two instruments, and 25 days of the third; a day of the first failed.
    assert f"Read {2 * 62 + 50 - 2} out of {2 * 62 + 50} ({100 * 172 / 174:.2f}%)\n" in text
    assert text.count("failed: ConnectionError: the recorder was down all day") == 2
    # Eight days of the future are weekends.
    assert "156 hits, 16 empty, 2 failed, 0 generated\n" in text
    assert "binance/BTC-USDT: 96.77%, 60 entries" in text and "binance/ETH-USDT: 80.65%, 50 entries" in text and "glbx/ESH4: 100.00%, 62 entries" in text
    assert "binance/BTC-USDT 2024-01-17T00:00:00Z/2024-01-18T00:00:00Z\nbinance/ETH-USDT 2024-01-26T00:00:00Z/2024-02-01T00:00:00Z\n" in text
    assert "14 partitions would be generated" in text

    # What it computed is what the files say, read without tickbarn.
    files = sorted((tmp_path / "tickbarn-examples/research/artifacts").rglob("*.parquet"))
    btc = pl.concat([pl.read_parquet(path) for path in files]).filter(pl.col("bid") > 30_000).sort("ts")
    mids = btc.with_columns(mid=(pl.col("bid") + pl.col("ask")) / 2)
    spreads = btc.select(((pl.col("ask") - pl.col("bid")) / ((pl.col("ask") + pl.col("bid")) / 2) * 1e4).alias("bp"), hour=pl.col("ts").dt.truncate("1h"))
    median = spreads.group_by("hour").agg(pl.col("bp").median())["bp"].median()
    low, high, last = mids["mid"].min(), mids["mid"].max(), mids["mid"][-1]
    assert f"{btc.height:,} quotes in 720 of 744 hours\n" in text and btc.height == 60 * 720
    assert f"mid price from {low:,.2f} to {high:,.2f} USDT, last {last:,.2f}\n" in text
    assert f"median of the hours' median spreads {median:.2f} bp\n" in text

    # Run again, it reads what it made, and says the same.
    assert {path for path in (tmp_path / "tickbarn-examples/research/artifacts").rglob("*.parquet")} == set(files)
    assert executed(tmp_path)[0] == printed
    assert sorted((tmp_path / "tickbarn-examples/research/artifacts").rglob("*.parquet")) == files


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = json.loads((EXAMPLES / "research.ipynb").read_text())
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert notebook["metadata"] == {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
