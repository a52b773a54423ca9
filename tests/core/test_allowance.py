"""Time that may be spent, and how what runs is counted."""

from __future__ import annotations

import asyncio
from time import thread_time

import pytest

from shardroute.allowance import Allowance, Metered


def test_a_share_of_the_time_that_passes_may_be_spent() -> None:
    allowance = Allowance(0.1, saving=1.0, now=0.0)
    spent = 0.0
    for tick in range(1000):  # 100 s
        if allowance.left(tick / 10):
            allowance.spend(0.03)
            spent += 0.03
    assert spent == pytest.approx(0.1 * 100, rel=0.02)


def test_what_is_overdrawn_has_to_be_made_up_for() -> None:
    allowance = Allowance(0.5, saving=1.0, now=0.0)
    allowance.spend(2.5)
    assert not allowance.left(3.9)
    assert allowance.left(4.1)


def test_time_that_was_not_used_is_kept_for_a_while_only() -> None:
    allowance = Allowance(0.5, saving=2.0, now=0.0)
    assert allowance.left(1000.0)
    allowance.spend(1.0)
    assert not allowance.left(1000.0)


def test_a_share_of_1_has_no_limit() -> None:
    allowance = Allowance(1.0, saving=1.0, now=0.0)
    allowance.spend(1e9)
    assert allowance.left(0.0)


def busy(seconds: float) -> None:
    until = thread_time() + seconds
    while thread_time() < until:
        pass


async def test_steps_are_counted_and_waiting_is_not() -> None:
    async def work() -> str:
        busy(0.01)
        await asyncio.sleep(0.05)
        busy(0.01)
        return "done"

    metered = Metered(work())
    assert await metered == "done"
    assert 0.02 <= metered.seconds < 0.05


async def test_what_others_do_meanwhile_is_not_counted() -> None:
    async def other() -> None:
        busy(0.05)

    async def work() -> None:
        await asyncio.sleep(0.01)

    metered, beside = Metered(work()), asyncio.create_task(other())
    await metered
    await beside
    assert metered.seconds < 0.02


async def test_failures_come_through_and_count() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        busy(0.01)
        raise KeyError("missing")

    metered = Metered(work())
    with pytest.raises(KeyError, match="missing"):
        await metered
    assert metered.seconds >= 0.01


async def test_the_work_hears_of_a_cancellation_and_may_clean_up() -> None:
    heard = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            heard.set()

    async def outer() -> None:
        await Metered(work())

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.is_set()


async def test_time_limits_inside_the_work_are_its_own() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        except TimeoutError:
            return "gave up"
        return "never"

    assert await Metered(work()) == "gave up"
