"""A purge deletes record by record what a tenant has where it is not, under its lock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from shardroute.admin import Admin
from shardroute.errors import LockLost, MigrationError, PurgeRefused
from shardroute.phases import Phase, Side
from shardroute.records import Record
from shardroute.topology import Place
from tests.support.world import World, record

RECORDS = 45
PAGE = 20


async def _at_new(world: World, admin: Admin, records: int = RECORDS) -> None:
    async with world.router() as router:
        await router.tenant("acme").upsert([record(f"r{n}", n) for n in range(records)])
        await router.tenant("globex").upsert([record("g", 1)])
    for verb in ("migrate", "complete"):
        await admin.move(verb, "acme")
    assert await world.phase("acme") is Phase.NEW


@pytest.fixture
def small_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.old, "limits", replace(world.old.limits, delete_ids=PAGE))


Remove = Callable[[Place, Sequence[str], str], Awaitable[None]]


def _before_each_removal(
    world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[int], Awaitable[object]]
) -> list[int]:
    """Calls `meanwhile` with how many pages were asked to go; their sizes."""
    remove: Remove = world.old.remove
    sizes: list[int] = []

    async def watched(place: Place, ids: Sequence[str], mark: str) -> None:
        sizes.append(len(ids))
        await meanwhile(len(sizes))
        await remove(place, ids, mark)

    monkeypatch.setattr(world.old, "remove", watched)
    return sizes


@pytest.mark.usefixtures("small_pages")
async def test_all_that_a_tenant_has_there_goes_in_small_requests_and_nothing_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = _before_each_removal(world, monkeypatch, lambda _: asyncio.sleep(0))
    async with world.admin() as admin:
        await _at_new(world, admin)
        assert await admin.purge("acme") == RECORDS
        assert await admin.purge("acme") == 0
    assert sizes == [20, 20, 5]
    assert await world.content("acme", Side.OLD) == {}
    assert len(await world.content("acme", Side.NEW)) == RECORDS
    assert len(await world.content("globex", Side.OLD)) == 1


@pytest.mark.usefixtures("small_pages")
async def test_a_purge_whose_lock_is_gone_deletes_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken_over(number: int) -> None:
        if number == 1:
            await world.plane.connections.commands.delete(world.plane.keys.lock("acme"))

    sizes = _before_each_removal(world, monkeypatch, taken_over)
    async with world.admin() as admin:
        await _at_new(world, admin)
        with pytest.raises(LockLost):
            await admin.purge("acme")
    assert sizes == [20]


async def test_records_that_do_not_go_end_a_purge(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(place: Place, ids: Sequence[str], mark: str) -> None:
        """As a cluster to which somebody goes on writing."""

    async with world.admin() as admin:
        await _at_new(world, admin, 5)
        monkeypatch.setattr(world.old, "remove", nothing)
        with pytest.raises(MigrationError, match="still shows records"):
            await admin.purge("acme")


# -- what the other side lacks -----------------------------------------------------------------------------------


async def _lose(world: World, names: Sequence[str]) -> None:
    """As something outside does, on the cluster that the tenant is on."""
    await world.new.inner.delete(world.config.route.new.place("acme"), names)


async def test_a_purge_stops_where_the_other_side_lacks_much_of_it(world: World) -> None:
    async with world.admin() as admin:
        await _at_new(world, admin)
        lost = [f"r{n}" for n in range(21)]
        await _lose(world, lost)
        with pytest.raises(
            PurgeRefused, match=r"would delete 45 records, of which the new side.*lacks 21"
        ) as refused:
            await admin.purge("acme")
        assert (refused.value.count, refused.value.held) == (21, RECORDS)
        assert len(await world.content("acme", Side.OLD)) == RECORDS
        assert await admin.purge("acme", accept_loss=21) == RECORDS


async def test_what_the_application_has_deleted_since_does_not_stop_a_purge(world: World) -> None:
    async with world.admin() as admin:
        await _at_new(world, admin)
        await _lose(world, ["r1", "r2"])
        assert await admin.purge("acme") == RECORDS


async def test_a_purge_stops_where_the_other_side_has_nothing(world: World) -> None:
    async with world.admin() as admin:
        await _at_new(world, admin, 3)
        await _lose(world, ["r0", "r1", "r2"])
        with pytest.raises(PurgeRefused, match="lacks 3"):
            await admin.purge("acme")


async def test_a_purge_stops_where_the_records_of_the_other_side_have_fewer_vectors(world: World) -> None:
    async with world.admin() as admin:
        await _at_new(world, admin, 1)
        route = world.config.route
        whole = [Record(f"i{n}", [1, 2, 3, 4], named_vectors={"image": [1, 2]}) for n in range(30)]
        await world.old.inner.upsert(route.old.place("acme"), whole)
        await world.new.inner.upsert(route.new.place("acme"), [record(one.id) for one in whole])
        with pytest.raises(
            PurgeRefused, match=r"has 30 with fewer vectors(.|\n)*'i0': without vector 'image'"
        ):
            await admin.purge("acme")
