"""How fast requests may follow each other: Pinecone's limits, found by going slower when it says so."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from ..errors import RateLimited

_BURST = 0.1
"""Seconds' worth of requests that may go at once. Pinecone counts by the second, so it must be well below one."""

_RECOVERY = 20.0
"""Seconds in which the rate would climb from nothing to its most."""

_LEAST = 1.0
"""Requests a second that are always tried."""

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Pace:
    """The rate of one kind of request: halved by a 429, climbing back steadily. Pure; `now` is any one clock's.

    `cut` requests a second were left after the last 429, at `cut_at`. The next request is `due`.
    """

    most: float
    cut: float
    cut_at: float = -math.inf
    due: float = -math.inf

    @classmethod
    def of(cls, most: float) -> Pace:
        """At most so many requests a second."""
        return cls(most, most)

    def rate(self, now: float) -> float:
        """Requests a second."""
        return min(self.most, self.cut + self.most * (now - self.cut_at) / _RECOVERY)

    def taken(self, now: float) -> tuple[Pace, float]:
        """The pace after one more request, and in how many seconds that one may go."""
        start = max(self.due, now - _BURST)
        return replace(self, due=start + 1 / self.rate(now)), max(0.0, start - now)

    def refused(self, sent: float, now: float, retry_after: float | None = None) -> Pace:
        """After a 429. Those of requests that were under way at the last cut say nothing new."""
        due = max(self.due, now + (retry_after or 0.0))
        if sent <= self.cut_at:
            return replace(self, due=due)
        return replace(self, cut=max(self.rate(now) / 2, _LEAST), cut_at=now, due=due)

    def idle(self, now: float) -> bool:
        """Whether it is like a new one."""
        return self.due < now - _BURST and self.rate(now) == self.most


class Paces:
    """A pace for each kind of request that has a limit of its own. `most` in requests a second."""

    def __init__(self, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._paces: dict[Hashable, Pace] = {}

    async def turn(self, cluster: str, key: Hashable, patience: float) -> float:
        """Waits for the turn of a request and returns when that was.

        Raises RateLimited instead of waiting longer than `patience` seconds: the caller has a deadline.
        """
        now = self._clock()
        pace, wait = self._pace(key).taken(now)
        if wait > patience:
            raise RateLimited(cluster, f"{wait:.1f} s of requests are waiting already", retry_after=wait)
        self._forget_idle(now)
        self._paces[key] = pace
        if wait:
            await asyncio.sleep(wait)
        return now + wait

    def refused(self, key: Hashable, sent: float, retry_after: float | None) -> None:
        self._paces[key] = self._pace(key).refused(sent, self._clock(), retry_after)

    def _pace(self, key: Hashable) -> Pace:
        return self._paces.get(key) or Pace.of(self._most)

    def _forget_idle(self, now: float) -> None:
        if len(self._paces) >= _REMEMBERED:
            self._paces = {key: pace for key, pace in self._paces.items() if not pace.idle(now)}
