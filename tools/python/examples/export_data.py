#!/usr/bin/env python3
"""Exports market data and features of a list of intervals.

Builds the exporter first, so that what is exported is what its sources say, and runs a
copy of it, so that the next build does not disturb an export under way. What is in the
store already is not exported again. The last line says how much can be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import exporter


def parsed() -> argparse.Namespace:
    """The flags."""
    arguments = exporter.Arguments(__doc__)
    arguments.add_intervals(jobs=10)
    arguments.add_argument("--marketdata", action="store_true", help="export market data: order book and trades")
    arguments.add_argument("--features", action="store_true", help="export features; without either flag both are exported")
    arguments.add_exporter()
    arguments.add_argument("--name", metavar="NAME", default="main", help="the store's name in its directory (default: %(default)s)")
    arguments.add_storage("--md-storage", "market data")
    arguments.add_storage("--ft-storage", "features; process.py needs both in one")
    return arguments.parse_args()


def export(args: argparse.Namespace) -> None:
    """Exports what the flags ask for, and prints how much can be read."""
    wanted = exporter.intervals(args.intervals)
    program = exporter.program(args.exporter, build=not args.no_build and args.exporter is None)
    both = args.marketdata == args.features
    asked: dict[Path, list[int]] = {}
    for nth, (storage, is_asked) in enumerate([(args.md_storage, args.marketdata or both), (args.ft_storage, args.features or both)]):
        if is_asked:
            asked.setdefault(storage.resolve(), []).append(nth)

    loads = []
    for storage, kinds in asked.items():
        store = exporter.store_of(storage, args.name)
        datasets = exporter.define(store, program)
        # What belongs to one interval is exported before the next.
        loads.append(store.submit([datasets[nth] for nth in kinds], wanted, mode=args.mode, workers=args.jobs))
    print(exporter.carry_out(loads, args.mode, args.verbose))


if __name__ == "__main__":
    flags = parsed()
    sys.exit(exporter.exit_status(lambda: export(flags)))
