"""A repair that would take much away stops and asks."""

from __future__ import annotations

import pytest

from shardroute.errors import LossRefused
from shardroute.migration import Options
from shardroute.migration.loss import ALWAYS, Loss
from shardroute.phases import Phase, Side
from tests.support.emptying import emptied
from tests.support.world import World, record, same


def loss(*, held: int, kept: int, deleted: int = 0, replaced: int = 0) -> Loss:
    return Loss(
        held, kept, {f"d{n}": "missing" for n in range(deleted)}, {f"r{n}": "vector" for n in range(replaced)}
    )


@pytest.mark.parametrize(
    ("found", "accepted", "asks"),
    [
        (loss(held=51, kept=0, deleted=51), 0, True),
        (loss(held=51, kept=0, deleted=51), 51, False),
        (loss(held=3, kept=0, deleted=1), 0, True),
        (loss(held=51, kept=50, deleted=1), 0, False),
        (loss(held=25, kept=25, replaced=ALWAYS), 0, False),
        (loss(held=25, kept=25, replaced=ALWAYS + 1), 0, True),
        (loss(held=25, kept=25, replaced=ALWAYS + 1), ALWAYS + 1, False),
        (loss(held=1000, kept=1000, deleted=60, replaced=40), 0, False),
        (loss(held=1000, kept=1000, deleted=60, replaced=41), 0, True),
        (loss(held=1000, kept=1000, deleted=60, replaced=41), 100, True),
        (loss(held=0, kept=500), 0, False),
    ],
)
def test_a_tenth_may_go_unasked_and_a_few_records_and_never_all_of_them(
    found: Loss, accepted: int, *, asks: bool
) -> None:
    assert found.excessive(0.1, accepted) is asks


async def _moved(world: World, records: int) -> None:
    async with world.router() as router, world.admin() as admin:
        await router.tenant("acme").upsert([record(f"r{n}", n) for n in range(records)])
        await admin.move("migrate", "acme")
        await admin.move("rollback", "acme")
    assert await world.phase("acme") is Phase.DUAL_OLD


@pytest.mark.parametrize("verb", ["migrate", "verify"])
async def test_a_primary_that_was_emptied_is_not_made_the_measure_of_the_other_side(
    world: World, verb: str
) -> None:
    await _moved(world, 51)
    await emptied(world.old.inner, world.config.route.old.place("acme"))
    async with world.admin() as admin:
        with pytest.raises(LossRefused, match="delete 51 and replace 0 of the 51") as refused:
            await (admin.move(verb, "acme") if verb == "migrate" else admin.verify("acme", repair=True))
        assert "--accept-loss 51" in str(refused.value)
        assert (refused.value.count, refused.value.held) == (51, 51)
        assert len(await world.content("acme", Side.NEW)) == 51
        assert (await admin.status(["acme"]))[0].debt == 0


@pytest.mark.parametrize("verb", ["migrate", "verify"])
async def test_what_was_accepted_goes(world: World, verb: str) -> None:
    await _moved(world, 51)
    await emptied(world.old.inner, world.config.route.old.place("acme"))
    async with world.admin() as admin:
        if verb == "migrate":
            await admin.move(verb, "acme", Options(accept_loss=51))
        else:
            await admin.verify("acme", repair=True, accept_loss=51)
    assert await world.content("acme", Side.NEW) == {}


async def test_what_the_other_side_lacks_is_no_loss(world: World) -> None:
    await _moved(world, 51)
    await emptied(world.new.inner, world.config.route.new.place("acme"))
    async with world.admin() as admin:
        assert (await admin.move("migrate", "acme")).repaired == 51
    assert same(await world.content("acme", Side.OLD), await world.content("acme", Side.NEW))
