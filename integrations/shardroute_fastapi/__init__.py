"""shardroute in applications of FastAPI and Starlette."""

from .administration import admin_router
from .answering import EXCEPTION_HANDLERS, answer
from .current import current_tenant
from .dependencies import RouterDep, TenantDep
from .installing import install
from .middleware import Known, ShardrouteMiddleware
from .readiness import readiness_route, readiness_router
from .running import Source, lifespan

__all__ = [
    "EXCEPTION_HANDLERS",
    "Known",
    "RouterDep",
    "ShardrouteMiddleware",
    "Source",
    "TenantDep",
    "admin_router",
    "answer",
    "current_tenant",
    "install",
    "lifespan",
    "readiness_route",
    "readiness_router",
]
