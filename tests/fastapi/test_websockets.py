"""WebSockets: whose they are, and how they end."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket
from shardroute_fastapi import TenantDep, install

from shardroute.web import Header
from tests.support.world import World

from .conftest import asking
from .sockets import Socket

ACME = {"X-Tenant": "acme"}


def talking(world: World) -> FastAPI:
    app = FastAPI()
    install(app, config=world.router, resolver=Header("X-Tenant"))

    @app.websocket("/talk")
    async def talk(socket: WebSocket, tenant: TenantDep) -> None:
        await socket.accept()
        await socket.send_text(tenant.name)
        if await socket.receive_text() == "fail":
            await tenant.delete(filter={"price": {"$near": 3}})
        await socket.close()

    return app


async def test_a_websocket_has_a_tenant_too(world: World) -> None:
    async with asking(app := talking(world)):
        socket = Socket(app, "/talk", ACME, says=["bye"])
        await socket.run()
    assert socket.messages == ["websocket.accept", "acme", ("websocket.close", 1000)]


async def test_a_websocket_for_no_tenant_is_refused_before_it_is_accepted(world: World) -> None:
    async with asking(app := talking(world)):
        plain, answered = Socket(app, "/talk"), Socket(app, "/talk", extensions=["websocket.http.response"])
        await plain.run()
        await answered.run()
    assert plain.messages == [("websocket.close", 1008)]
    assert answered.messages[0] == ("websocket.http.response.start", 404)


async def test_a_websocket_in_which_something_fails_is_closed_with_a_code_that_says_why(world: World) -> None:
    async with asking(app := talking(world)):
        socket = Socket(app, "/talk", ACME, says=["fail"])
        await socket.run()
    assert socket.messages == ["websocket.accept", "acme", ("websocket.close", 1007)]
