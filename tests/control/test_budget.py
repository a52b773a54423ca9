"""All tenants' statistics together stay within their budget, at the same cost however many tenants there are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from shardroute.comparisons import Example, RecordedQuery
from shardroute.config import ControlConfig
from shardroute.control import ControlPlane, Stats
from shardroute.embedded import EmbeddedRedis, embedded_redis
from shardroute.statistics import Events, Tally

from .test_stats import EXAMPLE, LONG, QUERY

KEY_BYTES, ELEMENT_BYTES = 600, 100  # as the prelude has them
BUDGET = 200_000


class Kept:
    """What Redis keeps of statistics, looked at past the library."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.redis: Any = plane.connections.commands
        named = {key.rpartition(":")[2]: key for key in plane.keys.of("")}
        self.usage, self.sizes, self.ends = (named[name] for name in ("usage", "sizes", "ends"))

    async def counted(self) -> int:
        return int(await self.redis.hget(self.usage, "bytes") or 0)

    async def sizes_by_key(self) -> dict[str, int]:
        return {key: int(size) for key, size in await self.redis.zrange(self.sizes, 0, -1, withscores=True)}

    async def measured(self, tenants: list[str]) -> dict[str, int]:
        """What the keys hold, counted anew."""
        keys, redis = self.plane.keys, self.redis
        contents: dict[str, list[str]] = {}
        for tenant in tenants:
            contents[keys.recorded(tenant)] = await redis.lrange(keys.recorded(tenant), 0, -1)
            contents[keys.examples(tenant)] = await redis.zrange(keys.examples(tenant), 0, -1)
            contents[keys.tallies(tenant)] = list((await redis.hgetall(keys.tallies(tenant))).values())
        return {
            key: KEY_BYTES + sum(len(text.encode()) + ELEMENT_BYTES for text in texts)
            for key, texts in contents.items()
            if texts
        }


@pytest.fixture
async def redis_own() -> AsyncIterator[EmbeddedRedis]:
    """A server whose memory nobody else uses."""
    async with embedded_redis() as server:
        yield server


@pytest.fixture
def kept(plane: ControlPlane) -> Kept:
    return Kept(plane)


@pytest.fixture
def stats(plane: ControlPlane) -> Stats:
    return Stats(plane.connections, plane.scripts, budget=BUDGET)


def query(size: int, text: str = "") -> RecordedQuery:
    return replace(QUERY, text=text, raw_filter={"tag": "x" * size})


def example(badness: float, note: str = "") -> Example:
    return replace(EXAMPLE, badness=badness, note=note)


async def test_what_is_counted_is_what_is_there_whatever_happened(stats: Stats, kept: Kept) -> None:
    chance = random.Random(3)
    tenants = [f"tenant-{number}" for number in range(5)]
    for step in range(300):
        tenant = chance.choice(tenants)
        match chance.randrange(10):
            case 0:
                await stats.clear(tenant)
            case 1 | 2 | 3:
                counts = {f"name-{chance.randrange(40)}": step for _ in range(chance.randrange(1, 20))}
                await stats.add(tenant, Tally(counts), window=0.05, retention=LONG)
            case 4 | 5 | 6:
                bad = [example(chance.random(), str(step)) for _ in range(chance.randrange(1, 6))]
                await stats.add_examples(tenant, bad, most=4, retention=LONG)
            case _:
                queries = [query(chance.randrange(5000)) for _ in range(chance.randrange(1, 6))]
                await stats.record(tenant, queries, most=chance.randrange(1, 12), retention=LONG)
        measured = await kept.measured(tenants)
        assert await kept.sizes_by_key() == measured
        assert await kept.counted() == sum(measured.values()) <= BUDGET


async def test_many_tenants_take_no_more_than_the_budget_and_each_of_them_has_something(
    stats: Stats, kept: Kept
) -> None:
    tenants = [f"tenant-{number}" for number in range(60)]
    for _ in range(3):
        for tenant in tenants:
            await stats.record(tenant, [query(1500)] * 3, most=100, retention=LONG)
            assert await kept.counted() <= BUDGET
    found = [len(await stats.recorded(tenant)) for tenant in tenants]
    assert min(found) > 0
    assert await kept.counted() > BUDGET / 2, "room is used"


async def test_who_records_most_makes_room_and_who_has_little_keeps_it(stats: Stats) -> None:
    await stats.record("small", [query(100, "kept")], most=100, retention=LONG)
    await stats.add("small", Tally({Events.COMPARED: 7}), window=LONG, retention=LONG)
    for number in range(100):
        await stats.record("large", [query(20_000, str(number))], most=100, retention=LONG)
    assert [found.text for found in await stats.recorded("small")] == ["kept"]
    assert [window.tally.count(Events.COMPARED) for window in await stats.windows("small")] == [7]
    texts = [int(found.text or 0) for found in await stats.recorded("large")]
    assert texts == list(range(texts[0], 100)), "the oldest go, the newest stay"


async def test_counts_that_gates_need_find_room_where_recordings_fill_it(stats: Stats) -> None:
    for number in range(40):
        await stats.record("large", [query(20_000, str(number))], most=100, retention=LONG)
    for number in range(30):
        names = {f"latency/old/{name}": 1 for name in range(100)}
        await stats.add(f"moving-{number}", Tally(names), window=LONG, retention=LONG)
        await stats.add_examples(f"moving-{number}", [EXAMPLE], retention=LONG)
    for number in range(30):
        [window] = await stats.windows(f"moving-{number}")
        assert len(window.tally.counts) == 100
        assert await stats.examples(f"moving-{number}") == [EXAMPLE]


async def test_what_has_run_out_by_itself_is_counted_no_more(stats: Stats, kept: Kept) -> None:
    for number in range(60):
        await stats.record(f"tenant-{number}", [query(1500)], most=5, retention=0.001)
    await asyncio.sleep(0.01)
    for _ in range(4):  # twenty at a time
        await stats.record("one", [query(1500)], most=1, retention=LONG)
    assert await kept.sizes_by_key() == await kept.measured(["one"])


@pytest.mark.parametrize("budget", [0, 5_000])
async def test_what_no_room_can_be_made_for_is_left_out(plane: ControlPlane, kept: Kept, budget: int) -> None:
    stats = Stats(plane.connections, plane.scripts, budget=budget)
    await stats.record("acme", [query(10_000)], most=5, retention=LONG)
    assert await stats.recorded("acme") == []
    assert await kept.counted() == 0


async def test_a_server_that_may_use_little_gives_a_quarter_of_it(redis_own: EmbeddedRedis) -> None:
    async with _plane(redis_own) as plane:
        redis: Any = plane.connections.commands
        await redis.config_set("maxmemory", 4 * BUDGET)
        kept = Kept(plane)
        for number in range(40):
            await plane.stats.record(f"tenant-{number}", [query(20_000)], most=5, retention=LONG)
        assert BUDGET / 2 < await kept.counted() <= BUDGET


async def test_recording_costs_the_same_with_one_tenant_and_with_two_thousand(
    redis_own: EmbeddedRedis,
) -> None:
    async with _plane(redis_own) as plane:
        stats = Stats(plane.connections, plane.scripts, budget=2_000_000)
        await stats.record("acme", [query(500)], most=50, retention=LONG)
        alone = await _commands(plane, stats)
        for number in range(2000):
            await stats.record(f"tenant-{number}", [query(10)], most=5, retention=LONG)
        assert await _commands(plane, stats) == alone


async def test_what_is_counted_is_about_what_the_server_uses(redis_own: EmbeddedRedis) -> None:
    async with _plane(redis_own) as plane:
        redis: Any = plane.connections.commands
        stats, budget = Stats(plane.connections, plane.scripts, budget=8_000_000), 8_000_000
        await stats.record("warm-up", [query(10)], most=1, retention=LONG)
        before = int((await redis.info("memory"))["used_memory"])
        for number in range(400):
            sizes = [10, 300, 3000, 30_000]
            await stats.record(
                f"t-{number}",
                [query(sizes[number % 4])] * (40 if number % 4 < 2 else 5),
                most=99,
                retention=LONG,
            )
        assert await Kept(plane).counted() > budget / 2
        assert int((await redis.info("memory"))["used_memory"]) - before < 1.5 * budget


async def test_batches_of_all_tenants_together_are_bounded(plane: ControlPlane, stats: Stats) -> None:
    redis: Any = plane.connections.commands
    now = await plane.time() * 1000
    await redis.zadd(plane.keys.batches, {f"batch-{number}": now - number for number in range(10_500)})
    await stats.add("acme", Tally({"a": 1}), window=LONG, retention=LONG)
    assert await redis.zcard(plane.keys.batches) == 10_000


@asynccontextmanager
async def _plane(server: EmbeddedRedis) -> AsyncIterator[ControlPlane]:
    plane = ControlPlane.open(ControlConfig(url=server.url, namespace="budget", timeout=20))
    try:
        yield plane
    finally:
        await plane.aclose()


async def _commands(plane: ControlPlane, stats: Stats) -> int:
    """How many commands the server carries out for a few more recordings."""
    redis: Any = plane.connections.commands
    await redis.config_resetstat()
    for _ in range(10):
        await stats.record("acme", [query(500)], most=50, retention=LONG)
    found = await redis.info("commandstats")
    return sum(command["calls"] for command in found.values())
