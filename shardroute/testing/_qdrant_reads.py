"""Operations that read points: what strict mode and the rates say to each, and what the engine answers."""

from __future__ import annotations

from typing import Any

import qdrant_edge as engine
from qdrant_client import models

from shardroute.testing._qdrant_collection import Collection
from shardroute.testing._qdrant_errors import bad_input, engine_errors, no_point, out_of_range
from shardroute.testing._qdrant_filters import engine_filter
from shardroute.testing._qdrant_indexes import is_tenant_filter
from shardroute.testing._qdrant_limits import StrictMode, condition_count, query_cost, strict_refusal
from shardroute.testing._qdrant_points import id_json, record_json, with_payload
from shardroute.testing._qdrant_queries import (
    QueryBuilder,
    Request,
    inputs_of,
    limit_of,
    order_by,
    prefetches_of,
)
from shardroute.testing._qdrant_settings import check_vector_name, sparse_of, vectors_of
from shardroute.testing._qdrant_store import QdrantStore

LIMIT = 10


def point(collection: Collection, given: str) -> Any:
    """One point by its id in the path."""
    found = _retrieved(collection, [int(given) if given.isdecimal() else given], True, True)
    if not found:
        raise no_point(given)
    return found[0]


def retrieve(_: QdrantStore, collection: Collection, wanted: models.PointRequest) -> Any:
    payload = with_payload(wanted.with_payload, default=True)
    return _retrieved(collection, wanted.ids, payload, wanted.with_vector or False)


def _retrieved(collection: Collection, ids: list[Any], payload: Any, vectors: Any) -> list[Any]:
    collection.charge_read(len(ids))
    return [record_json(each) for each in collection.retrieve(ids, payload, vectors)]


def scroll(_: QdrantStore, collection: Collection, wanted: models.ScrollRequest) -> Any:
    _check_limit(wanted.limit)
    collection.strict.at_most("max_query_limit", wanted.limit, "limit")
    collection.strict.reads(wanted.filter)
    if wanted.order_by is not None and wanted.offset is not None:
        raise bad_input(
            "Cannot use an `offset` when using `order_by`. The alternative for paging is to use "
            "`order_by.start_from` and a filter to exclude the IDs that you've already seen for the "
            "`order_by.start_from` value"
        )
    collection.charge_read(1 + condition_count(wanted.filter))
    with engine_errors():
        request = engine.ScrollRequest(
            offset=wanted.offset,
            limit=LIMIT if wanted.limit is None else wanted.limit,
            filter=engine_filter(wanted.filter),
            with_payload=with_payload(wanted.with_payload, default=True),
            with_vector=wanted.with_vector or False,
            order_by=order_by(wanted.order_by),
        )
    points, following = collection.scroll(request)
    return {
        "points": [record_json(each) for each in points],
        "next_page_offset": None if following is None else id_json(following),
    }


def count(_: QdrantStore, collection: Collection, wanted: models.CountRequest) -> Any:
    collection.strict.reads(wanted.filter)
    collection.strict.exact(wanted.exact is not False)
    collection.charge_read(1 + condition_count(wanted.filter))
    return {"count": collection.count(engine_filter(wanted.filter))}


def facet(_: QdrantStore, collection: Collection, wanted: models.FacetRequest) -> Any:
    _check_limit(wanted.limit)
    collection.strict.at_most("max_query_limit", wanted.limit, "limit")
    collection.strict.reads(wanted.filter)
    collection.strict.exact(wanted.exact)
    collection.charge_read(1 + condition_count(wanted.filter))
    limit = LIMIT if wanted.limit is None else wanted.limit
    with engine_errors():
        request = engine.FacetRequest(wanted.key, limit, True, engine_filter(wanted.filter))
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in collection.facet(request)]}


def query(store: QdrantStore, collection: Collection, wanted: models.QueryRequest) -> Any:
    return _answers(store, collection, [wanted])[0]


def query_batch(store: QdrantStore, collection: Collection, wanted: models.QueryRequestBatch) -> Any:
    size = len(wanted.searches)
    collection.strict.at_most("search_max_batchsize", size, "search batch size")
    return _answers(store, collection, wanted.searches)


def _answers(store: QdrantStore, collection: Collection, requests: list[models.QueryRequest]) -> list[Any]:
    for each in requests:
        _check(collection, each)

    def vector(location: models.LookupLocation | None, name: str, point_id: Any) -> Any:
        source = collection if location is None else store.get(location.collection)
        return source.vector(name, point_id)

    builder = QueryBuilder(vector)
    with engine_errors():
        built = [builder.request(each) for each in requests]
    collection.charge_read(sum(map(_cost, requests)))
    return [{"points": [record_json(each) for each in collection.query(one)]} for one in built]


def _check(collection: Collection, wanted: Request) -> None:
    """A query and what it prefetches, against the settings and strict mode."""
    _check_limit(wanted.limit)
    prefetches, strict = prefetches_of(wanted), collection.strict
    for each in prefetches:
        _check(collection, each)
    if any(True for _ in inputs_of(wanted.query)):
        check_vector_name(collection.settings, wanted.using or "")
        if not prefetches or isinstance(wanted, models.Prefetch):
            _check_scan(collection, wanted, strict)
    strict.at_most("max_query_limit", limit_of(wanted), "limit")
    strict.reads(wanted.filter)
    strict.parameters(wanted.params)


def _check_scan(collection: Collection, wanted: Request, strict: StrictMode) -> None:
    """Whether a search would have to look at every vector, where strict mode forbids that."""
    using, settings = wanted.using or "", collection.settings
    if strict["search_allow_exact"] is not False or using in sparse_of(settings):
        return
    hnsw = settings["hnsw_config"] | vectors_of(settings)[using].get("hnsw_config", {})
    if hnsw["m"] > 0:
        return
    of = f" on '{using}'" if using else ""
    if not is_tenant_filter(wanted.filter, collection.indexes):
        raise strict_refusal(
            f"Request is forbidden{of} because global vector indexing is disabled (hnsw_config.m = 0)",
            "Use tenant-specific filter, enable global vector indexing or enable strict mode "
            "`search_allow_exact` option",
        )
    if not hnsw.get("payload_m", hnsw["m"]):
        raise strict_refusal(
            f"Request is forbidden{of} because vector indexing is disabled "
            "(hnsw_config.m = 0 and hnsw_config.payload_m = 0)",
            "Enable vector indexing, use a prefetch query with indexed vectors or enable strict mode "
            "`search_allow_exact` option",
        )


def _cost(wanted: Request) -> int:
    """Tokens of a query: its searches, or one if it only scrolls. What ranks prefetched points costs nothing."""
    prefetches = prefetches_of(wanted)
    if prefetches:
        return sum(map(_cost, prefetches))
    vectors = list(inputs_of(wanted.query))
    return (query_cost(vectors) if vectors else 1) + condition_count(wanted.filter)


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise out_of_range("limit", limit, 1)
