"""What `doctor` finds: records that nobody reads, and a Redis that fills up."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shardroute import Router
from shardroute.embedded import EmbeddedRedis, embedded_redis
from shardroute.errors import ClusterUnavailable
from shardroute.phases import Side
from tests.control.board import declare
from tests.docs.test_docs import blocks
from tests.support.world import World, record


@pytest.fixture
async def own_redis() -> AsyncIterator[EmbeddedRedis]:
    async with embedded_redis() as server:
        yield server


async def _declared_without_looking(world: World, tenant: str) -> None:
    """As earlier versions did."""
    async with world.router() as router:
        await router.tenant(tenant).upsert([record(str(number)) for number in range(50)])
    await declare(world.plane, tenant)


async def _told(world: World) -> tuple[list[str], list[str]]:
    async with world.admin() as admin:
        found = await admin.doctor()
    return [line for line in found.problems if "purge" in line], [
        line for line in found.notes if "purge" in line
    ]


async def test_a_tenant_that_was_declared_over_its_data_is_a_problem_whatever_it_wrote_since(
    world: World,
) -> None:
    await _declared_without_looking(world, "acme")
    for _ in range(2):
        problems, notes = await _told(world)
        assert notes == []
        [problem] = problems
        assert "tenant acme was declared new, and has records on cluster 'a'" in problem
        assert "Do not purge it" in problem
        async with world.router() as router:
            await router.tenant("acme").upsert([record("since")])


async def test_what_the_document_says_brings_the_records_over_and_keeps_what_was_written_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _declared_without_looking(world, "acme")
    async with world.router() as router:
        await router.tenant("acme").upsert([record("7", 999)])
    [code] = blocks("docs/operations.md", "python")
    monkeypatch.setattr(Router, "from_config", lambda _: world.router())
    found: dict[str, Any] = {}
    exec(f"async def bring_over():\n{textwrap.indent(code, '    ')}", {"Router": Router}, found)
    for _ in range(2):
        await found["bring_over"]()
        content = await world.content("acme", Side.NEW)
        assert set(content) == {str(number) for number in range(50)}
        assert content["7"].metadata == {"v": 999}
    assert len(await world.content("acme", Side.OLD)) == 50, "nothing was deleted"


async def test_tenants_that_moved_are_left_alone_and_one_that_lost_all_is_asked_about(world: World) -> None:
    async with world.router() as router, world.admin() as admin:
        for tenant in ("one", "two", "three"):
            await router.tenant(tenant).upsert([record("a")])
            await admin.move("migrate", tenant)
        for tenant in ("one", "two"):
            await admin.move("complete", tenant)
        await router.create_tenant("fresh")
    assert await _told(world) == ([], [])
    async with world.router() as router:
        await router.tenant("two").delete(["a"])
    problems, [note] = await _told(world)
    assert problems == []
    assert note.startswith("tenant two is at NEW and has records on cluster 'a' only")


async def test_a_cluster_that_does_not_list_its_tenants_does_not_end_the_doctor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _declared_without_looking(world, "acme")

    async def refuses(*_: object) -> AsyncIterator[str]:
        if world.old.name:
            raise ClusterUnavailable("a", "down")
        yield ""

    monkeypatch.setattr(world.old, "tenants", refuses)
    async with world.admin() as admin:
        found = await admin.doctor()
    assert found.problems == []
    [note] = [line for line in found.notes if "nobody reads" in line]
    assert note == "records that nobody reads were not looked for: cluster 'a': down"


async def test_a_redis_that_fills_up_is_a_problem_before_it_is_full(
    own_redis: EmbeddedRedis, namespace: str
) -> None:
    async with World.made(own_redis.url, namespace) as world, world.admin() as admin:
        redis: Any = world.plane.connections.commands
        assert not [line for line in (await admin.doctor()).problems if "maxmemory" in line]
        used = int((await redis.info("memory"))["used_memory"])
        await redis.config_set("maxmemory", int(used * 1.2))
        [problem] = [line for line in (await admin.doctor()).problems if "maxmemory," in line]
        assert problem.startswith("Redis uses ")
        assert "be written" in problem
