"""One cache from two sides: what the command line made is a hit in a notebook, and the other way round."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import BTC, ETH, Market

import tickbarn

RANGE = ["--instrument", BTC, "--start", "2024-01-01", "--end", "2024-01-03"]


def test_what_the_command_line_made_is_a_hit_here_under_the_same_address(market: Market) -> None:
    lines = [json.loads(line) for line in market.tickbarn("load", "md", *RANGE, "--json").splitlines()]
    told = [line["address"] for line in lines if "address" in line]
    loaded = market.open().load("md", BTC, "2024-01-01", "2024-01-03")
    assert [one.outcome for one in loaded] == ["hit"] * 4
    assert sorted(str(one.address) for one in loaded) == sorted(told)
    assert market.runs == 4


def test_what_was_made_here_is_a_hit_for_the_command_line(market: Market) -> None:
    loaded = market.open().load("md", BTC, "2024-01-01", "2024-01-03")
    assert loaded.summary.generated == 4
    lines = [json.loads(line) for line in market.tickbarn("load", "md", *RANGE, "--json").splitlines()]
    assert [line["outcome"] for line in lines if "address" in line] == ["hit"] * 4
    assert market.runs == 4


def test_a_definition_in_python_has_the_addresses_of_the_same_definition_in_toml(market: Market) -> None:
    tomllib = pytest.importorskip("tomllib")
    by_file = market.open()
    said: dict[str, Any] = tomllib.loads(market.config.read_text())["dataset"]["md"]
    here = tickbarn.Store(by_file.path)
    here.define(
        "anything",
        said["command"],
        outputs=said["outputs"],
        split=said["split"],
        empty_exit_codes=said["empty_exit_codes"],
        env=said["env"],
        # Whatever of Python's forms: what TOML writes as 1.0 is the 1 of a key.
        config={**said["config"], "depth": 1, "names": ("a", "b")},
        base_dir=market.directory,
    )
    made = by_file.load("md", BTC, "2024-01-01", "2024-01-03")
    found = here.load("anything", BTC, "2024-01-01", "2024-01-03")
    assert [one.address for one in found] == [one.address for one in made]
    assert found.summary.hit == 4


def test_another_configuration_is_another_address(market: Market) -> None:
    first = market.open().load("md", BTC, "2024-01-01", "2024-01-02")
    other = market.open(settings=["md.config.levels=6"]).load("md", BTC, "2024-01-01", "2024-01-02")
    assert other.summary.generated == 2
    assert not {one.address for one in first} & {one.address for one in other}


@pytest.mark.parametrize(
    ("value", "said"),
    [(object(), "config.levels is of type object"), (2**80, "must fit 64 bits"), ({1: 2}, "must be texts"), ([{"a": {1, 2}}], r"config.levels\[0\].a")],
)
def test_a_value_that_has_no_one_form_in_a_key_is_refused_where_it_stands(store: tickbarn.Store, value: object, said: str) -> None:
    with pytest.raises(tickbarn.ConfigError, match=said):
        store.define("md", ["true", "{output.t}"], outputs={"t": "t.parquet"}, config={"levels": value})


def test_a_configuration_that_holds_itself_is_refused(store: tickbarn.Store) -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(tickbarn.ConfigError, match="does it hold itself"):
        store.define("md", ["true", "{output.t}"], outputs={"t": "t.parquet"}, config={"levels": endless})


def test_all_forms_of_intervals_ask_for_the_same(market: Market) -> None:
    import polars as pl

    store = market.open()
    wanted = [one.address for one in store.load("md", [(BTC, "2024-01-01", "2024-01-02"), (ETH, "2024-01-01", "2024-01-02")])]
    records = [tickbarn.InstrumentInterval.of(one, "2024-01-01", "2024-01-02") for one in (BTC, ETH)]
    path = market.directory / "intervals.json"
    path.write_text(json.dumps([record.to_dict() for record in records]))
    frame = pl.DataFrame({"instrument": [BTC, ETH], "start": [record.start for record in records], "end": [record.end for record in records]})
    apart = frame.with_columns(market=pl.lit("binance"), pair=pl.col("instrument").str.slice(8)).drop("instrument")
    texts = frame.with_columns(start=pl.lit("2024-01-01"), end=pl.lit("2024-01-02"))
    structs = apart.select(pl.struct("market", "pair").alias("instrument"), "start", "end")
    for form in (records, [record.to_dict() for record in records], path, str(path), frame, frame.lazy(), apart, texts, structs):
        assert [one.address for one in store.load("md", form, on_missing="fail")] == wanted
    for start in ("2024-01-01", records[0].start, records[0].start.date(), records[0].start.replace(tzinfo=None), records[0].interval.start_ns):
        assert [one.address for one in store.load("md", [BTC, ETH], start, "2024-01-02", on_missing="fail")] == wanted


def test_nanoseconds_are_kept(store: tickbarn.Store) -> None:
    import polars as pl

    seen = []

    @store.memoize(version="1", split="1h", align="start")
    def table(instrument: str, start: object, end: object) -> None:
        seen.append((start, end))

    first = 1_704_067_200_000_000_001
    loaded = store.load(table, [(BTC, first, first + 7)])
    assert (loaded[0].start_ns, loaded[0].end_ns) == (first, first + 7)
    assert str(loaded[0].interval) == "2024-01-01T00:00:00.000000001Z/2024-01-01T00:00:00.000000008Z"
    frame = pl.DataFrame({"instrument": [BTC], "start": [first], "end": [first + 7]}).with_columns(pl.col("start", "end").cast(pl.Datetime("ns")))
    assert [one.address for one in store.load(table, frame, on_missing="fail")] == [loaded[0].address]
