"""Whether this process should get requests: for load balancers and deploys, not for the public."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shardroute import Router, ShardrouteError
from shardroute.ports import Store
from shardroute.timing import clock

from .running import running_router

_PATIENCE = 1.0  # seconds that a cluster is given to answer
_FRESH = 1.0  # seconds for which its answer counts


def readiness_router(path: str = "/ready", *, clusters: bool = True) -> APIRouter:
    """A router with GET `path`, to be included; see `readiness_route`."""
    router = APIRouter()
    router.routes.append(readiness_route(path, clusters=clusters))
    return router


def readiness_route(path: str = "/ready", *, clusters: bool = True) -> Route:
    """A route of Starlette's that answers 200 if the lease is held and all clusters answer, else 503.

    The document says which: `ready`, `lease`, `map` (`version`, `age` in seconds) and `clusters`, by name. Every
    cluster is asked at the same time, for a second at most, and its answer counts for a second. With `clusters` False
    they are asked and told all the same, but do not count: then one that is down, which is down for all processes,
    does not take tenants of the other one out of service.
    """
    asked: WeakKeyDictionary[Router, _Clusters] = WeakKeyDictionary()

    async def ready(request: Request) -> JSONResponse:
        router = running_router(request.scope)
        answering = await asked.setdefault(router, _Clusters(router.stores)).answering()
        fine = router.ready and (not clusters or all(answering.values()))
        status = HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse(_document(router, fine, answering), status, {"Cache-Control": "no-store"})

    return Route(path, ready, methods=["GET"], include_in_schema=False)


def _document(router: Router, fine: bool, answering: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "ready": fine,
        "lease": router.ready,
        "map": {"version": router.map.version, "age": round(router.map_age, 3)},
        "clusters": dict(answering),
    }


@dataclass(slots=True)
class _Clusters:
    """Asked by one of those who want to know; the others wait for its answer."""

    stores: Mapping[str, Store]
    found: Mapping[str, bool] = field(default_factory=dict)
    until: float = float("-inf")
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answering(self) -> Mapping[str, bool]:
        async with self.asking:
            if clock() >= self.until:
                answers = await asyncio.gather(*map(_answers, self.stores.values()))
                self.found, self.until = dict(zip(self.stores, answers, strict=True)), clock() + _FRESH
        return self.found


async def _answers(store: Store) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            await store.ping()
    except (ShardrouteError, TimeoutError):
        return False
    return True
