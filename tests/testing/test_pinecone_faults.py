"""The emulator fails on purpose, and the SDK takes it for what it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from pinecone import AsyncIndex, ConflictError, NotFoundError, RateLimitError, ServiceError

from shardroute.testing.pinecone import PineconeServer
from tests.testing.pinecones import KEY, client, document, listed, queried, served, vector


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with served() as running:
        yield running


@pytest.fixture
async def index(server: PineconeServer) -> AsyncIterator[AsyncIndex]:
    async with client(server, "vectors") as opened:
        yield opened


async def is_struck(operation: Awaitable[Any]) -> bool:
    try:
        await operation
    except ServiceError as error:
        return "a fault was injected" in str(error)
    except (NotFoundError, ConflictError):
        return False
    return False


OPERATIONS: dict[str, Callable[[AsyncIndex], Awaitable[Any]]] = {
    "upsert": lambda index: index.upsert(vectors=[vector("1")], namespace="a"),
    "query": queried,
    "fetch": lambda index: index.fetch(ids=["1"], namespace="a"),
    "list": listed,
    "update": lambda index: index.update(id="1", set_metadata={"x": 1}, namespace="a"),
    "delete": lambda index: index.delete(ids=["2"], namespace="a"),
    "stats": lambda index: index.describe_index_stats(),
    "create_namespace": lambda index: index.create_namespace(name="b"),
    "delete_namespace": lambda index: index.delete_namespace(name="b"),
}
KINDS = {
    "read": {"query", "fetch", "list", "stats"},
    "write": {"upsert", "update", "delete"},
    "admin": {"create_namespace", "delete_namespace"},
}


@pytest.mark.parametrize(("only", "expected"), [*((name, {name}) for name in OPERATIONS), *KINDS.items()])
async def test_an_error_strikes_the_operations_it_is_restricted_to(
    server: PineconeServer, index: AsyncIndex, only: str, expected: set[str]
) -> None:
    server.faults.update({"error_rate": 1.0, "error_status": 501, "only": [only]})
    assert {name for name, operation in OPERATIONS.items() if await is_struck(operation(index))} == expected


async def test_the_sdk_sees_a_rate_limit_and_how_long_to_wait(
    server: PineconeServer, index: AsyncIndex
) -> None:
    server.faults.update({"rate_limit": 0, "retry_after": 0})
    with pytest.raises(RateLimitError) as refused:
        await index.describe_index_stats()
    assert refused.value.retry_after == 0


async def test_a_lost_answer_is_not_a_lost_write(server: PineconeServer, index: AsyncIndex) -> None:
    server.faults.update({"error_rate": 1.0, "error_status": 501, "after_write": True, "only": ["write"]})
    with pytest.raises(ServiceError):
        await index.upsert(vectors=[vector("1")], namespace="a")
    assert await queried(index) == ["1"]


async def test_a_hanging_server_times_out(server: PineconeServer) -> None:
    server.faults.hang = True
    async with httpx.AsyncClient(base_url=server.index_url("vectors"), headers={"Api-Key": KEY}) as raw:
        with pytest.raises(httpx.ReadTimeout):
            await raw.post("/describe_index_stats", json={}, timeout=0.05)
        server.faults.clear()
        assert (await raw.post("/describe_index_stats", json={})).status_code == 200


async def test_rates_are_counted_by_namespace_and_operation(server: PineconeServer) -> None:
    server.rates["upsert"] = 0.001
    headers = {"Api-Key": KEY}
    async with httpx.AsyncClient(base_url=server.index_url("vectors"), headers=headers) as raw:

        async def upsert(namespace: str) -> httpx.Response:
            return await raw.post("/vectors/upsert", json={"vectors": [vector("1")], "namespace": namespace})

        assert [(await upsert(name)).status_code for name in ("a", "b", "a", "b")] == [200, 200, 429, 429]
        refused = await upsert("a")
        assert (refused.headers["retry-after"], refused.json()["code"]) == ("1", 8)
        query = {"vector": [1, 0], "topK": 1, "namespace": "a"}
        assert (await raw.post("/query", json=query)).status_code == 200
    async with httpx.AsyncClient(base_url=server.index_url("documents"), headers=headers) as raw:
        path, body = "/namespaces/a/documents/upsert", {"documents": [document("1")]}
        assert [(await raw.post(path, json=body)).status_code for _ in range(2)] == [202, 429]
        del server.rates["upsert"]
        assert (await raw.post(path, json=body)).status_code == 202


async def test_switches_that_make_no_sense_are_refused_and_change_nothing(server: PineconeServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as raw:
        for path, wrong in [
            ("/_faults", {"only": ["dance"]}),
            ("/_faults", {"error_rate": 2}),
            ("/_lag", {"search": -1}),
            ("/_lag", {"dance": 1}),
            ("/_rates", {"dance": 1}),
        ]:
            before = (await raw.get(path)).json()
            assert (await raw.put(path, json=wrong)).status_code == 400
            assert (await raw.get(path)).json() == before
