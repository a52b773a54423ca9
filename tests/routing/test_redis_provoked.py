"""A real Redis that refuses for a while, each in its own way: writing goes on when it is well again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shardroute import LeaseLost, Router
from shardroute.control import ControlPlane
from shardroute.control.keys import Keys
from shardroute.control.redis_errors import CODES
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ControlPlaneUnavailable
from shardroute.phases import Phase
from tests.control.board import TENANT, Board
from tests.support.answering import answering
from tests.support.patience import PATIENCE
from tests.support.world import config, record

from .stage import Stage, staged, until
from .test_redis_errors import through

SHORT: dict[str, Any] = {"lease": 2.0, "idle_lease": 2.0, "timeout": 1.0}


class TunedRedis(EmbeddedRedis):
    """With further options of the server."""

    options: tuple[str, ...] = ()

    def _command(self) -> list[str]:
        return [*super()._command(), *self.options]


@asynccontextmanager
async def tuned(folder: Path, *, cluster: bool = False) -> AsyncIterator[TunedRedis]:
    server = TunedRedis(folder, cluster=cluster)
    server.options = ("--enable-protected-configs", "yes", "--repl-timeout", "2")
    await server.start()
    try:
        yield server
    finally:
        server.kill()


# -- what befalls it ----------------------------------------------------------------------------------------------


class Trouble:
    """One way of refusing. `code`: of the error that has to be met; "" where nothing is answered."""

    code = ""
    told = ""

    def __init__(self, server: TunedRedis, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self.redis: Any = Redis(port=server.port, decode_responses=True, socket_timeout=None)

    async def begin(self) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        raise NotImplementedError


class Demoted(Trouble):
    code = "READONLY"

    async def begin(self) -> None:
        await self.redis.execute_command("REPLICAOF", "127.0.0.1", 1)

    async def end(self) -> None:
        await self.redis.execute_command("REPLICAOF", "NO", "ONE")


class DemotedAndMute(Demoted):
    code = "MASTERDOWN"

    async def begin(self) -> None:
        await self.redis.config_set("replica-serve-stale-data", "no")
        await super().begin()


class Full(Trouble):
    code = "OOM"

    async def begin(self) -> None:
        await self.redis.config_set("maxmemory", 1)

    async def end(self) -> None:
        await self.redis.config_set("maxmemory", 0)


class WithoutReplicas(Trouble):
    code = "NOREPLICAS"

    async def begin(self) -> None:
        await self.redis.config_set("min-replicas-to-write", 1)

    async def end(self) -> None:
        await self.redis.config_set("min-replicas-to-write", 0)


class Busy(Trouble):
    code = "BUSY"

    async def begin(self) -> None:
        await self.redis.config_set("lua-time-limit", 50)
        other: Any = Redis(port=self.server.port, socket_timeout=None)
        self.script = asyncio.create_task(other.eval("while true do end", 0))
        self.script.add_done_callback(lambda script: script.exception())
        self.other = other

    async def end(self) -> None:
        await self.redis.script_kill()
        await asyncio.wait([self.script])
        await self.other.aclose()


class DiskBroken(Trouble):
    code = "MISCONF"

    async def begin(self) -> None:
        folder = Path((await self.redis.config_get("dir"))["dir"])
        (folder / "taken" / "inside").mkdir(parents=True)
        await self.redis.config_set("dbfilename", "taken")
        await self.redis.config_set("save", "3600 1")
        await self.redis.bgsave()
        await until(self._has_failed)

    async def _has_failed(self) -> bool:
        return bool((await self.redis.info("persistence"))["rdb_last_bgsave_status"] == "err")

    async def end(self) -> None:
        await self.redis.config_set("save", "")


class RightTakenAway(Trouble):
    code = "NOPERM"

    async def begin(self) -> None:
        await self.redis.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")

    async def end(self) -> None:
        await self.redis.execute_command("ACL", "SETUSER", "default", "+@all")


class RightTakenAwayFromScripts(RightTakenAway):
    told = CODES["NOPERM"].advice  # the words, and the code, differ from one version to the next

    async def begin(self) -> None:
        await self.redis.execute_command("ACL", "SETUSER", "default", "-zadd")


class PasswordAsked(Trouble):
    code = "NOAUTH"

    async def begin(self) -> None:
        await self.redis.config_set("requirepass", "hunter2")
        await self.redis.client_kill_filter(_type="normal", skipme=True)

    async def end(self) -> None:
        await self.redis.config_set("requirepass", "")


class TooManyClients(Trouble):
    code = "ERR"

    async def begin(self) -> None:
        await self.redis.config_set("maxclients", 1)
        await self.redis.client_kill_filter(_type="normal", skipme=True)

    async def end(self) -> None:
        await self.redis.config_set("maxclients", 1000)


class Paused(Trouble):
    async def begin(self) -> None:
        await self.redis.execute_command("CLIENT", "PAUSE", 5_000)

    async def end(self) -> None:
        """By itself: a server that is paused hears nobody."""


class Loading(Trouble):
    code = "LOADING"

    async def begin(self) -> None:
        pipeline = self.redis.pipeline(transaction=False)
        for number in range(2500):
            pipeline.set(f"{{ballast}} {number}", number)
        await pipeline.execute()
        await self.redis.save()
        self.server.kill()
        self.server.options += (
            "--key-load-delay",
            "2000",
            "--loading-process-events-interval-bytes",
            "1024",
        )
        self.starting = asyncio.create_task(self.server.start())

    async def end(self) -> None:
        await self.redis.config_set("key-load-delay", 0)
        await self.starting


class LoadingNode(Loading):
    code = ""  # the cluster's client asks again by itself, for longer than a request may take


class WithoutSlots(Trouble):
    code = ""  # the client asks who serves the slot, and finds nobody

    async def begin(self) -> None:
        await self.redis.config_set("cluster-require-full-coverage", "no")
        key = Keys(self.namespace).meta
        self.slot = await self.redis.execute_command("CLUSTER", "KEYSLOT", key)
        await self.redis.execute_command("CLUSTER", "DELSLOTS", self.slot)

    async def end(self) -> None:
        await self.redis.execute_command("CLUSTER", "ADDSLOTS", self.slot)


LASTING: list[type[Trouble]] = [
    Demoted, DemotedAndMute, Full, WithoutReplicas, Busy, DiskBroken, RightTakenAway, RightTakenAwayFromScripts,
    PasswordAsked, TooManyClients, Paused, Loading,
]  # fmt: skip
IN_A_CLUSTER: list[type[Trouble]] = [WithoutSlots, Full, RightTakenAway, Busy, Paused, LoadingNode]


@asynccontextmanager
async def troubled(
    server: TunedRedis, kind: type[Trouble], namespace: str, **control: Any
) -> AsyncIterator[tuple[Stage, Router, Trouble]]:
    trouble = kind(server, namespace)
    try:
        async with (
            staged(server.url, namespace, control=SHORT | control) as stage,
            stage.router() as router,
        ):
            yield stage, router, trouble
    finally:
        await trouble.redis.aclose()


async def lives_through(
    stage: Stage, router: Router, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    handle = router.tenant(TENANT)
    await handle.upsert([record("one")])
    await trouble.begin()
    try:
        await until(lambda: not router.ready)
        with pytest.raises(LeaseLost):
            await handle.upsert([record("two")], timeout=0.05)
        await until(lambda: _met(trouble, caplog))
    finally:
        await trouble.end()
    await handle.upsert([record("three")], timeout=PATIENCE)
    assert router.ready
    await stage.board.take_lock()
    assert await handle.fetch(["one", "three"])


def _met(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> bool:
    answered = f"Redis answered {trouble.code}" if trouble.code else "Redis did not answer"
    return (trouble.told or answered) in caplog.text


@pytest.mark.parametrize("kind", LASTING, ids=lambda kind: kind.__name__)
async def test_writing_goes_on_when_redis_is_well_again(
    tmp_path: Path, namespace: str, caplog: pytest.LogCaptureFixture, kind: type[Trouble]
) -> None:
    async with (
        tuned(tmp_path) as server,
        troubled(server, kind, namespace) as (stage, router, trouble),
    ):
        await lives_through(stage, router, trouble, caplog)


@pytest.mark.parametrize("kind", IN_A_CLUSTER, ids=lambda kind: kind.__name__)
async def test_writing_goes_on_when_a_cluster_is_well_again(
    tmp_path: Path, namespace: str, caplog: pytest.LogCaptureFixture, kind: type[Trouble]
) -> None:
    async with (
        tuned(tmp_path, cluster=True) as server,
        troubled(server, kind, namespace, cluster=True) as (stage, router, trouble),
    ):
        await lives_through(stage, router, trouble, caplog)


# -- what is over at once -----------------------------------------------------------------------------------------


async def followers(redis: Any) -> list[Any]:
    return [client["id"] for client in await redis.client_list() if client["cmd"] == "xread"]


@pytest.mark.parametrize("way", ["UNBLOCK", "KILL", "SCRIPT FLUSH"])
async def test_who_is_sent_away_or_forgotten_comes_again(tmp_path: Path, namespace: str, way: str) -> None:
    async with (
        tuned(tmp_path) as server,
        staged(server.url, namespace, control=SHORT) as stage,
        stage.router() as router,
    ):
        redis = stage.board.redis

        async def is_waited() -> bool:
            return bool(await followers(redis))

        await until(is_waited)
        if way == "SCRIPT FLUSH":
            await redis.script_flush()
        for client in await followers(redis):
            if way == "UNBLOCK":
                await redis.execute_command("CLIENT", "UNBLOCK", client, "ERROR")
            elif way == "KILL":
                await redis.client_kill_filter(_id=client)
        await stage.board.walk(Phase.DUAL_OLD)
        assert router.tenant(TENANT).phase is Phase.DUAL_OLD
        await router.tenant(TENANT).upsert([record("one")], timeout=PATIENCE)


# -- a failover ---------------------------------------------------------------------------------------------------


async def test_a_master_that_is_demoted_where_it_stands_is_left_for_the_one_that_has_its_address(
    tmp_path: Path, namespace: str
) -> None:
    """It keeps its clients connected, as after a planned failover by Sentinel or a cloud."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        tuned(tmp_path / "one") as one,
        tuned(tmp_path / "two") as two,
        answering(one.url) as address,
        staged(address.own_url, namespace, control=SHORT) as stage,
        stage.router() as router,
        Redis(port=one.port) as master,
        Redis(port=two.port) as replica,
    ):
        handle = router.tenant(TENANT)
        await handle.upsert([record("one")])
        await stage.board.walk(Phase.DUAL_OLD)
        await replica.config_set("repl-diskless-sync-delay", 0)
        await master.config_set("repl-diskless-sync-delay", 0)
        await replica.replicaof("127.0.0.1", one.port)

        async def in_sync() -> bool:
            link: Any = await replica.info("replication")
            return link["master_link_status"] == "up" and bool(await replica.exists(Keys(namespace).meta))

        await until(in_sync)
        address.url = two.url
        await master.execute_command("CLIENT", "PAUSE", 200, "WRITE")  # type: ignore[no-untyped-call]  # redis-py
        await replica.replicaof("no", "one")
        await master.replicaof("127.0.0.1", two.port)
        await handle.upsert([record("two")], timeout=PATIENCE)
        plane = ControlPlane.open(config(two.url, namespace).control)
        await Board(plane).walk(Phase.OLD)
        await plane.aclose()
        assert router.tenant(TENANT).phase is Phase.OLD
        await until(lambda: router.ready)


@pytest.mark.parametrize("what", ["map", "barrier"])
async def test_a_replica_never_speaks_for_the_map(tmp_path: Path, namespace: str, what: str) -> None:
    """Before its first copy it is empty; that is no lost map, and nobody to wait for is not nobody alive."""
    async with tuned(tmp_path) as server, Redis(port=server.port) as redis:
        await redis.replicaof("127.0.0.1", 1)
        plane = ControlPlane.open(config(server.url, namespace).control)
        try:
            with pytest.raises(ControlPlaneUnavailable) as caught:
                await (plane.maps.load() if what == "map" else plane.sessions.lagging(1))
        finally:
            await plane.aclose()
    assert caught.value.code == "READONLY"


async def test_an_empty_server_that_soon_gives_way_to_the_one_with_the_map_ends_nothing(
    tmp_path: Path, namespace: str
) -> None:
    """As a master that is restarted without its data, until whoever watches over it has made it a replica."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        tuned(tmp_path / "one") as one,
        tuned(tmp_path / "two") as empty,
        answering(one.url) as address,
        staged(one.url, namespace, control=SHORT | {"lease": 6.0, "idle_lease": 6.0}) as stage,
        Router(through(stage.world.config, address), stores=stage.world.stores) as router,
    ):
        handle = router.tenant(TENANT)
        await handle.upsert([record("one")])
        address.url = empty.url
        address.sever()
        await until(lambda: not router.ready)
        with pytest.raises(LeaseLost):
            await handle.upsert([record("two")], timeout=0.05)
        address.url = one.url
        address.sever()
        await handle.upsert([record("two")], timeout=PATIENCE)
        assert router.ready
