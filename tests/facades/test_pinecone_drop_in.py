"""One application, on Pinecone's own client and on the facade: the same answers, wherever its tenant is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pinecone import AsyncIndex

from shardroute.embedded import EmbeddedRedis
from shardroute.facades.pinecone import RoutedIndex
from shardroute.migration import Options
from shardroute.phases import EFFECTS, Phase, Side
from shardroute.testing.pinecone import IndexSpec, PineconeServer
from shardroute.testing.qdrant import QdrantServer
from tests.facades.moves import KEY, WAYS, Move, differences
from tests.facades.pinecone_scenarios import Index, answer, steps

_OPTIONS = Options(empty=True, purge_target=True)
METRICS = {"cosine": "cosine", "dotproduct": "dot", "euclidean": "euclidean"}


@dataclass(frozen=True)
class World:
    move: Move
    facade: RoutedIndex
    vendor: AsyncIndex
    """Pinecone's own client, on an index of the same kind that never moves."""


@asynccontextmanager
async def _world(redis_url: str, namespace: str, new: str, metric: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        vectors = IndexSpec.vectors(4, metric)
        documents = IndexSpec.documents(4, metric, vector_field="embedding", sparse_field="words")
        indexes = {"old": vectors, "reference": vectors, "new": documents}
        server = await stack.enter_async_context(PineconeServer(indexes=indexes))
        target = await _target(stack, new, server)
        source = {"cluster": _pinecone(server, "vectors", "old"), "placement": {"sparse_name": "any"}}
        topology = {"dimension": 4, "metric": METRICS[metric]}
        move = await stack.enter_async_context(Move.between(redis_url, namespace, source, target, **topology))
        vendor = AsyncIndex(host=server.index_url("reference"), api_key="any")
        yield World(move, RoutedIndex(move.router), await stack.enter_async_context(vendor))


async def _target(stack: AsyncExitStack, kind: str, server: PineconeServer) -> Mapping[str, Any]:
    if kind == "pinecone-documents":
        names = {"vector_name": "embedding", "sparse_name": "words"}
        return {"cluster": _pinecone(server, "documents", "new"), "placement": names}
    qdrant = await stack.enter_async_context(QdrantServer())
    names = {"collection": "docs", "vector_name": "dense", "sparse_name": "words"}
    return {"cluster": {"kind": "qdrant", "url": qdrant.url}, "placement": names}


def _pinecone(server: PineconeServer, api: str, index: str) -> dict[str, Any]:
    host = server.index_url(index)
    return {"kind": f"pinecone-{api}", "host": host, "api_key_env": KEY, "lag": 0.0, "rate": 1000.0}


async def _life(index: Index, *, sparse: bool = False, hybrid: bool = False) -> list[tuple[str, Any]]:
    return [(str(step), await answer(index, step, "acme")) for step in steps(sparse=sparse, hybrid=hybrid)]


def _differences(ours: list[tuple[str, Any]], theirs: list[tuple[str, Any]]) -> list[str]:
    pairs = zip(ours, theirs, strict=True)
    return [f"{step} {found}" for (step, mine), (_, its) in pairs for found in differences(mine, its)]


@pytest.mark.parametrize("phase", list(WAYS))
@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("new", ["qdrant", "pinecone-documents"])
async def test_the_facade_answers_what_pinecones_client_answers_before_during_and_after_a_move(
    redis_server: EmbeddedRedis, namespace: str, new: str, metric: str, phase: Phase
) -> None:
    async with _world(redis_server.url, namespace, new, metric) as world:
        await world.move.bring("acme", phase)
        sparse = metric == "dotproduct"  # Pinecone takes them under no other
        hybrid = sparse and EFFECTS[phase].primary is Side.OLD  # other kinds fuse ranks: docs/facades.md
        theirs = await _life(world.vendor, sparse=sparse, hybrid=hybrid)
        ours = await _life(world.facade, sparse=sparse, hybrid=hybrid)
        assert _differences(ours, theirs) == []


@pytest.mark.parametrize("new", ["qdrant", "pinecone-documents"])
async def test_the_answers_are_the_same_while_the_tenant_is_moving(
    redis_server: EmbeddedRedis, namespace: str, new: str
) -> None:
    async with _world(redis_server.url, namespace, new, "cosine") as world:
        theirs = await _life(world.vendor)
        stop = asyncio.Event()

        async def there_and_back() -> int:
            moves = 0
            while moves < 2 or not stop.is_set():
                for verb in ("migrate", "rollback"):
                    await world.move.admin.move(verb, "acme", _OPTIONS)
                    moves += 1
            return moves

        moving = asyncio.create_task(there_and_back())
        try:
            lives = [await _life(world.facade) for _ in range(3)]
        finally:
            stop.set()
            moves = await moving
        assert moves >= 2
        assert [found for ours in lives for found in _differences(ours, theirs)] == []
