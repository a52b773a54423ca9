"""How many records go into one request: found by trying."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from ..errors import ClusterRejected, ClusterUnavailable, RateLimited, ShardrouteError
from ..routing import Target

_REQUESTS = 8
"""Of a size before it is judged: one alone says more about what else went on than about its size."""
_AS_FAST = 0.95


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Climbs while more is about as fast, then takes what was fastest; halves when the cluster complains.

    How fast is measured over all requests that are under way at once: seconds of one of them tell mostly how long it
    waited for the others.

    `best_rate`: records a second at `best`. `since`: when the first request of this `size` ended; `requests` of this
    size and `records` of any have ended after that. `settled`: no larger one is tried any more.
    """

    size: int
    largest: int
    best: int = 0
    best_rate: float = 0.0
    since: float | None = None
    requests: int = 0
    records: int = 0
    settled: bool = False

    def after(self, records: int, now: float) -> BatchSize:
        """What to try next, after a request that ended `now` (seconds, of any clock)."""
        if self.settled:
            return self
        full = records == self.size
        if self.since is None:
            return replace(self, since=now) if full else self
        counted = replace(self, requests=self.requests + full, records=self.records + records)
        if counted.requests < _REQUESTS:
            return counted
        return counted._judged(counted.records / max(now - self.since, 1e-6))

    def _judged(self, rate: float) -> BatchSize:
        best_rate, best = max((self.best_rate, self.best), (rate, self.size))
        larger = min(self.size * 2, self.largest)
        if larger == self.size or rate < self.best_rate * _AS_FAST:
            return BatchSize(best, self.largest, best, best_rate, settled=True)
        return BatchSize(larger, self.largest, best, best_rate)

    def after_failure(self) -> BatchSize:
        """Half of it, and no more climbing."""
        return replace(self, size=max(1, self.size // 2), settled=True)


async def in_parts(
    ids: Sequence[str], size: int, call: Callable[[Sequence[str]], Awaitable[None]], *asked: Target
) -> None:
    """Calls with `size` ids at a time, and with fewer where a call fails and the sides that it asks are there.

    A request may be refused for its size, or its answer not arrive in time: half of it, down to a single record. Raises
    what the call raises for one.
    """
    left = [ids[start : start + size] for start in range(0, len(ids), size)][::-1]
    while left:
        some = left.pop()
        try:
            await call(some)
        except RateLimited:
            raise
        except (ClusterUnavailable, ClusterRejected):
            if len(some) == 1 or not await _answer(asked):
                raise
            middle = len(some) // 2
            left += [some[middle:], some[:middle]]


async def _answer(asked: Sequence[Target]) -> bool:
    try:
        for target in asked:
            await target.store.ping()
    except ShardrouteError:
        return False
    return True
