"""How long it takes to load what is there: 2,000 partitions, a frame of them, and a count; beside the plain way in the same run.

The plain way is what scripts did before: a thread pool that scans each file and resolves its schema, then all of them together.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl

import tickbarn

PARTITIONS = 2_000
COLUMNS = 41
ROWS = 50
RUNS = 7
WORKERS = 10

START = datetime(2020, 1, 1, tzinfo=timezone.utc)
END = START + PARTITIONS * timedelta(hours=12)
INSTRUMENT = "binance/BTC-USDT"


def seconds(work: Callable[[], int]) -> float:
    """The median of some runs, after one that does not count."""
    times = []
    for nth in range(RUNS + 1):
        began = time.perf_counter()
        counted = work()
        if nth > 0:
            times.append(time.perf_counter() - began)
        assert counted == PARTITIONS * ROWS, counted
    return statistics.median(times)


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="tickbarn-bench-"))
    try:
        store = tickbarn.Store(directory / "barn", progress=False)

        @store.memoize(version="1", name="book")
        def make(instrument: str, start: datetime, end: datetime) -> pl.DataFrame:
            ts = pl.datetime_range(start, end, interval="864s", closed="left", eager=True).head(ROWS).cast(pl.Datetime("ns", "UTC"))
            return pl.DataFrame({"ts": ts, **{f"price_{nth}": [float(nth)] * ROWS for nth in range(COLUMNS - 1)}})

        made = store.load(make, INSTRUMENT, START, END)
        paths = [str(path) for path in made.paths()]
        # Opened anew, as the next notebook does.
        warm = tickbarn.Store(directory / "barn", progress=False)
        book = warm.memoize(version="1", name="book")(make.function)

        def load() -> int:
            return int(warm.load(book, INSTRUMENT, START, END, on_missing="fail").frame().select(pl.len()).collect().item())

        def plain() -> int:
            def one(path: str) -> pl.LazyFrame:
                frame = pl.scan_parquet(path)
                frame.collect_schema()
                return frame

            with ThreadPoolExecutor(WORKERS) as pool:
                frames = list(pool.map(one, paths))
            return int(pl.concat(frames).select(pl.len()).collect().item())

        ours, theirs = seconds(load), seconds(plain)
        only = seconds(lambda: len(warm.load(book, INSTRUMENT, START, END, on_missing="fail")) * ROWS)
        print(f"{PARTITIONS} partitions of {COLUMNS} columns, median of {RUNS} runs")
        print(f"load, frame and count  {ours * 1e3:8.1f} ms  {ours / PARTITIONS * 1e6:6.1f} µs a partition")
        print(f"of that the load       {only * 1e3:8.1f} ms  {only / PARTITIONS * 1e6:6.1f} µs a partition")
        print(f"the plain way          {theirs * 1e3:8.1f} ms  {theirs / PARTITIONS * 1e6:6.1f} µs a partition")
        print(f"ratio                  {theirs / ours:8.1f}")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
