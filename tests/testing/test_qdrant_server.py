"""The Qdrant server for tests answers the real client as Qdrant's own local mode answers it in process."""

import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

from shardroute.testing.qdrant import QdrantServer
from tests.support.patience import until
from tests.testing.local_mode import IDS, SETTINGS, UUIDS, Call, assert_same, point, sparse, tenant, vector


@pytest.fixture
async def server() -> AsyncIterator[QdrantServer]:
    async with QdrantServer() as running:
        yield running


@pytest.fixture
async def client(server: QdrantServer) -> AsyncIterator[AsyncQdrantClient]:
    connected = AsyncQdrantClient(url=server.url, check_compatibility=False)
    yield connected
    await connected.close()


SCENARIO: list[Call] = [
    ("upsert", {"points": [point(each, seed, tenant="a", n=seed) for seed, each in enumerate(IDS)]}),
    ("upsert", {"points": m.Batch(ids=[50, 51], vectors={"": [vector(50), vector(51)]}, payloads=None)}),
    ("upsert", {"points": [point(UUIDS[1].upper(), 9, tenant="b")]}),
    ("upsert", {"points": [point(1, 70), point(60, 60)], "update_mode": m.UpdateMode.INSERT_ONLY}),
    ("upsert", {"points": [point(2, 71), point(61, 61)], "update_mode": m.UpdateMode.UPDATE_ONLY}),
    ("upsert", {"points": [point(3, 72)], "update_filter": tenant("nobody")}),
    ("upsert", {"points": [point(3, 73, tenant="a")], "shard_key_selector": "somewhere"}),
    ("scroll", {"with_vectors": True, "limit": 4}),
    ("scroll", {"with_vectors": ["words"], "limit": 100, "offset": 3}),
    ("scroll", {"scroll_filter": tenant("a"), "limit": 3, "offset": UUIDS[0], "with_payload": ["n"]}),
    ("create_payload_index", {"field_name": "n", "field_schema": m.PayloadSchemaType.INTEGER}),
    ("create_payload_index", {"field_name": "tenant", "field_schema": m.PayloadSchemaType.KEYWORD}),
    ("scroll", {"order_by": m.OrderBy(key="n", direction=m.Direction.DESC), "limit": 3}),
    ("retrieve", {"ids": [3, UUIDS[2], 999], "with_vectors": True}),
    ("query_points", {"query": vector(5), "limit": 5, "with_vectors": True}),
    ("query_points", {"query": vector(5), "query_filter": tenant("a"), "limit": 3, "offset": 1}),
    ("query_points", {"query": vector(5), "score_threshold": 0.1}),
    ("query_points", {"query": sparse(5), "using": "words", "with_payload": False}),
    ("query_points", {"query": 3, "limit": 2}),
    (
        "query_points",
        {
            "prefetch": [
                m.Prefetch(query=vector(5), limit=5),
                m.Prefetch(query=sparse(6), using="words", limit=5, filter=tenant("a")),
            ],
            "query": m.FusionQuery(fusion=m.Fusion.DBSF),
        },
    ),
    (
        "query_batch_points",
        {
            "requests": [
                m.QueryRequest(query=vector(1), limit=2),
                m.QueryRequest(query=vector(2), with_vector=True),
            ]
        },
    ),
    ("count", {"count_filter": tenant("a")}),
    ("count", {}),
    ("facet", {"key": "tenant", "facet_filter": tenant("a")}),
    ("set_payload", {"payload": {"seen": True}, "points": [1, 2]}),
    ("set_payload", {"payload": {"deep": 1}, "points": tenant("b"), "key": "inner"}),
    ("overwrite_payload", {"payload": {"tenant": "c"}, "points": [10]}),
    ("delete_payload", {"keys": ["n"], "points": [1]}),
    ("clear_payload", {"points_selector": [50]}),
    ("update_vectors", {"points": [m.PointVectors(id=1, vector={"": vector(99)})]}),
    ("delete_vectors", {"vectors": ["words"], "points": [2]}),
    ("scroll", {"with_vectors": True, "limit": 100}),
    ("delete", {"points_selector": [2, 12345]}),
    ("delete", {"points_selector": m.Filter(must=[*([m.HasIdCondition(has_id=[1, 3, 50])]), tenant("a")])}),
    (
        "batch_update_points",
        {
            "update_operations": [
                m.UpsertOperation(upsert=m.PointsList(points=[point(2, 80, tenant="d")])),
                m.SetPayloadOperation(set_payload=m.SetPayload(payload={"x": [1, None]}, points=[2])),
                m.DeleteOperation(delete=m.PointIdsList(points=[60])),
            ]
        },
    ),
    ("scroll", {"with_vectors": True, "limit": 100}),
    ("upsert", {"points": []}),
    ("upsert", {"points": [m.PointStruct(id=1, vector=[1.0])]}),
    ("upsert", {"points": [m.PointStruct(id="no uuid", vector=vector(1))]}),
    ("set_payload", {"payload": {"a": 1}, "points": [777]}),
    ("query_points", {"query": [1.0]}),
    ("query_points", {"query": vector(1), "using": "no such"}),
    ("scroll", {"limit": 0}),
    ("delete_payload_index", {"field_name": "tenant"}),
]


async def test_every_operation_answers_as_local_mode_does(client: AsyncQdrantClient) -> None:
    await assert_same(client, SCENARIO)


async def test_pages_hold_every_point_once_while_others_are_written(client: AsyncQdrantClient) -> None:
    await client.create_collection("docs", **SETTINGS)
    await client.upsert(
        "docs", [point(number, number, tenant="ab"[number % 2]) for number in range(0, 600, 2)]
    )
    seen: list[Any] = []
    offset: Any = None
    for turn in range(1000):
        page, offset = await client.scroll("docs", scroll_filter=tenant("a"), limit=20, offset=offset)
        seen += [record.id for record in page]
        await client.upsert("docs", [point(601 + turn, 0, tenant="b"), point(1, turn, tenant="b")])
        if offset is None:
            break
    assert seen == list(range(0, 600, 2))


async def test_the_client_finds_the_version_compatible(server: QdrantServer) -> None:
    client = AsyncQdrantClient(url=server.url)
    assert (await client.info()).title.startswith("qdrant")
    # Its check runs in a thread and would warn, which is an error here.
    await until(lambda: not any("_check_compatibility" in thread.name for thread in threading.enumerate()))
    await client.close()


REFUSALS: dict[str, tuple[int, Callable[[AsyncQdrantClient], Coroutine[Any, Any, Any]]]] = {
    "missing collection": (404, lambda client: client.scroll("nowhere")),
    "missing collection's info": (404, lambda client: client.get_collection("nowhere")),
    "collection that exists": (409, lambda client: client.create_collection("docs", **SETTINGS)),
    "missing point": (404, lambda client: client.set_payload("docs", payload={"a": 1}, points=[5])),
    "wrong dimension": (400, lambda client: client.query_points("docs", query=[1.0])),
    "bad id": (400, lambda client: client.upsert("docs", [point("no uuid")])),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_refusals_have_the_status_of_a_real_server(client: AsyncQdrantClient, case: str) -> None:
    status, call = REFUSALS[case]
    await client.create_collection("docs", **SETTINGS)
    with pytest.raises(UnexpectedResponse) as refusal:
        await call(client)
    assert refusal.value.status_code == status
    assert refusal.value.structured()["status"]["error"]


async def test_a_body_that_is_not_json_is_refused(server: QdrantServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as plain_client:
        answer = await plain_client.post("/collections/docs/points/scroll", content=b"{")
    assert answer.status_code == 400
    assert "JSON" in answer.json()["status"]["error"]


async def test_collections_can_be_listed_and_deleted(client: AsyncQdrantClient) -> None:
    await client.create_collection("docs", **SETTINGS)
    assert [each.name for each in (await client.get_collections()).collections] == ["docs"]
    assert await client.collection_exists("docs")
    assert await client.delete_collection("docs")
    assert not await client.collection_exists("docs")
    assert not await client.delete_collection("docs")


async def test_info_shows_indexes_and_settings_as_they_were_given(client: AsyncQdrantClient) -> None:
    await client.create_collection("docs", **SETTINGS, hnsw_config=m.HnswConfigDiff(payload_m=16, m=0))
    index = m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, is_tenant=True)
    await client.create_payload_index("docs", "tenant", index)
    info = await client.get_collection("docs")
    assert (info.config.hnsw_config.m, info.config.hnsw_config.payload_m) == (0, 16)
    assert info.payload_schema["tenant"].params == index


async def test_shard_keys_are_accepted(client: AsyncQdrantClient) -> None:
    await client.create_collection("docs", **SETTINGS, sharding_method=m.ShardingMethod.CUSTOM)
    assert await client.create_shard_key("docs", "eu")
    await client.upsert("docs", [point(1)], shard_key_selector="eu")
    assert (await client.scroll("docs", shard_key_selector="eu"))[0][0].id == 1
    assert [each.key for each in (await client.list_shard_keys("docs")).shard_keys or []] == ["eu"]


async def test_a_write_without_waiting_is_only_acknowledged(client: AsyncQdrantClient) -> None:
    await client.create_collection("docs", **SETTINGS)
    assert (await client.upsert("docs", [point(1)], wait=False)).status == m.UpdateStatus.ACKNOWLEDGED
    assert (await client.upsert("docs", [point(1)], wait=True)).status == m.UpdateStatus.COMPLETED


async def test_collections_can_be_given_at_the_start() -> None:
    specs: dict[str, m.VectorParams | m.CreateCollection] = {
        "docs": m.VectorParams(size=2, distance=m.Distance.DOT),
        "all": m.CreateCollection(),
    }
    async with QdrantServer(collections=specs) as server:
        client = AsyncQdrantClient(url=server.url, check_compatibility=False)
        assert {each.name for each in (await client.get_collections()).collections} == {"docs", "all"}
        await client.close()


async def test_stored_vectors_do_not_change_by_being_queried(client: AsyncQdrantClient) -> None:
    await client.create_collection("docs", **SETTINGS)
    await client.upsert("docs", [point(number, number) for number in range(50)])
    before, _ = await client.scroll("docs", limit=50, with_vectors=True)
    for seed in range(5):
        await client.query_points("docs", query=vector(seed))
    after, _ = await client.scroll("docs", limit=50, with_vectors=True)
    assert before == after


async def test_vectors_are_answered_in_the_few_digits_that_float32_needs(server: QdrantServer) -> None:
    client = AsyncQdrantClient(url=server.url, check_compatibility=False)
    config = m.VectorParams(size=2, distance=m.Distance.DOT)
    await client.create_collection("docs", vectors_config=config)
    await client.upsert("docs", [m.PointStruct(id=1, vector=[0.1, 2.0])])
    async with httpx.AsyncClient(base_url=server.url) as plain_client:
        for path, asked in (("", {"ids": [1]}), ("/scroll", {}), ("/query", {"query": [1.0, 0.0]})):
            answer = await plain_client.post(
                f"/collections/docs/points{path}", json={"with_vector": True} | asked
            )
            assert '"vector":[0.1,2.0]' in answer.text
    await client.close()


BAD_POINTS: dict[str, Any] = {
    "a word for a number": {"id": 1, "vector": [0.5, "0.5"]},
    "true for a number": {"id": 1, "vector": [0.5, True]},
    "no number": {"id": 1, "vector": [0.5, None]},
    "too few numbers": {"id": 1, "vector": [0.5]},
    "no numbers": {"id": 1, "vector": []},
    "vectors in a vector": {"id": 1, "vector": [[0.5], [0.5]]},
    "no vector": {"id": 1},
    "a fraction for an id": {"id": 1.5, "vector": [0.5, 0.5]},
    "no id": {"vector": [0.5, 0.5]},
    "a field that does not exist": {"id": 1, "vector": [0.5, 0.5], "playload": {}},
    "a list for a payload": {"id": 1, "vector": [0.5, 0.5], "payload": []},
    "no point": 7,
}


@pytest.mark.parametrize("name", BAD_POINTS)
async def test_a_bad_point_is_refused_with_all_that_came_with_it(server: QdrantServer, name: str) -> None:
    client = AsyncQdrantClient(url=server.url, check_compatibility=False)
    config = m.VectorParams(size=2, distance=m.Distance.DOT)
    await client.create_collection("docs", vectors_config=config)
    body = {"points": [{"id": 2, "vector": [1, 0.5]}, BAD_POINTS[name]]}
    async with httpx.AsyncClient(base_url=server.url) as plain_client:
        answer = await plain_client.put("/collections/docs/points", json=body)
    assert answer.status_code == 400
    assert (await client.count("docs")).count == 0
    await client.close()


NOT_HERE: dict[str, tuple[str, str, Any]] = {
    "Making vectors from a Document": (
        "PUT",
        "/points",
        {"points": [{"id": 1, "vector": {"": {"text": "a", "model": "b"}}}]},
    ),
    "MatchPrefix": ("POST", "/points/count", {"filter": {"must": [{"key": "a", "match": {"prefix": "b"}}]}}),
    "TextQuery": ("POST", "/points/query", {"query": {"text": {"query": "b"}}}),
    "Changing the modifier": ("PATCH", "", {"sparse_vectors": {"words": {"modifier": "idf"}}}),
}


@pytest.mark.parametrize("what", NOT_HERE)
async def test_what_this_server_cannot_do_is_refused_by_its_name(
    server: QdrantServer, client: AsyncQdrantClient, what: str
) -> None:
    method, path, body = NOT_HERE[what]
    await client.create_collection("docs", **SETTINGS)
    async with httpx.AsyncClient(base_url=server.url) as plain_client:
        answer = await plain_client.request(method, f"/collections/docs{path}", json=body)
    assert answer.status_code == 501, answer.text
    assert what in answer.json()["status"]["error"]
