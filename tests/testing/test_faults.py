"""Each fault of the test server strikes what it is set for, when it is set, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as m
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from shardroute.testing.faults import Faults, TokenBucket
from shardroute.testing.qdrant import QdrantServer
from tests.support.patience import patience

COLLECTIONS = {"docs": m.VectorParams(size=2, distance=m.Distance.DOT)}
POINTS = [m.PointStruct(id=1, vector=[1.0, 2.0])]


@pytest.fixture
async def server() -> AsyncIterator[QdrantServer]:
    async with QdrantServer(collections=COLLECTIONS) as running:
        yield running


@pytest.fixture
async def client(server: QdrantServer) -> AsyncIterator[AsyncQdrantClient]:
    connected = AsyncQdrantClient(url=server.url, check_compatibility=False, timeout=30)
    yield connected
    await connected.close()


async def stored(server: QdrantServer, client: AsyncQdrantClient) -> int:
    server.faults.clear()
    return (await client.count("docs")).count


async def test_latency_and_jitter_delay_every_answer(server: QdrantServer, client: AsyncQdrantClient) -> None:
    server.faults.latency = 0.05
    server.faults.jitter = 0.01
    began = time.perf_counter()
    await client.count("docs")
    assert time.perf_counter() - began >= 0.05


async def test_an_error_is_answered_in_qdrants_form(server: QdrantServer, client: AsyncQdrantClient) -> None:
    server.faults.error_rate, server.faults.error_status = 1.0, 500
    with pytest.raises(UnexpectedResponse) as refusal:
        await client.upsert("docs", POINTS)
    assert refusal.value.status_code == 500
    assert "error" in refusal.value.structured()["status"]
    assert await stored(server, client) == 0


async def test_errors_come_at_the_rate_and_repeat_with_the_seed() -> None:
    async def failures(seed: int) -> list[bool]:
        async with (
            QdrantServer(collections=COLLECTIONS, seed=seed) as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            server.faults.error_rate = 0.3
            return [(await client.get("/collections")).status_code == 503 for _ in range(100)]

    first = await failures(1)
    assert 10 < sum(first) < 50
    assert first == await failures(1)


@pytest.mark.parametrize("only", [{"upsert"}, {"write"}])
async def test_only_the_chosen_operations_are_struck(
    server: QdrantServer, client: AsyncQdrantClient, only: set[str]
) -> None:
    server.faults.update({"error_rate": 1.0, "only": only})
    assert (await client.count("docs")).count == 0
    with pytest.raises(UnexpectedResponse):
        await client.upsert("docs", POINTS)


async def test_down_drops_the_connection(server: QdrantServer, client: AsyncQdrantClient) -> None:
    server.faults.down = True
    with pytest.raises(ResponseHandlingException):
        await client.upsert("docs", POINTS)
    assert await stored(server, client) == 0


AFTER_WRITE: list[dict[str, Any]] = [{"down": True}, {"error_rate": 1.0}, {"rate_limit": 0}]


@pytest.mark.parametrize("fault", AFTER_WRITE)
async def test_after_write_loses_the_answer_and_not_the_write(
    server: QdrantServer, client: AsyncQdrantClient, fault: dict[str, Any]
) -> None:
    server.faults.update({"after_write": True, "only": ["upsert"], **fault})
    with pytest.raises((ResponseHandlingException, UnexpectedResponse, ResourceExhaustedResponse)):
        await client.upsert("docs", POINTS)
    assert await stored(server, client) == 1


async def test_hang_answers_once_it_is_cleared(server: QdrantServer, client: AsyncQdrantClient) -> None:
    server.faults.hang = True
    waiting = asyncio.create_task(client.upsert("docs", POINTS))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    server.faults.hang = False
    assert (await waiting).status == m.UpdateStatus.COMPLETED


async def test_hang_carries_out_what_its_sender_gave_up(
    server: QdrantServer, client: AsyncQdrantClient
) -> None:
    server.faults.update({"hang": True, "only": ["upsert"]})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.upsert("docs", POINTS)
    assert (await client.count("docs")).count == 0
    server.faults.clear()
    await asyncio.sleep(0.1)
    assert await stored(server, client) == 1


async def test_a_hanging_request_does_not_hold_up_the_end() -> None:
    async with (
        QdrantServer(collections=COLLECTIONS) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        server.faults.hang = True
        waiting = asyncio.create_task(client.get("/collections"))
        await asyncio.sleep(0.05)
        async with patience():
            await server.__aexit__(None, None, None)
        with pytest.raises(httpx.TransportError):
            await waiting


async def test_the_rate_limit_answers_429_with_the_time_to_wait(
    server: QdrantServer, client: AsyncQdrantClient
) -> None:
    server.faults.update({"rate_limit": 1, "retry_after": 3})
    await client.count("docs")
    with pytest.raises(ResourceExhaustedResponse, match="limit") as refusal:
        await client.count("docs")
    assert refusal.value.retry_after_s == 3


def test_the_bucket_lets_the_rate_through_and_a_second_of_it_at_once() -> None:
    bucket = TokenBucket()
    passed = [bucket.take(2, now) for now in (0.0, 0.0, 0.0, 0.5, 0.5, 10.0, 10.0, 10.0)]
    assert passed == [True, True, False, True, False, True, True, False]


async def test_faults_can_be_set_over_http_even_when_down(server: QdrantServer) -> None:
    server.faults.down = True
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/_faults")).json()["down"] is True
        answer = await client.put("/_faults", json={"latency": 0.01, "only": ["count"]})
        assert answer.json() == Faults(latency=0.01, only={"count"}).as_json()
        assert (await client.get("/collections")).status_code == 200
    assert server.faults == Faults(latency=0.01, only=["count"])


BAD_SETTINGS: list[dict[str, Any]] = [
    {"no_such": 1},
    {"error_rate": 2},
    {"latency": -1},
    {"latency": True},
    {"down": 1},
    {"only": "upsert"},
    {"only": ["upserts"]},
    {"error_status": "503"},
]


@pytest.mark.parametrize("bad", BAD_SETTINGS)
async def test_settings_that_make_no_sense_are_refused_and_change_nothing(
    server: QdrantServer, bad: dict[str, Any]
) -> None:
    server.faults.latency = 0.01
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.put("/_faults", json=bad)).status_code == 400
    assert server.faults == Faults(latency=0.01)
