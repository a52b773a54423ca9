"""Tenants whose vectors are made of texts: by one model for both sides, or by each side's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from shardroute import Record, SparseVector
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import (
    ConfigError,
    EncoderUnavailable,
    InvalidInput,
    InvalidRecord,
    Unavailable,
)
from shardroute.migration import Options
from shardroute.phases import Phase, Side
from tests.support import encoders
from tests.support.encoders import LARGE, SMALL, hashed, is_large, is_small
from tests.support.patience import patience
from tests.support.world import World, config, record

from .stage import until

NAMES = "tests.support.encoders:"
OLD = {"encoder": NAMES + "small", "source_field": "text", "dimension": SMALL}
NEW = {"encoder": NAMES + "large", "source_field": "text", "dimension": LARGE}
PLAIN = {"dimension": 4}


def topologies(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {
        "v1": {"placement": {"cluster": "a", "collection": "docs"}, **old},
        "v2": {"shards": 3, "placement": {"cluster": "b", "collection": "docs_{shard}"}, **new},
    }


@pytest.fixture
async def apart(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[World]:
    """Each side has its own model."""
    async with World.made(redis_server.url, namespace, topologies=topologies(OLD, NEW)) as world:
        yield world


@pytest.fixture
async def shared(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[World]:
    """Both sides have the one model."""
    async with World.made(redis_server.url, namespace, topologies=topologies(NEW, NEW)) as world:
        yield world


@pytest.fixture(params=["apart", "shared"])
async def encoded(
    redis_server: EmbeddedRedis, namespace: str, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """The one and the other."""
    sides = topologies(OLD if request.param == "apart" else NEW, NEW)
    async with World.made(redis_server.url, namespace, topologies=sides) as world:
        yield world


@pytest.fixture(autouse=True)
def rested() -> Iterator[None]:
    yield
    encoders.large.rest()


def note(name: str, text: str = "some words", **more: Any) -> Record:
    return Record(name, metadata={"text": text, **more})


async def dual(world: World) -> None:
    async with world.admin() as admin:
        await admin.move("migrate", "acme", Options(empty=True))


# -- configuration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new", "missing"), [(OLD, PLAIN, "v2"), (PLAIN, NEW, "v1")])
def test_an_encoder_on_one_side_only_is_refused_with_the_reason(
    old: dict[str, Any], new: dict[str, Any], missing: str
) -> None:
    with pytest.raises(ConfigError, match=rf"topologies\.{missing}\.encoder is missing.*both ways"):
        config("redis://localhost", "n", topologies=topologies(old, new))


def test_one_encoder_cannot_have_two_dimensions() -> None:
    with pytest.raises(ConfigError, match=r"topologies\.v2\.dimension is 12.*8 with the same encoder"):
        config("redis://localhost", "n", topologies=topologies(OLD, {**OLD, "dimension": LARGE}))


@pytest.mark.parametrize("key", ["encoder", "source_field"])
def test_an_encoder_and_its_field_need_each_other(key: str) -> None:
    half = {name: value for name, value in NEW.items() if name != key}
    with pytest.raises(ConfigError, match=rf"topologies\.v2\.{key} is missing"):
        config("redis://localhost", "n", topologies=topologies(OLD, half))


def test_all_processes_agree_on_encoders_and_each_asks_them_as_it_likes() -> None:
    def digest(**more: Any) -> str:
        return config("redis://localhost", "n", topologies=topologies(OLD, {**NEW, **more})).digest()

    assert digest() == digest(encoder_batch=7, encoder_concurrency=1, encoder_timeout=1)
    assert digest() != digest(source_field="title")
    assert digest() != digest(encoder="models:other")


async def test_a_router_does_not_open_without_its_encoders(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    settings = topologies(OLD, {**NEW, "encoder": "tests.support.nowhere:large"})
    async with World.made(redis_server.url, namespace, topologies=settings) as world:
        with pytest.raises(ConfigError, match=r"topologies\.v2\.encoder"):
            async with world.router():
                pass


async def test_looking_needs_no_encoder_and_moving_does(redis_server: EmbeddedRedis, namespace: str) -> None:
    settings = topologies(OLD, {**NEW, "encoder": "tests.support.nowhere:large"})
    async with World.made(redis_server.url, namespace, topologies=settings) as world, world.admin() as admin:
        await admin.status(["acme"])
        await admin.doctor()
        with pytest.raises(ConfigError, match=r"topologies\.v2\.encoder"):
            await admin.move("migrate", "acme")
        with pytest.raises(ConfigError, match=r"topologies\.v2\.encoder"):
            await admin.plan("acme")


# -- writes --------------------------------------------------------------------------------------------------


async def test_before_a_move_only_the_old_model_is_asked(apart: World) -> None:
    async with apart.router() as router:
        await router.tenant("acme").upsert([note("a", "one"), note("b", "two")])
    content = await apart.content("acme", Side.OLD)
    assert sorted(content) == ["a", "b"]
    assert all(is_small(one) for one in content.values())
    assert encoders.large.asked == []


async def test_a_dual_write_gives_each_side_the_vectors_of_its_own_model(apart: World) -> None:
    await dual(apart)
    async with apart.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([note("a", "before", n=1), note("b", "before")])
        await acme.update("a", metadata={"text": "after"})
        await acme.update(filter={"text": "before"}, metadata={"n": 2})
    for side, own in ((Side.OLD, is_small), (Side.NEW, is_large)):
        content = await apart.content("acme", side)
        assert {name: dict(one.metadata) for name, one in content.items()} == {
            "a": {"text": "after", "n": 1},
            "b": {"text": "before", "n": 2},
        }
        assert all(own(one) for one in content.values())


async def test_a_shared_model_is_asked_once_for_both_sides(shared: World) -> None:
    await dual(shared)
    encoders.large.asked.clear()
    async with shared.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([note("a", "before"), note("b", "other")])
        await acme.update("a", metadata={"text": "after"})
        await acme.update("b", metadata={"n": 2})
        (hit, *_) = await acme.query(text="after", top_k=1)
    assert hit.id == "a"
    assert encoders.large.asked == ["before", "other", "after", "after"]
    for side in Side:
        assert all(is_large(one) for one in (await shared.content("acme", side)).values())


async def test_a_model_that_fails_on_the_secondary_leaves_debt_and_the_write_holds(apart: World) -> None:
    async with apart.router() as router:
        acme = router.tenant("acme")
        await dual(apart)
        async with apart.admin() as admin:
            await admin.move("rollback", "acme")
        with encoders.large.away():
            await acme.upsert([note("a")])
        assert "a" in await acme.fetch(["a"])
        assert await apart.content("acme", Side.NEW) == {}
        assert (await apart.plane.journal.counts("acme")).debt == 1
        async with apart.admin() as admin:
            await admin.repair("acme")
    (repaired,) = (await apart.content("acme", Side.NEW)).values()
    assert is_large(repaired)


async def test_a_model_that_fails_on_the_primary_fails_the_caller(apart: World) -> None:
    await dual(apart)
    async with apart.router() as router:
        with encoders.large.away(), pytest.raises(EncoderUnavailable, match="large"):
            await router.tenant("acme").upsert([note("a")])
        with encoders.large.away(), pytest.raises(EncoderUnavailable, match="large"):
            await router.tenant("acme").query(text="some words")


async def test_a_shared_model_that_fails_leaves_nothing_written(shared: World) -> None:
    await dual(shared)
    async with shared.router() as router:
        with encoders.large.away(), pytest.raises(EncoderUnavailable, match="large"):
            await router.tenant("acme").upsert([note("a")])
    assert (await shared.plane.journal.counts("acme")).debt == 0
    assert await shared.content("acme", Side.OLD) == await shared.content("acme", Side.NEW) == {}


async def test_both_sides_encode_at_the_same_time(redis_server: EmbeddedRedis, namespace: str) -> None:
    met = asyncio.Barrier(2)

    async def waits(texts: list[str]) -> list[list[float]]:
        async with patience():
            await met.wait()
        return [[1.0, 2.0] for _ in texts]

    encoders.first, encoders.second = waits, waits  # type: ignore[attr-defined]  # models of this test's own
    sides = topologies(
        {**OLD, "encoder": NAMES + "first", "dimension": 2},
        {**NEW, "encoder": NAMES + "second", "dimension": 2},
    )
    async with World.made(redis_server.url, namespace, topologies=sides) as world:
        async with world.plane.locks.hold("acme", "test", life=30) as lock, world.router() as router:
            standing = router.map.standing("acme", 0)
            await world.plane.maps.move("acme", 0, standing, Phase.DUAL_OLD, fence=lock.fence, max_hold=1)
            await until(lambda: router.tenant("acme").phase is Phase.DUAL_OLD)
            await router.tenant("acme").upsert([note("a")])
        assert (await world.plane.journal.counts("acme")).debt == 0


# -- what is refused -----------------------------------------------------------------------------------------


async def test_a_vector_of_the_callers_is_refused_and_nothing_is_written(
    encoded: World,
) -> None:
    async with encoded.router() as router:
        acme = router.tenant("acme")
        with_vector = Record("v", [1.0] * LARGE, {"text": "some words"})
        with pytest.raises(InvalidRecord, match=r"'v': vectors .* by .*large' from metadata 'text': leave"):
            await acme.upsert([note("a"), with_vector])
        assert await acme.count() == 0
        await acme.upsert([note("a")])
        with pytest.raises(InvalidRecord, match="leave the vector out"):
            await acme.update("a", vector=[1.0] * LARGE)


@pytest.mark.parametrize("metadata", [{}, {"text": None}, {"text": 7}, {"title": "some"}])
async def test_a_record_without_a_text_is_refused_by_name(encoded: World, metadata: dict[str, Any]) -> None:
    async with encoded.router() as router:
        acme = router.tenant("acme")
        with pytest.raises(InvalidRecord, match=r"'blank'.*'text'"):
            await acme.upsert([note("a"), Record("blank", metadata=metadata)])
        assert await acme.count() == 0


@pytest.mark.parametrize("text", [None, 7])
async def test_a_text_cannot_be_updated_away(encoded: World, text: Any) -> None:
    async with encoded.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([note("a")])
        with pytest.raises(InvalidRecord, match=r"update.*'text' must be a string"):
            await acme.update("a", metadata={"text": text})


async def test_a_query_says_what_it_is_missing(apart: World) -> None:
    vector = np.ones(LARGE, np.float32)
    async with apart.router() as router:
        acme = router.tenant("acme")
        with pytest.raises(InvalidInput, match=r"which model.*small' .*large' .*query by `text`"):
            await acme.query(vector)
        with pytest.raises(InvalidInput, match="not both"):
            await acme.query(vector, text="some")
        with pytest.raises(InvalidInput, match="or `text`"):
            await acme.query()
        with pytest.raises(InvalidInput, match="must be a string"):
            await acme.query(text=7)  # type: ignore[arg-type]  # on purpose


async def test_a_text_without_an_encoder_is_refused(world: World) -> None:
    async with world.router() as router:
        acme = router.tenant("acme")
        with pytest.raises(InvalidInput, match=r"topologies\.NAME\.encoder"):
            await acme.query(text="some words")
        with pytest.raises(InvalidInput, match="or `text`"):
            await acme.query()
        with pytest.raises(InvalidRecord, match="neither a vector"):
            await acme.upsert([note("a")])
        await acme.upsert([record("a")])


# -- queries -------------------------------------------------------------------------------------------------


async def test_a_query_is_encoded_by_the_side_that_serves_it(apart: World) -> None:
    async with apart.router() as router, apart.admin() as admin:
        acme = router.tenant("acme")
        await acme.upsert([note(name, f"all about {name}", n=1) for name in ("cats", "dogs", "cars")])
        for verb in (None, "migrate", "rollback", "migrate", "complete"):
            if verb is not None:
                await admin.move(verb, "acme")
            (hit, *_) = await acme.query(text="all about dogs", filter={"n": 1}, top_k=2, include_vector=True)
            assert hit.id == "dogs"
            assert hit.score == pytest.approx(1, abs=1e-6)
            assert hit.vector is not None
            assert hit.vector.size == (SMALL if verb in (None, "rollback") else LARGE)


async def test_a_sparse_query_needs_no_text(apart: World) -> None:
    words = SparseVector([1], [1.0])
    async with apart.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([Record("a", metadata={"text": "some"}, sparse_vector=words)])
        assert [match.id for match in await acme.query(sparse_vector=words)] == ["a"]


async def test_a_vector_of_the_shared_model_may_be_asked_for(shared: World) -> None:
    async with shared.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([note("a", "one"), note("b", "two")])
        (hit, *_) = await acme.query(hashed("two", LARGE, "large"))
        assert hit.id == "b"


async def test_encoding_is_within_the_callers_timeout(encoded: World) -> None:
    await dual(encoded)
    async with encoded.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([note("a")], timeout=10)
        with encoders.large.stuck():
            for call in (
                acme.query(text="some", timeout=0.05),
                acme.upsert([note("a")], timeout=0.05),
                acme.update("a", metadata={"text": "new"}, timeout=0.05),
            ):
                with pytest.raises(Unavailable):
                    await call
