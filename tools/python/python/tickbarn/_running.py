"""Loads under way: waiting for them, and ending them with whoever waits, or with the interpreter."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from ._progress import Bar

if TYPE_CHECKING:
    from . import _native

_LOOK_EVERY_S = 0.05
"""How often whoever waits comes back to Python, which then acts on Ctrl-C."""
_END_S = 1.5
"""How long an interrupted load may take to end: its processes are gone after milliseconds, Python functions are asked to stop."""

_RUNNING: set[_native.Running] = set()


def watched(running: _native.Running) -> _native.Running:
    """Sees to it that a load does not outlive the interpreter."""
    for over in [one for one in _RUNNING.copy() if one.wait_quiet(0)]:
        _RUNNING.discard(over)
    _RUNNING.add(running)
    return running


def finish(running: _native.Running, progress: bool | None) -> _native.Loaded:
    """Waits for a load. Whatever ends the waiting ends the load."""
    try:
        if not running.wait(_LOOK_EVERY_S):
            with Bar(progress) as bar:
                while not running.wait(_LOOK_EVERY_S):
                    bar.show(*running.counts())
                bar.show(*running.counts())
        return running.result()
    except BaseException:
        end(running)
        raise


def end(running: _native.Running) -> None:
    """Ends a load, and waits for its processes to be gone."""
    running.cancel()
    running.wait(_END_S)
    # What is left after that is a Python function that does not return: nobody waits for it again.
    _RUNNING.discard(running)


@atexit.register
def _end_all() -> None:
    running = list(_RUNNING)
    for one in running:
        one.cancel()
    for one in running:
        # Also for what it calls back: a thread in Python would take the process down when the interpreter ends.
        one.wait_quiet(_END_S)


# A forked child has none of its parent's threads: what they do is not its to end.
os.register_at_fork(after_in_child=_RUNNING.clear)
