"""The limits of a Qdrant server: the size of a request, strict mode and rates."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shardroute.testing._qdrant_errors import Refusal
from shardroute.testing._qdrant_limits import Rate
from tests.testing.qdrants import SERVERS, Json, Qdrant, opened

MIB = 1024 * 1024


@pytest.fixture(params=SERVERS)
async def qdrant(request: pytest.FixtureRequest) -> AsyncIterator[Qdrant]:
    async with opened(request.param) as running:
        yield running


def upsert_of(size: int) -> bytes:
    """An upsert of one point that has so many bytes as JSON."""
    head, tail = b'{"points":[{"id":1,"vector":[1.0,1.0],"payload":{"t":"', b'"}}]}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


async def test_a_request_of_32_mib_is_taken_and_one_byte_more_is_not() -> None:
    async with opened("test server") as qdrant:  # a real one hangs up, which not every client survives
        await qdrant.create()
        where = f"/collections/{qdrant.name}/points"
        answer = await qdrant.http.put(where, content=upsert_of(32 * MIB + 1))
        assert answer.status_code == 400
        assert answer.json()["status"]["error"] == (
            "JSON payload (33554433 bytes) is larger than allowed (limit: 33554432 bytes)."
        )
        assert (await qdrant.result("POST", "/points/count", {}))["count"] == 0
        assert (await qdrant.http.put(where, content=upsert_of(32 * MIB))).status_code == 200
        assert (await qdrant.result("POST", "/points/count", {}))["count"] == 1


async def test_a_request_without_a_length_is_measured_as_well() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b" " * MIB

    async with opened("test server") as qdrant:
        await qdrant.create()
        answer = await qdrant.http.put(f"/collections/{qdrant.name}/points", content=parts())
        assert (answer.status_code, answer.json()["status"]["error"]) == (
            400,
            "JSON payload has exceeded limit (33554432 bytes).",
        )


def on(field: str, **match: Any) -> Json:
    return {"filter": {"must": [{"key": field, "match": match}]}}


def points(count: int) -> Json:
    return {"points": [{"id": each, "vector": [1.0, 1.0]} for each in range(1, count + 1)]}


STRICT: dict[str, tuple[Json, tuple[str, str], Json, Json, str]] = {
    "limit of a query": (
        {"max_query_limit": 5},
        ("POST", "/points/query"),
        {"query": [1.0, 1.0], "limit": 5},
        {"query": [1.0, 1.0], "limit": 6},
        'Limit exceeded 6 > 5 for "limit". Help: Reduce the "limit" parameter to or below 5.',
    ),
    "limit of a prefetch": (
        {"max_query_limit": 5},
        ("POST", "/points/query"),
        {"prefetch": {"query": [1.0, 1.0], "limit": 5}, "query": [1.0, 1.0], "limit": 5},
        {"prefetch": {"query": [1.0, 1.0], "limit": 9}, "query": [1.0, 1.0], "limit": 5},
        'Limit exceeded 9 > 5 for "limit"',
    ),
    "limit of a scroll": (
        {"max_query_limit": 5},
        ("POST", "/points/scroll"),
        {"limit": 5},
        {"limit": 6},
        'Limit exceeded 6 > 5 for "limit"',
    ),
    "a filter without an index": (
        {"unindexed_filtering_retrieve": False},
        ("POST", "/points/scroll"),
        on("tenant", value="a"),
        on("lang", value="en"),
        'Index required but not found for "lang" of one of the following types: [keyword]. '
        "Help: Create an index for this key or use a different filter.",
    ),
    "a filter with the wrong index": (
        {"unindexed_filtering_retrieve": False},
        ("POST", "/points/count"),
        on("tenant", any=["a"]) | {"exact": False},
        on("tenant", value=7) | {"exact": False},
        'Index required but not found for "tenant" of one of the following types: [integer]',
    ),
    "a filter of a write without an index": (
        {"unindexed_filtering_update": False},
        ("POST", "/points/delete?wait=true"),
        on("tenant", value="a"),
        on("lang", value="en"),
        'Index required but not found for "lang" of one of the following types: [keyword]',
    ),
    "points of an upsert": (
        {"upsert_max_batchsize": 2},
        ("PUT", "/points?wait=true"),
        points(2),
        points(3),
        'Limit exceeded 3 > 2 for "upsert limit". Help: Reduce the "upsert limit" parameter to or below 2.',
    ),
    "queries of a batch": (
        {"search_max_batchsize": 1},
        ("POST", "/points/query/batch"),
        {"searches": [{"query": [1.0, 1.0]}]},
        {"searches": [{"query": [1.0, 1.0]}] * 2},
        'Limit exceeded 2 > 1 for "search batch size"',
    ),
    "conditions of a filter": (
        {"filter_max_conditions": 1},
        ("POST", "/points/scroll"),
        on("tenant", value="a"),
        {"filter": {"must": [*on("tenant", value="a")["filter"]["must"], {"has_id": [1]}]}},
        "Filter condition limit reached (2 > 1). Help: Reduce the amount of conditions of your filter.",
    ),
    "size of a condition": (
        {"condition_max_size": 2},
        ("POST", "/points/scroll"),
        on("tenant", any=["a", "b"]),
        on("tenant", any=["a", "b", "c"]),
        "Condition size limit reached (3 > 2). Help: Reduce the size of your condition.",
    ),
    "effort of a search": (
        {"search_max_hnsw_ef": 8},
        ("POST", "/points/query"),
        {"query": [1.0, 1.0], "params": {"hnsw_ef": 8}},
        {"query": [1.0, 1.0], "params": {"hnsw_ef": 9}},
        'Limit exceeded 9 > 8 for "hnsw_ef"',
    ),
    "exact searches": (
        {"search_allow_exact": False},
        ("POST", "/points/query"),
        {"query": [1.0, 1.0]},
        {"query": [1.0, 1.0], "params": {"exact": True}},
        "Exact search disabled!. Help: Set exact=false.",
    ),
    "exact counts": (
        {"search_allow_exact": False},
        ("POST", "/points/count"),
        {"exact": False},
        {},
        "Exact search disabled!. Help: Set exact=false.",
    ),
    "number of indexes": (
        {"max_payload_index_count": 2},
        ("PUT", "/index?wait=true"),
        {"field_name": "one", "field_schema": "keyword"},
        {"field_name": "two", "field_schema": "keyword"},
        "Collection already has the maximum number of payload indices (2). "
        "Help: Please delete an existing index before creating a new one.",
    ),
}


@pytest.mark.parametrize("name", STRICT)
async def test_strict_mode_lets_one_pass_and_refuses_the_other(qdrant: Qdrant, name: str) -> None:
    config, where, fine, too_much, message = STRICT[name]
    await qdrant.create()
    await qdrant.index("tenant", {"type": "keyword", "is_tenant": True})
    assert (await qdrant.send(*where, too_much)).status_code == 200  # it is off
    await qdrant.result("DELETE", "/index/two?wait=true")
    await qdrant.result("PATCH", "", {"strict_mode_config": {"enabled": True, **config}})
    assert (await qdrant.send(*where, fine)).status_code == 200
    status, found = await qdrant.refusal(*where, too_much)
    assert status == 400
    assert found.startswith(f"Bad request: {message}")
    await qdrant.result("PATCH", "", {"strict_mode_config": {"enabled": False}})
    assert (await qdrant.send(*where, too_much)).status_code == 200


async def test_a_collection_without_a_graph_is_searched_with_a_tenants_filter_only(qdrant: Qdrant) -> None:
    await qdrant.create(
        hnsw_config={"m": 0, "payload_m": 16},
        strict_mode_config={"enabled": True, "search_allow_exact": False},
    )
    await qdrant.index("tenant", {"type": "keyword", "is_tenant": True})
    query = {"query": [1.0, 1.0]}
    assert (await qdrant.send("POST", "/points/query", query | on("tenant", value="a"))).status_code == 200
    status, message = await qdrant.refusal("POST", "/points/query", query)
    assert status == 400
    assert "global vector indexing is disabled (hnsw_config.m = 0)" in message


@pytest.mark.parametrize(("limit", "cost"), [("read_rate_limit", "Read"), ("write_rate_limit", "Write")])
async def test_what_is_above_a_rate_is_asked_to_come_later(qdrant: Qdrant, limit: str, cost: str) -> None:
    await qdrant.create(strict_mode_config={"enabled": True, limit: 3})
    sends: dict[str, tuple[str, str, Any]] = {
        "Read": ("POST", "/points", {"ids": [1, 2]}),
        "Write": ("PUT", "/points?wait=true", points(2)),
    }
    assert (await qdrant.send(*sends[cost])).status_code == 200
    answer = await qdrant.send(*sends[cost])
    assert answer.status_code == 429
    # One of three tokens is left, two are needed, and another comes every 20 seconds.
    assert 1 <= int(answer.headers["retry-after"]) <= 20
    assert answer.json()["status"]["error"].startswith(
        f"Rate limiting exceeded: {cost} rate limit exceeded: Operation requires 2 tokens but only 1."
    )


async def test_a_request_that_no_bucket_can_pay_is_not_told_to_come_later(qdrant: Qdrant) -> None:
    await qdrant.create(strict_mode_config={"enabled": True, "write_rate_limit": 3})
    answer = await qdrant.send("PUT", "/points?wait=true", points(4))
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, None)
    assert answer.json()["status"]["error"] == (
        "Rate limiting exceeded: Write rate limit exceeded, request larger than rate limiter capacity, "
        "please try to split your request"
    )


def test_a_bucket_fills_within_a_minute() -> None:
    rate = Rate("Read", 60, now=0.0)
    rate.take(60, now=0.0)
    with pytest.raises(Refusal) as refused:
        rate.take(10, now=5.0)
    assert refused.value.headers == {"retry-after": "5"}
    rate.take(10, now=10.0)
    rate.take(60, now=1000.0)
    with pytest.raises(Refusal):
        rate.take(1, now=1000.0)
