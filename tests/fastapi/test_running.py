"""The router's life within the application's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from threading import enumerate as threads
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from shardroute_fastapi import TenantDep, install, lifespan

from shardroute import ConfigError, ControlPlaneUnavailable, Phase, Router, ShardrouteError
from shardroute.embedded import EmbeddedRedis
from shardroute.web import Header
from tests.support.patience import NEVER, patience
from tests.support.world import World, config, record

from .conftest import asking
from .stores import Gated

ACME = {"X-Tenant": "acme"}


async def test_the_router_is_open_from_the_applications_start_to_its_end(world: World) -> None:
    app = FastAPI(lifespan=lifespan(world.router))
    async with asking(app):
        assert app.state.shardroute.ready
    with pytest.raises(ShardrouteError, match="not open"):
        app.state.shardroute.tenant("acme")


async def test_the_applications_own_life_is_within_the_routers(world: World) -> None:
    phases = []

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        acme = app.state.shardroute.tenant("acme")
        await acme.upsert([record("1")])
        phases.append(acme.phase)
        yield {"greeting": "hello"}
        phases.append(acme.phase)
        await acme.delete(["1"])

    app = FastAPI(lifespan=own)
    install(app, config=world.router, resolver=Header("X-Tenant"))
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        assert (state["greeting"], state["shardroute"]) == ("hello", app.state.shardroute)
    assert phases == [Phase.OLD, Phase.OLD]


async def test_the_life_of_a_router_that_is_included_goes_on(world: World) -> None:
    begun = []

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[None]:
        begun.append(app)
        yield

    app = FastAPI()
    install(app, config=world.router, resolver=Header("X-Tenant"))
    app.include_router(APIRouter(lifespan=own))
    async with asking(app):
        assert begun == [app]
        assert app.state.shardroute.ready


async def test_every_process_of_an_application_may_make_its_router_anew(world: World) -> None:
    app = FastAPI()
    install(app, config=world.router, resolver=Header("X-Tenant"))
    for _ in range(2):
        async with asking(app, headers=ACME):
            assert len(await world.plane.sessions.all()) == 1


async def test_an_application_that_ends_leaves_no_session_task_or_thread(world: World) -> None:
    tasks, alive = asyncio.all_tasks(), threads()
    app = FastAPI()
    install(app, config=world.router, resolver=Header("X-Tenant"))

    @app.get("/write")
    async def write(tenant: TenantDep) -> None:
        await tenant.upsert([record("1")])

    async with asking(app, headers=ACME) as client:
        assert (await client.get("/write")).status_code == 200
        assert (await client.get("/ready")).status_code == 200
        assert len(asyncio.all_tasks()) > len(tasks)
    assert await world.plane.sessions.all() == []
    assert asyncio.all_tasks() == tasks
    assert threads() == alive


async def test_a_move_waits_for_no_application_that_has_ended(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    leases = {"lease": NEVER, "idle_lease": NEVER}
    async with World.made(redis_server.url, namespace, control=leases) as world:
        await _moved_after_an_end(world)


async def _moved_after_an_end(world: World) -> None:
    app = FastAPI(lifespan=lifespan(world.router))
    async with asking(app):
        await app.state.shardroute.tenant("acme").upsert([record("1")])
    async with world.admin() as admin, patience():
        assert (await admin.move("migrate", "acme")).phase is Phase.DUAL_NEW


async def test_the_end_waits_for_a_write_that_nobody_waits_for_any_more(world: World) -> None:
    old = Gated("a")
    old.close()
    app = FastAPI(lifespan=lifespan(lambda: Router(world.config, stores={"a": old, "b": world.new})))
    async with app.router.lifespan_context(app):
        write = asyncio.create_task(app.state.shardroute.tenant("acme").upsert([record("1")]))
        await old.asked.wait()
        asyncio.get_running_loop().call_soon(old.open)
    assert write.done()
    await write


async def test_an_application_whose_own_start_fails_closes_the_router(world: World) -> None:
    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[None]:
        await asyncio.open_connection("127.0.0.1", 1)  # nobody listens there
        yield

    app = FastAPI()
    app.router.lifespan_context = lifespan(world.router, inner=own)
    with pytest.raises(ConnectionError):
        async with app.router.lifespan_context(app):
            pass
    assert await world.plane.sessions.all() == []


async def test_an_application_does_not_start_on_a_file_that_is_not_there(tmp_path: Path) -> None:
    app = FastAPI(lifespan=lifespan(tmp_path / "shardroute.toml"))
    with pytest.raises(ConfigError, match=r"shardroute\.toml"):
        async with app.router.lifespan_context(app):
            pass


async def test_an_application_does_not_start_without_redis(namespace: str) -> None:
    app = FastAPI(lifespan=lifespan(config("redis://127.0.0.1:1/0", namespace)))
    with pytest.raises(ControlPlaneUnavailable):
        async with app.router.lifespan_context(app):
            pass
