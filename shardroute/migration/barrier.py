"""Rule 2: nobody acts on a phase before every live session knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from time import monotonic

from ..control import ControlPlane
from ..errors import BarrierTimeout
from ..rules import EVERY_TENANT
from ..shardmap import Standing

_POLL = 0.002  # seconds between looks, growing to ten times that
_LONG = 3.0  # seconds after which a wait is told of


async def acknowledged(
    plane: ControlPlane,
    name: str,
    standing: Standing,
    *,
    tenant: str = EVERY_TENANT,
    timeout: float,
    tell: Callable[[str], None],
) -> None:
    """Returns when every live session has acknowledged this standing of `name`. Raises BarrierTimeout.

    `tenant`: whose writes it waits for; without one, those of all tenants.
    `tell` hears once, after three seconds, for whom it waits, how long that can last and what to do.
    """
    pause, behind, tell_at = _POLL, list[str](), monotonic() + _LONG
    try:
        async with asyncio.timeout(timeout):
            while behind := await plane.sessions.lagging(standing.version, tenant):
                if monotonic() >= tell_at:
                    tell_at = float("inf")
                    tell(await _whom(plane, behind))
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _POLL * 10)
    except TimeoutError as error:
        raise BarrierTimeout(name, standing.version, behind) from error


async def _whom(plane: ControlPlane, behind: Collection[str]) -> str:
    """A dead session is waited for until its lease has run out."""
    waited = [
        f"session {session.id}, whose lease ends in {session.remaining:.0f} s. If you know it dead: "
        f"`shardroute doctor --evict {session.id}`"
        for session in await plane.sessions.all()
        if session.id in behind and session.alive
    ]
    return f"waits for {'; '.join(waited) or 'sessions'}"
