"""Loads on a Ray cluster: the notebook's live session, or one that is named."""

from __future__ import annotations

import sys
from typing import Any

from . import _native
from ._times import Length
from .errors import ClusterError


class Ray:
    """A Ray cluster that generators run on: ``store.load(…, runner=tickbarn.Ray())``. Reached when a load first has something to generate.

    :param address: of the cluster's head, or ``ray://host:port``; without it the session that this process has open, else the one that ``RAY_ADDRESS`` names or
        that this machine is a node of.
    :param python: the interpreter that speaks with the cluster, which has its versions of Python and Ray; this process's own by default.
    :param queue_timeout: how long a run may wait for a place.
    :param start_timeout: how long connecting may take.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        python: str | None = None,
        queue_timeout: Length | None = None,
        start_timeout: Length | None = None,
    ) -> None:
        self.address = address
        self.python = python or sys.executable
        self._seconds = _seconds(queue_timeout), _seconds(start_timeout)
        self._reached: tuple[str, _native.Ray] | None = None

    def _native_ray(self) -> _native.Ray:
        """The cluster at the address that counts now: a session that was begun anew has another."""
        address = self.address or live_address() or "auto"
        if self._reached is None or self._reached[0] != address:
            self._reached = address, _native.Ray(address, self.python, *self._seconds)
        return self._reached[1]

    def __repr__(self) -> str:
        return f"tickbarn.Ray({self.address or live_address() or 'auto'!r})"


def live_address() -> str | None:
    """The address of the Ray session that this process has open, if it has."""
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    address = _client_address() or ray.get_runtime_context().gcs_address
    if not address:
        raise ClusterError("the live Ray session tells no address; name the cluster's: tickbarn.Ray(\"host:6379\")", fault="unreachable")
    return str(address)


def _client_address() -> str | None:
    """The address of a session that was begun with ``ray://``: the head's own is of no use where this machine is no node. Ray says it nowhere but inside."""
    client: Any = sys.modules.get("ray.util.client")
    if client is None or not client.ray.is_connected():
        return None
    address = getattr(client.ray.get_context().client_worker, "_conn_str", None)
    if not address:
        raise ClusterError("the live Ray session tells no address; name the cluster's: tickbarn.Ray(\"ray://host:10001\")", fault="unreachable")
    return f"ray://{address}"


def _seconds(length: Length | None) -> float | None:
    if length is None:
        return None
    if isinstance(length, str):
        from ._times import parsed_seconds

        return parsed_seconds(length)
    return float(length) if isinstance(length, (int, float)) else length.total_seconds()
