"""What the page in the admin shows: a page of tenants, asked for in the router's loop."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from shardroute.admin import Admin, TenantStatus
from shardroute.control import ControlPlane, SessionState
from shardroute.errors import ControlPlaneUnavailable, ShardrouteError, Unavailable
from shardroute.phases import EFFECTS, LINE, VERBS, Phase, Side
from shardroute.shardmap import ShardMap
from shardroute.statistics import Shares, added
from shardroute.topology import Topology

from .process import Host

PAGE = 50
"""Tenants on a page. Only these are asked for one by one, however many there are."""

VERBS_OFFERED = ("migrate", "rollback", "abort", "complete", "purge")

_NBSP = "\N{NO-BREAK SPACE}"

_KEPT = 30.0  # seconds for which the clusters are not asked again which tenants they have


@dataclass(frozen=True, slots=True)
class Row:
    """A tenant. `recall`: how far the new path agrees, None where nobody compared. `total` of a copy is an estimate."""

    status: TenantStatus
    recall: float | None = None
    compared: int = 0
    copied: int | None = None
    total: int | None = None

    @property
    def verbs(self) -> list[str]:
        """What may be done with it now."""
        return [] if self.status.holder else [verb for verb in VERBS_OFFERED if offered(verb, self.status)]

    @property
    def cells(self) -> dict[str, str]:
        """As people read it, by column."""
        status = self.status
        dual = bool(status.debt) or not EFFECTS[status.phase].settled
        return {
            "debt": f"{status.debt:,}" if dual else "",
            "in_flight": f"{status.tokens:,}" if dual else "",
            "agreement": "" if self.recall is None else _agreement(self.recall, self.compared),
            "holder": status.holder or ("overdue" if status.overdue else ""),
            "synced": "in step" if status.synced else "",
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "tenant": self.status.tenant,
            "phase": self.status.phase,
            "cells": self.cells,
            "verbs": self.verbs,
            "copied": self.copied,
            "total": self.total,
        }


def _agreement(recall: float, compared: int) -> str:
    """It may be broken before "of" alone."""
    return f"{100 * recall:.1f}{_NBSP}% of{_NBSP}{compared:,}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tenants. `words`: part of a name. `number`: of the page, from 1."""

    words: str = ""
    phase: Phase | None = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """A page of them. `names`: of all that were wanted. `phases`: of all there are."""

    rows: Sequence[Row] = ()
    names: Sequence[str] = ()
    phases: Mapping[str, Phase] = field(default_factory=dict)
    sessions: Sequence[SessionState] = ()
    version: int = 0
    problem: str = ""


def offered(verb: str, status: TenantStatus) -> bool:
    """Whether it makes sense where the tenant stands. What never moved has nothing on the other side to purge."""
    known = VERBS[verb]
    if status.phase not in known.starts or status.phase is known.destination:
        return False
    return known.destination is not None or status.epoch > 0


class Looking:
    """One for each host. Every method raises ShardrouteError."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._config = host.settings.config
        self._known: set[str] = set()
        self._known_until = float("-inf")
        self._problem = ""  # of the clusters, when they were asked last

    async def page(self, wanted: Wanted) -> Found:
        """What the page shows."""
        if self._problem:
            self._known_until = float("-inf")  # who loads the page again wants to know whether it is over
        async with self._opened() as (admin, plane):
            await self._ask_clusters(admin)
            found = await self._around(plane, await admin.map())
            names = _chosen(found.phases, wanted)
            last = max(1, math.ceil(len(names) / PAGE))
            start = PAGE * (min(wanted.number, last) - 1)
            rows = await self._rows(admin, plane, names[start : start + PAGE])
            return replace(found, names=names, rows=rows)

    async def progress(self, names: Sequence[str]) -> Found:
        """These tenants, and what is around them, as it stands now. Raises InvalidTenant."""
        async with self._opened() as (admin, plane):
            await self._ask_clusters(admin)
            router = await self._host.router()
            found = await self._around(plane, router.map)  # at hand; a large one takes a while to load
            return replace(found, rows=await self._rows(admin, plane, names[:PAGE]))

    async def rows(self, names: Sequence[str]) -> list[Row]:
        """These tenants, as they stand now. Raises InvalidTenant."""
        async with self._opened() as (admin, plane):
            return await self._rows(admin, plane, names[:PAGE])

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[Admin, ControlPlane]]:
        router = await self._host.router()
        plane = ControlPlane.open(self._config.control)
        try:
            async with Admin.open(self._config, stores=router.stores, patience=0.0) as admin:
                yield admin, plane
        finally:
            await plane.aclose()

    async def _around(self, plane: ControlPlane, shard_map: ShardMap) -> Found:
        """All but the rows."""
        return Found(
            phases=self._phases(shard_map),
            sessions=await plane.sessions.all(),
            version=shard_map.version,
            problem=self._problem,
        )

    async def _ask_clusters(self, admin: Admin) -> None:
        """Once in a while; with a cluster away, tenants that have a record in the map are better than nothing."""
        if time.monotonic() <= self._known_until:
            return
        try:
            self._known, self._problem = set(await admin.tenants()), ""
        except ControlPlaneUnavailable:
            raise
        except Unavailable as error:
            self._problem = f"Only tenants that have begun to move are shown, and those seen before: {error}"
        self._known_until = time.monotonic() + _KEPT

    def _phases(self, shard_map: ShardMap) -> dict[str, Phase]:
        route = self._config.route
        names = sorted(self._known | set(shard_map.tenants))
        return {name: route.standing(shard_map, name).phase for name in names}

    async def _rows(self, admin: Admin, plane: ControlPlane, names: Sequence[str]) -> list[Row]:
        return [await self._row(plane, status) for status in await admin.status(names)] if names else []

    async def _row(self, plane: ControlPlane, status: TenantStatus) -> Row:
        if EFFECTS[status.phase].settled:
            return Row(status)
        seen = added(window.tally for window in await plane.stats.windows(status.tenant))
        recall = seen.share(Shares.RECALL)
        copied = None if status.synced else await self._copied(plane, status)
        total = None if copied is None else await self._total(status)
        return Row(status, recall=recall.mean, compared=recall.count, copied=copied, total=total)

    async def _copied(self, plane: ControlPlane, status: TenantStatus) -> int:
        checkpoint = await plane.journal.checkpoint(status.tenant)
        return checkpoint.copied if checkpoint.epoch == status.epoch else 0

    async def _total(self, status: TenantStatus) -> int | None:
        route = self._config.route
        topology: Topology = route.old if EFFECTS[status.phase].primary is Side.OLD else route.new
        place = topology.place(status.tenant)
        with suppress(ShardrouteError):
            return await (await self._host.router()).stores[place.cluster].estimate(place)
        return None


@lru_cache(maxsize=1)
def looking(host: Host) -> Looking:
    """Of the host that there is."""
    return Looking(host)


def _chosen(phases: Mapping[str, Phase], wanted: Wanted) -> list[str]:
    words = wanted.words.lower()
    return [
        name
        for name, phase in phases.items()
        if words in name.lower() and (wanted.phase is None or phase is wanted.phase)
    ]


def counted(found: Found) -> list[tuple[Phase, int]]:
    """Every phase of the line, with how many tenants are there."""
    counts = Counter(found.phases.values())
    return [(phase, counts[phase]) for phase in LINE]
