"""API keys of the Qdrant test server: with one, with that for reading, and with none."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from qdrant_client import models as m

from shardroute.testing.qdrant import QdrantProcess, QdrantServer

VECTORS = m.VectorParams(size=2, distance=m.Distance.DOT)
FULL, READ = "a key", "a key to read with"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        QdrantServer(collections={"docs": VECTORS}, api_key=FULL, read_only_api_key=READ) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        yield client


READS: list[tuple[str, str, Any]] = [
    ("GET", "/collections", None),
    ("GET", "/collections/docs", None),
    ("GET", "/collections/docs/exists", None),
    ("GET", "/aliases", None),
    ("POST", "/collections/docs/points", {"ids": [1]}),
    ("POST", "/collections/docs/points/scroll", {}),
    ("POST", "/collections/docs/points/count", {}),
    ("POST", "/collections/docs/points/query", {"query": [1.0, 1.0]}),
]
WRITES: list[tuple[str, str, Any]] = [
    ("PUT", "/collections/docs/points", {"points": [{"id": 1, "vector": [1.0, 1.0]}]}),
    ("POST", "/collections/docs/points/delete", {"points": [1]}),
    ("POST", "/collections/docs/points/payload", {"payload": {}, "points": [1]}),
    ("PUT", "/collections/docs/index", {"field_name": "n", "field_schema": "integer"}),
    ("PATCH", "/collections/docs", {"metadata": {"a": 1}}),
    ("POST", "/collections/aliases", {"actions": []}),
    ("PUT", "/collections/more", {"vectors": {"size": 2, "distance": "Dot"}}),
    ("DELETE", "/collections/docs", None),
]


@pytest.mark.parametrize("header", ["api-key", "authorization"])
@pytest.mark.parametrize(("method", "path", "body"), READS + WRITES)
async def test_the_key_opens_everything(
    http: httpx.AsyncClient, header: str, method: str, path: str, body: Any
) -> None:
    value = FULL if header == "api-key" else f"Bearer {FULL}"
    assert (await http.request(method, path, json=body, headers={header: value})).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), READS)
async def test_the_key_for_reading_reads(http: httpx.AsyncClient, method: str, path: str, body: Any) -> None:
    assert (await http.request(method, path, json=body, headers={"api-key": READ})).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_the_key_for_reading_changes_nothing(
    http: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    answer = await http.request(method, path, json=body, headers={"api-key": READ})
    assert answer.status_code == 403
    assert answer.json()["status"]["error"] == "Forbidden: Global manage access is required"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Must provide an API key or an Authorization bearer token"),
        ({"api-key": "another"}, "Invalid API key or JWT"),
        ({"authorization": "Bearer another"}, "Invalid API key or JWT"),
    ],
)
async def test_who_has_no_key_sees_the_version_and_no_more(
    http: httpx.AsyncClient, headers: dict[str, str], message: str
) -> None:
    assert (await http.get("/", headers=headers)).status_code == 200
    for method, path, body in READS + WRITES:
        answer = await http.request(method, path, json=body, headers=headers)
        assert (answer.status_code, answer.text) == (401, message)


async def test_a_process_has_keys_too() -> None:
    async with QdrantProcess(api_key=FULL) as process, httpx.AsyncClient(base_url=process.url) as http:
        assert (await http.get("/collections")).status_code == 401
        assert (await http.get("/collections", headers={"api-key": FULL})).status_code == 200
