"""When reads see what was written: a fence in the log, and the time that reads may lag."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

from ..records import RESERVED_PREFIX

FENCE_ID = f"{RESERVED_PREFIX}_fence__"
"""The id of a record that never exists. An update of it changes nothing and takes a position in the log."""

FENCE_KEY = "shardroute_fence"

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


async def caught_up(
    write_fence: Callable[[], Awaitable[int | None]], seen: Callable[[], Awaitable[int | None]], lag: float
) -> None:
    """Returns when searches have seen the fence, and not before `lag` seconds after it was acknowledged.

    `write_fence` answers the position of its write, `seen` the one that a search has seen; None is unknown.
    Positions are a namespace's own and only grow, so what was acknowledged before the fence, by whomever,
    is before it in the log. Fetches and listings tell no position: for them, only time is left.
    """
    position = await write_fence()
    acknowledged = time.monotonic()
    if position is not None:
        await _reached(position, seen)
    await asyncio.sleep(acknowledged + lag - time.monotonic())


async def _reached(position: int, seen: Callable[[], Awaitable[int | None]]) -> None:
    for attempt in itertools.count():
        found = await seen()
        if found is None or found >= position:
            return
        await asyncio.sleep(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE))
