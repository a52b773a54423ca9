"""The map in Redis: made once, loaded whole, followed by a stream whose entry ids are map versions."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidInput, LockLost, MapLost, MoveRefused
from ..phases import Phase
from ..rules import follows
from ..shardmap import MapChange, ShardMap, Standing
from .connection import Connections
from .scripts import Argument, Scripts, pairs


def parse_change(raw: str) -> MapChange:
    """An entry of the stream."""
    fields = json.loads(raw)
    standing = fields.get("standing")
    return MapChange(
        version=int(fields["version"]),
        moving=int(fields["moving"]),
        tenant=fields.get("tenant"),
        standing=Standing.from_dict(standing) if standing else None,
        shard=fields.get("shard"),
        stamp=fields.get("stamp", ""),
        after=fields.get("after", ""),
    )


class MapStore:
    """Reads the map and asks for moves; all that must be atomic is decided by the scripts."""

    def __init__(self, connections: Connections, scripts: Scripts) -> None:
        self._connections = connections
        self._scripts = scripts

    async def create(self, configuration: str) -> bool:
        """Makes an empty map unless there is one; True if this call made it."""
        incarnation = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:12]}"
        code, _ = await self._scripts.run("init", "", incarnation, configuration)
        return bool(code == "CREATED")

    async def load(self) -> tuple[ShardMap, str]:
        """The whole map, and the configuration it was made for. Raises MapLost where there is none (rule 13)."""
        shard_map, configuration, _ = await self._load("")
        return shard_map, configuration

    async def reload(self, known: ShardMap) -> ShardMap:
        """The whole map of a process that knew an earlier version of it.

        Raises MapLost if it is provably another map (rule 13): of another incarnation, older than what is known, or one
        that went on without it. Of a version that has left the stream, 10,000 changes ago, nothing can be proven.
        """
        loaded, _, stamp = await self._load(known.version)
        if loaded.incarnation != known.incarnation:
            raise MapLost(f"the map is another one now: {loaded.incarnation}, it was {known.incarnation}")
        if loaded.version < known.version:
            raise MapLost(f"the map went back from version {known.version} to {loaded.version}")
        if not follows(known.stamp, stamp):
            raise MapLost(f"the map went on without version {known.version}, which this process has seen")
        return loaded

    async def _load(self, version: Argument) -> tuple[ShardMap, str, str]:
        """The map, the configuration it was made for, and the stamp that `version` has in it."""
        raw_meta, raw_tenants, raw_defaults, stamp = await self._scripts.run("load", "", version)
        meta = pairs(raw_meta)
        if "incarnation" not in meta:
            raise MapLost(
                f"there is no map in namespace {self._scripts.keys.namespace!r} of this Redis. A new deployment "
                "makes one with `shardroute init`; if there was one before, restore it and do not make a new one."
            )
        shard_map = ShardMap(
            incarnation=meta["incarnation"],
            version=int(meta["version"]),
            moving=int(meta["moving"]),
            tenants={name: _standing(raw) for name, raw in pairs(raw_tenants).items()},
            defaults={int(shard): _standing(raw) for shard, raw in pairs(raw_defaults).items()},
            stamp=meta.get("stamp", ""),
        )
        return shard_map, meta["configuration"], str(stamp)

    async def changes_after(self, version: int, *, wait: float) -> list[MapChange]:
        """The changes that follow `version`; waits up to `wait` seconds for one."""
        key, redis = self._scripts.keys.changes, self._connections.commands
        block = max(1, int(wait * 1000))
        answer: Any = await self._scripts.ask(
            lambda: redis.xread({key: f"{version}-0"}, block=block, count=1000), timeout=wait + 2.0
        )
        streams = answer.values() if isinstance(answer, Mapping) else [entries for _, entries in answer or []]
        return [parse_change(fields["change"]) for entries in streams for _, fields in _flat(entries)]

    async def move(
        self, tenant: str, shard: int, standing: Standing, to: Phase, *, fence: int, max_hold: float
    ) -> int:
        """Moves the tenant to a neighbouring phase; the new map version. Raises MoveRefused, LockLost, MapLost."""
        code, detail, *_ = await self._scripts.run(
            "move", tenant, tenant, shard, to, standing.epoch, fence, int(max_hold * 1000)
        ) + [""]
        return _version(tenant, code, detail)

    async def move_default(
        self, shard: int, standing: Standing, to: Phase, *, fence: int, max_hold: float
    ) -> int:
        """Moves the default of a shard, under its lock; the new map version. Raises as `move` does."""
        code, detail, *_ = await self._scripts.run(
            "move_default", default_lock(shard), shard, to, standing.epoch, fence, int(max_hold * 1000)
        ) + [""]
        return _version(default_lock(shard), code, detail)

    async def follow_default(self, shard: int, tenants: Sequence[str]) -> int:
        """Drops the records of tenants at NEW whose shard's default is NEW; how many went."""
        _, dropped = await self._scripts.run("follow_default", "", shard, *tenants)
        return int(dropped)

    async def expire_hold(self, tenant: str, shard: int) -> int | None:
        """Moves an overdue hold on (rule 11); the map version, or None while it may not be moved yet."""
        code, detail = await self._scripts.run("expire_hold", tenant, tenant, shard)
        return int(detail) if code == "OK" else None

    async def mark_synced(self, tenant: str, shard: int, standing: Standing, *, fence: int) -> int:
        """Notes a full copy (rule 10)."""
        code, detail, *_ = await self._scripts.run("synced", tenant, tenant, shard, standing.epoch, fence) + [
            ""
        ]
        return _version(tenant, code, detail)

    async def set_canary(self, tenant: str, shard: int, percent: int, *, fence: int) -> int:
        """Lets the other side answer `percent` of the tenant's reads, until the next move; the new map version.

        Raises MoveRefused unless the tenant is in DUAL_OLD and `synced`, LockLost, MapLost, and InvalidInput.
        """
        if not 0 <= percent <= 100:
            raise InvalidInput(f"a canary of {percent} %: it is a percentage from 0 to 100")
        code, detail, *_ = await self._scripts.run("canary", tenant, tenant, shard, percent, fence) + [""]
        return _version(tenant, code, detail)

    async def declare(
        self, tenant: str, shard: int, standing: Standing, to: Phase, *, max_hold: float
    ) -> int:
        """Takes one step of declaring a tenant new, from this very standing; the new map version.

        Raises MoveRefused, MapLost. That the tenant has no data, the caller has seen: `tenant_creation.Declarer`.
        """
        code, detail, *_ = await self._scripts.run(
            "create", tenant, tenant, shard, to, standing.version, int(max_hold * 1000)
        ) + [""]
        if code == "LOCKED":
            raise MoveRefused(tenant, code, f"it is held by {detail}; try again when that has ended")
        return _version(tenant, code, detail)

    async def wait_for_replicas(self, replicas: int, timeout: float) -> None:
        """Returns when `replicas` have everything written so far; raises MoveRefused if they do not in time.

        WAIT counts the writes of its own connection only, so it is given one that comes after all others.
        """
        if not replicas:
            return
        acknowledged = await self._scripts.ask(
            lambda: self._replicated(replicas, timeout), timeout=timeout + 2.0
        )
        if acknowledged < replicas:
            raise MoveRefused("*", "REPLICAS", f"{acknowledged} of {replicas} replicas have the move")

    async def _replicated(self, replicas: int, timeout: float) -> int:
        redis: Any = self._connections.commands
        async with redis.client() as connection:
            await connection.hset(self._scripts.keys.meta, "replicated", 1)
            return int(await connection.execute_command("WAIT", replicas, int(timeout * 1000)))


def default_lock(shard: int) -> str:
    """Under which name a shard's default is locked: none that a tenant can have."""
    return f"*{shard}"


def _flat(entries: Any) -> list[Any]:
    """RESP3 wraps the entries of a stream in one more list than RESP2 does."""
    return entries[0] if len(entries) == 1 and isinstance(entries[0], list) else entries


def _standing(raw: str) -> Standing:
    return Standing.from_dict(json.loads(raw))


def _version(tenant: str, code: str, detail: Any) -> int:
    if code == "OK":
        return int(detail)
    if code == "LOCK_LOST":
        raise LockLost(f"tenant {tenant!r}: the lock ran out or was taken over; nothing was moved")
    raise MoveRefused(tenant, code, str(detail))
