"""The Redis of a run: a replica that takes over with everything, a clock that steps, a restart without data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.patience import patience

from .redis_server import Pair, faketime


@asynccontextmanager
async def pair(folder: Path, *, steps: bool = False) -> AsyncIterator[Pair]:
    made = Pair(folder, steps=steps)
    try:
        await made.start()
        yield made
    finally:
        made.kill()


async def test_a_replica_that_takes_over_has_everything(tmp_path: Path) -> None:
    async with pair(tmp_path) as redis:
        before = redis.primary.port
        for value in ("one", "two"):
            async with redis.primary.asked() as asked:
                await asked.set("key", value)
            await redis.fail_over()
            async with redis.primary.asked() as asked:
                assert await asked.get("key") == value
        assert redis.primary.port == before


async def test_a_restart_without_data_forgets_everything(tmp_path: Path) -> None:
    async with pair(tmp_path) as redis:
        async with redis.primary.asked() as asked:
            await asked.set("key", "value")
        await redis.empty()
        async with redis.primary.asked() as asked:
            assert await asked.get("key") is None


@pytest.mark.skipif(faketime() is None, reason="needs Debian's package faketime")
async def test_its_clock_steps_both_ways(tmp_path: Path) -> None:
    async with pair(tmp_path, steps=True) as redis, redis.primary.asked() as asked:
        for step in (600, -1200):
            before, _ = await asked.time()
            redis.step(step)
            async with patience():
                while abs((await asked.time())[0] - before - step) > 60:  # noqa: ASYNC110 - polled in Redis
                    await asyncio.sleep(0.1)
