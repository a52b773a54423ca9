"""A process follows the map, acknowledges what it has adopted, and stops writing when the map is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shardroute import Router
from shardroute.control import ControlPlane, Heartbeat
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import (
    ConfigError,
    ControlPlaneUnavailable,
    MapLost,
    OutcomeUnknown,
    ShardrouteError,
)
from shardroute.follower import Follower
from shardroute.phases import LINE, Phase
from shardroute.rules import Lease
from shardroute.shardmap import MapChange, ShardMap
from shardroute.view import View
from tests.control.board import LONG, TENANT, Board, declare
from tests.support.patience import PATIENCE, patience
from tests.support.world import config, record

from .stage import BRISK, CALM, Stage, deaf, staged, until

# -- the map -----------------------------------------------------------------------------------------------------


async def test_routers_follow_every_move_at_once_and_without_a_restart(calm: Stage) -> None:
    async with calm.world.routers(3) as routers:
        for phase in LINE[1:]:
            await calm.board.walk(phase)  # a heartbeat would bring it too late, if at all
            assert {router.tenant(TENANT).phase for router in routers} == {phase}


async def test_a_handle_that_was_made_before_a_move_follows_it(calm: Stage) -> None:
    async with calm.router() as router:
        handle = router.tenant(TENANT)
        await handle.upsert([record("one")])
        await calm.board.walk(Phase.DUAL_OLD)
        await handle.upsert([record("two")])
        assert calm.new.writes == 1
        assert handle.phase is Phase.DUAL_OLD


async def test_a_router_that_missed_a_change_loads_the_whole_map(calm: Stage) -> None:
    board = calm.board
    async with calm.router() as router:
        standing = {"phase": "DUAL_OLD", "epoch": 3, "version": 7, "synced": 0, "hold_until": 0}
        change = {"version": 7, "moving": 1, "tenant": TENANT, "standing": standing}
        async with board.redis.pipeline(transaction=True) as together:
            together.hset(board.key("tenants"), TENANT, json.dumps(standing))
            together.hset(board.key("tenants"), "missed", json.dumps(standing | {"version": 6}))
            together.hset(board.key("meta"), mapping={"version": 7, "moving": 1})
            together.xadd(board.key("changes"), {"change": json.dumps(change)}, id="7-0")
            await together.execute()
        await until(lambda: router.map.version == 7)
        assert router.map == await board.map()
        assert router.tenant("missed").phase is Phase.DUAL_OLD


async def test_a_tenant_that_one_process_creates_is_known_to_all_when_it_returns(calm: Stage) -> None:
    async with calm.world.routers(3) as routers:
        handle = await routers[0].create_tenant("globex")
        assert {router.tenant("globex").phase for router in routers} == {Phase.NEW}
        assert (await routers[1].create_tenant("globex")).phase is Phase.NEW
        await handle.upsert([record("one")])
    assert (calm.old.writes, calm.new.writes) == (0, 1)


# -- acknowledgements and leases ---------------------------------------------------------------------------------


async def test_a_slow_write_holds_the_barrier_and_its_end_opens_it_at_once(calm: Stage) -> None:
    async with calm.router() as router:
        calm.old.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")]))
        await calm.old.reached.wait()
        await calm.board.take_lock()
        version = await calm.board.move(Phase.DUAL_OLD)
        await until(lambda: router.map.version == version)
        await asyncio.sleep(0.1)
        assert await calm.lagging() == [router.session]
        calm.old.open()
        await write
        async with patience():
            await calm.board.pass_barrier()


async def test_a_slow_dual_write_holds_the_barrier_as_well(calm: Stage) -> None:
    async with calm.router() as router:
        await calm.board.walk(Phase.DUAL_OLD)
        calm.new.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")]))
        await calm.new.reached.wait()
        version = await calm.board.move(Phase.OLD)
        await until(lambda: router.map.version == version)
        await asyncio.sleep(0.1)
        assert await calm.lagging() == [router.session]
        calm.new.open()
        await write
        async with patience():
            await calm.board.pass_barrier()


async def test_a_slow_write_of_one_tenant_holds_up_no_move_of_another(calm: Stage) -> None:
    async with calm.router() as router:
        calm.old.shut()
        write = asyncio.create_task(router.tenant("globex").upsert([record("one")]))
        await calm.old.reached.wait()
        await calm.board.take_lock("globex")
        version = await calm.board.move(Phase.DUAL_OLD, tenant="globex")
        await until(lambda: router.map.version == version)
        await calm.board.walk(Phase.DUAL_NEW)
        assert not write.done()
        lagging = calm.world.plane.sessions.lagging
        assert await lagging((await calm.board.map()).version, "globex") == [router.session]
        calm.old.open()
        await write
        await calm.board.pass_barrier("globex")


async def test_a_write_that_was_cut_off_holds_the_barrier_until_it_can_no_longer_land(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(
            redis_server.url, namespace, control=CALM, router={"linger": 1.5}, migration={"lock": 6}
        ) as stage,
        stage.router() as router,
    ):
        stage.old.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")]))
        await stage.old.reached.wait()
        write.cancel()
        await stage.board.take_lock()
        version = await stage.board.move(Phase.DUAL_OLD)
        await until(lambda: router.map.version == version)
        await asyncio.sleep(0.1)
        assert await stage.lagging() == [router.session]
        async with patience():
            await stage.board.pass_barrier()


async def test_leases_are_short_while_anything_moves_and_long_otherwise(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with staged(redis_server.url, namespace, control={"lease": 20, "idle_lease": 200}) as stage:

        async def remaining() -> float:
            (state,) = await stage.world.plane.sessions.all()
            return state.remaining

        async with stage.router():
            assert await remaining() > 20
            await stage.board.walk(Phase.DUAL_OLD)
            assert await remaining() <= 20
            await stage.board.walk(Phase.OLD)
            assert await remaining() > 20


async def test_a_session_that_was_evicted_registers_again_by_itself(brisk: Stage) -> None:
    async with brisk.router() as router:
        await brisk.world.plane.sessions.leave(router.session)

        async def is_back() -> bool:
            return router.session in await brisk.registered()

        await until(is_back)
        await router.tenant(TENANT).upsert([record("one")])


async def test_a_redis_that_stops_answering_for_a_while_ends_nothing(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(own_redis.url, namespace, control=BRISK | {"timeout": 0.2}) as stage,
        stage.router() as router,
    ):
        os.kill(own_redis.pid, signal.SIGSTOP)
        await asyncio.sleep(2)  # longer than a read of the change stream may take
        assert not router.ready
        assert router.map_age > 1.9
        os.kill(own_redis.pid, signal.SIGCONT)
        await until(lambda: router.map_age < 1.9)
        await router.tenant(TENANT).upsert([record("one")], timeout=PATIENCE)
        await stage.board.walk(Phase.DUAL_OLD)
        assert router.tenant(TENANT).phase is Phase.DUAL_OLD


# -- a lost map --------------------------------------------------------------------------------------------------

LOSSES: dict[str, Callable[[Board], Awaitable[object]]] = {
    "Redis is empty": lambda board: board.redis.delete(*board.plane.keys.of("")),
    "another map is there": lambda board: board.redis.hset(board.key("meta"), "incarnation", "another"),
    "the map has gone back": lambda board: board.redis.hset(board.key("meta"), "version", 1),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
async def test_a_lost_map_ends_writes_and_reads_go_on(
    brisk: Stage, lose: Callable[[Board], Awaitable[object]]
) -> None:
    await brisk.board.walk(Phase.DUAL_OLD)
    async with brisk.router() as router:
        tenant = router.tenant(TENANT)
        await tenant.upsert([record("one", 1)])
        await lose(brisk.board)
        await until(lambda: not router.ready)
        writes = brisk.old.writes
        for _ in range(2):
            with pytest.raises(MapLost) as caught:
                await tenant.upsert([record("one", 2)], timeout=PATIENCE)
            assert not caught.value.retryable
        assert brisk.old.writes == writes
        assert (await tenant.fetch(["one"]))["one"].metadata == {"v": 1}


async def test_a_map_that_went_on_without_what_a_router_has_seen_ends_writes_though_its_numbers_catch_up(
    brisk: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that lacked the last moves took over, and others moved on from there."""
    async with brisk.router() as router:
        board = brisk.board
        keys = [board.key(name) for name in ("meta", "tenants", "changes")]
        await router.create_tenant("globex")
        before = [await board.redis.dump(key) for key in keys]
        await board.walk(Phase.DUAL_OLD)
        known = router.map.version
        async with deaf(router, monkeypatch):
            for key, dump in zip(keys, before, strict=True):
                await board.redis.restore(key, 0, dump, replace=True)
            while (await board.map()).version <= known:
                await declare(board.plane, f"t{(await board.map()).version}")
        await until(lambda: router._open.view.failure is not None)
        with pytest.raises(MapLost, match="went on without"):
            await router.tenant(TENANT).upsert([record("one")])


async def test_a_change_that_comes_after_another_version_is_a_lost_map() -> None:
    settings = config("redis://nowhere", "n")
    view = View(settings.route, ShardMap("one", version=5, stamp="ours"))
    follower = Follower(cast("ControlPlane", SimpleNamespace()), view, settings.control)
    with pytest.raises(MapLost, match="another version 5"):
        await follower._advance([MapChange(6, moving=0, stamp="next", after="theirs")])
    await follower._advance([MapChange(6, moving=0, stamp="next", after="ours")])
    assert (view.map.version, view.map.stamp) == (6, "next")


async def test_a_heartbeat_that_knows_another_version_of_the_same_number_finds_the_map_lost() -> None:
    settings = config("redis://nowhere", "n")
    view = View(settings.route, ShardMap("one", version=5, stamp="ours"))
    answers = Answers(view, Heartbeat(lapsed=False, version=5, stamp="theirs"), view.map)
    with pytest.raises(MapLost, match="another version 5"):
        await Follower(answers.plane, view, settings.control)._renew()


async def test_a_whole_redis_that_is_flushed_ends_writes(own_redis: EmbeddedRedis, namespace: str) -> None:
    async with staged(own_redis.url, namespace, control=BRISK) as stage, stage.router() as router:
        await stage.board.redis.flushall()
        await until(lambda: not router.ready)
        with pytest.raises(MapLost):
            await router.tenant(TENANT).upsert([record("one")])
        with pytest.raises(MapLost):
            await router.create_tenant("globex")


async def test_writes_that_wait_in_a_hold_learn_that_the_map_is_lost(brisk: Stage) -> None:
    async with brisk.router() as router:
        await brisk.board.walk(Phase.HOLD_OLD)
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")], timeout=60))
        await asyncio.sleep(0.05)
        await LOSSES["another map is there"](brisk.board)
        async with patience():
            with pytest.raises(MapLost):
                await write


async def test_a_restored_map_is_followed_by_a_router_that_is_opened_again(brisk: Stage) -> None:
    async with brisk.router() as router:
        await LOSSES["the map has gone back"](brisk.board)
        await brisk.board.redis.delete(brisk.board.key("meta"))
        await until(lambda: not router.ready)
    with pytest.raises(MapLost, match="shardroute init"):
        async with brisk.router():
            pass
    await brisk.world.plane.maps.create(brisk.world.config.digest())
    async with brisk.router() as router:
        await router.tenant(TENANT).upsert([record("one")])


# -- what overtakes what -----------------------------------------------------------------------------------------


class Answers:
    """Sessions and map of a control plane whose answers are overtaken by news from the stream."""

    def __init__(self, view: View, heartbeat: Heartbeat, loaded: ShardMap) -> None:
        self.plane = cast(
            "ControlPlane",
            SimpleNamespace(
                sessions=SimpleNamespace(heartbeat=self.heartbeat),
                maps=SimpleNamespace(reload=self.reload),
            ),
        )
        self._view = view
        self._heartbeat = heartbeat
        self._loaded = loaded

    async def heartbeat(self, *_: Any, **__: Any) -> Heartbeat:
        self._overtake()
        return self._heartbeat

    async def reload(self, known: ShardMap) -> ShardMap:
        self._overtake()
        return self._loaded

    def _overtake(self) -> None:
        self._view.adopt(replace(self._view.map, version=self._view.map.version + 1))


@pytest.mark.parametrize("lapsed", [False, True])
async def test_an_answer_that_is_overtaken_by_the_stream_is_no_lost_map(lapsed: bool) -> None:
    settings = config("redis://nowhere", "n")
    view = View(settings.route, ShardMap("one", version=1))
    view.lease = Lease(until=view.clock() + LONG, generation=1)
    answers = Answers(view, Heartbeat(lapsed=lapsed, version=3), ShardMap("one", version=2))
    follower = Follower(answers.plane, view, settings.control)
    await follower._renew()
    assert view.failure is None
    assert view.map.version == (3 if lapsed else 2)
    assert view.lease.generation == 1 + lapsed


async def test_an_answer_older_than_what_was_known_when_it_was_asked_for_is_a_lost_map() -> None:
    settings = config("redis://nowhere", "n")
    view = View(settings.route, ShardMap("one", version=5))
    follower = Follower(
        Answers(view, Heartbeat(lapsed=False, version=4), ShardMap("one", version=4)).plane,
        view,
        settings.control,
    )
    with pytest.raises(MapLost, match="from version 5 to 4"):
        await follower._renew()


# -- opening and closing -----------------------------------------------------------------------------------------


async def test_a_router_does_not_open_where_there_is_no_map(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    with pytest.raises(MapLost, match="shardroute init"):
        async with Router(config(redis_server.url, namespace), stores={}):
            pass


async def test_a_router_does_not_open_over_a_map_made_for_other_topologies(calm: Stage) -> None:
    other = config(calm.world.config.control.url, calm.world.config.control.namespace)
    v2 = replace(other.topologies["v2"], shards=5)
    with pytest.raises(ConfigError, match=r"made for other topologies: to.shards: 3, here 5\. Mend"):
        async with Router(
            replace(other, topologies={**other.topologies, "v2": v2}), stores=calm.world.stores
        ):
            pass
    assert await calm.registered() == set()


async def test_a_router_does_not_open_without_redis() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(ControlPlaneUnavailable):
        async with Router(config("redis://127.0.0.1:1", "n"), stores={}):
            pass
    assert asyncio.all_tasks() == before


async def test_a_router_that_is_not_open_says_how_to_open_it() -> None:
    router = Router(config("redis://127.0.0.1:1", "n"), stores={})
    with pytest.raises(ShardrouteError, match="async with"):
        router.tenant(TENANT)


async def test_a_router_is_opened_once_at_a_time(calm: Stage) -> None:
    async with calm.router() as router:
        with pytest.raises(ShardrouteError, match="open already"):
            await router.__aenter__()
    async with router:
        assert router.ready


async def test_a_closed_router_leaves_no_session_and_no_task_behind(calm: Stage) -> None:
    await calm.board.walk(Phase.DUAL_OLD)
    before = asyncio.all_tasks()
    async with calm.router() as router:
        assert await calm.registered() == {router.session}
        await router.tenant(TENANT).upsert([record("one")])
    assert await calm.registered() == set()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("phase", [Phase.OLD, Phase.DUAL_OLD], ids=str)
async def test_closing_waits_for_writes_under_way_and_they_are_answered(calm: Stage, phase: Phase) -> None:
    await calm.board.walk(phase)
    async with calm.router() as router:
        session, calm_old = router.session, calm.old
        calm_old.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")]))
        await calm_old.reached.wait()
        closing = asyncio.create_task(router.__aexit__(None, None, None))
        await asyncio.sleep(0.1)
        assert not closing.done()
        assert await calm.registered() == {session}
        calm_old.open()
        await write
        await closing
    assert await calm.registered() == set()
    assert (await calm.world.plane.journal.counts(TENANT)).tokens == 0


async def test_while_a_router_closes_no_write_begins(calm: Stage) -> None:
    async with calm.router() as router:
        handle = router.tenant(TENANT)
        calm.old.shut()
        write = asyncio.create_task(handle.upsert([record("one")]))
        await calm.old.reached.wait()
        closing = asyncio.create_task(router.__aexit__(None, None, None))
        await asyncio.sleep(0.02)
        with pytest.raises(ShardrouteError, match="closed"):
            await handle.upsert([record("two")])
        calm.old.open()
        await asyncio.gather(write, closing)
    assert calm.old.writes == 1


async def test_a_write_that_closing_did_not_wait_for_is_not_answered(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with staged(redis_server.url, namespace, control=CALM, router={"drain": 0.05}) as stage:
        async with stage.router() as router:
            stage.old.shut()
            write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")]))
            await stage.old.reached.wait()
        (state,) = await stage.world.plane.sessions.all()
        assert 0 < state.remaining <= stage.world.config.router.linger, "what it sent may still land"
        with pytest.raises(OutcomeUnknown, match="the router was closed"):
            await write
        stage.old.open()
        assert stage.old.requests == 0


async def test_a_handle_that_outlives_its_router_writes_no_more(calm: Stage) -> None:
    async with calm.router() as router:
        handle = router.tenant(TENANT)
    with pytest.raises(ShardrouteError, match="closed"):
        await handle.upsert([record("one")])
    assert calm.old.writes == 0


async def test_a_request_without_an_answer_is_waited_out_at_the_end(calm: Stage) -> None:
    await calm.board.walk(Phase.DUAL_OLD)
    async with calm.router() as router:
        calm.new.faults.lost = 1.0
        await router.tenant(TENANT).upsert([record("one")])
        assert (await calm.world.plane.journal.counts(TENANT)).tokens == 1
    counts = await calm.world.plane.journal.counts(TENANT)
    assert (counts.tokens, counts.debt) == (0, 1)
