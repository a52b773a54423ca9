"""The rights that docs/operations.md lists are enough: a user with those and no others can do everything."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis, embedded_redis
from shardroute.errors import ControlPlaneUnavailable
from shardroute.migration import Options
from shardroute.phases import Phase
from shardroute.stores.memory import MemoryStore
from tests.support.world import config, record

from .test_docs import text

PASSWORD = "a-password"
SHADOWED: dict[str, Any] = {"shadow": {"share": 1.0, "floor": 1.0, "budget": 1.0, "flush": 0.05}}
RECORDED: dict[str, Any] = {"recording": {"share": 1.0}}


def documented(namespace: str, *, cluster: bool) -> list[str]:
    """The command of the document, and what it says about clusters."""
    whole = text("docs/operations.md")
    found = re.search(r"^ACL SETUSER .*$", whole, re.MULTILINE)
    more = re.search(r"A Redis Cluster needs `([^`]*)`", whole)
    assert found
    assert more
    line = found[0].replace("PASSWORD", PASSWORD).replace("NAMESPACE", namespace)
    return [*line.split(), *(more[1].split() if cluster else [])]


@asynccontextmanager
async def restricted(namespace: str, *, cluster: bool) -> AsyncIterator[tuple[EmbeddedRedis, Any, Config]]:
    async with embedded_redis(cluster=cluster) as server:
        root: Any = Redis(port=server.port, decode_responses=True)
        await root.execute_command(*documented(namespace, cluster=cluster))
        await root.execute_command("ACL", "SETUSER", "default", "-@all", "+acl", "+hello", "+client")
        url = server.url.replace("redis://", f"redis://shardroute:{PASSWORD}@")
        settings = config(url, namespace, **SHADOWED, **RECORDED, control={"cluster": cluster, "timeout": 10})
        yield server, root, settings
        await root.aclose()


async def refused(root: Any) -> list[str]:
    """Commands that somebody had no right to, as Redis noted them."""
    return [f"{entry['username']}: {entry['object']}" for entry in await root.acl_log()]


@pytest.mark.parametrize("cluster", [False, True], ids=["one server", "a cluster"])
async def test_the_documented_rights_are_enough_for_everything(
    namespace: str, cluster: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stores = {"a": MemoryStore("a"), "b": MemoryStore("b")}
    async with (
        restricted(namespace, cluster=cluster) as (_, root, settings),
        Admin.open(settings, stores=stores, patience=5) as admin,
    ):
        await admin.init()
        async with Router(settings, stores=stores) as router:
            acme = router.tenant("acme")
            await acme.upsert([record(str(number)) for number in range(50)])
            await router.create_tenant("globex")
            await admin.move("migrate", "acme", Options())
            await acme.update("1", metadata={"v": 2})
            await acme.query([1.0, 2.0, 3.0, 4.0])
            await acme.delete(["2"])
            await admin.move("rollback", "acme", Options())
            await acme.query([1.0, 2.0, 3.0, 4.0])
            await admin.touch("acme", ["1"])
            await admin.repair("acme")
            await admin.verify("acme", repair=True)
            await admin.replay("acme", await admin.recorded("acme"))
            await admin.compare("acme")
            await admin.forget_comparisons("acme")
            await admin.move("migrate", "acme", Options())
            await admin.move("complete", "acme", Options())
            await admin.purge("acme")
            diagnosis = await admin.doctor()
            assert not any("does not say" in note for note in diagnosis.notes)
            assert [status.phase for status in await admin.status(["acme"])] == [Phase.NEW]
            await admin.evict("nobody")
        await admin.finish()
        if not cluster:
            assert await root.execute_command("ACL", "DRYRUN", "shardroute", "WAIT", 1, 1) == "OK"
        assert await refused(root) == []
    assert "NOPERM" not in caplog.text


async def test_the_documented_rights_reach_no_other_s_keys_and_no_server(namespace: str) -> None:
    async with restricted(namespace, cluster=False) as (server, _, _):
        user: Any = Redis(port=server.port, username="shardroute", password=PASSWORD)
        for words in (
            ["GET", "another's"],
            ["HGETALL", "{shardroute.another}:meta"],
            ["FLUSHALL"],
            ["KEYS", "*"],
            ["CONFIG", "SET", "maxmemory", "1"],
            ["ACL", "LIST"],
            ["SHUTDOWN"],
            ["EVAL", "return redis.call('GET', 'another')", "0"],
        ):
            with pytest.raises(Exception, match=r"(?i)permissions|can't access"):
                await user.execute_command(*words)
        await user.aclose()


async def test_without_the_right_to_see_settings_doctor_says_so_and_goes_on(namespace: str) -> None:
    async with (
        restricted(namespace, cluster=False) as (_, root, settings),
        Admin.open(settings, stores={"a": MemoryStore("a"), "b": MemoryStore("b")}) as admin,
    ):
        await root.execute_command("ACL", "SETUSER", "shardroute", "-config|get")
        await admin.init()
        assert any("does not say" in note for note in (await admin.doctor()).notes)


@pytest.mark.parametrize("right", ["+@write", "+evalsha", "+@read"])
async def test_a_right_that_is_missing_is_named(namespace: str, right: str) -> None:
    async with (
        restricted(namespace, cluster=False) as (_, root, settings),
        Admin.open(settings, stores={}, patience=0) as admin,
    ):
        await admin.init()
        await root.execute_command("ACL", "SETUSER", "shardroute", right.replace("+", "-"))
        with pytest.raises(ControlPlaneUnavailable, match=r"docs/operations\.md") as caught:
            await admin.map()
        assert caught.value.refused
