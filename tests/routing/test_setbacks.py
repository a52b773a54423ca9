"""A step that fails again and again: pauses grow, words are few, and a map is lost only once that is proven."""

from __future__ import annotations

import logging

import pytest

from shardroute.errors import ControlPlaneUnavailable, LeaseLost, MapLost
from shardroute.follower import Follower
from shardroute.setbacks import Setbacks
from shardroute.timing import Seldom
from tests.control.board import TENANT
from tests.support.patience import PATIENCE
from tests.support.world import record

from .stage import Stage, until
from .test_view import Clock

AWAY = ControlPlaneUnavailable("Redis did not answer")
GONE = MapLost("the map is gone")


def setbacks(clock: Clock) -> Setbacks:
    return Setbacks(proof=5.0, clock=clock)


def test_pauses_grow_to_a_second_and_begin_anew_when_it_goes_well() -> None:
    met = setbacks(Clock())
    assert [met.met(AWAY) for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    met.over()
    assert met.met(AWAY) == pytest.approx(0.1)


@pytest.mark.parametrize("error", [AWAY, ControlPlaneUnavailable("no", code="OOM"), RuntimeError("a bug")])
def test_no_other_error_is_ever_a_lost_map(error: Exception) -> None:
    clock = Clock()
    met = setbacks(clock)
    for _ in range(1000):
        clock.now += 1
        met.met(error)


def test_a_map_counts_as_lost_when_it_has_been_so_for_a_while() -> None:
    clock = Clock()
    met = setbacks(clock)
    met.met(GONE)
    clock.now = 4.9
    met.met(GONE)
    clock.now = 5.0
    with pytest.raises(MapLost):
        met.met(GONE)


@pytest.mark.parametrize("between", ["it is found again", "it cannot be asked"])
def test_whoever_cannot_say_that_it_is_lost_begins_the_proof_anew(between: str) -> None:
    clock = Clock()
    met = setbacks(clock)
    met.met(GONE)
    clock.now = 4.0
    if between == "it is found again":
        met.over()
    else:
        met.met(AWAY)
    met.met(GONE)
    clock.now = 8.9
    met.met(GONE)
    clock.now = 9.0
    with pytest.raises(MapLost):
        met.met(GONE)


def test_each_kind_of_error_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    met = setbacks(clock)
    kinds = [AWAY, ControlPlaneUnavailable("full", code="OOM"), RuntimeError("a bug"), ValueError("another")]
    for _ in range(119):
        clock.now += 1
        for error in kinds:
            met.met(error)
    assert len(caplog.records) == 2 * len(kinds)
    assert sum(one.exc_info is not None for one in caplog.records) == 4, "a bug comes with its trace"


def test_kinds_without_end_take_no_memory_without_end() -> None:
    seldom = Seldom(60, Clock())
    assert all(seldom.due(f"kind {number}") for number in range(10_000))
    assert len(seldom._told) <= 200


@pytest.mark.parametrize("name", ["_renew", "_advance"])
async def test_a_bug_of_ours_ends_no_writing(
    brisk: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async with brisk.router() as router:
        handle = router.tenant(TENANT)
        await handle.upsert([record("one")])

        async def broken(*_: object) -> None:
            raise RuntimeError("a bug of ours")

        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(Follower, name, broken)
            await until(lambda: "a bug of ours" in caplog.text)
            if name == "_renew":
                await until(lambda: not router.ready)
                with pytest.raises(LeaseLost):
                    await handle.upsert([record("two")], timeout=0.05)
        await handle.upsert([record("two")], timeout=PATIENCE)
        await until(lambda: router.ready)
