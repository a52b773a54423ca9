"""One migrator at a time, each with a fence; whoever takes over waits for what may still land (rule 12)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from shardroute.config import ControlConfig
from shardroute.control import ControlPlane
from shardroute.control.locks import HeldLock
from shardroute.embedded import embedded_redis
from shardroute.errors import LockLost, MigrationError, TenantLocked
from shardroute.timing import clock
from tests.support.patience import NEVER, patience, until

from .board import LONG, TENANT, Board

LIFE = 1.5  # seconds
Lose = Callable[[Board], Awaitable[object]]


async def _seconds_to_take(board: Board, life: float, owner: str = "next") -> float:
    began = time.monotonic()
    async with board.plane.locks.hold(TENANT, owner, life=life):
        return time.monotonic() - began


async def test_a_tenant_that_is_held_names_its_holder_and_when_to_try_again(board: Board) -> None:
    async with board.plane.locks.hold(TENANT, "alice", life=LONG):
        with pytest.raises(TenantLocked, match="alice") as caught:
            await _seconds_to_take(board, LONG, "bob")
    assert caught.value.owner == "alice"
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= LONG


async def test_two_blocks_of_one_owner_shut_each_other_out(board: Board) -> None:
    async with board.plane.locks.hold(TENANT, "alice", life=LONG) as held:
        with pytest.raises(TenantLocked):
            await _seconds_to_take(board, LONG, "alice")
        await board.plane.journal.open_window(TENANT, held.fence)


async def test_tenants_are_locked_one_by_one(board: Board) -> None:
    async with (
        board.plane.locks.hold("a", "alice", life=LONG) as first,
        board.plane.locks.hold("b", "bob", life=LONG) as second,
    ):
        assert second.fence > first.fence


async def test_the_state_says_who_holds_and_until_when(board: Board) -> None:
    assert await board.plane.locks.state(TENANT) is None
    async with board.plane.locks.hold(TENANT, "alice", life=LONG) as held:
        state = await board.plane.locks.state(TENANT)
        assert state is not None
        assert (state.owner, state.fence) == ("alice", held.fence)
        assert 0 < state.until - await board.plane.time() <= LONG
    assert await board.plane.locks.state(TENANT) is None


async def test_every_holder_has_a_higher_fence(board: Board) -> None:
    fences = []
    for _ in range(4):
        async with board.plane.locks.hold(TENANT, "alice", life=LONG) as held:
            fences.append(held.fence)
    assert fences == sorted(set(fences))


async def test_a_lock_taken_whose_answer_was_lost_is_answered_again(board: Board) -> None:
    await board.redis.hset(board.key("lock"), mapping={"owner": "dead", "until": 1, "fence": 1})
    answers = [await board.scripts.run("acquire", TENANT, "alice", 60_000, "claim") for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0][2] == 1, "the second answer has to say as well that somebody's lock was taken over"


async def test_after_a_clean_end_the_next_one_enters_at_once(board: Board) -> None:
    async with board.plane.locks.hold(TENANT, "alice", life=LONG):
        pass
    assert await _seconds_to_take(board, LONG) < LONG / 3


async def test_after_an_error_of_the_migration_the_next_one_enters_at_once(board: Board) -> None:
    with pytest.raises(MigrationError, match="cannot go on"):
        async with board.plane.locks.hold(TENANT, "alice", life=LONG):
            raise MigrationError("cannot go on")
    assert await _seconds_to_take(board, LONG) < LONG / 3


async def test_a_block_is_kept_alive_beyond_the_life_of_its_lock(board: Board) -> None:
    async with board.plane.locks.hold(TENANT, "alice", life=3) as held:
        first = held.until
        await until(lambda: clock() > first)
        held.check()
        await board.plane.journal.open_window(TENANT, held.fence)


async def test_after_a_crash_the_next_one_waits_for_what_may_still_land(board: Board) -> None:
    await board.redis.hset(board.key("lock"), mapping={"owner": "crashed", "until": 1, "fence": 1})
    assert await _seconds_to_take(board, LIFE) >= LIFE / 3


async def test_after_a_block_that_was_cancelled_the_next_one_waits(board: Board) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with board.plane.locks.hold(TENANT, "alice", life=LONG):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _seconds_to_take(board, LIFE, "alice") >= LIFE / 3


async def test_after_an_error_of_the_world_the_next_one_waits(board: Board) -> None:
    with pytest.raises(OSError, match="gone"):
        async with board.plane.locks.hold(TENANT, "alice", life=LONG):
            raise OSError("gone")
    assert await _seconds_to_take(board, LIFE) >= LIFE / 3


LOSSES: dict[str, Lose] = {
    "taken over": lambda board: board.redis.hset(
        board.key("lock"), mapping={"owner": "bob", "claim": "bob's", "fence": 99}
    ),
    "run out": lambda board: board.redis.hset(board.key("lock"), "until", 1),
    "gone": lambda board: board.redis.delete(board.key("lock")),
}


async def _lose_it(board: Board, lose: Lose) -> bool:
    """Whether the block was cancelled. Raises what the lock raises."""
    cancelled = False
    try:
        async with board.plane.locks.hold(TENANT, "alice", life=2):
            await lose(board)
            try:
                await asyncio.sleep(NEVER)
            except asyncio.CancelledError:
                cancelled = True
                raise
    except LockLost:
        return cancelled
    return False


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
async def test_a_lost_lock_cancels_the_block_and_says_so(board: Board, lose: Lose) -> None:
    assert await _lose_it(board, lose)


async def test_after_a_lock_that_ran_out_under_its_holder_the_next_one_waits(board: Board) -> None:
    assert await _lose_it(board, LOSSES["run out"])
    assert await _seconds_to_take(board, LIFE) >= LIFE / 3


async def test_a_former_holder_does_not_give_back_the_lock_of_the_next(board: Board) -> None:
    assert await _lose_it(board, LOSSES["taken over"])
    state = await board.plane.locks.state(TENANT)
    assert state is not None
    assert (state.owner, state.fence) == ("bob", 99)


async def test_a_redis_that_is_away_for_less_than_the_life_is_survived() -> None:
    async with embedded_redis(durable=True) as server:
        plane = ControlPlane.open(ControlConfig(url=server.url, timeout=1))
        await plane.maps.create("{}")
        async with plane.locks.hold(TENANT, "alice", life=4) as held:
            first = held.until
            server.kill()
            await asyncio.sleep(1.1)  # the first renewal finds nobody
            await server.start()
            async with patience():
                while held.until == first:  # noqa: ASYNC110 - the lock tells nobody
                    await asyncio.sleep(0.02)
            await plane.journal.open_window(TENANT, held.fence)
        await plane.aclose()


async def test_a_holder_whose_renewals_are_late_stops_by_its_own_clock() -> None:
    async def asked() -> bool:
        return True

    await HeldLock(TENANT, 1, clock() + LONG, asked).look()
    with pytest.raises(LockLost):
        await HeldLock(TENANT, 1, clock(), asked).look()


@pytest.mark.parametrize("lose", [
    lambda board: board.redis.delete(board.key("lock")),
    lambda board: board.redis.hset(board.key("lock"), "fence", 999),
    lambda board: board.redis.hset(board.key("lock"), "until", 1),
])  # fmt: skip
async def test_a_look_finds_out_at_once_that_the_lock_is_somebody_elses(board: Board, lose: Lose) -> None:
    async with board.plane.locks.hold(TENANT, "alice", life=LONG) as held:
        await held.look()
        await lose(board)
        held.check()
        with pytest.raises(LockLost):
            await held.look()
