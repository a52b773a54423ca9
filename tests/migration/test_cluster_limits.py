"""Moves between Qdrant clusters that take little at once: few points, few bytes, few tokens a minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shardroute import Record
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import PreflightFailed, RateLimited
from shardroute.phases import Phase
from shardroute.stores.qdrant import QdrantStore
from shardroute.testing.qdrant import QdrantServer
from tests.facades.moves import KEY, SECRET, Move
from tests.support.qdrant_traffic import limit, shorten_minutes

LIMITED: dict[str, Any] = {
    "upsert_max_batchsize": 20,
    "read_rate_limit": 300,
    "write_rate_limit": 300,
    "max_query_limit": 100,
    "condition_max_size": 100,
}
READ_ONLY = "may read"


@dataclass
class Clusters:
    """`servers`: by cluster, old and new."""

    move: Move
    servers: dict[str, QdrantServer]


@asynccontextmanager
async def clusters(redis: EmbeddedRedis, namespace: str, **options: Any) -> AsyncIterator[Clusters]:
    key = {"api_key_env": KEY} if "api_key" in options else {}
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(QdrantServer(**options)) for name in "ab"}
        sides = [
            {
                "cluster": {"kind": "qdrant", "url": server.url} | key,
                "placement": {"collection": "docs"},
            }
            for server in servers.values()
        ]
        move = await stack.enter_async_context(Move.between(redis.url, namespace, *sides, dimension=2))
        yield Clusters(move, servers)


def records(count: int, size: int = 0) -> list[Record]:
    return [Record(f"doc-{n}", [1.0, n], {"n": n, "text": "x" * size}) for n in range(count)]


async def held(found: Clusters) -> set[str]:
    """As an application reads it that goes on where it was refused: the move has used up what may be read."""
    acme, ids, cursor = found.move.router.tenant("acme"), set[str](), None
    while True:
        try:
            page = await acme.page(cursor=cursor)
        except RateLimited as error:
            await asyncio.sleep(error.retry_after or 0.1)
            continue
        ids |= {record.id for record in page.records}
        if (cursor := page.cursor) is None:
            return ids


async def test_a_tenant_moves_and_is_purged_where_few_points_and_few_tokens_are_allowed(
    redis_server: EmbeddedRedis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_minutes(monkeypatch, 2.0)
    async with clusters(redis_server, namespace) as found:
        acme = found.move.router.tenant("acme")
        await acme.upsert(records(350))
        await limit(found.servers["a"].url, "docs", LIMITED)  # the new collection is made like it
        await found.move.admin.move("migrate", "acme")
        assert await held(found) == {record.id for record in records(350)}
        await found.move.admin.move("rollback", "acme")
        await found.move.admin.move("migrate", "acme")
        await found.move.admin.move("complete", "acme")
        await found.move.admin.purge("acme")
        assert await found.move.router.stores["a"].count(found.move.config.route.old.place("acme")) == 0


async def test_large_records_that_are_debt_are_paid_in_requests_that_the_cluster_takes(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with clusters(redis_server, namespace, max_request_bytes=4_000_000) as found:
        acme = found.move.router.tenant("acme")
        await acme.upsert(records(1))
        await found.move.bring("acme", Phase.DUAL_NEW)
        found.servers["a"].faults.update({"error_rate": 1.0, "only": ["write"]})
        await acme.upsert(records(100, 100_000))
        found.servers["a"].faults.clear()
        await found.move.admin.move("rollback", "acme")
        assert await held(found) == {record.id for record in records(100)}


@pytest.mark.filterwarnings(
    "ignore:Api key is used with an insecure connection:UserWarning"
)  # to this machine
@pytest.mark.parametrize("cluster", ["a", "b"])
async def test_a_key_that_may_only_read_is_found_before_anything_moves(
    redis_server: EmbeddedRedis, namespace: str, cluster: str
) -> None:
    async with (
        clusters(redis_server, namespace, api_key=SECRET, read_only_api_key=READ_ONLY) as found,
        AsyncExitStack() as stack,
    ):
        acme = found.move.router.tenant("acme")
        await acme.upsert(records(3))
        await found.move.router.stores["b"].prepare(found.move.config.route.new.place("acme"))
        reader = QdrantStore.connect(cluster, url=found.servers[cluster].url, api_key=READ_ONLY)
        stack.push_async_callback(reader.aclose)
        stores = {**found.move.router.stores, cluster: reader}
        admin = await stack.enter_async_context(Admin.open(found.move.config, stores=stores))
        with pytest.raises(
            PreflightFailed, match=r"takes no writes in collection 'docs': .*Global manage access is required"
        ):
            await admin.move("migrate", "acme")
        assert acme.phase is Phase.OLD
