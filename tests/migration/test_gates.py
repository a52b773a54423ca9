"""What the application's own queries say of the new cluster stops a move, or turns it back. Nothing is lost by it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import pytest

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.clusters import connected
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ConfigError, GateFailed, ShardrouteError
from shardroute.gates import Gates
from shardroute.migration import Observer, Options, Outcome, Silent, Stage
from shardroute.migration.gatekeeper import CANARY, verdict
from shardroute.phases import Phase, Side
from shardroute.ports import Store
from shardroute.records import Record
from shardroute.statistics import Events, Shares, Tally
from shardroute.stores.memory import MemoryStore
from shardroute.testing.qdrant import QdrantProcess
from tests.support.misleading import MisleadingStore, Ways
from tests.support.patience import NEVER, PATIENCE, patience
from tests.support.traffic import Ledger, Traffic
from tests.support.world import DIMENSION, World

LIMITS: dict[str, Any] = {"samples": 30, "recall": 0.8, "error_rate": 0.02, "soak": 0.3, "patience": PATIENCE}
SHADOW = {"share": 1.0, "budget": 1.0, "flush": 0.05, "window": 0.5, "floor": 0.0}
TENANT = "acme"

BAD: dict[str, tuple[Ways, str]] = {
    "wrong neighbours": (Ways(wrong=0.6), "recall"),
    "six times as slow": (Ways(seconds=0.6), "latency_ratio"),
    "one query in five fails": (Ways(failing=0.2), "error_rate"),
}
"""What the new cluster does, and which gate is to see it.

Slow is much slower than the old one, which takes 0.1 s: on a busy machine both take longer, by the same.
"""


def spread(name: str, value: int) -> Record:
    """A record that is as far from each of the others as from any: no two queries agree by chance."""
    choose = random.Random(f"{name} {value}")
    return Record(name, [choose.gauss() for _ in range(DIMENSION)], {"v": value})


@asynccontextmanager
async def judged(
    redis_server: EmbeddedRedis, namespace: str, **sections: Mapping[str, Any]
) -> AsyncIterator[World]:
    """A world with 200 records of a tenant, of which every query has a shadow."""
    async with World.made(redis_server.url, namespace, **{"shadow": SHADOW, **sections}) as world:
        world.old, world.new = MisleadingStore(MemoryStore("a")), MisleadingStore(MemoryStore("b"))
        async with world.router() as router:
            await router.tenant(TENANT).upsert(spread(f"r{number:03d}", 0) for number in range(200))
        yield world


async def judged_again(admin: Admin) -> Outcome:
    """Once the new cluster is well; the last shadows of the bad time may end during another try."""
    async with patience():
        while True:
            try:
                return await admin.move("migrate", TENANT)
            except GateFailed:
                continue


def ways_of(world: World, side: Side, ways: Ways) -> None:
    store = world.old if side is Side.OLD else world.new
    assert isinstance(store, MisleadingStore)
    store.ways = ways


@asynccontextmanager
async def querying(routers: list[Router], writers: int = 1) -> AsyncIterator[Ledger]:
    """Queries and writes on all routers while the block runs."""
    handles = [router.tenant(TENANT) for router in routers]
    stop = asyncio.Event()

    async def ask(number: int) -> None:
        choose = random.Random(number)
        while not stop.is_set():
            try:
                await handles[number % len(handles)].query([choose.gauss() for _ in range(DIMENSION)])
            except ShardrouteError:
                await asyncio.sleep(0.001)
            await asyncio.sleep(choose.uniform(0, 0.01))

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(ask(number))
        try:
            traffic = Traffic(handles, writers=writers, pause=0.05, make=spread)
            async with traffic.flowing() as ledger:
                yield ledger
        finally:
            stop.set()


class When(Silent):
    """Does something after a step, and notes all steps and stages."""

    def __init__(self, step: str = "", act: Any = None) -> None:
        self._step, self._act = step, act
        self.steps: list[str] = []
        self.stages: dict[Stage, int] = {}

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None:
        self.stages.setdefault(stage, 0)

    def advance(self, tenant: str, stage: Stage, records: int) -> None:
        self.stages[stage] += records

    def step(self, tenant: str, step: str) -> None:
        self.steps.append(step)
        if step == self._step:
            self._act()


# -- before the crossing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ways", "gate"), BAD.values(), ids=BAD)
async def test_a_bad_new_cluster_stops_the_move_before_the_crossing(
    redis_server: EmbeddedRedis, namespace: str, ways: Ways, gate: str
) -> None:
    limits = {**LIMITS, "latency_ratio": 1.2 if gate == "latency_ratio" else 0}
    async with judged(redis_server, namespace, gates=limits) as world, world.routers(2) as routers:
        ways_of(world, Side.OLD, Ways(seconds=0.1 if gate == "latency_ratio" else 0.0))
        ways_of(world, Side.NEW, ways)
        async with querying(routers) as ledger, world.admin() as admin:
            with pytest.raises(GateFailed) as failure:
                await admin.move("migrate", TENANT)
            assert [broken.split()[0] for broken in failure.value.broken] == [gate]
            assert await world.phase(TENANT) is Phase.DUAL_OLD
            ways_of(world, Side.NEW, Ways())
            outcome = await judged_again(admin)
            assert outcome.phase is Phase.DUAL_NEW
            assert outcome.judged is not None
            assert outcome.judged >= LIMITS["samples"]
        assert ledger.judge(await routers[0].tenant(TENANT).fetch(ledger.writes)) == []
        assert ledger.failures == []
        assert ledger.wrong_reads == []


async def test_a_new_cluster_that_answers_no_query_is_not_waited_for(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    limits = {**LIMITS, "patience": 1000}
    async with judged(redis_server, namespace, gates=limits) as world, world.routers(1) as routers:
        ways_of(world, Side.NEW, Ways(failing=1.0))
        async with querying(routers), world.admin() as admin:
            with pytest.raises(GateFailed, match=r"error_rate is 1, the gate says at most 0\.02"):
                await admin.move("migrate", TENANT)


async def test_without_queries_the_patience_ends_in_a_word_about_samples(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    limits = {**LIMITS, "patience": 0.5}
    async with judged(redis_server, namespace, gates=limits) as world, world.admin() as admin:
        with pytest.raises(GateFailed, match=r"samples is 0, the gate says at least 30\n.*shadow\.share"):
            await admin.move("migrate", TENANT)
        assert await world.phase(TENANT) is Phase.DUAL_OLD
        assert (await admin.move("migrate", TENANT, Options(gates=False))).judged is None
        assert await world.phase(TENANT) is Phase.DUAL_NEW


async def test_what_was_seen_before_the_tenant_was_in_step_does_not_count(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with judged(redis_server, namespace, gates=LIMITS, shadow={**SHADOW, "window": 3600.0}) as world:
        terrible = Tally({f"{Shares.RECALL}/0": 9000, Events.COMPARED: 9000, "error/new/Away": 9000})
        await world.plane.stats.add(TENANT, terrible, window=3600, retention=7200)
        watcher = When()
        async with world.routers(1) as routers, querying(routers), world.admin(watcher) as admin:
            await admin.move("migrate", TENANT)
        assert LIMITS["samples"] <= watcher.stages[Stage.GATES] < 9000


async def test_what_was_seen_before_the_new_side_was_repaired_does_not_count(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    terrible = Tally({f"{Shares.RECALL}/0": 9000, Events.COMPARED: 9000})
    async with judged(redis_server, namespace, gates=LIMITS) as world, world.routers(1) as routers:
        tasks = []

        def seen_meanwhile() -> None:
            tasks.append(
                asyncio.create_task(world.plane.stats.add(TENANT, terrible, window=0.5, retention=60))
            )

        async with world.admin() as admin:
            await admin.move("migrate", TENANT, Options(gates=False))
            await admin.move("rollback", TENANT)
        await world.new.inner.delete(world.config.route.new.place(TENANT), ["r000", "r001"])
        watcher = When("differences marked", seen_meanwhile)
        async with querying(routers), world.admin(watcher) as admin:
            outcome = await admin.move("migrate", TENANT)
        await asyncio.gather(*tasks)
        assert len(tasks) == 1
        assert outcome.repaired >= 2
        assert LIMITS["samples"] <= watcher.stages[Stage.GATES] < 9000


async def test_where_no_gate_is_set_nothing_is_waited_for(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with judged(redis_server, namespace) as world:
        watcher = When()
        async with world.admin(watcher) as admin:
            outcome = await admin.move("migrate", TENANT)
        assert (outcome.phase, outcome.judged, outcome.watched) == (Phase.DUAL_NEW, None, None)
        assert not watcher.stages.keys() & {Stage.GATES, Stage.WATCH}


async def test_a_way_back_is_not_judged(redis_server: EmbeddedRedis, namespace: str) -> None:
    async with judged(redis_server, namespace, gates=LIMITS, watch=LIMITS) as world, world.admin() as admin:
        await admin.move("migrate", TENANT, Options(gates=False, watch=False))
        assert (await admin.move("rollback", TENANT)).phase is Phase.DUAL_OLD


# -- after the crossing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ways", "gate"), BAD.values(), ids=BAD)
async def test_a_new_cluster_that_goes_bad_after_the_crossing_is_left_again(
    redis_server: EmbeddedRedis, namespace: str, ways: Ways, gate: str
) -> None:
    limits = {**LIMITS, "soak": NEVER, "latency_ratio": 1.2 if gate == "latency_ratio" else 0}
    async with judged(redis_server, namespace, watch=limits) as world, world.routers(2) as routers:
        calm = Ways(seconds=0.1 if gate == "latency_ratio" else 0.0)
        ways_of(world, Side.OLD, calm)
        ways_of(world, Side.NEW, calm)
        turn = When("moved to DUAL_NEW", lambda: ways_of(world, Side.NEW, ways))
        async with querying(routers) as ledger, world.admin(turn) as admin:
            await asyncio.sleep(0.05)
            outcome = await admin.move("migrate", TENANT)
        assert (outcome.phase, outcome.rolled_back) == (Phase.DUAL_OLD, True)
        assert [broken.split()[0] for broken in outcome.broken] == [gate]
        assert outcome.rollback_seconds is not None
        assert await world.phase(TENANT) is Phase.DUAL_OLD
        assert ledger.judge(await routers[0].tenant(TENANT).fetch(ledger.writes)) == []
        assert ledger.failures == []
        assert ledger.wrong_reads == []


async def test_a_good_new_cluster_keeps_the_tenant(redis_server: EmbeddedRedis, namespace: str) -> None:
    async with judged(redis_server, namespace, watch=LIMITS) as world, world.routers(1) as routers:
        async with querying(routers), world.admin() as admin:
            outcome = await admin.move("migrate", TENANT)
        assert (outcome.phase, outcome.rolled_back, outcome.broken) == (Phase.DUAL_NEW, False, [])
        assert outcome.watched


async def test_a_watch_without_queries_says_nothing_against_the_new_cluster(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with judged(redis_server, namespace, watch=LIMITS) as world, world.admin() as admin:
        outcome = await admin.move("migrate", TENANT)
        assert (outcome.phase, outcome.watched) == (Phase.DUAL_NEW, 0)


async def test_a_watch_that_is_cut_short_leaves_the_tenant_where_it_is(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with judged(redis_server, namespace, watch={**LIMITS, "soak": 1000}) as world:
        begun = asyncio.Event()
        async with world.admin(When("moved to DUAL_NEW", begun.set)) as admin:
            moving = asyncio.create_task(admin.move("migrate", TENANT))
            await begun.wait()
            await asyncio.sleep(0.2)
            moving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await moving
        assert await world.phase(TENANT) is Phase.DUAL_NEW


# -- canary ----------------------------------------------------------------------------------------------------------


async def test_a_canary_lets_the_new_cluster_answer_more_and_more_reads(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with judged(redis_server, namespace, gates=LIMITS) as world, world.routers(2) as routers:
        watcher = When()
        async with querying(routers) as ledger, world.admin(watcher) as admin:
            await admin.move("migrate", TENANT, Options(canary=True))
        assert [step for step in watcher.steps if step.startswith("canary")] == [
            f"canary at {percent} %" for percent in CANARY
        ]
        assert await world.phase(TENANT) is Phase.DUAL_NEW
        assert ledger.judge(await routers[0].tenant(TENANT).fetch(ledger.writes)) == []


async def test_a_canary_that_fares_badly_ends_at_once(redis_server: EmbeddedRedis, namespace: str) -> None:
    async with judged(redis_server, namespace, gates=LIMITS) as world, world.routers(1) as routers:
        turn = When("canary at 25 %", lambda: ways_of(world, Side.NEW, Ways(wrong=0.6)))
        async with querying(routers), world.admin(turn) as admin:
            with pytest.raises(GateFailed, match="recall"):
                await admin.move("migrate", TENANT, Options(canary=True))
        shard_map, _ = await world.plane.maps.load()
        standing = world.config.route.standing(shard_map, TENANT)
        assert (standing.phase, standing.canary) == (Phase.DUAL_OLD, 0)
        assert [step for step in turn.steps if step.startswith("canary")] == [
            "canary at 5 %", "canary at 25 %", "canary at 0 %",
        ]  # fmt: skip


async def test_a_canary_needs_gates(redis_server: EmbeddedRedis, namespace: str) -> None:
    async with judged(redis_server, namespace) as world, world.admin() as admin:
        with pytest.raises(ConfigError, match="gates"):
            await admin.move("migrate", TENANT, Options(canary=True))


# -- with servers in other processes ---------------------------------------------------------------------------------


@dataclass
class Served:
    """Two Qdrants in processes of their own. What is wrong with the new one is wrong with its queries alone."""

    config: Config
    stores: Mapping[str, Store]
    processes: Mapping[str, QdrantProcess]

    @classmethod
    @asynccontextmanager
    async def made(cls, redis_url: str, namespace: str, **sections: Mapping[str, Any]) -> AsyncIterator[Self]:
        async with QdrantProcess() as old, QdrantProcess() as new:
            config = Config.from_dict(
                {
                    "control": {"url": redis_url, "namespace": namespace},
                    "router": {"linger": 0.3, "deadline": PATIENCE},
                    "shadow": SHADOW,
                    "clusters": {"a": {"kind": "qdrant", "url": old.url}, "b": {"kind": "qdrant", "url": new.url}},
                    "topologies": {
                        "v1": {"dimension": DIMENSION, "placement": {"cluster": "a", "collection": "docs"}},
                        "v2": {"dimension": DIMENSION, "placement": {"cluster": "b", "collection": "docs"}},
                    },
                    "migration": {"from": "v1", "to": "v2", "lock": 15, "barrier": PATIENCE},
                    **sections,
                }
            )  # fmt: skip
            async with connected(config.clusters) as stores:
                served = cls(config, {**stores, "b": MisleadingStore(stores["b"])}, {"a": old, "b": new})
                async with served.admin() as admin:
                    await admin.init()
                await stores["a"].prepare(config.route.old.place(TENANT))
                yield served

    def admin(self, observer: Observer | None = None) -> AbstractAsyncContextManager[Admin]:
        return Admin.open(self.config, stores=self.stores, observer=observer)

    async def go(self, ways: Ways, faults: Mapping[str, float]) -> None:
        new = self.stores["b"]
        assert isinstance(new, MisleadingStore)
        new.ways = ways
        await self.processes["b"].set_faults(**faults, only=["query"])


SERVED: dict[str, tuple[Ways, dict[str, float], str]] = {
    "wrong neighbours": (Ways(wrong=0.6), {"latency": 0.1}, "recall"),
    "six times as slow": (Ways(), {"latency": 0.6}, "latency_ratio"),
    "one query in twenty fails": (Ways(), {"latency": 0.1, "error_rate": 0.05}, "error_rate"),
}


@pytest.mark.slow
@pytest.mark.parametrize("section", ["gates", "watch"])
@pytest.mark.parametrize(("ways", "faults", "gate"), SERVED.values(), ids=SERVED)
async def test_so_it_is_with_servers_in_other_processes(
    redis_server: EmbeddedRedis, namespace: str, section: str, ways: Ways, faults: dict[str, float], gate: str
) -> None:
    samples = 60 if gate == "latency_ratio" else 200  # of which two at a time are slow
    limits = {"samples": samples, "soak": 1.0 if section == "gates" else NEVER, "patience": NEVER}
    limit = {"recall": 0.8, "latency_ratio": 1.3, "error_rate": 0.005}[gate]
    settings = {section: {**limits, gate: limit}}
    crossed = asyncio.Event()
    async with Served.made(redis_server.url, namespace, **settings) as served:
        router = Router(served.config, stores=served.stores)
        await served.processes["a"].set_faults(latency=0.1, only=["query"])
        async with (
            router,
            querying([router]) as ledger,
            served.admin(When("moved to DUAL_NEW", crossed.set)) as admin,
        ):
            await asyncio.sleep(0.3)
            await served.go(*((ways, faults) if section == "gates" else (Ways(), {"latency": 0.1})))
            moving = asyncio.create_task(admin.move("migrate", TENANT))
            if section == "gates":
                with pytest.raises(GateFailed, match=gate):
                    await moving
            else:
                await crossed.wait()
                await served.go(ways, faults)
                outcome = await moving
                assert (outcome.rolled_back, outcome.broken[0].split()[0]) == (True, gate)
            [status] = await admin.status([TENANT])
            assert status.phase is Phase.DUAL_OLD
            await served.go(Ways(), {})
            await asyncio.sleep(0.3)
        async with router:
            assert ledger.acknowledged
            assert ledger.judge(await router.tenant(TENANT).fetch(ledger.writes)) == []
            assert ledger.failures == []
            assert ledger.wrong_reads == []


# -- what is judged, and when ----------------------------------------------------------------------------------------


def tally(*, compared: int = 0, recall: int = 99, failed: int = 0, foreign: int = 0) -> Tally:
    seen = Tally({f"{Shares.RECALL}/{recall}": compared, f"sum/{Shares.RECALL}": compared * recall * 10_000})
    seen.event(Events.COMPARED, compared)
    for _ in range(compared):
        seen.answered(Side.NEW, 0.01)
    for _ in range(failed):
        seen.failed(Side.NEW, "ClusterUnavailable")
    seen.event(Events.BREACH, foreign)
    return seen


@pytest.mark.parametrize(
    ("seen", "broken"),
    [
        (tally(compared=99, recall=10), None),
        (tally(compared=100), []),
        (tally(compared=100, recall=10), ["recall"]),
        (tally(compared=40, failed=60), ["error_rate"]),
        (tally(compared=40, failed=59), None),
        (tally(compared=0, foreign=1), ["breaches"]),
    ],
    ids=["too few", "enough and good", "enough and bad", "failures count", "too few failures", "a foreign record"],
)  # fmt: skip
def test_gates_are_judged_when_there_is_enough_to_judge(seen: Tally, broken: list[str] | None) -> None:
    found = verdict(Gates(samples=100, recall=0.9, error_rate=0.1), seen)
    assert (None if found is None else [breach.gate for breach in found]) == broken
