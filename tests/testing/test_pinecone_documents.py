"""The documents API of the emulator, as the real asynchronous client sees it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pinecone import ApiError, AsyncIndex, NotFoundError

from shardroute.testing.pinecone import IndexSpec, PineconeServer
from tests.testing.pinecones import DENSE, client, document, searched, served

SPARSE = {"type": "sparse_vector", "field": "keywords"}


@pytest.fixture
async def index() -> AsyncIterator[AsyncIndex]:
    async with served() as server, client(server, "documents") as opened:
        yield opened


async def test_what_is_upserted_is_fetched_back_field_by_field(index: AsyncIndex) -> None:
    full = document(
        "1", 0.5, 0.25, keywords={"indices": [3], "values": [1.5]}, body="a text", n=42, tags=["p"], yes=True
    )
    written = await index.documents.upsert(namespace="a", documents=[full, document("2")])
    found = await index.documents.fetch(namespace="a", ids=["1", "unknown"])
    assert (written.upserted_count, written.usage) == (2, None)
    assert {name: one.to_dict() for name, one in found.documents.items()} == {"1": full}
    some = await index.documents.fetch(namespace="a", ids=["1"], include_fields=["n", "body"])
    assert some.documents["1"].to_dict() == {"_id": "1", "n": 42.0, "body": "a text"}


async def test_a_search_shows_id_and_score_and_the_fields_it_is_asked_for(index: AsyncIndex) -> None:
    await index.documents.upsert(namespace="a", documents=[document("1", n=1), document("2", 0, 1)])
    score_by = [{**DENSE, "values": [1.0, 0.0]}]
    shown = {
        None: {"_id": "1", "_score": 1.0},
        ("n",): {"_id": "1", "_score": 1.0, "n": 1.0},
        ("*",): {"_id": "1", "_score": 1.0, "n": 1.0, "embedding": [1.0, 0.0]},
    }
    for fields, expected in shown.items():
        found = await index.documents.search(namespace="a", score_by=score_by, top_k=1, include_fields=fields)
        assert found.matches[0].to_dict() == expected
    assert await searched(index) == ["1", "2"]


async def test_a_search_of_zeros_is_answered(index: AsyncIndex) -> None:
    await index.documents.upsert(namespace="a", documents=[document("1"), document("2", -1, 0)])
    assert await searched(index, score_by=[{**DENSE, "values": [0.0, 0.0]}]) == ["1", "2"]


async def test_a_sparse_search_finds_what_shares_an_index_with_the_query(index: AsyncIndex) -> None:
    documents = [document(str(n), keywords={"indices": [n], "values": [1.0 + n]}) for n in range(3)]
    await index.documents.upsert(namespace="a", documents=[*documents, document("none")])
    query = {**SPARSE, "sparse_values": {"indices": [2, 1], "values": [1.0, 1.0]}}
    assert await searched(index, score_by=[query]) == ["2", "1"]


async def test_filters_select_what_is_searched_fetched_updated_and_deleted(index: AsyncIndex) -> None:
    documents = [document(str(n), odd=n % 2 == 1, n=n) for n in range(6)]
    await index.documents.upsert(namespace="a", documents=documents)
    odd = {"odd": {"$eq": True}}
    assert await searched(index, filter=odd) == ["1", "3", "5"]
    first = await index.documents.fetch(namespace="a", filter=odd, limit=2)
    assert first.pagination is not None
    rest = await index.documents.fetch(namespace="a", filter=odd, pagination_token=first.pagination.next)
    assert ([*first.documents, *rest.documents], rest.pagination) == (["1", "3", "5"], None)
    changed = await index.documents.update(
        namespace="a", filter=odd, set_fields={"seen": "yes"}, remove_fields=["n"]
    )
    assert changed.matched_records == 3
    assert await searched(index, filter={"n": {"$exists": False}, "seen": "yes"}) == ["1", "3", "5"]
    assert (await index.documents.delete(namespace="a", filter=odd)).matched_records == 3
    assert await searched(index) == ["0", "2", "4"]


async def test_a_patch_sets_and_removes_and_passes_over_what_is_not_there(index: AsyncIndex) -> None:
    await index.documents.upsert(namespace="a", documents=[document("1", 1, 0, kept=1, gone=2, body="old")])
    changed = await index.documents.update(
        namespace="a",
        documents=[
            {"_id": "1", "embedding": [0.0, 1.0], "body": "new", "_remove_fields": ["gone"]},
            {"_id": "unknown", "kept": 2},
        ],
    )
    assert changed.matched_records is None
    found = await index.documents.fetch(namespace="a", ids=["1", "unknown"])
    assert [one.to_dict() for one in found.documents.values()] == [
        document("1", 0.0, 1.0, kept=1.0, body="new")
    ]


@pytest.mark.parametrize(("what", "left"), [({"ids": ["1", "x"]}, ["2"]), ({"delete_all": True}, [])])
async def test_deletes(index: AsyncIndex, what: dict[str, Any], left: list[str]) -> None:
    await index.documents.upsert(namespace="a", documents=[document("1"), document("2")])
    assert (await index.documents.delete(namespace="a", **what)).matched_records is None
    assert await searched(index) == left
    assert [one.id async for one in index.documents.list(namespace="a")] == left
    assert (await index.describe_namespace(name="a")).record_count == len(left)


async def test_documents_are_listed_in_order_by_prefix_and_page(index: AsyncIndex) -> None:
    names = [f"{letter}{number}" for letter in "ba" for number in range(60)]
    await index.documents.upsert(namespace="a/b", documents=[document(name) for name in names])
    assert [one.id async for one in index.documents.list(namespace="a/b")] == sorted(names)
    pages = [page async for page in index.documents.list(namespace="a/b", prefix="b1", limit=4).pages()]
    assert [[one.id for one in page.items] for page in pages] == [
        ["b1", "b10", "b11", "b12"],
        ["b13", "b14", "b15", "b16"],
        ["b17", "b18", "b19"],
    ]


async def test_the_default_namespace_of_a_document_index_is_an_ordinary_name(index: AsyncIndex) -> None:
    with pytest.raises(NotFoundError):
        await index.describe_namespace(name="__default__")
    await index.documents.upsert(namespace="__default__", documents=[document("1")])
    assert (await index.describe_namespace(name="__default__")).record_count == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"_id": "1", "n": 1}, "required field"),
        (document("1", n=None), "must not be null"),
        (document("1", 1, 2, 3), "dimension"),
        (document("1", 0, 0), "non-zero"),
        (document("1", body=3), "must be a string"),
        (document("1", nested={"a": 1}), "Metadata value must be"),
        (document("1", numbers=[1, 2]), "Metadata value must be"),
        (document("1", keywords={"indices": [1, 1], "values": [1, 2]}), "unique"),
    ],
)
async def test_a_document_that_breaks_a_rule_is_refused_with_its_batch(
    index: AsyncIndex, bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        await index.documents.upsert(namespace="a", documents=[document("good"), bad])
    assert refused.value.status_code == 400
    assert await searched(index) == []


async def test_a_document_needs_one_field_that_can_be_searched() -> None:
    spec = {
        "texts": IndexSpec({"body": {"type": "string", "full_text_search": {}}, "n": {"type": "integer"}})
    }
    async with PineconeServer(indexes=spec) as server, client(server, "texts") as index:
        with pytest.raises(ApiError, match="at least one searchable field"):
            await index.documents.upsert(namespace="a", documents=[{"_id": "1", "n": 1}])
        await index.documents.upsert(namespace="a", documents=[{"_id": "1", "body": "x", "n": 1}])
        found = (await index.documents.fetch(namespace="a", ids=["1"])).documents["1"]
        assert isinstance(found.n, int)


@pytest.mark.parametrize(
    ("patch", "message"),
    [({"_remove_fields": ["embedding"]}, "cannot be removed"), ({"n": None}, "must not be null")],
)
async def test_a_patch_that_breaks_a_rule_is_refused(
    index: AsyncIndex, patch: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError, match=message):
        await index.documents.update(namespace="a", documents=[{"_id": "1", **patch}])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"score_by": [{"type": "text", "fields": ["body"], "query": "x"}]}, "does not score by text"),
        ({"score_by": [{"type": "dense_vector", "field": "body", "values": [1.0]}]}, "no such field"),
        ({"score_by": [{**DENSE, "values": [1.0]}]}, "dimension"),
        ({"filter": {"body": {"$eq": "x"}}}, "takes no comparison"),
        ({"filter": {"body": {"$match_all": "x"}}}, "does not match text"),
        ({"filter": {"embedding": {"$exists": True}}}, "takes no comparison"),
        ({"filter": {"n": {"$like": "x"}}}, "not a valid operator"),
    ],
)
async def test_a_search_that_cannot_be_done_is_refused(
    index: AsyncIndex, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError, match=message):
        await searched(index, **how)
