"""What is the facade's own: which tenant a namespace is, what is refused, batches, pages."""

from __future__ import annotations

from typing import Any

import pytest
from pinecone import ScoredVector
from pinecone.errors.exceptions import PineconeTypeError, PineconeValueError, ServiceError

from shardroute import InvalidInput, InvalidTenant, NotCovered, Router, ShardrouteError, UnknownTenant
from shardroute.facades.pinecone import RoutedIndex
from tests.support.world import World, record

ONE = [1.0, 2.0, 3.0, 4.0]


def vectors(count: int) -> list[dict[str, Any]]:
    return [{"id": f"v-{number:03d}", "values": [1.0, number, 0.0, 1.0]} for number in range(count)]


async def ids(index: RoutedIndex, namespace: str = "acme", **how: Any) -> list[str | None]:
    return [item.id async for page in index.list(namespace=namespace, **how) for item in page.vectors]


async def test_a_namespace_is_the_tenant_of_its_name(router: Router) -> None:
    await RoutedIndex(router).upsert(vectors=[("a", ONE)], namespace="acme")
    assert (await router.tenant("acme").fetch(["a"])).keys() == {"a"}


async def test_a_namespace_may_be_another_tenant_by_a_function(router: Router) -> None:
    index = RoutedIndex(router, tenant_of=lambda namespace: namespace.removeprefix("ns-"))
    await index.upsert(vectors=[("a", ONE)], namespace="ns-acme")
    assert (await router.tenant("acme").fetch(["a"])).keys() == {"a"}
    assert (await index.fetch(ids=["a"], namespace="ns-acme")).namespace == "ns-acme"


@pytest.mark.parametrize("named", [{}, {"namespace": ""}, {"namespace": None}, {"namespace": "__default__"}])
async def test_the_default_namespace_is_nobodys_unless_it_is_said_whose(
    router: Router, named: dict[str, Any]
) -> None:
    with pytest.raises(UnknownTenant, match="default_tenant"):
        await RoutedIndex(router).delete(delete_all=True, **named)
    index = RoutedIndex(router, default_tenant="acme")
    await index.upsert(vectors=[("a", ONE)], **named)
    assert (await router.tenant("acme").fetch(["a"])).keys() == {"a"}


async def test_a_namespace_that_can_be_no_tenant_is_refused_as_the_sdk_refuses_values(router: Router) -> None:
    with pytest.raises(InvalidTenant) as raised:
        await RoutedIndex(router).fetch(ids=["a"], namespace="no/tenant")
    assert isinstance(raised.value, PineconeValueError)
    with pytest.raises(InvalidInput, match="a namespace is a string"):
        await RoutedIndex(router).fetch(ids=["a"], namespace=7)  # type: ignore[arg-type]  # what is tested


async def test_delete_all_leaves_other_tenants_alone(router: Router) -> None:
    index = RoutedIndex(router)
    for namespace in ("acme", "globex"):
        await index.upsert(vectors=vectors(300), namespace=namespace)
    await index.delete(delete_all=True, namespace="acme")
    assert await ids(index) == []
    assert len(await ids(index, "globex")) == 300


@pytest.mark.parametrize("argument", ["scan_factor", "max_candidates"])
async def test_an_argument_that_is_not_covered_is_refused_by_name_unless_it_may_be_let_go_of(
    router: Router, argument: str
) -> None:
    await router.tenant("acme").upsert([record("a")])
    asked: dict[str, Any] = {"vector": ONE, "top_k": 1, "namespace": "acme", argument: 2}
    with pytest.raises(NotCovered, match=rf"AsyncIndex.query\({argument}=…\)"):
        await RoutedIndex(router).query(**asked)
    found = await RoutedIndex(router, ignored=[argument]).query(**asked)
    assert [match.id for match in found.matches] == ["a"]


@pytest.mark.parametrize(
    "given", [[("a",)], [{"id": "a"}], [{"id": "a", "values": ONE, "more": 1}], [("a", ONE, {"x": {"y": 1}})], ["a"]]
)  # fmt: skip
async def test_vectors_in_no_form_of_the_sdks_are_refused_by_the_sdk_before_anything_is_sent(
    router: Router, given: Any
) -> None:
    index = RoutedIndex(router)
    with pytest.raises((PineconeValueError, PineconeTypeError)):
        await index.upsert(vectors=[("ok", ONE), *given], namespace="acme", batch_size=1)
    assert await ids(index) == []


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("query", {"top_k": 1}),
        ("query", {"top_k": 1, "vector": ONE, "id": "a"}),
        ("query", {"top_k": 0, "vector": ONE}),
        ("query", {"top_k": 1, "vector": ONE, "sparse_vector": {"indices": [1]}}),
        ("query", {"top_k": 1, "vector": ONE, "filter": {"a": {"$near": 1}}}),
        ("fetch", {"ids": []}),
        ("delete", {}),
        ("delete", {"ids": ["a"], "filter": {"a": 1}}),
        ("delete", {"filter": {}}),
        ("update", {}),
        ("update", {"id": "a", "filter": {"a": 1}}),
        ("fetch_by_metadata", {"filter": {}}),
        ("list_paginated", {"limit": 1000}),
        ("list_paginated", {"pagination_token": "not one of ours"}),
        ("upsert", {"vectors": [("a", ONE)], "batch_size": 0}),
        ("upsert", {"vectors": [("a", ONE)], "batch_size": 1, "max_concurrency": 65}),
        ("upsert", {"vectors": [("a", ONE)], "batch_size": 1, "total_timeout": 0.0}),
    ],
)
async def test_arguments_that_the_sdk_refuses_are_refused_in_the_same_way(
    router: Router, method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(PineconeValueError):
        await getattr(RoutedIndex(router), method)(namespace="acme", **arguments)


async def test_batches_that_fail_are_collected_and_can_be_sent_again(world: World, router: Router) -> None:
    index = RoutedIndex(router)
    world.old.faults.refused = 1.0
    failed = await index.upsert(vectors=vectors(5), namespace="acme", batch_size=2)
    world.old.faults.refused = 0.0
    assert (failed.upserted_count, failed.failed_item_count, failed.failed_batch_count) == (0, 5, 3)
    assert [error.batch_index for error in failed.errors] == [0, 1, 2]
    assert all(error.retryable and isinstance(error.error, ShardrouteError) for error in failed.errors)
    assert all(isinstance(error.error, ServiceError) for error in failed.errors)
    again = await index.upsert(vectors=failed.failed_items, namespace="acme")
    assert again.upserted_count == 5
    assert len(await ids(index)) == 5


async def test_batches_that_are_not_begun_in_time_are_told_as_unsent(router: Router) -> None:
    index = RoutedIndex(router)
    answer = await index.upsert(vectors=vectors(4), namespace="acme", batch_size=1, total_timeout=1e-9)
    assert {error.disposition for error in answer.errors} == {"unsent"}
    assert answer.failed_item_count == 4
    assert await ids(index) == []


async def test_pages_are_full_until_the_last_and_another_facade_goes_on_from_their_token(
    router: Router,
) -> None:
    await RoutedIndex(router).upsert(vectors=vectors(25), namespace="acme")
    token, sizes, found = None, [], set()
    while True:
        page = await RoutedIndex(router).list_paginated(namespace="acme", limit=10, pagination_token=token)
        sizes.append(len(page.vectors))
        found |= {item.id for item in page.vectors}
        if page.pagination is None:
            break
        token = page.pagination.next
    assert sizes == [10, 10, 5]
    assert found == {vector["id"] for vector in vectors(25)}


async def test_a_page_of_what_a_filter_finds_goes_on_where_the_last_ended(router: Router) -> None:
    index = RoutedIndex(router)
    await index.upsert(
        vectors=[(f"v-{number}", ONE, {"even": number % 2 == 0}) for number in range(20)], namespace="acme"
    )
    asked: dict[str, Any] = {"filter": {"even": True}, "namespace": "acme", "limit": 6}
    first = await index.fetch_by_metadata(**asked)
    assert first.pagination is not None
    second = await index.fetch_by_metadata(**asked, pagination_token=first.pagination.next)
    assert second.pagination is None
    assert len(first.vectors) == 6
    assert {*first.vectors, *second.vectors} == {f"v-{number}" for number in range(0, 20, 2)}


async def test_namespaces_are_asked_together_and_merged_by_score(router: Router) -> None:
    index = RoutedIndex(router)
    await index.upsert(vectors=[("far", [0.0, 0.0, 0.0, 1.0])], namespace="acme")
    await index.upsert(vectors=[("near", ONE), ("nearer", [1.0, 2.0, 3.0, 4.5])], namespace="globex")
    found = await index.query_namespaces(
        vector=ONE, namespaces=["acme", "globex", "acme"], metric="cosine", top_k=2
    )
    assert [match.id for match in found.matches] == ["near", "nearer"]
    assert isinstance(found.matches[0], ScoredVector)


async def test_closing_the_facade_leaves_the_router_open(router: Router) -> None:
    async with RoutedIndex(router) as index:
        await index.upsert(vectors=[("a", ONE)], namespace="acme")
    assert router.ready
