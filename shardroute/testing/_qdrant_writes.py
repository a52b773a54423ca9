"""Operations that change points: what strict mode and the rates say to each, and how the engine does it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import orjson
import qdrant_edge as engine
from pydantic import TypeAdapter
from qdrant_client import models

from shardroute.testing._qdrant_collection import Collection
from shardroute.testing._qdrant_errors import bad_request, engine_errors, invalid
from shardroute.testing._qdrant_filters import engine_filter
from shardroute.testing._qdrant_numbers import payload_as_read
from shardroute.testing._qdrant_points import check_dimensions, engine_point, engine_vector, points_of

_NUMBERS = frozenset({int, float})
_To = engine.UpdateOperation
_MODES = {
    models.UpdateMode.UPSERT: engine.UpdateMode.Upsert,
    models.UpdateMode.INSERT_ONLY: engine.UpdateMode.InsertOnly,
    models.UpdateMode.UPDATE_ONLY: engine.UpdateMode.UpdateOnly,
}


def read_upsert(body: bytes) -> Any:
    """The body of an upsert; the unnamed vectors go past pydantic, which would look at every number four times.

    None: it is another kind of upsert, or a wrong one. pydantic has to say which.
    """
    try:
        raw = orjson.loads(body)
        vectors = [_set_aside(point) for point in raw["points"]]
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    wanted = _upserts().validate_python(raw)
    for point, vector in zip(wanted.points, vectors, strict=True):
        point.vector = point.vector if vector is None else vector
    return wanted


@cache
def _upserts() -> TypeAdapter[Any]:
    return TypeAdapter(models.PointInsertOperations)


def _set_aside(point: Any) -> list[float] | None:
    """The point's vector, if it is a list of numbers and no more."""
    vector = point["vector"]
    if not isinstance(vector, list) or not vector or not _NUMBERS.issuperset(map(type, vector)):
        return None
    point["vector"] = []
    return vector


def check_upsert(collection: Collection, wanted: Any) -> None:
    points, strict = points_of(wanted), collection.strict
    strict.at_most("upsert_max_batchsize", len(points), "upsert limit")
    strict.more_points(collection.count() if strict["max_points_count"] is not None else 0)
    sizes = collection.sizes
    for point in points:
        strict.vectors(point.vector)
        check_dimensions(point.vector, sizes)


def apply_upsert(collection: Collection, wanted: Any) -> None:
    points = points_of(wanted)
    _check_not_empty(points)
    collection.charge_write(len(points))
    mode = None if wanted.update_mode is None else _MODES[wanted.update_mode]
    with engine_errors():
        operation = _To.upsert_points(
            list(map(engine_point, points)), engine_filter(wanted.update_filter), mode
        )
    collection.update(operation)


def check_update_vectors(collection: Collection, wanted: models.UpdateVectors) -> None:
    if not wanted.points:
        raise invalid("points", "must specify points to update")
    collection.strict.at_most("upsert_max_batchsize", len(wanted.points), "update limit")
    for point in wanted.points:
        collection.strict.vectors(point.vector)


def apply_update_vectors(collection: Collection, wanted: models.UpdateVectors) -> None:
    collection.charge_write(len(wanted.points))
    with engine_errors():
        points = [engine.PointVectors(point.id, engine_vector(point.vector)) for point in wanted.points]
        operation = _To.update_vectors(points, engine_filter(wanted.update_filter))
    collection.update(operation)


def check_selection(collection: Collection, wanted: Any) -> None:
    collection.strict.writes(getattr(wanted, "filter", None))


def _check_not_empty(points: list[Any] | None) -> None:
    if points is not None and not points:
        raise bad_request("Empty update request")


class _Pair(NamedTuple):
    """An operation on points by their ids, and the same on those that match a filter."""

    by_ids: Callable[..., engine.UpdateOperation]
    by_filter: Callable[..., engine.UpdateOperation]


def _on_selected(
    pair: _Pair, arguments: Callable[[Any], tuple[Any, ...]]
) -> Callable[[Collection, Any], None]:
    """An operation on points that are selected by ids or, if there are none, by a filter."""

    def apply(collection: Collection, wanted: Any) -> None:
        ids, chosen = getattr(wanted, "points", None), engine_filter(getattr(wanted, "filter", None))
        if ids is None and chosen is None:
            raise bad_request("No filter or points provided")
        _check_not_empty(ids)
        by_ids = ids is not None
        collection.charge_write(len(ids) if ids is not None else collection.count(chosen))
        with engine_errors():
            make = pair.by_ids if by_ids else pair.by_filter
            operation = make(ids if by_ids else chosen, *arguments(wanted))
        collection.update(operation)

    return apply


def _nothing(_: Any) -> tuple[Any, ...]:
    return ()


class Write(NamedTuple):
    """How a write is checked before anything is changed, and how it is applied."""

    check: Callable[[Collection, Any], None]
    apply: Callable[[Collection, Any], None]

    def run(self, collection: Collection, wanted: Any) -> None:
        """Check, then apply."""
        self.check(collection, wanted)
        self.apply(collection, wanted)


def _selected(pair: _Pair, arguments: Callable[[Any], tuple[Any, ...]] = _nothing) -> Write:
    return Write(check_selection, _on_selected(pair, arguments))


def _payload(wanted: models.SetPayload) -> tuple[Any, ...]:
    return payload_as_read(wanted.payload), wanted.key


upsert = Write(check_upsert, apply_upsert)
update_vectors = Write(check_update_vectors, apply_update_vectors)
delete = _selected(_Pair(_To.delete_points, _To.delete_points_by_filter))
set_payload = _selected(_Pair(_To.set_payload, _To.set_payload_by_filter), _payload)
overwrite_payload = _selected(_Pair(_To.overwrite_payload, _To.overwrite_payload_by_filter), _payload)
delete_payload = _selected(
    _Pair(_To.delete_payload, _To.delete_payload_by_filter), lambda wanted: (wanted.keys,)
)
clear_payload = _selected(_Pair(_To.clear_payload, _To.clear_payload_by_filter))
delete_vectors = _selected(
    _Pair(_To.delete_vectors, _To.delete_vectors_by_filter), lambda wanted: (wanted.vector,)
)

_IN_A_BATCH: dict[type[Any], tuple[str, Write]] = {
    models.UpsertOperation: ("upsert", upsert),
    models.DeleteOperation: ("delete", delete),
    models.SetPayloadOperation: ("set_payload", set_payload),
    models.OverwritePayloadOperation: ("overwrite_payload", overwrite_payload),
    models.DeletePayloadOperation: ("delete_payload", delete_payload),
    models.ClearPayloadOperation: ("clear_payload", clear_payload),
    models.UpdateVectorsOperation: ("update_vectors", update_vectors),
    models.DeleteVectorsOperation: ("delete_vectors", delete_vectors),
}


def check(collection: Collection, operation: Any) -> None:
    """Check one operation of a batch; all are, before the first is applied."""
    field, write = _IN_A_BATCH[type(operation)]
    write.check(collection, getattr(operation, field))


def apply(collection: Collection, operation: Any) -> None:
    """Apply one operation of a batch."""
    field, write = _IN_A_BATCH[type(operation)]
    write.apply(collection, getattr(operation, field))
