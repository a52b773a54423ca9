"""What a comparison says, in words: what each gate found, and the verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..comparisons import Comparison

# The limits' directions and measures are the gates' own, so that page and gates cannot tell different values.
from ..gates import BOUNDS, MEASURES
from ..statistics import Events, Tally

_WORDS: Mapping[str, str] = {
    "samples": "queries compared",
    "recall": "mean recall",
    "recall_p5": "recall, 5th percentile",
    "latency_ratio": "p95 latency, new to old",
    "error_rate": "share of errors, new less old",
}
_WHEN = "Shadow reads compare queries while a tenant is on two clusters; `shadow.share` says how many."


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate that is set, in words. `broken`: it was judged, and does not hold."""

    words: str
    found: str
    limit: str
    holds: str
    broken: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """`tone`: good, bad or open."""

    tone: str
    headline: str
    details: tuple[str, ...] = ()


def judged(report: Comparison, seen: Tally) -> list[Judged]:
    """The gates that are set, with what `seen` says of each."""
    broken = {breach.gate for breach in report.breaches}
    limits = {gate: float(getattr(report.gates, gate)) for gate in MEASURES}
    return [
        _judged(gate, limit, MEASURES[gate](seen), broken=gate in broken)
        for gate, limit in limits.items()
        if limit
    ]


def _judged(gate: str, limit: float, found: float | None, *, broken: bool) -> Judged:
    return Judged(
        words=_WORDS.get(gate, gate),
        found="—" if found is None else _written(found),
        limit=f"{BOUNDS[gate]} {_written(limit)}",
        holds="✗ no" if broken else "unknown" if found is None else "✓ yes",
        broken=broken,
    )


def _written(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def verdict(report: Comparison, seen: Tally) -> Verdict:
    """The worst that is to be said comes first; too few comparisons leave all other gates open."""
    foreign = seen.count(Events.BREACH)
    broken = {breach.gate: str(breach) for breach in report.breaches}
    if foreign:
        headline = f"Alarm: {_counted(foreign, 'breach', 'breaches')}, records of another tenant in answers"
        return Verdict("bad", headline, tuple(broken.values()))
    if not seen.count(Events.COMPARED) and not broken:
        return Verdict("open", "Nothing was compared yet", (_WHEN,))
    if "samples" in broken:
        return Verdict("open", "Too few comparisons to judge by", (broken["samples"],))
    if broken:
        headline = f"{_counted(len(broken), 'gate does', 'gates do')} not hold"
        return Verdict("bad", headline, tuple(broken.values()))
    if not report.gates.closed:
        return Verdict("open", "No gate is set, so nothing was judged", ())
    return Verdict("good", "Every gate that could be judged holds", ())


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
