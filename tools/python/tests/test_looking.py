"""What a store says of itself: coverage, why, plans, collections, pins, findings, and how that looks in a notebook."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from conftest import BTC, ETH, ROWS, START, Market

import tickbarn

DAYS = ("2024-01-01", "2024-01-03")


def test_coverage_tells_what_is_there_and_its_gaps_can_be_loaded(market: Market) -> None:
    store = market.open()
    market.say("fail", START)
    market.say("empty", START + timedelta(hours=12))
    store.load("md", BTC, "2024-01-01", "2024-01-02", on_failure="skip")
    found = store.coverage("md", [BTC, ETH], *DAYS)
    bitcoin, ether = found.instruments
    day = START + timedelta(hours=24)
    assert [(len(one.have), len(one.empty), len(one.failed), len(one.missing)) for one in (bitcoin, ether)] == [(0, 1, 1, 1), (0, 0, 0, 1)]
    assert bitcoin.missing == [tickbarn.Interval(day, day + timedelta(days=1))] and bitcoin.share == 0.25
    market.unsay("fail", START)
    store.load("md", found.gaps)
    assert store.coverage("md").share == 1.0 and store.coverage("md").gaps == []
    assert "md" in str(found) and "25.00%" in str(found)
    with pytest.raises(tickbarn.RequestError):
        store.coverage("nothing")


def test_why_says_in_what_the_keys_differ(market: Market) -> None:
    market.open().load("md", BTC, *DAYS)
    store = market.open(settings=["md.config.levels=6"])
    why = store.why("md", BTC, START)
    assert why.standing == "absent" and why.nearest[0].differences == ["config.levels 5 → 6"]
    assert "config.levels 5 → 6" in str(why)
    assert market.open().why("md", BTC, START).standing == "usable"
    market.say("fail", START)
    store.load("md", BTC, *DAYS, on_failure="skip")
    failed = store.why("md", BTC, START)
    assert (failed.failures, failed.failure_class, failed.log_tail) == (1, "exit", "no feed for 2024-01-01T00:00:00Z")


def test_a_plan_does_nothing_and_says_what_a_load_would(market: Market) -> None:
    store = market.open()
    store.load("md", BTC, "2024-01-01", "2024-01-02")
    plan = store.plan("md", [BTC, ETH], *DAYS)
    assert plan.counts() == {"hit": 2, "generate": 6} and plan.generated == 6
    assert plan.seconds is not None and plan.bytes is not None and "Would generate 6 partitions" in str(plan)
    assert market.runs == 2 and store.plan("md", ETH, *DAYS, on_missing="fail").stop == "missing"


def test_a_collection_is_priced_before_it_is_carried_out_and_pins_hold(market: Market) -> None:
    # Entries that this process was handed are held by its lease: another one has made these.
    for instrument in (BTC, ETH):
        market.tickbarn("load", "md", "--instrument", instrument, "--start", DAYS[0], "--end", DAYS[1])
    store = market.open()
    store.pin("paper", instruments=BTC)
    assert [(pin.name, pin.instruments) for pin in store.pins()] == [("paper", [BTC])]
    plan = store.gc(dry_run=True, datasets="md", grace="0s")
    assert isinstance(plan, tickbarn.GcPlan)
    assert (plan.entries, plan.kept_pinned) == (4, 4) and {one.instrument for one in plan.going()} == {ETH}
    assert store.load("md", ETH, "2024-01-01", "2024-01-01T12:00").summary.hit == 1
    swept = plan.sweep()
    assert (swept.entries, swept.kept) == (3, 1), "what was handed out since stays"
    with pytest.raises(tickbarn.RequestError, match="carried out before"):
        plan.sweep()
    store.unpin("paper")
    assert store.pins() == []
    with pytest.raises(tickbarn.RequestError, match="nothing says what may go"):
        store.gc()
    with pytest.raises(tickbarn.RequestError, match="max_bytes: "):
        store.gc(max_bytes="much")


def test_what_is_damaged_is_found_and_made_again(market: Market) -> None:
    store = market.open()
    path = store.load("md", BTC, *DAYS)[0].paths["trades"]
    assert store.verify(digest=True).is_clean
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    found = store.verify(digest=True)
    assert not found.is_clean and path in [finding.path for finding in found.problems] and "problems" in str(found)
    assert store.verify(digest=True, repair=True).is_clean and store.verify(digest=True).is_clean
    # Both halves of the day lie under other digests.
    assert store.load("md", BTC, *DAYS).summary.generated == 1


class Page(HTMLParser):
    """Checks that tags are closed, and collects the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_outcomes_coverage_and_failures(market: Market) -> None:
    market.say("fail", START)
    store = market.open()
    loaded = store.load("md", [BTC, ETH], *DAYS, on_failure="skip")
    page = Page(loaded._repr_html_())
    assert "Read 6 out of 8 (75.00%)" in page.text and "exit" in page.text and page.seen.count("svg") == 2
    assert page.seen.count("rect") == 4, "neighbours of one outcome are one shape"
    assert "coverage" in Page(store.coverage("md")._repr_html_()).text
    assert "Would generate 4 partitions" in Page(store.plan("md", "kraken/X", *DAYS)._repr_html_()).text
    assert "would go" in Page(store.gc(dry_run=True, datasets="md")._repr_html_()).text  # type: ignore[union-attr]
    assert "orderbook, trades" in Page(store._repr_html_()).text
    assert repr(loaded) == "<tickbarn.Loaded: Read 6 out of 8 (75.00%)>"


def test_names_cannot_break_out_of_a_notebook_s_page(store: tickbarn.Store) -> None:
    def hostile(instrument: str, start: object, end: object) -> None:
        raise ValueError("<script>alert(1)</script>")

    loaded = store.memoize(version="1")(hostile).load("x/<b>&'\"", *DAYS, on_failure="skip")
    page = Page(loaded._repr_html_())
    assert not {"script", "b"} & set(page.seen[1:]) and "<script>" in page.text


def test_stores_that_know_nothing_yet_look_like_it(store: tickbarn.Store) -> None:
    assert "tickbarn store" in Page(store._repr_html_()).text
    assert store.datasets == [] and store.config is None and store.verify().entries == 0
    with pytest.raises(tickbarn.RequestError, match="store.define"):
        store.load("md", BTC, *DAYS)


def test_rows_are_told_without_opening_files(market: Market) -> None:
    loaded = market.open().load("md", BTC, *DAYS)
    assert sum(one.rows["trades"] for one in loaded) == 4 * ROWS
