"""What each of Qdrant's REST operations does, and the table that says where to find it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter
from qdrant_client import models

from shardroute.testing._qdrant_store import QdrantStore

_operation_ids = itertools.count()
_NUMBERS = frozenset({int, float})


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who is to answer it, and what was asked."""

    store: QdrantStore
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def collection(self) -> str:
        """The name in the path."""
        return self.params["collection"]

    def read(self, kind: Any) -> Any:
        """The body as a model of qdrant-client.

        Raises:
            ValueError: it is no such thing.
        """
        return _adapter(kind).validate_json(self.body)

    def updated(self) -> dict[str, Any]:
        """What a write answers."""
        waited = self.query.get("wait", "false") == "true"
        return {"operation_id": next(_operation_ids), "status": "completed" if waited else "acknowledged"}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def point_json(point: Any) -> dict[str, Any]:
    """A record or a scored point, without pydantic's walk through the vectors."""
    return {name: value for name, value in vars(point).items() if value is not None}


def root(call: Call) -> Any:
    return {"title": "qdrant - vector search engine", "version": version("qdrant-client")}


def list_collections(call: Call) -> Any:
    return call.store.get_collections()


def collection_exists(call: Call) -> Any:
    return {"exists": call.store.collection_exists(call.collection)}


def get_collection(call: Call) -> Any:
    return call.store.info_of(call.collection)


def create_collection(call: Call) -> Any:
    return call.store.create(call.collection, call.read(models.CreateCollection))


def update_collection(call: Call) -> Any:
    wanted = call.read(models.UpdateCollection)
    return call.store.update_collection(
        call.collection,
        sparse_vectors_config=wanted.sparse_vectors,
        metadata=wanted.metadata,
        vectors_config=wanted.vectors,
    )


def delete_collection(call: Call) -> Any:
    return call.store.drop(call.collection)


def create_payload_index(call: Call) -> Any:
    wanted = call.read(models.CreateFieldIndex)
    if wanted.field_schema is not None:
        call.store.index_field(call.collection, wanted.field_name, wanted.field_schema)
    return call.updated()


def delete_payload_index(call: Call) -> Any:
    call.store.unindex_field(call.collection, call.params["field"])
    return call.updated()


def create_shard_key(call: Call) -> Any:
    """Shard keys are accepted everywhere and change nothing: there is one shard."""
    call.store.get_collection(call.collection)
    call.store.shard_keys.setdefault(call.collection, []).append(
        call.read(models.CreateShardingKey).shard_key
    )
    return True


def delete_shard_key(call: Call) -> Any:
    keys = call.store.shard_keys.get(call.collection, [])
    wanted = call.read(models.DropShardingKey).shard_key
    call.store.shard_keys[call.collection] = [key for key in keys if key != wanted]
    return wanted in keys


def list_shard_keys(call: Call) -> Any:
    return {"shard_keys": [{"key": key} for key in call.store.shard_keys.get(call.collection, [])]}


def upsert(call: Call) -> Any:
    wanted = read_upsert(call)
    call.store.upsert(
        call.collection,
        wanted.batch if isinstance(wanted, models.PointsBatch) else wanted.points,
        update_filter=wanted.update_filter,
        update_mode=wanted.update_mode,
    )
    return call.updated()


def read_upsert(call: Call) -> Any:
    """As `call.read`; the unnamed vectors go past pydantic, which would look at every number four times."""
    try:
        raw = orjson.loads(call.body)
        vectors = [_set_aside(point) for point in raw["points"]]
    except (ValueError, TypeError, LookupError, AttributeError):
        return call.read(models.PointInsertOperations)
    wanted = _adapter(models.PointInsertOperations).validate_python(raw)
    for point, vector in zip(wanted.points, vectors, strict=True):
        point.vector = point.vector if vector is None else vector
    return wanted


def _set_aside(point: Any) -> list[float] | None:
    """The point's vector, if it is a list of numbers and no more."""
    vector = point["vector"]
    if not isinstance(vector, list) or not _NUMBERS.issuperset(map(type, vector)):
        return None
    point["vector"] = []
    return vector


def delete(call: Call) -> Any:
    call.store.delete(call.collection, call.read(models.PointsSelector))
    return call.updated()


def set_payload(call: Call) -> Any:
    wanted = call.read(models.SetPayload)
    call.store.set_payload(call.collection, wanted.payload, _selected(wanted), wanted.key)
    return call.updated()


def overwrite_payload(call: Call) -> Any:
    wanted = call.read(models.SetPayload)
    call.store.overwrite_payload(call.collection, wanted.payload, _selected(wanted))
    return call.updated()


def delete_payload(call: Call) -> Any:
    wanted = call.read(models.DeletePayload)
    call.store.delete_payload(call.collection, wanted.keys, _selected(wanted))
    return call.updated()


def clear_payload(call: Call) -> Any:
    call.store.clear_payload(call.collection, call.read(models.PointsSelector))
    return call.updated()


def update_vectors(call: Call) -> Any:
    wanted = call.read(models.UpdateVectors)
    call.store.update_vectors(call.collection, wanted.points, update_filter=wanted.update_filter)
    return call.updated()


def delete_vectors(call: Call) -> Any:
    wanted = call.read(models.DeleteVectors)
    call.store.delete_vectors(call.collection, wanted.vector, _selected(wanted))
    return call.updated()


def batch_update(call: Call) -> Any:
    operations = call.read(models.UpdateOperations).operations
    call.store.batch_update_points(call.collection, operations)
    return [call.updated() for _ in operations]


def retrieve(call: Call) -> Any:
    wanted = call.read(models.PointRequest)
    with_payload = True if wanted.with_payload is None else wanted.with_payload
    found = call.store.retrieve(call.collection, wanted.ids, with_payload, wanted.with_vector or False)
    return [point_json(point) for point in found]


def scroll(call: Call) -> Any:
    wanted = call.read(models.ScrollRequest)
    points, following = call.store.scroll(
        call.collection,
        scroll_filter=wanted.filter,
        limit=10 if wanted.limit is None else wanted.limit,
        order_by=wanted.order_by,
        offset=wanted.offset,
        with_payload=True if wanted.with_payload is None else wanted.with_payload,
        with_vectors=wanted.with_vector or False,
    )
    return {"points": [point_json(point) for point in points], "next_page_offset": following}


def count(call: Call) -> Any:
    return call.store.count(call.collection, call.read(models.CountRequest).filter)


def facet(call: Call) -> Any:
    wanted = call.read(models.FacetRequest)
    return call.store.facet(call.collection, wanted.key, wanted.filter, limit=wanted.limit or 10)


def query(call: Call) -> Any:
    return _answers(call, [call.read(models.QueryRequest)])[0]


def query_batch(call: Call) -> Any:
    return _answers(call, call.read(models.QueryRequestBatch).searches)


def _answers(call: Call, requests: list[models.QueryRequest]) -> list[dict[str, Any]]:
    responses = call.store.query_batch_points(call.collection, requests)
    return [{"points": [point_json(point) for point in response.points]} for response in responses]


def _selected(wanted: Any) -> Any:
    """Ids win over a filter, even when there are none of them."""
    if wanted.points is not None:
        return wanted.points
    if wanted.filter is None:
        raise ValueError("No filter or points provided")
    return wanted.filter


class Operation(NamedTuple):
    """A line of the table. `name` and `kind` are what `Faults.only` picks by."""

    name: str
    kind: str
    method: str
    path: str
    handle: Callable[[Call], Any]


_ONE = "/collections/{collection}"
_POINTS = f"{_ONE}/points"

OPERATIONS = (
    Operation("info", "admin", "GET", "/", root),
    Operation("get_collections", "admin", "GET", "/collections", list_collections),
    Operation("collection_exists", "admin", "GET", f"{_ONE}/exists", collection_exists),
    Operation("get_collection", "admin", "GET", _ONE, get_collection),
    Operation("create_collection", "admin", "PUT", _ONE, create_collection),
    Operation("update_collection", "admin", "PATCH", _ONE, update_collection),
    Operation("delete_collection", "admin", "DELETE", _ONE, delete_collection),
    Operation("create_payload_index", "admin", "PUT", f"{_ONE}/index", create_payload_index),
    Operation(
        "delete_payload_index", "admin", "DELETE", f"{_ONE}/index/{{field:path}}", delete_payload_index
    ),
    Operation("create_shard_key", "admin", "PUT", f"{_ONE}/shards", create_shard_key),
    Operation("list_shard_keys", "admin", "GET", f"{_ONE}/shards", list_shard_keys),
    Operation("delete_shard_key", "admin", "POST", f"{_ONE}/shards/delete", delete_shard_key),
    Operation("upsert", "write", "PUT", _POINTS, upsert),
    Operation("delete", "write", "POST", f"{_POINTS}/delete", delete),
    Operation("set_payload", "write", "POST", f"{_POINTS}/payload", set_payload),
    Operation("overwrite_payload", "write", "PUT", f"{_POINTS}/payload", overwrite_payload),
    Operation("delete_payload", "write", "POST", f"{_POINTS}/payload/delete", delete_payload),
    Operation("clear_payload", "write", "POST", f"{_POINTS}/payload/clear", clear_payload),
    Operation("update_vectors", "write", "PUT", f"{_POINTS}/vectors", update_vectors),
    Operation("delete_vectors", "write", "POST", f"{_POINTS}/vectors/delete", delete_vectors),
    Operation("batch_update", "write", "POST", f"{_POINTS}/batch", batch_update),
    Operation("retrieve", "read", "POST", _POINTS, retrieve),
    Operation("scroll", "read", "POST", f"{_POINTS}/scroll", scroll),
    Operation("count", "read", "POST", f"{_POINTS}/count", count),
    Operation("query", "read", "POST", f"{_POINTS}/query", query),
    Operation("query", "read", "POST", f"{_POINTS}/query/batch", query_batch),
    Operation("facet", "read", "POST", f"{_ONE}/facet", facet),
)
