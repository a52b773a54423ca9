"""What the tenant handle adds to a request, on a store that answers at once.

python -m benchmarks.routing

Direct and routed calls alternate in one process; every figure is a median of rounds. Tracing is off, as it is
until an application sets a tracer provider; the last rows show what spans cost when they are recorded.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from shardroute import Config, Match, Record, Router, Tenant
from shardroute.admin import Admin
from shardroute.embedded import embedded_redis
from shardroute.ports import Store
from shardroute.records import Query
from shardroute.stores.memory import MemoryStore
from shardroute.topology import Place

from .reporting import Figure, show, tell

DIMENSION = 768
CALLS = 2_000  # in one round
ROUNDS = 41
QUERY_GOAL = 5.0  # microseconds
UPSERT_GOAL = 6.0

Call = Callable[[], Awaitable[object]]


class Instant(MemoryStore):
    """Answers at once, and always the same."""

    answer: Sequence[Match] = (Match("doc-1", 0.5, {"lang": "en"}, None),)

    async def query(self, place: Place, query: Query) -> list[Match]:
        return self.answer  # type: ignore[return-value]  # a constant: not even a list is made

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        return None


@dataclass(frozen=True)
class Pair:
    """The same request without and with the router."""

    name: str
    direct: Call
    routed: Call


@dataclass(frozen=True)
class Timing:
    """Medians, in microseconds for a call. `added`: the median of the differences of each round."""

    name: str
    direct: float
    routed: float
    added: float

    def row(self) -> tuple[str, ...]:
        figures = (f"{self.direct:.2f}", f"{self.routed:.2f}", f"{self.added:.2f}")
        return (self.name, *figures, f"{self.routed / self.direct:.0f}")


def pairs(store: Store, tenant: Tenant, place: Place) -> list[Pair]:
    """A query and an upsert; whatever a caller holds already is prepared."""
    vector = np.linspace(0.1, 1.0, DIMENSION, dtype=np.float32)
    query = Query(vector, 10)
    records = [Record("doc-1", vector, {"lang": "en", "public": True})]
    return [
        Pair("query", lambda: store.query(place, query), lambda: tenant.query(vector)),
        Pair("upsert", lambda: store.upsert(place, records), lambda: tenant.upsert(records)),
    ]


async def timed(pair: Pair, rounds: int) -> Timing:
    """Direct and routed in turn, so that a busy machine slows both."""
    await _round(pair.direct), await _round(pair.routed)
    direct, routed = [], []
    for _ in range(rounds):
        direct.append(await _round(pair.direct))
        routed.append(await _round(pair.routed))
    added = [after - before for before, after in zip(direct, routed, strict=True)]
    return Timing(pair.name, median(direct), median(routed), median(added))


async def _round(call: Call) -> float:
    gc.collect()
    await asyncio.sleep(0.001)  # nothing else here waits: the router's own tasks need their turn
    began = perf_counter()
    for _ in range(CALLS):
        await call()
    return (perf_counter() - began) / CALLS * 1e6


@asynccontextmanager
async def routed(redis_url: str) -> AsyncIterator[tuple[Store, Tenant, Place]]:
    """A router whose heartbeats are minutes apart, and one tenant on the old of two clusters."""
    config = Config.from_dict(
        {
            "control": {"url": redis_url, "lease": 3600, "idle_lease": 3600},
            "clusters": {"old": {"kind": "memory"}, "new": {"kind": "memory"}},
            "topologies": {
                "v1": {"dimension": DIMENSION, "placement": {"cluster": "old"}},
                "v2": {"dimension": DIMENSION, "placement": {"cluster": "new"}},
            },
            "migration": {"from": "v1", "to": "v2"},
        }
    )
    stores: dict[str, Store] = {"old": Instant("old"), "new": Instant("new")}
    async with Admin.open(config, stores=stores) as admin:
        await admin.init()
    async with Router(config, stores=stores) as router:
        yield stores["old"], router.tenant("acme"), config.route.old.place("acme")


async def commands(redis: Redis) -> int:
    """How many commands the server has had, but for this question and the blocking read of the change stream."""
    told: dict[str, Any] = await redis.info("commandstats")
    return sum(
        stats["calls"] for name, stats in told.items() if name not in ("cmdstat_info", "cmdstat_xread")
    )


def record_spans() -> InMemorySpanExporter:
    """From here on every span is kept. A tracer provider can be set once in a process."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def kept_small(pair: Pair, exporter: InMemorySpanExporter) -> Pair:
    """The spans of a round are thrown away before the next."""

    def direct() -> Awaitable[object]:
        exporter.clear()
        return pair.direct()

    return Pair(f"{pair.name}, spans recorded", direct, pair.routed)


async def main() -> None:
    async with (
        embedded_redis() as server,
        Redis.from_url(server.url) as redis,
        routed(server.url) as (store, tenant, place),
    ):
        both, before = pairs(store, tenant, place), await commands(redis)
        plain = [await timed(pair, ROUNDS) for pair in both]
        asked = await commands(redis) - before
        exporter = record_spans()
        traced = [await timed(kept_small(pair, exporter), 5) for pair in both]
    headings = ("request", "direct µs", "routed µs", "added µs", "ratio")
    show("routing: medians for one call", headings, [timing.row() for timing in plain + traced])
    tell(
        "routing",
        [
            Figure("query, added", plain[0].added, "µs", QUERY_GOAL),
            Figure("upsert, added", plain[1].added, "µs", UPSERT_GOAL),
            Figure("Redis commands", asked, "", 0),
            *(Figure(f"{timing.name}, added", timing.added, "µs") for timing in traced),
        ],
    )


if __name__ == "__main__":
    asyncio.run(main())
