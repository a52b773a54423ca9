"""Records as documents of a schema-based index and back, and which indexes are such. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pinecone.models.indexes.index import IndexModel
from pinecone.models.indexes.schema import DenseVectorField, SparseVectorField

from ..ports import Change
from ..records import EMPTY, Match, Metadata, Query, Record, SparseVector, Vector, as_vector
from ..schema import Description
from ..topology import Place
from .batches import Sized
from .pinecone_records import (
    METRICS,
    id_misfit,
    metadata_misfit,
    removed,
    shortest,
    shortest_sparse,
    sparse_misfit,
    to_sparse,
    to_vector,
    vector_misfit,
    without_nulls,
)

Document = dict[str, Any]

NO_VECTOR_NAME = "vector_name of the placement is missing: it says which field of the schema holds the vector"

_LEGACY_FIELDS = frozenset({"_values", "_sparse_values"})
_FUSION_CONSTANT = 2
_AROUND = len('{"_id":"":,:,},') + 64


def is_hidden(place: Place | None, key: str) -> bool:
    return key.startswith(("_", "$")) or (place is not None and key in (place.vector_name, place.sparse_name))


def _taken(place: Place, key: str) -> str | None:
    if not is_hidden(place, key):
        return None
    if key.startswith(("_", "$")):
        return f"begins with {key[0]!r}, which is reserved in documents"
    return "is a vector field of the schema; choose another for either"


def misfit(place: Place, record: Record) -> str | None:
    """Why a document index cannot hold the record, or None. Without any vector: as for a part of one."""
    if record.vector is None and record.sparse_vector is not None:
        return "it has a sparse vector only, and a document needs every dense vector of the schema"
    return id_misfit(record.id) or _part_misfit(place, record.metadata, record.vector, record.sparse_vector)


def change_misfit(place: Place, change: Change) -> str | None:
    for key in removed(change):
        if (reason := _taken(place, key)) is not None:
            return f"metadata {key!r} {reason}"
    vector = None if change.vector is None else as_vector(change.vector)
    return _part_misfit(place, without_nulls(change.metadata), vector, change.sparse_vector)


def _part_misfit(
    place: Place, metadata: Metadata, vector: Vector | None, sparse: SparseVector | None
) -> str | None:
    if not place.vector_name:
        return NO_VECTOR_NAME
    if sparse is not None and not place.sparse_name:
        return "it has a sparse vector, and the placement names no field for it (sparse_name)"
    return (
        vector_misfit(vector)
        or sparse_misfit(sparse)
        or metadata_misfit(metadata, lambda key: _taken(place, key))
    )


def to_wire(place: Place, record: Record) -> Sized[Document]:
    """The document, and its bytes in JSON."""
    return _sized(place, record.id, dict(record.metadata), record.vector, record.sparse_vector)


def to_patch(place: Place, change: Change) -> Sized[Document] | None:
    """The partial update; None if it would change nothing."""
    fields = without_nulls(change.metadata)
    if gone := removed(change):
        fields["_remove_fields"] = gone
    vector = None if change.vector is None else as_vector(change.vector)
    patch = _sized(place, change.id, fields, vector, change.sparse_vector)
    return patch if len(patch.item) > 1 else None


def _sized(
    place: Place, name: str, fields: Document, vector: Vector | None, sparse: SparseVector | None
) -> Sized[Document]:
    document = {"_id": name, **fields}
    size = len(orjson.dumps(document)) + _AROUND
    if vector is not None:
        document[place.vector_name], more = shortest(vector)
        size += more + len(place.vector_name)
    if sparse is not None:
        document[place.sparse_name], more = shortest_sparse(sparse)
        size += more + len(place.sparse_name)
    return Sized(document, size)


def to_record(place: Place, document: Document, *, vectors: bool) -> Record:
    """The record of a document, which is taken apart."""
    name, dense, sparse = _split(place, document)
    if not vectors:
        return Record.trusted(name, None, document)
    return Record.trusted(name, dense, document, sparse)


def to_match(place: Place, document: Document, query: Query, score: float) -> Match:
    """The match of a document, which is taken apart."""
    name, dense, _ = _split(place, document)
    return Match(
        name,
        score,
        document if query.include_metadata else EMPTY,
        dense if query.include_vector else None,
    )


def _split(place: Place, document: Document) -> tuple[str, Vector | None, SparseVector | None]:
    """Id and vectors; what is left is metadata."""
    document.pop("_score", None)
    name = document.pop("_id")
    dense, sparse = document.pop(place.vector_name, None), document.pop(place.sparse_name, None)
    kept = to_sparse(sparse["indices"], sparse["values"]) if isinstance(sparse, Mapping) else None
    return name, to_vector(dense), kept


def included(place: Place, query: Query) -> list[str] | None:
    """`include_fields` of a search. All or some can be named, but not all but the vector."""
    if query.include_metadata:
        return ["*"]
    return [place.vector_name] if query.include_vector else None


def fused(searches: Sequence[Sequence[Match]], top_k: int) -> list[Match]:
    """By reciprocal rank, as Qdrant fuses: the scores tell ranks, not similarities."""
    scores: dict[str, float] = {}
    matches: dict[str, Match] = {}
    for found in searches:
        for rank, match in enumerate(found):
            scores[match.id] = scores.get(match.id, 0.0) + 1 / (_FUSION_CONSTANT + rank)
            matches[match.id] = match
    best = sorted(scores, key=lambda name: (-scores[name], name))[:top_k]
    return [Match(name, scores[name], matches[name].metadata, matches[name].vector) for name in best]


def described(place: Place, model: IndexModel) -> Description:
    """What the index offers under the place's names."""
    dense, sparse = (model.schema.fields.get(name) for name in (place.vector_name, place.sparse_name))
    has_sparse = isinstance(sparse, SparseVectorField)
    if not isinstance(dense, DenseVectorField):
        return Description(None, None, has_sparse)
    return Description(dense.dimension, METRICS.get(dense.metric), has_sparse)


def unfit(place: Place, model: IndexModel) -> str | None:
    """Why the index cannot take the place's documents, or None."""
    fields = model.schema.fields
    if fields.keys() & _LEGACY_FIELDS:
        return 'is a legacy vector index; say kind = "pinecone-vectors"'
    if not isinstance(fields.get(place.vector_name), DenseVectorField):
        return f"has no dense vector field {place.vector_name!r} (vector_name); its fields are {', '.join(fields)}"
    if place.sparse_name and not isinstance(fields.get(place.sparse_name), SparseVectorField):
        return f"has no sparse vector field {place.sparse_name!r} (sparse_name)"
    return None
