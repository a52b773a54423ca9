"""How fast a tenant is copied, against the vendor's own client in the same run, and in how much memory.

python -m benchmarks.copy [--records N] [--full] [--servers OLD NEW]

A copy reads and writes; its measure is the slower of a raw scan and a raw upsert, each at its best batch size,
with as many requests under way as the copy has. Raw and copy alternate; figures are medians of rounds.
The servers are processes beside this one: on few cores they compete with it for time. `--servers` takes the URLs of two
real ones instead; the collection of this benchmark is deleted there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from qdrant_client import AsyncQdrantClient, models

from shardroute import Config
from shardroute.embedded import embedded_redis
from shardroute.testing.qdrant import QdrantProcess

from . import raw
from .migrating import COLLECTION, TENANT, Migrated, configuration, load, migrate, migrate_apart
from .raw import Speed
from .reporting import Figure, show, tell

RECORDS = 10_000
ROUNDS = 5
SIZES, FULL_SIZES = (5_000, 20_000), (10_000, 200_000)
RATE_GOAL = 0.9
MEMORY_GOAL = 1.1  # flat
_SAMPLE = 4_000  # records on which batch sizes are tried


@dataclass(frozen=True)
class Round:
    """The raw requests, and a migration right after them."""

    scan: Speed
    upsert: Speed
    migrated: Migrated

    @property
    def copy(self) -> Speed:
        return self.migrated.copy

    @property
    def migrate(self) -> float:
        return self.migrated.records / self.migrated.seconds

    @property
    def share(self) -> float:
        """What the copy has of the slower raw rate."""
        return self.copy.rate / min(self.scan.rate, self.upsert.rate)

    @property
    def work(self) -> float:
        """CPU time of the copy against that of the raw scan and the raw upsert together."""
        return self.copy.cpu / (self.scan.cpu + self.upsert.cpu)


@dataclass(frozen=True)
class Servers:
    redis: str
    old: str
    new: str

    def raw(self, namespace: str) -> dict[str, Any]:
        return configuration(self.redis, namespace, self.old, self.new)


async def rates(servers: Servers, records: int, rounds: int) -> tuple[list[Round], tuple[int, int]]:
    """The rounds, and the best batch sizes of scan and upsert."""
    config = Config.from_dict(servers.raw("loading"))
    await load(config, records)
    async with (
        raw.side(servers.old, COLLECTION, TENANT) as old,
        raw.side(servers.new, COLLECTION, TENANT) as new,
    ):
        await migrate(servers.raw("warm"))  # and makes the collection on the new side
        held = [_point(point) for point in await raw.points(old, 500, records)]
        width = config.copy.concurrency
        # What is held here would be walked in a round again and again, whoever's turn it happens to be.
        gc.collect()
        gc.freeze()
        sample = held[:_SAMPLE]
        scan = await raw.best(lambda size: raw.scan(old, size, _SAMPLE))
        upsert = await raw.best(lambda size: raw.upsert(new, sample, size, width))
        found = [
            Round(
                await raw.scan(old, scan, records),
                await raw.upsert(new, held, upsert, width),
                await migrate(servers.raw(f"round{number}")),
            )
            for number in range(rounds)
        ]
    return found, (scan, upsert)


def _point(point: models.Record) -> models.PointStruct:
    return models.PointStruct.model_construct(id=point.id, vector=point.vector, payload=point.payload)


@asynccontextmanager
async def served(urls: Sequence[str]) -> AsyncIterator[Servers]:
    """Redis and two clusters without our collection: those at the URLs, or two that are started here."""
    async with embedded_redis() as redis, AsyncExitStack() as stack:
        if not urls:
            urls = [(await stack.enter_async_context(QdrantProcess())).url for _ in range(2)]
        for url in urls:
            client = AsyncQdrantClient(url=url, timeout=60, check_compatibility=False)
            await client.delete_collection(COLLECTION)
            await client.close()
        yield Servers(redis.url, *urls)


async def memory(records: int, urls: Sequence[str]) -> Migrated:
    """A migration of so many records by a fresh process."""
    async with served(urls) as servers:
        await load(Config.from_dict(servers.raw("loading")), records)
        return await migrate_apart(servers.raw("memory"))


def _show_rates(rounds: list[Round], sizes: tuple[int, int], records: int) -> None:
    rows = [
        _row(f"raw scan, pages of {sizes[0]}", [each.scan for each in rounds]),
        _row(f"raw upsert, batches of {sizes[1]}", [each.upsert for each in rounds]),
        _row("copy, the stage alone", [each.copy for each in rounds]),
        ("migrate, with preflight and comparison", f"{median(each.migrate for each in rounds):,.0f}", ""),
    ]
    headings = ("what", "records/s", "CPU µs/record")
    show(f"copy: {records:,} records, medians of {len(rounds)} rounds", headings, rows)


def _row(what: str, speeds: list[Speed]) -> tuple[str, str, str]:
    rate, cpu = median(speed.rate for speed in speeds), median(speed.cpu for speed in speeds)
    return what, f"{rate:,.0f}", f"{cpu:.0f}"


def _show_memory(runs: list[Migrated]) -> float:
    show(
        "copy: memory of the migrating process",
        ("records", "peak MB", "copy records/s", "migrate s"),
        [
            (f"{run.records:,}", f"{run.peak_mb:.0f}", f"{run.copy.rate:,.0f}", f"{run.seconds:.1f}")
            for run in runs
        ],
    )
    return runs[-1].peak_mb / runs[0].peak_mb


async def main(records: int, rounds: int, sizes: tuple[int, ...], urls: Sequence[str]) -> None:
    async with served(urls) as servers:
        found, best = await rates(servers, records, rounds)
    _show_rates(found, best, records)
    growth = _show_memory([await memory(size, urls) for size in sizes])
    figures = [
        Figure(
            "copy, share of the slower raw rate", median(e.share for e in found), "", RATE_GOAL, most=False
        ),
        Figure(f"peak memory, {sizes[-1]:,} against {sizes[0]:,} records", growth, "times", MEMORY_GOAL),
        Figure("CPU of the copy, of raw scan + raw upsert", median(e.work for e in found), "times"),
        Figure("copy", median(e.copy.rate for e in found), "records/s"),
        Figure("migrate", median(e.migrate for e in found), "records/s"),
        Figure("raw scan", median(e.scan.rate for e in found), "records/s"),
        Figure("raw upsert", median(e.upsert.rate for e in found), "records/s"),
    ]
    tell("copy", figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copy", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=RECORDS, help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default %(default)s")
    parser.add_argument("--full", action="store_true", help=f"memory at {FULL_SIZES[1]:,} records")
    parser.add_argument(
        "--servers", nargs=2, metavar=("OLD", "NEW"), default=(), help="URLs of Qdrant servers"
    )
    given = parser.parse_args()
    asyncio.run(main(given.records, given.rounds, FULL_SIZES if given.full else SIZES, given.servers))
