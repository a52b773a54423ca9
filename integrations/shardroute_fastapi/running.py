"""Where the running router is: opened and closed with the application, found from its requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from starlette.types import Lifespan, Scope

from shardroute import Config, ConfigError, Router

Source = Config | str | Path | Callable[[], Router]
"""A configuration, the path of its file, or what makes a router."""

_NAME = "shardroute"


def lifespan(
    source: Source, *, inner: Lifespan[Any] | None = None
) -> Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """For ``FastAPI(lifespan=…)``: opens the router, and closes it when every request has ended.

    The router is at ``app.state.shardroute`` and ``request.state.shardroute``. `inner` is the application's own
    lifespan: it begins with the router open and ends before it closes. Closing waits for writes under way
    (`router.drain`) and ends the session at once, so that a deploy holds up no move.

    Starting raises ConfigError, MapLost or ControlPlaneUnavailable as entering a `Router` does.
    """

    @asynccontextmanager
    async def life(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        async with _router(source) as router:
            setattr(app.state, _NAME, router)
            async with nullcontext() if inner is None else inner(app) as state:
                yield {**(state or {}), _NAME: router}

    return life


def _router(source: Source) -> Router:
    return source() if callable(source) else Router.from_config(source)


def running_router(scope: Scope) -> Router:
    """The router of the application that serves the request. Raises ConfigError if it opened none.

    The state that a server gives to every request counts before ``app.state``: it is also there in an application that
    is mounted in another.
    """
    router = scope.get("state", {}).get(_NAME)
    if router is None and "app" in scope:
        router = getattr(scope["app"].state, _NAME, None)
    if not isinstance(router, Router):
        raise ConfigError(
            "this application has opened no router: it needs `install(app, …)` or `lifespan=lifespan(…)`, "
            "and a server that runs its lifespan (in tests: `with TestClient(app) as client`)"
        )
    return router
