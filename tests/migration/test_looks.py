"""What one answer of a cluster that lags says is not believed alone: its replicas may differ, and reads go back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shardroute.errors import MigrationError, TenantHasData
from shardroute.ports import Page
from shardroute.records import Record
from shardroute.stores.memory import MemoryStore
from shardroute.topology import Place
from tests.support.world import World, record

LAG = 0.01


@pytest.fixture
def lagging(world: World, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The old cluster, as one whose reads lag."""
    inner = world.old.inner
    assert isinstance(inner, MemoryStore)
    monkeypatch.setattr(inner, "lag", LAG)
    return inner


def blind(store: MemoryStore, monkeypatch: pytest.MonkeyPatch, method: str, *turns: bool) -> None:
    """Of the next calls of `fetch` or `scan`, those are answered by a replica that has seen nothing yet."""
    real, left = getattr(store, method), list(turns)

    async def answered(place: Place, *arguments: Any, **options: Any) -> Any:
        found = await real(place, *arguments, **options)
        if not left or not left.pop(0):
            return found
        return {} if method == "fetch" else Page([], None)

    monkeypatch.setattr(store, method, answered)


@pytest.mark.parametrize("turns", [(True, False), (False, True), (False, False, True)], ids=str)
async def test_debt_is_not_paid_by_answers_that_disagree(
    world: World, lagging: MemoryStore, monkeypatch: pytest.MonkeyPatch, turns: Sequence[bool]
) -> None:
    async with world.router() as router, world.admin() as admin:
        await router.tenant("acme").upsert([record("a", 1)])
        for verb in ("migrate", "rollback"):
            await admin.move(verb, "acme")
        deleted: list[Sequence[str]] = []
        delete = world.new.delete

        async def watched(place: Place, ids: Sequence[str]) -> None:
            deleted.append(ids)
            await delete(place, ids)

        monkeypatch.setattr(world.new, "delete", watched)
        await admin.touch("acme", ["a"])
        blind(lagging, monkeypatch, "fetch", *turns)
        await admin.repair("acme")
        assert deleted == []
        [status] = await admin.status(["acme"])
        assert status.debt == 0
        assert (await router.tenant("acme").fetch(["a"])).keys() == {"a"}


async def test_a_purge_believes_no_single_listing_that_is_empty(
    world: World, lagging: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.router() as router, world.admin() as admin:
        await router.tenant("acme").upsert([record(f"r{n}") for n in range(5)])
        for verb in ("migrate", "complete"):
            await admin.move(verb, "acme")
        blind(lagging, monkeypatch, "scan", True, True)
        assert await admin.purge("acme") == 5


async def test_a_tenant_is_not_declared_new_for_a_listing_that_is_empty(
    world: World, lagging: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.router() as router:
        await router.tenant("acme").upsert([Record("a", [1.0, 2.0, 3.0, 4.0])])
        blind(lagging, monkeypatch, "scan", True, True)
        with pytest.raises(TenantHasData):
            await router.create_tenant("acme")


async def test_finish_is_refused_at_once_where_reads_lag_for_longer_than_a_hold_lasts(
    world: World, lagging: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lagging, "lag", world.config.migration.max_hold)
    async with world.admin() as admin:
        with pytest.raises(MigrationError, match=r"lag by up to .*max_hold is .* raise it"):
            await admin.finish()
        notes = (await admin.doctor()).notes
    assert [note for note in notes if "may lag" in note and "max_hold" in note]


async def test_finish_asks_more_than_once_who_is_left(
    world: World, lagging: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.router() as router, world.admin() as admin:
        await router.tenant("left").upsert([record("a")])
        real, asked = lagging.tenants, 0

        async def forgetful(*arguments: Any) -> Any:
            nonlocal asked
            asked += 1
            if asked % 3:
                return
            async for name in real(*arguments):
                yield name

        monkeypatch.setattr(lagging, "tenants", forgetful)
        with pytest.raises(MigrationError, match="left"):
            await admin.finish()
        assert router.tenant("left").phase.value == "OLD"
