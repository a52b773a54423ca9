"""The vendor's own client, by itself: how fast it scans and upserts at its best batch size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any
from uuid import uuid4

import httpx
from qdrant_client import AsyncQdrantClient, models

BATCH_SIZES = (64, 128, 256, 512, 1000)

# As `shardroute.stores.qdrant` sets them: without limits the client opens a connection for every request.
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=2.0)


@dataclass(frozen=True)
class Speed:
    """`rate`: records a second. `cpu`: microseconds of this process for a record, whatever else the machine does."""

    rate: float
    cpu: float


class Watch:
    """Started when it is made."""

    def __init__(self) -> None:
        self._began = perf_counter(), process_time()

    def speed(self, records: int) -> Speed:
        seconds, cpu = perf_counter() - self._began[0], process_time() - self._began[1]
        return Speed(records / seconds, cpu / records * 1e6)


@dataclass(frozen=True)
class Side:
    """A collection on one server, and one tenant's points in it."""

    client: AsyncQdrantClient
    collection: str
    own: models.Filter


@asynccontextmanager
async def side(url: str, collection: str, tenant: str) -> AsyncIterator[Side]:
    """Opened and closed."""
    client = AsyncQdrantClient(url=url, timeout=60, check_compatibility=False, limits=_LIMITS)
    own = models.FieldCondition(key="tenant", match=models.MatchValue(value=tenant))
    try:
        yield Side(client, collection, models.Filter(must=[own]))
    finally:
        await client.close()


async def points(source: Side, size: int, most: int) -> list[models.Record]:
    """The tenant's points, page by page: up to `most` of them."""
    found: list[models.Record] = []
    offset: Any = None
    while len(found) < most:
        page, offset = await source.client.scroll(
            source.collection, source.own, limit=size, offset=offset, with_payload=True, with_vectors=True
        )
        found += page
        if offset is None:
            break
    return found


async def scan(source: Side, size: int, most: int) -> Speed:
    """A scan; the pages are dropped as they come."""
    watch, count, offset = Watch(), 0, None
    while count < most:
        page, offset = await source.client.scroll(
            source.collection, source.own, limit=size, offset=offset, with_payload=True, with_vectors=True
        )
        count += len(page)
        if offset is None:
            break
    return watch.speed(count)


async def upsert(target: Side, held: Sequence[models.PointStruct], size: int, concurrency: int) -> Speed:
    """Upserts into a collection of their own, made as the copy's is; `concurrency` requests under way."""
    collection = await _made_like(target)
    batches = iter([held[start : start + size] for start in range(0, len(held), size)])

    async def worker() -> None:
        for batch in batches:
            await target.client.upsert(collection, list(batch), wait=True)

    watch = Watch()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    speed = watch.speed(len(held))
    await target.client.delete_collection(collection)
    return speed


async def _made_like(target: Side) -> str:
    """An empty collection with the same vectors, graph and index on the tenant's field: as much work for the server."""
    client, collection = target.client, f"raw-{uuid4().hex}"
    info = await client.get_collection(target.collection)
    graph = info.config.hnsw_config
    await client.create_collection(
        collection,
        vectors_config=info.config.params.vectors,
        hnsw_config=models.HnswConfigDiff(m=graph.m, payload_m=graph.payload_m),
    )
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    await client.create_payload_index(collection, "tenant", tenant, wait=True)
    await client.count(
        collection, target.own
    )  # a filter: here the test server indexes the field, as for the copy
    return collection


async def best(run: Callable[[int], Awaitable[Speed]]) -> int:
    """The batch size of the highest rate; each is tried twice."""
    rates = {size: max([(await run(size)).rate, (await run(size)).rate]) for size in BATCH_SIZES}
    return max(rates, key=lambda size: rates[size])
