"""What the tests of the Pinecone emulator share: its indexes, clients of the real SDK, and their errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pinecone import AsyncIndex

from shardroute.testing.pinecone import IndexSpec, PineconeProcess, PineconeServer

KEY = "any"
INDEXES = {
    "vectors": IndexSpec.vectors(2),
    "dot": IndexSpec.vectors(2, "dotproduct"),
    "euclidean": IndexSpec.vectors(2, "euclidean"),
    "sparse": IndexSpec.vectors(),
    "documents": IndexSpec.documents(
        2, sparse_field="keywords", fields={"body": {"type": "string", "full_text_search": {}}}
    ),
}
DENSE = {"type": "dense_vector", "field": "embedding"}


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[PineconeServer]:
    async with PineconeServer(indexes=INDEXES, **settings) as server:
        yield server


def client(server: PineconeServer | PineconeProcess, name: str) -> AsyncIndex:
    return AsyncIndex(host=server.index_url(name), api_key=KEY)


def vector(name: str, *values: float, **metadata: Any) -> dict[str, Any]:
    return {"id": name, "values": [*values] or [1.0, 0.0], "metadata": metadata}


def document(name: str, *values: float, **fields: Any) -> dict[str, Any]:
    return {"_id": name, "embedding": [*values] or [1.0, 0.0], **fields}


async def queried(index: AsyncIndex, namespace: str = "a", **how: Any) -> list[str]:
    arguments: dict[str, Any] = {"vector": [1.0, 0.0], "top_k": 10, **how}
    return [match.id for match in (await index.query(namespace=namespace, **arguments)).matches]


async def fetched(index: AsyncIndex, *ids: str, namespace: str = "a") -> Mapping[str, Any]:
    return (await index.fetch(ids=ids, namespace=namespace)).vectors


async def listed(index: AsyncIndex, namespace: str = "a", **how: Any) -> list[str | None]:
    return [item.id async for page in index.list(namespace=namespace, **how) for item in page.vectors]


async def searched(index: AsyncIndex, namespace: str = "a", **how: Any) -> list[str]:
    score_by = [{**DENSE, "values": [1.0, 0.0]}]
    arguments: dict[str, Any] = {"score_by": score_by, "top_k": 10, **how}
    return [match.id for match in (await index.documents.search(namespace=namespace, **arguments)).matches]
