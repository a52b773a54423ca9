"""Whatever Redis answers for a while, writing goes on afterwards: in the same router, without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shardroute import LeaseLost, Router
from shardroute.admin import Admin
from shardroute.config import Config
from shardroute.control.redis_errors import CODES, Meaning
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ControlPlaneUnavailable
from shardroute.migration import Options
from shardroute.phases import Phase
from tests.control.board import TENANT
from tests.support.answering import AnsweringRedis, answering
from tests.support.patience import PATIENCE
from tests.support.world import record

from .stage import Stage, staged, until

SHORT = {"lease": 2.0, "idle_lease": 2.0, "timeout": 2.0}

_WORDS = {
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "ASK": "ASK 3999 127.0.0.1:6381",
}


def lines(meaning: Meaning) -> list[str]:
    return [
        _WORDS.get(code, f"{code} some words") for code, entry in CODES.items() if entry.meaning is meaning
    ]


TABLE: dict[str, Sequence[str]] = {
    **{meaning.name: lines(meaning) for meaning in Meaning},
    "ERR": [
        "ERR max number of clients reached",
        "ERR unknown command 'XREAD', with args beginning with: 'BLOCK'",
        "ERR The user executing the script can't run this command or subcommand",
        "ERR Error running script (call to f_1f): @user_script:3: -OOM command not allowed",
        "ERR operation not permitted",
        "ERR invalid password",
    ],
    "UNKNOWN": ["FROBNICATED the frob", "upstream failure", "", "-"],
}


def through(configuration: Config, redis: AnsweringRedis) -> Config:
    return replace(configuration, control=replace(configuration.control, url=redis.own_url))


@asynccontextmanager
async def opened(stage: Stage, redis: AnsweringRedis) -> AsyncIterator[Router]:
    async with Router(through(stage.world.config, redis), stores=stage.world.stores) as router:
        yield router


async def survives(stage: Stage, line: str) -> None:
    """Struck until its lease is gone and writes wait, a router writes again as soon as Redis is well."""
    async with answering(stage.world.config.control.url) as redis, opened(stage, redis) as router:
        handle = router.tenant(TENANT)
        await handle.upsert([record("one")])
        redis.answer = line or " "
        await until(lambda: not router.ready)
        with pytest.raises(LeaseLost) as caught:
            await handle.upsert([record("two")], timeout=0.05)
        assert caught.value.retryable
        with pytest.raises(ControlPlaneUnavailable):
            await router.create_tenant("globex")
        waiting = asyncio.create_task(handle.upsert([record("two")], timeout=PATIENCE))
        struck = redis.struck
        await until(lambda: redis.struck > struck)
        assert not waiting.done()
        redis.answer = ""
        await waiting
        assert router.ready


@pytest.mark.parametrize("group", TABLE)
async def test_no_answer_of_the_table_ends_writing(
    redis_server: EmbeddedRedis, namespace: str, group: str
) -> None:
    async with (
        staged(redis_server.url, namespace, control=SHORT) as stage,
        asyncio.TaskGroup() as together,
    ):
        for line in TABLE[group]:
            together.create_task(survives(stage, line), name=line)


@pytest.mark.parametrize("line", ["READONLY a replica", "NOPERM no", "WRONGTYPE a string", "FROBNICATED ?"])
async def test_a_migrator_under_way_goes_on_when_redis_is_well_again(
    redis_server: EmbeddedRedis, namespace: str, line: str
) -> None:
    async with (
        staged(redis_server.url, namespace, control=SHORT, copy={"page": 5}) as stage,
        answering(redis_server.url) as redis,
        opened(stage, redis) as router,
        Admin.open(through(stage.world.config, redis), stores=stage.world.stores) as admin,
    ):
        handle = router.tenant(TENANT)
        await handle.upsert([record(str(number)) for number in range(40)])
        stage.new.shut()
        moving = asyncio.create_task(admin.move("migrate", TENANT, Options()))
        await stage.new.reached.wait()  # the copy
        redis.answer = line
        stage.new.open()
        struck = redis.struck
        await until(lambda: redis.struck > struck + 3)
        redis.answer = ""
        await moving
        assert await stage.world.phase(TENANT) is Phase.DUAL_NEW
        await handle.upsert([record("last")], timeout=PATIENCE)
        assert await stage.sides_are_equal()


async def test_a_migrator_whose_patience_ends_says_what_redis_answered(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with staged(redis_server.url, namespace) as stage, answering(redis_server.url) as redis:
        config = through(stage.world.config, redis)
        async with Admin.open(config, stores=stage.world.stores, patience=0.3) as admin:
            redis.answer = "OOM command not allowed when used memory > 'maxmemory'."
            with pytest.raises(
                ControlPlaneUnavailable, match=r"OOM: command not allowed.*more memory"
            ) as caught:
                await admin.move("migrate", TENANT, Options())
    assert caught.value.code == "OOM"


async def test_an_answer_that_may_come_from_the_wrong_server_makes_all_connections_anew(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with (
        staged(redis_server.url, namespace, control=SHORT) as stage,
        answering(redis_server.url) as redis,
        opened(stage, redis) as router,
    ):
        before = redis.connections
        redis.answer = "READONLY You can't write against a read only replica."
        await until(lambda: redis.connections > before + 2)
        redis.answer = ""
        await until(lambda: router.ready)
