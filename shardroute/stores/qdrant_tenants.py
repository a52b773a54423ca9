"""Which tenants a Qdrant cluster holds: by the names of collections, or by the values of a payload field."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from uuid import UUID

from qdrant_client import AsyncQdrantClient, models

from .qdrant_errors import About, QdrantRejected, request
from .qdrant_filters import json_key

FACET_LIMIT = 10_000
"""Tenants of a collection up to which one request names them all."""

_PAGE = 1000


async def by_collection(
    client: AsyncQdrantClient,
    cluster: str,
    timeout: float | None,
    pattern: str,
    collections: Collection[str],
) -> AsyncIterator[str]:
    """The tenants in the names of collections that fit the pattern (or are given) and hold anything."""
    name = re.compile(
        re.escape(pattern)
        .replace(r"\{shard\}", r"\d+")
        .replace(r"\{tenant\}", "(?P<tenant>.+)", 1)
        .replace(r"\{tenant\}", "(?P=tenant)")
    )
    async with request(cluster, timeout):
        existing = (await client.get_collections()).collections
    for collection in existing:
        fits = name.fullmatch(collection.name)
        if fits is None or (collections and collection.name not in collections):
            continue
        if await _holds_anything(client, cluster, timeout, collection.name):
            yield fits["tenant"]


async def _holds_anything(
    client: AsyncQdrantClient, cluster: str, timeout: float | None, collection: str
) -> bool:
    try:
        async with request(cluster, timeout):
            found, _ = await client.scroll(collection, limit=1, with_payload=False)
    except QdrantRejected as error:
        if error.about is not About.NO_COLLECTION:  # purged since it was listed
            raise
        return False
    return bool(found)


async def by_field(
    client: AsyncQdrantClient, cluster: str, timeout: float | None, field: str, collections: Collection[str]
) -> AsyncIterator[str]:
    """The distinct values of the field in the collections that exist."""
    seen: set[str] = set()
    for collection in collections:
        try:
            async for tenant in _values(client, cluster, timeout, field, collection):
                if tenant not in seen:
                    seen.add(tenant)
                    yield tenant
        except QdrantRejected as error:
            if error.about is not About.NO_COLLECTION:
                raise


async def _values(
    client: AsyncQdrantClient, cluster: str, timeout: float | None, field: str, collection: str
) -> AsyncIterator[str]:
    key = json_key(field)
    faceted = await _facet(client, cluster, timeout, key, collection)
    if faceted is not None:
        for value in faceted:
            yield value
        return
    offset = None
    while True:
        async with request(cluster, timeout):
            page, offset = await client.scroll(
                collection, limit=_PAGE, offset=offset, with_payload=[key], with_vectors=False
            )
        for point in page:
            value = (point.payload or {}).get(field)
            if isinstance(value, str):
                yield value
        if offset is None:
            return


async def _facet(
    client: AsyncQdrantClient, cluster: str, timeout: float | None, key: str, collection: str
) -> list[str] | None:
    """The field's values by one request; None where that is not to be had, or not to be trusted."""
    try:
        async with request(cluster, timeout):
            answer = await client.facet(collection, key, limit=FACET_LIMIT, exact=True)
    except QdrantRejected as error:
        if error.about is About.NO_COLLECTION:
            raise
        return None  # no index on the field
    counts = {hit.value: hit.count for hit in answer.hits if isinstance(hit.value, str) and hit.count}
    if len(answer.hits) >= FACET_LIMIT:
        return None
    # A facet may respell a name that reads as a UUID; then fewer points have the name than were counted.
    uuids = [name for name in counts if _is_uuid(name)]
    if uuids:
        named = models.FieldCondition(key=key, match=models.MatchAny(any=uuids))
        async with request(cluster, timeout):
            held = await client.count(collection, models.Filter(must=[named]), exact=True)
        if held.count != sum(counts[name] for name in uuids):
            return None
    return list(counts)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
