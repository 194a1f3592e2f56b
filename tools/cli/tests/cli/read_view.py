"""Reads one output of a view by its hive partitions, only what starts before a time. Prints rows by market, pair and start, as each reader sees them."""

import datetime
import json
import sys

import duckdb
import polars
import pyarrow
import pyarrow.dataset

directory, output, before = sys.argv[1:]
before = datetime.datetime.fromisoformat(before)


def rows(found):
    return sorted([market, pair, start.replace(tzinfo=datetime.timezone.utc).isoformat(), count] for market, pair, start, count in found)


files = f"{directory}/*/*/*/{output}.parquet"
by_duckdb = duckdb.execute(
    "select market, pair, start, count(*) from read_parquet(?, hive_partitioning = true) where start < ? group by all",
    [files, before.replace(tzinfo=None)],
).fetchall()

partitioning = pyarrow.dataset.partitioning(
    pyarrow.schema([("market", pyarrow.string()), ("pair", pyarrow.string()), ("start", pyarrow.timestamp("us", "UTC"))]), flavor="hive"
)
table = pyarrow.dataset.dataset(directory, partitioning=partitioning).to_table(filter=pyarrow.dataset.field("start") < before)
counted = table.group_by(["market", "pair", "start"]).aggregate([([], "count_all")]).to_pylist()
by_pyarrow = [(row["market"], row["pair"], row["start"], row["count_all"]) for row in counted]

frame = polars.scan_parquet(files, hive_partitioning=True)
by_polars = frame.filter(polars.col("start") < before).group_by("market", "pair", "start").len().collect().rows()

print(json.dumps({"duckdb": rows(by_duckdb), "pyarrow": rows(by_pyarrow), "polars": rows(by_polars)}))
