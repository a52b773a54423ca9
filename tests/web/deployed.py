"""What a served application stands on: a Valkey, two clusters, a configuration and a map.

A `conftest.py` imports `servers`, `deployment` and `deployed` from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import pytest

from shardroute.control import ControlPlane, SessionState
from shardroute.phases import Phase, Side
from tests.cli.conftest import Deployment
from tests.cli.conftest import deployment as deployment  # fixtures
from tests.cli.conftest import servers as servers
from tests.support.patience import patience

__all__ = [
    "LOCK",
    "Deployment",
    "deployed",
    "deployment",
    "phase_reached",
    "servers",
    "sessions",
    "sessions_when",
    "workers",
]

LOCK = 30.0
"""Seconds, as by default: servers under load make everything slow, and a request of the script has a third of it."""

_LOOK = 0.05  # seconds between two looks at what is in Redis


@pytest.fixture
async def deployed(deployment: Deployment) -> Deployment:
    """With a map, and with the collections of the old cluster. `run` and `start` are the script.

    By name, as users write it: to look an address up takes a thread, also when a process ends.
    """
    by_name = {name: url.replace("127.0.0.1", "localhost") for name, url in vars(deployment.servers).items()}
    deployment.write(lock=LOCK, **by_name)
    await deployment.init()
    async with deployment.side(Side.OLD, "nobody") as (store, place):
        await store.prepare(place)
    return deployment


async def sessions(deployment: Deployment) -> list[SessionState]:
    """Every session of a router that Redis remembers."""
    return await sessions_when(deployment, lambda found: True)


async def sessions_when(
    deployment: Deployment, fits: Callable[[list[SessionState]], bool]
) -> list[SessionState]:
    """The sessions as soon as they fit. Raises TimeoutError."""
    plane = ControlPlane.open(deployment.config.control)
    try:
        async with patience():
            while not fits(found := await plane.sessions.all()):  # noqa: ASYNC110 - it is in Redis
                await asyncio.sleep(_LOOK)
            return found
    finally:
        await plane.aclose()


async def phase_reached(deployment: Deployment, tenant: str, phase: Phase) -> None:
    """Returns as soon as the map has the tenant in this phase. Raises TimeoutError."""
    config = deployment.config
    plane = ControlPlane.open(config.control)
    try:
        async with patience():
            while config.route.standing(await plane.map_for(config), tenant).phase is not phase:  # noqa: ASYNC110 - as above
                await asyncio.sleep(_LOOK)
    finally:
        await plane.aclose()


async def workers(deployment: Deployment, number: int, but: Collection[int] = ()) -> list[int]:
    """The ids of the processes with an open router, as soon as there are `number` of them and none is in `but`."""
    found = await sessions_when(
        deployment, lambda them: len(pids := _pids(them)) == number and not pids & set(but)
    )
    return sorted(_pids(found))


def _pids(found: list[SessionState]) -> set[int]:
    return {session.info.pid for session in found if session.alive and session.info is not None}
