"""What a load came to: partitions with their outcomes, and frames of what was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from . import _html
from ._frames import frame_of
from ._intervals import Instrument, InstrumentInterval, Interval
from .errors import FrameError, GenerationError, MissingError, TickbarnError

if TYPE_CHECKING:
    import polars as pl

    from . import _native


@dataclass(frozen=True)
class Failure:
    """How generating a partition failed."""

    failure_class: str
    """In a word: ``exit``, ``signal``, ``timeout``, ``error``, …"""
    message: str
    """In a sentence."""
    log_tail: str = field(repr=False)
    """The end of what the generator wrote; of a Python function, its traceback."""
    recorded: bool
    """Whether that is an earlier load's failure, which was not tried again."""


@dataclass(frozen=True)
class Partition:
    """One partition of a load and what became of it. Plain data: it can be kept, compared and sent to other processes."""

    dataset: str
    """The dataset's name."""
    instrument: Instrument
    """The instrument."""
    interval: Interval
    """The partition itself."""
    requested: Interval
    """The part of it that was asked for."""
    outcome: str
    """``hit``, ``generated``, ``empty``, ``missing`` or ``failed``."""
    address: str | None
    """Where its entry is, or would be; ``None`` for a derived partition whose upstream is not there."""
    paths: dict[str, Path]
    """The Parquet file of each output. Read them in place; never write to them."""
    rows: dict[str, int]
    """The rows of each output."""
    failure: Failure | None
    """How it failed, where it did."""
    reason: str | None
    """Why it is missing, where there is more to say than that."""
    changed: list[str]
    """The outputs that a refresh found otherwise under the same key: the generator is not deterministic."""
    seconds: float | None
    """How long its generator ran."""

    @classmethod
    def _of(cls, native: _native.Partition) -> Partition:
        told = native.failure()
        failure = None
        if told is not None:
            failure = Failure(told["failure_class"], told["failure_message"], told["log_tail"], told["recorded"])
        return cls(
            dataset=native.dataset,
            instrument=Instrument(native.instrument),
            interval=Interval(native.start_ns, native.end_ns),
            requested=Interval(*native.requested_ns),
            outcome=native.outcome,
            address=native.address,
            paths=native.paths(),
            rows=native.rows(),
            failure=failure,
            reason=native.reason(),
            changed=native.changed(),
            seconds=native.seconds,
        )

    @property
    def start(self) -> datetime:
        """The partition's first moment, in UTC, rounded down to microseconds."""
        return self.interval.start

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.interval.end

    @property
    def start_ns(self) -> int:
        """The partition's first moment, in nanoseconds since the epoch."""
        return self.interval.start_ns

    @property
    def end_ns(self) -> int:
        """The first moment after it, in nanoseconds since the epoch."""
        return self.interval.end_ns

    @property
    def is_read(self) -> bool:
        """Whether it is answered: there, generated, or known to have no data."""
        return self.outcome in ("hit", "generated", "empty")

    def error(self) -> TickbarnError | None:
        """The exception that tells why it was not read; ``None`` where it was."""
        place: dict[str, Any] = {
            "dataset": self.dataset,
            "instrument": str(self.instrument),
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "address": self.address,
        }
        words = f"{self.dataset} {self.instrument} {self.interval}"
        if self.failure is not None:
            failure = self.failure
            told = {"failure_class": failure.failure_class, "failure_message": failure.message, "log_tail": failure.log_tail}
            return GenerationError(f"{words} failed: {failure.message} ({failure.failure_class})", **place, **told)
        if self.outcome == "missing":
            return MissingError(f"{words} is not in the store: {self.reason or 'never generated with this configuration'}", reason=self.reason, **place)
        return None


@dataclass(frozen=True)
class Summary:
    """How many partitions there are of each outcome."""

    requested: int = 0
    read: int = 0
    hit: int = 0
    generated: int = 0
    empty: int = 0
    missing: int = 0
    failed: int = 0

    @classmethod
    def of(cls, outcomes: Sequence[str]) -> Summary:
        """Counts outcomes."""
        counts = {word: outcomes.count(word) for word in ("hit", "generated", "empty", "missing", "failed")}
        return cls(len(outcomes), counts["hit"] + counts["generated"] + counts["empty"], **counts)

    def __str__(self) -> str:
        """``Read 58 out of 60 (96.67%)``: the last line that scripts look for."""
        percent = 100.0 if self.requested == 0 else 100.0 * self.read / self.requested
        return f"Read {self.read} out of {self.requested} ({percent:.2f}%)"


class Loaded(Sequence[Partition]):
    """A load that is over: its partitions in request order, and frames of what was read."""

    def __init__(self, native: _native.Loaded) -> None:
        self._native = native

    def frame(
        self,
        output: str | None = None,
        *,
        dataset: str | None = None,
        time_column: str | None = None,
        untrimmed: bool = False,
        instrument_columns: bool = False,
        relaxed: bool = False,
    ) -> pl.LazyFrame:
        """One lazy frame of an output over every partition that was read, in their order.

        What is missing, failed or has no rows adds nothing. Rows outside of what was requested are left out; what was requested twice is there once. Nothing
        is read here but one footer for each distinct schema that this process has not seen yet.

        :param output: the output; may be left out where the load has one.
        :param dataset: takes the output of this dataset, where a load holds several that have one of its name.
        :param time_column: the column that holds a row's time, where that is not what the dataset declares.
        :param untrimmed: takes whole partitions, also where they reach beyond what was requested.
        :param instrument_columns: adds the columns ``market`` and ``pair``.
        :param relaxed: unites tables of different columns instead of refusing them.
        """
        output = self._one_output(output)
        parts = self._native.parts(output, dataset, time_column, untrimmed, instrument_columns)
        return frame_of(parts, output, relaxed=relaxed, instrument_columns=instrument_columns)

    def frames_by_instrument(
        self,
        output: str | None = None,
        *,
        dataset: str | None = None,
        time_column: str | None = None,
        untrimmed: bool = False,
        relaxed: bool = False,
    ) -> dict[Instrument, pl.LazyFrame]:
        """A lazy frame for each instrument of which something was read, in the order in which they were requested."""
        output = self._one_output(output)
        parts = self._native.parts(output, dataset, time_column, untrimmed, True)
        apart: dict[Instrument, list[_native.Scan]] = {}
        for scan in parts["scans"]:
            apart.setdefault(Instrument(f"{scan['market']}/{scan['pair']}"), []).append(scan)
        return {instrument: frame_of({**parts, "scans": scans}, output, relaxed=relaxed) for instrument, scans in apart.items()}

    def paths(self, output: str | None = None) -> list[Path]:
        """The files of an output, in order, for other readers than Polars."""
        output = self._one_output(output)
        return [partition.paths[output] for partition in self if output in partition.paths]

    @property
    def summary(self) -> Summary:
        """How many partitions there are of each outcome."""
        return Summary(*self._native.summary())

    @property
    def seconds(self) -> float:
        """How long the load took."""
        return self._native.seconds

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs that were read."""
        return self._native.names()[1]

    @property
    def upstream(self) -> list[Partition]:
        """Partitions that were generated because requested ones are derived from them."""
        return [Partition._of(native) for native in self._native.upstream()]

    @property
    def failed(self) -> list[Partition]:
        """The partitions that failed and were left out."""
        return [partition for partition in self if partition.outcome == "failed"] if self.summary.failed else []

    @property
    def missing(self) -> list[Partition]:
        """The partitions that are not in the store and were left out."""
        return [partition for partition in self if partition.outcome == "missing"] if self.summary.missing else []

    @property
    def gaps(self) -> list[InstrumentInterval]:
        """What failed or is missing, as a request: ``store.load(name, loaded.gaps)`` tries it again."""
        return [InstrumentInterval(one.instrument, one.requested) for one in self if not one.is_read]

    def _one_output(self, output: str | None) -> str:
        if output is not None:
            return output
        known = self.outputs
        if len(known) != 1:
            raise FrameError(f"this load has the outputs {', '.join(known)}; say which" if known else "nothing was read, so there is no output to take")
        return known[0]

    def __len__(self) -> int:
        return len(self._native)

    @overload
    def __getitem__(self, nth: int) -> Partition: ...
    @overload
    def __getitem__(self, nth: slice) -> list[Partition]: ...
    def __getitem__(self, nth: int | slice) -> Partition | list[Partition]:
        if isinstance(nth, slice):
            return [self[one] for one in range(*nth.indices(len(self)))]
        return Partition._of(self._native.partition(nth + len(self) if nth < 0 else nth))

    def __iter__(self) -> Iterator[Partition]:
        return (self[nth] for nth in range(len(self)))

    def __repr__(self) -> str:
        return f"<tickbarn.Loaded: {self.summary}>"

    def _repr_html_(self) -> str:
        return _html.loaded(self)
