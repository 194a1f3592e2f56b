"""How far a load is: a bar of ``tqdm`` where that is installed and somebody looks."""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import Any


class Bar:
    """A bar that comes up when there is something to show. Without ``tqdm``, or told so, it stays away."""

    def __init__(self, wanted: bool | None) -> None:
        self._kind = _tqdm(wanted)
        self._bar: Any = None

    def show(self, requested: int, answered: int, done: int, failed: int) -> None:
        """Shows how many partitions are done. Until it is known how many there are, and where none is generated, there is nothing to show."""
        if self._kind is None or requested == 0 or (self._bar is None and answered == requested):
            return
        if self._bar is None:
            self._bar = self._kind(total=requested, unit=" partitions", desc="tickbarn", leave=False)
        self._bar.n = done
        if failed:
            self._bar.set_postfix(failed=failed, refresh=False)
        self._bar.refresh()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()


def _tqdm(wanted: bool | None) -> Any:
    if wanted is False:
        return None
    try:
        with warnings.catch_warnings():
            # Without `ipywidgets` the bar is one of text, which is no reason to warn of.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    # In a notebook the bar is a widget, which is seen wherever standard error goes.
    return tqdm if wanted or _is_notebook() or sys.stderr.isatty() else None


def _is_notebook() -> bool:
    """Whether this process is a notebook's kernel. One that only runs notebooks has the kernel's package, too."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
