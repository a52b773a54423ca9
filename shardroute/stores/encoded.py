"""A side that makes its own vectors: a store around a store, which encodes on the way in and on queries.

Whatever vector a record carries is left aside: one that comes from the tenant's other side is of another model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace

import numpy as np

from ..encoding import Encoder, source_misfit, source_text
from ..filters import Filter
from ..ports import Change, Cursor, Limits, Page, Store, Unnamed, limits_at
from ..records import EMPTY, Match, Metadata, Query, Record, Vector, check_dimension
from ..schema import Description, End
from ..topology import Place, Placement


class EncodedStore:
    """A `ports.Store`. Besides what `inner` raises: EncoderUnavailable (retryable), EncoderMismatch, InvalidRecord."""

    __slots__ = ("_encoder", "inner", "limits")

    def __init__(self, inner: Store, encoder: Encoder) -> None:
        self.inner = inner
        self._encoder = encoder
        self.limits = _limits(inner.limits, encoder)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def system(self) -> str:
        return self.inner.system

    @property
    def address(self) -> tuple[str, int | None]:
        return self.inner.address

    @property
    def lag(self) -> float:
        return self.inner.lag

    @property
    def can_insert_only(self) -> bool:
        return self.inner.can_insert_only

    @property
    def can_hold_named_vectors(self) -> bool:
        return self.inner.can_hold_named_vectors

    def limits_at(self, place: Place) -> Limits:
        return _limits(limits_at(self.inner, place), self._encoder)

    def misfit(self, place: Place, record: Record) -> str | None:
        reason = source_misfit(record.metadata, self._encoder.source_field)
        if reason is not None:
            return reason
        some = np.ones(place.dimension, dtype=np.float32)  # in place of the vector that it will have
        return self.inner.misfit(place, record.with_vector(some))

    def filter_misfit(self, condition: Filter) -> str | None:
        return self.inner.filter_misfit(condition)

    # -- what is encoded ---------------------------------------------------------------------------------------

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        vectors = await self._vectors(place, [(record.id, record.metadata) for record in records])
        encoded = [record.with_vector(vector) for record, vector in zip(records, vectors, strict=True)]
        await self.inner.upsert(place, encoded, insert_only=insert_only)

    async def update(self, place: Place, changes: Sequence[Change]) -> None:
        """A change that sets the text sets its vector too; one that does not leaves the vector as it is."""
        field = self._encoder.source_field
        texts = [(change.id, change.metadata or EMPTY) for change in changes]
        vectors = iter(await self._vectors(place, [(name, text) for name, text in texts if field in text]))
        encoded = [
            replace(change, vector=next(vectors) if field in text else None)
            for change, (_, text) in zip(changes, texts, strict=True)
        ]
        await self.inner.update(place, encoded)

    async def query(self, place: Place, query: Query) -> list[Match]:
        if query.text is None:
            return await self.inner.query(place, query)
        (vector,) = await self._encoder.vectors([query.text])
        check_dimension(vector, place.dimension, place.metric, what="query, encoded")
        return await self.inner.query(place, replace(query, vector=vector, text=None))

    async def _vectors(self, place: Place, records: Sequence[tuple[str, Metadata]]) -> list[Vector]:
        """The vectors of ids and their metadata, in order."""
        field = self._encoder.source_field
        texts = [source_text(f"record {name!r}", metadata, field) for name, metadata in records]
        vectors = await self._encoder.vectors(texts)
        for (name, _), vector in zip(records, vectors, strict=True):
            check_dimension(vector, place.dimension, place.metric, what=f"record {name!r}, encoded")
        return vectors

    # -- what passes through -----------------------------------------------------------------------------------

    async def delete(self, place: Place, ids: Sequence[str]) -> None:
        await self.inner.delete(place, ids)

    async def fetch(self, place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
        return await self.inner.fetch(place, ids, vectors=vectors)

    async def scan(
        self,
        place: Place,
        *,
        cursor: Cursor | None = None,
        limit: int = 256,
        condition: Filter | None = None,
        vectors: bool = True,
    ) -> Page:
        return await self.inner.scan(place, cursor=cursor, limit=limit, condition=condition, vectors=vectors)

    async def count(self, place: Place, condition: Filter | None = None) -> int:
        return await self.inner.count(place, condition)

    async def estimate(self, place: Place) -> int:
        return await self.inner.estimate(place)

    async def fresh(self, place: Place) -> None:
        await self.inner.fresh(place)

    async def remove(self, place: Place, ids: Sequence[str], mark: str) -> None:
        await self.inner.remove(place, ids, mark)

    async def describe(self, place: Place) -> Description | None:
        return await self.inner.describe(place)

    async def prepare(self, place: Place, like: End | None = None) -> None:
        await self.inner.prepare(place, like)

    def unnamed(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[Unnamed]:
        return self.inner.unnamed(placement, collections)

    def tenants(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[str]:
        return self.inner.tenants(placement, collections)

    async def ping(self) -> None:
        await self.inner.ping()

    async def aclose(self) -> None:
        await self.inner.aclose()


def _limits(limits: Limits, encoder: Encoder) -> Limits:
    """One write is one round of the encoder at most: a write under way holds up a cut-over."""
    most = min(limits.upsert_records, encoder.batch * encoder.concurrency)
    return replace(limits, upsert_records=most, best_upsert_records=min(limits.best_upsert_records, most))
