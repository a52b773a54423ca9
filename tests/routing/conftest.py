"""Stages: a calm one, where no heartbeat falls due, and a brisk one, where leases are short."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shardroute.embedded import EmbeddedRedis, embedded_redis

from .stage import BRISK, CALM, Stage, staged


@pytest.fixture
async def calm(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Stage]:
    async with staged(redis_server.url, namespace, control=CALM) as stage:
        yield stage


@pytest.fixture
async def brisk(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Stage]:
    async with staged(redis_server.url, namespace, control=BRISK) as stage:
        yield stage


@pytest.fixture
async def own_redis() -> AsyncIterator[EmbeddedRedis]:
    """A server of the test's own, to be killed and started again: it forgets nothing."""
    async with embedded_redis(durable=True) as server:
        yield server
