"""Tenants move while two processes' worth of routers write. Nothing acknowledged is lost, whatever the clusters do."""

from __future__ import annotations

import asyncio

import pytest

from shardroute.migration import Options
from shardroute.phases import Phase, Side
from tests.support.flaky import Faults
from tests.support.traffic import Traffic
from tests.support.world import World, record, same

pytestmark = pytest.mark.slow

FAULTS = {
    "healthy": (Faults(), Faults()),
    "slow": (Faults(slow=0.004), Faults(slow=0.008)),
    "the new cluster refuses some writes": (Faults(slow=0.002), Faults(slow=0.002, refused=0.1)),
    "the new cluster loses some answers": (Faults(slow=0.002), Faults(slow=0.002, lost=0.1)),
    "the new cluster applies some writes late": (Faults(slow=0.002), Faults(slow=0.002, late=0.05)),
    "the old cluster loses some answers": (Faults(slow=0.002, lost=0.05), Faults(slow=0.002)),
    "both lose, refuse and delay": (
        Faults(slow=0.003, lost=0.03, refused=0.03, late=0.02),
        Faults(slow=0.003, lost=0.03, refused=0.03, late=0.02),
    ),
}


async def fill(world: World, tenant: str, number: int) -> None:
    async with world.router() as router:
        await router.tenant(tenant).upsert(record(f"r{index:04d}", index) for index in range(number))


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_a_tenant_moves_there_and_back_and_nothing_acknowledged_is_lost(
    world: World, faults: tuple[Faults, Faults]
) -> None:
    await fill(world, "acme", 150)
    async with world.routers(2) as routers, world.admin() as admin:
        traffic = Traffic([router.tenant("acme") for router in routers])
        async with traffic.flowing() as ledger:
            world.old.faults, world.new.faults = faults
            await asyncio.sleep(0.1)
            for verb in ("migrate", "rollback", "migrate", "rollback", "abort"):
                await admin.move(verb, "acme", Options(purge_target=True))
                await asyncio.sleep(0.05)
            await admin.move("migrate", "acme", Options(purge_target=True))
            await admin.move("complete", "acme")
            world.old.faults, world.new.faults = Faults(), Faults()
            await asyncio.sleep(0.1)
        await world.settled()
        found = await routers[0].tenant("acme").fetch(ledger.writes)
        assert ledger.acknowledged > 100
        assert ledger.judge(found) == []
        assert len(await world.content("acme", Side.NEW)) >= 150
        if not any(one.late for one in faults):
            # A write that failed and lands late goes over a newer one on any cluster, routed or not.
            assert ledger.wrong_reads == []
        if not any(one.lost or one.refused or one.late for one in faults):
            assert ledger.failures == []


async def test_both_sides_are_equal_once_debt_is_paid(world: World) -> None:
    await fill(world, "acme", 60)
    world.new.faults = Faults(slow=0.002, refused=0.2)
    async with world.routers(2) as routers, world.admin() as admin:
        async with Traffic([router.tenant("acme") for router in routers]).flowing():
            await admin.move("migrate", "acme")
            world.old.faults = Faults(refused=0.2)
            await asyncio.sleep(0.2)
        world.old.faults = world.new.faults = Faults()
        await asyncio.sleep(0.3)
        await admin.repair("acme")
        assert (await world.plane.journal.counts("acme")).debt == 0
        assert same(await world.content("acme", Side.OLD), await world.content("acme", Side.NEW))
        assert await world.phase("acme") is Phase.DUAL_NEW
