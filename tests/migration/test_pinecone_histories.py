"""Histories in which reads that lag could lose a write, bring back what was deleted, or make a hold last."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shardroute import Config
from shardroute.admin import Admin
from shardroute.clusters import connected
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ConfigError, InvalidRecord, MigrationError, PreflightFailed
from shardroute.migration import Options, Silent
from shardroute.phases import Phase, Side
from shardroute.records import Record
from shardroute.testing.pinecone import Lag
from shardroute.topology import Place
from tests.support.flaky import FlakyStore
from tests.support.pairs import KEY, LAG, Pair, ServedPinecone
from tests.support.world import DIMENSION

pytestmark = pytest.mark.slow

PINECONE = ["pinecone-vectors", "pinecone-documents"]


@pytest.mark.parametrize("kind", PINECONE)
async def test_finish_finds_a_tenant_whose_first_write_is_not_to_be_seen_yet(
    redis_server: EmbeddedRedis, namespace: str, kind: str
) -> None:
    async with (
        Pair.served(redis_server.url, namespace, kind, "qdrant") as pair,
        pair.routers(1) as routers,
        pair.admin() as admin,
    ):
        tenant = routers[0].tenant("late")
        await tenant.upsert([pair.record("a", 1)])
        with pytest.raises(MigrationError, match="late must be moved"):
            await admin.finish()
        assert tenant.phase is Phase.OLD
        assert "a" in await pair.content("late", Side.OLD)


class GivesUp(Silent):
    """Ends a migration when its tenant is on both clusters, before the copy."""

    def step(self, tenant: str, step: str) -> None:
        if step == f"barrier of {Phase.DUAL_OLD}":
            raise MigrationError("somebody thought better of it")


@pytest.mark.parametrize("kind", PINECONE)
async def test_what_an_aborted_migration_left_on_the_target_is_seen_before_the_next_one(
    redis_server: EmbeddedRedis, namespace: str, kind: str
) -> None:
    """Else `deleted`, which was deleted when the tenant was on one cluster, would be back after the move."""
    async with Pair.served(redis_server.url, namespace, "qdrant", kind) as pair, pair.routers(1) as routers:
        tenant = routers[0].tenant("acme")
        await tenant.upsert([pair.record("a", 1)])
        async with pair.admin(GivesUp()) as admin:
            with pytest.raises(MigrationError, match="thought better"):
                await admin.move("migrate", "acme")
        await tenant.upsert([pair.record("deleted", 1)])
        async with pair.admin() as admin:
            await admin.move("abort", "acme")
            await tenant.delete(["deleted"])
            with pytest.raises(PreflightFailed, match="holds 1 records"):
                await admin.move("migrate", "acme", Options(verify=False))


async def test_a_delete_by_filter_waits_for_the_cluster_that_reads_have_crossed_to(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with (
        Pair.served(redis_server.url, namespace, *PINECONE) as pair,
        pair.routers(1) as routers,
        pair.admin() as admin,
    ):
        tenant = routers[0].tenant("acme")
        old, new = pair.old, pair.new
        assert isinstance(old, ServedPinecone)
        assert isinstance(new, ServedPinecone)
        await tenant.upsert([pair.record("a", 1)])
        await admin.move("migrate", "acme", Options(verify=False))
        await admin.move("rollback", "acme")
        old.server.lag = Lag(search=math.inf)
        deleting = asyncio.create_task(tenant.delete(filter={"v": 2}))
        await asyncio.sleep(0.2)
        await admin.move("migrate", "acme", Options(verify=False))
        new.server.lag = LAG
        await tenant.upsert([pair.record("b", 2)])
        old.server.lag = Lag()
        await deleting
        assert "b" not in await pair.content("acme", Side.NEW)


class CatchesUp(FlakyStore):
    """After its reads have caught up, something happens, once."""

    then: Callable[[], Awaitable[None]] | None = None

    async def fresh(self, place: Place) -> None:
        await super().fresh(place)
        then, self.then = self.then, None
        if then is not None:
            await then()


@pytest.mark.parametrize("kind", PINECONE)
async def test_what_was_paid_in_the_last_moment_is_seen_when_reads_cross(
    redis_server: EmbeddedRedis, namespace: str, kind: str
) -> None:
    async with (
        Pair.served(redis_server.url, namespace, kind, "qdrant") as pair,
        pair.routers(1) as routers,
        connected(pair.config.clusters) as stores,
    ):
        tenant, old = routers[0].tenant("acme"), CatchesUp(stores["a"])
        await tenant.upsert([pair.record("a", 1), pair.record("b", 1)])
        async with Admin.open(pair.config, stores={**stores, "a": old}) as admin:
            await admin.move("migrate", "acme")

            async def paid() -> None:
                await pair.write_past_the_router("acme", Side.NEW, [pair.record("a", 2)])
                await admin.touch("acme", ["a"])

            old.then = paid
            await admin.move("rollback", "acme", Options(verify=False))
            found = await tenant.fetch(["a", "b"])
        assert tenant.phase is Phase.DUAL_OLD
        assert {record_id: record.metadata["v"] for record_id, record in found.items()} == {"a": 2, "b": 1}


@pytest.mark.parametrize("kind", PINECONE)
async def test_an_empty_list_that_pinecone_held_already_goes_there_and_back(
    redis_server: EmbeddedRedis, namespace: str, kind: str
) -> None:
    """What is refused to applications must not stop debt from being paid: nothing could be rolled back then."""
    async with (
        Pair.served(redis_server.url, namespace, kind, "qdrant") as pair,
        pair.routers(1) as routers,
        pair.admin() as admin,
    ):
        tenant, held = routers[0].tenant("acme"), Record("held", [1, 2, 3, 4], {"v": 1, "tags": []})
        with pytest.raises(InvalidRecord, match=r"'tags' is an empty list.*empty_lists"):
            await tenant.upsert([held])
        await tenant.upsert([pair.record("usual", 1)])
        await pair.write_past_the_router("acme", Side.OLD, [held])
        await admin.move("migrate", "acme")
        with pytest.raises(InvalidRecord, match="'tags' is an empty list"):
            await tenant.update("usual", metadata={"tags": []})
        await admin.touch("acme", ["held"])
        await admin.move("rollback", "acme")
        await admin.repair("acme")
        assert (await tenant.fetch(["held"]))["held"].metadata == {"v": 1, "tags": []}
        assert (await pair.content("acme", Side.OLD))["held"].metadata == {"v": 1, "tags": []}


@pytest.mark.parametrize("kind", PINECONE)
async def test_an_empty_list_on_its_way_to_pinecone_is_named_before_anything_is_copied(
    redis_server: EmbeddedRedis, namespace: str, kind: str
) -> None:
    async with (
        Pair.served(redis_server.url, namespace, "qdrant", kind) as pair,
        pair.routers(1) as routers,
        pair.admin() as admin,
    ):
        await routers[0].tenant("acme").upsert([Record("held", [1, 2, 3, 4], {"tags": []})])
        with pytest.raises(PreflightFailed, match=r"'held' does not fit: metadata 'tags' is an empty list"):
            await admin.move("migrate", "acme")
        assert await pair.content("acme", Side.NEW) == {}


@pytest.mark.parametrize(
    ("clusters", "old", "new"),
    [
        ({"a": "https://one"}, {"collection": "docs"}, {"collection": "pages"}),
        ({"a": "https://one", "b": "one/"}, {}, {"cluster": "b", "namespace": "new-{tenant}"}),
        ({"a": "", "b": ""}, {"collection": "docs"}, {"cluster": "b", "collection": "docs"}),
    ],
    ids=["collections of one host", "two names of one host", "one index of one project"],
)
def test_two_topologies_in_one_index_are_refused(
    clusters: dict[str, str], old: dict[str, str], new: dict[str, str]
) -> None:
    """`purge`, and `--purge-target`, would delete what the tenant lives on."""
    tables = {name: _cluster(host) for name, host in clusters.items()}
    with pytest.raises(ConfigError, match="same collections"):
        Config.from_dict(
            _raw(tables, {"cluster": "a", **old}, {"cluster": "a", **new}, same=True), {KEY: "any"}
        )


def _cluster(host: str, **options: Any) -> dict[str, Any]:
    return {"kind": "pinecone-vectors", "api_key_env": KEY, **({"host": host} if host else {}), **options}


def _raw(
    clusters: dict[str, Any], old: dict[str, str], new: dict[str, str], *, same: bool = False
) -> dict[str, Any]:
    if not same:
        clusters, new = {**clusters, "other": {"kind": "memory"}}, {"cluster": "other"}
    return {
        "clusters": clusters,
        "topologies": {
            "v1": {"dimension": DIMENSION, "placement": old},
            "v2": {"dimension": DIMENSION, "placement": new},
        },
        "migration": {"from": "v1", "to": "v2"},
    }
