"""Declares a tenant that has no data as one of the new side (docs/protocol.md, "New tenants").

Where the tenant stands decides the next step, so any process goes on with what another began. What is seen on the
clusters counts for the standing under which it was asked for, and the script compares that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from time import monotonic

from .control import ControlPlane
from .errors import MoveRefused, ShardrouteError, TenantHasData
from .looks import found_by_any
from .phases import EFFECTS, NEXT_WITHOUT_DATA, Phase, Side
from .routing import Sides, Target
from .shardmap import Standing
from .view import View

_PASSING = frozenset({"STALE", "BARRIER", "HOLD_OVER"})
"""Refusals that another look at where the tenant stands may not meet."""
_POLL = 0.005  # seconds between looks at who has not heard yet
_PAUSE = 0.05  # seconds between looks at a hold that is in the way


class Declarer:
    """Of one router. `max_hold`: seconds that first writes of a tenant may have to wait, beside a cluster's lag."""

    def __init__(self, plane: ControlPlane, view: View, *, max_hold: float) -> None:
        self._plane = plane
        self._view = view
        self._max_hold = max_hold

    async def declare(self, sides: Sides) -> None:
        """Returns when every process has the tenant at NEW. Does not end by itself.

        Raises TenantHasData, MoveRefused where it has a record already that says otherwise or is being worked on, and
        MapLost.
        """
        heard = 0
        while (standing := self._standing(sides)).phase is not Phase.NEW:
            if EFFECTS[standing.phase].settled:
                # A session that is gone has not heard of the last try either: no hold before its lease has ended.
                await self._heard(sides, heard)
            heard = max(heard, await self._step(sides, standing))
        await self._heard(sides, standing.version)

    def _standing(self, sides: Sides) -> Standing:
        """Raises MapLost where the map can no longer be followed."""
        self._view.may_write()
        standing = self._view.standing(sides.tenant)
        own = sides.tenant in self._view.map.tenants
        if own and not standing.declared and standing.phase is not Phase.NEW:
            raise MoveRefused(
                sides.tenant,
                "EXISTS",
                f"its record in the map says {standing.phase}: `migrate` moves it, `--empty` one without data",
            )
        return standing

    # -- one step ----------------------------------------------------------------------------------------------

    async def _step(self, sides: Sides, standing: Standing) -> int:
        """Takes the next step, or waits for what is in its way; the version of the map that came of it."""
        if EFFECTS[standing.phase].held and not standing.declared:
            return await self._wait_for_hold(sides, standing)  # of the shard's default
        try:
            if EFFECTS[standing.phase].held and not await self._barrier(sides, standing):
                return await self._wait_for_hold(sides, standing)
            await self._look(sides, standing)
            return await self._move(sides, standing, NEXT_WITHOUT_DATA[standing.phase])
        except BaseException:
            await self._leave(sides, standing)
            raise

    async def _move(self, sides: Sides, standing: Standing, to: Phase) -> int:
        hold = self._max_hold + max(sides[side].store.lag for side in Side)
        try:
            version = await self._plane.maps.declare(sides.tenant, sides.shard, standing, to, max_hold=hold)
        except MoveRefused as refused:
            if refused.reason not in _PASSING:
                raise
            return await self._wait_for_hold(sides, standing)
        await self._followed(version)
        return version

    async def _leave(self, sides: Sides, standing: Standing) -> None:
        """Nobody should wait in a hold that its declarer has given up. If this fails too, it ends by itself."""
        back = {Phase.HOLD_OLD: Phase.OLD, Phase.HOLD_NEW: Phase.NEW}.get(standing.phase)
        if standing.declared and back is not None:
            move = self._plane.maps.declare(sides.tenant, sides.shard, standing, back, max_hold=0)
            with suppress(ShardrouteError):
                await asyncio.shield(asyncio.ensure_future(move))

    async def _wait_for_hold(self, sides: Sides, standing: Standing) -> int:
        """Until the tenant stands elsewhere, or the hold is overdue and was ended (rule 11)."""
        version = await self._plane.maps.expire_hold(sides.tenant, sides.shard)
        if version is not None:
            await self._followed(version)
            return version
        with suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE):
                await self._view.change()
        return 0

    # -- what is on the clusters ---------------------------------------------------------------------------------

    async def _look(self, sides: Sides, standing: Standing) -> None:
        """Raises TenantHasData. The look in the hold decides; the one before spares tenants with data the hold.

        In the hold, what was written until the barrier is on the old side, and is seen there as late as its reads lag.
        On the new side a move that was given up a moment ago may have left something.
        """
        if EFFECTS[standing.phase].primary is Side.NEW:
            return
        there = [sides[side] for side in Side if await _is_there(sides[side])]
        if EFFECTS[standing.phase].held:
            await _caught_up(there)
        for target in there:
            if not await found_by_any(target.store, partial(_has_records, target)):
                continue
            # Another process may have declared it meanwhile, and written its first records.
            if (await self._current(sides)).version == standing.version:
                raise TenantHasData(sides.tenant, target.store.name, crossed=target.side is Side.NEW)

    async def _current(self, sides: Sides) -> Standing:
        """Where the tenant stands by Redis, which may be further than this process has heard."""
        shard_map, _ = await self._plane.maps.load()
        return shard_map.standing(sides.tenant, sides.shard)

    # -- what processes know ---------------------------------------------------------------------------------------

    async def _barrier(self, sides: Sides, standing: Standing) -> bool:
        """Rule 2. False: the hold was over, or the tenant moved on, before everybody had heard of it."""
        began = monotonic()
        while await self._plane.sessions.lagging(standing.version, sides.tenant):
            if self._standing(sides).version != standing.version or monotonic() - began > self._max_hold:
                return False
            await asyncio.sleep(_POLL)
        return True

    async def _heard(self, sides: Sides, version: int) -> None:
        lagging = self._plane.sessions.lagging
        while await lagging(version, sides.tenant):  # noqa: ASYNC110 - what is polled is in Redis
            await asyncio.sleep(_POLL)

    async def _followed(self, version: int) -> None:
        """This process has the map of at least that version."""
        while self._view.map.version < version:
            self._view.may_write()
            await self._view.change()


async def _is_there(target: Target) -> bool:
    return await target.store.describe(target.place) is not None


async def _caught_up(targets: Sequence[Target]) -> None:
    """Reads see all that was acknowledged before. Raises ClusterUnavailable."""
    waits = [target.store.fresh(target.place) for target in targets if target.store.lag]
    for failure in filter(None, await asyncio.gather(*waits, return_exceptions=True)):
        raise failure


async def _has_records(target: Target) -> bool:
    cursor = None
    while True:
        page = await target.store.scan(target.place, cursor=cursor, limit=1, vectors=False)
        if page.records or page.cursor is None:
            return bool(page.records)
        cursor = page.cursor
