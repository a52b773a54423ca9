"""Whether a process says by itself that it should get requests."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI
from shardroute_fastapi import install, lifespan, readiness, readiness_router

from shardroute import ClusterUnavailable, MapLost, Router
from shardroute.web import Header
from tests.support.world import World

from .conftest import asking
from .stores import Pinged

AWAY = ClusterUnavailable("b", "away")


@pytest.fixture
def stores() -> dict[str, Pinged]:
    return {"a": Pinged("a"), "b": Pinged("b")}


def application(world: World, stores: dict[str, Pinged], *, clusters: bool = True) -> FastAPI:
    app = FastAPI(lifespan=lifespan(lambda: Router(world.config, stores=stores)))
    app.include_router(readiness_router(clusters=clusters))
    return app


async def test_a_process_with_a_lease_and_clusters_that_answer_is_ready(
    world: World, stores: dict[str, Pinged]
) -> None:
    async with asking(application(world, stores)) as client:
        answer = await client.get("/ready")
    document = answer.json()
    assert answer.status_code == 200
    assert 0 <= document["map"].pop("age") < 60
    assert document == {
        "ready": True,
        "lease": True,
        "map": {"version": 1},
        "clusters": {"a": True, "b": True},
    }
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_cluster_that_does_not_answer_is_named(world: World, stores: dict[str, Pinged]) -> None:
    stores["b"].error = AWAY
    async with asking(application(world, stores)) as client:
        answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["clusters"]) == (503, {"a": True, "b": False})


async def test_a_cluster_that_says_nothing_is_waited_for_only_so_long(
    world: World, stores: dict[str, Pinged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE", 0.01)
    stores["b"].silent = True
    async with asking(application(world, stores)) as client:
        answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["clusters"]) == (503, {"a": True, "b": False})


async def test_clusters_may_be_told_without_being_counted(world: World, stores: dict[str, Pinged]) -> None:
    stores["b"].error = AWAY
    async with asking(application(world, stores, clusters=False)) as client:
        answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["clusters"]) == (200, {"a": True, "b": False})


async def test_without_a_lease_a_process_is_not_ready(world: World, stores: dict[str, Pinged]) -> None:
    async with asking(app := application(world, stores)) as client:
        app.state.shardroute._open.view.fail(MapLost("gone"))
        answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["lease"]) == (503, False)


async def test_many_who_ask_at_once_are_one_question_to_a_cluster(
    world: World, stores: dict[str, Pinged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_FRESH", 1000.0)
    async with asking(application(world, stores)) as client:
        await asyncio.gather(*(client.get("/ready") for _ in range(10)))
    assert [store.pings for store in stores.values()] == [1, 1]


async def test_an_answer_does_not_count_for_ever(
    world: World, stores: dict[str, Pinged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_FRESH", 0.0)
    async with asking(application(world, stores)) as client:
        assert (await client.get("/ready")).status_code == 200
        stores["b"].error = AWAY
        assert (await client.get("/ready")).status_code == 503


async def test_who_asks_and_goes_away_leaves_the_next_one_an_answer(
    world: World, stores: dict[str, Pinged]
) -> None:
    stores["b"].silent = True
    async with asking(application(world, stores)) as client:
        first = asyncio.create_task(client.get("/ready"))
        await stores["b"].asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        stores["b"].silent = False
        assert (await client.get("/ready")).status_code == 200


async def test_the_path_may_be_another_and_is_there_whatever_else_is_mounted(world: World) -> None:
    app = FastAPI()

    @app.get("/{anything:path}")
    async def anything() -> str:
        return "a page"

    install(app, config=world.router, resolver=Header("X-Tenant"), ready="/healthz")
    async with asking(app) as client:
        assert (await client.get("/healthz")).json()["ready"] is True
        assert (await client.get("/ready")).json() == "a page"
