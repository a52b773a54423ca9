"""How many records go into one request: found by trying. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Climbs while more is faster, goes back when it is not, halves when the cluster complains.

    `best_rate`: records a second at `best`. `settled`: a larger one was tried and was no better.
    """

    size: int
    largest: int
    best: int = 0
    best_rate: float = 0.0
    settled: bool = False

    def after(self, records: int, seconds: float) -> BatchSize:
        """What to try next, after a request of the full size took so long."""
        if self.settled or records < self.size:
            return self
        rate = records / max(seconds, 1e-6)
        if rate > self.best_rate * 1.05:
            larger = min(self.size * 2, self.largest)
            return replace(self, size=larger, best=self.size, best_rate=rate, settled=larger == self.size)
        return replace(self, size=self.best, settled=True)

    def after_failure(self) -> BatchSize:
        """Half of it, and no more climbing."""
        return replace(self, size=max(1, self.size // 2), settled=True)
