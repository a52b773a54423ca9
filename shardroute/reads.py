"""Reads: from the primary of the tenant's phase, by the map that this process has."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from . import telemetry as names
from .errors import LeaseLost
from .routing import Route
from .spans import request
from .telemetry import stale_reads
from .view import View

_Answer = TypeVar("_Answer")


class Reader:
    """All reads of one router."""

    def __init__(self, view: View, *, serve_stale: bool) -> None:
        self._view = view
        self._serve_stale = serve_stale

    async def read(self, operation: str, route: Route, call: Awaitable[_Answer]) -> _Answer:
        """The answer of the primary. Without a lease the map may be old: then the span is marked stale.

        Raises LeaseLost instead where the configuration refuses stale reads.
        """
        view = self._view
        generation = view.lease.generation
        if not view.may_answer(generation):
            return await self._stale(operation, route, call)
        answer = await request(operation, "primary", route, route.primary, call)
        if not view.may_answer(generation):  # a process that was stopped on the way
            self._check_stale(route)
        return answer

    async def _stale(self, operation: str, route: Route, call: Awaitable[_Answer]) -> _Answer:
        try:
            self._check_stale(route)
        except LeaseLost:
            _discard(call)
            raise
        return await request(operation, "primary", route, route.primary, call, {names.STALE: True})

    def _check_stale(self, route: Route) -> None:
        if not self._serve_stale:
            raise LeaseLost(
                f"tenant {route.tenant!r}: Redis cannot be asked whether the tenant has moved, and "
                "router.stale_reads is off",
                retry_after=1.0,
            )
        stale_reads.add(1)


def _discard(call: Awaitable[object]) -> None:
    close = getattr(call, "close", None)
    if close is not None:
        close()
