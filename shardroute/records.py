"""Records, matches and queries: frozen values, checked once when they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput, InvalidRecord
from .filters import Filter, is_text

Vector: TypeAlias = NDArray[np.float32]
VectorLike: TypeAlias = Sequence[float] | NDArray[Any]
Metadata: TypeAlias = Mapping[str, Any]

EMPTY: Metadata = MappingProxyType({})
NO_VECTORS: Mapping[str, Any] = MappingProxyType({})
RESERVED_PREFIX = "__shardroute"
"""Metadata keys that begin so are shardroute's own in stores that need to keep something beside it."""

MAX_ID_LENGTH = 512
"""Characters of an id: Pinecone's limit, the narrower of the two vendors."""

MAX_DEPTH = 100
"""Of lists and mappings within metadata: the JSON parser of Qdrant takes 128, the request's own included."""

FLOAT32_TOLERANCE = 1e-5
"""Two float32 components that differ by less, relative to the vector's norm, are the same component."""

FLOAT16_TOLERANCE = 1e-3
"""The same, where one side keeps float16, with 11 bits of each component: half of the last is 2**-11 = 4.9e-4 of it."""

FLOAT64_TOLERANCE = 2e-15
"""Two floats in metadata that differ by less, relative to the larger, are one number: eight units in the last place.

Qdrant's JSON parser is off by up to two units for every ninth number of 17 digits, each time that it reads one
(measured on 1.18; serde_json without `float_roundtrip`), so what was written is not quite what comes back.
"""


_FLOAT32 = np.dtype(np.float32)


class Metric(StrEnum):
    """How near two vectors are. Cosine and dot: higher is nearer; euclidean (true L2): lower is nearer."""

    COSINE = "cosine"
    DOT = "dot"
    EUCLIDEAN = "euclidean"


def as_vector(values: VectorLike, *, what: str = "vector") -> Vector:
    """A one-dimensional float32 array of finite numbers.

    Raises InvalidRecord on NaN, infinity, an empty vector or more than one dimension.
    """
    vector = values if _is_float32(values) else _converted(values, what)
    if vector.ndim != 1 or not vector.size:
        raise InvalidRecord(
            f"{what} has shape {vector.shape}; one dimension and at least one number is needed"
        )
    finite = np.isfinite(vector)
    first = finite.argmin()  # of booleans: where the first one is that is not
    if not finite.item(first):
        raise InvalidRecord(f"{what} holds NaN or infinity at position {first}")
    return vector


def as_rows(values: object, *, what: str) -> Vector:
    """A two-dimensional float32 array of finite numbers, a vector in each row. Raises InvalidRecord."""
    rows = _converted(values, what)
    if rows.ndim != 2 or not rows.size:
        raise InvalidRecord(
            f"{what} has shape {rows.shape}; a multivector is a list of vectors of one length"
        )
    as_vector(rows.reshape(-1), what=what)
    return rows


def _is_float32(values: VectorLike) -> TypeGuard[Vector]:
    return isinstance(values, np.ndarray) and values.dtype == _FLOAT32


def _converted(values: Any, what: str) -> Vector:
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinity, which is refused later
            return np.asarray(values, dtype=_FLOAT32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRecord(f"{what} is not a list of numbers: {error}") from error


def check_id(record_id: object) -> str:
    """The id, if it is 1 to 512 printable characters without NUL. Raises InvalidRecord."""
    if not isinstance(record_id, str) or not record_id:
        raise InvalidRecord(f"a record's id must be a non-empty string, not {record_id!r}")
    if len(record_id) > MAX_ID_LENGTH or "\0" in record_id:
        raise InvalidRecord(
            f"id {record_id[:40]!r}… has {len(record_id)} characters; at most {MAX_ID_LENGTH}, no NUL"
        )
    if not is_text(record_id):
        raise InvalidRecord(f"id {record_id[:40]!r} cannot be written as UTF-8")
    return record_id


def check_metadata(metadata: object) -> Metadata:
    """The metadata, if it is a mapping of string keys to JSON values without NaN. Raises InvalidRecord."""
    if not isinstance(metadata, Mapping):
        raise InvalidRecord(f"metadata must be a mapping, not {type(metadata).__name__}")
    for key, value in metadata.items():
        if not isinstance(key, str) or not is_text(key):
            raise InvalidRecord(f"metadata key {key!r} is not a string, or none that UTF-8 can hold")
        if key.startswith(RESERVED_PREFIX):
            raise InvalidRecord(
                f"metadata key {key!r}: keys that begin with {RESERVED_PREFIX!r} are reserved"
            )
        _check_value(value, key)
    return metadata


def _check_value(value: object, path: str, depth: int = 1) -> None:
    if value is None or isinstance(value, (bool, int)):
        return
    if isinstance(value, str):
        if not is_text(value):
            raise InvalidRecord(f"metadata {path!r} cannot be written as UTF-8")
        return
    if depth > MAX_DEPTH:
        raise InvalidRecord(f"metadata {path[:40]!r}… is nested deeper than {MAX_DEPTH}")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidRecord(f"metadata {path!r} is {value}: JSON has no such number")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_value(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not is_text(key):
                raise InvalidRecord(
                    f"metadata {path!r} has the key {key!r}, which is not a string, or none that UTF-8 can hold"
                )
            _check_value(item, f"{path}.{key}", depth + 1)
    else:
        raise InvalidRecord(f"metadata {path!r} is a {type(value).__name__}, which JSON cannot hold")


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """Indices (whole numbers, unique, any order) and their values, of one length."""

    indices: NDArray[np.uint32]
    values: Vector

    def __init__(self, indices: Sequence[int] | NDArray[Any], values: VectorLike) -> None:
        try:
            places = np.asarray(indices)
        except ValueError as error:
            raise InvalidRecord(f"sparse vector's indices are not a list: {error}") from error
        numbers = as_vector(values, what="sparse vector")
        if places.ndim != 1 or len(places) != len(numbers):
            raise InvalidRecord(f"sparse vector has {places.size} indices and {numbers.size} values")
        if not np.issubdtype(places.dtype, np.integer) or places.min() < 0 or places.max() >= 1 << 32:
            raise InvalidRecord("sparse vector's indices must be whole numbers from 0 to 2**32 - 1")
        if len(np.unique(places)) != len(places):
            raise InvalidRecord("sparse vector names an index twice")
        order = np.argsort(places)
        object.__setattr__(self, "indices", places[order].astype(np.uint32))
        object.__setattr__(self, "values", numbers[order])


NamedVectors: TypeAlias = Mapping[str, Vector | SparseVector]
"""By name: a float32 array of shape (n,), or (m, n) where it is a multivector of m vectors, or a sparse vector."""


def as_named_vectors(vectors: Mapping[str, Any]) -> NamedVectors:
    """Each as it is kept; lists become arrays, and lists of lists multivectors. Raises InvalidRecord."""
    return {name: _as_named_vector(name, given) for name, given in vectors.items()}


def _as_named_vector(name: object, given: Any) -> Vector | SparseVector:
    if not isinstance(name, str) or not name or not is_text(name):
        raise InvalidRecord(f"a named vector's name must be a non-empty string, not {name!r}")
    if isinstance(given, SparseVector):
        return given
    first = given[0] if isinstance(given, (list, tuple, np.ndarray)) and len(given) else None
    nested = isinstance(first, (list, tuple, np.ndarray))
    return as_rows(given, what=f"vector {name!r}") if nested else as_vector(given, what=f"vector {name!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What a tenant stores under an id.

    `vector` is a float32 array of the topology's dimension, or None where the record has none. `named_vectors` are
    those that the placement does not name, where the cluster has such (Qdrant): they are kept and moved, and not
    searched. Lists are accepted and converted. Raises InvalidRecord.
    """

    id: str
    vector: Vector | None = None
    metadata: Metadata = field(default_factory=lambda: EMPTY)
    sparse_vector: SparseVector | None = None
    named_vectors: NamedVectors = field(default_factory=lambda: NO_VECTORS)

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name in every vendor's API
        vector: VectorLike | None = None,
        metadata: Metadata | None = None,
        sparse_vector: SparseVector | None = None,
        named_vectors: Mapping[str, Any] | None = None,
    ) -> None:
        named = as_named_vectors(named_vectors) if named_vectors else NO_VECTORS
        object.__setattr__(self, "id", check_id(id))
        object.__setattr__(self, "vector", None if vector is None else as_vector(vector))
        object.__setattr__(self, "metadata", EMPTY if metadata is None else check_metadata(metadata))
        object.__setattr__(self, "sparse_vector", sparse_vector)
        object.__setattr__(self, "named_vectors", named)

    @classmethod
    def trusted(
        cls,
        record_id: str,
        vector: Vector | None,
        metadata: Metadata,
        sparse_vector: SparseVector | None = None,
        named_vectors: NamedVectors = NO_VECTORS,
    ) -> Record:
        """A record as a cluster gave it back: not checked again."""
        record = cls.__new__(cls)
        object.__setattr__(record, "id", record_id)
        object.__setattr__(record, "vector", vector)
        object.__setattr__(record, "metadata", metadata)
        object.__setattr__(record, "sparse_vector", sparse_vector)
        object.__setattr__(record, "named_vectors", named_vectors)
        return record

    @property
    def vector_names(self) -> list[str]:
        """Which vectors it has, in the words of `difference`."""
        placed = {"vector": self.vector, "sparse vector": self.sparse_vector}
        return [
            *(name for name, held in placed.items() if held is not None),
            *(f"vector {name!r}" for name in self.named_vectors),
        ]

    def with_vector(self, vector: Vector | None) -> Record:
        """The same record with another vector, not checked again."""
        return Record.trusted(self.id, vector, self.metadata, self.sparse_vector, self.named_vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """One hit of a query, best first. `vector` is None unless asked for."""

    id: str
    score: float
    metadata: Metadata = field(default_factory=lambda: EMPTY)
    vector: Vector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A nearest-neighbour query: dense, sparse or (where the store can) both.

    `text` stands for the vector where each side makes its own (`stores.encoded`); no other store is asked with it.
    """

    vector: Vector | None
    top_k: int = 10
    filter: Filter | None = None
    sparse_vector: SparseVector | None = None
    include_metadata: bool = True
    include_vector: bool = False
    text: str | None = None

    def __post_init__(self) -> None:
        if self.vector is None and self.sparse_vector is None and self.text is None:
            raise InvalidInput(
                "a query needs a vector, a sparse vector or both; or `text`, where the topologies have encoders"
            )
        if not _is_whole(self.top_k) or not 1 <= self.top_k <= 10_000:
            raise InvalidInput(f"top_k is {self.top_k!r}; it must be a whole number from 1 to 10,000")


def _is_whole(number: object) -> bool:
    return type(number) is int or (isinstance(number, (int, np.integer)) and not isinstance(number, bool))


def check_dimension(vector: Vector | None, dimension: int, metric: Metric, *, what: str) -> None:
    """Raises InvalidRecord when a vector cannot live in a collection of this dimension and metric."""
    if vector is None:
        return
    if vector.size != dimension:
        raise InvalidRecord(f"{what}: vector has {vector.size} dimensions, the collection has {dimension}")
    if (
        metric is Metric.COSINE and not vector.item(0) and not vector.any()
    ):  # the first number tells nearly always
        raise InvalidRecord(f"{what}: a zero vector has no direction, and the metric is cosine")


@dataclass(frozen=True, slots=True)
class Precision:
    """How far apart two components of equal vectors may be, relative to the vector's norm: of each kind of vector."""

    vector: float = FLOAT32_TOLERANCE
    sparse: float = FLOAT32_TOLERANCE
    named: Mapping[str, float] = field(default_factory=lambda: NO_VECTORS)

    def of(self, name: str) -> float:
        return self.named.get(name, FLOAT32_TOLERANCE)


FLOAT32 = Precision()


def same_vector(
    one: Vector | None, two: Vector | None, metric: Metric, tolerance: float = FLOAT32_TOLERANCE
) -> bool:
    """Of one shape, and equal within the tolerance; under cosine, equal in direction."""
    if one is None or two is None:
        return one is two
    if one.shape != two.shape:
        return False
    left, right = one.astype(np.float64), two.astype(np.float64)
    # Of a multivector, the longest of its vectors.
    norms = float(np.linalg.norm(left, axis=-1).max()), float(np.linalg.norm(right, axis=-1).max())
    if metric is Metric.COSINE:
        left, right, norms = left / (norms[0] or 1.0), right / (norms[1] or 1.0), (1.0, 1.0)
    return bool(np.abs(left - right).max() <= tolerance * max(*norms, 1e-30))


def same_metadata(one: Metadata, two: Metadata) -> bool:
    """Equal as JSON; numbers compare as numbers (42 = 42.0, but True is not 1), floats within FLOAT64_TOLERANCE."""
    return one.keys() == two.keys() and all(_same_value(value, two[key]) for key, value in one.items())


def _same_value(one: Any, two: Any) -> bool:
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=FLOAT64_TOLERANCE)
    if isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)):
        return len(one) == len(two) and all(map(_same_value, one, two))
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return same_metadata(one, two)
    return bool(one == two)


def difference(one: Record, two: Record, metric: Metric, precision: Precision = FLOAT32) -> str | None:
    """What differs between two records of one id, in words; None when they are the same."""
    if not same_vector(one.vector, two.vector, metric, precision.vector):
        return "vector"
    if not _same_sparse(one.sparse_vector, two.sparse_vector, precision.sparse):
        return "sparse vector"
    for name in sorted({*one.named_vectors, *two.named_vectors}):
        if not _same_named(one.named_vectors.get(name), two.named_vectors.get(name), precision.of(name)):
            return f"vector {name!r}"
    if not same_metadata(one.metadata, two.metadata):
        keys = {*one.metadata, *two.metadata}
        missing = object()
        differing = sorted(
            key
            for key in keys
            if not _same_value(one.metadata.get(key, missing), two.metadata.get(key, missing))
        )
        return f"metadata: {', '.join(differing)}"
    return None


def _same_sparse(one: SparseVector | None, two: SparseVector | None, tolerance: float) -> bool:
    if one is None or two is None:
        return one is two
    return np.array_equal(one.indices, two.indices) and same_vector(
        one.values, two.values, Metric.DOT, tolerance
    )


def _same_named(
    one: Vector | SparseVector | None, two: Vector | SparseVector | None, tolerance: float
) -> bool:
    """Whatever its metric is: both sides have the same, so both have made unit vectors of it, or neither."""
    if isinstance(one, SparseVector) or isinstance(two, SparseVector):
        return (
            isinstance(one, SparseVector)
            and isinstance(two, SparseVector)
            and _same_sparse(one, two, tolerance)
        )
    return same_vector(one, two, Metric.DOT, tolerance)
