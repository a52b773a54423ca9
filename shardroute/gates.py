"""What must be true before a tenant crosses, and stay true for a while afterwards. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errors import ConfigError
from .phases import Side
from .statistics import Events, Shares, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Limits; one of 0 is switched off. `samples`: comparisons without which nothing else should be judged.

    `recall`: least mean recall. `recall_p5`: least 5th percentile of recall, which is told in steps of 0.01, rounded
    down. `latency_ratio`: most that the new cluster's 95th percentile may be of the old one's, told to a tenth.
    `error_rate`: most by which the new cluster's share of failures may be above the old one's, from 0 to 1. `soak`:
    seconds of traffic that are judged. `patience`: seconds that are waited for `samples` before giving up.
    """

    samples: int = 0
    recall: float = 0.0
    recall_p5: float = 0.0
    latency_ratio: float = 0.0
    error_rate: float = 0.0
    soak: float = 30.0
    patience: float = 300.0

    def __post_init__(self) -> None:
        for name in ("recall", "recall_p5", "error_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"the gate {name} is {getattr(self, name):g}; it is a share from 0 to 1")

    @property
    def closed(self) -> bool:
        """Whether there is anything to judge."""
        return any((self.samples, self.recall, self.recall_p5, self.latency_ratio, self.error_rate))


@dataclass(frozen=True, slots=True)
class Breach:
    """A gate that does not hold: what was found, and the limit."""

    gate: str
    found: float
    limit: float

    def __str__(self) -> str:
        return f"{self.gate} is {self.found:.4g}, the gate says {BOUNDS[self.gate]} {self.limit:.4g}"


_AT_LEAST, _AT_MOST = "at least", "at most"
BOUNDS = {
    "samples": _AT_LEAST,
    "recall": _AT_LEAST,
    "recall_p5": _AT_LEAST,
    "latency_ratio": _AT_MOST,
    "error_rate": _AT_MOST,
    "breaches": _AT_MOST,
}


_DUST = 1e-9
"""What floats make of a value that is exactly at its limit."""


def breaches(gates: Gates, seen: Tally) -> list[Breach]:
    """The gates that do not hold, in a fixed order; records of other tenants are always one.

    What cannot be told from `seen` (no answer of one side, say) is no breach: `samples` is the gate for that. Where
    it is among the breaches, it is the caller's to say which of the others count.
    """
    found = [Breach("breaches", seen.count(Events.BREACH), 0)] if seen.count(Events.BREACH) else []
    for gate, measure in MEASURES.items():
        limit, value = float(getattr(gates, gate)), measure(seen)
        if limit and value is not None and _broken(gate, value, limit):
            found.append(Breach(gate, value, limit))
    return found


def _broken(gate: str, value: float, limit: float) -> bool:
    return value < limit - _DUST if BOUNDS[gate] is _AT_LEAST else value > limit + _DUST


def _latency_ratio(seen: Tally) -> float | None:
    old, new = (seen.latency(side).quantile(0.95) for side in (Side.OLD, Side.NEW))
    return new / old if old and new is not None else None


def _error_rate(seen: Tally) -> float | None:
    new = seen.error_rate(Side.NEW)
    return None if new is None else max(0.0, new - (seen.error_rate(Side.OLD) or 0.0))


MEASURES: dict[str, Callable[[Tally], float | None]] = {
    "samples": lambda seen: float(seen.count(Events.COMPARED)),
    "recall": lambda seen: seen.share(Shares.RECALL).mean,
    "recall_p5": lambda seen: seen.share(Shares.RECALL).quantile(0.05),
    "latency_ratio": _latency_ratio,
    "error_rate": _error_rate,
}
