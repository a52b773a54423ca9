"""What a caller feels of shadow reads: queries with a share of 1 beside queries with none, between two servers.

python -m benchmarks.shadow [--queries N]

Routers in one process share the connections to two Qdrant test servers, which are processes of their own; the tenant
is on both clusters. In the first run a query comes every few milliseconds, so that a shadow is over before the next
one: the difference is what the request path itself does. In the others, queries follow each other without a pause, from
one caller and from several: there a shadow takes time of the process, and of the machine on which all of this runs,
that the next queries would have had. `shadow.budget` bounds that; what it sheds is told. The same without a bound has
no goal: it is the price of twice the queries.
Last, the request path alone, on stores that answer at once: with a shadow it is prepared and queued, and cast later.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from statistics import median, quantiles
from time import perf_counter, process_time

import numpy as np

from shardroute import Config, Record, Router, Tenant
from shardroute.admin import Admin
from shardroute.config import ControlConfig
from shardroute.embedded import embedded_redis
from shardroute.migration import Options
from shardroute.ports import Store
from shardroute.records import Vector
from shardroute.statistics import Events, added
from shardroute.testing.qdrant import QdrantProcess

from .reporting import Figure, show, tell
from .routing import Instant

DIMENSION = 768
RECORDS = 1_000
TENANT = "acme"
QUERIES = 600
BLOCK = 200  # queries of one kind in a row, without pauses
CALLS = 400  # of the request path in one round; fewer than the queue holds
ROUNDS = 15
PAUSE = 0.015  # seconds between two paced queries: a shadow takes about 4 ms
OVERHEAD_GOAL = 5.0  # per cent of the median


@dataclass(frozen=True)
class Timing:
    """What callers waited, in ms for each query, and the CPU time of this process, in ms for a query."""

    name: str
    plain: Sequence[float]
    shadowed: Sequence[float]
    plain_cpu: float
    shadowed_cpu: float

    @property
    def overhead(self) -> float:
        """The shadowed median over the plain one, in per cent."""
        return (median(self.shadowed) / median(self.plain) - 1) * 100

    def rows(self) -> list[tuple[str, ...]]:
        sides = (("share 0", self.plain, self.plain_cpu), ("share 1", self.shadowed, self.shadowed_cpu))
        return [
            (f"{self.name}, {kind}", f"{median(all_):.3f}", f"{quantiles(all_, n=20)[-1]:.3f}", f"{cpu:.2f}")
            for kind, all_, cpu in sides
        ]


def configuration(redis: str, old: str, new: str) -> Config:
    placement = {"collection": "docs"}
    return Config.from_dict(
        {
            "control": {"url": redis, "lease": 600, "idle_lease": 600},
            "shadow": {"floor": 0.0, "queue": 1000},
            "clusters": {"old": {"kind": "qdrant", "url": old}, "new": {"kind": "qdrant", "url": new}},
            "topologies": {
                "v1": {"dimension": DIMENSION, "placement": {"cluster": "old", **placement}},
                "v2": {"dimension": DIMENSION, "placement": {"cluster": "new", **placement}},
            },
            "migration": {"from": "v1", "to": "v2"},
        }
    )


@asynccontextmanager
async def routers(
    config: Config, stores: Mapping[str, Store] | None = None
) -> AsyncIterator[tuple[Tenant, Tenant]]:
    """The tenant through a router that casts no shadows and one that always does, on the same connections."""
    shadowing = replace(config, shadow=replace(config.shadow, share=1.0))
    async with Router(config, stores=stores) as plain, Router(shadowing, stores=plain.stores) as shadowed:
        yield plain.tenant(TENANT), shadowed.tenant(TENANT)


async def filled(config: Config) -> None:
    """The tenant on both clusters."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(RECORDS, DIMENSION)).astype(np.float32)
    async with Router(config) as router, Admin.open(config) as admin:
        await router.stores["old"].prepare(config.route.old.place(TENANT))
        records = [Record(str(number), vector, {"n": number}) for number, vector in enumerate(vectors)]
        await router.tenant(TENANT).upsert(records)
        await admin.move("migrate", TENANT, Options())


def questions(number: int) -> list[Vector]:
    return list(np.random.default_rng(2).normal(size=(number, DIMENSION)).astype(np.float32))


async def asked(tenant: Tenant, vector: Vector) -> float:
    """Milliseconds."""
    began = perf_counter()
    await tenant.query(vector)
    return (perf_counter() - began) * 1000


async def paced(plain: Tenant, shadowed: Tenant, vectors: Sequence[Vector]) -> Timing:
    """Each query through both, in turn first; between any two there is time for a shadow."""
    waited: tuple[list[float], list[float]] = ([], [])
    spent = [0.0, 0.0]
    for number, vector in enumerate(vectors):
        pair = [(plain, waited[0], 0), (shadowed, waited[1], 1)]
        for tenant, times, kind in pair if number % 2 else reversed(pair):
            before = process_time()
            times.append(await asked(tenant, vector))
            await asyncio.sleep(PAUSE)
            spent[kind] += process_time() - before
    plain_cpu, shadowed_cpu = (seconds / len(vectors) * 1000 for seconds in spent)
    return Timing("paced", *waited, plain_cpu, shadowed_cpu)


async def driven(plain: Tenant, shadowed: Tenant, vectors: Sequence[Vector], callers: int) -> Timing:
    """Blocks of queries without pauses, of one kind and the other in turn."""
    waited: tuple[list[float], list[float]] = ([], [])
    spent = [0.0, 0.0]
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        for tenant, times, kind in ((plain, waited[0], 0), (shadowed, waited[1], 1)):
            before = process_time()
            await asyncio.gather(*(_caller(tenant, block[n::callers], times) for n in range(callers)))
            await asyncio.sleep(0.3)  # what is left of the shadows is not the next block's
            spent[kind] += process_time() - before
    plain_cpu, shadowed_cpu = (seconds / len(vectors) * 1000 for seconds in spent)
    name = "one after another" if callers == 1 else f"{callers} callers"
    return Timing(name, *waited, plain_cpu, shadowed_cpu)


async def _caller(tenant: Tenant, vectors: Sequence[Vector], times: list[float]) -> None:
    times.extend([await asked(tenant, vector) for vector in vectors])


@dataclass(frozen=True)
class Run:
    """All timings under one budget, and what became of the shadows."""

    timings: Sequence[Timing]
    compared: int
    shed: int


async def measured(config: Config, number: int) -> Run:
    vectors = questions(number)
    async with routers(config) as (plain, shadowed):
        await paced(plain, shadowed, vectors[:50])  # connections, caches
        gc.collect()
        gc.freeze()
        timings = [
            await paced(plain, shadowed, vectors),
            await driven(plain, shadowed, vectors, 1),
            await driven(plain, shadowed, vectors, 4),
        ]
    async with Admin.open(config, stores={}) as admin:
        tally = added(window.tally for window in (await admin.compare(TENANT)).windows)
        await admin.forget_comparisons(TENANT)
    return Run(timings, tally.count(Events.COMPARED), tally.count(Events.SHED))


async def request_path(redis: str) -> tuple[float, float]:
    """Microseconds for a query of a tenant on two clusters, without and with a shadow; medians of rounds."""
    config = replace(
        unbounded(configuration(redis, "", "")),
        control=ControlConfig(url=redis, namespace="path", lease=100),
    )
    stores: dict[str, Store] = {name: Instant(name) for name in ("old", "new")}
    async with Admin.open(config, stores=stores) as admin:
        await admin.init()
        await admin.move("migrate", TENANT, Options(empty=True))
    rounds: tuple[list[float], list[float]] = ([], [])
    async with routers(config, stores) as pair:
        (vector,) = questions(1)
        for _ in range(ROUNDS):
            for tenant, times in zip(pair, rounds, strict=True):
                began = perf_counter()
                for _ in range(CALLS):
                    await tenant.query(vector)
                times.append((perf_counter() - began) / CALLS * 1e6)
                await asyncio.sleep(0.15)  # all shadows of the round
    return median(rounds[0]), median(rounds[1])


def unbounded(config: Config) -> Config:
    return replace(config, shadow=replace(config.shadow, budget=1.0))


async def main(number: int) -> None:
    async with embedded_redis() as redis, QdrantProcess() as old, QdrantProcess() as new:
        config = configuration(redis.url, old.url, new.url)
        async with Admin.open(config) as admin:
            await admin.init()
        await filled(config)
        bounded, free = await measured(config, number), await measured(unbounded(config), number)
        plain, shadowed = await request_path(redis.url)
    for run, title in ((bounded, f"budget {config.shadow.budget:g}"), (free, "no budget")):
        headings = ("queries", "p50 ms", "p95 ms", "CPU ms a query")
        rows = [row for timing in run.timings for row in timing.rows()]
        show(f"shadow reads, {title}: what callers wait", headings, rows)
    tell(
        "shadow",
        [
            *(_overhead(timing, "", OVERHEAD_GOAL) for timing in bounded.timings),
            Figure("shadows compared", bounded.compared, ""),
            Figure("shadows shed", bounded.shed, ""),
            *(_overhead(timing, ", no budget", None) for timing in free.timings),
            Figure("shadows compared, no budget", free.compared, ""),
            Figure("shadows shed, no budget", free.shed, "", 0),
            Figure("request path, share 0", plain, "µs"),
            Figure("request path, share 1", shadowed, "µs"),
        ],
    )


def _overhead(timing: Timing, condition: str, goal: float | None) -> Figure:
    return Figure(f"overhead of the median, {timing.name}{condition}", timing.overhead, "%", goal)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--queries", type=int, default=QUERIES, help="of each kind, in each run")
    asyncio.run(main(parser.parse_args().queries))
