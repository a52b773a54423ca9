"""All of it in one line."""

from __future__ import annotations

from starlette.applications import Starlette

from shardroute.web import Resolver

from .answering import EXCEPTION_HANDLERS
from .middleware import Known, ShardrouteMiddleware
from .readiness import readiness_route
from .running import Source, lifespan


def install(
    app: Starlette,
    *,
    config: Source,
    resolver: Resolver,
    known: Known | None = None,
    ready: str | None = "/ready",
) -> None:
    """Gives an application of FastAPI or Starlette the router, its requests' tenants, answers to errors, and readiness.

    `known`: whether the application knows a tenant; 404 if it does not. `ready`: the path that says whether the process
    is ready, None for none. Call it before middleware is added that the resolver relies on, such as a session's. The
    application's own lifespan goes on as it was, with the router open around it.

    Raises TypeError for a `resolver` that is none.

    Each part is also there by itself: `lifespan`, `ShardrouteMiddleware`, `EXCEPTION_HANDLERS`, `readiness_router`.
    """
    if not isinstance(resolver, Resolver):
        raise TypeError(
            f"resolver is {resolver!r}; it is one of shardroute.web, such as Subdomain('example.com')"
        )
    app.router.lifespan_context = lifespan(config, inner=app.router.lifespan_context)
    app.add_middleware(ShardrouteMiddleware, resolver=resolver, known=known)
    for kind, handler in EXCEPTION_HANDLERS.items():
        app.add_exception_handler(kind, handler)
    if ready is not None:
        app.router.routes.insert(0, readiness_route(ready))
