"""The records of one namespace as one view of it sees them, and exact searches over them."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shardroute.testing._pinecone_filter import Condition

Vector: TypeAlias = NDArray[np.float32]


class Sparse(NamedTuple):
    """A sparse vector: indices, each once, and their values."""

    indices: NDArray[np.uint32]
    values: Vector


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored under an id. Vectors by the name of their field; never changed, only replaced."""

    id: str
    dense: Mapping[str, Vector] = field(default_factory=dict)
    sparse: Mapping[str, Sparse] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Table:
    """Records by id. Orders and matrices are built at their first use and kept up from then on."""

    records: dict[str, Record]

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Delete everything."""
        self.records = {}
        self._order: list[str] | None = None
        self._rows: dict[str, Rows] = {}
        self._postings: dict[str, Postings] = {}

    def put(self, record: Record) -> None:
        """Insert or replace."""
        if self._order is not None and record.id not in self.records:
            insort(self._order, record.id)
        self.records[record.id] = record
        for name, rows in self._rows.items():
            rows.put(record.id, record.dense.get(name))
        for name, postings in self._postings.items():
            postings.put(record.id, record.sparse.get(name))

    def drop(self, record_id: str) -> None:
        """Delete; an id that is not there is passed over."""
        if self.records.pop(record_id, None) is None:
            return
        if self._order is not None:
            del self._order[bisect_left(self._order, record_id)]
        for rows in self._rows.values():
            rows.put(record_id, None)
        for postings in self._postings.values():
            postings.put(record_id, None)

    def matching(self, condition: Condition) -> list[Record]:
        """The records whose metadata the condition accepts."""
        return [record for record in self.records.values() if condition(record.metadata)]

    def after(self, last: str | None, prefix: str = "") -> Iterator[Record]:
        """Records in the order of their ids ("C" collation), behind `last`, with the prefix."""
        if self._order is None:
            self._order = sorted(self.records)
        order = self._order
        start = (
            bisect_left(order, prefix)
            if last is None
            else max(bisect_right(order, last), bisect_left(order, prefix))
        )
        ids = itertools.islice(order, start, None)
        return (
            self.records[found] for found in itertools.takewhile(lambda found: found.startswith(prefix), ids)
        )

    def dense_scores(self, name: str, vector: Vector, metric: str) -> tuple[list[str], Vector]:
        """Ids and their scores: cosine, dot product, or the square of the euclidean distance."""
        if name not in self._rows:
            self._rows[name] = rows = Rows(vector.size)
            for record in self.records.values():
                rows.put(record.id, record.dense.get(name))
        return self._rows[name].scores(vector, metric)

    def sparse_scores(self, name: str, sparse: Sparse) -> dict[str, float]:
        """Dot products with the records that share an index with the query."""
        if name not in self._postings:
            self._postings[name] = postings = Postings()
            for record in self.records.values():
                postings.put(record.id, record.sparse.get(name))
        return self._postings[name].scores(sparse)


class Rows:
    """Dense vectors as rows of one growing matrix, in no order; a dropped row is filled by the last."""

    def __init__(self, dimension: int) -> None:
        self.ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._matrix: Vector = np.zeros((8, dimension), dtype=np.float32)
        self._norms: Vector = np.ones(8, dtype=np.float32)

    def put(self, record_id: str, vector: Vector | None) -> None:
        """Set the row of an id; None takes it out."""
        if vector is None:
            self._drop(record_id)
            return
        row = self._row_of.get(record_id)
        if row is None:
            row = self._row_of[record_id] = len(self.ids)
            self.ids.append(record_id)
            if row == len(self._matrix):
                self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
                self._norms = np.concatenate([self._norms, np.ones_like(self._norms)])
        self._matrix[row] = vector
        self._norms[row] = np.linalg.norm(vector)

    def scores(self, vector: Vector, metric: str) -> tuple[list[str], Vector]:
        """Ids and their scores, in step."""
        matrix = self._matrix[: len(self.ids)]
        if metric == "euclidean":
            gaps = matrix - vector
            return self.ids, np.einsum("ij,ij->i", gaps, gaps)
        products: Vector = matrix @ vector
        if metric == "cosine":
            length = float(np.linalg.norm(vector)) or 1.0  # all zeros: nothing is like it, and nothing unlike
            products = np.clip(products / (self._norms[: len(self.ids)] * length), -1, 1)
        return self.ids, products

    def _drop(self, record_id: str) -> None:
        row = self._row_of.pop(record_id, None)
        if row is None:
            return
        last = self.ids.pop()
        if last != record_id:
            self.ids[row], self._row_of[last] = last, row
            self._matrix[row], self._norms[row] = self._matrix[len(self.ids)], self._norms[len(self.ids)]


class Postings:
    """Sparse vectors by index: who has it, and with which value."""

    def __init__(self) -> None:
        self._values: dict[int, dict[str, float]] = {}
        self._indices: dict[str, list[int]] = {}

    def put(self, record_id: str, sparse: Sparse | None) -> None:
        """Set the sparse vector of an id; None takes it out."""
        for index in self._indices.pop(record_id, ()):
            del self._values[index][record_id]
        if sparse is None:
            return
        self._indices[record_id] = sparse.indices.tolist()
        for index, value in zip(self._indices[record_id], sparse.values.tolist(), strict=True):
            self._values.setdefault(index, {})[record_id] = value

    def scores(self, sparse: Sparse) -> dict[str, float]:
        """The dot product of everyone who has one of the indices."""
        scores: dict[str, float] = {}
        for index, weight in zip(sparse.indices.tolist(), sparse.values.tolist(), strict=True):
            for record_id, value in self._values.get(index, {}).items():
                scores[record_id] = scores.get(record_id, 0.0) + weight * value
        return scores


def best(scores: Mapping[str, float], top_k: int, *, lowest: bool) -> list[tuple[str, float]]:
    """The `top_k` best, best first, equal ones by id."""
    sign = 1 if lowest else -1
    if len(scores) > top_k:
        ids, values = list(scores), np.fromiter(scores.values(), dtype=np.float64) * sign
        limit = np.partition(values, top_k - 1)[top_k - 1]
        scores = {ids[row]: scores[ids[row]] for row in np.flatnonzero(values <= limit).tolist()}
    return sorted(scores.items(), key=lambda item: (sign * item[1], item[0]))[:top_k]


def only(ids: Collection[str], table: Table, condition: Condition | None) -> Collection[str]:
    """Those of the ids whose record the condition accepts."""
    if condition is None:
        return ids
    return {found for found in ids if condition(table.records[found].metadata)}
