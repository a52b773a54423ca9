"""What endpoints of FastAPI ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from shardroute import Router, Tenant

from .current import current_tenant
from .running import running_router


async def _tenant() -> Tenant:
    return current_tenant()


async def _router(connection: HTTPConnection) -> Router:
    return running_router(connection.scope)


TenantDep = Annotated[Tenant, Depends(_tenant)]
"""The handle of the request's tenant. Raises as `current_tenant`, which `install` answers with 404."""

RouterDep = Annotated[Router, Depends(_router)]
"""The router, for an application that decides by itself for which tenant a request is."""
