"""Ctrl-C, forks, threads, event loops: a load ends with whoever waits for it and leaves nothing, and goes on to work wherever it is called."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import BTC, ETH, Market

import tickbarn

DAYS = ("2024-01-01", "2024-01-03")
# Longer than anything takes on a slow machine, and not what is asserted.
LONG_S = 60.0


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.01)


WAITING = {
    "load": "store.load('md', 'binance/BTC-USDT', '2024-01-01', '2024-01-03')",
    "submit": "tickbarn.wait(store.submit('md', 'binance/BTC-USDT', '2024-01-01', '2024-01-03'))",
    "a future": "store.submit('md', 'binance/BTC-USDT', '2024-01-01', '2024-01-03')[0].result()",
    "asyncio": "import asyncio; asyncio.run(store.load_async('md', 'binance/BTC-USDT', '2024-01-01', '2024-01-03'))",
}


@pytest.mark.parametrize("way", WAITING)
def test_ctrl_c_ends_a_load_and_all_that_it_started(market: Market, script: Callable[[str], Path], way: str) -> None:
    market.say("wait")
    path = script(f"import tickbarn\nstore = tickbarn.open({str(market.config)!r})\n{WAITING[way]}\n")
    process = subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        until(lambda: len(market.children()) == 2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=LONG_S)
    finally:
        process.kill()
    assert process.returncode in (1, -signal.SIGINT) and "KeyboardInterrupt" in told, told
    until(lambda: not market.children())
    # Nothing stands in the way of whoever comes next.
    market.unsay("wait")
    assert market.open().load("md", BTC, *DAYS).summary.generated == 4
    assert not list((market.directory / "barn" / "work").iterdir())


def test_ctrl_c_ends_a_load_whose_function_does_not_return(tmp_path: Path, script: Callable[[str], Path]) -> None:
    begun = tmp_path / "begun"
    path = script(f"""
        import pathlib, time, tickbarn
        store = tickbarn.Store({str(tmp_path / 'barn')!r})
        @store.memoize(version="1")
        def endless(instrument, start, end):
            pathlib.Path({str(begun)!r}).touch()
            while True:
                time.sleep(0.01)
        endless("binance/BTC-USDT", "2024-01-01", "2024-01-03")
    """)
    process = subprocess.Popen([sys.executable, path], stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        until(begun.exists)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=LONG_S)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in told, told


def test_an_exit_in_the_middle_of_a_load_takes_its_processes_along(market: Market, script: Callable[[str], Path]) -> None:
    market.say("wait")
    path = script(f"""
        import time, tickbarn
        futures = tickbarn.open({str(market.config)!r}).submit("md", "binance/BTC-USDT", "2024-01-01", "2024-01-03")
        while not {str(market.fixtures / 'children')!r} or not __import__("os").path.exists({str(market.fixtures / 'children')!r}):
            time.sleep(0.01)
    """)
    subprocess.run([sys.executable, path], timeout=LONG_S, check=True)
    until(lambda: not market.children())


def test_an_exit_right_behind_the_last_future_waits_for_what_it_calls_back(market: Market, script: Callable[[str], Path]) -> None:
    path = script(f"""
        import time, tickbarn
        futures = tickbarn.open({str(market.config)!r}).submit("md", "binance/BTC-USDT", "2024-01-01", "2024-01-03", on_missing="fail")
        def busy(future):
            end = time.monotonic() + 1
            while time.monotonic() < end:
                pass
            print("told", flush=True)
        futures[-1].add_done_callback(busy)
        tickbarn.wait(futures)
    """)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=LONG_S, check=False)
    assert (done.returncode, done.stdout) == (0, "Read 0 out of 4 (0.00%)\ntold\n"), done.stderr


def test_other_threads_go_on_while_a_load_waits(market: Market) -> None:
    market.say("wait")
    store = market.open()
    futures = store.submit("md", BTC, *DAYS)
    until(lambda: market.runs == 2)
    assert not any(future.done() for future in futures)
    futures.cancel()
    for future in futures:
        assert isinstance(future.exception(timeout=LONG_S), tickbarn.LoadCancelled)
    until(lambda: not market.children())


def test_threads_that_ask_for_the_same_share_the_work(market: Market) -> None:
    store = market.open()
    with ThreadPoolExecutor(8) as pool:
        loads = list(pool.map(lambda _: store.load("md", BTC, *DAYS), range(8)))
    assert all(loaded.summary.read == 4 for loaded in loads)
    assert market.runs == 4


def test_a_forked_child_works_with_its_parent_s_store(market: Market) -> None:
    store = market.open()
    assert store.load("md", BTC, *DAYS).summary.generated == 4
    child = os.fork()
    if child == 0:
        status = 1
        try:
            read = store.load("md", BTC, *DAYS)
            made = store.load("md", ETH, *DAYS)
            if read.summary.hit == 4 and made.summary.generated == 4 and store.verify().is_clean:
                status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0
    assert store.load("md", ETH, *DAYS).summary.hit == 4


def _hits(store: tickbarn.Store) -> int:
    return store.load("md", BTC, *DAYS, progress=False).summary.hit


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_stores_go_to_other_processes(market: Market, method: str) -> None:
    store = market.open()
    store.load("md", BTC, *DAYS)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_hits, [store, store]) == [4, 4]


def test_a_pickled_store_is_found_from_another_directory(market: Market, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(market.directory)
    pickled = pickle.dumps(tickbarn.open(settings=["md.config.levels=6"]))
    monkeypatch.chdir("/")
    store = pickle.loads(pickled)
    assert store.path == market.open().path and store.load("md", BTC, *DAYS).summary.generated == 4
    assert market.open().load("md", BTC, *DAYS).summary.generated == 4, "its settings came along"


def test_futures_come_in_request_order_and_tell_what_failed(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    from datetime import timedelta

    from conftest import START

    market.say("fail", START + timedelta(hours=12))
    futures = market.open().submit("md", [(BTC, *DAYS), (ETH, "2024-01-01", "2024-01-02"), (BTC, "2024-01-02", "2024-01-03")])
    summary = tickbarn.wait(futures)
    assert capsys.readouterr().out == "Read 6 out of 8 (75.00%)\n"
    assert (summary.read, summary.failed) == (6, 2)
    assert [future.instrument for future in futures] == [BTC] * 4 + [ETH] * 2 + [BTC] * 2
    for future in futures:
        error = future.exception()
        if error is None:
            partition = future.result()
            assert (partition.instrument, partition.interval) == (future.instrument, future.interval)
        else:
            assert isinstance(error, tickbarn.GenerationError) and error.start_ns == future.interval.start_ns and "no feed" in str(error)
    assert [future.result().outcome for future in futures[-2:]] == ["hit", "hit"], "what was asked for twice"


def test_an_error_before_anything_runs_is_every_future_s(market: Market) -> None:
    market.directory.joinpath("export.sh").unlink()
    futures = market.open().submit("md", BTC, *DAYS)
    assert all(isinstance(future.exception(timeout=LONG_S), tickbarn.ConfigError) for future in futures)


def test_an_event_loop_goes_on_while_a_load_waits(market: Market) -> None:
    async def both() -> tuple[tickbarn.Loaded, int]:
        store, ticks = market.open(), 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        loaded = await store.load_async("md", BTC, *DAYS)
        ticking.cancel()
        return loaded, ticks

    loaded, ticks = asyncio.run(both())
    assert loaded.summary.generated == 4 and ticks > 1


def test_a_cancelled_task_ends_its_load_and_all_that_it_started(market: Market) -> None:
    market.say("wait")

    async def cancelled() -> None:
        task = asyncio.create_task(market.open().load_async("md", BTC, *DAYS))
        while len(market.children()) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled(), LONG_S))
    until(lambda: not market.children())


def test_an_error_of_an_awaited_load_is_raised_where_it_is_awaited(market: Market) -> None:
    with pytest.raises(tickbarn.MissingError):
        asyncio.run(market.open().load_async("md", BTC, *DAYS, on_missing="fail"))


def test_a_load_off_the_main_thread_is_as_good(market: Market) -> None:
    came_to: list[tickbarn.Summary] = []
    thread = threading.Thread(target=lambda: came_to.append(market.open().load("md", BTC, *DAYS).summary))
    thread.start()
    thread.join(LONG_S)
    assert [one.generated for one in came_to] == [4]


def test_progress_is_shown_where_it_is_asked_for_and_silent_otherwise(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    market.say("wait")
    store = market.open()
    for shown in (True, False, None):
        watching = threading.Thread(target=lambda: tickbarn.wait(futures, progress=shown, quiet=True))
        futures = store.submit("md", BTC, *DAYS)
        watching.start()
        until(lambda: len(market.children()) == 2)
        time.sleep(0.3)
        futures.cancel()
        watching.join(LONG_S)
        told = capsys.readouterr()
        assert told.out == "" and ("tickbarn" in told.err) == (shown is True), told.err
