"""The end of a shard's move: its default goes to the new side, so that tenants made from now on start there.

Tenants that follow the default have no data. Their writes are held for a moment, the old cluster is asked once more
who has data there, and if nobody is left behind the default crosses. The records of tenants at NEW then say what the
default says, and go: the map stays small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from time import monotonic

from ..config import Config
from ..control import ControlPlane, default_lock
from ..errors import MigrationError, MoveRefused
from ..looks import looks
from ..phases import EFFECTS, NEXT_WITHOUT_DATA, Phase, Side
from ..ports import Store
from ..shardmap import ShardMap, Standing
from .barrier import acknowledged
from .observer import Observer

_PASSING = frozenset({"STALE", "HOLD_OVER", "BARRIER"})
_NAMED = 10
_POLL = 0.02  # seconds between looks at tenants that are being declared
_BATCH = 500


class Finisher:
    """Finishes shards, one at a time each. May be interrupted anywhere and run again."""

    def __init__(
        self,
        plane: ControlPlane,
        config: Config,
        stores: Mapping[str, Store],
        owner: str,
        observer: Observer,
    ) -> None:
        self._plane = plane
        self._config = config
        self._stores = stores
        self._owner = owner
        self._observer = observer

    async def finish(self, shard: int) -> int:
        """How many records went. Raises MigrationError naming tenants that are not at NEW yet."""
        life = self._config.migration.lock
        tell = partial(self._observer.waits, f"shard {shard}")
        async with self._plane.locks.hold(default_lock(shard), self._owner, life=life, tell=tell) as lock:
            await self._settle(shard, lock.fence)
            return await self._compact(shard)

    async def _settle(self, shard: int, fence: int) -> None:
        self._refuse_short_hold(shard)
        for attempt in range(self._config.migration.attempts):
            standing = await self._walk(shard, fence)
            if EFFECTS[standing.phase].alone is Side.NEW:
                return
            await asyncio.sleep(min(0.1 * 2**attempt, 5.0))
        raise MigrationError(
            f"shard {shard}: asking the old cluster for its tenants takes longer than migration.max_hold, "
            f"{self._config.migration.max_hold:g} s; raise it for this once"
        )

    def _refuse_short_hold(self, shard: int) -> None:
        """A hold that has to wait for the old cluster's reads would run out, every time."""
        lag, hold = self._old_store.lag, self._config.migration.max_hold
        if lag and lag >= hold:
            raise MigrationError(
                f"shard {shard}: reads of cluster {self._old_store.name!r} lag by up to {lag:g} s, which `finish` has "
                f"to wait for in a hold, and migration.max_hold is {hold:g} s; raise it for this once, or set lag "
                "lower if you have measured it"
            )

    async def _walk(self, shard: int, fence: int) -> Standing:
        """From step to step, until NEW or until a hold ran out."""
        standing = await self._default(shard)
        while standing.phase in NEXT_WITHOUT_DATA:
            await acknowledged(
                self._plane,
                default_lock(shard),
                standing,
                timeout=self._config.migration.barrier,
                tell=partial(self._observer.waits, f"shard {shard}"),
            )
            await self._nobody_left(shard, standing, fence)
            if not await self._move(shard, standing, NEXT_WITHOUT_DATA[standing.phase], fence):
                break
            standing = await self._default(shard)
        return standing

    async def _nobody_left(self, shard: int, standing: Standing, fence: int) -> None:
        """While the old side is the primary: everybody with data there has been moved to NEW.

        In the hold nobody writes there any more; where reads lag, what was written until then shows so much later.
        """
        effect = EFFECTS[standing.phase]
        if effect.primary is Side.NEW:
            return
        if effect.held:
            await asyncio.sleep(self._old_store.lag)
        left = await self._stragglers(shard)
        if not left:
            return
        if effect.held:
            await self._move(shard, standing, Phase.OLD, fence)
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        raise MigrationError(
            f"shard {shard} is not finished: {', '.join(left[:_NAMED])}{more} must be moved and completed first"
        )

    async def _move(self, shard: int, standing: Standing, to: Phase, fence: int) -> bool:
        try:
            await self._plane.maps.move_default(
                shard, standing, to, fence=fence, max_hold=self._config.migration.max_hold
            )
        except MoveRefused as refused:
            if refused.reason not in _PASSING:
                raise
            if refused.reason == "HOLD_OVER":
                await self._move(shard, standing, Phase.OLD, fence)
            return False
        return True

    async def _default(self, shard: int) -> Standing:
        shard_map, _ = await self._plane.maps.load()
        return shard_map.standing("", shard)

    @property
    def _old_store(self) -> Store:
        return self._stores[self._config.route.old.placement.cluster]

    async def _stragglers(self, shard: int) -> list[str]:
        """Tenants of the shard that are not at NEW: by their record, or by data on the old cluster without one."""
        shard_map = await self._without_declarations(shard)
        old = self._config.route.old
        names = set(shard_map.tenants)
        for _ in range(looks(self._old_store)):
            names |= {name async for name in self._old_store.tenants(old.placement, old.collections())}
        mine = sorted(name for name in names if old.shard(name) == shard)
        return [name for name in mine if not _at_new(shard_map, name)]

    async def _without_declarations(self, shard: int) -> ShardMap:
        """The map once no tenant of the shard is being declared: each is over in a moment, or else its hold is."""
        until = monotonic() + self._config.migration.max_hold
        while True:
            shard_map, _ = await self._plane.maps.load()
            under_way = [
                name
                for name, standing in shard_map.tenants.items()
                if standing.declared and self._config.route.old.shard(name) == shard
            ]
            if not under_way or monotonic() >= until:
                return shard_map
            await asyncio.sleep(_POLL)
            for name in under_way:
                await self._plane.maps.expire_hold(name, shard)

    async def _compact(self, shard: int) -> int:
        shard_map, _ = await self._plane.maps.load()
        mine = [name for name in shard_map.tenants if self._config.route.old.shard(name) == shard]
        return sum(
            [
                await self._plane.maps.follow_default(shard, mine[start : start + _BATCH])
                for start in range(0, len(mine), _BATCH)
            ]
        )


def _at_new(shard_map: ShardMap, tenant: str) -> bool:
    own = shard_map.tenants.get(tenant)
    return own is not None and EFFECTS[own.phase].alone is Side.NEW
