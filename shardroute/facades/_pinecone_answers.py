"""Records in the shapes of Pinecone's SDK and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from pinecone import ScoredVector, SparseValues, Vector
from pinecone._internal.vector_factory import VectorFactory  # what the SDK itself reads arguments with

from ..errors import InvalidInput
from ..records import Match, Metadata, Metric, Record, SparseVector
from ..stores.pinecone_records import shortest

Vectors: TypeAlias = Sequence[
    Vector | tuple[str, Sequence[float]] | tuple[str, Sequence[float], Mapping[str, Any]] | Mapping[str, Any]
]
Sparse: TypeAlias = SparseValues | Mapping[str, Any]

_SEQUENCES = (list, tuple, set, frozenset)


def built(vectors: Vectors) -> list[Vector]:
    """All forms as the SDK's `Vector`. Raises its PineconeTypeError and PineconeValueError."""
    return [VectorFactory.build(vector) for vector in vectors]


def to_record(vector: Vector) -> Record:
    """Raises InvalidRecord."""
    sparse = None if vector.sparse_values is None else to_sparse(vector.sparse_values)
    return Record(vector.id, vector.values or None, to_metadata(vector.metadata or {}), sparse)


def to_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """As Pinecone takes it: what is null is not written at all, and any sequence is a list."""
    return {
        key: list(value) if isinstance(value, _SEQUENCES) else value
        for key, value in metadata.items()
        if value is not None
    }


def to_sparse(values: Sparse) -> SparseVector:
    """Raises InvalidInput for a mapping without its two keys."""
    if isinstance(values, SparseValues):
        return SparseVector(values.indices, values.values)
    if missing := {"indices", "values"} - values.keys():
        raise InvalidInput(f"a sparse vector needs {' and '.join(sorted(missing))}")
    return SparseVector(values["indices"], values["values"])


def again(vector: Vector) -> dict[str, Any]:
    """A vector that was not written, as `upsert` takes it."""
    parts: dict[str, Any] = {"id": vector.id, "values": vector.values}
    if vector.sparse_values is not None:
        parts["sparse_values"] = _sparse_parts(vector.sparse_values)
    return parts if vector.metadata is None else {**parts, "metadata": vector.metadata}


def _sparse_parts(values: SparseValues) -> dict[str, Any]:
    return {"indices": values.indices, "values": values.values}


def to_vector(record: Record) -> Vector:
    """As fetched. A record that another way of writing left without any vector has none here either."""
    return _vector(record.id, _values(record.vector), _sparse_values(record), _metadata(record.metadata))


def _vector(
    name: str, values: list[float], sparse: SparseValues | None, metadata: dict[str, Any] | None
) -> Vector:
    return Vector(name, values, sparse, metadata)


def to_scored(
    match: Match, metric: Metric, *, metadata: bool, values: bool, full: Record | None
) -> ScoredVector:
    """`full`: the match's record, where sparse values are to be shown."""
    return ScoredVector(
        id=match.id,
        score=_score(match.score, metric),
        values=_values(match.vector) if values else [],
        sparse_values=None if full is None else _sparse_values(full),
        metadata=_metadata(match.metadata) if metadata else None,
    )


def _score(score: float, metric: Metric) -> float:
    """Pinecone answers the square of the euclidean distance."""
    return score * score if metric is Metric.EUCLIDEAN else score


def _values(vector: np.ndarray[Any, np.dtype[np.float32]] | None) -> list[float]:
    """In the digits in which Pinecone writes float32."""
    return [] if vector is None else shortest(vector)[0]


def _sparse_values(record: Record) -> SparseValues | None:
    sparse = record.sparse_vector
    return None if sparse is None else SparseValues(sparse.indices.tolist(), shortest(sparse.values)[0])


def _metadata(metadata: Metadata) -> dict[str, Any] | None:
    """As Pinecone gives it back: numbers are floats, and none at all is None."""
    return {key: float(value) if type(value) is int else value for key, value in metadata.items()} or None
