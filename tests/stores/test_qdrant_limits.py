"""Requests of a size that a Qdrant cluster and its collections take: found out before, or from what they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import models
from qdrant_client.common.client_exceptions import QdrantException

from shardroute.errors import (
    ClusterRejected,
    ClusterUnavailable,
    InvalidRecord,
    RateLimited,
)
from shardroute.permits import Permit, needing
from shardroute.ports import Change, limits_at
from shardroute.records import Query, Record
from shardroute.stores.qdrant import QdrantStore
from shardroute.stores.qdrant_errors import QdrantRejected, translated
from shardroute.stores.qdrant_json import point_size
from shardroute.stores.qdrant_limits import (
    LIMITS,
    MAX_ANSWER,
    MAX_BODY,
    PageSize,
    Setting,
    after_refusal,
    bytes_of,
    limits_of,
)
from shardroute.stores.qdrant_points import Point
from shardroute.testing.qdrant import QdrantServer
from shardroute.topology import IdScheme, Placement, Tenancy
from tests.support.qdrant_traffic import Traffic, limit, shorten_minutes

from .conftest import unit
from .test_qdrant import place

MB = 1_000_000


@asynccontextmanager
async def behind(
    strict: dict[str, Any] | None = None,
    *,
    known: bool = True,
    max_request: int = MAX_BODY,
    **options: Any,
) -> AsyncIterator[tuple[QdrantStore, Traffic]]:
    """A store of a collection that is limited after it was prepared. `known`: the store has looked since."""
    async with QdrantServer(max_request_bytes=max_request) as server:
        store = QdrantStore.connect("q", url=server.url, **options)
        try:
            await store.prepare(place())
            if strict is not None:
                await limit(server.url, place().collection, strict)
            if known:
                await store.describe(place())
            yield store, Traffic.of(store)
        finally:
            await store.aclose()


def records(count: int, size: int = 0) -> list[Record]:
    return [Record(f"doc-{n}", unit(n), {"n": n, "text": "x" * size}) for n in range(count)]


async def everything(store: QdrantStore) -> set[str]:
    found, cursor = set[str](), None
    while True:
        page = await store.scan(place(), cursor=cursor, limit=1000)
        found |= {record.id for record in page.records}
        if (cursor := page.cursor) is None:
            return found


# By bytes


async def test_an_upsert_of_more_than_a_request_holds_goes_in_several() -> None:
    async with behind() as (store, traffic):
        await store.upsert(place(), records(120, 400_000))
        assert await store.count(place()) == 120
        assert not traffic.refused
        assert max(traffic.sizes) <= LIMITS.upsert_bytes


@pytest.mark.parametrize("most", [3 * MB, 1 * MB])
async def test_a_cluster_that_takes_less_is_found_out_by_what_it_refuses(most: int) -> None:
    async with behind(max_request=most) as (store, traffic):
        await store.upsert(place(), records(30, 200_000))
        assert await store.count(place()) == 30
        assert len(traffic.refused) == 1
        await store.upsert(place(), records(30, 200_000))
        assert len(traffic.refused) == 1


async def test_what_a_proxy_refuses_without_a_number_is_halved_until_it_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with behind() as (store, traffic):
        inner = store._requests.upsert

        async def upsert(where: Any, part: Any, guard: Any) -> None:
            if len(part.body) > MB:
                traffic.refused.append("413")
                raise QdrantRejected("q", "413: Request Entity Too Large <html>")
            await inner(where, part, guard)

        monkeypatch.setattr(store._requests, "upsert", upsert)
        await store.upsert(place(), records(30, 200_000))
        assert await store.count(place()) == 30
        assert traffic.refused
        seen = len(traffic.refused)
        await store.upsert(place(), records(30, 200_000))
        assert len(traffic.refused) == seen


async def test_a_record_that_no_request_holds_is_refused_before_anything_is_sent() -> None:
    async with behind(max_request_bytes=2 * MB) as (store, traffic):
        sent = len(traffic.sizes)
        large = Record("large", unit(1), {"text": "x" * (2 * MB)})
        reason = store.misfit(place(), large)
        assert reason is not None
        assert "2,000,1" in reason
        assert "1,995,904" in reason
        with pytest.raises(InvalidRecord, match="'large': it has 2,000,1"):
            await store.upsert(place(), [*records(3), large])
        assert len(traffic.sizes) == sent
        assert store.misfit(place(), Record("fits", unit(1), {"text": "x" * (MB + MB // 2)})) is None


def test_the_vector_of_a_record_that_was_read_without_counts_as_well() -> None:
    store = QdrantStore.connect("q", url="http://127.0.0.1:1", max_request_bytes=MB)
    wide = place(dimension=50_000)
    assert store.misfit(wide, Record("a", None, {"text": "x" * 100_000})) is not None


async def test_a_record_that_the_cluster_alone_finds_too_large_is_refused_by_name_from_then_on() -> None:
    async with behind(max_request=MB) as (store, _):
        large = Record("large", unit(1), {"text": "x" * (MB + MB // 2)})
        assert store.misfit(place(), large) is None
        with pytest.raises(ClusterRejected, match=r"max_request_size_mb"):
            await store.upsert(place(), [large])
        assert "max_request_bytes" in (store.misfit(place(), large) or "")


async def test_answers_of_large_points_come_in_several_pages_and_requests() -> None:
    async with behind() as (store, traffic):
        await store.upsert(place(), records(100, 400_000))
        traffic.asked.clear()
        assert len(await everything(store)) == 100
        assert max(asked for _, asked in traffic.asked[1:]) * 400_000 <= 1.1 * MAX_ANSWER
        traffic.asked.clear()
        assert len(await store.fetch(place(), [f"doc-{n}" for n in range(100)])) == 100
        assert [what for what, _ in traffic.asked] == ["retrieve"] * 3


async def test_a_page_that_does_not_arrive_is_asked_for_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    async with behind() as (store, traffic):
        await store.upsert(place(), records(64))
        inner = store._requests.scroll

        async def scroll(*arguments: Any, **options: Any) -> Any:
            traffic.asked.append(("asked", arguments[3]))
            if arguments[3] > 10:
                raise ClusterUnavailable("q", "no answer within 10 s")
            return await inner(*arguments, **options)

        monkeypatch.setattr(store._requests, "scroll", scroll)
        for _ in range(3):
            with pytest.raises(ClusterUnavailable):
                await store.scan(place())
        assert len((await store.scan(place())).records) == 8


# By strict mode

LIMITED = {
    "max_query_limit": 50,
    "upsert_max_batchsize": 20,
    "condition_max_size": 50,
    "read_rate_limit": 120,
    "write_rate_limit": 120,
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("setting", [*LIMITED, "search_allow_exact"])
async def test_every_request_keeps_to_what_the_collection_allows(
    setting: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`known`: else the setting is one of later, and the store learns of it from what is refused."""
    shorten_minutes(monkeypatch, 1.0)
    ids = [f"doc-{n}" for n in range(200)]
    async with behind({setting: LIMITED.get(setting, False)}, known=known) as (store, traffic):
        await in_time(lambda: store.upsert(place(), records(200)))
        assert await in_time(lambda: store.count(place())) == 200
        assert await in_time(lambda: store.estimate(place())) == 200
        assert len(await in_time(lambda: store.fetch(place(), ids))) == 200
        assert await in_time(lambda: everything(store)) == set(ids)
        await in_time(lambda: store.update(place(), [Change(name, {"seen": True}) for name in ids]))
        await in_time(lambda: store.delete(place(), ids[:100]))
        await in_time(lambda: store.remove(place(), ids[100:], "mark"))
        assert await in_time(lambda: store.count(place())) == 0
    if known and setting != "search_allow_exact":
        assert [words for words in traffic.refused if "Retry after" not in words] == []


async def in_time(call: Callable[[], Any]) -> Any:
    """What a caller does who is told when to come again."""
    while True:
        try:
            return await call()
        except RateLimited as error:
            await asyncio.sleep((error.retry_after or 20) / 20)  # a minute takes a second here


async def test_limits_are_known_once_the_collection_was_described_and_for_it_alone() -> None:
    async with behind({"upsert_max_batchsize": 20, "read_rate_limit": 400}) as (store, _):
        known = limits_at(store, place())
        assert (known.upsert_records, known.best_upsert_records, known.fetch_ids) == (20, 20, 100)
        assert limits_at(store, place(collection="other")) == LIMITS


async def test_a_refusal_names_the_setting_that_it_is_for() -> None:
    async with behind({"max_query_limit": 5}) as (store, _):
        with pytest.raises(ClusterRejected, match=r"strict_mode_config\.max_query_limit"):
            await store.query(place(), Query(unit(1), 10))


async def test_a_write_that_costs_more_than_the_bucket_is_not_sent_again_as_a_part_may_be_carried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_minutes(monkeypatch, 1.0)
    async with behind({"write_rate_limit": 40}, known=False) as (store, traffic):
        with pytest.raises(RateLimited, match="write_rate_limit"):
            await store.upsert(place(), records(80))
        assert len(traffic.refused) == 1
        await in_time(lambda: store.upsert(place(), records(80)))


async def test_between_the_requests_of_one_write_a_permit_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST asks before each last byte; other clients are asked for between."""
    asked: list[int] = []

    async def ask() -> None:
        asked.append(1)

    async with behind({"upsert_max_batchsize": 20}) as (store, _):
        for late in (True, False):
            monkeypatch.setattr(store._parts, "asks_late", late)
            asked.clear()
            with needing(Permit(ask)):
                await store.upsert(place(), records(60))
            assert len(asked) == (3 if late else 5)


async def test_where_tenants_share_native_ids_the_second_look_is_in_parts_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_minutes(monkeypatch, 1.0)
    async with behind({"read_rate_limit": 40}) as (store, _):
        native = place(ids=IdScheme.NATIVE)
        batch = [Record(str(n), unit(n)) for n in range(60)]
        await in_time(lambda: store.upsert(native, batch))
        assert await in_time(lambda: store.count(native)) == 60


async def test_tenants_are_found_where_pages_are_small_and_nothing_is_counted_exactly() -> None:
    async with behind({"max_query_limit": 7, "search_allow_exact": False}) as (store, _):
        for tenant in ("acme", "globex", "0b0a7b3e-5d1c-4c5a-9d0e-2f3a4b5c6d7e"):
            await store.upsert(place(tenant), records(20))
        placement = Placement("q", "docs", Tenancy.parse("payload:tenant"))
        assert len([tenant async for tenant in store.tenants(placement, ["docs"])]) == 3


# Pure


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ('Limit exceeded 512 > 100 for "limit". Help: Reduce', Setting.MAX_QUERY_LIMIT),
        ('Limit exceeded 50 > 20 for "upsert limit". Help: Reduce', Setting.UPSERT_MAX_BATCHSIZE),
        ('Limit exceeded 50 > 20 for "update limit". Help: Reduce', Setting.UPSERT_MAX_BATCHSIZE),
        ("Condition size limit reached (5 > 3). Help: Reduce", Setting.CONDITION_MAX_SIZE),
        ("Filter condition limit reached (5 > 3). Help: Reduce", Setting.FILTER_MAX_CONDITIONS),
        ("Exact search disabled!. Help: Set exact=false.", Setting.SEARCH_ALLOW_EXACT),
        ('Index required but not found for "a" of one', Setting.UNINDEXED_FILTERING),
        ("Max points count limit of 5 reached!", Setting.MAX_POINTS_COUNT),
        ("Max vector storage size limit of 1MB reached!", Setting.MAX_VECTOR_SIZE),
        ("Max payload storage size limit of 1MB reached!", Setting.MAX_PAYLOAD_SIZE),
        ("JSON payload (5 bytes) is larger than allowed (limit: 3 bytes).", Setting.MAX_REQUEST_SIZE),
        ("JSON payload has exceeded limit (3 bytes).", Setting.MAX_REQUEST_SIZE),
        ("413: Request Entity Too Large", Setting.MAX_REQUEST_SIZE),
        ("Write rate limit exceeded, request larger than rate limiter capacity", Setting.WRITE_RATE_LIMIT),
        ("Read rate limit exceeded, request larger than rate limiter capacity", Setting.READ_RATE_LIMIT),
        ("Wrong input: something else", None),
    ],
)
def test_refusals_are_known_by_their_words(words: str, setting: Setting | None) -> None:
    error = QdrantRejected("q", f"400: {words}")
    assert error.setting is setting
    if setting is not None:
        assert setting.value in str(error)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Rate limiting exceeded: Read rate limit exceeded: Operation requires 5 tokens", RateLimited),
        ("Read rate limit exceeded, request larger than rate limiter capacity", QdrantRejected),
        ("Received message larger than max (5 vs. 4)", QdrantRejected),
    ],
)
def test_over_grpc_what_no_waiting_helps_is_told_from_what_it_does(words: str, kind: type[Exception]) -> None:
    metadata = grpc.aio.Metadata()
    exhausted = grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, metadata, metadata, words)
    assert type(translated("q", exhausted)) is kind


def test_a_time_to_wait_that_is_a_date_is_still_a_rate_limit() -> None:
    error = QdrantException("Retry-After header value is not a valid integer: Tue, 01 Dec 2026 00:00:00 GMT")
    assert isinstance(translated("q", error), RateLimited)


_LIMIT = st.one_of(st.none(), st.integers(1, 2000))


@given(st.booleans(), _LIMIT, _LIMIT, _LIMIT, _LIMIT, _LIMIT)
def test_nothing_asks_for_more_than_strict_mode_allows(
    enabled: bool,
    query: int | None,
    upsert: int | None,
    read: int | None,
    write: int | None,
    size: int | None,
) -> None:
    found = limits_of(
        models.StrictModeConfig(
            enabled=enabled,
            max_query_limit=query,
            upsert_max_batchsize=upsert,
            read_rate_limit=read,
            write_rate_limit=write,
            condition_max_size=size,
        )
    )
    most = {
        "scan_records": [query] if enabled else [],
        "upsert_records": [upsert if enabled else None, write],
        "best_upsert_records": [upsert if enabled else None, write],
        "fetch_ids": [read],
        "delete_ids": [write, size if enabled else None],
    }
    for name, limits in most.items():
        assert 1 <= getattr(found, name) <= min([limit for limit in limits if limit], default=10_000)


@given(st.integers(2, 2000))
def test_after_every_refusal_less_is_sent(sent: int) -> None:
    assert after_refusal(LIMITS, "scan_records", sent).scan_records < sent


@given(st.lists(st.tuples(st.integers(1, 512), st.integers(0, 10**9)), max_size=5))
def test_a_page_has_one_point_at_least_and_heals(seen: list[tuple[int, int]]) -> None:
    page = PageSize()
    for points, size in seen:
        page = page.failed(points).arrived(points, size)
        assert 1 <= page.of(512) <= 512
    assert page.arrived(100, 1000).of(512) == 512


_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text()
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _JSON, max_size=4))
def test_the_quick_measure_of_metadata_is_never_below_its_bytes(metadata: dict[str, Any]) -> None:
    point: Point = {"id": 0, "vector": np.zeros(0, np.float32), "payload": metadata}
    assert bytes_of(metadata, 6) + 64 >= point_size(point)
