"""A market for the tests: a dataset file, an exporter that copies tables which lie ready, and the command line tool beside it."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest

import tickbarn

BTC = "binance/BTC-USDT"
ETH = "binance/ETH-USDT"
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
ROWS = 6

EXPORT = """\
#!/bin/sh
# START PAIR ORDERBOOK TRADES: what lies ready; `wait`, `fail`, `empty` beside it say otherwise.
echo "$1 $2" >> "$FIXTURES/runs"
if [ -e "$FIXTURES/wait" ]; then sleep 600 & echo $! >> "$FIXTURES/children"; wait; fi
if [ -e "$FIXTURES/fail-$1" ]; then echo "no feed for $1" >&2; exit 9; fi
if [ -e "$FIXTURES/empty-$1" ]; then exit 3; fi
cp "$FIXTURES/orderbook-$1.parquet" "$3" && cp "$FIXTURES/trades-$1.parquet" "$4"
"""

CONFIG = """\
store = "barn"

[run]
workers = 2

[dataset.md]
command = ["./export.sh", "{start}", "{instrument.pair}", "{output.orderbook}", "{output.trades}", "{config.levels}"]
outputs = { orderbook = "orderbook.parquet", trades = "trades.parquet" }
split = "12h"
empty_exit_codes = [3]
env = { FIXTURES = "@FIXTURES@" }

[dataset.md.config]
levels = 5
tick = 0.5
depth = 1.0
names = ["a", "b"]
fees = { maker = -1e-4, taker = 4e-4 }
live = false
"""


class Market:
    """A directory with a dataset file, and everything that it needs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fixtures = directory / "fixtures"
        self.fixtures.mkdir()
        self.config = directory / "tickbarn.toml"
        self.config.write_text(CONFIG.replace("@FIXTURES@", str(self.fixtures)))
        export = directory / "export.sh"
        export.write_text(EXPORT)
        export.chmod(0o755)
        for half in range(8):
            self.lay_ready(START + timedelta(hours=12 * half))

    def lay_ready(self, start: datetime) -> None:
        stamps = [start + timedelta(hours=2 * nth) for nth in range(ROWS)]
        times = pl.Series("ts", stamps, dtype=pl.Datetime("us", "UTC")).cast(pl.Datetime("ns", "UTC"))
        trades = pl.DataFrame({"ts": times, "price": [100.0 + nth for nth in range(ROWS)], "quantity": list(range(ROWS))})
        trades.write_parquet(self.fixtures / f"trades-{word(start)}.parquet")
        pl.DataFrame({"ts": times, "bid": [99.0] * ROWS}).write_parquet(self.fixtures / f"orderbook-{word(start)}.parquet")

    def open(self, **options: object) -> tickbarn.Store:
        return tickbarn.open(self.config, **options)  # type: ignore[arg-type]

    def say(self, what: str, start: datetime | None = None) -> None:
        (self.fixtures / (what if start is None else f"{what}-{word(start)}")).touch()

    def unsay(self, what: str, start: datetime | None = None) -> None:
        (self.fixtures / (what if start is None else f"{what}-{word(start)}")).unlink()

    @property
    def runs(self) -> int:
        """How many times the exporter was started."""
        runs = self.fixtures / "runs"
        return len(runs.read_text().splitlines()) if runs.exists() else 0

    def children(self) -> list[int]:
        """The processes that exporters started and that are still there."""
        listed = self.fixtures / "children"
        return [pid for pid in map(int, listed.read_text().split()) if is_alive(pid)] if listed.exists() else []

    def tickbarn(self, *arguments: str) -> str:
        """What the command line tool says."""
        done = subprocess.run([binary(), *arguments], cwd=self.directory, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def word(start: datetime) -> str:
    return start.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # One that is dead and that its parent, whoever that is by now, was not told of yet.
    return state != "Z"


def binary() -> str:
    """The command line tool: as TICKBARN_BIN names it, or as it was built."""
    named = os.environ.get("TICKBARN_BIN")
    if named:
        return named
    root = Path(__file__).resolve().parents[3]
    target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    for profile in ("debug", "release"):
        if (target / profile / "tickbarn").exists():
            return str(target / profile / "tickbarn")
    raise RuntimeError("the tests need the tickbarn command: build it with `cargo build -p tickbarn-cli`, or name it by TICKBARN_BIN")


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> tickbarn.Store:
    """A store without a dataset file."""
    return tickbarn.Store(tmp_path / "barn")


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a Python script, to be run as a process of its own."""

    def write(text: str) -> Path:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text))
        return path

    return write
