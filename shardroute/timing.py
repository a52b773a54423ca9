"""The clock of leases and locks, whether Redis's own can be believed, and what is told seldom."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds that also pass while the machine is suspended, where the system has such a clock."""

log = logging.getLogger(__name__)

_TOLD = 1.0  # seconds of a step that is worth a line in the log


@dataclass(slots=True)
class RedisClock:
    """Notices when Redis's host sets its clock, or another host takes over. Leases count on: `rules.lease_time`."""

    _last: tuple[float, float, float] | None = None

    def heard(self, theirs: float | None, sent: float, received: float) -> float:
        """By how many seconds it was set since the last answer, 0 where that cannot be said; logged above a second.

        `theirs`: what it said at some moment between `sent` and `received`, on this process's clock.
        """
        if theirs is None:
            return 0.0
        before, self._last = self._last, (theirs, sent, received)
        if before is None:
            return 0.0
        passed, least, most = theirs - before[0], sent - before[2], received - before[1]
        step = max(passed - most, 0.0) or min(passed - least, 0.0)
        if abs(step) >= _TOLD:
            log.warning("Redis's clock was set by %+.1f s, or another host took over; leases count on", step)
        return step


_KINDS = 200  # more are not told apart for long: a server could make up one after the other


class Seldom:
    """Says of what happens again and again when to tell it: each kind once in so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._told: dict[Hashable, float] = {}

    def due(self, kind: Hashable) -> bool:
        """Whether to tell one of that kind now; if so, it counts as told."""
        now = self._clock()
        if now - self._told.get(kind, float("-inf")) < self._seconds:
            return False
        if len(self._told) >= _KINDS:
            self._told.clear()
        self._told[kind] = now
        return True
