"""A tenant as views see it: the methods of `shardroute.Tenant`, for views without and with a loop of their own.

Each class derives its methods from those of `Tenant`, and their types with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.http import HttpRequest
from django.utils.asyncio import async_unsafe

from shardroute import Phase, Record, Tenant

from .process import Answer, host
from .whose import Named, Requested, Whose

_Arguments = ParamSpec("_Arguments")
_Answered = TypeVar("_Answered")
_Method = Callable[Concatenate[Tenant, _Arguments], Coroutine[Any, Any, _Answered]]

_BATCH = 256  # records of a scan that cross between the threads at once


def _sync(method: _Method[_Arguments, _Answered]) -> Callable[Concatenate[SyncTenant, _Arguments], _Answered]:
    @wraps(method)
    @async_unsafe("this would block the event loop: use atenant(…), or request.vectors in an async function")
    def call(self: SyncTenant, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answered:
        name = self._whose.name()
        return host().ask(name, lambda tenant: method(tenant, *args, **kwargs), _timeout(kwargs)).wait()

    return call


def _async(
    method: _Method[_Arguments, _Answered],
) -> Callable[Concatenate[AsyncTenant, _Arguments], Coroutine[Any, Any, _Answered]]:
    @wraps(method)
    async def call(self: AsyncTenant, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answered:
        name = await self._whose.aname()
        return await host().ask(name, lambda tenant: method(tenant, *args, **kwargs), _timeout(kwargs))

    return call


def _timeout(arguments: Mapping[str, Any]) -> float | None:
    """All methods of a tenant take it by name only."""
    return arguments.get("timeout")


async def _phase(tenant: Tenant) -> Phase:
    """Where the tenant stands, by this process's map."""
    return tenant.phase


class _Scan:
    """A scan in the router's loop, from which others take records by the batch. Left alone, the loop closes it."""

    def __init__(self, tenant: str, condition: Mapping[str, Any] | None, vectors: bool) -> None:
        self._tenant = tenant
        self._condition = condition
        self._vectors = vectors
        self._records: AsyncIterator[Record] | None = None

    def more(self) -> Answer[list[Record]]:
        """The next records; none at the end."""
        return host().ask(self._tenant, self._more)

    async def _more(self, tenant: Tenant) -> list[Record]:
        if self._records is None:
            self._records = tenant.scan(filter=self._condition, vectors=self._vectors)
        found: list[Record] = []
        async for record in self._records:
            found.append(record)
            if len(found) == _BATCH:
                break
        return found


class SyncTenant:
    """For sync views and everything else without an event loop. Methods as those of `shardroute.Tenant`.

    A call takes `timeout` seconds at most, or else the setting's TIMEOUT, over all requests that it makes. In an event
    loop it raises SynchronousOnlyOperation.
    """

    def __init__(self, whose: Whose) -> None:
        self._whose = whose

    def name(self) -> str:
        """Raises UnknownTenant or InvalidTenant, as all methods do."""
        return self._whose.name()

    phase = _sync(_phase)
    upsert = _sync(Tenant.upsert)
    update = _sync(Tenant.update)
    delete = _sync(Tenant.delete)
    query = _sync(Tenant.query)
    fetch = _sync(Tenant.fetch)
    count = _sync(Tenant.count)

    def scan(self, *, filter: Mapping[str, Any] | None = None, vectors: bool = True) -> Iterator[Record]:  # noqa: A002 - as in Tenant
        """Every record, as `Tenant.scan`; TIMEOUT is for each page."""
        scanned = _Scan(self._whose.name(), filter, vectors)
        while batch := scanned.more().wait():
            yield from batch


class AsyncTenant:
    """For async views. Methods as those of `shardroute.Tenant`; all are awaited. `timeout` as in `SyncTenant`.

    Cancelling a call cancels it in the router too. A write may have taken effect all the same.
    """

    def __init__(self, whose: Whose) -> None:
        self._whose = whose

    async def name(self) -> str:
        """Raises UnknownTenant or InvalidTenant, as all methods do."""
        return await self._whose.aname()

    phase = _async(_phase)
    upsert = _async(Tenant.upsert)
    update = _async(Tenant.update)
    delete = _async(Tenant.delete)
    query = _async(Tenant.query)
    fetch = _async(Tenant.fetch)
    count = _async(Tenant.count)

    async def scan(
        self,
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - as in Tenant
        vectors: bool = True,
    ) -> AsyncIterator[Record]:
        """Every record, as `Tenant.scan`; TIMEOUT is for each page."""
        scanned = _Scan(await self._whose.aname(), filter, vectors)
        while batch := await scanned.more():
            for record in batch:
                yield record


class Vectors:
    """``request.vectors``: a `SyncTenant` where no event loop runs, an `AsyncTenant` where one does.

    In a view that is what its `def` or `async def` says, whichever server and middleware are around it.
    """

    def __init__(self, whose: Whose) -> None:
        self._whose = whose

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._here(), name)

    def _here(self) -> SyncTenant | AsyncTenant:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return SyncTenant(self._whose)
        return AsyncTenant(self._whose)


def tenant(of: HttpRequest | str) -> SyncTenant:
    """Of a request, or by name: outside of requests, or for the sake of types. Raises InvalidTenant."""
    return SyncTenant(_whose(of))


def atenant(of: HttpRequest | str) -> AsyncTenant:
    """The same to be awaited."""
    return AsyncTenant(_whose(of))


def _whose(of: HttpRequest | str) -> Whose:
    return Named(of) if isinstance(of, str) else Requested(of)
