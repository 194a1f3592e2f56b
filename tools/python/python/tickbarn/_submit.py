"""Loads whose partitions are awaited one by one: a future each."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from typing import Any

from . import _native
from ._intervals import Instrument, Interval
from ._load import Loaded, Partition, Summary
from ._progress import Bar
from ._running import end, watched


_LOOK_EVERY_S = 0.1


class PartitionFuture(Future[Partition]):
    """A partition on its way. Its result is the partition; its exception, where it failed or is missing, says how. It cannot be cancelled alone: end the
    load with :meth:`Submitted.cancel`."""

    def __init__(self, dataset: str, instrument: Instrument, interval: Interval) -> None:
        super().__init__()
        self.dataset = dataset
        self.instrument = instrument
        self.interval = interval
        self._load: Submitted | None = None
        self.set_running_or_notify_cancel()

    # Polars installs a handler of its own for Ctrl-C, after which a wait without a time is not interrupted any more: these come back now and then.

    def result(self, timeout: float | None = None) -> Partition:
        """The partition. Waits for it, so many seconds at most."""
        self._await(timeout)
        return super().result(timeout=0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Why the partition was not read. Waits for that, so many seconds at most."""
        self._await(timeout)
        return super().exception(timeout=0)

    def _await(self, timeout: float | None) -> None:
        until = None if timeout is None else time.monotonic() + timeout
        while not self.done():
            left = _LOOK_EVERY_S if until is None else min(_LOOK_EVERY_S, until - time.monotonic())
            if left <= 0:
                return
            wait_for([self], timeout=left)


class Submitted(list[PartitionFuture]):
    """The futures of a load, in request order."""

    _running: _native.Running
    _ended: threading.Event

    def cancel(self) -> None:
        """Ends the load: what runs is ended, what finished is kept, and the futures that are left get :class:`tickbarn.LoadCancelled`."""
        end(self._running)
        self._ended.wait(_LOOK_EVERY_S)


def submitted(native: _native.Store, requests: list[Any], options: dict[str, Any], look: Callable[[Loaded], None]) -> Submitted:
    """Begins a load whose partitions are futures. `look` is shown what it came to."""
    futures = Submitted()
    for dataset, instrument, start_ns, end_ns in _native.partitions(requests):
        futures.append(PartitionFuture(dataset, Instrument(instrument), Interval(start_ns, end_ns)))
    begun, futures._ended = threading.Event(), threading.Event()

    def on_partition(nth: int, one: _native.Partition) -> None:
        partition = Partition._of(one)
        error = partition.error()
        if error is None:
            futures[nth].set_result(partition)
        else:
            futures[nth].set_exception(error)

    def on_end() -> None:
        begun.wait()
        error: BaseException | None = None
        try:
            look(Loaded(futures._running.result()))
        except BaseException as ended:
            error = ended
        for future in futures:
            if not future.done():
                future.set_exception(error or RuntimeError("the load ended without a word of this partition; this is a bug in tickbarn"))
        futures._ended.set()

    for future in futures:
        future._load = futures
    futures._running = watched(_native.Running(native, requests, options, on_partition, on_end))
    begun.set()
    return futures


def wait(futures: Iterable[Future[Partition]], *, progress: bool | None = None, quiet: bool = False) -> Summary:
    """Waits for futures, prints ``Read 58 out of 60 (96.67%)`` and gives that back as numbers. Ctrl-C ends their loads.

    :param progress: whether a bar is shown; by default where ``tqdm`` is installed and somebody looks.
    :param quiet: prints nothing.
    """
    all_of_them = list(futures)
    left = {future for future in all_of_them if not future.done()}
    there = len(all_of_them) - len(left)
    try:
        with Bar(progress) as bar:
            while left:
                left = wait_for(left, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED).not_done
                failed = sum(1 for future in all_of_them if future.done() and not future.cancelled() and future.exception() is not None)
                bar.show(len(all_of_them), there, len(all_of_them) - len(left), failed)
    except BaseException:
        loads = {id(future._load): future._load for future in all_of_them if isinstance(future, PartitionFuture)}
        for load in loads.values():
            if load is not None:
                load.cancel()
        raise
    summary = Summary.of([_outcome(future) for future in all_of_them])
    if not quiet:
        print(summary)
    return summary


def _outcome(future: Future[Partition]) -> str:
    if future.cancelled():
        return "missing"
    error = future.exception()
    if error is None:
        return future.result().outcome
    from .errors import MissingError

    return "missing" if isinstance(error, MissingError) else "failed"


async def loaded_async(native: _native.Store, requests: list[Any], options: dict[str, Any]) -> Loaded:
    """Loads without blocking the event loop. Cancelling the task ends the load before the cancellation goes on."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def on_end() -> None:
        try:
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:
            # The loop was closed: nobody waits any more.
            pass

    running = watched(_native.Running(native, requests, options, None, on_end))
    try:
        await ended.wait()
    except BaseException:
        # Not on the loop's own thread, whose other tasks go on.
        await asyncio.shield(loop.run_in_executor(None, end, running))
        raise
    return Loaded(running.result())
