"""Datasets: what is cached under one name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._times import Length, length

if TYPE_CHECKING:
    from . import _native


class Dataset:
    """A dataset: of the dataset file, defined by :meth:`Store.define`, or a memoized function."""

    def __init__(self, native: _native.Dataset) -> None:
        self._native = native

    @property
    def name(self) -> str:
        """Its name."""
        return self._native.name

    @property
    def outputs(self) -> list[str]:
        """The names of its outputs, in order."""
        return self._native.outputs()

    @property
    def version(self) -> str | None:
        """The version that it declares."""
        return self._native.version

    @property
    def time_column(self) -> str:
        """The column that holds a row's time."""
        return self._native.time_column

    @property
    def split(self) -> timedelta:
        """How long the pieces are that an interval is cut into."""
        return timedelta(microseconds=self._native.split_ns / 1000)

    def __repr__(self) -> str:
        return f"<tickbarn dataset {self.name}: {', '.join(self.outputs)}>"


@dataclass(frozen=True)
class Definition:
    """What commands and functions may both declare."""

    split: str | None = None
    align: str | None = None
    time_column: str | None = None
    closed: Sequence[str] = ()
    timeout: Length | None = None
    retries: int = 0
    cpus: float | None = None
    memory: str | int | None = None
    files: Mapping[str, str | Path] = field(default_factory=dict)
    base_dir: str | Path | None = None

    def words(self, *, outputs: Mapping[str, str], upstream: Sequence[Any]) -> dict[str, Any]:
        """The same as the native module takes it."""
        return {
            "outputs": dict(outputs),
            "split": self.split,
            "align": self.align,
            "time_column": self.time_column,
            "closed": [self.closed] if isinstance(self.closed, str) else list(self.closed),
            "timeout": length(self.timeout, "timeout"),
            "retries": self.retries,
            "cpus": self.cpus,
            "memory": None if self.memory is None else str(self.memory),
            "inputs": {name: Path(path) for name, path in self.files.items()},
            "upstream": list(upstream),
            "base_dir": None if self.base_dir is None else Path(self.base_dir),
        }
