"""The migrator is killed after every single step, with SIGKILL; what is left can always be finished."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import TenantLocked
from shardroute.migration import Options, Silent
from shardroute.phases import Phase, Side
from shardroute.ports import Store
from shardroute.records import Record
from shardroute.stores.qdrant import QdrantStore
from shardroute.testing.qdrant import QdrantServer
from tests.migration.killer import ALL_STEPS
from tests.support.files import write_config
from tests.support.patience import PATIENCE
from tests.support.world import record, same

RECORDS = 45


@dataclass
class Steps(Silent):
    """Remembers the steps of a run that nobody kills."""

    names: list[str] = field(default_factory=list)

    def step(self, tenant: str, step: str) -> None:
        self.names.append(step)


@dataclass
class Killer:
    process: asyncio.subprocess.Process

    async def run(self, verb: str, tenant: str, step: int) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{verb} {tenant} {step}\n".encode())
        return (await self.process.stdout.readline()).decode().strip()


@asynccontextmanager
async def killer(path: Path) -> AsyncIterator[Killer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.migration.killer",
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Killer(process)
    finally:
        process.kill()
        await process.communicate()


async def content(store: Store, config: Config, side: Side, tenant: str) -> dict[str, Record]:
    topology = config.route.old if side is Side.OLD else config.route.new
    page = await store.scan(topology.place(tenant), limit=1000)
    assert page.cursor is None
    return {found.id: found for found in page.records}


async def finish(admin: Admin, verb: str, tenant: str) -> None:
    """As an operator would: again, once the dead migrator's lock has run out."""
    while True:
        try:
            await admin.move(verb, tenant, Options(purge_target=True))
        except TenantLocked as locked:
            await asyncio.sleep(locked.retry_after or 0.1)
        else:
            return


async def write_meanwhile(router: Router, tenant: str) -> None:
    """Wherever the tenant was left: writes are answered, a hold that nobody ends included (rule 11)."""
    handle = router.tenant(tenant)
    await handle.upsert([record("meanwhile", 1), record("r0003", 99)], timeout=PATIENCE)
    await handle.delete(["r0004"], timeout=PATIENCE)
    await handle.update("r0005", metadata={"touched": True}, timeout=PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "end"), [("migrate", Phase.DUAL_NEW), ("rollback", Phase.DUAL_OLD)])
async def test_a_verb_killed_after_any_step_can_be_finished_and_both_sides_are_equal(
    verb: str, end: Phase, redis_server: EmbeddedRedis, namespace: str, tmp_path: Path
) -> None:
    async with QdrantServer() as old, QdrantServer() as new:
        path = write_config(tmp_path, redis=redis_server.url, namespace=namespace, old=old.url, new=new.url)
        config = Config.load(path)
        stores = {"a": QdrantStore.connect("a", url=old.url), "b": QdrantStore.connect("b", url=new.url)}
        watched = Steps()
        async with Admin.open(config, observer=watched, stores=stores) as admin, killer(path) as kills:
            await admin.init()
            for store, side in ((stores["a"], config.route.old), (stores["b"], config.route.new)):
                await store.prepare(side.place("whole"))
            async with Router(config, stores=stores) as router:
                await prepared(router, admin, verb, "whole")
                watched.names.clear()
                await admin.move(verb, "whole", ALL_STEPS)
                # Windows are opened ahead, as time allows: another run may have a step more, or the last one less.
                counted = len(watched.names)
                steps = [*watched.names, "one more"]
                tenants = [f"killed-{number:02d}" for number in range(1, len(steps) + 1)]
                await asyncio.gather(*(prepared(router, admin, verb, tenant) for tenant in tenants))
                for number, tenant in enumerate(tenants, start=1):
                    possible = {"killed"} if number < counted else {"killed", "done 0"}
                    assert await kills.run(verb, tenant, number) in possible, steps[number - 1]
                await asyncio.gather(*(write_meanwhile(router, tenant) for tenant in tenants))
                await asyncio.gather(*(finish(admin, verb, tenant) for tenant in tenants))
                for number, tenant in enumerate(tenants, start=1):
                    await judge(
                        router,
                        stores,
                        config,
                        tenant,
                        end,
                        f"killed after step {number}: {steps[number - 1]}",
                    )
        for store in stores.values():
            await store.aclose()


async def prepared(router: Router, admin: Admin, verb: str, tenant: str) -> None:
    await router.tenant(tenant).upsert(record(f"r{number:04d}", number) for number in range(RECORDS))
    if verb == "rollback":
        await admin.move("migrate", tenant)


async def judge(
    router: Router, stores: dict[str, QdrantStore], config: Config, tenant: str, end: Phase, why: str
) -> None:
    assert router.tenant(tenant).phase is end, why
    old, new = [
        await content(store, config, side, tenant)
        for store, side in ((stores["a"], Side.OLD), (stores["b"], Side.NEW))
    ]
    assert same(old, new), why
    assert len(old) == RECORDS, why  # one more and one less
    assert old["r0003"].metadata["v"] == 99, why
    assert old["r0005"].metadata["touched"] is True, why
    assert "meanwhile" in old, why
    assert "r0004" not in old, why
