"""What operators see and do over HTTP, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from shardroute_fastapi import admin_router, install

from shardroute import Phase, Router, web
from tests.support.world import World, record

from .conftest import asking
from .stores import Gated

OPERATOR = {"X-Operator": "yes"}


def is_operator(x_operator: Annotated[str, Header()] = "") -> None:
    if x_operator != "yes":
        raise HTTPException(403)


def application(make_router: Callable[[], Router]) -> FastAPI:
    app = FastAPI()
    install(app, config=make_router, resolver=web.Header("X-Tenant"))
    app.include_router(admin_router(dependencies=[Depends(is_operator)]))
    return app


async def moved(world: World, *tenants: str) -> None:
    async with world.routers(1) as [router], world.admin() as admin:
        for tenant in tenants:
            await router.tenant(tenant).upsert([record("1")])
            await admin.move("migrate", tenant)


def test_it_is_not_made_without_somebody_at_the_door() -> None:
    with pytest.raises(ValueError, match="dependency"):
        admin_router(dependencies=[])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tenants"),
        ("GET", "/tenants/acme"),
        ("GET", "/tenants/acme/comparison"),
        ("POST", "/tenants/acme/rollback"),
    ],
)
async def test_nobody_else_is_let_in(world: World, method: str, path: str) -> None:
    await moved(world, "acme")
    async with asking(application(world.router)) as client:
        assert (await client.request(method, f"/shardroute{path}")).status_code == 403
    assert await world.phase("acme") is Phase.DUAL_NEW


async def test_it_says_where_tenants_stand_and_how_their_paths_compare(world: World) -> None:
    await moved(world, "acme", "globex")
    async with asking(application(world.router), headers=OPERATOR) as client:
        listed = (await client.get("/shardroute/tenants")).json()["tenants"]
        one = (await client.get("/shardroute/tenants/acme")).json()
        compared = (await client.get("/shardroute/tenants/acme/comparison")).json()
    assert [(found["tenant"], found["phase"]) for found in listed] == [
        ("acme", "DUAL_NEW"),
        ("globex", "DUAL_NEW"),
    ]
    assert one == listed[0]
    assert (compared["phase"], compared["paths"]["new"]["cluster"]) == ("DUAL_NEW", "b")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "1e308", "-1", "0"])
async def test_a_span_of_time_that_is_none_is_refused(world: World, seconds: str) -> None:
    await moved(world, "acme")
    async with asking(application(world.router)) as client:
        path = f"/shardroute/tenants/acme/comparison?seconds={seconds}"
        assert (await client.get(path, headers=OPERATOR)).status_code == 422


async def test_a_tenant_goes_back_while_the_application_serves_it(world: World) -> None:
    await moved(world, "acme")
    async with asking(application(world.router), headers=OPERATOR) as client:
        answer = await client.post("/shardroute/tenants/acme/rollback")
    assert answer.json() == {"tenant": "acme", "phase": "DUAL_OLD"}
    assert await world.phase("acme") is Phase.DUAL_OLD


async def test_what_the_phase_does_not_allow_is_a_conflict_in_its_own_words(world: World) -> None:
    async with asking(application(world.router), headers=OPERATOR) as client:
        answer = await client.post("/shardroute/tenants/acme/rollback")
    assert (answer.status_code, answer.json()["type"]) == (409, "VerbRefused")


async def test_a_rollback_that_was_cut_off_is_asked_for_again(world: World) -> None:
    world.old.inner = old = Gated("a")
    await moved(world, "acme")
    async with asking(app := application(world.router), headers=OPERATOR) as client:
        old.close()
        write = asyncio.create_task(app.state.shardroute.tenant("acme").upsert([record("2")]))
        await old.asked.wait()  # as long as this write is under way, nothing crosses
        first = asyncio.create_task(client.post("/shardroute/tenants/acme/rollback"))
        while await world.phase("acme") is Phase.DUAL_NEW:  # noqa: ASYNC110 - it is in Redis
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        old.open()
        await write
        answer = await client.post("/shardroute/tenants/acme/rollback")
    assert answer.json() == {"tenant": "acme", "phase": "DUAL_OLD"}
