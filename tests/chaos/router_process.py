"""A router under traffic, in a process that may be killed or stopped at any moment.

Records are of four kinds: `stable` ones are never written, and always there; `kept` ones are updated and never
deleted; `own` ones are written by one writer, which therefore knows what it must read; `shared` ones by all.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shardroute import Router
from shardroute.errors import ShardrouteError
from shardroute.tenant import Tenant
from tests.support.traffic import ABSENT
from tests.support.world import record

from .journal import Log
from .settings import KEPT, LANDED_AFTER, SHARED, STABLE

_AFTER_FAILURE = 0.1
_PAUSE = 0.02  # seconds, the longest between two requests of a writer


async def main(path: str, log: str, process: int, seed: int, tenants: list[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    told = Log(Path(log))
    try:
        async with Router.from_config(path) as router, asyncio.TaskGroup() as group:
            for place, name in enumerate(tenants):
                numbers = itertools.count(process * 1_000_000 + place * 100_000 + 1)
                dice = random.Random(seed * 100 + place)
                writer = Writer(router.tenant(name), told, process, dice, numbers)
                group.create_task(writer.run(stop))
                told.note(kind="ready")
    except ShardrouteError as error:
        told.note(kind="failed to start", error=repr(error))


@dataclass
class Writer:
    """One writer on one tenant."""

    tenant: Tenant
    told: Log
    process: int
    random: random.Random
    numbers: Iterator[int]
    possible: dict[str, dict[int, float]] = field(default_factory=dict)
    """For each own id: the values that a read may find, and until when a failed one may still come to be."""

    def __post_init__(self) -> None:
        self.own = [f"own-{self.process}-{number}" for number in range(4)]

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._one()
            await asyncio.sleep(self.random.uniform(0, _PAUSE))

    async def _one(self) -> None:
        what = self.random.random()
        if what < 0.02:
            await self._scan()
        elif what < 0.3:
            await self._read(self.random.choice(self.own), self.random.choice(STABLE))
        else:
            await self._write(self.random.choice([*self.own, *SHARED, *KEPT]), self.random.random())

    # -- writes ----------------------------------------------------------------------------------------------

    async def _write(self, record_id: str, kind: float) -> None:
        number = next(self.numbers)
        value = ABSENT if kind < 0.25 and record_id not in KEPT else number
        began = asyncio.get_running_loop().time()
        self.told.note(kind="begun", write=number, tenant=self.tenant.name, id=record_id, value=value)
        try:
            await self._send(record_id, value, kind)
        except ShardrouteError as error:
            self.told.note(kind="failed", write=number, error=repr(error), phase=self.tenant.phase)
            self._expect(record_id, value, began, answered=False)
            await asyncio.sleep(_AFTER_FAILURE)
        else:
            self.told.note(kind="answered", write=number, phase=self.tenant.phase)
            self._expect(record_id, value, began, answered=True)

    async def _send(self, record_id: str, value: int, kind: float) -> None:
        if value == ABSENT:
            await self.tenant.delete([record_id])
        elif record_id in KEPT:
            vector = record(record_id, value).vector if kind > 0.5 else None
            await self.tenant.update(record_id, metadata={"v": value}, vector=vector)
        else:
            await self.tenant.upsert([record(record_id, value)])

    def _expect(self, record_id: str, value: int, began: float, *, answered: bool) -> None:
        if record_id not in self.own:
            return
        possible = self.possible.setdefault(record_id, {ABSENT: float("inf")})
        if answered:
            # What failed long enough before this began can come no more; nor can what this replaced.
            for other in [
                other for other, until in possible.items() if until < began or until == float("inf")
            ]:
                del possible[other]
            possible[value] = float("inf")
        elif possible.get(value) != float("inf"):
            possible[value] = asyncio.get_running_loop().time() + LANDED_AFTER

    # -- reads -----------------------------------------------------------------------------------------------

    async def _read(self, own: str, stable: str) -> None:
        phase = self.tenant.phase
        try:
            found = await self.tenant.fetch([own, stable])
        except ShardrouteError:
            return
        value = int(found[own].metadata["v"]) if own in found else ABSENT
        possible = self.possible.get(own, {ABSENT: 0.0})
        if value not in possible:
            self._wrong(
                f"{own} holds {value}, expected of {sorted(possible)}; phase {phase} to {self.tenant.phase}"
            )
        if stable not in found:
            self._wrong(f"{stable} is gone; phase {phase} to {self.tenant.phase}")

    async def _scan(self) -> None:
        phase = self.tenant.phase
        try:
            found = {one.id async for one in self.tenant.scan(vectors=False)}
        except ShardrouteError:
            return
        if missing := {*STABLE, *KEPT} - found:
            self._wrong(f"a scan misses {sorted(missing)}; phase {phase} to {self.tenant.phase}")

    def _wrong(self, what: str) -> None:
        self.told.note(kind="wrong", tenant=self.tenant.name, what=what)
