"""What each of Qdrant's REST operations does, and the table that says where to find it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from qdrant_client import models

from shardroute.testing import _qdrant_reads as reads
from shardroute.testing import _qdrant_writes as writes
from shardroute.testing._qdrant_collection import Collection
from shardroute.testing._qdrant_errors import EngineRefusal, bad_request
from shardroute.testing._qdrant_store import QdrantStore

_operation_ids = itertools.count()


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who is to answer it, and what was asked."""

    store: QdrantStore
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def name(self) -> str:
        """The collection's name in the path, or an alias of it."""
        return self.params["collection"]

    @property
    def collection(self) -> Collection:
        """The collection in the path.

        Raises:
            Refusal: there is none.
        """
        return self.store.get(self.name)

    def read(self, kind: Any) -> Any:
        """The body as a model of qdrant-client.

        Raises:
            ValidationError: it is no such thing.
        """
        return _adapter(kind).validate_json(self.body)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def root(_: Call) -> Any:
    return {"title": "qdrant - vector search engine", "version": version("qdrant-client")}


def list_collections(call: Call) -> Any:
    return {"collections": [{"name": name} for name in call.store.names()]}


def collection_exists(call: Call) -> Any:
    return {"exists": call.name in call.store}


def get_collection(call: Call) -> Any:
    return call.collection.info()


def create_collection(call: Call) -> Any:
    call.store.create(call.name, call.read(models.CreateCollection))
    return True


def update_collection(call: Call) -> Any:
    wanted = call.read(models.UpdateCollection)
    call.collection.patch(wanted)
    return True


def delete_collection(call: Call) -> Any:
    return call.store.drop(call.name)


def list_aliases(call: Call) -> Any:
    return {"aliases": call.store.aliases()}


def list_collection_aliases(call: Call) -> Any:
    return {"aliases": call.store.aliases_of(call.name)}


def change_aliases(call: Call) -> Any:
    call.store.change_aliases(call.read(models.ChangeAliasesOperation).actions)
    return True


def create_payload_index(call: Call) -> Any:
    wanted = call.read(models.CreateFieldIndex)
    collection = call.collection
    collection.strict.one_more_index()
    if wanted.field_schema is None:
        raise bad_request("Can't auto-detect field type, please specify `field_schema` in the request")
    collection.index(wanted.field_name, wanted.field_schema)
    return _updated(call)


def delete_payload_index(call: Call) -> Any:
    call.collection.unindex(call.params["field"])
    return _updated(call)


def create_vector(call: Call) -> Any:
    call.collection.add_vector(call.params["vector"], call.read(models.VectorNameConfig))
    return _updated(call)


def delete_vector(call: Call) -> Any:
    call.collection.remove_vector(call.params["vector"])
    return _updated(call)


def create_shard_key(call: Call) -> Any:
    """Shard keys are accepted everywhere and change nothing: there is one shard."""
    collection = call.collection
    collection.shard_keys.append(call.read(models.CreateShardingKey).shard_key)
    collection.save()
    return True


def delete_shard_key(call: Call) -> Any:
    collection, wanted = call.collection, call.read(models.DropShardingKey).shard_key
    if wanted not in collection.shard_keys:
        return False
    collection.shard_keys.remove(wanted)
    collection.save()
    return True


def list_shard_keys(call: Call) -> Any:
    return {"shard_keys": [{"key": key} for key in call.collection.shard_keys]}


def _updated(call: Call) -> dict[str, Any]:
    """What a write answers."""
    waited = call.query.get("wait", "false") == "true"
    return {"operation_id": next(_operation_ids), "status": "completed" if waited else "acknowledged"}


def _write(kind: Any, write: writes.Write) -> Callable[[Call], Any]:
    """A handler that reads the body as `kind` and has it applied."""

    def handle(call: Call) -> Any:
        wanted = writes.read_upsert(call.body) if kind is models.PointInsertOperations else None
        wanted = call.read(kind) if wanted is None else wanted
        collection = call.collection
        collection.strict.timeout(call.query.get("timeout"))
        return _applied(call, partial(write.run, collection, wanted))

    return handle


def batch_update(call: Call) -> Any:
    operations = call.read(models.UpdateOperations).operations
    collection = call.collection
    collection.strict.timeout(call.query.get("timeout"))
    for operation in operations:
        writes.check(collection, operation)
    return [_applied(call, partial(writes.apply, collection, each)) for each in operations]


def _applied(call: Call, apply: Callable[[], None]) -> dict[str, Any]:
    answer = _updated(call)
    try:
        apply()
    except EngineRefusal:
        if answer["status"] == "completed":
            raise
    return answer


def _read(kind: Any, answer: Callable[[QdrantStore, Collection, Any], Any]) -> Callable[[Call], Any]:
    """A handler that reads the body as `kind` and answers it."""

    def handle(call: Call) -> Any:
        wanted, collection = call.read(kind), call.collection
        collection.strict.timeout(call.query.get("timeout"))
        return answer(call.store, collection, wanted)

    return handle


def get_point(call: Call) -> Any:
    return reads.point(call.collection, call.params["point"])


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
    Operation("get_aliases", "admin", "GET", "/aliases", list_aliases),
    Operation("update_aliases", "admin", "POST", "/collections/aliases", change_aliases),
    Operation("get_collection_aliases", "admin", "GET", f"{_ONE}/aliases", list_collection_aliases),
    Operation("collection_exists", "admin", "GET", f"{_ONE}/exists", collection_exists),
    Operation("get_collection", "admin", "GET", _ONE, get_collection),
    Operation("create_collection", "admin", "PUT", _ONE, create_collection),
    Operation("update_collection", "admin", "PATCH", _ONE, update_collection),
    Operation("delete_collection", "admin", "DELETE", _ONE, delete_collection),
    Operation("create_payload_index", "admin", "PUT", f"{_ONE}/index", create_payload_index),
    Operation(
        "delete_payload_index", "admin", "DELETE", f"{_ONE}/index/{{field:path}}", delete_payload_index
    ),
    Operation("create_vector_name", "admin", "PUT", f"{_ONE}/vectors/{{vector}}", create_vector),
    Operation("delete_vector_name", "admin", "DELETE", f"{_ONE}/vectors/{{vector}}", delete_vector),
    Operation("create_shard_key", "admin", "PUT", f"{_ONE}/shards", create_shard_key),
    Operation("list_shard_keys", "admin", "GET", f"{_ONE}/shards", list_shard_keys),
    Operation("delete_shard_key", "admin", "POST", f"{_ONE}/shards/delete", delete_shard_key),
    Operation("upsert", "write", "PUT", _POINTS, _write(models.PointInsertOperations, writes.upsert)),
    Operation("delete", "write", "POST", f"{_POINTS}/delete", _write(models.PointsSelector, writes.delete)),
    Operation(
        "set_payload", "write", "POST", f"{_POINTS}/payload", _write(models.SetPayload, writes.set_payload)
    ),
    Operation(
        "overwrite_payload",
        *("write", "PUT", f"{_POINTS}/payload"),
        _write(models.SetPayload, writes.overwrite_payload),
    ),
    Operation(
        "delete_payload",
        *("write", "POST", f"{_POINTS}/payload/delete"),
        _write(models.DeletePayload, writes.delete_payload),
    ),
    Operation(
        "clear_payload",
        *("write", "POST", f"{_POINTS}/payload/clear"),
        _write(models.PointsSelector, writes.clear_payload),
    ),
    Operation(
        "update_vectors",
        *("write", "PUT", f"{_POINTS}/vectors"),
        _write(models.UpdateVectors, writes.update_vectors),
    ),
    Operation(
        "delete_vectors",
        *("write", "POST", f"{_POINTS}/vectors/delete"),
        _write(models.DeleteVectors, writes.delete_vectors),
    ),
    Operation("batch_update", "write", "POST", f"{_POINTS}/batch", batch_update),
    Operation("retrieve", "read", "POST", _POINTS, _read(models.PointRequest, reads.retrieve)),
    Operation("scroll", "read", "POST", f"{_POINTS}/scroll", _read(models.ScrollRequest, reads.scroll)),
    Operation("count", "read", "POST", f"{_POINTS}/count", _read(models.CountRequest, reads.count)),
    Operation("query", "read", "POST", f"{_POINTS}/query", _read(models.QueryRequest, reads.query)),
    Operation(
        "query", "read", "POST", f"{_POINTS}/query/batch", _read(models.QueryRequestBatch, reads.query_batch)
    ),
    Operation("facet", "read", "POST", f"{_ONE}/facet", _read(models.FacetRequest, reads.facet)),
    Operation("retrieve", "read", "GET", f"{_POINTS}/{{point}}", get_point),
)
