"""Tests of what a Qdrant server does run against the test server, and against a real one if there is one.

SHARDROUTE_TEST_QDRANT_URL names it, as for the tests of the stores.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from shardroute.testing.qdrant import QdrantServer
from tests.support.patience import PATIENCE

REAL = "SHARDROUTE_TEST_QDRANT_URL"
SERVERS = ["test server", *(["real server"] if REAL in os.environ else [])]
Json = dict[str, Any]


@dataclass
class Qdrant:
    """A server, and a name in it that no other test uses."""

    http: httpx.AsyncClient
    name: str

    async def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """`path` begins below the collection's; with a slash more, at the server's root."""
        where = path[1:] if path.startswith("//") else f"/collections/{self.name}{path}"
        return await self.http.request(method, where, json=body)

    async def result(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's result."""
        answer = await self.send(method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def refusal(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and message of an answer that is an error."""
        answer = await self.send(method, path, body)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["status"]["error"]

    async def create(self, **settings: Any) -> None:
        """Make the collection: of two dimensions, unless it is said otherwise."""
        vectors = {"vectors": {"size": 2, "distance": "Dot"}}
        assert await self.result("PUT", "", vectors | settings) is True

    async def upsert(self, *points: Json, **more: Any) -> None:
        """Write points; those without a vector get one."""
        whole = [{"vector": [1.0, float(place)]} | point for place, point in enumerate(points)]
        await self.result("PUT", "/points?wait=true", {"points": whole} | more)

    async def index(self, field: str, schema: Any) -> None:
        """Make a payload index."""
        await self.result("PUT", "/index?wait=true", {"field_name": field, "field_schema": schema})

    async def ids(self, condition: Json) -> list[Any]:
        """The points that match one condition."""
        page = await self.result("POST", "/points/scroll", {"filter": {"must": [condition]}, "limit": 100})
        return [point["id"] for point in page["points"]]

    async def points(self, *ids: Any, with_vector: bool = True) -> list[Json]:
        """Points by id."""
        found: list[Json] = await self.result(
            "POST", "/points", {"ids": list(ids), "with_vector": with_vector}
        )
        return found


@asynccontextmanager
async def opened(server: str) -> AsyncIterator[Qdrant]:
    """A client of the test server, or of the real one."""
    name = f"t{uuid4().hex[:12]}"
    if server == "test server":
        async with QdrantServer() as running, httpx.AsyncClient(base_url=running.url) as http:
            yield Qdrant(http, name)
        return
    async with httpx.AsyncClient(base_url=os.environ[REAL], timeout=PATIENCE) as http:
        try:
            yield Qdrant(http, name)
        finally:
            await http.delete(f"/collections/{name}")
