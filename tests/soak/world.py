"""The servers of a run, the processes that use them, and the proxies in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from shardroute.local_ports import lasting_port
from shardroute.testing.faults import Faults

from .nursery import Child, Nursery
from .proxy import Proxy
from .redis_server import Pair, faketime
from .schedule import AFTER_GONE, CLUSTERS, MIGRATORS, ROUTERS, Schedule
from .settings import write_config


class Cluster:
    """A Qdrant that keeps its data when it is killed."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self._nursery = nursery
        self._folder = folder
        self.port = lasting_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.child: Child

    async def start(self) -> None:
        self.child = await self._nursery.start("cluster", str(self._folder), self.port)
        await self.suffer()

    async def kill(self) -> None:
        self.child.kill()
        await self.child.ended.wait()

    async def suffer(self, **faults: Any) -> None:
        """From now on; without any it is healthy. Returns when the cluster has heard of it."""
        async with httpx.AsyncClient(base_url=self.url, timeout=1.0) as client:
            while not self.child.ended.is_set():
                try:
                    (await client.put("/_faults", json=Faults(**faults).as_json())).raise_for_status()
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                else:
                    return
        raise RuntimeError(f"cluster {self.url} has ended: see noise.log")


@dataclass
class Party:
    """A router or a migrator: a place that one process after the other takes, and its ways to the servers."""

    name: str
    config: Path
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)

    @property
    def current(self) -> Child | None:
        """The process that has this place now."""
        last = self.children[-1] if self.children else None
        return None if last is None or last.leaving or last.ended.is_set() else last

    def stopped(self) -> bool:
        return any(child.stopped() for child in self.children[-3:])


@dataclass
class World:
    folder: Path
    schedule: Schedule
    redis: Pair
    clusters: Mapping[str, Cluster]
    nursery: Nursery
    parties: Mapping[str, Party]
    config: Path
    """Of whoever goes past all proxies."""

    @classmethod
    @asynccontextmanager
    async def opened(cls, schedule: Schedule, folder: Path) -> AsyncIterator[World]:
        (folder / "schedule.json").write_text(schedule.as_json())
        async with AsyncExitStack() as stack:
            steps = faketime() is not None and any(fault.kind == "clock" for fault in schedule.faults)
            redis = Pair(folder, steps=steps)
            stack.callback(redis.kill)
            await redis.start()
            nursery = await stack.enter_async_context(Nursery.opened(folder / "noise.log"))
            clusters = {name: Cluster(nursery, folder / name) for name in CLUSTERS}
            await asyncio.gather(*(cluster.start() for cluster in clusters.values()))
            ports = {"redis": redis.primary.port} | {name: cluster.port for name, cluster in clusters.items()}
            parties: dict[str, Party] = {}
            for name in (*ROUTERS, *MIGRATORS):
                party = parties[name] = Party(name, folder / f"{name}.toml")
                await _connect(party, ports, stack)
                own = {to: proxy.port for to, proxy in party.proxies.items()}
                _configure(party.config, own, schedule, failover=name in schedule.failover)
            _configure(folder / "direct.toml", ports, schedule)
            yield cls(folder, schedule, redis, clusters, nursery, parties, folder / "direct.toml")

    async def fail_over(self) -> None:
        """The replica takes over; everybody is cut off from the former primary and finds the new one."""
        await self.redis.fail_over()
        for party in self.parties.values():
            party.proxies["redis"].target = self.redis.primary.port
            party.proxies["redis"].sever()
        ports = {name: cluster.port for name, cluster in self.clusters.items()}
        _configure(self.config, {"redis": self.redis.primary.port} | ports, self.schedule)


async def _connect(party: Party, ports: Mapping[str, int], stack: AsyncExitStack) -> None:
    proxies = {}
    for target, port in ports.items():
        late = (
            None if target == "redis" else AFTER_GONE
        )  # what Redis gets late it refuses: by epoch, fence or token
        proxies[target] = Proxy(port, late=late, stopped=party.stopped)
        await proxies[target].start()
        stack.push_async_callback(proxies[target].stop)
    party.proxies = proxies


def _configure(path: Path, ports: Mapping[str, int], schedule: Schedule, *, failover: bool = False) -> None:
    write_config(
        path,
        redis=f"redis://127.0.0.1:{ports['redis']}/0",
        old=f"http://127.0.0.1:{ports['old']}",
        new=f"http://127.0.0.1:{ports['new']}",
        failover=failover,
        drain=schedule.drain,
        timeout=schedule.timeout,
    )
