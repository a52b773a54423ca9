"""What most tests stand on: a configuration, two clusters, a map, and routers that share them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.control import ControlPlane
from shardroute.migration import Observer
from shardroute.phases import Phase, Side
from shardroute.ports import Store
from shardroute.records import Record
from shardroute.stores.memory import MemoryStore

from .flaky import FlakyStore
from .patience import PATIENCE

DIMENSION = 4


def config(redis_url: str, namespace: str, **sections: Mapping[str, Any]) -> Config:
    """Two clusters in memory, one shard before and three after; sections override keys.

    Leases and locks are what a busy machine needs: a test about their length sets its own.
    """
    raw: dict[str, dict[str, Any]] = {
        "control": {"url": redis_url, "namespace": namespace, "timeout": 10, "lease": 5, "idle_lease": 6},
        "router": {"linger": 0.3, "deadline": PATIENCE},
        "copy": {"page": 20},
        "clusters": {"a": {"kind": "memory"}, "b": {"kind": "memory"}},
        "topologies": {
            "v1": {"dimension": DIMENSION, "placement": {"cluster": "a", "collection": "docs"}},
            "v2": {
                "dimension": DIMENSION,
                "shards": 3,
                "placement": {"cluster": "b", "collection": "docs_{shard}"},
            },
        },
        "migration": {"from": "v1", "to": "v2", "lock": 9, "barrier": PATIENCE},
    }
    for name, section in sections.items():
        raw[name] = {**raw.get(name, {}), **section}
    return Config.from_dict(raw)


@dataclass
class World:
    config: Config
    plane: ControlPlane
    old: FlakyStore
    new: FlakyStore

    @classmethod
    @asynccontextmanager
    async def made(cls, redis_url: str, namespace: str, **sections: Mapping[str, Any]) -> AsyncIterator[Self]:
        settings = config(redis_url, namespace, **sections)
        plane = ControlPlane.open(settings.control)
        try:
            await plane.maps.create(settings.digest())
            yield cls(
                settings, plane, FlakyStore(MemoryStore("a"), seed=1), FlakyStore(MemoryStore("b"), seed=2)
            )
        finally:
            await plane.aclose()

    @property
    def stores(self) -> dict[str, Store]:
        return {"a": self.old, "b": self.new}

    def router(self) -> Router:
        return Router(self.config, stores=self.stores)

    @asynccontextmanager
    async def routers(self, number: int) -> AsyncIterator[list[Router]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.router()) for _ in range(number)]

    @asynccontextmanager
    async def admin(self, observer: Observer | None = None) -> AsyncIterator[Admin]:
        async with Admin.open(self.config, stores=self.stores, observer=observer) as admin:
            yield admin

    async def phase(self, tenant: str) -> Phase:
        shard_map, _ = await self.plane.maps.load()
        return self.config.route.standing(shard_map, tenant).phase

    async def content(self, tenant: str, side: Side) -> dict[str, Record]:
        """All records of a tenant on one side, read past every fault."""
        topology = self.config.route.old if side is Side.OLD else self.config.route.new
        store = self.old.inner if side is Side.OLD else self.new.inner
        found: dict[str, Record] = {}
        cursor = None
        while True:
            page = await store.scan(topology.place(tenant), cursor=cursor)
            found |= {record.id: record for record in page.records}
            if (cursor := page.cursor) is None:
                return found

    async def settled(self) -> None:
        await self.old.settled()
        await self.new.settled()


def record(name: str, value: int = 0, **metadata: Any) -> Record:
    return Record(name, [1.0, 2.0, 3.0, 4.0 + value % 7], {"v": value, **metadata})


def same(one: Mapping[str, Record], two: Mapping[str, Record]) -> bool:
    return _plain(one) == _plain(two)


def _plain(records: Mapping[str, Record]) -> dict[str, Any]:
    return {
        name: (dict(found.metadata), found.vector.tolist() if found.vector is not None else None)
        for name, found in records.items()
    }
