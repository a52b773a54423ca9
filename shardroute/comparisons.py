"""What is kept of comparisons beside counts: windows of time, the worst examples, and queries for replays. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .gates import Breach, Gates
from .phases import Phase
from .records import Query
from .statistics import Events, Tally, added

PHASE = "phase"
"""Counts of queries by phase are in a tally under this name: ``phase/DUAL_OLD``."""


@dataclass(frozen=True, slots=True)
class StatsWindow:
    """A tally of one window of time. `start`: seconds of Redis's clock; `seconds`: how long the window is."""

    start: float
    seconds: float
    tally: Tally

    @property
    def phases(self) -> Mapping[Phase, int]:
        """How many queries were served in which phase."""
        counts = {phase: self.tally.counts[f"{PHASE}/{phase}"] for phase in Phase}
        return {phase: count for phase, count in counts.items() if count}


@dataclass(frozen=True, slots=True)
class Example:
    """A comparison that went badly. Ids and times, no vectors and no metadata.

    `badness`: 1 less recall; a breach is 2. `at`: seconds of the epoch. Times in seconds.
    """

    digest: str
    badness: float
    at: float
    phase: Phase
    top_k: int
    primary_ids: tuple[str, ...]
    other_ids: tuple[str, ...]
    primary_seconds: float
    other_seconds: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class RecordedQuery:
    """A query as the application asked it. `raw_filter`: in the dialect; vectors as lists of floats."""

    vector: tuple[float, ...] | None
    top_k: int
    raw_filter: Mapping[str, Any] | None = None
    sparse_indices: tuple[int, ...] = ()
    sparse_values: tuple[float, ...] = ()
    text: str | None = None
    at: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is known of a tenant's two paths. `old` and `new` are the clusters' names.

    `windows`: oldest first. `examples`: worst first. `breaches`: the `gates` that do not hold for all windows
    together. `made_at`: seconds of Redis's clock.
    """

    tenant: str
    phase: Phase
    windows: Sequence[StatsWindow]
    examples: Sequence[Example]
    old: str
    new: str
    gates: Gates
    breaches: Sequence[Breach]
    made_at: float

    @property
    def tally(self) -> Tally:
        """Of all windows together."""
        return added(window.tally for window in self.windows)


@dataclass(frozen=True, slots=True)
class Mark:
    """What was counted up to a moment, so that what comes later can be told. `at`: seconds of Redis's clock."""

    at: float
    before: Mapping[tuple[float, float], Tally]

    @classmethod
    def made(cls, at: float, windows: Sequence[StatsWindow]) -> Mark:
        return cls(at, {(window.start, window.seconds): window.tally for window in windows})

    def since(self, windows: Sequence[StatsWindow]) -> list[StatsWindow]:
        """What was counted after the mark: the window that it lies in counts less what it had by then."""
        return [
            replace(window, tally=_less(window.tally, self.before.get((window.start, window.seconds))))
            for window in windows
            if window.start + window.seconds > self.at
        ]


def latest(windows: Sequence[StatsWindow], now: float, *, seconds: float, samples: int) -> Tally:
    """The last `seconds`, and as many windows before them as `samples` comparisons need."""
    seen = Tally()
    for window in reversed(windows):
        if window.start + window.seconds <= now - seconds and seen.count(Events.COMPARED) >= samples:
            break
        seen.add(window.tally)
    return seen


def _less(whole: Tally, part: Tally | None) -> Tally:
    return whole if part is None else Tally(whole.counts - part.counts)


def digest(query: Query) -> str:
    """Twelve hexadecimal digits that name a query, and say nothing about it."""
    whole = hashlib.blake2b(digest_size=6)
    sparse = query.sparse_vector
    words = (None, None) if sparse is None else (sparse.indices, sparse.values)
    for part in (query.vector, *words):
        whole.update(b"-" if part is None else part.tobytes())
    whole.update(f"{query.text!r} {query.top_k} {query.filter!r}".encode())
    return whole.hexdigest()
