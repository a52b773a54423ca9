"""Redis as a run has it: durable, with a replica that takes over, and a clock that steps where libfaketime is there."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shardroute.embedded import EmbeddedRedis

_FAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")
NOWHERE = 1
"""A port at which nobody listens."""


def faketime() -> Path | None:
    """The library of Debian's package `faketime`, which lets a process have another clock."""
    found = [Path(folder) / "libfaketimeMT.so.1" for folder in _FAKETIME]
    return next((path for path in found if path.exists()), None)


class Server(EmbeddedRedis):
    """`master`: the port of the server that it is a replica of. `clock`: a file that says how far its clock is off."""

    def __init__(self, folder: Path, *, clock: Path | None) -> None:
        folder.mkdir()
        super().__init__(folder, durable=True)
        self.folder = folder
        self.master: int | None = None
        self._clock = clock

    def _command(self) -> list[str]:
        command = [*super()._command(), "--maxmemory-policy", "noeviction", "--busy-reply-threshold", "100"]
        command += ["--repl-diskless-sync-delay", "0", "--repl-timeout", "5"]
        if self.master is not None:
            command += ["--replicaof", f"127.0.0.1 {self.master}"]
        library = faketime()
        if self._clock is None or library is None:
            return command
        settings = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        return ["env", *(f"{name}={value}" for name, value in settings.items()), *command]

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Any]:
        """A connection to it, past every proxy."""
        client = Redis(port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0), decode_responses=True)
        try:
            yield client
        finally:
            await client.aclose()


class Pair:
    """A primary and its replica. `offset`: seconds that the clock of both is off."""

    def __init__(self, folder: Path, *, steps: bool) -> None:
        self._clock = folder / "clock"
        self._clock.write_text("+0")
        clock = self._clock if steps else None
        self.primary = Server(folder / "redis-1", clock=clock)
        self.replica = Server(folder / "redis-2", clock=clock)
        self.offset = 0.0

    async def start(self) -> None:
        await self.primary.start()
        self.replica.master = self.primary.port
        await self.replica.start()

    def kill(self) -> None:
        self.primary.kill()
        self.replica.kill()

    def step(self, seconds: float) -> None:
        """Both clocks, from within a second on."""
        self.offset += seconds
        self._clock.write_text(f"{self.offset:+.1f}")

    async def fail_over(self) -> None:
        """The replica takes over, once it has everything. Raises TimeoutError if it did not, and RedisError."""
        async with self.primary.asked() as primary:
            async with asyncio.timeout(5):
                await self._linked(primary)
            await primary.execute_command("FAILOVER", "TIMEOUT", 5000)
            state = await primary.info("replication")
            while state["master_failover_state"] != "no-failover":
                await asyncio.sleep(0.02)
                state = await primary.info("replication")
            if state["role"] == "master":
                raise TimeoutError("the replica did not catch up, so it did not take over")
        self.primary, self.replica = self.replica, self.primary
        self.primary.master, self.replica.master = None, self.primary.port

    @staticmethod
    async def _linked(primary: Any) -> None:
        while (await primary.info("replication")).get("slave0", {}).get("state") != "online":  # noqa: ASYNC110 - polled in Redis
            await asyncio.sleep(0.02)

    async def empty(self) -> None:
        """Restarted without its data, as one that was never told to keep it."""
        self.kill()
        for server in (self.primary, self.replica):
            shutil.rmtree(server.folder)
            server.folder.mkdir()
        await self.start()
