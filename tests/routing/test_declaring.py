"""`create_tenant`: nothing that is there is hidden, whoever writes it and whenever."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from shardroute import Router
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ClusterUnavailable, MigrationError, MoveRefused, PurgeRefused, TenantHasData
from shardroute.filters import Filter
from shardroute.phases import Phase, Side
from shardroute.ports import Cursor, Page
from shardroute.tenant import Tenant
from shardroute.topology import Place
from tests.control.board import SHARD, TENANT
from tests.support.patience import PATIENCE
from tests.support.world import World, record

from .stage import BRISK, CALM, GatedStore, Stage, staged, until


async def _nothing_declared(stage: Stage) -> None:
    current = await stage.board.map()
    assert dict(current.tenants) == {}
    assert current.moving == 0


# -- what is there ---------------------------------------------------------------------------------------------------


async def test_a_tenant_with_records_on_the_old_side_is_not_declared_and_nobody_notices(calm: Stage) -> None:
    async with calm.world.routers(2) as (first, second):
        await first.tenant(TENANT).upsert([record(str(number)) for number in range(50)])
        version = (await calm.board.map()).version
        with pytest.raises(TenantHasData, match=f"shardroute migrate {TENANT}") as caught:
            await second.create_tenant(TENANT)
        assert (caught.value.cluster, caught.value.crossed) == ("a", False)
        assert (await calm.board.map()).version == version
        assert await second.tenant(TENANT).count() == 50


async def test_records_on_the_new_side_are_not_taken_for_the_tenants_own_and_can_be_purged(
    calm: Stage,
) -> None:
    place = calm.world.config.route.new.place(TENANT)
    await calm.new.inner.prepare(place)
    await calm.new.inner.upsert(place, [record("left")])
    async with calm.router() as router, calm.world.admin() as admin:
        with pytest.raises(TenantHasData, match=f"shardroute purge {TENANT}") as caught:
            await router.create_tenant(TENANT)
        assert (caught.value.cluster, caught.value.crossed) == ("b", True)
        await _nothing_declared(calm)
        with pytest.raises(PurgeRefused, match="--accept-loss 1"):  # it may be the only copy
            await admin.purge(TENANT)
        await admin.purge(TENANT, accept_loss=1)
        assert (await router.create_tenant(TENANT)).phase is Phase.NEW


async def test_a_tenant_that_was_declared_and_written_is_declared_again_without_effect(calm: Stage) -> None:
    async with calm.world.routers(2) as (first, second):
        await (await first.create_tenant(TENANT)).upsert([record("one")])
        version = (await calm.board.map()).version
        assert await (await second.create_tenant(TENANT)).count() == 1
        assert (await calm.board.map()).version == version


async def test_a_tenant_that_comes_back_from_an_aborted_move_is_told_to_migrate(calm: Stage) -> None:
    await calm.board.walk(Phase.DUAL_OLD)
    await calm.board.walk(Phase.OLD)
    async with calm.router() as router:
        with pytest.raises(MoveRefused, match="says OLD: `migrate` moves it"):
            await router.create_tenant(TENANT)


# -- what others write meanwhile -------------------------------------------------------------------------------------


async def test_a_first_record_that_is_on_its_way_to_the_old_side_is_found_and_kept(calm: Stage) -> None:
    async with calm.world.routers(2) as (writer, declarer):
        calm.old.shut()
        write = asyncio.create_task(writer.tenant(TENANT).upsert([record("first")]))
        await calm.old.reached.wait()
        declaring = asyncio.create_task(declarer.create_tenant(TENANT))
        await until(lambda: writer.tenant(TENANT).phase is Phase.HOLD_OLD)
        calm.old.open()
        await write
        with pytest.raises(TenantHasData):
            await declaring
        await _nothing_declared(calm)
        await until(lambda: declarer.tenant(TENANT).phase is Phase.OLD)
        for router in (writer, declarer):
            assert set(await router.tenant(TENANT).fetch(["first"])) == {"first"}


async def test_a_first_record_that_comes_during_the_declaration_waits_and_is_written_to_the_new_side(
    calm: Stage,
) -> None:
    async with calm.world.routers(2) as (writer, declarer):
        calm.old.shut()  # somebody else's write, which the declaration has to wait for
        other = asyncio.create_task(writer.tenant("other").upsert([record("x")]))
        calm.old.reached.clear()
        slow = asyncio.create_task(writer.tenant(TENANT).delete(["nothing"]))
        await calm.old.reached.wait()
        declaring = asyncio.create_task(declarer.create_tenant(TENANT))
        await until(lambda: writer.tenant(TENANT).phase is Phase.HOLD_OLD)
        first = asyncio.create_task(writer.tenant(TENANT).upsert([record("first")], timeout=PATIENCE))
        await asyncio.sleep(0.02)
        calm.old.open()
        await asyncio.gather(other, slow, declaring, first)
    assert set(await calm.world.content(TENANT, Side.NEW)) == {"first"}
    assert not await calm.world.content(TENANT, Side.OLD)


class LateReads(GatedStore):
    """Shows what was written only to those who waited for it."""

    def __init__(self, name: str, lag: float) -> None:
        super().__init__(name)
        self._lag = lag
        self._fresh = False

    @property
    def lag(self) -> float:
        return self._lag

    async def fresh(self, place: Place) -> None:
        self._fresh = True

    async def upsert(self, place: Place, records: object, *, insert_only: bool = False) -> None:
        self._fresh = False
        await super().upsert(place, records, insert_only=insert_only)  # type: ignore[arg-type]  # passed on

    async def scan(
        self,
        place: Place,
        *,
        cursor: Cursor | None = None,
        limit: int = 256,
        condition: Filter | None = None,
        vectors: bool = True,
    ) -> Page:
        page = await super().scan(place, cursor=cursor, limit=limit, condition=condition, vectors=vectors)
        return page if self._fresh else Page([], None)


@pytest.mark.parametrize("side", list(Side))
async def test_where_reads_lag_absence_is_not_believed_before_they_have_caught_up(
    calm: Stage, side: Side
) -> None:
    late = LateReads("late", lag=0.2)
    place = calm.world.config.route.old.place(TENANT)
    if side is Side.OLD:
        calm.world.old = late
    else:
        calm.world.new = late
        place = calm.world.config.route.new.place(TENANT)
    await late.inner.prepare(place)
    await late.upsert(place, [record("unseen")])
    async with calm.router() as router:
        with pytest.raises(TenantHasData):
            await router.create_tenant(TENANT)
        await _nothing_declared(calm)


async def test_first_records_and_declarations_at_any_time_lose_nothing(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    """Some tenants are declared before their first record is acknowledged, some after: each is readable by all."""
    chance = random.Random(7)
    names = [f"tenant-{number}" for number in range(40)]
    declared, refused = set[str](), set[str]()

    async def write(tenant: Tenant) -> None:
        await asyncio.sleep(chance.uniform(0, 1.0))
        await tenant.upsert([record("first")], timeout=PATIENCE)

    async def declare(router: Router, name: str) -> None:
        await asyncio.sleep(chance.uniform(0, 0.5))
        try:
            await router.create_tenant(name, timeout=PATIENCE)
        except TenantHasData:
            refused.add(name)
        else:
            declared.add(name)

    async with World.made(redis_server.url, namespace, migration={"max_hold": 5}) as world:
        world.old.faults.slow = world.new.faults.slow = 0.01
        async with world.routers(3) as routers:
            await asyncio.gather(
                *(write(routers[0].tenant(name)) for name in names),
                *(declare(routers[1], name) for name in names),
                *(declare(routers[2], name) for name in names),
            )
            for router in routers:
                for name in names:
                    assert set(await router.tenant(name).fetch(["first"])) == {"first"}, name
    assert not declared & refused
    assert declared | refused == set(names)
    assert declared
    assert refused


# -- declarers that fail, are late or go away ------------------------------------------------------------------------


async def test_all_who_declare_a_tenant_at_once_have_it(calm: Stage) -> None:
    async with calm.world.routers(3) as routers:
        await asyncio.gather(*(router.create_tenant(TENANT) for router in routers for _ in range(3)))
        assert {router.tenant(TENANT).phase for router in routers} == {Phase.NEW}
        assert (await calm.board.standing()).epoch == 3


@pytest.mark.parametrize("left_in", [(), (Phase.HOLD_OLD,), (Phase.HOLD_OLD, Phase.HOLD_NEW)])
async def test_what_a_declarer_that_died_began_is_finished_by_the_next(
    calm: Stage, left_in: tuple[Phase, ...]
) -> None:
    maps = calm.world.plane.maps
    for phase in left_in:
        await maps.declare(TENANT, SHARD, await calm.board.standing(), phase, max_hold=60)
    async with calm.router() as router:
        assert (await router.create_tenant(TENANT)).phase is Phase.NEW


async def test_the_hold_of_a_declarer_that_died_is_ended_by_a_writer(calm: Stage) -> None:
    async with calm.router() as router:
        maps = calm.world.plane.maps
        await maps.declare(TENANT, SHARD, await calm.board.standing(), Phase.HOLD_OLD, max_hold=0.3)
        await router.tenant(TENANT).upsert([record("first")], timeout=PATIENCE)
    assert set(await calm.world.content(TENANT, Side.OLD)) == {"first"}
    await _nothing_declared(calm)


async def test_a_declaration_that_takes_too_long_is_taken_back_at_once(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(redis_server.url, namespace, control=CALM, migration={"max_hold": 600}) as stage,
        stage.world.routers(2) as (writer, declarer),
    ):
        stage.old.shut()
        write = asyncio.create_task(writer.tenant(TENANT).upsert([record("first")], timeout=PATIENCE))
        await stage.old.reached.wait()
        with pytest.raises(TimeoutError):
            await declarer.create_tenant(TENANT, timeout=0.3)
        await _nothing_declared(stage)
        stage.old.open()
        await write


async def test_a_session_that_is_gone_costs_one_hold_and_not_one_after_another(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(
            redis_server.url, namespace, control=BRISK, router={"linger": 0.1}, migration={"max_hold": 0.2}
        ) as stage,
        stage.router() as router,
    ):
        await stage.board.beat("dead", lease=3)
        assert (await router.create_tenant(TENANT, timeout=PATIENCE)).phase is Phase.NEW
        entries = await stage.board.redis.xrange(stage.board.key("changes"))
    standings = [json.loads(fields["change"]).get("standing") for _, fields in entries]
    holds = [standing for standing in standings if standing and standing["phase"] == "HOLD_OLD"]
    assert len(holds) == 2, "of the first try, and once the lease had ended"


@pytest.mark.parametrize("side", list(Side))
async def test_a_cluster_that_is_away_ends_a_declaration_before_it_has_begun(calm: Stage, side: Side) -> None:
    store = calm.old if side is Side.OLD else calm.new
    store.faults.down = True
    async with calm.router() as router:
        with pytest.raises(ClusterUnavailable):
            await router.create_tenant(TENANT)
        await _nothing_declared(calm)


# -- beside admin verbs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["migrate", "abort", "rollback"])
async def test_a_verb_waits_for_a_declaration_and_ends_one_that_nobody_goes_on_with(
    calm: Stage, verb: str
) -> None:
    maps = calm.world.plane.maps
    await maps.declare(TENANT, SHARD, await calm.board.standing(), Phase.HOLD_OLD, max_hold=60)
    async with calm.world.admin() as admin:
        with pytest.raises(MoveRefused, match="declaring it new; try again") as caught:
            await admin.move(verb, TENANT)
        assert caught.value.retryable
        await calm.board.make_overdue()
        if verb == "abort":
            await admin.move(verb, TENANT)
        else:
            with pytest.raises(MigrationError):
                await admin.move(verb, TENANT)
        await _nothing_declared(calm)


async def test_finish_waits_for_tenants_that_are_being_declared(calm: Stage) -> None:
    async with calm.router() as router, calm.world.admin() as admin:
        await calm.world.plane.maps.declare(
            TENANT, SHARD, await calm.board.standing(), Phase.HOLD_OLD, max_hold=60
        )
        finishing = asyncio.create_task(admin.finish())
        await asyncio.sleep(0.1)
        await router.create_tenant(TENANT)
        assert await finishing == {0: 1}


async def test_tenants_are_declared_while_finish_works(world: World) -> None:
    async with world.routers(2) as routers, world.admin() as admin:
        tenants = [f"new-{number}" for number in range(12)]
        await asyncio.gather(
            admin.finish(),
            *(routers[place % 2].create_tenant(name, timeout=PATIENCE) for place, name in enumerate(tenants)),
        )
        for router in routers:
            assert {router.tenant(name).phase for name in tenants} == {Phase.NEW}
