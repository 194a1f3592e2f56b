"""Parquet as pyarrow and DuckDB write it: `write.py OUTDIR`.

`CASE-HOUR.parquet` is the partition of an hour of 2024-01-01, and `CASE-HOUR.json` beside it what a reader must see:
`{"rows": n, "columns": {name: [text or null]}}`. As text

- integers are decimal, and durations are integers of nanoseconds;
- floats are the shortest decimal that reads back as the same double (a 32-bit float is widened first), or `nan`, `inf`, `-inf`;
- decimals have all digits of their scale, booleans are `true` and `false`, bytes are hexadecimal;
- dates are `2024-01-01`, times of day `09:30:00.000000000`;
- timestamps are `2024-01-01T00:00:00.000000000Z`, also where the column has no zone or another;
- lists, structs and maps are JSON, a map being a list of `{"key": …, "value": …}`.

A case is stated in those texts. Both writers are given values made of them, and every file is read back through pyarrow and compared.
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
HOUR_NS = 3600 * UNIT_NS["s"]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAY_NS = (datetime(2024, 1, 1, tzinfo=timezone.utc) - EPOCH).days * 24 * HOUR_NS

UTC_NS = pa.timestamp("ns", "UTC")
# Neither UTC nor the machine's: what DuckDB takes for local must not get into a file.
DUCKDB_SESSION_ZONE = "America/New_York"
# DuckDB's least size of a row group.
DUCKDB_GROUP_ROWS = 2048

Columns = dict[str, tuple[pa.DataType | str, list[str | None]]]


class Case(NamedTuple):
    """Columns of an hour, how they are written, and what the file must be like for the case to test anything."""

    columns: Callable[[int], Columns]
    options: dict = {}
    holds: Callable[[pq.FileMetaData, int], bool] = lambda metadata, hour: True


# Texts.


def instant_text(ns: int) -> str:
    seconds, fraction = divmod(ns, UNIT_NS["s"])
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


def instant_ns(text: str) -> int:
    seconds, fraction = text.removesuffix("Z").split(".")
    return (datetime.fromisoformat(seconds + "+00:00") - EPOCH) // timedelta(seconds=1) * UNIT_NS["s"] + int(fraction)


def time_text(ns: int) -> str:
    return instant_text(ns).partition("T")[2].removesuffix("Z")


def instants(hour: int, unit: str, rows: int = 6) -> list[str]:
    """Times of an hour, its first moment and its last among them, that use every digit of the unit."""
    start, step = DAY_NS + hour * HOUR_NS, UNIT_NS[unit]
    inner = [start + (nth * HOUR_NS // (rows - 1) // step + nth) * step for nth in range(rows - 1)]
    return [instant_text(ns) for ns in [*inner, start + HOUR_NS - step]]


def scattered(texts: list[str]) -> list[str]:
    """The same in another order, in which any few neighbours are far apart."""
    stride = 619
    assert len(texts) % stride, "else some would be left out"
    return [texts[nth * stride % len(texts)] for nth in range(len(texts))]


def rotated(texts: list[str | None], hour: int) -> list[str | None]:
    """The same, so that the rows of two hours are told apart."""
    return texts[hour:] + texts[:hour]


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# Values from texts, and texts from what is read back.


def arrow_array(dtype: pa.DataType, texts: list[str | None]) -> pa.Array:
    def each(of_text: Callable) -> list:
        return [None if text is None else of_text(text) for text in texts]

    if pa.types.is_timestamp(dtype):
        return pa.array(each(lambda text: instant_ns(text) // UNIT_NS[dtype.unit]), dtype)
    if pa.types.is_duration(dtype):
        return pa.array(each(lambda text: int(text) // UNIT_NS[dtype.unit]), dtype)
    if pa.types.is_time(dtype):
        since_midnight = each(lambda text: (instant_ns(f"1970-01-01T{text}")) // UNIT_NS[dtype.unit])
        return pa.array(since_midnight, pa.int64()).cast(dtype)
    if pa.types.is_binary(dtype) or pa.types.is_fixed_size_binary(dtype):
        return pa.array(each(bytes.fromhex), dtype)
    if pa.types.is_map(dtype):
        return pa.array(each(lambda text: [(entry["key"], entry["value"]) for entry in json.loads(text)]), dtype)
    if pa.types.is_nested(dtype):
        return pa.array(each(json.loads), dtype)
    if pa.types.is_dictionary(dtype):
        return pa.array(texts, pa.string()).dictionary_encode().cast(dtype)
    return pa.array(texts, pa.string()).cast(dtype)


def duckdb_value(dtype: str, text: str) -> str:
    """The expression that makes a value of an expression for its text."""
    if dtype == "BLOB":
        return f"unhex({text})"
    if dtype.startswith("MAP("):
        return f"map_from_entries({text}::JSON::STRUCT(key VARCHAR, value BIGINT)[])::{dtype}"
    if dtype.startswith("STRUCT(") or dtype.endswith("[]"):
        return f"{text}::JSON::{dtype}"
    return f"{text}::{dtype}"


def texts_of(column: pa.ChunkedArray) -> list[str | None]:
    dtype = column.type
    if isinstance(dtype, pa.BaseExtensionType):
        return texts_of(pa.chunked_array([chunk.storage for chunk in column.chunks], dtype.storage_type))
    if pa.types.is_dictionary(dtype):
        return texts_of(column.cast(dtype.value_type))
    if pa.types.is_timestamp(dtype) or pa.types.is_time(dtype) or pa.types.is_duration(dtype):
        unit, column = UNIT_NS[dtype.unit], column.cast(pa.int64())
        text = instant_text if pa.types.is_timestamp(dtype) else time_text if pa.types.is_time(dtype) else str
        return [None if value is None else text(value * unit) for value in column.to_pylist()]
    if pa.types.is_boolean(dtype):
        text = lambda value: str(value).lower()
    elif pa.types.is_floating(dtype):
        text = repr
    elif pa.types.is_decimal(dtype):
        text = lambda value: format(value, "f")
    elif pa.types.is_binary(dtype) or pa.types.is_fixed_size_binary(dtype):
        text = bytes.hex
    elif pa.types.is_map(dtype):
        text = lambda value: compact([{"key": key, "value": of_key} for key, of_key in value])
    elif pa.types.is_nested(dtype):
        text = compact
    else:
        text = str
    return [None if value is None else text(value) for value in column.to_pylist()]


# Cases. Each list of texts is as long as the case's times.

LEVELS = ["[1.5,null,-2.0]", "[]", None, "[0.25]", "[null]", "[100.0,101.0]"]
QUOTES = ['{"bid":1.5,"ask":2.5}', '{"bid":null,"ask":2.5}', '{"bid":null,"ask":null}', None, '{"bid":1.0,"ask":1.25}', '{"bid":3.0,"ask":null}']
BOOKS = [
    '[{"price":1.5,"quantity":10},{"price":1.25,"quantity":null}]',
    "[]",
    None,
    '[{"price":null,"quantity":null}]',
    '[{"price":2.0,"quantity":1},null]',
    '[{"price":3.0,"quantity":9007199254740993}]',
]
TAGS = [
    '[{"key":"maker","value":1}]',
    '[{"key":"a","value":null},{"key":"b","value":2}]',
    "[]",
    None,
    '[{"key":"","value":0}]',
    '[{"key":"ü","value":-1}]',
]

PRICES = ["12345678901234.5678", "-0.0001", "0.0000", None, "99999999999999.9999", "1.5000"]
FEES = ["0.01", "-9999999.99", "9999999.99", None, "0.00", "1.50"]
WEIS = ["9999999999999999999999999999.9999999999", "-0.0000000001", "0.0000000000", None, "1.5000000000", "-1234567890.0123456789"]

SIDES = ["buy", "sell", None, "buy", "buy", "sell"]
# Bounds that are cut short must not split a character.
SYMBOLS = ["", "BTC-USDT", "Zürich 東京 🚀", "x" * 200, "ü" * 150, None]
# DuckDB cuts bounds after 256 bytes: what it has as the greatest is then in no row.
MEMOS = ["m" * 300, "n" * 300, "n" * 130, None, "o" * 300, "m"]
VENUES = ["binance", "kraken", "", "binance", None, "東京"]

PAYLOADS = ["", "00", None, "ff00fe", "62696e617279", "80" * 200]
IDS = [f"{'0' * 31}1", None, "f" * 32, "00112233445566778899aabbccddeeff", "7f" * 16, "80" * 16]

DOUBLES = ["nan", "inf", "-inf", "-0.0", "0.1", "1e+300", "5e-324", None]
FLOATS = ["nan", "inf", "-inf", "-0.0", "0.10000000149011612", "3.4028234663852886e+38", "1.401298464324817e-45", None]
FLAGS = ["true", "false", None, "true", "true", "false", "false", "true"]
DAYS = ["2024-01-01", "1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31", "2024-02-29", None, "2000-01-01"]
# What a contract without an end is given: later than 64 bits of nanoseconds reach.
EXPIRIES = ["2024-03-29T08:00:00.000000000Z", "9999-12-31T23:59:59.999999000Z", None, "1600-01-01T00:00:00.000001000Z"] * 2
# Whole milliseconds, for those writers and types that have no more.
TIMES = ["00:00:00.000000000", "23:59:59.999000000", "09:30:00.001000000", None] * 2
DURATIONS = ["0", "-1000000", "3600000000000", None] * 2


def signed(bits: int) -> list[str | None]:
    edge = 1 << (bits - 1)
    return [str(-edge), "-1", "0", "1", str(edge - 1), None, "7", "-7"]


def unsigned(bits: int) -> list[str | None]:
    edge = 1 << bits
    return ["0", "1", str(edge // 2 - 1), str(edge // 2), str(edge - 1), None, "7", str(edge - 7)]


def hourly(hour: int, columns: Columns) -> Columns:
    """Rotates all but times, which stay in order."""
    return {name: (dtype, texts if name == "ts" else rotated(texts, hour)) for name, (dtype, texts) in columns.items()}


def pyarrow_nested(hour: int) -> Columns:
    level = pa.struct([("price", pa.float64()), ("quantity", pa.int64())])
    return hourly(hour, {
        "ts": (UTC_NS, instants(hour, "ns")),
        "levels": (pa.list_(pa.float64()), LEVELS),
        "quote": (pa.struct([("bid", pa.float64()), ("ask", pa.float64())]), QUOTES),
        "book": (pa.list_(level), BOOKS),
    })


def duckdb_nested(hour: int) -> Columns:
    return hourly(hour, {
        "ts": ("TIMESTAMPTZ", instants(hour, "us")),
        "levels": ("DOUBLE[]", LEVELS),
        "quote": ("STRUCT(bid DOUBLE, ask DOUBLE)", QUOTES),
        "book": ("STRUCT(price DOUBLE, quantity BIGINT)[]", BOOKS),
    })


# Apart from the rest, for readers that refuse a file with a type they do not know.
def pyarrow_map(hour: int) -> Columns:
    return hourly(hour, {"ts": (UTC_NS, instants(hour, "ns")), "tags": (pa.map_(pa.string(), pa.int64()), TAGS)})


def duckdb_map(hour: int) -> Columns:
    return hourly(hour, {"ts": ("TIMESTAMPTZ", instants(hour, "us")), "tags": ("MAP(VARCHAR, BIGINT)", TAGS)})


def pyarrow_decimal(hour: int) -> Columns:
    return hourly(hour, {
        "ts": (pa.timestamp("us", "UTC"), instants(hour, "us")),
        "price": (pa.decimal128(18, 4), PRICES),
        "fee": (pa.decimal128(9, 2), FEES),
        "wei": (pa.decimal128(38, 10), WEIS),
    })


def duckdb_decimal(hour: int) -> Columns:
    return hourly(hour, {
        "ts": ("TIMESTAMPTZ", instants(hour, "us")),
        "price": ("DECIMAL(18, 4)", PRICES),
        "fee": ("DECIMAL(9, 2)", FEES),
        "wei": ("DECIMAL(38, 10)", WEIS),
    })


def pyarrow_categorical(hour: int) -> Columns:
    return hourly(hour, {
        "ts": (pa.timestamp("ms", "UTC"), instants(hour, "ms")),
        "side": (pa.dictionary(pa.int8(), pa.string()), SIDES),
        # The two hours have dictionaries of their own.
        "venue": (pa.dictionary(pa.int32(), pa.string()), [*VENUES[:-1], f"only in hour {hour}"]),
        "symbol": (pa.string(), SYMBOLS),
        "memo": (pa.string(), MEMOS),
    })


def duckdb_categorical(hour: int) -> Columns:
    return hourly(hour, {
        "ts": ("TIMESTAMPTZ", instants(hour, "us")),
        "side": ("ENUM('buy', 'sell', 'never')", SIDES),
        "venue": ("VARCHAR", [*VENUES[:-1], f"only in hour {hour}"]),
        "symbol": ("VARCHAR", SYMBOLS),
        "memo": ("VARCHAR", MEMOS),
    })


def pyarrow_binary(hour: int) -> Columns:
    return hourly(hour, {
        "ts": (UTC_NS, instants(hour, "ns")),
        "payload": (pa.binary(), PAYLOADS),
        "id": (pa.binary(16), IDS),
    })


def duckdb_binary(hour: int) -> Columns:
    return hourly(hour, {"ts": ("TIMESTAMPTZ", instants(hour, "us")), "payload": ("BLOB", PAYLOADS), "id": ("UUID", IDS)})


def pyarrow_scalars(hour: int) -> Columns:
    zones = {"": None, "_utc": "UTC", "_new_york": "America/New_York"}
    stamps = {f"{unit}{name}": (pa.timestamp(unit, zone), instants(hour, unit, 8)) for name, zone in zones.items() for unit in UNIT_NS}
    return {"ts": (UTC_NS, instants(hour, "ns", 8)), **stamps} | hourly(hour, {
        **{f"i{bits}": (getattr(pa, f"int{bits}")(), signed(bits)) for bits in (8, 16, 32, 64)},
        **{f"u{bits}": (getattr(pa, f"uint{bits}")(), unsigned(bits)) for bits in (8, 16, 32, 64)},
        "f32": (pa.float32(), FLOATS),
        "f64": (pa.float64(), DOUBLES),
        "flag": (pa.bool_(), FLAGS),
        "day": (pa.date32(), DAYS),
        "time_us": (pa.time64("us"), TIMES),
        "time_ns": (pa.time64("ns"), TIMES),
        "duration_ms": (pa.duration("ms"), DURATIONS),
        "duration_ns": (pa.duration("ns"), DURATIONS),
        "expiry": (pa.timestamp("us", "UTC"), EXPIRIES),
    })


def duckdb_scalars(hour: int) -> Columns:
    stamps = {"s": "TIMESTAMP_S", "ms": "TIMESTAMP_MS", "us": "TIMESTAMP", "ns": "TIMESTAMP_NS", "us_utc": "TIMESTAMPTZ", "ns_utc": "TIMESTAMPTZ_NS"}
    integers = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}
    return {"ts": ("TIMESTAMPTZ", instants(hour, "us", 8)), **{
        name: (dtype, instants(hour, name.partition("_")[0], 8)) for name, dtype in stamps.items()
    }} | hourly(hour, {
        **{f"i{bits}": (name, signed(bits)) for bits, name in integers.items()},
        **{f"u{bits}": (f"U{name}", unsigned(bits)) for bits, name in integers.items()},
        "f32": ("FLOAT", FLOATS),
        "f64": ("DOUBLE", DOUBLES),
        "flag": ("BOOLEAN", FLAGS),
        "day": ("DATE", DAYS),
        "time_us": ("TIME", TIMES),
        "time_ns": ("TIME_NS", TIMES),
        "expiry": ("TIMESTAMPTZ", EXPIRIES),
    })


def trades(time_type: pa.DataType | str, float_type: pa.DataType | str, int_type: pa.DataType | str, times: list[str | None], hour: int) -> Columns:
    """Rows whose price is told from every other's in both hours."""
    return {
        "ts": (time_type, times),
        "price": (float_type, [repr(hour * 10_000 + nth / 4) for nth in range(len(times))]),
        "quantity": (int_type, [None if nth % 5 == 3 else str(nth) for nth in range(len(times))]),
    }


def pyarrow_trades(hour: int, times: list[str | None], dtype: pa.DataType = UTC_NS) -> Columns:
    return trades(dtype, pa.float64(), pa.int64(), times, hour)


def duckdb_trades(hour: int, times: list[str | None], dtype: str = "TIMESTAMPTZ") -> Columns:
    return trades(dtype, "DOUBLE", "BIGINT", times, hour)


def first_hour_only(hour: int, unit: str) -> list[str]:
    return instants(hour, unit) if hour == 0 else []


def with_nulls(times: list[str]) -> list[str | None]:
    return [None if nth in (1, 4) else time for nth, time in enumerate(times)]


def old_columns(hour: int) -> Columns:
    # Version 1.0 has no unsigned 32-bit integers: they are written as wider ones.
    return pyarrow_trades(hour, instants(hour, "ns")) | {"venue": (pa.string(), rotated(VENUES, hour)), "flags": (pa.uint32(), [str(2**32 - 1)] * 6)}


def duckdb_nostats(hour: int) -> Columns:
    # DuckDB has no option for it, but gives no bounds of INT96, of floats with NaN, and of text that it would have to cut inside a character.
    return {
        # Microseconds: of others DuckDB drops the rest, silently, where it writes INT96.
        "ts": ("TIMESTAMP", instants(hour, "us")),
        "price": ("DOUBLE", rotated(["nan", "1.5", "-1.5", "0.0", "2.5", "nan"], hour)),
        "note": ("VARCHAR", [letter * 300 for letter in rotated(list("äöüéèê"), hour)]),
    }


def duckdb_sometimes_null(hour: int) -> Columns:
    # DuckDB says that a column may be null only where it found one, so that the hours' files differ in it.
    quantities = ["1", None, "3", "4", None, "6"] if hour == 0 else list("123456")
    return duckdb_trades(hour, instants(hour, "us")) | {"quantity": ("BIGINT", quantities)}


def columns_of(metadata: pq.FileMetaData):
    return [metadata.row_group(group).column(nth) for group in range(metadata.num_row_groups) for nth in range(metadata.num_columns)]


def has_no_bounds(metadata: pq.FileMetaData, hour: int) -> bool:
    return not any(column.is_stats_set and column.statistics.has_min_max for column in columns_of(metadata))


def has_no_statistics(metadata: pq.FileMetaData, hour: int) -> bool:
    return not any(column.is_stats_set for column in columns_of(metadata))


def has_int96(metadata: pq.FileMetaData, hour: int) -> bool:
    return metadata.schema.column(0).physical_type == "INT96" and b"ARROW:schema" not in (metadata.metadata or {})


def has_many_groups(metadata: pq.FileMetaData, hour: int) -> bool:
    return metadata.num_row_groups >= 4 and all(column.compression == "ZSTD" for column in columns_of(metadata))


def is_null_only_first(metadata: pq.FileMetaData, hour: int) -> bool:
    return metadata.schema.column(2).max_definition_level == (1 if hour == 0 else 0)


MANY_ROWS = 4 * DUCKDB_GROUP_ROWS
OLD = {"version": "1.0", "data_page_version": "1.0", "use_deprecated_int96_timestamps": True, "store_schema": False}

PYARROW = {
    "nested": Case(pyarrow_nested),
    "map": Case(pyarrow_map),
    "decimal": Case(pyarrow_decimal),
    "categorical": Case(pyarrow_categorical),
    "binary": Case(pyarrow_binary),
    "scalars": Case(pyarrow_scalars),
    "zero_rows": Case(lambda hour: pyarrow_trades(hour, first_hour_only(hour, "ns"))),
    "nostats": Case(lambda hour: pyarrow_trades(hour, instants(hour, "ns")), {"write_statistics": False}, has_no_statistics),
    "oldstyle": Case(old_columns, OLD, has_int96),
    "many_groups": Case(
        lambda hour: pyarrow_trades(hour, scattered(instants(hour, "ns", 500))), {"row_group_size": 16, "compression": "zstd"}, has_many_groups
    ),
    "nullts": Case(lambda hour: pyarrow_trades(hour, with_nulls(instants(hour, "ns")))),
}

DUCKDB = {
    "nested": Case(duckdb_nested),
    "map": Case(duckdb_map),
    "decimal": Case(duckdb_decimal),
    "categorical": Case(duckdb_categorical),
    "binary": Case(duckdb_binary),
    "scalars": Case(duckdb_scalars),
    "zero_rows": Case(lambda hour: duckdb_trades(hour, first_hour_only(hour, "us"))),
    "nostats": Case(duckdb_nostats, {"WRITE_TIMESTAMP_AS_INT96": True}, has_no_bounds),
    "oldstyle": Case(lambda hour: duckdb_trades(hour, instants(hour, "us")), {"WRITE_TIMESTAMP_AS_INT96": True}, has_int96),
    "many_groups": Case(
        lambda hour: duckdb_trades(hour, scattered(instants(hour, "us", MANY_ROWS))),
        {"ROW_GROUP_SIZE": DUCKDB_GROUP_ROWS, "COMPRESSION": "zstd"},
        has_many_groups,
    ),
    "nullts": Case(lambda hour: duckdb_trades(hour, with_nulls(instants(hour, "us")))),
    "sometimes_null": Case(duckdb_sometimes_null, holds=is_null_only_first),
}


# Writing.


def write_with_pyarrow(path: Path, columns: Columns, options: dict) -> None:
    pq.write_table(pa.table({name: arrow_array(dtype, texts) for name, (dtype, texts) in columns.items()}), path, **options)


def write_with_duckdb(path: Path, columns: Columns, options: dict) -> None:
    with duckdb.connect() as connection:
        # One thread, for the same file on every machine.
        connection.execute(f"SET threads = 1; SET TimeZone = '{DUCKDB_SESSION_ZONE}'")
        connection.execute(f"CREATE TABLE partition ({', '.join(f'{name} {dtype}' for name, (dtype, _) in columns.items())})")
        given = ", ".join(f"unnest(?::VARCHAR[]) AS {name}" for name in columns)
        values = ", ".join(f"{duckdb_value(dtype, name)} AS {name}" for name, (dtype, _) in columns.items())
        connection.execute(f"INSERT INTO partition SELECT {values} FROM (SELECT {given})", [texts for _, texts in columns.values()])
        written = ", ".join(["FORMAT parquet", *(f"{option} {value}" for option, value in options.items())])
        connection.execute(f"COPY partition TO '{path}' ({written})")


def check(path: Path, columns: Columns, case: Case, hour: int) -> None:
    with pq.ParquetFile(path) as file:
        table = file.read()
        if not case.holds(file.metadata, hour):
            raise SystemExit(f"{path}: no longer what the case is about ({case.holds.__name__})")
    if table.column_names != list(columns):
        raise SystemExit(f"{path}: has the columns {table.column_names}")
    for name, (_, texts) in columns.items():
        read = texts_of(table.column(name))
        if read != texts:
            raise SystemExit(f"{path}: {name} was given as {texts} and reads as {read}")


def main(outdir: Path) -> None:
    outdir.mkdir(parents=True, exist_ok=True)
    for writer, write, cases in (("pyarrow", write_with_pyarrow, PYARROW), ("duckdb", write_with_duckdb, DUCKDB)):
        for name, case in cases.items():
            for hour in (0, 1):
                path = outdir / f"{writer}_{name}-{hour}.parquet"
                columns = case.columns(hour)
                write(path, columns, case.options)
                check(path, columns, case, hour)
                seen = {"rows": len(columns["ts"][1]), "columns": {column: texts for column, (_, texts) in columns.items()}}
                path.with_suffix(".json").write_text(json.dumps(seen, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: write.py OUTDIR")
    main(Path(sys.argv[1]))
