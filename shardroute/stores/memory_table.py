"""What `MemoryStore` keeps of one tenant: records by id, and their dense vectors as the rows of a matrix."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..filters import Filter, matches
from ..records import NO_VECTORS, Metric, NamedVectors, Record, SparseVector, Vector


class Table:
    """The records of one tenant in one collection: metadata and sparse vectors by id, and the dense rows.

    `named`: of those records that have such.
    """

    def __init__(self) -> None:
        self.held: dict[str, tuple[dict[str, Any], SparseVector | None]] = {}
        self.named: dict[str, NamedVectors] = {}
        self.order: list[str] = []
        self.vectors = Rows()

    def put(
        self, record_id: str, vector: Vector | None, metadata: dict[str, Any], sparse: SparseVector | None
    ) -> None:
        if record_id not in self.held:
            insort(self.order, record_id)
        self.held[record_id] = (metadata, sparse)
        if vector is None:
            self.vectors.drop(record_id)
        else:
            self.vectors.put(record_id, vector)

    def name(self, record_id: str, vectors: NamedVectors) -> None:
        """These are the record's named vectors, and no others."""
        if vectors:
            self.named[record_id] = vectors
        else:
            self.named.pop(record_id, None)

    def drop(self, record_id: str) -> None:
        self.named.pop(record_id, None)
        if self.held.pop(record_id, None) is not None:
            del self.order[bisect_left(self.order, record_id)]
            self.vectors.drop(record_id)

    def record(self, record_id: str, vectors: bool) -> Record:
        metadata, sparse = self.held[record_id]
        if not vectors:
            return Record.trusted(record_id, None, dict(metadata))
        named = self.named.get(record_id, NO_VECTORS)
        return Record.trusted(record_id, self.vectors.get(record_id), dict(metadata), sparse, named)

    def select(self, condition: Filter | None) -> NDArray[np.intp] | None:
        """The rows that match; None for all of them."""
        if condition is None:
            return None
        rows = (row for row, name in enumerate(self.vectors.ids) if matches(condition, self.held[name][0]))
        return np.fromiter(rows, dtype=np.intp)

    def sparse_scores(self, query: SparseVector, condition: Filter | None) -> Iterable[tuple[str, float]]:
        """Dot products with the records that share an index with the query and match the filter."""
        weights = dict(zip(query.indices.tolist(), query.values.tolist(), strict=True))
        for record_id, (metadata, sparse) in self.held.items():
            if sparse is not None and matches(condition, metadata):
                shared = [
                    weights[index] * value
                    for index, value in zip(sparse.indices.tolist(), sparse.values.tolist(), strict=True)
                    if index in weights
                ]
                if shared:
                    yield record_id, math.fsum(shared)


class Rows:
    """Dense vectors as rows of one growing matrix, in no order; a dropped row is filled by the last."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._matrix: Vector | NDArray[np.float32] | None = None
        self._norms: NDArray[np.float32] = np.empty(0, dtype=np.float32)

    @property
    def dimension(self) -> int | None:
        return None if self._matrix is None else int(self._matrix.shape[1])

    def get(self, record_id: str) -> Vector | None:
        row = self._row_of.get(record_id)
        return None if row is None or self._matrix is None else self._matrix[row].copy()

    def put(self, record_id: str, vector: Vector) -> None:
        row = self._row_of.get(record_id)
        if row is None:
            row = self._row_of[record_id] = len(self.ids)
            self.ids.append(record_id)
        if self._matrix is None or row >= len(self._matrix):
            self._grow(vector.size)
        assert self._matrix is not None
        self._matrix[row] = vector
        self._norms[row] = math.sqrt(vector.dot(vector)) or 1.0

    def drop(self, record_id: str) -> None:
        row = self._row_of.pop(record_id, None)
        if row is None or self._matrix is None:
            return
        last = self.ids.pop()
        if last != record_id:
            self.ids[row], self._row_of[last] = last, row
            self._matrix[row], self._norms[row] = self._matrix[len(self.ids)], self._norms[len(self.ids)]
        if not self.ids:
            self._matrix = None

    def nearest(
        self, vector: Vector, metric: Metric, top_k: int, rows: NDArray[np.intp] | None
    ) -> list[tuple[str, float]]:
        """The `top_k` best of `rows` (None: all), best first, equal scores by id."""
        if self._matrix is None:
            return []
        size = len(self.ids)
        matrix, norms = self._matrix[:size], self._norms[:size]
        if rows is not None:
            matrix, norms = matrix[rows], norms[rows]
        scores = _scores(matrix, norms, vector, metric)
        costs = scores if metric is Metric.EUCLIDEAN else -scores
        best = np.argpartition(costs, top_k - 1)[:top_k] if top_k < len(costs) else np.arange(len(costs))
        picked = best if rows is None else rows[best]
        ranked = sorted(zip(costs[best].tolist(), [self.ids[row] for row in picked.tolist()], strict=True))
        sign = 1.0 if metric is Metric.EUCLIDEAN else -1.0
        return [(record_id, sign * cost) for cost, record_id in ranked]

    def _grow(self, dimension: int) -> None:
        old = self._matrix
        capacity = 8 if old is None else 2 * len(old)
        self._matrix = np.zeros((capacity, dimension), dtype=np.float32)
        norms = np.ones(capacity, dtype=np.float32)
        if old is not None:
            self._matrix[: len(old)], norms[: len(old)] = old, self._norms
        self._norms = norms


def _scores(
    matrix: NDArray[np.float32], norms: NDArray[np.float32], vector: Vector, metric: Metric
) -> NDArray[np.float32]:
    if metric is Metric.EUCLIDEAN:
        gaps = matrix - vector
        distances: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", gaps, gaps))
        return distances
    products: NDArray[np.float32] = matrix @ vector
    if metric is Metric.DOT:
        return products
    return products / (norms * (math.sqrt(vector.dot(vector)) or 1.0))
