"""A control plane as one migrator and some routers use it, and hands to set its clocks and keys directly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from shardroute.control import Begun, ControlPlane, Heartbeat, SessionInfo
from shardroute.errors import MoveRefused
from shardroute.phases import EFFECTS, NEXT_WITHOUT_DATA, Phase, step_towards
from shardroute.rules import Acknowledgement
from shardroute.shardmap import ShardMap, Standing
from tests.support.patience import NEVER, patience

TENANT = "acme"
SHARD = 0
LONG = NEVER  # seconds: nothing ends by itself within a test
INFO = SessionInfo(host="here", pid=1)

_KEYS = (
    "meta", "tenants", "defaults", "changes", "sessions", "acknowledged", "information", "tokens", "flying",
    "touched", "windows", "debt", "lock", "copy", "void", "beats", "tallies", "batches", "examples",
    "recorded", "withheld",
)  # fmt: skip


async def declare(
    plane: ControlPlane, tenant: str, shard: int = SHARD, standing: Standing | None = None
) -> int:
    """Declares a tenant new, whatever it has; the map version. `standing`: where it is, if that is known."""
    current = (await plane.maps.load())[0].standing(tenant, shard) if standing is None else standing
    while (to := NEXT_WITHOUT_DATA.get(current.phase)) is not None:
        current = Standing(to, version=await _declared(plane, tenant, shard, current, to))
    return current.version


async def _declared(plane: ControlPlane, tenant: str, shard: int, current: Standing, to: Phase) -> int:
    """One step, as soon as all routers have acknowledged the one before."""
    async with patience():
        while True:
            try:
                return await plane.maps.declare(tenant, shard, current, to, max_hold=LONG)
            except MoveRefused as refused:
                if refused.reason != "BARRIER":
                    raise
                await asyncio.sleep(0.005)


class Board:
    """One tenant, unless another is named."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.redis: Any = plane.connections.commands
        self.scripts = plane.scripts
        self.fence = 0
        self._claims = count(1)

    def key(self, name: str, tenant: str = TENANT) -> str:
        """A key by the name that the scripts have for it."""
        return self.plane.keys.of(tenant)[_KEYS.index(name)]

    # -- the map ---------------------------------------------------------------------------------------------

    async def map(self) -> ShardMap:
        return (await self.plane.maps.load())[0]

    async def standing(self, tenant: str = TENANT) -> Standing:
        return (await self.map()).standing(tenant, SHARD)

    async def take_lock(self, tenant: str = TENANT) -> int:
        """A lock that nobody keeps alive; what it was is overwritten."""
        await self.redis.delete(self.key("lock", tenant))
        answer = await self.scripts.run(
            "acquire", tenant, "migrator", int(LONG * 1000), f"claim {next(self._claims)}"
        )
        self.fence = int(answer[1])
        return self.fence

    async def move(
        self,
        to: Phase,
        *,
        tenant: str = TENANT,
        standing: Standing | None = None,
        fence: int | None = None,
        max_hold: float = LONG,
    ) -> int:
        return await self.plane.maps.move(
            tenant,
            SHARD,
            standing or await self.standing(tenant),
            to,
            fence=self.fence if fence is None else fence,
            max_hold=max_hold,
        )

    async def walk(self, to: Phase, *, tenant: str = TENANT, max_hold: float = LONG) -> Standing:
        """Takes the tenant there as a migrator would that has nothing to copy, waiting for all sessions."""
        await self.take_lock(tenant)
        await self.pass_barrier(tenant)
        while (standing := await self.standing(tenant)).phase is not to:
            if EFFECTS[standing.phase].dual:
                await self.plane.maps.mark_synced(tenant, SHARD, standing, fence=self.fence)
                standing = await self.standing(tenant)
                await self.pass_barrier(tenant)
            await self.move(
                step_towards(standing.phase, to), tenant=tenant, standing=standing, max_hold=max_hold
            )
            await self.pass_barrier(tenant)
        return standing

    async def sync(self) -> None:
        """As if a copy had been made."""
        await self.plane.maps.mark_synced(TENANT, SHARD, await self.standing(), fence=self.fence)
        await self.pass_barrier()

    async def pass_barrier(self, tenant: str = TENANT) -> None:
        """Sessions that only `beat` acknowledge at once; real routers are waited for."""
        for state in await self.plane.sessions.all():
            if state.alive and state.info == INFO:
                await self.beat(state.id)
        async with patience():
            while await self.plane.sessions.lagging((await self.map()).version, tenant):  # noqa: ASYNC110 - it is in Redis
                await asyncio.sleep(0.002)

    async def make_overdue(self, tenant: str = TENANT) -> None:
        """As if the hold had begun long ago."""
        record = json.loads(await self.redis.hget(self.key("tenants"), tenant))
        record["hold_until"] = 1
        await self.redis.hset(self.key("tenants"), tenant, json.dumps(record))

    # -- routers ---------------------------------------------------------------------------------------------

    async def beat(
        self,
        session: str,
        *,
        acknowledged: int | None = None,
        withheld: Mapping[str, int] | None = None,
        lease: float = LONG,
    ) -> Heartbeat:
        """A heartbeat; without a version it acknowledges the newest."""
        current = await self.map()
        return await self.plane.sessions.heartbeat(
            session,
            lease=lease,
            acknowledged=Acknowledgement(
                current.version if acknowledged is None else acknowledged, withheld or {}
            ),
            incarnation=current.incarnation,
            info=INFO,
        )

    async def make_lapsed(self, *sessions: str) -> None:
        """As if their leases had run out a moment ago."""
        past = (await self.plane.lease_time() - 1) * 1000
        await self.redis.zadd(self.key("sessions"), dict.fromkeys(sessions, past))

    async def begin(
        self, token: str, ids: Sequence[str], *, session: str = "router", epoch: int | None = None
    ) -> Begun:
        if epoch is None:
            epoch = (await self.standing()).epoch
        return await self.plane.journal.begin(TENANT, SHARD, epoch, session, token, ids)

    async def settle(self, token: str, ids: Sequence[str], *, debt: bool = False) -> None:
        await self.plane.journal.settle(TENANT, SHARD, token, ids, debt=debt)

    async def debt(self) -> set[str]:
        return set(await self.redis.smembers(self.key("debt")))
