"""A tenant's requests as the demo watches them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shardroute import Record, Router
from shardroute.admin import Admin
from shardroute.demo.evidence import Evidence
from shardroute.demo.lag import lags_of
from shardroute.demo.pace import Pace
from shardroute.demo.traffic import Latencies, Watched
from shardroute.embedded import EmbeddedRedis
from shardroute.phases import Side
from shardroute.stores.memory import MemoryStore
from tests.support.world import config


class Lagging(MemoryStore):
    """It says that its reads lag, although they do not."""

    lag = 0.25


@pytest.fixture
async def router(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Router]:
    settings = config(redis_server.url, namespace)
    stores = {"a": Lagging("a"), "b": MemoryStore("b")}
    async with Admin.open(settings, stores=stores) as admin:
        await admin.init()
        async with Router(settings, stores=stores) as opened:
            yield opened


async def test_the_stores_say_how_far_their_reads_lag(router: Router) -> None:
    assert lags_of(router) == {Side.OLD: 0.25, Side.NEW: 0.0}


async def test_a_look_has_the_lag_of_the_cluster_that_was_asked(router: Router) -> None:
    acme = router.tenant("acme")
    await acme.upsert([Record("one", [1, 0, 0, 0], {"owner": "acme"})])
    watched = Watched(acme, (), Evidence(), Latencies(), lags_of(router), Pace())
    before = await watched.look(["one"])
    async with Admin.open(router.config, stores=router.stores) as admin:
        await admin.move("migrate", "acme")
    after = await watched.look(["one"])
    assert [look.lag for look in (*before, *after)] == [0.25, 0.0]
