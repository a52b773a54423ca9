"""Counts on their way to Redis: bounded while they wait, and never in each other's way."""

from __future__ import annotations

from shardroute import tallies
from shardroute.comparisons import Example
from shardroute.phases import Phase
from shardroute.statistics import Events, added
from shardroute.tallies import Tallies
from tests.support.world import World


def example(number: int) -> Example:
    return Example(f"{number}", number / 100, float(number), Phase.DUAL_OLD, 10, ("a",), (), 0.1, 0.1)


async def counted(world: World, tenant: str) -> int:
    windows = await world.plane.stats.windows(tenant)
    return added(window.tally for window in windows).count(Events.COMPARED)


async def test_what_was_counted_is_sent_once(world: World) -> None:
    kept = Tallies(world.plane, world.config.shadow)
    kept.of("acme").event(Events.COMPARED, 3)
    kept.of("acme").event(Events.COMPARED, 4)
    kept.of("globex").event(Events.COMPARED)
    await kept.send()
    await kept.send()
    assert [await counted(world, tenant) for tenant in ("acme", "globex")] == [7, 1]


async def test_of_examples_the_worst_are_sent(world: World) -> None:
    kept = Tallies(world.plane, world.config.shadow)
    kept.of("acme")
    for number in [*range(0, 100, 2), *range(1, 100, 2)]:
        kept.note("acme", example(number))
    await kept.send()
    found = await world.plane.stats.examples("acme")
    assert [one.digest for one in found] == [str(number) for number in range(99, 79, -1)]


async def test_of_too_many_tenants_the_last_are_left_out_until_the_others_are_sent(world: World) -> None:
    kept = Tallies(world.plane, world.config.shadow)
    for number in range(tallies._TENANTS):
        kept.of(f"t{number}")
    kept.of("late").event(Events.COMPARED)
    kept.note("late", example(1))
    await kept.send()
    assert not await counted(world, "late")
    assert not await world.plane.stats.examples("late")
    kept.of("late").event(Events.COMPARED)
    await kept.send()
    assert await counted(world, "late") == 1


async def test_what_redis_does_not_take_is_dropped_and_holds_up_nobody(world: World) -> None:
    kept = Tallies(world.plane, world.config.shadow)
    kept.of("acme").counts["name" * 100] = 1
    kept.of("globex").event(Events.COMPARED)
    await kept.send()
    assert await counted(world, "globex") == 1
    kept.of("acme").event(Events.COMPARED)
    await kept.send()
    assert await counted(world, "acme") == 1
