"""The vectors API of the Pinecone emulator: what each operation does, and the table that says where to find it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from shardroute.testing import _pinecone_checks as check
from shardroute.testing._pinecone_call import Call, Operation, Reply, require_namespace
from shardroute.testing._pinecone_errors import Refused
from shardroute.testing._pinecone_index import Index
from shardroute.testing._pinecone_log import Read, View
from shardroute.testing._pinecone_spec import DENSE, SPARSE, Dense, IndexSpec
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

NO_SPARSE = (
    "Index configuration does not support sparse values - only indexes that are sparse or using dotproduct "
    "are supported"
)


def upsert(call: Call) -> Reply:
    given = check.sequence(call.body.get("vectors"), "vectors", check.MAX_RECORDS)
    records = [_record(check.mapping(item, "A vector"), call.index) for item in given]
    lsn = call.index.write(call.namespace, Upsert(records))
    return Reply({"upsertedCount": len(records)}, lsn=lsn)


def query(call: Call) -> Reply:
    view = call.index.read(call.namespace, Read.SEARCH)
    top_k = check.integer(call.body.get("topK", 0), "topK", check.MAX_TOP_K, 0)
    scores = _scores(call, view)
    if (raw := call.body.get("filter")) is not None:
        kept = only(scores, view.table, call.index.compile(raw))
        scores = {found: scores[found] for found in kept}
    lowest = DENSE in call.index.spec.dense and call.index.spec.dense[DENSE].metric == "euclidean"
    found = best(scores, top_k, lowest=lowest)
    shown = bool(call.body.get("includeValues")), bool(call.body.get("includeMetadata"))
    matches = [{**_shown(view.table.records[name], *shown), "score": score} for name, score in found]
    body = {"matches": matches, "namespace": call.given_namespace, "usage": {"readUnits": 1}}
    return Reply(body, position=view.lsn)


def fetch(call: Call) -> Reply:
    ids = check.record_ids(list(call.ids))
    records = call.index.read(call.namespace, Read.FETCH).table.records
    vectors = {name: _shown(records[name]) for name in ids if name in records}
    return Reply({"vectors": vectors, "namespace": call.given_namespace, "usage": {"readUnits": 1}})


def fetch_by_metadata(call: Call) -> Reply:
    condition = call.index.compile(_filter(call.body, "Empty filter provided for fetch by metadata request"))
    limit = check.integer(call.body.get("limit"), "limit", check.MAX_FETCH_PAGE, 100)
    table = call.index.read(call.namespace, Read.METADATA).table
    after = table.after(check.last_of(call.body.get("paginationToken")))
    found = list(itertools.islice((record for record in after if condition(record.metadata)), limit + 1))
    vectors = {record.id: _shown(record) for record in found[:limit]}
    body = {"vectors": vectors, "namespace": call.given_namespace, "usage": {"readUnits": 1}}
    return Reply(body | check.page([record.id for record in found], limit))


def list_ids(call: Call) -> Reply:
    limit = check.integer(call.query.get("limit"), "limit", check.MAX_LIST, check.MAX_LIST)
    last = check.last_of(call.query.get("paginationToken"))
    table = call.index.read(call.namespace, Read.LIST).table
    prefix = check.prefix(call.query.get("prefix", ""))
    found = [record.id for record in itertools.islice(table.after(last, prefix), limit + 1)]
    body = {"vectors": [{"id": name} for name in found[:limit]], "namespace": call.given_namespace}
    return Reply(body | {"usage": {"readUnits": 1}} | check.page(found, limit))


def update(call: Call) -> Reply:
    metadata = check.metadata(_without_nulls(call.body.get("setMetadata") or {}))
    if "filter" in call.body:
        return _update_where(call, metadata)
    name = check.record_id(call.body.get("id"))
    dense, sparse = _vectors(call.body, call.index, name)
    lsn = call.index.write(call.namespace, Update({name: Patch(dense, sparse, metadata)}))
    return Reply({}, lsn=lsn)


def _update_where(call: Call, metadata: dict[str, Any]) -> Reply:
    if call.body.get("id"):
        raise Refused("Exactly one of 'id' and 'filter' must be specified")
    if call.body.get("values") or call.body.get("sparseValues"):
        raise Refused("Update by metadata request does not support updating vector values")
    raw = _filter(call.body, "Update with empty metadata filter is not allowed")
    matched = {"matchedRecords": _count(call, raw)}
    if call.body.get("dryRun"):
        return Reply(matched)
    return Reply(matched, lsn=call.index.write(call.namespace, UpdateWhere(raw, Patch(metadata=metadata))))


def delete(call: Call) -> Reply:
    """With a filter, ids are passed over, as by the real service."""
    require_namespace(call)
    ids, everything, where = call.body.get("ids"), call.body.get("deleteAll"), call.body.get("filter")
    if everything and (ids or where is not None):
        raise Refused(f"No {'explicit IDs' if ids else 'filter'} allowed when delete_all=true")
    if everything:
        return Reply({}, lsn=call.index.write(call.namespace, DeleteAll()))
    if where is not None:
        raw = _filter(call.body, "Delete with empty metadata filter is not allowed")
        call.index.compile(raw)
        return Reply({}, lsn=call.index.write(call.namespace, DeleteWhere(raw)))
    return Reply({}, lsn=call.index.write(call.namespace, Delete(check.record_ids(ids))))


OPERATIONS = [
    Operation(("upsert", "write"), "POST", "/vectors/upsert", upsert, "vectors"),
    Operation(("query", "read"), "POST", "/query", query, "vectors"),
    Operation(("fetch", "read"), "GET", "/vectors/fetch", fetch, "vectors"),
    Operation(
        ("fetch_by_metadata", "fetch", "read"),
        "POST",
        "/vectors/fetch_by_metadata",
        fetch_by_metadata,
        "vectors",
    ),
    Operation(("list", "read"), "GET", "/vectors/list", list_ids, "vectors"),
    Operation(("update", "write"), "POST", "/vectors/update", update, "vectors"),
    Operation(("delete", "write"), "POST", "/vectors/delete", delete, "vectors"),
]


def _filter(body: Mapping[str, Any], if_empty: str) -> dict[str, Any]:
    raw = check.mapping(body.get("filter"), "filter")
    if not raw:
        raise Refused(if_empty)
    return raw


def _count(call: Call, raw: Mapping[str, Any]) -> int:
    return len(call.index.read(call.namespace, Read.METADATA).table.matching(call.index.compile(raw)))


def _record(item: Mapping[str, Any], index: Index) -> Record:
    name, spec = check.record_id(item.get("id")), index.spec
    dense, sparse = _vectors(item, index, name)
    if spec.dense and not dense:
        raise Refused(
            f"Vector dimension 0 does not match the dimension of the index {spec.dense[DENSE].dimension}"
        )
    if not dense and not sparse:
        raise Refused(f"Sparse vector must have at least one value. Vector ID {name} has none.")
    return Record(name, dense, sparse, check.metadata(_without_nulls(item.get("metadata") or {})))


def _vectors(item: Mapping[str, Any], index: Index, name: str) -> tuple[dict[str, Vector], dict[str, Sparse]]:
    dense, sparse = item.get("values"), item.get("sparseValues")
    whose = f"Vector ID {name}"
    if sparse and not index.spec.sparse and index.project.behaviour.sparse_needs_dotproduct:
        raise Refused(NO_SPARSE)
    return (
        {DENSE: check.dense_vector(dense, _dense_field(index.spec), whose)} if dense else {},
        {SPARSE: check.sparse_vector(sparse, whose)} if sparse else {},
    )


def _dense_field(spec: IndexSpec) -> Dense:
    if not spec.dense:
        raise Refused("Index configuration does not support dense values: it is a sparse index")
    return spec.dense[DENSE]


def _without_nulls(metadata: Any) -> dict[str, Any]:
    return {name: value for name, value in check.mapping(metadata, "metadata").items() if value is not None}


def _scores(call: Call, view: View) -> Mapping[str, float]:
    dense, sparse = _query_vectors(call, view)
    if dense is None and sparse is None:
        return {}
    scores: dict[str, float] = {}
    if dense is not None:
        ids, values = view.table.dense_scores(DENSE, dense, call.index.spec.dense[DENSE].metric)
        scores = dict(zip(ids, values.tolist(), strict=True))
    if sparse is None:
        return scores
    return _sum(scores, view.table.sparse_scores(SPARSE, sparse).items())


def _sum(scores: dict[str, float], more: Iterable[tuple[str, float]]) -> dict[str, float]:
    for name, score in more:
        scores[name] = scores.get(name, 0.0) + score
    return scores


def _query_vectors(call: Call, view: View) -> tuple[Vector | None, Sparse | None]:
    name, values, sparse = (call.body.get(key) for key in ("id", "vector", "sparseVector"))
    if name and (values or sparse):
        raise Refused(
            f"Cannot provide both 'ID' and '{'vector' if values else 'sparse_vector'}' at the same time."
        )
    if name:
        record = view.table.records.get(check.record_id(name), Record(""))
        return record.dense.get(DENSE), record.sparse.get(SPARSE) if call.index.spec.sparse else None
    if not values and not sparse:
        raise Refused("Query vector must not be empty")
    spec = call.index.spec
    if spec.dense and not values:
        raise Refused(
            f"Vector dimension 0 does not match the dimension of the index {spec.dense[DENSE].dimension}"
        )
    if sparse and not spec.sparse:
        raise Refused(NO_SPARSE)
    return (
        check.query_vector(values, _dense_field(spec), "The query vector") if values else None,
        check.sparse_vector(sparse, "The query vector") if sparse else None,
    )


def _shown(record: Record, values: bool = True, metadata: bool = True) -> dict[str, Any]:
    """A record in JSON; what it has not is left out. `values` always stands there, if empty."""
    shown: dict[str, Any] = {"id": record.id, "values": record.dense.get(DENSE, []) if values else []}
    if values and SPARSE in record.sparse:
        shown["sparseValues"] = record.sparse[SPARSE]._asdict()
    if metadata and record.metadata:
        shown["metadata"] = record.metadata
    return shown
