"""A migrator that is stopped at a request, and goes on after its lock was taken over, undoes nothing (rule 12)."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import SuspectsDiffer, TenantLocked
from shardroute.migration import Options
from shardroute.phases import Side
from shardroute.tenant import Tenant
from shardroute.testing.qdrant import QdrantServer
from tests.support.files import write_config
from tests.support.world import record

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")

NAMES = [f"r{number}" for number in range(40)]
UPSERT, DELETE = "PUT /collections/docs/points?", "POST /collections/docs/points/delete?"
MARK = "POST /collections/docs/points/batch?"


@dataclass
class Stage:
    path: Path
    admin: Admin
    acme: Tenant

    async def write(self, value: int) -> None:
        await self.acme.upsert([record(name, value) for name in NAMES])

    async def values(self) -> set[Any]:
        return {found.metadata["v"] for found in (await self.acme.fetch(NAMES)).values()}

    async def take_over(self, verb: str, options: Options | None = None) -> None:
        await self._unlocked(lambda: self.admin.move(verb, "acme", options))

    async def repaired(self) -> None:
        await self._unlocked(lambda: self.admin.repair("acme"))

    async def _unlocked(self, call: Callable[[], Awaitable[object]]) -> None:
        """As soon as the lock has run out."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await call()
                except TenantLocked as locked:
                    await asyncio.sleep(locked.retry_after or 0.1)
                else:
                    return

    async def stopped(self, moment: str, head: str, *arguments: str) -> asyncio.subprocess.Process:
        """The script, stopped at that moment of the first such request."""
        flag = self.path.parent / "stopped"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.migration.stopping", moment, head, str(flag)),
            *(*arguments, "--config", str(self.path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(60):
                while not flag.exists():
                    assert process.returncode is None, (await process.communicate())[0].decode()
                    await asyncio.sleep(0.02)
        except BaseException:
            process.kill()
            raise
        return process


async def goes_on(process: asyncio.subprocess.Process) -> str:
    """Until it has ended; what it said."""
    process.send_signal(signal.SIGCONT)
    try:
        async with asyncio.timeout(60):
            said = (await process.communicate())[0].decode()
    except BaseException:
        process.kill()
        raise
    assert process.returncode != 0, said
    return said


@pytest.fixture
async def stage(redis_server: EmbeddedRedis, namespace: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with QdrantServer() as old, QdrantServer() as new:
        path = write_config(
            tmp_path,
            redis=redis_server.url,
            namespace=namespace,
            old=old.url,
            new=new.url,
            max_hold=2,
            lock=2.4,
        )
        config = Config.load(path)
        async with Admin.open(config) as admin:
            await admin.init()
            await admin.prepare()
        async with Admin.open(config) as admin, Router(config) as router:
            made = Stage(path, admin, router.tenant("acme"))
            await made.write(0)
            yield made


async def copying(stage: Stage, moment: str) -> None:
    """Its page would bring back what was deleted."""
    process = await stage.stopped(moment, UPSERT, "migrate", "acme")
    await stage.take_over("migrate")
    await stage.acme.delete(NAMES)
    said = await goes_on(process)
    assert "lock ran out or was taken over" in said
    assert await stage.values() == set()


async def paying(stage: Stage, moment: str) -> None:
    """Its values would go over newer ones."""
    await stage.admin.move("migrate", "acme")
    await stage.admin.touch("acme", NAMES)
    process = await stage.stopped(moment, UPSERT, "doctor", "--repair")
    await stage.take_over("rollback")
    await stage.write(2)
    await goes_on(process)
    assert await stage.values() == {2}


async def purging(stage: Stage, moment: str, head: str = DELETE) -> None:
    """What it deletes would be what the tenant lives on."""
    for verb in ("migrate", "complete"):
        await stage.admin.move(verb, "acme")
    process = await stage.stopped(moment, head, "purge", "acme", "--yes")
    await stage.take_over("rollback", Options(purge_target=True))
    await stage.write(2)
    said = await goes_on(process)
    assert "lock ran out or was taken over" in said
    assert await stage.values() == {2}
    assert await stage.acme.count() == len(NAMES)


Schedule = Callable[[Stage, str], Awaitable[None]]
SCHEDULES: Mapping[str, Schedule] = {
    "copy": copying,
    "payment": paying,
    "purge": purging,
    "purge, marking": lambda stage, moment: purging(stage, moment, MARK),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "half"])
@pytest.mark.parametrize("schedule", SCHEDULES)
async def test_a_request_that_was_not_sent_whole_is_not_sent_after_the_lock_was_taken_over(
    stage: Stage, schedule: str, moment: str
) -> None:
    await SCHEDULES[schedule](stage, moment)
    assert (await stage.admin.status(["acme"]))[0].debt == 0


async def landed_late_on_the_primary(stage: Stage, schedule: str) -> None:
    """With the permit in hand, the process is stopped before its last byte: this cannot be prevented, only noted."""
    with pytest.raises(AssertionError):
        await SCHEDULES[schedule](stage, "last")
    differing = (await stage.admin.verify("acme")).differing  # what is equal is suspected no longer
    [status] = await stage.admin.status(["acme"])
    assert status.suspects == len(differing) > 0
    [problem] = (await stage.admin.doctor()).problems
    assert f"{status.suspects} records may have been written by a migrator that had lost its lock" in problem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "verb", "trust", "right"),
    [("copy", "rollback", Side.OLD, set()), ("payment", "migrate", Side.NEW, {2})],
)
async def test_what_landed_late_on_the_primary_is_not_copied_over_the_other_side(
    stage: Stage, schedule: str, verb: str, trust: Side, right: set[int]
) -> None:
    await landed_late_on_the_primary(stage, schedule)
    for ask in (stage.admin.move(verb, "acme"), stage.admin.verify("acme", repair=True)):
        with pytest.raises(SuspectsDiffer, match="--trust"):
            await ask
    await stage.admin.move(verb, "acme", Options(trust=trust))
    assert await stage.values() == right
    assert (await stage.admin.verify("acme")).differing == {}
    assert (await stage.admin.status(["acme"]))[0].suspects == 0
    assert (await stage.admin.doctor()).problems == []


@pytest.mark.slow
async def test_what_landed_late_on_the_primary_may_be_called_right(stage: Stage) -> None:
    await landed_late_on_the_primary(stage, "payment")
    await stage.admin.verify("acme", repair=True, trust=Side.OLD)
    assert (await stage.admin.verify("acme")).differing == {}
    assert await stage.values() == {0}
    assert (await stage.admin.doctor()).problems == []


@pytest.mark.slow
async def test_what_landed_late_on_the_other_side_is_debt(stage: Stage) -> None:
    await stage.admin.move("migrate", "acme")
    await stage.admin.touch("acme", NAMES)
    process = await stage.stopped("last", UPSERT, "doctor", "--repair")
    await stage.repaired()
    await stage.write(2)
    await goes_on(process)
    [status] = await stage.admin.status(["acme"])
    assert (status.debt, status.suspects) == (len(NAMES), 0)
    await stage.admin.repair("acme")
    assert (await stage.admin.verify("acme")).differing == {}
    assert await stage.values() == {2}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "half", "last"])
async def test_of_a_purge_even_the_last_byte_may_come_too_late(stage: Stage, moment: str) -> None:
    """Qdrant deletes what has the mark of this purge; what was written since has none."""
    await purging(stage, moment)
