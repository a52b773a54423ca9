"""The middleware that finds out for which tenant a request is. Plain ASGI: it adds no task and no queue."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from shardroute import Router, UnknownTenant
from shardroute.web import Resolver, resolved

from .asked import ScopeAsked
from .current import Found, entered, left
from .running import running_router

log = logging.getLogger(__name__)

Known = Callable[[str], bool | Awaitable[bool]]
"""Whether the application knows a tenant of this name."""

_SERVED = frozenset({"http", "websocket"})
_ELSEWHERE = {"session": "SessionMiddleware", "user": "AuthenticationMiddleware"}
"""What other middleware has to leave in the scope before."""


class ShardrouteMiddleware:
    """Puts the tenant's handle on ``request.state.tenant`` and where `current_tenant` finds it.

    It refuses nothing: a request without a tenant goes on with None, and whoever asks for the tenant (`TenantDep`,
    `current_tenant`) gets the error. Middleware that the resolver relies on has to be outside of this one, which in
    Starlette means: added after it.
    """

    def __init__(
        self, app: ASGIApp, resolver: Resolver, *, router: Router | None = None, known: Known | None = None
    ) -> None:
        """`router`: by default the one that `lifespan` opened. `known`: asked at every request that names a tenant."""
        self.app = app
        self._resolver = resolver
        self._router = router
        self._known = known
        self._unseen = {name for name in resolver.roots if name in _ELSEWHERE}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _SERVED:
            await self.app(scope, receive, send)
            return
        found = await self._found(scope)
        state = scope.setdefault("state", {})
        around = state.get("tenant")
        state["tenant"] = found.tenant
        token = entered(found)
        try:
            await self.app(scope, receive, send)
        finally:
            left(token)
            if around is not None:  # of the application in which this one is mounted
                state["tenant"] = around

    async def _found(self, scope: Scope) -> Found:
        """An error, whatever it is, belongs to who asks for the tenant: others are served without one."""
        if self._unseen:
            self._look_for_middleware(scope)
        try:
            name = resolved(self._resolver, ScopeAsked(scope))
            if self._known is not None:
                await _check(self._known, name)
            router = self._router if self._router is not None else running_router(scope)
            return Found(router.tenant(name))
        except Exception as error:
            return Found(error=error)

    def _look_for_middleware(self, scope: Scope) -> None:
        """Says it once: without a word, every request would be one for no tenant."""
        for name in self._unseen - scope.keys():
            log.warning(
                "no request has %r: is %s there, and added after ShardrouteMiddleware?",
                name,
                _ELSEWHERE[name],
            )
        self._unseen.clear()


async def _check(known: Known, name: str) -> None:
    answer = known(name)
    if not (await answer if isawaitable(answer) else answer):
        raise UnknownTenant(f"the application knows no tenant {name!r}")
