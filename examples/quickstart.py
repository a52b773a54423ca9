"""One tenant moves from one cluster to another while it is being read and written.

Runs on one machine, with nothing installed but, from a checkout, `pip install '.[testing]'`:

    python examples/quickstart.py
"""

from __future__ import annotations

import asyncio

import numpy as np

from shardroute import Config, Record, Router
from shardroute.admin import Admin
from shardroute.embedded import embedded_redis
from shardroute.testing.qdrant import QdrantServer

DIMENSION = 8


def config(redis: str, old: str, new: str) -> Config:
    """What would stand in shardroute.toml."""
    return Config.from_dict(
        {
            "control": {"url": redis},
            "clusters": {"old": {"kind": "qdrant", "url": old}, "new": {"kind": "qdrant", "url": new}},
            "topologies": {
                "v1": {"dimension": DIMENSION, "placement": {"cluster": "old", "collection": "docs"}},
                "v2": {
                    "dimension": DIMENSION,
                    "shards": 4,
                    "placement": {"cluster": "new", "collection": "docs_{shard}"},
                },
            },
            "migration": {"from": "v1", "to": "v2"},
        }
    )


async def keep_writing(router: Router, stop: asyncio.Event) -> list[str]:
    """The application: it does not know that anything moves."""
    acme, written = router.tenant("acme"), list[str]()
    while not stop.is_set():
        record = Record(f"live-{len(written)}", np.random.default_rng(len(written)).normal(size=DIMENSION))
        await acme.upsert([record])
        written.append(record.id)
        await asyncio.sleep(0.005)
    return written


async def main() -> None:
    async with embedded_redis() as redis, QdrantServer() as old, QdrantServer() as new:
        settings = config(redis.url, old.url, new.url)
        async with Admin.open(settings) as admin:
            await admin.init()
            async with Router(settings) as router:
                acme, random = router.tenant("acme"), np.random.default_rng(0)
                await router.stores["old"].prepare(settings.route.old.place("acme"))
                await acme.upsert(
                    Record(f"doc-{number}", random.normal(size=DIMENSION), {"even": number % 2 == 0})
                    for number in range(500)
                )
                stop = asyncio.Event()
                writing = asyncio.create_task(keep_writing(router, stop))
                print(f"{acme.phase}: {await acme.count()} records on the old cluster")
                moved = await admin.move("migrate", "acme")
                print(
                    f"{acme.phase}: copied {moved.copied}, compared {moved.compared}, "
                    f"writes held for {1000 * moved.hold_seconds[0]:.0f} ms"
                )
                stop.set()
                written = await writing
                found = await acme.fetch(written)
                print(f"{len(found)} of {len(written)} records written meanwhile are on the new cluster")
                print(
                    "nearest even document:",
                    (await acme.query(np.ones(DIMENSION), top_k=1, filter={"even": True}))[0].id,
                )
                await admin.move("complete", "acme")
                print(f"{acme.phase}: purged {await admin.purge('acme')} records from the old cluster")


if __name__ == "__main__":
    asyncio.run(main())
