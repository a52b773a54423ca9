"""The run in figures: `demo-report.json`. Nothing in it is not measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from .audit import Verdict
from .evidence import Stage
from .progress import Progress


@dataclass(slots=True)
class Report:
    """The demo is a success only with the four bad counts 0 and, unless time ran out, all tenants moved.

    Latencies are in milliseconds. `from_` (in the file `from`), `to`: kinds of the two clusters.
    `slowness`: how many times slower than a quiet machine this one is. What that brings is told, and is no failure of
    what is shown here: `late_requests` and `late_moves` took too long and may be tried again, `reasons` says how
    often which; `out_of_time`: not all tenants could be moved in the time that the demo gives itself.
    `looks`: how often a record was read and held against the writes that were acknowledged.
    `problems`: in words, what a bad count is made of, the first of each kind.
    """

    from_: str
    to: str
    tenants: int
    tenants_moved: int
    records_copied: int
    reads: int
    writes: int
    deletes: int
    failed_requests: int
    late_requests: int
    late_moves: int
    lost_writes: int
    resurrected_deletes: int
    isolation_breaches: int
    rolled_back: int
    hold_ms: dict[str, float | None]
    read_ms: dict[str, dict[str, float | None]]
    looks: int
    seconds: float
    slowness: float = 1.0
    out_of_time: bool = False
    reasons: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all moved, and nothing was lost, brought back, mixed up or refused on the way.

        Late is no failure, but most requests must have been answered for anything to be shown.
        """
        return (
            (self.tenants_moved == self.tenants or self.out_of_time)
            and min(self.tenants_moved, self.reads, self.writes, self.deletes, self.looks) > 0
            and (self.rolled_back > 0 or self.late_moves > 0)
            and self.late_requests <= self.reads + self.writes + self.deletes
            and not self.problems
            and not (self.failed_requests or self.lost_writes)
            and not (self.resurrected_deletes or self.isolation_breaches)
        )

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(self.as_json() + "\n")

    def as_json(self) -> str:
        return json.dumps({name.rstrip("_"): value for name, value in asdict(self).items()}, indent=2)


def summed_up(progress: Progress, verdict: Verdict) -> Report:
    """From what the processes told and what the audit found."""
    counts, moves = verdict.counts, progress.moves
    return Report(
        from_=progress.source,
        to=progress.target,
        tenants=len(progress.tenants),
        tenants_moved=verdict.moved,
        records_copied=moves.copied,
        reads=counts.reads,
        writes=counts.writes,
        deletes=counts.deletes,
        failed_requests=counts.failed,
        late_requests=counts.late,
        late_moves=len(moves.late),
        lost_writes=verdict.lost,
        resurrected_deletes=verdict.resurrected,
        isolation_breaches=counts.breaches,
        rolled_back=moves.rolled_back,
        hold_ms=percentiles([1000 * seconds for seconds in moves.hold_seconds]),
        read_ms={stage.value: percentiles(progress.traffic.read_ms[stage]) for stage in Stage},
        looks=verdict.looks,
        seconds=round(progress.seconds, 1),
        slowness=round(progress.slowness, 1),
        out_of_time=moves.out_of_time,
        reasons=dict(Counter(verdict.reasons) + Counter(moves.late)),
        problems=[*moves.errors, *verdict.problems],
    )


def percentiles(samples: Sequence[float]) -> dict[str, float | None]:
    """Median, 99th percentile and maximum; None where there is no sample."""
    shares = {"p50": 50, "p99": 99, "max": 100}
    if not samples:
        return dict.fromkeys(shares)
    figures = np.percentile(samples, list(shares.values()))
    return {name: round(float(figure), 2) for name, figure in zip(shares, figures, strict=True)}
