"""Pinecone's default namespace, where most applications have their data: whose it is is said, or it is not read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pinecone import AsyncIndex

from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ConfigError, PreflightFailed, UnknownTenant
from shardroute.facades.pinecone import RoutedIndex
from shardroute.phases import Phase
from shardroute.testing.pinecone import IndexSpec, PineconeServer
from tests.facades.moves import KEY, Move

INDEXES = {
    "vectors": IndexSpec.vectors(2),
    "documents": IndexSpec.documents(2),
    "pages": IndexSpec.documents(2),
}
VECTORS = [("a", [1.0, 0.5]), ("b", [0.5, 1.0])]
DEFAULT: list[dict[str, Any]] = [{}, {"namespace": ""}, {"namespace": "__default__"}]


@dataclass(frozen=True)
class Clusters:
    server: PineconeServer
    move: Move
    index: AsyncIndex


@asynccontextmanager
async def clusters(
    redis_url: str, namespace: str, kind: str = "vectors", new: Mapping[str, Any] | None = None, **old: Any
) -> AsyncIterator[Clusters]:
    """From an index of that kind to one of documents; `old` and `new`: more of the placements."""
    async with PineconeServer(indexes=INDEXES) as server:

        def side(api: str, name: str, more: Mapping[str, Any]) -> dict[str, Any]:
            cluster = {
                "kind": f"pinecone-{api}",
                "host": server.index_url(name),
                "api_key_env": KEY,
                "lag": 0.0,
            }
            vector = {"vector_name": "embedding"} if api == "documents" else {}
            return {"cluster": cluster, "placement": {"collection": name, **vector, **more}}

        index = AsyncIndex(host=server.index_url(kind), api_key="any")
        async with (
            index,
            Move.between(
                redis_url,
                namespace,
                side(kind, kind, old),
                side("documents", "pages", new or {}),
                dimension=2,
            ) as move,
        ):
            yield Clusters(server, move, index)


async def fill(index: AsyncIndex, kind: str, namespace: str = "__default__") -> None:
    if kind == "vectors":
        await index.upsert(vectors=VECTORS, namespace=namespace)
        return
    documents = [{"_id": name, "embedding": values} for name, values in VECTORS]
    await index.documents.upsert(namespace=namespace, documents=documents)


@pytest.mark.parametrize("kind", ["vectors", "documents"])
@pytest.mark.parametrize("new", [{}, {"default_namespace": "main"}], ids=["to its own", "to the default one"])
async def test_a_tenant_whose_namespace_is_the_default_one_is_found_moved_and_purged(
    redis_server: EmbeddedRedis, namespace: str, kind: str, new: Mapping[str, Any]
) -> None:
    async with clusters(redis_server.url, namespace, kind, new, default_namespace="main") as there:
        await fill(there.index, kind)
        await fill(there.index, kind, "acme")
        admin, move = there.move.admin, there.move
        assert await admin.tenants() == ["acme", "main"]
        assert (await admin.plan("main")).problems == []
        assert not [problem for problem in (await admin.doctor()).problems if "nobody routes" in problem]
        facade = RoutedIndex(move.router)
        for phase in (Phase.OLD, Phase.DUAL_NEW):
            if phase is not Phase.OLD:
                await move.bring("main", phase)
            for named in DEFAULT:
                found = await facade.query(vector=[1.0, 0.5], top_k=5, **named)
                assert [match.id for match in found.matches] == ["a", "b"]
                assert found.namespace == named.get("namespace", "")
        await admin.move("complete", "main")
        assert await admin.purge("main") == 2
        assert await move.router.tenant("main").count() == 2
        assert await move.router.tenant("acme").count() == 2
        held = (await there.index.describe_index_stats()).namespaces
        assert held["__default__"].vector_count == 0


@pytest.mark.parametrize("kind", ["vectors", "documents"])
async def test_a_default_namespace_with_records_of_nobody_is_named_and_never_read_as_empty(
    redis_server: EmbeddedRedis, namespace: str, kind: str
) -> None:
    async with clusters(redis_server.url, namespace, kind) as there:
        assert [
            problem for problem in (await there.move.admin.doctor()).problems if "routes" in problem
        ] == []
        await fill(there.index, kind)
        [problem] = [line for line in (await there.move.admin.doctor()).problems if "nobody routes" in line]
        assert "'__default__'" in problem
        assert 'default_namespace = "TENANT" } in topologies.v1' in problem
        router = there.move.router
        with pytest.raises(ConfigError, match=r'default_namespace = "main" } in topologies\.v1'):
            RoutedIndex(router, default_tenant="main")
        for named in DEFAULT:
            with pytest.raises(UnknownTenant, match=r"default_namespace.*topologies\.v1"):
                await RoutedIndex(router).query(vector=[1.0, 0.5], top_k=5, **named)
        with pytest.raises(PreflightFailed, match="no record"):
            await there.move.admin.move("migrate", "main")


async def test_a_namespace_that_is_called_as_the_tenant_of_the_default_one_is_not_its(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with clusters(redis_server.url, namespace, default_namespace="main") as there:
        await fill(there.index, "vectors", "main")
        assert await there.move.admin.tenants() == []
        [problem] = [line for line in (await there.move.admin.doctor()).problems if "nobody routes" in line]
        assert "namespace 'main' of 'vectors'" in problem
        facade = RoutedIndex(there.move.router, default_tenant="main")
        assert (await facade.fetch(ids=["a"])).vectors == {}
        with pytest.raises(UnknownTenant, match="'main' has the default namespace instead"):
            await facade.fetch(ids=["a"], namespace="main")
        with pytest.raises(ConfigError, match="belongs to tenant 'main'"):
            RoutedIndex(there.move.router, default_tenant="acme")
