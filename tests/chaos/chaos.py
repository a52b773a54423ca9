"""A run: servers, routers and migrators as processes, and what happens to them, drawn from one seed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.testing.faults import Faults
from tests.support.world import record

from .journal import Log, entries
from .judge import Case
from .settings import KEPT, LINGER, STABLE, TENANTS, write_config

_HELD_UP = LINGER * 0.4  # the longest that a request may be held up on its way: less than the linger

_WALKS = (
    ("migrate", "rollback"),
    ("migrate", "complete", "rollback", "abort"),
    ("migrate", "complete", "purge", "rollback", "migrate"),
    ("rollback", "abort", "migrate"),
)


@dataclass
class Child:
    """A process. `over`: when it had ended, by the machine's clock."""

    pid: int
    role: str = ""
    arguments: tuple[object, ...] = ()
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None
    over: float | None = None

    def signal(self, number: int) -> None:
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    async def end(self, patience: float) -> None:
        """Its own end, or ours."""
        try:
            async with asyncio.timeout(patience):
                await self.ended.wait()
        except TimeoutError:
            self.signal(signal.SIGCONT)
            self.kill()
            await self.ended.wait()


class Nursery:
    """The children of `tests.chaos.forks`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.children: list[Child] = []
        self._process = process
        self._asked: deque[tuple[str, tuple[object, ...], asyncio.Future[Child]]] = deque()

    @classmethod
    @asynccontextmanager
    async def opened(cls, noise: Path) -> AsyncIterator[Nursery]:
        """`noise`: the file for whatever they log."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "tests.chaos.forks")
        with noise.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=stderr)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        nursery = cls(process)
        hearing = asyncio.create_task(nursery._hear())
        try:
            yield nursery
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            await hearing

    async def start(self, role: str, *arguments: object) -> Child:
        """A child is started even if its starter is cancelled: `children` has it."""
        assert self._process.stdin is not None
        child: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._asked.append((role, arguments, child))
        self._process.stdin.write(json.dumps([role, *arguments]).encode() + b"\n")
        return await asyncio.shield(child)

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            what, pid, *status = line.decode().split()
            if what == "started":
                self._started(int(pid))
            else:
                self._ended(int(pid), int(status[0]))

    def _started(self, pid: int) -> None:
        role, arguments, answer = self._asked.popleft()
        child = Child(pid, role, arguments)
        self.children.append(child)
        answer.set_result(child)

    def _ended(self, pid: int, status: int) -> None:
        [child] = [one for one in self.children if one.pid == pid and not one.ended.is_set()]
        child.status, child.over = status, time.monotonic()
        child.ended.set()


class Cluster:
    """A Qdrant that keeps its data when it is killed."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self._nursery = nursery
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.child: Child

    async def start(self) -> None:
        self.child = await self._nursery.start("cluster", str(self._folder), self._port)
        await self.suffer()

    async def kill(self) -> None:
        self.child.kill()
        await self.child.ended.wait()

    async def suffer(self, **faults: object) -> None:
        """From now on; without any it is healthy. Returns when the cluster has heard of it."""
        async with httpx.AsyncClient(base_url=self.url, timeout=1.0) as client:
            while True:
                try:
                    (await client.put("/_faults", json=Faults(**faults).as_json())).raise_for_status()  # type: ignore[arg-type]  # fields by name
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                else:
                    return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Chaos:
    """One run. `log` tells what was done to whom and when."""

    seed: int
    folder: Path
    redis: EmbeddedRedis
    clusters: tuple[Cluster, Cluster]
    nursery: Nursery
    path: Path
    log: Log
    routers: dict[int, Child] = field(default_factory=dict)
    processes: int = 0
    verbs: int = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, seed: int, folder: Path) -> AsyncIterator[Chaos]:
        async with AsyncExitStack() as stack:
            (folder / "redis").mkdir()
            redis = EmbeddedRedis(folder / "redis", durable=True)
            stack.callback(redis.kill)
            await redis.start()
            nursery = await stack.enter_async_context(Nursery.opened(folder / "noise.log"))
            old, new = Cluster(nursery, folder / "old"), Cluster(nursery, folder / "new")
            await asyncio.gather(old.start(), new.start())
            path = write_config(folder, redis=redis.url, old=old.url, new=new.url)
            yield cls(seed, folder, redis, (old, new), nursery, path, Log(folder / "chaos.log"))

    async def run(self, seconds: float) -> None:
        await self._fill()
        for _ in range(3):
            await self._start_router()
        tasks = [asyncio.create_task(actor) for actor in self._actors()]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        await self._stop(tasks)
        for task in done:
            task.result()

    def _actors(self) -> list[Coroutine[object, object, None]]:
        """Tenants move always; what else happens is drawn: where less goes wrong, more gets far enough to go wrong."""
        dice = random.Random(self.seed)
        actors = [self._forever(tenant, 0.1, self._moving(tenant)) for tenant in TENANTS]
        harms = [
            self._forever("redis", 4.0, self._harm_redis),
            *(self._forever(f"cluster {n}", 0.6, self._harming(c)) for n, c in enumerate(self.clusters)),
            *(self._forever(f"router {n}", 1.0, self._harm_a_router) for n in range(3)),
        ]
        for harm in harms:
            if dice.random() < 0.6:
                actors.append(harm)
            else:
                harm.close()
        return actors

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        """Every actor undoes what it did; then the routers end as they should."""
        left = set(tasks)
        while left:  # a cancellation may get lost in a client that is just connecting
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=10)
        await asyncio.sleep(LINGER)
        for cluster in self.clusters:
            await cluster.suffer()
        for child in self.nursery.children:
            if child.role == "migrator":
                child.kill()
            elif child.role == "router":
                child.signal(signal.SIGTERM)
                await child.end(20)

    async def _fill(self) -> None:
        config = Config.load(self.path)
        async with Admin.open(config) as admin:
            await admin.init()
        async with Router(config) as router:
            for name, store in router.stores.items():
                topology = config.route.old if name == "a" else config.route.new
                for tenant in TENANTS:
                    await store.prepare(topology.place(tenant))
            for tenant in TENANTS:
                await router.tenant(tenant).upsert([record(name, 0) for name in (*STABLE, *KEPT)])

    # -- what happens ------------------------------------------------------------------------------------------

    async def _forever(
        self, name: str, pause: float, act: Callable[[random.Random], Awaitable[None]]
    ) -> None:
        dice = random.Random(f"{self.seed} {name}")
        while True:
            await asyncio.sleep(dice.expovariate(1 / pause))
            await act(dice)

    async def _start_router(self) -> None:
        self.processes += 1
        number = self.processes
        log = str(self.folder / f"router-{number}.log")
        seed = self.seed * 1000 + number
        self.routers[number] = await self.nursery.start("router", str(self.path), log, number, seed, TENANTS)

    async def _harm_a_router(self, dice: random.Random) -> None:
        number = dice.choice(list(self.routers))
        child, fate = self.routers[number], dice.random()
        if child.ended.is_set():
            self.log.note(kind="router ended by itself", number=number)
            del self.routers[number]
            await self._start_router()
        elif fate < 0.7:
            await self._pause(child, dice.choice((0.2, 2.5, 5.0)) * dice.random(), f"router {number}")
        elif fate < 0.9:
            child.kill()
            del self.routers[number]
            self.log.note(kind="router killed", number=number)
            await self._start_router()
        else:
            child.signal(signal.SIGTERM)
            self.log.note(kind="router closing", number=number)
            del self.routers[number]
            await self._start_router()
            await child.end(20)

    async def _pause(self, child: Child, seconds: float, who: str) -> None:
        child.signal(signal.SIGSTOP)
        self.log.note(kind="paused", who=who, seconds=seconds)
        try:
            await asyncio.sleep(seconds)
        finally:
            child.signal(signal.SIGCONT)

    async def _harm_redis(self, dice: random.Random) -> None:
        seconds = dice.choice((0.1, 0.5, 3.0)) * dice.random()
        if dice.random() < 0.5:
            await self._pause(Child(self.redis.pid), seconds, "redis")
            return
        self.redis.kill()
        self.log.note(kind="redis killed", seconds=seconds)
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.redis.start()

    def _harming(self, cluster: Cluster) -> Callable[[random.Random], Awaitable[None]]:
        async def harm(dice: random.Random) -> None:
            fate = dice.random()
            if fate < 0.15:
                await self._restart(cluster, dice.random())
            elif fate < 0.3:
                await self._pause(cluster.child, dice.random() * _HELD_UP, cluster.url)
            else:
                await self._strike(cluster, _fault(dice), dice)

        return harm

    async def _restart(self, cluster: Cluster, seconds: float) -> None:
        self.log.note(kind="cluster killed", who=cluster.url, seconds=seconds)
        try:
            await cluster.kill()
            await asyncio.sleep(seconds)
        finally:
            await cluster.start()

    async def _strike(self, cluster: Cluster, fault: dict[str, object], dice: random.Random) -> None:
        seconds = dice.random() * (_HELD_UP if fault.get("hang") and not fault.get("after_write") else 1.0)
        self.log.note(kind="fault", who=cluster.url, fault=fault, seconds=seconds)
        try:
            await cluster.suffer(**fault)
            await asyncio.sleep(seconds)
        finally:
            await cluster.suffer()

    # -- verbs -------------------------------------------------------------------------------------------------

    def _moving(self, tenant: str) -> Callable[[random.Random], Awaitable[None]]:
        """From one end of the line to the other and back; what was killed is done again, or given up."""
        ahead: list[str] = []

        async def move(dice: random.Random) -> None:
            if not ahead:
                ahead.extend(dice.choice(_WALKS))
            if await self._do(ahead[0], tenant, dice) or dice.random() < 0.3:
                del ahead[0]

        return move

    async def _do(self, verb: str, tenant: str, dice: random.Random) -> bool:
        verify, patience = dice.random() < 0.3, dice.choice((1.0, 3.0, 20.0, 20.0)) * dice.random()
        self.log.note(kind="verb", tenant=tenant, verb=verb, verify=verify, patience=patience)
        self.verbs += 1
        log = str(self.folder / "migrators.log")
        child = await self.nursery.start("migrator", str(self.path), log, verb, tenant, verify)
        try:
            await child.end(patience)
        finally:
            if not child.ended.is_set():
                child.kill()
        return child.status == 0

    # -- the end -----------------------------------------------------------------------------------------------

    def heard(self) -> Case:
        """What all processes noted."""
        case = Case()
        for child in self.nursery.children:
            if child.role == "router":
                _, log, number, *_ = child.arguments
                case.hear(cast("int", number), entries(Path(cast("str", log))), child.over)
        case.hear(0, entries(self.folder / "migrators.log"), None)
        return case


def _fault(dice: random.Random) -> dict[str, object]:
    after = dice.random() < 0.5
    only = dice.choice((["write"], ["write"], ["read"], None))
    kind = dice.choice(("latency", "jitter", "error", "down", "hang", "limit"))
    faults: dict[str, dict[str, object]] = {
        "latency": {"latency": dice.random() * 0.15},
        "jitter": {"jitter": dice.random() * 0.3},
        "error": {"error_rate": dice.random() * 0.5, "after_write": after},
        "down": {"down": True, "after_write": after},
        "hang": {"hang": True, "after_write": after},
        "limit": {"rate_limit": 50.0 * dice.random(), "retry_after": 1},
    }
    return faults[kind] | {"only": only}
