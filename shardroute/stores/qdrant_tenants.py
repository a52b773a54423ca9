"""Which tenants a Qdrant cluster holds: by the names of collections, or by the values of a payload field."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from uuid import UUID

from .qdrant_errors import About, QdrantRejected
from .qdrant_filters import json_key
from .qdrant_requests import Requests

FACET_LIMIT = 10_000
"""Tenants of a collection up to which one request names them all."""

LONGEST_NAME = 255
"""Characters of a collection's name, for Qdrant as for `topology`."""

_PAGE = 1000


def naming(pattern: str) -> re.Pattern[str]:
    """Matches the collections that a placement's pattern names, and finds the tenant.

    A pattern that has the tenant twice compares at every place where the first could end: so only names of a length
    that is allowed (`LONGEST_NAME`) are asked.
    """
    return re.compile(
        re.escape(pattern)
        .replace(r"\{shard\}", r"\d+")
        .replace(r"\{tenant\}", "(?P<tenant>.+)", 1)
        .replace(r"\{tenant\}", "(?P=tenant)")
    )


async def by_collection(requests: Requests, pattern: str, collections: Collection[str]) -> AsyncIterator[str]:
    """The tenants named in collections that fit the pattern, are among those given (if any) and hold anything."""
    fitting = naming(pattern)
    for name in await requests.collections():
        fits = fitting.fullmatch(name) if len(name) <= LONGEST_NAME else None
        if fits and (not collections or name in collections) and await _holds_anything(requests, name):
            yield fits["tenant"]


async def _holds_anything(requests: Requests, collection: str) -> bool:
    try:
        found, _ = await requests.scroll_key(collection, "none", None, 1)
    except QdrantRejected as error:
        if error.about is not About.NO_COLLECTION:  # purged since it was listed
            raise
        return False
    return bool(found)


async def by_field(requests: Requests, field: str, collections: Collection[str]) -> AsyncIterator[str]:
    """The distinct values of the field in those of the collections that exist."""
    seen: set[str] = set()
    for collection in collections:
        try:
            async for tenant in _values(requests, field, collection):
                if tenant not in seen:
                    seen.add(tenant)
                    yield tenant
        except QdrantRejected as error:
            if error.about is not About.NO_COLLECTION:
                raise


async def _values(requests: Requests, field: str, collection: str) -> AsyncIterator[str]:
    key = json_key(field)
    faceted = await _facet(requests, key, collection)
    if faceted is not None:
        for value in faceted:
            yield value
        return
    offset, size = None, _PAGE
    while True:
        try:
            page, offset = await requests.scroll_key(collection, key, offset, size)
        except QdrantRejected as error:
            if error.about is not About.TOO_LARGE or size == 1:  # strict mode has pages of its own size
                raise
            size //= 2
            continue
        for point in page:
            held = (point.payload or {}).get(field)
            if isinstance(held, str):
                yield held
        if offset is None:
            return


async def _facet(requests: Requests, key: str, collection: str) -> list[str] | None:
    """The field's values by one request; None where that is not to be had, or not to be trusted."""
    try:
        hits = await requests.facet(collection, key, FACET_LIMIT)
    except QdrantRejected as error:
        if error.about is About.NO_COLLECTION:
            raise
        return None  # no index on the field
    if len(hits) >= FACET_LIMIT:
        return None
    counts = {hit.value: hit.count for hit in hits if isinstance(hit.value, str) and hit.count}
    # Names that read as UUIDs may come back respelled; then fewer points have the name than were counted.
    uuids = [name for name in counts if _is_uuid(name)]
    if uuids and await _counted(requests, collection, key, uuids) != sum(counts[name] for name in uuids):
        return None
    return list(counts)


async def _counted(requests: Requests, collection: str, key: str, values: list[str]) -> int | None:
    """None where strict mode does not count exactly, or not so many values at once."""
    try:
        return await requests.count_values(collection, key, values)
    except QdrantRejected as error:
        if error.about not in (About.NOT_EXACT, About.TOO_LARGE):
            raise
        return None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
