"""What a store says of itself: coverage, why, plans of loads and collections, pins, findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _html
from ._intervals import Instrument, InstrumentInterval, Interval
from ._times import utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._native import GcPlan as NativeGcPlan


def _intervals(spans: Iterable[tuple[int, int]]) -> list[Interval]:
    return [Interval(*span) for span in spans]


@dataclass(frozen=True)
class InstrumentCoverage:
    """What a store has of one instrument. No time is in two of the lists."""

    instrument: Instrument
    have: list[Interval]
    """Of which there is data."""
    empty: list[Interval]
    """Of which the generator said that there is none."""
    failed: list[Interval]
    """Of which there is nothing, since generating it failed."""
    missing: list[Interval]
    """Of which nothing is known."""
    entries: int
    """How many entries that is."""
    share: float | None
    """Which part of the open time is there or known to be empty, from 0 to 1."""
    nearest: str | None = None
    """Where the store does not know the instrument: the one that was probably meant."""


@dataclass(frozen=True)
class Coverage:
    """What a store has of a dataset within an interval."""

    dataset: str
    interval: Interval
    instruments: list[InstrumentCoverage]
    closed: list[Interval]
    """When there is no data by design."""
    share: float | None
    """Of all instruments together."""
    gaps: list[InstrumentInterval]
    """What would have to be loaded so that nothing is missing: ``store.load(name, coverage.gaps)``."""
    elsewhere: int
    """How many entries of the dataset's name were made by another program or configuration, and do not count."""
    cut_at_present: bool
    """Whether the end that was asked for lies in the future."""

    @classmethod
    def _of(cls, told: dict[str, Any]) -> Coverage:
        instruments = [
            InstrumentCoverage(
                instrument=Instrument(one["instrument"]),
                have=_intervals(one["have"]),
                empty=_intervals(one["empty"]),
                failed=_intervals(one["failed"]),
                missing=_intervals(one["missing"]),
                entries=one["entries"],
                share=one["share"],
                nearest=one["nearest"],
            )
            for one in told["instruments"]
        ]
        gaps = [InstrumentInterval(Instrument(instrument), Interval(start, end)) for instrument, start, end in told["gaps"]]
        closed = _intervals(told["closed"])
        interval = Interval(*told["interval"])
        return cls(told["dataset"], interval, instruments, closed, told["share"], gaps, told["elsewhere"], told["cut_at_present"])

    def __str__(self) -> str:
        rows = [f"{self.dataset} {self.interval}: {_percent(self.share)} there"]
        rows += [f"  {one.instrument}: {_percent(one.share)}, {one.entries} entries" for one in self.instruments]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        return _html.coverage(self)


def _percent(share: float | None) -> str:
    return "all closed" if share is None else f"{100 * share:.2f}%"


@dataclass(frozen=True)
class Neighbour:
    """An entry at the place of a partition, under another key."""

    address: str
    interval: Interval
    started: datetime
    differences: list[str]
    """In what the keys differ, in words."""


@dataclass(frozen=True)
class Why:
    """What a store knows of a partition, and why it is, or would be, generated."""

    dataset: str
    instrument: Instrument
    interval: Interval
    address: str | None
    standing: str
    """``usable`` (it is there), ``unusable`` (it is there and counts as missing), ``absent``, or ``blocked`` (its upstream is missing)."""
    reason: str | None
    """Why it counts as missing although it is there."""
    generated: datetime | None
    """When its generator was started."""
    seconds: float | None
    missing_upstream: list[str]
    failures: int
    """How often it failed since it was last generated."""
    failure_class: str | None
    failure_message: str | None
    log_tail: str | None = field(repr=False)
    nearest: list[Neighbour] = field(default_factory=list)
    others: int = 0
    """How many more entries of other keys there are at its place."""

    @classmethod
    def _of(cls, told: dict[str, Any]) -> Why:
        generated = told["generated"]
        count, _, kind, message, tail = told["failure"] or (0, None, None, None, None)
        nearest = [
            Neighbour(address, Interval(*interval), utc(made[0]), differences) for address, interval, made, differences in told["nearest"]
        ]
        return cls(
            dataset=told["dataset"],
            instrument=Instrument(told["instrument"]),
            interval=Interval(*told["interval"]),
            address=told["address"],
            standing=told["standing"],
            reason=told["reason"],
            generated=None if generated is None else utc(generated[0]),
            seconds=None if generated is None else generated[1],
            missing_upstream=told["missing_upstream"],
            failures=count,
            failure_class=kind,
            failure_message=message,
            log_tail=tail,
            nearest=nearest,
            others=told["others"],
        )

    def __str__(self) -> str:
        rows = [f"{self.dataset} {self.instrument} {self.interval}"]
        if self.standing == "usable":
            rows.append(f"  is in the store since {self.generated}; would not be generated")
        elif self.standing == "unusable":
            rows.append(f"  is in the store, and counts as missing: {self.reason}")
        elif self.standing == "blocked":
            rows.append("  has no address yet, since its upstream is missing: " + ", ".join(self.missing_upstream))
        elif self.nearest:
            rows.append("  is not in the store under this key; would be generated")
        else:
            rows.append("  never generated; would be generated")
        if self.failures:
            rows.append(f"  failed {self.failures} time(s), last: {self.failure_message} ({self.failure_class})")
        for one in self.nearest:
            rows.append(f"  {one.address[:16]} was generated at {one.started}; in the key: {'; '.join(one.differences) or 'nothing differs'}")
        return "\n".join(rows)


@dataclass(frozen=True)
class Foreseen:
    """A partition, and what is expected to become of it: ``hit``, ``empty``, ``generate``, ``follow``, ``failed`` or ``missing``."""

    dataset: str
    instrument: Instrument
    interval: Interval
    expected: str
    address: str | None
    seconds: float | None
    bytes: int | None

    @classmethod
    def _of(cls, row: tuple[Any, ...]) -> Foreseen:
        dataset, instrument, interval, expected, address, takes = row
        seconds, size = takes or (None, None)
        return cls(dataset, Instrument(instrument), Interval(*interval), expected, address, seconds, size)


@dataclass(frozen=True)
class Plan:
    """What a load would do."""

    partitions: list[Foreseen]
    upstream: list[Foreseen]
    """What would be generated only because requested partitions are derived from it."""
    generated: int
    """How many partitions would be generated."""
    workers: int
    seconds: float | None
    """How long that would take, by what is in the store; ``None`` where there is no history."""
    bytes: int | None
    """How many bytes it would bring."""
    free_bytes: int
    """How much is free on the store's disk."""
    without_history: int
    stop: str | None
    """What would end the load before its end: ``missing``, ``failure``."""
    again: list[str]
    """Why partitions are generated that were there under other keys."""
    followers: list[tuple[str, list[str], int]]
    """Datasets that are derived from what would be generated, and that the load does not ask for."""

    @classmethod
    def _of(cls, told: dict[str, Any]) -> Plan:
        rows = {name: [Foreseen._of(row) for row in told[name]] for name in ("partitions", "upstream")}
        return cls(**{**told, **rows})

    def counts(self) -> dict[str, int]:
        """How many partitions are expected to become what."""
        counts: dict[str, int] = {}
        for one in self.partitions:
            counts[one.expected] = counts.get(one.expected, 0) + 1
        return counts

    def __str__(self) -> str:
        rows = [", ".join(f"{count} {word}" for word, count in self.counts().items())]
        rows += self.again
        rows.append(f"Would generate {self.generated} partitions{_price(self.seconds, self.bytes)}" if self.generated else "Would generate nothing")
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        return _html.plan(self)


def _price(seconds: float | None, size: int | None) -> str:
    return "" if seconds is None or size is None else f": about {seconds:.1f} s, {_html.size(size)}"


@dataclass(frozen=True)
class GcEntry:
    """An entry that would go."""

    address: str
    dataset: str
    instrument: Instrument
    interval: Interval
    bytes_freed: int
    seconds: float
    """How long it took to make."""
    reason: str


@dataclass(frozen=True)
class GcPlan:
    """What a collection would take away, and what making it again would take. :meth:`sweep` carries it out."""

    entries: int
    bytes: int
    """How many bytes it frees."""
    seconds: float
    """How long generating all of it again would take one worker."""
    store_bytes: int
    shortfall_bytes: int
    """How much of what was to be freed is held by something."""
    kept: int
    """How many entries are held by running programs, pins, their age or the last so many intervals."""
    kept_leased: int
    kept_pinned: int
    kept_recent: int
    failures: int
    leftovers: int
    by_dataset: list[tuple[str, int, int, float]]
    """Of each dataset: entries, bytes, seconds."""
    _native: NativeGcPlan = field(repr=False, compare=False)

    @classmethod
    def _of(cls, native: NativeGcPlan) -> GcPlan:
        told = native.told()
        assert told is not None, "a plan that was just made was not carried out"
        return cls(**told, _native=native)

    def going(self) -> list[GcEntry]:
        """The entries that go, in order."""
        return [
            GcEntry(address, dataset, Instrument(instrument), Interval(start, end), freed, seconds, reason)
            for address, dataset, instrument, start, end, freed, seconds, reason in self._native.entries()
        ]

    def sweep(self) -> Swept:
        """Carries the plan out, once. What was used, pinned or made anew since is left alone."""
        return Swept(**self._native.sweep())

    def __str__(self) -> str:
        return f"{self.entries} entries would go: {_html.size(self.bytes)}, {self.seconds:.1f} s to make again; {self.kept} are kept"

    def _repr_html_(self) -> str:
        return _html.gc_plan(self)


@dataclass(frozen=True)
class Swept:
    """What a collection has taken away."""

    entries: int
    bytes: int
    seconds: float
    """How long generating it again would take."""
    failures: int
    leftovers: int
    leftover_bytes: int
    kept: int
    """How many entries of the plan are still there."""
    elapsed: float

    def __str__(self) -> str:
        return f"{self.entries} entries are gone: {_html.size(self.bytes)} in {self.elapsed:.1f} s"


@dataclass(frozen=True)
class Pin:
    """What a user has named to be kept."""

    name: str
    created: datetime
    datasets: list[str]
    instruments: list[Instrument]
    start: datetime | None
    end: datetime | None
    addresses: list[str]

    @classmethod
    def _of(cls, row: tuple[Any, ...]) -> Pin:
        name, created, datasets, instruments, start, end, addresses = row
        first, after = (None if ns is None else utc(ns) for ns in (start, end))
        return cls(name, utc(created), datasets, [Instrument(one) for one in instruments], first, after, addresses)


@dataclass(frozen=True)
class Finding:
    """Something in a store that is not as it should be."""

    kind: str
    is_problem: bool
    """Whether it is more than something that merely lies about."""
    path: Path
    reason: str
    address: str | None
    repair: str
    """What was done about it."""


@dataclass(frozen=True)
class Verified:
    """What verifying a store has found."""

    is_clean: bool
    """Whether nothing is wrong, or nothing is any more."""
    entries: int
    artifacts: int
    bytes: int
    quarantined: int
    seconds: float
    findings: list[Finding]

    @classmethod
    def _of(cls, told: dict[str, Any]) -> Verified:
        return cls(**{**told, "findings": [Finding(*row) for row in told["findings"]]})

    @property
    def problems(self) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.is_problem]

    def __str__(self) -> str:
        rows = [f"Verified {self.entries} entries and {self.artifacts} artifacts, {_html.size(self.bytes)}: {len(self.problems) or 'no'} problems"]
        rows += [f"  {one.kind} {one.path}: {one.reason}" for one in self.problems]
        return "\n".join(rows)
