"""Which records each worker writes. Pure, so that every process works it out for itself.

Own keys are written by one worker, one write after the other: documents of the corpus and new records. Shared
keys are written by all workers at the same time. New records have the same ids in all tenants, on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from .corpus import Document

OWN_DOCUMENTS = 6
OWN_NOTES = 6
SHARED = 3

LOADED = 0
"""The version of everything that is there before the workers begin."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A worker's ids in one tenant. `updated` are never deleted, `contended` never updated: so an acknowledged
    update always had something to change."""

    documents: tuple[str, ...]
    notes: tuple[str, ...]
    updated: tuple[str, ...]
    contended: tuple[str, ...]

    @property
    def own(self) -> tuple[str, ...]:
        return self.documents + self.notes


def keys_of(worker: int, workers: int, documents: Sequence[Document]) -> Keys:
    """The ids of worker 0, 1, … of `workers`."""
    mine = documents[worker : workers * OWN_DOCUMENTS : workers]
    return Keys(
        documents=tuple(document.id for document in mine),
        notes=tuple(f"note-{worker}-{number}" for number in range(OWN_NOTES)),
        updated=SHARED_UPDATED,
        contended=tuple(f"contended-{number}" for number in range(SHARED)),
    )


SHARED_UPDATED = tuple(f"shared-{number}" for number in range(SHARED))


def written_documents(workers: int, documents: Sequence[Document]) -> Sequence[Document]:
    """The documents that one of the workers writes."""
    return documents[: workers * OWN_DOCUMENTS]


def untouched(workers: int, documents: Sequence[Document]) -> Sequence[Document]:
    """The documents that no worker writes."""
    return documents[workers * OWN_DOCUMENTS :]


def version(number: int, worker: int, workers: int) -> int:
    """The `number`th version (from 0) of a worker: growing, no other worker's, and after LOADED."""
    return LOADED + 1 + number * workers + worker


def chosen(documents: Sequence[Document], record_id: str, base: int) -> Document:
    """The document whose text a written record carries: known from id and version, so that it can be checked."""
    return documents[crc32(f"{record_id} {base}".encode()) % len(documents)]
