"""What the connections to Redis must not do to the tasks that use them."""

from __future__ import annotations

import asyncio
import random

from .board import Board


async def test_a_request_that_is_cancelled_at_any_moment_is_cancelled(board: Board) -> None:
    choose = random.Random(1)

    async def requests() -> None:
        for _ in range(3):
            await board.plane.sessions.lagging(1)

    await requests()
    for _ in range(500):
        task = asyncio.create_task(requests())
        for _ in range(choose.randrange(1, 14)):
            await asyncio.sleep(0)
        if task.cancel():
            await asyncio.wait([task])
            assert task.cancelled()
    await requests()
