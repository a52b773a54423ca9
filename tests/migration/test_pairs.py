"""Tenants move under traffic between clusters of different kinds, with reads of Pinecone that lag."""

from __future__ import annotations

import asyncio
import math
from itertools import product

import pytest

from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.migration import Options, Outcome
from shardroute.phases import Side
from shardroute.records import Metric, Record, difference
from shardroute.testing.pinecone import Lag
from tests.support.pairs import KINDS, LAG, MAX_HOLD, SURELY, Pair, ServedPinecone
from tests.support.traffic import Traffic

pytestmark = pytest.mark.slow

RECORDS = 60
SPARSE = [
    ("qdrant", "pinecone-vectors"),
    ("pinecone-vectors", "pinecone-documents"),
    ("pinecone-documents", "qdrant"),
]
PAIRS = [(old, new, (old, new) in SPARSE) for old, new in product(KINDS, repeat=2)]
TO_END_A_HOLD = 20.0  # seconds for the clock of Redis, and a router on a busy machine, to see it


@pytest.mark.parametrize(
    ("old", "new", "sparse"),
    PAIRS,
    ids=[f"{old}-to-{new}{'-sparse' * sparse}" for old, new, sparse in PAIRS],
)
async def test_a_tenant_moves_there_and_back_and_nothing_acknowledged_is_lost(
    redis_server: EmbeddedRedis, namespace: str, old: str, new: str, *, sparse: bool
) -> None:
    async with (
        Pair.served(redis_server.url, namespace, old, new, sparse=sparse) as pair,
        pair.routers(2) as routers,
        pair.admin() as admin,
    ):
        loaded = [pair.record(f"r{index:04d}", index) for index in range(RECORDS)]
        await routers[0].tenant("acme").upsert(loaded)
        # Where nothing lags all is over in a second.
        pause = 0.02 if old == new == "qdrant" else 0.2
        traffic = Traffic([router.tenant("acme") for router in routers], pause=pause, make=pair.record)
        outcomes: list[Outcome] = []
        async with traffic.flowing() as ledger:
            for verb in ("migrate", "rollback"):
                outcomes.append(await admin.move(verb, "acme", Options(purge_target=True)))
                await asyncio.sleep(0.2)
        await admin.repair("acme")
        ours, theirs = await pair.content("acme", Side.OLD), await pair.content("acme", Side.NEW)

        assert ledger.failures == []
        assert ledger.acknowledged > 50
        assert ledger.judge(ours) == []
        assert differences(ours, theirs) == []
        assert differences({record.id: record for record in loaded}, ours, ignore_more=True) == []
        holds = [seconds for outcome in outcomes for seconds in outcome.hold_seconds]
        assert len(holds) >= len(outcomes)
        assert max(holds) < MAX_HOLD + TO_END_A_HOLD


@pytest.mark.parametrize("source", ["pinecone-vectors", "pinecone-documents"])
@pytest.mark.parametrize(
    ("lag", "waits", "kept"),
    [(LAG, SURELY, True), (Lag(search=math.inf, fetch=math.inf), 0.0, False)],
    ids=["waiting for reads keeps it", "not waiting loses it"],
)
async def test_a_write_that_the_copy_could_not_see_yet(
    redis_server: EmbeddedRedis, namespace: str, source: str, lag: Lag, *, waits: float, kept: bool
) -> None:
    """What an application wrote, and deleted, just before its tenant began to move."""
    async with Pair.served(redis_server.url, namespace, source, "qdrant") as pair, pair.routers(1) as routers:
        tenant = routers[0].tenant("acme")
        assert isinstance(pair.old, ServedPinecone)
        pair.old.server.lag = Lag()
        await tenant.upsert([pair.record("rewritten", 1), pair.record("deleted", 1), pair.record("left", 1)])
        assert len(await pair.content("acme", Side.OLD)) == 3
        pair.old.server.lag = lag
        await tenant.upsert([pair.record("rewritten", 2)])
        await tenant.delete(["deleted"])
        async with Admin.open(pair.waiting(waits)) as admin:
            await admin.move("migrate", "acme", Options(verify=False))
        found = await tenant.fetch(["rewritten", "deleted", "left"])
        held = {record_id: record.metadata["v"] for record_id, record in found.items()}
        assert held == ({"rewritten": 2, "left": 1} if kept else {"rewritten": 1, "deleted": 1, "left": 1})


def differences(one: dict[str, Record], two: dict[str, Record], *, ignore_more: bool = False) -> list[str]:
    """Ids that are on one side only, or not the same on both."""
    metric = Metric.COSINE if all(record.sparse_vector is None for record in one.values()) else Metric.DOT
    found = [
        record_id
        for record_id, record in one.items()
        if record_id not in two or difference(record, two[record_id], metric) is not None
    ]
    return found if ignore_more else [*found, *(two.keys() - one.keys())]
