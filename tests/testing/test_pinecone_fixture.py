"""The pytest fixture gives each test a server of its own, with the indexes it asks for."""

from collections.abc import Mapping

import pytest
from pinecone import AsyncIndex

from shardroute.testing.pinecone import IndexSpec, PineconeServer
from tests.testing.pinecones import KEY, client, listed, queried, vector

pytest_plugins = ["shardroute.testing.fixtures"]


@pytest.mark.parametrize("_time", ["first", "second"])
async def test_the_server_is_new_for_each_test(pinecone_server: PineconeServer, _time: str) -> None:
    async with AsyncIndex(host=pinecone_server.index_url("vectors"), api_key=KEY) as index:
        assert await listed(index) == []
        await index.upsert(vectors=[{"id": "1", "values": [1.0] * 8}], namespace="a")
        assert await listed(index) == ["1"]


class TestOtherIndexes:
    @pytest.fixture
    def pinecone_indexes(self) -> Mapping[str, IndexSpec]:
        return {"mine": IndexSpec.vectors(2)}

    async def test_the_indexes_are_those_of_the_nearest_fixture(
        self, pinecone_server: PineconeServer
    ) -> None:
        async with client(pinecone_server, "mine") as index:
            await index.upsert(vectors=[vector("1")], namespace="a")
            assert await queried(index) == ["1"]
