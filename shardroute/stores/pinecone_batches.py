"""Requests of a size that Pinecone takes: by bytes, by count, and by the length of a URL. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote_plus

from ..ports import Change

_T = TypeVar("_T")

MAX_BYTES = 1_900_000
"""Of an upsert. The documented limit is 2 MB; the rest is for what stands around the records."""

MAX_URL = 7_000
"""Characters of ids in a URL. Nothing is documented; 8 KB for the whole request line is what proxies allow."""

PAGE = 100
"""Ids that Pinecone lists in one page, and that are fetched at once here."""


class Sized(NamedTuple, Generic[_T]):
    """Something to send, and how many bytes it takes in JSON."""

    item: _T
    size: int


def by_bytes(items: Iterable[Sized[_T]], most: int = MAX_BYTES, count: int = 1000) -> Iterator[list[_T]]:
    """Batches of at most so many bytes and items, in order; what is too large alone goes alone."""
    batch: list[_T] = []
    held = 0
    for item, size in items:
        if batch and (held + size > most or len(batch) == count):
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += size
    if batch:
        yield batch


def by_url(ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids for one `GET` each: at most a page, and a URL that arrives."""
    return by_bytes((Sized(name, len(quote_plus(name)) + len("ids=&")) for name in ids), MAX_URL, PAGE)


def in_pages(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Slices of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


def halves(batch: list[_T]) -> tuple[list[_T], list[_T]]:
    """Two batches for one that was too large."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


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
