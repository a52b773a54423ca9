"""Fixtures for pytest: say ``pytest_plugins = ["shardroute.testing.fixtures"]`` in your topmost `conftest.py`.

They need pytest-asyncio. What a test gets is a server of its own, started in its event loop::

    async def test_it(pinecone_server):
        async with AsyncIndex(host=pinecone_server.index_url("vectors"), api_key="any") as index:
            ...

It has an index ``vectors`` and an index ``documents``; for others define a fixture `pinecone_indexes` of your own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from shardroute.testing.pinecone import IndexSpec, PineconeServer


@pytest.fixture
def pinecone_indexes() -> Mapping[str, IndexSpec]:
    """The indexes that `pinecone_server` has from its start, by name."""
    return {"vectors": IndexSpec.vectors(8), "documents": IndexSpec.documents(8)}


@pytest_asyncio.fixture
async def pinecone_server(pinecone_indexes: Mapping[str, IndexSpec]) -> AsyncIterator[PineconeServer]:
    """A Pinecone that answers `AsyncPinecone(host=server.url)` and `AsyncIndex(host=server.index_url(name))`."""
    async with PineconeServer(indexes=pinecone_indexes) as server:
        yield server
