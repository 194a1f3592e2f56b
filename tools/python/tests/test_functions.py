"""Python functions whose results are kept."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import BTC, ETH, ROWS, START, Market

import tickbarn

DAYS = ("2024-01-01", "2024-01-03")


def table(start: datetime, value: float = 1.5) -> pl.DataFrame:
    return pl.DataFrame({"ts": [start], "value": [value]}, schema_overrides={"ts": pl.Datetime("ns", "UTC")})


def test_a_function_is_called_once_a_partition_and_read_ever_after(store: tickbarn.Store) -> None:
    calls: list[tuple[str, datetime, datetime]] = []

    @store.memoize(version="1", output="df")
    def spread(instrument: tickbarn.Instrument, start: datetime, end: datetime) -> pl.DataFrame:
        """What it says."""
        calls.append((instrument.pair, start, end))
        return table(start)

    first = spread(BTC, *DAYS).collect()
    assert first["ts"].to_list() == [START + timedelta(hours=12 * nth) for nth in range(4)]
    assert sorted(calls) == [("BTC-USDT", START + timedelta(hours=12 * nth), START + timedelta(hours=12 * nth + 12)) for nth in range(4)]
    assert spread(BTC, *DAYS).collect().equals(first) and len(calls) == 4
    assert store.load("spread", [BTC, ETH], *DAYS).summary == tickbarn.Summary(requested=8, read=8, hit=4, generated=4)
    assert (spread.__name__, spread.__doc__, spread.outputs, spread.version) == ("spread", "What it says.", ["df"], "1")
    assert spread.function(tickbarn.Instrument(BTC), START, START).height == 1


def test_tables_of_all_libraries_are_kept(store: tickbarn.Store) -> None:
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    for name, made in {
        "eager": table,
        "lazy": lambda start: table(start).lazy(),
        "arrow": lambda start: table(start).to_arrow(),
        "pandas": lambda start: pd.DataFrame({"ts": pd.to_datetime([start]), "value": [1.5]}),
        "tables": lambda start: pa.table({"ts": pa.array([start], pa.timestamp("ns", "UTC")), "value": [1.5]}),
    }.items():

        @store.memoize(version="1", name=name)
        def function(instrument: str, start: datetime, end: datetime, made: Any = made) -> Any:
            return made(start)

        frame = function(BTC, *DAYS).collect()
        assert frame["value"].to_list() == [1.5] * 4 and frame["ts"].to_list()[0] == START, name


def test_none_is_no_data_and_is_remembered(store: tickbarn.Store) -> None:
    calls = []

    @store.memoize(version="1")
    def quiet(instrument: str, start: datetime, end: datetime) -> pl.DataFrame | None:
        calls.append(start)
        return table(start) if start.hour == 0 else None

    loaded = quiet.load(BTC, *DAYS)
    assert [one.outcome for one in loaded] == ["generated", "empty", "generated", "empty"]
    assert quiet(BTC, *DAYS).collect().height == 2 and len(calls) == 4


def test_several_outputs_are_a_dict(store: tickbarn.Store) -> None:
    @store.memoize(version="1", output=["bars", "fills"])
    def both(instrument: str, start: datetime, end: datetime) -> dict[str, pl.DataFrame]:
        return {"bars": table(start, 1.0), "fills": table(start, 2.0)}

    loaded = both.load(BTC, *DAYS)
    assert [loaded.frame(name).collect()["value"].sum() for name in ("bars", "fills")] == [4.0, 8.0]

    @store.memoize(version="1", output=["bars", "fills"])
    def half(instrument: str, start: datetime, end: datetime) -> dict[str, pl.DataFrame]:
        return {"bars": table(start)}

    with pytest.raises(tickbarn.GenerationError, match="gave back the tables bars and has the outputs bars, fills"):
        half.load(BTC, *DAYS)


def test_the_config_is_in_the_key_and_given_to_the_function(store: tickbarn.Store) -> None:
    def scaled(instrument: str, start: datetime, end: datetime, factor: float) -> pl.DataFrame:
        return table(start, factor)

    made = [store.memoize(version="1", config={"factor": factor})(scaled).load(BTC, *DAYS) for factor in (2.0, 3.0, 2)]
    assert [one.summary.generated for one in made] == [4, 4, 0]
    assert [one.frame().collect()["value"].sum() for one in made] == [8.0, 12.0, 8.0]
    assert store.memoize(version="2", config={"factor": 2.0})(scaled).load(BTC, *DAYS).summary.generated == 4


def test_a_changed_source_under_the_same_version_warns(store: tickbarn.Store) -> None:
    def defined(source: str, version: str) -> tickbarn.Memoized[Any]:
        import linecache

        file = f"<cell {abs(hash(source))}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        named: dict[str, Any] = {"table": table}
        exec(compile(source, file, "exec"), named)
        return store.memoize(version=version)(named["cell"])

    first = "def cell(instrument, start, end):\n    return table(start, 1.0)\n"
    layout = "def cell(instrument, start, end):\n    # Nothing that counts.\n    return table(start,   1.0)\n"
    other = "def cell(instrument, start, end):\n    return table(start, 2.0)\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        defined(first, "1").load(BTC, *DAYS)
        defined(first, "1").load(BTC, *DAYS)
        defined(layout, "1").load(BTC, *DAYS)
        defined(other, "2").load(BTC, *DAYS)
    with pytest.warns(tickbarn.SourceChangedWarning, match="source of cell has changed .* its version is '1' still.*another version") as caught:
        stale = defined(other, "1").load(BTC, *DAYS)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert stale.frame().collect()["value"].to_list() == [1.0] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert defined(other, "1").load(BTC, *DAYS, refresh=True).frame().collect()["value"].to_list() == [2.0] * 4
        defined(other, "1").load(BTC, *DAYS)


def test_an_exception_is_a_failure_with_its_traceback(store: tickbarn.Store) -> None:
    @store.memoize(version="1")
    def broken(instrument: str, start: datetime, end: datetime) -> pl.DataFrame:
        if start.hour == 12:
            raise KeyError("no such symbol")
        return table(start)

    with pytest.raises(tickbarn.GenerationError) as caught:
        broken.load(BTC, *DAYS, workers=1)
    error = caught.value
    assert (error.failure_class, error.dataset) == ("error", "broken") and error.start == START + timedelta(hours=12)
    assert error.log_tail is not None and "KeyError: 'no such symbol'" in error.log_tail and f'File "{__file__}"' in error.log_tail
    assert [one.outcome for one in broken.load(BTC, *DAYS, on_failure="skip")].count("failed") == 2


def test_what_is_no_table_is_a_failure_that_says_what_would_be_one(store: tickbarn.Store) -> None:
    @store.memoize(version="1")
    def odd(instrument: str, start: datetime, end: datetime) -> list[int]:
        return [1]

    with pytest.raises(tickbarn.GenerationError, match="gave back a list; give back a Polars DataFrame"):
        odd.load(BTC, *DAYS)


@pytest.mark.parametrize(
    ("inputs", "config", "said"),
    [
        ({"md": "md"}, {}, "unexpected keyword argument 'md'"),
        ({}, {"start": 1}, "'start' is given twice"),
        ({"x": "mdd"}, {}, "did you mean"),
        ({"x": "md.quotes"}, {}, "no output 'quotes'; it has orderbook, trades"),
    ],
)
def test_a_function_that_could_not_be_called_is_refused_at_once(market: Market, inputs: dict[str, str], config: dict[str, Any], said: str) -> None:
    def function(instrument: str, start: datetime, end: datetime, x: object = None) -> None: ...

    with pytest.raises((tickbarn.ConfigError, tickbarn.RequestError), match=said):
        market.open().memoize(version="1", inputs=inputs, config=config)(function)


def test_inputs_are_lazy_frames_of_the_same_partition(market: Market) -> None:
    store = market.open()

    @store.memoize(version="1", output="df", inputs={"md": "md", "trades": "md.trades"}, split="6h")
    def merged(instrument: str, start: datetime, end: datetime, md: tickbarn.Frames, trades: pl.LazyFrame) -> pl.LazyFrame:
        assert set(md) == {"orderbook", "trades"} and md["trades"] is not None and md.orderbook is not None
        return trades.join(md.orderbook, on="ts").with_columns(first=pl.lit(start))

    @store.memoize(version="1", inputs={"merged": merged}, config={"factor": 2})
    def scaled(instrument: str, start: datetime, end: datetime, merged: pl.LazyFrame, factor: int) -> pl.LazyFrame:
        return merged.select("ts", pl.col("bid") * factor)

    loaded = scaled.load(BTC, "2024-01-01", "2024-01-02")
    assert loaded.frame().collect()["bid"].to_list() == [198.0] * (2 * ROWS)
    assert {one.dataset for one in loaded.upstream} == {"md", "merged"} and market.runs == 2
    # Each quarter of a day holds its own rows, and no other.
    quarters = store.load("merged", BTC, "2024-01-01", "2024-01-02")
    for one in quarters:
        times = pl.read_parquet(one.paths["df"])["ts"].to_list()
        assert len(times) == 3 and all(one.start <= moment < one.end for moment in times)
    # What is made again with the same bytes moves nothing further down.
    store.load("md", BTC, "2024-01-01", "2024-01-02", refresh=True)
    assert scaled.load(BTC, "2024-01-01", "2024-01-02").summary.hit == 2


def test_an_input_without_data_is_none(market: Market) -> None:
    market.say("empty", START)
    store = market.open()

    @store.memoize(version="1", inputs={"trades": "md.trades"})
    def counted(instrument: str, start: datetime, end: datetime, trades: pl.LazyFrame | None) -> pl.DataFrame | None:
        return None if trades is None else table(start, trades.select(pl.len()).collect().item())

    assert [one.outcome for one in counted.load(BTC, *DAYS)] == ["empty", "generated", "generated", "generated"]


def square(instrument: str, start: datetime, end: datetime, factor: int) -> pl.DataFrame:
    import os

    return table(start, float(os.getpid()))


@pytest.fixture
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def test_functions_run_in_the_executor_that_is_given(store: tickbarn.Store, processes: ProcessPoolExecutor) -> None:
    import os

    by_process = store.memoize(version="1", config={"factor": 2}, executor=processes)(square)
    pids = set(by_process(BTC, *DAYS).collect()["value"].to_list())
    assert pids and os.getpid() not in pids

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as threads:

        @store.memoize(version="1", executor=threads)
        def named(instrument: str, start: datetime, end: datetime) -> pl.DataFrame:
            return pl.DataFrame({"ts": [start], "thread": [threading.current_thread().name]})

        assert named(BTC, *DAYS).collect()["thread"].unique().to_list() == ["mine_0"]


def test_a_local_function_that_no_other_process_could_find_is_told_so(store: tickbarn.Store, processes: ProcessPoolExecutor) -> None:
    @store.memoize(version="1", executor=processes)
    def local(instrument: str, start: datetime, end: datetime) -> pl.DataFrame:
        return table(start)

    with pytest.raises(tickbarn.GenerationError, match="at the top of a module, or use threads"):
        local.load(BTC, *DAYS)


def test_a_function_that_is_known_to_the_library_is_known_by_what_it_declares(tmp_path: Path) -> None:
    def function(instrument: str, start: datetime, end: datetime) -> pl.DataFrame:
        return table(start)

    one, other = tickbarn.Store(tmp_path / "one"), tickbarn.Store(tmp_path / "other")
    addresses = [[part.address for part in store.memoize(version="1", name="f")(function).load(BTC, *DAYS)] for store in (one, other)]
    assert addresses[0] == addresses[1]
