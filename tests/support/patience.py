"""How tests wait: for what must come, and never for as long as it takes on a machine that is quiet.

A limit here only keeps a test that hangs from hanging for ever. It says nothing of speed, so it may be generous: while
all is well nobody waits for it. Where a test means "at once" it makes what would come otherwise (the next heartbeat,
the end of a lease) come later than `PATIENCE`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE: Final = 120.0
"""Seconds until a test gives up on what must come; a fifth of what pytest gives it as a whole."""

NEVER: Final = 5 * PATIENCE
"""Seconds for leases, locks and holds that must not end by themselves while a test runs."""


def patience() -> asyncio.Timeout:
    """Around what must come. Raises TimeoutError if it does not."""
    return asyncio.timeout(PATIENCE)


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, every: float = 0.005
) -> None:
    """Returns when it is so; looks `every` so many seconds. Raises TimeoutError if it does not come about."""
    async with patience():
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(every)
