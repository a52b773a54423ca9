"""Records as Qdrant's points and back: ids, payloads, vectors, and what a collection is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import numpy as np
from qdrant_client import models

from .. import native_ids
from ..errors import ClusterRejected, InvalidRecord, TenantBreach
from ..hashing import point_uuid
from ..ports import Change
from ..records import (
    EMPTY,
    NO_VECTORS,
    RESERVED_PREFIX,
    Match,
    Metadata,
    NamedVectors,
    Record,
    SparseVector,
    Vector,
    as_vector,
)
from ..topology import IdScheme, Place, TenancyKind
from .qdrant_filters import MARK_KEY, within
from .qdrant_tenancy import tenant_field

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
    if (
        taken := {name for name in (place.vector_name, place.sparse_name) if name}
        & record.named_vectors.keys()
    ):
        return f"its named vector {min(taken)!r} is the one that the placement names: give it as the record's own"
    return metadata_misfit(place, record.metadata)


def metadata_misfit(place: Place, metadata: Metadata) -> str | None:
    """Why the metadata cannot become a payload, or None."""
    field = tenant_field(place.tenancy)
    if field is not None and (reason := field.misfit(metadata)) is not None:
        return reason
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
        field.put(payload, place.tenant)
    if place.ids is IdScheme.MAPPED:
        payload[ID_KEY] = record.id
    held = point_id(place, record.id)
    assert held is not None, "misfit looked"
    return {
        "id": held,
        "vector": _to_vectors(place, record.vector, record.sparse_vector, record.named_vectors),
        "payload": payload,
    }


def _to_vectors(
    place: Place, dense: Vector | None, sparse: SparseVector | None, others: NamedVectors = NO_VECTORS
) -> Vectors:
    if dense is not None and sparse is None and not others and not place.vector_name:
        return dense
    named = dict(others)
    if dense is not None:
        named[place.vector_name] = dense
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
    payload = models.SetPayload(payload=_changed(place, metadata), filter=own, shard_key=shard_key(place))
    return models.SetPayloadOperation(set_payload=payload)


def _changed(place: Place, metadata: Metadata) -> dict[str, Any]:
    """A key is set whole: where the tenant's field lies within one that changes, it is named again."""
    field, changed = tenant_field(place.tenancy), dict(metadata)
    if field is not None and field.path[0] in changed:
        field.put(changed, place.tenant)
    return changed


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


def searched_vector(place: Place, wanted: bool) -> bool | list[str]:
    """For `with_vectors` of a match: the place's dense one; an unnamed one can be had with all of them only."""
    return [place.vector_name] if wanted and place.vector_name else wanted


def wanted_payload(place: Place, metadata: bool) -> bool | list[str]:
    """For `with_payload`: all of it, or what the record's id needs."""
    return True if metadata else [ID_KEY] if place.ids is IdScheme.MAPPED else False


def tenant_payload(place: Place) -> bool | list[str]:
    """For `with_payload`: just what `belongs` looks at."""
    field = tenant_field(place.tenancy)
    return False if field is None else [field.key]


def to_record(place: Place, point: models.Record) -> Record:
    """The record of a point, whose payload is taken apart. Raises ClusterRejected on a foreign point."""
    payload = point.payload or {}
    record_id = _record_id(place, point.id, payload)
    return Record.trusted(record_id, *_split(place, point.vector, payload))


def to_match(place: Place, point: models.ScoredPoint, *, metadata: bool, vector: bool) -> Match:
    """The match of a scored point, whose payload is taken apart."""
    payload = point.payload or {}
    record_id = _record_id(place, point.id, payload)
    dense = _split(place, point.vector, payload)[0] if vector else None
    return Match(record_id, point.score, payload if metadata else EMPTY, dense)


def _record_id(place: Place, held: object, payload: dict[str, Any]) -> str:
    """The record's id; the keys that are ours leave the payload. Raises TenantBreach on another tenant's point."""
    if (field := tenant_field(place.tenancy)) is not None:
        # Where the field is not told, the payload was not asked for.
        if field.told(payload) and not any(field.names(one, place.tenant) for one in field.held(payload)):
            raise TenantBreach(
                place.cluster,
                f"point {held} of collection {place.collection!r} came for tenant {place.tenant!r}, and is another's",
            )
        field.take(payload)
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


def _split(
    place: Place, vectors: object, payload: Metadata
) -> tuple[Vector | None, Metadata, SparseVector | None, NamedVectors]:
    """The parts of a record, in the order of its fields. Raises ClusterRejected on what is no vector known here."""
    given = vectors if isinstance(vectors, Mapping) else {} if vectors is None else {"": vectors}
    found = {name: _to_vector(place, name, vector) for name, vector in given.items()}
    named = {name: vector for name, vector in found.items() if vector is not None}
    dense = named.pop(place.vector_name, None)
    sparse = named.pop(place.sparse_name, None) if place.sparse_name else None
    if isinstance(dense, SparseVector) or (dense is not None and dense.ndim != 1):
        raise ClusterRejected(
            place.cluster, _WRONG_KIND.format(place.collection, place.vector_name, "vector_name")
        )
    if not (sparse is None or isinstance(sparse, SparseVector)):
        raise ClusterRejected(
            place.cluster, _WRONG_KIND.format(place.collection, place.sparse_name, "sparse_name")
        )
    return dense, payload, sparse, named or NO_VECTORS


_WRONG_KIND = "collection {!r}: vector {!r} is not of the kind that {} says"


def _to_vector(place: Place, name: str, vector: object) -> Vector | SparseVector | None:
    """None for a sparse vector without numbers, which is as good as none."""
    if isinstance(vector, list):  # a multivector: a list of them
        return np.asarray(vector, dtype=np.float32)
    if isinstance(vector, models.SparseVector):
        return SparseVector(vector.indices, vector.values) if vector.indices else None
    raise ClusterRejected(
        place.cluster,
        f"collection {place.collection!r}: vector {name!r} is a {type(vector).__name__}, which is not known here",
    )
