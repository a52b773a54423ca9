"""What we use of Redis: told by kind, in bounded time."""

from __future__ import annotations

from typing import Any

from shardroute.config import ControlConfig
from shardroute.control import ControlPlane, Usage
from shardroute.embedded import EmbeddedRedis
from shardroute.phases import Phase
from shardroute.statistics import Tally

from .board import LONG, TENANT, Board, declare


async def _usage(board: Board, *moving: str) -> dict[str, Usage]:
    return {one.kind: one for one in (await board.plane.memory(moving)).ours}


async def test_every_key_that_is_there_belongs_to_a_kind_that_is_shown(board: Board) -> None:
    await board.beat("router", withheld={"globex": 1})
    await board.walk(Phase.DUAL_OLD)
    await board.beat("router", withheld={"globex": 1})
    await board.begin("token", ["a", "b"])
    await board.redis.sadd(board.plane.keys.suspects(TENANT), "old d")
    await board.redis.sadd(board.plane.keys.suspected, TENANT)
    await board.plane.journal.mark(TENANT, 0, ["c"])
    await board.plane.stats.add(TENANT, Tally({"compared": 1}), window=LONG, retention=LONG)
    found = await _usage(board, TENANT)
    assert set(found) == {"map", "changes", "sessions", "statistics", "journals"}
    keys = [key async for key in board.redis.scan_iter(board.plane.keys.of("")[0].replace("meta", "*"))]
    counting = ("usage", "sizes", "ends", "batches")  # what statistics are counted with
    beside = {key for key in keys if key.rpartition(":")[2] in counting}
    assert sum(one.keys for one in found.values()) == len(set(keys) - beside)
    assert all(one.bytes for one in found.values())
    assert found["statistics"].limit == 32_000_000


async def test_a_map_that_grows_is_seen_to_grow(board: Board) -> None:
    before = (await _usage(board))["map"].bytes
    for number in range(200):
        await declare(board.plane, f"tenant-{number}")
    after = (await _usage(board))["map"].bytes
    assert before is not None
    assert after is not None
    assert after - before > 200 * 100


async def test_of_many_journals_a_part_is_looked_at_and_the_rest_estimated(board: Board) -> None:
    names = [f"tenant-{number}" for number in range(300)]
    redis: Any = board.redis
    for name in names:
        await redis.sadd(board.key("debt", name), *(f"record-{number}" for number in range(50)))
    await redis.config_resetstat()
    found = (await _usage(board, *names))["journals"]
    commands = sum(command["calls"] for command in (await redis.info("commandstats")).values())
    assert found.keys == 300
    assert found.bytes is not None
    assert found.bytes > 300 * 50 * 10
    assert commands < 100 * 12


async def test_what_a_server_does_not_tell_is_left_open(redis_server: EmbeddedRedis, namespace: str) -> None:
    plane = ControlPlane.open(ControlConfig(url=redis_server.url, namespace=namespace, timeout=20))
    redis: Any = plane.connections.commands
    await plane.maps.create("{}")
    rights = ["+@all", "-info", "-memory"]
    await redis.acl_setuser(namespace, enabled=True, passwords=["+secret"], keys=["*"], commands=rights)
    url = redis_server.url.replace("://", f"://{namespace}:secret@")
    poor = ControlPlane.open(ControlConfig(url=url, namespace=namespace, timeout=20))
    try:
        found = await poor.memory([])
    finally:
        await poor.aclose()
        await redis.acl_deluser(namespace)
        await plane.aclose()
    assert (found.used, found.most) == (0, 0)
    assert {one.kind: one.bytes for one in found.ours} == {
        "map": None, "changes": None, "sessions": None, "statistics": 0, "journals": 0,
    }  # fmt: skip
