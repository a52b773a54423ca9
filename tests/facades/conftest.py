"""Facades over two clusters in memory, for what does not need a vendor's server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shardroute import Router
from tests.support.world import World


@pytest.fixture
async def router(world: World) -> AsyncIterator[Router]:
    async with world.router() as opened:
        yield opened
