"""Times: what users write, nanoseconds since the epoch, and what users get.

Nothing here goes through a float: a day has more nanoseconds than a double has digits.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .errors import RequestError

Time: TypeAlias = "str | date | datetime | int"
"""A time: text as ISO 8601 writes it, a date (its midnight), a datetime (UTC where it has no zone), or nanoseconds since the epoch."""

Length: TypeAlias = "str | timedelta | int | float"
"""A length of time: text (``"30m"``), a timedelta, or seconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NS_MIN, _NS_MAX = -(2**63), 2**63 - 1


def utc(ns: int) -> datetime:
    """The moment in UTC, rounded down to Python's microseconds.

    >>> utc(1_704_067_200_000_000_999)
    datetime.datetime(2024, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return _EPOCH + timedelta(microseconds=ns // 1000)


def moment(time: Time, what: str = "a time") -> int | str:
    """A time as the native module takes it: nanoseconds, or a text that the library reads.

    >>> moment(date(2024, 1, 1))
    1704067200000000000
    """
    if isinstance(time, str):
        return time
    if isinstance(time, datetime):
        # Nanoseconds of a pandas.Timestamp, which is a datetime, too.
        below = getattr(time, "nanosecond", 0)
        aware = time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
        since = aware - _EPOCH
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return _in_range(micros * 1000 + int(below), what)
    if isinstance(time, date):
        return _in_range((time - _EPOCH.date()).days * 86_400 * 10**9, what)
    if isinstance(time, bool) or not isinstance(time, int):
        ns = _ns_of_numpy(time)
        if ns is not None:
            return ns
        raise _refused(f"{what} is of type {type(time).__name__}; give a text, a date, a datetime or nanoseconds since the epoch as an int")
    return _in_range(time, what)


def nanoseconds(time: Time, what: str = "a time") -> int:
    """A time as nanoseconds since the epoch."""
    given = moment(time, what)
    if isinstance(given, int):
        return given
    from ._native import parse_time

    return parse_time(given)


def length(given: Length | None, what: str) -> str | None:
    """A length of time as the library reads it."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, timedelta):
        micros = (given.days * 86_400 + given.seconds) * 1_000_000 + given.microseconds
    elif isinstance(given, bool) or not isinstance(given, (int, float)):
        raise _refused(f"{what} is of type {type(given).__name__}; give a text such as \"30m\", a timedelta or seconds")
    else:
        micros = round(given * 1_000_000)
    if micros < 0:
        raise _refused(f"{what} is negative")
    return "0s" if micros == 0 else f"{micros}us"


def _ns_of_numpy(time: object) -> int | None:
    """The nanoseconds of a ``numpy.datetime64``, or of an integer of NumPy's."""
    kind = type(time)
    if kind.__module__ != "numpy":
        return None
    if kind.__name__ == "datetime64":
        return int(time.astype("datetime64[ns]").astype("int64"))  # type: ignore[attr-defined]
    if "int" in kind.__name__:
        return int(time)  # type: ignore[call-overload, no-any-return]
    return None


def _in_range(ns: int, what: str) -> int:
    if not _NS_MIN <= ns <= _NS_MAX:
        raise _refused(f"{what} lies outside 1677-09-21 to 2262-04-11, which is what 64-bit nanoseconds hold")
    return ns


def _refused(message: str) -> RequestError:
    from .errors import RequestError

    return RequestError(message)


def parsed_seconds(text: str) -> float:
    """The seconds of a length of time that was written as text."""
    from ._native import parse_length

    return parse_length(text)
