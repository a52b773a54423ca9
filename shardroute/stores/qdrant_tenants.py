"""Which tenants a Qdrant cluster holds: by the names of collections, or by the values of a payload field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Collection
from uuid import UUID

from ..ports import Unnamed
from ..topology import Placement, TenantOf
from ..truncation import quoted
from .qdrant_errors import About, QdrantRejected
from .qdrant_requests import Requests
from .qdrant_tenancy import TenantField, TenantValue

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


async def by_collection(
    requests: Requests, placement: Placement, collections: Collection[str]
) -> AsyncIterator[str]:
    """The tenants named in collections that fit the pattern, are among those given (if any) and hold anything."""
    async for name, value in _fitting(requests, placement.collection, collections):
        tenant = placement.tenant_of.tenant(value)
        if tenant is not None and await _holds_anything(requests, name):
            yield tenant


async def unnamed_collections(
    requests: Requests, placement: Placement, collections: Collection[str]
) -> AsyncIterator[Unnamed]:
    """Collections that fit the pattern, with something that is no tenant's in the tenant's place."""
    async for name, value in _fitting(requests, placement.collection, collections):
        if placement.tenant_of.tenant(value) is None and (held := await requests.count_all(name)):
            yield Unnamed(name, repr(value), held)


async def _fitting(
    requests: Requests, pattern: str, collections: Collection[str]
) -> AsyncIterator[tuple[str, str]]:
    fitting = naming(pattern)
    for name in await requests.collections():
        fits = fitting.fullmatch(name) if len(name) <= LONGEST_NAME else None
        if fits and (not collections or name in collections):
            yield name, fits["tenant"]


async def _holds_anything(requests: Requests, collection: str) -> bool:
    try:
        found, _ = await requests.scroll_key(collection, "none", None, 1)
    except QdrantRejected as error:
        if error.about is not About.NO_COLLECTION:  # purged since it was listed
            raise
        return False
    return bool(found)


async def by_field(
    requests: Requests, field: TenantField, tenant_of: TenantOf, collections: Collection[str]
) -> AsyncIterator[str]:
    """The tenants that the field names in those of the collections that exist."""
    seen: set[str] = set()
    for collection in collections:
        async for value, _ in _values(requests, field, collection, names_only=True):
            tenant = _named(field, tenant_of, value)
            if tenant is not None and tenant not in seen:
                seen.add(tenant)
                yield tenant


async def unnamed_by_field(
    requests: Requests, field: TenantField, tenant_of: TenantOf, collections: Collection[str]
) -> AsyncIterator[Unnamed]:
    """Counts points by a value of the field that is no tenant's; a field that is not there is 'nothing'."""
    for collection in collections:
        found: Counter[str] = Counter()
        async for value, points in _values(requests, field, collection, names_only=False):
            if _named(field, tenant_of, value) is None:
                found[_shown(value)] += points
        for value, points in sorted(found.items()):
            yield Unnamed(collection, value, points)


def _named(field: TenantField, tenant_of: TenantOf, value: object) -> str | None:
    text = field.text(value)
    return None if text is None else tenant_of.tenant(text)


def _shown(value: object) -> str:
    """Numbers by their kind: there may be as many as records."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "numbers"
        case str():
            return quoted(repr(value))
        case _:
            return "something else"


async def _values(
    requests: Requests, field: TenantField, collection: str, *, names_only: bool
) -> AsyncIterator[tuple[object, int]]:
    """Every value of the field, with how many points; some values more than once.

    `names_only`: what no tenant can be called may be left out, where an index has all that one can.
    """
    try:
        faceted = await _facet(requests, field, collection) or {}
        for held, points in faceted.items():
            yield held, points
        # An index holds values of its kind only: what else there is, and points without any, are read one by one.
        enough = names_only and any(field.text(held) is not None for held in faceted)
        if not enough and (not faceted or await requests.count_others(collection, field.key, list(faceted))):
            async for value in _scrolled(requests, field, collection, list(faceted)):
                yield value, 1
    except QdrantRejected as error:
        if error.about is not About.NO_COLLECTION:  # purged since it was listed
            raise


async def _scrolled(
    requests: Requests, field: TenantField, collection: str, without: list[TenantValue]
) -> AsyncIterator[object]:
    offset, size = None, _PAGE
    while True:
        try:
            page, offset = await requests.scroll_key(collection, field.key, offset, size, without=without)
        except QdrantRejected as error:
            if error.about is not About.TOO_LARGE or size == 1:  # strict mode has pages of its own size
                raise
            size //= 2
            continue
        for point in page:
            for value in field.held(point.payload) or (None,):
                yield value
        if offset is None:
            return


async def _facet(requests: Requests, field: TenantField, collection: str) -> dict[TenantValue, int] | None:
    """The field's values and their points by one request; None where that is not to be had, or not to be trusted."""
    try:
        hits = await requests.facet(collection, field.key, FACET_LIMIT)
    except QdrantRejected as error:
        if error.about is About.NO_COLLECTION:
            raise
        return None  # no index on the field
    if len(hits) >= FACET_LIMIT:
        return None
    counts = {hit.value: hit.count for hit in hits if not isinstance(hit.value, bool) and hit.count}
    # Names that read as UUIDs may come back respelled; then fewer points have the name than were counted.
    uuids = [name for name in counts if isinstance(name, str) and _is_uuid(name)]
    if uuids and await _counted(requests, collection, field.key, uuids) != sum(
        counts[name] for name in uuids
    ):
        return None
    return counts


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
