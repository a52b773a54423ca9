"""One migration between two servers, with the time of each stage and the memory of this process.

python -m benchmarks.migrating CONFIG    # as a process of its own: prints its figures as JSON
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shardroute import Config, Record
from shardroute.admin import Admin
from shardroute.clusters import connect
from shardroute.migration import Options, Silent, Stage

from .raw import Speed, Watch

DIMENSION = 256
TENANT = "acme"
COLLECTION = "shardroute_benchmark"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Migrated:
    """The copy alone, and seconds of the whole verb; the most memory that the process ever held, in MB."""

    records: int
    copy: Speed
    seconds: float
    peak_mb: float


class Stopwatch(Silent):
    """How fast the copy was."""

    def __init__(self) -> None:
        self.copied = 0

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None:
        if stage is Stage.COPY:
            self._watch = Watch()

    def advance(self, tenant: str, stage: Stage, records: int) -> None:
        if stage is Stage.COPY:
            self.copied += records

    def step(self, tenant: str, step: str) -> None:
        if step == "synced":
            self.copy = self._watch.speed(self.copied)


def configuration(redis_url: str, namespace: str, old: str, new: str) -> dict[str, Any]:
    """Two Qdrant clusters; tenants share a collection and are kept apart by a field."""
    placement = {"collection": COLLECTION, "tenancy": "payload:tenant"}
    return {
        "control": {"url": redis_url, "namespace": namespace},
        "clusters": {"old": {"kind": "qdrant", "url": old}, "new": {"kind": "qdrant", "url": new}},
        "topologies": {
            name: {"dimension": DIMENSION, "placement": {"cluster": cluster, **placement}}
            for name, cluster in (("v1", "old"), ("v2", "new"))
        },
        "migration": {"from": "v1", "to": "v2"},
    }


async def load(config: Config, records: int) -> None:
    """Fills the tenant on the old cluster."""
    dice = np.random.default_rng(1)
    store, place = connect(config.clusters["old"]), config.route.old.place(TENANT)
    await store.prepare(place)
    for start in range(0, records, _BATCH):
        batch = range(start, min(start + _BATCH, records))
        vectors = dice.standard_normal((len(batch), DIMENSION), dtype=np.float32)
        await store.upsert(place, [_record(n, vector) for n, vector in zip(batch, vectors, strict=True)])
    await store.aclose()


def _record(number: int, vector: Any) -> Record:
    metadata = {"lang": "en", "page": number % 40, "public": True, "title": f"document number {number}"}
    return Record(f"doc-{number}", vector, metadata)


async def migrate(raw: Mapping[str, Any]) -> Migrated:
    """Moves the tenant by a map of its own, with preflight and verification."""
    watch = Stopwatch()
    async with Admin.open(Config.from_dict(raw), observer=watch) as admin:
        await admin.init()
        outcome = await admin.move("migrate", TENANT, Options(purge_target=True))
    assert outcome.compared == outcome.copied, "not all that was copied was compared"
    return Migrated(outcome.copied, watch.copy, outcome.seconds, _peak_mb())


def _peak_mb() -> float:
    """Linux says it of the running program; elsewhere what the starting process held counts as well."""
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


async def migrate_apart(raw: Mapping[str, Any]) -> Migrated:
    """The same in a process of its own, whose memory has held nothing else."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, json.dumps(raw), stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the migration ended with {child.returncode}")
    told = json.loads(answer)
    return Migrated(**told | {"copy": Speed(**told["copy"])})


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(migrate(json.loads(sys.argv[1]))))))
