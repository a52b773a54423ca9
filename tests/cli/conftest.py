"""A Valkey and two clusters for all tests of the script; each test has a namespace and collections of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from shardroute.admin import Admin
from shardroute.clusters import connected
from shardroute.config import Config
from shardroute.embedded import embedded_redis
from shardroute.phases import Side
from shardroute.ports import Store
from shardroute.records import Record
from shardroute.testing.qdrant import QdrantProcess
from shardroute.topology import Place
from tests.support.patience import PATIENCE

_CONFIG = """
[control]
url = "{redis}"
namespace = "{namespace}"
timeout = 10

[router]
deadline = {deadline}

[copy]
page = 50
rate = {rate}

[clusters.old]
kind = "qdrant"
url = "{old}"
timeout = {timeout}

[clusters.new]
kind = "qdrant"
url = "{new}"
timeout = {timeout}

[topologies.v1]
shards = 1
dimension = 4
placement = {{ cluster = "old", collection = "{namespace}" }}

[topologies.v2]
shards = 2
dimension = 4
placement = {{ cluster = "new", collection = "{namespace}_{{shard}}" }}

[migration]
from = "v1"
to = "v2"
lock = {lock}
"""


@dataclass(frozen=True)
class Answer:
    """What the script said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Servers:
    redis: str
    old: str
    new: str


@dataclass(frozen=True)
class Deployment:
    """A configuration on the servers, and the script run with it."""

    folder: Path
    servers: Servers
    namespace: str = field(default_factory=lambda: f"t{uuid4().hex[:8]}")

    @property
    def path(self) -> Path:
        return self.folder / "shardroute.toml"

    @property
    def config(self) -> Config:
        return Config.load(self.path, {})

    def write(self, *, rate: float = 0, lock: float = 9, **servers: str) -> None:
        """`lock`: short, so that a test need not wait long for one that is left; a request has a third of it."""
        addresses = {**vars(self.servers), **servers}
        settings = {
            "namespace": self.namespace,
            "rate": float(rate),
            "lock": float(lock),
            "timeout": PATIENCE / 4,
            "deadline": PATIENCE / 2,
        }
        self.path.write_text(_CONFIG.format(**settings, **addresses))

    async def fill(self, tenant: str, count: int) -> None:
        async with self.side(Side.OLD, tenant) as (store, place):
            await store.prepare(place)
            await store.upsert(place, [record(number) for number in range(count)])

    @asynccontextmanager
    async def side(self, side: Side, tenant: str) -> AsyncIterator[tuple[Store, Place]]:
        """A cluster beside shardroute, as something that knows nothing of it would reach it."""
        topology = self.config.route.old if side is Side.OLD else self.config.route.new
        async with connected(self.config.clusters) as stores:
            yield stores[side], topology.place(tenant)

    async def init(self) -> str:
        """Makes the map; where the configuration is."""
        async with self.admin() as admin:
            await admin.init()
        return str(self.path)

    def admin(self) -> AbstractAsyncContextManager[Admin]:
        """For what a test needs but is not about: quicker than the script."""
        return Admin.open(self.config)

    async def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SHARDROUTE_")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shardroute.cli", *arguments),
            cwd=self.folder,
            env={**inherited, "COLUMNS": "80", "PYTHONWARNINGS": "default", **(environment or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(
        self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> Answer:
        process = await self.start(*arguments, environment=environment)
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        assert b"Warning" not in err, err.decode()
        return Answer(process.returncode, out.decode(), err.decode())


def record(number: int) -> Record:
    vector = np.array([1.0, number % 7, number % 5, 1 + number % 3], dtype=np.float32)
    return Record(f"doc-{number}", vector, {"number": number})


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """In a thread with an event loop that outlives those of the tests."""
    started: SimpleQueue[Servers | BaseException] = SimpleQueue()
    stop = threading.Event()

    async def serve() -> None:
        try:
            async with embedded_redis() as redis, QdrantProcess() as old, QdrantProcess() as new:
                started.put(Servers(redis.url, old.url, new.url))
                await asyncio.to_thread(stop.wait)
        except BaseException as error:
            started.put(error)
            raise

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    found = started.get(timeout=PATIENCE)
    try:
        if isinstance(found, BaseException):
            raise found
        yield found
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def deployment(servers: Servers, tmp_path: Path) -> Deployment:
    """Configured; the map is not made yet."""
    deployment = Deployment(tmp_path, servers)
    deployment.write()
    return deployment
