"""What one process knows, without a network: leases, writes in flight, what may be acknowledged."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.errors import MapLost, ShardrouteError
from shardroute.phases import Phase
from shardroute.rules import Acknowledgement, Lease
from shardroute.shardmap import MapChange, Migration, ShardMap, Standing
from shardroute.topology import Placement, Topology
from shardroute.view import Flight, View
from tests.support.patience import patience

MIGRATION = Migration(
    Topology("v1", 1, Placement("a", "docs"), 4),
    Topology("v2", 1, Placement("b", "docs"), 4),
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_view(*, linger: float = 0.0) -> tuple[View, Clock]:
    clock = Clock()
    return View(MIGRATION, ShardMap("one", version=1), clock, linger=linger), clock


def moved(view: View, tenant: str) -> ShardMap:
    """The map after another move of the tenant."""
    standing, version = view.standing(tenant), view.map.version + 1
    after = Standing(Phase.DUAL_OLD, standing.epoch + 1, version)
    return view.map.apply(MapChange(version, 1, tenant, after))


def in_flight(view: View, tenant: str) -> tuple[str, int]:
    return tenant, view.standing(tenant).epoch


# -- the lease ---------------------------------------------------------------------------------------------------


def test_without_a_lease_nothing_may_be_written() -> None:
    view, _ = a_view()
    assert not view.may_write()


def test_writes_begin_while_the_lease_holds() -> None:
    view, clock = a_view()
    view.lease = Lease(until=10, generation=1)
    assert view.may_write()
    clock.now = 10
    assert not view.may_write()


def test_a_write_is_answered_under_the_lease_that_it_began_under() -> None:
    view, clock = a_view()
    view.lease = Lease(until=10, generation=1)
    assert view.may_answer(1)
    clock.now = 11
    assert not view.may_answer(1)
    view.lease = Lease(until=20, generation=2)
    assert not view.may_answer(1)
    assert view.may_answer(2)


def test_a_lost_map_ends_writing_for_good() -> None:
    view, _ = a_view()
    view.lease = Lease(until=10, generation=1)
    view.fail(MapLost("gone"))
    with pytest.raises(MapLost, match="gone"):
        view.may_write()
    assert not view.may_answer(1)


def test_who_closes_begins_no_write_and_still_answers_those_in_flight() -> None:
    view, _ = a_view()
    view.lease = Lease(until=10, generation=1)
    view.refuse_writes()
    with pytest.raises(ShardrouteError, match="closed"):
        view.may_write()
    assert view.may_answer(1)


def test_after_the_session_nothing_is_answered() -> None:
    view, _ = a_view()
    view.lease = Lease(until=10, generation=1)
    view.close()
    assert not view.may_answer(1)


# -- the drain ---------------------------------------------------------------------------------------------------


def test_with_nothing_in_flight_a_map_may_be_acknowledged_when_it_is_adopted() -> None:
    view, _ = a_view()
    view.adopt(moved(view, "acme"))
    assert view.map.version == 2
    assert view.acknowledged() == Acknowledgement(2)


def test_a_write_of_the_earlier_standing_holds_the_acknowledgement_until_it_ends() -> None:
    view, _ = a_view()
    write = view.enter(in_flight(view, "acme"))
    view.adopt(moved(view, "acme"))
    assert view.acknowledged() == Acknowledgement(2, {"acme": 1})
    view.leave(write)
    assert view.acknowledged() == Acknowledgement(2)


def test_writes_of_other_tenants_hold_nothing() -> None:
    view, _ = a_view()
    view.enter(in_flight(view, "globex"))
    view.adopt(moved(view, "acme"))
    assert view.acknowledged() == Acknowledgement(2)


def test_a_write_of_the_new_standing_holds_nothing() -> None:
    view, _ = a_view()
    view.adopt(moved(view, "acme"))
    view.enter(in_flight(view, "acme"))
    assert view.acknowledged() == Acknowledgement(2)


def test_the_last_of_several_writes_of_a_standing_ends_the_drain() -> None:
    view, _ = a_view()
    told: list[int] = []
    view.on_drained(lambda: told.append(view.acknowledged().of("acme")))
    writes = [view.enter(in_flight(view, "acme")) for _ in range(3)]
    view.adopt(moved(view, "acme"))
    for write in writes:
        view.leave(write)
    assert told == [1, 1, 2]


def test_a_write_that_ends_with_nothing_waiting_for_it_tells_nobody() -> None:
    view, _ = a_view()
    told: list[None] = []
    view.on_drained(lambda: told.append(None))
    view.leave(view.enter(in_flight(view, "acme")))
    assert told == []


def test_a_tenant_that_moves_on_while_a_write_is_in_flight_is_held_back_to_where_the_write_was_current() -> (
    None
):
    view, _ = a_view()
    view.adopt(moved(view, "globex"))
    view.enter(in_flight(view, "acme"))
    for tenant in ("globex", "acme", "globex", "acme"):
        view.adopt(moved(view, tenant))
    assert view.map.version == 6
    assert view.acknowledged() == Acknowledgement(6, {"acme": 3})


def test_a_change_that_is_no_move_holds_nothing() -> None:
    view, _ = a_view()
    view.adopt(moved(view, "acme"))
    view.enter(in_flight(view, "acme"))
    synced = replace(view.standing("acme"), synced=True, version=3)
    view.adopt(view.map.apply(MapChange(3, 1, "acme", synced)))
    assert view.acknowledged() == Acknowledgement(3)


def test_an_older_map_is_not_adopted() -> None:
    view, _ = a_view()
    newer = moved(view, "acme")
    view.adopt(newer)
    view.adopt(ShardMap("one", version=1))
    assert view.map is newer


@given(
    steps=st.lists(
        st.sampled_from(["write acme", "write globex", "end one", "move acme", "move globex"]), max_size=30
    )
)
def test_what_is_acknowledged_never_goes_back_and_never_passes_a_write_of_an_earlier_standing(
    steps: list[str],
) -> None:
    view, _ = a_view()
    running: list[
        tuple[Flight, list[int]]
    ] = []  # and, once its tenant has moved, the last version it was current for
    acknowledged = dict.fromkeys(("acme", "globex"), 0)
    for step in steps:
        verb, name = step.split()
        if verb == "write":
            running.append((view.enter(in_flight(view, name)), []))
        elif verb == "move":
            for write, overtaken in running:
                if write.of[0] == name and not overtaken:
                    overtaken.append(view.map.version)
            view.adopt(moved(view, name))
        elif running:
            view.leave(running.pop(0)[0])
        for tenant, before in acknowledged.items():
            holding = [last for write, last in running if last and write.of[0] == tenant]
            now = view.acknowledged().of(tenant)
            assert now == min([view.map.version, *(last for [last] in holding)])
            assert now >= before
            acknowledged[tenant] = now
        assert view.writes_in_flight == len(running)


# -- cutting off (rule 4) ----------------------------------------------------------------------------------------


def test_nothing_is_sent_that_could_land_after_the_lease() -> None:
    view, clock = a_view(linger=2)
    view.lease = Lease(until=10, generation=1)
    clock.now = 7.9
    assert view.may_write()
    clock.now = 8
    assert not view.may_write()
    assert view.may_answer(1), "what was sent before may still be answered"


async def test_what_is_under_way_is_cut_off_once_and_nothing_else_is() -> None:
    view, _ = a_view()
    request = asyncio.create_task(asyncio.sleep(60))
    flight, idle = view.enter(in_flight(view, "acme"), (request,)), view.enter(in_flight(view, "acme"))
    await asyncio.sleep(0)
    view.cut_off()
    view.cut_off()
    assert request.cancelling() == 1
    assert (flight.cancelling, idle.cancelling) == (0, None)
    with pytest.raises(asyncio.CancelledError):
        await request


@pytest.mark.parametrize(("now", "left"), [(0, 8), (8, 0), (9, -1)])
def test_what_is_under_way_has_until_it_can_no_longer_land_in_time(now: float, left: float) -> None:
    view, clock = a_view(linger=2)
    view.lease, clock.now = Lease(until=10, generation=1), now
    assert view.until_cut_off() == left


# -- waiting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["adopt", "fail", "announce", "refuse_writes"])
async def test_who_waits_for_a_change_is_woken(event: str) -> None:
    view, _ = a_view()
    waiting = asyncio.create_task(view.change())
    await asyncio.sleep(0)
    if event == "adopt":
        view.adopt(moved(view, "acme"))
    elif event == "fail":
        view.fail(MapLost("gone"))
    else:
        getattr(view, event)()
    async with patience():
        await waiting
