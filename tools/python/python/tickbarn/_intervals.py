"""What is asked for: instruments and intervals, in all the forms in which users have them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

from . import _native
from ._times import Time, moment, nanoseconds, utc
from .errors import RequestError

if TYPE_CHECKING:
    import polars as pl


class Instrument(str):
    """A traded instrument: a text ``market/PAIR`` that knows its two parts.

    >>> Instrument("kraken/BTC/USD").pair
    'BTC/USD'
    """

    __slots__ = ()

    @property
    def market(self) -> str:
        """Where it is traded."""
        return self.partition("/")[0]

    @property
    def pair(self) -> str:
        """What is traded there."""
        return self.partition("/")[2]


class Interval(NamedTuple("Interval", [("start_ns", int), ("end_ns", int)])):
    """A half-open interval in UTC, to the nanosecond.

    >>> Interval("2024-01-01", "2024-01-02").end
    datetime.datetime(2024, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """

    __slots__ = ()

    def __new__(cls, start: Time, end: Time) -> Interval:
        start_ns, end_ns = nanoseconds(start, "start"), nanoseconds(end, "end")
        if start_ns >= end_ns:
            raise RequestError(f"an interval's start must be before its end, and {start} is not before {end}")
        return super().__new__(cls, start_ns, end_ns)

    @property
    def start(self) -> datetime:
        """Its first moment, rounded down to microseconds."""
        return utc(self.start_ns)

    @property
    def end(self) -> datetime:
        """The first moment after it, rounded down to microseconds."""
        return utc(self.end_ns)

    def __str__(self) -> str:
        return f"{_native.time_text(self.start_ns)}/{_native.time_text(self.end_ns)}"


class InstrumentInterval(NamedTuple):
    """An instrument over an interval: one record of a request.

    >>> InstrumentInterval.of("binance/BTC-USDT", "2024-01-01", "2024-02-01").interval.end.month
    2
    """

    instrument: Instrument
    interval: Interval

    @classmethod
    def of(cls, instrument: str, start: Time, end: Time) -> InstrumentInterval:
        """Of an instrument's name and two times."""
        return cls(Instrument(instrument), Interval(start, end))

    @property
    def start(self) -> datetime:
        """The interval's first moment."""
        return self.interval.start

    @property
    def end(self) -> datetime:
        """The first moment after the interval."""
        return self.interval.end

    def to_dict(self) -> dict[str, Any]:
        """The record as intervals files have it."""
        parts = {"market": self.instrument.market, "pair": self.instrument.pair}
        return {"instrument": parts, "start": _native.time_text(self.interval.start_ns), "end": _native.time_text(self.interval.end_ns)}


Intervals: TypeAlias = Union[
    str, "os.PathLike[str]", "pl.DataFrame", "pl.LazyFrame", Iterable[Union[Mapping[str, Any], InstrumentInterval, "tuple[str, Time, Time]"]]
]
"""Many instruments and intervals: the path of an intervals file, records, or a Polars frame."""

Asked: TypeAlias = "tuple[str | tuple[str, str], int | str, int | str]"

_FORM = '{"instrument": {"market": "binance", "pair": "BTC-USDT"}, "start": "2024-01-01", "end": "2024-02-01"}'


def asked(what: Intervals | str | Iterable[str], start: Time | None, end: Time | None) -> list[Asked]:
    """What a request asks for, as the native module takes it."""
    if (start is None) != (end is None):
        raise RequestError("an interval has two ends: give both start and end, or a list of intervals without them")
    if start is not None and end is not None:
        ends = moment(start, "start"), moment(end, "end")
        if isinstance(what, (str, bytes)) or isinstance(what, Mapping):
            return [(_instrument(what, "instrument"), *ends)]
        if not isinstance(what, Iterable):
            raise RequestError(f"an instrument is a text such as \"binance/BTC-USDT\", or a list of them, not {type(what).__name__}")
        return [(_instrument(one, f"instrument {nth}"), *ends) for nth, one in enumerate(what, 1)]
    if isinstance(what, InstrumentInterval):
        return [_record(what, 1)]
    if isinstance(what, (str, os.PathLike)):
        return [(instrument, start_ns, end_ns) for instrument, start_ns, end_ns in _native.read_intervals(os.fspath(what))]
    if type(what).__module__.partition(".")[0] == "polars":
        return _of_frame(what)
    if isinstance(what, Mapping):
        return [_record(what, 1)]
    if not isinstance(what, Iterable):
        raise RequestError(f"intervals are a list of records such as {_FORM}, a file of them or a Polars frame, not {type(what).__name__}")
    records = [_record(record, nth) for nth, record in enumerate(what, 1)]
    if not records:
        raise RequestError("the list of intervals is empty, so there is nothing to load")
    return records


def _instrument(given: Any, what: str) -> str | tuple[str, str]:
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        unknown = sorted(str(name) for name in given.keys() - {"market", "pair"})
        if unknown or len(given) != 2:
            raise RequestError(f"{what} has the fields {sorted(map(str, given))}; it is a text \"market/PAIR\" or {{\"market\": …, \"pair\": …}}")
        parts = given["market"], given["pair"]
    elif isinstance(given, tuple) and len(given) == 2:
        parts = given
    else:
        raise RequestError(f"{what} is of type {type(given).__name__}; it is a text \"market/PAIR\" or {{\"market\": …, \"pair\": …}}")
    if not all(isinstance(part, str) for part in parts):
        raise RequestError(f"{what}: its market and pair are texts")
    return parts


def _record(record: Any, nth: int) -> Asked:
    what = f"record {nth}"
    if isinstance(record, InstrumentInterval):
        return record.instrument, record.interval.start_ns, record.interval.end_ns
    if isinstance(record, Mapping):
        missing = [name for name in ("instrument", "start", "end") if name not in record]
        unknown = sorted(str(name) for name in record.keys() - {"instrument", "start", "end"})
        if missing or unknown:
            fault = f"has no {missing[0]}" if missing else f"has a field {unknown[0]!r}, which means nothing here"
            raise RequestError(f"{what} {fault}; write {_FORM}")
        fields = record["instrument"], record["start"], record["end"]
    elif isinstance(record, tuple) and len(record) == 3:
        fields = record
    else:
        raise RequestError(f"{what} is of type {type(record).__name__}; write {_FORM}, or (instrument, start, end)")
    instrument, start, end = fields
    return _instrument(instrument, f"{what}: its instrument"), moment(start, f"{what}: its start"), moment(end, f"{what}: its end")


def _of_frame(frame: Any) -> list[Asked]:
    """A Polars frame of the columns ``instrument`` (a text or a struct), or ``market`` and ``pair``, and ``start`` and ``end``."""
    import polars as pl

    table: pl.DataFrame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    if not isinstance(table, pl.DataFrame):
        raise RequestError(f"a Polars frame is needed, not a {type(frame).__name__}")
    has = set(table.columns)
    if not {"start", "end"} <= has or not ("instrument" in has or {"market", "pair"} <= has):
        raise RequestError(f"a frame of intervals has the columns instrument (or market and pair), start and end, and this has {table.columns}")
    if table.is_empty():
        raise RequestError("the frame of intervals has no rows, so there is nothing to load")
    if "instrument" in has:
        instruments = [_instrument(one, f"row {nth}: its instrument") for nth, one in enumerate(table["instrument"].to_list(), 1)]
    else:
        pairs = zip(table["market"].to_list(), table["pair"].to_list(), strict=True)
        instruments = [_instrument(one, f"row {nth}: its instrument") for nth, one in enumerate(pairs, 1)]
    starts, ends = _times_of(table["start"]), _times_of(table["end"])
    return list(zip(instruments, starts, ends, strict=True))


def _times_of(column: pl.Series) -> list[int | str]:
    import polars as pl

    if column.null_count():
        raise RequestError(f"the column {column.name} of the frame of intervals has nulls")
    if isinstance(column.dtype, pl.Datetime) or column.dtype == pl.Date:
        # To the nanosecond, which Python's datetime does not hold.
        return list(column.cast(pl.Datetime("ns")).cast(pl.Int64).to_list())
    return [moment(one, f"row {nth}: its {column.name}") for nth, one in enumerate(column.to_list(), 1)]
