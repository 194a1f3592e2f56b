"""Loads: outcomes, policies, frames, and the exceptions that say what went wrong."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from conftest import BTC, ETH, ROWS, START, Market

import tickbarn
from tickbarn._frames import _scan_knows

DAYS = ("2024-01-01", "2024-01-03")


def test_a_failure_that_ends_a_load_says_everything(market: Market) -> None:
    market.say("fail", START + timedelta(hours=12))
    with pytest.raises(tickbarn.GenerationError) as caught:
        market.open(workers=1).load("md", BTC, *DAYS)
    error = caught.value
    assert (error.dataset, error.instrument, error.failure_class) == ("md", BTC, "exit")
    assert error.interval == (START + timedelta(hours=12), START + timedelta(hours=24))
    assert error.log_tail == "no feed for 2024-01-01T12:00:00Z"
    assert "no feed for" in str(error) and error.address is not None
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is tickbarn.GenerationError and str(again) == str(error) and again.log_tail == error.log_tail


def test_a_failure_may_be_left_out_and_tried_again(market: Market) -> None:
    market.say("fail", START)
    store = market.open()
    loaded = store.load("md", BTC, *DAYS, on_failure="skip")
    assert [one.outcome for one in loaded] == ["failed", "generated", "generated", "generated"]
    assert str(loaded.summary) == "Read 3 out of 4 (75.00%)"
    failure = loaded.failed[0].failure
    assert failure is not None and failure.failure_class == "exit" and "no feed" in failure.log_tail
    market.unsay("fail", START)
    assert store.load("md", loaded.gaps).summary.generated == 1


def test_what_is_missing_may_be_an_error_or_left_out(market: Market) -> None:
    store = market.open()
    store.load("md", BTC, "2024-01-01", "2024-01-02")
    with pytest.raises(tickbarn.MissingError) as caught:
        store.load("md", BTC, *DAYS, on_missing="fail")
    assert (caught.value.missing, caught.value.requested, caught.value.start) == (2, 4, START + timedelta(days=1))
    loaded = store.load("md", BTC, *DAYS, mode="ReadIgnoreErrors")
    assert [one.outcome for one in loaded] == ["hit", "hit", "missing", "missing"]
    assert loaded.frame("trades").select(pl.len()).collect().item() == 2 * ROWS


def test_what_has_no_data_is_an_answer(market: Market) -> None:
    market.say("empty", START)
    store = market.open()
    loaded = store.load("md", BTC, *DAYS)
    assert loaded.summary == tickbarn.Summary(requested=4, read=4, generated=3, empty=1)
    assert loaded[0].paths == {} and loaded[0].is_read
    assert loaded.frame("trades").select(pl.len()).collect().item() == 3 * ROWS


def test_a_frame_is_one_scan_in_request_order(market: Market) -> None:
    loaded = market.open().load("md", [ETH, BTC], *DAYS)
    frame = loaded.frame("trades")
    assert frame.explain().count("SCAN") == 1
    assert frame.collect()["ts"].to_list()[: 4 * ROWS] == sorted(frame.collect()["ts"].to_list()[: 4 * ROWS])
    assert frame.select(pl.len()).collect().item() == 8 * ROWS
    named = loaded.frame("trades", instrument_columns=True).collect()
    assert named["pair"].unique(maintain_order=True).to_list() == ["ETH-USDT", "BTC-USDT"]
    apart = loaded.frames_by_instrument("trades")
    assert {one: frame.select(pl.len()).collect().item() for one, frame in apart.items()} == {ETH: 4 * ROWS, BTC: 4 * ROWS}
    assert isinstance(next(iter(apart)), tickbarn.Instrument)


def test_a_filter_on_time_opens_only_the_files_that_it_leaves(market: Market) -> None:
    if not _scan_knows():
        pytest.skip(f"Polars {pl.__version__} cannot be told of files beforehand")
    loaded = market.open().load("md", BTC, *DAYS)
    frame = loaded.frame("trades")
    first = loaded[0].paths["trades"]
    aside = first.with_name("aside")
    first.rename(aside)
    try:
        assert frame.select(pl.len()).collect().item() == 4 * ROWS, "a count opens none"
        later = frame.filter(pl.col("ts") >= START + timedelta(days=1)).collect()
        assert later.height == 2 * ROWS
        with pytest.raises(Exception, match="No such file"):
            frame.collect()
    finally:
        aside.rename(first)


def test_edges_that_were_cut_are_trimmed_and_nothing_counts_twice(market: Market) -> None:
    market.config.write_text(market.config.read_text().replace('split = "12h"', 'split = { every = "12h", align = "cover" }'))
    store = market.open()
    loaded = store.load("md", BTC, "2024-01-01T06:00", "2024-01-02T05:00")
    times = loaded.frame("trades").collect()["ts"].to_list()
    assert (times[0], times[-1]) == (START + timedelta(hours=6), START + timedelta(hours=28))
    assert loaded.frame("trades", untrimmed=True).select(pl.len()).collect().item() == 3 * ROWS
    twice = store.load("md", [(BTC, "2024-01-01T06:00", "2024-01-02"), (BTC, "2024-01-01", "2024-01-02")])
    assert sorted(twice.frame("trades").collect()["ts"].to_list()) == [START + timedelta(hours=2 * nth) for nth in range(2 * ROWS)]
    with pytest.raises(tickbarn.FrameError, match="time_column="):
        loaded.frame("trades", time_column="price")


def test_tables_of_other_columns_are_refused_by_name_or_united(market: Market) -> None:
    odd = market.fixtures / "trades-2024-01-01T12:00:00Z.parquet"
    pl.read_parquet(odd).with_columns(pl.col("quantity").cast(pl.Float64), side=pl.lit("buy")).write_parquet(odd)
    loaded = market.open().load("md", BTC, *DAYS)
    with pytest.raises(tickbarn.FrameError, match="quantity is Int64 in the first and Float64 in the second, side .* is only in the second") as caught:
        loaded.frame("trades")
    assert "2024-01-01T12:00:00Z" in str(caught.value)
    united = loaded.frame("trades", relaxed=True).collect()
    assert united.height == 4 * ROWS and united["side"].null_count() == 3 * ROWS and united.schema["quantity"] == pl.Float64


def test_a_frame_of_nothing_has_the_columns_where_any_table_tells_them(store: tickbarn.Store) -> None:
    @store.memoize(version="1")
    def nothing(instrument: str, start: datetime, end: datetime) -> pl.DataFrame:
        return pl.DataFrame(schema={"ts": pl.Datetime("us"), "price": pl.Float64})

    assert nothing(BTC, *DAYS).collect_schema() == {"ts": pl.Datetime("us"), "price": pl.Float64}

    @store.memoize(version="1")
    def silent(instrument: str, start: datetime, end: datetime) -> None:
        return None

    with pytest.raises(tickbarn.FrameError, match="no data"):
        silent.load(BTC, *DAYS).frame("table")


def test_an_output_that_is_not_there_is_named_with_those_that_are(market: Market) -> None:
    loaded = market.open().load("md", BTC, *DAYS)
    with pytest.raises(tickbarn.FrameError, match="orderbook, trades"):
        loaded.frame("quotes")
    with pytest.raises(tickbarn.FrameError, match="say which"):
        loaded.frame()


def test_partitions_are_plain_data(market: Market) -> None:
    loaded = market.open().load("md", BTC, *DAYS)
    first = loaded[0]
    assert (first.instrument.market, first.instrument.pair, first.start) == ("binance", "BTC-USDT", START)
    assert first.rows == {"orderbook": ROWS, "trades": ROWS}
    assert all(isinstance(path, Path) and path.is_file() for path in first.paths.values())
    assert pickle.loads(pickle.dumps(first)) == first
    assert [one.start_ns for one in loaded[-2:]] == [loaded[2].start_ns, loaded[3].start_ns]
    assert loaded.paths("trades") == [one.paths["trades"] for one in loaded]
    with pytest.raises(IndexError):
        loaded[4]


def test_times_of_any_zone_are_the_same_moment(market: Market) -> None:
    store = market.open()
    wanted = [one.address for one in store.load("md", BTC, "2024-01-01", "2024-01-02")]
    east = timezone(timedelta(hours=9))
    loaded = store.load("md", BTC, datetime(2024, 1, 1, 9, tzinfo=east), datetime(2024, 1, 2, 9, tzinfo=east), on_missing="fail")
    assert [one.address for one in loaded] == wanted


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("md", "../../etc/passwd", "2024-01-01", "2024-01-02"), "MARKET/PAIR"),
        (("md", BTC, "yesterday", "2024-01-02"), "yesterday"),
        (("md", BTC, "2024-01-02", "2024-01-01"), "before its end"),
        (("md", BTC, "2024-01-01"), "both start and end"),
        (("md", BTC, 1.5, "2024-01-02"), "of type float"),
        (("md", BTC, True, "2024-01-02"), "of type bool"),
        (("md", BTC, 2**70, "2024-01-02"), "64-bit nanoseconds"),
        (("md", []), "nothing to load"),
        (("md", [{"instrument": BTC, "start": "2024-01-01"}]), "record 1 has no end"),
        (("md", [{"instrument": BTC, "start": "2024-01-01", "end": "2024-01-02", "jobs": 3}]), "'jobs'"),
        (("md", [{"instrument": {"market": "x", "pear": "y"}, "start": "2024-01-01", "end": "2024-01-02"}]), "record 1: its instrument"),
        (("md", [(BTC, "2024-01-01", "2024-01-02"), 7]), "record 2 is of type int"),
        (("md", pl.DataFrame({"a": [1]})), "columns instrument"),
        (("md", pl.DataFrame({"instrument": [BTC], "start": [None], "end": [None]}, schema_overrides={"start": pl.Datetime, "end": pl.Datetime})), "nulls"),
        (("mdd", BTC, "2024-01-01", "2024-01-02"), "did you mean"),
        (("md", "nowhere.json"), "nowhere.json"),
        ((5, BTC, "2024-01-01", "2024-01-02"), "not int"),
        (([], BTC, "2024-01-01", "2024-01-02"), "no dataset is named"),
        (("md", BTC, "2999-01-01", "2999-01-02"), "future|2262"),
    ],
)
def test_what_means_nothing_is_refused_in_words_before_anything_runs(market: Market, asked: tuple[object, ...], said: str) -> None:
    with pytest.raises((tickbarn.RequestError, tickbarn.ConfigError), match=said) as caught:
        market.open().load(*asked)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError) and len(str(caught.value)) < 600
    assert market.runs == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on_missing": "make"}, "on_missing: .*generate, fail, skip"),
        ({"mode": "read"}, "mode: .*ReadIgnoreErrors"),
        ({"refresh": True, "on_missing": "skip"}, "leave one of them out"),
        ({"wait": "soon"}, "wait: "),
        ({"wait": -1}, "negative"),
        ({"memory": "much"}, "memory: "),
        ({"workers": -1}, "workers is how many"),
    ],
)
def test_options_that_mean_nothing_are_refused_with_those_that_do(market: Market, options: dict[str, object], said: str) -> None:
    with pytest.raises(tickbarn.RequestError, match=said):
        market.open().load("md", BTC, *DAYS, **options)  # type: ignore[arg-type]


def test_a_dataset_file_that_is_not_right_is_named_with_its_line(market: Market) -> None:
    market.config.write_text(market.config.read_text().replace('split = "12h"', 'splitt = "12h"'))
    with pytest.raises(tickbarn.ConfigError, match="did you mean split") as caught:
        market.open()
    assert caught.value.path == str(market.config) and caught.value.line == 9
    with pytest.raises(tickbarn.ConfigError, match="no such file"):
        tickbarn.open(market.directory / "other.toml")


def test_a_store_that_is_none_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(tickbarn.StoreError) as caught:
        tickbarn.Store(tmp_path / "file")
    assert caught.value.path is not None and (tmp_path / "file").read_text() == "mine"
    newer = tickbarn.Store(tmp_path / "barn").path / "STORE"
    newer.chmod(0o644)
    newer.write_text(newer.read_text().replace('"format":1', '"format":99').replace('"format": 1', '"format": 99'))
    with pytest.raises(tickbarn.TickbarnError):
        tickbarn.Store(tmp_path / "barn")


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_filter_finds_the_same_rows_by_statistics_as_without(store: tickbarn.Store, unit: str, zone: str | None) -> None:
    @store.memoize(version="1", config={"unit": unit, "zone": zone}, split="6h")
    def table(instrument: str, start: datetime, end: datetime, unit: str, zone: str | None) -> pl.DataFrame:
        first = int(start.timestamp()) * 10**9
        times = pl.Series("ts", [first + nth * 1_999_999_999_999 for nth in range(8)]).cast(pl.Datetime("ns", zone)).cast(pl.Datetime(unit, zone))  # type: ignore[arg-type]
        count = pl.Series("count", [first // 10**9 - nth for nth in range(8)], dtype=pl.UInt64)
        holes = pl.Series("holes", [None, *range(start.hour, start.hour + 7)], dtype=pl.Int64)
        nothing = pl.Series("nothing", [None] * 8, dtype=pl.Int64)
        return pl.DataFrame([times, count, holes, nothing, pl.Series("price", [1.5] * 8), pl.Series("point", [{"x": 1, "y": None}] * 8)])

    frame = table(BTC, *DAYS)
    everything = frame.collect()
    assert everything.height == 8 * 8
    middle = everything["ts"][20]
    for condition in (
        pl.col("ts") == middle,
        pl.col("ts") >= middle,
        pl.col("ts") < middle,
        pl.col("ts").is_between(everything["ts"][7], everything["ts"][8]),
        pl.col("count") > everything["count"][30],
        pl.col("holes") > 20,
        pl.col("holes").is_null(),
        pl.col("holes").is_not_null() & (pl.col("holes") < 3),
        pl.col("nothing").is_null(),
        pl.col("nothing") > 1,
        pl.col("price") > 1,
        pl.col("point").struct.field("x") == 1,
    ):
        assert frame.filter(condition).collect().equals(everything.filter(condition)), str(condition)
