"""How long reads are waited for: by positions, by time, by what was learnt, and never by one answer."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable

import pytest

from shardroute.clusters import connect
from shardroute.config import ClusterConfig
from shardroute.ports import Store
from shardroute.records import Query, Record
from shardroute.stores.pinecone_freshness import SAFE_LAG, Freshness
from shardroute.testing.pinecone import Lag, PineconeServer

from .conftest import unit
from .test_pinecone import INDEXES, Stores, place

KIND = "vectors"


class Positions:
    """A log whose searches answer these positions, the last one for ever."""

    def __init__(self, *told: int | None) -> None:
        self._told = list(told)
        self.asked = 0

    async def seen(self) -> int | None:
        self.asked += 1
        return self._told.pop(0) if len(self._told) > 1 else self._told[0]


async def fence() -> int:
    return 5


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ((5,), 3),
        ((9,), 3),
        ((4, 5), 4),
        ((5, 5, 4, 5), 6),
        ((5, 4, 5, 4, 5), 7),
        ((None,), 1),
    ],
    ids=str,
)
async def test_several_searches_in_a_row_must_have_seen_the_fence(
    told: Iterable[int | None], asked: int
) -> None:
    positions = Positions(*told)
    # What was late is given twice its time, and asked three times more.
    await Freshness("p", 0.0).caught_up(fence, positions.seen)
    assert positions.asked in (asked, asked + 3)


async def test_a_replica_that_is_behind_after_the_time_is_waited_for() -> None:
    positions = Positions(5, 5, 5, 4, 5)
    await Freshness("p", 0.05).caught_up(fence, positions.seen)
    assert positions.asked >= 3 + 4


async def test_what_was_seen_to_be_late_lengthens_the_wait_and_never_shortens_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    learnt = Freshness("p", 0.05)
    await learnt.caught_up(fence, Positions(5).seen)
    assert learnt.lag == 0.05
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await learnt.caught_up(fence, Positions(*[4] * 4, 5).seen)
    assert learnt.lag > 0.1
    [warning] = caplog.messages
    assert "clusters.p.lag is 0.05 s" in warning


async def test_what_was_late_long_ago_is_forgotten() -> None:
    learnt = Freshness("p", 0.0)
    await learnt.caught_up(fence, Positions(4, 5).seen)
    assert learnt.lag > 0
    for _ in range(16):
        await learnt.caught_up(fence, Positions(5).seen)
    assert learnt.lag == 0


@pytest.mark.parametrize("kind", ["pinecone-vectors", "pinecone-documents"])
async def test_without_a_word_of_the_operator_reads_are_given_a_minute(kind: str) -> None:
    store: Store = connect(ClusterConfig("p", kind, {"api_key": "any"}))
    assert store.lag == SAFE_LAG == 60
    await store.aclose()


@pytest.mark.parametrize("kind", ["vectors", "documents"])
async def test_replicas_that_differ_have_all_seen_what_was_written(kind: str) -> None:
    lag = Lag(search=0.1, fetch=0.2, list=0.3, metadata=0.4, replicas=(0.0, 0.3, 0.1))
    async with PineconeServer(indexes=INDEXES, lag=lag) as server:
        opened = Stores(server)
        store, where = opened.of(kind, lag=0.8), place(kind)
        await store.upsert(where, [Record("old", unit(1)), Record("gone", unit(2))])
        await store.fresh(where)
        await store.upsert(where, [Record("new", unit(3))])
        await store.delete(where, ["gone"])
        await store.fresh(where)
        for _ in range(6):
            assert {match.id for match in await store.query(where, Query(unit(1)))} == {"old", "new"}
            assert set(await store.fetch(where, ["old", "gone", "new"])) == {"old", "new"}
            assert {record.id for record in (await store.scan(where)).records} == {"old", "new"}
        await opened.aclose()


async def test_a_replica_that_never_sees_it_is_never_passed_over() -> None:
    async with PineconeServer(indexes=INDEXES) as server:
        opened = Stores(server)
        store = opened.of(KIND)
        await store.upsert(place(KIND), [Record("a", unit(1))])
        server.lag = Lag(replicas=(0.0, math.inf))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await store.fresh(place(KIND))
        await opened.aclose()
