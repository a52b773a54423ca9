"""The tenant of the request that is being served, for code that has no request at hand."""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass

from shardroute import Tenant


@dataclass(frozen=True, slots=True)
class Found:
    """A request's tenant, or why it has none."""

    tenant: Tenant | None = None
    error: Exception | None = None


_current: ContextVar[Found] = ContextVar("shardroute tenant")


def current_tenant() -> Tenant:
    """The handle of the request's tenant.

    Raises UnknownTenant if the request says none or the application knows none of the name, InvalidTenant if the name
    is none, whatever `known` raised; LookupError where no `ShardrouteMiddleware` is around.
    """
    found = _found()
    if found.tenant is None:
        assert found.error is not None
        raise found.error
    return found.tenant


def _found() -> Found:
    try:
        return _current.get()
    except LookupError:
        raise LookupError(
            "there is no request here, or no ShardrouteMiddleware in this application: `install(app, …)` adds it"
        ) from None


def entered(found: Found) -> Token[Found]:
    """From now on, in this task and those that it starts. Undone by `left`."""
    return _current.set(found)


def left(token: Token[Found]) -> None:
    """As it was before `entered`."""
    _current.reset(token)
