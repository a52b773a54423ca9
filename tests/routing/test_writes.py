"""What a caller sees of leases, holds, dual writes, and a Redis that is away (rules 4, 5, 11)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from shardroute import Router
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import (
    ClusterRejected,
    ClusterUnavailable,
    InvalidFilter,
    InvalidInput,
    InvalidTenant,
    LeaseLost,
    OutcomeUnknown,
    TenantHeld,
)
from shardroute.phases import EFFECTS, Phase, Side
from shardroute.records import Record
from shardroute.rules import Journal
from shardroute.tenant import Tenant
from shardroute.topology import Place
from shardroute.view import View
from tests.control.board import TENANT, declare
from tests.support.flaky import Faults
from tests.support.patience import PATIENCE, patience
from tests.support.world import record

from .stage import BRISK, CALM, Stage, deaf, staged, until

# -- the hot path ------------------------------------------------------------------------------------------------


async def test_a_tenant_that_stands_still_costs_no_request_to_redis(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    async with staged(own_redis.url, namespace, control=CALM) as stage, stage.router() as router:
        tenant = router.tenant(TENANT)
        before = await _asked(stage)
        for number in range(200):
            await tenant.upsert([record(f"r{number}", number)])
            await tenant.query([1.0, 2.0, 3.0, 4.0])
            await tenant.fetch([f"r{number}"])
        assert await _asked(stage) == before


async def _asked(stage: Stage) -> dict[str, int]:
    """How often each command was run, apart from connecting and from the read of the stream that always waits."""
    stats: dict[str, dict[str, int]] = await stage.board.redis.info("commandstats")
    return {name: numbers["calls"] for name, numbers in stats.items() if name not in _ALWAYS}


_ALWAYS = {"cmdstat_xread", "cmdstat_info", "cmdstat_hello", "cmdstat_ping", "cmdstat_client|setinfo"}


# -- the lease (rule 4) ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Break:
    """A write is on its way in `began`, the lease breaks, and when it is held again the tenant stands in `now`."""

    began: Phase
    now: Phase
    answered: bool
    owed: bool


BREAKS = {
    f"{one.began} to {one.now}": one
    for one in (
        Break(Phase.OLD, Phase.OLD, answered=True, owed=False),
        Break(Phase.OLD, Phase.DUAL_OLD, answered=True, owed=True),
        Break(Phase.OLD, Phase.HOLD_OLD, answered=True, owed=True),
        Break(Phase.OLD, Phase.DUAL_NEW, answered=False, owed=True),
        Break(Phase.OLD, Phase.NEW, answered=False, owed=False),
        Break(Phase.DUAL_OLD, Phase.DUAL_OLD, answered=True, owed=True),
        Break(Phase.DUAL_OLD, Phase.OLD, answered=True, owed=False),
        Break(Phase.DUAL_OLD, Phase.DUAL_NEW, answered=False, owed=True),
        Break(Phase.DUAL_NEW, Phase.NEW, answered=True, owed=False),
        Break(Phase.DUAL_NEW, Phase.DUAL_OLD, answered=False, owed=True),
        Break(Phase.NEW, Phase.DUAL_NEW, answered=True, owed=True),
    )
}


@pytest.mark.parametrize("case", BREAKS.values(), ids=BREAKS)
async def test_a_write_whose_lease_broke_counts_if_reads_still_go_there_and_is_never_written_again(
    brisk: Stage, case: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the answers had lain in the sockets while the process was stopped: nothing is left to be cut off."""
    monkeypatch.setattr(View, "cut_off", lambda _: None)
    await brisk.board.walk(case.began)
    async with brisk.router() as router:
        brisk.old.shut()
        brisk.new.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one", 1)], timeout=60))
        stores = [brisk.old if EFFECTS[case.began].primary is Side.OLD else brisk.new]
        stores = [brisk.old, brisk.new] if EFFECTS[case.began].dual else stores
        for store in stores:
            await store.reached.wait()
        async with deaf(router, monkeypatch):
            await brisk.board.plane.journal.reap(TENANT)
            await brisk.board.redis.delete(brisk.board.key("debt"))  # as if it had been paid
            await brisk.board.walk(case.now)
        for store in (brisk.old, brisk.new):
            store.open()
        if case.answered:
            await write
        else:
            with pytest.raises(OutcomeUnknown, match="moved to the other one"):
                await write
        assert [store.writes for store in stores] == [1] * len(stores)
        assert await brisk.board.debt() == ({"one"} if case.owed else set())


async def test_what_is_under_way_when_redis_is_away_is_cut_off_so_that_nothing_lands_after_the_lease(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    async with staged(own_redis.url, namespace, control=BRISK) as stage, stage.router() as router:
        view = router._open.view
        stage.old.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one", 1)], timeout=60))
        await stage.old.reached.wait()
        own_redis.kill()
        with pytest.raises(OutcomeUnknown, match="may have taken effect"):
            await write
        assert view.writes_in_flight == 1, "it may still land, so it is not forgotten yet"
        await until(lambda: view.writes_in_flight == 0)
        stage.old.open()
        await own_redis.start()
        await until(lambda: router.ready)
        assert (stage.old.writes, stage.old.requests) == (1, 0), (
            "it never reached the cluster, nor did another"
        )
        await router.tenant(TENANT).upsert([record("one", 2)], timeout=60)


async def test_a_dual_write_that_is_cut_off_leaves_debt(own_redis: EmbeddedRedis, namespace: str) -> None:
    async with staged(own_redis.url, namespace, control=BRISK) as stage, stage.router() as router:
        await stage.board.walk(Phase.DUAL_OLD)
        stage.new.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one", 1)], timeout=60))
        await stage.new.reached.wait()
        own_redis.kill()
        await until(lambda: not router.ready)
        await own_redis.start()
        await write  # the primary took it
        assert stage.new.writes == 1
        await _settled(stage)
        assert await stage.board.debt() == {"one"}


async def test_a_caller_who_goes_away_while_a_write_is_cut_off_is_cancelled_and_nothing_else(
    brisk: Stage,
) -> None:
    async with brisk.router() as router:
        brisk.old.shut()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one", 1)]))
        await brisk.old.reached.wait()
        router._open.view.cut_off()
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write


async def test_who_catches_that_the_outcome_is_unknown_goes_on_uncancelled(brisk: Stage) -> None:
    async def caller(router: Router) -> int:
        with pytest.raises(OutcomeUnknown):
            await router.tenant(TENANT).upsert([record("one", 1)])
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    async with brisk.router() as router:
        brisk.old.shut()
        task = asyncio.create_task(caller(router))
        await brisk.old.reached.wait()
        router._open.view.cut_off()
        assert await task == 0


async def test_nothing_is_sent_in_the_last_moments_of_a_lease(calm: Stage) -> None:
    async with calm.router() as router:
        view = router._open.view
        view.lease = replace(view.lease, until=view.clock() + view.linger / 2)
        with pytest.raises(LeaseLost, match="nothing was written"):
            await router.tenant(TENANT).upsert([record("one", 1)], timeout=0.1)
        assert calm.old.writes == 0


# -- Redis away --------------------------------------------------------------------------------------------------


async def test_without_redis_reads_go_on_and_writes_wait_until_it_is_back(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    async with staged(own_redis.url, namespace, control=BRISK) as stage, stage.router() as router:
        tenant = router.tenant(TENANT)
        await tenant.upsert([record("one", 1)])
        own_redis.kill()
        await until(lambda: not router.ready)
        assert (await tenant.fetch(["one"]))["one"].metadata == {"v": 1}
        assert await tenant.count() == 1
        assert len(await tenant.query([1.0, 2.0, 3.0, 4.0])) == 1
        write = asyncio.create_task(tenant.upsert([record("one", 2)], timeout=25))
        await asyncio.sleep(0.1)
        assert not write.done()
        assert stage.old.writes == 1
        await own_redis.start()
        await write
        assert (await tenant.fetch(["one"]))["one"].metadata == {"v": 2}


async def test_reads_are_refused_without_redis_where_stale_ones_are_not_wanted(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(own_redis.url, namespace, control=BRISK, router={"stale_reads": False}) as stage,
        stage.router() as router,
    ):
        tenant = router.tenant(TENANT)
        assert await tenant.fetch(["one"]) == {}
        own_redis.kill()
        view = router._open.view
        await until(lambda: not view.lease.holds(view.clock()))
        for read in (tenant.fetch(["one"]), tenant.count(), tenant.query([1.0, 2.0, 3.0, 4.0])):
            with pytest.raises(LeaseLost) as caught:
                await read
            assert caught.value.retry_after is not None


@pytest.mark.parametrize("timeout", [0.2, None], ids=["the caller's deadline", "the configured deadline"])
async def test_a_write_that_redis_was_away_for_too_long_for_ends_in_an_error_to_be_tried_again(
    own_redis: EmbeddedRedis, namespace: str, timeout: float | None
) -> None:
    async with (
        staged(own_redis.url, namespace, control=BRISK, router={"deadline": 0.3}) as stage,
        stage.router() as router,
    ):
        own_redis.kill()
        await until(lambda: not router.ready)
        with pytest.raises(LeaseLost) as caught:
            await router.tenant(TENANT).upsert([record("one")], timeout=timeout)
        assert caught.value.retryable
        assert caught.value.retry_after is not None
        assert stage.old.writes == 0


async def test_a_dual_write_goes_on_when_redis_is_back(own_redis: EmbeddedRedis, namespace: str) -> None:
    control = BRISK | {
        "lease": 30,
        "idle_lease": 30,
    }  # held all along: it is the journal that cannot be asked
    async with staged(own_redis.url, namespace, control=control) as stage, stage.router() as router:
        await stage.board.walk(Phase.DUAL_OLD)
        own_redis.kill()
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")], timeout=25))
        await asyncio.sleep(0.2)
        assert (stage.old.writes, stage.new.writes) == (0, 0), "no token, no write"
        await own_redis.start()
        await write
        assert await stage.sides_are_equal()
        assert (await stage.world.plane.journal.counts(TENANT)).tokens == 0


# -- holds -------------------------------------------------------------------------------------------------------


async def test_a_write_waits_in_a_hold_and_is_answered_after_it(calm: Stage) -> None:
    async with calm.router() as router:
        await calm.board.walk(Phase.HOLD_OLD)
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")]))
        await calm.board.walk(Phase.HOLD_NEW)
        await asyncio.sleep(0.05)
        assert not write.done()
        assert (calm.old.writes, calm.new.writes) == (0, 0)
        await calm.board.walk(Phase.DUAL_NEW)
        await write
        assert await calm.sides_are_equal()


async def test_reads_are_not_held(calm: Stage) -> None:
    async with calm.router() as router:
        tenant = router.tenant(TENANT)
        await tenant.upsert([record("one")])
        await calm.board.walk(Phase.HOLD_OLD)
        assert set(await tenant.fetch(["one"])) == {"one"}


async def test_a_write_that_does_not_outlast_the_hold_ends_in_an_error_to_be_tried_again(calm: Stage) -> None:
    async with calm.router() as router:
        await calm.board.walk(Phase.HOLD_OLD)
        with pytest.raises(TenantHeld, match="nothing was written") as caught:
            await router.tenant(TENANT).upsert([record("one")], timeout=0.1)
        assert caught.value.retryable
        assert caught.value.retry_after == calm.world.config.migration.max_hold
        assert (calm.old.writes, calm.new.writes) == (0, 0)


async def test_a_hold_does_not_hold_other_tenants(calm: Stage) -> None:
    async with calm.router() as router:
        await calm.board.walk(Phase.HOLD_OLD)
        await router.tenant("globex").upsert([record("one")], timeout=PATIENCE)


@pytest.mark.parametrize(
    ("held", "after"), [(Phase.HOLD_OLD, Phase.DUAL_OLD), (Phase.HOLD_NEW, Phase.DUAL_NEW)], ids=str
)
async def test_a_hold_that_nobody_ends_is_ended_by_who_waits_in_it(
    redis_server: EmbeddedRedis, namespace: str, held: Phase, after: Phase
) -> None:
    async with (
        staged(redis_server.url, namespace, control=CALM, migration={"max_hold": 0.3}) as stage,
        stage.world.routers(2) as routers,
    ):
        await stage.board.walk(held, max_hold=0.3)
        async with patience():
            await asyncio.gather(
                *(
                    router.tenant(TENANT).upsert([record(router.session)], timeout=PATIENCE)
                    for router in routers
                )
            )
        assert await stage.world.phase(TENANT) is after
        assert await stage.sides_are_equal()


async def test_a_hold_is_not_ended_by_who_waits_in_it_before_its_deadline(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(
            redis_server.url, namespace, control=CALM, router={"linger": 0.01}, migration={"max_hold": 0.05}
        ) as stage,
        stage.router() as router,
    ):
        await stage.board.walk(Phase.HOLD_OLD)
        with pytest.raises(TenantHeld):
            await router.tenant(TENANT).upsert([record("one")], timeout=0.4)
        assert await stage.world.phase(TENANT) is Phase.HOLD_OLD


async def test_news_of_other_tenants_does_not_prolong_a_wait_for_an_overdue_hold(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(redis_server.url, namespace, control=CALM, migration={"max_hold": 6}) as stage,
        stage.router() as router,
    ):
        await stage.board.walk(Phase.HOLD_OLD)
        write = asyncio.create_task(router.tenant(TENANT).upsert([record("one")], timeout=PATIENCE))
        await asyncio.sleep(0.05)
        await stage.board.make_overdue()
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(5)
        await declare(stage.world.plane, "globex")
        await write
        assert asyncio.get_running_loop().time() - began < 10.5, "a second whole wait would end after 11 s"


# -- dual writes (rule 5) ----------------------------------------------------------------------------------------

OUTCOMES: dict[str, tuple[Faults, Faults, bool, bool]] = {
    "both take it": (Faults(), Faults(), True, False),
    "the secondary refuses": (Faults(), Faults(refused=1.0), True, True),
    "the secondary's answer is lost": (Faults(), Faults(lost=1.0), True, True),
    "the primary refuses": (Faults(refused=1.0), Faults(), False, True),
    "the primary's answer is lost": (Faults(lost=1.0), Faults(), False, True),
    "both refuse": (Faults(refused=1.0), Faults(refused=1.0), False, True),
}


@pytest.mark.parametrize(("old", "new", "answered", "owed"), OUTCOMES.values(), ids=OUTCOMES)
async def test_the_primary_decides_for_the_caller_and_any_failure_leaves_debt(
    calm: Stage, old: Faults, new: Faults, answered: bool, owed: bool
) -> None:
    async with calm.router() as router:
        await calm.board.walk(Phase.DUAL_OLD)
        calm.old.faults, calm.new.faults = old, new
        write = router.tenant(TENANT).upsert([record("one")])
        if answered:
            await write
        else:
            with pytest.raises(ClusterUnavailable, match="'a'"):
                await write
        await _settled(calm)
        assert await calm.board.debt() == ({"one"} if owed else set())


async def test_the_log_of_debt_says_what_failed_and_not_what_was_written(
    calm: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def quotes(place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        raise ClusterRejected("b", f"I cannot take {dict(records[0].metadata)}")

    monkeypatch.setattr(calm.new, "upsert", quotes)
    async with calm.router() as router:
        await calm.board.walk(Phase.DUAL_OLD)
        await router.tenant(TENANT).upsert([Record("one", VECTOR, {"secret": "hunter2"})])
        await _settled(calm)
    [entry] = [entry for entry in caplog.records if "debt" in entry.message]
    assert entry.message == f"tenant {TENANT}: upsert left as debt: ClusterRejected of 'b'"


async def _settled(stage: Stage) -> None:
    async def no_token() -> bool:
        return (await stage.world.plane.journal.counts(TENANT)).tokens == 0

    await until(no_token)


async def test_two_processes_that_write_one_id_at_once_leave_it_as_debt(calm: Stage) -> None:
    async with calm.world.routers(2) as routers:
        await calm.board.walk(Phase.DUAL_OLD)
        calm.new.shut()
        writes = [
            asyncio.create_task(router.tenant(TENANT).upsert([record("one", number)]))
            for number, router in enumerate(routers)
        ]
        await until(lambda: calm.new.writes == 2)
        calm.new.open()
        await asyncio.gather(*writes)
        assert await calm.board.debt() == {"one"}


WRITES: dict[str, Callable[[Tenant], Awaitable[None]]] = {
    "upsert": lambda tenant: tenant.upsert([record("one", 2), record("two", 2)]),
    "update": lambda tenant: tenant.update("one", metadata={"v": 3}),
    "update by filter": lambda tenant: tenant.update(filter={"v": 1}, metadata={"v": 3}),
    "delete": lambda tenant: tenant.delete(["one"]),
    "delete by filter": lambda tenant: tenant.delete(filter={"v": 1}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_caller_who_goes_away_leaves_a_finished_write_behind(
    calm: Stage, write: Callable[[Tenant], Awaitable[None]]
) -> None:
    async with calm.router() as router:
        await calm.board.walk(Phase.DUAL_OLD)
        tenant = router.tenant(TENANT)
        await tenant.upsert([record("one", 1), record("other", 5)])
        calm.new.reached.clear()
        calm.new.shut()
        caller = asyncio.ensure_future(write(tenant))
        await calm.new.reached.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        calm.new.open()
        await _settled(calm)
        assert await calm.world.plane.journal.counts(TENANT) == Journal()
        assert await calm.sides_are_equal()


async def test_a_dual_write_that_takes_too_long_says_so_and_ends_all_the_same(calm: Stage) -> None:
    async with calm.router() as router:
        await calm.board.walk(Phase.DUAL_OLD)
        calm.new.shut()
        with pytest.raises(OutcomeUnknown, match="may have taken effect"):
            await router.tenant(TENANT).upsert([record("one")], timeout=0.2)
        calm.new.open()
        await _settled(calm)
        assert await calm.sides_are_equal()


async def test_a_move_in_the_middle_of_many_writes_loses_none_of_them(calm: Stage) -> None:
    async with calm.router() as router:
        tenant = router.tenant(TENANT)
        calm.old.faults = calm.new.faults = Faults(slow=0.003)
        await calm.board.walk(Phase.DUAL_OLD)
        writes = [asyncio.create_task(tenant.upsert([record(f"r{number}", number)])) for number in range(60)]
        await calm.board.walk(Phase.HOLD_OLD)
        await calm.board.walk(Phase.DUAL_NEW)
        await asyncio.gather(*writes)
        assert len(await tenant.fetch([f"r{number}" for number in range(60)])) == 60


# -- input that no cluster should see ----------------------------------------------------------------------------

VECTOR = [1.0, 2.0, 3.0, 4.0]


def _write(*vector: float, name: str = "one", **metadata: Any) -> Callable[[Tenant], Awaitable[object]]:
    """The record is made when it is written: some cannot even be made."""

    async def write(tenant: Tenant) -> None:
        await tenant.upsert([record("before"), Record(name, list(vector), metadata)])

    return write


BAD: dict[str, Callable[[Tenant], Awaitable[object]]] = {
    "a wrong dimension": _write(1.0, 2.0),
    "a NaN": _write(1.0, float("nan"), 3.0, 4.0),
    "an infinite value": _write(1.0, float("inf"), 3.0, 4.0),
    "a zero vector under cosine": _write(0.0, 0.0, 0.0, 0.0),
    "a value beyond 32 bits": _write(1e300, 0.0, 0.0, 0.0),
    "an empty id": _write(*VECTOR, name=""),
    "metadata that JSON has not": _write(*VECTOR, score=float("nan")),
    "a wrong dimension in an update": lambda tenant: tenant.update("one", vector=[1.0]),
    "an update of nothing": lambda tenant: tenant.update("one"),
    "a delete of nothing named": lambda tenant: tenant.delete(),
    "an id instead of ids": lambda tenant: tenant.delete("one"),
    "dicts instead of records": lambda tenant: tenant.upsert([cast(Any, {"id": "one", "vector": VECTOR})]),
    "one record instead of several": lambda tenant: tenant.upsert(cast(Any, Record("one", VECTOR))),
    "a number instead of ids": lambda tenant: tenant.delete(cast(Any, 5)),
    "a number instead of a cursor": lambda tenant: tenant.page(cast(Any, 5)),
    "a query of a wrong dimension": lambda tenant: tenant.query([1.0]),
    "a query by a zero vector": lambda tenant: tenant.query([0.0] * 4),
    "a query for no records": lambda tenant: tenant.query(VECTOR, top_k=0),
    "an empty filter to delete by": lambda tenant: tenant.delete(filter={}),
}


@pytest.mark.parametrize("phase", [Phase.OLD, Phase.DUAL_OLD], ids=str)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_bad_input_reaches_no_cluster(
    calm: Stage, bad: Callable[[Tenant], Awaitable[object]], phase: Phase
) -> None:
    await calm.board.walk(phase)
    async with calm.router() as router:
        with pytest.raises(InvalidInput):
            await bad(router.tenant(TENANT))
        assert (calm.old.requests, calm.new.requests) == (0, 0)
        assert await calm.world.plane.journal.counts(TENANT) == Journal()


@pytest.mark.parametrize(
    ("condition", "path"),
    [
        ({"year": {"$near": 3}}, r"year\.\$near"),
        ({"$and": [{"a": 1}, {"b": {"$like": "x"}}]}, r"\$and\[1\]\.b\.\$like"),
        ({"$xor": []}, r"\$xor"),
    ],
    ids=str,
)
async def test_an_unknown_filter_operator_is_named_by_where_it_stands(
    calm: Stage, condition: dict[str, Any], path: str
) -> None:
    async with calm.router() as router:
        tenant = router.tenant(TENANT)
        for call in (
            tenant.query(VECTOR, filter=condition),
            tenant.count(filter=condition),
            tenant.delete(filter=condition),
            tenant.update(filter=condition, metadata={"a": 1}),
        ):
            with pytest.raises(InvalidFilter, match=path):
                await call
        assert calm.old.requests == 0


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\0b", "ü", "x" * 300, "{tenant}"])
async def test_a_name_that_is_no_tenants_is_refused(calm: Stage, name: str) -> None:
    async with calm.router() as router:
        with pytest.raises(InvalidTenant):
            router.tenant(name)
        with pytest.raises(InvalidTenant):
            await router.create_tenant(name)
    assert not (await calm.board.map()).tenants
