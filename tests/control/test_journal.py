"""Tokens, debt, and the migrator's windows (rules 5 to 9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shardroute.control import Begun, Checkpoint, Window
from shardroute.phases import Phase, Side
from shardroute.rules import Journal

from .board import SHARD, TENANT, Board


@pytest.fixture
async def dual(board: Board) -> Board:
    """A tenant on both clusters, a live session called router, a migrator's lock."""
    await board.walk(Phase.DUAL_OLD)
    await board.beat("router")
    return board


async def _open(board: Board) -> int:
    return await board.plane.journal.open_window(TENANT, board.fence)


async def _close(
    board: Board, window: int, kind: Window, *ids: str, checkpoint: Checkpoint | None = None
) -> list[str]:
    return await board.plane.journal.close_window(TENANT, board.fence, window, kind, ids, checkpoint)


async def _counts(board: Board) -> Journal:
    return await board.plane.journal.counts(TENANT)


# -- tokens ------------------------------------------------------------------------------------------------------


async def test_a_clean_write_leaves_neither_token_nor_debt(dual: Board) -> None:
    assert await dual.begin("t1", ["a", "b"]) is Begun.OK
    assert await _counts(dual) == Journal(tokens=1)
    await dual.settle("t1", ["a", "b"])
    assert await _counts(dual) == Journal()


async def test_a_write_that_failed_somewhere_leaves_its_ids_as_debt(dual: Board) -> None:
    await dual.begin("t1", ["a", "b"])
    await dual.settle("t1", ["a", "b"], debt=True)
    assert await dual.debt() == {"a", "b"}
    assert set(await dual.plane.journal.some_debt(TENANT, 10, Side.OLD)) == {"a", "b"}
    assert len(await dual.plane.journal.some_debt(TENANT, 1, Side.OLD)) == 1


async def test_two_writes_in_flight_on_one_id_make_it_debt(dual: Board) -> None:
    await dual.begin("t1", ["a", "b"])
    await dual.begin("t2", ["b", "c"])
    await dual.settle("t1", ["a", "b"])
    await dual.settle("t2", ["b", "c"])
    assert await dual.debt() == {"b"}


async def test_writes_one_after_another_do_not_overlap(dual: Board) -> None:
    for token in ("t1", "t2", "t3"):
        await dual.begin(token, ["a"])
        await dual.settle(token, ["a"])
    assert await dual.debt() == set()


async def test_a_begin_whose_answer_was_lost_may_be_sent_again(dual: Board) -> None:
    assert await dual.begin("t1", ["a"]) is Begun.OK
    assert await dual.begin("t1", ["a"]) is Begun.OK
    await dual.settle("t1", ["a"])
    assert await _counts(dual) == Journal()
    await dual.begin("t2", ["a"])
    assert await dual.debt() == set()


async def test_a_settle_whose_answer_was_lost_may_be_sent_again(dual: Board) -> None:
    await dual.begin("t1", ["a"])
    await dual.begin("t2", ["a"])
    await dual.redis.delete(dual.key("debt"))
    for _ in range(3):
        await dual.settle("t1", ["a"])
    await dual.begin("t3", ["a"])  # t2 is still in flight, however often t1 was settled
    assert await dual.debt() == {"a"}


async def test_a_begin_that_comes_after_its_settle_is_void(dual: Board) -> None:
    await dual.settle("t1", ["a"])
    assert await dual.begin("t1", ["a"]) is Begun.VOID
    assert await _counts(dual) == Journal()


async def test_given_up_tokens_are_remembered_for_ten_minutes(dual: Board) -> None:
    await dual.settle("old", ["a"])
    await dual.redis.zincrby(dual.key("void"), -601_000, "old")
    await dual.settle("young", ["a"])
    assert await dual.redis.zrange(dual.key("void"), 0, -1) == ["young"]


async def test_a_settle_after_the_dual_phase_leaves_nothing_behind(dual: Board) -> None:
    await dual.begin("t1", ["a"])
    await dual.walk(Phase.OLD)
    await dual.settle("t1", ["a"], debt=True)
    assert await _counts(dual) == Journal()
    assert not await dual.redis.exists(dual.key("void"))


async def test_nothing_begins_under_another_epoch(dual: Board) -> None:
    standing = await dual.standing()
    for epoch in (standing.epoch - 1, standing.epoch + 1):
        assert await dual.begin("t1", ["a"], epoch=epoch) is Begun.STALE
    assert await _counts(dual) == Journal()


@pytest.mark.parametrize("phase", [Phase.OLD, Phase.HOLD_OLD, Phase.HOLD_NEW, Phase.NEW], ids=str)
async def test_nothing_begins_where_writes_are_not_dual_whatever_the_epoch(
    board: Board, phase: Phase
) -> None:
    await board.walk(phase)
    await board.beat("router")
    assert await board.begin("t1", ["a"]) is Begun.STALE
    assert await _counts(board) == Journal()


@pytest.mark.parametrize("gone", ["expired", "left", "never there"])
async def test_nothing_begins_without_a_lease(dual: Board, gone: str) -> None:
    if gone == "expired":
        await dual.make_lapsed("router")
    elif gone == "left":
        await dual.plane.sessions.leave("router")
    session = "stranger" if gone == "never there" else "router"
    assert await dual.begin("t1", ["a"], session=session) is Begun.LAPSED
    assert await _counts(dual) == Journal()


# -- reaping -----------------------------------------------------------------------------------------------------


async def test_tokens_of_sessions_that_are_gone_become_debt_and_others_stay(dual: Board) -> None:
    await dual.beat("other")
    await dual.begin("t1", ["a", "b"])
    await dual.begin("t2", ["c"], session="other")
    assert await dual.plane.journal.reap(TENANT) == 0
    await dual.make_lapsed("router")
    assert await dual.plane.journal.reap(TENANT) == 1
    assert await dual.plane.journal.reap(TENANT) == 0
    assert await _counts(dual) == Journal(tokens=1, debt=2)
    assert await dual.debt() == {"a", "b"}


async def test_a_reaped_token_is_no_longer_in_flight(dual: Board) -> None:
    await dual.begin("t1", ["a"])
    await dual.make_lapsed("router")
    await dual.plane.journal.reap(TENANT)
    await dual.redis.delete(dual.key("debt"))
    await dual.beat("other")
    await dual.begin("t2", ["a"], session="other")
    assert await dual.debt() == set()


async def test_who_was_reaped_and_settles_afterwards_takes_no_other_token_out_of_flight(dual: Board) -> None:
    await dual.begin("t1", ["a"])
    await dual.make_lapsed("router")
    await dual.plane.journal.reap(TENANT)
    await dual.beat("other")
    await dual.begin("t2", ["a"], session="other")
    await dual.settle("t1", ["a"])
    await dual.redis.delete(dual.key("debt"))
    await dual.begin("t3", ["a"], session="other")
    assert await dual.debt() == {"a"}


# -- windows -----------------------------------------------------------------------------------------------------


async def _begin_and_settle(board: Board) -> None:
    await board.begin("t1", ["a"])
    await board.settle("t1", ["a"])


async def _begin(board: Board) -> None:
    await board.begin("t1", ["a"])


async def _settle(board: Board) -> None:
    await board.settle("t0", ["a"])


async def _reap(board: Board) -> None:
    await board.make_lapsed("router")
    await board.plane.journal.reap(TENANT)


async def _mark(board: Board) -> None:
    await board.plane.journal.mark(TENANT, SHARD, ["a"])


async def _nothing(board: Board) -> None:
    return


Step = Callable[[Board], Awaitable[None]]


async def _before(board: Board) -> None:
    await board.begin("t0", ["a"])


TOUCHES: dict[str, tuple[Step, Step]] = {
    "a whole write": (_nothing, _begin_and_settle),
    "a write that has begun": (_nothing, _begin),
    "a write that had begun before and ends": (_before, _settle),
    "a write that was in flight throughout": (_before, _nothing),
    "a token reaped": (_before, _reap),
    "a mark from outside": (_nothing, _mark),
}


@pytest.mark.parametrize(("before", "meanwhile"), TOUCHES.values(), ids=TOUCHES)
async def test_a_copied_id_that_was_touched_meanwhile_becomes_debt(
    dual: Board, before: Step, meanwhile: Step
) -> None:
    await before(dual)
    window = await _open(dual)
    await meanwhile(dual)
    assert await _close(dual, window, Window.COPY, "a", "z") == ["a"]
    assert await dual.debt() == {"a"}


@pytest.mark.parametrize(("before", "meanwhile"), TOUCHES.values(), ids=TOUCHES)
async def test_debt_that_was_touched_while_it_was_paid_stays_and_other_debt_goes(
    dual: Board, before: Step, meanwhile: Step
) -> None:
    await dual.plane.journal.mark(TENANT, SHARD, ["a", "z", "later"])
    await before(dual)
    window = await _open(dual)
    await meanwhile(dual)
    assert await _close(dual, window, Window.PAY, "a", "z") == ["a"]
    assert await dual.debt() == {"a", "later"}


async def test_what_was_touched_before_the_window_does_not_count(dual: Board) -> None:
    first = await _open(dual)
    await _begin_and_settle(dual)
    second = await _open(dual)
    assert await _close(dual, second, Window.COPY, "a") == []
    assert await _close(dual, first, Window.COPY, "a") == ["a"]


async def test_a_look_changes_nothing_and_counts_debt_as_touched(dual: Board) -> None:
    await dual.plane.journal.mark(TENANT, SHARD, ["indebted"])
    window = await _open(dual)
    await _begin_and_settle(dual)
    assert set(await _close(dual, window, Window.LOOK, "a", "indebted", "clean")) == {"a", "indebted"}
    assert await dual.debt() == {"indebted"}


async def test_closing_a_window_again_answers_no_less(dual: Board) -> None:
    other = await _open(dual)
    window = await _open(dual)
    await _begin_and_settle(dual)
    assert await _close(dual, window, Window.COPY, "a") == ["a"]
    assert await _close(dual, window, Window.COPY, "a") == ["a"]
    await _close(dual, other, Window.COPY)


async def test_without_a_window_no_touch_is_kept(dual: Board) -> None:
    for number in range(5):
        await dual.begin(f"t{number}", [f"id-{number}"])
        await dual.settle(f"t{number}", [f"id-{number}"], debt=True)
    assert await dual.redis.zcard(dual.key("touched")) == 0


async def test_touches_are_kept_as_long_as_a_window_needs_them(dual: Board) -> None:
    sizes = []
    first = await _open(dual)
    await dual.settle("t1", ["a"])
    second = await _open(dual)
    await dual.settle("t2", ["b"])
    await _close(dual, first, Window.LOOK)
    sizes.append(await dual.redis.zrange(dual.key("touched"), 0, -1))
    await _close(dual, second, Window.LOOK)
    sizes.append(await dual.redis.zrange(dual.key("touched"), 0, -1))
    assert sizes == [["b"], []]


async def test_windows_of_a_former_holder_of_the_lock_are_forgotten(dual: Board) -> None:
    await _open(dual)
    await _begin_and_settle(dual)
    await dual.take_lock()
    assert await dual.redis.zcard(dual.key("windows")) == 0
    assert await dual.redis.zcard(dual.key("touched")) == 0


# -- checkpoints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "checkpoint", [Checkpoint('a "cursor" / ü', 12_345, 7), Checkpoint(None, 3, 1), Checkpoint()], ids=str
)
async def test_a_checkpoint_is_read_back_as_it_was_closed_with(dual: Board, checkpoint: Checkpoint) -> None:
    assert await dual.plane.journal.checkpoint(TENANT) == Checkpoint()
    await _close(dual, await _open(dual), Window.COPY, "a", checkpoint=checkpoint)
    assert await dual.plane.journal.checkpoint(TENANT) == checkpoint
    await _close(dual, await _open(dual), Window.COPY, "a")
    assert await dual.plane.journal.checkpoint(TENANT) == checkpoint
