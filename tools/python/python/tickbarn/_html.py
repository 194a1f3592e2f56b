"""How stores, loads and plans look in a notebook: tables and strips without a script, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._inspect import Coverage, GcPlan, Plan
    from ._load import Loaded, Partition
    from ._store import Store

_COLOURS = {"hit": "#3b7dd8", "generated": "#2e9d5b", "empty": "#b8c4d0", "missing": "#f2f2f2", "failed": "#c8372d", "closed": "#ffffff"}
_STRIP_WIDTH = 600
_STRIP_HEIGHT = 16
_ROWS_SHOWN = 20
"""So many instruments, failures or datasets are shown."""


def size(count: int) -> str:
    """A number of bytes, as people read it.

    >>> size(3 * 2**20)
    '3.0 MiB'
    """
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells that are :class:`_Html` stand as they are."""
    cells = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td style='text-align:left'>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


class _Html(str):
    """Text that is HTML already."""


def _cell(cell: object) -> str:
    return cell if isinstance(cell, _Html) else escape(str(cell))


def _strip(start_ns: int, end_ns: int, spans: Iterable[tuple[str, int, int]]) -> _Html:
    """Spans of time as a line of colours. Neighbours of one word are one shape."""
    length = max(end_ns - start_ns, 1)
    shapes = []
    for word, span_start, span_end in _joined(spans):
        x = _STRIP_WIDTH * (span_start - start_ns) / length
        width = max(_STRIP_WIDTH * (span_end - span_start) / length, 0.5)
        shapes.append(f"<rect x='{x:.2f}' y='0' width='{width:.2f}' height='{_STRIP_HEIGHT}' fill='{_COLOURS[word]}'><title>{word}</title></rect>")
    return _Html(
        f"<svg width='{_STRIP_WIDTH}' height='{_STRIP_HEIGHT}' style='border:1px solid #ccc' role='img' aria-label='coverage'>{''.join(shapes)}</svg>"
    )


def _joined(spans: Iterable[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    joined: list[tuple[str, int, int]] = []
    for word, start, end in sorted(spans, key=lambda span: span[1]):
        if joined and joined[-1][0] == word and joined[-1][2] >= start:
            joined[-1] = (word, joined[-1][1], max(end, joined[-1][2]))
        else:
            joined.append((word, start, end))
    return joined


def _legend(words: Iterable[str]) -> str:
    cells = "".join(f"<span style='background:{_COLOURS[word]};padding:0 0.6em;margin:0 0.3em 0 0.8em'></span>{word}" for word in words)
    return f"<div>{cells}</div>"


def loaded(of: Loaded) -> str:
    """The outcomes of a load, its coverage, and what failed."""
    summary = of.summary
    words = ("hit", "generated", "empty", "missing", "failed")
    counts = [getattr(summary, word) for word in words]
    parts = [f"<b>{escape(str(summary))}</b> in {of.seconds:.2f} s", _table(words, [counts])]
    lines: dict[tuple[str, str], list[Partition]] = {}
    for partition in of:
        lines.setdefault((partition.dataset, partition.instrument), []).append(partition)
    shown = list(lines.items())[:_ROWS_SHOWN]
    if shown:
        start = min(one.start_ns for partitions in lines.values() for one in partitions)
        end = max(one.end_ns for partitions in lines.values() for one in partitions)
        rows = [
            (dataset, instrument, _strip(start, end, ((one.outcome, one.start_ns, one.end_ns) for one in partitions)))
            for (dataset, instrument), partitions in shown
        ]
        parts += [_table(("dataset", "instrument", "coverage"), rows), _legend(words)]
        if len(lines) > len(shown):
            parts.append(f"<div>and {len(lines) - len(shown)} more</div>")
    failed = of.failed
    if failed:
        told = [
            (one.dataset, one.instrument, one.interval, one.failure.failure_class, one.failure.message)
            for one in failed[:_ROWS_SHOWN]
            if one.failure is not None
        ]
        parts.append(_table(("dataset", "instrument", "interval", "class", "failure"), told))
        if len(failed) > len(told):
            parts.append(f"<div>and {len(failed) - len(told)} more</div>")
    return "".join(parts)


def coverage(of: Coverage) -> str:
    """A strip for each instrument."""
    rows = []
    for one in of.instruments[:_ROWS_SHOWN]:
        spans = [("hit", *span) for span in one.have] + [("empty", *span) for span in one.empty]
        spans += [("failed", *span) for span in one.failed] + [("missing", *span) for span in one.missing]
        spans += [("closed", *span) for span in of.closed]
        share = "closed" if one.share is None else f"{100 * one.share:.2f}%"
        rows.append((one.instrument, share, _strip(of.interval.start_ns, of.interval.end_ns, spans)))
    head = f"<b>{escape(of.dataset)}</b> {escape(str(of.interval))}"
    more = f"<div>and {len(of.instruments) - len(rows)} more</div>" if len(of.instruments) > len(rows) else ""
    return head + _table(("instrument", "there", "coverage"), rows) + _legend(("hit", "empty", "failed", "missing")) + more


def plan(of: Plan) -> str:
    """What a load would do, by dataset."""
    sums: dict[str, dict[str, int]] = {}
    for one in [*of.partitions, *of.upstream]:
        counts = sums.setdefault(one.dataset, {})
        counts[one.expected] = counts.get(one.expected, 0) + 1
    words = [word for word in ("hit", "empty", "generate", "follow", "failed", "missing") if any(word in counts for counts in sums.values())]
    table = _table(("dataset", *words), [(dataset, *(counts.get(word, 0) for word in words)) for dataset, counts in sums.items()])
    again = "".join(f"<div>{escape(line)}</div>" for line in of.again)
    return f"{table}{again}<div><b>{escape(str(of).splitlines()[-1])}</b>, {size(of.free_bytes)} are free</div>"


def gc_plan(of: GcPlan) -> str:
    """What would go, by dataset."""
    rows = [(dataset, entries, size(freed), f"{seconds:.1f} s") for dataset, entries, freed, seconds in of.by_dataset[:_ROWS_SHOWN]]
    return f"<b>{escape(str(of))}</b>" + _table(("dataset", "entries", "frees", "to make again"), rows)


def store(of: Store) -> str:
    """Where a store is, and what can be loaded from it."""
    config = "" if of.config is None else f"<div>datasets of {escape(str(of.config))}</div>"
    rows = [(name, ", ".join(of.dataset(name).outputs)) for name in of.datasets]
    return f"<b>tickbarn store</b> {escape(str(of.path))}{config}" + (_table(("dataset", "outputs"), rows) if rows else "")
