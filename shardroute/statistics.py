"""What processes saw of a tenant's two paths: counts and histograms that add up. Pure.

A tally is a bag of counted names, such as ``latency/old/17``. Tallies of any number of processes and of any number of
time windows are added name by name, which Redis does as well (`control.stats`). A histogram is counts by
bucket; its edges are fixed, so that histograms of different processes fit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

from .agreement import Agreement
from .phases import Side

LATENCY_EDGES: tuple[float, ...] = tuple(0.0001 * 2 ** (step / 8) for step in range(160))
"""Seconds, from 0.1 ms to 96 s, eight buckets to an octave: a quantile is too low by a twelfth at most."""

SHARE_EDGES: tuple[float, ...] = tuple(step / 100 for step in range(1, 101))
"""From 0.01 to 1 in steps of 0.01; the last bucket holds exactly 1. So a gate of 0.95 is an edge."""

_MICRO = 1_000_000


class Shares(StrEnum):
    """What is counted as a share from 0 to 1 of each comparison."""

    RECALL = "recall"
    OVERLAP = "overlap"
    JACCARD = "jaccard"
    FLOOR = "floor"  # recall of the primary against itself


class Events(StrEnum):
    """What is counted one by one."""

    COMPARED = "compared"
    SHED = "shed"  # shadows that the queue had no room for, or the budget no time
    REORDERED = "reordered"  # the same ids in another order
    METADATA = "metadata"  # comparisons with differing metadata
    BREACH = "breach"  # a record of another tenant: always an alarm
    HELD = "held"  # writes that waited in a hold
    FETCHED = "fetched"  # fetches that were compared
    MISSING = "missing"  # records of such that one side has and the other has not
    DIFFERING = "differing"  # records of such that differ


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, and the sum of all values. Bucket *n* holds values from edge *n*-1 up to below edge *n*."""

    edges: tuple[float, ...]
    counts: Mapping[int, int] = field(default_factory=dict)
    total: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The lower edge of the bucket in which the value lies; None without values. `share` from 0 to 1."""
        if not self.counts:
            return None
        buckets = sorted(self.counts)
        wanted = share * self.count
        reached = accumulate(self.counts[bucket] for bucket in buckets)
        found = next(bucket for bucket, so_far in zip(buckets, reached, strict=True) if so_far >= wanted)
        return self.edges[found - 1] if found else 0.0


class Tally:
    """Counts by name. Mutable: a process adds to one until it is sent off."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self.counts: Counter[str] = Counter(counts or {})

    def __bool__(self) -> bool:
        return bool(self.counts)

    # -- adding ----------------------------------------------------------------------------------------------

    def answered(self, side: Side, seconds: float) -> None:
        """A query was answered by a side in so many seconds."""
        self._put(f"latency/{side}", LATENCY_EDGES, seconds)

    def failed(self, side: Side, kind: str) -> None:
        """A query failed on a side; `kind`: the error's type."""
        self.counts[f"error/{side}/{kind}"] += 1

    def compared(self, found: Agreement) -> None:
        """The other side's answer was compared with the primary's."""
        self.counts[Events.COMPARED] += 1
        self.counts[Events.METADATA] += bool(found.metadata_differing)
        self.counts[Events.REORDERED] += found.jaccard == 1.0 and found.first_difference is not None
        for name in (Shares.RECALL, Shares.OVERLAP, Shares.JACCARD):
            self._put(name, SHARE_EDGES, getattr(found, name))

    def floor(self, found: Agreement) -> None:
        """The primary's answer was compared with its own second one."""
        self._put(Shares.FLOOR, SHARE_EDGES, found.recall)

    def fetched(self, missing: int, differing: int) -> None:
        """The records that both sides answered to a fetch were compared. Latencies and errors are of queries only."""
        self.counts[Events.FETCHED] += 1
        self.counts[Events.MISSING] += missing
        self.counts[Events.DIFFERING] += differing

    def fetch_failed(self, side: Side, kind: str) -> None:
        """A fetch failed on a side; `kind`: the error's type."""
        self.counts[f"fetch_error/{side}/{kind}"] += 1

    def event(self, event: Events, times: int = 1) -> None:
        self.counts[event] += times

    def add(self, other: Tally) -> None:
        self.counts.update(other.counts)

    def _put(self, name: str, edges: tuple[float, ...], value: float) -> None:
        self.counts[f"{name}/{bisect_right(edges, value)}"] += 1
        self.counts[f"sum/{name}"] += round(value * _MICRO)

    # -- reading ---------------------------------------------------------------------------------------------

    def latency(self, side: Side) -> Histogram:
        """Seconds of the queries that a side answered."""
        return self._histogram(f"latency/{side}", LATENCY_EDGES)

    def share(self, name: Shares) -> Histogram:
        return self._histogram(name, SHARE_EDGES)

    def count(self, event: Events) -> int:
        return self.counts[event]

    def errors(self, side: Side) -> dict[str, int]:
        """Failures of a side by type."""
        prefix = f"error/{side}/"
        return {
            name.removeprefix(prefix): count for name, count in self.counts.items() if name.startswith(prefix)
        }

    def error_rate(self, side: Side) -> float | None:
        """Failures of all queries that a side was asked; None if it was asked none."""
        failures = sum(self.errors(side).values())
        asked = failures + self.latency(side).count
        return failures / asked if asked else None

    def _histogram(self, name: str, edges: tuple[float, ...]) -> Histogram:
        prefix = f"{name}/"
        counts = {
            int(key.removeprefix(prefix)): count
            for key, count in self.counts.items()
            if key.startswith(prefix) and count
        }
        return Histogram(edges, counts, self.counts[f"sum/{name}"] / _MICRO)


def added(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole
