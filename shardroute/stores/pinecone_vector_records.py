"""Records as vectors of a legacy index and back, and which indexes are such. Pure."""

from __future__ import annotations

from typing import Protocol

import orjson
from pinecone import SparseValues
from pinecone import Vector as Wire
from pinecone.models.indexes.index import IndexModel
from pinecone.models.indexes.schema import DenseVectorField, SparseVectorField, StringField

from ..records import EMPTY, Metadata, Metric, Record, SparseVector, Vector
from ..topology import Place
from .batches import Sized
from .pinecone_records import (
    id_misfit,
    metadata_misfit,
    shortest,
    shortest_sparse,
    sparse_misfit,
    to_sparse,
    to_vector,
    vector_misfit,
)

DENSE_FIELD = "_values"
SPARSE_FIELD = "_sparse_values"
"""The names under which the 2026-07 API shows the vectors of a legacy index."""

_AROUND = len('{"id":"","values":,"metadata":,"sparseValues":{"indices":,"values":}},')


class Found(Protocol):
    """What fetches and queries answer of a vector."""

    id: str
    values: list[float]
    sparse_values: SparseValues | None
    metadata: dict[str, object] | None


def is_hidden(key: str) -> bool:
    return key.startswith("$")


def misfit(place: Place, record: Record) -> str | None:
    """Why a legacy index cannot hold the record, or None. Without any vector: as for a part of one."""
    if record.vector is None and record.sparse_vector is not None:
        return "it has a sparse vector only, and a legacy index of dense vectors needs a dense one"
    return id_misfit(record.id) or part_misfit(place, record.metadata, record.vector, record.sparse_vector)


def part_misfit(
    place: Place, metadata: Metadata, vector: Vector | None, sparse: SparseVector | None
) -> str | None:
    """Why these cannot be part of a record."""
    if sparse is not None and not place.sparse_name:
        return "it has a sparse vector, and the placement names none (sparse_name)"
    if sparse is not None and place.metric is not Metric.DOT:
        return f"it has a sparse vector, and the metric is {place.metric}: legacy indexes take them under dot only"
    return vector_misfit(vector) or sparse_misfit(sparse) or metadata_misfit(metadata, _taken)


def _taken(key: str) -> str | None:
    return "begins with '$', which Pinecone keeps for its operators" if is_hidden(key) else None


def to_wire(record: Record) -> Sized[Wire]:
    """The SDK's vector, and its bytes in JSON."""
    values, size = ([], 2) if record.vector is None else shortest(record.vector)
    sparse = None
    if record.sparse_vector is not None:
        parts, more = shortest_sparse(record.sparse_vector)
        sparse, size = SparseValues(parts["indices"], parts["values"]), size + more
    metadata = dict(record.metadata) or None
    size += len(orjson.dumps(metadata)) + len(orjson.dumps(record.id)) + _AROUND
    return Sized(Wire(record.id, values, sparse, metadata), size)


def to_sparse_values(sparse: SparseVector) -> SparseValues:
    return SparseValues(sparse.indices.tolist(), sparse.values.tolist())


def to_record(found: Found, *, vectors: bool) -> Record:
    metadata = found.metadata or EMPTY
    if not vectors:
        return Record.trusted(found.id, None, metadata)
    sparse = found.sparse_values
    return Record.trusted(
        found.id,
        to_vector(found.values),
        metadata,
        None if sparse is None else to_sparse(sparse.indices, sparse.values),
    )


def dense_field(model: IndexModel) -> DenseVectorField | None:
    field = model.schema.fields.get(DENSE_FIELD)
    return field if isinstance(field, DenseVectorField) else None


def unfit(model: IndexModel) -> str | None:
    """Why the Vectors API does not serve the index for us, or None."""
    fields = model.schema.fields
    own = {name for name, field in fields.items() if _is_searched(field)} - {DENSE_FIELD, SPARSE_FIELD}
    if own:
        return 'is a document index; say kind = "pinecone-documents"'
    return "holds sparse vectors only" if SPARSE_FIELD in fields and DENSE_FIELD not in fields else None


def _is_searched(field: object) -> bool:
    if isinstance(field, StringField):
        return any(use is not None for use in (field.full_text_search, field.embed, field.sparse_embed))
    return isinstance(field, DenseVectorField | SparseVectorField)
