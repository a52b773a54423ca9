"""Points and vectors: from requests to the engine, and from the engine into answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as engine
from qdrant_client import models

from shardroute.testing._qdrant_errors import bad_input, invalid, not_here
from shardroute.testing._qdrant_numbers import payload_as_read

Json = dict[str, Any]


def engine_vector(vector: Any) -> Any:
    """A vector of a request, named or not, as the engine takes it.

    Raises:
        Refusal: it would have to be made by a model first, or is a sparse one that makes no sense.
    """
    if isinstance(vector, dict):
        return {name: engine_vector(each) for name, each in vector.items()}
    if isinstance(vector, models.SparseVector):
        return _sparse(vector)
    if isinstance(vector, list):
        return vector
    raise not_here(f"Making vectors from a {type(vector).__name__}")


def _sparse(vector: models.SparseVector) -> engine.SparseVector:
    if len(vector.indices) != len(vector.values):
        raise invalid("values", "must be the same length as indices")
    if len(set(vector.indices)) != len(vector.indices):
        raise invalid("indices", "must be unique")
    return engine.SparseVector(vector.indices, vector.values)


def engine_point(point: models.PointStruct) -> engine.Point:
    return engine.Point(point.id, engine_vector(point.vector), payload_as_read(point.payload))


def points_of(wanted: models.PointsBatch | models.PointsList) -> list[models.PointStruct]:
    """The points of an upsert, which come as a list or in columns."""
    if isinstance(wanted, models.PointsList):
        return wanted.points
    batch = wanted.batch
    payloads: Sequence[Json | None] = batch.payloads or [None for _ in batch.ids]
    vectors = _rows(batch.vectors, len(batch.ids))
    if not len(batch.ids) == len(vectors) == len(payloads):
        raise invalid("batch", "number of ids, vectors and payloads must be equal")
    return [
        models.PointStruct.model_construct(id=each, vector=vector, payload=payload)
        for each, vector, payload in zip(batch.ids, vectors, payloads, strict=True)
    ]


def _rows(columns: Any, count: int) -> list[Any]:
    if not isinstance(columns, dict):
        return list(columns)
    if any(len(column) != count for column in columns.values()):
        raise invalid("batch", "number of ids, vectors and payloads must be equal")
    return [{name: column[row] for name, column in columns.items()} for row in range(count)]


def check_dimensions(vector: Any, sizes: dict[str, int]) -> None:
    """As a real server does before it writes the first point of an upsert."""
    for name, each in (vector if isinstance(vector, dict) else {"": vector}).items():
        expected = sizes.get(name)
        rows = each if isinstance(each, list) and each and isinstance(each[0], list) else [each]
        for row in rows:
            if expected is not None and isinstance(row, list) and len(row) != expected:
                of = f" for vector '{name}'" if isinstance(vector, dict) else ""
                raise bad_input(f"Vector dimension error: expected dim: {expected}, got {len(row)}{of}")


def id_json(point_id: int | UUID | str) -> int | str:
    return point_id if isinstance(point_id, int) else str(point_id)


def vector_json(vector: Any) -> Any:
    """Numbers as float32, which is written with no more digits than a real server writes."""
    if isinstance(vector, dict):
        return {name: vector_json(each) for name, each in vector.items()}
    if isinstance(vector, engine.SparseVector):
        return {"indices": vector.indices, "values": np.asarray(vector.values, np.float32)}
    return np.asarray(vector, np.float32)


def record_json(record: engine.Record | engine.ScoredPoint) -> Json:
    found: Json = {"id": id_json(record.id)}
    if isinstance(record, engine.ScoredPoint):
        found |= {"version": record.version, "score": np.float32(record.score)}
    vector = record.vector
    optional = {
        "payload": record.payload,
        "vector": None if vector is None else vector_json(vector),
        "order_value": record.order_value,
    }
    return found | {name: value for name, value in optional.items() if value is not None}


def with_payload(wanted: Any, default: bool) -> Any:
    """Which of the payload is asked for, as the engine takes it."""
    if wanted is None:
        return default
    if isinstance(wanted, models.PayloadSelectorInclude):
        return engine.PayloadSelector.Include(wanted.include)
    if isinstance(wanted, models.PayloadSelectorExclude):
        return engine.PayloadSelector.Exclude(wanted.exclude)
    return wanted
