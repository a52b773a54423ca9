"""Sessions of routers: leases by the clock of Redis, acknowledgements, the barrier."""

from __future__ import annotations

import asyncio
import os

import pytest

from shardroute.control import PROTOCOL, SessionInfo, new_session_id
from shardroute.errors import MapLost
from shardroute.phases import Phase
from shardroute.rules import Acknowledgement

from .board import INFO, LONG, Board


async def test_the_first_heartbeat_says_that_there_was_no_lease_and_later_ones_that_there_was(
    board: Board,
) -> None:
    assert (await board.beat("one")).lapsed
    assert not (await board.beat("one")).lapsed


async def test_a_heartbeat_tells_the_version_of_the_map(board: Board) -> None:
    await board.walk(Phase.DUAL_OLD)
    assert (await board.beat("one")).version == (await board.map()).version


async def test_a_lease_that_ran_out_is_said_to_have_lapsed(board: Board) -> None:
    await board.beat("one", lease=0.001)
    await asyncio.sleep(0.02)
    assert (await board.beat("one")).lapsed
    assert not (await board.beat("one")).lapsed


async def test_a_session_may_ask_for_a_shorter_lease(board: Board) -> None:
    await board.beat("one", lease=600)
    await board.beat("one", lease=5)
    (state,) = await board.plane.sessions.all()
    assert 0 < state.remaining <= 5


async def test_a_heartbeat_under_another_incarnation_finds_the_map_lost(board: Board) -> None:
    with pytest.raises(MapLost, match="another one"):
        await board.plane.sessions.heartbeat(
            "one", lease=5, acknowledged=Acknowledgement(1), incarnation="other", info=INFO
        )
    assert await board.plane.sessions.all() == []


async def test_a_heartbeat_where_the_map_is_gone_finds_it_lost(board: Board) -> None:
    current = await board.map()
    await board.redis.delete(board.key("meta"))
    with pytest.raises(MapLost):
        await board.plane.sessions.heartbeat(
            "one", lease=5, acknowledged=Acknowledgement(1), incarnation=current.incarnation, info=INFO
        )


async def test_the_barrier_waits_for_live_sessions_that_have_not_acknowledged(board: Board) -> None:
    for session, acknowledged in (("behind", 1), ("there", 2), ("ahead", 3), ("dead", 1)):
        await board.beat(session, acknowledged=acknowledged)
    await board.make_lapsed("dead")
    assert await board.plane.sessions.lagging(2) == ["behind"]
    await board.beat("behind", acknowledged=2)
    assert await board.plane.sessions.lagging(2) == []


async def test_a_session_that_leaves_is_not_waited_for(board: Board) -> None:
    await board.beat("one", acknowledged=0)
    assert await board.plane.sessions.leave("one")
    assert not await board.plane.sessions.leave("one")
    assert await board.plane.sessions.lagging(1) == []
    assert await board.plane.sessions.all() == []


async def test_a_session_that_leaves_with_requests_open_is_waited_for_until_they_can_no_longer_land(
    board: Board,
) -> None:
    await board.beat("one", acknowledged=0)
    assert await board.plane.sessions.leave("one", stays=5)
    assert await board.plane.sessions.lagging(1) == ["one"]
    (state,) = await board.plane.sessions.all()
    assert 0 < state.remaining <= 5


async def test_leaving_never_lengthens_a_lease(board: Board) -> None:
    await board.beat("one", lease=3)
    await board.plane.sessions.leave("one", stays=LONG)
    (state,) = await board.plane.sessions.all()
    assert state.remaining <= 3


async def test_a_write_of_one_tenant_holds_up_no_barrier_of_another(board: Board) -> None:
    await board.beat("one", acknowledged=7, withheld={"acme": 3})
    lagging = board.plane.sessions.lagging
    assert await lagging(7, "globex") == []
    assert await lagging(7, "acme") == ["one"]
    assert await lagging(3, "acme") == []
    assert await lagging(7) == ["one"], "of all tenants together"
    await board.beat("one", acknowledged=7)
    assert await lagging(7, "acme") == []


async def test_an_acknowledgement_that_cannot_name_all_tenants_speaks_for_the_oldest_version(
    board: Board,
) -> None:
    await board.beat("one", acknowledged=7, withheld={f"t{number}": 5 for number in range(1001)})
    assert await board.plane.sessions.lagging(6, "globex") == ["one"]
    assert await board.plane.sessions.lagging(5, "globex") == []


STEPS = {"forward": 600_000, "back": -600_000}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_a_lease_outlives_a_step_of_redis_own_clock_and_ends_all_the_same(
    board: Board, step: int
) -> None:
    """The note of when a script looked last is set the other way, as nobody here may set a clock."""
    await board.beat("one", acknowledged=0, lease=3.0)
    clock = int(await board.redis.hget(board.key("meta"), "clock"))
    await board.redis.hset(board.key("meta"), "clock", clock - step)
    assert await board.plane.sessions.lagging(1) == ["one"]
    async with asyncio.timeout(LONG):
        while await board.plane.sessions.lagging(1):  # noqa: ASYNC110 - it is in Redis
            await asyncio.sleep(0.02)


async def test_a_session_that_was_evicted_and_lives_learns_of_it_by_its_next_heartbeat(board: Board) -> None:
    await board.beat("one")
    await board.plane.sessions.leave("one")
    assert (await board.beat("one")).lapsed


async def test_all_sessions_are_listed_with_what_they_told_of_themselves(board: Board) -> None:
    await board.beat("alive", acknowledged=1, lease=LONG)
    await board.beat("dead", acknowledged=1)
    await board.make_lapsed("dead")
    states = {state.id: state for state in await board.plane.sessions.all()}
    assert {name: state.alive for name, state in states.items()} == {"alive": True, "dead": False}
    assert states["alive"].info == INFO
    assert states["alive"].acknowledged == 1
    assert LONG / 2 < states["alive"].remaining <= LONG


async def test_the_barrier_forgets_who_has_been_dead_for_ten_minutes(board: Board) -> None:
    await board.beat("recent")
    await board.beat("ancient")
    await board.make_lapsed("recent", "ancient")
    await board.redis.zincrby(board.key("sessions"), -601_000, "ancient")
    await board.plane.sessions.lagging(1)
    assert [state.id for state in await board.plane.sessions.all()] == ["recent"]
    assert await board.redis.hkeys(board.key("acknowledged")) == ["recent"]
    assert await board.redis.hkeys(board.key("information")) == ["recent"]


def test_a_session_is_named_after_its_process_and_no_two_are_alike() -> None:
    assert f":{os.getpid()}:" in new_session_id()
    assert new_session_id() != new_session_id()
    assert SessionInfo.of_this_process().pid == os.getpid()
    assert SessionInfo.of_this_process().protocol == PROTOCOL


async def test_whoever_begins_a_session_forgets_those_that_ended_ten_minutes_ago(board: Board) -> None:
    long_ago = (await board.plane.time() - 601) * 1000
    for name in ("dead-1", "dead-2", "ended"):
        await board.beat(name)
    await board.redis.zadd(board.key("sessions"), {"dead-1": long_ago, "dead-2": long_ago})
    await board.make_lapsed("ended")
    await board.beat("new")
    assert {state.id for state in await board.plane.sessions.all()} == {"ended", "new"}
    for kind in ("acknowledged", "information"):
        assert set(await board.redis.hkeys(board.key(kind))) == {"ended", "new"}
