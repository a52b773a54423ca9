"""What Pinecone can hold of a record, under both of its APIs. Pure.

Limits: docs.pinecone.io/reference/api/database-limits and the SDK's own checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

from ..ports import Change
from ..records import MAX_ID_LENGTH, Metadata, Metric, SparseVector, Vector
from .pinecone_freshness import FENCE_ID

MAX_METADATA_BYTES = 40 * 1024
MAX_SPARSE_VALUES = 1000
"""Of a sparse vector beside a dense one."""

_EXACT_IN_FLOAT64 = 1 << 53

METRICS = {"cosine": Metric.COSINE, "dotproduct": Metric.DOT, "euclidean": Metric.EUCLIDEAN}
METRIC_NAMES = {metric: name for name, metric in METRICS.items()}


def possible_id(name: str) -> bool:
    """Whether Pinecone has ids like it: 1 to 512 ASCII characters, no NUL."""
    return 0 < len(name) <= MAX_ID_LENGTH and name.isascii() and "\0" not in name


def id_misfit(name: str) -> str | None:
    if name == FENCE_ID:
        return f"id {name!r} is reserved"
    return None if possible_id(name) else f"id {name!r}: Pinecone takes 1 to {MAX_ID_LENGTH} ASCII characters"


def metadata_misfit(metadata: Metadata, taken: Callable[[str], str | None]) -> str | None:
    """Why Pinecone cannot keep the metadata, naming the key. `taken` says what else a key means."""
    for key, value in metadata.items():
        reason = taken(key) or _value_misfit(value)
        if reason is not None:
            return f"metadata {key!r} {reason}"
    try:
        size = len(orjson.dumps(dict(metadata)))
    except TypeError as error:
        return f"metadata cannot be written as JSON: {error}"
    if size > MAX_METADATA_BYTES:
        return f"metadata is {size} bytes of JSON; Pinecone takes {MAX_METADATA_BYTES}"
    return None


def empty_list_misfit(metadata: Metadata) -> str | None:
    """Why a cluster cannot keep it on which `$exists` is to mean what it means elsewhere."""
    for key, value in metadata.items():
        if isinstance(value, list | tuple) and not value:
            return (
                f"metadata {key!r} is an empty list, which Pinecone's $exists takes as there and other stores as "
                "absent; leave the key out, or set empty_lists = true on the cluster, which then refuses $exists"
            )
    return None


def _value_misfit(value: object) -> str | None:
    match value:
        case str() | bool() | float():
            return None
        case int():
            fits = abs(value) <= _EXACT_IN_FLOAT64
            return None if fits else f"is {value}, and Pinecone's numbers are float64: it would be rounded"
        case None:
            return "is null, which Pinecone does not keep"
        case list() | tuple():
            words = all(isinstance(item, str) for item in value)
            return None if words else "is a list with something other than strings"
        case _:
            return f"is a {'nested object' if isinstance(value, Mapping) else type(value).__name__}"


def vector_misfit(vector: Vector | None) -> str | None:
    if vector is not None and not vector.any():
        return "its vector is all zeros, which Pinecone refuses under every metric"
    return None


def sparse_misfit(sparse: SparseVector | None) -> str | None:
    if sparse is not None and sparse.values.size > MAX_SPARSE_VALUES:
        return f"its sparse vector has {sparse.values.size} values; Pinecone takes {MAX_SPARSE_VALUES}"
    return None


def shortest(vector: Vector) -> tuple[list[float], int]:
    """The numbers in the fewest digits from which float32 is read back, and their bytes in JSON.

    `tolist` would give the digits of float64: nearly twice the bytes, and half the records in a request.
    """
    text = orjson.dumps(np.ascontiguousarray(vector), option=orjson.OPT_SERIALIZE_NUMPY)
    numbers: list[float] = orjson.loads(text)
    return numbers, len(text)


def shortest_sparse(sparse: SparseVector) -> tuple[dict[str, Any], int]:
    """The same of a sparse vector, as both APIs write it."""
    values, size = shortest(sparse.values)
    indices = sparse.indices.tolist()
    return {"indices": indices, "values": values}, size + len(orjson.dumps(indices))


def to_vector(values: object) -> Vector | None:
    """float32 of what came back; None for nothing."""
    return np.asarray(values, dtype=np.float32) if isinstance(values, list) and values else None


def to_sparse(indices: list[int], values: list[float]) -> SparseVector | None:
    return SparseVector(indices, values) if indices else None


def without_nulls(metadata: Metadata | None) -> dict[str, Any]:
    """What a change sets; a null in it removes the key."""
    return {key: value for key, value in (metadata or {}).items() if value is not None}


def removed(change: Change) -> list[str]:
    """The keys that a change removes."""
    return [key for key, value in (change.metadata or {}).items() if value is None]


def true_distance(metric: Metric, score: float) -> float:
    """The score as the port has it: Pinecone answers the square of the euclidean distance."""
    return max(score, 0.0) ** 0.5 if metric is Metric.EUCLIDEAN else score
