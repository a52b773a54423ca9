"""A store in this process's memory: brute force over numpy, exact, nothing to set up.

For tests, examples and benchmarks; it follows the Protocol to the letter and is the reference for the
other stores. Every (collection, tenant) has a table of its own, so tenants cannot meet whatever the
tenancy says. Vectors are kept as given. A collection comes into being with its first record.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Any

from ..errors import ClusterRejected
from ..filters import Filter, matches
from ..ports import Change, Cursor, Limits, Page, Unnamed
from ..records import EMPTY, Match, Metadata, Metric, Query, Record, Vector, as_vector
from ..schema import Description, End
from ..topology import Place, Placement, TenancyKind
from .memory_table import Table


class MemoryData:
    """What is stored, apart from the store: several stores of one process may share it."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], Table] = {}


class MemoryStore:
    """A `ports.Store` in memory.

    `dimension` and `metric` make it refuse vectors of another length and answer `describe` before
    there is data; without them the first record decides and the place's metric is used.
    """

    system = "memory"
    address: tuple[str, int | None] = ("", None)
    limits = Limits()
    lag = 0.0
    can_insert_only = True
    can_hold_named_vectors = True

    def __init__(
        self,
        name: str,
        *,
        data: MemoryData | None = None,
        dimension: int | None = None,
        metric: Metric | None = None,
    ) -> None:
        self.name = name
        self.data = MemoryData() if data is None else data
        self._tables = self.data._tables
        self._dimension = dimension
        self._metric = metric

    def misfit(self, place: Place, record: Record) -> str | None:
        return None

    def filter_misfit(self, condition: Filter) -> str | None:
        return None

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        table = self._table(place)
        self._check_dimension(table, (record.vector for record in records))
        if table is None:
            if not records:
                return
            table = self._tables[place.collection, place.tenant] = Table()
        for record in records:
            if not (insert_only and record.id in table.held):
                table.put(record.id, record.vector, dict(record.metadata), record.sparse_vector)
                table.name(record.id, record.named_vectors)

    async def update(self, place: Place, changes: Sequence[Change]) -> None:
        table = self._table(place)
        if table is None:
            return
        vectors = [None if change.vector is None else as_vector(change.vector) for change in changes]
        self._check_dimension(table, vectors)
        for change, vector in zip(changes, vectors, strict=True):
            if (held := table.held.get(change.id)) is not None:
                table.put(
                    change.id,
                    table.vectors.get(change.id) if vector is None else vector,
                    _merged(held[0], change.metadata or EMPTY),
                    held[1] if change.sparse_vector is None else change.sparse_vector,
                )

    async def delete(self, place: Place, ids: Sequence[str]) -> None:
        if (table := self._table(place)) is not None:
            for record_id in ids:
                table.drop(record_id)

    async def query(self, place: Place, query: Query) -> list[Match]:
        table = self._table(place)
        self._check_dimension(table, (query.vector,))
        if table is None:
            return []
        ranked = self._rank(table, place.metric, query)
        return [
            Match(
                record_id,
                score,
                dict(table.held[record_id][0]) if query.include_metadata else EMPTY,
                table.vectors.get(record_id) if query.include_vector else None,
            )
            for record_id, score in ranked
        ]

    async def fetch(self, place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
        table = self._table(place)
        if table is None:
            return {}
        return {record_id: table.record(record_id, vectors) for record_id in ids if record_id in table.held}

    async def scan(
        self,
        place: Place,
        *,
        cursor: Cursor | None = None,
        limit: int = 256,
        condition: Filter | None = None,
        vectors: bool = True,
    ) -> Page:
        table = self._table(place)
        if table is None:
            return Page([], None)
        start = 0 if cursor is None else bisect_right(table.order, cursor)
        found: list[Record] = []
        for position in range(start, len(table.order)):
            record_id = table.order[position]
            if condition is None or matches(condition, table.held[record_id][0]):
                found.append(table.record(record_id, vectors))
                if len(found) == limit:
                    last = position + 1 == len(table.order)
                    return Page(found, None if last else record_id)
        return Page(found, None)

    async def count(self, place: Place, condition: Filter | None = None) -> int:
        table = self._table(place)
        if table is None:
            return 0
        if condition is None:
            return len(table.held)
        return sum(matches(condition, metadata) for metadata, _ in table.held.values())

    async def estimate(self, place: Place) -> int:
        return await self.count(place)

    async def fresh(self, place: Place) -> None:
        """Reads see every write at once."""

    async def remove(self, place: Place, ids: Sequence[str], mark: str) -> None:
        await self.delete(place, ids)

    async def describe(self, place: Place) -> Description | None:
        tables = [table for (name, _), table in self._tables.items() if name == place.collection]
        if not tables and self._dimension is None and self._metric is None:
            return None
        dimensions = (table.vectors.dimension for table in tables)
        dimension = self._dimension or next((size for size in dimensions if size is not None), None)
        sparse = any(sparse is not None for table in tables for _, sparse in table.held.values())
        return Description(dimension, self._metric, sparse)

    async def prepare(self, place: Place, like: End | None = None) -> None:
        """Nothing to make: a collection is there when it has a record."""

    async def tenants(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[str]:
        seen = set()
        for (collection, value), table in list(self._tables.items()):
            tenant = placement.tenant_of.tenant(value)
            fits = table.held and _belongs(placement, collections, collection, value)
            if fits and tenant is not None and tenant not in seen:
                seen.add(tenant)
                yield tenant

    async def unnamed(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[Unnamed]:
        """Nothing: every record was written for a tenant."""
        nothing: tuple[Unnamed, ...] = ()
        for one in nothing:
            yield one

    async def ping(self) -> None:
        """Memory always answers."""

    async def aclose(self) -> None:
        """The data stays: another store may share it."""

    def _table(self, place: Place) -> Table | None:
        return self._tables.get((place.collection, place.tenant))

    def _check_dimension(self, table: Table | None, vectors: Iterable[Vector | None]) -> None:
        expected = self._dimension or (table.vectors.dimension if table is not None else None)
        for vector in vectors:
            if vector is not None:
                expected = expected or vector.size
                if vector.size != expected:
                    raise ClusterRejected(
                        self.name, f"vector has {vector.size} dimensions, the collection has {expected}"
                    )

    def _rank(self, table: Table, metric: Metric, query: Query) -> list[tuple[str, float]]:
        if query.sparse_vector is None:
            assert query.vector is not None
            return table.vectors.nearest(query.vector, metric, query.top_k, table.select(query.filter))
        scores: dict[str, float] = defaultdict(float)
        if query.vector is not None:
            if metric is Metric.EUCLIDEAN:
                raise ClusterRejected(self.name, "a distance and a sparse score cannot be added up")
            everything = len(table.held)
            scores.update(table.vectors.nearest(query.vector, metric, everything, table.select(query.filter)))
        for record_id, score in table.sparse_scores(query.sparse_vector, query.filter):
            scores[record_id] += score
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[: query.top_k]


def _merged(held: Metadata, change: Metadata) -> dict[str, Any]:
    return {key: value for key, value in {**held, **change}.items() if key not in change or value is not None}


def _belongs(placement: Placement, collections: Collection[str], collection: str, value: str) -> bool:
    if collections or placement.tenancy.kind is not TenancyKind.COLLECTION:
        return collection in collections
    pattern = re.escape(placement.collection.replace("{tenant}", value)).replace(r"\{shard\}", r"\d+")
    return re.fullmatch(pattern, collection) is not None
