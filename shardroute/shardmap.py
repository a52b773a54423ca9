"""The shard and tenant map: immutable, versioned, and how it changes. Pure.

Every router holds one whole map and swaps it for the next. Stale or skipped changes are refused by
version before anything else is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .phases import EFFECTS, Phase
from .rules import follows
from .topology import Topology


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a tenant stands. `epoch` counts its moves; `version` is the map version of the last one.

    `synced`: a full copy has been made since the dual phase was entered (rule 10).
    `hold_until`: lease time in seconds (`rules.lease_time`) after which the hold is overdue (rule 11), in a hold only.
    `declared`: the hold is one of a tenant that is being declared new: it has no data, and goes to one cluster at once.
    `canary`: percentage of reads that the other side answers; only where `synced`, and only until the next move.
    """

    phase: Phase = Phase.OLD
    epoch: int = 0
    version: int = 0
    synced: bool = False
    hold_until: float | None = None
    canary: int = 0
    declared: bool = False

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Standing:
        hold_until = float(raw.get("hold_until") or 0)
        return cls(
            phase=Phase(raw["phase"]),
            epoch=int(raw["epoch"]),
            version=int(raw["version"]),
            synced=bool(int(raw.get("synced", 0))),
            hold_until=hold_until / 1000 or None,
            canary=int(raw.get("canary", 0)),
            declared=bool(int(raw.get("declared", 0))),
        )

    def moved(self, since: Standing) -> bool:
        """Whether the tenant has left the phase in which it stood then, be it that it came back."""
        return self.epoch != since.epoch or self.phase is not since.phase


UNMOVED = Standing()


class MissedChange(Exception):
    """A change does not follow the map's version: something in between was missed."""


class ForkedMap(Exception):
    """A change has the next version, and comes after another map than this one (rule 13)."""


@dataclass(frozen=True, slots=True)
class MapChange:
    """One entry of the change stream. `tenant` is None where only the map's own fields change.

    `standing` None means that the tenant follows its shard's default again. `stamp` names the version, and `after`
    is the stamp of the one before it.
    """

    version: int
    moving: int
    tenant: str | None = None
    standing: Standing | None = None
    shard: int | None = None
    stamp: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class ShardMap:
    """Which tenant stands where. `moving` is the number of tenants between OLD and NEW.

    `stamp` tells this version from one of the same number in another map: a replica that lacked the newest changes, and
    went on without them.
    """

    incarnation: str
    version: int = 0
    moving: int = 0
    tenants: Mapping[str, Standing] = field(default_factory=dict)
    defaults: Mapping[int, Standing] = field(default_factory=dict)
    stamp: str = ""

    def standing(self, tenant: str, shard: int) -> Standing:
        """The tenant's own record, else its shard's default, else the start of the line."""
        return self.tenants.get(tenant) or self.default(shard)

    def default(self, shard: int) -> Standing:
        """Of the shard's tenants that have no record of their own."""
        return self.defaults.get(shard, UNMOVED)

    def apply(self, change: MapChange) -> ShardMap:
        """The map after `change`; itself if the change is old news. Raises MissedChange on a gap, ForkedMap."""
        if change.version <= self.version:
            return self
        if change.version != self.version + 1:
            raise MissedChange(f"map is at {self.version}, change is {change.version}")
        if not follows(self.stamp, change.after):
            raise ForkedMap(f"version {change.version} comes after another version {self.version}")
        changed = replace(self, version=change.version, moving=change.moving, stamp=change.stamp)
        if change.shard is not None and change.standing is not None:
            return replace(
                changed, defaults=MappingProxyType({**self.defaults, change.shard: change.standing})
            )
        if change.tenant is None:
            return changed
        return replace(changed, tenants=_with(self.tenants, change.tenant, change.standing))

    def by_phase(self) -> dict[Phase, list[str]]:
        """The tenants that have a record of their own, by phase, sorted."""
        groups: dict[Phase, list[str]] = {phase: [] for phase in Phase}
        for tenant, standing in sorted(self.tenants.items()):
            groups[standing.phase].append(tenant)
        return groups


def _with(tenants: Mapping[str, Standing], tenant: str, standing: Standing | None) -> Mapping[str, Standing]:
    changed = dict(tenants)
    if standing is None:
        changed.pop(tenant, None)
    else:
        changed[tenant] = standing
    return MappingProxyType(changed)


@dataclass(frozen=True, slots=True)
class Migration:
    """The two topologies that a map leads between. The shards of the map are those of `old`."""

    old: Topology
    new: Topology

    def standing(self, shard_map: ShardMap, tenant: str) -> Standing:
        return shard_map.standing(tenant, self.old.shard(tenant))


def in_motion(phase: Phase) -> bool:
    """Whether a tenant in this phase asks all sessions for short leases."""
    return not EFFECTS[phase].settled
