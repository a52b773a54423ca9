"""Writers that know what was acknowledged, and the judgement afterwards.

Times are of one clock. A value is superseded if another acknowledged write of the id began after the
value's own write had been acknowledged; an answer that never came may have taken effect or not.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shardroute.errors import ShardrouteError
from shardroute.records import Record
from shardroute.tenant import Tenant

from .world import record

ABSENT = -1


@dataclass
class Write:
    """`value` ABSENT is a deletion. `ended` None: never acknowledged."""

    id: str
    value: int
    began: float
    ended: float | None = None


@dataclass
class Ledger:
    writes: dict[str, list[Write]] = field(default_factory=lambda: defaultdict(list))
    failures: list[BaseException] = field(default_factory=list)
    wrong_reads: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return sum(write.ended is not None for writes in self.writes.values() for write in writes)

    def judge(self, found: Mapping[str, Record]) -> list[str]:
        """What is wrong with the final state, in words."""
        return [
            complaint
            for record_id, writes in self.writes.items()
            if (complaint := _complaint(record_id, writes, _value(found.get(record_id)))) is not None
        ]


def _value(found: Record | None) -> int:
    return ABSENT if found is None else int(found.metadata["v"])


def _complaint(record_id: str, writes: Sequence[Write], value: int) -> str | None:
    candidates = [write for write in writes if write.value == value]
    if value == ABSENT:
        candidates.append(Write(record_id, ABSENT, began=float("-inf"), ended=float("-inf")))
    if not candidates:
        return f"{record_id} holds {value}, which nobody wrote"
    if any(not _superseded(candidate, writes) for candidate in candidates):
        return None
    return f"{record_id} holds {value}, but a later write was acknowledged: {writes[-4:]}"


def _superseded(candidate: Write, writes: Sequence[Write]) -> bool:
    end = float("inf") if candidate.ended is None else candidate.ended
    return any(write.ended is not None and write.began > end for write in writes)


class Traffic:
    """Writers over a tenant's handles (one for each router); `own` ids per writer and `shared` ids of all."""

    def __init__(
        self,
        handles: Sequence[Tenant],
        *,
        own: int = 6,
        shared: int = 3,
        writers: int = 3,
        pause: float = 0.002,
        process: int = 0,
        make: Callable[[str, int], Record] = record,
    ) -> None:
        """`process` keeps the names and values of several processes' traffic apart. `make`: a record of a value."""
        self.ledger = Ledger()
        self._process = process
        self._values = itertools.count(1 + process * 1_000_000)
        self._handles = handles
        self._own = own
        self._shared = [f"shared-{number}" for number in range(shared)]
        self._writers = writers
        self._pause = pause
        self._make = make

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[Ledger]:
        """Traffic while the block runs; afterwards every write has ended."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for place, handle in enumerate(self._handles):
                for number in range(self._writers):
                    group.create_task(self._writer(handle, f"w{self._process}{place}{number}", stop))
            try:
                yield self.ledger
            finally:
                stop.set()

    async def _writer(self, handle: Tenant, name: str, stop: asyncio.Event) -> None:
        choose = random.Random(name)
        own = [f"{name}-{number}" for number in range(self._own)]
        while not stop.is_set():
            record_id = choose.choice(own + self._shared)
            await self._write(handle, record_id, choose.random(), mine=record_id in own)
            await asyncio.sleep(choose.uniform(0, self._pause))

    async def _write(self, handle: Tenant, record_id: str, kind: float, *, mine: bool) -> None:
        value = ABSENT if kind < 0.15 else next(self._values)
        write = Write(record_id, value, time.monotonic())
        self.ledger.writes[record_id].append(write)
        try:
            if value == ABSENT:
                await handle.delete([record_id])
            else:
                await handle.upsert([self._make(record_id, value)])
        except ShardrouteError as error:
            self.ledger.failures.append(error)
            return
        write.ended = time.monotonic()
        if mine and kind > 0.7:
            await self._read_back(handle, record_id, value)

    async def _read_back(self, handle: Tenant, record_id: str, value: int) -> None:
        try:
            found = (await handle.fetch([record_id])).get(record_id)
        except ShardrouteError:
            return
        if _value(found) != value:
            self.ledger.wrong_reads.append(f"{record_id}: wrote {value}, read {_value(found)}")
