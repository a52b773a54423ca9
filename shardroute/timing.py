"""The clock of leases and locks, and what is told seldom."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from functools import partial

clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds that also pass while the machine is suspended, where the system has such a clock."""

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
