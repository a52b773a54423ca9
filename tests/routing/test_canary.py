"""Canary reads: a share of a tenant's reads that the other side answers, before the crossing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from shardroute.embedded import EmbeddedRedis
from shardroute.errors import InvalidInput, LockLost, MoveRefused
from shardroute.phases import LINE, Phase, Side
from shardroute.questions import is_canary
from shardroute.shardmap import Standing
from shardroute.statistics import Events, Shares
from tests.control.board import SHARD, TENANT
from tests.support.emptying import emptied
from tests.support.world import record

from .duals import VECTOR, Dual, dual
from .stage import until


@pytest.fixture
async def pair(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Dual]:
    """A tenant in DUAL_OLD, in step, whose new side alone knows the record `only here`."""
    async with dual(redis_server.url, namespace, shadow={"share": 0.0}) as made:
        await made.spoil(record("only here"))
        yield made


async def answered_by_new(pair: Dual, *, sticky: str | None = None) -> bool:
    return bool(await pair.tenant.fetch(["only here"], sticky=sticky))


# -- who is a canary ---------------------------------------------------------------------------------------------


def canaries(percent: int) -> set[str]:
    standing = Standing(Phase.DUAL_OLD, synced=True, canary=percent)
    return {key for key in map(str, range(10_000)) if is_canary(standing, key)}


def test_so_many_keys_in_a_hundred_are_canaries() -> None:
    assert [len(canaries(percent)) for percent in (0, 100)] == [0, 10_000]
    assert len(canaries(20)) == pytest.approx(2_000, rel=0.1)


def test_a_key_stays_a_canary_while_the_share_grows() -> None:
    assert canaries(1) < canaries(10) < canaries(50) < canaries(100)


def test_out_of_step_nobody_is_a_canary() -> None:
    assert not is_canary(Standing(Phase.DUAL_OLD, synced=False, canary=100), "user-7")


# -- what is read ------------------------------------------------------------------------------------------------


async def test_at_100_percent_all_reads_are_answered_by_the_new_side(pair: Dual) -> None:
    assert not await answered_by_new(pair)
    await pair.canary(100)
    assert await answered_by_new(pair)
    assert "only here" in [hit.id for hit in await pair.tenant.query(VECTOR, top_k=21)]
    await pair.canary(0)
    assert not await answered_by_new(pair)


async def test_a_users_reads_stay_on_one_side_and_other_users_are_on_the_other(pair: Dual) -> None:
    await pair.canary(50)
    for user in map("user-{}".format, range(10)):
        expected = is_canary(Standing(Phase.DUAL_OLD, synced=True, canary=50), user)
        for number in range(3):
            assert await answered_by_new(pair, sticky=user) is expected
            hits = await pair.tenant.query([1, 2, 3, number], top_k=21, sticky=user)
            assert ("only here" in [hit.id for hit in hits]) is expected


async def test_without_a_user_one_query_is_always_answered_by_the_same_side(pair: Dual) -> None:
    await pair.canary(50)
    sides = []
    for number in range(20):
        answers = [await pair.tenant.query([1, 2, 3, number], top_k=21) for _ in range(3)]
        found = {"only here" in [hit.id for hit in hits] for hits in answers}
        assert len(found) == 1
        sides.append(found.pop())
    assert {True, False} == set(sides)


async def test_writes_go_to_both_sides_as_before(pair: Dual) -> None:
    await pair.canary(100)
    await pair.tenant.upsert([record("new")])
    for side in Side:
        assert "new" in await pair.stage.world.content(TENANT, side)
    assert not await pair.board.debt()


async def test_where_the_canary_fails_the_primary_answers(pair: Dual) -> None:
    await pair.canary(100)
    pair.new.faults.down = True
    assert [hit.id for hit in await pair.tenant.query(VECTOR, top_k=2)] == ["0", "1"]
    assert set(await pair.tenant.fetch(["1"])) == {"1"}


async def test_an_answer_that_comes_after_the_tenant_has_moved_is_not_used(pair: Dual) -> None:
    await pair.canary(100)
    pair.new.door.clear()
    read = asyncio.create_task(pair.tenant.query(VECTOR, top_k=2))
    await until(lambda: pair.new.asked > 0)
    await pair.board.walk(Phase.OLD)
    await emptied(pair.new.inner, pair.place(Side.NEW))
    pair.new.door.set()
    assert [hit.id for hit in await read] == ["0", "1"]


async def test_a_process_without_a_lease_asks_the_primary(own_redis: EmbeddedRedis, namespace: str) -> None:
    control = {"lease": 1.0, "idle_lease": 1.0, "timeout": 0.5}
    async with dual(own_redis.url, namespace, shadow={"share": 0.0}, control=control) as pair:
        await pair.spoil(record("only here"))
        await pair.canary(100)
        assert await answered_by_new(pair)
        own_redis.kill()
        view = pair.router._open.view
        await until(lambda: not view.lease.holds(view.clock()))
        asked = pair.new.asked
        assert not await answered_by_new(pair)
        assert pair.new.asked == asked
        await own_redis.start()


async def test_the_shadow_of_a_canary_is_the_primary_which_stays_the_yardstick(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with dual(redis_server.url, namespace, shadow={"floor": 1.0}) as pair:
        await pair.spoil(gone=("0", "1"))
        await pair.canary(100)
        asked = pair.old.asked
        assert [hit.id for hit in await pair.tenant.query(VECTOR, top_k=2)] == ["2", "3"]
        tally = await pair.counted(lambda tally: tally.count(Events.COMPARED) == 1)
        assert pair.old.asked == asked + 1
        assert tally.share(Shares.RECALL).mean == 0.0
        assert not tally.share(Shares.FLOOR).count, "the primary was asked once"
        assert {side: tally.latency(side).count for side in Side} == {Side.OLD: 1, Side.NEW: 1}
        (example,) = await pair.examples()
        assert (example.primary_ids, example.other_ids) == (("0", "1"), ("2", "3"))


# -- setting it --------------------------------------------------------------------------------------------------


async def _refused(setting: Awaitable[object], reason: str) -> None:
    with pytest.raises(MoveRefused) as caught:
        await setting
    assert caught.value.reason == reason


async def test_setting_it_makes_a_version_once_and_routers_learn_it(pair: Dual) -> None:
    maps, board = pair.board.plane.maps, pair.board
    before = (await board.map()).version
    version = await maps.set_canary(TENANT, SHARD, 5, fence=board.fence)
    assert version == before + 1
    assert await maps.set_canary(TENANT, SHARD, 5, fence=board.fence) == version
    await until(lambda: pair.router.map.standing(TENANT, SHARD).canary == 5)
    assert (await board.standing()).epoch == pair.router.map.standing(TENANT, SHARD).epoch


@pytest.mark.parametrize("phase", [phase for phase in LINE if phase is not Phase.DUAL_OLD])
async def test_it_is_refused_in_every_other_phase(pair: Dual, phase: Phase) -> None:
    await pair.board.walk(phase)
    await _refused(pair.board.plane.maps.set_canary(TENANT, SHARD, 5, fence=pair.board.fence), "NOT_DUAL_OLD")


async def test_it_is_refused_until_the_copy_is_made(redis_server: EmbeddedRedis, namespace: str) -> None:
    async with dual(redis_server.url, namespace, synced=False, shadow={"share": 0.0}) as pair:
        await _refused(
            pair.board.plane.maps.set_canary(TENANT, SHARD, 5, fence=pair.board.fence), "NOT_SYNCED"
        )


async def test_it_takes_the_lock_and_a_percentage(pair: Dual) -> None:
    maps, fence = pair.board.plane.maps, pair.board.fence
    with pytest.raises(LockLost):
        await maps.set_canary(TENANT, SHARD, 5, fence=fence + 1)
    for percent in (-1, 101):
        with pytest.raises(InvalidInput, match="percentage"):
            await maps.set_canary(TENANT, SHARD, percent, fence=fence)
    assert (await pair.board.standing()).canary == 0


@pytest.mark.parametrize("to", [Phase.OLD, Phase.HOLD_OLD, Phase.DUAL_NEW])
async def test_any_move_ends_it(pair: Dual, to: Phase) -> None:
    await pair.canary(100)
    await pair.board.walk(to)
    assert (await pair.board.standing()).canary == 0
    await pair.board.walk(Phase.DUAL_OLD)
    assert (await pair.board.standing()).canary == 0


async def test_it_does_not_come_back_when_a_hold_runs_out(pair: Dual) -> None:
    await pair.canary(100)
    await pair.board.walk(Phase.HOLD_OLD)
    await pair.board.make_overdue()
    await pair.board.plane.maps.expire_hold(TENANT, SHARD)
    standing = await pair.board.standing()
    assert (standing.phase, standing.canary, standing.synced) == (Phase.DUAL_OLD, 0, True)
