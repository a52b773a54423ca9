"""The documents API of the Pinecone emulator: what each operation does, and the table that says where to find it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shardroute.testing import _pinecone_checks as check
from shardroute.testing._pinecone_call import Call, Operation, Reply, require_namespace
from shardroute.testing._pinecone_errors import Refused
from shardroute.testing._pinecone_log import Read, View
from shardroute.testing._pinecone_spec import IndexSpec
from shardroute.testing._pinecone_table import Record, Sparse, Vector, best, only
from shardroute.testing._pinecone_writes import (
    Delete,
    DeleteAll,
    DeleteWhere,
    Patch,
    Update,
    UpdateWhere,
    Upsert,
)

ACCEPTED = 202
RESERVED = frozenset({"_id", "_score", "_remove_fields"})
TEXT_SCORING = frozenset({"text", "query_string", "embed", "sparse_embed"})


def upsert(call: Call) -> Reply:
    given = check.sequence(call.body.get("documents"), "documents", check.MAX_RECORDS)
    records = [_record(check.mapping(item, "A document"), call.index.spec) for item in given]
    _check_unique([record.id for record in records])
    lsn = call.index.write(call.namespace, Upsert(records))
    return Reply({"upserted_count": len(records)}, ACCEPTED, lsn=lsn)


def search(call: Call) -> Reply:
    view = call.index.read(call.namespace, Read.SEARCH)
    top_k = check.integer(call.body.get("top_k", 0), "'top_k'", check.MAX_TOP_K, 0)
    scores, lowest = _scores(call, view)
    if (raw := call.body.get("filter")) is not None:
        kept = only(scores, view.table, call.index.compile(raw))
        scores = {found: scores[found] for found in kept}
    fields = _included(call.body.get("include_fields") or [])
    matches = [
        {**_shown(view.table.records[name], fields), "_score": score}
        for name, score in best(scores, top_k, lowest=lowest)
    ]
    body = {"matches": matches, "namespace": call.namespace, "usage": {"read_units": 1}}
    return Reply(body, position=view.lsn)


def fetch(call: Call) -> Reply:
    fields = _included(call.body.get("include_fields") or ["*"])
    raw = call.body.get("filter")
    table = call.index.read(call.namespace, Read.FETCH if raw is None else Read.METADATA).table
    body = {"namespace": call.namespace, "usage": {"read_units": 1}}
    if raw is None:
        ids = check.record_ids(call.body.get("ids"))
        documents = {name: _shown(table.records[name], fields) for name in ids if name in table.records}
        return Reply(body | {"documents": documents})
    if call.body.get("ids"):
        raise Refused("The 'ids' and 'filter' fields are mutually exclusive in document fetch requests")
    condition = call.index.compile(_non_empty(raw))
    limit = check.integer(call.body.get("limit"), "'limit'", check.MAX_FETCH_PAGE, 100)
    after = table.after(check.last_of(call.body.get("pagination_token")))
    found = list(itertools.islice((record for record in after if condition(record.metadata)), limit + 1))
    body |= {"documents": {record.id: _shown(record, fields) for record in found[:limit]}}
    return Reply(body | check.page([record.id for record in found], limit))


def list_ids(call: Call) -> Reply:
    limit = check.integer(call.body.get("limit"), "'limit'", check.MAX_LIST, check.MAX_LIST)
    last = check.last_of(call.body.get("pagination_token"))
    table = call.index.read(call.namespace, Read.LIST).table
    prefix = check.prefix(call.body.get("prefix") or "")
    found = [record.id for record in itertools.islice(table.after(last, prefix), limit + 1)]
    body = {"documents": [{"_id": name} for name in found[:limit]], "namespace": call.namespace}
    return Reply(body | {"usage": {"read_units": 1}} | check.page(found, limit))


def update(call: Call) -> Reply:
    documents, raw = call.body.get("documents"), call.body.get("filter")
    patched = {name: call.body.get(name) for name in ("set_fields", "remove_fields")}
    if documents is not None and (raw is not None or any(patched.values())):
        raise Refused("The 'documents' field is mutually exclusive with the by-filter fields")
    if documents is not None:
        given = check.sequence(documents, "documents", check.MAX_RECORDS)
        patches = [_patch(check.mapping(item, "A document"), call.index.spec) for item in given]
        _check_unique([name for name, _ in patches])
        return Reply({}, ACCEPTED, lsn=call.index.write(call.namespace, Update(dict(patches))))
    if raw is None or not any(patched.values()):
        raise Refused(
            "A document update needs 'documents', or a 'filter' with 'set_fields' or 'remove_fields'"
        )
    fields = check.mapping(patched["set_fields"] or {}, "'set_fields'")
    patch = _fields_patch(fields, patched["remove_fields"] or [], call.index.spec, "'set_fields'")
    matched = {"matched_records": _count(call, raw)}
    return Reply(matched, ACCEPTED, lsn=call.index.write(call.namespace, UpdateWhere(raw, patch)))


def delete(call: Call) -> Reply:
    ids, raw, everything = (call.body.get(key) for key in ("ids", "filter", "delete_all"))
    if sum((bool(ids), raw is not None, bool(everything))) != 1:
        raise Refused("Exactly one of 'ids', 'filter', or 'delete_all' must be provided")
    require_namespace(call)
    if everything:
        return Reply({}, ACCEPTED, lsn=call.index.write(call.namespace, DeleteAll()))
    if raw is None:
        return Reply({}, ACCEPTED, lsn=call.index.write(call.namespace, Delete(check.record_ids(ids))))
    matched = {"matched_records": _count(call, raw)}
    return Reply(matched, ACCEPTED, lsn=call.index.write(call.namespace, DeleteWhere(raw)))


def _operation(name: str, kind: str, handle: Any, *more: str) -> Operation:
    path = f"/namespaces/{{namespace}}/documents/{name}"
    return Operation((name, *more, kind), "POST", path, handle, "documents")


OPERATIONS = [
    _operation("upsert", "write", upsert),
    _operation("search", "read", search, "query"),
    _operation("fetch", "read", fetch),
    _operation("list", "read", list_ids),
    _operation("update", "write", update),
    _operation("delete", "write", delete),
]


def _non_empty(raw: Any) -> dict[str, Any]:
    if not check.mapping(raw, "'filter'"):
        raise Refused("The 'filter' field must be a non-empty object of filter predicates")
    return dict(raw)


def _count(call: Call, raw: Any) -> int:
    return len(
        call.index.read(call.namespace, Read.METADATA).table.matching(call.index.compile(_non_empty(raw)))
    )


def _check_unique(ids: Sequence[str]) -> None:
    if len(set(ids)) != len(ids):
        raise Refused("Document IDs must be unique within a request")


def _record(item: Mapping[str, Any], spec: IndexSpec) -> Record:
    name = check.record_id(item.get("_id"))
    dense, sparse, metadata = _fields(_own(item), spec, name)
    required = [*spec.dense, *(field for field in spec.text if spec.fields[field].get("embed") is not None)]
    if missing := [field for field in required if field not in dense and field not in metadata]:
        raise Refused(f"Document '{name}' lacks the required field(s): {', '.join(sorted(missing))}")
    if not dense and not sparse and spec.text.isdisjoint(metadata):
        searched = ", ".join(sorted(spec.data_fields))
        raise Refused(
            f"Document '{name}' must contain at least one searchable field of the schema: {searched}"
        )
    return Record(name, dense, sparse, metadata)


def _own(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in RESERVED}


def _patch(item: Mapping[str, Any], spec: IndexSpec) -> tuple[str, Patch]:
    name = check.record_id(item.get("_id"))
    return name, _fields_patch(_own(item), item.get("_remove_fields") or [], spec, f"Document '{name}'")


def _fields_patch(fields: Mapping[str, Any], remove: Any, spec: IndexSpec, whose: str) -> Patch:
    if not isinstance(remove, list) or any(not isinstance(name, str) for name in remove):
        raise Refused(f"{whose}: fields to remove must be a list of names")
    if both := set(remove) & set(fields):
        raise Refused(f"{whose}: fields cannot be both set and removed: {', '.join(sorted(both))}")
    if required := set(remove) & set(spec.dense):
        raise Refused(f"{whose}: required fields cannot be removed: {', '.join(sorted(required))}")
    dense, sparse, metadata = _fields(fields, spec, whose)
    return Patch(dense, sparse, metadata, remove)


def _fields(
    fields: Mapping[str, Any], spec: IndexSpec, whose: str
) -> tuple[dict[str, Vector], dict[str, Sparse], dict[str, Any]]:
    """Sorted by the schema: dense vectors, sparse vectors, and all the rest."""
    for name, value in fields.items():
        if value is None:
            raise Refused(f"{whose}: field '{name}' must not be null; remove the field instead")
        if name in spec.text and not isinstance(value, str):
            raise Refused(f"{whose}: field '{name}' must be a string")
    dense = {
        name: check.dense_vector(fields[name], spec.dense[name], whose)
        for name in spec.dense
        if name in fields
    }
    sparse = {name: check.sparse_vector(fields[name], whose) for name in spec.sparse if name in fields}
    filterable = {name: fields[name] for name in fields if name not in spec.data_fields}
    text = {name: fields[name] for name in spec.text if name in fields}  # not counted in the 40 KB
    return dense, sparse, check.metadata(filterable, spec.integers) | text


def _included(names: Any) -> Collection[str] | None:
    """The fields to show; None is all of them."""
    if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
        raise Refused("'include_fields' must be a list of field names")
    return None if "*" in names else frozenset(names)


def _shown(record: Record, fields: Collection[str] | None) -> dict[str, Any]:
    sparse = {name: vector._asdict() for name, vector in record.sparse.items()}
    held = {**record.metadata, **record.dense, **sparse}
    kept = held if fields is None else {name: held[name] for name in held if name in fields}
    return {"_id": record.id, **kept}


def _scores(call: Call, view: View) -> tuple[Mapping[str, float], bool]:
    """Scores by id, and whether the lowest is the best."""
    given = check.sequence(call.body.get("score_by"), "'score_by' clauses", 100)
    clauses = [check.mapping(clause, "A 'score_by' clause") for clause in given]
    if text := {str(clause.get("type")) for clause in clauses} & TEXT_SCORING:
        raise Refused(
            f"the emulator does not score by {', '.join(sorted(text))}: only by vectors it is given"
        )
    if len(clauses) != 1:
        raise Refused("'dense_vector' and 'sparse_vector' clauses must appear alone in 'score_by'")
    clause = clauses[0]
    name = _one_field(clause)
    spec = call.index.spec
    match clause.get("type"):
        case "dense_vector" if name in spec.dense:
            vector = check.query_vector(clause.get("values"), spec.dense[name], "The query vector")
            ids, values = view.table.dense_scores(name, vector, spec.dense[name].metric)
            return dict(zip(ids, values.tolist(), strict=True)), spec.dense[name].metric == "euclidean"
        case "sparse_vector" if name in spec.sparse:
            sparse = check.sparse_vector(clause.get("sparse_values"), "The query vector")
            return view.table.sparse_scores(name, sparse), False
        case kind:
            raise Refused(f"'score_by' clause of type {kind!r} names no such field of the schema: {name!r}")


def _one_field(clause: Mapping[str, Any]) -> str:
    fields = clause.get("fields") or [clause.get("field")]
    if not isinstance(fields, list) or len(fields) != 1 or not isinstance(fields[0], str):
        raise Refused(f"{clause.get('type')} scoring requires specifying the name of exactly one field")
    return fields[0]
