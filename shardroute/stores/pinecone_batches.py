"""Requests of a size that Pinecone takes: by bytes, by count, and by the length of a URL. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote_plus

from ..ports import Change
from .batches import Sized, by_bytes

MAX_BYTES = 1_900_000
"""Of an upsert. The documented limit is 2 MB; the rest is for what stands around the records."""

MAX_URL = 7_000
"""Characters of ids in a URL. Nothing is documented; 8 KB for the whole request line is what proxies allow."""

PAGE = 100
"""Ids that Pinecone lists in one page, and that are fetched at once here."""


def by_url(ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids for one `GET` each: at most a page, and a URL that arrives."""
    return by_bytes((Sized(name, len(quote_plus(name)) + len("ids=&")) for name in ids), MAX_URL, PAGE)


def one_for_each(changes: Iterable[Change]) -> list[Change]:
    """The changes of each id in one: requests may overtake each other."""
    merged: dict[str, Change] = {}
    for change in changes:
        before = merged.get(change.id)
        merged[change.id] = change if before is None else _after(before, change)
    return list(merged.values())


def _after(before: Change, change: Change) -> Change:
    return Change(
        change.id,
        {**(before.metadata or {}), **(change.metadata or {})} or None,
        before.vector if change.vector is None else change.vector,
        before.sparse_vector if change.sparse_vector is None else change.sparse_vector,
    )
