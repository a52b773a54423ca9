"""Tenants move from one embedding model to the next under traffic; each side's vectors are its own model's, always."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from shardroute import Record, Router, Tenant
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import EncoderMismatch, PreflightFailed, ShardrouteError
from shardroute.migration import Options, Silent
from shardroute.migration.verifier import own_vector_misfit
from shardroute.phases import Phase, Side
from shardroute.records import Metric
from tests.routing.stage import until
from tests.support import encoders
from tests.support.encoders import LARGE, SMALL, is_large, is_small
from tests.support.flaky import Faults
from tests.support.traffic import ABSENT, Ledger, Write
from tests.support.world import World

NAMES = "tests.support.encoders:"
OWN = {Side.OLD: is_small, Side.NEW: is_large}


def topologies(**new: Any) -> dict[str, Any]:
    """From 8 dimensions and cosine to 12 and euclidean, each made by its own model of the same texts."""
    return {
        "v1": {
            "placement": {"cluster": "a", "collection": "docs"},
            "encoder": NAMES + "small",
            "source_field": "text",
            "dimension": SMALL,
        },
        "v2": {
            "shards": 3,
            "placement": {"cluster": "b", "collection": "docs_{shard}"},
            "encoder": NAMES + "large",
            "source_field": "text",
            "dimension": LARGE,
            "metric": "euclidean",
            "encoder_batch": 7,
            **new,
        },
    }


@pytest.fixture
async def apart(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[World]:
    async with World.made(redis_server.url, namespace, topologies=topologies()) as world:
        yield world


@pytest.fixture(autouse=True)
def rested() -> Iterator[None]:
    yield
    encoders.large.rest()


def note(name: str, value: int) -> Record:
    return Record(name, metadata=metadata(name, value))


def metadata(name: str, value: int) -> dict[str, Any]:
    return {"v": value, "text": f"{name} holds {value}"}


async def fill(router: Router, number: int) -> None:
    await router.tenant("acme").upsert(note(f"r{index:04d}", index) for index in range(number))


async def foreign(world: World, side: Side) -> list[str]:
    """Records of a side whose vector is not its own model's, of the text they have."""
    content = await world.content("acme", side)
    assert content
    return [name for name, record in content.items() if not OWN[side](record)]


class TextTraffic:
    """Upserts, deletions and updates of texts on one handle's own ids, and queries by text."""

    def __init__(self, handles: list[Tenant]) -> None:
        self.ledger = Ledger()
        self._values = itertools.count(1)
        self._handles = handles
        self.queries = 0

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[Ledger]:
        for handle, name in self._writers():
            for kept in range(4):
                await self._write(handle, f"{name}-kept-{kept}", "upsert")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for handle, name in self._writers():
                group.create_task(self._writer(handle, name, stop))
            try:
                yield self.ledger
            finally:
                stop.set()

    def _writers(self) -> Iterator[tuple[Tenant, str]]:
        for place, handle in enumerate(self._handles):
            for number in range(3):
                yield handle, f"w{place}{number}"

    async def _writer(self, handle: Tenant, name: str, stop: asyncio.Event) -> None:
        choose = random.Random(name)
        while not stop.is_set():
            number = choose.randrange(4)
            verb = choose.choice(["upsert", "delete", "update", "update", "query"])
            kept = verb == "update" or choose.random() < 0.3
            if verb == "query":
                await self._query(handle, f"{name}-kept-{number}")
            elif kept:
                await self._write(handle, f"{name}-kept-{number}", "upsert" if verb == "delete" else verb)
            else:
                await self._write(handle, f"{name}-{number}", verb)
            await asyncio.sleep(choose.uniform(0, 0.002))

    async def _query(self, handle: Tenant, name: str) -> None:
        value = self.ledger.writes[name][-1].value
        found = await handle.query(text=metadata(name, value)["text"], top_k=1)
        self.queries += 1
        if [match.id for match in found] != [name]:
            self.ledger.wrong_reads.append(f"{name} {value}: {found}")

    async def _write(self, handle: Tenant, name: str, verb: str) -> None:
        value = ABSENT if verb == "delete" else next(self._values)
        write = Write(name, value, time.monotonic())
        self.ledger.writes[name].append(write)
        try:
            match verb:
                case "delete":
                    await handle.delete([name])
                case "update":
                    await handle.update(name, metadata=metadata(name, value))
                case _:
                    await handle.upsert([note(name, value)])
        except ShardrouteError as error:
            self.ledger.failures.append(error)
        else:
            write.ended = time.monotonic()


async def test_a_tenant_goes_to_the_new_model_and_back_and_vectors_are_always_the_sides_own(
    apart: World,
) -> None:
    async with apart.routers(2) as routers, apart.admin() as admin:
        await fill(routers[0], 120)
        traffic = TextTraffic([router.tenant("acme") for router in routers])
        apart.old.faults = apart.new.faults = Faults(slow=0.002)
        async with traffic.flowing() as ledger:
            for verb in ("migrate", "rollback", "migrate", "rollback", "abort"):
                outcome = await admin.move(verb, "acme", Options(purge_target=True))
                assert outcome.repaired == 0
                await asyncio.sleep(0.05)
            await admin.move("migrate", "acme", Options(purge_target=True))
        await admin.repair("acme")
        assert await foreign(apart, Side.OLD) == await foreign(apart, Side.NEW) == []
        assert (await admin.verify("acme")).differing == {}
        await admin.move("complete", "acme")
        found = await routers[0].tenant("acme").fetch(ledger.writes)
    assert ledger.judge(found) == []
    assert ledger.failures == []
    assert ledger.wrong_reads == []
    assert ledger.acknowledged > 100
    assert traffic.queries > 10
    assert all(record.metadata == metadata(name, record.metadata["v"]) for name, record in found.items())


async def test_a_model_that_is_away_for_a_while_holds_the_move_up_and_nothing_else(apart: World) -> None:
    class Away(Silent):
        """The new model goes away when the tenant is about to be written on both sides."""

        gone = asyncio.Event()

        def step(self, tenant: str, step: str) -> None:
            if step == "target prepared":
                encoders.large.failing = True
                self.gone.set()

    async def in_debt() -> bool:
        return (await apart.plane.journal.counts("acme")).debt > 0

    async with apart.router() as router, apart.admin(Away()) as admin:
        await fill(router, 60)
        traffic = TextTraffic([router.tenant("acme")])
        async with traffic.flowing() as ledger:
            moving = asyncio.create_task(admin.move("migrate", "acme"))
            await Away.gone.wait()
            await until(lambda: any(text.startswith("r0") for text in encoders.large.asked))
            await until(in_debt)
            assert not moving.done()
            assert await apart.content("acme", Side.NEW) == {}
            encoders.large.failing = False
            await moving
        await admin.repair("acme")
        assert await foreign(apart, Side.OLD) == await foreign(apart, Side.NEW) == []
        assert (await admin.verify("acme")).differing == {}
        found = await router.tenant("acme").fetch(ledger.writes)
    assert ledger.judge(found) == []
    assert ledger.failures == []
    assert ledger.wrong_reads == []
    assert await apart.phase("acme") is Phase.DUAL_NEW


async def test_what_was_only_on_the_new_side_gets_the_old_models_vectors_on_the_way_back(
    apart: World,
) -> None:
    async with apart.router() as router, apart.admin() as admin:
        await fill(router, 5)
        await admin.move("migrate", "acme")
        await admin.move("complete", "acme")
        await router.tenant("acme").upsert([note("later", 1)])
        await admin.move("rollback", "acme", Options(purge_target=True))
    content = await apart.content("acme", Side.OLD)
    assert len(content) == 6
    assert await foreign(apart, Side.OLD) == []


async def test_records_without_a_text_are_named_before_anything_is_moved(apart: World) -> None:
    place = apart.config.route.old.place("acme")
    await apart.old.inner.upsert(
        place, [Record("blank", [1.0] * SMALL), Record("wrong", [1.0] * SMALL, {"text": 7}), note("fine", 1)]
    )
    async with apart.admin() as admin:
        with pytest.raises(PreflightFailed) as caught:
            await admin.move("migrate", "acme")
    first, second = caught.value.problems
    assert "'blank'" in first
    assert "'text' is missing" in first
    assert "'wrong'" in second
    assert "must be a string" in second
    assert await apart.phase("acme") is Phase.OLD


async def test_a_model_of_another_dimension_is_found_before_anything_is_moved(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    sides = topologies(encoder=NAMES + "misshapen")
    async with World.made(redis_server.url, namespace, topologies=sides) as world, world.admin() as admin:
        async with world.router() as router:
            await fill(router, 3)
        (problem,) = (await admin.plan("acme")).problems
        assert f"misshapen': answered numbers of shape (1, {LARGE + 1}); (1, {LARGE})" in problem
        with pytest.raises(PreflightFailed, match="misshapen"):
            await admin.move("migrate", "acme")
        assert await world.content("acme", Side.NEW) == {}


async def test_a_model_that_changes_its_dimension_on_the_way_stops_the_move_and_says_so(apart: World) -> None:
    class Changing(Silent):
        def step(self, tenant: str, step: str) -> None:
            if step == "target prepared":
                encoders.large.dimension = LARGE + 1

    try:
        async with apart.router() as router, apart.admin(Changing()) as admin:
            await fill(router, 3)
            with pytest.raises(EncoderMismatch, match=rf"shape \(3, {LARGE + 1}\)"):
                await admin.move("migrate", "acme")
    finally:
        encoders.large.dimension = LARGE
    assert await apart.content("acme", Side.NEW) == {}
    async with apart.admin() as admin:
        await admin.move("migrate", "acme")
    assert await foreign(apart, Side.NEW) == []


async def moved(admin: Admin, router: Router) -> None:
    await fill(router, 30)
    await admin.move("migrate", "acme")


async def tampered(world: World, *changed: Record) -> None:
    """Past the router and the encoders."""
    await world.old.inner.upsert(world.config.route.old.place("acme"), changed)


async def test_verification_compares_what_can_be_compared_and_repairs_it(apart: World) -> None:
    async with apart.router() as router, apart.admin() as admin:
        await moved(admin, router)
        assert (await admin.verify("acme")).differing == {}
        content = await apart.content("acme", Side.OLD)
        mute = replace_vector(content["r0002"], None)
        zero = replace_vector(content["r0003"], [0.0] * SMALL)
        other = Record.trusted("r0004", content["r0004"].vector, {**content["r0004"].metadata, "v": 99})
        await tampered(apart, mute, zero, other, Record("extra", [1.0] * SMALL, {"text": "x"}))
        await apart.old.inner.delete(apart.config.route.old.place("acme"), ["r0001"])
        found = await admin.verify("acme")
        assert found.compared == 30
        assert found.differing == {
            "r0001": "missing on the old side",
            "r0002": "vector: there is none",
            "r0003": "vector: all of it is zero",
            "r0004": "metadata: v",
            "extra": "missing on the new side",
        }
        await admin.verify("acme", repair=True)
        assert (await admin.verify("acme")).differing == {}
    assert await foreign(apart, Side.OLD) == []


def replace_vector(record: Record, vector: list[float] | None) -> Record:
    return Record(record.id, vector, record.metadata)


async def test_a_vector_of_another_dimension_differs(apart: World) -> None:
    place = replace(apart.config.route.new.place("acme"), dimension=3)
    assert own_vector_misfit(Record("a", [1, 0, 0]), place) is None
    assert own_vector_misfit(Record("a", [1, 0]), place) == "vector: 2 dimensions instead of 3"


async def test_one_model_on_both_sides_is_not_asked_to_copy(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    sides = topologies(metric="cosine")
    sides["v1"] |= {"encoder": NAMES + "large", "dimension": LARGE}
    async with World.made(redis_server.url, namespace, topologies=sides) as world:
        async with world.router() as router, world.admin() as admin:
            await fill(router, 50)
            encoders.large.asked.clear()
            await admin.move("migrate", "acme")
            assert (await admin.verify("acme")).compared == 50
        assert encoders.large.asked == []
        assert await foreign(world, Side.NEW) == []


async def test_one_model_on_both_sides_still_needs_one_metric(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    sides = topologies(metric=Metric.EUCLIDEAN.value)
    sides["v1"] |= {"encoder": NAMES + "large", "dimension": LARGE}
    made = World.made(redis_server.url, namespace, topologies=sides)
    async with made as world, world.router() as router, world.admin() as admin:
        await fill(router, 1)
        with pytest.raises(PreflightFailed, match="metric cosine on cluster 'a', euclidean on 'b'"):
            await admin.move("migrate", "acme")


async def test_two_models_may_share_a_cluster(redis_server: EmbeddedRedis, namespace: str) -> None:
    sides = topologies(placement={"cluster": "a", "collection": "larger_{shard}"})
    made = World.made(redis_server.url, namespace, topologies=sides)
    async with made as world, world.router() as router, world.admin() as admin:
        await fill(router, 40)
        await admin.move("migrate", "acme")
        await router.tenant("acme").update("r0001", metadata={"text": "another"})
        (hit, *_) = await router.tenant("acme").query(text="another", top_k=1)
        assert hit.id == "r0001"
        for topology, own in ((world.config.route.old, is_small), (world.config.route.new, is_large)):
            page = await world.old.inner.scan(topology.place("acme"))
            assert len(page.records) == 40
            assert all(own(record) for record in page.records)
