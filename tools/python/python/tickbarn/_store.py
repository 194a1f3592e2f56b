"""Stores: what is opened, loaded from and looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, ParamSpec

from . import _html, _native
from ._dataset import Dataset, Definition
from ._inspect import Coverage, GcPlan, Pin, Plan, Swept, Verified, Why
from ._intervals import Asked, Intervals, asked
from ._load import Loaded
from ._memoize import Memoized, memoized, warn_of_changed_sources
from ._ray import Ray
from ._running import finish, watched
from ._submit import Submitted, loaded_async, submitted
from ._times import Length, Time, length, moment
from .errors import RequestError

P = ParamSpec("P")
_Path = str | os.PathLike[str]
_Datasets = str | Dataset | Sequence[str | Dataset]


def open(  # noqa: A001 (that is what it does)
    config: _Path = "tickbarn.toml",
    *,
    settings: Iterable[str] = (),
    store: _Path | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> Store:
    """Opens the store that a dataset file names, with its datasets.

    :param config: the dataset file, or its directory.
    :param settings: single values laid over the file, such as ``"md.config.levels=5"``.
    :param store: another store than the file names.
    :param workers: how many generators run at once, where a load says nothing else.
    :param progress: whether loads show a bar; by default where ``tqdm`` is installed and somebody looks.
    """
    return Store._opened(("config", os.fspath(config), tuple(settings), None if store is None else os.fspath(store)), workers, progress)


class Store:
    """A store without a dataset file: what is loaded from it is defined in Python. :func:`open` opens one by its file.

    Stores are shared between threads, and go on to work in forked processes. They can be pickled, which opens them anew.

    >>> import tempfile, tickbarn
    >>> store = tickbarn.Store(tempfile.mkdtemp() + "/barn")
    >>> @store.memoize(version="1", split="12h")
    ... def quotes(instrument, start, end):
    ...     return pl.DataFrame({"ts": [start], "bid": [1.5]})
    >>> import polars as pl
    >>> quotes("binance/BTC-USDT", "2024-01-01", "2024-01-02").select(pl.len()).collect().item()
    2
    """

    def __init__(
        self,
        path: _Path,
        *,
        workers: int | None = None,
        progress: bool | None = None,
        index: str = "auto",
        verify: str = "size",
    ) -> None:
        self._begin(("path", os.fspath(path), index, verify), workers, progress)

    @classmethod
    def _opened(cls, how: tuple[Any, ...], workers: int | None, progress: bool | None) -> Store:
        store = cls.__new__(cls)
        store._begin(how, workers, progress)
        return store

    def _begin(self, how: tuple[Any, ...], workers: int | None, progress: bool | None) -> None:
        # In another process it is opened by the same names, wherever that process stands.
        if how[0] == "config":
            _, config, settings, store = how
            self._native = _native.Store.open(Path(config), list(settings), None if store is None else Path(store))
            self._how: tuple[Any, ...] = "config", os.path.abspath(config), settings, None if store is None else os.path.abspath(store)
        else:
            _, path, index, verify = how
            self._native = _native.Store.at(Path(path), index, verify)
            self._how = "path", os.path.abspath(path), index, verify
        self._workers = workers
        self._progress = progress
        self._defined: dict[str, Dataset] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Store._opened, (self._how, self._workers, self._progress)

    @property
    def path(self) -> Path:
        """The directory."""
        return self._native.path

    @property
    def id(self) -> str:
        """The store's own name, the same wherever it is moved."""
        return self._native.id

    @property
    def config(self) -> Path | None:
        """The dataset file that it was opened by."""
        return self._native.config

    @property
    def datasets(self) -> list[str]:
        """The names of the datasets that can be loaded: of the file, and defined since."""
        return [*self._native.datasets(), *(name for name in self._defined if name not in self._native.datasets())]

    def dataset(self, name: str) -> Dataset:
        """A dataset by its name: what was defined here last comes before what the file says."""
        return self._defined.get(name) or Dataset(self._native.dataset(name))

    def load(
        self,
        dataset: _Datasets,
        intervals: Intervals,
        start: Time | None = None,
        end: Time | None = None,
        *,
        mode: str | None = None,
        on_missing: str | None = None,
        on_missing_upstream: str | None = None,
        on_failure: str | None = None,
        refresh: bool = False,
        retry_failed: Length | None = None,
        wait: Length | None = None,
        allow_future: bool = False,
        workers: int | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
        runner: Ray | None = None,
        progress: bool | None = None,
    ) -> Loaded:
        """Loads instruments over intervals: what the store has is read, the rest is generated. Ctrl-C ends it and all that it runs; what finished is kept.

        :param dataset: a name, a dataset, a memoized function, or several of these.
        :param intervals: an instrument (or several) with ``start`` and ``end``; without these a list of records, the path of an intervals file, or a Polars
            frame of the columns ``instrument``, ``start`` and ``end``.
        :param mode: ``Default``, ``Read``, ``ReadIgnoreErrors``, ``Write`` or ``WriteIgnoreErrors``: the policies of earlier export scripts.
        :param on_missing: ``generate`` (the default), ``fail`` or ``skip``.
        :param on_missing_upstream: the same for what only derived partitions need.
        :param on_failure: ``fail`` (the default: the load ends at a failure) or ``skip`` (the rest goes on).
        :param refresh: generates even what is there.
        :param retry_failed: ``always`` (the default), ``never``, or after how long what failed before is tried again.
        :param wait: how long to wait for what another load generates.
        :param allow_future: whether partitions may end in the future.
        :param workers: how many generators run at once; 0 is as many as there is room for.
        :param cpus: how many processors they may take together.
        :param memory: how much memory they may take together, such as ``"16GiB"``.
        :param runner: a :class:`Ray` cluster for commands to run on.
        :param progress: whether a bar is shown.
        :raises MissingError: where something is missing and ``on_missing`` is ``fail``.
        :raises GenerationError: where a generator failed and ``on_failure`` is ``fail``; what finished is kept.
        """
        datasets = self._datasets(dataset)
        options = _options(
            mode, on_missing, on_missing_upstream, on_failure, refresh, retry_failed, wait, allow_future, self._count(workers), cpus, memory, runner
        )
        running = watched(_native.Running(self._native, _requests(datasets, asked(intervals, start, end)), options))
        loaded = Loaded(finish(running, self._progress if progress is None else progress))
        warn_of_changed_sources(self._native, datasets, loaded)
        return loaded

    def submit(
        self,
        dataset: _Datasets,
        intervals: Intervals,
        start: Time | None = None,
        end: Time | None = None,
        *,
        mode: str | None = None,
        on_missing: str | None = None,
        on_missing_upstream: str | None = None,
        on_failure: str | None = None,
        refresh: bool = False,
        retry_failed: Length | None = None,
        wait: Length | None = None,
        allow_future: bool = False,
        workers: int | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
        runner: Ray | None = None,
    ) -> Submitted:
        """Begins a load, and gives a ``concurrent.futures.Future`` for each partition, in request order: its result is the partition, its exception why it was
        not read. Parameters are those of :meth:`load`; what fails does not keep the rest from going on, unless ``on_failure`` or ``mode`` says so.
        """
        if on_failure is None and mode is None:
            on_failure = "skip"
        options = _options(
            mode, on_missing, on_missing_upstream, on_failure, refresh, retry_failed, wait, allow_future, self._count(workers), cpus, memory, runner
        )
        datasets = self._datasets(dataset)
        requests = _requests(datasets, asked(intervals, start, end))
        return submitted(self._native, requests, options, lambda loaded: warn_of_changed_sources(self._native, datasets, loaded))

    async def load_async(
        self,
        dataset: _Datasets,
        intervals: Intervals,
        start: Time | None = None,
        end: Time | None = None,
        *,
        mode: str | None = None,
        on_missing: str | None = None,
        on_missing_upstream: str | None = None,
        on_failure: str | None = None,
        refresh: bool = False,
        retry_failed: Length | None = None,
        wait: Length | None = None,
        allow_future: bool = False,
        workers: int | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
        runner: Ray | None = None,
    ) -> Loaded:
        """As :meth:`load`, for asyncio: the event loop goes on meanwhile. Cancelling the task ends the load and all that it runs."""
        datasets = self._datasets(dataset)
        options = _options(
            mode, on_missing, on_missing_upstream, on_failure, refresh, retry_failed, wait, allow_future, self._count(workers), cpus, memory, runner
        )
        loaded = await loaded_async(self._native, _requests(datasets, asked(intervals, start, end)), options)
        warn_of_changed_sources(self._native, datasets, loaded)
        return loaded

    def plan(
        self,
        dataset: _Datasets,
        intervals: Intervals,
        start: Time | None = None,
        end: Time | None = None,
        *,
        mode: str | None = None,
        on_missing: str | None = None,
        on_missing_upstream: str | None = None,
        on_failure: str | None = None,
        refresh: bool = False,
        retry_failed: Length | None = None,
        allow_future: bool = False,
        workers: int | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
    ) -> Plan:
        """What :meth:`load` would find and generate, and how long that would take, without doing anything."""
        options = _options(
            mode, on_missing, on_missing_upstream, on_failure, refresh, retry_failed, None, allow_future, self._count(workers), cpus, memory, None
        )
        return Plan._of(_native.foresee(self._native, _requests(self._datasets(dataset), asked(intervals, start, end)), options))

    def define(
        self,
        name: str,
        command: Sequence[str],
        *,
        outputs: Mapping[str, str],
        config: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str | Path] | None = None,
        upstream: Mapping[str, str | Dataset] | Sequence[str | Dataset] = (),
        files: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        unkeyed: Mapping[str, Any] | None = None,
        split: str | None = None,
        align: str | None = None,
        time_column: str | None = None,
        closed: Sequence[str] = (),
        timeout: Length | None = None,
        retries: int = 0,
        cpus: float | None = None,
        memory: str | int | None = None,
        empty_exit_codes: Sequence[int] = (),
        version: str | None = None,
        snapshot_program: bool = False,
        base_dir: _Path | None = None,
    ) -> Dataset:
        """Defines a dataset that a command generates: what ``[dataset.NAME]`` of a dataset file says, with the same addresses.

        :param command: the program and its arguments, with placeholders such as ``{output.trades}`` and ``{config.levels}``.
        :param outputs: of each output its name and the file that the command leaves.
        :param config: values that are in the key.
        :param inputs: files that the command reads, which are in the key by their content.
        :param upstream: datasets that this one is derived from.
        """
        definition = Definition(split, align, time_column, closed, timeout, retries, cpus, memory, inputs or {}, None if base_dir is None else Path(base_dir))
        if isinstance(upstream, Mapping):
            named = {known_as: self._datasets(one)[0] for known_as, one in upstream.items()}
        else:
            named = {one.name: one for one in self._datasets(upstream)}
        words = definition.words(outputs=outputs, upstream=[(known_as, one._native, None) for known_as, one in named.items()])
        native = _native.command_dataset(
            name,
            list(command),
            words,
            dict(config or {}),
            dict(files or {}),
            dict(env or {}),
            dict(unkeyed or {}),
            list(empty_exit_codes),
            version,
            snapshot_program,
        )
        self._defined[name] = dataset = Dataset(native)
        return dataset

    def memoize(
        self,
        *,
        version: str,
        output: str | Sequence[str] = "table",
        inputs: Mapping[str, str | Dataset] | None = None,
        config: Mapping[str, Any] | None = None,
        name: str | None = None,
        executor: Executor | None = None,
        split: str | None = None,
        align: str | None = None,
        time_column: str | None = None,
        closed: Sequence[str] = (),
        timeout: Length | None = None,
        retries: int = 0,
        cpus: float | None = None,
        memory: str | int | None = None,
        files: Mapping[str, str | Path] | None = None,
    ) -> Callable[[Callable[P, Any]], Memoized[P]]:
        """Keeps the results of a Python function of ``instrument``, ``start``, ``end``, its inputs and its configuration, a call a partition.

        It gives back a Polars DataFrame or LazyFrame, a ``pyarrow.Table``, a ``pandas.DataFrame``, a dict of these where it has several outputs, or ``None``
        where there is no data. Its identity is its name, version and configuration; a source that changed under the same version gives a
        :class:`SourceChangedWarning`.

        :param version: another one whenever the function would give other results.
        :param output: the name of its output, or the names of several.
        :param inputs: what it is derived from, by the names of its parameters: ``{"md": "md"}`` for a lazy frame of each output of a dataset, or
            ``{"trades": "md.trades"}`` for one.
        :param config: values that are in the key, given to the function as parameters.
        :param name: its name in the key; by default that of the function.
        :param executor: where it runs; by default in threads, as many as the load has workers.
        """

        def decorate(function: Callable[P, Any]) -> Memoized[P]:
            known_as = name or getattr(function, "__name__", "function").strip("<>")
            made = memoized(
                self,
                function,
                name=known_as,
                version=version,
                outputs=[output] if isinstance(output, str) else list(output),
                inputs=inputs or {},
                config=config or {},
                executor=executor,
                definition=Definition(split, align, time_column, closed, timeout, retries, cpus, memory, files or {}),
            )
            self._defined[known_as] = made
            return made

        return decorate

    def coverage(
        self,
        dataset: str | Dataset,
        instruments: str | Iterable[str] = (),
        start: Time | None = None,
        end: Time | None = None,
        *,
        closed: Sequence[str] = (),
    ) -> Coverage:
        """What is there of a dataset: by default of all instruments and all time that the store knows of it."""
        defined = self._if_defined(dataset)
        ends = [None if time is None else moment(time) for time in (start, end)]
        closed = [closed] if isinstance(closed, str) else list(closed)
        name = dataset if isinstance(dataset, str) else dataset.name
        native = None if defined is None else defined._native
        return Coverage._of(_native.coverage(self._native, native, name, _texts(instruments), ends[0], ends[1], closed))

    def why(self, dataset: str | Dataset, instrument: str, start: Time, end: Time | None = None) -> Why:
        """Why the partition that holds ``start`` is, or would be, generated."""
        native = self._datasets(dataset)[0]._native
        return Why._of(_native.why(self._native, native, instrument, moment(start, "start"), None if end is None else moment(end, "end")))

    def gc(
        self,
        *,
        dry_run: bool = False,
        datasets: str | Iterable[str] = (),
        instruments: str | Iterable[str] = (),
        max_bytes: str | int | None = None,
        low_water: str | None = None,
        min_free: str | int | None = None,
        max_age: Length | None = None,
        superseded: bool = False,
        failures: bool = False,
        leftovers: bool = False,
        keep_last: int | None = None,
        grace: Length | None = None,
        order: str | None = None,
    ) -> GcPlan | Swept:
        """Takes away what need not be kept, the least valuable first: a :class:`GcPlan` with ``dry_run``, else what is gone.

        What is said here beats ``[gc]`` of the dataset file as flags do on the command line; where nothing is, ``[gc]`` counts.
        """
        words = {
            "datasets": _texts(datasets),
            "instruments": _texts(instruments),
            "max_bytes": None if max_bytes is None else str(max_bytes),
            "low_water": low_water,
            "min_free": None if min_free is None else str(min_free),
            "max_age": length(max_age, "max_age"),
            "superseded": superseded,
            "failures": failures,
            "leftovers": leftovers,
            "keep_last": keep_last,
            "grace": length(grace, "grace"),
            "order": order,
        }
        plan = GcPlan._of(_native.plan_gc(self._native, words))
        return plan if dry_run else plan.sweep()

    def pin(
        self,
        name: str,
        *,
        datasets: str | Iterable[str] = (),
        instruments: str | Iterable[str] = (),
        start: Time | None = None,
        end: Time | None = None,
        addresses: Iterable[str] = (),
    ) -> None:
        """Names what is to be kept: what overlaps an interval of these datasets and instruments, or single entries."""
        given = _texts(addresses)
        if given:
            _native.pin_addresses(self._native, name, given)
            return
        ends = [None if time is None else moment(time) for time in (start, end)]
        _native.pin_range(self._native, name, _texts(datasets), _texts(instruments), ends[0], ends[1])

    def unpin(self, name: str) -> None:
        """Takes a pin away."""
        _native.unpin(self._native, name)

    def pins(self) -> list[Pin]:
        """All pins."""
        return [Pin._of(row) for row in _native.pins(self._native)]

    def verify(self, *, digest: bool = False, repair: bool = False, jobs: int | None = None) -> Verified:
        """Compares all that is in the store with all else; with ``digest`` to the byte. ``repair`` sets aside what is damaged."""
        return Verified._of(_native.verify(self._native, digest, repair, jobs))

    def _if_defined(self, dataset: str | Dataset) -> Dataset | None:
        if isinstance(dataset, Dataset):
            return dataset
        return self.dataset(dataset) if dataset in self.datasets else None

    def _datasets(self, given: _Datasets) -> list[Dataset]:
        each = [given] if isinstance(given, (str, Dataset)) else list(given) if isinstance(given, Iterable) else [given]
        for one in each:
            if not isinstance(one, (str, Dataset)):
                raise RequestError(f"a dataset is a name, a dataset or a memoized function, not {type(one).__name__}")
        return [self.dataset(one) if isinstance(one, str) else one for one in each]

    def _count(self, workers: int | None) -> int | None:
        return self._workers if workers is None else workers

    def __repr__(self) -> str:
        return f"<tickbarn.Store {self.path}>"

    def _repr_html_(self) -> str:
        return _html.store(self)


def _texts(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _requests(datasets: Sequence[Dataset], asks: list[Asked]) -> list[tuple[_native.Dataset, list[Asked]]]:
    """Each dataset for one instrument and interval before the next, as on the command line: what belongs together comes together."""
    if not datasets:
        raise RequestError("no dataset is named, so there is nothing to load")
    if len(datasets) == 1:
        return [(datasets[0]._native, asks)]
    return [(dataset._native, [one]) for one in asks for dataset in datasets]


def _options(
    mode: str | None,
    on_missing: str | None,
    on_missing_upstream: str | None,
    on_failure: str | None,
    refresh: bool,
    retry_failed: Length | None,
    wait: Length | None,
    allow_future: bool,
    workers: int | None,
    cpus: float | None,
    memory: str | int | None,
    runner: Ray | None,
) -> dict[str, Any]:
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 0):
        raise RequestError(f"workers is how many generators run at once, 0 for as many as there is room for, and not {workers!r}")
    return {
        "mode": mode,
        "on_missing": on_missing,
        "on_missing_upstream": on_missing_upstream,
        "on_failure": on_failure,
        "refresh": refresh,
        "retry_failed": length(retry_failed, "retry_failed"),
        "wait": length(wait, "wait"),
        "allow_future": allow_future,
        "workers": workers,
        "cpus": cpus,
        "memory": None if memory is None else str(memory),
        "ray": None if runner is None else runner._native_ray(),
    }
