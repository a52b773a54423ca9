"""A real Valkey for everything that needs one; each test has a namespace of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from shardroute.embedded import EmbeddedRedis

from .support.world import World


def pytest_configure() -> None:
    """What runs in the background (`make test &`, some CI systems) is begun with SIGINT ignored, and its children too.

    Here it is not: children of the tests can be interrupted, whoever begins them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


# A busy machine is no failure, however long an example takes.
settings.register_profile("shardroute", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shardroute")

# A test imports every module of the package, perhaps before another loads this one as a plugin.
pytest.register_assert_rewrite("shardroute.testing.fixtures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow ones first: several processes share the tests, and should end at the same time."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _serve(folder: Path, *, cluster: bool) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder, cluster=cluster)
    asyncio.run(server.start())
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    yield from _serve(tmp_path_factory.mktemp("redis"), cluster=False)


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    yield from _serve(tmp_path_factory.mktemp("cluster"), cluster=True)


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
async def world(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[World]:
    """Two clusters in memory whose answers can be delayed, lost or refused, and an empty map."""
    async with World.made(redis_server.url, namespace) as made:
        yield made
