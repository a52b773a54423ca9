"""What is sent as JSON is what qdrant-client would send of the same points, and arrives as it was."""

from __future__ import annotations

import gc
import json
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import numpy as np
import orjson
import pytest
from qdrant_client import models

from shardroute.errors import ClusterRejected
from shardroute.records import Metric, Record, SparseVector, same_vector
from shardroute.stores.qdrant import QdrantStore
from shardroute.stores.qdrant_filters import within
from shardroute.stores.qdrant_json import read_body, upsert_body
from shardroute.stores.qdrant_points import shard_key, to_point, to_struct
from shardroute.testing.qdrant import QdrantServer
from shardroute.topology import IdScheme, Place

from .conftest import sparse, unit
from .test_qdrant import UUID, place


class Grade(IntEnum):
    A = 1


class Pair(NamedTuple):
    one: int
    two: str


METADATA: list[dict[str, Any]] = [
    {},
    {"none": None, "yes": True, "no": False, "empty": "", "list": [], "nested": {"a": [1, None, {"b": 1.5}]}},
    {"é": 'ß€😀\x00\x1f\\"/\u2028', "键": ["值"]},
    {"large": 2**53 + 1, "largest": 2**63 - 1, "smallest": -(2**63), "deep": {"unsigned": [2**64 - 1]}},
    {"tiny": 5e-324, "huge": 1.7976931348623157e308, "zero": -0.0, "third": 1 / 3},
    {"tuple": (1, (2, 3)), "pair": Pair(1, "x"), "ordered": OrderedDict(b=1, a=2), "grade": Grade.A},
    {"numpy": np.float64(0.1)},
    {"beyond 64 bits": [2**70]},
]

PLACES = {
    "mapped": place(),
    "native": place(ids=IdScheme.NATIVE),
    "named": place(vector_name="dense"),
    "sparse": place(sparse_name="words"),
    "named and sparse": place(vector_name="dense", sparse_name="words"),
    "by shard key": place(tenancy="shard_key"),
    "of its own": place(tenancy="collection"),
}


def sent(where: Place, records: list[Record], *, insert_only: bool = False, filtered: bool = False) -> Any:
    points = [to_point(where, record) for record in records]
    own = within(where) if filtered else None
    mode = models.UpdateMode.INSERT_ONLY if insert_only else None
    return json.loads(upsert_body(points, shard_key(where), own, mode))


def as_the_client_would(where: Place, records: list[Record], **envelope: Any) -> Any:
    structs = [to_struct(to_point(where, record)) for record in records]
    whole = models.PointsList(points=structs, shard_key=shard_key(where), **envelope)
    return json.loads(whole.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True))


def rounded(body: Any) -> Any:
    """Both write vectors with different numbers of digits, which are the same float32."""
    if isinstance(body, list) and body and all(isinstance(item, float) for item in body):
        return np.asarray(body, dtype=np.float32).tolist()
    if isinstance(body, dict):
        return {key: rounded(value) for key, value in body.items()}
    return [rounded(item) for item in body] if isinstance(body, list) else body


@pytest.mark.parametrize("metadata", METADATA, ids=str)
@pytest.mark.parametrize("name", PLACES)
def test_the_body_is_what_the_client_would_send(name: str, metadata: dict[str, Any]) -> None:
    where = PLACES[name]
    weights = sparse(i7=0.1, i3=2.5) if where.sparse_name else None
    records = [Record("7", unit(1), metadata, weights), Record(UUID, unit(2), {})]
    if weights is not None:
        records.append(Record("8", None, metadata, weights))
    assert rounded(sent(where, records)) == rounded(as_the_client_would(where, records))


def test_what_stands_beside_the_points_is_kept() -> None:
    where, records = PLACES["by shard key"], [Record("a", unit(1))]
    own = within(where)
    body = sent(where, records, insert_only=True, filtered=True)
    assert rounded(body) == rounded(
        as_the_client_would(where, records, update_filter=own, update_mode=models.UpdateMode.INSERT_ONLY)
    )
    assert (body["shard_key"], body["update_mode"]) == ("acme", "insert_only")
    assert body["update_filter"] == {"must": [{"key": "tenant", "match": {"value": "acme"}}]}


def test_views_of_vectors_are_sent_as_well() -> None:
    columns = np.arange(12, dtype=np.float32).reshape(4, 3)
    record = Record("a", columns[:, 1], {"view": MappingProxyType({"a": 1})})
    [point] = sent(place(), [record])["points"]
    assert point["vector"] == [1.0, 4.0, 7.0, 10.0]
    assert point["payload"]["view"] == {"a": 1}


def test_every_float32_arrives_as_it_was() -> None:
    bits = np.random.default_rng(1).integers(0, 1 << 32, 200_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = np.append(numbers[np.isfinite(numbers)], np.array([0.1, 1e-45, 3.4028235e38], np.float32))
    [point] = sent(place(), [Record("a", numbers)])["points"]
    assert np.array_equal(np.asarray(point["vector"], dtype=np.float32), numbers)


# Over REST


@pytest.fixture
async def server() -> AsyncIterator[QdrantServer]:
    async with QdrantServer() as running:
        yield running


@pytest.fixture
async def store(server: QdrantServer) -> AsyncIterator[QdrantStore]:
    opened = QdrantStore.connect("q", url=server.url, write_ordering=models.WriteOrdering.STRONG)
    yield opened
    await opened.aclose()


def requests_of(store: QdrantStore) -> list[httpx.Request]:
    """Fills with what the client sends, by the client's own middleware."""
    seen: list[httpx.Request] = []

    async def note(request: httpx.Request, go_on: Any) -> httpx.Response:
        seen.append(request)
        answer: httpx.Response = await go_on(request)
        return answer

    store._client.http.client.add_middleware(note)
    return seen


async def test_an_upsert_is_the_clients_own_request(store: QdrantStore) -> None:
    where = place(tenancy="shard_key")
    await store.prepare(where)
    seen = requests_of(store)
    await store.upsert(where, [Record("a", unit(1), {"a": 1})])
    point = models.PointStruct(id=UUID, vector=unit(1).tolist(), payload={})
    await store._client.upsert(
        "docs", [point], wait=True, ordering=models.WriteOrdering.STRONG, shard_key_selector="acme"
    )
    ours, theirs = seen
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert ours.url.params["ordering"] == "strong"
    assert json.loads(ours.content)["shard_key"] == json.loads(theirs.content)["shard_key"]


@pytest.mark.parametrize("name", PLACES)
async def test_records_come_back_as_they_were(store: QdrantStore, name: str) -> None:
    where = PLACES[name]
    weights = sparse(i7=0.1, i3=2.5) if where.sparse_name else None
    await store.prepare(where)
    ids = ["7", UUID, "2", "3", "4"]
    records = [Record(own, unit(1), data, weights) for own, data in zip(ids, METADATA, strict=False)]
    await store.upsert(where, records)
    found = await store.fetch(where, ids)
    for record in records:
        held = found[record.id]
        assert dict(held.metadata) == record.metadata
        assert same_vector(held.vector, record.vector, Metric.COSINE)
        assert same_sparse(held.sparse_vector, weights)


def same_sparse(one: SparseVector | None, two: SparseVector | None) -> bool:
    if one is None or two is None:
        return one is two
    return np.array_equal(one.indices, two.indices) and np.array_equal(one.values, two.values)


async def test_a_response_is_freed_when_it_has_been_read(store: QdrantStore) -> None:
    """Not when cyclic garbage is looked for: a copy's pages are megabytes each."""
    seen: list[weakref.ref[httpx.Response]] = []

    async def note(request: httpx.Request, go_on: Any) -> httpx.Response:
        answer: httpx.Response = await go_on(request)
        seen.append(weakref.ref(answer))
        return answer

    await store.prepare(place())
    store._client.http.client.add_middleware(note)
    gc.disable()
    try:
        await store.upsert(place(), [Record("a", unit(1))])
        assert [record.id for record in (await store.scan(place())).records] == ["a"]
        assert [response() for response in seen] == [None, None]
    finally:
        gc.enable()


async def test_grpc_and_local_mode_go_by_the_clients_models() -> None:
    for there in (
        QdrantStore.connect("q", url="http://127.0.0.1:1", prefer_grpc=True),
        QdrantStore.connect("q", location=":memory:"),
    ):
        assert not there._requests.rest
        await there.aclose()


async def test_a_vector_of_the_wrong_size_is_refused(store: QdrantStore) -> None:
    where = place()
    await store.prepare(where)
    with pytest.raises(ClusterRejected, match="expected dim: 4"):
        await store.upsert(where, [Record("a", [1.0, 2.0])])


@pytest.mark.parametrize("number", [9_007_199_254_740_991, -1_800_000_000_000_001, 42, 42.0])
def test_whole_numbers_of_a_filter_are_written_without_a_fraction(number: float) -> None:
    """Qdrant's parser would read 9007199254740991.0 as another number."""
    bounds = models.Range(gte=number, lte=number)
    own = models.Filter(must_not=[models.FieldCondition(key="a", range=bounds)])
    body = read_body(own, limit=3, offset=None)
    written = f'{{"gte":{int(number)},"lte":{int(number)}}}'
    assert body.decode() == f'{{"limit":3,"filter":{{"must_not":[{{"key":"a","range":{written}}}]}}}}'


@pytest.mark.parametrize("number", [0.5, -2.25, 1e300, 1e19])
def test_other_numbers_of_a_filter_stay_what_they_are(number: float) -> None:
    own = models.Filter(must=[models.FieldCondition(key="a", range=models.Range(gt=number))])
    [condition] = orjson.loads(read_body(own))["filter"]["must"]
    assert condition["range"]["gt"] == number
    assert isinstance(condition["range"]["gt"], float)
