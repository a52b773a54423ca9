"""Pinecone's gRPC messages, made at import from the table below, and their way to JSON and back.

The numbers and types are those of Pinecone's public `db_data_2026-07.proto`. What is deprecated there is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from google.protobuf import (  # type: ignore[import-untyped]  # protobuf ships no types
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    struct_pb2,
)

SERVICE = "VectorService"
"""Without a package."""

USAGE = "optional Usage usage"
MESSAGES: dict[str, tuple[str, ...]] = {
    "SparseValues": ("repeated uint32 indices = 1", "repeated float values = 2"),
    "Vector": (
        "string id = 1",
        "repeated float values = 2",
        "Struct metadata = 3",
        "SparseValues sparse_values = 4",
    ),
    "ScoredVector": (
        "string id = 1",
        "float score = 2",
        "repeated float values = 3",
        "Struct metadata = 4",
        "SparseValues sparse_values = 5",
    ),
    "Usage": ("optional uint32 read_units = 1",),
    "Pagination": ("string next = 1",),
    "ListItem": ("string id = 1",),
    "UpsertRequest": ("repeated Vector vectors = 1", "string namespace = 2"),
    "UpsertResponse": ("uint32 upserted_count = 1",),
    "DeleteRequest": (
        "repeated string ids = 1",
        "bool delete_all = 2",
        "string namespace = 3",
        "Struct filter = 4",
    ),
    "DeleteResponse": (),
    "FetchRequest": ("repeated string ids = 1", "string namespace = 2"),
    "FetchResponse": ("map<string, Vector> vectors = 1", "string namespace = 2", f"{USAGE} = 3"),
    "FetchByMetadataRequest": (
        "string namespace = 1",
        "optional Struct filter = 2",
        "optional uint32 limit = 3",
        "optional string pagination_token = 4",
    ),
    "FetchByMetadataResponse": (
        "map<string, Vector> vectors = 1",
        "string namespace = 2",
        f"{USAGE} = 3",
        "optional Pagination pagination = 4",
    ),
    "ListRequest": (
        "optional string prefix = 1",
        "optional uint32 limit = 2",
        "optional string pagination_token = 3",
        "string namespace = 4",
    ),
    "ListResponse": (
        "repeated ListItem vectors = 1",
        "optional Pagination pagination = 2",
        "string namespace = 3",
        f"{USAGE} = 4",
    ),
    "QueryRequest": (
        "string namespace = 1",
        "uint32 top_k = 2",
        "Struct filter = 3",
        "bool include_values = 4",
        "bool include_metadata = 5",
        "repeated float vector = 7",
        "string id = 8",
        "SparseValues sparse_vector = 9",
        "optional float scan_factor = 10",
        "optional uint32 max_candidates = 11",
    ),
    "QueryResponse": ("repeated ScoredVector matches = 2", "string namespace = 3", f"{USAGE} = 4"),
    "UpdateRequest": (
        "string id = 1",
        "repeated float values = 2",
        "Struct set_metadata = 3",
        "string namespace = 4",
        "SparseValues sparse_values = 5",
        "optional Struct filter = 6",
        "optional bool dry_run = 7",
    ),
    "UpdateResponse": ("optional int32 matched_records = 1",),
    "DescribeIndexStatsRequest": ("Struct filter = 1",),
    "NamespaceSummary": ("uint32 vector_count = 1",),
    "DescribeIndexStatsResponse": (
        "map<string, NamespaceSummary> namespaces = 1",
        "optional uint32 dimension = 2",
        "float index_fullness = 3",
        "uint32 total_vector_count = 4",
        "optional string metric = 5",
        "optional string vector_type = 6",
        "optional float memory_fullness = 7",
        "optional float storage_fullness = 8",
    ),
    "MetadataFieldProperties": ("bool filterable = 1",),
    "MetadataSchema": ("map<string, MetadataFieldProperties> fields = 1",),
    "IndexedFields": ("repeated string fields = 1",),
    "NamespaceDescription": (
        "string name = 1",
        "uint64 record_count = 2",
        "optional MetadataSchema schema = 3",
        "optional IndexedFields indexed_fields = 4",
        "uint64 size_bytes = 5",
    ),
    "CreateNamespaceRequest": ("string name = 1", "optional MetadataSchema schema = 2"),
    "ListNamespacesRequest": (
        "optional string pagination_token = 1",
        "optional uint32 limit = 2",
        "optional string prefix = 3",
    ),
    "ListNamespacesResponse": (
        "repeated NamespaceDescription namespaces = 1",
        "optional Pagination pagination = 2",
        "int32 total_count = 3",
    ),
    "DescribeNamespaceRequest": ("string namespace = 1",),
    "DeleteNamespaceRequest": ("string namespace = 1",),
}

STRUCT = "google.protobuf.Struct"
FIELD = re.compile(r"\A(?:(optional|repeated) )?(?:map<string, (\w+)>|(\w+)) (\w+) = (\d+)")
Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "string": Field.TYPE_STRING,
    "bool": Field.TYPE_BOOL,
    "float": Field.TYPE_FLOAT,
    "int32": Field.TYPE_INT32,
    "uint32": Field.TYPE_UINT32,
    "uint64": Field.TYPE_UINT64,
}
WHOLE = (Field.TYPE_INT32, Field.TYPE_UINT32, Field.TYPE_UINT64)


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="db_data_2026-07.proto", syntax="proto3")
    file.dependency.append(struct_pb2.DESCRIPTOR.name)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _add(message, text)
    return file


def _add(message: Any, text: str) -> None:
    found = FIELD.fullmatch(text)
    assert found is not None, text
    rule, mapped, kind, name, number = found.groups()
    if mapped is not None:
        rule, kind = "repeated", _entry(message, name, mapped)
    field = message.field.add(name=name, number=int(number), **_type(kind))
    field.label = Field.LABEL_REPEATED if rule == "repeated" else Field.LABEL_OPTIONAL
    if rule == "optional" and kind in SCALARS:  # messages know whether they are there
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _entry(message: Any, name: str, kind: str) -> str:
    """On the wire a map is a list of messages with key and value."""
    entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    for number, (part, of) in enumerate((("key", "string"), ("value", kind)), start=1):
        entry.field.add(name=part, number=number, label=Field.LABEL_OPTIONAL, **_type(of))
    return f"{message.name}.{entry.name}"


def _type(kind: str) -> dict[str, Any]:
    if kind in SCALARS:
        return {"type": SCALARS[kind]}
    return {"type": Field.TYPE_MESSAGE, "type_name": f".{STRUCT if kind == 'Struct' else kind}"}


def _classes() -> dict[str, Any]:
    # Not the default pool: the messages have no package, and another library may bring its own "Vector".
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_file().SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in MESSAGES}


CLASSES = _classes()


def as_json(message: Any) -> Any:
    """A message as the JSON of the HTTP interface would have it; what is not set is left out."""
    if message.DESCRIPTOR.full_name == STRUCT:
        return {name: _plain(value) for name, value in message.fields.items()}
    return {field.json_name: _json(field, value) for field, value in message.ListFields()}


def _json(field: Any, value: Any) -> Any:
    if field.message_type is None:
        return list(value) if _is_list(value) else value
    if field.message_type.GetOptions().map_entry:
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if _is_list(value) else as_json(value)


def _is_list(value: Any) -> bool:
    # Not by the descriptor: `label` is deprecated, and `is_repeated` came with protobuf 6 only.
    return hasattr(value, "extend")


def _plain(value: Any) -> Any:
    return PLAIN[value.WhichOneof("kind")](value)


PLAIN: dict[str | None, Callable[[Any], Any]] = {
    None: lambda value: None,
    "null_value": lambda value: None,
    "number_value": lambda value: value.number_value,
    "string_value": lambda value: value.string_value,
    "bool_value": lambda value: value.bool_value,
    "struct_value": lambda value: as_json(value.struct_value),
    "list_value": lambda value: [_plain(item) for item in value.list_value.values],
}


def fill(message: Any, content: Mapping[str, Any]) -> Any:
    """The message, set from JSON, whose names may be in camel or in snake case; others are passed over."""
    if message.DESCRIPTOR.full_name == STRUCT:
        message.update(content)
        return message
    for field in message.DESCRIPTOR.fields:
        value = content.get(field.json_name, content.get(field.name))
        if value is not None:
            _set(message, field, value)
    return message


def _set(message: Any, field: Any, value: Any) -> None:
    held = getattr(message, field.name)
    if field.message_type is None:
        if _is_list(held):
            held.extend(value.tolist() if isinstance(value, np.ndarray) else value)
        else:
            setattr(message, field.name, int(value) if field.type in WHOLE else value)
    elif field.message_type.GetOptions().map_entry:
        for key, item in value.items():
            fill(held[key], item)
    elif _is_list(held):
        for item in value:
            fill(held.add(), item)
    else:
        held.SetInParent()
        fill(held, value)
