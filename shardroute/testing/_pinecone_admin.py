"""Namespaces, statistics and the control plane of the Pinecone emulator."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Mapping
from typing import Any

from shardroute.testing import _pinecone_checks as check
from shardroute.testing._pinecone_call import (
    DEFAULT_NAMESPACE,
    AdminCall,
    Call,
    Operation,
    Reply,
    namespace_name,
    no_namespace,
)
from shardroute.testing._pinecone_errors import Refused
from shardroute.testing._pinecone_index import Index
from shardroute.testing._pinecone_log import Read, View
from shardroute.testing._pinecone_settings import MANAGED, at_creation, refuse_unknown, to_configure
from shardroute.testing._pinecone_spec import IndexSpec
from shardroute.testing._pinecone_writes import CreateNamespace, DropNamespace

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?")


def stats(call: Call) -> Reply:
    if call.body.get("filter"):
        raise Refused(
            "Serverless and Starter indexes do not support describing index stats with metadata filtering"
        )
    views = call.index.namespaces()
    counts = {name: len(view.table.records) for name, view in views.items()}
    body: dict[str, Any] = {
        "namespaces": {name: {"vectorCount": count} for name, count in counts.items()},
        "indexFullness": 0.0,
        "totalVectorCount": sum(counts.values()),
    }
    return Reply(body | _of_one_field(call.index.spec))


def create_namespace(call: Call) -> Reply:
    name = namespace_name(call.body.get("name"))
    if name == DEFAULT_NAMESPACE:
        raise Refused(f"{name} is reserved and cannot be created")
    if call.index.accepts(name):
        raise Refused(f"Namespace {name} already exists", 409)
    schema = call.body.get("schema")
    lsn = call.index.write(name, CreateNamespace(schema))
    return Reply(_namespace(name, 0, schema), lsn=lsn)


def list_namespaces(call: Call) -> Reply:
    limit = check.integer(call.query.get("limit"), "limit", check.MAX_LIST, check.MAX_LIST)
    last = check.last_of(call.query.get("paginationToken")) or ""
    prefix = call.query.get("prefix", "")
    views = {name: view for name, view in call.index.namespaces().items() if name.startswith(prefix)}
    found = list(itertools.islice((name for name in views if name > last), limit + 1))
    shown = [_described(name, views[name]) for name in found[:limit]]
    return Reply({"namespaces": shown, "total_count": len(views)} | check.page(found, limit))


def describe_namespace(call: Call) -> Reply:
    view = call.index.read(call.namespace, Read.COUNTS)
    default = call.namespace == DEFAULT_NAMESPACE and call.index.spec.kind == "vectors"
    if not call.index.is_shown(view) and not default:
        raise no_namespace(call)
    return Reply(_described(call.namespace, view))


def delete_namespace(call: Call) -> Reply:
    if not call.index.accepts(call.namespace):
        raise no_namespace(call)
    return Reply({}, lsn=call.index.write(call.namespace, DropNamespace()))


NAMESPACE = "/namespaces/{namespace}"
DATA_OPERATIONS = [
    *(Operation(("stats", "read"), method, "/describe_index_stats", stats) for method in ("POST", "GET")),
    Operation(("create_namespace", "admin"), "POST", "/namespaces", create_namespace),
    Operation(("list_namespaces", "admin"), "GET", "/namespaces", list_namespaces),
    Operation(("describe_namespace", "admin"), "GET", NAMESPACE, describe_namespace),
    Operation(("delete_namespace", "admin"), "DELETE", NAMESPACE, delete_namespace),
]


def create_index(call: AdminCall) -> Reply:
    settings = at_creation(call.body)
    name = _free_name(call) if call.body.get("name") is None else call.body["name"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Refused("Name must consist of lower case alphanumeric characters or '-', 1-45 of them")
    if name in call.project.indexes:
        raise Refused(f"Resource {name} already exists", 409)
    schema = check.mapping(call.body.get("schema"), "schema")
    refuse_unknown(schema, {"fields"}, "schema: ")
    index = call.project.create(
        name, IndexSpec(check.mapping(schema.get("fields"), "schema.fields")), settings
    )
    return Reply(_index(call, index), 201)


def list_indexes(call: AdminCall) -> Reply:
    return Reply({"indexes": [_index(call, index) for _, index in sorted(call.project.indexes.items())]})


def describe_index(call: AdminCall) -> Reply:
    return Reply(_index(call, call.project.index(call.params["name"])))


def configure_index(call: AdminCall) -> Reply:
    name = call.params["name"]
    changes = to_configure(call.body, call.project.index(name).settings)
    return Reply(_index(call, call.project.configure(name, changes)))


def delete_index(call: AdminCall) -> Reply:
    name = call.params["name"]
    if call.project.index(name).settings.get("deletion_protection") == "enabled":
        raise Refused("Deletion protection is enabled for this index. Disable it first.", 403)
    call.project.delete(name)
    return Reply({}, 202)


INDEX = "/indexes/{name}"
CONTROL_OPERATIONS = [
    Operation(("create_index", "admin"), "POST", "/indexes", create_index),
    Operation(("list_indexes", "admin"), "GET", "/indexes", list_indexes),
    Operation(("describe_index", "admin"), "GET", INDEX, describe_index),
    Operation(("configure_index", "admin"), "PATCH", INDEX, configure_index),
    Operation(("delete_index", "admin"), "DELETE", INDEX, delete_index),
]


def _free_name(call: AdminCall) -> str:
    while (name := f"index-{secrets.token_hex(4)}") in call.project.indexes:
        pass
    return name


def _index(call: AdminCall, index: Index) -> dict[str, Any]:
    return {
        "name": index.name,
        "schema": {"fields": index.spec.fields},
        "deployment": MANAGED,
        "deletion_protection": "disabled",
        "host": call.host_of(index.name),
        "status": {"ready": True, "state": "Ready"},
        "read_capacity": {"mode": "OnDemand", "status": {"state": "Ready"}},
        **index.settings,
    }


def _of_one_field(spec: IndexSpec) -> dict[str, Any]:
    """Dimension, metric and kind of vector, where the schema has one vector field only."""
    if len(spec.dense) == 1:
        (field,) = spec.dense.values()
        return {"dimension": field.dimension, "metric": field.metric, "vectorType": "dense"}
    return {"metric": "dotproduct", "vectorType": "sparse"} if spec.sparse and not spec.dense else {}


def _described(name: str, view: View) -> dict[str, Any]:
    return _namespace(name, len(view.table.records), view.schema)


def _namespace(name: str, count: int, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    # The count as a string: so protobuf writes 64 bits in JSON, and so the SDK expects it.
    described: dict[str, Any] = {"name": name, "record_count": str(count)}
    return described if schema is None else described | {"schema": schema}
