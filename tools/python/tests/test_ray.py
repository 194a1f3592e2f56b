"""Loads on the notebook's live Ray session. They need the package ``ray``, and are left out without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import BTC, Market

import tickbarn

DAYS = ("2024-01-01", "2024-01-03")


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    # Of its own: without a word it would join what another program has left written down.
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


def test_generators_run_in_the_live_session(session: Any, market: Market) -> None:
    runner = tickbarn.Ray()
    assert session.get_runtime_context().gcs_address in repr(runner)
    store = market.open()
    loaded = store.load("md", BTC, *DAYS, runner=runner)
    assert loaded.summary.generated == 4
    address = loaded[0].address
    assert address is not None and "ray node" in market.tickbarn("show", address).lower()
    assert market.open().load("md", BTC, *DAYS).summary.hit == 4, "where a generator ran is in no address"


def test_a_cluster_that_nobody_answers_for_is_an_error_of_its_own(market: Market) -> None:
    with pytest.raises(tickbarn.ClusterError) as caught:
        market.open().load("md", BTC, *DAYS, runner=tickbarn.Ray("127.0.0.1:1"))
    assert (caught.value.cluster, caught.value.fault) == ("127.0.0.1:1", "unreachable")
    assert market.runs == 0


def test_a_load_that_finds_everything_needs_no_cluster(market: Market) -> None:
    store = market.open()
    store.load("md", BTC, *DAYS)
    assert store.load("md", BTC, *DAYS, runner=tickbarn.Ray("127.0.0.1:1")).summary.hit == 4
