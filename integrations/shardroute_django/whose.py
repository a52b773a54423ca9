"""Whose request it is, as a Django request says it: asked when it is first needed."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable
from typing import Any, Protocol

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.http import HttpRequest

from shardroute.errors import ConfigError, UnknownTenant
from shardroute.topology import check_tenant
from shardroute.web import resolved

from . import conf


class Whose(Protocol):
    """Knows a tenant's name. Both raise UnknownTenant or InvalidTenant."""

    def name(self) -> str: ...

    async def aname(self) -> str: ...


class Named:
    """By name. Raises InvalidTenant."""

    def __init__(self, name: str) -> None:
        self._name = check_tenant(name)

    def name(self) -> str:
        return self._name

    async def aname(self) -> str:
        return self._name


class Requested:
    """By a request, the setting's RESOLVER, and KNOWN. An answer is kept; a refusal is not: a view may log in."""

    def __init__(self, request: HttpRequest) -> None:
        self._asked = DjangoAsked(request)
        self._name: str | None = None

    def name(self) -> str:
        if self._name is None:
            name = self._resolved()
            known = conf.current().known
            if known is not None:
                answer = known(name)
                _check(name, known=async_to_sync(_awaited)(answer) if isawaitable(answer) else answer)
            self._name = name
        return self._name

    async def aname(self) -> str:
        if self._name is None:
            settings = conf.current()
            # What lies at user.organisation.slug may be in the database, so in a thread.
            looks_up = settings.resolver is not None and settings.resolver.roots
            name = await sync_to_async(self._resolved)() if looks_up else self._resolved()
            if settings.known is not None:
                _check(name, known=await _asked(settings.known, name))
            self._name = name
        return self._name

    def _resolved(self) -> str:
        resolver = conf.current().resolver
        if resolver is None:
            raise ConfigError(f"{conf.NAME}['RESOLVER'] is missing: it says whose a request is")
        return resolved(resolver, self._asked)


async def _asked(known: conf.Known, name: str) -> object:
    """A plain function may look into the database, so in a thread. What it gives may be there to be awaited."""
    answer = known(name) if _is_async(known) else await sync_to_async(known)(name)
    return await answer if isawaitable(answer) else answer


def _is_async(known: conf.Known) -> bool:
    """A function, or an object that is called like one, such as a cache of answers."""
    return iscoroutinefunction(known) or iscoroutinefunction(getattr(known, "__call__", None))  # noqa: B004 - how, not whether


async def _awaited(answer: Awaitable[object]) -> object:
    return await answer


def _check(name: str, *, known: object) -> None:
    if not known:
        raise UnknownTenant(f"there is no tenant {name!r}")


class DjangoAsked:
    """A Django request as resolvers look at it (`shardroute.web.Asked`)."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def host(self) -> str:
        """Checked against ALLOWED_HOSTS: raises DisallowedHost, which Django answers with 400."""
        return self._request.get_host()

    @property
    def path(self) -> str:
        """Below the place where the project is mounted."""
        return self._request.path_info

    def header(self, name: str) -> str | None:
        # Servers join a header that came twice by a comma, which no tenant and no token contains.
        values = {value.strip() for value in self._request.headers.get(name, "").split(",")}
        return values.pop() or None if len(values) == 1 else None

    def root(self, name: str) -> Any:
        return getattr(self._request, name, None)
