"""How far the run is: what the screen shows and the report sums up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..phases import VERBS, Phase
from .evidence import Counts, Stage

_RECENT = 400  # reads


@dataclass(slots=True)
class Traffic:
    """What the application processes have told so far."""

    by_worker: dict[int, Counts] = field(default_factory=dict)
    read_ms: dict[Stage, list[float]] = field(default_factory=lambda: {stage: [] for stage in Stage})
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _rates: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=8))

    def hear(self, worker: int, line: Mapping[str, Any]) -> None:
        """One line of a process."""
        if "counts" in line:
            self.by_worker[worker] = Counts(**line["counts"])
            for stage, samples in line["read_ms"].items():
                self.read_ms[Stage(stage)] += samples
                self.recent_ms.extend(samples)
            counts = self.counts
            self._rates.append((time.monotonic(), counts.reads, counts.writes + counts.deletes))

    @property
    def counts(self) -> Counts:
        return sum(self.by_worker.values(), Counts())

    @property
    def rates(self) -> tuple[float, float]:
        """Reads and writes a second, over the last few lines."""
        if len(self._rates) < 2:
            return 0.0, 0.0
        (began, reads, writes), (ended, more_reads, more_writes) = self._rates[0], self._rates[-1]
        passed = max(ended - began, 1e-3)
        return (more_reads - reads) / passed, (more_writes - writes) / passed


@dataclass(slots=True)
class Moves:
    """What the admin processes have told so far.

    `late`: the kinds of those errors that may be tried again; `errors`: all others, in words.
    `out_of_time`: the time that moving may take was over before all tenants were moved.
    """

    copied: int = 0
    compared: int = 0
    repaired: int = 0
    rolled_back: int = 0
    hold_seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    out_of_time: bool = False

    def hear(self, verb: str, answer: Mapping[str, Any]) -> None:
        """The answer of one admin process."""
        for result in answer.get("results", ()):
            self.copied += result["copied"]
            self.compared += result["compared"]
            self.repaired += result["repaired"]
            self.hold_seconds += result["hold_seconds"]
            self.rolled_back += verb == "rollback"
        for error in answer.get("errors", ()):
            if error["retryable"]:
                self.late.append(error["error"])
            else:
                self.errors.append(f"{verb} {error['tenant']}: {error['error']}: {error['message']}")


@dataclass(slots=True)
class Progress:
    """Everything, for the screen. `events` are lines for whoever does not look at a table.

    `source`, `target`: kinds of the cluster that tenants are moved from, and to.
    `slowness`: how many times slower than a quiet machine this one is.
    """

    source: str = "qdrant"
    target: str = "qdrant"
    slowness: float = 1.0
    tenants: Sequence[str] = ()
    records: Mapping[str, int] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=dict)
    title: str = "starting"
    traffic: Traffic = field(default_factory=Traffic)
    moves: Moves = field(default_factory=Moves)
    events: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def pair(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    @property
    def moved(self) -> int:
        return sum(self.phases.get(tenant) is VERBS["migrate"].destination for tenant in self.tenants)

    def now(self, title: str) -> None:
        """The next part of the story."""
        self.title = title
        self.tell(title)

    def tell(self, event: str) -> None:
        """Something happened."""
        self.events.append(event)
