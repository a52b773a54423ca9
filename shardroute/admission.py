"""Waiting before a write: for the lease, and for holds to end. Overdue holds are ended here (rule 11)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from . import telemetry as names
from .control import ControlPlane
from .errors import ControlPlaneUnavailable, LeaseLost, MapLost, OutcomeUnknown, TenantHeld, Unavailable
from .routing import Route, Sides
from .telemetry import hold_wait
from .view import View

_PAUSE = 0.05  # seconds between looks at an overdue hold, or at a Redis that is away


@dataclass(slots=True)
class Wait:
    """What a write waited for before it could begin. `reason` is empty while it does not wait.

    `sent`: a request of it has left this process, so it may have taken effect.
    """

    reason: str = ""
    seconds: float = 0.0
    attempts: int = 1
    sent: bool = False

    def attributes(self) -> dict[str, Any]:
        """For the write's span."""
        waited = {names.HOLD_WAIT: round(self.seconds * 1000, 3)} if self.seconds else {}
        return waited | ({names.ATTEMPTS: self.attempts} if self.attempts > 1 else {})


class Admission:
    """Lets writes begin."""

    def __init__(self, plane: ControlPlane, view: View, *, max_hold: float) -> None:
        self._plane = plane
        self._view = view
        self._max_hold = max_hold

    async def admitted(self, sides: Sides, wait: Wait) -> Route:
        """The route once writes may begin: lease held, no hold. Raises MapLost. Does not end by itself."""
        began: float | None = None
        while True:
            writable = self._view.may_write()
            route = sides.route(self._view.standing(sides.tenant))
            if writable and not route.held:
                wait.reason = ""
                if began is not None:
                    wait.seconds += perf_counter() - began
                    hold_wait.record(perf_counter() - began)
                return route
            began = perf_counter() if began is None else began
            wait.reason = "a hold" if route.held else "the lease"
            left = self._max_hold - (perf_counter() - began)
            await self.change(max(left, _PAUSE) if route.held else _PAUSE)
            if route.held and perf_counter() - began > self._max_hold:
                await self._end_hold(route)

    async def lease_held(self, wait: Wait) -> None:
        """Returns when the lease is held, and the map current as of then. Raises MapLost. Does not end by itself."""
        wait.reason = "the lease"
        while not self._view.may_write():
            await self.change(_PAUSE)

    async def change(self, timeout: float) -> None:
        """Waits for the map or the lease to change, `timeout` seconds at most."""
        try:
            async with asyncio.timeout(timeout):
                await self._view.change()
        except TimeoutError:
            return

    def late(self, tenant: str, wait: Wait, timeout: float) -> Unavailable:
        """The error for a write whose deadline came first."""
        if wait.sent:
            return OutcomeUnknown(
                f"tenant {tenant!r}: the write was sent and did not end within {timeout:g} s; it may have "
                "taken effect, or may still do so"
            )
        if wait.reason == "a hold":
            return TenantHeld(
                f"tenant {tenant!r} is being cut over and its writes are held; nothing was written in {timeout:g} s. "
                f"Try again in {self._max_hold:g} s.",
                retry_after=self._max_hold,
            )
        if wait.reason == "the lease":
            return LeaseLost(
                f"tenant {tenant!r}: Redis could not be asked for {timeout:g} s whether the tenant has moved, "
                "so nothing was written. Try again.",
                retry_after=1.0,
            )
        return Unavailable(f"tenant {tenant!r}: the write could not begin within {timeout:g} s. Try again.")

    async def _end_hold(self, route: Route) -> None:
        try:
            version = await self._plane.maps.expire_hold(route.tenant, route.shard)
        except (ControlPlaneUnavailable, MapLost):
            version = None
        if version is None or version > self._view.map.version:
            await self.change(_PAUSE)
