"""Calls with ids in another spelling than Qdrant's: refused by name, whichever call and phase it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from shardroute import InvalidRecord, Record, Tenant
from shardroute.embedded import EmbeddedRedis
from shardroute.phases import Phase
from shardroute.testing.qdrant import QdrantServer
from tests.core.test_native_ids import KNOWN, spellings
from tests.facades.moves import Move

CALLS: dict[str, Callable[[Tenant, str], Awaitable[object]]] = {
    "fetch": lambda tenant, name: tenant.fetch([KNOWN, name]),
    "delete": lambda tenant, name: tenant.delete([KNOWN, name]),
    "update": lambda tenant, name: tenant.update(name, metadata={"seen": name}),
    "upsert": lambda tenant, name: tenant.upsert([Record(KNOWN, [1, 2]), Record(name, [1, 2])]),
}
OTHER = [*spellings(UUID(KNOWN)), "007"]


@asynccontextmanager
async def tenant_between(
    redis: EmbeddedRedis, namespace: str, phase: Phase, ids: tuple[str, str] = ("native", "native")
) -> AsyncIterator[Tenant]:
    async with QdrantServer() as old, QdrantServer() as new:
        a, b = (
            {
                "cluster": {"kind": "qdrant", "url": server.url},
                "placement": {"collection": "docs", "ids": scheme},
            }
            for server, scheme in zip((old, new), ids, strict=True)
        )
        async with Move.between(redis.url, namespace, a, b, dimension=2) as move:
            await move.bring("acme", phase)
            yield move.router.tenant("acme")


@pytest.mark.parametrize("phase", [Phase.OLD, Phase.DUAL_OLD, Phase.DUAL_NEW])
async def test_another_spelling_is_refused_by_every_call_and_the_right_one_is_named(
    redis_server: EmbeddedRedis, namespace: str, phase: Phase
) -> None:
    async with tenant_between(redis_server, namespace, phase) as acme:
        await acme.upsert([Record(KNOWN, [1, 0], {"n": 1}), Record("7", [0, 1])])
        for call in CALLS.values():
            for name in OTHER:
                with pytest.raises(InvalidRecord, match="7" if name == "007" else KNOWN):
                    await call(acme, name)
        found = await acme.fetch([KNOWN, "7"])
        assert set(found) == {KNOWN, "7"}
        assert dict(found[KNOWN].metadata) == {"n": 1}


async def test_ids_that_no_point_can_have_are_not_there_and_cannot_be_written(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with tenant_between(redis_server, namespace, Phase.OLD) as acme:
        assert await acme.fetch(["abc"]) == {}
        await acme.delete(["abc"])
        for refused in (acme.update("abc", metadata={"n": 1}), acme.upsert([Record("abc", [1, 2])])):
            with pytest.raises(InvalidRecord, match="not one of Qdrant's"):
                await refused


async def test_where_ids_are_any_strings_two_spellings_are_two_records(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with tenant_between(redis_server, namespace, Phase.OLD, ("mapped", "native")) as acme:
        await acme.upsert([Record(KNOWN, [1, 0]), Record(KNOWN.upper(), [0, 1])])
        await acme.delete([KNOWN.upper()])
        assert set(await acme.fetch([KNOWN, KNOWN.upper()])) == {KNOWN}
