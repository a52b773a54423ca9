"""Pages are read ahead, worked on side by side, and their results taken in order; nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from shardroute.migration.patience import in_order

CONCURRENCY = 3


class Pages:
    """Numbers up to `count`; which were read, which are being worked on, and which were cancelled."""

    def __init__(self, count: int, *, broken_at: int | None = None) -> None:
        self.count = count
        self.broken_at = broken_at
        self.read: list[int] = []
        self.under_way: set[int] = set()
        self.most = 0
        self.cancelled: set[int] = set()

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(self.count):
            await asyncio.sleep(0)
            if number == self.broken_at:
                raise ConnectionError
            self.read.append(number)
            yield number

    async def work(self, number: int) -> int:
        """Later ones are quicker."""
        self.under_way.add(number)
        self.most = max(self.most, len(self.under_way))
        try:
            await asyncio.sleep(0.001 * (self.count - number))
        except asyncio.CancelledError:
            self.cancelled.add(number)
            raise
        finally:
            self.under_way.remove(number)
        return number


async def test_results_come_in_the_order_of_the_items_and_no_more_than_so_many_are_under_way() -> None:
    pages = Pages(10)
    assert [number async for number in in_order(aiter(pages), pages.work, CONCURRENCY)] == [*range(10)]
    assert pages.most == CONCURRENCY


async def test_reading_goes_on_while_a_result_is_dealt_with_and_no_further_than_one_ahead() -> None:
    pages = Pages(20)
    async with aclosing(in_order(aiter(pages), pages.work, CONCURRENCY)) as results:
        async for number in results:
            await asyncio.sleep(0.03)
            assert len(pages.read) == min(number + CONCURRENCY + 1, pages.count)
            if number == 5:
                break


async def taken(results: AsyncIterator[int], into: list[int]) -> None:
    async for number in results:
        into.append(number)  # noqa: PERF401 - what came before a failure is looked at


async def test_what_was_read_before_the_reading_failed_still_comes() -> None:
    pages = Pages(10, broken_at=5)
    results: list[int] = []
    with pytest.raises(ConnectionError):
        await taken(in_order(aiter(pages), pages.work, CONCURRENCY), results)
    assert results == [*range(5)]


async def test_a_failure_comes_in_its_turn_and_cancels_what_is_after_it() -> None:
    pages = Pages(10)
    results: list[int] = []

    async def work(number: int) -> int:
        if number == 1:
            raise ConnectionError
        return await pages.work(number) if number else 0

    with pytest.raises(ConnectionError):
        await taken(in_order(aiter(pages), work, CONCURRENCY), results)
    assert results == [0]
    assert not pages.under_way
    await nothing_is_read_any_more(pages)


async def test_closing_it_ends_the_reading_and_the_work() -> None:
    pages = Pages(10)
    async with aclosing(in_order(aiter(pages), pages.work, CONCURRENCY)) as results:
        assert await anext(results) == 0
    assert not pages.under_way
    await nothing_is_read_any_more(pages)


async def test_cancelling_who_waits_for_a_result_ends_the_reading_and_the_work() -> None:
    pages = Pages(1000)  # the first takes a second

    async def take() -> None:
        async with aclosing(in_order(aiter(pages), pages.work, CONCURRENCY)) as results:
            await anext(results)

    taking = asyncio.create_task(take())
    await asyncio.sleep(0.01)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert pages.cancelled == {0, 1, 2}
    await nothing_is_read_any_more(pages)


async def nothing_is_read_any_more(pages: Pages) -> None:
    before = list(pages.read)
    await asyncio.sleep(0.01)
    assert pages.read == before
    assert asyncio.all_tasks() == {asyncio.current_task()}
