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
from ..testing.serving import ChildServer
from .child import Child, child
from .folder import Folder
from .kinds import KINDS, TIMEOUT, Cluster, lines
from .plan import Plan

_HOLD = (
    10.0  # seconds at most, where reads do not lag: a slow machine needs them, and none waits for their end
)
_HOLD_LAGS = 3  # more of them for each second of lag, which a hold that finds debt waits for
_CONFIGURATION = """\
[control]
url = "{redis}"
namespace = "demo"
timeout = 10
lease = 60

[clusters.old]
kind = "{source}"
{old}
[clusters.new]
kind = "{target}"
{new}
[topologies.v1]
{v1}

[topologies.v2]
{v2}

[copy]
rate = {rate}
page = 64

[router]
deadline = {timeout}
linger = 5

[migration]
from = "v1"
to = "v2"
lock = {lock}
barrier = {timeout}
max_hold = {hold}
"""


@dataclass(frozen=True, slots=True)
class World:
    """What runs, and where its files are."""

    folder: Folder
    redis: EmbeddedRedis
    old: ChildServer
    new: ChildServer
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
async def world(plan: Plan) -> AsyncIterator[World]:
    """Started when it is entered; gone, with all its processes and files, at the end."""
    async with AsyncExitStack() as stack:
        folder = Folder(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shardroute-demo-"))))
        folder.api_key.write_text("made-up")
        redis = await stack.enter_async_context(embedded_redis())
        old, new = await asyncio.gather(
            *(
                stack.enter_async_context(KINDS[kind].start(plan.lag, folder.api_key))
                for kind in (plan.source, plan.target)
            )
        )
        folder.config.write_text(configuration(plan, redis.url, old, new))
        yield World(folder, redis, old.server, new.server, count(1))


def configuration(plan: Plan, redis: str, old: Cluster, new: Cluster) -> str:
    """The file of the whole deployment, as TOML."""
    source, target = KINDS[plan.source], KINDS[plan.target]
    return _CONFIGURATION.format(
        redis=redis,
        source=plan.source,
        target=plan.target,
        old=lines(old.options),
        new=lines(new.options),
        v1=source.topology("old"),
        v2=target.topology("new", shards=target.shards),
        rate=plan.copy_rate,
        timeout=TIMEOUT,
        lock=3 * TIMEOUT,
        hold=_HOLD + _HOLD_LAGS * plan.lag * plan.lagging,
    )
