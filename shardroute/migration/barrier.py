"""Rule 2: nobody acts on a phase before every live session knows of it."""

from __future__ import annotations

import asyncio

from ..control import ControlPlane
from ..errors import BarrierTimeout
from ..shardmap import Standing

_POLL = 0.002  # seconds between looks, growing to ten times that


async def acknowledged(plane: ControlPlane, name: str, standing: Standing, *, timeout: float) -> None:
    """Returns when every live session has acknowledged this standing of `name`. Raises BarrierTimeout."""
    pause, behind = _POLL, list[str]()
    try:
        async with asyncio.timeout(timeout):
            while behind := await plane.sessions.lagging(standing.version):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _POLL * 10)
    except TimeoutError as error:
        raise BarrierTimeout(name, standing.version, behind) from error
