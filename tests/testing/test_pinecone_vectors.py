"""The vectors API of the emulator, as the real asynchronous client sees it."""

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pinecone import ApiError, AsyncIndex, NotFoundError, SparseValues

from shardroute.testing.pinecone import PineconeServer
from tests.testing.pinecones import client, fetched, listed, queried, served, vector


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with served() as running:
        yield running


@pytest.fixture
async def index(server: PineconeServer) -> AsyncIterator[AsyncIndex]:
    async with client(server, "vectors") as opened:
        yield opened


async def test_what_is_upserted_is_fetched_back_with_float32_values_and_float_numbers(
    index: AsyncIndex,
) -> None:
    metadata = {"n": 42, "text": "x", "yes": True, "tags": ["p", "q"]}
    written = await index.upsert(vectors=[vector("1", 0.1, 0.2, **metadata)], namespace="a")
    assert written.upserted_count == 1
    found = (await fetched(index, "1", "2"))["1"]
    assert found.values == pytest.approx([0.1, 0.2], rel=1e-6)
    assert found.metadata == metadata
    assert isinstance(found.metadata["n"], float)


async def test_null_metadata_is_stripped(index: AsyncIndex) -> None:
    await index.upsert(vectors=[vector("1", gone=None, kept="x")], namespace="a")
    await index.update(id="1", set_metadata={"kept": None}, namespace="a")
    assert (await fetched(index, "1"))["1"].metadata == {"kept": "x"}


async def test_an_upsert_replaces_the_whole_record(index: AsyncIndex) -> None:
    await index.upsert(vectors=[vector("1", 1, 0, old="x")], namespace="a")
    await index.upsert(vectors=[vector("1", 0, 1)], namespace="a")
    found = (await fetched(index, "1"))["1"]
    assert (found.values, found.metadata) == ([0.0, 1.0], None)


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("vectors", [("far", 1.0), ("near", 1.0), ("off", 0.0), ("back", -1.0)]),
        ("dot", [("far", 3.0), ("near", 1.0), ("off", 0.0), ("back", -1.0)]),
        ("euclidean", [("near", 0.0), ("off", 2.0), ("back", 4.0), ("far", 4.0)]),
    ],
)
async def test_scores_are_those_of_the_metric_and_ties_go_by_id(
    server: PineconeServer, name: str, scores: list[tuple[str, float]]
) -> None:
    vectors = [vector("near", 1, 0), vector("far", 3, 0), vector("off", 0, 1), vector("back", -1, 0)]
    async with client(server, name) as index:
        await index.upsert(vectors=vectors)
        found = await index.query(vector=[1.0, 0.0], top_k=10)
        assert [(match.id, match.score) for match in found.matches] == scores
        assert await queried(index, namespace="", top_k=2) == [match for match, _ in scores[:2]]


async def test_a_query_shows_values_and_metadata_if_asked(index: AsyncIndex) -> None:
    await index.upsert(vectors=[vector("1", 1, 0, x="y")], namespace="a")
    bare = (await index.query(vector=[1, 0], top_k=1, namespace="a")).matches[0]
    full = (
        await index.query(vector=[1, 0], top_k=1, namespace="a", include_values=True, include_metadata=True)
    ).matches[0]
    assert (bare.values, bare.metadata) == ([], None)
    assert (full.values, full.metadata) == ([1.0, 0.0], {"x": "y"})


async def test_a_query_by_id_takes_the_stored_vector(index: AsyncIndex) -> None:
    await index.upsert(vectors=[vector("1", 1, 0), vector("2", 1, 1), vector("3", 0, 1)], namespace="a")
    assert await queried(index, vector=None, id="3") == ["3", "2", "1"]
    assert await queried(index, vector=None, id="unknown") == []


async def test_sparse_values_add_to_the_dot_product(server: PineconeServer) -> None:
    sparse = SparseValues(indices=[7, 2**32 - 1], values=[2.0, 1.0])
    async with client(server, "dot") as index:
        await index.upsert(
            vectors=[
                vector("1", 1, 0),
                {**vector("2", 1, 0), "sparse_values": {"indices": [7], "values": [3.0]}},
            ]
        )
        found = await index.query(vector=[1.0, 0.0], sparse_vector=sparse, top_k=2, include_values=True)
        assert [(match.id, match.score) for match in found.matches] == [("2", 7.0), ("1", 1.0)]
        assert found.matches[0].sparse_values == SparseValues(indices=[7], values=[3.0])


async def test_a_sparse_index_finds_what_shares_an_index_with_the_query(server: PineconeServer) -> None:
    async with client(server, "sparse") as index:
        await index.upsert(
            vectors=[
                {"id": str(n), "sparse_values": {"indices": [n, n + 1], "values": [1.0, 2.0]}}
                for n in range(3)
            ]
        )
        query = {"indices": [1, 9], "values": [1.0, 1.0]}
        assert await queried(index, "", vector=None, sparse_vector=query) == ["0", "1"]
        await index.delete(ids=["0"])
        assert await queried(index, "", vector=None, sparse_vector=query) == ["1"]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"x": 42}, "1"),
        ({"x": {"$eq": True}}, "2"),
        ({"x": 1}, ""),
        ({"tags": "p"}, "13"),
        ({"tags": {"$ne": "p"}}, "24"),
        ({"tags": {"$nin": ["q", "z"]}}, "234"),
        ({"tags": {"$in": ["q", "r"]}}, "1"),
        ({"tags": {"$in": []}}, ""),
        ({"x": {"$gt": 41, "$lt": 43}}, "1"),
        ({"x": {"$gte": 42.5}}, ""),
        ({"x": {"$exists": True}}, "124"),
        ({"x": {"$exists": False}}, "3"),
        ({"$or": [{"x": 42}, {"x": "text"}]}, "14"),
        ({"$and": [{"tags": "p"}, {"x": {"$exists": False}}]}, "3"),
        ({"tags": "p", "x": {"$lte": 42}}, "1"),
        ({"$not": {"tags": "p"}}, "24"),
        ({}, "1234"),
    ],
)
async def test_filters(index: AsyncIndex, filter_: dict[str, Any], expected: str) -> None:
    await index.upsert(
        vectors=[
            vector("1", x=42, tags=["p", "q"]),
            vector("2", x=True),
            vector("3", tags=["p"]),
            vector("4", x="text"),
        ],
        namespace="a",
    )
    assert "".join(await queried(index, filter=filter_)) == expected
    if filter_:
        found = await index.fetch_by_metadata(filter=filter_, namespace="a")
        assert "".join(found.vectors) == expected


@pytest.mark.parametrize("matches", [True, False])
async def test_whether_ne_and_nin_match_what_lacks_the_field_is_a_switch(matches: bool) -> None:
    async with served(ne_matches_missing=matches) as server, client(server, "vectors") as index:
        await index.upsert(vectors=[vector("1", x="y"), vector("2")], namespace="a")
        for negation in ({"$ne": "z"}, {"$nin": ["z"]}):
            assert await queried(index, filter={"x": negation}) == (["1", "2"] if matches else ["1"])


async def test_an_update_by_id_changes_what_it_names(index: AsyncIndex) -> None:
    await index.upsert(vectors=[vector("1", 1, 0, a="old", b="old")], namespace="a")
    changed = await index.update(id="1", set_metadata={"b": "new"}, namespace="a")
    await index.update(id="1", values=[0.0, 1.0], namespace="a")
    await index.update(id="unknown", values=[0.0, 1.0], namespace="a")
    found = await fetched(index, "1", "unknown")
    assert list(found) == ["1"]
    assert (found["1"].values, found["1"].metadata) == ([0.0, 1.0], {"a": "old", "b": "new"})
    assert changed.matched_records is None


async def test_an_update_by_filter_changes_all_that_match_unless_it_is_dry(index: AsyncIndex) -> None:
    vectors = [vector(str(number), kind="even" if number % 2 == 0 else "odd") for number in range(5)]
    await index.upsert(vectors=vectors, namespace="a")
    change: dict[str, Any] = {"filter": {"kind": "even"}, "set_metadata": {"seen": True}, "namespace": "a"}
    for dry, after in ((True, []), (False, ["0", "2", "4"])):
        assert (await index.update(**change, dry_run=dry)).matched_records == 3
        assert await queried(index, filter={"seen": True}) == after


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ({"ids": ["1", "unknown"]}, ["2", "3"]),
        ({"filter": {"kind": "odd"}}, ["2"]),
        ({"delete_all": True}, []),
    ],
)
async def test_deletes(index: AsyncIndex, what: dict[str, Any], left: list[str]) -> None:
    vectors = [vector("1", kind="odd"), vector("2", kind="even"), vector("3", kind="odd")]
    await index.upsert(vectors=vectors, namespace="a")
    await index.upsert(vectors=vectors, namespace="b")
    assert await queried(index) == ["1", "2", "3"]
    await index.delete(**what, namespace="a")
    assert await queried(index) == await listed(index) == left
    assert await listed(index, "b") == ["1", "2", "3"]
    assert (await index.describe_namespace(name="a")).record_count == len(left)


@pytest.mark.parametrize("name", ["vectors", "dot", "euclidean"])
async def test_a_query_of_zeros_is_answered_and_a_record_of_zeros_refused(name: str) -> None:
    async with served() as server, client(server, name) as index:
        await index.upsert(vectors=[vector("1"), vector("2", -1, 0)], namespace="a")
        answer = await index.query(vector=[0.0, 0.0], top_k=5, namespace="a")
        assert [match.id for match in answer.matches] == ["1", "2"]
        assert {match.score for match in answer.matches} == {1.0 if name == "euclidean" else 0.0}
        with pytest.raises(ApiError, match="non-zero"):
            await index.upsert(vectors=[vector("3", 0, 0)], namespace="a")


@pytest.mark.parametrize("named", ["", "__default__", "a"])
async def test_a_namespace_is_answered_by_the_name_that_it_was_asked_by(
    index: AsyncIndex, named: str
) -> None:
    await index.upsert(vectors=[vector("1", x="y")], namespace=named)
    assert (await index.query(vector=[1, 0], top_k=1, namespace=named)).namespace == named
    assert (await index.fetch(ids=["1"], namespace=named)).namespace == named
    assert (await index.fetch_by_metadata(filter={"x": "y"}, namespace=named)).namespace == named
    assert (await index.list_paginated(namespace=named)).namespace == named
    assert list((await index.describe_index_stats()).namespaces) == [named or "__default__"]


@pytest.mark.parametrize("strict", [True, False])
async def test_a_delete_in_a_namespace_that_does_not_exist_is_404_unless_switched_off(strict: bool) -> None:
    async with served(missing_namespace_is_404=strict) as server, client(server, "vectors") as index:
        if strict:
            with pytest.raises(NotFoundError, match="No namespace: '"):
                await index.delete(ids=["1"], namespace="nowhere")
        else:
            await index.delete(ids=["1"], namespace="nowhere")
        assert await queried(index, "nowhere") == []
        assert not await fetched(index, "1", namespace="nowhere")
        assert not (await index.describe_index_stats()).namespaces


async def test_ids_are_listed_in_order_by_prefix_and_page(index: AsyncIndex) -> None:
    names = [f"{letter}{number}" for letter in "bBa" for number in range(45)]
    await index.upsert(vectors=[vector(name) for name in names], namespace="a")
    assert await listed(index) == sorted(names)
    assert await listed(index, prefix="b", limit=7) == sorted(name for name in names if name[0] == "b")
    first = await index.list_paginated(namespace="a")
    assert len(first.vectors) == 100
    await index.delete(ids=["B0"], namespace="a")
    await index.upsert(vectors=[vector("B")], namespace="a")
    assert (await listed(index))[:2] == ["B", "B1"]


async def test_a_fetch_by_metadata_goes_page_by_page(index: AsyncIndex) -> None:
    await index.upsert(
        vectors=[vector(f"{number}", odd=number % 2 == 1) for number in range(10)], namespace="a"
    )
    token, pages = None, []
    while True:
        page = await index.fetch_by_metadata(
            filter={"odd": True}, namespace="a", limit=2, pagination_token=token
        )
        pages.append(list(page.vectors))
        if page.pagination is None:
            break
        token = page.pagination.next
    assert pages == [["1", "3"], ["5", "7"], ["9"]]


async def test_namespaces_are_listed_described_made_and_deleted(index: AsyncIndex) -> None:
    odd_names = ["b/ä?#".encode("ascii", "ignore").decode(), ".", "a b"]
    for name in odd_names:
        await index.upsert(vectors=[vector("1")], namespace=name)
    made = await index.create_namespace(name="c", schema={"fields": {"genre": {"filterable": True}}})
    assert made.record_count == 0
    names = [one.name async for page in index.list_namespaces(limit=2) for one in page.namespaces]
    assert names == sorted([*odd_names, "c"])
    assert (await index.list_namespaces_paginated(prefix="b")).total_count == 1
    assert (await index.describe_namespace(name="b/?#")).record_count == 1
    for name in ("b/?#", "c"):
        await index.delete_namespace(name=name)
        with pytest.raises(NotFoundError):
            await index.describe_namespace(name=name)
    with pytest.raises(NotFoundError):
        await index.delete_namespace(name="b/?#")


async def test_the_default_namespace_has_two_names(index: AsyncIndex) -> None:
    await index.upsert(vectors=[vector("1")])
    assert list(await fetched(index, "1", namespace="__default__")) == ["1"]
    stats = await index.describe_index_stats()
    assert {name: summary.vector_count for name, summary in stats.namespaces.items()} == {"__default__": 1}
    assert (stats.dimension, stats.metric, stats.total_vector_count) == (2, "cosine", 1)
    assert (await index.describe_namespace(name="__default__")).record_count == 1


async def test_a_search_stays_exact_through_many_changes(index: AsyncIndex) -> None:
    kept: dict[str, float] = {}
    for number in range(60):
        angle = number * 0.7
        await index.upsert(vectors=[vector(str(number), math.cos(angle), math.sin(angle))], namespace="a")
        kept[str(number)] = math.cos(angle)
        if number % 3 == 2:
            await index.delete(ids=[str(number // 2)], namespace="a")
            kept.pop(str(number // 2), None)
        best = sorted(kept, key=lambda name: -kept[name])[:5]
        assert await queried(index, top_k=5) == best
