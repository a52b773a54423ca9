"""Queries over REST by the store and by the vendor's own client, in turn: medians, 95th percentiles, and stalls.

python -m benchmarks.connections [--url URL]

Without a URL, against this package's server, which writes each answer at once. A server that does not, and has Nagle's
algorithm on, stalls kept connections by 40 ms (`shardroute/stores/prompt_acks.py`); `stalls` counts those above 30 ms.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from time import perf_counter
from uuid import uuid4

import numpy as np
from qdrant_client import AsyncQdrantClient

from shardroute import Record
from shardroute.records import Metric, Query
from shardroute.stores.qdrant import QdrantStore
from shardroute.testing.qdrant import QdrantProcess
from shardroute.topology import Placement, Topology

from .reporting import show

DIMENSION = 256
RECORDS = 1_000
QUERIES = 350
STALL = 0.030

Call = Callable[[], Awaitable[object]]


async def times(calls: dict[str, Call]) -> dict[str, list[float]]:
    """Seconds of each call, in turn, so that what else the machine does strikes all alike."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(QUERIES):
        for name, call in calls.items():
            began = perf_counter()
            await call()
            taken[name].append(perf_counter() - began)
    return {name: sorted(found) for name, found in taken.items()}


async def measure(url: str) -> None:
    store, client = (
        QdrantStore.connect("q", url=url),
        AsyncQdrantClient(url=url, check_compatibility=False),
    )
    place = Topology("v1", 1, Placement("q", f"bench_{uuid4().hex[:8]}"), DIMENSION, Metric.COSINE).place(
        "acme"
    )
    rng = np.random.default_rng(1)
    try:
        await store.prepare(place)
        vectors = rng.standard_normal((RECORDS, DIMENSION), dtype=np.float32)
        await store.upsert(place, [Record(str(n), vector, {"n": n}) for n, vector in enumerate(vectors)])
        query = Query(vectors[0], 10)
        calls: dict[str, Call] = {
            "the vendor's client": lambda: client.query_points(
                place.collection, query=vectors[0].tolist(), limit=10
            ),
            "the store": lambda: store.query(place, query),
        }
        taken = await times(calls)
        base, middle, late = taken["the vendor's client"], QUERIES // 2, QUERIES * 95 // 100
        show(
            f"Queries one after the other, ratios to the vendor's client, stalls above {STALL * 1e3:.0f} ms",
            ("by", "median", "", "95th percentile", "", "stalls"),
            [
                (
                    name,
                    f"{found[middle] * 1e3:.1f} ms",
                    f"{found[middle] / base[middle]:.2f}",
                    f"{found[late] * 1e3:.1f} ms",
                    f"{found[late] / base[late]:.2f}",
                    f"{sum(seconds > STALL for seconds in found)} of {QUERIES}",
                )
                for name, found in taken.items()
            ],
        )
    finally:
        await client.delete_collection(place.collection)
        await client.close()
        await store.aclose()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.connections")
    parser.add_argument("--url", help="of a Qdrant server; a collection is made there, and deleted")
    url = parser.parse_args().url
    async with AsyncExitStack() as stack:
        await measure(url or (await stack.enter_async_context(QdrantProcess())).url)


if __name__ == "__main__":
    asyncio.run(main())
