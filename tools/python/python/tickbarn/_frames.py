"""From files to one lazy frame, with the user's own Polars.

Which files, and which rows of them, the library says. A frame with nothing to trim, to add or to unite is a single scan over an explicit list of files,
which is told their schema, their rows and the bounds of their columns, so that planning opens no file but one for each distinct schema, a count opens
none, and a filter on time only those that it leaves.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from .errors import FrameError

if TYPE_CHECKING:
    from ._native import FrameParts, Scan

_Schema = dict[str, pl.DataType]

_SCHEMAS: dict[str, _Schema] = {}
"""The schemas that this process has read, by their digests. A digest says everything of one, so it holds for every store."""
_SCHEMAS_MAX = 1024
_DIFFERENCES_SHOWN = 8
_UNIT_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000}
_INSTRUMENT_COLUMNS = ("market", "pair")


def frame_of(parts: FrameParts, output: str, *, relaxed: bool = False, instrument_columns: bool = False) -> pl.LazyFrame:
    """One frame of an output."""
    if not parts["scans"]:
        path, digest = parts["model"]
        schema = _schema_of(digest, path)
        empty = pl.LazyFrame(schema=schema)
        market, pair = parts["model_instrument"] or ("", "")
        return _with_instrument(empty, market, pair, output, schema) if instrument_columns else empty
    groups = _by_schema(parts["scans"])
    first, schema = groups[0]
    if not relaxed:
        for other, other_schema in groups:
            if list(other_schema.items()) != list(schema.items()):
                raise FrameError(
                    f"the columns of {output!r} differ between {first['place']} and {other['place']}: {_differences(schema, other_schema)}; "
                    "give the dataset a new version or configuration where its tables change, load the two apart, or unite them with relaxed=True"
                )
    frames = []
    for scan, schema in groups:
        frame = _scan(scan, schema)
        within = _within(scan, output, parts["time_column"], schema)
        if within is not None:
            frame = frame.filter(within)
        if instrument_columns:
            frame = _with_instrument(frame, scan["market"], scan["pair"], output, schema)
        frames.append(frame)
    if len(frames) == 1:
        return frames[0]
    return pl.concat(frames, how="diagonal_relaxed" if relaxed else "vertical")


def _schema_of(digest: str, path: str) -> _Schema:
    known = _SCHEMAS.get(digest)
    if known is None:
        known = dict(pl.read_parquet_schema(path))
        if len(_SCHEMAS) >= _SCHEMAS_MAX:
            _SCHEMAS.clear()
        _SCHEMAS[digest] = known
    return known


def _by_schema(scans: Sequence[Scan]) -> list[tuple[Scan, _Schema]]:
    """Scans with their schemas. Digests may differ where Polars sees no difference: such neighbours become one."""
    groups: list[tuple[Scan, _Schema]] = []
    for scan in scans:
        schema = _schema_of(scan["schema"], scan["paths"][0])
        if groups and list(groups[-1][1].items()) == list(schema.items()):
            last = groups[-1][0]
            alike = ("start_ns", "end_ns", "market", "pair") if scan["schema"] != last["schema"] else ()
            if alike and all(last[name] == scan[name] for name in alike):  # type: ignore[literal-required]
                groups[-1] = (_joined(last, scan), schema)
                continue
        groups.append((scan, schema))
    return groups


def _joined(one: Scan, other: Scan) -> Scan:
    joined = one.copy()
    joined["paths"] = one["paths"] + other["paths"]
    joined["rows"] = one["rows"] + other["rows"]
    joined["bounds"] = {
        name: {
            "time": bounds["time"],
            "min": bounds["min"] + other["bounds"][name]["min"],
            "max": bounds["max"] + other["bounds"][name]["max"],
            "nulls": bounds["nulls"] + other["bounds"][name]["nulls"],
        }
        for name, bounds in one["bounds"].items()
        if name in other["bounds"] and other["bounds"][name]["time"] == bounds["time"]
    }
    return joined


@functools.cache
def _scan_knows() -> frozenset[str]:
    """What the Polars that is there can be told of files beyond its documented parameters: another release goes without."""
    return frozenset(inspect.signature(pl.scan_parquet).parameters) & {"_table_statistics", "_row_count"}


def _scan(scan: Scan, schema: _Schema) -> pl.LazyFrame:
    told: dict[str, Any] = {}
    if "_row_count" in _scan_knows():
        # None of them deleted: answers a count without opening a file.
        told["_row_count"] = (sum(scan["rows"]), 0)
    if "_table_statistics" in _scan_knows() and len(scan["paths"]) > 1:
        statistics = _statistics(scan, schema)
        if statistics is not None:
            told["_table_statistics"] = statistics
    parallel: Any = "columns" if any(map(_may_be_converted, schema.values())) else "auto"
    # A store may lie in a directory whose name looks like a pattern or a Hive partition.
    return pl.scan_parquet(scan["paths"], schema=schema, glob=False, hive_partitioning=False, parallel=parallel, **told)


def _may_be_converted(dtype: pl.DataType) -> bool:
    """Whether Polars may read the type in another unit than it is stored in: it must then not filter while it decodes, where it has compared a column before
    it has converted it."""
    return dtype == pl.Time or (isinstance(dtype, (pl.Datetime, pl.Duration)) and dtype.time_unit == "ms")


def _statistics(scan: Scan, schema: _Schema) -> pl.DataFrame | None:
    """What is known of each file's columns, in the form in which Polars decides by it which files a filter has to open: a row a file, and of every column
    the least and greatest value and how many are null, null themselves where that is not known."""
    known = {name: bounds for name, bounds in scan["bounds"].items() if name in schema and _is_bounded(schema[name], bounds["time"])}
    if not known:
        return None
    index = pl.get_index_type()
    columns = [pl.Series("len", scan["rows"], dtype=index)]
    unknown = []
    for name, dtype in schema.items():
        bounds = known.get(name)
        if bounds is None:
            counts = _counts_of(dtype, index)
            kinds = (("min", dtype), ("max", dtype), ("nc", counts))
            unknown += [pl.lit(None, dtype=kind).alias(f"{name}_{suffix}") for suffix, kind in kinds]
            continue
        lower, upper = bounds["min"], bounds["max"]
        if isinstance(dtype, pl.Datetime):
            # Rounded outwards.
            unit = _UNIT_NS[dtype.time_unit]
            if unit != 1:
                lower = [None if ns is None else ns // unit for ns in lower]
                upper = [None if ns is None else -(-ns // unit) for ns in upper]
        columns.append(_bounds(f"{name}_min", lower, dtype))
        columns.append(_bounds(f"{name}_max", upper, dtype))
        columns.append(pl.Series(f"{name}_nc", bounds["nulls"], dtype=index))
    table = pl.DataFrame(columns)
    if not unknown:
        return table
    order = ["len", *(f"{name}_{suffix}" for name in schema for suffix in ("min", "max", "nc"))]
    return table.with_columns(unknown).select(order)


def _is_bounded(dtype: pl.DataType, time: bool) -> bool:
    return isinstance(dtype, pl.Datetime) if time else dtype in (pl.Int64, pl.UInt64)


def _bounds(name: str, values: list[int | None], dtype: pl.DataType) -> pl.Series:
    if dtype == pl.UInt64:
        return pl.Series(name, [None if value is None or value < 0 else value for value in values], dtype=pl.UInt64)
    bounds: pl.Series = pl.Series(name, values, dtype=pl.Int64).cast(dtype)
    return bounds


def _counts_of(dtype: pl.DataType, index: Any) -> Any:
    """The type that counts of null values have: a struct's are counted field by field."""
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _counts_of(field.dtype, index) for field in dtype.fields})  # type: ignore[arg-type]
    return index


def _within(scan: Scan, output: str, column: str, schema: _Schema) -> pl.Expr | None:
    """The condition that a row's time is within what remains of its table."""
    start, end = scan["start_ns"], scan["end_ns"]
    if start is None and end is None:
        return None
    dtype = schema.get(column)
    if dtype is None:
        raise _untrimmable(output, column, "there is no such column")
    if not isinstance(dtype, pl.Datetime) and dtype != pl.Int64:
        raise _untrimmable(output, column, f"its type is {dtype}, where a datetime or 64-bit integers of nanoseconds are needed")
    within = None
    for ns, is_start in ((start, True), (end, False)):
        if ns is None:
            continue
        # The first moment of the column's unit that is not before the edge.
        edge = pl.lit(-(-ns // _UNIT_NS[dtype.time_unit]), dtype=pl.Int64).cast(dtype) if isinstance(dtype, pl.Datetime) else pl.lit(ns, dtype=pl.Int64)
        one = pl.col(column) >= edge if is_start else pl.col(column) < edge
        within = one if within is None else within & one
    return within


def _untrimmable(output: str, column: str, reason: str) -> FrameError:
    return FrameError(
        f"{output!r} cannot be trimmed to the requested interval by its column {column!r}: {reason}; choose another with time_column=…, "
        "or take whole partitions with untrimmed=True"
    )


def _with_instrument(frame: pl.LazyFrame, market: str, pair: str, output: str, schema: _Schema) -> pl.LazyFrame:
    for column in _INSTRUMENT_COLUMNS:
        if column in schema:
            raise FrameError(
                f"{output!r} has a column {column!r} of its own, so the instrument cannot be added under that name; rename or drop it, or take a frame "
                "for each instrument (frames_by_instrument)"
            )
    return frame.with_columns(pl.lit(market).alias("market"), pl.lit(pair).alias("pair"))


def _differences(first: _Schema, second: _Schema) -> str:
    """In which columns two schemas differ."""
    found = []
    for name, dtype in first.items():
        if name not in second:
            found.append(f"{name} ({dtype}) is only in the first")
        elif second[name] != dtype:
            found.append(f"{name} is {dtype} in the first and {second[name]} in the second")
    found += [f"{name} ({dtype}) is only in the second" for name, dtype in second.items() if name not in first]
    if not found:
        return "they stand in another order"
    if len(found) > _DIFFERENCES_SHOWN:
        found = [*found[:_DIFFERENCES_SHOWN], f"{len(found) - _DIFFERENCES_SHOWN} more differ"]
    return ", ".join(found)
