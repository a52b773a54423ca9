"""The map in Redis: made once, moved by one, followed by all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from shardroute.config import ControlConfig
from shardroute.control import Begun, ControlPlane, Window, default_lock
from shardroute.control.journal import Checkpoint
from shardroute.errors import ConfigError, LockLost, MapLost, MoveRefused, ShardrouteError
from shardroute.phases import EFFECTS, HOLD_ENDS_IN, LINE, Phase
from shardroute.rules import Journal
from shardroute.shardmap import MissedChange, Standing
from tests.support.patience import patience

from .board import LONG, SHARD, TENANT, Board, declare

# -- making and loading ------------------------------------------------------------------------------------------


async def test_a_map_that_is_not_there_is_lost_and_the_error_says_what_to_do(plane: ControlPlane) -> None:
    with pytest.raises(MapLost, match=r"shardroute init.*restore"):
        await plane.maps.load()


async def test_a_new_map_is_empty_and_keeps_the_configuration_it_was_made_for(plane: ControlPlane) -> None:
    assert await plane.maps.create('{"from": "v1"}')
    shard_map, configuration = await plane.maps.load()
    assert configuration == '{"from": "v1"}'
    assert (shard_map.version, shard_map.moving) == (1, 0)
    assert not shard_map.tenants
    assert not shard_map.defaults


async def test_making_it_again_keeps_the_map_and_its_incarnation(board: Board) -> None:
    await board.walk(Phase.DUAL_OLD)
    before = await board.map()
    assert not await board.plane.maps.create("another")
    after, configuration = await board.plane.maps.load()
    assert after == before
    assert configuration == "{}"


async def test_of_many_who_make_the_map_one_does(plane: ControlPlane) -> None:
    made = await asyncio.gather(*(plane.maps.create(str(number)) for number in range(8)))
    assert sum(made) == 1


async def test_namespaces_of_one_redis_do_not_see_each_other(board: Board, control: ControlConfig) -> None:
    other = ControlPlane.open(replace(control, namespace="other"))
    with pytest.raises(MapLost):
        await other.maps.load()
    await other.aclose()


@pytest.mark.parametrize("namespace", ["", "a b", "a{b}", "-a", "a" * 65])
def test_a_namespace_that_makes_no_key_is_refused(namespace: str) -> None:
    with pytest.raises(ConfigError, match=r"control\.namespace"):
        ControlPlane.open(ControlConfig(namespace=namespace))


ON_NO_MAP: dict[str, Callable[[ControlPlane], Awaitable[object]]] = {
    "a lock": lambda plane: _lock(plane),
    "a move": lambda plane: plane.maps.move(TENANT, SHARD, Standing(), Phase.DUAL_OLD, fence=1, max_hold=1),
    "a new tenant": lambda plane: plane.maps.declare(TENANT, SHARD, Standing(), Phase.HOLD_OLD, max_hold=1),
    "a copy's mark": lambda plane: plane.maps.mark_synced(TENANT, SHARD, Standing(), fence=1),
    "the end of a hold": lambda plane: plane.maps.expire_hold(TENANT, SHARD),
}


async def _lock(plane: ControlPlane) -> None:
    async with plane.locks.hold(TENANT, "me", life=LONG):
        pass


@pytest.mark.parametrize("ask", ON_NO_MAP.values(), ids=ON_NO_MAP)
async def test_where_there_is_no_map_nothing_is_written_that_looks_like_one(
    plane: ControlPlane, ask: Callable[[ControlPlane], Awaitable[object]]
) -> None:
    with pytest.raises(MapLost):
        await ask(plane)
    assert await plane.maps.create("{}")
    assert (await plane.maps.load())[0].version == 1


# -- moving ------------------------------------------------------------------------------------------------------


async def test_a_tenant_goes_all_the_way_and_back_a_step_at_a_time(board: Board) -> None:
    for phase in (*LINE[1:], *reversed(LINE[:-1])):
        before = await board.standing()
        assert (await board.walk(phase)).phase is phase
        assert (await board.standing()).epoch == before.epoch + 1


async def test_a_move_makes_the_next_version_and_answers_it(board: Board) -> None:
    await board.take_lock()
    version = await board.move(Phase.DUAL_OLD)
    assert version == 2
    assert (await board.map()).version == version
    assert (await board.standing()).version == version


async def test_other_tenants_stay_where_they_are(board: Board) -> None:
    await board.walk(Phase.DUAL_OLD)
    assert await board.standing("globex") == Standing()


async def test_the_number_of_tenants_in_motion_counts_those_between_old_and_new(board: Board) -> None:
    seen = []
    for tenant, phase in (
        ("a", Phase.DUAL_OLD),
        ("b", Phase.DUAL_NEW),
        ("a", Phase.HOLD_NEW),
        ("b", Phase.NEW),
        ("a", Phase.OLD),
        ("b", Phase.DUAL_NEW),
    ):
        await board.walk(phase, tenant=tenant)
        seen.append((await board.map()).moving)
    assert seen == [1, 2, 2, 1, 0, 1]


async def test_a_move_whose_answer_was_lost_is_answered_again_and_changes_nothing(board: Board) -> None:
    await board.take_lock()
    standing = await board.standing()
    version = await board.move(Phase.DUAL_OLD, standing=standing)
    moved = await board.map()
    assert await board.move(Phase.DUAL_OLD, standing=standing) == version
    assert await board.map() == moved
    assert len(await board.plane.maps.changes_after(1, wait=0.01)) == 1


async def test_a_move_that_another_made_is_not_answered_as_ones_own(board: Board) -> None:
    standing = await board.standing()
    await board.walk(Phase.DUAL_OLD)
    await board.take_lock()
    await _refused(board.move(Phase.DUAL_OLD, standing=standing), "STALE")


async def _refused(move: Awaitable[object], reason: str) -> None:
    with pytest.raises(MoveRefused) as caught:
        await move
    assert caught.value.reason == reason
    assert caught.value.retryable


async def _stand_dual(board: Board) -> Phase:
    await board.take_lock()
    await board.move(Phase.DUAL_OLD)
    return Phase.HOLD_OLD


async def _jump(board: Board) -> Phase:
    await board.walk(Phase.DUAL_OLD)
    return Phase.HOLD_NEW


async def _stay(board: Board) -> Phase:
    await board.walk(Phase.DUAL_OLD)
    return Phase.DUAL_OLD


async def _unacknowledged(board: Board) -> Phase:
    await board.walk(Phase.DUAL_OLD)
    await board.beat("slow", acknowledged=1)
    return Phase.OLD


async def _overdue(board: Board) -> Phase:
    await board.walk(Phase.HOLD_OLD)
    await board.make_overdue()
    return Phase.HOLD_NEW


async def _token(board: Board) -> Phase:
    await board.walk(Phase.DUAL_OLD)
    await board.beat("router")
    await board.begin("t1", ["a"])
    await board.walk(Phase.HOLD_OLD)
    return Phase.HOLD_NEW


async def _debt(board: Board) -> Phase:
    await board.walk(Phase.HOLD_OLD)
    await board.plane.journal.mark(TENANT, SHARD, ["a"])
    return Phase.HOLD_NEW


async def _token_of_the_dead(board: Board) -> Phase:
    to = await _token(board)
    await board.make_lapsed("router")
    return to


REFUSALS: dict[str, tuple[Callable[[Board], Awaitable[Phase]], str]] = {
    "two steps at once": (_jump, "NOT_NEIGHBOUR"),
    "no step at all": (_stay, "NOT_NEIGHBOUR"),
    "a session that has not acknowledged": (_unacknowledged, "BARRIER"),
    "no full copy yet": (_stand_dual, "NOT_SYNCED"),
    "a hold past its deadline": (_overdue, "HOLD_OVER"),
    "a dual write in flight": (_token, "TOKENS"),
    "ids that may differ": (_debt, "DEBT"),
    "a dual write whose session is gone": (_token_of_the_dead, "DEBT"),
}


@pytest.mark.parametrize(("prepare", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_a_move_is_refused_by_name_and_the_map_stays(
    board: Board, prepare: Callable[[Board], Awaitable[Phase]], reason: str
) -> None:
    to = await prepare(board)
    before = await board.map()
    await _refused(board.move(to), reason)
    assert await board.map() == before


async def test_a_refusal_for_the_barrier_names_who_is_waited_for(board: Board) -> None:
    with pytest.raises(MoveRefused, match="slow"):
        await board.move(await _unacknowledged(board))


async def test_a_move_from_an_epoch_gone_by_is_stale(board: Board) -> None:
    await board.walk(Phase.DUAL_OLD)
    await _refused(board.move(Phase.DUAL_OLD, standing=Standing(epoch=7)), "STALE")


LOST_LOCKS: dict[str, Callable[[Board], Awaitable[object]]] = {
    "never taken": lambda board: board.redis.delete(board.key("lock")),
    "taken over": lambda board: board.redis.hset(board.key("lock"), "fence", "999"),
    "run out": lambda board: board.redis.hset(board.key("lock"), "until", 1),
}


@pytest.mark.parametrize("lose", LOST_LOCKS.values(), ids=LOST_LOCKS)
async def test_without_the_lock_nothing_moves(
    board: Board, lose: Callable[[Board], Awaitable[object]]
) -> None:
    standing = await board.walk(Phase.DUAL_OLD)
    before = await board.map()
    await lose(board)
    with pytest.raises(LockLost):
        await board.move(Phase.OLD)
    with pytest.raises(LockLost):
        await board.plane.maps.mark_synced(TENANT, SHARD, standing, fence=board.fence)
    with pytest.raises(LockLost):
        await board.plane.journal.open_window(TENANT, board.fence)
    with pytest.raises(LockLost):
        await board.plane.journal.close_window(TENANT, board.fence, 1, Window.COPY, ["a"])
    assert await board.map() == before
    assert await board.debt() == set()


# -- the copy's mark ---------------------------------------------------------------------------------------------


async def test_a_full_copy_is_noted_once_and_makes_a_version(board: Board) -> None:
    await board.take_lock()
    await board.move(Phase.DUAL_OLD)
    standing = await board.standing()
    version = await board.plane.maps.mark_synced(TENANT, SHARD, standing, fence=board.fence)
    assert version == standing.version + 1
    assert (await board.standing()).synced
    assert (await board.standing()).epoch == standing.epoch
    assert await board.plane.maps.mark_synced(TENANT, SHARD, standing, fence=board.fence) == version


async def test_a_copy_of_an_earlier_stay_is_not_noted(board: Board) -> None:
    earlier = await board.walk(Phase.DUAL_OLD)
    await board.walk(Phase.OLD)
    await board.walk(Phase.DUAL_OLD)
    await _refused(
        board.plane.maps.mark_synced(TENANT, SHARD, earlier, fence=board.fence),
        "STALE",
    )
    assert not (await board.standing()).synced


async def test_a_copy_is_noted_in_a_dual_phase_only(board: Board) -> None:
    held = await board.walk(Phase.HOLD_OLD)
    await _refused(board.plane.maps.mark_synced(TENANT, SHARD, held, fence=board.fence), "STALE")


async def test_a_copy_counts_through_the_crossing_and_until_the_tenant_is_on_one_cluster(
    board: Board,
) -> None:
    synced = {}
    for phase in (*LINE[2:], Phase.DUAL_NEW):
        await board.walk(phase)
        synced[phase] = (await board.standing()).synced
    assert synced == {
        Phase.HOLD_OLD: True,
        Phase.HOLD_NEW: True,
        Phase.NEW: False,
        Phase.DUAL_NEW: False,
    }


# -- holds -------------------------------------------------------------------------------------------------------


async def test_entering_a_hold_sets_its_deadline_by_the_clock_of_redis(board: Board) -> None:
    await board.walk(Phase.DUAL_OLD)
    before = await board.plane.time()
    held = await board.walk(Phase.HOLD_OLD, max_hold=5)
    assert held.hold_until is not None
    assert before + 5 - 0.01 <= held.hold_until <= await board.plane.time() + 5


async def test_the_deadline_is_kept_over_the_crossing_and_gone_after_the_hold(board: Board) -> None:
    entered = await board.walk(Phase.HOLD_OLD, max_hold=30)
    crossed = await board.walk(Phase.HOLD_NEW, max_hold=300)
    assert crossed.hold_until == entered.hold_until
    assert (await board.walk(Phase.DUAL_NEW)).hold_until is None


@pytest.mark.parametrize("phase", HOLD_ENDS_IN)
async def test_an_overdue_hold_is_moved_on_by_anyone_to_the_dual_phase_beside_it(
    board: Board, phase: Phase
) -> None:
    held = await board.walk(phase)
    await board.redis.delete(board.key("lock"))
    await board.make_overdue()
    assert await board.plane.maps.expire_hold(TENANT, SHARD) == held.version + 1
    after = await board.standing()
    assert (after.phase, after.epoch, after.hold_until) == (HOLD_ENDS_IN[phase], held.epoch + 1, None)
    assert after.synced


async def test_a_hold_is_not_ended_before_its_deadline(board: Board) -> None:
    held = await board.walk(Phase.HOLD_OLD)
    assert await board.plane.maps.expire_hold(TENANT, SHARD) is None
    assert await board.standing() == held


@pytest.mark.parametrize("phase", HOLD_ENDS_IN)
async def test_a_hold_before_the_crossing_ends_whoever_has_not_heard_of_it(
    board: Board, phase: Phase
) -> None:
    await board.walk(HOLD_ENDS_IN[phase])
    held = await board.walk(phase)
    await board.beat("slow", acknowledged=held.version - 1)
    await board.make_overdue()
    assert await board.plane.maps.expire_hold(TENANT, SHARD) == held.version + 1
    assert (await board.standing()).phase is HOLD_ENDS_IN[phase]


async def test_a_hold_after_the_crossing_is_not_ended_before_the_barrier(board: Board) -> None:
    held = await board.walk(Phase.HOLD_NEW)
    await board.beat("slow", acknowledged=held.version - 1)
    await board.make_overdue()
    assert await board.plane.maps.expire_hold(TENANT, SHARD) is None
    await board.beat("slow")
    assert await board.plane.maps.expire_hold(TENANT, SHARD) == held.version + 1


async def test_where_there_is_no_hold_its_end_changes_nothing(board: Board) -> None:
    standing = await board.walk(Phase.DUAL_OLD)
    assert await board.plane.maps.expire_hold(TENANT, SHARD) == standing.version
    assert await board.standing() == standing


async def test_a_migrator_does_not_move_on_from_a_hold_that_was_ended(board: Board) -> None:
    held = await board.walk(Phase.HOLD_OLD)
    await board.make_overdue()
    await board.plane.maps.expire_hold(TENANT, SHARD)
    await _refused(board.move(Phase.HOLD_NEW, standing=held), "STALE")


# -- new tenants -------------------------------------------------------------------------------------------------

DECLARATION = (Phase.HOLD_OLD, Phase.HOLD_NEW, Phase.NEW)


async def _declare(
    board: Board, to: Phase, *, standing: Standing | None = None, max_hold: float = LONG
) -> int:
    known = standing or await board.standing()
    return await board.plane.maps.declare(TENANT, SHARD, known, to, max_hold=max_hold)


async def _declare_up_to(board: Board, to: Phase) -> None:
    for phase in DECLARATION[: DECLARATION.index(to) + 1]:
        await _declare(board, phase)


async def test_a_new_tenant_comes_to_the_new_side_through_holds(board: Board) -> None:
    seen = []
    for phase in DECLARATION:
        version = await _declare(board, phase)
        current, standing = await board.map(), await board.standing()
        assert (standing.version, current.version) == (version, version)
        seen.append((standing.phase, standing.epoch, current.moving, standing.declared))
    assert seen == [(Phase.HOLD_OLD, 1, 1, True), (Phase.HOLD_NEW, 2, 1, True), (Phase.NEW, 3, 0, False)]


async def test_a_declaration_that_is_taken_back_leaves_no_record(board: Board) -> None:
    await _declare(board, Phase.HOLD_OLD)
    version = await _declare(board, Phase.OLD)
    current = await board.map()
    assert (current.version, current.moving, dict(current.tenants)) == (version, 0, {})


async def test_what_was_seen_in_one_hold_does_not_count_in_the_next(board: Board) -> None:
    await _declare(board, Phase.HOLD_OLD)
    first = await board.standing()
    await _declare(board, Phase.OLD)
    await _declare(board, Phase.HOLD_OLD)
    second = await board.standing()
    assert (first.phase, first.epoch) == (second.phase, second.epoch), "only the version tells them apart"
    await _refused(_declare(board, Phase.HOLD_NEW, standing=first), "STALE")
    assert await board.standing() == second


async def test_a_declaration_waits_for_whoever_may_be_writing_the_first_record(board: Board) -> None:
    await board.beat("writer")
    await _declare(board, Phase.HOLD_OLD)
    await _refused(_declare(board, Phase.HOLD_NEW), "BARRIER")
    await board.beat("writer")
    await _declare(board, Phase.HOLD_NEW)
    await _refused(_declare(board, Phase.NEW), "BARRIER")


async def test_a_declaration_whose_hold_is_over_does_not_cross(board: Board) -> None:
    await _declare(board, Phase.HOLD_OLD, max_hold=0)
    await _refused(_declare(board, Phase.HOLD_NEW), "HOLD_OVER")


@pytest.mark.parametrize(("left_in", "ends_in"), [(Phase.HOLD_OLD, Phase.OLD), (Phase.HOLD_NEW, Phase.NEW)])
async def test_a_declaration_that_nobody_goes_on_with_is_ended_by_anyone(
    board: Board, left_in: Phase, ends_in: Phase
) -> None:
    await _declare_up_to(board, left_in)
    assert await board.plane.maps.expire_hold(TENANT, SHARD) is None
    await board.make_overdue()
    version = await board.plane.maps.expire_hold(TENANT, SHARD)
    current, standing = await board.map(), await board.standing()
    assert (current.version, current.moving, standing.phase) == (version, 0, ends_in)
    assert (TENANT in current.tenants) is (ends_in is Phase.NEW)
    assert not standing.declared


async def test_a_migrator_leaves_a_declaration_alone(board: Board) -> None:
    await _declare(board, Phase.HOLD_OLD)
    await board.take_lock()
    for to in (Phase.HOLD_NEW, Phase.DUAL_OLD):
        await _refused(board.move(to), "STALE")


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.NEW])
async def test_a_tenant_with_a_record_is_not_declared(board: Board, phase: Phase) -> None:
    await board.walk(Phase.DUAL_OLD)
    standing = await board.walk(phase)
    await board.redis.delete(board.key("lock"))
    for to in (Phase.OLD, *DECLARATION):
        await _refused(_declare(board, to), "NOT_DECLARED")
    assert await board.standing() == standing


async def test_a_tenant_that_somebody_holds_is_not_declared_nor_one_that_a_dead_holder_may_still_purge(
    board: Board,
) -> None:
    await board.take_lock()
    await _refused(_declare(board, Phase.HOLD_OLD), "LOCKED")
    now = int(await board.plane.lease_time() * 1000)
    await board.redis.hset(board.key("lock"), mapping={"counted_until": now - 100, "life": 60_000})
    await _refused(_declare(board, Phase.HOLD_OLD), "LOCKED")
    await board.redis.hset(board.key("lock"), mapping={"counted_until": now - 100_000, "life": 60_000})
    await _declare(board, Phase.HOLD_OLD)


async def test_a_default_that_has_moved_since_it_was_looked_at_ends_a_declaration(board: Board) -> None:
    looked_at = await board.standing()
    await board.take_lock(default_lock(SHARD))
    await board.plane.maps.move_default(SHARD, looked_at, Phase.HOLD_OLD, fence=board.fence, max_hold=LONG)
    await _refused(_declare(board, Phase.HOLD_OLD, standing=looked_at), "STALE")
    await _refused(_declare(board, Phase.HOLD_NEW), "NOT_DECLARED")


# -- the change stream -------------------------------------------------------------------------------------------


async def test_the_stream_has_an_entry_for_each_version_and_its_id_is_the_version(board: Board) -> None:
    await board.walk(Phase.DUAL_NEW)
    await declare(board.plane, "globex")
    entries = await board.redis.xrange(board.key("changes"))
    version = (await board.map()).version
    assert [entry_id for entry_id, _ in entries] == [f"{number}-0" for number in range(1, version + 1)]


async def test_the_changes_applied_one_by_one_make_the_loaded_map(board: Board) -> None:
    followed = await board.map()
    await board.walk(Phase.NEW)
    await board.walk(Phase.HOLD_OLD, tenant="globex")
    for change in await board.plane.maps.changes_after(followed.version, wait=0.01):
        followed = followed.apply(change)
    assert followed == await board.map()


async def test_changes_after_a_version_are_those_that_follow_it(board: Board) -> None:
    await board.walk(Phase.HOLD_OLD)
    changes = await board.plane.maps.changes_after(2, wait=0.01)
    assert [change.version for change in changes] == [3, 4]
    assert await board.plane.maps.changes_after(4, wait=0.01) == []


async def test_who_waits_for_a_change_is_told_when_it_comes(board: Board) -> None:
    await board.take_lock()
    waiting = asyncio.create_task(board.plane.maps.changes_after(1, wait=30))
    await asyncio.sleep(0.02)
    version = await board.move(Phase.DUAL_OLD)
    async with patience():
        (change,) = await waiting
    assert (change.version, change.tenant, change.moving) == (version, TENANT, 1)
    assert change.standing == await board.standing()


async def test_a_gap_in_a_trimmed_stream_is_seen(board: Board) -> None:
    known = await board.map()
    await board.walk(Phase.DUAL_NEW)
    await board.redis.xtrim(board.key("changes"), maxlen=1, approximate=False)
    (change,) = await board.plane.maps.changes_after(known.version, wait=0.01)
    with pytest.raises(MissedChange):
        known.apply(change)


# -- the journal's life ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [(Phase.OLD, Phase.DUAL_OLD), (Phase.DUAL_NEW, Phase.NEW)], ids=str)
async def test_the_journal_is_forgotten_where_the_dual_phases_begin_and_end(
    board: Board, way: tuple[Phase, Phase]
) -> None:
    before, after = way
    await board.walk(before)
    await _fill_journal(board)
    await board.walk(after)
    left = [name for name in JOURNAL if await board.redis.exists(board.key(name))]
    assert left == []


async def test_the_journal_is_kept_from_one_dual_phase_to_the_other(board: Board) -> None:
    await board.walk(Phase.DUAL_OLD)
    await board.plane.journal.open_window(TENANT, board.fence)
    await board.plane.journal.close_window(
        TENANT, board.fence, 1, Window.COPY, [], Checkpoint("cursor", 5, 1)
    )
    await board.walk(Phase.DUAL_NEW)
    assert (await board.plane.journal.checkpoint(TENANT)).cursor == "cursor"


JOURNAL = ("tokens", "flying", "touched", "windows", "debt", "copy", "void")


async def _fill_journal(board: Board) -> None:
    await board.beat("router")
    await board.redis.hset(board.key("tokens"), "t", json.dumps({"session": "router", "ids": ["a"]}))
    await board.redis.hset(board.key("flying"), "a", 1)
    await board.redis.zadd(board.key("touched"), {"a": 1})
    await board.redis.zadd(board.key("windows"), {"1": 1})
    await board.redis.sadd(board.key("debt"), "a")
    await board.redis.hset(board.key("copy"), "sequence", 1)
    await board.redis.zadd(board.key("void"), {"t": 1})


async def test_debt_can_be_marked_wherever_there_is_another_side(board: Board) -> None:
    for phase in LINE[:-1]:
        await board.walk(phase)
        if EFFECTS[phase].settled:
            with pytest.raises(ShardrouteError, match=phase):
                await board.plane.journal.mark(TENANT, SHARD, ["a"])
        else:
            await board.plane.journal.mark(TENANT, SHARD, ["a", "b"])
            assert await board.plane.journal.counts(TENANT) == Journal(tokens=0, debt=2)
            await board.redis.delete(board.key("debt"))


async def test_a_dual_write_begins_in_the_epoch_it_knows_or_not_at_all(board: Board) -> None:
    standing = await board.walk(Phase.DUAL_OLD)
    await board.beat("router")
    assert await board.begin("t1", ["a"], epoch=standing.epoch - 1) is Begun.STALE
    assert await board.begin("t2", ["a"], epoch=standing.epoch) is Begun.OK


# -- the server --------------------------------------------------------------------------------------------------


async def test_the_server_tells_its_settings_and_its_time(plane: ControlPlane) -> None:
    assert await plane.setting("appendonly") == "no"
    assert await plane.setting("no-such-setting") is None
    assert await plane.time() > 1.7e9
