"""Waiting for what has to come, and ending what runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shardroute.errors import MigrationError, Unavailable

CALM = 25.0
"""Seconds after the last trouble in which every router must answer a write of every tenant again: leases, locks and
holds end in far less."""


async def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    until = time.monotonic() + CALM
    while not condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.2)
    return True


async def patiently(act: Callable[[], Awaitable[None]]) -> None:
    """Again, while the locks of killed migrators stand, or the machine is slow. Raises what it raises in the end."""
    until = time.monotonic() + 40
    while True:
        try:
            await act()
        except (MigrationError, Unavailable) as error:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(getattr(error, "retry_after", None) or 0.2)
        else:
            return


async def stopped(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Every one undoes what it did."""
    left = {task for task in tasks if not task.done()}
    while left:  # a cancellation may get lost in a client that is just connecting
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=60)
