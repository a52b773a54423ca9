"""The emulator enforces Pinecone's limits with Pinecone's errors, also on those who do not use the SDK."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pinecone import ApiError, PayloadTooLargeError

from shardroute.testing.pinecone import PineconeServer
from tests.testing.pinecones import KEY, client, document, fetched, queried, served, vector

SPARSE = {"indices": [1], "values": [1.0]}


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with served() as running:
        yield running


def many(count: int) -> list[str]:
    return [str(number) for number in range(count)]


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("vectors", "/vectors/upsert", {"vectors": []}, "non-empty"),
    ("vectors", "/vectors/upsert", {"vectors": [vector(name) for name in many(1001)]}, "at most 1000"),
    ("vectors", "/vectors/upsert", {"vectors": [vector("")]}, "non-empty"),
    ("vectors", "/vectors/upsert", {"vectors": [vector("é")]}, "ASCII"),
    ("vectors", "/vectors/upsert", {"vectors": [vector("x" * 513)]}, "512"),
    ("vectors", "/vectors/upsert", {"vectors": [vector("1", 1, 2, 3)]}, "dimension 3 does not match .* 2"),
    ("vectors", "/vectors/upsert", {"vectors": [{"id": "1"}]}, "dimension 0 does not match .* 2"),
    ("vectors", "/vectors/upsert", {"vectors": [vector("1", 0, 0)]}, "at least one non-zero value"),
    ("vectors", "/vectors/upsert", {"vectors": [{"id": "1", "values": ["x", 1]}]}, "numbers"),
    ("vectors", "/vectors/upsert", {"vectors": [{"id": "1", "values": [1e39, 1]}]}, "finite"),
    (
        "vectors",
        "/vectors/upsert",
        {"vectors": [vector("1", x={"y": 1})]},
        "Metadata value must be .* for field 'x'",
    ),
    ("vectors", "/vectors/upsert", {"vectors": [vector("1", x=["a", 1])]}, "Metadata value must be"),
    ("vectors", "/vectors/upsert", {"vectors": [vector("1", x="y" * 41_000)]}, "Metadata size"),
    ("vectors", "/query", {"vector": [1, 0], "topK": 1, "sparseVector": SPARSE}, "dotproduct"),
    ("vectors", "/query", {"vector": [1, 0], "topK": 0}, "between 1 and 10000"),
    ("vectors", "/query", {"vector": [1, 0], "topK": 10_001}, "between 1 and 10000"),
    ("vectors", "/query", {"topK": 1}, "must not be empty"),
    ("vectors", "/query", {"topK": 1, "id": "1", "vector": [1, 0]}, "Cannot provide both"),
    (
        "vectors",
        "/query",
        {"topK": 1, "vector": [1, 0], "filter": {"x": {"$in": [0] * 10_001}}},
        "at most 10000",
    ),
    ("vectors", "/query", {"topK": 1, "vector": [1, 0], "filter": {"x": {"$gt": "a"}}}, "number"),
    ("vectors", "/query", {"topK": 1, "vector": [1, 0], "filter": {"x": [1]}}, "eq cannot be followed by"),
    ("vectors", "/vectors/delete", {"ids": many(1001)}, "at most 1000"),
    ("vectors", "/vectors/delete", {"filter": {}}, "empty metadata filter"),
    ("vectors", "/vectors/delete", {"deleteAll": True, "ids": ["1"]}, "No explicit IDs"),
    ("vectors", "/vectors/update", {"filter": {}, "setMetadata": {"x": 1}}, "empty metadata filter"),
    ("vectors", "/vectors/update", {"filter": {"x": 1}, "values": [1, 0]}, "vector values"),
    ("vectors", "/vectors/fetch_by_metadata", {"filter": {}}, "Empty filter"),
    (
        "vectors",
        "/vectors/fetch_by_metadata",
        {"filter": {"x": 1}, "paginationToken": "?"},
        "pagination token",
    ),
    ("vectors", "/describe_index_stats", {"filter": {"x": 1}}, "metadata filtering"),
    ("vectors", "/namespaces", {"name": "__default__"}, "reserved"),
    ("dot", "/vectors/upsert", {"vectors": [{"id": "1", "sparseValues": SPARSE}]}, "dimension 0"),
    *(
        ("dot", "/vectors/upsert", {"vectors": [{**vector("1"), "sparseValues": sparse}]}, message)
        for sparse, message in [
            ({"indices": [1, 1], "values": [1, 1]}, "unique"),
            ({"indices": [1, 2], "values": [1]}, "as many indices as values"),
            ({"indices": [2**32], "values": [1]}, "between 0 and"),
            ({"indices": list(range(1001)), "values": [1] * 1001}, "between 1 and 1000"),
        ]
    ),
    ("sparse", "/vectors/upsert", {"vectors": [vector("1")]}, "sparse index"),
    (
        "documents",
        "/namespaces/a/documents/upsert",
        {"documents": [document(one) for one in many(1001)]},
        "1000",
    ),
    ("documents", "/namespaces/a/documents/upsert", {"documents": [document("1"), document("1")]}, "unique"),
    ("documents", "/namespaces/a/documents/fetch", {"ids": many(1001)}, "at most 1000"),
    ("documents", "/namespaces/a/documents/fetch", {"filter": {}}, "non-empty"),
    ("documents", "/namespaces/a/documents/delete", {}, "Exactly one"),
    ("documents", "/namespaces/a/documents/update", {"filter": {"x": 1}}, "set_fields"),
    ("documents", "/namespaces/a/documents/list", {"limit": 101}, "between 1 and 100"),
    ("documents", "/namespaces/a/documents/list", {"prefix": [[]]}, "'prefix' must be a string"),
    ("documents", "/namespaces/a/documents/search", {"top_k": 1, "score_by": [""]}, "must be an object"),
    (
        "documents",
        "/namespaces/a/documents/search",
        {"top_k": 1, "score_by": [{"type": []}]},
        "exactly one field",
    ),
    (
        "documents",
        "/namespaces/a/documents/search",
        {"top_k": 1, "score_by": [{"fields": 1}]},
        "exactly one field",
    ),
]


@pytest.mark.parametrize(("index", "path", "body", "message"), REFUSED)
async def test_what_is_over_a_limit_is_refused_as_an_invalid_argument(
    server: PineconeServer, index: str, path: str, body: dict[str, Any], message: str
) -> None:
    async with client(server, "vectors") as prepared:  # a namespace to delete from
        await prepared.upsert(vectors=[vector("there")])
    async with httpx.AsyncClient(base_url=server.index_url(index), headers={"Api-Key": KEY}) as raw:
        answer = await raw.post(path, json=body)
    assert answer.status_code == 400
    error = answer.json()
    assert (error["code"], error["details"]) == (3, [])
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error["message"])


async def test_a_fetch_takes_a_thousand_ids_and_a_list_a_hundred(server: PineconeServer) -> None:
    async with client(server, "vectors") as index:
        await index.upsert(vectors=[vector(name) for name in many(1000)], namespace="a")
        assert len(await fetched(index, *many(1000))) == 1000
        with pytest.raises(ApiError, match="at most 1000"):
            await fetched(index, *many(1001))
    async with httpx.AsyncClient(base_url=server.index_url("vectors"), headers={"Api-Key": KEY}) as raw:
        assert (await raw.get("/vectors/list?limit=101")).status_code == 400


async def test_an_upsert_of_more_than_two_megabytes_is_too_large(server: PineconeServer) -> None:
    text = {"text": "x" * 30_000}
    async with client(server, "vectors") as index:
        with pytest.raises(PayloadTooLargeError):
            await index.upsert(vectors=[vector(name, **text) for name in many(70)], namespace="a")
    async with client(server, "documents") as index:
        documents = [document(name, **text) for name in many(70)]
        with pytest.raises(PayloadTooLargeError):
            await index.documents.upsert(namespace="a", documents=documents)


async def test_a_batched_upsert_of_documents_is_split_where_it_is_too_large(server: PineconeServer) -> None:
    async with client(server, "documents") as index:
        documents = [document(name, text="x" * 30_000) for name in many(100)]
        done = await index.documents.batch_upsert(
            namespace="a", documents=documents, batch_size=100, show_progress=False
        )
        assert (done.successful_item_count, done.failed_item_count) == (100, 0)


async def test_a_result_of_more_than_four_megabytes_is_refused(server: PineconeServer) -> None:
    async with client(server, "vectors") as index:
        for start in range(0, 150, 50):
            names = [str(number) for number in range(start, start + 50)]
            await index.upsert(vectors=[vector(name, text="x" * 30_000) for name in names], namespace="a")
        with pytest.raises(ApiError, match="result size"):
            await queried(index, top_k=150, include_metadata=True)
        assert len(await queried(index, top_k=150)) == 150


async def test_sparse_values_on_another_metric_are_let_in_and_not_queried_unless_switched_off() -> None:
    async with served(sparse_needs_dotproduct=True) as server, client(server, "vectors") as index:
        with pytest.raises(ApiError, match="dotproduct"):
            await index.upsert(vectors=[{**vector("1"), "sparse_values": SPARSE}], namespace="a")
    async with served() as server, client(server, "vectors") as index:
        await index.upsert(vectors=[{**vector("1"), "sparse_values": SPARSE}], namespace="a")
        assert (await fetched(index, "1"))["1"].sparse_values.indices == [1]
        assert await queried(index) == await queried(index, vector=None, id="1") == ["1"]
        with pytest.raises(ApiError, match="dotproduct"):
            await queried(index, sparse_vector=SPARSE)
