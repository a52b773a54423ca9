"""For which tenant a request is, and who is told that it is for none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from anyio import from_thread
from fastapi import FastAPI
from shardroute_fastapi import (
    EXCEPTION_HANDLERS,
    Known,
    RouterDep,
    ShardrouteMiddleware,
    TenantDep,
    current_tenant,
    install,
    lifespan,
)
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from shardroute.web import Attribute, Header, Resolver
from tests.support.world import World, record

from .conftest import asking

ACME = {"X-Tenant": "acme"}


def application(
    world: World, resolver: Resolver | None = None, known: Known | None = None, **options: Any
) -> FastAPI:
    app = FastAPI(**options)
    install(app, config=world.router, resolver=resolver or Header("X-Tenant"), known=known)

    @app.get("/name")
    async def name(tenant: TenantDep) -> str:
        return tenant.name

    @app.get("/open")
    async def open_to_all(request: Request) -> dict[str, bool]:
        return {"tenant": request.state.tenant is not None}

    return app


async def test_the_handle_is_a_dependency_the_current_tenant_and_on_the_requests_state(world: World) -> None:
    app = application(world)

    @app.get("/three")
    async def three(request: Request, tenant: TenantDep) -> list[str]:
        assert tenant is current_tenant() is request.state.tenant
        await tenant.upsert([record("1")])
        return list(await tenant.fetch(["1", "2"]))

    async with asking(app, headers=ACME) as client:
        assert (await client.get("/three")).json() == ["1"]


async def test_the_router_is_a_dependency_for_who_decides_by_himself(world: World) -> None:
    app = application(world)

    @app.get("/of/{user}")
    async def of(router: RouterDep, user: str) -> str:
        return router.tenant(f"of-{user}").name

    async with asking(app) as client:
        assert (await client.get("/of/ann")).json() == "of-ann"


async def test_a_request_without_a_tenant_is_served_until_it_asks_for_one(world: World) -> None:
    async with asking(application(world)) as client:
        assert (await client.get("/open")).json() == {"tenant": False}
        refused = await client.get("/name")
        assert (refused.status_code, refused.json()) == (
            404, {"type": "UnknownTenant", "detail": "no such tenant"},
        )  # fmt: skip


async def test_a_name_that_is_none_is_not_found_either(world: World) -> None:
    async with asking(application(world), headers={"X-Tenant": "no such/name"}) as client:
        assert (await client.get("/open")).json() == {"tenant": False}
        assert (await client.get("/name")).json()["type"] == "InvalidTenant"


def only_acme(name: str) -> bool:
    return name == "acme"


async def only_acme_by_and_by(name: str) -> bool:
    await asyncio.sleep(0)
    return name == "acme"


@pytest.mark.parametrize("known", [only_acme, only_acme_by_and_by])
async def test_the_application_says_which_tenants_it_knows(world: World, known: Known) -> None:
    async with asking(application(world, known=known)) as client:
        assert (await client.get("/name", headers=ACME)).json() == "acme"
        refused = await client.get("/name", headers={"X-Tenant": "globex"})
        assert (refused.status_code, refused.json()["type"]) == (404, "UnknownTenant")
        assert (await client.get("/open", headers={"X-Tenant": "globex"})).json() == {"tenant": False}


async def test_what_the_application_fails_with_is_raised_to_who_asks_for_the_tenant(world: World) -> None:
    async def known(name: str) -> bool:
        raise ConnectionError("the database is away")

    async with asking(application(world, known=known), headers=ACME) as client:
        assert (await client.get("/open")).status_code == 200
        with pytest.raises(ConnectionError, match="the database is away"):
            await client.get("/name")


async def test_requests_at_the_same_time_have_their_own_tenants(world: World) -> None:
    app = application(world)
    all_here = asyncio.Barrier(20)

    @app.get("/meet")
    async def meet() -> str:
        await all_here.wait()
        return current_tenant().name

    names = [f"tenant-{number}" for number in range(20)]
    async with asking(app) as client:
        answers = await asyncio.gather(*(client.get("/meet", headers={"X-Tenant": name}) for name in names))
    assert [answer.json() for answer in answers] == names


async def test_a_thread_that_serves_a_request_knows_its_tenant_and_may_write_to_it(world: World) -> None:
    app = application(world)

    @app.get("/threaded")
    def threaded(tenant: TenantDep) -> list[str]:
        assert tenant is current_tenant()
        from_thread.run(tenant.upsert, [record("1")])
        return list(from_thread.run(tenant.fetch, ["1"]))

    async with asking(app, headers=ACME) as client:
        assert (await client.get("/threaded")).json() == ["1"]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_after_a_request_there_is_no_tenant_whatever_became_of_it(
    world: World, error: type[BaseException]
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        assert current_tenant().name == "acme"
        raise error

    async with world.router() as router:
        middleware = ShardrouteMiddleware(broken, Header("X-Tenant"), router=router)
        with pytest.raises(error):
            await called(middleware, "acme")
        with pytest.raises(LookupError, match="no ShardrouteMiddleware"):
            current_tenant()


async def test_the_inner_of_two_middlewares_counts_and_only_inside(world: World) -> None:
    seen = []

    async def innermost(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current_tenant().name)

    async with world.router() as router:
        inner = ShardrouteMiddleware(innermost, Attribute("inner"), router=router)

        async def between(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, "inner": "globex"}, receive, send)
            seen.append(current_tenant().name)
            assert scope["state"]["tenant"].name == "acme"

        await called(ShardrouteMiddleware(between, Header("X-Tenant"), router=router), "acme")
    assert seen == ["globex", "acme"]


async def called(app: Callable[[Scope, Receive, Send], Any], tenant: str) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody reads a body here")

    async def send(message: Any) -> None:
        raise AssertionError("nobody answers here")

    headers = [(b"x-tenant", tenant.encode())]
    await app({"type": "http", "path": "/", "headers": headers}, receive, send)


# -- sessions --------------------------------------------------------------------------------------------------


async def test_a_session_says_the_tenant_if_its_middleware_is_added_afterwards(world: World) -> None:
    app = application(world, Attribute("session.tenant"))
    app.add_middleware(SessionMiddleware, secret_key="made-up")

    @app.get("/enter")
    async def enter(request: Request) -> None:
        request.session["tenant"] = "acme"

    async with asking(app) as client:
        assert (await client.get("/name")).status_code == 404
        await client.get("/enter")
        assert (await client.get("/name")).json() == "acme"


async def test_a_session_that_no_request_has_is_a_warning_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "shardroute_fastapi"):
        async with asking(application(world, Attribute("session.tenant"))) as client:
            assert [(await client.get("/name")).status_code for _ in range(2)] == [404, 404]
    [warning] = [found for found in caplog.records if found.name == "shardroute_fastapi.middleware"]
    assert "SessionMiddleware" in warning.message


# -- where the router is ---------------------------------------------------------------------------------------


async def test_an_application_of_starlette_without_anything_of_fastapi(world: World) -> None:
    async def name(request: Request) -> JSONResponse:
        return JSONResponse(current_tenant().name)

    app = Starlette(
        routes=[Route("/name", name)],
        lifespan=lifespan(world.router),
        exception_handlers=EXCEPTION_HANDLERS,
    )
    app.add_middleware(ShardrouteMiddleware, resolver=Header("X-Tenant"))
    async with asking(app) as client:
        assert (await client.get("/name", headers=ACME)).json() == "acme"
        assert (await client.get("/name")).status_code == 404


async def test_an_application_that_is_mounted_in_another_serves_the_same_tenants(world: World) -> None:
    outer = Starlette(routes=[Mount("/inner", application_without_router())])
    install(outer, config=world.router, resolver=Header("X-Tenant"))
    async with asking(outer, headers=ACME) as client:
        assert (await client.get("/inner/name")).json() == "acme"


def application_without_router() -> FastAPI:
    app = FastAPI(exception_handlers=EXCEPTION_HANDLERS)

    @app.get("/name")
    async def name(tenant: TenantDep) -> str:
        return tenant.name

    return app


async def test_without_a_router_the_one_who_asks_for_a_tenant_is_told_what_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = application_without_router()
    app.add_middleware(ShardrouteMiddleware, resolver=Header("X-Tenant"))
    async with asking(app, headers=ACME) as client:
        assert (await client.get("/name")).status_code == 500
    assert "it needs `install(app, …)` or `lifespan=lifespan(…)`" in caplog.text
