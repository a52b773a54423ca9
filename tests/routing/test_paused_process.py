"""A process stopped past its lease in the middle of writes loses nothing that it acknowledged, nor anyone else's."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.phases import Phase
from shardroute.testing.qdrant import QdrantServer
from tests.support.files import write_config
from tests.support.traffic import Ledger, Traffic, Write
from tests.support.world import record

VERBS = ("migrate", "complete")


@asynccontextmanager
async def writing_process(path: Path, tenant: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.routing.writing_process",
        str(path),
        tenant,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"writing\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def stop(process: asyncio.subprocess.Process, servers: tuple[QdrantServer, ...]) -> None:
    """Stops it while its writes are on their way: the clusters are slow meanwhile."""
    for server in servers:
        server.faults.update({"latency": 0.2, "only": ["write"]})
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.3)
    for server in servers:
        server.faults.clear()


async def ended(process: asyncio.subprocess.Process) -> tuple[Ledger, list[str]]:
    out, _ = await process.communicate(b"")  # closes stdin
    told = json.loads(out)
    ledger = Ledger()
    for record_id, writes in told["writes"].items():
        ledger.writes[record_id] = [Write(**write) for write in writes]
    ledger.wrong_reads = told["wrong_reads"]
    return ledger, told["failures"]


@pytest.mark.slow
@pytest.mark.parametrize("stopped_in", [Phase.OLD, Phase.DUAL_OLD, Phase.DUAL_NEW])
async def test_a_process_stopped_past_its_lease_while_the_tenant_moves_loses_no_acknowledged_write(
    stopped_in: Phase, redis_server: EmbeddedRedis, namespace: str, tmp_path: Path
) -> None:
    async with QdrantServer() as old, QdrantServer() as new:
        path = write_config(
            tmp_path, redis=redis_server.url, namespace=namespace, old=old.url, new=new.url, idle_lease=2
        )
        config = Config.load(path)
        async with Admin.open(config) as admin:
            await admin.init()
            async with Router(config) as router:
                await prepare(admin, router)
                if stopped_in is not Phase.OLD:
                    await admin.move("migrate", "acme")
                if stopped_in is Phase.DUAL_OLD:
                    await admin.move("rollback", "acme")
                async with (
                    writing_process(path, "acme") as process,
                    Traffic([router.tenant("acme")]).flowing() as ours,
                ):
                    await stop(process, (old, new))
                    for verb in VERBS:
                        await admin.move(verb, "acme")
                    await asyncio.sleep(0.2)
                    process.send_signal(signal.SIGCONT)
                    await asyncio.sleep(1.0)
                    theirs, failures = await ended(process)
                assert router.tenant("acme").phase is Phase.NEW
                assert [told for told in failures if not told.startswith("OutcomeUnknown")] == []
                assert ours.failures == []
                await judge(router, ours, theirs)


async def prepare(admin: Admin, router: Router) -> None:
    """The collection is there before the first of many writers."""
    acme = router.tenant("acme")
    for store, topology in zip(
        router.stores.values(), (router.config.route.old, router.config.route.new), strict=True
    ):
        await store.prepare(topology.place("acme"))
    await acme.upsert(record(f"r{number}", number) for number in range(30))


async def judge(router: Router, ours: Ledger, theirs: Ledger) -> None:
    together = Ledger()
    for ledger in (ours, theirs):
        for record_id, writes in ledger.writes.items():
            together.writes[record_id] += writes
    found = await router.tenant("acme").fetch(together.writes)
    assert theirs.acknowledged > 20
    assert together.judge(found) == []
    assert ours.wrong_reads == theirs.wrong_reads == []
    assert {f"r{number}" for number in range(30)} <= set(
        await router.tenant("acme").fetch(f"r{n}" for n in range(30))
    )
