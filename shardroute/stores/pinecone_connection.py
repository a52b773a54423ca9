"""The SDK's clients of one cluster: an index each, found by host or by name, asked at a bearable pace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

from pinecone import AsyncIndex, AsyncPinecone, RetryConfig
from pinecone.models.indexes.index import IndexModel

from ..errors import ClusterRejected, RateLimited
from .last_byte import keep_back
from .pinecone_errors import About, PineconeRejected, request
from .pinecone_pace import Paces

_T = TypeVar("_T")

_CONTROL_HOST = "https://api.pinecone.io"
_CONNECTIONS = 100

_ONCE = RetryConfig(max_retries=0)
"""Trying again is the caller's business, who knows its deadline and what may still land."""

_LIMITED_PER_INDEX = frozenset({"fetch", "list"})
"""Operations whose rate Pinecone limits for the index; the others for each namespace."""


class Connection:
    """With a `host` one index, whatever the collection is called; without, the index of that name.

    `rate`: requests a second for each namespace and operation. `timeout`: seconds for each request.
    Raises ValueError for an API key or a host that cannot be one.
    """

    def __init__(
        self,
        cluster: str,
        *,
        api_key: str,
        host: str | None,
        control_host: str | None,
        timeout: float,
        rate: float,
    ) -> None:
        if not api_key.strip():
            raise ValueError("api_key is missing; name the variable that holds it with api_key_env")
        if not rate > 0:
            raise ValueError(f"rate is {rate:g}; it must be above 0 requests a second")
        self.cluster = cluster
        self.host = host or ""
        self._client = AsyncPinecone(
            api_key,
            host=control_host,
            timeout=timeout,
            retry_config=_ONCE,
            connection_pool_maxsize=_CONNECTIONS,
        )
        self.address = _address(self.host or control_host or _CONTROL_HOST)
        self._timeout = timeout
        self._paces = Paces(rate)
        self._indexes: dict[str, AsyncIndex] = {}
        self._finding = asyncio.Lock()

    async def ask(
        self, collection: str, namespace: str, operation: str, call: Callable[[AsyncIndex], Awaitable[_T]]
    ) -> _T:
        """The answer of an index, once it is the request's turn. Raises only errors of ours."""
        index = await self._index(collection)
        key = (index.host, "" if operation in _LIMITED_PER_INDEX else namespace, operation)
        sent = await self._paces.turn(self.cluster, key, self._timeout)
        try:
            async with request(self.cluster, self._timeout):
                return await call(index)
        except RateLimited as error:
            self._paces.refused(key, sent, error.retry_after)
            raise

    async def _index(self, collection: str) -> AsyncIndex:
        name = "" if self.host else collection
        if name in self._indexes:
            return self._indexes[name]
        async with self._finding:
            if name not in self._indexes:
                async with request(self.cluster, self._timeout):
                    found = await self._client.index(name, host=self.host)
                self._indexes[name] = _without_retries(found)
        return self._indexes[name]

    async def model(self, collection: str) -> IndexModel | None:
        """What the control plane says of the index of that name; None if there is none."""
        try:
            async with request(self.cluster, self._timeout):
                return await self._client.indexes.describe(collection)
        except PineconeRejected as error:
            if error.about is not About.NOT_FOUND:
                raise
            return None

    async def exists(self, collection: str) -> bool:
        """Whether the index itself answers."""
        try:
            await self.some_namespace(collection)
        except PineconeRejected as error:
            if error.about is not About.NOT_FOUND:
                raise
            return False
        return True

    async def some_namespace(self, collection: str) -> str | None:
        """One that the index has; None if it has none. Raises PineconeRejected if there is no such index."""
        page = await self.ask(
            collection, "", "list_namespaces", lambda index: index.list_namespaces_paginated(limit=1)
        )
        return page.namespaces[0].name if page.namespaces else None

    async def ping(self) -> None:
        if self.host:
            await self.ask("", "", "stats", lambda index: index.describe_index_stats())
            return
        async with request(self.cluster, self._timeout):
            async for _ in self._client.indexes.list(limit=1):
                return

    async def aclose(self) -> None:
        for index in self._indexes.values():
            await index.close()
        await self._client.close()


def _without_retries(index: AsyncIndex) -> AsyncIndex:
    """The SDK passes `retry_config` to the control plane only, and its indexes try everything four times.

    There is no public way (10.2); the client of HTTP is made from its configuration at the first request. That client
    keeps back the last byte of what needs a permit (rule 12).
    """
    http = getattr(index, "_http", None)
    if http is None or not (hasattr(http, "_config") and hasattr(http, "_ensure_client")):
        raise ClusterRejected("pinecone", "this release of the SDK does not let its retries be turned off")
    http._config = replace(http._config, retry_config=_ONCE)
    http._ensure_client().event_hooks["request"].append(keep_back)
    return index


def _address(host: str) -> tuple[str, int | None]:
    parts = urlsplit(host if "//" in host else f"//{host}")
    return parts.hostname or "", parts.port
