"""Two hundred collections as they may be: each moves and is equal by the vendor's own client, or `plan` refused it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, models

from shardroute import Config
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.phases import Phase
from shardroute.testing.qdrant import QdrantServer
from tests.support.patience import PATIENCE

from .generated import TENANT, Case, drawn

SEEDS, EACH = 200, 10


@pytest.fixture
async def urls() -> AsyncIterator[tuple[str, str]]:
    async with QdrantServer() as old, QdrantServer() as new:
        yield old.url, new.url


def config(case: Case, redis: str, namespace: str, urls: tuple[str, str]) -> Config:
    placement = {
        "collection": case.collection, "tenancy": case.tenancy, "ids": "native", "vector_name": case.vector_name,
        "sparse_name": case.sparse_name,
    }  # fmt: skip
    return Config.from_dict(
        {
            "control": {"url": redis, "namespace": namespace},
            "clusters": {name: {"kind": "qdrant", "url": url} for name, url in zip("ab", urls, strict=True)},
            "topologies": {
                version: {
                    "dimension": case.dimension,
                    "metric": case.metric,
                    "placement": {"cluster": name, **placement},
                }
                for version, name in (("v1", "a"), ("v2", "b"))
            },
            "migration": {"from": "v1", "to": "v2", "barrier": PATIENCE},
        }
    )


async def points(client: AsyncQdrantClient, name: str) -> dict[Any, models.Record]:
    found, _ = await client.scroll(name, limit=100, with_payload=True, with_vectors=True)
    return {point.id: point for point in found}


def same(one: models.Record, two: models.Record) -> bool:
    return one.payload == two.payload and same_vectors(_named(one.vector), _named(two.vector))


def _named(vector: Any) -> dict[str, Any]:
    return vector if isinstance(vector, dict) else {} if vector is None else {"": vector}


def same_vectors(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """As float16 keeps them, the coarsest that a move may go through."""
    if one.keys() != two.keys():
        return False
    for name, mine in one.items():
        other = two[name]
        if isinstance(mine, models.SparseVector):
            mine, other = (dict(zip(v.indices, v.values, strict=True)) for v in (mine, other))
            if mine.keys() != other.keys() or not np.allclose(
                list(mine.values()), [other[index] for index in mine], rtol=1e-5
            ):
                return False
        elif np.shape(mine) != np.shape(other) or not np.allclose(
            mine, other, rtol=0, atol=1e-3 * np.abs(mine).max()
        ):
            return False
    return True


async def moves(case: Case, redis: str, namespace: str, urls: tuple[str, str]) -> bool:
    """Whether it moved. What it left behind is gone at the end."""
    name = case.collection.replace("{tenant}", TENANT)
    old, new = (AsyncQdrantClient(url=url, check_compatibility=False) for url in urls)
    try:
        await old.create_collection(name, case.old.vectors_config, case.old.sparse)
        await old.upsert(name, list(case.points))
        for field, kind in case.indexes.items():
            await old.create_payload_index(name, field, kind)
        if case.new is not None:
            await new.create_collection(name, case.new.vectors_config, case.new.sparse)
        before = await points(old, name)
        async with Admin.open(config(case, redis, namespace, urls)) as admin:
            await admin.init()
            if (await admin.plan(TENANT)).problems:
                assert not (await new.collection_exists(name)) or await points(new, name) == {}
                [status] = await admin.status([TENANT])
                assert status.phase is Phase.OLD
                return False
            await admin.move("migrate", TENANT)
            assert (await admin.verify(TENANT)).differing == {}
        there = await points(new, name)
        assert there.keys() == case.own
        assert all(same(before[one], there[one]) for one in case.own)
        made, like = await new.get_collection(name), await old.get_collection(name)
        assert case.indexes.keys() <= made.payload_schema.keys()
        assert (made.config.params.sparse_vectors or {}) == (like.config.params.sparse_vectors or {})
        return True
    finally:
        await old.delete_collection(name)
        await new.delete_collection(name)
        await old.close()
        await new.close()


@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
async def test_what_is_drawn_moves_whole_or_was_refused_before_anything_was_written(
    redis_server: EmbeddedRedis, namespace: str, urls: tuple[str, str], first: int
) -> None:
    moved = 0
    for seed in range(first, first + EACH):
        try:
            moved += await moves(drawn(seed), redis_server.url, f"{namespace}-{seed}", urls)
        except BaseException as error:
            error.add_note(f"seed {seed}: {drawn(seed)}")
            raise
    assert moved, "all were refused: then nothing was tried"
