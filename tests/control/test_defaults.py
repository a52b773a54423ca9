"""The default of a shard, which tenants without a record follow: how it crosses, and how records go."""

from __future__ import annotations

import json

import pytest

from shardroute.control import default_lock
from shardroute.errors import LockLost, MoveRefused
from shardroute.phases import CROSSING, Phase
from shardroute.shardmap import Standing

from .board import LONG, SHARD, TENANT, Board, declare

WAY = (Phase.HOLD_OLD, Phase.HOLD_NEW, Phase.NEW)
NOBODY = "nobody has heard of"


class Shard:
    """The default of one shard, under its lock."""

    def __init__(self, board: Board) -> None:
        self.board = board

    async def standing(self) -> Standing:
        return await self.board.standing(NOBODY)

    async def move(self, to: Phase, *, standing: Standing | None = None, max_hold: float = LONG) -> int:
        known = standing or await self.standing()
        return await self.board.plane.maps.move_default(
            SHARD, known, to, fence=self.board.fence, max_hold=max_hold
        )

    async def walk(self, to: Phase, *, max_hold: float = LONG) -> None:
        for phase in WAY[: WAY.index(to) + 1]:
            await self.move(phase, max_hold=max_hold)

    async def make_overdue(self) -> None:
        redis, key = self.board.redis, self.board.key("defaults")
        record = json.loads(await redis.hget(key, str(SHARD)))
        await redis.hset(key, str(SHARD), json.dumps(record | {"hold_until": 1}))


@pytest.fixture
async def shard(board: Board) -> Shard:
    await board.take_lock(default_lock(SHARD))
    return Shard(board)


async def _refused(shard: Shard, to: Phase, reason: str) -> None:
    before = await shard.board.map()
    with pytest.raises(MoveRefused) as caught:
        await shard.move(to)
    assert caught.value.reason == reason
    assert await shard.board.map() == before


async def test_a_default_crosses_through_the_hold_and_whoever_has_no_record_with_it(shard: Shard) -> None:
    seen = []
    for phase in WAY:
        version = await shard.move(phase)
        current = await shard.board.map()
        standing = current.standing(NOBODY, SHARD)
        assert (standing.version, current.version) == (version, version)
        seen.append((standing.phase, standing.epoch, current.moving, standing.hold_until is not None))
    assert seen == [(Phase.HOLD_OLD, 1, 1, True), (Phase.HOLD_NEW, 2, 1, True), (Phase.NEW, 3, 0, False)]
    assert (await shard.board.map()).standing(NOBODY, SHARD + 1) == Standing()


async def test_tenants_with_a_record_and_other_shards_stay(shard: Shard) -> None:
    standing = await shard.board.walk(Phase.DUAL_OLD)
    await shard.board.take_lock(default_lock(SHARD))
    await shard.walk(Phase.NEW)
    assert await shard.board.standing() == standing
    assert (await shard.board.map()).standing(NOBODY, SHARD + 1) == Standing()


async def test_a_move_of_a_default_whose_answer_was_lost_is_answered_again(shard: Shard) -> None:
    known = await shard.standing()
    version = await shard.move(Phase.HOLD_OLD)
    assert await shard.move(Phase.HOLD_OLD, standing=known) == version
    assert (await shard.board.map()).version == version


@pytest.mark.parametrize(
    ("at", "to"),
    [
        (None, Phase.DUAL_OLD),
        (None, Phase.HOLD_NEW),
        (Phase.HOLD_OLD, Phase.NEW),
        (Phase.NEW, Phase.HOLD_NEW),
    ],
)
async def test_a_default_takes_no_other_way(shard: Shard, at: Phase | None, to: Phase) -> None:
    if at is not None:
        await shard.walk(at)
    await _refused(shard, to, "NOT_NEIGHBOUR")


async def test_a_default_waits_for_every_session(shard: Shard) -> None:
    await shard.walk(Phase.HOLD_OLD)
    await shard.board.beat("slow", acknowledged=1)
    await _refused(shard, Phase.HOLD_NEW, "BARRIER")


async def test_a_default_does_not_cross_after_its_deadline_and_goes_back(shard: Shard) -> None:
    await shard.walk(Phase.HOLD_OLD, max_hold=0)
    await _refused(shard, Phase.HOLD_NEW, "HOLD_OVER")
    await shard.move(Phase.OLD)
    assert (await shard.standing()).phase is Phase.OLD
    assert (await shard.board.map()).moving == 0


async def test_a_default_moves_under_its_lock_and_by_its_epoch_only(shard: Shard) -> None:
    known = await shard.standing()
    await shard.walk(Phase.HOLD_OLD)
    await shard.board.take_lock(default_lock(SHARD))
    with pytest.raises(MoveRefused, match="STALE"):
        await shard.move(Phase.HOLD_OLD, standing=known)
    await shard.board.redis.delete(shard.board.key("lock", default_lock(SHARD)))
    with pytest.raises(LockLost):
        await shard.move(Phase.HOLD_NEW)


@pytest.mark.parametrize("phase", sorted(CROSSING))
async def test_an_overdue_hold_of_a_default_is_ended_by_anyone_on_the_side_it_is_on(
    shard: Shard, phase: Phase
) -> None:
    maps = shard.board.plane.maps
    await shard.walk(phase)
    assert await maps.expire_hold(NOBODY, SHARD) is None
    await shard.make_overdue()
    version = await maps.expire_hold(NOBODY, SHARD)
    standing = await shard.standing()
    assert standing.version == version
    assert standing.phase is (Phase.OLD if phase is Phase.HOLD_OLD else Phase.NEW)
    assert not (await shard.board.map()).tenants


async def test_records_that_say_what_the_default_says_go_and_others_stay(shard: Shard) -> None:
    maps, board = shard.board.plane.maps, shard.board
    for tenant in ("one", "two"):
        await declare(board.plane, tenant)
    await board.walk(Phase.DUAL_NEW)
    assert await maps.follow_default(SHARD, ["one", "two"]) == 0, "the default is on the old side yet"
    await board.take_lock(default_lock(SHARD))
    await shard.walk(Phase.NEW)
    assert await maps.follow_default(SHARD, ["one", "two", TENANT, NOBODY]) == 2
    assert await maps.follow_default(SHARD, ["one", "two", TENANT, NOBODY]) == 0
    current = await board.map()
    assert set(current.tenants) == {TENANT}
    assert current.standing("one", SHARD).phase is Phase.NEW


async def test_a_tenant_created_where_the_default_is_new_needs_no_record(shard: Shard) -> None:
    await shard.walk(Phase.NEW)
    assert await declare(shard.board.plane, TENANT) == (await shard.standing()).version
    assert not (await shard.board.map()).tenants


async def test_changes_of_defaults_and_dropped_records_make_the_loaded_map(shard: Shard) -> None:
    maps = shard.board.plane.maps
    followed = await shard.board.map()
    await declare(shard.board.plane, "one")
    await shard.walk(Phase.NEW)
    await maps.follow_default(SHARD, ["one"])
    for change in await maps.changes_after(followed.version, wait=0.01):
        followed = followed.apply(change)
    assert followed == await shard.board.map()
