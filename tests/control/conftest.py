"""Every control plane there is: a server on its own, and one in cluster mode."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shardroute.config import ControlConfig
from shardroute.control import ControlPlane
from shardroute.embedded import EmbeddedRedis

from .board import Board


@pytest.fixture(params=["redis_server", "redis_cluster"])
def control(request: pytest.FixtureRequest, namespace: str) -> ControlConfig:
    server: EmbeddedRedis = request.getfixturevalue(request.param)
    return ControlConfig(
        url=server.url, namespace=namespace, cluster=request.param == "redis_cluster", timeout=20
    )


@pytest.fixture
async def plane(control: ControlConfig) -> AsyncIterator[ControlPlane]:
    """Opened, and without a map."""
    opened = ControlPlane.open(control)
    yield opened
    await opened.aclose()


@pytest.fixture
async def board(plane: ControlPlane) -> Board:
    """An empty map."""
    await plane.maps.create("{}")
    return Board(plane)
