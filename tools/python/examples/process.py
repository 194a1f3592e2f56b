#!/usr/bin/env python3
"""Merges the market data and features that export_data.py has brought into a store.

Both are only read: an interval of which either is missing is left out. What is made of
them is a dataset of its own, derived from both. So it is cached like they are, and made
anew when the content of either changes, its configuration, or the version of the
function that makes it. The last line says how much can be read.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

import polars as pl
import tickbarn

import exporter


def merged(instrument: tickbarn.Instrument, start: datetime, end: datetime, md: tickbarn.Frames, ft: pl.LazyFrame | None, levels: int) -> pl.LazyFrame | None:
    """A row for each trade that has features, with the best prices of the book and its imbalance as they were before the trade.

    Who changes what this computes changes its version, which stands for it in the key.
    """
    if md.trades is None or md.orderbook is None or ft is None:
        return None
    bids, asks = (pl.sum_horizontal(f"{side}_size_{level}" for level in range(levels)) for side in ("bid", "ask"))
    book = md.orderbook.select("ts", bid=pl.col("bid_price_0"), ask=pl.col("ask_price_0"), book_imbalance=(bids - asks) / (bids + asks))
    # A venue may give several trades one number: then the first of them belongs to the first row of the features, and so on.
    nth = pl.int_range(pl.len()).over("ts", "sequence")
    imbalances = ft.select("ts", "sequence", "traded_imbalance", "sided_imbalance", nth=nth)
    trades = md.trades.with_columns(nth=nth).join(imbalances, on=["ts", "sequence", "nth"], how="inner", maintain_order="left").drop("nth")
    # Both are in the order of time as they were exported.
    return trades.set_sorted("ts").join_asof(book.set_sorted("ts"), on="ts", allow_exact_matches=False)


def parsed() -> argparse.Namespace:
    """The flags."""
    arguments = exporter.Arguments(__doc__)
    arguments.add_intervals(jobs=1)
    arguments.add_argument("--levels", metavar="N", type=exporter.positive, default=5, help="how deep the book's imbalance looks, 40 at most (default: 5)")
    arguments.add_exporter()
    arguments.add_argument("--src-name", metavar="NAME", default="main", help="the store's name in its directory (default: %(default)s)")
    arguments.add_argument("--dst-name", metavar="NAME", default="main", help="the processed dataset is called processed-NAME (default: %(default)s)")
    arguments.add_storage("--md-storage", "market data")
    arguments.add_storage("--ft-storage", "features")
    arguments.add_storage("--df-storage", "processed data; all three are one, since what is derived lies beside what it is derived from")
    return arguments.parse_args()


def process(args: argparse.Namespace) -> None:
    """Makes what the flags ask for, and prints how much can be read."""
    if len({storage.resolve() for storage in (args.md_storage, args.ft_storage, args.df_storage)}) > 1:
        raise exporter.UsageError("what is derived lies beside what it is derived from: give --md-storage, --ft-storage and --df-storage the same directory")
    wanted = exporter.intervals(args.intervals)
    # Not run here, but what the exporter is stands in the addresses of what it made.
    program = exporter.program(args.exporter, build=not args.no_build and args.exporter is None)
    store = exporter.store_of(args.md_storage, args.src_name)
    md, features = exporter.define(store, program)
    if args.levels > 40:
        raise exporter.UsageError(f"--levels {args.levels} is more than the 40 levels that are exported")

    sources = store.load([md, features], wanted, mode="ReadIgnoreErrors")
    # Partitions of no data have no tables to merge.
    there = {
        name: [tickbarn.InstrumentInterval(one.instrument, one.interval) for one in sources if one.dataset == name and one.outcome == "hit"]
        for name in (md.name, features.name)
    }
    of_md, of_features = dict.fromkeys(there[md.name]), dict.fromkeys(there[features.name])
    both = [one for one in of_md if one in of_features]
    print(f"Found {len(both)} intervals, md: {len(of_md)}, ft: {len(of_features)}", flush=True)
    if not both:
        exporter.say("nothing to process: export these intervals first, into this store and with this exporter (export_data.py)")
        print(tickbarn.Summary())
        return

    processed = store.memoize(
        version="1", name=f"processed-{args.dst_name}", output="df", inputs={"md": md, "ft": features}, config={"levels": args.levels}, cpus=1
    )(merged)
    # Whatever the mode says of what is not processed yet: what it is made of is not exported here.
    load = store.submit(processed, both, mode=args.mode, on_missing_upstream="skip", workers=args.jobs)
    print(exporter.carry_out([load], args.mode, args.verbose))


if __name__ == "__main__":
    flags = parsed()
    sys.exit(exporter.exit_status(lambda: process(flags)))
