"""One application, on Qdrant's own client and on the facade: the same answers, wherever its tenant is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from shardroute.embedded import EmbeddedRedis
from shardroute.facades.qdrant import RoutedClient
from shardroute.migration import Options
from shardroute.phases import EFFECTS, Phase, Side
from shardroute.testing.pinecone import IndexSpec, PineconeServer
from shardroute.testing.qdrant import QdrantServer
from tests.facades.moves import KEY, WAYS, Move, differences
from tests.facades.qdrant_scenarios import (
    COLLECTION,
    REMOVAL,
    Client,
    Step,
    answer,
    as_float,
    steps,
)

METRICS = {"cosine": models.Distance.COSINE, "dot": models.Distance.DOT, "euclidean": models.Distance.EUCLID}
KINDS = ("qdrant", "pinecone-vectors", "pinecone-documents")
PINECONE_METRICS = {"cosine": "cosine", "dot": "dotproduct", "euclidean": "euclidean"}


@dataclass(frozen=True)
class World:
    move: Move
    facade: RoutedClient
    vendor: AsyncQdrantClient
    """Qdrant's own client, on a server whose points never move."""


@asynccontextmanager
async def _world(redis_url: str, namespace: str, new: str, metric: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        collections = {COLLECTION: models.VectorParams(size=4, distance=METRICS[metric])}
        old = await stack.enter_async_context(QdrantServer(collections=collections))
        reference = await stack.enter_async_context(QdrantServer(collections=collections))
        placement = {"collection": COLLECTION, "tenancy": "payload:tenant", "ids": "native"}
        source = {"cluster": {"kind": "qdrant", "url": old.url}, "placement": placement}
        target = await _target(stack, new, metric)
        move = await stack.enter_async_context(
            Move.between(redis_url, namespace, source, target, dimension=4, metric=metric)
        )
        vendor = AsyncQdrantClient(url=reference.url, check_compatibility=False)
        stack.push_async_callback(vendor.close)
        facade = RoutedClient(move.router.tenant("acme"), COLLECTION, tenant_field="tenant")
        yield World(move, facade, vendor)


async def _target(stack: AsyncExitStack, kind: str, metric: str) -> Mapping[str, Any]:
    if kind == "qdrant":
        server = await stack.enter_async_context(QdrantServer())
        placement = {"collection": "pages_{shard}", "tenancy": "payload:owner"}
        return {"cluster": {"kind": "qdrant", "url": server.url}, "placement": placement}
    name = PINECONE_METRICS[metric]
    documents = IndexSpec.documents(4, name, vector_field="embedding")
    spec = documents if kind == "pinecone-documents" else IndexSpec.vectors(4, name)
    pinecone = await stack.enter_async_context(PineconeServer(indexes={"new": spec}))
    cluster = {
        "kind": kind,
        "host": pinecone.index_url("new"),
        "api_key_env": KEY,
        "lag": 0.0,
        "rate": 1000.0,
    }
    return {"cluster": cluster, "placement": {"vector_name": "embedding"} if documents is spec else {}}


async def _life(
    client: Client, number: Callable[[Any], Any], scenario: Sequence[Step]
) -> list[tuple[str, Any]]:
    return [(str(step), await answer(client, step, number)) for step in scenario]


def _differences(ours: list[tuple[str, Any]], theirs: list[tuple[str, Any]]) -> list[str]:
    pairs = zip(ours, theirs, strict=True)
    return [f"{step} {found}" for (step, mine), (_, its) in pairs for found in differences(mine, its)]


def _as_it_is(value: Any) -> Any:
    return value


@pytest.mark.parametrize("phase", list(WAYS))
@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("new", KINDS)
async def test_the_facade_answers_what_qdrants_client_answers_before_during_and_after_a_move(
    redis_server: EmbeddedRedis, namespace: str, new: str, metric: str, phase: Phase
) -> None:
    async with _world(redis_server.url, namespace, new, metric) as world:
        await world.move.bring("acme", phase)
        moved = EFFECTS[phase].primary is Side.NEW
        number = as_float if moved and new != "qdrant" else _as_it_is
        removal = () if new == "pinecone-vectors" and phase is not Phase.OLD else REMOVAL
        scenario = [*steps(), *removal]
        theirs = await _life(world.vendor, number, scenario)
        ours = await _life(world.facade, number, scenario)
        assert _differences(ours, theirs) == []


@pytest.mark.parametrize("new", KINDS)
async def test_the_answers_are_the_same_while_the_tenant_is_moving(
    redis_server: EmbeddedRedis, namespace: str, new: str
) -> None:
    async with _world(redis_server.url, namespace, new, "dot") as world:
        theirs = await _life(world.vendor, as_float, steps())
        stop = asyncio.Event()

        async def there_and_back() -> int:
            moves = 0
            while moves < 2 or not stop.is_set():
                for verb in ("migrate", "rollback"):
                    await world.move.admin.move(verb, "acme", Options(empty=True, purge_target=True))
                    moves += 1
            return moves

        moving = asyncio.create_task(there_and_back())
        try:
            lives = [await _life(world.facade, as_float, steps()) for _ in range(3)]
        finally:
            stop.set()
            moves = await moving
        assert moves >= 2
        assert [found for ours in lives for found in _differences(ours, theirs)] == []
