"""What an operator sees and does over HTTP: where tenants stand, how their two paths compare, and the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.params import Depends

from shardroute.admin import Admin, TenantStatus
from shardroute.comparisons import Comparison
from shardroute.phases import Side
from shardroute.statistics import Events, Shares

from .running import running_router

_Seconds = Annotated[float | None, Query(gt=0, le=1e9, allow_inf_nan=False)]
_PATIENCE = 2.0  # seconds for a Redis that is away: somebody waits for the answer


def admin_router(*, dependencies: Sequence[Depends], prefix: str = "/shardroute") -> APIRouter:
    """GET `/tenants`, `/tenants/{tenant}`, `/tenants/{tenant}/comparison`; POST `/tenants/{tenant}/rollback`.

    `dependencies` let nobody in but operators: ``[Depends(is_operator)]``. Raises ValueError without any.

    A rollback takes as long as its request, seconds at most as a rule. It may be cut off at any moment, by a time-out
    or the end of the process, and asked for again: nothing is lost, and what was done is not done twice. Stops of a
    move are 409, in its own words.
    """
    if not dependencies:
        raise ValueError("admin_router needs a dependency that lets nobody in but operators")
    router = APIRouter(prefix=prefix, dependencies=list(dependencies), tags=["shardroute"])
    router.add_api_route("/tenants", _tenants, methods=["GET"])
    router.add_api_route("/tenants/{tenant}", _tenant, methods=["GET"])
    router.add_api_route("/tenants/{tenant}/comparison", _compare, methods=["GET"])
    router.add_api_route("/tenants/{tenant}/rollback", _rollback, methods=["POST"])
    return router


async def _tenants(request: Request) -> dict[str, Any]:
    """Where every tenant stands."""
    async with _admin(request) as admin:
        return {"tenants": [_status(found) for found in await admin.status()]}


async def _tenant(request: Request, tenant: str) -> dict[str, Any]:
    """Where a tenant stands."""
    async with _admin(request) as admin:
        [found] = await admin.status([tenant])
        return _status(found)


async def _compare(request: Request, tenant: str, seconds: _Seconds = None) -> dict[str, Any]:
    """What routers saw of the tenant's two paths: all that is kept, or the last `seconds`."""
    async with _admin(request) as admin:
        return _comparison(await admin.compare(tenant, seconds=seconds))


async def _rollback(request: Request, tenant: str) -> dict[str, Any]:
    """Back to the old cluster."""
    async with _admin(request) as admin:
        outcome = await admin.move("rollback", tenant)
        return {"tenant": tenant, "phase": outcome.phase}


@asynccontextmanager
async def _admin(request: Request) -> AsyncIterator[Admin]:
    """On the connections to clusters that the router has, and one to Redis of its own."""
    router = running_router(request.scope)
    async with Admin.open(router.config, stores=router.stores, patience=_PATIENCE) as admin:
        yield admin


def _status(found: TenantStatus) -> dict[str, Any]:
    return asdict(found)


def _comparison(found: Comparison) -> dict[str, Any]:
    """The figures, and the gates that do not hold; `shardroute compare` has the examples as well."""
    seen = found.tally
    return {
        "tenant": found.tenant,
        "phase": found.phase,
        "paths": {side: _path(found, side) for side in Side},
        "agreement": {
            name: {"count": seen.share(name).count, "mean": seen.share(name).mean} for name in Shares
        },
        "counts": {event: seen.count(event) for event in Events},
        "breaches": [asdict(breach) for breach in found.breaches],
    }


def _path(found: Comparison, side: Side) -> dict[str, Any]:
    latency = found.tally.latency(side)
    return {
        "cluster": found.old if side is Side.OLD else found.new,
        "answered": latency.count,
        **{f"p{share}": latency.quantile(share / 100) for share in (50, 95, 99)},
        "error_rate": found.tally.error_rate(side),
    }
