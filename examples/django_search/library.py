"""What the application does with a tenant: all that it knows of shardroute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from shardroute_django import SyncTenant

from shardroute import Phase, Record

from .encoder import encode
from .passages import Text

_LEAST = 0.1  # similarity of what is worth showing


class Standing(NamedTuple):
    """For people: how far a tenant is, from 0 to 4; which cluster answers its searches; what that means."""

    step: int
    cluster: str
    words: str


STANDINGS = {
    Phase.OLD: Standing(0, "old", "on the old cluster"),
    Phase.DUAL_OLD: Standing(1, "old", "being copied to the new cluster"),
    Phase.HOLD_OLD: Standing(2, "old", "crossing: writes wait for a moment"),
    Phase.HOLD_NEW: Standing(2, "new", "crossing: writes wait for a moment"),
    Phase.DUAL_NEW: Standing(3, "new", "on the new cluster, with the way back open"),
    Phase.NEW: Standing(4, "new", "on the new cluster for good"),
}


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found. `score`: from 0 to 1."""

    document: str
    title: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A document in the list."""

    id: str
    title: str
    passages: int


def add(tenant: SyncTenant, text: Text) -> None:
    """Adds a document, or replaces the one with its id."""
    before = {record.id for record in tenant.scan(filter={"document": {"$eq": text.id}}, vectors=False)}
    vectors = [encode(f"{text.title} {passage}") for passage in text.passages]
    records = [
        Record(
            f"{text.id}.{number}",
            vector,
            {
                "document": text.id,
                "title": text.title,
                "passage": number,
                "passages": len(text.passages),
                "text": passage,
            },
        )
        for number, (passage, vector) in enumerate(zip(text.passages, vectors, strict=True))
    ]
    tenant.upsert(records)
    tenant.delete(before - {record.id for record in records})


def remove(tenant: SyncTenant, document: str) -> None:
    """Removes a document, if it is there."""
    tenant.delete(filter={"document": {"$eq": document}})


def search(tenant: SyncTenant, query: str, *, most: int = 8) -> list[Hit]:
    """The passages that are nearest, best first."""
    matches = tenant.query(encode(query), top_k=most)
    return [_hit(match.metadata, match.score) for match in matches if match.score > _LEAST]


def _hit(metadata: Mapping[str, Any], score: float) -> Hit:
    return Hit(metadata["document"], metadata["title"], metadata["text"], min(1.0, score))


def entries(tenant: SyncTenant) -> list[Entry]:
    """All documents, by title."""
    firsts = tenant.scan(filter={"passage": {"$eq": 0}}, vectors=False)
    found = [record.metadata for record in firsts]
    return sorted(
        (Entry(one["document"], one["title"], one["passages"]) for one in found), key=lambda one: one.title
    )


def text(tenant: SyncTenant, document: str) -> tuple[str, list[str]] | None:
    """A document's title and passages; None if it is not there."""
    found = [record.metadata for record in tenant.scan(filter={"document": {"$eq": document}}, vectors=False)]
    if not found:
        return None
    found.sort(key=lambda one: one["passage"])
    return found[0]["title"], [one["text"] for one in found]
