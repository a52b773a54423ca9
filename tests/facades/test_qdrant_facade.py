"""What is the facade's own: one tenant, one collection, ids, the tenant's field, what is refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from shardroute import InvalidFilter, InvalidInput, InvalidRecord, NotCovered, Record, Router
from shardroute.embedded import EmbeddedRedis
from shardroute.facades.qdrant import RoutedClient
from shardroute.filters import matches
from shardroute.recording import as_query
from tests.facades.qdrant_scenarios import match
from tests.support.world import World, record

ONE = [1.0, 2.0, 3.0, 4.0]
NAME = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def client(router: Router) -> RoutedClient:
    return RoutedClient(router.tenant("acme"), "docs", tenant_field="tenant")


def point(name: Any = 1, vector: Any = ONE, **payload: Any) -> models.PointStruct:
    return models.PointStruct(id=name, vector=vector, payload=payload)


async def test_a_call_for_another_collection_is_refused(client: RoutedClient) -> None:
    with pytest.raises(InvalidInput, match=r"'acme'.*'docs'.*'pages'"):
        await client.count("pages")


@pytest.mark.parametrize(
    ("given", "kept", "back"),
    [
        (42, "42", 42),
        (2**64 - 1, str(2**64 - 1), 2**64 - 1),
        (NAME, NAME, NAME),
        (NAME.upper(), NAME, NAME),
        (NAME.replace("-", ""), NAME, NAME),
        (f"urn:uuid:{NAME}", NAME, NAME),
        (UUID(NAME), NAME, NAME),
    ],
)
async def test_an_id_comes_back_as_qdrant_gives_it_back(
    router: Router, client: RoutedClient, given: Any, kept: str, back: Any
) -> None:
    await client.upsert("docs", [point(given)])
    assert (await router.tenant("acme").fetch([kept])).keys() == {kept}
    found = await client.retrieve("docs", [given])
    assert [(type(one.id), one.id) for one in found] == [(type(back), back)]


@pytest.mark.parametrize("given", [-1, 2**64, "42", True, 1.5, None])
async def test_what_is_no_id_of_qdrants_is_refused(client: RoutedClient, given: Any) -> None:
    with pytest.raises(InvalidRecord):
        await client.retrieve("docs", [given])


@pytest.mark.parametrize("page", [{"offset": -2}, {"limit": 0}, {"limit": -1, "offset": 5}])
async def test_a_page_of_matches_that_cannot_be_is_refused(client: RoutedClient, page: Any) -> None:
    with pytest.raises(InvalidInput, match="at least 1 and 0"):
        await client.query_points("docs", ONE, **page)


async def test_an_id_that_shardroute_wrote_is_shown_and_taken_as_it_is(
    router: Router, client: RoutedClient
) -> None:
    await router.tenant("acme").upsert([Record("doc-1", ONE)])
    found = (await client.query_points("docs", ONE)).points
    assert [one.id for one in await client.retrieve("docs", [found[0].id])] == ["doc-1"]


async def test_the_tenants_field_is_in_every_payload_and_kept_nowhere(
    router: Router, client: RoutedClient
) -> None:
    await client.upsert("docs", [point(1, tenant="acme", n=1), point(2, n=2)])
    stored = await router.tenant("acme").fetch(["1", "2"])
    assert [dict(record.metadata) for record in stored.values()] == [{"n": 1}, {"n": 2}]
    found = await client.retrieve("docs", [1, 2])
    assert [one.payload for one in found] == [{"tenant": "acme", "n": 1}, {"tenant": "acme", "n": 2}]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("upsert", {"points": [point(1), point(2, tenant="globex")]}),
        ("set_payload", {"payload": {"tenant": "globex"}, "points": [1]}),
    ],
)
async def test_a_point_of_another_tenant_is_refused_and_nothing_is_written(
    client: RoutedClient, method: str, arguments: Any
) -> None:
    with pytest.raises(InvalidRecord, match="globex"):
        await getattr(client, method)("docs", **arguments)
    assert (await client.count("docs")).count == 0


async def test_the_tenants_field_cannot_be_removed(client: RoutedClient) -> None:
    with pytest.raises(InvalidInput, match="'tenant'"):
        await client.delete_payload("docs", ["tenant"], [1])


async def test_a_filter_for_another_tenant_finds_nothing(client: RoutedClient) -> None:
    await client.upsert("docs", [point(1)])
    for condition, count in [(match("tenant", "acme"), 1), (match("tenant", "globex"), 0)]:
        assert (await client.count("docs", models.Filter(must=[condition]))).count == count
        assert (await client.count("docs", models.Filter(must_not=[condition]))).count == 1 - count


async def test_points_of_a_tenant_are_deleted_by_its_field_and_not_by_a_filter_that_says_nothing(
    router: Router, client: RoutedClient
) -> None:
    await client.upsert("docs", [point(1), point(2)])
    await router.tenant("globex").upsert([Record("1", ONE)])
    with pytest.raises(InvalidFilter):
        await client.delete("docs", models.Filter())
    with pytest.raises(InvalidFilter):
        await client.set_payload("docs", {"n": 1}, models.FilterSelector(filter=models.Filter(must=[])))
    await client.delete("docs", models.Filter(must=[match("tenant", "acme")]))
    assert (await client.count("docs")).count == 0
    assert await router.tenant("globex").count() == 1


NOT_COVERED: list[tuple[str, str, dict[str, Any]]] = [
    ("query_points", "query=None", {}),
    ("query_points", "prefetch", {"query": ONE, "prefetch": models.Prefetch(query=ONE)}),
    ("query_points", "search_params", {"query": ONE, "search_params": models.SearchParams(hnsw_ef=8)}),
    ("query_points", "mmr", {"query": models.NearestQuery(nearest=ONE, mmr=models.Mmr())}),
    ("query_points", "FusionQuery", {"query": models.FusionQuery(fusion=models.Fusion.RRF)}),
    ("query_points", "list of list", {"query": [ONE, ONE]}),
    ("query_points", "consistency", {"query": ONE, "consistency": 1}),
    ("query_points", "a.b", {"query": ONE, "with_payload": ["a.b"]}),
    ("upsert", "update_mode", {"points": [point()], "update_mode": models.UpdateMode.INSERT_ONLY}),
    ("upsert", "update_filter", {"points": [point()], "update_filter": models.Filter()}),
    ("upsert", "shard_key_selector", {"points": [point()], "shard_key_selector": "a"}),
    ("upsert", "Document", {"points": [point(vector=models.Document(text="a", model="b"))]}),
    ("delete", "shard_key", {"points_selector": models.PointIdsList(points=[1], shard_key="a")}),
    ("delete", "dict", {"points_selector": {"points": [1]}}),
    ("set_payload", "key", {"payload": {"a": 1}, "points": [1], "key": "b"}),
    ("delete_payload", "a.b", {"keys": ["a.b"], "points": [1]}),
    ("scroll", "order_by", {"order_by": "n"}),
    ("scroll", "offset=7", {"offset": 7}),
]


@pytest.mark.parametrize(("method", "named", "arguments"), NOT_COVERED, ids=lambda value: str(value)[:40])
async def test_what_is_not_covered_is_refused_by_name(
    client: RoutedClient, method: str, named: str, arguments: dict[str, Any]
) -> None:
    await client.upsert("docs", [point()])
    with pytest.raises(NotCovered) as raised:
        await getattr(client, method)("docs", **arguments)
    assert named in str(raised.value)


async def test_an_argument_may_be_let_go_of(router: Router) -> None:
    client = RoutedClient(router.tenant("acme"), "docs", ignored=["search_params"])
    await client.upsert("docs", [point()])
    found = await client.query_points("docs", ONE, search_params=models.SearchParams(hnsw_ef=8))
    assert [one.id for one in found.points] == [1]


async def test_a_point_that_is_not_there_has_no_neighbours_and_that_is_an_error_as_in_qdrant(
    client: RoutedClient,
) -> None:
    with pytest.raises(UnexpectedResponse):
        await client.query_points("docs", 7)


@pytest.mark.parametrize(("threshold", "found"), [(0.99, [1]), (0.5, [1, 2]), (-1.0, [1, 2, 3]), (1.1, [])])
async def test_matches_below_the_threshold_are_left_out(
    client: RoutedClient, threshold: float, found: list[int]
) -> None:
    points = [point(1), point(2, [1.0, 2.0, 3.0, 0.0]), point(3, [4.0, 0.0, 0.0, -1.0])]
    await client.upsert("docs", points)
    answer = await client.query_points("docs", ONE, score_threshold=threshold)
    assert [one.id for one in answer.points] == found


async def test_a_write_that_should_not_wait_has_waited_and_says_so(client: RoutedClient) -> None:
    answer = await client.upsert("docs", [point()], wait=False)
    assert answer.status is models.UpdateStatus.COMPLETED
    assert (await client.count("docs")).count == 1


async def test_pages_are_full_until_the_last_and_another_client_goes_on_from_their_offset(
    router: Router,
) -> None:
    tenant = router.tenant("acme")
    await tenant.upsert([Record(str(number), ONE) for number in range(25)])
    offset, sizes, found = None, [], set()
    while True:
        page, offset = await RoutedClient(tenant, "docs").scroll("docs", offset=offset)
        sizes.append(len(page))
        found |= {one.id for one in page}
        if offset is None:
            break
    assert sizes == [10, 10, 5]
    assert found == set(range(25))


async def test_vectors_have_the_names_that_the_application_gives_them(router: Router) -> None:
    client = RoutedClient(router.tenant("acme"), "docs", vector_name="text", sparse_name="words")
    await client.upsert("docs", [point(1, {"text": ONE})])
    found = await client.retrieve("docs", [1], with_vectors=True)
    assert isinstance(found[0].vector, dict)
    assert found[0].vector.keys() == {"text"}
    for names, shown in (("text",), {"text"}), (("words",), set()), (["text", "words"], {"text"}):
        [chosen] = await client.retrieve("docs", [1], with_vectors=names)
        assert isinstance(chosen.vector, dict)
        assert chosen.vector.keys() == shown
    with pytest.raises(InvalidInput, match="'image'"):
        await client.upsert("docs", [point(1, {"image": ONE})])
    with pytest.raises(InvalidInput, match="'image'"):
        await client.query_points("docs", ONE, using="image")


async def test_parts_of_a_batch_of_different_lengths_are_refused(client: RoutedClient) -> None:
    with pytest.raises(InvalidInput, match="2 ids"):
        await client.upsert("docs", models.Batch(ids=[1, 2], vectors=[ONE], payloads=[{}, {}]))


async def test_a_query_is_recorded_with_a_filter_that_can_be_asked_again(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with World.made(redis_server.url, namespace, recording={"share": 1.0}) as world:
        async with world.router() as router:
            await router.tenant("acme").upsert(
                [record("one", lang="en")]
            )  # nothing is kept of who has no data
            client = RoutedClient(router.tenant("acme"), "docs")
            await client.query_points("docs", ONE)  # finds it
            only = models.Filter(must=[match("lang", "en")], must_not=[match("n", 1)])
            await client.query_points("docs", ONE, query_filter=only)
        kept = await world.plane.stats.recorded("acme")
    condition = as_query(kept[-1]).filter
    assert [matches(condition, held) for held in ({"lang": "en"}, {"lang": "en", "n": 1}, {})] == [
        True,
        False,
        False,
    ]
