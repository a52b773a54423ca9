"""The loader beside a tenant that moves, with servers and lines of its own. No account, no Docker."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import embedded_redis
from shardroute.testing.qdrant import QdrantProcess

DIMENSION = 16
RECORDS = 2_000
TENANT = "acme"
SLOWLY = ("--batch", "10", "--concurrency", "1")  # so that it is still loading when the tenant moves
CONFIGURATION = """\
[control]
url = "{redis}"

[clusters.old]
kind = "qdrant"
url = "{old}"

[clusters.new]
kind = "qdrant"
url = "{new}"

[topologies.v1]
dimension = 16
placement = {{ cluster = "old", collection = "docs" }}

[topologies.v2]
shards = 4
dimension = 16
placement = {{ cluster = "new", collection = "docs_{{shard}}" }}

[migration]
from = "v1"
to = "v2"
"""


def write_lines(path: Path, records: int) -> None:
    """Records of random vectors, the same every time."""
    random = np.random.default_rng(0)
    with path.open("w") as file:
        for number in range(records):
            vector = random.normal(size=DIMENSION).round(4).tolist()
            record = {"id": f"doc-{number}", "vector": vector, "metadata": {"number": number}}
            file.write(json.dumps(record) + "\n")


async def prepare(config: Config) -> None:
    """The map, and the old cluster's collection."""
    async with Admin.open(config) as admin:
        await admin.init()
    async with Router(config) as router:
        await router.stores["old"].prepare(config.route.old.place(TENANT))


async def demo(records: int = RECORDS) -> int:
    """Loads while the tenant migrates, and counts what the new cluster has; the loader's exit code."""
    with tempfile.TemporaryDirectory(prefix="shardroute-loader-") as name:
        folder = Path(name)
        async with embedded_redis() as redis, QdrantProcess() as old, QdrantProcess() as new:
            path = folder / "shardroute.toml"
            path.write_text(CONFIGURATION.format(redis=redis.url, old=old.url, new=new.url))
            config, lines = Config.load(path, {}), folder / "records.jsonl"
            await asyncio.to_thread(write_lines, lines, records)
            await prepare(config)
            loader = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __package__, "--tenant", TENANT, str(lines)),
                *SLOWLY,
                env={**os.environ, "SHARDROUTE_CONFIG": str(path)},
            )
            async with Admin.open(config) as admin, Router(config) as router:
                acme = router.tenant(TENANT)
                while not await acme.count():  # noqa: ASYNC110 - what is waited for is in another process
                    await asyncio.sleep(0.02)
                print(f"moving {TENANT} while it is loaded", flush=True)
                moved = await admin.move("migrate", TENANT)
                print(f"{TENANT} is on the new cluster: {moved.copied:,} records were copied", flush=True)
                code = await loader.wait()
                print(
                    f"{await acme.count():,} of {records:,} records are there{_loaded(records - moved.copied)}"
                )
            return code


def _loaded(records: int) -> str:
    """On a machine that is slow to start a move, there are none."""
    return f": the loader itself wrote the other {records:,} there" if records else ""
