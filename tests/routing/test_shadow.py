"""Shadow reads: what they count, and that whatever becomes of them no caller ever feels it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient

from shardroute import Record, Router
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import TenantBreach
from shardroute.migration import Options
from shardroute.phases import Phase, Side
from shardroute.ports import Store
from shardroute.statistics import Events, Shares, Tally
from shardroute.stores.qdrant import QdrantStore
from shardroute.testing.qdrant import QdrantProcess
from tests.control.board import TENANT, Board
from tests.support import encoders
from tests.support.emptying import emptied
from tests.support.encoders import LARGE, SMALL
from tests.support.world import World, record

from .duals import RECORDS, SHADOW, VECTOR, Dual, dual, examples_of, tally_of
from .stage import CALM, until


@pytest.fixture
async def pair(
    redis_server: EmbeddedRedis, namespace: str, request: pytest.FixtureRequest
) -> AsyncIterator[Dual]:
    """A tenant in DUAL_OLD; parametrize it with keys of [shadow]."""
    settings = getattr(request, "param", {})
    async with dual(redis_server.url, namespace, shadow=settings) as made:
        yield made


def compared(number: int) -> Callable[[Tally], bool]:
    return lambda tally: tally.count(Events.COMPARED) == number


def failed(side: Side, kind: str) -> Callable[[Tally], bool]:
    return lambda tally: tally.errors(side) == {kind: 1}


# -- what is counted ---------------------------------------------------------------------------------------------


async def test_every_query_is_put_to_the_other_side_as_well_and_all_of_it_is_counted(pair: Dual) -> None:
    for number in range(5):
        hits = await pair.tenant.query(VECTOR, top_k=3, filter={"n": {"$gte": number}})
        assert [hit.id for hit in hits] == [str(number), str(number + 1), str(number + 2)]
    tally = await pair.counted(compared(5))
    assert (tally.share(Shares.RECALL).mean, tally.share(Shares.OVERLAP).mean) == (1.0, 1.0)
    assert {side: tally.latency(side).count for side in Side} == {Side.OLD: 5, Side.NEW: 5}
    assert tally.counts["phase/DUAL_OLD"] == 5
    assert not tally.share(Shares.FLOOR).count
    assert tally.error_rate(Side.OLD) == tally.error_rate(Side.NEW) == 0


async def test_after_the_crossing_the_old_side_casts_the_shadow(pair: Dual) -> None:
    await pair.board.walk(Phase.DUAL_NEW)
    asked = pair.old.asked
    await pair.tenant.query(VECTOR)
    tally = await pair.counted(compared(1))
    assert pair.old.asked == asked + 1
    assert tally.counts["phase/DUAL_NEW"] == 1


@pytest.mark.parametrize("pair", [{"share": 0.0}], indirect=True)
async def test_with_a_share_of_0_nobody_else_is_asked_and_nothing_counted(pair: Dual) -> None:
    await pair.tenant.query(VECTOR)
    await pair.tenant.fetch(["1"])
    assert pair.new.asked == 0
    await asyncio.sleep(0.1)
    assert not (await pair.tally()).counts


async def test_on_one_cluster_nobody_else_is_asked_and_nothing_counted(pair: Dual) -> None:
    await pair.board.walk(Phase.OLD)
    await pair.tenant.query(VECTOR)
    await asyncio.sleep(0.1)
    assert pair.new.asked == 0
    assert not (await pair.tally()).counts


async def test_what_the_other_side_lacks_lowers_the_recall_and_is_kept_as_an_example(pair: Dual) -> None:
    await pair.spoil(gone=("0", "1"))
    await pair.tenant.query(VECTOR, top_k=4)
    tally = await pair.counted(compared(1))
    assert tally.share(Shares.RECALL).mean == 0.5
    (example,) = await pair.examples()
    assert example.primary_ids == ("0", "1", "2", "3")
    assert example.other_ids == ("2", "3", "4", "5")
    assert (example.badness, example.top_k, example.phase) == (0.5, 4, Phase.DUAL_OLD)
    assert example.other_seconds is not None


async def test_agreement_leaves_no_example(pair: Dual) -> None:
    await pair.tenant.query(VECTOR)
    await pair.counted(compared(1))
    await asyncio.sleep(0.05)
    assert not await pair.stage.world.plane.stats.examples(TENANT)


@pytest.mark.parametrize("pair", [{"budget": 1e-6}], indirect=True)
async def test_what_there_is_no_time_for_has_no_shadow_and_is_counted(pair: Dual) -> None:
    await pair.tenant.query(VECTOR)
    await pair.counted(compared(1))
    for _ in range(5):
        assert await pair.tenant.query(VECTOR)
    tally = await pair.counted(lambda tally: tally.count(Events.SHED) == 5)
    assert (pair.new.asked, tally.count(Events.COMPARED)) == (1, 1)


async def test_until_the_copy_is_made_the_other_side_is_not_asked(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    """It would have a part of the records, and disagree."""
    async with dual(redis_server.url, namespace, synced=False, shadow={}) as pair:
        await pair.tenant.query(VECTOR, top_k=2)
        await pair.sync()
        await pair.tenant.query(VECTOR, top_k=2)
        await pair.counted(compared(1))
        assert pair.new.asked == 1


async def test_fetched_records_are_compared_too_and_are_no_queries(pair: Dual) -> None:
    await pair.spoil(Record("1", RECORDS[1].vector, {"n": 99}), gone=("2", "3"))
    assert len(await pair.tenant.fetch(["0", "1", "2", "3"])) == 4
    tally = await pair.counted(lambda tally: tally.count(Events.FETCHED) == 1)
    assert (tally.count(Events.MISSING), tally.count(Events.DIFFERING)) == (2, 1)
    assert not tally.count(Events.COMPARED)
    assert not tally.latency(Side.OLD).count
    (example,) = await pair.examples()
    assert (example.badness, example.note) == (0.75, "fetch: 2 missing, 1 differ")


@pytest.mark.parametrize("pair", [{"floor": 1.0}], indirect=True)
async def test_the_primary_is_asked_twice_where_its_own_noise_is_measured(pair: Dual) -> None:
    asked = pair.old.asked
    await pair.tenant.query(VECTOR)
    tally = await pair.counted(compared(1))
    assert pair.old.asked == asked + 2
    assert tally.share(Shares.FLOOR).mean == 1.0
    assert tally.latency(Side.OLD).count == 1, "the second answer says nothing about what callers feel"


async def test_what_the_caller_does_to_its_answer_is_no_difference(pair: Dual) -> None:
    pair.new.door.clear()
    hits = await pair.tenant.query(VECTOR)
    for hit in hits:
        dict.clear(hit.metadata)  # type: ignore[arg-type]  # it is one, whatever is promised
    hits.clear()
    pair.new.door.set()
    tally = await pair.counted(compared(1))
    assert (tally.share(Shares.RECALL).mean, tally.count(Events.METADATA)) == (1.0, 0)


# -- what nobody feels -------------------------------------------------------------------------------------------


async def test_a_caller_has_its_answer_while_the_other_side_is_still_silent(pair: Dual) -> None:
    pair.new.door.clear()
    for _ in range(20):
        assert len(await pair.tenant.query(VECTOR, timeout=5)) == 10
    pair.new.door.set()
    await pair.counted(compared(20))


@pytest.mark.parametrize("pair", [{"concurrency": 1, "queue": 2}], indirect=True)
async def test_what_the_queue_has_no_room_for_is_left_out_and_counted(pair: Dual) -> None:
    pair.new.door.clear()
    await pair.tenant.query(VECTOR)
    await until(lambda: pair.new.asked == 1)
    for _ in range(5):
        await pair.tenant.query(VECTOR)
    pair.new.door.set()
    tally = await pair.counted(compared(3))
    assert tally.count(Events.SHED) == 3


def _raising(error: BaseException) -> Callable[[Any], Any]:
    def raising(_: Any) -> Any:
        raise error

    return raising


ODDITIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nothing": (lambda _: None, "TypeError"),
    "something else": (lambda _: ["a", "b"], "AttributeError"),
    "an error nobody knows": (_raising(ZeroDivisionError()), "ZeroDivisionError"),
    "a cancellation of its own": (_raising(asyncio.CancelledError()), "CancelledError"),
}


@pytest.mark.parametrize(("odd", "kind"), ODDITIES.values(), ids=ODDITIES)
async def test_whatever_the_other_side_does_is_counted_by_type_and_the_next_shadow_follows(
    pair: Dual, odd: Callable[[Any], Any], kind: str
) -> None:
    pair.new.odd = odd
    for _ in range(10):
        assert len(await pair.tenant.query(VECTOR)) == 10
    tally = await pair.counted(lambda tally: tally.errors(Side.NEW) == {kind: 10})
    assert not tally.latency(Side.NEW).count
    pair.new.odd = lambda answer: answer
    await pair.tenant.query(VECTOR)
    await pair.counted(compared(1))


async def test_a_cluster_that_is_down_is_an_error_of_its_side_and_an_example(pair: Dual) -> None:
    pair.new.faults.down = True
    assert len(await pair.tenant.query(VECTOR, top_k=2)) == 2
    tally = await pair.counted(failed(Side.NEW, "ClusterUnavailable"))
    assert (tally.error_rate(Side.NEW), tally.error_rate(Side.OLD)) == (1.0, 0.0)
    (example,) = await pair.examples()
    assert (example.badness, example.note) == (1.0, "ClusterUnavailable")
    assert (example.primary_ids, example.other_ids) == (("0", "1"), ())


async def test_a_primary_that_fails_its_caller_is_counted_and_casts_no_shadow(pair: Dual) -> None:
    pair.old.faults.down = True
    with pytest.raises(Exception, match="down"):
        await pair.tenant.query(VECTOR)
    await pair.counted(failed(Side.OLD, "ClusterUnavailable"))
    assert pair.new.asked == 0


@pytest.mark.parametrize("pair", [{"timeout": 0.05}], indirect=True)
async def test_a_shadow_that_takes_too_long_is_given_up_and_counted(pair: Dual) -> None:
    pair.new.door.clear()
    await pair.tenant.query(VECTOR)
    await pair.counted(failed(Side.NEW, "TimeoutError"))


async def test_a_shadow_of_a_tenant_that_has_moved_meanwhile_says_nothing(pair: Dual) -> None:
    pair.new.door.clear()
    await pair.tenant.query(VECTOR)
    await until(lambda: pair.new.asked == 1)
    await pair.board.walk(Phase.OLD)
    await emptied(pair.new.inner, pair.place(Side.NEW))
    pair.new.door.set()
    await asyncio.sleep(0.1)
    tally = await pair.tally()
    assert tally.latency(Side.OLD).count == 1
    assert not tally.count(Events.COMPARED)
    assert not tally.latency(Side.NEW).count


@pytest.mark.parametrize("pair", [{"flush": 3600.0}], indirect=True)
async def test_reads_and_their_shadows_ask_redis_nothing(pair: Dual) -> None:
    before = await _commands(pair)
    for _ in range(50):
        await pair.tenant.query(VECTOR)
        await pair.tenant.fetch(["1"])
    await until(lambda: pair.new.asked == 100)
    assert await _commands(pair) == before


async def _commands(pair: Dual) -> int:
    told: dict[str, Any] = await pair.board.redis.info("commandstats")
    return sum(
        stats["calls"] for name, stats in told.items() if name not in ("cmdstat_info", "cmdstat_xread")
    )


# -- sending -----------------------------------------------------------------------------------------------------


async def test_closing_ends_all_shadows_and_sends_what_was_counted(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with dual(redis_server.url, namespace, shadow={"flush": 3600.0}) as pair:
        await pair.tenant.query(VECTOR)
        await until(lambda: pair.new.asked == 1)
        pair.new.door.clear()
        await pair.tenant.query(VECTOR)
        await pair.router.__aexit__(None, None, None)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not [name for name in names if name.startswith(("shardroute shadow", "shardroute tallies"))]
        assert (await pair.tally()).latency(Side.OLD).count == 2
        await pair.router.__aenter__()


async def test_while_redis_is_away_counts_are_kept_and_no_request_waits(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    async with dual(own_redis.url, namespace, shadow={}) as pair:
        await pair.tenant.query(VECTOR)
        await pair.counted(compared(1))
        own_redis.kill()
        for _ in range(5):
            assert len(await pair.tenant.query(VECTOR, timeout=5)) == 10
        await until(lambda: pair.new.asked == 6)
        await asyncio.sleep(0.1)
        await own_redis.start()
        await pair.counted(lambda tally: tally.count(Events.COMPARED) >= 6)


# -- records of others -------------------------------------------------------------------------------------------


class Careless(AsyncQdrantClient):
    """A cluster that forgets about filters."""

    async def query_points(self, *arguments: Any, **settings: Any) -> Any:
        return await super().query_points(*arguments, **{**settings, "query_filter": None})


@asynccontextmanager
async def neighbours(redis_url: str, namespace: str, *careless: str) -> AsyncIterator[tuple[Router, World]]:
    """Two tenants that share a collection on each side."""
    topologies = {
        name: {"dimension": 4, "placement": {"cluster": cluster, "collection": "docs"}}
        for name, cluster in (("v1", "a"), ("v2", "b"))
    }
    settings: dict[str, Any] = {"control": CALM, "shadow": SHADOW, "topologies": topologies}
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World.made(redis_url, namespace, **settings))
        stores: dict[str, Store] = {}
        for name in ("a", "b"):
            client = (Careless if name in careless else AsyncQdrantClient)(location=":memory:")
            stores[name] = QdrantStore(name, client)
            stack.push_async_callback(stores[name].aclose)
        router = await stack.enter_async_context(Router(world.config, stores=stores))
        board = Board(world.plane)
        await board.walk(Phase.DUAL_OLD)
        await board.sync()
        for tenant, topology in product((TENANT, "globex"), world.config.topologies.values()):
            store, place = stores[topology.placement.cluster], topology.place(tenant)
            await store.prepare(place)
            await store.upsert(place, [record(tenant)])
        yield router, world


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.message for entry in caplog.records if entry.levelno == logging.ERROR]


async def test_a_record_of_another_tenant_in_a_shadow_is_an_alarm_that_the_caller_does_not_hear(
    redis_server: EmbeddedRedis, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with neighbours(redis_server.url, namespace, "b") as (router, world):
        assert [hit.id for hit in await router.tenant(TENANT).query(VECTOR)] == [TENANT]
        await until(lambda: bool(alarms(caplog)))
        await _arrived(world, lambda tally: tally.count(Events.BREACH) == 1)
        (example,) = await examples_of(world.plane)
    assert (example.badness, example.note) == (2.0, "TenantBreach")
    (alarm,) = alarms(caplog)
    assert "(shadow)" in alarm
    assert "globex" not in alarm


async def test_a_record_of_another_tenant_from_the_primary_fails_the_request_and_is_an_alarm(
    redis_server: EmbeddedRedis, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with neighbours(redis_server.url, namespace, "a") as (router, world):
        with pytest.raises(TenantBreach) as caught:
            await router.tenant(TENANT).query(VECTOR)
        await _arrived(world, lambda tally: tally.count(Events.BREACH) == 1)
    assert not caught.value.retryable
    assert "globex" not in str(caught.value)
    assert len(alarms(caplog)) == 1


async def test_on_one_cluster_too_it_fails_the_request(
    redis_server: EmbeddedRedis, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with neighbours(redis_server.url, namespace, "a") as (router, _):
        with pytest.raises(TenantBreach):
            await router.tenant("globex").query(VECTOR)
    assert len(alarms(caplog)) == 1


async def _arrived(world: World, condition: Callable[[Tally], bool]) -> None:
    async def so() -> bool:
        return condition(await tally_of(world.plane))

    await until(so)


# -- sides of other kinds ----------------------------------------------------------------------------------------


async def test_where_each_side_has_its_own_model_the_text_is_put_to_both(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    topologies = {
        "v1": {
            "dimension": SMALL,
            "encoder": "tests.support.encoders:small",
            "source_field": "text",
            "placement": {"cluster": "a", "collection": "docs"},
        },
        "v2": {
            "dimension": LARGE,
            "encoder": "tests.support.encoders:large",
            "source_field": "text",
            "placement": {"cluster": "b", "collection": "docs"},
        },
    }
    settings: dict[str, Any] = {"control": CALM, "shadow": SHADOW, "topologies": topologies}
    async with World.made(redis_server.url, namespace, **settings) as world, world.router() as router:
        board = Board(world.plane)
        await board.walk(Phase.DUAL_OLD)
        await board.sync()
        acme = router.tenant(TENANT)
        await acme.upsert(
            [Record("kettle", metadata={"text": "a red kettle"}), Record("sea", metadata={"text": "sea"})]
        )
        assert (await acme.query(text="a red kettle", top_k=1))[0].id == "kettle"
        await acme.fetch(["kettle", "sea"])
        await _arrived(
            world, lambda tally: (tally.count(Events.COMPARED), tally.count(Events.FETCHED)) == (1, 1)
        )
        tally = await tally_of(world.plane)
    assert encoders.large.asked[-1] == "a red kettle"
    encoders.large.rest()
    assert tally.share(Shares.RECALL).mean == 1.0
    assert not tally.count(Events.DIFFERING), "vectors of two models do not compare"


@pytest.mark.slow
async def test_shadows_between_two_servers_of_their_own_agree(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with QdrantProcess() as old, QdrantProcess() as new:
        clusters = {"a": {"kind": "qdrant", "url": old.url}, "b": {"kind": "qdrant", "url": new.url}}
        settings: dict[str, Any] = {"control": CALM, "shadow": SHADOW, "clusters": clusters}
        async with (
            World.made(redis_server.url, namespace, **settings) as world,
            Router(world.config) as router,
        ):
            await router.stores["a"].prepare(world.config.route.old.place(TENANT))
            async with Admin.open(world.config) as admin:
                await admin.move("migrate", TENANT, Options(empty=True))
            acme = router.tenant(TENANT)
            await acme.upsert(RECORDS)
            for number in range(10):
                await acme.query([1.0, 2.0, 3.0, number + 0.1], top_k=5)
            await acme.fetch(["1", "2"])
            await _arrived(
                world, lambda tally: (tally.count(Events.COMPARED), tally.count(Events.FETCHED)) == (10, 1)
            )
            tally = await tally_of(world.plane)
    assert tally.share(Shares.RECALL).mean == 1.0
    assert not tally.count(Events.MISSING) + tally.count(Events.DIFFERING)
    assert not tally.errors(Side.OLD)
