"""Records as Qdrant's points and back: ids, payloads, vectors, and what a collection is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import numpy as np
from qdrant_client import models

from .. import native_ids
from ..errors import ClusterRejected, InvalidRecord, TenantBreach
from ..hashing import point_uuid
from ..ports import Change, Description
from ..records import (
    EMPTY,
    RESERVED_PREFIX,
    Match,
    Metadata,
    Metric,
    Record,
    SparseVector,
    Vector,
    as_vector,
)
from ..topology import IdScheme, Place, TenancyKind
from .qdrant_filters import MARK_KEY, json_key, tenant_field, within

ID_KEY = f"{RESERVED_PREFIX}_id"
"""Payload key of a record's own id, where the point's id is derived from it (`ids = "mapped"`)."""

PointId = int | str
Vectors = Vector | dict[str, Vector | SparseVector]
"""A point's vectors by name; one unnamed vector by itself."""


class Point(TypedDict):
    """A point under the names that it has in Qdrant's JSON, its vectors still arrays."""

    id: PointId
    vector: Vectors
    payload: dict[str, Any]


_INT64 = range(-(1 << 63), 1 << 63)

DISTANCES = {
    Metric.COSINE: models.Distance.COSINE,
    Metric.DOT: models.Distance.DOT,
    Metric.EUCLIDEAN: models.Distance.EUCLID,
}
_METRICS = {distance: metric for metric, distance in DISTANCES.items()}


def point_id(place: Place, record_id: str) -> PointId | None:
    """The id of the record's point; None if this place cannot hold such an id."""
    if place.ids is IdScheme.NATIVE:
        return native_ids.native_id(record_id)
    return point_uuid(place.tenant, record_id)


def point_ids(place: Place, ids: Iterable[str]) -> list[PointId]:
    """The points' ids, without those that no point can have."""
    return [held for name in ids if (held := point_id(place, name)) is not None]


def misfit(place: Place, record: Record) -> str | None:
    """Why the place cannot hold the record, or None."""
    if place.ids is IdScheme.NATIVE and (reason := native_ids.misfit(record.id)) is not None:
        return reason
    if record.sparse_vector is not None and not place.sparse_name:
        return "it has a sparse vector, and the placement names none (sparse_name)"
    return metadata_misfit(place, record.metadata)


def metadata_misfit(place: Place, metadata: Metadata) -> str | None:
    """Why the metadata cannot become a payload, or None."""
    field = tenant_field(place.tenancy)
    if field is not None and field in metadata:
        return f"metadata key {field!r} is the field that tells tenants apart here; choose another for either"
    for key, value in metadata.items():
        if key.startswith(RESERVED_PREFIX):
            return f"metadata key {key!r} is reserved"
        if type(value) is int and value not in _INT64:
            return f"metadata {key!r} is {value}, more than the 64 bits that Qdrant keeps of a whole number"
    return None


def to_point(place: Place, record: Record) -> Point:
    """The point of a record. Raises InvalidRecord if it does not fit."""
    if (reason := misfit(place, record)) is not None:
        raise InvalidRecord(f"record {record.id!r}: {reason}")
    payload = dict(record.metadata)
    if (field := tenant_field(place.tenancy)) is not None:
        payload[field] = place.tenant
    if place.ids is IdScheme.MAPPED:
        payload[ID_KEY] = record.id
    held = point_id(place, record.id)
    assert held is not None, "misfit looked"
    return {
        "id": held,
        "vector": _to_vectors(place, record.vector, record.sparse_vector),
        "payload": payload,
    }


def _to_vectors(place: Place, dense: Vector | None, sparse: SparseVector | None) -> Vectors:
    if dense is not None and sparse is None and not place.vector_name:
        return dense
    named: dict[str, Vector | SparseVector] = {} if dense is None else {place.vector_name: dense}
    if sparse is not None:
        named[place.sparse_name] = sparse
    return named


def to_struct(point: Point) -> models.PointStruct:
    """The same for qdrant-client. `model_construct`: pydantic would look at every float again."""
    return models.PointStruct.model_construct(
        id=point["id"], vector=_in_lists(point["vector"]), payload=point["payload"]
    )


def _in_lists(vectors: Vectors) -> Any:
    if not isinstance(vectors, dict):
        return vectors.tolist()
    return {
        name: to_sparse(vector) if isinstance(vector, SparseVector) else vector.tolist()
        for name, vector in vectors.items()
    }


def shard_key(place: Place) -> str | None:
    return place.tenant if place.tenancy.kind is TenancyKind.SHARD_KEY else None


def moves(change: Change) -> bool:
    """Whether it changes a vector."""
    return change.vector is not None or change.sparse_vector is not None


def set_payload(place: Place, held: PointId, metadata: Metadata) -> models.SetPayloadOperation:
    """By filter, so that it can only be the tenant's point, and one that is not there is no error."""
    own = within(place, ids=[held])
    payload = models.SetPayload(payload=dict(metadata), filter=own, shard_key=shard_key(place))
    return models.SetPayloadOperation(set_payload=payload)


def set_mark(place: Place, held: Iterable[PointId], mark: str) -> models.SetPayloadOperation:
    own = within(place, ids=list(held))
    payload = models.SetPayload(payload={MARK_KEY: mark}, filter=own, shard_key=shard_key(place))
    return models.SetPayloadOperation(set_payload=payload)


def update_vectors(place: Place, changes: Iterable[tuple[PointId, Change]]) -> models.UpdateVectorsOperation:
    moved = [
        models.PointVectors(id=held, vector=_in_lists(_moved(place, change))) for held, change in changes
    ]
    update = models.UpdateVectors(points=moved, update_filter=within(place), shard_key=shard_key(place))
    return models.UpdateVectorsOperation(update_vectors=update)


def _moved(place: Place, change: Change) -> Vectors:
    dense = None if change.vector is None else as_vector(change.vector)
    return _to_vectors(place, dense, change.sparse_vector)


def to_sparse(sparse: SparseVector) -> models.SparseVector:
    return models.SparseVector.model_construct(indices=sparse.indices.tolist(), values=sparse.values.tolist())


def wanted_vectors(place: Place, wanted: bool) -> bool | list[str]:
    """For `with_vectors`: the place's own by name; the unnamed one can be had with all of them only."""
    if not wanted or not place.vector_name:
        return wanted
    return [name for name in (place.vector_name, place.sparse_name) if name]


def wanted_payload(place: Place, metadata: bool) -> bool | list[str]:
    """For `with_payload`: all of it, or what the record's id needs."""
    return True if metadata else [ID_KEY] if place.ids is IdScheme.MAPPED else False


def tenant_payload(place: Place) -> bool | list[str]:
    """For `with_payload`: just what `belongs` looks at."""
    field = tenant_field(place.tenancy)
    return False if field is None else [json_key(field)]


def belongs(place: Place, payload: Mapping[str, Any] | None) -> bool:
    """Whether a point that was asked for by id is the tenant's own."""
    field = tenant_field(place.tenancy)
    return field is None or (payload or {}).get(field) == place.tenant


def to_record(place: Place, point: models.Record) -> Record:
    """The record of a point, whose payload is taken apart. Raises ClusterRejected on a foreign point."""
    payload = point.payload or {}
    record_id = _record_id(place, point.id, payload)
    dense, sparse = _split(place, point.vector)
    return Record.trusted(record_id, dense, payload, sparse)


def to_match(place: Place, point: models.ScoredPoint, *, metadata: bool, vector: bool) -> Match:
    """The match of a scored point, whose payload is taken apart."""
    payload = point.payload or {}
    record_id = _record_id(place, point.id, payload)
    dense = _split(place, point.vector)[0] if vector else None
    return Match(record_id, point.score, payload if metadata else EMPTY, dense)


def _record_id(place: Place, held: object, payload: dict[str, Any]) -> str:
    """The record's id; the keys that are ours leave the payload. Raises TenantBreach on another tenant's point."""
    if (field := tenant_field(place.tenancy)) is not None:
        owner = payload.pop(field, place.tenant)  # absent: the payload was not asked for
        if owner != place.tenant and not (isinstance(owner, list) and place.tenant in owner):
            raise TenantBreach(
                place.cluster,
                f"point {held} of collection {place.collection!r} came for tenant {place.tenant!r}, and is another's",
            )
    payload.pop(MARK_KEY, None)
    own = payload.pop(ID_KEY, None)
    if place.ids is IdScheme.NATIVE:
        return str(held)
    if not isinstance(own, str):
        raise ClusterRejected(
            place.cluster,
            f"point {held} of collection {place.collection!r} was not written by shardroute: it has no "
            f'{ID_KEY!r}; if the collection\'s own ids are unique across tenants, say ids = "native"',
        )
    return own


def _split(place: Place, vectors: object) -> tuple[Vector | None, SparseVector | None]:
    if isinstance(vectors, list):
        return np.asarray(vectors, dtype=np.float32), None
    if not isinstance(vectors, dict):
        return None, None
    dense, sparse = vectors.get(place.vector_name), vectors.get(place.sparse_name)
    return (
        np.asarray(dense, dtype=np.float32) if isinstance(dense, list) else None,
        SparseVector(sparse.indices, sparse.values)
        if isinstance(sparse, models.SparseVector) and sparse.indices
        else None,
    )


def to_description(place: Place, info: models.CollectionInfo) -> Description:
    """What the collection offers under the place's names."""
    params = info.config.params
    vectors = params.vectors
    if isinstance(vectors, Mapping):
        vectors = vectors.get(place.vector_name)
    elif place.vector_name:
        vectors = None
    sparse = bool(place.sparse_name) and place.sparse_name in (params.sparse_vectors or {})
    if vectors is None:
        return Description(None, None, sparse)
    return Description(vectors.size, _METRICS.get(vectors.distance), sparse)


def new_collection(place: Place) -> dict[str, Any]:
    """Arguments of `create_collection` for a place."""
    dense = models.VectorParams(size=place.dimension, distance=DISTANCES[place.metric])
    settings: dict[str, Any] = {"vectors_config": {place.vector_name: dense} if place.vector_name else dense}
    if place.sparse_name:
        settings["sparse_vectors_config"] = {place.sparse_name: models.SparseVectorParams()}
    if place.tenancy.kind is TenancyKind.PAYLOAD:
        # A graph for each tenant and none over all: what Qdrant recommends where every query names its tenant.
        settings["hnsw_config"] = models.HnswConfigDiff(payload_m=16, m=0)
    if place.tenancy.kind is TenancyKind.SHARD_KEY:
        settings["sharding_method"] = models.ShardingMethod.CUSTOM
    return settings
