"""Which tenants a Pinecone cluster holds: by the names of its namespaces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection

from pinecone.models.namespaces.models import ListNamespacesResponse

from ..topology import DEFAULT_NAMESPACE, Placement
from .pinecone_connection import Connection
from .pinecone_errors import About, PineconeRejected

HoldsAny = Callable[[str, str], Awaitable[bool]]
"""Whether a namespace of a collection lists any record."""


def tenant_in(pattern: str, namespace: str) -> str:
    """Reads the tenant's part of a namespace by a placement's pattern; "" if it does not fit.

    The pattern has the tenant once (`Topology` sees to that), so what stands around it is cut off.
    """
    before, _, after = pattern.partition("{tenant}")
    if not namespace.startswith(before):
        return ""
    rest = namespace[len(before) :]
    return rest[: len(rest) - len(after)] if rest.endswith(after) else ""


async def tenants(
    connection: Connection, placement: Placement, collections: Collection[str], holds_any: HoldsAny
) -> AsyncIterator[str]:
    """Each tenant once. A cluster that is one index has one set of namespaces, whatever collections are called.

    Namespaces that no tenant can have are passed over: `__default__` is one, unless the placement says whose it is.
    """
    pattern, defaulted = placement.namespace, placement.default_namespace
    seen = set[str]()
    for collection in [""] if connection.host else collections:
        if defaulted and defaulted not in seen and await _default_holds_any(collection, holds_any):
            seen.add(defaulted)
            yield defaulted
        async for namespace, count in _namespaces(connection, collection, pattern.partition("{")[0]):
            tenant = placement.tenant_of.tenant(tenant_in(pattern, namespace))
            # A namespace that is called as the tenant of the default one would be: that tenant's it is not.
            if tenant is None or tenant in seen or tenant == defaulted:
                continue
            # The count lags; nothing may be overlooked for that.
            if count or await holds_any(collection, namespace):
                seen.add(tenant)
                yield tenant


async def _default_holds_any(collection: str, holds_any: HoldsAny) -> bool:
    """Nothing is held by an index that does not exist."""
    try:
        return await holds_any(collection, DEFAULT_NAMESPACE)
    except PineconeRejected as error:
        if error.about is not About.NOT_FOUND:
            raise
        return False


async def _namespaces(connection: Connection, collection: str, prefix: str) -> AsyncIterator[tuple[str, int]]:
    """Names and counts; none of an index that does not exist."""
    token: str | None = None
    while True:
        try:
            page = await _page(connection, collection, prefix, token)
        except PineconeRejected as error:
            if error.about is not About.NOT_FOUND:
                raise
            return
        for namespace in page.namespaces:
            yield namespace.name, namespace.record_count
        token = page.pagination.next if page.pagination else None
        if token is None:
            return


async def _page(
    connection: Connection, collection: str, prefix: str, token: str | None
) -> ListNamespacesResponse:
    return await connection.ask(
        collection,
        "",
        "list_namespaces",
        lambda index: index.list_namespaces_paginated(
            prefix=prefix or None, limit=100, pagination_token=token
        ),
    )
