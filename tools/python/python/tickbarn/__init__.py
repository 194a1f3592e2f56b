"""A content-addressed cache for expensive market-data exports, for notebooks and scripts with Polars.

>>> import tempfile
>>> import polars as pl
>>> import tickbarn
>>> store = tickbarn.Store(tempfile.mkdtemp() + "/barn")     # or tickbarn.open("tickbarn.toml")
>>> @store.memoize(version="1", split="12h")
... def quotes(instrument, start, end):
...     return pl.DataFrame({"ts": [start], "bid": [1.5]})
>>> loaded = store.load("quotes", "binance/BTC-USDT", "2024-01-01", "2024-02-01")
>>> print(loaded.summary)
Read 62 out of 62 (100.00%)
>>> loaded.frame().select(pl.col("bid").sum()).collect().item()
93.0
"""

from __future__ import annotations

from ._dataset import Dataset
from ._inspect import Coverage, Finding, GcEntry, GcPlan, InstrumentCoverage, Pin, Plan, Swept, Verified, Why
from ._intervals import Instrument, InstrumentInterval, Interval
from ._load import Failure, Loaded, Partition, Summary
from ._memoize import Frames, Memoized
from ._ray import Ray
from ._store import Store, open
from ._submit import PartitionFuture, Submitted, wait
from .errors import (
    ClusterError,
    ConfigError,
    FrameError,
    GenerationError,
    LoadCancelled,
    MissingError,
    RequestError,
    SourceChangedWarning,
    StoreError,
    TickbarnError,
)

__all__ = [
    "ClusterError",
    "ConfigError",
    "Coverage",
    "Dataset",
    "Failure",
    "Finding",
    "FrameError",
    "Frames",
    "GcEntry",
    "GcPlan",
    "GenerationError",
    "Instrument",
    "InstrumentCoverage",
    "InstrumentInterval",
    "Interval",
    "LoadCancelled",
    "Loaded",
    "Memoized",
    "MissingError",
    "Partition",
    "PartitionFuture",
    "Pin",
    "Plan",
    "Ray",
    "RequestError",
    "SourceChangedWarning",
    "Store",
    "StoreError",
    "Submitted",
    "Summary",
    "Swept",
    "TickbarnError",
    "Verified",
    "Why",
    "open",
    "wait",
]
