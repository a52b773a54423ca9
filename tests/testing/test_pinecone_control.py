"""The control plane of the emulator, its keys, its errors, and the synchronous client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from pinecone import (
    ApiError,
    AsyncIndex,
    AsyncPinecone,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Pinecone,
    ServerlessSpec,
    UnauthorizedError,
)

from shardroute.testing.pinecone import IndexSpec, PineconeServer
from tests.testing.pinecones import INDEXES, KEY, client, document, queried, searched, served, vector


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with served() as running:
        yield running


@pytest.fixture
async def pinecone(server: PineconeServer) -> AsyncIterator[AsyncPinecone]:
    async with AsyncPinecone(api_key=KEY, host=server.url) as opened:
        yield opened


async def test_indexes_are_listed_described_and_opened_by_name(pinecone: AsyncPinecone) -> None:
    assert [one.name async for one in pinecone.indexes.list()] == sorted(INDEXES)
    described = await pinecone.indexes.describe("euclidean")
    assert (described.dimension, described.metric, described.vector_type) == (2, "euclidean", "dense")
    assert (described.status.ready, described.deletion_protection) == (True, "disabled")
    assert (await pinecone.indexes.describe("sparse")).vector_type == "sparse"
    assert set((await pinecone.indexes.describe("documents")).schema.fields) == {
        "embedding",
        "keywords",
        "body",
    }
    async with await pinecone.index(name="vectors") as index:
        await index.upsert(vectors=[vector("1")], namespace="a")
        assert await queried(index) == ["1"]
    assert [await pinecone.has_index(name) for name in ("vectors", "unknown")] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (
            {"dimension": 2, "metric": "cosine", "spec": ServerlessSpec(cloud="aws", region="us-east-1")},
            "vectors",
        ),
        ({"vector_type": "sparse"}, "vectors"),
        ({"schema": {"fields": INDEXES["documents"].fields}}, "documents"),
    ],
)
async def test_an_index_is_made_configured_and_deleted(
    pinecone: AsyncPinecone, arguments: dict[str, Any], kind: str
) -> None:
    made = await pinecone.indexes.create(
        name="made", deletion_protection="enabled", tags={"a": "b"}, **arguments
    )
    assert (made.status.ready, made.tags, made.deletion_protection) == (True, {"a": "b"}, "enabled")
    async with await pinecone.index(name="made") as index:
        with pytest.raises(ApiError, match="not supported on a"):
            await (searched(index) if kind == "vectors" else queried(index))
    with pytest.raises(ConflictError):
        await pinecone.indexes.create(name="made", **arguments)
    with pytest.raises(ForbiddenError, match="protection"):
        await pinecone.indexes.delete("made")
    await pinecone.indexes.configure("made", deletion_protection="disabled")
    await pinecone.indexes.delete("made")
    with pytest.raises(NotFoundError):
        await pinecone.indexes.describe("made")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"x": {"type": "unknown"}},
        {"x": {"type": "dense_vector", "dimension": 0, "metric": "cosine"}},
        {"x": {"type": "dense_vector", "dimension": 2, "metric": "manhattan"}},
    ],
)
async def test_an_impossible_schema_is_refused(server: PineconeServer, fields: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers={"Api-Key": KEY}) as raw:
        answer = await raw.post("/indexes", json={"name": "made", "schema": {"fields": fields}})
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "fields",
    [
        {"x": {"type": "dense_vector", "dimension": 2, "metric": "cosine", "metrics": 1}},
        {"x": {"type": "sparse_vector", "metric": "dotproduct"}},
        {"x": {"type": "string", "full_text_search": {"tongue": "en"}}},
        {"x": {"type": "string", "embed": {"size": 2}}},
        {"x": {"type": "integer", "indexed": True}},
    ],
)
async def test_what_is_unknown_in_a_schema_is_refused(
    pinecone: AsyncPinecone, fields: dict[str, Any]
) -> None:
    with pytest.raises(ApiError, match="unknown option"):
        await pinecone.indexes.create(name="made", schema={"fields": fields})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/indexes", {"name": "made", "schema": {"fields": INDEXES["vectors"].fields}, "pods": 1}),
        ("POST", "/indexes", {"name": "made", "schema": {"fields": INDEXES["vectors"].fields, "more": 1}}),
        ("PATCH", "/indexes/vectors", {"tag": {"a": "b"}}),
        ("PATCH", "/indexes/vectors", {"name": "another"}),
        ("PATCH", "/indexes/vectors", {"read_capacity": {"mood": "OnDemand"}}),
    ],
)
async def test_what_is_unknown_in_a_request_is_refused_and_nothing_done(
    server: PineconeServer, pinecone: AsyncPinecone, method: str, path: str, body: dict[str, Any]
) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers={"Api-Key": KEY}) as raw:
        answer = await raw.request(method, path, json=body)
    assert answer.status_code == 422
    assert "unknown field" in answer.json()["error"]["message"]
    assert [one.name async for one in pinecone.indexes.list()] == sorted(INDEXES)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": {"fields": {"x": {"type": "string", "full_text_search": {}}}}},
        {"deployment": {"replicas": 2}},
    ],
)
async def test_what_an_index_is_cannot_be_configured(pinecone: AsyncPinecone, change: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match=r"cannot be changed|can be changed"):
        await pinecone.indexes.configure("documents", **change)


async def test_tags_are_merged_and_an_empty_one_goes(pinecone: AsyncPinecone) -> None:
    assert (await pinecone.indexes.describe("vectors")).tags is None
    for change, tags in (
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}),
        ({"b": "3", "c": "4"}, {"a": "1", "b": "3", "c": "4"}),
        ({"a": ""}, {"b": "3", "c": "4"}),
        ({"b": "", "c": ""}, None),
    ):
        assert (await pinecone.indexes.configure("vectors", tags=change)).tags == tags
        assert (await pinecone.indexes.describe("vectors")).tags == tags
    await pinecone.indexes.configure("vectors", tags={"a": "1"})
    await pinecone.indexes.configure("vectors", deletion_protection="enabled")
    assert (await pinecone.indexes.describe("vectors")).tags == {"a": "1"}


async def test_an_index_that_is_given_no_name_gets_one(pinecone: AsyncPinecone) -> None:
    made = [await pinecone.indexes.create(dimension=2) for _ in range(2)]
    assert len({index.name for index in made} - {""}) == 2
    assert {index.name for index in made} < {one.name async for one in pinecone.indexes.list()}


VECTOR_CALLS: list[Callable[[AsyncIndex], Awaitable[Any]]] = [
    lambda index: index.upsert(vectors=[vector("1")]),
    lambda index: index.fetch(ids=["1"]),
    lambda index: index.fetch_by_metadata(filter={"x": 1}),
    lambda index: index.list_paginated(),
    lambda index: index.delete(ids=["1"]),
    lambda index: index.update(id="1", values=[1, 0]),
    queried,
]
DOCUMENT_CALLS: list[Callable[[AsyncIndex], Awaitable[Any]]] = [
    lambda index: index.documents.upsert(namespace="a", documents=[document("1")]),
    lambda index: index.documents.fetch(namespace="a", ids=["1"]),
    lambda index: index.documents.list(namespace="a").to_list(),
    lambda index: index.documents.update(namespace="a", documents=[{"_id": "1"}]),
    lambda index: index.documents.delete(namespace="a", ids=["1"]),
    searched,
]


@pytest.mark.parametrize(
    ("name", "calls", "message"),
    [
        ("documents", VECTOR_CALLS, "not supported on a document index"),
        ("vectors", DOCUMENT_CALLS, "not supported on a vector index"),
    ],
)
async def test_an_index_refuses_the_other_api_but_for_its_statistics(
    server: PineconeServer, name: str, calls: list[Callable[[AsyncIndex], Awaitable[Any]]], message: str
) -> None:
    async with client(server, name) as index:
        for call in calls:
            with pytest.raises(ApiError, match=message):
                await call(index)
        assert (await index.describe_index_stats()).dimension == 2


async def test_an_unknown_index_and_an_unknown_operation_are_not_found(server: PineconeServer) -> None:
    async with client(server, "unknown") as index:
        with pytest.raises(NotFoundError):
            await queried(index)
    async with client(server, "vectors") as index:
        with pytest.raises(NotFoundError, match="No such operation"):
            await index.search(namespace="a", top_k=1, id="1")


async def test_the_right_key_is_asked_for_if_there_is_one() -> None:
    async with served(api_key="right") as server:
        for key, fine in (("right", True), ("wrong", False)):
            async with (
                AsyncPinecone(api_key=key, host=server.url) as pinecone,
                AsyncIndex(host=server.index_url("vectors"), api_key=key) as index,
            ):
                for call in (pinecone.has_index("vectors"), index.describe_index_stats()):
                    if fine:
                        await call
                    else:
                        with pytest.raises(UnauthorizedError):
                            await call


async def test_without_a_key_nothing_is_answered(server: PineconeServer) -> None:
    async with httpx.AsyncClient() as raw:
        assert (await raw.get(f"{server.url}/indexes")).status_code == 401
        assert (await raw.post(f"{server.index_url('vectors')}/query", json={})).json()["code"] == 16


async def test_the_synchronous_client_is_served_as_well(server: PineconeServer) -> None:
    def use() -> tuple[list[str], list[str]]:
        with Pinecone(api_key=KEY, host=server.url) as pinecone:
            with pinecone.index(name="vectors") as index:
                index.upsert(vectors=[vector("1"), vector("2", 0, 1)], namespace="a")
                index.delete(ids=["2"], namespace="a")
                found = [match.id for match in index.query(vector=[1, 0], top_k=5, namespace="a").matches]
                assert list(index.fetch(ids=["1", "2"], namespace="a").vectors) == found
                assert [item.id for page in index.list(namespace="a") for item in page.vectors] == found
            with pinecone.index(name="documents") as index:
                index.documents.upsert(namespace="a", documents=[document("1")])
                index.documents.update(namespace="a", documents=[{"_id": "1", "x": "y"}])
                documents = index.documents.fetch(namespace="a", filter={"x": "y"}).documents
                return found, list(documents)

    assert await asyncio.to_thread(use) == (["1"], ["1"])


def test_a_spec_says_which_api_it_speaks() -> None:
    assert {name: spec.kind for name, spec in INDEXES.items() if spec.kind == "documents"} == {
        "documents": "documents"
    }
    assert (
        IndexSpec({"_values": {"type": "dense_vector", "dimension": 2, "metric": "cosine"}}).kind == "vectors"
    )
