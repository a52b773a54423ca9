"""How fast requests may follow each other."""

from __future__ import annotations

import pytest

from shardroute.errors import RateLimited
from shardroute.stores.pinecone_pace import Pace, Paces


def waits(pace: Pace, requests: int, now: float = 0.0) -> tuple[Pace, list[float]]:
    """How long each of so many requests, all asked for now, has to wait."""
    found = []
    for _ in range(requests):
        pace, wait = pace.taken(now)
        found.append(wait)
    return pace, found


def test_some_go_at_once_and_the_others_at_the_rate() -> None:
    _, found = waits(Pace.of(100), 31)
    assert found[:10] == pytest.approx([0] * 10, abs=1e-9)
    assert found[30] == pytest.approx(0.2)


def test_a_refusal_halves_the_rate_and_it_climbs_back() -> None:
    pace = Pace.of(100).refused(sent=1.0, now=1.1)
    assert pace.rate(1.1) == 50
    assert pace.rate(6.1) == pytest.approx(75)
    assert pace.rate(60) == 100


def test_refusals_of_requests_that_were_under_way_count_once() -> None:
    pace = Pace.of(100).refused(sent=1.0, now=1.1)
    assert pace.refused(sent=1.05, now=1.2).rate(1.1) == 50
    assert pace.refused(sent=1.15, now=1.2).rate(1.2) == pytest.approx(25, abs=0.5)


def test_nothing_is_sent_before_the_time_that_was_asked_for() -> None:
    pace = Pace.of(100).refused(sent=1.0, now=1.0, retry_after=3.0)
    assert pace.taken(1.5)[1] == pytest.approx(2.5)
    assert pace.taken(5.0)[1] == 0


def test_some_requests_always_go() -> None:
    pace = Pace.of(100)
    for second in range(30):
        pace = pace.refused(sent=second, now=second + 0.001)
    assert pace.rate(30.0) >= 1


async def test_a_turn_beyond_the_callers_patience_is_refused_at_once() -> None:
    paces = Paces(100, clock=lambda: 5.0)
    paces.refused("key", 5.0, 60.0)
    with pytest.raises(RateLimited) as caught:
        await paces.turn("p", "key", patience=10)
    assert caught.value.retry_after == pytest.approx(60)
    await paces.turn("p", "another key", patience=10)


async def test_kinds_that_are_idle_are_forgotten() -> None:
    now = 0.0
    paces = Paces(100, clock=lambda: now)
    for number in range(5000):
        now += 1.0
        await paces.turn("p", number, patience=1)
    assert len(paces._paces) < 4200
