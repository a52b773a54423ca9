"""Points in the shapes of Qdrant's client and back. Pure, but for what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import orjson
from qdrant_client import models

from ..errors import InvalidInput, InvalidRecord
from ..native_ids import native_id
from ..records import EMPTY, Metadata, Metric, Record, SparseVector, Vector, VectorLike
from .coverage import Coverage

PointId: TypeAlias = int | str | UUID
Shown: TypeAlias = list[float] | dict[str, Any] | None

_LARGEST_ID = (1 << 64) - 1


def record_id(point_id: object) -> str:
    """The record's id: a number in digits, a UUID in the one spelling that Qdrant gives back.

    Other text stays as it is: shardroute may have written it. Raises InvalidRecord for what Qdrant has no point of.
    """
    if isinstance(point_id, int) and not isinstance(point_id, bool) and 0 <= point_id <= _LARGEST_ID:
        return str(point_id)
    if isinstance(point_id, UUID):
        return str(point_id)
    if not isinstance(point_id, str) or (point_id.isdecimal() and len(point_id) != 32):
        raise InvalidRecord(f"point id {point_id!r} is neither a number below 2**64 nor a UUID")
    try:
        return str(UUID(point_id))
    except ValueError:
        return point_id


def point_id(name: str) -> int | str:
    """The id as it was written: digits were a number, for Qdrant takes no text that looks like one."""
    native = native_id(name)
    return name if native is None else native


@dataclass(frozen=True, slots=True)
class Shapes:
    """The names that the application has for a point's vectors, and the payload field that is its tenant's name."""

    coverage: Coverage
    tenant: str
    vector_name: str
    sparse_name: str
    tenant_field: str | None

    # -- in --------------------------------------------------------------------------------------------------

    def records(self, points: object) -> list[Record]:
        """Raises InvalidInput, NotCovered."""
        if isinstance(points, models.Batch):
            return [self._record(*parts) for parts in _rows(points)]
        if not isinstance(points, Sequence):
            raise self._no(f"upsert(points={type(points).__name__})")
        return [self._record_of(point) for point in points]

    def _record_of(self, point: object) -> Record:
        if not isinstance(point, models.PointStruct):
            raise self._no(f"upsert(points=[{type(point).__name__}])")
        return self._record(point.id, point.vector, point.payload)

    def _record(self, name: object, vector: object, payload: Mapping[str, Any] | None) -> Record:
        dense, sparse = self._vectors(vector)
        return Record(record_id(name), dense, self.metadata(payload), sparse)

    def metadata(self, payload: Mapping[str, Any] | None) -> Metadata:
        """The payload without the tenant's field. Raises InvalidRecord if that names another tenant."""
        if self.tenant_field is None or not payload or self.tenant_field not in payload:
            return payload or EMPTY
        if payload[self.tenant_field] != self.tenant:
            raise InvalidRecord(
                f"payload says {self.tenant_field} = {payload[self.tenant_field]!r}, and this client is tenant "
                f"{self.tenant!r}'s"
            )
        return {key: value for key, value in payload.items() if key != self.tenant_field}

    def _vectors(self, given: object) -> tuple[VectorLike | None, SparseVector | None]:
        named = given if isinstance(given, dict) else {"": given}
        if unknown := named.keys() - {self.vector_name, self.sparse_name or self.vector_name}:
            raise InvalidInput(
                f"no vector is called {min(unknown)!r} here; vector_name is {self.vector_name!r}, sparse_name "
                f"{self.sparse_name!r}"
            )
        dense, sparse = named.get(self.vector_name), None
        if self.sparse_name and (words := named.get(self.sparse_name)) is not None:
            sparse = self.sparse(words)
        return None if dense is None else self.dense(dense), sparse

    def dense(self, given: object) -> VectorLike:
        """Raises NotCovered for anything but one list of numbers."""
        if isinstance(given, np.ndarray) and given.ndim == 1:
            return given
        if isinstance(given, (list, tuple)) and not (given and isinstance(given[0], (list, tuple))):
            return given
        raise self._no(f"a vector that is a {_what(given)}")

    def sparse(self, given: object) -> SparseVector:
        if not isinstance(given, models.SparseVector):
            raise self._no(f"a sparse vector that is a {_what(given)}")
        return SparseVector(given.indices, given.values)

    def _no(self, call: str) -> Exception:
        return self.coverage.not_covered(call, "give models.PointStruct with plain or named vectors")

    # -- out -------------------------------------------------------------------------------------------------

    def payload(self, metadata: Metadata, wanted: object) -> dict[str, Any] | None:
        """`wanted`: what `with_payload` says."""
        if wanted is False or wanted is None:
            return None
        whole = {**metadata} if self.tenant_field is None else {**metadata, self.tenant_field: self.tenant}
        match wanted:
            case True:
                return whole
            case models.PayloadSelectorExclude(exclude=keys):
                return {key: value for key, value in whole.items() if key not in self._keys(keys)}
            case list() as keys:
                return {key: value for key, value in whole.items() if key in self._keys(keys)}
            case models.PayloadSelectorInclude(include=keys):
                return {key: value for key, value in whole.items() if key in self._keys(keys)}
            case _:
                raise self.coverage.not_covered(f"with_payload={type(wanted).__name__}", "name the keys")

    def _keys(self, keys: Sequence[str]) -> Sequence[str]:
        for key in keys:
            if "." in key or "[" in key:
                raise self.coverage.not_covered(
                    f"with_payload=[{key!r}]", "only top-level keys can be chosen"
                )
        return keys

    def vectors(
        self, dense: Vector | None, sparse: SparseVector | None, metric: Metric, wanted: object
    ) -> Shown:
        """`wanted`: what `with_vectors` says. Under cosine Qdrant shows unit vectors, whoever holds them."""
        if wanted is False or wanted is None:
            return None
        shown: dict[str, Any] = {}
        if dense is not None:
            shown[self.vector_name] = _numbers(_unit(dense) if metric is Metric.COSINE else dense)
        if sparse is not None and self.sparse_name:
            shown[self.sparse_name] = models.SparseVector(
                indices=sparse.indices.tolist(), values=_numbers(sparse.values)
            )
        if isinstance(wanted, (list, tuple)):
            return {name: vector for name, vector in shown.items() if name in wanted}
        return shown.get("") if shown.keys() == {""} else shown


def _rows(batch: models.Batch) -> Iterator[tuple[object, object, Mapping[str, Any] | None]]:
    payloads = batch.payloads or [{} for _ in batch.ids]
    vectors: Sequence[Any]
    if isinstance(batch.vectors, dict):
        columns = batch.vectors
        vectors = [{name: column[row] for name, column in columns.items()} for row in range(len(batch.ids))]
    else:
        vectors = batch.vectors
    if not len(batch.ids) == len(vectors) == len(payloads):
        raise InvalidInput(
            f"a batch of {len(batch.ids)} ids, {len(vectors)} vectors, {len(payloads)} payloads"
        )
    return zip(batch.ids, vectors, payloads, strict=True)


def _what(given: object) -> str:
    return f"list of {type(given[0]).__name__}" if isinstance(given, list) and given else type(given).__name__


def _unit(vector: Vector) -> Vector:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def _numbers(vector: Vector) -> list[float]:
    """In the digits in which Qdrant writes float32."""
    text = orjson.dumps(np.ascontiguousarray(vector), option=orjson.OPT_SERIALIZE_NUMPY)
    numbers: list[float] = orjson.loads(text)
    return numbers
