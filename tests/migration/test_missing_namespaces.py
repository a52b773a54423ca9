"""A tenant's namespace comes with its first record, and may be gone with its last: no verb stumbles over that."""

from __future__ import annotations

import pytest

from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.migration import Options
from shardroute.phases import Side
from shardroute.testing.pinecone import Lag
from tests.support.pairs import Pair, ServedPinecone

WORDS = ["No namespace: '{namespace}'", "Namespace {namespace} not found", ""]


@pytest.mark.parametrize("kind", ["pinecone-vectors", "pinecone-documents"])
@pytest.mark.parametrize("words", WORDS)
async def test_a_tenant_moves_to_a_namespace_that_is_not_there_and_leaves_one_that_goes(
    redis_server: EmbeddedRedis, namespace: str, kind: str, words: str
) -> None:
    async with Pair.served(redis_server.url, namespace, kind, kind) as pair:
        for side in (pair.old, pair.new):
            assert isinstance(side, ServedPinecone)
            side.server.lag = Lag()
            side.server.behaviour.missing_namespace_message = words
            side.server.behaviour.emptied_namespaces_go = True
        tenants = ("acme", "nobody")
        async with pair.routers(1) as (router,), Admin.open(pair.waiting(0.0)) as admin:
            await router.tenant("acme").upsert([pair.record(f"r{n}", n) for n in range(5)])
            for verb in ("migrate", "rollback", "migrate", "complete"):
                for name in tenants:
                    await admin.move(verb, name, Options(empty=True))
            assert [await admin.purge(name) for name in tenants] == [5, 0]
            assert [await admin.purge(name) for name in tenants] == [0, 0]
            assert await router.tenant("acme").count() == 5
        assert await pair.content("acme", Side.OLD) == {}
