"""Queries that are kept for replays: which, in what form, and at what cost to those who ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from shardroute import Record
from shardroute.comparisons import RecordedQuery
from shardroute.control import ControlPlane
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import InvalidInput
from shardroute.phases import Phase, Side
from shardroute.recording import as_query, from_line, to_line
from shardroute.replay import read_lines
from shardroute.routing import Sides
from tests.support.patience import PATIENCE, patience
from tests.support.world import World

FULL = RecordedQuery(
    vector=(0.5, -1.0, 2.0, 0.25),
    top_k=7,
    raw_filter={"lang": "en", "year": {"$gte": 2020}},
    sparse_indices=(3, 9),
    sparse_values=(0.5, 1.5),
    at=12.5,
)


@pytest.fixture
async def recording(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[World]:
    async with World.made(redis_server.url, namespace, recording={"share": 1.0, "most": 3}) as world:
        yield world


async def with_data(world: World, *tenants: str) -> None:
    async with world.router() as router:
        for tenant in tenants:
            await router.tenant(tenant).upsert([Record("one", [1, 2, 3, 4], {"lang": "en"})])


async def kept(world: World, tenant: str = "acme") -> list[RecordedQuery]:
    return await world.plane.stats.recorded(tenant)


# -- in a router -----------------------------------------------------------------------------------------------------


async def test_queries_are_kept_as_they_were_asked_and_the_newest_stay(recording: World) -> None:
    await with_data(recording, "acme")
    async with recording.router() as router:
        acme = router.tenant("acme")
        for number in range(1, 6):
            await acme.query([1, 2, 3, number], top_k=number, filter={"lang": {"$in": ["en", "de"]}})
    found = await kept(recording)
    assert [query.top_k for query in found] == [3, 4, 5]
    assert found[-1].vector == (1.0, 2.0, 3.0, 5.0)
    assert found[-1].raw_filter == {"lang": {"$in": ["en", "de"]}}
    assert found[-1].at > 0


async def test_what_the_caller_changes_afterwards_is_kept_as_it_was(recording: World) -> None:
    await with_data(recording, "acme")
    vector, condition = np.array([1, 2, 3, 4], dtype=np.float32), {"lang": {"$in": ["en"]}}
    async with recording.router() as router:
        await router.tenant("acme").query(vector, filter=condition)
        vector[:] = 0
        condition["lang"]["$in"].append("de")
    [found] = await kept(recording)
    assert (found.vector, found.raw_filter) == ((1.0, 2.0, 3.0, 4.0), {"lang": {"$in": ["en"]}})


async def test_they_are_sent_while_the_router_runs(recording: World) -> None:
    await with_data(recording, "acme")
    async with recording.router() as router, patience():
        await router.tenant("acme").query([1, 2, 3, 4])
        while not await kept(recording):  # noqa: ASYNC110 - what is polled is in Redis
            await asyncio.sleep(0.05)


async def test_each_tenant_has_its_own(recording: World) -> None:
    await with_data(recording, "acme", "globex")
    async with recording.router() as router:
        for tenant, top_k in (("acme", 1), ("globex", 2)):
            await router.tenant(tenant).query([1, 2, 3, 4], top_k=top_k)
    assert [query.top_k for query in await kept(recording, "acme")] == [1]
    assert [query.top_k for query in await kept(recording, "globex")] == [2]


async def test_a_tenant_that_is_not_there_is_not_recorded(recording: World) -> None:
    async with recording.router() as router:
        for number in range(20):
            await router.tenant(f"stranger-{number}").query([1, 2, 3, 4], filter={"lang": "x" * 1000})
    redis = recording.plane.connections.commands
    assert await redis.keys(recording.plane.keys.recorded("*")) == []


async def test_a_tenant_is_recorded_once_it_has_answered_or_has_a_record_in_the_map(recording: World) -> None:
    await with_data(recording, "acme")
    async with recording.router() as router:
        acme = router.tenant("acme")
        await acme.query([1, 2, 3, 4], top_k=1, filter={"lang": "pl"})
        await acme.query([1, 2, 3, 4], top_k=2)
        await acme.query([1, 2, 3, 4], top_k=3, filter={"lang": "pl"})
        await (await router.create_tenant("globex")).query([1, 2, 3, 4], top_k=4)
    assert [query.top_k for query in await kept(recording)] == [2, 3]
    assert [query.top_k for query in await kept(recording, "globex")] == [4]


async def test_without_a_share_nothing_is_kept(world: World) -> None:
    async with world.router() as router:
        await router.tenant("acme").query([1, 2, 3, 4])
    assert await kept(world) == []


async def test_a_share_of_the_queries_is_kept(redis_server: EmbeddedRedis, namespace: str) -> None:
    settings = {"share": 0.5, "most": 1000}
    async with World.made(redis_server.url, namespace, recording=settings) as world:
        await with_data(world, "acme")
        async with world.router() as router:
            for _ in range(400):
                await router.tenant("acme").query([1, 2, 3, 4])
        assert 120 < len(await kept(world)) < 280


async def test_a_redis_that_is_away_costs_recordings_and_no_query(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    brisk = {"timeout": 0.2}
    async with World.made(own_redis.url, namespace, recording={"share": 1.0}, control=brisk) as world:
        async with world.router() as router:
            own_redis.kill()
            assert await router.tenant("acme").query([1, 2, 3, 4]) == []
            await asyncio.sleep(1.5)  # one attempt to send
            assert await router.tenant("acme").query([1, 2, 3, 4]) == []
            await own_redis.start()
        plane = ControlPlane.open(world.config.control)
        try:
            assert len(await plane.stats.recorded("acme")) <= 1
        finally:
            await plane.aclose()


@pytest.mark.parametrize("there", [False, True], ids=["strangers", "tenants"])
async def test_queries_with_large_filters_do_not_fill_a_small_redis_so_writing_goes_on(
    own_redis: EmbeddedRedis, namespace: str, there: bool
) -> None:
    """Sixty megabytes of filters, for a Redis of twenty."""
    settings: dict[str, dict[str, Any]] = {
        "recording": {"share": 1.0},
        "control": {"lease": 1.0, "idle_lease": 1.0},
    }
    names = [f"tenant-{number}" for number in range(30)]
    async with World.made(own_redis.url, namespace, **settings) as world:
        redis: Any = world.plane.connections.commands
        await redis.config_set("maxmemory", 20_000_000)
        if there:
            await with_data(world, *names)
        async with world.router() as router:
            large = {"lang": {"$nin": ["x" * 1000] * 200}}
            for number in range(300):
                await router.tenant(names[number % 30]).query([1, 2, 3, 4], filter=large)
            await asyncio.sleep(2.5)  # sent, and two heartbeats
            await router.tenant("acme").upsert([Record("one", [1, 2, 3, 4])], timeout=PATIENCE)
            assert router.ready
        used = (await redis.info("memory"))["used_memory"]
        assert used < 16_000_000
        assert bool(await kept(world, names[0])) is there


# -- as lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [FULL, RecordedQuery((1.0, 2.0), 10), RecordedQuery(None, 3, text="kettles\nin two lines", at=1.0)],
    ids=["all of it", "a vector", "a text"],
)
def test_a_query_is_one_line_and_comes_back_from_it(query: RecordedQuery) -> None:
    line = to_line(query)
    assert "\n" not in line
    assert from_line(line) == query


def test_a_recorded_query_is_asked_as_it_was() -> None:
    query = as_query(FULL)
    assert query.vector is not None
    assert (query.vector.tolist(), query.top_k) == ([0.5, -1.0, 2.0, 0.25], 7)
    assert query.sparse_vector is not None
    assert query.sparse_vector.indices.tolist() == [3, 9]
    assert query.filter is not None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"vector": [1, 2, 3]}', "3 dimensions, the collection has 4"),
        ('{"vector": [1, 2, 3, 4], "limit": 5}', "unknown keys: limit"),
        ('{"vector": [1, "x"]}', "no query"),
        ('{"vector": [1, 2, 3, NaN]}', "NaN"),
        ('{"vector": [1, 2, 3, 4], "top_k": 0}', "top_k is 0"),
        ('{"vector": [1, 2, 3, 4], "filter": {"year": {"$near": 1}}}', r"year\.\$near"),
        ('{"vector": [1, 2, 3, 4], "sparse_vector": {"indices": [1]}}', "no query"),
        ('{"text": "kettles"}', "encoder"),
        ('{"top_k": 5}', "a query needs a vector"),
        ("[]", "JSON object"),
        ("no JSON", "no JSON"),
    ],
)
def test_a_line_that_the_clusters_cannot_answer_is_refused_by_its_number(
    world: World, line: str, complaint: str
) -> None:
    sides = Sides("acme", world.config.route, world.stores)
    with pytest.raises(InvalidInput, match=f"^line 3: .*{complaint}"):
        read_lines(['{"vector": [1, 2, 3, 4]}', "", line], sides)


# -- replays ---------------------------------------------------------------------------------------------------------


async def replayed(world: World) -> Any:
    async with world.admin() as admin:
        return await admin.replay("acme", await admin.recorded("acme"))


async def test_a_replay_finds_that_two_equal_sides_agree(recording: World) -> None:
    await _on_two_clusters(recording)
    found = await replayed(recording)
    assert found.phase is Phase.DUAL_NEW
    assert found.tally.share("recall").mean == 1.0
    assert (list(found.examples), list(found.breaches)) == ([], [])


async def test_a_replay_shows_the_worst_first_and_counts_failures(recording: World) -> None:
    await _on_two_clusters(recording)
    place = recording.config.route.old.place("acme")
    await recording.old.inner.delete(place, [f"r{number}" for number in range(10)])
    found = await replayed(recording)
    assert found.tally.share("recall").mean < 1.0
    assert found.tally.share("floor").mean == 1.0
    assert found.examples[0].badness == max(example.badness for example in found.examples)

    recording.old.faults.down = True
    found = await replayed(recording)
    assert found.tally.errors(Side.OLD) == {"ClusterUnavailable": 3}
    assert found.tally.errors(Side.NEW) == {}


async def _on_two_clusters(world: World) -> None:
    async with world.router() as router:
        acme = router.tenant("acme")
        choose = np.random.default_rng(1)
        await acme.upsert(Record(f"r{number}", choose.normal(size=4)) for number in range(40))
        for _ in range(3):
            await acme.query(choose.normal(size=4), top_k=10)
    async with world.admin() as admin:
        await admin.move("migrate", "acme")
