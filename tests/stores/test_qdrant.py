"""What is Qdrant's own: ids, payloads, errors and how collections are made."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import httpx
import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from shardroute.errors import (
    ClusterRejected,
    ClusterUnavailable,
    ConfigError,
    InvalidFilter,
    InvalidRecord,
    RateLimited,
    ShardrouteError,
)
from shardroute.filters import parse
from shardroute.hashing import point_uuid
from shardroute.ports import Change
from shardroute.records import Metric, Query, Record, same_vector
from shardroute.stores import qdrant_points, qdrant_schema, qdrant_tenants
from shardroute.stores.qdrant import QdrantStore
from shardroute.stores.qdrant_errors import About, QdrantRejected, translated
from shardroute.stores.qdrant_filters import translate, within
from shardroute.stores.qdrant_tenancy import json_key
from shardroute.testing.qdrant import QdrantServer
from shardroute.topology import IdScheme, Place, Placement, Tenancy, TenancyKind, Topology
from tests.support.patience import NEVER

from .conftest import sparse, unit

UUID = "0b0a7b3e-5d1c-4c5a-9d0e-2f3a4b5c6d7e"


def place(tenant: str = "acme", tenancy: str = "payload:tenant", **changes: Any) -> Place:
    """A place of four dimensions, cosine."""
    parsed = Tenancy.parse(tenancy)
    collection = "docs_{tenant}" if parsed.kind is TenancyKind.COLLECTION else "docs"
    made = Topology("v1", 1, Placement("q", collection, parsed), 4, Metric.COSINE).place(tenant)
    return dataclasses.replace(made, **changes)


@pytest.fixture
async def store() -> AsyncIterator[QdrantStore]:
    opened = QdrantStore.connect("q", location=":memory:")
    yield opened
    await opened.aclose()


# Ids and payloads


@pytest.mark.parametrize(
    "name",
    ["", "doc", "007", "-1", "1.0", "٣", str(2**64), UUID.upper(), UUID.replace("-", ""), f"urn:uuid:{UUID}"],
)
async def test_other_spellings_are_misfits_and_no_points(store: QdrantStore, name: str) -> None:
    native = place(ids=IdScheme.NATIVE)
    await store.prepare(native)
    record = Record.trusted(name, unit(1), {})
    assert "ids" in (store.misfit(native, record) or "")
    with pytest.raises(InvalidRecord):
        await store.upsert(native, [record])
    assert await store.fetch(native, [name]) == {}


async def test_a_mapped_point_keeps_its_id_and_tenant_in_the_payload(store: QdrantStore) -> None:
    await store.prepare(place())
    await store.upsert(place(), [Record("doc-1", unit(1), {"a": 1})])
    [point] = await store._client.retrieve("docs", [point_uuid("acme", "doc-1")])
    assert point.payload == {"a": 1, "tenant": "acme", "__shardroute_id": "doc-1"}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"tenant": "x"}, "tells tenants apart"),
        ({"__shardroute_id": "x"}, "reserved"),
        ({"n": 2**63}, "64 bits"),
        ({"n": 2**63 - 1, "x": True, "y": [None]}, None),
    ],
)
def test_metadata_that_cannot_be_held_is_a_misfit(metadata: dict[str, Any], reason: str | None) -> None:
    found = qdrant_points.misfit(place(), Record.trusted("a", unit(1), metadata))
    assert (found is None) if reason is None else reason in (found or "")


def test_a_collection_of_ones_own_has_no_tenant_field() -> None:
    assert qdrant_points.misfit(place(tenancy="collection"), Record("a", unit(1), {"tenant": "x"})) is None


def test_a_sparse_vector_needs_a_name_for_it() -> None:
    record = Record("a", unit(1), sparse_vector=sparse(i1=1.0))
    assert "sparse_name" in (qdrant_points.misfit(place(), record) or "")
    assert qdrant_points.misfit(place(sparse_name="words"), record) is None


def test_namespaces_are_pinecones() -> None:
    with pytest.raises(ConfigError, match="namespace"):
        within(place(tenancy="namespace"))


async def test_a_native_id_of_another_tenant_is_neither_overwritten_nor_silent(store: QdrantStore) -> None:
    acme, globex = place("acme", ids=IdScheme.NATIVE), place("globex", ids=IdScheme.NATIVE)
    await store.prepare(acme)
    await store.upsert(acme, [Record("7", unit(1), {"of": "acme"})])
    batch = [Record("7", unit(2), {"of": "globex"}), Record("8", unit(2))]
    for insert_only in (False, True):
        with pytest.raises(ClusterRejected, match=r"1 of 2 ids belong to another tenant .* 7;"):
            await store.upsert(globex, batch, insert_only=insert_only)
    assert dict((await store.fetch(acme, ["7"]))["7"].metadata) == {"of": "acme"}
    assert set(await store.fetch(globex, ["7", "8"])) == {"8"}


async def test_points_of_somebody_else_in_a_mapped_collection_are_refused(store: QdrantStore) -> None:
    await store.prepare(place())
    foreign = models.PointStruct(id=1, vector=unit(1).tolist(), payload={"tenant": "acme"})
    await store._client.upsert("docs", [foreign])
    with pytest.raises(ClusterRejected, match='ids = "native"'):
        await store.scan(place())
    assert [r.id for r in (await store.scan(place(ids=IdScheme.NATIVE))).records] == ["1"]


# Filters


@pytest.mark.parametrize(
    ("field", "key"), [("a", "a"), ("a-b_1", "a-b_1"), ("a.b", '"a.b"'), ("a[]", '"a[]"'), ("é", '"é"')]
)
def test_a_key_is_quoted_where_it_would_be_a_path(field: str, key: str) -> None:
    assert json_key(field) == key


def test_a_key_with_a_double_quote_cannot_be_filtered_on(store: QdrantStore) -> None:
    condition = parse({"$or": [{"a": 1}, {'b"': {"$exists": True}}]})
    assert condition is not None
    assert 'b"' in (store.filter_misfit(condition) or "")
    with pytest.raises(InvalidFilter):
        translate(condition, hidden=None)


async def test_large_whole_numbers_are_compared_exactly(store: QdrantStore) -> None:
    await store.prepare(place())
    numbers = [2**53, 2**53 + 1, 2**62 + 1, 2**62 + 2]
    await store.upsert(place(), [Record(f"d{n}", unit(1), {"n": n}) for n in numbers])
    for number in numbers:
        assert await store.count(place(), parse({"n": number})) == 1
    assert await store.count(place(), parse({"n": {"$in": numbers}})) == 4
    assert await store.count(place(), parse({"n": 10**400})) == 0


RAW_FILTERS: list[Any] = [
    {"a": 1},
    {"a": "x", "b": True},
    {"a": {"$in": ["x", "y", 1, False]}},
    {"a": {"$in": []}},
    {"$not": {"a.b": {"$exists": True}}},
    {"$or": [{"a": {"$gt": 1, "$lte": 2.5}}, {"b": {"$nin": ["x"]}}]},
    {"n": 2**60 + 1},
]


@pytest.mark.parametrize("raw", RAW_FILTERS, ids=str)
def test_a_filter_goes_over_grpc_unchanged(raw: Any) -> None:
    own = within(place(), ids=[1, UUID], condition=parse(raw))
    assert own is not None
    there = GrpcToRest.convert_filter(RestToGrpc.convert_filter(own))
    assert without_empty_clauses(there.model_dump()) == without_empty_clauses(own.model_dump())


def without_empty_clauses(dumped: Any) -> Any:
    """gRPC knows no difference between no clause and an empty one; nor does Qdrant."""
    if isinstance(dumped, list):
        return [without_empty_clauses(item) for item in dumped]
    if not isinstance(dumped, dict):
        return dumped
    clauses = {"must", "should", "must_not", "min_should"}
    return {key: without_empty_clauses(item) for key, item in dumped.items() if item or key not in clauses}


@pytest.mark.parametrize("names", [("", ""), ("", "words"), ("dense", "words"), ("dense", "")])
def test_a_point_goes_over_grpc_unchanged(names: tuple[str, str]) -> None:
    target = place(vector_name=names[0], sparse_name=names[1])
    weights = sparse(i1=0.5) if names[1] else None
    metadata = {"a": [1, None, 1.5, {"b": True}], "n": 2**60, "none": None}
    point = qdrant_points.to_point(target, Record("a", unit(1), metadata, weights))
    there = GrpcToRest.convert_point_struct(RestToGrpc.convert_point_struct(qdrant_points.to_struct(point)))
    read = models.Record(id=there.id, payload=there.payload, vector=there.vector)  # type: ignore[arg-type]  # same
    record = qdrant_points.to_record(target, read)
    assert (record.id, dict(record.metadata)) == ("a", metadata)
    assert record.vector is not None
    assert np.array_equal(record.vector, unit(1))
    assert (record.sparse_vector is None) is (weights is None)


# Collections


def test_tenants_by_payload_get_a_graph_each_and_none_over_all() -> None:
    made = qdrant_schema.new_collection(place())
    assert made["hnsw_config"] == models.HnswConfigDiff(payload_m=16, m=0)
    assert "hnsw_config" not in qdrant_schema.new_collection(place(tenancy="collection"))
    assert qdrant_schema.new_collection(place(tenancy="shard_key"))["sharding_method"] == "custom"


async def test_a_missing_collection_is_an_error_unless_it_would_be_the_tenants_own(
    store: QdrantStore,
) -> None:
    for attempt in (
        store.count(place()),
        store.scan(place()),
        store.fetch(place(), ["a"]),
        store.query(place(), Query(unit(1))),
        store.upsert(place(), [Record("a", unit(1))]),
        store.delete(place(), ["a"]),
        store.update(place(), [Change("a", vector=unit(1))]),
        store.remove(place(), ["a"], "mark"),
    ):
        with pytest.raises(ClusterRejected, match="docs"):
            await attempt
    assert await store.count(place(tenancy="collection")) == 0


async def test_the_first_upsert_makes_the_tenants_own_collection(store: QdrantStore) -> None:
    own = place(tenancy="collection")
    await store.upsert(own, [Record("a", unit(1))])
    assert await store.count(own) == 1
    assert await store.describe(own) is not None


async def test_a_collection_without_the_places_vector_has_no_dimension(store: QdrantStore) -> None:
    await store.prepare(place())
    for name, expected in {"": (4, Metric.COSINE, False), "dense": (None, None, False)}.items():
        described = await store.describe(place(vector_name=name))
        assert described is not None
        assert (described.dimension, described.metric, described.sparse) == expected


async def test_shard_keys_take_a_server(store: QdrantStore) -> None:
    with pytest.raises(ClusterRejected, match="not supported in the local Qdrant"):
        await store.prepare(place(tenancy="shard_key"))


async def test_tenants_are_found_when_there_are_more_than_a_facet_names(
    store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdrant_tenants, "FACET_LIMIT", 3)
    monkeypatch.setattr(qdrant_tenants, "_PAGE", 2)
    names = {f"tenant-{number}" for number in range(5)}
    await store.prepare(place())
    for name in names:
        await store.upsert(place(name), [Record("a", unit(1)), Record("b", unit(2))])
    found = [name async for name in store.tenants(Placement("q", "docs"), ["docs", "not made yet"])]
    assert sorted(found) == sorted(names)


async def test_tenants_are_read_off_the_names_of_collections(store: QdrantStore) -> None:
    placement = Placement("q", "docs_{shard}_{tenant}", Tenancy(TenancyKind.COLLECTION))
    names = [f"tenant_{number}.x" for number in range(4)]
    for name in names:
        await store.upsert(Topology("v", 8, placement, 4).place(name), [Record("a", unit(1))])
    await store._client.create_collection("docs_x_other", vectors_config={})
    assert sorted([name async for name in store.tenants(placement, ())]) == names


async def test_data_on_disk_outlives_the_store(tmp_path: Path) -> None:
    for expected in (0, 1):
        store = QdrantStore.connect("q", path=str(tmp_path))
        await store.prepare(place())
        assert await store.count(place()) == expected
        await store.upsert(place(), [Record("a", unit(1), {"x": 1})])
        await store.aclose()


async def test_a_client_of_somebody_else_is_left_open() -> None:
    client = AsyncQdrantClient(location=":memory:")
    store = QdrantStore("q", client, owns_client=False)
    await store.aclose()
    await store.ping()
    await client.close()


async def test_a_vector_whose_point_vanishes_meanwhile_is_passed_over_and_nothing_is_sent_twice(
    store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.prepare(place())
    await store.upsert(place(), [Record("a", unit(1)), Record("b", unit(1))])
    look, change, sent = store._present, store._requests.change, list[str]()

    async def noted(where: Place, operations: Sequence[Any]) -> None:
        sent.extend(str(operation) for operation in operations)
        await change(where, operations)

    monkeypatch.setattr(store._requests, "change", noted)

    async def look_and_lose(*arguments: Any) -> Any:
        seen = await look(*arguments)
        await store.delete(place(), ["a"])
        return seen

    monkeypatch.setattr(store, "_present", look_and_lose)
    await store.update(place(), [Change("a", {"n": 1}, unit(2)), Change("b", {"n": 1}, unit(2))])
    read = await store.fetch(place(), ["a", "b"])
    assert set(read) == {"b"}
    assert len(sent) == len(set(sent)) == 4
    assert dict(read["b"].metadata) == {"n": 1}
    assert same_vector(read["b"].vector, unit(2), Metric.COSINE)


# Errors


@pytest.mark.parametrize(
    ("url", "grpc_port", "expected"),
    [
        ("http://db.example:6333", None, ("db.example", 6333)),
        ("https://db.example", None, ("db.example", 6333)),
        ("http://db.example:6333", 7000, ("db.example", 7000)),
    ],
)
async def test_the_address_is_the_one_that_requests_go_to(
    url: str, grpc_port: int | None, expected: tuple[str, int]
) -> None:
    store = QdrantStore.connect("q", url=url, prefer_grpc=grpc_port is not None, grpc_port=grpc_port or 6334)
    assert store.address == expected
    await store.aclose()


def response(status: int, body: bytes = b'{"status":{"error":"so it is"}}') -> UnexpectedResponse:
    return UnexpectedResponse(status, "Reason", body, httpx.Headers())


def rpc_error(code: grpc.StatusCode) -> Exception:
    error: Exception = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "so it is")
    return error


TRANSLATIONS: list[tuple[Exception, type[ShardrouteError]]] = [
    (ResponseHandlingException(httpx.ConnectError("so it is")), ClusterUnavailable),
    (ResponseHandlingException(httpx.ReadTimeout("so it is")), ClusterUnavailable),
    (ConnectionResetError("so it is"), ClusterUnavailable),
    (response(500), ClusterUnavailable),
    (response(503), ClusterUnavailable),
    (response(408), ClusterUnavailable),
    (response(502, b"<html>so it is"), ClusterUnavailable),
    (response(429), RateLimited),
    (ResourceExhaustedResponse("so it is", 3), RateLimited),
    (response(400), QdrantRejected),
    (response(403, b"so it is"), QdrantRejected),
    (rpc_error(grpc.StatusCode.UNAVAILABLE), ClusterUnavailable),
    (rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED), ClusterUnavailable),
    (rpc_error(grpc.StatusCode.INTERNAL), ClusterUnavailable),
    (rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED), RateLimited),
    (rpc_error(grpc.StatusCode.INVALID_ARGUMENT), QdrantRejected),
    (rpc_error(grpc.StatusCode.UNAUTHENTICATED), QdrantRejected),
    (ValueError("so it is"), QdrantRejected),
]


@pytest.mark.parametrize(("error", "expected"), TRANSLATIONS)
def test_errors_become_ours_and_keep_their_words(error: Exception, expected: type[ShardrouteError]) -> None:
    ours = translated("q", error)
    assert type(ours) is expected
    assert "'q'" in str(ours)
    assert "so it is" in str(ours)


def test_how_long_to_wait_is_passed_on() -> None:
    assert translated("q", ResourceExhaustedResponse("", 3)).retry_after == 3.0


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ("Not found: Collection `docs` doesn't exist!", About.NO_COLLECTION),
        ("Collection docs not found", About.NO_COLLECTION),
        ("Not found: Collection `shard_key` does not exist", About.NO_COLLECTION),
        ("Wrong input: Collection `docs` already exists!", About.EXISTS),
        ("Not found: No point with id 7 found", About.NO_POINT),
        ("Bad request: Shard key acme not found in collection docs", About.NO_SHARD_KEY),
        ("Wrong input: Vector dimension error: expected dim: 4, got 3", About.OTHER),
    ],
)
def test_what_a_refusal_is_about_is_read_off_its_words(message: str, about: About) -> None:
    assert QdrantRejected("q", message).about is about


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.mark.parametrize("prefer_grpc", [False, True])
async def test_a_server_that_is_not_there_is_unavailable(prefer_grpc: bool) -> None:
    port = closed_port()
    store = QdrantStore.connect(
        "q", url=f"http://127.0.0.1:{port}", prefer_grpc=prefer_grpc, grpc_port=port, timeout=2
    )
    for attempt in (store.ping(), store.count(place()), store.upsert(place(), [Record("a", unit(1))])):
        with pytest.raises(ClusterUnavailable) as caught:
            await attempt
        assert caught.value.__cause__ is not None
    assert not store.can_insert_only
    await store.aclose()


async def test_faults_of_a_server_are_told_apart() -> None:
    async with QdrantServer() as server:
        store = QdrantStore.connect("q", url=server.url, timeout=2.0)
        await store.prepare(place())
        server.faults.error_rate, server.faults.error_status = 1.0, 503
        with pytest.raises(ClusterUnavailable, match="503"):
            await store.count(place())
        server.faults.error_status = 403
        with pytest.raises(ClusterRejected, match="403"):
            await store.count(place())
        server.faults.error_rate, server.faults.down = 0.0, True
        with pytest.raises(ClusterUnavailable):
            await store.count(place())
        server.faults.down, server.faults.rate_limit = False, 0.0
        with pytest.raises(RateLimited) as caught:
            await store.count(place())
        assert caught.value.retryable
        server.faults.rate_limit, server.faults.latency = None, NEVER
        with pytest.raises(ClusterUnavailable, match=r"2\.0 s"):
            await store.count(place())
        server.faults.latency = 0.0
        assert await store.count(place()) == 0
        await store.aclose()


async def test_cancellation_passes_through() -> None:
    async with QdrantServer() as server:
        store = QdrantStore.connect("q", url=server.url)
        server.faults.latency = 5.0
        waiting = asyncio.create_task(store.ping())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await store.aclose()


async def test_a_tenants_index_is_made_on_a_server() -> None:
    async with QdrantServer() as server:
        store = QdrantStore.connect("q", url=server.url)
        for _ in range(2):
            await store.prepare(place())
        assert store.can_insert_only
        info = await store._client.get_collection("docs")
        assert set(info.payload_schema) == {"tenant"}
        await store.aclose()
