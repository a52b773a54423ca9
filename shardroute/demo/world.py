"""Everything that a deployment has, on this machine: a Valkey, two clusters, a configuration, the admin script."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ..config import Config
from ..embedded import EmbeddedRedis, embedded_redis
from ..errors import ShardrouteError
from ..testing.qdrant import QdrantProcess
from .child import Child, child
from .encoder import DIMENSION
from .folder import Folder

_NEW_SHARDS = 4
_CONFIGURATION = """\
[control]
url = "{redis}"
namespace = "demo"

[clusters.old]
kind = "qdrant"
url = "{old}"

[clusters.new]
kind = "qdrant"
url = "{new}"

[topologies.v1]
shards = 1
dimension = {dimension}
metric = "cosine"
placement = {{ cluster = "old", collection = "docs", tenancy = "payload:tenant" }}

[topologies.v2]
shards = {shards}
dimension = {dimension}
metric = "cosine"
placement = {{ cluster = "new", collection = "docs_{{shard}}", tenancy = "payload:tenant" }}

[copy]
rate = {rate}
page = 64

[migration]
from = "v1"
to = "v2"
"""


@dataclass(frozen=True, slots=True)
class World:
    """What runs, and where its files are."""

    folder: Folder
    redis: EmbeddedRedis
    old: QdrantProcess
    new: QdrantProcess
    numbers: Iterator[int]

    @property
    def config(self) -> Config:
        return Config.load(self.folder.config, environment={})

    async def admin(self, verb: str, *arguments: str) -> Mapping[str, Any]:
        """One run of the script, to its end: what it wrote on stdout.

        Raises ShardrouteError if it ended without an answer.
        """
        command = [verb, *arguments, "--json", "--config", str(self.folder.config)]
        log = self.folder.log(f"admin-{next(self.numbers)}")
        async with child("shardroute.cli", command, log) as process:
            answer = b"".join([line async for line in process.lines()])
            code = await process.ended()
        try:
            document: dict[str, Any] = json.loads(answer)
        except ValueError as error:
            raise ShardrouteError(
                f"`shardroute {verb}` ended with {code} and no answer:\n{process.last_words}"
            ) from error
        return document

    def application(self, worker: int) -> AbstractAsyncContextManager[Child]:
        """An application process, as a context manager."""
        arguments = ["--folder", str(self.folder.path), "--worker", str(worker)]
        return child("shardroute.demo.application", arguments, self.folder.log(f"application-{worker}"))


@asynccontextmanager
async def world(copy_rate: float) -> AsyncIterator[World]:
    """Started when it is entered; gone, with all its processes and files, at the end. `copy_rate`: records a second."""
    async with AsyncExitStack() as stack:
        folder = Folder(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shardroute-demo-"))))
        old, new = QdrantProcess(), QdrantProcess()
        redis = await stack.enter_async_context(embedded_redis())
        await asyncio.gather(stack.enter_async_context(old), stack.enter_async_context(new))
        configuration = _CONFIGURATION.format(
            redis=redis.url, old=old.url, new=new.url, dimension=DIMENSION, shards=_NEW_SHARDS, rate=copy_rate
        )
        folder.config.write_text(configuration)
        yield World(folder, redis, old, new, count(1))
