"""How a copy finds out how many records go into one request."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from shardroute.migration.batches import BatchSize

START = BatchSize(size=64, largest=1000)


def found(seconds_of: Callable[[int], float], seed: int = 1, noise: float = 1.0) -> int:
    """The size that is settled on if a request of a size takes so long, or up to `noise` times as long."""
    batch, now, dice = START, 0.0, random.Random(seed)
    for _ in range(1000):
        if batch.settled:
            return batch.size
        now += seconds_of(batch.size) * dice.uniform(1, noise)
        batch = batch.after(batch.size, now)
    raise AssertionError(f"never settled: {batch}")


@pytest.mark.parametrize("seed", range(20))
def test_it_climbs_far_where_a_request_itself_is_dear(seed: int) -> None:
    assert found(lambda size: 0.05 + size * 0.00001, seed, noise=4.0) >= 512


@pytest.mark.parametrize("seed", range(20))
def test_it_stays_where_larger_ones_are_slower(seed: int) -> None:
    assert found(lambda size: size**2 * 0.00001, seed, noise=1.5) == 64


def test_it_takes_the_fastest_of_those_it_tried() -> None:
    seconds = {64: 0.064, 128: 0.1, 256: 0.204, 512: 0.6}
    assert found(lambda size: seconds[size]) == 128


def test_one_slow_request_does_not_end_the_climb() -> None:
    slow = iter([0.0, 0.1, *[0.0] * 1000])
    assert found(lambda size: 0.01 + size * 0.0001 + next(slow)) > 64


def test_requests_that_were_not_full_count_for_the_rate_alone() -> None:
    batch = START.after(64, 0.0)
    for number in range(100):
        batch = batch.after(30, 0.01 * number)
    assert (batch.size, batch.requests, batch.records) == (64, 0, 3000)
    assert START.after(63, 0.001) == START


def test_after_a_failure_it_is_half_and_never_climbs_again() -> None:
    batch = BatchSize(size=3, largest=1000).after_failure()
    for number in range(100):
        batch = batch.after(batch.size, 0.0001 * number)
    assert batch.size == 1
    assert batch.after_failure().size == 1


def test_it_never_exceeds_the_largest() -> None:
    batch = BatchSize(size=100, largest=150)
    for number in range(100):
        batch = batch.after(batch.size, 0.01 * number)
    assert batch.size == 150
