"""The end of a shard's move: new tenants start on the new side, and the map is small again."""

from __future__ import annotations

import asyncio

import pytest

from shardroute.errors import MigrationError, PreflightFailed, VerbRefused
from shardroute.migration import Options
from shardroute.phases import Phase, Side
from tests.support.patience import PATIENCE
from tests.support.traffic import Traffic
from tests.support.world import World, record


async def completed(world: World, *tenants: str) -> None:
    async with world.router() as router, world.admin() as admin:
        for tenant in tenants:
            await router.tenant(tenant).upsert([record("a")])
            await admin.move("migrate", tenant)
            await admin.move("complete", tenant)


async def test_after_finish_the_map_is_empty_and_everybody_is_on_the_new_side(world: World) -> None:
    await completed(world, "one", "two")
    async with world.routers(2) as (first, second), world.admin() as admin:
        assert await admin.finish() == {0: 2}
        for router in (first, second):
            assert router.tenant("one").phase is Phase.NEW
            assert router.tenant("never-seen").phase is Phase.NEW
            assert dict(router.map.tenants) == {}
            assert router.map.moving == 0
        await first.tenant("never-seen").upsert([record("x")])
        assert "x" in await second.tenant("never-seen").fetch(["x"])
    assert "x" in await world.content("never-seen", Side.NEW)


async def test_finish_may_be_run_again(world: World) -> None:
    await completed(world, "one")
    async with world.admin() as admin:
        assert await admin.finish() == {0: 1}
        assert await admin.finish() == {0: 0}


async def test_finish_names_tenants_that_have_data_on_the_old_side_only(world: World) -> None:
    await completed(world, "one")
    async with world.router() as router, world.admin() as admin:
        await router.tenant("left-behind").upsert([record("a")])
        with pytest.raises(MigrationError, match="left-behind"):
            await admin.finish()
        assert router.tenant("left-behind").phase is Phase.OLD
        await router.tenant("left-behind").upsert([record("b")])


async def test_finish_names_tenants_that_have_not_been_completed(world: World) -> None:
    async with world.router() as router, world.admin() as admin:
        await router.tenant("half-way").upsert([record("a")])
        await admin.move("migrate", "half-way")
        with pytest.raises(MigrationError, match="half-way"):
            await admin.finish()


async def test_a_tenant_that_is_made_while_finish_works_loses_nothing(world: World) -> None:
    await completed(world, "one")
    async with world.routers(2) as routers, world.admin() as admin:
        traffic = [
            Traffic([router.tenant(name) for router in routers]) for name in ("new-1", "new-2", "new-3")
        ]

        async def begin_late(late: Traffic, seconds: float) -> None:
            await asyncio.sleep(seconds)
            async with late.flowing():
                await asyncio.sleep(0.3)

        async def keep_finishing() -> None:
            for _ in range(20):
                try:
                    await admin.finish()
                except MigrationError:
                    await asyncio.sleep(0.01)

        await asyncio.gather(
            keep_finishing(), *(begin_late(one, 0.02 * place) for place, one in enumerate(traffic))
        )
        for name, one in zip(("new-1", "new-2", "new-3"), traffic, strict=True):
            assert one.ledger.failures == []
            assert one.ledger.judge(await routers[0].tenant(name).fetch(one.ledger.writes)) == []


async def test_a_hold_of_the_default_that_nobody_ends_is_ended_by_a_writer(world: World) -> None:
    async with world.router() as router:
        maps, standing = world.plane.maps, router.map.standing("", 0)
        async with world.plane.locks.hold("*0", "somebody", life=30) as lock:
            await maps.move_default(0, standing, Phase.HOLD_OLD, fence=lock.fence, max_hold=0.2)
        await router.tenant("anyone").upsert([record("a")], timeout=PATIENCE)
        assert router.tenant("anyone").phase is Phase.OLD
    assert "a" in await world.content("anyone", Side.OLD)


async def test_after_finish_a_tenant_can_still_be_rolled_back(world: World) -> None:
    await completed(world, "one")
    async with world.router() as router, world.admin() as admin:
        await admin.finish()
        await router.tenant("one").upsert([record("later")])
        await admin.move("rollback", "one", Options(purge_target=True))
        assert "later" in await world.content("one", Side.OLD)
        assert router.tenant("one").phase is Phase.DUAL_OLD


async def test_a_misspelt_tenant_is_not_moved(world: World) -> None:
    async with world.admin() as admin:
        with pytest.raises(PreflightFailed, match="cluster 'a' has no collection 'docs'"):
            await admin.move("migrate", "acmee")
        async with world.router() as router:
            await router.tenant("acme").upsert([record("a")])
        with pytest.raises(PreflightFailed, match="no record of it"):
            await admin.move("migrate", "acmee")
        assert await world.phase("acmee") is Phase.OLD
        await admin.move("migrate", "acmee", Options(empty=True))
        assert await world.phase("acmee") is Phase.DUAL_NEW


async def test_a_tenant_declared_new_starts_on_the_new_side_in_every_process(world: World) -> None:
    async with world.routers(2) as (first, second), world.admin() as admin:
        fresh = await first.create_tenant("fresh")
        assert (await second.create_tenant("fresh")).phase is fresh.phase is Phase.NEW
        await fresh.upsert([record("a")])
        assert "a" in await world.content("fresh", Side.NEW)
        with pytest.raises(VerbRefused, match="NEW"):
            await admin.move("migrate", "fresh")


async def test_a_migration_that_was_interrupted_cannot_pass_for_a_rollback(world: World) -> None:
    async with world.router() as router, world.admin() as admin:
        await router.tenant("acme").upsert([record("a")])
        standing = router.map.standing("acme", 0)
        async with world.plane.locks.hold("acme", "interrupted", life=30) as lock:
            await world.plane.maps.move("acme", 0, standing, Phase.DUAL_OLD, fence=lock.fence, max_hold=1)
        with pytest.raises(VerbRefused, match="`migrate` goes on"):
            await admin.move("rollback", "acme")
        await admin.move("migrate", "acme")
        assert await world.phase("acme") is Phase.DUAL_NEW


async def test_the_way_back_compares_what_is_in_step_only_when_asked_to(world: World) -> None:
    async with world.router() as router, world.admin() as admin:
        await router.tenant("one").upsert([record("a")])
        assert (await admin.move("migrate", "one")).compared == 1
        assert (await admin.move("rollback", "one")).compared == 0
        assert (await admin.move("migrate", "one")).compared == 1
        assert (await admin.move("rollback", "one", Options(verify_synced=True))).compared == 1
