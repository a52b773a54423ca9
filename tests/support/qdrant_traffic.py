"""What a store asks of a Qdrant cluster, and what it is refused; and an operator who limits a collection meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, models

from shardroute.stores.qdrant import QdrantStore
from shardroute.testing import _qdrant_limits

_POINTS = re.compile(r"/collections/[^/]+/points(?P<rest>/scroll)?")


@dataclass
class Traffic:
    """`refused`: the cluster's words. `sizes`: bytes of bodies that passed. `asked`: points of pages and fetches."""

    refused: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, store: QdrantStore) -> Traffic:
        """From now on."""
        traffic = cls()
        store._client.http.client.add_middleware(traffic._look)
        return traffic

    async def _look(
        self, request: httpx.Request, call_next: Callable[[httpx.Request], Awaitable[httpx.Response]]
    ) -> httpx.Response:
        raw = request.content
        response = await call_next(request)
        if response.is_error:
            self.refused.append(response.json()["status"]["error"])
            return response
        self.sizes.append(len(raw))
        found = _POINTS.fullmatch(request.url.path)
        if found and request.method == "POST":
            body = json.loads(raw)
            self.asked.append(("scroll", body["limit"]) if found["rest"] else ("retrieve", len(body["ids"])))
        return response


async def limit(url: str, collection: str, strict: dict[str, Any]) -> None:
    """As an operator does, at any time; rates have full buckets then."""
    client = AsyncQdrantClient(url=url, check_compatibility=False)
    try:
        await client.update_collection(
            collection, strict_mode_config=models.StrictModeConfig(enabled=True, **strict)
        )
    finally:
        await client.close()


def shorten_minutes(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Of the rates of all servers in this process. `Retry-After` is in whole seconds still."""
    monkeypatch.setattr(_qdrant_limits, "SECONDS", seconds)
