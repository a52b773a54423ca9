"""Requests of a size that a cluster takes: by bytes and by count. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

_T = TypeVar("_T")


class Sized(NamedTuple, Generic[_T]):
    """Something to send, and how many bytes it takes on the way."""

    item: _T
    size: int


def by_bytes(items: Iterable[Sized[_T]], most: int, count: int = 1000) -> Iterator[list[_T]]:
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


def in_pages(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Slices of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


def halves(batch: list[_T]) -> tuple[list[_T], list[_T]]:
    """Two batches for one that was too large."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]
