"""Python functions whose results are kept: one call a partition, its tables written by whatever library they are of."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

import polars as pl

from . import _native
from ._dataset import Dataset, Definition
from ._frames import frame_of
from ._intervals import Instrument
from ._source import source_of
from ._times import Time, utc
from .errors import ConfigError, SourceChangedWarning

if TYPE_CHECKING:
    from ._load import Loaded
    from ._store import Store

P = ParamSpec("P")

_LOOK_EVERY_S = 0.1
"""How often a call in an executor is asked whether anybody still waits for it."""
_HITS_LOOKED_AT = 64
"""Of so many hits, spread over a load, it is looked at by which source they were made."""
_GIVEN = ("instrument", "start", "end")


class Frames(dict[str, "pl.LazyFrame | None"]):
    """The outputs of an upstream, by name: ``md["trades"]`` or ``md.trades``. ``None`` where the upstream has no data and no table."""

    def __getattr__(self, output: str) -> pl.LazyFrame | None:
        try:
            return self[output]
        except KeyError:
            raise AttributeError(f"this upstream has no output {output!r}; it has {', '.join(self)}") from None


class Memoized(Dataset, Generic[P]):
    """A function whose results are kept in a store. Calling it for an instrument and an interval makes what is not there yet, and gives a lazy frame of all."""

    def __init__(self, store: Store, native: _native.Dataset, function: Callable[P, Any]) -> None:
        super().__init__(native)
        self._store = store
        self.function = function
        """The function itself, to be called without the cache."""
        self.__name__ = getattr(function, "__name__", native.name)
        self.__qualname__ = getattr(function, "__qualname__", native.name)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __call__(self, instrument: str, start: Time, end: Time, **options: Any) -> pl.LazyFrame:
        """What the function makes of an instrument over an interval, of its first output. Options are those of :meth:`Store.load`."""
        return self.load(instrument, start, end, **options).frame(self.outputs[0])

    def load(self, intervals: Any, start: Time | None = None, end: Time | None = None, **options: Any) -> Loaded:
        """As :meth:`Store.load` of this dataset."""
        return self._store.load(self, intervals, start, end, **options)

    def __reduce__(self) -> Any:
        # As what it is called where it was defined: there it is made again.
        return self.__qualname__


def memoized(
    store: Store,
    function: Callable[P, Any],
    *,
    name: str,
    version: str,
    outputs: Sequence[str],
    inputs: Mapping[str, str | Dataset],
    config: Mapping[str, Any],
    executor: Executor | None,
    definition: Definition,
) -> Memoized[P]:
    """A function as a dataset of a store."""
    _check_parameters(function, name, inputs, config)
    upstream, reads = [], {}
    for parameter, wanted in inputs.items():
        dataset, output = _upstream(store, wanted)
        if output is not None and output not in dataset.outputs:
            raise ConfigError(f"dataset {dataset.name} has no output {output!r}; it has {', '.join(dataset.outputs)}", dataset=dataset.name)
        upstream.append((parameter, dataset._native, None if output is None else [output]))
        reads[parameter] = (output, dataset.outputs)
    call = _Call(function, tuple(outputs), reads, dict(config), executor)
    words = definition.words(outputs={output: f"{output}.parquet" for output in outputs}, upstream=upstream)
    native = _native.function_dataset(name, version, call, words, dict(config), source_of(function))
    return Memoized(store, native, function)


def _check_parameters(function: Callable[..., Any], name: str, inputs: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses a function that cannot be called as it will be, before hours of upstream are made for it."""
    given = [*_GIVEN, *inputs, *config]
    twice = sorted({one for one in given if given.count(one) > 1})
    if twice:
        raise ConfigError(f"{name}: {twice[0]!r} is given twice; inputs, config and {', '.join(_GIVEN)} need names of their own", dataset=name)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # What is written in C says nothing of its parameters.
        return
    try:
        signature.bind(**dict.fromkeys(given))
    except TypeError as problem:
        raise ConfigError(
            f"{name} is called with {', '.join(given)} and cannot be: {problem}; name its parameters like its inputs and its config", dataset=name
        ) from None


def _upstream(store: Store, wanted: str | Dataset) -> tuple[Dataset, str | None]:
    """The dataset of an input, and the output of it that is read where it is one: ``"md"``, ``"md.trades"`` or a dataset itself."""
    if isinstance(wanted, Dataset):
        return wanted, None
    if wanted in store.datasets or "." not in wanted:
        return store.dataset(wanted), None
    name, _, output = wanted.partition(".")
    return store.dataset(name), output


class _Call:
    """What the library calls for each partition."""

    def __init__(
        self,
        function: Callable[..., Any],
        outputs: tuple[str, ...],
        reads: dict[str, tuple[str | None, list[str]]],
        config: dict[str, Any],
        executor: Executor | None,
    ) -> None:
        self._function = function
        self._outputs = outputs
        self._reads = reads
        self._config = config
        self._executor = executor

    def __call__(self, job: _native.Job) -> bool:
        inputs = {parameter: _frames_of(job.upstream(parameter), *read) for parameter, read in self._reads.items()}
        given = {"instrument": Instrument(job.instrument), "start": utc(job.start_ns), "end": utc(job.end_ns), **inputs, **self._config}
        if self._executor is None:
            made = self._function(**given)
        else:
            made = _awaited(job, _handed_over(self._executor, self._function, given))
        if made is None:
            return False
        for output, table in self._tables(made):
            write(table, job.output(output))
        return True

    def _tables(self, made: Any) -> Iterator[tuple[str, Any]]:
        if not isinstance(made, Mapping):
            if len(self._outputs) != 1:
                raise TypeError(f"the function gave back one table and has the outputs {', '.join(self._outputs)}; give back a dict of them")
            yield self._outputs[0], made
            return
        if set(made) != set(self._outputs):
            raise TypeError(f"the function gave back the tables {', '.join(map(str, made))} and has the outputs {', '.join(self._outputs)}")
        yield from made.items()


def _frames_of(upstream: _native.Upstream, output: str | None, outputs: list[str]) -> pl.LazyFrame | Frames | None:
    def frame(one: str) -> pl.LazyFrame | None:
        parts = upstream.parts(one)
        return None if parts is None else frame_of(parts, one)

    if output is not None:
        return frame(output)
    if len(outputs) == 1:
        return frame(outputs[0])
    return Frames({one: frame(one) for one in outputs})


def _handed_over(executor: Executor, function: Callable[..., Any], given: dict[str, Any]) -> Future[Any]:
    if isinstance(executor, ProcessPoolExecutor):
        module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
        if module and "<locals>" not in name and _has(module, name):
            # Where it stands its name is that of the memoized function, by which it could not be pickled.
            return executor.submit(_by_name, module, name, given)
        try:
            pickle.dumps(function)
        except Exception as problem:
            raise TypeError(f"another process cannot be handed {name}: {problem}; define it at the top of a module, or use threads") from problem
    return executor.submit(function, **given)


def _has(module: str, name: str) -> bool:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return callable(found)


def _by_name(module: str, name: str, given: dict[str, Any]) -> Any:
    """Calls a function in another process, by the name that it has in its module."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return (found.function if isinstance(found, Memoized) else found)(**given)


def _awaited(job: _native.Job, future: Future[Any]) -> Any:
    """Waits for a call in an executor, as long as anybody waits for its result."""
    while True:
        try:
            return future.result(timeout=_LOOK_EVERY_S)
        except FutureTimeout:
            if future.done():
                # It has raised that itself.
                return future.result()
            if job.is_cancelled():
                future.cancel()
                return None


def write(table: Any, path: Path) -> None:
    """Writes a table to a Parquet file, with statistics and compressed with zstd."""
    if isinstance(table, pl.DataFrame):
        table.write_parquet(path)
    elif isinstance(table, pl.LazyFrame):
        table.sink_parquet(path)
    else:
        _write_arrow(table, path)


def _write_arrow(table: Any, path: Path) -> None:
    kinds = {kind.__module__.partition(".")[0] for kind in type(table).__mro__}
    if not kinds & {"pandas", "pyarrow"}:
        raise TypeError(
            f"the function gave back a {type(table).__name__}; give back a Polars DataFrame or LazyFrame, a pyarrow.Table, a pandas.DataFrame, or None where "
            "there is no data"
        )
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    arrow = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table)
    pq.write_table(arrow, path, compression="zstd")


def warn_of_changed_sources(native: _native.Store, datasets: Sequence[Dataset], loaded: Loaded) -> None:
    """Warns where what was found was made by another source than the function has now, under the same version."""
    sources = {dataset.name: (dataset, dataset._native.source) for dataset in datasets if dataset._native.source is not None}
    if not sources or not loaded.summary.hit:
        return
    hits = loaded._native.hits(_HITS_LOOKED_AT)
    changed: dict[str, str] = {}
    for name, address in hits:
        if name not in sources or name in changed:
            continue
        made_by = native.source_of(address)
        if made_by is not None and made_by != sources[name][1]:
            changed[name] = address
    for name, address in changed.items():
        version = sources[name][0].version
        warnings.warn(
            f"the source of {name} has changed since {address[:16]} was made, and its version is {version!r} still: what is cached is handed out as it is. "
            "Give it another version where its results change, or load with refresh=True to make them anew",
            SourceChangedWarning,
            stacklevel=4,
        )
