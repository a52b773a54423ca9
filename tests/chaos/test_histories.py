"""Histories in which something was lost once, each step by step."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shardroute.control import ControlPlane, Heartbeat, SessionInfo
from shardroute.control.journal import Begun, Journal
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import (
    ControlPlaneUnavailable,
    LeaseLost,
    LockLost,
    MoveRefused,
    ShardrouteError,
)
from shardroute.follower import Follower
from shardroute.migration import Options
from shardroute.phases import Phase, Side
from shardroute.ports import Limits
from shardroute.records import Record
from shardroute.rules import Lease
from shardroute.shardmap import ShardMap
from shardroute.tenant import Tenant
from shardroute.topology import Place
from shardroute.view import View
from tests.control.board import LONG, SHARD, TENANT
from tests.routing.stage import CALM, Stage, staged, until
from tests.support.emptying import emptied
from tests.support.flaky import Faults
from tests.support.world import config, record

LATE = Faults(late=1.0, late_by=0.15)  # in time for the linger, which is 0.5 s
INFO = SessionInfo(host="here", pid=1)


@pytest.fixture
async def stage(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Stage]:
    async with staged(redis_server.url, namespace, control=CALM, migration={"lock": 1.5}) as made:
        yield made


# -- a secondary that did not answer, and is written late ----------------------------------------------------------


async def test_a_tenant_leaves_its_dual_phase_only_after_what_may_still_land(stage: Stage) -> None:
    """It was answered. Landing after an abort and the next migration's copy, it would go over newer values."""
    async with stage.router() as router:
        await stage.board.walk(Phase.DUAL_OLD)
        stage.new.faults = LATE
        await router.tenant(TENANT).upsert([record("one", 1)])
        await stage.board.move(Phase.OLD)
        await until(lambda: router.map.tenants[TENANT].phase is Phase.OLD)
        assert await stage.lagging() == [router.session]
        await until(_nobody_lags(stage))
        assert set(await stage.world.content(TENANT, Side.NEW)) == {"one"}


async def test_a_process_stopped_while_it_registers_a_write_sends_nothing_afterwards(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Journal.begin

    async def stopped(journal: Journal, *arguments: Any) -> Begun:
        answer = await begin(journal, *arguments)
        monkeypatch.undo()
        _break_lease(router._open.view)
        return answer

    async with stage.router() as router:
        await stage.board.walk(Phase.DUAL_OLD)
        monkeypatch.setattr(Journal, "begin", stopped)
        await router.tenant(TENANT).upsert([record("one", 1)])
        assert (stage.old.writes, stage.new.writes) == (1, 1)
        assert await stage.board.debt() == set()


async def test_a_read_whose_lease_broke_on_the_way_is_stale(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    """Its process was stopped; the tenant may have left the cluster meanwhile, and have been purged there."""
    strict = {"stale_reads": False}
    async with (
        staged(redis_server.url, namespace, control=CALM, router=strict) as stage,
        stage.router() as router,
    ):
        tenant, count = router.tenant(TENANT), stage.old.count

        async def stopped(*arguments: Any) -> int:
            answer = await count(*arguments)
            _break_lease(router._open.view)
            return answer

        assert await tenant.count() == 0
        vars(stage.old)["count"] = stopped
        with pytest.raises(LeaseLost):
            await tenant.count()


def _break_lease(view: View) -> None:
    view.lease = replace(view.lease, generation=view.lease.generation + 1)


def _nobody_lags(stage: Stage) -> Any:
    async def nobody_lags() -> bool:
        return not await stage.lagging()

    return nobody_lags


# -- a migrator that dies between a page and its commit ------------------------------------------------------------


async def test_what_is_deleted_during_a_copy_that_fails_does_not_come_back_with_it(stage: Stage) -> None:
    async with stage.router() as router, stage.world.admin() as admin:
        tenant = router.tenant(TENANT)
        await tenant.upsert([record(f"r{number}", number) for number in range(5)])
        fails = DeletesAndFails(stage, tenant)
        with pytest.raises(ShardrouteError, match="the migrator crashes"):
            await admin.move("migrate", TENANT, Options(verify=False))
        assert "r3" in await stage.world.content(TENANT, Side.NEW)
        fails.undo()
        await admin.move("migrate", TENANT, Options(verify=False))
        assert set(await tenant.fetch([f"r{number}" for number in range(5)])) == {"r0", "r1", "r2", "r4"}
        assert await stage.sides_are_equal()


class DeletesAndFails:
    """A copy reads r3; it is deleted on both sides; the copy is written, and not committed."""

    def __init__(self, stage: Stage, tenant: Tenant) -> None:
        self._inner = stage.new.inner
        self._upsert = self._inner.upsert
        self._tenant = tenant
        vars(self._inner)["upsert"] = self._fail

    async def _fail(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        await self._tenant.delete(["r3"])
        await self._upsert(place, records, insert_only=insert_only)
        raise ShardrouteError("the migrator crashes")

    def undo(self) -> None:
        del vars(self._inner)["upsert"]


async def test_windows_of_a_lost_lock_stay_open_until_its_requests_have_landed(stage: Stage) -> None:
    board = stage.board
    await board.beat("router")
    await board.walk(Phase.DUAL_OLD)
    with pytest.raises(LockLost):
        async with board.plane.locks.hold("other", "alice", life=LONG):
            raise LockLost("as good as any tenant's")
    await board.take_lock()
    await board.plane.journal.open_window(TENANT, board.fence)
    await _write(stage, "before")
    await board.redis.hset(board.key("lock"), "counted_until", int(await board.plane.lease_time() * 1000))
    await _write(stage, "after")
    await board.begin("under way", ["flying"])
    async with board.plane.locks.hold(TENANT, "next", life=0.6):
        assert await board.debt() == {"before", "after", "flying"}
    assert await board.redis.zcard(board.key("windows")) == 0


async def test_windows_of_a_lock_that_was_lost_long_ago_note_nothing_any_more(stage: Stage) -> None:
    board = stage.board
    await board.beat("router")
    await board.walk(Phase.DUAL_OLD)
    await board.take_lock()
    await board.plane.journal.open_window(TENANT, board.fence)
    await board.redis.hset(board.key("lock"), mapping={"until": 1, "counted_until": 1, "life": 1})
    await _write(stage, "long after")
    async with board.plane.locks.hold(TENANT, "next", life=0.6):
        assert await board.debt() == set()


async def _write(stage: Stage, record_id: str) -> None:
    await stage.board.begin(f"token of {record_id}", [record_id])
    await stage.board.settle(f"token of {record_id}", [record_id])


# -- sessions --------------------------------------------------------------------------------------------------


async def test_a_heartbeat_that_is_overtaken_by_a_later_one_does_not_shorten_its_lease(stage: Stage) -> None:
    """Its connection was given up long ago; what had been sent on it arrives all the same."""
    board = stage.board
    incarnation, info = (await board.map()).incarnation, json.dumps({"host": "here", "pid": 1})
    for lease, number in ((60_000, 2), (1_000, 1)):
        await board.scripts.run("heartbeat", "", "one", lease, 1, incarnation, info, number, "", 1000)
    [state] = await board.plane.sessions.all()
    assert state.remaining > 50


async def test_a_session_found_lapsed_is_not_trusted_until_the_map_is_there() -> None:
    settings = config("redis://nowhere", "n")
    view = View(settings.route, ShardMap("one", version=1))
    view.lease = Lease(until=view.clock() + LONG, generation=1)
    heartbeats = iter([Heartbeat(lapsed=True, version=2), Heartbeat(lapsed=False, version=2)])

    async def heartbeat(*_: Any, **__: Any) -> Heartbeat:
        return next(heartbeats)

    attempts = iter((1, 2))

    async def reload(_: ShardMap) -> ShardMap:
        if next(attempts) == 1:
            raise ControlPlaneUnavailable("away")
        return ShardMap("one", version=2)

    maps = SimpleNamespace(reload=reload)
    plane = SimpleNamespace(sessions=SimpleNamespace(heartbeat=heartbeat), maps=maps)
    follower = Follower(cast("ControlPlane", plane), view, settings.control)
    with pytest.raises(ControlPlaneUnavailable):
        await follower._renew()
    assert not view.may_answer(1)
    await follower._renew()
    assert not view.may_answer(1)
    assert view.may_answer(2)
    assert view.map.version == 2


# -- tenants that come and go ----------------------------------------------------------------------------------


async def test_a_tenant_is_not_declared_new_while_somebody_may_be_purging_it_there(stage: Stage) -> None:
    async with stage.router() as router:
        async with stage.world.plane.locks.hold(TENANT, "alice", life=LONG):
            with pytest.raises(MoveRefused, match="alice"):
                await router.create_tenant(TENANT)
        assert (await router.create_tenant(TENANT)).phase is Phase.NEW


async def test_a_record_stays_until_everybody_knows_of_its_last_move(stage: Stage) -> None:
    board = stage.board
    await board.beat("router")
    await board.walk(Phase.NEW)
    default = {"phase": "NEW", "epoch": 3, "version": 1, "synced": 0, "hold_until": 0}
    await board.redis.hset(board.key("defaults"), SHARD, json.dumps(default))
    await board.beat("router", acknowledged=(await board.standing()).version - 1)
    assert await board.plane.maps.follow_default(SHARD, [TENANT]) == 0
    await board.beat("router")
    assert await board.plane.maps.follow_default(SHARD, [TENANT]) == 1


async def test_a_long_fetch_follows_the_tenant(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"r{number}" for number in range(4)]
    async with stage.router() as router:
        await stage.board.walk(Phase.DUAL_OLD)
        await router.tenant(TENANT).upsert([record(name) for name in names])
        fetch = stage.old.fetch

        async def left_behind(place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
            found = await fetch(place, ids, vectors=vectors)
            await stage.board.walk(Phase.NEW)
            await emptied(stage.old.inner, place)
            return found

        monkeypatch.setattr(stage.old, "fetch", left_behind)
        monkeypatch.setattr(stage.old, "limits", Limits(fetch_ids=2))
        assert set(await router.tenant(TENANT).fetch(names)) == set(names)
