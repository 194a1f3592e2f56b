"""The exceptions of tickbarn: one hierarchy, each with all that is known of what it is about.

>>> import tickbarn
>>> try:
...     tickbarn.Interval("2024-01-02", "2024-01-01")
... except tickbarn.TickbarnError as error:
...     print(type(error).__name__, error.dataset)
RequestError None
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ._times import utc


class TickbarnError(Exception):
    """Whatever keeps tickbarn from doing what was asked. What is not known of it is ``None``."""

    dataset: str | None
    """The dataset's name."""
    instrument: str | None
    """The instrument, ``market/PAIR``."""
    start_ns: int | None
    """Where the partition begins, in nanoseconds since the epoch."""
    end_ns: int | None
    """Where it ends."""
    failure_class: str | None
    """How a generator failed, in a word: ``exit``, ``signal``, ``timeout``, ``error``, …"""
    failure_message: str | None
    """The same in a sentence."""
    log_tail: str | None
    """The end of what the generator wrote."""
    address: str | None
    """The partition's address."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self._fields = fields
        for name in ("dataset", "instrument", "start_ns", "end_ns", "failure_class", "failure_message", "log_tail", "address"):
            setattr(self, name, fields.get(name))

    @property
    def start(self) -> datetime | None:
        """Where the partition begins, in UTC."""
        return None if self.start_ns is None else utc(self.start_ns)

    @property
    def end(self) -> datetime | None:
        """Where the partition ends, in UTC."""
        return None if self.end_ns is None else utc(self.end_ns)

    @property
    def interval(self) -> tuple[datetime, datetime] | None:
        """Both ends, in UTC."""
        start, end = self.start, self.end
        return None if start is None or end is None else (start, end)

    def __str__(self) -> str:
        if self.log_tail:
            lines = self.log_tail.rstrip().splitlines()[-_LOG_LINES_SHOWN:]
            return "\n".join([self.message, "the end of its log:", *(f"    {line}" for line in lines)])
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.message, self._fields)


_LOG_LINES_SHOWN = 10


def _again(kind: type[TickbarnError], message: str, fields: dict[str, Any]) -> TickbarnError:
    """Makes an exception anew in another process."""
    return kind(message, **fields)


class RequestError(TickbarnError, ValueError):
    """What was asked for means nothing: a time, an instrument, a name, an option."""


class ConfigError(TickbarnError, ValueError):
    """A dataset file or a definition is not right; ``path`` and ``line`` say where, as far as that is known."""

    path: str | None
    line: int | None

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.path = fields.get("path")
        self.line = fields.get("line")


class MissingError(TickbarnError):
    """Partitions are not in the store, and were not to be generated. The first of them is told."""

    reason: str | None
    missing: int
    requested: int

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reason = fields.get("reason")
        self.missing = fields.get("missing", 1)
        self.requested = fields.get("requested", 1)


class GenerationError(TickbarnError):
    """A generator failed. ``failure_class``, ``failure_message`` and ``log_tail`` say how."""


class LoadCancelled(TickbarnError):
    """A load was cancelled; what finished is kept."""

    done: int
    requested: int

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.done = fields.get("done", 0)
        self.requested = fields.get("requested", 0)


class ClusterError(TickbarnError):
    """A Ray cluster cannot be used, or was lost. ``fault`` is a word for it, ``cluster`` its address."""

    cluster: str | None
    fault: str | None

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.cluster = fields.get("cluster")
        self.fault = fields.get("fault")


class StoreError(TickbarnError):
    """A store cannot be read or written; ``path`` is what is concerned."""

    path: str | None

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.path = fields.get("path")


class FrameError(TickbarnError):
    """No frame can be made of what was loaded: no such output, columns that differ, a table that cannot be trimmed."""


class SourceChangedWarning(UserWarning):
    """A memoized function's source is another one than what its cached results were made by, under the same version."""
