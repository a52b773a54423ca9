"""How big the demo is and how fast. All processes of a run read the same plan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..errors import InvalidInput
from .kinds import KINDS

_BUSY = 2.5
"""So many times slower than a quiet machine one may be and do the whole demo: its own processes make it busy, too."""
_FEWEST = 4  # tenants on a slow machine
_BASE, _A_TENANT = 15.0, 2.1  # seconds that the demo takes, and for each tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Durations in seconds. Raises InvalidInput for an unknown kind.

    `source`, `target`: kinds of the cluster that tenants are moved from, and to.
    `most`: documents of one tenant. `workers`: application processes. `before`, `after`: traffic alone.
    `write_pause`, `read_pause`: of each writer and reader, of which a worker has one for each tenant.
    `haste`: how many times faster a tenant's writers and readers are while it is under way.
    `lag`: the longest that reads of a cluster are behind writes, where they are.
    `copy_rate`: records of a tenant that are copied a second, so that a move lasts long enough to be met by writes.
    `batch`: tenants that one admin process moves; `admins`: admin processes at a time.
    `moving`: after so long no more tenants are moved, if the machine was too slow for all.
    """

    source: str = "qdrant"
    target: str = "qdrant"
    tenants: int = 28
    most: int = 400
    workers: int = 2
    before: float = 8.0
    after: float = 8.0
    write_pause: float = 1.5
    read_pause: float = 1.2
    haste: float = 10.0
    lag: float = 1.0
    copy_rate: float = 60.0
    batch: int = 7
    admins: int = 2
    moving: float = 60.0
    seed: int = 20260701

    def __post_init__(self) -> None:
        for kind in (self.source, self.target):
            if kind not in KINDS:
                raise InvalidInput(f"{kind!r} is not a kind of cluster; known are {', '.join(KINDS)}")

    @property
    def lagging(self) -> bool:
        """Whether reads are behind writes on either cluster."""
        return KINDS[self.source].lags or KINDS[self.target].lags

    @property
    def parallel(self) -> int:
        """Tenants that one admin process moves at a time: more where it mostly waits for reads."""
        return 4 if self.lagging else 2

    @property
    def seconds(self) -> float:
        """About how long the demo takes."""
        return _BASE + self.before + self.after + _A_TENANT * self.tenants

    def fitted(self, slowness: float) -> Plan:
        """For a machine that is so many times slower than a quiet one: fewer tenants, less traffic, the same time."""
        less = max(1.0, slowness / _BUSY)
        tenants = min(self.tenants, max(_FEWEST, round(self.tenants / less)))
        return replace(
            self,
            tenants=tenants,
            batch=min(self.batch, max(1, -(-tenants // (2 * self.admins)))),
            write_pause=self.write_pause * less,
            read_pause=self.read_pause * less,
        )

    def save(self, path: Path) -> None:
        """For the other processes."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Plan:
        """What `save` wrote."""
        return cls(**json.loads(path.read_text()))
