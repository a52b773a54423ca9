"""What a caller feels of shadow reads: queries with a share of 1 beside queries with none, between two servers.

python -m benchmarks.shadow [--queries N]

Routers in one process share the connections to two Qdrant test servers, which are processes of their own; the tenant
is on both clusters. In the first run a query comes every few milliseconds, so that a shadow is over before the next
one: the difference is what the request path itself does. In the others, queries follow each other without a pause, from
one caller and from several: there a shadow takes time of the process, and of the machine on which all of this runs,
that the next queries would have had. `shadow.budget` bounds that; what it sheds is told. The same without a bound has
no goal, but for the paced run, where nothing is shed: it is the price of twice the queries.
Both kinds come in blocks that alternate. The overhead is that of a block's median over that of the block beside it: the
median of those ratios, and its quartiles, which show how much the machine itself varies.
Last, the request path alone, on stores that answer at once: with a shadow it is prepared and queued, and cast later.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
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
QUERIES = 1_000
BLOCK = 100  # queries of one kind
CALLS = 400  # of the request path in one round; fewer than the queue holds
ROUNDS = 15
PAUSE = 0.015  # seconds between two paced queries: a shadow takes about 4 ms
OVERHEAD_GOAL = 5.0  # per cent of the median


@dataclass(frozen=True)
class Timing:
    """What callers waited, in ms for each query by block, and the CPU time of this process, in ms for a query."""

    name: str
    plain: Sequence[Sequence[float]]
    shadowed: Sequence[Sequence[float]]
    plain_cpu: float
    shadowed_cpu: float

    @property
    def overheads(self) -> list[float]:
        """Of each pair of blocks, the shadowed median over the plain one, in per cent."""
        pairs = zip(self.plain, self.shadowed, strict=True)
        return [(median(shadowed) / median(plain) - 1) * 100 for plain, shadowed in pairs]

    def rows(self) -> list[tuple[str, ...]]:
        low, middle, high = quantiles(self.overheads, n=4)
        overhead = f"{middle:.1f} ({low:.1f} to {high:.1f})"
        return [
            self._row("share 0", self.plain, self.plain_cpu, ""),
            self._row("share 1", self.shadowed, self.shadowed_cpu, overhead),
        ]

    def _row(
        self, kind: str, blocks: Sequence[Sequence[float]], cpu: float, overhead: str
    ) -> tuple[str, ...]:
        waited = [one for block in blocks for one in block]
        p50, p95 = median(waited), quantiles(waited, n=20)[-1]
        return f"{self.name}, {kind}", f"{p50:.2f}", f"{p95:.2f}", f"{cpu:.2f}", overhead


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
    return await _alternating("paced", (plain, shadowed), vectors, _paced)


async def driven(plain: Tenant, shadowed: Tenant, vectors: Sequence[Vector], callers: int) -> Timing:
    """Blocks of queries without pauses, of one kind and the other, in turn first."""

    async def block(tenants: Sequence[Tenant], queries: Sequence[Vector]) -> list[Block]:
        return [await _driven(tenant, queries, callers) for tenant in tenants]

    name = "one after another" if callers == 1 else f"{callers} callers"
    return await _alternating(name, (plain, shadowed), vectors, block)


@dataclass(slots=True)
class Block:
    """Queries of one kind: what each waited, in ms, and seconds of CPU time of all."""

    waited: list[float] = field(default_factory=list)
    cpu: float = 0.0


async def _alternating(
    name: str,
    kinds: Sequence[Tenant],
    vectors: Sequence[Vector],
    run: Callable[[Sequence[Tenant], Sequence[Vector]], Awaitable[list[Block]]],
) -> Timing:
    """Pairs of blocks, the kind that is first changing from pair to pair."""
    plain, shadowed = list[Block](), list[Block]()
    for number, start in enumerate(range(0, len(vectors), BLOCK)):
        turn = 1 if number % 2 else -1
        first, second = (await run(kinds[::turn], vectors[start : start + BLOCK]))[::turn]
        plain.append(first)
        shadowed.append(second)
    cpus = [sum(block.cpu for block in blocks) / len(vectors) * 1000 for blocks in (plain, shadowed)]
    return Timing(name, [block.waited for block in plain], [block.waited for block in shadowed], *cpus)


async def _paced(tenants: Sequence[Tenant], queries: Sequence[Vector]) -> list[Block]:
    """One pair of blocks, query by query."""
    blocks = [Block() for _ in tenants]
    for number, query in enumerate(queries):
        pairs = list(zip(tenants, blocks, strict=True))
        for tenant, block in pairs if number % 2 else reversed(pairs):
            before = process_time()
            block.waited.append(await asked(tenant, query))
            await asyncio.sleep(PAUSE)
            block.cpu += process_time() - before
    return blocks


async def _driven(tenant: Tenant, queries: Sequence[Vector], callers: int) -> Block:
    block, before = Block(), process_time()
    await asyncio.gather(*(_caller(tenant, queries[n::callers], block.waited) for n in range(callers)))
    await asyncio.sleep(0.3)  # what is left of the shadows is not the next block's
    block.cpu = process_time() - before
    return block


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
        headings = ("queries", "p50 ms", "p95 ms", "CPU ms", "overhead, %")
        rows = [row for timing in run.timings for row in timing.rows()]
        show(f"shadow reads, {title}: what callers wait", headings, rows)
    tell(
        "shadow",
        [
            *(_overhead(timing, "", OVERHEAD_GOAL) for timing in bounded.timings),
            Figure("shadows compared", bounded.compared, ""),
            Figure("shadows shed", bounded.shed, ""),
            *(
                _overhead(timing, ", no budget", OVERHEAD_GOAL if timing is free.timings[0] else None)
                for timing in free.timings
            ),
            Figure("shadows compared, no budget", free.compared, ""),
            Figure("shadows shed, no budget", free.shed, "", 0),
            Figure("request path, share 0", plain, "µs"),
            Figure("request path, share 1", shadowed, "µs"),
        ],
    )


def _overhead(timing: Timing, condition: str, goal: float | None) -> Figure:
    return Figure(f"overhead of the median, {timing.name}{condition}", median(timing.overheads), "%", goal)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--queries", type=int, default=QUERIES, help="of each kind, in each run")
    asyncio.run(main(parser.parse_args().queries))
