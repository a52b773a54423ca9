"""Records that a migrator may have written without its lock: never copied before somebody says which side is right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from shardroute.admin import Admin
from shardroute.errors import SuspectsDiffer
from shardroute.migration import Options
from shardroute.phases import Phase, Side
from tests.support.world import World, record, same

OLD_VALUE, NEW_VALUE = 1, 2
SUSPECT, HEALTHY = "suspect", "healthy"


@pytest.fixture
async def owing(world: World) -> World:
    """The old side is read, and has an old value of a suspect. It and a healthy record are debt as well."""
    async with world.router() as router, world.admin() as admin:
        await router.tenant("acme").upsert([record(SUSPECT, NEW_VALUE), record(HEALTHY, NEW_VALUE)])
        await admin.move("migrate", "acme")
        await admin.move("rollback", "acme")
        assert await world.phase("acme") is Phase.DUAL_OLD
    route, journal = world.config.route, world.plane.journal
    await world.old.inner.upsert(route.old.place("acme"), [record(SUSPECT, OLD_VALUE)])
    await world.new.inner.upsert(route.new.place("acme"), [record(HEALTHY, OLD_VALUE)])
    shard = route.old.shard("acme")
    await journal.doubt("acme", shard, Side.OLD, [SUSPECT])
    await journal.mark("acme", shard, [SUSPECT, HEALTHY])
    return world


async def values(world: World, side: Side) -> Mapping[str, int]:
    return {name: found.metadata["v"] for name, found in (await world.content("acme", side)).items()}


Verb = Callable[[Admin], Awaitable[object]]
VERBS: Mapping[str, Verb] = {
    "doctor --repair": lambda admin: admin.repair("acme"),
    "verify --repair": lambda admin: admin.verify("acme", repair=True),
    "verify --repair --trust new": lambda admin: admin.verify("acme", repair=True, trust=Side.NEW),
    "migrate": lambda admin: admin.move("migrate", "acme"),
    "migrate --trust new": lambda admin: admin.move("migrate", "acme", Options(trust=Side.NEW)),
}


async def refused(world: World, verb: str) -> SuspectsDiffer:
    async with world.admin() as admin:
        with pytest.raises(SuspectsDiffer) as caught:
            await VERBS[verb](admin)
    return caught.value


@pytest.mark.parametrize("verb", VERBS)
async def test_no_verb_copies_a_suspect_that_is_debt_too(owing: World, verb: str) -> None:
    error = await refused(owing, verb)
    assert error.unclear == (SUSPECT,)
    assert "Write them again from their source" in str(error)
    assert (await values(owing, Side.NEW))[SUSPECT] == NEW_VALUE
    assert await owing.phase("acme") is Phase.DUAL_OLD


async def test_other_debt_is_paid_all_the_same(owing: World) -> None:
    await refused(owing, "doctor --repair")
    assert await values(owing, Side.NEW) == {SUSPECT: NEW_VALUE, HEALTHY: NEW_VALUE}
    assert (await owing.plane.journal.counts("acme")).debt == 1


async def test_two_equal_sides_prove_nothing_of_a_suspect_that_is_debt_too(owing: World) -> None:
    """The write that became debt may have been undone on the one side, and missed on the other."""
    place = owing.config.route.new.place("acme")
    await owing.new.inner.upsert(place, [record(SUSPECT, OLD_VALUE)])
    await refused(owing, "migrate")
    assert await owing.plane.journal.suspects("acme") == [(Side.OLD, SUSPECT)]


async def test_written_again_and_trusted_it_is_on_both_sides_and_suspect_no_longer(owing: World) -> None:
    async with owing.router() as router, owing.admin() as admin:
        await router.tenant("acme").upsert([record(SUSPECT, NEW_VALUE + 1)])
        await admin.verify("acme", repair=True, trust=Side.OLD)
        await admin.move("migrate", "acme")
        assert (await admin.status(["acme"]))[0].suspects == 0
    assert await values(owing, Side.NEW) == {SUSPECT: NEW_VALUE + 1, HEALTHY: NEW_VALUE}
    assert same(await owing.content("acme", Side.OLD), await owing.content("acme", Side.NEW))
