"""What a web framework's middleware adds to a request, in the same application with and without it.

python -m benchmarks.middleware

Applications are called in this process, so that no socket and no server hides what is measured. The two of a pair take
turns, every figure is a median of rounds, and the endpoint answers at once.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from shardroute_django import close
from shardroute_fastapi import ShardrouteMiddleware, TenantDep
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import embedded_redis
from shardroute.web import Header, Resolver, Subdomain

from . import django_project
from .reporting import Figure, show, tell

CALLS = 500  # in one round
ROUNDS = 41
GOAL = 50.0  # microseconds
THREAD = 500.0  # of these, to another thread's event loop and back

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Pair:
    """The same request without and with the middleware."""

    name: str
    without: Call
    with_it: Call
    goal: float = GOAL


@dataclass(frozen=True)
class Timing:
    """Medians, in microseconds for a request. `added`: the median of the differences of each round."""

    pair: Pair
    without: float
    with_it: float
    added: float

    def row(self) -> tuple[str, ...]:
        return (self.pair.name, *(f"{figure:.1f}" for figure in (self.without, self.with_it, self.added)))


async def timed(pair: Pair) -> Timing:
    """Without and with in turn, so that a busy machine slows both."""
    await _round(pair.without), await _round(pair.with_it)
    without, with_it = [], []
    for _ in range(ROUNDS):
        without.append(await _round(pair.without))
        with_it.append(await _round(pair.with_it))
    added = [after - before for before, after in zip(without, with_it, strict=True)]
    return Timing(pair, median(without), median(with_it), median(added))


async def _round(call: Call) -> float:
    gc.collect()
    await asyncio.sleep(0.001)  # nothing else here waits: the router's own tasks need their turn
    began = perf_counter()
    for _ in range(CALLS):
        await call()
    return (perf_counter() - began) / CALLS * 1e6


# -- ASGI --------------------------------------------------------------------------------------------------------------

_HEADERS = [
    (b"host", b"acme.example.com"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"a client"),
    (b"x-tenant", b"acme"),
]


def asgi(app: ASGIApp) -> Call:
    """A GET request, as a server passes it on."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 204

    return lambda: app(scope(), receive, send)


def scope() -> Scope:
    """Of a GET request, anew for each: applications write into it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": _HEADERS,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }


def starlette() -> Starlette:
    """An endpoint that needs nothing."""

    async def nothing(request: Request) -> Response:
        return Response(status_code=204)

    return Starlette(routes=[Route("/", nothing)])


def fastapi(*, asking: bool = False) -> FastAPI:
    """The same of FastAPI; `asking`: the endpoint asks for the tenant."""
    app = FastAPI()

    async def nothing() -> Response:
        return Response(status_code=204)

    async def tenants(tenant: TenantDep) -> Response:
        return Response(status_code=204)

    app.add_api_route("/", tenants if asking else nothing, methods=["GET"])
    return app


def routed(app: Starlette, router: Router, resolver: Resolver) -> Starlette:
    app.add_middleware(ShardrouteMiddleware, resolver=resolver, router=router)
    return app


def pairs(router: Router) -> list[Pair]:
    """By header and by subdomain, and with a dependency, whose own costs are FastAPI's."""
    header, subdomain = Header("X-Tenant"), Subdomain("example.com")
    return [
        Pair("Starlette, by header", asgi(starlette()), asgi(routed(starlette(), router, header))),
        Pair("Starlette, by subdomain", asgi(starlette()), asgi(routed(starlette(), router, subdomain))),
        Pair("FastAPI, by header", asgi(fastapi()), asgi(routed(fastapi(), router, header))),
        Pair(
            "FastAPI, with TenantDep",
            asgi(fastapi()),
            asgi(routed(fastapi(asking=True), router, header)),
        ),
        Pair("Django", django_project.wsgi(middleware=False), django_project.wsgi(middleware=True)),
        Pair(
            "Django, with a call to the router's thread",
            django_project.asgi(scope(), "/nothing"),
            django_project.asgi(scope(), "/asking"),
            goal=THREAD,
        ),
    ]


# -- the router --------------------------------------------------------------------------------------------------------


def settings(redis_url: str) -> dict[str, Any]:
    """Heartbeats are minutes apart."""
    return {
        "control": {"url": redis_url, "lease": 3600, "idle_lease": 3600},
        "clusters": {"old": {"kind": "memory"}, "new": {"kind": "memory"}},
        "topologies": {
            "v1": {"dimension": 3, "placement": {"cluster": "old"}},
            "v2": {"dimension": 3, "placement": {"cluster": "new"}},
        },
        "migration": {"from": "v1", "to": "v2"},
    }


@asynccontextmanager
async def opened(redis_url: str) -> AsyncIterator[Router]:
    config = Config.from_dict(settings(redis_url))
    async with Admin.open(config) as admin:
        await admin.init()
    async with Router(config) as router:
        yield router


async def main() -> None:
    async with embedded_redis() as server, opened(server.url) as router:
        django_project.configured(settings(server.url))
        timings = [await timed(pair) for pair in pairs(router)]
        await asyncio.to_thread(close)
    headings = ("application", "without µs", "with µs", "added µs")
    show("middleware: medians for one request", headings, [timing.row() for timing in timings])
    tell(
        "middleware",
        [Figure(f"{timing.pair.name}, added", timing.added, "µs", timing.pair.goal) for timing in timings],
    )


if __name__ == "__main__":
    asyncio.run(main())
